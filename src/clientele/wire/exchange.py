"""One exchange over a connection: a request is sent, the head of its response comes, and its body is read.

A body takes what has been parsed, or waits once: there is no generator and no second coroutine between. With many live
streams each step runs cold, and counts. These took 200 of them (uvloop, one event at a time) from 1.12 to about 1.0 of
the CPU time of bare aiohttp that splits and validates the same: a flag and not a property says whether there is
something to read; a future and not a coroutine is waited for; items are taken without a generator for each piece.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import httpcore2
import httpx2

from ..event_loop import EventLoop
from .http11 import Head, RequestWriter, ResponseReader
from .network import CLOSED, NotSent
from .steps import Trace, run, settled, traced

HTTPCORE2_ERRORS = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)
"""What network streams raise."""


def httpx2_error(error: Exception) -> Exception:
    """The counterpart of an exception of httpcore2's, which has the same name; any other exception as it is."""
    if not isinstance(error, HTTPCORE2_ERRORS):
        return error
    name = next(kind.__name__ for kind in type(error).__mro__ if hasattr(httpx2, kind.__name__))
    counterpart: Exception = getattr(httpx2, name)(words(error))
    return counterpart


def words(error: BaseException | None) -> str:
    """What went wrong, in one line. Some libraries say it only in the cause of their exception."""
    while error is not None:
        if str(error):
            return " ".join(str(error).split())
        error = error.__cause__ or error.__context__
    return "the connection broke"


@dataclass(slots=True)
class Exchange:
    """A request as it is sent."""

    origin: tuple[bytes, bytes, int]  # the scheme, host and port that it goes to
    writer: RequestWriter = field(repr=False)  # a traceback that shows locals shows no credentials
    content: httpx2.SyncByteStream | httpx2.AsyncByteStream = field(repr=False)
    timeouts: Mapping[str, float | None]  # `connect`, `read`, `write` and `pool`, in seconds
    trace: Trace | None = None
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)  # what `trace` is told of the request

    def can_send_again(self, error: BaseException) -> bool:
        """Whether the request can be sent again: the server has not processed it, and its body is available."""
        is_there = (
            isinstance(self.content, httpx2.ByteStream) or getattr(self.content, "used_up_by_sending", "") is None
        )
        return is_there and type(error).__name__ == "NotProcessed"

    async def send(self, stream: Any, *, is_used_again: bool = False) -> Any:
        """Send the request, and wait for the head of its response; `NotSent` if nothing of it could be written.

        What it gives reads the response: a `ResponseReader`, or the stream of an HTTP/2 connection itself.
        """
        if stream.protocol == "http2":
            return await stream.send(self)
        writer = self.writer
        reader = ResponseReader(writer.method, is_last=writer.is_last)
        failure = None  # a server may answer, and close the connection, before it has read all
        try:
            if self.trace is None and isinstance(self.content, httpx2.ByteStream):  # it can be written at once
                body = b"".join(self.content)
                if body or writer.is_framed:
                    body = writer.frame(body) + writer.end()
                await self._write_head(stream, reader, body, is_used_again=is_used_again)
            else:
                await self._write_in_steps(stream, reader, is_used_again=is_used_again)
        except NotSent:
            raise
        except httpcore2.WriteError as error:
            failure = error
        try:
            if self.trace is None:
                while not reader.is_ready:  # it may be there before all of the request has been sent
                    if (receiving := stream.receive(self.timeouts.get("read"))) is not None:
                        await receiving
                reader.take_head()
            else:
                receive_head = functools.partial(self._receive_head, stream, reader)
                await traced(self.trace, "http11.receive_response_headers", self.info, receive_head)
        except (httpx2.RemoteProtocolError, httpcore2.ReadError) as error:
            raise failure or error from None
        return reader

    async def _write_head(self, stream: Any, reader: ResponseReader, body: bytes = b"", *, is_used_again: bool) -> None:
        if is_used_again and stream.is_readable():  # its server has closed it since
            raise NotSent(CLOSED)
        stream.reader = reader  # not before: what came unasked is no response to this
        if (writing := stream.write(self.writer.head + body, self.timeouts.get("write"))) is not None:
            await writing

    async def _write_in_steps(self, stream: Any, reader: ResponseReader, *, is_used_again: bool) -> None:
        write_head = functools.partial(self._write_head, stream, reader, is_used_again=is_used_again)
        await traced(self.trace, "http11.send_request_headers", self.info, write_head)
        write_body = functools.partial(self._write_body, stream, self.timeouts.get("write"))
        try:
            await traced(self.trace, "http11.send_request_body", self.info, write_body)
        except NotSent as error:
            raise httpcore2.WriteError(str(error)) from error  # the head was sent, even if nothing of this was

    async def _write_body(self, stream: Any, timeout: float | None) -> None:
        if stream.event_loop is None and isinstance(self.content, httpx2.SyncByteStream):
            for part in self.content:
                await settled(stream.write(self.writer.frame(part), timeout))
        else:
            parts = aiter(cast("httpx2.AsyncByteStream", self.content))
            try:
                async for part in parts:
                    await stream.write(self.writer.frame(part), timeout)
            finally:
                if isinstance(parts, AsyncGenerator):
                    await parts.aclose()
        await settled(stream.write(self.writer.end(), timeout))

    async def _receive_head(self, stream: Any, reader: ResponseReader) -> Head:
        while not reader.is_ready:
            await settled(stream.receive(self.timeouts.get("read")))
        return reader.take_head()


