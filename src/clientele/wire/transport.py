"""Our httpx2 transports.

`WireTransport` serves synchronous calls from any thread. `AsyncWireTransport` serves asyncio, uvloop and trio. It has
separate connections for each event loop, and closes them when the loop shuts down. You need not close either transport:
connections that nobody holds are closed. After a fork, the child opens its own connections.

Both sides share the steps of a request (`steps.py`).
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import os
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import anyio
import httpcore2
import httpx2

from ..event_loop import PerLoop
from ..exceptions import THROUGH_PROXY
from ..proxies import name_of
from .connections import Connections, Interrupt
from .exchange import HTTPCORE2_ERRORS, AsyncResponseBody, Exchange, ResponseBody, httpx2_error, words
from .http11 import RequestWriter
from .network import NotSent, SocketOption, Target, connect
from .response import WireResponse
from .socks import Received, handshake
from .steps import CANNOT_AWAIT, settled, traced
from .tls import OfferingContext

CertTypes: TypeAlias = str | tuple[str, str] | tuple[str, str, str]
ProxyTypes: TypeAlias = str | httpx2.URL | httpx2.Proxy

DEFAULT_LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
"""httpx2's own default."""

DEFAULT_STREAM_WINDOW = 1024 * 1024
"""How much a server may send on one stream of HTTP/2 before its data is taken, in bytes."""

INTERRUPT = "clientele.interrupt"
"""The extension of a request that may be given up from another thread: an `Interrupt`."""

_MAX_ATTEMPTS = 3  # to send a request that HTTP/2 servers say they have not processed
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_PORTS = {b"http": 80, b"ws": 80, b"https": 443, b"wss": 443}
_OVER_TLS = (b"https", b"wss")


