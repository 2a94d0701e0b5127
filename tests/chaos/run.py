"""Read a numbered stream through a proxy that cuts it again and again."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import pydantic
import trio
from tests.chaos.numbered import NumberedEvents, text
from tests.chaos.proxy import ChaosProxy
from tests.servers import raw_server

from clientele import api

RECONNECT = api.Reconnect(initial_delay=0.001, max_delay=0.004, max_attempts=None)
IDLE_TIMEOUT = 0.1
TIME_FOR_A_CUT = 0.5
"""How long a cut may take at the most on the average, in seconds; after that a run counts as hanging."""


class Numbered(pydantic.BaseModel):
    number: int
    text: str


@dataclass
class Account:
    """What came of one run.

    Attributes:
        events: How many events there were.
        wrong: The numbers that came, where they are others than those.
        reconnects: How many times the stream was taken up again.
        done: How often the proxy cut in each way.
    """

    events: int
    wrong: list[int] | None
    reconnects: int
    done: Counter[str]

    @property
    def cuts(self) -> int:
        return self.done.total()


Read = Callable[[str, float], tuple[list[Numbered], int]]


def read_sync(url: str, limit: float) -> tuple[list[Numbered], int]:
    with api.APIClient(url).stream("GET", "/", Numbered, reconnect=RECONNECT, idle_timeout=IDLE_TIMEOUT) as stream:
        timer = threading.Timer(limit, stream.close)
        timer.start()
        items = list(stream)
        timer.cancel()
        return items, stream.reconnects


def read_async(run: Callable[[Callable[[], Awaitable[Any]]], Any], transport: Callable[[], Any] | None) -> Read:
    def read(url: str, limit: float) -> tuple[list[Numbered], int]:
        items: list[Numbered] = []

        async def main() -> int:
            client = api.APIClient(url, async_transport=transport() if transport else None)
            options: Any = {"reconnect": RECONNECT, "idle_timeout": IDLE_TIMEOUT}
            async with client, client.astream("GET", "/", Numbered, **options) as stream:
                with anyio.move_on_after(limit):
                    async for item in stream:
                        items.append(item)
                return stream.reconnects

        return items, run(main)

    return read


READERS: dict[str, Read] = {
    "sync": read_sync,
    "asyncio over aiohttp": read_async(lambda function: asyncio.run(function()), None),
    "asyncio over httpx2": read_async(lambda function: asyncio.run(function()), httpx2.AsyncHTTPTransport),
    "trio": read_async(trio.run, None),
}


def account_of(reader: str, *, cuts: int, seed: int) -> Account:
    """Read a stream that is cut so often.

    Parameters:
        reader: One of `READERS`.
        cuts: How often.
        seed: What the proxy's randomness begins with.
    """
    events = NumberedEvents(last=4 * cuts)
    with raw_server(events) as server:
        proxy = ChaosProxy(server.url, seed, cuts)
        with raw_server(proxy) as front:
            items, reconnects = READERS[reader](front.url, 10 + cuts * TIME_FOR_A_CUT)
    numbers = [item.number for item in items]
    is_right = numbers == list(range(1, events.last + 1)) and all(item.text == text(item.number) for item in items)
    return Account(events.last, None if is_right else numbers, reconnects, proxy.done)
