"""One HTTP/2 connection that many exchanges share: where their threads and tasks wait, and who moves the bytes.

`http2.py` decides; here frames go to the socket and come from it. Under asyncio they are parsed in the protocol's
callback. Under trio a task of the event loop's reads them, and another one writes. Synchronous calls have no such task:
of the threads that wait, one reads for all, and wakes those whose response has come on. When it has what it waited for,
another one reads.

Each exchange holds a `SharedStream`, which it uses as if it were a connection of its own, and the reader of its
response. To let go of it resets the stream, from whatever thread.
"""

from __future__ import annotations

import contextlib
import functools
import math
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import httpcore2

from ..event_loop import EventLoop
from .http2 import HTTP2Connection, HTTP2Response
from .http11 import Head
from .network import READ_SIZE, SocketStream
from .steps import settled, traced

MAX_ANSWERS = 1024 * 1024
"""How many bytes of answers to its frames may wait for a server that takes none, before the connection is given up."""

PING_INTERVAL = 30.0
"""How long a connection in use may be quiet before the server is asked whether it is there, in seconds."""

MAX_PINGS = 2
"""How many of these questions may be left unanswered."""


class SharedStream:
    """One exchange's share of a connection: to the exchange its network stream, and the reader of its response."""

    is_upgraded = False
    is_reusable = False  # nothing is to be gained from reading it to its end: the connection serves on
    protocol = "http2"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.event_loop: EventLoop | None = connection.event_loop
        self.response: Any = _NONE
        self.wake: Callable[[], object] = bool  # whoever waits for this

    @property
    def is_ready(self) -> bool:
        """Whether there is something to process."""
        return self.response.is_ready  # type: ignore[no-any-return]

    @property
    def is_complete(self) -> bool:
        """Whether the response has ended."""
        return self.response.is_complete  # type: ignore[no-any-return]

    @property
    def error(self) -> Exception | None:
        """Why the response cannot be read any further."""
        return self.response.error  # type: ignore[no-any-return]

    @property
    def head(self) -> Head | None:
        """The head of the response."""
        return self.response.head  # type: ignore[no-any-return]

    def take(self) -> bytes:
        """The bytes of the body that have arrived and are not taken yet."""
        return self._connection.do(self.response.take)  # type: ignore[no-any-return]

    def fail(self, error: Exception) -> None:
        """Fail with this reason. `abort` follows, and tells the connection."""

    def get_extra_info(self, info: str) -> Any:
        """What the network stream beneath knows."""
        return self._connection.network.get_extra_info(info)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call this function where the connection may be touched."""
        self._connection.network.call_soon(function)

    def abort(self) -> None:
        """Leave the stream: reset it at once, and wake whoever waits for it."""
        self._connection.leave(self.response)

    def receive(self, timeout: float | None) -> Any:
        """Wait until the response has something to go on with."""
        return self._connection.wait(self, lambda: self.response.is_ready, timeout, httpcore2.ReadTimeout)

    async def send(self, exchange: Any) -> SharedStream:
        """Send the request, and wait for the head of its response."""
        connection, trace, info, timeouts = self._connection, exchange.trace, exchange.info, exchange.timeouts
        await settled(connection.look_around(self))
        open_stream = functools.partial(connection.do, self._open, exchange)
        await traced(trace, "http2.send_request_headers", info, open_stream)
        if exchange.writer.is_framed:
            send_body = functools.partial(self._send_body, exchange.content, timeouts.get("write"))
            await traced(trace, "http2.send_request_body", info, send_body)
        receive_head = functools.partial(self._receive_head, timeouts.get("read"))
        await traced(trace, "http2.receive_response_headers", info, receive_head)
        return self

    def _open(self, exchange: Any) -> None:
        scheme, *_ = exchange.origin
        authority = next(value for name, value in exchange.writer.headers if name.lower() == b"host")
        self.response = self._connection.http2.open(exchange.writer, scheme, authority)
        self.response.wake = self._woken

    def _woken(self) -> None:
        self.wake()

    async def _receive_head(self, timeout: float | None) -> Head:
        while not self.response.is_ready:
            await settled(self.receive(timeout))
        head: Head = self.response.take_head()
        return head

    async def _send_body(self, content: Any, timeout: float | None) -> None:
        if self.event_loop is None:
            for part in content:
                await self._send_part(part, timeout)
        else:
            parts = aiter(content)
            try:
                async for part in parts:
                    await self._send_part(part, timeout)
            finally:
                if isinstance(parts, AsyncGenerator):
                    await parts.aclose()
        self._connection.do(self._connection.http2.end, self.response)

    async def _send_part(self, part: Any, timeout: float | None) -> None:
        if not isinstance(part, bytes | bytearray | memoryview):
            raise TypeError(f"the body of a request is made of bytes, not of {type(part).__name__}")
        connection, part = self._connection, bytes(part)
        can_send = functools.partial(connection.http2.can_send, self.response)
        position = 0
        while position < len(part):
            await settled(connection.drain(self, timeout))
            piece = part[position : position + READ_SIZE]
            position += connection.do(connection.http2.send, self.response, piece)
            while position < len(part) and not can_send():
                await settled(connection.wait(self, can_send, timeout, httpcore2.WriteTimeout))


class _NoResponse:
    """The placeholder for a response before the request is sent."""

    is_ready = is_complete = False
    error = head = None


_NONE = _NoResponse()


class SharedConnection:
    """The base of both sides: the pool's connection, and the reader of its network stream.

    Attributes:
        network: The network stream.
        on_change: Called when the pool should look at it again: `limit` or `is_draining` has changed.
    """

    is_shared: ClassVar[bool] = True
    is_ready = is_complete = is_upgraded = False  # to the network stream: it never has what anybody waits for there
    size = 0

    def __init__(self, network: Any, stream_window: int) -> None:
        self.network = network
        self.event_loop: EventLoop | None = network.event_loop
        self.http2 = HTTP2Connection(stream_window)
        self._answers = 0  # bytes that frames of the server have called for, since all was sent
        self.on_change: Callable[[], object] = bool
        self.http2.on_capacity = self._change

    @property
    def limit(self) -> int:
        """How many exchanges may share it."""
        return self.http2.limit

    @property
    def is_draining(self) -> bool:
        """Whether it takes no more of them."""
        return self.http2.is_draining

    def stream(self) -> SharedStream:
        """A share of it."""
        return SharedStream(self)

    def _change(self) -> None:
        self.on_change()

    def _count_answers(self, size: int) -> None:
        self._answers += size
        if self._answers > MAX_ANSWERS and self.http2.error is None:
            self.http2.fail(httpcore2.WriteError("the server asks, and takes no answers"))


class AsyncSharedConnection(SharedConnection):
    """The connection of asynchronous calls."""

    def start(self) -> None:
        """Begin to speak, in the event loop."""
        self._drained = anyio.Event()
        self._unsent = bytearray()  # under trio
        self._has_unsent = anyio.Event()
        self.network.reader = self
        assert self.event_loop is not None
        self._loop: Any = None
        if self.event_loop.is_trio:
            for task in (self._read, self._write, self._look_again_and_again):
                self.event_loop.spawn(task)
        else:
            self._loop = self.network.loop
            self.network.start_reading()
            self._look_later()
        self._flush()

    def do(self, step: Callable[..., Any], *args: Any) -> Any:
        """Let the connection do this, and send the resulting frames."""
        outcome = step(*args)
        self._flush()
        return outcome

    def look_around(self, stream: SharedStream) -> Any:
        """Process what has arrived on an idle connection. Here the event loop does it, if it may run."""
        is_idle = not self.http2.live and SocketStream.is_readable(self.network)
        return self._let_others_run() if is_idle else None

    async def _let_others_run(self) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    def leave(self, response: HTTP2Response) -> None:
        """Reset a stream."""
        if isinstance(response, HTTP2Response):
            self.do(self.http2.reset, response)

    def abort(self) -> None:
        """Close it, with all that share it."""
        self.do(self.http2.close)
        self.network.abort()

    def wait(
        self, stream: SharedStream, is_done: Callable[[], bool], timeout: float | None, error: type[Exception]
    ) -> Any:
        """Wait until it is done. It may return early: the caller checks again."""
        if self._loop is None:
            return self._wait_in_trio(stream, timeout, error)
        waiting = self._loop.create_future()
        stream.wake = functools.partial(_set, waiting)
        if timeout is not None:
            timer = self._loop.call_later(timeout, _set, waiting, error("timed out"))
            waiting.add_done_callback(lambda _: timer.cancel())
        return waiting

    async def _wait_in_trio(self, stream: SharedStream, timeout: float | None, error: type[Exception]) -> None:
        woken = anyio.Event()
        stream.wake = woken.set
        try:
            with anyio.fail_after(timeout):
                await woken.wait()
        except TimeoutError:
            raise error("timed out") from None

    async def drain(self, stream: SharedStream, timeout: float | None) -> None:
        """Wait until the server takes bytes."""
        try:
            with anyio.fail_after(timeout):
                if self._loop is None:
                    while len(self._unsent) > READ_SIZE and self.http2.error is None:
                        await self._drained.wait()
                else:
                    await self.network.drain()
        except TimeoutError:
            raise httpcore2.WriteTimeout("timed out") from None

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.http2.receive(data)
        self._flush(are_answers=True)

    def receive_end(self) -> None:
        """The server has ended the connection."""
        self.http2.receive_end()
        self._flush()

    def fail(self, error: Exception) -> None:
        """The connection is gone."""
        self.http2.fail(error)
        self._flush()

    def _flush(self, *, are_answers: bool = False) -> None:
        if data := self.http2.take_outgoing():
            if self._loop is None:
                self._unsent += data
                self._has_unsent.set()
            elif not self.network.write_soon(data):
                self._answers = 0
                are_answers = False
            if are_answers:
                self._count_answers(len(data))
        if self.http2.is_done:
            self.network.abort()
            self._has_unsent.set()
            self._drained.set()

    async def _read(self) -> None:
        while self.http2.error is None:
            try:
                data = await self.network.read(READ_SIZE)
            except httpcore2.ReadError as error:
                self.fail(error)
            else:
                self.receive(data) if data else self.receive_end()

    async def _write(self) -> None:
        while not self.http2.is_done:
            await self._has_unsent.wait()
            self._has_unsent = anyio.Event()
            data, self._unsent = bytes(self._unsent), bytearray()
            try:
                await self.network.write(data)
            except (httpcore2.WriteError, httpcore2.ReadError) as error:
                self.fail(error)
            if not self._unsent:
                self._answers = 0
            self._drained.set()
            self._drained = anyio.Event()

    async def _look_again_and_again(self) -> None:
        while not self.http2.is_done:
            arrivals = self.http2.arrivals
            await anyio.sleep(PING_INTERVAL)
            self._look(arrivals)

    def _look_later(self) -> None:
        """The same under asyncio; a timer, unlike a task, is nothing that a loop which is closed by hand warns of."""
        if not self.http2.is_done:
            look = functools.partial(_look_now, weakref.ref(self), self.http2.arrivals)
            self._loop.call_later(PING_INTERVAL, look)

    def _look(self, arrivals: int) -> None:
        """Ask whether the server is there, if it is wanted and has been silent since."""
        if self.http2.live and self.http2.arrivals == arrivals:
            self.do(_ping, self.http2)


def _look_now(known: weakref.ref[AsyncSharedConnection], arrivals: int) -> None:
    if (connection := known()) is not None:
        connection._look(arrivals)
        connection._look_later()


def _set(waiting: Any, error: Exception | None = None) -> None:
    if not waiting.done():
        waiting.set_result(None) if error is None else waiting.set_exception(error)


class BlockingSharedConnection(SharedConnection):
    """The connection of synchronous calls, from any thread.

    Steps of the connection are taken under one lock, and the socket is used under another, never for long: nobody waits
    under either. A finalizer may run in a thread that holds one, so it waits for none: what it wants is queued.
    """

    def __init__(self, network: Any, stream_window: int) -> None:
        super().__init__(network, stream_window)
        self._lock = threading.Lock()
        self._socket_lock = threading.Lock()
        self._queue: deque[Callable[[], object]] = deque()
        self._unsent: deque[bytes] = deque()
        self._waiting: dict[SharedStream, threading.Condition] = {}
        self._leader: SharedStream | None = None  # whose thread reads for all
        self._leading_thread = 0
        self._alarm, self._alarm_end = socket.socketpair()
        for each in (self._alarm, self._alarm_end):
            each.setblocking(False)
        weakref.finalize(self, _close_both, self._alarm, self._alarm_end)

    def start(self) -> None:
        """Begin to speak."""
        self.network.reader = self
        self.network.share()
        self.do(self.http2.receive, self.network.take_unread(READ_SIZE))

    def do(self, step: Callable[..., Any], *args: Any) -> Any:
        """Let the connection do this, and send the resulting frames."""
        try:
            with self._lock:
                try:
                    return step(*args)
                finally:
                    self._collect()
        finally:
            self._settle()

    def look_around(self, stream: SharedStream) -> None:
        """Process what has arrived while nobody read: an idle connection may have been closed."""
        with self._lock:
            if self._leader is None:
                self._leader, self._leading_thread = stream, threading.get_ident()
                try:
                    self._read(0.0)()
                    self._collect()
                finally:
                    self._leader = None
        self._settle()

    def leave(self, response: HTTP2Response) -> None:
        """Reset a stream. Any thread, and a finalizer, may do that."""
        if isinstance(response, HTTP2Response):
            self._queue.append(functools.partial(self.http2.reset, response))
            self._settle()

    def abort(self) -> None:
        """Close it, with all that share it."""
        self._queue.append(self.http2.close)
        self._settle()
        self.network.abort()

    def leave_to_parent(self) -> None:
        """In a forked child: close what it has of its parent's sockets."""
        self.network.leave_to_parent()
        _close_both(self._alarm, self._alarm_end)

    def wait(
        self, stream: SharedStream, is_done: Callable[[], bool], timeout: float | None, error: type[Exception]
    ) -> None:
        """Wait until it is done, and read for all who wait if nobody else does."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with self._lock:
            condition = self._waiting[stream] = threading.Condition(self._lock)
            stream.wake = functools.partial(self._wake, stream)
            try:
                while not is_done():
                    if (remaining := deadline - time.monotonic()) <= 0:
                        raise error("timed out")
                    if self._leader is None:
                        self._lead(stream, is_done, deadline)
                    else:
                        condition.wait(None if remaining == math.inf else min(remaining, threading.TIMEOUT_MAX))
            finally:
                del self._waiting[stream]
                if self._leader is None and self._waiting:
                    next(iter(self._waiting.values())).notify()

    def drain(self, stream: SharedStream, timeout: float | None) -> None:
        """Wait until the server has taken what is to be sent."""
        if self._unsent:
            self.wait(stream, lambda: not self._unsent or self.http2.error is not None, timeout, httpcore2.WriteTimeout)

    def _lead(self, stream: SharedStream, is_done: Callable[[], bool], deadline: float) -> None:
        """Read for all who wait. Called under the lock, which is free while this thread waits."""
        self._leader, self._leading_thread = stream, threading.get_ident()
        try:
            while not is_done() and (remaining := deadline - time.monotonic()) > 0:
                self._lock.release()
                try:
                    step = self._read(min(remaining, PING_INTERVAL))
                finally:
                    self._lock.acquire()
                step()
                self._collect(are_answers=True)
                if self._unsent or self._queue or self.http2.is_done:
                    self._lock.release()
                    try:
                        self._settle()
                    finally:
                        self._lock.acquire()
        finally:
            self._leader = None

    def _read(self, timeout: float) -> Callable[[], object]:
        """Wait for bytes, for no longer than this; what the connection is to do with them."""
        try:
            if not self.network.has_pending() and not self.network.wait_for_io(
                self._alarm, timeout, bool(self._unsent)
            ):
                return functools.partial(_ping, self.http2) if timeout == PING_INTERVAL and self.http2.live else bool
            with self._socket_lock:
                data = self.network.read_now(READ_SIZE)
        except httpcore2.ReadError as error:
            return functools.partial(self.http2.fail, error)
        if data is None:
            return bool
        return functools.partial(self.http2.receive, data) if data else self.http2.receive_end

    def _wake(self, stream: SharedStream) -> None:
        """Wake whoever waits for a stream. Called under the lock."""
        if (condition := self._waiting.get(stream)) is not None:
            condition.notify()
        if self._leader is stream and self._leading_thread != threading.get_ident():
            self._ring()

    def _ring(self) -> None:
        """Have the thread that reads look around."""
        with contextlib.suppress(OSError):  # it has been rung often enough, or is closed
            self._alarm_end.send(b"!")

    def _collect(self, *, are_answers: bool = False) -> None:
        if not self._unsent:
            self._answers = 0
        if data := self.http2.take_outgoing():
            self._unsent.append(data)
            if are_answers:
                self._count_answers(len(data))

    def _settle(self) -> None:
        """Do what finalizers have asked for, and send what can be sent."""
        while True:
            while self._queue and self._lock.acquire(blocking=False):
                try:
                    while self._queue:
                        self._queue.popleft()()
                    self._collect()
                finally:
                    self._lock.release()
            self._send()
            if not self._queue or self._lock.locked():  # whoever has it looks at the queue when it is done
                break
        if self.http2.is_done:
            self.network.abort()

    def _send(self) -> None:
        while self._unsent and self._socket_lock.acquire(blocking=False):
            try:
                while self._unsent:
                    data = self._unsent.popleft()
                    sent = self.network.write_now(data)
                    if sent < len(data):
                        self._unsent.appendleft(data[sent:])
                        break
            except httpcore2.WriteError as error:
                self._unsent.clear()
                self._queue.append(functools.partial(self.http2.fail, error))
            finally:
                self._socket_lock.release()
            if self._unsent:  # the thread that reads waits for the socket to take more
                if self._leader is not None and self._leading_thread != threading.get_ident():
                    self._ring()
                return


def _ping(http2: HTTP2Connection) -> None:
    """Ask whether the server is there; or give it up, if it has not answered."""
    if http2.pings_unanswered >= MAX_PINGS:
        http2.fail(httpcore2.ReadError("the server does not answer"))
    else:
        http2.ping()


def _close_both(one: socket.socket, other: socket.socket) -> None:
    one.close()
    other.close()