class _Wire:
    """The base of both transports."""

    _body_class: Any
    _shared_class: str  # of connections that speak HTTP/2
    _connect_to: Any  # a target, within a timeout
    _sleep: Any

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool = True,
        cert: CertTypes | None = None,
        trust_env: bool = True,
        limits: httpx2.Limits = DEFAULT_LIMITS,
        proxy: ProxyTypes | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[SocketOption] | None = None,
        http1: bool = True,
        http2: bool = False,
        stream_window: int = DEFAULT_STREAM_WINDOW,
    ) -> None:
        context = httpx2.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        protocols = ["h2"] * http2 + ["http/1.1"] * http1
        offering = context if isinstance(context, OfferingContext) else OfferingContext(lambda: context, protocols)
        if not 1 <= stream_window < 2**31:
            raise ValueError(f"stream_window is {stream_window!r}; it is a number of bytes from 1 to 2 GiB")
        self._http1, self._http2, self._stream_window = http1, http2, stream_window
        self._ssl_context = offering
        self._limits = limits
        self._uds = uds
        self._local_address = local_address
        self._retries = retries
        self._socket_options = None if socket_options is None else tuple(socket_options)
        self._proxy = httpx2.Proxy(proxy) if isinstance(proxy, str | httpx2.URL) else proxy
        self._proxy_headers: list[tuple[bytes, bytes]] = []
        self._is_socks = self._proxy is not None and self._proxy.url.scheme.startswith("socks")
        self._proxy_context: OfferingContext | None = None  # of TLS to the proxy itself
        if self._proxy is not None and not self._is_socks:
            if self._proxy.url.scheme == "https":
                given = self._proxy.ssl_context
                make = functools.cache(lambda: given or httpx2.create_ssl_context(trust_env=trust_env))
                self._proxy_context = OfferingContext(make, ["http/1.1"])
            self._proxy_headers += self._proxy.headers.raw
            if self._proxy.raw_auth is not None:
                credentials = base64.b64encode(b":".join(self._proxy.raw_auth))
                self._proxy_headers.insert(0, (b"Proxy-Authorization", b"Basic " + credentials))

    async def _handle(self, request: httpx2.Request, connections: Connections) -> httpx2.Response:
        exchange = self._exchange(request)
        origin = exchange.origin
        interrupt: Interrupt | None = request.extensions.get(INTERRUPT)
        attempts = 1
        try:
            ticket = await connections.acquire(origin, exchange.timeouts.get("pool"), interrupt)
            while True:
                connection = ticket.connection
                is_used_again = connection is not None
                if connection is None:
                    try:
                        connection = await self._connect(request, exchange)
                    except BaseException:
                        connections.withdraw(ticket)
                        raise
                    if connection.is_shared:
                        connection.on_change = _ChangeOf(connections, connection, origin)
                    connections.do(connections.pool.opened, connection, origin)
                stream = connection.stream() if connection.is_shared else connection
                if interrupt is not None:
                    interrupt.watch(stream.abort)
                try:
                    reader = await exchange.send(stream, is_used_again=is_used_again)
                    break
                except BaseException as error:
                    stream.abort()
                    if is_used_again and isinstance(error, NotSent):  # the server cannot have seen any of it
                        connections.do(connections.pool.replace, ticket)
                        continue
                    connections.release(connection, origin, is_reusable=False)  # even if the trace raises
                    if exchange.can_send_again(error) and attempts < _MAX_ATTEMPTS:
                        attempts += 1
                        ticket = await connections.acquire(origin, exchange.timeouts.get("pool"), interrupt)
                        continue
                    await traced(exchange.trace, f"{stream.protocol}.response_closed", {}, bool)
                    raise
        except HTTPCORE2_ERRORS as error:
            raise httpx2_error(error) from error
        body = self._body_class(stream, reader, exchange, functools.partial(connections.release, connection, origin))
        body.transport = self  # which would close its connections if it were dropped
        if interrupt is not None:
            interrupt.watch(body.let_go)
        assert reader.head is not None
        http_version, status, reason, headers = reader.head
        if reader.is_upgraded:
            connection.unread(reader.take())
        extensions = {"http_version": http_version, "reason_phrase": reason, "network_stream": stream}
        response = WireResponse(status, headers=headers, stream=body, extensions=extensions)
        response.wire_body = response.direct_body = body
        return response

    def _exchange(self, request: httpx2.Request) -> Exchange:
        """The request as it is sent. Raises `httpx2.UnsupportedProtocol`: its URL cannot be connected to."""
        extensions, url = request.extensions, request.url
        scheme = url.raw_scheme
        if scheme not in _PORTS:
            found = f"{url.scheme}://" if url.scheme else "a path alone"
            raise httpx2.UnsupportedProtocol(f"requests go to http:// and https://, not to {found}")
        target, headers = extensions.get("target", url.raw_path), request.headers.raw
        if self._proxy is not None and not self._is_socks and scheme == b"http":
            own = {name.lower() for name, _ in headers}
            headers = [field for field in self._proxy_headers if field[0].lower() not in own] + headers
            if target.startswith(b"/"):
                target = b"http://" + url.netloc + target
        method, timeouts, trace = request.method.encode("ascii"), extensions.get("timeout", {}), extensions.get("trace")
        info = {}
        if trace is not None:
            traced_url = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
            info["request"] = httpcore2.Request(
                method, traced_url, headers=headers, content=request.stream, extensions=extensions
            )
        origin = (scheme, url.raw_host, url.port or _PORTS[scheme])
        return Exchange(origin, RequestWriter(method, target, headers), request.stream, timeouts, trace, info)

    async def _connect(self, request: httpx2.Request, exchange: Exchange) -> Any:
        _, host, port = exchange.origin
        if self._proxy is not None:
            host, port = self._proxy.url.raw_host, self._proxy.url.port or _PROXY_PORTS[self._proxy.url.scheme]
        target = Target(host.decode("ascii"), port, self._uds, self._local_address, self._socket_options)
        info = target.info(exchange.timeouts.get("connect"))
        for number in range(self._retries + 1):
            try:
                return await self._connect_once(request, exchange, target, info)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                if number == self._retries:
                    if self._proxy is None:
                        raise
                    raise type(error)(f"{THROUGH_PROXY} {name_of(self._proxy)}: {words(error)}") from error
                delay = 0.0 if number == 0 else 2.0 ** (number - 2)
                await traced(exchange.trace, "connection.retry", info, functools.partial(self._sleep, delay))
        raise AssertionError("the last attempt either connects or raises")

    async def _connect_once(
        self, request: httpx2.Request, exchange: Exchange, target: Target, info: dict[str, Any]
    ) -> Any:
        scheme, host, _ = exchange.origin
        timeout = exchange.timeouts.get("connect")
        name = "connection.connect_tcp" if self._uds is None else "connection.connect_unix_socket"
        interrupt: Interrupt | None = request.extensions.get(INTERRUPT)
        options = () if interrupt is None else (interrupt.is_set,)
        stream = await traced(exchange.trace, name, info, lambda: self._connect_to(target, timeout, *options))
        if interrupt is not None:
            interrupt.watch(stream.abort)
        protocol = None
        try:
            if self._proxy is not None and self._proxy_context is not None:
                own_tls = {"ssl_context": self._proxy_context, "server_hostname": self._proxy.url.host}
                begin = functools.partial(stream.start_tls, **own_tls, timeout=timeout)
                await traced(exchange.trace, "proxy.start_tls", {**own_tls, "timeout": timeout}, begin)
            needs_tunnel = self._proxy is not None and (self._is_socks or scheme != b"http")
            if self._proxy is not None and needs_tunnel:
                with _naming(self._proxy):
                    await (self._ask_socks if self._is_socks else self._open_tunnel)(stream, exchange)
            if scheme in _OVER_TLS:
                server_hostname = request.extensions.get("sni_hostname") or host.decode("ascii")
                tls = {"ssl_context": self._ssl_context, "server_hostname": server_hostname, "timeout": timeout}
                name = "proxy.start_tls" if needs_tunnel else "connection.start_tls"
                await traced(exchange.trace, name, tls, lambda: stream.start_tls(**tls))
                protocol = stream.get_extra_info("ssl_object").selected_alpn_protocol()
            if protocol not in (None, *self._ssl_context.protocols):
                what = f"the server insists on {protocol!r}, but this transport speaks {self._ssl_context.protocols}"
                raise httpcore2.ConnectError(what)  # noqa: TRY301
            if protocol == "h2" or (protocol is None and not self._http1):
                return self._shared(stream)
        except BaseException:
            stream.abort()
            raise
        return stream

    def _shared(self, stream: Any) -> Any:
        """The connection that many exchanges share over this stream."""
        from . import shared  # with h2, which is an extra

        connection = getattr(shared, self._shared_class)(stream, self._stream_window)
        connection.start()
        return connection

    async def _ask_socks(self, stream: Any, exchange: Exchange) -> None:
        """Ask a SOCKS proxy for a connection to the origin."""
        assert self._proxy is not None
        _, host, port = exchange.origin
        timeout = exchange.timeouts.get("connect")
        stream.reader = Received()
        steps = handshake(host.decode("ascii"), port, self._proxy.raw_auth)
        try:
            data, size = next(steps)
            while True:
                await settled(stream.write(data, timeout))
                data, size = steps.send(await _read_exactly(stream, size, timeout))
        except StopIteration:
            stream.unread(stream.reader.take())
            stream.reader = None  # whoever comes next sets its own

    async def _open_tunnel(self, stream: Any, exchange: Exchange) -> None:
        """Ask the proxy for a tunnel to the origin (RFC 9110, section 9.3.6)."""
        _, host, port = exchange.origin
        target = b"%b:%d" % (b"[%b]" % host if b":" in host else host, port)
        own = {name.lower() for name, _ in self._proxy_headers}
        headers = [field for field in ((b"Host", target), (b"Accept", b"*/*")) if field[0].lower() not in own]
        headers += self._proxy_headers
        writer, nothing = RequestWriter(b"CONNECT", target, headers), httpx2.ByteStream(b"")
        reader = await replace(exchange, writer=writer, content=nothing).send(stream)
        _, status, reason, _ = reader.take_head()
        if not 200 <= status < 300:
            raise httpx2.ProxyError(f"{status} {reason.decode('ascii', 'ignore')}".strip())
        stream.unread(reader.take())
        stream.reader = None


