"""The process of one contestant: `python -m benchmarks.worker NAME LOOP`.

It reads what it is to measure from its standard input, a JSON object a line, and answers with what it measured, and
with what the items were. LOOP is `sync`, `asyncio` or `uvloop`. All that a contestant prepares is prepared outside the
clock, by the first run of a kind at the latest, which is the one that is not counted.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

from . import payload
from .contestants import Run, Take, prepared
from .system import allow_many_files, forget_peak, peak, resident

Request: TypeAlias = dict[str, Any]
Measured: TypeAlias = dict[str, Any]


class Worker:
    """One contestant, and the loop that it runs in.

    Parameters:
        name: The contestant's.
        loop: `sync`, `asyncio` or `uvloop`.
    """

    def __init__(self, name: str, loop: str) -> None:
        self._name = name
        self._side = "sync" if loop == "sync" else "async"
        self._runs: dict[tuple[str, str], Run] = {}
        factory: Callable[[], asyncio.AbstractEventLoop] | None = None
        if loop == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        self._runner = asyncio.Runner(loop_factory=factory)

    def measure(self, request: Request) -> Measured:
        """Measure what the request says, or prepare for it."""
        return MEASURES[request["measure"]](self, request)

    def run_of(self, request: Request) -> Run:
        """What the contestant does for such a request."""
        key = request["task"], request["kind"]
        if key not in self._runs:
            if self._side == "async":
                self._runs[key] = self._runner.run(self._prepared_in_loop(*key))
            else:
                self._runs[key] = prepared(key[0], self._side, self._name, key[1])
        return self._runs[key]

    def perform(self, run: Run, address: Any, count: int, take: Take) -> None:
        """Let the contestant do it, in its loop if it has one."""
        if self._side == "async":
            self._runner.run(_awaited(run, address, count, take))
        else:
            run(address, count, take)

    def perform_in_loop(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function in the contestant's loop."""
        return self._runner.run(work())

    async def _prepared_in_loop(self, task: str, kind: str) -> Run:
        return prepared(task, self._side, self._name, kind)


async def _awaited(run: Run, address: Any, count: int, take: Take) -> None:
    outcome = run(address, count, take)
    assert outcome is not None
    await outcome


def prepare(worker: Worker, request: Request) -> Measured:
    """Import and make what is needed, so that many workers can do so at the same time."""
    worker.run_of(request)
    return {}


def whole_items(worker: Worker, request: Request) -> Measured:
    """What the items are, to the last field."""
    items: list[Any] = []
    worker.perform(worker.run_of(request), _address(request), request["count"], items.append)
    texts = [payload.whole(request["kind"], item) for item in items]
    return {"count": len(items), "digest": payload.digest(texts)}


def run_through(worker: Worker, request: Request) -> Measured:
    """The time from the start to the last item, of as many repetitions as the request says."""
    contents: list[str] = []
    append, content_of = contents.append, payload.CONTENT_OF[request["kind"]]

    def take(item: Any) -> None:
        append(content_of(item))

    take_item = append if content_of is payload.CONTENT_OF["str"] else take
    run, address, count = worker.run_of(request), _address(request), request["count"]
    cpu = wall = 0.0
    digests = set()
    gc.collect()
    for _ in range(request.get("repeat", 1)):
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        worker.perform(run, address, count, take_item)
        cpu += time.process_time() - cpu_before
        wall += time.perf_counter() - wall_before
        digests.add((len(contents), payload.digest(contents)))
        contents.clear()
    counted, digest = min(digests) if len(digests) == 1 else (-1, f"differing digests, {digests}")
    return {"cpu": cpu, "wall": wall, "count": counted, "digest": digest}


def concurrent(worker: Worker, request: Request) -> Measured:
    """Many streams at once: the CPU time between the first item of all and the last, and the memory that they took."""
    run, content_of = worker.run_of(request), payload.CONTENT_OF[request["kind"]]
    contents: list[list[str]] = [[] for _ in range(request["streams"])]
    last = request["streams"] * request["count"]
    moments: list[float] = []
    taken = 0

    def taker(texts: list[str]) -> Take:
        def take(item: Any) -> None:
            nonlocal taken
            taken += 1
            texts.append(content_of(item))
            if taken in (1, last):
                moments.append(time.process_time())

        return take

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for texts in contents:
                group.create_task(_awaited(run, _address(request), request["count"], taker(texts)))

    gc.collect()
    forget_peak()
    before = resident()
    worker.perform_in_loop(work)
    digests = {payload.digest(texts) for texts in contents}
    return {
        "cpu": moments[-1] - moments[0],
        "peak": peak() - before,
        "count": sum(map(len, contents)),
        "digest": ", ".join(sorted(digests)),
    }


