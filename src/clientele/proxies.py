"""Proxies from the environment, and errors for those that cannot be used.

Only the calls that need such a proxy raise.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from typing import Any
from urllib.request import getproxies

import httpx2

_SCHEMES = ("http", "https", "socks5", "socks5h")


class UnusableProxy(httpx2.ConnectError):
    """A proxy that the environment names cannot be used."""


class EnvironmentProxy(httpx2.Proxy):
    """A proxy of the environment; `variable` names where it stands there."""

    variable = ""


class RefusingTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A transport whose requests all fail with this exception."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raise the exception."""
        raise type(self._error)(str(self._error))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raise the exception."""
        return self.handle_request(request)


def checked_proxy(value: Any, source: str) -> httpx2.URL:
    """The URL of a proxy. `source` names the keyword or variable that has it.

    Raises:
        TypeError: It is no text and no URL.
        ValueError: It is no URL, or none of a proxy.
    """
    if not isinstance(value, str | httpx2.URL):
        raise TypeError(f"{source} is of type {type(value).__name__}; it is a URL, or httpx2.Proxy(...)")
    shown = _without_credentials(str(value))
    cure = "write it as 'http://host:3128'"
    try:
        url = httpx2.URL(value)
    except httpx2.InvalidURL as error:
        reason = "" if "@" in str(value) else f" ({error})"  # it may quote a password
        raise ValueError(f"{source} is {shown!r}, which is no URL{reason}; {cure}") from None
    if url.scheme not in _SCHEMES:
        raise ValueError(f"{source} is {shown!r}, whose scheme is none of {', '.join(_SCHEMES)}; {cure}")
    if not url.host or (url.port or 0) > 65535:
        raise ValueError(f"{source} is {shown!r}, which has no host, or a port above 65535; {cure}")
    return url


def name_of(proxy: httpx2.Proxy) -> str:
    """The proxy's URL without credentials, and the environment variable that names it."""
    variable = f" ({proxy.variable})" if isinstance(proxy, EnvironmentProxy) else ""
    return f"{proxy.url}{variable}"


def _without_credentials(value: str) -> str:
    scheme, separator, _ = value.partition("://")
    rest = value.rpartition("@")[2]
    return f"{scheme}{separator}{rest}" if separator and "@" not in scheme and "@" in value else rest


def environment_proxies() -> dict[str, httpx2.Proxy | UnusableProxy | None]:
    """The proxy for each URL pattern, `None` for no proxy, in the form of httpx2's `mounts`.

    `HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` name them, in lower case, too, and `NO_PROXY` the hosts that are called
    without one. (httpx2 has no public name for its reading of them.)
    """
    found = getproxies()
    proxies: dict[str, httpx2.Proxy | UnusableProxy | None] = {}
    for scheme in ("http", "https", "all"):
        if url := found.get(scheme):
            proxies[f"{scheme}://"] = _proxy(url if "://" in url else f"http://{url}", _variable(scheme))
    for host in found.get("no", "").split(","):
        host = host.strip()
        if host == "*":
            return {}
        with contextlib.suppress(ValueError, httpx2.InvalidURL):  # as other programs do with what they cannot read
            if host:
                proxies[_url_pattern(host)] = None
    return proxies


def _variable(scheme: str) -> str:
    names = [name for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()) if os.environ.get(name)]
    return names[0] if names else "the proxy of the system"


def _proxy(url: str, variable: str) -> EnvironmentProxy | UnusableProxy:
    try:
        proxy = EnvironmentProxy(checked_proxy(url, variable))
    except ValueError as error:
        return UnusableProxy(f"{error}; or pass trust_env=False")
    proxy.variable = variable
    return proxy


def _url_pattern(host: str) -> str:
    """The URL pattern of an entry of `NO_PROXY`: a URL, an address, a network, or a host with its subdomains.

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
