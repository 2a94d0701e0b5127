"""httpx2 over aiohttp: what asynchronous calls under asyncio ride on.

aiohttp's parser is written in C, and costs much less CPU time for each event than httpx2's own transport does.
httpx2 stays the interface: redirects, cookies, auth, decoding and hooks are its own, and aiohttp is given nothing to do
but to send one request over one connection and to hand on what comes back.

Connections belong to an event loop, so there is one aiohttp session for each that the transport is used in. It is
closed with the transport, or when its event loop shuts down.

What aiohttp does not do as httpx2 does is done around it: the limits and the pool's timeout by a connector that counts
(`aiohttp_connections.py`); the write timeout by the body that is being sent, and the read timeout by the reader of the
body that comes, which also gives out what arrived before a failure (`aiohttp_bodies.py`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import os
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import aiohttp
import httpx2
from multidict import CIMultiDict
from yarl import URL

from ..event_loop import EventLoop, is_trio
from ..exceptions import excerpt
from ..headers import is_token
from .aiohttp_bodies import NetworkStream, ResponseStream, Upload
from .aiohttp_connections import MAX_HEAD_SIZE, Connector, Request, TCPConnector, UnixConnector
from .keepalive import SocketOption, set_keepalive, set_socket_options

CertTypes: TypeAlias = str | tuple[str, str] | tuple[str, str, str]
ProxyTypes: TypeAlias = str | httpx2.URL | httpx2.Proxy

DEFAULT_LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
"""httpx2's own default."""


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport for asyncio that sends with aiohttp.

        async with httpx2.AsyncClient(transport=AiohttpTransport()) as client:
            response = await client.get("https://example.com")

    One instance serves several event loops, at once or one after another. It need not be closed: the connections of an
    event loop are closed when that shuts down (as `asyncio.run` ends with). After a fork the child opens its own.

    The keywords have the meaning, and the defaults, that they have for `httpx2.AsyncHTTPTransport`, which speaks HTTP/2
    and SOCKS, too, and runs under trio. Besides, this one differs in that:

    - TCP keep-alive is on, unless `socket_options` are given;
    - the connect timeout covers all that opening takes, the name's lookup and TLS included, where httpx2 allows as much
      for each step; and the head of a request, and a body of at most 32 KiB, wait in a buffer, not for the write
      timeout;
    - a body goes out while the response may come in, so that an error in it may come out where the response is read;
      with `Expect: 100-continue` it waits for the server's word, within the write timeout;
    - an idle connection gives way to a new one for another origin just after that was opened, not before;
    - a proxy is asked for a tunnel with the request's `Host`, and aiohttp's own `User-Agent` and `Accept-Encoding`,
      beside the proxy's headers; it grants it with the status 200 alone, and within the connect timeout;
    - a proxy may be `http` or `https`, the latter verified as `verify` says, without an `ssl_context` of its own;
    - over a Unix socket there is no TLS, and no TCP keep-alive;
    - the value of a header must be UTF-8, without control characters, and may begin and end with blanks; all headers of
      one name are sent with the spelling of the first; a host that looks like an IPv4 address must be a canonical one;
    - a refused `Expect: 100-continue`, and an answer to `HEAD` without the length of the body that it has not, end the
      connection;
    - a trailing `?` without a query is not sent;
    - of malformed responses each takes some that the other refuses;
    - `network_stream` tells about the connection (`socket`, `ssl_object`, `client_addr`, `server_addr`), and cannot be
      read or written; the extensions `trace` and `target` are ignored.

    Parameters:
        verify: A TLS context, the path of the certificates to trust, `True` for the default ones, `False` to trust
            every certificate.
        cert: A client's certificate: its file, or that and the key's, or those and its password.
        trust_env: Whether the environment may name the certificates to trust. Default `True`.
        limits: How many connections there may be, for each event loop: by default 100, of which 20 stay open for 5
            seconds while they are idle.
        proxy: The proxy of all requests. Default: none; the environment's proxies are an affair of httpx2's clients.
        uds: The path of a Unix socket to connect to, whatever the URL says.
        local_address: The address to connect from.
        retries: How often a connection that failed is tried again. Default 0.
        socket_options: Options of the sockets. Default: TCP keep-alive after a minute.

    Raises:
        ValueError: The proxy is one that aiohttp does not speak to.
    """

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
    ) -> None:
        self._ssl_context = httpx2.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._limits = limits
        self._proxy = None if proxy is None else _Proxy(proxy)
        self._uds = uds
        self._local_address = local_address
        self._retries = retries
        self._socket_options = None if socket_options is None else list(socket_options)
        self._sessions: weakref.WeakKeyDictionary[EventLoop, _Session] = weakref.WeakKeyDictionary()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and give the response as soon as its head has arrived.

        Raises:
            httpx2.TransportError: There is no response.
            RuntimeError: No asyncio event loop is running.
        """
        if request.url.scheme not in ("http", "https"):
            raise httpx2.UnsupportedProtocol(
                f"aiohttp sends to http:// and https://, not to {request.url.scheme!r}", request=request
            )
        if self._uds is not None and request.url.scheme == "https":
            raise httpx2.UnsupportedProtocol(
                "aiohttp speaks no TLS over a Unix socket; use httpx2.AsyncHTTPTransport for that", request=request
            )
        if is_trio():
            raise RuntimeError("AiohttpTransport needs asyncio; under trio httpx2.AsyncHTTPTransport serves")
        event_loop = await EventLoop.running()
        for delay in _delays(self._retries):
            try:
                return await self._session(event_loop).send(request, event_loop)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if delay is None:
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("the last attempt either gives a response or raises")

    async def aclose(self) -> None:
        """Close the connections of the running event loop; those of others are closed there."""
        for event_loop, session in list(self._sessions.items()):
            if event_loop.is_running_here():
                await session.aclose()
                event_loop.forget(session)
            else:
                event_loop.close_soon(session)
        self._sessions.clear()

    def _session(self, event_loop: EventLoop) -> _Session:
        session = self._sessions.get(event_loop)
        if session is None:
            session = self._sessions[event_loop] = _Session(self._connector(), self._ssl_context, self._proxy)
            event_loop.close_at_shutdown(session)
        return session

    def _connector(self) -> Connector:
        options: dict[str, Any] = {"limit": 0, "keepalive_timeout": self._limits.keepalive_expiry}
        if self._uds is not None:
            return UnixConnector(self._limits, path=self._uds, **options)
        return TCPConnector(
            self._limits,
            resolver=aiohttp.ThreadedResolver(),
            use_dns_cache=False,
            local_addr=None if self._local_address is None else (self._local_address, 0),
            socket_factory=self._open_socket,
            timeout_ceil_threshold=math.inf,  # no rounding up to whole seconds
            **options,
        )

    def _open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = socket.socket(family, kind, protocol)
        try:
            if self._socket_options is None:
                set_keepalive(opened)
            else:
                set_socket_options(opened, self._socket_options)
        except BaseException:
            opened.close()
            raise
        return opened