def latency(worker: Worker, request: Request) -> Measured:
    """The time from the server's write to the item in hand."""
    content_of = payload.CONTENT_OF[request["kind"]]
    now = time.monotonic_ns
    taken: list[tuple[int, str]] = []

    def take(item: Any) -> None:
        taken.append((now(), content_of(item)))

    run = worker.run_of(request)
    gc.collect()
    worker.perform(run, request["url"], request["count"], take)
    late = sorted(moment - int(text.split()[1]) for moment, text in taken)
    return {
        "p50": late[len(late) // 2] / 1e9,
        "p99": late[len(late) * 99 // 100] / 1e9,
        "count": len(taken),
        "digest": payload.digest(text.split()[0] for _, text in taken),
    }


def long_stream(worker: Worker, request: Request) -> Measured:
    """The memory early in a stream and at its end."""
    run, count = worker.run_of(request), request["count"]
    content_of = payload.CONTENT_OF[request["kind"]]
    digested = hashlib.sha256()
    early = taken = 0
    early_at = max(1, count // 20)

    def take(item: Any) -> None:
        nonlocal early, taken
        taken += 1
        digested.update(content_of(item).encode() + b"\n")
        if taken == early_at:
            early = resident()

    cpu = time.process_time()
    worker.perform(run, request["url"], count, take)
    cpu = time.process_time() - cpu
    return {
        "cpu": cpu,
        "early": early,
        "growth": resident() - early,
        "count": taken,
        "digest": digested.hexdigest()[:16],
    }


def idle(worker: Worker, request: Request) -> Measured:
    """The memory of open streams on which nothing happens."""
    run, content_of = worker.run_of(request), payload.CONTENT_OF[request["kind"]]
    streams, together = request["streams"], 50
    contents: list[str] = []
    grown = 0

    async def work() -> None:
        nonlocal grown
        before = resident()
        tasks: list[asyncio.Task[None]] = []
        while len(contents) < streams:
            number = min(together, streams - len(tasks))
            arrived = asyncio.Event()
            wanted = len(tasks) + number

            def take(item: Any, arrived: asyncio.Event = arrived, wanted: int = wanted) -> None:
                contents.append(content_of(item))
                if len(contents) == wanted:
                    arrived.set()

            tasks += [asyncio.create_task(_awaited(run, request["url"], 2, take)) for _ in range(number)]
            await _arrival(arrived, tasks)
        gc.collect()
        await asyncio.sleep(0.2)
        grown = resident() - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    gc.collect()
    started = time.process_time()
    worker.perform_in_loop(work)
    return {
        "cpu": (time.process_time() - started) / streams,
        "memory": grown / streams,
        "count": len(contents),
        "digest": ", ".join(sorted(set(contents))),
    }


async def _arrival(arrived: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the items, or for the failure of a stream that should have stayed open."""
    waiting = asyncio.create_task(arrived.wait())
    await asyncio.wait([waiting, *tasks[-50:]], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        for task in tasks:
            if task.done():
                task.result()
        raise RuntimeError("a stream ended that should have stayed open")


def _address(request: Request) -> Any:
    """Where the items come from: an address, or the pieces of bytes themselves."""
    if "url" in request:
        return request["url"]
    return payload.event_pieces(request["count"], request["piece"])


MEASURES: dict[str, Callable[[Worker, Request], Measured]] = {
    "prepare": prepare,
    "whole items": whole_items,
    "run through": run_through,
    "concurrent": concurrent,
    "latency": latency,
    "long stream": long_stream,
    "idle": idle,
}


def main(name: str, loop: str) -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    allow_many_files()
    worker = Worker(name, loop)
    for line in sys.stdin:
        try:
            answer = worker.measure(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
    answers.close()
    os._exit(0)  # thousands of open streams need not be taken down one by one


if __name__ == "__main__":
    main(*sys.argv[1:])
