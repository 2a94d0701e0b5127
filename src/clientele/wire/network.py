"""Sockets: opened, read, written and let go. This is the synchronous side; asyncio's and trio's is `async_network.py`.

The streams of both are httpcore2's `NetworkStream` and `AsyncNetworkStream`, so that a connection that was upgraded
is handed out as httpx2's own transports do. Besides, each has a `reader` (`ResponseReader`, for example), which takes
the bytes as they arrive; `receive` waits until the reader has something to go on with; `unread` puts bytes back; and
`abort` lets go of the socket at once: nothing is awaited for it.

Names that resolve to several addresses are connected to as RFC 8305 says, on every side: the families take turns, and
the next attempt begins when the one before has failed, or has taken a quarter of a second.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias

import httpcore2

from ..event_loop import EventLoop
from .tls import TLSWithinTLS

SocketOption: TypeAlias = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
Address: TypeAlias = tuple[int, Any]
"""The family of a socket, and what it connects to."""

READ_SIZE = 64 * 1024
"""The most that is read at once, in bytes. (asyncio reads more.)"""

ATTEMPT_DELAY = 0.25
"""How long an attempt to connect has to itself, in seconds (RFC 8305, section 5)."""

_SHORTEST = 1e-6  # seconds; for Python 0 would mean not to wait
_LOOK_AROUND = 0.05  # how often a thread that connects looks whether it still should, in seconds

KEEPALIVE_OPTIONS: list[SocketOption] = [
    (level, getattr(socket, name), value)
    for level, name, value in [
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 60),  # the name of TCP_KEEPIDLE on macOS
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    ]
    if hasattr(socket, name)
]
"""TCP keep-alive: a stream may wait for ever, so a peer that vanished without a word is noticed by other means than a
timeout. After a minute without a byte it is probed every 15 seconds; four probes unanswered end the connection."""

CLOSED = "the connection has been closed"
"""Why a connection that was closed here cannot be used."""


class NotSent(httpcore2.WriteError):
    """Nothing was written: the other side cannot have seen any of the request."""


@contextlib.contextmanager
def connect_errors() -> Generator[None]:
    """Raise httpcore2's exceptions for what goes wrong with a connection that is being opened."""
    try:
        yield
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(str(error) or "timed out") from error
    except (OSError, ValueError) as error:  # a host may be no name that can be looked up
        raise httpcore2.ConnectError(str(error) or "the server ended the connection") from error


class SocketStream:
    """The base of the streams of all sides.

    A stream keeps the bytes that it has received and that are to be read before any others.

    Attributes:
        event_loop: What runs an asynchronous one.
    """

    event_loop: EventLoop | None = None
    is_shared: ClassVar[bool] = False
    protocol = "http11"
    _socket: Any  # a `socket.socket`, or what stands for one
    _unread = b""

    def unread(self, data: bytes) -> None:
        """Put bytes back, in front."""
        self._unread = data + self._unread

    def take_unread(self, max_bytes: int) -> bytes:
        """Take at most so many of the bytes that were put back; `b""` if there are none."""
        data, self._unread = self._unread[:max_bytes], self._unread[max_bytes:]
        return data

    def is_readable(self) -> bool:
        """Whether bytes, or the end, can be read. On an idle connection that means that it is gone."""
        number = self._socket.fileno()
        if number < 0:  # it is closed
            return True
        if not hasattr(select, "poll"):
            return bool(select.select([number], [], [], 0)[0])
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2's `get_extra_info` knows; TLS comes on top."""
        match info:
            case "socket":
                return self._socket
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "is_readable":
                return self.is_readable()
        return None

    def check_nothing_unread(self) -> None:
        """Raise `httpcore2.ConnectError` if TLS cannot begin: anybody on the way could have written these bytes."""
        if self._unread:
            raise httpcore2.ConnectError("the server sent bytes before TLS had begun")


