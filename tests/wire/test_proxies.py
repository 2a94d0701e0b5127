"""Proxies: plain requests are handed to them, those over TLS go through a tunnel, and the environment may name them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterator

import httpx2
import pytest
from tests.listeners import certified, tls_server, trusting
from tests.proxies import proxy, socks_proxy
from tests.servers import EVENT_STREAM, WAIT, Connection, RawServer, answer, chunk
from tests.wire.kinds import OURS, over
from tests.wire.loops import LOOPS

from clientele import api

PASSWORD = "".join(["pass", "w0rd"])  # not a word in the source, which tracebacks quote
FORWARDED = "http://example.test/path?query=1"
TUNNELLED = "https://example.test/path?query=1"
PLAIN, SECURE = "http://example.test/path/", "https://example.test/path/"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def target() -> Iterator[RawServer]:
    """The server behind the tunnel, which only the proxy knows how to reach."""
    with tls_server(answer(b"tunnelled"), certified("example.test")) as server:
        yield server


@pytest.fixture
def serve_proxy(serve, target) -> Callable[..., RawServer]:
    return lambda **options: serve(proxy(lambda: target, **options))


def with_password(url: str) -> str:
    return url.replace("://", f"://me:{PASSWORD}@")


def test_a_plain_request_is_sent_to_the_proxy_whole(serve_proxy, send):
    server = serve_proxy()
    response = send(FORWARDED, options={"proxy": server.url}, headers={"X-One": "1"})
    assert response.content == b"forwarded"
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", FORWARDED)
    assert request.header("Host") == "example.test"
    assert request.header("X-One") == "1"
    assert request.header("Proxy-Authorization") is None


def test_a_request_over_tls_goes_through_a_tunnel(serve_proxy, target, send):
    server = serve_proxy()
    response = send(TUNNELLED, options={"proxy": server.url, "verify": trusting()}, headers={"X-One": "1"})
    assert response.content == b"tunnelled"
    (connect,) = server.requests
    assert (connect.method, connect.target) == ("CONNECT", "example.test:443")
    assert connect.header("X-One") is None
    (request,) = target.requests
    assert (request.method, request.target) == ("GET", "/path?query=1")
    assert request.header("X-One") == "1"


def test_a_tunnel_is_asked_for_without_the_headers_of_the_request(serve_proxy, send):
    server = serve_proxy()
    headers = {"User-Agent": "me", "Authorization": "Bearer secret", "Cookie": "a=b"}
    send(TUNNELLED, options={"proxy": server.url, "verify": trusting()}, headers=headers)
    (connect,) = server.requests
    assert connect.header("User-Agent") != "me"
    assert connect.header("Authorization") is None
    assert connect.header("Cookie") is None


def test_a_tunnel_to_another_port(serve_proxy, target, send):
    server = serve_proxy()
    send("https://example.test:8443/", options={"proxy": server.url, "verify": trusting()})
    assert server.requests[0].target == "example.test:8443"
    assert target.requests[0].header("Host") == "example.test:8443"


@over("sync", but="httpx2's own leaves the brackets out")
def test_a_tunnel_to_an_address_of_ipv6(serve_proxy, send):
    server = serve_proxy(refuses="403 Forbidden")
    with pytest.raises(httpx2.ProxyError):
        send("https://[2001:db8::1]/", options={"proxy": server.url, "verify": trusting()})
    assert server.requests[0].target == server.requests[0].header("Host") == "[2001:db8::1]:443"


@pytest.mark.parametrize("url", [FORWARDED, TUNNELLED])
def test_credentials_are_for_the_proxy_alone(serve_proxy, target, send, url):
    server = serve_proxy()
    send(url, options={"proxy": with_password(server.url), "verify": trusting()})
    credentials = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert server.requests[0].header("Proxy-Authorization") == f"Basic {credentials}"
    assert all(request.header("Proxy-Authorization") is None for request in target.requests)


@pytest.mark.parametrize("url", [FORWARDED, TUNNELLED])
def test_headers_are_for_the_proxy_alone(serve_proxy, target, send, url):
    server = serve_proxy()
    via = httpx2.Proxy(server.url, auth=("me", "p:w"), headers={"X-Proxy": "yes", "X-Other": "2"})
    send(url, options={"proxy": via, "verify": trusting()})
    assert server.requests[0].header("X-Proxy") == "yes"
    assert server.requests[0].header("X-Other") == "2"
    assert server.requests[0].header("Proxy-Authorization") == "Basic bWU6cDp3"
    assert all(request.header("X-Proxy") is None for request in target.requests)


def test_a_header_for_the_proxy_may_be_repeated(serve_proxy, send):
    server = serve_proxy()
    via = httpx2.Proxy(server.url, headers=[("X-Proxy", "1"), ("X-Proxy", "2")])
    send(FORWARDED, options={"proxy": via})
    headers = [value for name, value in server.requests[0].headers if name.lower() == "x-proxy"]
    assert headers == ["1", "2"]


def test_a_header_of_the_request_goes_before_one_for_the_proxy(serve_proxy, send):
    server = serve_proxy()
    via = httpx2.Proxy(server.url, headers={"X-One": "proxy"})
    send(FORWARDED, options={"proxy": via}, headers={"X-One": "request"})
    assert server.requests[0].header("X-One") == "request"


def test_connections_through_a_proxy_serve_again(serve_proxy, target, run, make_client):
    server = serve_proxy()

    async def main() -> None:
        async with make_client(proxy=with_password(server.url), verify=trusting()) as client:
            for _ in range(3):
                assert (await client.get(FORWARDED)).content == b"forwarded"
                assert (await client.post(TUNNELLED, content=b"x" * 100_000)).content == b"tunnelled"

    run(main)
    assert server.connections == 2
    assert target.connections == 1
    server.wait_until_closed()
    target.wait_until_closed()


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses_a_tunnel(serve_proxy, send, status):
    server = serve_proxy(refuses=status)
    with pytest.raises(httpx2.ProxyError, match=status) as caught:
        send(f"{TUNNELLED}{PASSWORD}", options={"proxy": with_password(server.url)})
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert caught.value.request.url.host == "example.test"
    server.wait_until_closed()


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required"])
def test_a_proxy_that_refuses_a_plain_request_has_answered_it(serve_proxy, send, status):
    response = send(FORWARDED, options={"proxy": serve_proxy(refuses=status).url})
    assert (f"{response.status_code} {response.reason_phrase}", response.content) == (status, b"refused")


@pytest.mark.parametrize("accepts", ["200 Connection established", "200 ", "204 No Content", "299 Own"])
def test_a_tunnel_may_be_granted_in_other_words(serve_proxy, send, accepts):
    server = serve_proxy(accepts=accepts)
    assert send(TUNNELLED, options={"proxy": server.url, "verify": trusting()}).content == b"tunnelled"


@over(*OURS, "uvloop", but="httpx2's own drop the bytes")
def test_what_a_proxy_says_before_tls_has_begun_is_not_what_the_server_says(serve_proxy, send):
    server = serve_proxy(accepts="200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    with pytest.raises(httpx2.ConnectError, match="sent bytes before TLS had begun"):
        send(TUNNELLED, options={"proxy": server.url, "verify": trusting()})


@pytest.mark.parametrize("url", [FORWARDED, TUNNELLED])
def test_a_proxy_that_is_not_there(send, url):
    with pytest.raises(httpx2.ConnectError) as caught:
        send(url, options={"proxy": with_password("http://127.0.0.1:1")})
    assert type(caught.value) is httpx2.ConnectError
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@over(*OURS, but="httpx2's own say what failed, but not that it was the proxy")
@pytest.mark.parametrize("url", [FORWARDED, TUNNELLED])
def test_a_proxy_that_is_not_there_is_named(send, url):
    with pytest.raises(httpx2.ConnectError, match=r"^through the proxy http://127\.0\.0\.1:1: .*refused"):
        send(url, options={"proxy": with_password("http://127.0.0.1:1")})


@pytest.mark.parametrize("url", [FORWARDED, TUNNELLED])
@pytest.mark.parametrize("is_reset", [False, True], ids=["closes", "resets"])
def test_a_proxy_that_breaks_off(serve, send, url, is_reset):
    async def break_off(connection: Connection) -> None:
        connection.reset() if is_reset else connection.close()

    with pytest.raises(httpx2.ReadError if is_reset else httpx2.RemoteProtocolError):
        send(url, options={"proxy": serve(break_off).url})


def test_a_proxy_that_speaks_something_else(serve, send):
    with pytest.raises(httpx2.RemoteProtocolError):
        send(TUNNELLED, options={"proxy": serve(b"what?\r\n\r\n").url})


def test_a_proxy_that_does_not_grant_the_tunnel_in_time(serve, send):
    async def wait(connection: Connection) -> None:
        await connection.until_client_closes()

    server = serve(wait)
    with pytest.raises(httpx2.TimeoutException):
        send(TUNNELLED, options={"proxy": server.url}, timeout=httpx2.Timeout(None, connect=0.1, read=0.1))
    server.wait_until_closed()


def test_the_server_behind_the_tunnel_must_be_trusted(serve_proxy, send):
    server = serve_proxy()
    with pytest.raises(httpx2.ConnectError, match=r"(?i)certificate verify failed"):
        send(TUNNELLED, options={"proxy": server.url, "verify": ssl.create_default_context()})
    with pytest.raises(httpx2.ConnectError, match=r"(?i)certificate verify failed"):
        send("https://other.test/", options={"proxy": server.url, "verify": trusting()})
    server.wait_until_closed()


def test_a_response_through_a_tunnel_that_is_left_early_takes_its_connection_along(serve, run, make_client):
    async def never_end(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"first"))
        await connection.until_client_closes()

    with tls_server(never_end, certified("example.test")) as target:
        server = serve(proxy(lambda: target))

        async def main() -> None:
            async with make_client(proxy=server.url, verify=trusting()) as client:
                async with client.stream("GET", TUNNELLED) as response:
                    assert await anext(response.aiter_raw()) == b"first"
                await asyncio.to_thread(server.wait_until_closed)

        run(main)


def test_a_proxy_counts_as_a_connection_as_any_other(serve_proxy, run, make_client):
    server = serve_proxy()

    async def main() -> None:
        limits = httpx2.Limits(max_connections=1)
        async with make_client(proxy=server.url, limits=limits, verify=trusting()) as client:
            for url in (FORWARDED, TUNNELLED, "http://other.test/", "https://example.test:8443/"):
                assert (await client.get(url)).status_code == 200

    run(main)


@over(*OURS)
def test_a_proxy_that_the_wire_does_not_speak_to_is_refused_at_once(make_transport):
    with pytest.raises(ValueError, match=r"(?i)proxy"):
        make_transport(proxy="ftp://localhost:1080")


# Over TLS, and SOCKS: the same transports for all.


@over(*OURS, "uvloop")
@pytest.mark.parametrize(("url", "expected"), [(FORWARDED, b"forwarded"), (TUNNELLED, b"tunnelled")])
def test_a_proxy_is_spoken_to_over_tls(target, send, url, expected):
    with tls_proxy(target) as server:
        via = httpx2.Proxy(server.url, ssl_context=trusting())
        assert send(url, options={"proxy": via, "verify": trusting()}).content == expected


@over(*OURS, "uvloop")
def test_much_goes_through_tls_within_tls_both_ways(run, make_client):
    async def echo(connection: Connection) -> None:
        await connection.send(answer(connection.request.body))

    with tls_server(echo, certified("example.test")) as behind, tls_proxy(behind) as server:
        via = httpx2.Proxy(server.url, ssl_context=trusting())

        async def main() -> None:
            async with make_client(proxy=via, verify=trusting()) as client:
                for size in (1, 100_000, 3_000_000):
                    assert (await client.post(TUNNELLED, content=b"x" * size)).content == b"x" * size

        run(main)
        assert server.connections == 1


@over(*OURS, "uvloop")
@pytest.mark.parametrize(
    ("host", "asked_for"),
    [("example.test", "example.test"), ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")],
)
@pytest.mark.parametrize("auth", [None, ("user", "pass"), ("ü", "")])
def test_a_socks_proxy_is_asked_for_the_host(serve, send, host, asked_for, auth):
    behind = serve(answer(b"behind"))
    with socks_proxy(behind, auth=auth) as server:
        assert send(f"http://{host}:81/", options={"proxy": server.url}).content == b"behind"
    assert server.asked_for == [(asked_for, 81)]
    assert behind.requests[0].target == "/"


@over(*OURS, "uvloop")
def test_tls_runs_through_a_socks_proxy(target, send):
    with socks_proxy(target) as server:
        response = send(TUNNELLED, options={"proxy": server.url.replace("socks5", "socks5h"), "verify": trusting()})
    assert response.content == b"tunnelled"


@over(*OURS)
@pytest.mark.parametrize(
    ("answers", "options", "reason"),
    [
        ({"reply": b"\x05\x05\x00\x01"}, {}, "the server refused the connection"),
        ({"reply": b"\x05\x63\x00\x01"}, {}, "status 99"),
        ({"method": b"\x05\xff"}, {}, "it asks for a user name and password"),
        ({"method": b"HT"}, {}, "it does not speak SOCKS 5"),
        ({"auth": ("user", "pass"), "url_auth": "user:wrong"}, {}, "it refused the user name and password"),
        ({"auth": ("user", "pass"), "url_auth": f"user:{'x' * 256}"}, {}, "is longer than 255 bytes"),
    ],
)
def test_a_socks_proxy_that_refuses_is_named_with_the_reason(serve, send, answers, options, reason):
    with socks_proxy(serve(answer(b"")), **answers) as server, pytest.raises(httpx2.ProxyError) as caught:
        send("http://example.test/", options={"proxy": server.url})
    assert str(caught.value).endswith(reason) or reason in str(caught.value)
    assert str(caught.value).startswith("socks5://127.0.0.1:")
    assert "wrong" not in str(caught.value)


@over(*OURS)
def test_a_socks_proxy_that_ends_the_connection_is_told(serve, send):
    with socks_proxy(serve(answer(b"")), reply=b"\x05") as server, pytest.raises(httpx2.TransportError):
        send("http://example.test/", options={"proxy": server.url, "timeout": httpx2.Timeout(WAIT, connect=0.3)})


@contextlib.contextmanager
def tls_proxy(target: RawServer) -> Iterator[RawServer]:
    with tls_server(proxy(lambda: target), certified("127.0.0.1")) as server:
        yield server


def environment_client(client: str, loop: str, **settings) -> Callable[[str], bytes]:
    """How a client that is made in the environment gets a URL's content."""
    settings["verify"] = trusting()

    def get(url: str) -> bytes:
        if client == "httpx2":
            with httpx2.Client(**settings) as http_client:
                return http_client.get(url).content
        with api.APIClient(base_url=url, **settings) as api_client:
            return get_in_sync(api_client) if loop == "sync" else LOOPS[loop](get_async(api_client))

    return get


