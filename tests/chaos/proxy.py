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

from tests.chaos.codings import CODINGS, Coding
from tests.servers import END, Connection, answer, chunk

MAX_CHUNKS = 6
"""How many chunks of a response get through at the most."""

PAUSE = 0.0005
"""How long a slow response waits between the parts of a chunk, in seconds; for a reader to give up in between."""


@dataclass
class Passage:
    """A response on its way through the proxy.

    Attributes:
        client: The connection to the client.
        coding: How the response is encoded.
        is_slow: Whether each chunk is sent in two parts, with a pause.
        where: Where an event or a chunk is parted, if that may be anywhere: from 0, its beginning, to 1.
        event: The event that is being cut, not encoded.
        sent: The body so far.
        is_whole: Whether the body has come to an end, and nobody can tell that anything is missing.
    """

    client: Connection
    coding: Coding
    is_slow: bool
    where: float
    event: bytes = b""
    sent: bytes = b""
    is_whole: bool = False

    async def send(self, data: bytes) -> None:
        """Send a whole chunk, if there is anything to send."""
        if not data:
            return
        self.sent += data
        whole = chunk(data)
        middle = int(len(whole) * self.where) if self.is_slow else 0
        if middle:
            await self.client.send(whole[:middle])
            await asyncio.sleep(PAUSE)
        await self.client.send(whole[middle:])

    async def send_part(self, data: bytes) -> None:
        """Send this as the beginning of a chunk."""
        await self.client.send(b"%x\r\n%s" % (len(data) + 1, data))

    async def end(self) -> None:
        """Send the end of the body."""
        self.is_whole = self.coding.is_whole(self.sent)
        await self.client.send(END)

    def encoded_part(self) -> bytes:
        """The encoded event, as far as where it is cut."""
        encoded = self.coding.encode(self.event)
        return encoded[: int(len(encoded) * self.where)]


async def reset(passage: Passage) -> None:
    passage.client.reset()


async def stall(passage: Passage) -> None:
    await passage.client.until_client_closes()


async def stall_anywhere(passage: Passage) -> None:
    await passage.send(passage.encoded_part())
    await passage.client.until_client_closes()


async def close(passage: Passage) -> None:
    passage.client.close()


async def end_cleanly(passage: Passage) -> None:
    await passage.send(passage.coding.end())
    await passage.end()


async def end_cleanly_inside_an_event(passage: Passage) -> None:
    half = passage.event[: len(passage.event) // 2]
    await passage.send(passage.coding.encode(half) + passage.coding.end())
    await passage.end()


async def end_cleanly_but_for_the_coding(passage: Passage) -> None:
    await passage.end()


async def end_cleanly_anywhere(passage: Passage) -> None:
    await passage.send(passage.encoded_part())
    await passage.end()


async def cut_anywhere(passage: Passage) -> None:
    await passage.send_part(passage.encoded_part())
    passage.client.close()


async def cut_inside_an_event(passage: Passage) -> None:
    await passage.send_part(passage.coding.encode(passage.event[: len(passage.event) * 2 // 3]))
    passage.client.close()


async def cut_before_the_blank_line(passage: Passage) -> None:
    await passage.send_part(passage.coding.encode(passage.event.rstrip(b"\r\n")))
    passage.client.close()


async def cut_inside_a_character(passage: Passage) -> None:
    event = passage.event
    first = next((index for index, byte in enumerate(event) if byte >= 0xC0), len(event) // 2)
    await passage.send_part(passage.coding.encode(event[: first + 1]))
    passage.client.close()


async def cut_inside_a_chunk_header(passage: Passage) -> None:
    await passage.client.send((b"%x\r\n" % len(passage.coding.encode(passage.event)))[:1])
    passage.client.close()


async def break_a_chunk_header(passage: Passage) -> None:
    await passage.client.send(b"not a number\r\n" + passage.coding.encode(passage.event))
    passage.client.close()


async def break_the_coding(passage: Passage) -> None:
    await passage.send(b"\x07 is no block of deflate, nor the beginning of a member")
    await passage.client.until_client_closes()


Cut = Callable[[Passage], Awaitable[None]]

CUTS: list[Cut] = [
    reset,
    stall,
    stall_anywhere,
    close,
    end_cleanly,
    end_cleanly_inside_an_event,
    end_cleanly_but_for_the_coding,
    end_cleanly_anywhere,
    cut_anywhere,
    cut_inside_an_event,
    cut_before_the_blank_line,
    cut_inside_a_character,
    cut_inside_a_chunk_header,
    break_a_chunk_header,
    break_the_coding,
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

    It encodes some of the responses, and is slow with some.

    Attributes:
        upstream: The URL of the server.
        seed: What its randomness begins with.
        cuts_left: How many more responses are to be cut.
        done: How often it has cut in each way.
        coded: How many responses had each coding.
        whole: How many bodies came to an end, and nobody could tell that they were cut.
    """

    upstream: str
    seed: int
    cuts_left: int
    done: Counter[str] = field(default_factory=Counter)
    coded: Counter[str] = field(default_factory=Counter)
    whole: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._is_first = True

    async def __call__(self, client: Connection) -> None:
        # The first connection of a stream is not tried again, so that one must get through.
        is_refused = self._random.random() < 0.2 and not self._is_first
        cut, refusal = self._random.choice(CUTS), self._random.choice(REFUSALS)
        chunks, coding = self._random.randrange(MAX_CHUNKS), self._random.choice(CODINGS)()
        is_slow, where = self._random.random() < 0.3, self._random.random()
        self._is_first = False
        passage = Passage(client, coding, is_slow, where)
        if self.cuts_left == 0:
            await self._forward(passage, None, 0)
        elif is_refused:
            self._count(refusal.__name__)
            await refusal(client)
        else:
            await self._forward(passage, cut, chunks)
        self.whole += passage.is_whole

    def _count(self, name: str) -> None:
        self.cuts_left -= 1
        self.done[name] += 1

    async def _forward(self, passage: Passage, cut: Cut | None, chunks: int) -> None:
        client, coding = passage.client, passage.coding
        upstream = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(upstream.hostname, upstream.port)
        try:
            writer.write(_head_of(client))
            head = await reader.readuntil(b"\r\n\r\n")
            if b"chunked" not in head:
                await client.send(head)
                return
            self.coded[coding.name] += 1
            await client.send(head[:-2] + coding.headers + b"\r\n")
            while True:
                size = int(await reader.readline(), 16)
                event = (await reader.readexactly(size + 2))[:-2]
                if cut is not None and (chunks == 0 or size == 0):
                    self._count(cut.__name__)
                    passage.event = event or b"data: beyond the end"
                    await cut(passage)
                    return
                if size == 0:
                    await passage.send(coding.end())
                    await passage.end()
                    return
                await passage.send(coding.encode(event))
                chunks -= 1
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def _head_of(client: Connection) -> bytes:
    request = client.request
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
