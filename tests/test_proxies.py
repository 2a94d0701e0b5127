"""The environment's proxies are read as httpx2 reads them."""

from __future__ import annotations

import re

import httpx2
import pytest
from httpx2._utils import get_environment_proxies
from tests.servers import answer

from clientele import api
from clientele.proxies import environment_proxies

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


# What is wrong with a proxy is said in one line, without credentials: of the environment's by the calls that need it,
# of the client's own where the client is made.

UNUSABLE = {
    "an unknown scheme": (
        "ftp://user:hunter2@proxy.test:1",
        "'ftp://proxy.test:1', whose scheme is none of http, https",
    ),
    "no URL": ("http://user:hunter2@[::1", "'http://[::1', which is no URL"),
    "a port that is none": (
        "http://proxy.test:port",
        "'http://proxy.test:port', which is no URL (Invalid port: 'port')",
    ),
    "a port above 65535": (
        "http://user:hunter2@proxy.test:99999",
        "'http://proxy.test:99999', which has no host, or a port",
    ),
    "a password with a slash": ("http://user:hunter2/x@proxy.test", "'http://proxy.test', which is no URL"),
    "a password with two slashes": ("ftp://user:hunter2//x@proxy.test", "'ftp://proxy.test', which is no URL"),
}


@pytest.mark.parametrize(("value", "problem"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_told_with_its_variable(
    side, monkeypatch, value, problem, name
):
    monkeypatch.setenv(name, value)
    with pytest.raises(api.TransportError) as caught:
        side.call(api.APIClient("http://example.test"), str)
    assert f"could not connect: {name} is {problem}" in str(caught.value)
    assert str(caught.value).endswith("; or pass trust_env=False")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("value", "problem"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_proxy_of_the_client_that_cannot_be_used_is_refused_when_it_is_made(value, problem):
    with pytest.raises(ValueError, match=re.escape(f"proxy is {problem}")) as caught:
        api.APIClient("http://example.test", proxy=value)
    assert "hunter2" not in str(caught.value)


def test_other_urls_are_called_all_the_same(side, monkeypatch, serve):
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://x")
    assert side.call(api.APIClient(serve(answer(b"1")).url), int) == 1


def test_it_is_not_tried_again(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "nonsense://x")
    with pytest.raises(api.TransportError) as caught:
        api.APIClient("http://example.test").request("GET", "/", str, retry=True)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_cannot_be_reached_is_named(side, monkeypatch, scheme):
    monkeypatch.setenv("HTTP_PROXY", f"{scheme}://user:hunter2@127.0.0.1:1")
    with pytest.raises(api.TransportError) as caught:
        side.call(api.APIClient("http://example.test"), str)
    assert f"could not connect: through the proxy {scheme}://127.0.0.1:1 (HTTP_PROXY): " in str(caught.value)
    assert "hunter2" not in str(caught.value)