class AiohttpClient(httpx2.AsyncClient):
    """httpx2's asynchronous client, with `AiohttpTransport` wherever it would take its own transport by itself.

    Where a transport is handed over, or a proxy is none that aiohttp speaks to, it does as httpx2's does.
    """

    def _init_transport(  # type: ignore[override]  # called with keywords only
        self, *, transport: httpx2.AsyncBaseTransport | None = None, **settings: Any
    ) -> httpx2.AsyncBaseTransport:
        return AiohttpTransport(**_known(settings)) if transport is None else transport

    def _init_proxy_transport(  # type: ignore[override]
        self, proxy: httpx2.Proxy, **settings: Any
    ) -> httpx2.AsyncBaseTransport:
        if proxy.url.scheme != "http":  # httpx2 verifies an https proxy with a context of the proxy's own
            return super()._init_proxy_transport(proxy, **settings)
        return AiohttpTransport(proxy=proxy, **_known(settings))


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in ("verify", "cert", "trust_env", "limits")}


class _Session:
    """The connections of one event loop."""

    def __init__(self, connector: Connector, ssl_context: ssl.SSLContext, proxy: _Proxy | None) -> None:
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._connector = connector
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=connector,
            request_class=Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=MAX_HEAD_SIZE,
            max_field_size=MAX_HEAD_SIZE,
            max_headers=MAX_HEAD_SIZE,
        )
        self._responses: weakref.WeakSet[aiohttp.ClientResponse] = weakref.WeakSet()
        _sessions.add(self)

    async def send(self, request: httpx2.Request, event_loop: EventLoop) -> httpx2.Response:
        """Send a request, and give the response as soon as its head has arrived."""
        exchange = _Exchange(request)
        timeouts = exchange.timeouts
        headers = _aiohttp_headers(request)
        if exchange.upload.is_chunked:
            headers.popall("Transfer-Encoding", None)  # aiohttp says it itself
        options = {} if self._proxy is None else self._proxy.options(request.url, headers)
        with exchange.upload.errors():
            response = await self._session.request(
                request.method,
                _aiohttp_url(request.url),
                headers=headers,
                data=exchange.upload.data,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=_aiohttp_timeout(timeouts.get("connect")),
                    sock_read=_aiohttp_timeout(timeouts.get("read")),
                    ceil_threshold=math.inf,
                ),
                ssl=self._ssl_context,
                server_hostname=request.extensions.get("sni_hostname"),
                middlewares=(exchange,),
                **options,
            )
        self._responses.add(response)
        return exchange.response(response, event_loop)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._loop.is_closed():
            self._connector.let_go()
        self._connector.close_active()
        for response in list(self._responses):  # one that somebody still holds would warn that nobody closed it
            response.close()
        await self._session.close()

    def leave_to_parent(self) -> None:
        """Forget the connections in a forked child, without closing them."""
        self._connector.leave_to_parent()
        self._session.detach()


