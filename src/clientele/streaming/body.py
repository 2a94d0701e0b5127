"""The decoded bytes of a response's body, as they arrive, and how reading ends: `close`.

A response of the wire is read directly. Any other response is read through httpx2. A cancelled read would end httpx2's
asynchronous iterators, so a separate task reads them.

A body that is read to its end gives its connection back to the pool. Closing it earlier closes the connection. Where
the stream itself says that it has ended, the end of the body often follows at once; `finish` waits for it briefly.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, cast

import anyio
import httpx2

from ..clock import Clock
from ..event_loop import EventLoop
from ..wire.content_coding import ContentDecoder, content_decoder
from ..wire.response import WireResponse, response_with
from ..wire.steps import run, settled

MAX_WAIT_FOR_END = 0.25
"""How long `finish` waits for the end of a body, in seconds."""

MAX_SIZE_BEFORE_END = 64 * 1024
"""How many bytes `finish` reads between the end of a stream and the end of its body."""

MAX_SIZE_IN_PLACE_OF_STREAM = 1024 * 1024
"""How much is read of what came where a stream was expected, in bytes."""


class Owner(Protocol):
    """What a body belongs to. It must live as long as the body is read, since its connections close with it."""

    is_closed: bool
    clock: Clock  # what its waits are measured by


class _Body:
    """The base of both sides. Raises `httpx2.DecodingError`: the content coding cannot be decoded."""

    _decoder: ContentDecoder | None = None
    _direct: Any = None  # the body as the wire has it, if it is read directly
    _httpx_body: Any
    _is_closed = False

    def __init__(self, response: httpx2.Response, owner: Owner) -> None:
        self.response = response
        self.owner = owner
        self._process = os.getpid()
        if not response.is_stream_consumed:  # an event hook may have read it, or the transport returned it complete
            self._direct = response.direct_body if isinstance(response, WireResponse) else None
            if "Content-Encoding" in response.headers:
                self._decoder = content_decoder(response.headers.get_list("Content-Encoding"))
            response.is_stream_consumed = self._direct is not None  # keeps others from reading it
        self._source: Any = self._direct or self._httpx_body(response)

    @property
    def is_closed(self) -> bool:
        """Whether the body or its owner has been closed."""
        return self._is_closed or self.owner.is_closed

    def set_timeout(self, timeout: float | None) -> None:
        """Bound the wait for the next bytes, in seconds. Call it before the first read."""
        self.response.request.extensions.setdefault("timeout", {})["read"] = timeout
        if self._direct is not None:
            self._direct.timeout = timeout

    def _takes_more(self, content: bytearray, chunk: bytes, deadline: float) -> bool:
        content += chunk[: MAX_SIZE_IN_PLACE_OF_STREAM - len(content)]
        is_full = len(content) == MAX_SIZE_IN_PLACE_OF_STREAM
        return bool(chunk) and not is_full and self.owner.clock.monotonic() <= deadline

    async def _read_decoded(self) -> bytes:
        decoder = cast("ContentDecoder", self._decoder)
        while not (data := decoder.read()):
            if not (encoded := await settled(self._source.read())):
                decoder.end()
                return b""
            decoder.receive(encoded)
        return data

    async def _wait_for_end(self) -> None:
        if self._direct is None or not self._direct.is_reusable or self._process != os.getpid():
            return
        deadline, size = self.owner.clock.monotonic() + MAX_WAIT_FOR_END, 0
        with contextlib.suppress(httpx2.RequestError):  # the stream is complete: an error in the rest does not matter
            while size <= MAX_SIZE_BEFORE_END:
                self._direct.timeout = max(0.0, deadline - self.owner.clock.monotonic())
                if not (data := await settled(self._direct.read())):
                    break
                size += len(data)


class _HTTPXBody:
    """Read a body through httpx2."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: Iterator[bytes] = response.iter_bytes() if response.is_stream_consumed else response.iter_raw()
        self._in_use = threading.Lock()  # held while a thread waits for the next bytes
        self._is_closed = False

    def read(self) -> bytes:
        try:
            with self._in_use:
                if self._is_closed:
                    raise httpx2.ReadError("the response has been closed")
                return next(filter(None, self._chunks), b"")
        finally:
            if self._is_closed:
                self._response.close()

    def close(self) -> None:
        """Close the response. If a thread waits for its bytes, shut the socket down; that thread then closes it.

        Over HTTP/2 of httpx2's own other responses share the socket; there the waiting ends with the next bytes.
        """
        self._is_closed = True  # before the lock is tried: who takes it later sees this, who leaves it, too
        if self._in_use.acquire(blocking=False):
            self._response.close()
            self._in_use.release()
        elif self._response.http_version.startswith("HTTP/1") and "network_stream" in self._response.extensions:
            with contextlib.suppress(OSError):  # the connection is already closed
                self._response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class _AsyncHTTPXBody:
    """A body that httpx2 reads, in a separate task, one chunk ahead."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.event_loop = EventLoop.running()
        self._scope = anyio.CancelScope()
        self._is_begun = self._has_ended = False
        self._error: Exception | None = None
        self._chunk: bytes | None = None
        self._changed = anyio.Event()  # replaced at each change
        self._closed = anyio.Event()

    async def read(self) -> bytes:
        if not self._is_begun:
            self._is_begun = True
            self.event_loop.spawn(self._run)
        while self._chunk is None and not self._has_ended:
            await self._changed.wait()
        if self._chunk is None and self._error is not None:
            raise self._error
        chunk, self._chunk = self._chunk or b"", None
        self._change()
        return chunk

    def let_go(self) -> None:
        self._scope.cancel()
        if not self._is_begun:
            self._is_begun = self._has_ended = True
            self._closed.set()
            self.event_loop.close_soon(self._response)

    async def aclose(self) -> None:
        if not self._is_begun:
            self._is_begun = self._has_ended = True
            self._closed.set()
            await self._response.aclose()
        self._scope.cancel()
        await self._closed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _run(self) -> None:
        chunks = self._response.aiter_bytes() if self._response.is_stream_consumed else self._response.aiter_raw()
        try:
            with self._scope:
                async with contextlib.aclosing(chunks):
                    async for chunk in chunks:
                        while self._chunk is not None:
                            await self._changed.wait()
                        self._chunk = chunk or None
                        self._change()
            if self._scope.cancelled_caught:
                self._error = httpx2.ReadError("the response has been closed")
        except Exception as error:  # raised by the next `read`
            self._error = error
        finally:
            self._has_ended = True
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):  # no reader is left to report it to
                await self._response.aclose()
            self._change()
            self._closed.set()


class Body(_Body):
    """The body of a synchronous response."""

    _httpx_body = _HTTPXBody

    def read(self) -> bytes:
        """Wait for the next bytes. Returns `b""` at the end.

        Raises:
            httpx2.RequestError: The connection failed, or the bytes cannot be decoded.
            RuntimeError: The process has forked since the body was opened.
        """
        if self._process != os.getpid():
            raise RuntimeError("this stream was opened before the process was forked; open another in the child")
        return cast("bytes", self._source.read()) if self._decoder is None else run(self._read_decoded())

    def read_response(self, timeout: float | None) -> httpx2.Response:
        """Read a response that is not a stream, and close it. Returns it with the content that arrived in time.

        Parameters:
            timeout: The limit in seconds for the whole content; `None` for no limit.
        """
        self.set_timeout(timeout)  # replaces the timeout of the stream, which may be unlimited
        content, deadline = bytearray(), self.owner.clock.monotonic() + (math.inf if timeout is None else timeout)
        with contextlib.suppress(httpx2.RequestError):  # the status matters most; partial content is enough
            while self._takes_more(content, self.read(), deadline):
                pass
        self.close()
        return response_with(self.response, bytes(content))

    def finish(self) -> None:
        """Read the response to its end if that arrives within `MAX_WAIT_FOR_END`, and close it."""
        run(self._wait_for_end())
        self.close()

    def close(self) -> None:
        """Close the response, from any thread. Closing it again, or in a forked process, does nothing."""
        self._is_closed = True
        if self._process == os.getpid():
            self._source.close()
            if self._direct is not None and not sys.is_finalizing():  # httpx2 imports a module in `close`
                self.response.close()

    close_soon = close


class AsyncBody(_Body):
    """The body of an asynchronous response; the twin of `Body`.

    Attributes:
        event_loop: The event loop that reads the body.
        read: Waits for the next bytes. Returns `b""` at the end. You can read again after a cancelled read.
    """

    _httpx_body = _AsyncHTTPXBody

    def __init__(self, response: httpx2.Response, owner: Owner) -> None:
        super().__init__(response, owner)
        self.event_loop: EventLoop = self._source.event_loop
        self.read: Callable[[], Awaitable[bytes]] = self._source.read if self._decoder is None else self._read_decoded

    @property
    def is_closed(self) -> bool:
        """Whether the body or its owner has been closed, or its event loop has ended."""
        return super().is_closed or self.event_loop.has_ended

    async def read_response(self, timeout: float | None) -> httpx2.Response:
        """Read a response that is not a stream, as `Body.read_response` does."""
        self.set_timeout(timeout)
        content, deadline = bytearray(), self.owner.clock.monotonic() + (math.inf if timeout is None else timeout)
        with contextlib.suppress(httpx2.RequestError):
            while self._takes_more(content, await self.read(), deadline):
                pass
        await self.aclose()
        return response_with(self.response, bytes(content))

    async def finish(self) -> None:
        """Read the response to its end if that arrives within `MAX_WAIT_FOR_END`, and close it."""
        await self._wait_for_end()
        await self.aclose()

    async def aclose(self) -> None:
        """Close the response. Closing it again does nothing."""
        self._is_closed = True
        if self._process == os.getpid():
            await self._source.aclose()
            if self._direct is not None:
                await self.response.aclose()

    def close_soon(self) -> None:
        """Ask the event loop to drop the connection. Safe in any thread, and in a finalizer."""
        if not self._is_closed:
            self._is_closed = True
            self.event_loop.call_soon(self._source.let_go)
