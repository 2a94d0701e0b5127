"""Virtual time: waits take no time, and end in the right order.

Time stands still while anybody runs, and jumps when everybody waits. The wait that ends first lets all others take
their turn, and then moves the time to its end. Other tasks get a few rounds of their event loop for that. Other
threads that have used the clock get a few hundredths of a second, whether they run or not.
"""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable

import anyio
import anyio.lowlevel

from ..clock import Clock

_ROUNDS = 25  # of an event loop in which nobody else begins or ends a wait, before the time jumps
_TURN = 0.02  # seconds for other threads that do not wait, likewise


class VirtualClock(Clock):
    """A clock whose time passes only while everybody waits.

    Attributes:
        elapsed: The virtual seconds since it was made.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._start = time.time()
        self._lock = threading.Lock()
        self._waits: list[tuple[float, int]] = []  # the moment at which each ends, and its thread
        self._changes = 0  # waits that have begun, or ended
        self._threads: set[int | None] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.elapsed:g} s>"

    def now(self) -> float:
        """The time of day that it would be, in seconds since the epoch."""
        return self._start + self.elapsed

    def monotonic(self) -> float:
        """The same as `elapsed`."""
        return self.elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass, in seconds."""
        if not seconds >= 0:
            raise ValueError(f"time goes on by 0 seconds or more, not by {seconds!r}")
        self._advance_to(self.elapsed + seconds)

    def wait(self, changed: threading.Condition, is_over: Callable[[], bool], seconds: float) -> None:
        """Do as `Clock.wait` does, in virtual time. Endless waits end with `is_over` only."""
        wait = self._begin(self.elapsed + seconds)
        try:
            seen, since = self._changes, time.monotonic()
            while not is_over() and self.elapsed < wait[0]:
                if seen != self._changes:
                    seen, since = self._changes, time.monotonic()
                if self._is_first(wait) and (self._all_wait() or time.monotonic() - since > _TURN):
                    self._advance_to(wait[0])
                else:
                    changed.wait(_TURN / 10)
        finally:
            self._end(wait)

    def sleep(self, seconds: float) -> None:
        """Do as `Clock.sleep` does, in virtual time."""
        changed = threading.Condition()
        with changed:
            self.wait(changed, bool, seconds)

    async def sleep_until(self, moment: float) -> None:
        """Do as `Clock.sleep_until` does, in virtual time."""
        if moment == float("inf"):
            await anyio.sleep_forever()
        wait = self._begin(moment)
        try:
            seen, since, rounds = self._changes, time.monotonic(), 0
            while self.elapsed < moment:
                if seen != self._changes:
                    seen, since, rounds = self._changes, time.monotonic(), 0
                if self._is_first(wait) and rounds >= _ROUNDS:
                    if self._all_wait() or time.monotonic() - since > _TURN:
                        self._advance_to(moment)
                    else:
                        await anyio.sleep(_TURN / 10)
                elif rounds < 4 * _ROUNDS:
                    await anyio.lowlevel.checkpoint()
                else:  # it is another thread's turn
                    await anyio.sleep(_TURN / 10)
                rounds += 1
        finally:
            self._end(wait)

    def notice(self) -> None:
        """Note the calling thread: it may wait on this clock."""
        with self._lock:
            self._threads.add(threading.get_ident())

    def _all_wait(self) -> bool:
        """Whether every known thread waits."""
        with self._lock:
            if len(self._threads) > 1:
                self._threads.intersection_update([thread.ident for thread in threading.enumerate()])
            return self._threads <= {thread for _, thread in self._waits}

    def _begin(self, moment: float) -> tuple[float, int]:
        wait = moment, threading.get_ident()
        self.notice()
        with self._lock:
            self._waits.append(wait)
            self._changes += 1
        return wait

    def _end(self, wait: tuple[float, int]) -> None:
        with self._lock:
            self._waits = [each for each in self._waits if each is not wait]
            self._changes += 1

    def _is_first(self, wait: tuple[float, int]) -> bool:
        with self._lock:
            return min(self._waits, key=operator.itemgetter(0)) is wait and wait[0] < float("inf")

    def _advance_to(self, moment: float) -> None:
        with self._lock:
            self.elapsed = max(self.elapsed, moment)
