"""The connections of a transport, or of one event loop: where a request waits for its connection and gives it back.

`pool.py` decides; this waits, and closes what the pool retires. Any number of threads may use it. A finalizer gives
connections back, too. It may run at any moment, even in a thread that holds the lock. So nobody waits for the lock to
give a connection back: the step is queued, and whoever holds the lock carries it out.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

import anyio
import httpx2

from .pool import Pool, Ticket


class Interrupt:
    """Ends the wait of a synchronous request, from another thread: for a connection, or for the response."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False  # for good
        self._end: Callable[[], object] = bool

    def set(self) -> None:
        """End the current wait, and all later ones."""
        with self._lock:
            self._is_set = True
            end = self._end
        end()

    def watch(self, end: Callable[[], object]) -> None:
        """From now on, this ends the wait."""
        with self._lock:
            self._end = end
        if self._is_set:
            end()

    def is_set(self) -> bool:
        """Whether the request has been given up."""
        return self._is_set


class Connections:
    """The connections, which are network streams. Requests wait with a `threading.Event`, or an `anyio.Event`."""

    def __init__(
        self,
        limits: httpx2.Limits,
        make_event: Callable[[], threading.Event | anyio.Event],
        *,
        may_share: bool = False,
    ) -> None:
        sizes = limits.max_connections, limits.max_keepalive_connections, limits.keepalive_expiry
        self.pool: Pool[Any] = Pool(*sizes, may_share=may_share)
        self._make_event = make_event
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], object]] = deque()

    async def acquire(self, origin: Hashable, timeout: float | None, interrupt: Interrupt | None) -> Ticket[Any]:
        """Wait for a connection, or for leave to open one. Raises `httpx2.PoolTimeout`: there was none in time."""
        woken = None
        with self._lock:
            ticket = self.pool.request(origin, time.monotonic())
            if not ticket.is_granted:
                woken = self._make_event()
                ticket.wake = woken.set
        if self._queue or self.pool.retired:
            self._settle()
        if woken is not None:
            if interrupt is not None:
                interrupt.watch(woken.set)
            try:
                if isinstance(woken, anyio.Event):
                    with anyio.move_on_after(timeout):
                        await woken.wait()
                else:
                    woken.wait(timeout)
            except BaseException:
                self.withdraw(ticket)
                raise
            if not ticket.is_granted:
                self.withdraw(ticket)
                raise httpx2.PoolTimeout("no connection became free")
        return ticket

    def do(self, step: Callable[..., object], *args: Any, **options: Any) -> None:
        """Let the pool do this, and carry out the results."""
        self._queue.append(functools.partial(step, *args, **options))
        self._settle()

    def withdraw(self, ticket: Ticket[Any]) -> None:
        """Take back a claim to a connection."""
        self.do(self.pool.withdraw, ticket, time.monotonic())

    def release(self, stream: Any, origin: Hashable, is_reusable: bool) -> None:
        """Take a connection back."""
        if stream.is_shared:
            is_reusable = not stream.is_draining
        elif is_reusable:
            stream.reader = _IdleReader(functools.partial(self._remove, stream))
        self.do(self.pool.release, stream, origin, time.monotonic(), is_reusable=is_reusable)

    def _remove(self, stream: Any) -> None:
        self.do(self.pool.remove, stream)
        stream.abort()

    def close(self) -> None:
        """Close all of them. Others are opened for requests that come later."""
        self.do(self.pool.close)

    async def aclose(self) -> None:
        """Close all of them, in their event loop."""
        self.close()

    def _settle(self) -> None:
        while self._queue and self._lock.acquire(blocking=False):
            try:
                while self._queue:
                    self._queue.popleft()()
            finally:
                self._lock.release()
        while self.pool.retired:
            with contextlib.suppress(IndexError):  # another thread was faster
                self.pool.retired.popleft().abort()


class _IdleReader:
    """Reads an idle connection. Whatever arrives ends it, and is never the next response."""

    size = 0
    is_ready = False

    def __init__(self, remove: Callable[[], object]) -> None:
        self.receive_end = remove

    def receive(self, data: bytes | memoryview) -> None:
        self.receive_end()

    def fail(self, error: Exception) -> None:
        self.receive_end()
