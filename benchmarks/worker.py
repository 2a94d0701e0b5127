"""The process of one contestant: `python -m benchmarks.worker NAME LOOP`.

It reads requests from its standard input, one JSON object a line, and answers each with what it measured and with a
digest of the items. LOOP is `sync`, `asyncio` or `uvloop`. Contestants prepare outside the measured time.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import socket
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from . import payload
from .contestants import Take, prepared
from .system import allow_many_files, forget_peak, peak, private, resident

Request: TypeAlias = dict[str, Any]
Measured: TypeAlias = dict[str, Any]

BATCH = 100
"""How many streams are opened at the same time."""
BATCHES = 5
"""How often the opening of a batch is measured."""


class Worker:
    """One contestant, and the loop that it runs in.

    Parameters:
        name: The contestant's.
        loop: `sync`, `asyncio` or `uvloop`.
    """

    def __init__(self, name: str, loop: str) -> None:
        self.is_async = loop != "sync"
        self._name = name
        self._prepared: dict[tuple[str, str], Any] = {}
        factory: Callable[[], asyncio.AbstractEventLoop] | None = None
        if loop == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        self._runner = asyncio.Runner(loop_factory=factory)

    def measure(self, request: Request) -> Measured:
        """Measure what the request names, or prepare for it."""
        return MEASURES[request["measure"]](self, request)

    def prepared_for(self, request: Request) -> Any:
        """What the contestant does for such a request."""
        task, kind = key = request["task"], request["kind"]
        if key not in self._prepared:
            if self.is_async:
                self._prepared[key] = self._runner.run(_prepared_in_loop(task, self._name, kind))
            else:
                self._prepared[key] = prepared(task, "sync", self._name, kind)
        return self._prepared[key]

    def perform(self, request: Request, take: Take) -> None:
        """Let the contestant do it, in its loop if it has one."""
        run = self.prepared_for(request)
        if self.is_async:
            self._runner.run(run(request["url"], request["count"], take))
        else:
            run(request["url"], request["count"], take)

    def perform_in_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the contestant's loop."""
        return self._runner.run(coroutine)


async def _prepared_in_loop(task: str, name: str, kind: str) -> Any:
    return prepared(task, "async", name, kind)


def prepare(worker: Worker, request: Request) -> Measured:
    """Import and make what is needed, so that many workers can do so at the same time."""
    worker.prepared_for(request)
    return {}


def whole_items(worker: Worker, request: Request) -> Measured:
    """The digest of the items with all of their fields."""
    items: list[Any] = []
    worker.perform(request, items.append)
    texts = [payload.whole(request["kind"], item) for item in items]
    return {"count": len(items), "digest": payload.digest(texts)}


def run_through(worker: Worker, request: Request) -> Measured:
    """The time from the start to the end."""
    contents: list[str] = []
    append, content_of = contents.append, payload.CONTENT_OF[request["kind"]]

    def take(item: Any) -> None:
        append(content_of(item))

    take_item = append if content_of is payload.CONTENT_OF["str"] else take
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    worker.perform(request, take_item)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "count": len(contents), "digest": payload.digest(contents)}


def live(worker: Worker, request: Request) -> Measured:
    """Many streams at once: the CPU time from when each has had its first item to the last item of all."""
    run, content_of = worker.prepared_for(request), payload.CONTENT_OF[request["kind"]]
    streams, count = request["streams"], request["count"]
    contents: list[list[str]] = [[] for _ in range(streams)]
    all_open = asyncio.Event()
    start = end = 0.0
    left = streams * count
    left_after_opening = left - streams

    def taker(texts: list[str]) -> Take:
        def take(item: Any) -> None:
            nonlocal left, end
            texts.append(content_of(item))
            left -= 1
            if left == left_after_opening:
                all_open.set()
            elif not left:
                end = time.process_time()

        return take

    async def work() -> None:
        nonlocal start
        async with asyncio.TaskGroup() as group:
            for texts in contents:
                group.create_task(run(request["url"], count, taker(texts)))
            await all_open.wait()
            _ask(request["url"], request["go"])
            start = time.process_time()

    gc.collect()
    forget_peak()
    before = resident()
    worker.perform_in_loop(work())
    digests = {payload.digest(texts) for texts in contents}
    return {
        "cpu": end - start,
        "peak": peak() - before,
        "count": sum(map(len, contents)),
        "digest": ", ".join(sorted(digests)),
    }


