"""The running event loop: what is closed with it, and how other threads reach it.

A client lives at module level, and serves one event loop after another. A stream may be dropped in the middle of an
`async for`. Their connections belong to the loop that opened them. So each running loop has one `EventLoop`, which
closes things in the loop: on demand, or when the loop shuts down. Things that are closed have an `aclose`.

asyncio, uvloop and trio announce their shutdown in the same way: they finish every asynchronous generator that was
started in them (PEP 525). One such generator waits in each loop that a client was used in.

A loop that was closed by hand, without the shutdown of `asyncio.run`, keeps its connections until they are collected.
asyncio warns of them in development mode.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import functools
import logging
import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Generic, TypeVar

BUFFER_SIZE = 256 * 1024
"""The most that is read at once in an asyncio loop, in bytes."""

C = TypeVar("C")

logger = logging.getLogger("clientele")


class EventLoop:
    """A running event loop of asyncio or trio.

    Attributes:
        process: The id of the process that it runs in; in a forked one it is not to be touched.
        thread: The id of the thread that it was seen in first.
        is_trio: Whether it is trio's.
        buffer: What all connections of an asyncio loop read into, one after the other.
        has_ended: Whether it has shut down.
    """

    def __init__(self, loop: Any) -> None:
        self.process = os.getpid()
        self.thread = threading.get_ident()
        self.is_trio = not _is_asyncio(loop)
        self.buffer = memoryview(bytearray(0 if self.is_trio else BUFFER_SIZE))
        self.has_ended = False
        self._loop = loop
        self._dropped: set[Any] = set()
        self._kept: set[Any] = set()
        self._tasks: set[Any] = set()  # asyncio itself holds its tasks weakly
        self._shutdown = self._wait_for_shutdown()
        with contextlib.suppress(StopIteration):  # it runs to its `yield`, which awaits nothing
            anext(self._shutdown).__await__().send(None)
        # asyncio begins the task not in its next round but in the one after: a loop that stops before has none pending.
        self._request_closing: Callable[[], object] = (
            self._close_dropped_in_trio() if self.is_trio else functools.partial(loop.call_soon, self._close_dropped)
        )

    @classmethod
    def running(cls) -> EventLoop:
        """The `EventLoop` of the running event loop. Raises `RuntimeError`: no event loop is running."""
        loop = _running_loop()
        event_loop = _event_loops.get(loop)
        if event_loop is None or event_loop.process != os.getpid():
            event_loop = _event_loops[loop] = cls(loop)
            for ended in list(_event_loops):  # without a shutdown
                if _is_asyncio(ended) and ended.is_closed():
                    forgotten = _event_loops.pop(ended, None)
                    if forgotten is not None and forgotten.process == os.getpid():  # otherwise a thread was faster
                        event_loop.close_soon(forgotten)
        return event_loop

    def is_running_here(self) -> bool:
        """Whether it is the event loop that runs the caller."""
        with contextlib.suppress(RuntimeError):  # none does
            return self.process == os.getpid() and _running_loop() is self._loop
        return False

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call this in the loop, unless it has ended. Safe in any thread, and in a finalizer."""
        with contextlib.suppress(RuntimeError):  # it has ended; trio's own error is one of these
            if self.process == os.getpid():
                (self._loop.run_sync_soon if self.is_trio else self._loop.call_soon_threadsafe)(function)

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run this in a new task, which the end of the loop cancels. Call it in the loop."""
        if self.is_trio:
            sys.modules["trio"].lowlevel.spawn_system_task(function, context=contextvars.copy_context())
        else:
            task = self._loop.create_task(function())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close_at_shutdown(self, closable: Any) -> None:
        """Close this when the loop shuts down."""
        self._kept.add(closable)

    def forget(self, closable: Any) -> None:
        """Undo `close_at_shutdown`."""
        self._kept.discard(closable)

    def close_soon(self, closable: Any) -> None:
        """Close this in a task of the loop. May be called from any thread, and when the loop has ended."""
        if self.process == os.getpid():
            self._kept.discard(closable)
            self._dropped.add(closable)
            self.call_soon(self._request_closing)

    async def aclose(self) -> None:
        """Close everything that is left to be closed."""
        await self._shutdown.aclose()

    async def _wait_for_shutdown(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.has_ended = True
            _event_loops.pop(self._loop, None)
            if self.process == os.getpid():  # what a forked child inherited is its parent's
                for closables in (self._dropped, self._kept, self._dropped):  # closing one thing may drop another
                    await _close_all(closables)

    def _close_dropped(self) -> None:
        if self._dropped:  # otherwise the shutdown was faster
            self.spawn(functools.partial(_close_all, self._dropped))

    def _close_dropped_in_trio(self) -> Callable[[], object]:
        # One task for the whole run: trio allows no new one while it finishes, which is when most is dropped.
        event = sys.modules["trio"].Event
        requested = event()

        async def close_when_requested() -> None:
            nonlocal requested
            while True:
                await requested.wait()
                requested = event()
                await _close_all(self._dropped)

        self.spawn(close_when_requested)
        return lambda: requested.set()


_event_loops: dict[Any, EventLoop] = {}


class PerLoop(Generic[C]):
    """One thing per event loop: made on first use, closed when the loop shuts down.

    Parameters:
        make: Makes one, in the loop that it is for.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._made: weakref.WeakKeyDictionary[EventLoop, C] = weakref.WeakKeyDictionary()
        weakref.finalize(self, _close_soon, self._made).atexit = False

    def here(self) -> C:
        """The one of the running event loop."""
        event_loop = EventLoop.running()
        made = self._made.get(event_loop)
        if made is None:
            made = self._made[event_loop] = self._make()
            event_loop.close_at_shutdown(made)
        return made

    async def aclose(self) -> None:
        """Close the one of the running loop, and ask the other loops to close theirs. New ones are made on use."""
        here: Any = self._made.pop(EventLoop.running(), None)
        self.close_soon()
        if here is not None:
            EventLoop.running().forget(here)
            await here.aclose()

    def close_soon(self) -> None:
        """Ask all loops to close theirs. Safe in any thread."""
        _close_soon(self._made)


def _close_soon(made: weakref.WeakKeyDictionary[EventLoop, Any]) -> None:
    for event_loop, closable in list(made.items()):
        event_loop.close_soon(closable)
    made.clear()


def _running_loop() -> Any:
    """The running asyncio loop, or a token for trio's, which may itself be a guest of asyncio."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_trio_token()
    import asyncio  # slow to import, and synchronous calls have no need of it

    return asyncio.get_running_loop()


def _is_asyncio(loop: Any) -> bool:
    return hasattr(loop, "is_closed")  # which trio's token has not


@atexit.register
def _shut_down_stopped_loops() -> None:
    """Shut down loops that `run_until_complete` has left, in the loop itself if it is still open."""
    for loop, event_loop in list(_event_loops.items()):
        if _is_asyncio(loop) and event_loop.process == os.getpid() and not loop.is_running():
            import asyncio

            run: Callable[[Any], object] = asyncio.run if loop.is_closed() else loop.run_until_complete
            run(event_loop.aclose())


async def _close_all(closables: set[Any]) -> None:
    cancellation: BaseException | None = None
    while closables:
        closable = closables.pop()
        try:
            await closable.aclose()
        except Exception:  # nobody waits for this closing, so nobody could be told
            logger.debug("closing %r failed", closable, exc_info=True)
        except BaseException as error:  # trio ends its runs in a cancelled scope; the rest is closed all the same
            cancellation = error
    if cancellation is not None:
        raise cancellation
