"""What is measured: a list of cases for each workload.

A case is one contestant doing one thing in one loop. Every round runs every case of a stage once. The stages come one
after another, so a contestant that was too slow for a small event need not try a larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import payload
from .contestants import OURS, everyone, is_peer

SIDES = (("sync", "sync"), ("asyncio", "async"))
"""The loops, and the side on which their contestants are registered."""
CODINGS = {"plain": "", "gzip": "&gzip=1"}
"""The content codings, and how the server is asked for them."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        rounds: How often each case is measured, at most; `None` means as often as its workload wants.
        firehose: Events.
        streams: Live streams.
        stream_events: Events of each of them.
        large: KiB of one event.
        long_stream: Events.
        idle: Open streams.
        calls: Complete calls.
        time_limit: Seconds that a peer may take for one large event.
        fresh: Whether memory is measured in fresh processes.
        may_give_up: Whether a peer may be too slow for a large event, or refuse it.
    """

    rounds: int | None = None
    firehose: int = 20_000
    streams: int = 200
    stream_events: int = 40
    large: tuple[int, ...] = (1024, 16 * 1024, 64 * 1024)
    long_stream: int = 1_000_000
    idle: int = 10_000
    calls: int = 1000
    time_limit: float = 8
    fresh: bool = True
    may_give_up: bool = True


FULL = Sizes()
SMOKE = Sizes(
    rounds=1,
    firehose=200,
    streams=10,
    stream_events=5,
    large=(16, 64),
    long_stream=2000,
    idle=20,
    calls=10,
    time_limit=20,
    fresh=False,
    may_give_up=False,
)


@dataclass(frozen=True)
class Case:
    """One contestant doing one thing.

    Attributes:
        table: The table that shows the figures.
        contestant: Whose they are.
        loop: `sync`, `asyncio` or `uvloop`.
        path: What the server is asked for.
        request: What the worker is told.
        count: How many items there must be.
        digest: What the digest of their contents must be.
        rounds: How often it is measured, if less often than the rest of its workload.
        warm_up: Requests that come first and are not counted, each with the digest of its items.
        stage: In which of the stages it runs.
        time_limit: After how many seconds it is stopped.
        may_fail: Whether the report may say that it was too slow, or failed.
    """

    table: str
    contestant: str
    loop: str
    path: str
    request: dict[str, Any]
    count: int
    digest: str
    rounds: int | None = None
    warm_up: tuple[tuple[str, dict[str, Any], str], ...] = ()
    stage: int = 0
    time_limit: float = 120
    may_fail: bool = False


@dataclass(frozen=True)
class Workload:
    """A group of cases.

    Attributes:
        name: What it is called on the command line.
        cases: Makes them.
        rounds: How often each case is measured, unless it or the sizes say less.
        is_fresh: Whether each run has a process of its own.
    """

    name: str
    cases: Callable[[Sizes], Iterator[Case]]
    rounds: int
    is_fresh: bool = False


@dataclass(frozen=True)
class _Task:
    """What a contestant is asked to do."""

    task: str = "stream"
    kind: str = "model"
    more: dict[str, Any] = field(default_factory=dict)

    def request(self, measure: str, count: int) -> dict[str, Any]:
        return {"measure": measure, "task": self.task, "kind": self.kind, "count": count, **self.more}


def _warm_up(kind: str, count: int) -> tuple[tuple[str, dict[str, Any], str], ...]:
    """Events of the same kind, compared with all of their fields."""
    expected = payload.expected_digest(kind, count, is_whole=True)
    return ((f"/firehose?n={count}", _Task(kind=kind).request("whole items", count), expected),)


def _frugal_warm_up(count: int) -> tuple[tuple[str, dict[str, Any], str], ...]:
    """As many events, but few kept at a time: their memory, once free, would hide the memory to be measured."""
    run_through = _Task().request("long stream", count)
    return (
        *_warm_up("model", min(count, 20)),
        (f"/firehose?n={count}", run_through, payload.expected_digest("model", count)),
    )


def firehose(sizes: Sizes) -> Iterator[Case]:
    """Events as fast as the server sends."""
    for loop, side in SIDES:
        for kind in ("model", "str"):
            for name in everyone("stream", side):
                yield Case(
                    table=f"{loop}, {kind}",
                    contestant=name,
                    loop=loop,
                    path=f"/firehose?n={sizes.firehose}",
                    request=_Task(kind=kind).request("run through", sizes.firehose),
                    count=sizes.firehose,
                    digest=payload.expected_digest(kind, sizes.firehose),
                    rounds=None if kind == "model" else 5,
                    warm_up=_warm_up(kind, min(5000, sizes.firehose)),
                )


LIVE = ("floor: protocol, httptools", "bare aiohttp", OURS, "openai AsyncStream")
INTERVAL_MS = 30


def live(sizes: Sizes) -> Iterator[Case]:
    """Many streams, each with an event per interval."""
    go = f"/go?n={sizes.stream_events}&interval_ms={INTERVAL_MS}"
    for loop in ("asyncio", "uvloop"):
        for name in LIVE:
            yield Case(
                table=loop,
                contestant=name,
                loop=loop,
                path="/idle",
                request=_Task(more={"streams": sizes.streams, "go": go}).request("live", sizes.stream_events),
                count=sizes.streams * sizes.stream_events,
                digest=payload.expected_digest("model", sizes.stream_events),
                warm_up=_frugal_warm_up(min(3000, sizes.firehose)),
            )


IDLE = (
    ("asyncio", "floor: protocol, httptools", 3, 1.0),
    ("asyncio", "bare aiohttp", 3, 1.0),
    ("asyncio", OURS, None, 1.0),
    ("asyncio", "httpx2 EventSource", 1, 0.2),
    ("sync", "floor: socket", 3, 1.0),
    ("sync", OURS, None, 1.0),
    ("sync", "httpx2 EventSource", 1, 0.2),
)
"""The loop, the contestant, the rounds, and the share of the streams. httpx2's own pool looks at every connection for
each new one, so it would take minutes to open all of them."""


def idle(sizes: Sizes) -> Iterator[Case]:
    """Very many streams on which nothing happens."""
    for loop, name, rounds, share in IDLE:
        streams = int(sizes.idle * share)
        task = _Task(task="open" if loop == "sync" else "stream", more={"streams": streams})
        yield Case(
            table=loop,
            contestant=name,
            loop=loop,
            path="/idle",
            request=task.request("idle", streams),
            count=streams,
            digest=payload.content(0),
            rounds=rounds,
            warm_up=_frugal_warm_up(min(3000, sizes.firehose)),
            time_limit=300,
        )


def large(sizes: Sizes) -> Iterator[Case]:
    """One event in very many pieces."""
    for stage, kib in enumerate(sizes.large):
        for loop, side in SIDES:
            for coding, parameter in CODINGS.items():
                for name in everyone("stream", side):
                    if name != OURS and not is_peer(name):
                        continue  # floors and bare clients search everything again with each piece
                    if coding == "gzip" and name not in (OURS, "httpx2 EventSource"):
                        continue
                    path = f"/large?kib={kib}{parameter}"
                    expected = payload.expected_large(kib)
                    task = _Task(kind="large")
                    yield Case(
                        table=f"{loop}, {coding}, {kib} KiB",
                        contestant=name,
                        loop=loop,
                        path=path,
                        request=task.request("run through", 1),
                        count=1,
                        digest=expected,
                        warm_up=((path, task.request("whole items", 1), expected),) if stage == 0 else (),
                        stage=stage,
                        time_limit=sizes.time_limit,
                        may_fail=sizes.may_give_up and name != OURS,
                    )


LONG = (
    ("sync", "plain", OURS),
    ("sync", "gzip", OURS),
    ("sync", "plain", "httpx2 EventSource"),
    ("asyncio", "plain", OURS),
    ("asyncio", "gzip", OURS),
    ("asyncio", "plain", "bare aiohttp"),
)


def long_stream(sizes: Sizes) -> Iterator[Case]:
    """One stream that goes on and on."""
    for loop, coding, name in LONG:
        yield Case(
            table=f"{loop}, {coding}",
            contestant=name,
            loop=loop,
            path=f"/firehose?n={sizes.long_stream}{CODINGS[coding]}",
            request=_Task().request("long stream", sizes.long_stream),
            count=sizes.long_stream,
            digest=payload.expected_digest("model", sizes.long_stream),
            rounds=None if name == OURS else 1,
            warm_up=_frugal_warm_up(min(3000, sizes.firehose)),
        )


def calls(sizes: Sizes) -> Iterator[Case]:
    """Complete responses, one after another."""
    task = _Task(task="calls", kind="record")
    expected = payload.expected_records(sizes.calls, is_whole=True)
    for loop, side in SIDES:
        for name in everyone("calls", side):
            yield Case(
                table=loop,
                contestant=name,
                loop=loop,
                path="/json",
                request=task.request("run through", sizes.calls),
                count=sizes.calls,
                digest=payload.expected_records(sizes.calls),
                warm_up=(("/json", task.request("whole items", sizes.calls), expected),),
            )


WORKLOADS = (
    Workload("firehose", firehose, rounds=9),
    Workload("live", live, rounds=15, is_fresh=True),
    Workload("idle", idle, rounds=5, is_fresh=True),
    Workload("calls", calls, rounds=15),
    Workload("large", large, rounds=5),
    Workload("long-stream", long_stream, rounds=3, is_fresh=True),
)
