"""A server of numbered events over HTTP/2 that cuts every stream at random, in a random way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import h2.errors
from tests.chaos.numbered import event
from tests.http2_server import HTTP2Server, Peer, http2_server

MAX_EVENTS = 6
"""How many events of a stream get through at the most."""

Cut = Callable[[Peer, int], Awaitable[None]]


async def reset(peer: Peer, stream_id: int) -> None:
    peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
    peer.flush()


async def end(peer: Peer, stream_id: int) -> None:
    await peer.send(stream_id, b"", end=True)


async def go_away_and_end(peer: Peer, stream_id: int) -> None:
    """As a server that is deployed anew: it takes no more requests, and finishes this one."""
    peer.go_away(stream_id)
    await peer.send(stream_id, b"", end=True)


async def go_away_and_reset(peer: Peer, stream_id: int) -> None:
    peer.go_away(stream_id, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
    await reset(peer, stream_id)


async def go_away_and_close(peer: Peer, stream_id: int) -> None:
    peer.go_away(stream_id)
    await close(peer, stream_id)


async def close(peer: Peer, stream_id: int) -> None:
    await peer.writer.drain()
    peer.close()


async def break_off(peer: Peer, stream_id: int) -> None:
    peer.writer.transport.abort()


async def break_the_protocol(peer: Peer, stream_id: int) -> None:
    peer.send_raw(b"\xff" * 9)
    await peer.writer.drain()


async def stall(peer: Peer, stream_id: int) -> None:
    with contextlib.suppress(ConnectionError):
        while (stream := peer.h2.streams.get(stream_id)) is not None and not stream.closed:
            await peer.wait()


CUTS: list[Cut] = [
    *[reset, end, go_away_and_end, go_away_and_reset, go_away_and_close, close, break_off, break_the_protocol, stall]
]


async def refuse(peer: Peer, stream_id: int) -> None:
    peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
    peer.flush()


async def go_away_before(peer: Peer, stream_id: int) -> None:
    peer.go_away(max(0, stream_id - 2))


async def unavailable(peer: Peer, stream_id: int) -> None:
    peer.respond(stream_id, b"later", status=503)


REFUSALS: list[Cut] = [refuse, go_away_before, unavailable, reset, close]


@dataclass
class CutEvents:
    """Serves the events from 1 to the last, and says 204 to whoever has that; each stream is cut, for so many cuts.

    Attributes:
        done: How often it has cut in each way.
        whole: How many streams came to an end, and nobody could tell that anything was missing.
    """

    last: int
    cuts: int
    random: Random
    done: Counter[str] = field(default_factory=Counter)
    whole: int = 0

    async def __call__(self, peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        first = int(headers.get("last-event-id", 0)) + 1
        if first > self.last:
            peer.respond(stream_id, status=204)
            return
        cut, refusal = self.random.choice(CUTS), self.random.choice(REFUSALS)
        count, is_refused, within = self.random.randint(0, MAX_EVENTS), self.random.random() < 0.2, self.random.random()
        is_cut = self.done.total() < self.cuts
        if is_cut and is_refused and self.done:  # the first connection is not tried again
            self.done[f"before the head: {refusal.__name__}"] += 1
            await refusal(peer, stream_id)
            return
        peer.start(stream_id, content_type="text/event-stream")
        last = min(self.last, first + count - 1) if is_cut else self.last
        for number in range(first, last + 1):
            await peer.send(stream_id, event(number))
            await asyncio.sleep(0)
        if not is_cut:
            self.whole += 1
            await end(peer, stream_id)
            return
        self.done[cut.__name__] += 1
        if within < 0.3 and last < self.last:
            whole = event(last + 1)
            await peer.send(stream_id, whole[: 1 + int((len(whole) - 2) * within / 0.3)])
        self.whole += cut in (end, go_away_and_end)
        await cut(peer, stream_id)


@contextlib.contextmanager
def cut_events(last: int, cuts: int, seed: int) -> Iterator[tuple[HTTP2Server, CutEvents]]:
    """Run such a server."""
    events = CutEvents(last, cuts, Random(seed))
    with http2_server(events) as server:
        yield server, events