class _BlockingStream(SocketStream, httpcore2.NetworkStream):
    """A blocking socket. One thread may read while another one writes; any thread may abort it."""

    reader: Any

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._process = os.getpid()
        self._timeout = connection.gettimeout()
        self._is_closed = False
        self._reading, self._writing = threading.Lock(), threading.Lock()  # nobody closes the socket under these
        self._closing = threading.RLock()  # a finalizer may abort in the thread that holds it

    def receive(self, timeout: float | None) -> None:
        reader = self.reader
        while not reader.is_ready:
            try:
                data = self.read(READ_SIZE, timeout)
            except httpcore2.ReadError as error:
                reader.fail(error)
            else:
                reader.receive(data) if data else reader.receive_end()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unread:
            return self.take_unread(max_bytes)
        try:
            with self._reading:
                if self._is_closed:
                    raise httpcore2.ReadError(CLOSED)
                if timeout != self._timeout:
                    self._timeout = timeout
                    self._socket.settimeout(None if timeout is None else max(timeout, _SHORTEST))
                data: bytes = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error
        except ssl.SSLEOFError as error:
            if not error.reason and ssl.OPENSSL_VERSION_INFO >= (3,):  # its word for a reset
                raise httpcore2.ReadError("the connection was reset") from error
            data = b""  # many servers end TLS without saying so
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error
        finally:
            if self._is_closed:
                self._close_if_unused()
        if not data and self._is_closed:  # here, and not by the other side
            raise httpcore2.ReadError(CLOSED)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        while view:
            try:
                with self._writing:
                    if self._is_closed:
                        raise httpcore2.WriteError(CLOSED)
                    if timeout != self._timeout:
                        self._timeout = timeout
                        self._socket.settimeout(None if timeout is None else max(timeout, _SHORTEST))
                    view = view[self._socket.send(view) :]
            except TimeoutError as error:
                raise httpcore2.WriteTimeout(str(error)) from error
            except OSError as error:
                raise (NotSent if len(view) == len(buffer) else httpcore2.WriteError)(str(error)) from error
            finally:
                if self._is_closed:
                    self._close_if_unused()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _BlockingStream:
        self.check_nothing_unread()
        try:
            with connect_errors(), self._reading:
                if self._is_closed:
                    raise httpcore2.ConnectError(CLOSED)
                self._timeout = timeout
                self._socket.settimeout(None if timeout is None else max(timeout, _SHORTEST))
                if isinstance(self._socket, ssl.SSLSocket):  # of an https proxy
                    self._socket = TLSWithinTLS(self._socket, ssl_context, server_hostname)
                else:
                    options = {"server_hostname": server_hostname, "suppress_ragged_eofs": False}
                    self._socket = ssl_context.wrap_socket(self._socket, **options)  # type: ignore[arg-type]
        finally:
            if self._is_closed:
                self._close_if_unused()
        return self

    def share(self) -> None:
        """Make the socket non-blocking. From now on, use the methods with `now` in their names."""
        self._timeout = 0.0
        self._socket.settimeout(0.0)

    def has_pending(self) -> bool:
        """Whether TLS holds bytes that the socket does not report."""
        return isinstance(self._socket, ssl.SSLSocket | TLSWithinTLS) and self._socket.pending() > 0

    def wait_for_io(self, alarm: socket.socket, timeout: float, writing: bool) -> bool:
        """Wait until bytes have come, the alarm rings, or bytes can be sent (if `writing`); whether that happened."""
        try:
            with self._reading, selectors.DefaultSelector() as selector:
                if self._is_closed:
                    raise httpcore2.ReadError(CLOSED)
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
                selector.register(self._socket, events)
                selector.register(alarm, selectors.EVENT_READ)
                ready = selector.select(timeout)
                if any(key.fileobj is alarm for key, _ in ready):
                    alarm.recv(READ_SIZE)
                return bool(ready)
        except (OSError, ValueError) as error:
            raise httpcore2.ReadError(str(error)) from error
        finally:
            if self._is_closed:
                self._close_if_unused()

    def read_now(self, max_bytes: int) -> bytes | None:
        """The bytes that have come, `b""` at the end; `None` if there are none yet."""
        try:
            with self._reading:
                if self._is_closed:
                    raise httpcore2.ReadError(CLOSED)
                data: bytes = self._socket.recv(max_bytes)
                return data
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError:
            return b""
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error
        finally:
            if self._is_closed:
                self._close_if_unused()

    def write_now(self, data: bytes) -> int:
        """Send as many bytes as possible without waiting. Returns how many."""
        try:
            with self._writing:
                if self._is_closed:
                    raise httpcore2.WriteError(CLOSED)
                sent: int = self._socket.send(data)
                return sent
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error
        finally:
            if self._is_closed:
                self._close_if_unused()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            if isinstance(self._socket, TLSWithinTLS):
                return self._socket.session
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return super().get_extra_info(info)

    def close(self) -> None:
        self.abort()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call this function where the socket may be touched: here, anywhere."""
        function()

    def abort(self) -> None:
        """Drop the socket. A waiting thread is woken, and closes it: nobody may close it under that thread."""
        self._is_closed = True  # first: who comes to use the socket from here on, or leaves it, sees this
        with self._closing:
            self._close_if_unused()
            if self._process == os.getpid():  # otherwise it would be shut down for the parent, too
                with contextlib.suppress(OSError):  # it is closed, or gone already
                    self._shut_down()

    def _shut_down(self) -> None:
        if isinstance(self._socket, TLSWithinTLS):
            self._socket.shutdown(socket.SHUT_RDWR)
        else:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # SSLSocket's own drops TLS before

    def _close_if_unused(self) -> None:
        with self._closing:  # the number of a closed socket may be another one's at once
            if not (self._reading.locked() or self._writing.locked()):
                self._socket.close()

    def leave_to_parent(self) -> None:
        """In a forked child: close the copy of the parent's socket. The parent's own stays open."""
        self._is_closed = True
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and how."""

    host: str
    port: int
    path: str | None = None  # of a Unix socket, instead
    local_address: str | None = None
    socket_options: tuple[SocketOption, ...] | None = None  # default: TCP keep-alive

    def info(self, timeout: float | None) -> dict[str, Any]:
        """What httpx2's `trace` extension is told of the connecting."""
        options = {"timeout": timeout, "socket_options": self.socket_options}
        if self.path is not None:
            return {"path": self.path, **options}
        return {"host": self.host, "port": self.port, "local_address": self.local_address, **options}

    def open_socket(self, family: int) -> socket.socket:
        """A socket that is not connected yet, and does not block. Raises `OSError`."""
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            if self.path is None:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.socket_options is not None:
                set_options(opened, self.socket_options)
            elif self.path is None:
                with contextlib.suppress(OSError):  # the connection serves without
                    set_options(opened, KEEPALIVE_OPTIONS)
            if self.local_address is not None and self.path is None:
                opened.bind((self.local_address, 0))
        except BaseException:
            opened.close()
            raise
        return opened


