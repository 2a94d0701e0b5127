"""Sockets of asyncio, uvloop and trio; the asynchronous side of `network.py`.

asyncio parses where it receives: a `BufferedProtocol` reads into one buffer for all connections of a loop, and the
`reader` takes the bytes before any task is woken. (asyncio's own streams allocate a buffer for each read. That costs
more than the parsing: the buffer is so large that the system maps and unmaps it each time.) trio's sockets are read
when somebody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import anyio
import httpcore2

from ..event_loop import BUFFER_SIZE, EventLoop
from .network import (
    ATTEMPT_DELAY,
    CLOSED,
    KEEPALIVE_OPTIONS,
    READ_SIZE,
    Address,
    NotSent,
    SocketStream,
    Target,
    all_of,
    connect_errors,
    in_turns,
    numeric,
    set_options,
)


class _AsyncStream(SocketStream, httpcore2.AsyncNetworkStream):
    reader: Any = None
    event_loop: EventLoop

    def abort(self) -> None:
        """Drop the socket, in the loop's thread. A waiting task is woken."""
        raise NotImplementedError

    async def aclose(self) -> None:
        self.abort()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call this in the loop's thread. Safe in any thread, and in a finalizer."""
        self.event_loop.call_soon(function)


class _AsyncioStream(asyncio.BufferedProtocol, _AsyncStream):
    """A socket in the hands of asyncio, or uvloop."""

    def __init__(self, connection: socket.socket, event_loop: EventLoop) -> None:
        self._socket = connection
        self.event_loop = event_loop
        self.loop = asyncio.get_running_loop()
        self._buffer = event_loop.buffer
        self._transport: Any = None
        self._reading: asyncio.Future[None] | None = None  # of who waits for bytes
        self._writing: asyncio.Future[None] | None = None  # of who waits until bytes have been sent
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._has_ended = False
        self._can_write = False  # though the server has ended its side
        self._arrived = 0.0  # when bytes came last that were not enough to go on with

    @classmethod
    async def open(cls, connection: socket.socket, event_loop: EventLoop) -> _AsyncioStream:
        """Hand a connected socket to the loop."""
        stream = cls(connection, event_loop)
        try:
            await stream.loop.create_connection(lambda: stream, sock=connection)
        except BaseException:
            stream.abort()
            raise
        return stream

    def receive(self, timeout: float | None) -> asyncio.Future[None]:
        """Wait until the reader has something to process. Returns a future, which costs less than a coroutine."""
        if self._reading is not None and not self._reading.done():
            raise RuntimeError("another task is reading from this connection")
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()
        self._reading = self._wait(timeout, httpcore2.ReadTimeout)
        return self._reading

    def start_reading(self) -> None:
        """From now on, pass arriving bytes to the reader, even if nobody waits."""
        if self._unread:
            self.reader.receive(self.take_unread(len(self._unread)))
        self._is_reading_paused = False
        self._transport.resume_reading()

    def write_soon(self, data: bytes) -> int:
        """Send this as soon as possible. Returns how many bytes wait to be sent."""
        if not self._transport.is_closing():
            self._transport.write(data)
        return self._transport.get_write_buffer_size()  # type: ignore[no-any-return]

    async def drain(self) -> None:
        """Wait until nothing is waiting to be sent."""
        while self._is_writing_paused and not self._has_ended:
            if self._writing is None or self._writing.done():
                self._writing = self.loop.create_future()
            await asyncio.shield(self._writing)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._unread:
            if not self.reader.is_ready:
                await self.receive(timeout)
            self._unread = self.reader.take()
            if not self._unread and self.reader.error is not None:
                raise self.reader.error
        return self.take_unread(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        while view:
            if self._transport.is_closing() or (self._has_ended and not (self._can_write and self.reader.is_upgraded)):
                raise (NotSent if len(view) == len(buffer) else httpcore2.WriteError)(CLOSED)
            self._transport.write(view[:BUFFER_SIZE])
            if len(view) == len(buffer) and self._transport.is_closing():  # it failed at once
                raise NotSent(CLOSED)
            view = view[BUFFER_SIZE:]
            if self._is_writing_paused:
                self._writing = self._wait(timeout, httpcore2.WriteTimeout)
                await self._writing

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _AsyncioStream:
        if self.reader is not None and self.reader.size:
            self.unread(self.reader.take())
        self.check_nothing_unread()
        options: Any = {"server_hostname": server_hostname, "ssl_handshake_timeout": 1e9}  # it would be a minute
        with connect_errors(), anyio.fail_after(timeout):
            transport = await self.loop.start_tls(self._transport, self, ssl_context, **options)
        if transport is None:
            raise httpcore2.ConnectError("the server ended the connection")
        self.connection_made(transport)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._transport.get_extra_info(info) if info == "ssl_object" else super().get_extra_info(info)

    def abort(self) -> None:
        if self.event_loop.process != os.getpid():
            return
        if self._transport is None or self.loop.is_closed():
            self._socket.close()
        else:
            with contextlib.suppress(OSError):  # it is gone already
                self._socket.shutdown(socket.SHUT_RDWR)  # at once: the loop closes it in its next round
            self._transport.abort()
            self._end(httpcore2.ReadError(CLOSED))

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        # So that the write timeout sees whatever has not been sent. (At 0, asyncio's TLS pauses with nothing to send.)
        transport.set_write_buffer_limits(high=1, low=0)
        transport.pause_reading()  # until there is a reader
        self._is_reading_paused = True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the loop before it reads; the bytes are taken out of the buffer before any others come."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        reader = self.reader
        if reader is None:  # uvloop reads once more before it pauses
            self._unread += bytes(self._buffer[:nbytes])
            return
        reader.receive(self._buffer[:nbytes])
        reading = self._reading
        if reading is not None and not reading.done():
            if reader.is_ready:
                reading.set_result(None)
            else:
                self._arrived = self.loop.time()
        if reader.size > BUFFER_SIZE and not (self._is_reading_paused or reader.is_complete):
            self._is_reading_paused = True  # not behind the end: a connection that idles has to be read
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._end(None)
        self._can_write = getattr(self.reader, "is_upgraded", False) and self.get_extra_info("ssl_object") is None
        return self._can_write  # over TLS asyncio ends both sides

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(OSError):  # after a failed write asyncio leaves an early answer in the socket
            while exc and self.get_extra_info("ssl_object") is None and (size := self._socket.recv_into(self._buffer)):
                self.buffer_updated(size)
        self._end(None if exc is None else httpcore2.ReadError(str(exc) or type(exc).__name__))

    def pause_writing(self) -> None:
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        if self._writing is not None and not self._writing.done():
            self._writing.set_result(None)

    def _end(self, error: Exception | None) -> None:
        has_ended, self._has_ended = self._has_ended, True
        if self.reader is not None and not has_ended:
            self.reader.receive_end() if error is None else self.reader.fail(error)
        for waiting in (self._reading, self._writing):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def _wait(self, timeout: float | None, error: type[Exception]) -> asyncio.Future[None]:
        waiting = self.loop.create_future()
        if timeout is not None:
            timer = self.loop.call_later(timeout, self._time_out, waiting, timeout, error)
            waiting.add_done_callback(lambda _: timer.cancel())
        return waiting

    def _time_out(self, waiting: asyncio.Future[None], timeout: float, error: type[Exception]) -> None:
        left = self._arrived + timeout - self.loop.time()
        if left > 0 and waiting is self._reading:
            self.loop.call_later(left, self._time_out, waiting, timeout, error)
        elif not waiting.done():
            waiting.set_exception(error("timed out"))


class _TrioStream(_AsyncStream):
    """A socket in the hands of trio, over httpcore2's own stream."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, event_loop: EventLoop) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self.event_loop = event_loop
        self._is_reading = False

    async def receive(self, timeout: float | None) -> None:
        if self._is_reading:
            raise RuntimeError("another task is reading from this connection")
        self._is_reading = True
        reader = self.reader
        try:
            while not reader.is_ready:
                try:
                    data = await self.read(READ_SIZE, timeout)
                except httpcore2.ReadError as error:
                    reader.fail(error)
                else:
                    reader.receive(data) if data else reader.receive_end()
        finally:
            self._is_reading = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unread:
            return self.take_unread(max_bytes)
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), READ_SIZE):
            await self._stream.write(bytes(view[start : start + READ_SIZE]), timeout)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _TrioStream:
        self.check_nothing_unread()
        self._stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return self

    def is_readable(self) -> bool:
        if (tls := self._stream.get_extra_info("ssl_object")) is not None:
            with contextlib.suppress(ssl.SSLError):
                self.unread(tls.read(1))  # of what the TLS layer holds
                return True
        return super().is_readable()

    def get_extra_info(self, info: str) -> Any:
        return self.is_readable() if info == "is_readable" else self._stream.get_extra_info(info)

    def abort(self) -> None:
        if self.event_loop.process == os.getpid():
            self._socket.close()


async def aconnect(target: Target, timeout: float | None) -> _AsyncioStream | _TrioStream:
    """Connect, for an asynchronous call; the twin of `connect`."""
    event_loop = EventLoop.running()
    if event_loop.is_trio:
        return await _connect_in_trio(target, timeout, event_loop)
    loop = asyncio.get_running_loop()
    with connect_errors(), anyio.fail_after(timeout):
        addresses: Sequence[Address] = [(socket.AF_UNIX, target.path)]
        if target.path is None:
            found = numeric(target) or await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            addresses = in_turns(found)
        return await _AsyncioStream.open(await _first_connected(target, addresses, loop), event_loop)


async def _connect_in_trio(target: Target, timeout: float | None, event_loop: EventLoop) -> _TrioStream:
    backend = httpcore2.TrioBackend()
    options = target.socket_options or ()
    try:
        if target.path is not None:
            opened = await backend.connect_unix_socket(target.path, timeout, options)
        else:
            opened = await backend.connect_tcp(target.host, target.port, timeout, target.local_address, options)
    except (httpcore2.ConnectError, UnicodeError) as error:
        raise httpcore2.ConnectError(str(all_of(list(_causes(error))))) from error
    if target.path is None and target.socket_options is None:
        with contextlib.suppress(OSError):
            set_options(opened.get_extra_info("socket"), KEEPALIVE_OPTIONS)
    return _TrioStream(opened, event_loop)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The causes of trio's exceptions."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    elif error.__cause__ is not None:
        yield from _causes(error.__cause__)
    else:
        yield error


async def _first_connected(
    target: Target, addresses: Sequence[Address], loop: asyncio.AbstractEventLoop
) -> socket.socket:
    waiting = deque(addresses)
    errors: list[OSError] = []
    connecting: set[asyncio.Task[socket.socket]] = set()
    try:
        while waiting or connecting:
            if waiting:
                connecting.add(loop.create_task(_aconnected(target, *waiting.popleft(), loop)))
            delay = ATTEMPT_DELAY if waiting else None
            done, _ = await asyncio.wait(connecting, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                connecting.discard(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    errors.append(error)
    finally:
        for attempt in connecting:
            attempt.cancel()
            attempt.add_done_callback(_close_result)
    raise all_of(errors)


async def _aconnected(target: Target, family: int, address: Any, loop: asyncio.AbstractEventLoop) -> socket.socket:
    connection = target.open_socket(family)
    try:
        await loop.sock_connect(connection, address)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, os.strerror(error.errno)) from error  # without asyncio's own words
        raise
    return connection


def _close_result(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
