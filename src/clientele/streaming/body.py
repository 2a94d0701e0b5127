"""The bytes of a response's body as they arrive, and the one way in which the reading of them ends: `close`.

A body that was read to its end gives its connection back to the pool; one that is closed before that closes it. Where
a stream says itself that it has ended, the end of its body is often right behind; `finish` waits for it, a moment.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from datetime import timedelta
from types import AsyncGeneratorType, GeneratorType
from typing import Any, cast

import anyio
import httpx2

from ..event_loop import EventLoop, unseen
from ..transports.direct import DirectStream, direct_stream

MAX_WAIT_FOR_END = 0.25
"""How long `finish` waits for the end of a body, in seconds."""

MAX_SIZE_BEFORE_END = 64 * 1024
"""How much may stand between a stream's own end and the end of its body, in bytes."""


class _GuardedStream(httpx2.SyncByteStream):
    """A response's stream that is interrupted only as long as the connection is its own."""

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream
        self._is_released = False
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> timedelta | None:
        """What `response.elapsed` is taken from."""
        return getattr(self._stream, "elapsed", None)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        with self._lock:
            self._is_released = True
        self._stream.close()

    def interrupt(self, connection: socket.socket) -> None:
        """End the connection, if it has not gone back to the pool, where another request may have taken it up."""
        with self._lock, contextlib.suppress(OSError):  # the connection is gone already
            if not self._is_released:
                connection.shutdown(socket.SHUT_RDWR)


class Body:
    """The decoded bytes of a response, chunk by chunk.

    Parameters:
        response: The response that they belong to.
        owner: What must live as long as they are read: with it the connections would be closed.

    Attributes:
        response: The response that they belong to.
        owner: As given.
        is_closed: Whether the reading has ended.
        read: Waits for the next chunk, and raises `StopIteration` at the end; in a forked child, `RuntimeError`.
    """

    def __init__(self, response: httpx2.Response, owner: object) -> None:
        self.response = response
        self.is_closed = False
        self.owner = owner
        self._process = os.getpid()
        response.stream = self._stream = _GuardedStream(cast("httpx2.SyncByteStream", response.stream))
        chunks = response.iter_raw() if _is_plain(response) else response.iter_bytes()
        self._chunks = cast("GeneratorType[bytes, None, None]", chunks)
        self.read: Callable[[], bytes] = self._chunks.__next__
        _bodies[id(self)] = self

    @property
    def is_waiting(self) -> bool:
        """Whether a thread waits for bytes."""
        return self._chunks.gi_running

    def finish(self) -> None:
        """Close the response, once it has been read to its end, if that comes within `MAX_WAIT_FOR_END`."""
        if _may_be_reused(self.response) and self._process == os.getpid():
            # Only another thread can end this waiting: the timeout was settled when the body was begun.
            timer = threading.Timer(MAX_WAIT_FOR_END, self._interrupt)
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no thread can be started: then nothing is waited for
                timer.start()
            try:
                if timer.is_alive():
                    self._skip_rest()
            finally:
                timer.cancel()
        self.close()

    def close(self) -> None:
        """Close the response. Closing it again does nothing; nor does closing it in a forked process."""
        self.is_closed = True
        if self._process != os.getpid():
            return
        if self.is_waiting:
            self._interrupt()
        else:
            self.response.close()

    def _skip_rest(self) -> None:
        size = 0
        with contextlib.suppress(httpx2.RequestError, httpx2.StreamError):  # nobody asked for what comes here
            for chunk in self._chunks:
                size += len(chunk)
                if size > MAX_SIZE_BEFORE_END:
                    break

    def _interrupt(self) -> None:
        """End the waiting of another thread, which closes the response then: nobody else may close what it reads.

        Over HTTP/2 other responses share the connection; there the waiting ends with the next bytes.
        """
        network_stream = self.response.extensions.get("network_stream")
        if network_stream is not None and _is_http1(self.response):
            self._stream.interrupt(network_stream.get_extra_info("socket"))