_sessions: weakref.WeakSet[_Session] = weakref.WeakSet()


def _leave_sessions_to_parent() -> None:
    for session in list(_sessions):
        session.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_sessions_to_parent)


_closings: set[asyncio.Future[None]] = set()  # asyncio itself holds its tasks weakly


class _Exchange:
    """One request and its response; in aiohttp's words a middleware, around the sending itself."""

    def __init__(self, request: httpx2.Request) -> None:
        self.timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        self.upload = Upload(request, self.timeouts.get("write"))
        self._request = request
        self._sent: Request

    async def __call__(
        self, sent: aiohttp.ClientRequest, send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
    ) -> aiohttp.ClientResponse:
        assert isinstance(sent, Request)
        self._sent = sent
        sent.pool_timeout = self.timeouts.get("pool")
        sent.begin_upload = self.upload.begin
        if "Content-Length" not in self._request.headers and self.upload.data is None:
            sent.headers.popall("Content-Length", None)  # aiohttp's own
        try:
            with self.upload.errors():  # here already: aiohttp would send once more after some of them
                async with self.upload.deadline():
                    response = await send(sent)
        except BaseException:
            await self._abort()
            raise
        if response.connection is not None and sent.protocol is not None:
            sent.protocol.begin_body(response.content)
        return response

    async def _abort(self) -> None:
        """Close the connection, if there is one, without sending what is still in its buffer."""
        closed = None if self._sent.protocol is None else self._sent.protocol.closed
        if self._sent.transport is not None:
            self._sent.transport.abort()
        self._sent.terminate()  # what writes the body
        closing = asyncio.ensure_future(self._wait_until_closed(closed))
        _closings.add(closing)
        closing.add_done_callback(_closings.discard)
        await asyncio.shield(closing)  # it ends in order, even if whoever waits for it is cancelled once more

    async def _wait_until_closed(self, closed: asyncio.Future[None] | None) -> None:
        await self.upload.aclose()
        if closed is not None:
            with contextlib.suppress(aiohttp.ClientConnectionError):  # how it ended is nobody's concern any more
                await closed

    def response(self, response: aiohttp.ClientResponse, event_loop: EventLoop) -> httpx2.Response:
        """The response in httpx2's words."""
        protocol, transport = self._sent.protocol, self._sent.transport
        assert protocol is not None
        assert transport is not None
        version = response.version or aiohttp.HttpVersion11
        return httpx2.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=ResponseStream(response, protocol, self._request, self.upload, event_loop, self._abort),
            extensions={
                "http_version": f"HTTP/{version.major}.{version.minor}".encode(),
                "reason_phrase": (response.reason or "").encode("utf-8", "surrogateescape"),
                "network_stream": NetworkStream(transport),
            },
        )