def _ask(url: str, target: str) -> None:
    """Ask the server for something, without a look at the response."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\n\r\n" % target.encode())


def long_stream(worker: Worker, request: Request) -> Measured:
    """The memory early in a stream and at its end."""
    count, content_of = request["count"], payload.CONTENT_OF[request["kind"]]
    digested = hashlib.sha256()
    early = taken = 0
    early_at = max(1, count // 20)

    def take(item: Any) -> None:
        nonlocal early, taken
        taken += 1
        digested.update(content_of(item).encode() + b"\n")
        if taken == early_at:
            early = private()

    cpu = time.process_time()
    worker.perform(request, take)
    cpu = time.process_time() - cpu
    return {
        "cpu": cpu,
        "early": early,
        "growth": private() - early,
        "count": taken,
        "digest": digested.hexdigest()[:16],
    }


def idle(worker: Worker, request: Request) -> Measured:
    """The memory of open streams on which nothing happens, and the CPU time of opening more of them.

    Opening is measured in batches, which are closed again: some when no other stream is open, some when all are. The
    garbage is collected before each, so that a collection of everything, whose time grows with what is open and which
    comes once in thousands of openings, falls outside; `cpu`, of all openings, has them.
    """
    streams = request["streams"]
    opener = (_AsyncOpener if worker.is_async else _Opener)(worker, request)
    opener.close(opener.open(1))
    gc.collect()
    before = private()
    opener.close(opener.open(min(BATCH, streams)))
    first = _opening(opener, min(BATCH, streams))
    opened: list[Any] = []
    cpu = time.process_time()
    while len(opened) < streams:
        opened += opener.open(min(BATCH, streams - len(opened)))
    cpu = time.process_time() - cpu
    gc.collect()
    memory = private() - before
    last = _opening(opener, min(BATCH, streams))
    opener.check(opened)
    opener.close(opened)
    return {
        "cpu": cpu / streams,
        "first": first,
        "last": last,
        "memory": memory / streams,
        "count": len(opened),
        "digest": ", ".join(sorted(opener.contents)),
    }


def _opening(opener: _Opener | _AsyncOpener, number: int) -> float:
    """The CPU time of opening one more stream, of so many."""
    measured = []
    for _ in range(BATCHES):
        gc.collect()
        cpu = time.process_time()
        opened = opener.open(number)
        measured.append(time.process_time() - cpu)
        opener.close(opened)
    return statistics.median(measured) / number


class _Opener:
    """Opens streams one after another.

    Attributes:
        contents: Of the items that the streams began with.
    """

    def __init__(self, worker: Worker, request: Request) -> None:
        self.contents: set[str] = set()
        self._open_one = worker.prepared_for(request)
        self._url = request["url"]
        self._content_of = payload.CONTENT_OF[request["kind"]]

    def open(self, number: int) -> list[Any]:
        """Open some more, and read the first item of each."""
        opened = []
        for _ in range(number):
            item, close = self._open_one(self._url)
            self.contents.add(self._content_of(item))
            opened.append(close)
        return opened

    def check(self, opened: list[Any]) -> None:
        """Nothing ends a stream that nobody reads."""

    def close(self, opened: list[Any]) -> None:
        """Close them."""
        for close in opened:
            close()


class _AsyncOpener:
    """Opens streams at the same time, a task for each, which goes on to wait for the second item.

    Attributes:
        contents: Of the items that the streams began with.
    """

    def __init__(self, worker: Worker, request: Request) -> None:
        self.contents: set[str] = set()
        self._worker = worker
        self._run = worker.prepared_for(request)
        self._url = request["url"]
        self._content_of = payload.CONTENT_OF[request["kind"]]

    def open(self, number: int) -> list[asyncio.Task[None]]:
        """Open some more, and read the first item of each."""
        tasks: list[asyncio.Task[None]] = self._worker.perform_in_loop(self._opened(number))
        return tasks

    async def _opened(self, number: int) -> list[asyncio.Task[None]]:
        left = number
        all_open = asyncio.get_running_loop().create_future()

        def take(item: Any) -> None:
            nonlocal left
            self.contents.add(self._content_of(item))
            left -= 1
            if not left:
                all_open.set_result(None)

        tasks = [asyncio.ensure_future(self._run(self._url, 2, take)) for _ in range(number)]
        await asyncio.wait([all_open, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self.check(tasks)
        return tasks

    def check(self, opened: list[asyncio.Task[None]]) -> None:
        """Raise if a stream has ended."""
        for task in opened:
            if task.done():
                task.result()
                raise RuntimeError("a stream ended that should have stayed open")

    def close(self, opened: list[asyncio.Task[None]]) -> None:
        """Close them."""
        self._worker.perform_in_loop(self._closed(opened))

    async def _closed(self, opened: list[asyncio.Task[None]]) -> None:
        for task in opened:
            task.cancel()
        await asyncio.gather(*opened, return_exceptions=True)
        await asyncio.sleep(0.05)  # the event loop closes the sockets


MEASURES: dict[str, Callable[[Worker, Request], Measured]] = {
    "prepare": prepare,
    "whole items": whole_items,
    "run through": run_through,
    "live": live,
    "long stream": long_stream,
    "idle": idle,
}


def main(name: str, loop: str) -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer
    allow_many_files()
    worker = Worker(name, loop)
    for line in sys.stdin:
        try:
            answer = worker.measure(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
    answers.close()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
