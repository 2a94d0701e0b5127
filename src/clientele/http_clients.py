"""The httpx2 clients under an `APIClient`: one for synchronous calls, one for each event loop.

Nothing is opened before it is needed. All of them share their settings, their cookies and one TLS context. They are
closed with the `APIClient`, or when it is collected, when their event loop shuts down, or when the interpreter exits,
whichever comes first; connections that a fork took along are left to the parent.
"""

from __future__ import annotations

import functools
import os
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.cookiejar import CookieJar
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeAlias, TypedDict

import httpx2

from .event_loop import EventLoop, is_trio
from .headers import HeaderTypes, checked_headers
from .redirects import RedirectGuard
from .streaming.body import close_bodies_of

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


class HTTPClients:
    """Makes httpx2 clients where they are needed, and closes them.

    Parameters:
        settings: For all clients alike.
        transport: The transport of the synchronous client.
        async_transport: The transport of the asynchronous clients.
        client: A ready client for synchronous calls.
        async_client: A ready client for asynchronous calls, in whatever event loop.

    Attributes:
        headers: The headers of the settings, sent with every request.

    Raises:
        TypeError: A client or transport is for the other side.
        ValueError: A header cannot be sent.
    """

    def __init__(
        self,
        settings: HTTPClientSettings,
        *,
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
        self._settings: dict[str, Any] = {"follow_redirects": True, **settings}
        self._settings["cookies"] = httpx2.Cookies(settings.get("cookies")).jar
        self._redirects = RedirectGuard(self._settings["cookies"])
        self._transport = transport
        self._async_transport = async_transport
        self._given_client = client
        self._given_async_client = async_client
        self._clients: dict[int, httpx2.Client] = {}
        self._async_clients: weakref.WeakKeyDictionary[EventLoop, httpx2.AsyncClient] = weakref.WeakKeyDictionary()
        self._is_closed = False
        if all(given is None for given in (transport, async_transport, client, async_client)):
            # Loading the certificates takes a tenth of a second, for which no event loop should stand still.
            _ = self._ssl_context
        weakref.finalize(self, _release, self._clients, self._async_clients)

    def client(self) -> httpx2.Client:
        """The client for synchronous calls.

        Raises:
            RuntimeError: The clients have been closed.
        """
        self._check_open()
        if self._given_client is not None:
            return self._given_client
        process = os.getpid()
        client = self._clients.get(process)
        if client is None:
            settings = self._shared_settings()
            settings["event_hooks"] = self._hooks(self._redirects.hooks())
            made = httpx2.Client(**settings, transport=self._transport)
            client = self._clients.setdefault(process, made)  # another thread may have been faster
        return client

    async def async_client(self) -> httpx2.AsyncClient:
        """The client for asynchronous calls in the running event loop.

        Raises:
            RuntimeError: The clients have been closed.
        """
        self._check_open()
        if self._given_async_client is not None:
            return self._given_async_client
        event_loop = await EventLoop.running()
        client = self._async_clients.get(event_loop)
        if client is None:
            settings = self._shared_settings()
            settings["event_hooks"] = _awaitable_hooks(self._hooks(self._redirects.async_hooks()))
            client = self._async_client_class()(**settings, transport=self._async_transport)
            self._async_clients[event_loop] = client
            event_loop.close_at_shutdown(client)
        return client

    def prepare_async(self) -> None:
        """Import what asynchronous calls under asyncio need, which is nothing for an event loop to wait for."""
        if self._takes_aiohttp:
            from .transports import aiohttp  # noqa: F401

    def close(self) -> None:
        """Close the client for synchronous calls; those for asynchronous ones close with their event loops."""
        self._is_closed = True
        close_bodies_of(self)
        if self._given_client is not None:
            self._given_client.close()
        _release(self._clients, self._async_clients)

    async def aclose(self) -> None:
        """Close the clients for synchronous calls and for those in the running event loop."""
        client = self._async_clients.pop(await EventLoop.running(), self._given_async_client)
        self.close()
        if client is not None:
            await client.aclose()

    @property
    def _takes_aiohttp(self) -> bool:
        """Whether asyncio's calls ride on aiohttp, if nobody says otherwise, which speaks HTTP/1.1 only."""
        speaks_http1_only = self._settings.get("http1", True) and not self._settings.get("http2", False)
        return speaks_http1_only and self._async_transport is None and self._given_async_client is None

    def _async_client_class(self) -> type[httpx2.AsyncClient]:
        if is_trio() or not self._takes_aiohttp:
            return httpx2.AsyncClient
        from .transports.aiohttp import AiohttpClient  # slow to import; synchronous calls have no need of it

        return AiohttpClient

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the client has been closed; a client that is to be used again must stay open")

    def _shared_settings(self) -> dict[str, Any]:
        return {**self._settings, "verify": self._ssl_context}

    def _hooks(self, ours: Mapping[str, list[Callable[..., Any]]]) -> Mapping[str, list[Callable[..., Any]]]:
        """The event hooks of the settings, behind our own where redirects are followed."""
        own = self._settings.get("event_hooks") or {}
        if not self._settings["follow_redirects"]:
            return own
        return {**own, **{event: [*functions, *own.get(event, ())] for event, functions in ours.items()}}

    @functools.cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        verify, trust_env = self._settings.get("verify", True), self._settings.get("trust_env", True)
        if verify is True:
            return _default_ssl_context(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return httpx2.create_ssl_context(verify=verify, trust_env=trust_env)


@functools.lru_cache
def _default_ssl_context(trust_env: bool, cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """The context for every client that does not bring its own, for as long as the environment names these files."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def _release(
    clients: dict[int, httpx2.Client], async_clients: weakref.WeakKeyDictionary[EventLoop, httpx2.AsyncClient]
) -> None:
    for client in clients.values():
        client.close()
    clients.clear()
    for event_loop, async_client in list(async_clients.items()):
        event_loop.close_soon(async_client)
    async_clients.clear()


def _awaitable_hooks(hooks: Mapping[str, list[Callable[..., Any]]]) -> dict[str, list[Callable[..., Any]]]:
    """Let plain functions serve as event hooks of an asynchronous client too."""
    return {event: [_awaitable_hook(hook) for hook in functions] for event, functions in hooks.items()}


def _awaitable_hook(hook: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    if iscoroutinefunction(hook):
        return hook

    async def awaitable_hook(subject: object) -> None:
        outcome = hook(subject)
        if isawaitable(outcome):
            await outcome

    return awaitable_hook
