"""The connections of one event loop, opened and kept by aiohttp, within httpx2's limits."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import select
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx2
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEAD_SIZE = 100 * 1024
"""The largest head of a response that is taken, in bytes, which is about what httpx2's own transport takes."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")


class Protocol(ResponseHandler):
    """Sees to it that nothing in a response hides what is wrong with it, or is hidden by that.

    The head is read by itself: an error behind it would swallow it, had they come together. And whoever waits for the
    body is told of an error in its framing; aiohttp leaves them waiting.
    """

    is_idle = False
    """Whether the connection waits for its next request; a server has nothing to say until then."""

    _content: aiohttp.StreamReader | None = None
    _awaits_head = False
    _head_size = 0
    _head_start = b""  # its first bytes: "HTTP/1.1 200"
    _head_end = b""  # the last bytes of the head as far as it has arrived

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent."""
        super().set_response_params(**params)
        self._awaits_head = True
        self._head_size = 0
        self._head_start = self._head_end = b""

    def is_connected(self) -> bool:
        """Whether the connection can be used; one on which the server spoke unasked cannot (RFC 9112, section 9.2)."""
        return super().is_connected() and not (self.is_idle and _is_readable(self.transport))

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self.is_idle and data:
            self.abort()
            return
        while self._awaits_head and data:
            data = self._receive_head(data)
            if not data:
                return
        super().data_received(data)  # no bytes have a meaning, too: the reading goes on after a pause

    def feed_data(self, message: Any, size: int = 0) -> None:
        """A response has begun."""
        if self.is_idle:  # it came right behind the one that was asked for
            self.abort()
        else:
            super().feed_data(message, size)

    def _receive_head(self, data: bytes) -> bytes:
        """Take the head of the response out of what has arrived, and give what is behind it."""
        end = _END_OF_HEAD.search(self._head_end + data)
        size = len(data) if end is None else end.end() - len(self._head_end)
        self._head_size += size
        self._head_start = (self._head_start + data)[:12]
        self._head_end = (self._head_end + data)[-3:]
        if self._head_size > MAX_HEAD_SIZE:
            self._awaits_head = False
            self.set_exception(HttpProcessingError(message=f"the response's head is larger than {MAX_HEAD_SIZE} bytes"))
            if self.transport is not None:
                self.transport.abort()
            return b""
        if end is not None:
            status = self._head_start[9:]
            self._awaits_head = status.startswith(b"1") and status != b"101"  # another head follows
            self._head_start = self._head_end = b""
        super().data_received(data[:size])
        return data[size:]

    def begin_body(self, content: aiohttp.StreamReader) -> None:
        """Leave the measuring of time to who reads this, and tell them of errors in the framing."""
        self.read_timeout = None
        self.start_timeout()
        self._content = content
        self._tell(self.exception())

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Something has gone wrong."""
        super().set_exception(exc, *cause)
        self._tell(exc)

    def _tell(self, error: BaseException | None) -> None:
        content = self._content
        if error is None or content is None or content.is_eof() or content.exception() is not None:
            return
        if isinstance(error, HttpProcessingError):
            content.set_exception(aiohttp.ClientPayloadError(" ".join(error.message.split())), error)
        elif type(error) is aiohttp.ClientConnectionError:  # the request's body failed, or the client was closed
            content.set_exception(error)