class _Proxy:
    """A proxy, in the words of aiohttp."""

    def __init__(self, proxy: ProxyTypes) -> None:
        if not isinstance(proxy, httpx2.Proxy):
            proxy = httpx2.Proxy(proxy)
        if proxy.url.scheme not in ("http", "https"):
            raise ValueError(
                f"aiohttp speaks to http and https proxies, not to {proxy.url.scheme}; "
                "use httpx2.AsyncHTTPTransport for this one"
            )
        if proxy.ssl_context is not None:
            raise ValueError(
                "aiohttp verifies an https proxy as it does the servers; give the ssl_context as verify=, "
                "or use httpx2.AsyncHTTPTransport"
            )
        self.url = _aiohttp_url(proxy.url)
        self.headers: CIMultiDict[str] = CIMultiDict(proxy.headers.multi_items())
        if proxy.raw_auth is not None:
            credentials = base64.b64encode(b":".join(proxy.raw_auth)).decode()
            self.headers["Proxy-Authorization"] = f"Basic {credentials}"

    def options(self, url: httpx2.URL, headers: CIMultiDict[str]) -> dict[str, Any]:
        """What aiohttp is told; the headers are completed for a request that the proxy itself reads."""
        if url.scheme == "https":
            return {"proxy": self.url, "proxy_headers": self.headers}
        headers.extend([(name, value) for name, value in self.headers.items() if name not in headers])
        return {"proxy": self.url}


def _delays(retries: int) -> list[float | None]:
    """How long to wait after each failed attempt, in seconds; `None` after the last."""
    return [*(0.0 if attempt == 0 else 0.25 * 2**attempt for attempt in range(retries)), None]


def _aiohttp_timeout(timeout: float | None) -> float | None:
    """No time at all would be no timeout to aiohttp."""
    return None if timeout is None else max(timeout, 1e-6)


def _aiohttp_url(url: httpx2.URL) -> URL:
    return URL(f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}", encoded=True)


def _aiohttp_headers(request: httpx2.Request) -> CIMultiDict[str]:
    try:
        headers = [(name.decode("ascii"), value.decode("utf-8")) for name, value in request.headers.raw]
    except UnicodeDecodeError as error:
        raise httpx2.LocalProtocolError(f"a header is not UTF-8: {error}", request=request) from error
    for token in (request.method, *(name for name, _ in headers)):
        if not is_token(token):
            raise httpx2.LocalProtocolError(f"{excerpt(token)!r} is no name of a method or header", request=request)
    first: dict[str, str] = {}  # of the ways in which a name is spelled; aiohttp drops others
    together = CIMultiDict((first.setdefault(name.lower(), name), value) for name, value in headers)
    if len(together.getall("Host", ())) > 1:
        raise httpx2.LocalProtocolError("there is more than one Host header", request=request)
    return together
