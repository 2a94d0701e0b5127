"""The environment's proxies are read as httpx2 reads them."""

from __future__ import annotations

import httpx2
import pytest
from httpx2._utils import get_environment_proxies

from clientele.http_clients import environment_proxies

NO_PROXY = [
    "",
    "*",
    "example.com",
    ".example.com",
    "*.example.com",
    "localhost",
    "LOCALHOST",
    "127.0.0.1",
    "127.0.0.1:8080",
    "192.168.0.0/16",
    "192.168.0.0/99",
    "::1",
    "[::1]",
    "fe80::/10",
    "[fe80::]/10",
    "http://example.com",
    "https://example.com:8443",
    "example.com:8080",
    "example.com/path",
    "exa mple",
    "a, b ,,c.d,*.e,10.0.0.0/8",
    "one,*,two",
]


@pytest.fixture(autouse=True)
def no_other_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


def patterns(proxies: dict) -> dict[str, str | None]:
    return {pattern: None if proxy is None else str(httpx2.Proxy(proxy).url) for pattern, proxy in proxies.items()}


def ours() -> dict[str, str | None]:
    return {pattern: None if proxy is None else str(proxy.url) for pattern, proxy in environment_proxies().items()}


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    "url", ["http://proxy.test:3128", "proxy.test:3128", "socks5://proxy.test", "https://proxy.test"]
)
def test_a_proxy_is_found_under_each_of_its_names(monkeypatch, name, url):
    monkeypatch.setenv(name, url)
    assert ours() == patterns(get_environment_proxies())
    assert len(ours()) == 1


@pytest.mark.parametrize("value", NO_PROXY)
def test_the_hosts_without_a_proxy(monkeypatch, value):
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", value)
    assert ours() == patterns(get_environment_proxies())
