"""What is measured: a table of cases for each workload.

A case is one contestant doing one thing in one loop. Every round runs every case of a stage once, in an order that a
fixed seed shuffles; the stages come one after another, so that what was too slow for a small size is spared the larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import payload
from .contestants import OURS, everyone
from .contestants.calls import OVER_HTTPX2
from .payload import STAMPED_DIGITS


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        rounds: How often each case is measured.
        stream_rounds: How often the concurrent streams are, whose figures scatter most.
        firehose: Events.
        streams: Concurrent streams.
        stream_events: Events of each of those.
        latency: Events, one per millisecond.
        large: KiB of one event.
        long_stream: Events.
        idle: Open streams.
        calls: Complete calls.
        parse: Events; few, so that their memory is used again, and is not what is measured.
        parse_repeat: How often they are parsed in a run.
        short_rounds: How often that, and the calls, are measured; the runs are so short that a moment's trouble shows.
        imports: Fresh interpreters.
        time_limit: Seconds that a peer may take for one large event.
        fresh: Whether memory is measured in fresh processes.
        may_give_up: Whether a peer may be too slow for, or refuse, a large event.
    """

    rounds: int = 5
    stream_rounds: int = 9
    firehose: int = 10_000
    streams: int = 200
    stream_events: int = 40
    latency: int = 600
    large: tuple[int, ...] = (1024, 16 * 1024, 64 * 1024)
    long_stream: int = 1_000_000
    idle: int = 5000
    calls: int = 500
    parse: int = 1000
    parse_repeat: int = 20
    short_rounds: int = 15
    imports: int = 15
    time_limit: float = 8
    fresh: bool = True
    may_give_up: bool = True


FULL = Sizes()
SMOKE = Sizes(
    rounds=1,
    stream_rounds=1,
    firehose=200,
    streams=10,
    stream_events=5,
    latency=20,
    large=(16, 64),
    long_stream=2000,
    idle=20,
    calls=10,
    parse=200,
    parse_repeat=2,
    short_rounds=1,
    imports=1,
    time_limit=20,
    fresh=False,
    may_give_up=False,
)


@dataclass(frozen=True)
class Case:
    """One contestant doing one thing.

    Attributes:
        table: The table that the figures stand in.
        contestant: Whose they are.
        loop: `sync`, `asyncio` or `uvloop`.
        path: What the server is asked for, if it is.
        request: What the worker is told.
        count: How many items there must be.
        digest: What the digest of their contents must be.
        warm_up: Requests that come first and are not counted, each with the digest of its items.
        rounds: How often it is measured; fewer than all where a peer takes long.
        stage: Which of the stages.
        time_limit: After how many seconds it is given up.
        may_fail: Whether giving up, or refusing, is an outcome that the report may have.
    """

    table: str
    contestant: str
    loop: str
    request: dict[str, Any]
    count: int
    digest: str
    rounds: int
    path: str | None = None
    warm_up: tuple[tuple[str | None, dict[str, Any], str], ...] = ()
    stage: int = 0
    time_limit: float = 90
    may_fail: bool = False


@dataclass(frozen=True)
class Workload:
    """A group of cases.

    Attributes:
        name: What it is called on the command line.
        cases: Makes them.
        is_fresh: Whether each run has a process of its own.
    """

    name: str
    cases: Callable[[Sizes], Iterator[Case]]
    is_fresh: bool = False


@dataclass(frozen=True)
class _Stream:
    """The parts that the cases about streams share."""

    task: str = "stream"
    kind: str = "model"
    more: dict[str, Any] = field(default_factory=dict)

    def request(self, measure: str, count: int) -> dict[str, Any]:
        return {"measure": measure, "task": self.task, "kind": self.kind, "count": count, **self.more}


def _warm_up(kind: str, count: int) -> tuple[tuple[str, dict[str, Any], str], ...]:
    """Events of the same kind, looked at to the last field."""
    expected = payload.expected_digest(kind, count, is_whole=True)
    return ((f"/firehose?n={count}", _Stream(kind=kind).request("whole items", count), expected),)


