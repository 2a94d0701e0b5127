"""Streams: the iterators that callers hold, and the only streaming code that performs I/O.

The decisions are elsewhere (`items.py`, `sse.py`, `reconnect.py`). A stream moves bytes from its body to its reader,
and waits. The synchronous and the asynchronous stream stand side by side and do the same.

A stream owns its response. Whatever ends it (its end, a break, an error, `close`, the last reference), the connection
goes back to the pool if the response had ended, and is closed otherwise. A stream that reconnects has one response
after another. Each has a reader of its own, which continues where the one before stopped.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

import anyio.lowlevel
import httpx2
import pydantic

from ..event_loop import EventLoop
from ..exceptions import APIException, StreamError
from ..redaction import excerpt, request_url
from ..wire.connections import Interrupt
from .body import AsyncBody, Body
from .items import NO_ITEM, ItemReader
from .reconnect import Ended, Resumption

_ELSEWHERE = "this stream belongs to another event loop, or thread, the one that opened it"

T = TypeVar("T")
Opened: TypeAlias = tuple[Body, ItemReader[T]]
AsyncOpened: TypeAlias = tuple[AsyncBody, ItemReader[T]]
Reopen: TypeAlias = Callable[[ItemReader[T], Interrupt], Opened[T]]
AsyncReopen: TypeAlias = Callable[[ItemReader[T]], Awaitable[AsyncOpened[T]]]


class _Stream(Generic[T]):
    """The progress of a stream through all its responses, and what follows when one ends."""

    reconnects = 0
    _body: Any
    _is_closed = _is_resuming = False
    _is_read = False  # by somebody, right now
    _failure: Exception | None = None  # that has ended the iteration
    _is_restarting = False  # from when it is asked for until another attempt is made

    def __init__(self, body: Any, reader: ItemReader[T], reopen: Any, resumption: Resumption) -> None:
        self._resumption = resumption
        self._reopen = reopen
        self._body, self._reader = body, reader
        self._clock = body.owner.clock
        self._finalizer = weakref.finalize(self, body.close_soon)
        self._finalizer.atexit = False  # a daemon thread may still be reading, and would print a traceback

    @property
    def response(self) -> httpx2.Response:
        """The response, with its status and headers: the latest one, if the stream has reconnected."""
        return self._reader.response

    @property
    def last_event_id(self) -> str:
        """The id of the last event; before the first id, the `Last-Event-ID` of the request, or `""`."""
        return self._reader.last_event_id

    def _fail(self, error: BaseException) -> None:
        """Raise this error at each further read: a loop would take a plain end for the end of the stream."""
        if isinstance(error, APIException):
            self._failure = _again(error)
        else:
            self._failure = RuntimeError(f"this stream has failed, with {error!r}; open another one")

    def __repr__(self) -> str:
        request, state = self.response.request, "closed" if self._is_closed else "open"
        url, status = request_url(request), self.response.status_code
        what = f"{request.method} {url}, status {status}, {self._reader.items_received} items so far, {state}"
        return f"<{type(self).__name__}: {what}>"

    def _go_on_with(self, body: Body | AsyncBody, reader: ItemReader[T]) -> None:
        """Continue with the items of another response."""
        self._finalizer.detach()
        self._body, self._reader = body, reader
        self._finalizer = weakref.finalize(self, body.close_soon)
        self._finalizer.atexit = False
        self._is_resuming = False
        self.reconnects += 1
        self._resumption.announce_success(reader.response)

    def _stopped(self, error: httpx2.RequestError | httpx2.StreamError | None = None) -> None:
        """Tell the reader that no more bytes come, unless somebody closed the body.

        Where only the end of the connection says so (RFC 9112, section 6.3), a last line without an end may have been
        cut; a stream that reconnects takes no chances.
        """
        if self._body.is_closed:
            self._reader.left(to_restart=self._is_restarting)
        elif error is not None:
            self._reader.cut_short(error)
        else:
            headers = self.response.headers
            is_http1 = self.response.http_version.startswith("HTTP/1")
            is_framed = not is_http1 or "Transfer-Encoding" in headers or "Content-Length" in headers
            self._reader.end(is_framed=is_framed, takes_rest=is_framed or self._resumption.policy is None)

    def _failed(self, error: APIException) -> Ended:
        """The end of a failed attempt. The error says how far the stream had come."""
        if isinstance(error, StreamError):
            error.items_received, error.last_event_id = self._reader.items_received, self.last_event_id
        return Ended.before_stream(error)

    def _delay_after(self, ended: Ended) -> float | None:
        """The delay before an attempt, in seconds; `None` at the end of the stream. Raises any other end."""
        step = self._resumption.after(ended)
        if step == "end":
            return None
        if step == "raise":
            raise self._last_error(ended)
        self._resumption.announce(ended, step, request=self.response.request, last_event_id=self.last_event_id)
        return step

    def _last_error(self, ended: Ended) -> APIException:
        error, attempts = ended.cause, self._resumption.attempts
        assert error is not None
        if attempts and ended.how == "refused":
            received = f"{self._reader.items_received} received, the last event id {excerpt(self.last_event_id)!r}"
            error.add_note(f"This happened when the stream reconnected; items: {received}.")
        elif attempts:
            number = "1 attempt" if attempts == 1 else f"{attempts} attempts in a row"
            what = f"{number} to reconnect brought no event, the last: {error.message}"
            error = self._reader.interrupted(what, attempts=attempts)
            error.__cause__ = ended.cause
        return error

    def _check_resumable(self) -> None:
        if self._resumption.policy is None:
            raise RuntimeError("only a stream that reconnects can be restarted; declare it with reconnect=")


class Stream(_Stream[T], Iterator[T]):
    """An iterator of the items of a streaming response.

    ```python
    with stream_events() as events:
        for event in events:
            print(event.text)
    ```

    Leaving a `with` block closes it. You need not close it: a stream that was read to its end, or that nothing refers
    to, gives its connection back or closes it.

    An exception comes after the items before it, and closes the stream. A closed stream has no more items; a failed one
    raises again.

    Attributes:
        reconnects: How many times the stream has reconnected.

    Raises:
        StreamInterrupted: The stream was cut short, ended without the event of `until`, or could not reconnect.
        StreamDecodeError: An event is not of the declared type.
        EventTooLarge: An event is larger than `max_event_size`.
    """

    _body: Body
    _interrupt: Interrupt | None = None  # of an attempt to reconnect

    def __init__(self, body: Body, reader: ItemReader[T], reopen: Reopen[T], resumption: Resumption) -> None:
        super().__init__(body, reader, reopen, resumption)
        self._changed = threading.Condition()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._is_read:
            raise RuntimeError("another thread is reading this stream; let one read it and hand the items on")
        self._is_read = True
        try:
            while not self._is_closed:
                reader = self._reader
                item: T = reader.take()
                if item is not NO_ITEM:
                    return item
                if reader.ended is not None:
                    self._go_on(reader.ended)
                    continue
                try:
                    if data := self._body.read():
                        reader.receive(data)
                    else:
                        self._stopped()
                except (httpx2.RequestError, httpx2.StreamError) as error:
                    self._stopped(error)
        except BaseException as error:
            self._fail(error)
            self.close()
            raise
        finally:
            self._is_read = False
        self.close()
        if self._failure is not None:
            raise _again(self._failure)
        raise StopIteration

    def restart(self) -> None:
        """Drop the connection, and reconnect at once.

        The iteration yields what has arrived completely, and goes on with the new connection. Another thread may call
        this while the iteration waits. A closed stream stays closed.

        Raises:
            RuntimeError: The stream was declared without `reconnect`.
        """
        self._check_resumable()
        with self._changed:
            self._is_restarting = True
            self._wake()

    def close(self) -> None:
        """Close the stream and its response.

        Another thread may call this while the iteration waits; the iteration then ends. Closing twice does nothing.
        """
        with self._changed:
            self._is_closed = True
            self._wake()
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _go_on(self, ended: Ended) -> None:
        """The response has ended: end the stream, reconnect, or raise."""
        with self._changed:
            self._is_resuming = True
        try:
            delay = self._delay_after(ended)
            if delay is None:
                self._body.finish()
                self._is_closed = True
                return
            self._body.close()
            while delay is not None:
                with self._changed:
                    self._clock.wait(self._changed, lambda: self._is_closed or self._is_restarting, delay)
                    self._is_restarting = False
                delay = None if self._is_closed else self._attempt()
        finally:
            self._is_resuming = False

    def _attempt(self) -> float | None:
        """Try to reconnect. Returns the delay before the next attempt; `None` if the stream goes on, or was closed."""
        interrupt = self._interrupt = Interrupt()
        if self._is_closed or self._is_restarting:  # since the wait
            interrupt.set()
        opened: Opened[T] | None = None
        try:
            opened = self._reopen(self._reader, interrupt)
        except APIException as error:
            failed = self._failed(error)
        with self._changed:
            self._interrupt = None
            is_left = self._is_closed or self._is_restarting
            if not is_left and opened is not None:
                self._go_on_with(*opened)
                return None
        if opened is not None:  # too late
            opened[0].close()
        if self._is_closed:
            return None
        return self._delay_after(Ended("restarted") if is_left else failed)

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._interrupt is not None:
            self._interrupt.set()
        elif not self._is_resuming:
            self._body.close()


class AsyncStream(_Stream[T], AsyncIterator[T]):
    """An asynchronous iterator of the items of a streaming response; see `Stream`.

    ```python
    async with follow_events() as events:
        async for event in events:
            print(event.text)
    ```

    A read that is cancelled does not end the stream: the next one goes on.
    """

    _body: AsyncBody
    _scope: anyio.CancelScope | None = None  # of what is waited for while it reconnects
    _resumes_at = 0.0
    _opening: _Opening[T] | None = None

    if TYPE_CHECKING:

        def __init__(
            self, body: AsyncBody, reader: ItemReader[T], reopen: AsyncReopen[T], resumption: Resumption
        ) -> None: ...

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._is_read:
            raise RuntimeError("another task is reading this stream; let one read it and hand the items on")
        event_loop = self._body.event_loop
        if event_loop.thread != get_ident() and not event_loop.is_running_here():
            raise RuntimeError(f"{_ELSEWHERE}; open one in each, or hand the items on")
        self._is_read = True
        reads = 0
        try:
            while not self._is_closed:
                reader = self._reader
                item: T = reader.take()
                if item is not NO_ITEM:
                    return item
                if reader.ended is not None:
                    await self._go_on(reader.ended)
                    continue
                if (reads := reads + 1) > 4:  # and no item: what inflates to a lot of nothing lets other tasks run
                    await anyio.lowlevel.checkpoint()
                try:
                    if data := await self._body.read():
                        reader.receive(data)
                    else:
                        self._stopped()
                except (httpx2.RequestError, httpx2.StreamError) as error:
                    self._stopped(error)
        except BaseException as error:
            if isinstance(error, Exception):  # a cancelled read is none, and not the end of the stream
                self._fail(error)
                await self.aclose()
            elif type(error).__name__ == "CancelledError":  # asyncio's
                _let_go_with_task(error)
            raise
        finally:
            self._is_read = False
        await self.aclose()
        if self._failure is not None:
            raise _again(self._failure)
        raise StopAsyncIteration

    def restart(self) -> None:
        """Drop the connection, and reconnect at once; see `Stream.restart`.

        Call it without `await`, in the event loop of the stream. Another task may call it while the iteration waits.

        Raises:
            RuntimeError: The stream was declared without `reconnect`, or is read in another event loop.
        """
        self._check_resumable()
        if not self._body.event_loop.is_running_here():
            raise RuntimeError(
                f"{_ELSEWHERE}; restart it there, with loop.call_soon_threadsafe(stream.restart) for example"
            )
        self._is_restarting = True
        self._wake()
        self._body.close_soon()

    async def aclose(self) -> None:
        """Close the stream and its response.

        Another task may call this while the iteration waits; the iteration then ends. Closing twice does nothing.
        """
        self._is_closed = True
        self._wake()
        if self._opening is not None:  # a cancelled read has left it going
            self._opening.leave()
        await self._body.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def _go_on(self, ended: Ended) -> None:
        """The same. After a cancelled read, the next one continues with the same wait and the same attempt."""
        if not self._is_resuming:
            await self._decide(ended)
        while self._is_resuming and not self._is_closed:
            if self._opening is None:
                await self._wait()
            elif failed := await self._attempt(self._opening):
                await self._decide(failed)

    async def _decide(self, ended: Ended) -> None:
        delay = self._delay_after(ended)
        if delay is None:
            await self._body.finish()
            self._is_closed = True
        else:
            self._is_resuming = True
            self._resumes_at = self._clock.monotonic() + delay
            await self._body.aclose()

    async def _wait(self) -> None:
        """Wait before an attempt, and begin it."""
        with anyio.CancelScope() as self._scope:
            if not (self._is_closed or self._is_restarting):
                await self._clock.sleep_until(self._resumes_at)
        self._is_restarting = False
        if not self._is_closed:
            self._opening = _Opening(functools.partial(self._reopen, self._reader))
            self._opening_finalizer = weakref.finalize(self, self._body.event_loop.call_soon, self._opening.leave)
            self._opening_finalizer.atexit = False

    async def _attempt(self, opening: _Opening[T]) -> Ended | None:
        """Wait for an attempt. Returns how it ended; `None` if the stream goes on, or was closed."""
        with anyio.CancelScope() as self._scope:
            if not (self._is_closed or self._is_restarting):
                await opening.done.wait()
        self._opening = None
        self._opening_finalizer.detach()
        if self._is_closed or self._is_restarting:
            opening.leave()
            return None if self._is_closed else Ended("restarted")
        try:
            self._go_on_with(*opening.opened.result())
        except APIException as error:
            return self._failed(error)
        return None

    def _wake(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


def _again(error: Exception) -> Exception:
    """The same error and its causes, without tracebacks: their frames would hold the stream."""
    if isinstance(error, pydantic.ValidationError):
        return error.with_traceback(None)
    copied = copy.copy(error)
    if isinstance(error.__cause__, Exception):
        copied.__cause__ = _again(error.__cause__)
    return copied


class _Opening(Generic[T]):
    """An attempt to reconnect, in a separate task: a cancelled read leaves it running for the next read."""

    def __init__(self, reopen: Callable[[], Awaitable[AsyncOpened[T]]]) -> None:
        self.opened: Future[AsyncOpened[T]] = Future()
        self.done = anyio.Event()
        self._scope = anyio.CancelScope()
        EventLoop.running().spawn(functools.partial(self._run, reopen))

    def leave(self) -> None:
        """End the attempt, and close whatever it opens."""
        self._scope.cancel()
        self.opened.add_done_callback(_close_opened)

    async def _run(self, reopen: Callable[[], Awaitable[AsyncOpened[T]]]) -> None:
        try:
            with self._scope:
                self.opened.set_result(await reopen())
        except Exception as error:  # for whoever takes it
            self.opened.set_exception(error)
        finally:
            self.opened.cancel()  # unless it is done
            self.done.set()


def _close_opened(opened: Future[AsyncOpened[T]]) -> None:
    with contextlib.suppress(BaseException):  # it was not opened: nobody waits to be told why
        opened.result()[0].close_soon()


def _let_go_with_task(error: BaseException) -> None:
    """Drop the frames, and so the stream, when the task is done: anyio's task groups keep the error in a cycle."""
    import asyncio  # slow to import, and synchronous calls have no need of it

    def drop_frames(_: object) -> None:
        if (cancelled := known()) is not None:
            cancelled.__traceback__ = None

    known = weakref.ref(error)
    if (task := asyncio.current_task()) is not None:
        task.add_done_callback(drop_frames)
        weakref.finalize(error, task.remove_done_callback, drop_frames)