class AsyncBody:
    """The asynchronous twin of `Body`, which is closed with its event loop at the latest.

    Parameters:
        event_loop: The one that it is read in.
        counts_bytes: Whether the response is to know `num_bytes_downloaded`, which costs a little time for each chunk.
    """

    def __init__(
        self, response: httpx2.Response, owner: object, event_loop: EventLoop, *, counts_bytes: bool = True
    ) -> None:
        self.response = response
        self.is_closed = False
        self.owner = owner
        self._event_loop = event_loop
        self._generators: list[AsyncGenerator[Any, Any]] = []  # those within the chunks' too, the outer first
        self._chunks: AsyncGeneratorType[bytes, None] | DirectStream
        self.read: Callable[[], Awaitable[bytes]]
        direct = direct_stream(response) if _is_plain(response) and not counts_bytes else None
        if direct is not None:
            response.is_stream_consumed = True
            self._chunks = direct
            self.read = direct.__anext__
        else:
            chunks = response.aiter_raw() if _is_plain(response) else response.aiter_bytes()
            self._chunks = cast("AsyncGeneratorType[bytes, None]", chunks)
            self.read = self._begin
        event_loop.close_at_shutdown(self)
        _bodies[id(self)] = self

    @property
    def is_waiting(self) -> bool:
        """Whether a task waits for bytes."""
        return self._chunks.is_waiting if isinstance(self._chunks, DirectStream) else self._chunks.ag_running

    async def _begin(self) -> bytes:
        self.read = self._chunks.__anext__
        return await unseen(self._chunks.__anext__, self._generators)

    async def finish(self) -> None:
        """Close the response, once it has been read to its end, if that comes within `MAX_WAIT_FOR_END`."""
        if _may_be_reused(self.response):
            with anyio.move_on_after(MAX_WAIT_FOR_END):
                await self._skip_rest()
        await self.aclose()

    async def aclose(self) -> None:
        """Close the response. Closing it again does nothing."""
        self.is_closed = True
        self._event_loop.forget(self)
        async with contextlib.AsyncExitStack() as stack:
            for generator in self._generators:
                if not _is_running(generator):  # a task that waits for bytes is ended by the closing of the response
                    stack.push_async_callback(generator.aclose)
            await self.response.aclose()

    def is_read_here(self) -> bool:
        """Whether the event loop that runs the caller is the one that reads it."""
        return self._event_loop.is_running_here()

    def close_soon(self) -> None:
        """Leave the closing to the event loop."""
        if not self.is_closed:
            self.is_closed = True
            self._event_loop.close_soon(self)

    async def _skip_rest(self) -> None:
        size = 0
        with contextlib.suppress(httpx2.RequestError, httpx2.StreamError):
            async for chunk in self._chunks:
                size += len(chunk)
                if size > MAX_SIZE_BEFORE_END:
                    break


_bodies: weakref.WeakValueDictionary[int, Body | AsyncBody] = weakref.WeakValueDictionary()


def _open_bodies() -> list[Body | AsyncBody]:
    """Those that there are now; other threads may open and drop others meanwhile."""
    return [body for reference in _bodies.valuerefs() if (body := reference()) is not None]


def close_bodies_of(owner: object) -> None:
    """Close what is still read. Closing the connections alone might leave those waiting who wait for their bytes."""
    for body in _open_bodies():
        if body.owner is owner:
            close = body.close if isinstance(body, Body) else body.close_soon
            close()


def _leave_to_parent() -> None:
    """In a forked child: its parent reads from the same connections, and each would take bytes from the other."""
    for body in _open_bodies():
        if isinstance(body, Body):
            body.read = _refuse_to_read


def _refuse_to_read() -> bytes:
    raise RuntimeError("this stream was opened before the process was forked; open another in the child")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _is_running(generator: AsyncGenerator[Any, Any]) -> bool:
    return isinstance(generator, AsyncGeneratorType) and generator.ag_running


def _is_plain(response: httpx2.Response) -> bool:
    """Whether the bytes are what was sent, which httpx2 has a shorter way for."""
    return "Content-Encoding" not in response.headers and not response.is_stream_consumed


def is_framed(response: httpx2.Response) -> bool:
    """Whether the end of the body is told from the end of the connection (RFC 9112, section 6.3)."""
    headers = response.headers
    return not _is_http1(response) or "Transfer-Encoding" in headers or "Content-Length" in headers


def _is_http1(response: httpx2.Response) -> bool:
    return response.http_version.startswith("HTTP/1")


def _may_be_reused(response: httpx2.Response) -> bool:
    """Whether the connection can serve another request once the response has ended, and cannot before."""
    is_last = "close" in response.headers.get("Connection", "").lower()
    is_open = not response.is_closed and "network_stream" in response.extensions
    return is_open and _is_http1(response) and is_framed(response) and not is_last