def _frugal_warm_up(count: int) -> tuple[tuple[str, dict[str, Any], str], ...]:
    """As much, but few items are held at a time: what they took would hide the memory that is to be measured."""
    few = min(count, 20)
    run_through = _Stream().request("long stream", count)
    return (
        *_warm_up("model", few),
        (f"/firehose?n={count}", run_through, payload.expected_digest("model", count)),
    )


def firehose(sizes: Sizes) -> Iterator[Case]:
    """As fast as the server sends."""
    for loop, side in (("sync", "sync"), ("asyncio", "async")):
        for kind in ("model", "dict", "str"):
            for name in everyone("stream", side):
                yield Case(
                    table=f"{loop}, {kind}",
                    contestant=name,
                    loop=loop,
                    path=f"/firehose?n={sizes.firehose}",
                    request=_Stream(kind=kind).request("run through", sizes.firehose),
                    count=sizes.firehose,
                    digest=payload.expected_digest(kind, sizes.firehose),
                    warm_up=_warm_up(kind, sizes.firehose),
                    rounds=sizes.rounds,
                )


CONCURRENT = (
    "floor: protocol, httptools",
    "bare aiohttp",
    OURS,
    OVER_HTTPX2,
    "httpx2 EventSource",
    "openai AsyncStream",
    "aiohttp-sse-client2",
)


def streams(sizes: Sizes) -> Iterator[Case]:
    """Many at once, each with an event per 30 ms."""
    for loop in ("asyncio", "uvloop"):
        for name in CONCURRENT:
            yield Case(
                table=loop,
                contestant=name,
                loop=loop,
                path=f"/paced?n={sizes.stream_events}&interval_ms=30&size={sizes.streams}",
                request=_Stream(more={"streams": sizes.streams}).request("concurrent", sizes.stream_events),
                count=sizes.streams * sizes.stream_events,
                digest=payload.expected_digest("model", sizes.stream_events),
                warm_up=_frugal_warm_up(min(3000, sizes.firehose)),
                rounds=sizes.stream_rounds,
            )


def latency(sizes: Sizes) -> Iterator[Case]:
    """From the server's write to the item in hand."""
    expected = payload.digest(f"{number:0{STAMPED_DIGITS}d}" for number in range(sizes.latency))
    for loop, side in (("sync", "sync"), ("asyncio", "async")):
        for name in everyone("stream", side):
            yield Case(
                table=loop,
                contestant=name,
                loop=loop,
                path=f"/stamped?n={sizes.latency}",
                request=_Stream().request("latency", sizes.latency),
                count=sizes.latency,
                digest=expected,
                warm_up=_warm_up("model", min(3000, sizes.firehose)),
                rounds=sizes.rounds,
            )


def large(sizes: Sizes) -> Iterator[Case]:
    """One event in very many pieces."""
    for stage, kib in enumerate(sizes.large):
        for loop, side in (("sync", "sync"), ("asyncio", "async")):
            for name in everyone("stream", side):
                if name.startswith(("floor", "bare")):
                    continue  # they look through what has come so far again with each piece
                yield Case(
                    table=f"{loop}, {kib} KiB",
                    contestant=name,
                    loop=loop,
                    path=f"/large?kib={kib}",
                    request=_Stream(kind="large").request("run through", 1),
                    count=1,
                    digest=payload.expected_large(kib),
                    warm_up=_large_warm_up(min(sizes.large)) if stage == 0 else (),
                    rounds=sizes.rounds,
                    stage=stage,
                    time_limit=sizes.time_limit,
                    may_fail=sizes.may_give_up and not name.startswith("clientele"),
                )


def _large_warm_up(kib: int) -> tuple[tuple[str, dict[str, Any], str], ...]:
    expected = payload.expected_large(kib)
    return ((f"/large?kib={kib}", _Stream(kind="large").request("whole items", 1), expected),)


