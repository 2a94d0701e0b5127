"""A proxy that lets nothing through whole: it cuts every response at a random moment, in a random way.

What it does next depends on its seed and on how often it has been asked, not on the clock; so a run can be replayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from time import time
from urllib.parse import urlsplit

from tests.servers import Connection, answer

MAX_CHUNKS = 6
"""How many chunks of a response get through at the most."""


@dataclass
class Passage:
    """A response on its way through the proxy, as far as the chunk that does not get through whole.

    Attributes:
        client: The connection to the client.
        data: The data of the chunk that is being cut.
    """

    client: Connection
    data: bytes

    @property
    def head(self) -> bytes:
        """What stands before the chunk's data."""
        return b"%x\r\n" % len(self.data)


async def reset(passage: Passage) -> None:
    passage.client.reset()


async def stall(passage: Passage) -> None:
    await passage.client.until_client_closes()


async def close(passage: Passage) -> None:
    passage.client.close()


async def end_cleanly(passage: Passage) -> None:
    await passage.client.send(b"0\r\n\r\n")


async def end_cleanly_inside_an_event(passage: Passage) -> None:
    half = passage.data[: len(passage.data) // 2]
    await passage.client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(half), half))


async def cut_inside_an_event(passage: Passage) -> None:
    await passage.client.send(passage.head + passage.data[: len(passage.data) * 2 // 3])
    passage.client.close()


async def cut_before_the_blank_line(passage: Passage) -> None:
    await passage.client.send(passage.head + passage.data.rstrip(b"\r\n"))
    passage.client.close()


async def cut_inside_a_character(passage: Passage) -> None:
    first = next((index for index, byte in enumerate(passage.data) if byte >= 0xC0), len(passage.data) // 2)
    await passage.client.send(passage.head + passage.data[: first + 1])
    passage.client.close()


async def cut_inside_a_chunk_header(passage: Passage) -> None:
    await passage.client.send(passage.head[:1])
    passage.client.close()


async def break_a_chunk_header(passage: Passage) -> None:
    await passage.client.send(b"not a number\r\n" + passage.data)
    passage.client.close()


Cut = Callable[[Passage], Awaitable[None]]

CUTS: list[Cut] = [
    reset,
    stall,
    close,
    end_cleanly,
    end_cleanly_inside_an_event,
    cut_inside_an_event,
    cut_before_the_blank_line,
    cut_inside_a_character,
    cut_inside_a_chunk_header,
    break_a_chunk_header,
]


async def unavailable(client: Connection) -> None:
    await client.send(answer(b"", status="503 Service Unavailable"))


async def unavailable_for_seconds(client: Connection) -> None:
    await client.send(answer(b"", status="503 Service Unavailable", headers="Retry-After: 120\r\n"))


async def unavailable_until_a_date(client: Connection) -> None:
    later = formatdate(time() + 120, usegmt=True)
    await client.send(answer(b"", status="429 Too Many Requests", headers=f"Retry-After: {later}\r\n"))


async def reset_before_the_head(client: Connection) -> None:
    client.reset()


async def stall_before_the_head(client: Connection) -> None:
    await client.until_client_closes()


async def cut_inside_the_head(client: Connection) -> None:
    await client.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    client.close()


Refusal = Callable[[Connection], Awaitable[None]]

REFUSALS: list[Refusal] = [
    unavailable,
    unavailable_for_seconds,
    unavailable_until_a_date,
    reset_before_the_head,
    stall_before_the_head,
    cut_inside_the_head,
]


@dataclass
class ChaosProxy:
    """Stands before a server, and cuts each of its responses until it has cut often enough.

    Attributes:
        upstream: The URL of the server.
        seed: What its randomness begins with.
        cuts_left: How many more responses are to be cut.
        done: How often it has cut in each way.
    """

    upstream: str
    seed: int
    cuts_left: int
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._is_first = True

    async def __call__(self, client: Connection) -> None:
        # The first connection of a stream is not tried again, so that one must get through.
        is_refused = self._random.random() < 0.2 and not self._is_first
        cut, refusal = self._random.choice(CUTS), self._random.choice(REFUSALS)
        chunks = self._random.randrange(MAX_CHUNKS)
        self._is_first = False
        if self.cuts_left == 0:
            await self._forward(client, None, 0)
        elif is_refused:
            self._count(refusal.__name__)
            await refusal(client)
        else:
            await self._forward(client, cut, chunks)

    def _count(self, name: str) -> None:
        self.cuts_left -= 1
        self.done[name] += 1

    async def _forward(self, client: Connection, cut: Cut | None, chunks: int) -> None:
        upstream = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(upstream.hostname, upstream.port)
        try:
            writer.write(_head_of(client))
            head = await reader.readuntil(b"\r\n\r\n")
            await client.send(head)
            while b"chunked" in head:
                size = int(await reader.readline(), 16)
                data = (await reader.readexactly(size + 2))[:-2]
                if cut is not None and (chunks == 0 or size == 0):
                    self._count(cut.__name__)
                    await cut(Passage(client, data or b"data: beyond the end"))
                    return
                await client.send(b"%x\r\n%s\r\n" % (size, data))
                if size == 0:
                    return
                chunks -= 1
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def _head_of(client: Connection) -> bytes:
    request = client.request
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
