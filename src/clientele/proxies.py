"""The proxies that the environment names, as httpx2 reads them.

`HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` name them, in lower case, too, and `NO_PROXY` the hosts that are called
without one. (httpx2 has no public name for its reading of them.)
"""

from __future__ import annotations

import contextlib
import ipaddress
from urllib.request import getproxies

import httpx2


def environment_proxies() -> dict[str, httpx2.Proxy | None]:
    """The proxy, `None` for none, for each pattern of URLs, in the form of httpx2's `mounts`."""
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
                proxies[_pattern(host)] = None
    return proxies


def _pattern(host: str) -> str:
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
