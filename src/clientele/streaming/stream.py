"""Streams: the iterators that callers hold, and the only streaming code that performs I/O.

What decides is elsewhere and without I/O (`items.py`, `sse.py`, `reconnect.py`); a stream moves bytes from its body to
its reader and waits. The synchronous and the asynchronous one stand side by side and do the same.

A stream owns its response. However it is left (read to its end, broken out of, failed, cancelled, closed, dropped),
the connection goes back to the pool if the response had ended, and is closed if it had not. One that is taken up again
has one response after another, and a reader for each, which carries on where the one before it stopped.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

import anyio
import httpx2

from ..exceptions import APIException, StreamError, excerpt
from ..transports.keepalive import Trace
from .body import AsyncBody, Body, is_framed
from .items import ItemReader
from .opening import Opening
from .reconnect import Ended, Ending, Outcome, Reconnect, Resumption

T = TypeVar("T")
Opened: TypeAlias = tuple[Body, ItemReader[T]]
AsyncOpened: TypeAlias = tuple[AsyncBody, ItemReader[T]]


class _Progress(Generic[T]):
    """How far a stream has come, through however many responses, and what follows when one ends.

    Attributes:
        reconnects: How many times the stream has been taken up again.
    """

    def __init__(self, reader: ItemReader[T], policy: Reconnect | None) -> None:
        self.reconnects = 0
        self._reader = reader
        self._resumption = Resumption(policy)
        self._is_closed = False
        self._is_resuming = False
        self._is_restarting = False  # from when it is asked for until another attempt is made

    @property
    def last_event_id(self) -> str:
        """The id of the last event that was read; before the first that has one, what the request named, or `""`."""
        return self._reader.last_event_id

    def _delay_after(self, ended: Ended) -> float | None:
        """How long to wait before the stream is taken up again, in seconds; `None` if it has come to its end.

        Raises:
            APIException: It is not taken up again.
        """
        step = self._resumption.after(ended)
        if step is Outcome.END:
            return None
        if step is Outcome.RAISE:
            raise self._last_error(ended)
        self._resumption.announce(
            ended, step.delay, request=self._reader.response.request, last_event_id=self.last_event_id
        )
        return step.delay

    def _failed(self, error: APIException) -> Ended:
        """The end of an attempt that failed so; the error knows how far the stream had come."""
        if isinstance(error, StreamError):
            error.items_received, error.last_event_id = self._reader.items_received, self.last_event_id
        return Ended.before_stream(error)

    def _begin_again(self, reader: ItemReader[T]) -> None:
        """Go on with the items of another response."""
        self._reader = reader
        self.reconnects += 1
        self._is_resuming = False
        self._resumption.announce_success(reader.response)

    def _end(self, reader: ItemReader[T], response: httpx2.Response) -> None:
        """Tell the reader that the body has ended.

        Where nothing but the end of the connection says so, a last line without an end may have been cut as well; a
        stream that is taken up again takes no chances.
        """
        framed = is_framed(response)
        reader.end(is_framed=framed, takes_rest=framed or self._resumption.policy is None)

    def _last_error(self, ended: Ended) -> APIException:
        assert ended.cause is not None
        attempts = self._resumption.attempts
        if not attempts:
            return ended.cause
        if ended.how is Ending.REFUSED:
            received = f"{self._reader.items_received} received, the last event id {excerpt(self.last_event_id)!r}"
            ended.cause.add_note(f"This came of taking a stream up again; items: {received}.")
            return ended.cause
        number = "1 attempt" if attempts == 1 else f"{attempts} attempts in a row"
        error = self._reader.interrupted(
            f"{number} to take it up again brought no event, the last: {ended.cause.message}", attempts=attempts
        )
        error.__cause__ = ended.cause
        return error

    def _check_resumable(self) -> None:
        if self._resumption.policy is None:
            raise RuntimeError("only a stream that may be taken up again can be restarted; declare it with reconnect=")


class Stream(_Progress[T], Iterator[T]):
    """The items of a streaming response, as the server sends them.

    An iterator, and a context manager that closes it. It need not be closed: a stream that was read to its end, or that
    nobody holds any more, gives its connection back or closes it.

        with stream_events() as events:
            for event in events:
                ...

    Iterating raises `StreamInterrupted` where the stream was cut short, or ended without what `until` waits for, and
    with `reconnect` only where it could not be taken up again; `StreamDecodeError` where an event is not of the
    declared type, `EventTooLarge` where one is too large, and what an `event_map` says; each after the items before it,
    and each closes the stream. A closed stream has no more items.

    Attributes:
        reconnects: How many times the stream has been taken up again.
    """

    def __init__(
        self,
        body: Body,
        reader: ItemReader[T],
        open_again: Callable[[ItemReader[T], Trace], Opened[T]],
        policy: Reconnect | None = None,
    ) -> None:
        super().__init__(reader, policy)
        self._body = body
        self._finalizer = weakref.finalize(self, body.close)
        self._open_again = open_again
        self._changed = threading.Condition()

    @property
    def response(self) -> httpx2.Response:
        """The response, its status and headers; the latest, if the stream was taken up again."""
        return self._body.response

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._body.is_waiting or self._is_resuming:
            raise RuntimeError("another thread is reading this stream; let one read it and hand the items on")
        try:
            while not self._is_closed:
                body, reader = self._body, self._reader
                for item in reader.items:
                    return item
                if reader.ended is not None:
                    self._go_on(reader.ended)
                elif body.is_closed:
                    reader.left(to_restart=self._is_restarting)
                else:
                    try:
                        reader.receive(body.read())
                    except StopIteration:
                        if not body.is_closed:  # otherwise somebody closed it: that is not how the stream ended
                            self._end(reader, body.response)
                    except (httpx2.RequestError, httpx2.StreamError) as error:
                        if not body.is_closed:
                            reader.cut_short(error)
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def restart(self) -> None:
        """Drop the connection, and take the stream up again at once: iterating goes on with another.

        Safe from another thread while the iteration waits. What has come whole is yielded first. Over HTTP/2 the
        waiting ends with the next bytes of the connection. A closed stream stays closed.

        Raises:
            RuntimeError: The stream was declared without `reconnect`.
        """
        self._check_resumable()
        with self._changed:
            self._is_restarting = True
            self._changed.notify_all()
            if not self._is_resuming:
                self._body.close()

    def close(self) -> None:
        """Close the stream and its response. Closing it again does nothing.

        Safe from another thread while the iteration waits, which ends it; over HTTP/2 with the next bytes of the
        connection.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _go_on(self, ended: Ended) -> None:
        """The response has ended: come to the end, take the stream up again, or raise."""
        with self._changed:
            self._is_resuming = True
        try:
            delay = self._delay_after(ended)
            if delay is None:
                self._body.finish()
                self._is_closed = True
                return
            self._body.close()
            while self._wait(delay):
                failed = self._attempt()
                if failed is None:
                    return
                delay = self._delay_after(failed) or 0.0
        finally:
            self._is_resuming = False

    def _wait(self, delay: float) -> bool:
        """Wait before an attempt; whether one is to be made, and the stream has not been closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._is_restarting, min(delay, threading.TIMEOUT_MAX))
            self._is_restarting = False
            return not self._is_closed

    def _attempt(self) -> Ended | None:
        """Try to take the stream up again; how that ended, `None` if it goes on, or has been closed."""
        reader = self._reader
        opening = Opening(lambda trace: self._open_again(reader, trace), close_it=_close_opened, notify=self._notify)
        with opening, self._changed:
            self._changed.wait_for(lambda: opening.is_done or self._is_closed or self._is_restarting)
            if self._is_closed:
                return None
            if self._is_restarting:
                return Ended(Ending.RESTARTED)
            try:
                self._attach(*opening.take())
            except APIException as error:
                return self._failed(error)
            return None

    def _attach(self, body: Body, reader: ItemReader[T]) -> None:
        self._finalizer.detach()
        self._body = body
        self._finalizer = weakref.finalize(self, body.close)
        self._begin_again(reader)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


class AsyncStream(_Progress[T], AsyncIterator[T]):
    """The asynchronous twin of `Stream`.

        async with await stream_events() as events:
            async for event in events:
                ...

    Attributes:
        reconnects: How many times the stream has been taken up again.
    """

    def __init__(
        self,
        body: AsyncBody,
        reader: ItemReader[T],
        open_again: Callable[[ItemReader[T]], Awaitable[AsyncOpened[T]]],
        policy: Reconnect | None = None,
    ) -> None:
        super().__init__(reader, policy)
        self._body = body
        self._finalizer = weakref.finalize(self, body.close_soon)
        self._open_again = open_again
        self._scope: anyio.CancelScope | None = None  # of what is waited for while it is taken up again

    @property
    def response(self) -> httpx2.Response:
        """The response, its status and headers; the latest, if the stream was taken up again."""
        return self._body.response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._body.is_waiting or self._is_resuming:
            raise RuntimeError("another task is reading this stream; let one read it and hand the items on")
        try:
            while not self._is_closed:
                body, reader = self._body, self._reader
                for item in reader.items:
                    return item
                if reader.ended is not None:
                    await self._go_on(reader.ended)
                elif body.is_closed:
                    reader.left(to_restart=self._is_restarting)
                else:
                    try:
                        reader.receive(await body.read())
                    except StopAsyncIteration:
                        if not body.is_closed:  # otherwise somebody closed it: that is not how the stream ended
                            self._end(reader, body.response)
                    except (httpx2.RequestError, httpx2.StreamError) as error:
                        if not body.is_closed:
                            reader.cut_short(error)
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    def restart(self) -> None:
        """Drop the connection, and take the stream up again at once: iterating goes on with another.

        Safe from another task while the iteration waits. Not to be awaited: the iteration does the rest. What has come
        whole is yielded first. A closed stream stays closed.

        Raises:
            RuntimeError: The stream was declared without `reconnect`, or is read in another event loop.
        """
        self._check_resumable()
        if not self._body.is_read_here():
            raise RuntimeError(
                "the stream is read in another event loop, or thread; restart it there, "
                "with loop.call_soon_threadsafe(stream.restart) for example"
            )
        self._is_restarting = True
        if self._is_resuming:
            self._wake()
        else:
            self._body.close_soon()

    async def aclose(self) -> None:
        """Close the stream and its response. Closing it again does nothing.

        Safe from another task while the iteration waits, which ends it.
        """
        self._is_closed = True
        self._wake()
        await self._body.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _go_on(self, ended: Ended) -> None:
        """The response has ended: come to the end, take the stream up again, or raise."""
        self._is_resuming = True
        try:
            delay = self._delay_after(ended)
            if delay is None:
                await self._body.finish()
                self._is_closed = True
                return
            await self._body.aclose()
            while await self._wait(delay):
                failed = await self._attempt()
                if failed is None:
                    return
                delay = self._delay_after(failed) or 0.0
        finally:
            self._is_resuming = False
            self._scope = None

    async def _wait(self, delay: float) -> bool:
        """Wait before an attempt; whether one is to be made, and the stream has not been closed."""
        with anyio.move_on_after(delay) as self._scope:
            if not (self._is_closed or self._is_restarting):
                await anyio.sleep_forever()
        self._is_restarting = False
        return not self._is_closed

    async def _attempt(self) -> Ended | None:
        """Try to take the stream up again; how that ended, `None` if it goes on, or has been closed."""
        with anyio.CancelScope() as self._scope:
            try:
                self._attach(*await self._open_again(self._reader))
            except APIException as error:
                return self._failed(error)
            if self._is_restarting:  # it was asked for too late to end the attempt
                self._body.close_soon()
            return None
        return None if self._is_closed else Ended(Ending.RESTARTED)

    def _attach(self, body: AsyncBody, reader: ItemReader[T]) -> None:
        self._finalizer.detach()
        self._body = body
        self._finalizer = weakref.finalize(self, body.close_soon)
        self._begin_again(reader)

    def _wake(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


def _close_opened(opened: Opened[T]) -> None:
    body, _ = opened
    body.close()
