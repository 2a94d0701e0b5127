"""The httpx2 clients under an `APIClient`, one for synchronous and one for asynchronous calls.

They are made when they are first needed. Both share their settings, their cookies and one TLS context, and use the
transports of `wire/`. Connections are closed with the `APIClient`, when it is collected, when their event loop shuts
down, or when the interpreter exits, whichever comes first. After a fork, the parent's connections stay with the
parent.
"""

from __future__ import annotations

import functools
import os
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping
from http.cookiejar import CookieJar
from typing import Any, ClassVar

import httpx2

from .clock import CLOCK, Clock
from .event_loop import EventLoop
from .headers import checked_headers
from .proxies import RefusingTransport, UnusableProxy, environment_proxies
from .redirects import redirect_hooks
from .settings import HTTPClientSettings, checked_settings
from .wire.steps import settled
from .wire.tls import OfferingContext
from .wire.transport import DEFAULT_LIMITS, AsyncWireTransport, WireTransport

_OF_NETWORK = (WireTransport, AsyncWireTransport, httpx2.HTTPTransport, httpx2.AsyncHTTPTransport)
_CLOSED = "the client has been closed; a client that is to be used again must stay open"
_OF_TRANSPORTS = ("verify", "http1", "http2", "proxy", "limits", "mounts", "event_hooks")
"""The settings that an httpx2 client does not take as they are."""


