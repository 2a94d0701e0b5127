"""The order of the rounds, and the check that all items came.

Contestants take turns within each round, so whatever else the machine does meets all of them alike. Those of one table
run directly after one another, in random order. One worker runs at a time, each in a process of its own; the server is
another process. Wrong items end the whole run: the figures of a contestant that loses events would be worth nothing.
"""

from __future__ import annotations

import json
import random
import select
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

from .workloads import Case, Sizes, Workload

Measured: TypeAlias = dict[str, float]
Rows: TypeAlias = dict[str, list[Measured] | str]
Tables: TypeAlias = dict[str, Rows]
"""What each round measured, or why there is nothing, by table and contestant."""

SEED = 20_251_122
LONG_RUN = 1.0
"""A run that takes longer than this, in seconds, is not repeated if it may also fail."""


class WrongItems(Exception):
    """A contestant did not yield what was sent."""


class Failed(Exception):
    """A contestant raised."""


class TooSlow(Exception):
    """A contestant took longer than it may."""


class Server:
    """The server's process."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WorkerProcess:
    """The process of one contestant.

    Parameters:
        contestant: Whose.
        loop: `sync`, `asyncio` or `uvloop`.
    """

    def __init__(self, contestant: str, loop: str) -> None:
        self.name = f"{contestant} ({loop})"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contestant, loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # else an answer may wait in a buffer, where `select` does not see it
        )
        self.is_running = True

    def send(self, request: dict[str, Any]) -> None:
        """Ask for something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self, time_limit: float) -> dict[str, Any]:
        """Wait for the answer.

        Raises:
            TooSlow: There is none in time; the process has been ended.
            Failed: The contestant raised, or its process ended.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], time_limit)
        if not ready:
            self.stop()
            error: Exception = TooSlow(f"over {time_limit:g} s")
            error.add_note(self.name)
            raise error
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise Failed(f"{self.name}: the process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            error = Failed(answer["error"])
            error.add_note(f"{self.name}\n{answer['traceback']}")
            raise error
        return answer

    def stop(self) -> None:
        """End the process."""
        self.is_running = False
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.kill()
        self._process.wait()


class Workers:
    """The processes of the contestants, each of which is used again until it is stopped."""

    def __init__(self) -> None:
        self._processes: dict[tuple[str, str], WorkerProcess] = {}
        self._prepared: set[tuple[str, ...]] = set()

    def process_of(self, case: Case) -> WorkerProcess:
        """The process for such a case."""
        key = case.contestant, case.loop
        process = self._processes.get(key)
        if process is None or not process.is_running:
            self._prepared = {each for each in self._prepared if each[:2] != key}
            process = self._processes[key] = WorkerProcess(*key)
        return process

    def prepare(self, cases: Iterable[Case]) -> None:
        """Start the processes that the cases need, and let all of them import and make what they need."""
        wanted = {}
        for case in cases:
            key = case.contestant, case.loop, case.request["task"], case.request["kind"]
            process = self.process_of(case)
            if key not in self._prepared:
                wanted[key] = process
        for (_, _, task, kind), process in wanted.items():
            process.send({"measure": "prepare", "task": task, "kind": kind})
        for process in wanted.values():
            process.receive(120)
        self._prepared.update(wanted)

    def stop(self) -> None:
        """End them all."""
        for process in self._processes.values():
            if process.is_running:
                process.stop()
        self._processes.clear()
        self._prepared.clear()


class Run:
    """One run of the benchmarks.

    Parameters:
        address: The server's.
        sizes: How much of everything.
        contestants: Whether a contestant takes part.

    Attributes:
        results: What was measured, by workload.
    """

    def __init__(self, address: str, sizes: Sizes, contestants: Callable[[str], bool]) -> None:
        self.results: dict[str, Tables] = {}
        self._address = address
        self._sizes = sizes
        self._contestants = contestants
        self._workers = Workers()
        self._random = random.Random(SEED)

    def measure(self, workload: Workload) -> None:
        """Run all cases of a workload, round by round."""
        cases = [case for case in workload.cases(self._sizes) if self._contestants(case.contestant)]
        most = self._sizes.rounds or workload.rounds
        is_fresh = workload.is_fresh and self._sizes.fresh
        tables: Tables = self.results.setdefault(workload.name, defaultdict(dict))
        for case in cases:
            tables[case.table][case.contestant] = []
        given_up: dict[tuple[str, str], str] = {}
        for stage in sorted({case.stage for case in cases}):
            staged = [case for case in cases if case.stage == stage]
            if not is_fresh:
                self._workers.prepare(staged)
                for case in staged:
                    self._warm_up(case, given_up)
            for number in range(most):
                for case in self._shuffled(staged):
                    if case.rounds is None or number < case.rounds:
                        self._measure_case(case, tables[case.table], given_up, is_fresh=is_fresh)
                say(".")
        if self._sizes.fresh:
            self._workers.stop()

    def close(self) -> None:
        """End all processes."""
        self._workers.stop()

    def _shuffled(self, cases: list[Case]) -> Iterator[Case]:
        """The tables in random order, and the contestants of each."""
        tables = list(dict.fromkeys(case.table for case in cases))
        for table in self._random.sample(tables, len(tables)):
            together = [case for case in cases if case.table == table]
            yield from self._random.sample(together, len(together))

    def _measure_case(self, case: Case, rows: Rows, given_up: dict[tuple[str, str], str], *, is_fresh: bool) -> None:
        measured = rows[case.contestant]
        key = case.contestant, case.loop
        if isinstance(measured, str) or (case.may_fail and measured and measured[-1]["wall"] > LONG_RUN):
            return
        if key in given_up:
            rows[case.contestant] = given_up[key]
            return
        if is_fresh:
            self._workers.stop()
            self._workers.prepare([case])
            self._warm_up(case, given_up)
        else:
            self._workers.prepare([case])
        try:
            measured.append(self._checked(case, case.path, case.request, case.count, case.digest))
        except (TooSlow, Failed) as error:
            self._give_up(case, error, given_up)
            rows[case.contestant] = given_up[key]

    def _warm_up(self, case: Case, given_up: dict[tuple[str, str], str]) -> None:
        try:
            for path, request, expected in case.warm_up:
                self._checked(case, path, request, request["count"], expected)
        except (TooSlow, Failed) as error:
            self._give_up(case, error, given_up)

    def _give_up(self, case: Case, error: Exception, given_up: dict[tuple[str, str], str]) -> None:
        if not case.may_fail:
            raise error
        say("!")
        given_up[case.contestant, case.loop] = str(error)[:80]

    def _checked(self, case: Case, path: str, request: dict[str, Any], count: int, expected: str) -> Measured:
        """What was measured, if the items are those that were sent."""
        process = self._workers.process_of(case)
        process.send({**request, "url": self._address + path})
        answer = process.receive(case.time_limit)
        got = answer.pop("count"), answer.pop("digest")
        if got != (count, expected):
            raise WrongItems(
                f"{case.contestant} ({case.loop}, {case.table}): {request['measure']} of {path} gave {got[0]} items "
                f"with the digest {got[1]}; {count} with {expected} were sent"
            )
        return answer


def say(text: str) -> None:
    """Show progress."""
    print(text, end="", file=sys.stderr, flush=True)


def measure(
    workloads: Iterable[Workload], sizes: Sizes, contestants: Callable[[str], bool] = lambda name: True
) -> dict[str, Tables]:
    """Measure, and return the figures by workload.

    Raises:
        WrongItems: A contestant did not yield what was sent.
        Failed: A contestant could not be imported, or raised.
        TooSlow: A contestant hangs.
    """
    with Server() as server:
        run = Run(server.address, sizes, contestants)
        try:
            for workload in workloads:
                start = time.monotonic()
                say(f"{workload.name} ")
                run.measure(workload)
                say(f" {time.monotonic() - start:.0f} s\n")
        finally:
            run.close()
    return run.results
