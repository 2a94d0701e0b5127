"""Read a numbered stream through a proxy that cuts it again and again; asynchronous readers cancel reads, too."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from unittest import mock

import anyio
import httpx2
import pydantic
from tests.chaos.http2 import cut_events
from tests.chaos.numbered import NumberedEvents, text
from tests.chaos.polls import ASYNCIO_POLLS, END, TRIO_POLLS, Poll, Poller
from tests.chaos.proxy import ChaosProxy
from tests.servers import raw_server
from tests.sides import RUNNERS

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
        reconnects: How many times the stream reconnected.
        cancelled: How many reads were cancelled.
        done: How often the proxy cut in each way.
        coded: How many responses had each coding.
        whole: How many responses came to an end, and nobody could tell that they were cut.
        ends: How many did so as far as the stream saw. More than that means that it took a cut for an end; fewer, that
            the machine was so busy that the idle timeout was faster.
    """

    events: int
    wrong: list[int] | None
    reconnects: int
    cancelled: int
    done: Counter[str]
    coded: Counter[str]
    whole: int
    ends: int

    @property
    def cuts(self) -> int:
        return self.done.total()


@dataclass
class Reading:
    """What a reader has read.

    Attributes:
        items: The items that came.
        reconnects: How many times the stream reconnected.
        cancelled: How many reads were cancelled.
        ends: How many responses came to an end, as far as the stream saw.
    """

    items: list[Numbered] = field(default_factory=list)
    reconnects: int = 0
    cancelled: int = 0
    ends: int = 0

    @property
    def options(self) -> Any:
        """The options of the stream."""
        return {"reconnect": replace(RECONNECT, on_reconnect=self._note), "idle_timeout": IDLE_TIMEOUT}

    def _note(self, attempt: api.ReconnectAttempt) -> None:
        cause = attempt.cause
        self.ends += isinstance(cause, api.StreamInterrupted) and cause.__cause__ is None


Read = Callable[..., Reading]
"""Reads the stream at this URL, for so many seconds at the most, with a client of these settings."""


def read_sync(url: str, limit: float, random: Random, **settings: Any) -> Reading:
    reading = Reading()
    with api.APIClient(url, **settings).stream("GET", "/", Numbered, **reading.options) as stream:
        timer = threading.Timer(limit, stream.close)
        timer.start()
        reading.items.extend(stream)
        timer.cancel()
        reading.reconnects = stream.reconnects
    return reading


def read_async(
    run: Callable[[Callable[[], Awaitable[Any]]], Any],
    polls: list[Poll],
    transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
) -> Read:
    def read(url: str, limit: float, random: Random, **settings: Any) -> Reading:
        reading, poller = Reading(), Poller(polls, random)

        async def main() -> None:
            client = api.APIClient(url, async_transport=transport() if transport else None, **settings)
            async with client, client.astream("GET", "/", Numbered, **reading.options) as stream:
                with anyio.move_on_after(limit):
                    while (item := await poller.next(stream)) is not END:
                        reading.items.append(item)
                reading.reconnects, reading.cancelled = stream.reconnects, poller.cancelled

        run(main)
        return reading

    return read


READERS: dict[str, Read] = {
    "sync": read_sync,
    "asyncio": read_async(RUNNERS["asyncio"], ASYNCIO_POLLS),
    "uvloop": read_async(RUNNERS["uvloop"], ASYNCIO_POLLS),
    "trio": read_async(RUNNERS["trio"], TRIO_POLLS),
    "asyncio over httpx2": read_async(RUNNERS["asyncio"], [], httpx2.AsyncHTTPTransport),
}


def account_of(reader: str, *, cuts: int, seed: int) -> Account:
    """Read a stream that is cut so often.

    Parameters:
        reader: One of `READERS`.
        cuts: How often.
        seed: What the randomness of the proxy, and of the reader, begins with.
    """
    events = NumberedEvents(last=4 * cuts)
    with raw_server(events) as server:
        proxy = ChaosProxy(server.url, seed, cuts)
        at_once = mock.patch("clientele.streaming.reconnect.MIN_INTERVAL", 0)  # thousands of cuts take long enough
        with raw_server(proxy) as front, at_once:
            reading = READERS[reader](front.url, 10 + cuts * TIME_FOR_A_CUT, Random(seed))
    return _account(reading, events.last, proxy.done, proxy.coded, proxy.whole)


def account_over_http2(reader: str, *, cuts: int, seed: int) -> Account:
    """The same over HTTP/2, `GOAWAY` among the cuts."""
    at_once = mock.patch("clientele.streaming.reconnect.MIN_INTERVAL", 0)
    with cut_events(4 * cuts, cuts, seed) as (server, events), at_once:
        limit = 10 + cuts * TIME_FOR_A_CUT
        reading = READERS[reader](server.url, limit, Random(seed), http1=False, http2=True)
    return _account(reading, events.last, events.done, Counter(), events.whole)


def _account(reading: Reading, last: int, done: Counter[str], coded: Counter[str], whole: int) -> Account:
    numbers = [item.number for item in reading.items]
    is_right = numbers == list(range(1, last + 1)) and all(item.text == text(item.number) for item in reading.items)
    wrong = None if is_right else numbers
    return Account(last, wrong, reading.reconnects, reading.cancelled, done, coded, whole, reading.ends)
