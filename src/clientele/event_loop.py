"""Closing what belongs to an event loop, though nobody awaits it.

A client lives at module level and is used from one event loop after another; a stream is dropped in the middle of an
`async for`. Their connections belong to the loop that opened them, and only code that runs in that loop can close
them. So each running loop gets one `EventLoop` here, to which the closing is handed over:

- `close_soon`: a task of the loop does it next, or its shutdown if that comes first;
- `close_at_shutdown`: it is done when the loop shuts down.

The shutdown is noticed in the language's own way, which asyncio, uvloop and trio share: they finish every asynchronous
generator that was started in them (PEP 525). One such generator waits in each loop that a client was used in.

The loops finish all of them at once, though, and generators inside one another get in each other's way then. Those that
httpx2 reads a response with are therefore started `unseen`, and finished here, in their order.

A loop that was closed by hand, without the shutdown that `asyncio.run` ends with, takes its connections along: they
are closed when they are collected, and asyncio warns of them in development mode.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

logger = logging.getLogger("clientele")


class AsyncClosable(Protocol):
    """What can be closed by awaiting its `aclose`."""

    async def aclose(self) -> None:
        """Close it."""


class EventLoop:
    """A running event loop of asyncio or trio, as far as closing things goes.

    Attributes:
        process: The id of the process that it runs in; in a forked one it is not to be touched.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self._loop = _running_loop()
        self._dropped: set[AsyncClosable] = set()
        self._kept: set[AsyncClosable] = set()
        self._shutdown = self._wait_for_shutdown()
        self._request_closing = _closing_requester(self._close_dropped)

    @classmethod
    async def running(cls) -> EventLoop:
        """The one for the event loop that runs the caller.

        Raises:
            RuntimeError: No event loop is running.
        """
        loop = _running_loop()
        if loop not in _event_loops or _event_loops[loop].process != os.getpid():
            _event_loops[loop] = cls()
            await anext(_event_loops[loop]._shutdown)
            await _shut_down_closed_loops()
        return _event_loops[loop]

    def is_running_here(self) -> bool:
        """Whether it is the event loop that runs the caller."""
        with contextlib.suppress(RuntimeError):  # none does
            return self.process == os.getpid() and _running_loop() is self._loop
        return False

    def close_at_shutdown(self, closable: AsyncClosable) -> None:
        """Close this when the loop shuts down."""
        self._kept.add(closable)

    def forget(self, closable: AsyncClosable) -> None:
        """Take back what was to be closed at the shutdown."""
        self._kept.discard(closable)

    def close_soon(self, closable: AsyncClosable) -> None:
        """Close this in a task of the loop. May be called from any thread, and when the loop has ended."""
        if self.process != os.getpid():
            return
        self._kept.discard(closable)
        self._dropped.add(closable)
        with contextlib.suppress(RuntimeError):  # the loop has ended: it closed everything when it shut down
            self._request_closing()

    async def shut_down(self) -> None:
        """Close everything that is left to be closed."""
        await self._shutdown.aclose()

    async def _close_dropped(self) -> None:
        await _close_all(self._dropped)

    async def _wait_for_shutdown(self) -> AsyncGenerator[None]:
        loop = _running_loop()
        try:
            yield
        finally:
            _event_loops.pop(loop, None)
            if self.process == os.getpid():  # what a forked child inherited is its parent's
                for closables in (self._dropped, self._kept, self._dropped):  # closing one thing may drop another
                    await _close_all(closables)


_event_loops: dict[Any, EventLoop] = {}


def is_trio() -> bool:
    """Whether the caller is run by trio, and not by asyncio."""
    return _running_trio() is not None


def _running_loop() -> Any:
    """The asyncio loop, or what stands for trio's, which may itself be a guest of asyncio's."""
    trio = _running_trio()
    return _running_asyncio_loop() if trio is None else trio.lowlevel.current_trio_token()


def _running_asyncio_loop() -> asyncio.AbstractEventLoop:
    import asyncio  # slow to import, and synchronous calls have no need of it

    return asyncio.get_running_loop()


def _running_trio() -> Any:
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_task() else None


async def _shut_down_closed_loops() -> None:
    """Let go of asyncio loops that were closed without having been shut down."""
    for loop in list(_event_loops):
        if _is_asyncio(loop) and loop.is_closed():
            event_loop = _event_loops.pop(loop, None)
            if event_loop is not None:  # otherwise another thread was faster
                await event_loop.shut_down()


@atexit.register
def _shut_down_stopped_loops() -> None:
    """Shut down what `run_until_complete` left standing, in its own loop if that is still open."""
    for loop, event_loop in list(_event_loops.items()):
        is_own = _is_asyncio(loop) and event_loop.process == os.getpid()
        if is_own and not loop.is_running():
            import asyncio

            run = asyncio.run if loop.is_closed() else loop.run_until_complete
            run(event_loop.shut_down())


def _is_asyncio(loop: Any) -> bool:
    return hasattr(loop, "is_closed")  # which trio's token has not


def _closing_requester(close_dropped: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], object]:
    """A function that any thread may call, to have the running loop do its closing in a task."""
    trio = _running_trio()
    if trio is None:
        return _asyncio_requester(_running_asyncio_loop(), close_dropped)
    return _trio_requester(trio, close_dropped)


def _asyncio_requester(
    loop: asyncio.AbstractEventLoop, close_dropped: Callable[[], Coroutine[Any, Any, None]]
) -> Callable[[], object]:
    tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds its tasks weakly

    def create_task() -> None:
        task = loop.create_task(close_dropped())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    # Not in the next round but in the one after it: a loop that stops with the next is not left with a pending task.
    return lambda: loop.call_soon_threadsafe(loop.call_soon, create_task)


def _trio_requester(trio: Any, close_dropped: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], object]:
    # One task for the whole run: trio allows no new one while it finishes, which is when most is dropped.
    requested = trio.Event()

    async def close_when_requested() -> None:
        nonlocal requested
        while True:
            await requested.wait()
            requested = trio.Event()
            await close_dropped()

    token = trio.lowlevel.current_trio_token()
    trio.lowlevel.spawn_system_task(close_when_requested)
    return lambda: token.run_sync_soon(lambda: requested.set())


@types.coroutine
def unseen(function: Callable[[], Awaitable[T]], begun: list[AsyncGenerator[Any, Any]]) -> Generator[Any, Any, T]:
    """Call this and await it, and keep the asynchronous generators that it begins from the event loop.

    Parameters:
        function: What is to be awaited.
        begun: Takes up the generators, the outer before the inner. Whoever owns the list closes them, the inner before
            the outer: no event loop does.
    """
    with begun_unseen(begun):
        steps = function().__await__()
    step: Callable[[], Any] = functools.partial(next, steps)
    while True:
        try:
            with begun_unseen(begun):
                yielded = step()
        except StopIteration as stop:
            return cast("T", stop.value)
        try:
            sent = yield yielded
        except BaseException as error:
            step = functools.partial(steps.throw, error)
        else:
            step = functools.partial(steps.send, sent)


@contextlib.contextmanager
def begun_unseen(begun: list[AsyncGenerator[Any, Any]]) -> Generator[None]:
    """Keep the asynchronous generators that are begun in this block from the event loop.

    Parameters:
        begun: Takes them up. Whoever owns the list closes them: no event loop does.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=begun.append, finalizer=None)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*hooks)


async def _close_all(closables: set[AsyncClosable]) -> None:
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