def get_in_sync(client: api.APIClient) -> bytes:
    @client.get("")
    def content(*, result: bytes) -> bytes:
        return result

    return content()


def get_async(client: api.APIClient) -> Callable[[], Awaitable[bytes]]:
    @client.get("")
    async def content(*, result: bytes) -> bytes:
        return result

    return content


on_each_client = pytest.mark.parametrize(
    ("client", "loop"), [("httpx2", ""), ("api", "sync"), ("api", "asyncio"), ("api", "trio")]
)


@on_each_client
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environment_names_the_proxy_of_plain_requests(serve_proxy, monkeypatch, client, loop, name):
    if name == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)
    server = serve_proxy()
    monkeypatch.setenv(name, server.url)
    assert environment_client(client, loop)(PLAIN) == b"forwarded"
    assert server.requests[0].target == PLAIN


@on_each_client
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_the_environment_names_the_proxy_of_requests_over_tls(serve_proxy, monkeypatch, client, loop, name):
    server = serve_proxy()
    monkeypatch.setenv(name, with_password(server.url))
    assert environment_client(client, loop)(SECURE) == b"tunnelled"
    assert server.requests[0].target == "example.test:443"
    assert server.requests[0].header("Proxy-Authorization")


@on_each_client
@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "example.test,127.0.0.1"])
def test_the_environment_excepts_hosts(serve_proxy, serve, monkeypatch, client, loop, no_proxy):
    server, direct = serve_proxy(), serve(answer(b"direct"))
    monkeypatch.setenv("ALL_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_client(client, loop)(f"{direct.url}/") == b"direct"
    assert not server.requests


@on_each_client
def test_the_environment_is_left_alone_when_it_is_not_trusted(serve_proxy, serve, monkeypatch, client, loop):
    server, direct = serve_proxy(), serve(answer(b"direct"))
    monkeypatch.setenv("ALL_PROXY", server.url)
    assert environment_client(client, loop, trust_env=False)(f"{direct.url}/") == b"direct"
    assert not server.requests


@on_each_client
@pytest.mark.parametrize(("url", "expected"), [(PLAIN, b"forwarded"), (SECURE, b"tunnelled")])
def test_a_client_takes_the_proxy_it_is_given(serve_proxy, monkeypatch, client, loop, url, expected):
    server = serve_proxy()
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert environment_client(client, loop, proxy=server.url)(url) == expected
    assert server.connections == 1


@on_each_client
@pytest.mark.parametrize(("url", "expected"), [(PLAIN, b"forwarded"), (SECURE, b"tunnelled")])
def test_a_client_takes_a_proxy_over_tls(target, client, loop, url, expected):
    with tls_proxy(target) as server:
        via = httpx2.Proxy(server.url, ssl_context=trusting())
        assert environment_client(client, loop, proxy=via)(url) == expected