class _Body:
    """The body of a response, which owns its connection (`stream`) until it has ended or is closed.

    Attributes:
        timeout: How long to wait for the next bytes, in seconds, `None` for no limit.
        size: How many bytes have been read.
        event_loop: What runs an asynchronous one.
    """

    def __init__(
        self, stream: Any, reader: ResponseReader, exchange: Exchange, release: Callable[[bool], None]
    ) -> None:
        self.timeout = exchange.timeouts.get("read")
        self.size = 0
        self.event_loop: EventLoop | None = stream.event_loop
        self._stream = stream
        self._reader = reader
        self._release = release
        self._trace = exchange.trace
        self._info = exchange.info
        self._waiting_since: float | None = None  # when somebody began to wait for the next bytes
        self._is_begun = False
        self._is_released = False
        self._is_closed = False
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if not self._is_released and functools is not None:  # at the very end of the interpreter, modules are gone
            self._stream.call_soon(functools.partial(_let_go, self._stream, self._reader, self._release))

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can be reused after the body's end."""
        return self._reader.is_reusable and not self._is_released

    def let_go(self) -> None:
        """Give the connection back if the whole body has arrived; otherwise close it."""
        with self._lock:
            if self._is_released:
                return
            self._is_released = True
        _let_go(self._stream, self._reader, self._release)

    def _remaining(self, timeout: float) -> float:
        """The rest of the timeout. A cancelled read counts towards the next one."""
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        return max(0.001, self._waiting_since + timeout - now)  # without any trio would not even look

    def _take(self) -> bytes:
        """What has been read of the body, once the reader is ready; `b""` at its end. Or raise why none will come."""
        reader = self._reader
        if reader.is_upgraded:  # what follows is for the `network_stream`
            return b""
        self._waiting_since = None
        if data := reader.take():
            self.size += len(data)
            if reader.is_complete:
                self.let_go()
            return data
        self.let_go()
        if reader.error is not None:
            raise httpx2_error(reader.error)
        return b""

    async def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self.let_go()  # even if the trace raises
            await traced(self._trace, f"{self._stream.protocol}.response_closed", {}, bool)

    async def _traced_read(self, trace: Trace) -> bytes:
        step = f"{self._stream.protocol}.receive_response_body"
        if not self._is_begun:
            self._is_begun = True
            await settled(trace(f"{step}.started", dict(self._info)))
        try:
            while not (self._reader.is_ready or self._reader.is_upgraded):
                await settled(self._stream.receive(self.timeout and self._remaining(self.timeout)))
            data = self._take()
        except BaseException as error:
            if isinstance(error, Exception):  # a cancelled read goes on with the next one
                self._waiting_since = None
            await settled(trace(f"{step}.failed", {"exception": error}))
            raise (httpx2_error(error) if isinstance(error, Exception) else error) from error.__cause__
        if not data:
            await settled(trace(f"{step}.complete", {"return_value": None}))
        return data


def _let_go(stream: Any, reader: ResponseReader, release: Callable[[bool], None]) -> None:
    is_reusable = reader.is_complete and reader.is_reusable
    if not is_reusable:
        reader.fail(httpcore2.ReadError("the response has been closed"))
        stream.abort()
    release(is_reusable)


class ResponseBody(_Body, httpx2.SyncByteStream):
    """The body of a synchronous response."""

    def read(self) -> bytes:
        """The next bytes of the body, as they were sent; `b""` at its end. After a timeout it may be read again.

        Raises:
            httpx2.TransportError: They did not come.
        """
        if self._trace is not None:
            return run(self._traced_read(self._trace))
        while not (self._reader.is_ready or self._reader.is_upgraded):
            try:
                self._stream.receive(self.timeout and self._remaining(self.timeout))
            except httpcore2.TimeoutException as error:
                self._waiting_since = None
                raise httpx2_error(error) from error
        return self._take()

    def close(self) -> None:
        """Drop the connection. Safe in any thread; a thread that waits for bytes is woken."""
        run(self._close())

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data


class AsyncResponseBody(_Body, httpx2.AsyncByteStream):
    """The body of an asynchronous response; the twin of `ResponseBody`."""

    async def read(self) -> bytes:
        """The next bytes of the body, as they were sent; `b""` at its end.

        After a timeout, or if it was cancelled, it may be read again.

        Raises:
            httpx2.TransportError: They did not come.
        """
        if self._trace is not None:
            return await self._traced_read(self._trace)
        while not (self._reader.is_ready or self._reader.is_upgraded):
            try:
                await self._stream.receive(self.timeout and self._remaining(self.timeout))
            except httpcore2.TimeoutException as error:
                self._waiting_since = None
                raise httpx2_error(error) from error
        return self._take()

    async def aclose(self) -> None:
        """Drop the connection. A task that waits for bytes is woken."""
        await self._close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data
