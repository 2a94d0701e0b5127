"""The httpx2 clients under an `APIClient`, one for synchronous and one for asynchronous calls, and their transports.

Nothing is opened before it is needed. Both share their settings, their cookies and one TLS context. Requests use the
transports of `wire/`; only HTTP/2, SOCKS and https proxies use httpx2's own. Connections are closed with the
`APIClient`, or when it is collected, when their event loop shuts down, or when the interpreter exits, whichever comes
first. After a fork, those of the parent stay with the parent.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.cookiejar import CookieJar
from importlib.util import find_spec
from typing import Any, TypeAlias, TypedDict
from urllib.request import getproxies

import httpx2

from .event_loop import EventLoop, PerLoop
from .headers import HeaderTypes, checked_headers
from .redirects import redirect_hooks
from .wire.network import KEEPALIVE_OPTIONS
from .wire.steps import settled
from .wire.tls import OfferingContext
from .wire.transport import DEFAULT_LIMITS, AsyncWireTransport, WireTransport

Primitive: TypeAlias = str | int | float | bool | None
QueryParamTypes: TypeAlias = (
    httpx2.QueryParams | Mapping[str, Primitive | Sequence[Primitive]] | Sequence[tuple[str, Primitive]] | str
)
CookieTypes: TypeAlias = httpx2.Cookies | CookieJar | dict[str, str] | list[tuple[str, str]]
AuthTypes: TypeAlias = tuple[str, str] | Callable[[httpx2.Request], httpx2.Request] | httpx2.Auth
TimeoutTypes: TypeAlias = float | tuple[float | None, float | None, float | None, float | None] | httpx2.Timeout | None


class HTTPClientSettings(TypedDict, total=False):
    """The keywords of `httpx2.Client` that hold for synchronous and asynchronous calls alike.

    They have the meaning that they have there, and its defaults, but that redirects are followed unless said otherwise.

    Attributes:
        headers: Sent with every request.
        params: Query parameters of every request.
        cookies: Sent with every request; those that servers set join them.
        auth: A user name and password, or any `httpx2.Auth`.
        timeout: Timeouts in seconds, default 5; the read timeout does not apply to streams.
        follow_redirects: Default `True`.
        max_redirects: Default 20.
        verify: A TLS context, or `False` to trust every certificate.
        trust_env: Whether proxies and the like are taken from the environment. Default `True`.
        http1: Whether HTTP/1.1 is spoken. Default `True`.
        http2: Whether HTTP/2 is spoken. Default `False`.
        proxy: The URL of a proxy for all requests.
        mounts: Transports for some URLs.
        limits: How many connections there may be.
        event_hooks: Functions to call with every `"request"` and `"response"`.
        default_encoding: The encoding of text that does not say its own.
    """

    headers: HeaderTypes
    params: QueryParamTypes
    cookies: CookieTypes
    auth: AuthTypes
    timeout: TimeoutTypes
    follow_redirects: bool
    max_redirects: int
    verify: ssl.SSLContext | bool
    trust_env: bool
    http1: bool
    http2: bool
    proxy: str | httpx2.URL | httpx2.Proxy
    mounts: Mapping[str, httpx2.BaseTransport | httpx2.AsyncBaseTransport | None]
    limits: httpx2.Limits
    event_hooks: Mapping[str, list[Callable[..., Any]]]
    default_encoding: str | Callable[[bytes], str | None]


_CLOSED = "the client has been closed; a client that is to be used again must stay open"
_OF_TRANSPORTS = ("verify", "http1", "http2", "proxy", "limits", "mounts", "event_hooks")
"""The settings that an httpx2 client does not take as they are."""


class HTTPClients:
    """Makes httpx2 clients where they are needed, and closes them. The parameters are those of `APIClient`.

    Raises:
        ImportError: HTTP/2 is asked for, and its package is missing.
        TypeError: A client or transport is for the other side.
        ValueError: A header cannot be sent.
    """

    def __init__(
        self,
        settings: HTTPClientSettings,
        *,
        base_url: str = "",
        transport: httpx2.BaseTransport | None = None,
        async_transport: httpx2.AsyncBaseTransport | None = None,
        client: httpx2.Client | None = None,
        async_client: httpx2.AsyncClient | None = None,
    ) -> None:
        for name, given, kind in (
            ("http_client", client, httpx2.Client),
            ("async_http_client", async_client, httpx2.AsyncClient),
            ("transport", transport, httpx2.BaseTransport),
            ("async_transport", async_transport, httpx2.AsyncBaseTransport),
        ):
            if given is not None and not isinstance(given, kind):
                raise TypeError(f"{name} must be of type httpx2.{kind.__name__}; it is of type {type(given).__name__}")
        self.headers = checked_headers(settings.get("headers"))
        self.is_closed = False
        self._settings: dict[str, Any] = {"follow_redirects": True, **settings}
        self._settings["cookies"] = httpx2.Cookies(settings.get("cookies")).jar
        self._transport = transport
        self._async_transport = async_transport
        self._given_client = client
        self._given_async_client = async_client
        self._clients: dict[int, httpx2.Client] = {}
        self._async_client: httpx2.AsyncClient | None = None
        self._async_transports: list[AsyncWireTransport | _PerLoopTransport] = []
        if settings.get("http2") and find_spec("h2") is None:
            raise ImportError("http2=True needs the package h2: run pip install h2")
        tls = settings.get("verify", True), settings.get("trust_env", True), settings.get("http2", False)
        self._ssl_context = functools.cache(functools.partial(_ssl_context, *tls))
        is_needed = settings.get("verify", True) is not True or not base_url.startswith("http://")
        if is_needed and all(given is None for given in (transport, async_transport, client, async_client)):
            # Loading the certificates takes a tenth of a second, for which no event loop should stand still.
            self._ssl_context()
        weakref.finalize(self, _release, self._clients, self._async_transports).atexit = False

    def client(self) -> httpx2.Client:
        """The client for synchronous calls. Raises `RuntimeError`: the clients have been closed."""
        if self.is_closed:
            raise RuntimeError(_CLOSED)
        if self._given_client is not None:
            return self._given_client
        process = os.getpid()
        client = self._clients.get(process)
        if client is None:
            make = functools.partial(self._make_transport, WireTransport, httpx2.HTTPTransport)
            hooks = self._hooks(is_async=False)
            made = httpx2.Client(**self._client_settings(self._transport, make), event_hooks=hooks)
            client = self._clients.setdefault(process, made)  # another thread may have been faster
        return client

    def async_client(self) -> httpx2.AsyncClient:
        """The client for asynchronous calls, in whatever event loop.

        Raises:
            RuntimeError: The clients have been closed, or no event loop is running.
        """
        if self.is_closed:
            raise RuntimeError(_CLOSED)
        if self._given_async_client is not None:
            return self._given_async_client
        if self._async_transport is not None:
            EventLoop.running().close_at_shutdown(self._async_transport)
        if self._async_client is None:
            settings = self._client_settings(self._async_transport, self._make_async_transport)
            self._async_client = httpx2.AsyncClient(**settings, event_hooks=self._hooks(is_async=True))
        return self._async_client

    def prepare_async(self) -> None:
        """Import what asynchronous calls need, so that no event loop has to wait for it."""
        from .wire import async_network  # noqa: F401

    def close(self) -> None:
        """Close the connections of synchronous calls; those of asynchronous ones are closed by their event loops."""
        self.is_closed = True
        if self._given_client is not None:
            self._given_client.close()
        _release(self._clients, self._async_transports)

    async def aclose(self) -> None:
        """Close the connections of synchronous calls, and those in the running event loop."""
        self.is_closed = True
        for client in (self._async_client, self._given_async_client):
            if client is not None:
                await client.aclose()
        self.close()

    def _client_settings(self, given: Any, make: Callable[[httpx2.Proxy | None], Any]) -> dict[str, Any]:
        """What an httpx2 client takes, but for its hooks: its settings, and the transports that these make."""
        settings, proxy = self._settings, self._settings.get("proxy")
        proxies: Mapping[str, httpx2.Proxy | None] = {}
        if proxy is not None:
            proxies = {"all://": proxy if isinstance(proxy, httpx2.Proxy) else httpx2.Proxy(proxy)}
        elif settings.get("trust_env", True) and given is None:
            proxies = environment_proxies()
        mounts = {pattern: None if proxy is None else make(proxy) for pattern, proxy in proxies.items()}
        return {
            **{name: value for name, value in settings.items() if name not in _OF_TRANSPORTS},
            "transport": given or make(None),
            "mounts": mounts | dict(settings.get("mounts") or {}),
        }

    def _make_transport(self, ours: Callable[..., Any], httpx2s: Callable[..., Any], proxy: httpx2.Proxy | None) -> Any:
        http1, http2 = self._settings.get("http1", True), self._settings.get("http2", False)
        limits = self._settings.get("limits", DEFAULT_LIMITS)
        protocols = ["h2"] * http2 + ["http/1.1"] * http1
        context = OfferingContext(self._ssl_context, protocols)
        if http1 and not http2 and (proxy is None or proxy.url.scheme == "http"):
            return ours(verify=context, limits=limits, proxy=proxy)
        options = {"http1": http1, "http2": http2, "socket_options": KEEPALIVE_OPTIONS}
        made = httpx2s(verify=context, limits=limits, proxy=proxy, **options)
        if isinstance(made, httpx2.HTTPTransport):
            weakref.finalize(self, made.close)  # at the interpreter's exit, too: httpx2 closes all connections or none
        return made

    def _make_async_transport(self, proxy: httpx2.Proxy | None) -> httpx2.AsyncBaseTransport:
        made: AsyncWireTransport | _PerLoopTransport = self._make_transport(
            AsyncWireTransport, _PerLoopTransport, proxy
        )
        self._async_transports.append(made)
        return made

    def _hooks(self, *, is_async: bool) -> Mapping[str, list[Callable[..., Any]]]:
        """The event hooks of the settings, behind our own."""
        given = self._settings.get("event_hooks") or {}
        hooks = {event: [_awaitable_hook(each) if is_async else each for each in given[event]] for event in given}
        is_following = self._settings["follow_redirects"]
        ours = redirect_hooks(self._settings["cookies"], is_async=is_async, is_following=is_following)
        return {**hooks, **{event: [*ours[event], *hooks.get(event, ())] for event in ours}}


class _PerLoopTransport(httpx2.AsyncBaseTransport):
    """httpx2's own transports, which are bound to an event loop: one for each."""

    def __init__(self, **settings: Any) -> None:
        self._transports = PerLoop(lambda: httpx2.AsyncHTTPTransport(**settings))
        self.close_soon = self._transports.close_soon

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._transports.here().handle_async_request(request)

    async def aclose(self) -> None:
        await self._transports.aclose()