class HTTPClients:
    """Makes httpx2 clients on first use, and closes them. The parameters are those of `APIClient`.

    Attributes:
        stand_in: Other clients that are used in place of these; `replace_by` sets it.
        clock: The clock that calls and streams wait by.
        refuse: What is called with each request that would use the network, and raises. Default: none.

    Raises:
        TypeError: A client or transport is for the other side.
        ImportError, TypeError, ValueError: What `checked_settings` raises.
    """

    refuse: ClassVar[Callable[[httpx2.Request], None] | None] = None

    def __init__(
        self,
        settings: HTTPClientSettings,
        *,
        base_url: str = "",
        transport: httpx2.BaseTransport | None = None,
        async_transport: httpx2.AsyncBaseTransport | None = None,
        client: httpx2.Client | None = None,
        async_client: httpx2.AsyncClient | None = None,
        clock: Clock = CLOCK,
        wrap: Callable[..., Any] | None = None,
    ) -> None:
        for name, given, kind in (
            ("http_client", client, httpx2.Client),
            ("async_http_client", async_client, httpx2.AsyncClient),
            ("transport", transport, httpx2.BaseTransport),
            ("async_transport", async_transport, httpx2.AsyncBaseTransport),
        ):
            if given is not None and not isinstance(given, kind):
                raise TypeError(f"{name} must be of type httpx2.{kind.__name__}; it is of type {type(given).__name__}")
        checked_settings(settings)
        both: Any = transport or async_transport
        if isinstance(both, httpx2.BaseTransport) and isinstance(both, httpx2.AsyncBaseTransport):  # as a mock is
            transport, async_transport = transport or both, async_transport or both
        self.headers = checked_headers(settings.get("headers"))
        self.is_closed = False
        self.stand_in: HTTPClients | None = None
        self.clock = self._clock = clock
        self._wrap = wrap
        self._settings: dict[str, Any] = {"follow_redirects": True, **settings}
        self._settings["cookies"] = httpx2.Cookies(settings.get("cookies")).jar
        self._transport = transport
        self._async_transport = async_transport
        self._given_client = client
        self._given_async_client = async_client
        self._clients: dict[int, httpx2.Client] = {}
        self._async_client: httpx2.AsyncClient | None = None
        self._async_transports: list[AsyncWireTransport] = []
        tls = settings.get("verify", True), settings.get("trust_env", True), settings.get("http2", False)
        self._ssl_context = functools.cache(functools.partial(_ssl_context, *tls))
        is_needed = settings.get("verify", True) is not True or not base_url.startswith("http://")
        if is_needed and all(given is None for given in (transport, async_transport, client, async_client)):
            # Loading the certificates takes a tenth of a second, for which no event loop should stand still.
            self._ssl_context()
        weakref.finalize(self, _release, self._clients, self._async_transports).atexit = False

    def replace_by(self, stand_in: HTTPClients | None) -> None:
        """Use these clients and their clock instead; with `None`, the own ones again."""
        self.stand_in = stand_in
        self.clock = self._clock if stand_in is None else stand_in.clock

    def client(self) -> httpx2.Client:
        """The client for synchronous calls. Raises `RuntimeError`: the clients have been closed."""
        if self.is_closed:
            raise RuntimeError(_CLOSED)
        if self.stand_in is not None:
            return self.stand_in.client()
        if self._given_client is not None:
            return self._given_client
        if self._transport is None and (self._async_transport or self._given_async_client):
            raise RuntimeError(_one_sided("a synchronous", "async_transport", "async_http_client"))
        process = os.getpid()
        client = self._clients.get(process)
        if client is None:
            make = functools.partial(self._make_transport, WireTransport)
            hooks = self._hooks(is_async=False)
            made = httpx2.Client(**self._client_settings(self._transport, make, is_async=False), event_hooks=hooks)
            client = self._clients.setdefault(process, made)  # another thread may have been faster
        return client

    def async_client(self) -> httpx2.AsyncClient:
        """The client for asynchronous calls, in any event loop.

        Raises:
            RuntimeError: The clients have been closed, or no event loop is running.
        """
        if self.is_closed:
            raise RuntimeError(_CLOSED)
        if self.stand_in is not None:
            return self.stand_in.async_client()
        if self._given_async_client is not None:
            return self._given_async_client
        if self._async_transport is None and (self._transport or self._given_client):
            raise RuntimeError(_one_sided("an asynchronous", "transport", "http_client"))
        if self._async_transport is not None:
            EventLoop.running().close_at_shutdown(self._async_transport)
        if self._async_client is None:
            settings = self._client_settings(self._async_transport, self._make_async_transport, is_async=True)
            self._async_client = httpx2.AsyncClient(**settings, event_hooks=self._hooks(is_async=True))
        return self._async_client

    def use_network(self, *, is_async: bool) -> bool:
        """Whether calls of this side may use the network. A client that was passed in may."""
        if self.stand_in is not None:
            return False
        given = self._async_transport if is_async else self._transport
        return given is None or isinstance(given, _OF_NETWORK)

    def replaced(
        self, transport: httpx2.BaseTransport, async_transport: httpx2.AsyncBaseTransport, clock: Clock
    ) -> HTTPClients:
        """Clients with the same settings and fresh cookies, whose requests all use these transports."""
        if self._given_client is not None or self._given_async_client is not None:
            client = self._given_client and httpx2.Client(**_settings_of(self._given_client), transport=transport)
            given = self._given_async_client
            async_client = given and httpx2.AsyncClient(**_settings_of(given), transport=async_transport)
            return HTTPClients({}, client=client, async_client=async_client, clock=clock)
        names = ("mounts", "proxy", "limits", "verify", "http1", "http2")
        settings: Any = {name: value for name, value in self._settings.items() if name not in names}
        settings["cookies"] = _copied(self._settings["cookies"])
        return HTTPClients(settings, transport=transport, async_transport=async_transport, clock=clock)

    def wrapped(self, wrap: Callable[..., Any]) -> HTTPClients:
        """Clients like these, each of whose transports is wrapped: in `wrap(transport, is_owned=…)`.

        Parameters:
            wrap: `is_owned` says that the transport is to be closed with the wrapper.
        """
        settings: Any = {**self._settings, "cookies": _copied(self._settings["cookies"])}
        transport, async_transport = self._transport, self._async_transport
        if self._given_client is not None or self._given_async_client is not None:
            made: Any = [
                each
                and kind(
                    **_settings_of(each) | {"event_hooks": {}}, transport=wrap(SendingTransport(each), is_owned=False)
                )
                for each, kind in ((self._given_client, httpx2.Client), (self._given_async_client, httpx2.AsyncClient))
            ]
            return HTTPClients({}, client=made[0], async_client=made[1], clock=self._clock)
        return HTTPClients(settings, transport=transport, async_transport=async_transport, clock=self._clock, wrap=wrap)

    def prepare_async(self) -> None:
        """Import what asynchronous calls need now, so that no event loop is blocked later."""
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

    def _client_settings(
        self, given: Any, make: Callable[[httpx2.Proxy | UnusableProxy | None], Any], *, is_async: bool
    ) -> dict[str, Any]:
        """The arguments of an httpx2 client, except hooks: the settings, and their transports."""
        settings, proxy = self._settings, self._settings.get("proxy")
        proxies: Mapping[str, httpx2.Proxy | UnusableProxy | None] = {}
        if proxy is not None:
            proxies = {"all://": proxy if isinstance(proxy, httpx2.Proxy) else httpx2.Proxy(proxy)}
        elif settings.get("trust_env", True) and given is None:
            proxies = environment_proxies()
        mounts = {pattern: None if proxy is None else make(proxy) for pattern, proxy in proxies.items()}
        mounts |= settings.get("mounts") or {}
        transport = given or make(None)
        if self._wrap is not None:
            mounts = {
                pattern: each and self._wrap(each, is_owned=pattern in proxies) for pattern, each in mounts.items()
            }
            transport = self._wrap(transport, is_owned=given is None)
        kind = httpx2.AsyncBaseTransport if is_async else httpx2.BaseTransport
        for pattern, mounted in mounts.items():
            if not isinstance(mounted, kind | None):
                problem = f"mounts[{pattern!r}] is no httpx2.{kind.__name__}, which this call needs"
                mounts[pattern] = RefusingTransport(TypeError(problem))
        return {
            **{name: value for name, value in settings.items() if name not in _OF_TRANSPORTS},
            "transport": transport,
            "mounts": mounts,
        }

    def _make_transport(self, made_by: Callable[..., Any], proxy: httpx2.Proxy | UnusableProxy | None) -> Any:
        if isinstance(proxy, UnusableProxy):
            return RefusingTransport(proxy)
        http1, http2 = self._settings.get("http1", True), self._settings.get("http2", False)
        context = OfferingContext(self._ssl_context, ["h2"] * http2 + ["http/1.1"] * http1)
        limits, trust_env = self._settings.get("limits", DEFAULT_LIMITS), self._settings.get("trust_env", True)
        return made_by(verify=context, limits=limits, proxy=proxy, http1=http1, http2=http2, trust_env=trust_env)

    def _make_async_transport(self, proxy: httpx2.Proxy | UnusableProxy | None) -> httpx2.AsyncBaseTransport:
        made: httpx2.AsyncBaseTransport = self._make_transport(AsyncWireTransport, proxy)
        if isinstance(made, AsyncWireTransport):
            self._async_transports.append(made)
        return made

    def _hooks(self, *, is_async: bool) -> Mapping[str, list[Callable[..., Any]]]:
        """Our event hooks, then those of the settings."""
        given = self._settings.get("event_hooks") or {}
        hooks = {event: [_awaitable_hook(each) if is_async else each for each in given[event]] for event in given}
        is_following = self._settings["follow_redirects"]
        ours = redirect_hooks(self._settings["cookies"], is_async=is_async, is_following=is_following)
        return {**hooks, **{event: [*ours[event], *hooks.get(event, ())] for event in ours}}


class SendingTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Sends requests with a ready client: its hooks and transports, not its redirects and authentication."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it."""
        return _unbound(self._client.send(request, stream=True, auth=None, follow_redirects=False))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it."""
        return _unbound(await self._client.send(request, stream=True, auth=None, follow_redirects=False))


def _unbound(response: httpx2.Response) -> httpx2.Response:
    """The response as its transport returned it."""
    return httpx2.Response(
        response.status_code, headers=response.headers, stream=response.stream, extensions=response.extensions
    )


def _copied(cookies: CookieJar) -> CookieJar:
    jar = CookieJar()
    for cookie in cookies:
        jar.set_cookie(cookie)
    return jar


def _settings_of(client: httpx2.Client | httpx2.AsyncClient) -> dict[str, Any]:
    """The settings of a client that resembles this one."""
    names = ("base_url", "headers", "params", "auth", "timeout", "follow_redirects", "max_redirects", "event_hooks")
    return {**{name: getattr(client, name) for name in names}, "cookies": _copied(client.cookies.jar)}


def _one_sided(call: str, transport: str, client: str) -> str:
    given = f"this client was given nothing but {transport}= or {client}=, and {call} call would go past that"
    other = {"transport": "async_transport", "async_transport": "transport"}[transport]
    return (
        f"{given}; pass {other}= or {client.replace('async_', '') if 'async_' in client else f'async_{client}'}=, too"
    )


def _ssl_context(verify: ssl.SSLContext | bool, trust_env: bool, http2: bool) -> ssl.SSLContext:
    if verify is True:
        files = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        return _default_ssl_context(trust_env, http2, *files)
    return httpx2.create_ssl_context(verify=verify, trust_env=trust_env)


@functools.lru_cache
def _default_ssl_context(trust_env: bool, http2: bool, cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """The shared TLS context of clients with the same protocols and no context of their own, for these files."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def _release(clients: dict[int, httpx2.Client], async_transports: list[AsyncWireTransport]) -> None:
    for client in clients.values():
        client.close()
    clients.clear()
    for transport in async_transports:
        transport.close_soon()


def _awaitable_hook(hook: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    """Adapt a plain function as event hook of an asynchronous client."""

    async def awaitable_hook(subject: object) -> None:
        await settled(hook(subject))

    return awaitable_hook
