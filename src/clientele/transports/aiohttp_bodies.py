"""The bodies that aiohttp carries: that of a request on its way, that of a response as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from types import AsyncGeneratorType
from typing import Any

import aiohttp
import httpx2

from ..event_loop import EventLoop
from .aiohttp_connections import Protocol
from .aiohttp_errors import cause_of, httpx2_error, httpx2_errors
from .direct import DirectStream

PIECE_SIZE = 32 * 1024
"""How much of a request's body is written at once, in bytes: less than what asyncio buffers without waiting."""


class Upload:
    """The body of a request on its way: held to the write timeout, and to the length that was declared.

    Parameters:
        request: The request that it belongs to.
        timeout: The write timeout in seconds, `None` for none.

    Attributes:
        data: What aiohttp is given to send.
        is_chunked: Whether its length is not known.
        error: What went wrong in the body itself.

    Raises:
        httpx2.LocalProtocolError: Its length is another than the one that was declared.
    """

    def __init__(self, request: httpx2.Request, timeout: float | None) -> None:
        self._request = request
        self._timeout = timeout
        self._length = _content_length(request)
        self.error: BaseException | None = None
        self._deadline: asyncio.Timeout | None = None
        self._is_done = asyncio.Event()
        self.data: bytes | AsyncGenerator[bytes] | None
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        is_whole = isinstance(request.stream, httpx2.ByteStream) and "Transfer-Encoding" not in request.headers
        if is_whole and len(content := request.read()) <= PIECE_SIZE:
            self.data = content or None
            self._check_length(len(content), is_last=True)
        else:
            self.data = self._pieces(request.stream)
        self.is_chunked = self.data is not None and self._length is None

    @contextlib.contextmanager
    def errors(self) -> Generator[None]:
        """Turn aiohttp's exceptions into httpx2's; those of the body itself stay what they are."""
        try:
            with httpx2_errors(self._request):
                yield
        except httpx2.TransportError:
            if self.error is None:
                raise
            raise self.error from self.error.__cause__

    @contextlib.asynccontextmanager
    async def deadline(self) -> AsyncGenerator[None]:
        """Hold what is sent in this block to the write timeout.

        Raises:
            httpx2.WriteTimeout: A piece of the body could not be sent in time.
        """
        if self._timeout is None or not isinstance(self.data, AsyncGeneratorType):
            yield
            return
        try:
            async with asyncio.timeout(None) as self._deadline:
                yield
        except TimeoutError as error:
            if self._deadline is None or not self._deadline.expired():
                raise
            raise httpx2.WriteTimeout("the server did not take the request's body in time") from error
        finally:
            self._deadline = None

    def begin(self) -> None:
        """There is a connection to send it over. With `Expect: 100-continue` the server must ask for it in time."""
        self._start_clock()

    async def _pieces(self, stream: httpx2.AsyncByteStream) -> AsyncGenerator[bytes]:
        size = 0
        try:
            self._stop_clock()
            async with _closed_at_end(stream) as parts:
                async for part in parts:
                    size += _size_of(part)
                    self._check_length(size, is_last=False)
                    for start in range(0, len(part), PIECE_SIZE):
                        self._start_clock()
                        yield part[start : start + PIECE_SIZE]
                        self._stop_clock()
            self._check_length(size, is_last=True)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, Exception) or not _is_cancelled():
                self.error = error
            raise
        finally:
            self._is_done.set()

    async def aclose(self) -> None:
        """Close what gives the body."""
        if isinstance(self.data, AsyncGeneratorType):
            if self.data.ag_running:  # it has been cancelled
                await self._is_done.wait()
            await self.data.aclose()

    def _check_length(self, size: int, *, is_last: bool) -> None:
        if self._length is None or size == self._length or (size < self._length and not is_last):
            return
        raise httpx2.LocalProtocolError(
            f"the request's body has {size} bytes {'in all' if is_last else 'already'}, "
            f"its Content-Length says {self._length}"
        )

    def _start_clock(self) -> None:
        if self._deadline is not None and self._timeout is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)

    def _stop_clock(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(None)


@contextlib.asynccontextmanager
async def _closed_at_end(stream: httpx2.AsyncByteStream) -> AsyncGenerator[AsyncIterator[bytes]]:
    parts = aiter(stream)
    try:
        yield parts
    finally:
        if isinstance(parts, AsyncGeneratorType):
            await parts.aclose()


class ResponseStream(DirectStream):
    """The bytes of a response as they arrive."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        protocol: Protocol,
        request: httpx2.Request,
        upload: Upload,
        event_loop: EventLoop,
        abort: Callable[[], Awaitable[None]],
    ) -> None:
        self._response = response
        self._event_loop = event_loop
        self._content = response.content
        self._upload = upload
        self._abort = abort
        self._protocol = protocol
        self._request = request
        is_framed = response.headers.keys() & {"Content-Length", "Transfer-Encoding"}
        self._ends_with_connection = response.connection is not None and not is_framed
        self._failure: Exception | None = None
        self._read_timeout: float | None = None
        self._is_begun = False

    async def __anext__(self) -> bytes:
        if not self._is_begun:  # until then the timeout may be set
            self._is_begun = True
            self._read_timeout = self._request.extensions.get("timeout", {}).get("read")
        try:
            if self._failure is not None:
                raise self._failure
            self.is_waiting = True
            if self._read_timeout is None:
                data = await self._content.readany()
            else:
                data = await self._read_within(self._read_timeout)
        except (aiohttp.ClientError, OSError) as error:
            self._failure = error
            data = self._take_rest()
            if not data and self._upload.error is not None:
                raise self._upload.error from self._upload.error.__cause__
            if not data:
                raise self._httpx2_error(error) from cause_of(error)
        finally:
            self.is_waiting = False
        if data:
            return data
        if self._upload.error is not None:
            raise self._upload.error
        if self._ends_with_connection and isinstance(self._protocol.exception(), OSError):
            raise httpx2.ReadError("the connection broke before it was closed in order", request=self._request)
        raise StopAsyncIteration

    async def _read_within(self, timeout: float) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._content.readany()
        except TimeoutError as error:
            raise httpx2.ReadTimeout("no byte came in time", request=self._request) from error

    def _take_rest(self) -> bytes:
        """What arrived before the failure: aiohttp's reader gives it out only while it knows of none."""
        self._content.set_exception(None)  # type: ignore[arg-type]
        return self._content.read_nowait()

    def _httpx2_error(self, error: Exception) -> httpx2.TransportError:
        broken = self._protocol.exception()
        return httpx2_error(broken if isinstance(broken, OSError) else error, self._request)

    async def aclose(self) -> None:
        """Close the connection, unless the response has ended: then it went back to the pool."""
        if self._event_loop.process != os.getpid():  # a forked child's copy; the connection is its parent's
            return
        has_ended = self._response.connection is None
        self._response.close()
        if not has_ended:
            await self._abort()

    def __del__(self) -> None:
        if self._response.connection is not None:  # nobody closed it
            self._event_loop.close_soon(self)


def _size_of(part: object) -> int:
    if isinstance(part, bytes | bytearray | memoryview):
        return len(part)
    raise TypeError(f"the request's body is to be made of bytes; there is a {type(part).__name__}")


def _is_cancelled() -> bool:
    """Whether somebody has cancelled the running task; something that it awaits may have been cancelled by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _content_length(request: httpx2.Request) -> int | None:
    length = request.headers.get("Content-Length")
    if length is None:
        return None
    if not (length.isascii() and length.isdigit()):
        raise httpx2.LocalProtocolError(f"the Content-Length {length!r} is no number", request=request)
    return int(length)


class NetworkStream:
    """What there is to know about a connection: a response's `network_stream`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection.

        Parameters:
            info: `"socket"`, `"ssl_object"`, `"client_addr"`, `"server_addr"`, or any name that asyncio knows.

        Returns:
            The information, `None` where there is none.
        """
        return self._transport.get_extra_info({"client_addr": "sockname", "server_addr": "peername"}.get(info, info))