def _ssl_context(verify: ssl.SSLContext | bool, trust_env: bool, http2: bool) -> ssl.SSLContext:
    if verify is True:
        files = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        return _default_ssl_context(trust_env, http2, *files)
    return httpx2.create_ssl_context(verify=verify, trust_env=trust_env)


@functools.lru_cache
def _default_ssl_context(trust_env: bool, http2: bool, cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """The context of all clients that speak the same protocol and do not bring their own, while these files count."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def _release(clients: dict[int, httpx2.Client], async_transports: list[AsyncWireTransport | _PerLoopTransport]) -> None:
    for client in clients.values():
        client.close()
    clients.clear()
    for transport in async_transports:
        transport.close_soon()


def _awaitable_hook(hook: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    """Let a plain function serve as event hook of an asynchronous client, too."""

    async def awaitable_hook(subject: object) -> None:
        await settled(hook(subject))

    return awaitable_hook


def environment_proxies() -> dict[str, httpx2.Proxy | None]:
    """The proxy, `None` for none, for each pattern of URLs, in the form of httpx2's `mounts`.

    `HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` name them, in lower case, too, and `NO_PROXY` the hosts that are called
    without one. (httpx2 has no public name for its reading of them.)
    """
    found = getproxies()
    proxies: dict[str, httpx2.Proxy | None] = {}
    for scheme in ("http", "https", "all"):
        if url := found.get(scheme):
            proxies[f"{scheme}://"] = httpx2.Proxy(url if "://" in url else f"http://{url}")
    for host in found.get("no", "").split(","):
        host = host.strip()
        if host == "*":
            return {}
        with contextlib.suppress(ValueError, httpx2.InvalidURL):  # as other programs do with what they cannot read
            if host:
                proxies[_url_pattern(host)] = None
    return proxies


def _url_pattern(host: str) -> str:
    """The URLs that an entry of `NO_PROXY` means: a URL, an address, a network, or a host and those below it.

    Raises:
        ValueError, httpx2.InvalidURL: It means nothing.
    """
    if "://" in host:
        httpx2.URL(host)
        return host
    address, slash, subnet = host.partition("/")
    address = address.strip("[]")
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        if slash:
            raise
        is_exact = host.lower() == "localhost" or host.startswith("*.")
        pattern = f"all://{host}" if is_exact else f"all://*{host}"
        httpx2.URL(pattern)
        return pattern
    ipaddress.ip_network(f"{address}{slash}{subnet}", strict=False)
    return f"all://{address if version == 4 else f'[{address}]'}{slash}{subnet}"
