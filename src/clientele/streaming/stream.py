"""Streams: the iterators that callers hold, and the only streaming code that performs I/O.

What decides is elsewhere and without I/O (`items.py`, `sse.py`); a stream moves bytes from its body to its reader and
waits. The synchronous and the asynchronous one stand side by side and do the same.

A stream owns its response. However it is left (read to its end, broken out of, failed, cancelled, closed, dropped),
the connection goes back to the pool if the response had ended, and is closed if it had not.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import httpx2

from ..exceptions import reason
from .body import AsyncBody, Body
from .items import ItemReader

T = TypeVar("T")


class Stream(Iterator[T], Generic[T]):
    """The items of a streaming response, as the server sends them.

    An iterator, and a context manager that closes it. It need not be closed: a stream that was read to its end, or that
    nobody holds any more, gives its connection back or closes it.

        with stream_events() as events:
            for event in events:
                ...

    Iterating raises `StreamInterrupted` where the stream was cut short, or ended without what `until` waits for,
    `StreamDecodeError` where an event is not of the declared type, `EventTooLarge` where one is too large, and what an
    `event_map` says; each after the items before it, and each closes the stream. A closed stream has no more items.
    """

    def __init__(self, body: Body, reader: ItemReader[T]) -> None:
        self._body = body
        self._reader = reader
        weakref.finalize(self, body.close)

    @property
    def response(self) -> httpx2.Response:
        """The response, its status and headers."""
        return self._body.response

    @property
    def last_event_id(self) -> str:
        """The id of the last event that was read, `""` before the first that has one."""
        return self._reader.last_event_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        body, reader = self._body, self._reader
        if body.is_waiting:
            raise RuntimeError("another thread is reading this stream; let one read it and hand the items on")
        try:
            while not body.is_closed:
                for item in reader.items:
                    return item
                if reader.is_finished:
                    body.finish()
                    break
                try:
                    reader.receive(body.read())
                except StopIteration:
                    reader.end()
                except (httpx2.RequestError, httpx2.StreamError) as error:
                    if not body.is_closed:  # otherwise another thread closed it, which is no error
                        raise reader.interrupted(reason(error, self.response.request)) from error
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Close the stream and its response. Closing it again does nothing."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(AsyncIterator[T], Generic[T]):
    """The asynchronous twin of `Stream`.

    async with await stream_events() as events:
        async for event in events:
            ...
    """

    def __init__(self, body: AsyncBody, reader: ItemReader[T]) -> None:
        self._body = body
        self._reader = reader
        weakref.finalize(self, body.close_soon)

    @property
    def response(self) -> httpx2.Response:
        """The response, its status and headers."""
        return self._body.response

    @property
    def last_event_id(self) -> str:
        """The id of the last event that was read, `""` before the first that has one."""
        return self._reader.last_event_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        body, reader = self._body, self._reader
        if body.is_waiting:
            raise RuntimeError("another task is reading this stream; let one read it and hand the items on")
        try:
            while not body.is_closed:
                for item in reader.items:
                    return item
                if reader.is_finished:
                    await body.finish()
                    break
                try:
                    reader.receive(await body.read())
                except StopAsyncIteration:
                    reader.end()
                except (httpx2.RequestError, httpx2.StreamError) as error:
                    if not body.is_closed:  # otherwise another task closed it, which is no error
                        raise reader.interrupted(reason(error, self.response.request)) from error
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the stream and its response. Closing it again does nothing."""
        await self._body.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