def connect(target: Target, timeout: float | None, is_given_up: Callable[[], bool] | None = None) -> _BlockingStream:
    """Connect, for a synchronous call, within so many seconds, `None` for no limit.

    Raises:
        httpcore2.ConnectError: There is no connection.
        httpcore2.ConnectTimeout: There is none yet, or it `is_given_up`: nobody waits for it any more.
    """
    with connect_errors():
        if target.path is not None:
            connection = target.open_socket(socket.AF_UNIX)
            try:
                connection.settimeout(timeout)
                connection.connect(target.path)
            except BaseException:
                connection.close()
                raise
            return _BlockingStream(connection)
        found = numeric(target) or socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        return _BlockingStream(_first_connected(target, in_turns(found), timeout, is_given_up))


def _first_connected(
    target: Target, addresses: Sequence[Address], timeout: float | None, is_given_up: Callable[[], bool] | None
) -> socket.socket:
    """Connect to the addresses, and return the first socket that succeeds (RFC 8305, section 5)."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    waiting = deque(addresses)
    errors: list[OSError] = []
    with selectors.DefaultSelector() as connecting:
        try:
            while waiting or connecting.get_map():
                if waiting:
                    try:
                        connection = _begin(target, *waiting.popleft())
                    except OSError as error:
                        errors.append(error)
                        continue
                    connecting.register(connection, selectors.EVENT_WRITE)
                begins_next = time.monotonic() + ATTEMPT_DELAY if waiting else math.inf
                while not (ready := connecting.select(_LOOK_AROUND)):
                    now = time.monotonic()
                    if now >= deadline or (is_given_up is not None and is_given_up()):
                        raise TimeoutError("timed out")
                    if now >= begins_next:
                        break
                for key, _ in ready:
                    connection = key.fileobj  # type: ignore[assignment]  # nothing else is registered
                    connecting.unregister(connection)
                    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        connection.settimeout(None)
                        return connection
                    connection.close()
                    errors.append(OSError(code, os.strerror(code)))
        finally:
            for key in list(connecting.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    raise all_of(errors)


def _begin(target: Target, family: int, address: Any) -> socket.socket:
    connection = target.open_socket(family)
    code = connection.connect_ex(address)
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        connection.close()
        raise OSError(code, os.strerror(code))
    return connection


def all_of(errors: Sequence[BaseException]) -> OSError:
    """One error for all attempts to connect."""
    words = dict.fromkeys(map(str, errors))
    return OSError("; ".join(words) or "the name has no address")


def numeric(target: Target) -> list[tuple[Any, ...]]:
    """The result of a lookup, for a numeric address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, target.host)
            return [(family, socket.SOCK_STREAM, 0, "", (target.host, target.port))]
    return []


def in_turns(found: Sequence[tuple[Any, ...]]) -> list[Address]:
    """The addresses, ordered so that the families take turns (RFC 8305, section 4)."""
    families: dict[int, list[Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]


def set_options(connection: Any, options: Iterable[SocketOption]) -> None:
    """Set the options of a socket."""
    for option in options:
        connection.setsockopt(*option)