LONG = (
    ("sync", OURS),
    ("asyncio", OURS),
    ("asyncio", "bare aiohttp"),
    ("sync", "httpx2 EventSource"),
)


def long_stream(sizes: Sizes) -> Iterator[Case]:
    """One stream that goes on and on."""
    for loop, name in LONG:
        yield Case(
            table=loop,
            contestant=name,
            loop=loop,
            path=f"/firehose?n={sizes.long_stream}",
            request=_Stream().request("long stream", sizes.long_stream),
            count=sizes.long_stream,
            digest=payload.expected_digest("model", sizes.long_stream),
            warm_up=_frugal_warm_up(min(3000, sizes.firehose)),
            rounds=min(3, sizes.rounds) if name == OURS else 1,  # it takes long, and memory hardly differs
        )


IDLE = (
    ("floor: protocol, httptools", 3, 1.0),
    ("bare aiohttp", 3, 1.0),
    (OURS, 3, 1.0),
    (OVER_HTTPX2, 1, 0.3),
    ("openai AsyncStream", 1, 0.3),
)
"""The contestants, the rounds that tell, and the share of the streams: httpx2's own pool looks at all connections for
every new one, and would take a minute to open all of them."""


def idle(sizes: Sizes) -> Iterator[Case]:
    """Very many streams on which nothing happens."""
    for name, rounds, share in IDLE:
        streams_open = int(sizes.idle * share)
        yield Case(
            table="asyncio",
            contestant=name,
            loop="asyncio",
            path="/idle",
            request=_Stream(more={"streams": streams_open}).request("idle", streams_open),
            count=streams_open,
            digest=payload.content(0),
            warm_up=_frugal_warm_up(min(3000, sizes.firehose)),
            rounds=min(rounds, sizes.rounds),
        )


def calls(sizes: Sizes) -> Iterator[Case]:
    """Complete answers, one after another."""
    for loop, side in (("sync", "sync"), ("asyncio", "async")):
        for name in everyone("calls", side):
            parts = _Stream(task="calls", kind="record")
            yield Case(
                table=loop,
                contestant=name,
                loop=loop,
                path="/json",
                request=parts.request("run through", sizes.calls),
                count=sizes.calls,
                digest=payload.expected_records(sizes.calls),
                warm_up=(
                    (
                        "/json",
                        parts.request("whole items", sizes.calls),
                        payload.expected_records(sizes.calls, is_whole=True),
                    ),
                ),
                rounds=sizes.short_rounds,
            )


PIECES = {"one event per piece": None, "pieces of 64 KiB": 65536}


def parse(sizes: Sizes) -> Iterator[Case]:
    """From bytes to text, without a transport."""
    for table, piece in PIECES.items():
        for name in everyone("parse", "sync"):
            parts = _Stream(task="parse", kind="str", more={"piece": piece, "repeat": sizes.parse_repeat})
            expected = payload.expected_digest("str", sizes.parse, is_whole=True)
            yield Case(
                table=table,
                contestant=name,
                loop="sync",
                request=parts.request("run through", sizes.parse),
                count=sizes.parse,
                digest=payload.expected_digest("str", sizes.parse),
                warm_up=((None, parts.request("whole items", sizes.parse), expected),),
                rounds=sizes.short_rounds,
            )


WORKLOADS = (
    Workload("firehose", firehose),
    Workload("streams", streams, is_fresh=True),
    Workload("latency", latency),
    Workload("large", large),
    Workload("long-stream", long_stream, is_fresh=True),
    Workload("idle", idle, is_fresh=True),
    Workload("calls", calls),
    Workload("parse", parse),
)

IMPORTS: dict[str, str] = {
    "httpx2, pydantic": "import httpx2, pydantic",
    "clientele.api": "import clientele.api",
    "openai": "import openai",
}
"""What is imported, in a fresh interpreter each."""