@contextlib.contextmanager
def _naming(proxy: httpx2.Proxy) -> Iterator[None]:
    """Name the proxy in its errors."""
    try:
        yield
    except httpx2.ProxyError as error:
        raise httpx2.ProxyError(f"{name_of(proxy)}: {error}") from error
    except (*HTTPCORE2_ERRORS, httpx2.TransportError) as error:
        raise type(error)(f"{THROUGH_PROXY} {name_of(proxy)}: {words(error)}") from error


async def _read_exactly(stream: Any, size: int, timeout: float | None) -> bytes:
    data = b""
    while len(data) < size:
        piece = await settled(stream.read(size - len(data), timeout))
        if not piece:
            raise httpx2.ProxyError("it ended the connection")
        data += piece
    return data


class _ChangeOf:
    """Tells the pool that a shared connection has changed. It holds the connections weakly, which hold it."""

    def __init__(self, connections: Connections, connection: Any, origin: Any) -> None:
        self._connections = weakref.ref(connections)
        self._connection = weakref.ref(connection)
        self._origin = origin

    def __call__(self) -> None:
        connections, connection = self._connections(), self._connection()
        if connections is not None and connection is not None:
            connections.do(connections.pool.changed, connection, self._origin)


class WireTransport(_Wire, httpx2.BaseTransport):
    """An httpx2 transport for synchronous calls.

        with httpx2.Client(transport=WireTransport()) as client:
            response = client.get("https://example.com")

    It takes the keywords of `httpx2.HTTPTransport`, and `stream_window`: how much a server may send on one stream of
    HTTP/2 before its data is taken, in bytes (default 1 MiB). What differs:

    - over HTTP/2 requests share a connection from the first on; a response that is left is reset at once; and what the
      server says it has not processed (`GOAWAY`, `REFUSED_STREAM`) is sent again;
    - TCP keep-alive is on, unless `socket_options` are given;
    - names with several addresses are connected to as RFC 8305 says, on the synchronous side, too;
    - a response is refused if its framing is ambiguous, if its transfer coding is not chunked, or if its head is larger
      than 100 KiB or has more than 1,024 fields; bytes behind its end end the connection;
    - a connection serves again after HTTP/1.0 with `Connection: keep-alive`;
    - a request that could not be written at all, as its server had closed the idle connection, is sent over another;
    - after a read timeout, or a cancelled read, the body can be read on; bytes that came before TLS are an error;
    - an unknown content coding is an error where the content is read.

    Raises:
        ValueError: The proxy is not an http proxy.
    """

    _body_class = ResponseBody
    _shared_class = "BlockingSharedConnection"
    _connect_to = staticmethod(connect)
    _sleep = staticmethod(time.sleep)

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._connections = self._open_connections()
        _transports.add(self)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and give the response as soon as its head has arrived.

        Raises:
            httpx2.TransportError: There is no response.
        """
        handling = self._handle(request, self._connections)
        try:
            handling.send(None)  # as `run` does it; this is a call that every request goes through
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        handling.close()
        raise RuntimeError(CANNOT_AWAIT)

    def close(self) -> None:
        """Close all connections. The transport can be used again, and opens others then."""
        self._connections.close()

    def close_idle(self) -> None:
        """Close the connections that serve no request."""
        self._connections.do(self._connections.pool.close_idle)

    def leave_to_parent(self) -> None:
        """In a forked child: close its copies of the sockets, which leaves those of the parent open."""
        pool = self._connections.pool
        pool.close()
        for stream in pool.retired:
            stream.leave_to_parent()
        self._connections = self._open_connections()

    def _open_connections(self) -> Connections:
        connections = Connections(self._limits, threading.Event, may_share=self._http2)
        weakref.finalize(self, connections.close).atexit = False  # then a daemon thread may still read a stream
        return connections


class AsyncWireTransport(_Wire, httpx2.AsyncBaseTransport):
    """The asynchronous twin of `WireTransport`, for asyncio, uvloop and trio; its limits hold for each event loop.

    Over TLS, asyncio and uvloop end both directions when the server ends its own. An answer that the server gives, and
    closes the connection, before it has read all of the request may be lost with that.
    """

    _body_class = AsyncResponseBody
    _shared_class = "AsyncSharedConnection"
    _sleep = staticmethod(anyio.sleep)

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        from .async_network import aconnect  # with asyncio, which synchronous calls have no need of

        self._connect_to = aconnect
        self._connections = PerLoop(functools.partial(Connections, self._limits, anyio.Event, may_share=self._http2))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and give the response as soon as its head has arrived.

        Raises:
            httpx2.TransportError: There is no response.
        """
        return await self._handle(request, self._connections.here())

    async def aclose(self) -> None:
        """Close the connections of the running event loop; those of others are closed there."""
        await self._connections.aclose()

    def close_soon(self) -> None:
        """Have all event loops close their connections. Safe in any thread, and in a finalizer."""
        self._connections.close_soon()


_transports: weakref.WeakSet[WireTransport] = weakref.WeakSet()


@atexit.register
def _close_idle_connections() -> None:
    for transport in list(_transports):
        transport.close_idle()


def _leave_to_parent() -> None:
    for transport in list(_transports):
        transport.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