def _is_readable(transport: asyncio.Transport | None) -> bool:
    """Whether there is something to read that the event loop has not read yet."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None:
        return False
    if not hasattr(select, "poll"):  # as on Windows
        return bool(select.select([connection.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Request(aiohttp.ClientRequest):
    """What aiohttp sends, how long that may wait for a connection, and the connection that it got."""

    pool_timeout: float | None = None
    begin_upload: Callable[[], None]
    transport: asyncio.Transport | None = None
    protocol: Protocol | None = None


class Connector(aiohttp.BaseConnector):
    """Keeps httpx2's limits, which aiohttp knows but in part: its own `limit` is off."""

    def __init__(self, limits: httpx2.Limits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._process = os.getpid()
        self._slots = None if limits.max_connections is None else asyncio.Semaphore(limits.max_connections)
        self._factory = functools.partial(Protocol, loop=self._loop)  # type: ignore[assignment]
        self._active: set[Connection] = set()  # held here, so that none that was dropped is warned of
        self._idle: dict[asyncio.Transport, ResponseHandler] = {}  # the longest idle first
        self._awaited = 0  # how many requests are about to take one up

    async def connect(self, req: Any, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Connection:
        """A connection for a request, an idle or a new one, within the limits.

        Raises:
            httpx2.PoolTimeout: None became free in time.
        """
        self._awaited += 1
        try:
            connection = await self._connect_in_turn(req, traces, timeout)
        except BaseException:
            self._awaited -= 1
            self._close_idle()
            raise
        self._awaited -= 1
        protocol, transport = connection.protocol, connection.transport
        assert isinstance(protocol, Protocol)
        assert transport is not None
        req.protocol, req.transport = protocol, transport
        protocol.is_idle = False
        if "close" in [option.strip() for option in req.headers.get("Connection", "").lower().split(",")]:
            protocol.force_close()
        self._idle.pop(transport, None)
        self._active.add(connection)
        self._close_idle()
        connection.add_callback(lambda: self._take_back(connection, protocol, transport))
        req.begin_upload()
        return connection

    def close_active(self) -> None:
        """Close the connections that are in use, without sending what is still in their buffers."""
        for connection in list(self._active):
            if connection.protocol is not None:
                connection.protocol.set_exception(aiohttp.ClientConnectionError("the client was closed"))
            if connection.transport is not None and not self._loop.is_closed():
                connection.transport.abort()
            connection.close()

    def let_go(self) -> None:
        """Leave the connections of an event loop that was closed by hand to the garbage collector.

        Their protocols and aiohttp's parsers hold one another in a way that it cannot see through.
        """
        for protocol in [*self._idle.values(), *(connection.protocol for connection in self._active)]:
            if protocol is not None:
                protocol.connection_lost(None)
        self._idle.clear()

    async def _connect_in_turn(self, req: Any, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Connection:
        await self._wait_for_slot(req.pool_timeout)
        try:
            return await super().connect(req, traces, timeout)
        except BaseException:
            self._free_slot()
            raise

    async def _wait_for_slot(self, timeout: float | None) -> None:
        if self._slots is None:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise httpx2.PoolTimeout(f"no connection of {self._limits.max_connections} became free in time") from None

    def _free_slot(self) -> None:
        if self._slots is not None:
            self._slots.release()

    def _take_back(self, connection: Connection, protocol: Protocol, transport: asyncio.Transport) -> None:
        self._active.discard(connection)
        if self._process != os.getpid():
            return
        self._free_slot()
        if not (protocol.should_close or transport.is_closing()):
            protocol.is_idle = True
            self._idle[transport] = protocol
            self._close_idle()

    def _close_idle(self) -> None:
        """Close those that have been idle longest, as long as there are too many, of these or of all."""
        kept, limit = self._limits.max_keepalive_connections, self._limits.max_connections
        allowed = [kept and kept + self._awaited, None if limit is None else limit - len(self._active)]
        most = min((each for each in allowed if each is not None), default=None)
        if most is None or len(self._idle) <= most:
            return
        self._idle = {each: protocol for each, protocol in self._idle.items() if not each.is_closing()}
        for transport in list(self._idle)[: len(self._idle) - max(most, 0)]:
            del self._idle[transport]
            transport.close()

    def leave_to_parent(self) -> None:
        """Forget the connections in a forked child.

        It must not touch them: it shares them, and the selector of their event loop, with its parent.
        """
        for connection in list(self._active):
            connection.close()

    def _release(self, *connection: Any, **options: Any) -> None:
        if self._process == os.getpid():
            super()._release(*connection, **options)

    def __del__(self) -> None:  # type: ignore[override]  # aiohttp's has a parameter of its own
        if self._process == os.getpid():
            super().__del__()


class TCPConnector(Connector, aiohttp.TCPConnector):
    """Connects to hosts."""


class UnixConnector(Connector, aiohttp.UnixConnector):
    """Connects to a Unix socket."""
