"""The head of a request goes out as httpx2 made it, and that of a response comes in as the server sent it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest
from tests.listeners import certified, listen, trusting, unix_server
from tests.servers import WAIT, Connection, answer, chunk
from tests.wire.kinds import AND_UVLOOP, EVERY, OURS, SYNC, over

pytestmark = over(*SYNC, but="the same code makes and reads the bytes on every side")


@contextlib.contextmanager
def recorder(responses: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") -> Iterator:
    """A server that keeps the bytes of one request's head."""
    heads: list[bytes] = []

    def serve_one() -> None:
        connection, _ = listener.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65_536)
            heads.append(data.partition(b"\r\n\r\n")[0])
            connection.sendall(responses)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)
        thread = threading.Thread(target=serve_one, daemon=True)
        thread.start()
        yield "http://127.0.0.1:{1}".format(*listener.getsockname()), heads
        thread.join(WAIT)


def head_of(run, make_client, method: str = "GET", path: str = "/", headers=(), **request) -> list[bytes]:
    """The lines that go out for a request with these headers and no others."""
    with recorder() as (url, heads):

        async def main() -> None:
            async with make_client() as client:
                client.headers = httpx2.Headers()
                await client.request(method, url + path, headers=headers, **request)

        run(main)
        host = url.removeprefix("http://").encode()
        return [line.replace(host, b"HOST") for line in heads[0].split(b"\r\n")]


def test_nothing_is_added_to_a_request(run, make_client):
    lines = head_of(run, make_client)
    assert lines[0] == b"GET / HTTP/1.1"
    assert b"Host: HOST" in lines
    names = {line.partition(b":")[0] for line in lines[1:]}
    assert names <= {b"Host", b"Accept", b"Accept-Encoding", b"Connection", b"User-Agent"}


def test_headers_whose_name_is_spelled_in_several_ways_all_arrive(run, make_client):
    lines = head_of(run, make_client, headers=[("X-A", "1"), ("x-a", "2"), ("X-B", "3"), ("X-A", "4")])
    pairs = [line.split(b": ") for line in lines if line.lower().startswith(b"x-")]
    assert [(name.lower(), value) for name, value in pairs] == [
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"x-b", b"3"),
        (b"x-a", b"4"),
    ]


def test_a_request_has_one_host(serve, send):
    with pytest.raises(httpx2.LocalProtocolError):
        send(serve(answer(b"5")).url, headers=[("Host", "a"), ("host", "b")])


HEADERS = [
    ("x-lower", "1"),
    ("X-UPPER", "2"),
    ("X-Mixed-cASE", "3"),
    ("X-Twice", "a"),
    ("x-between", "b"),
    ("X-Twice", "c"),
    ("X-Empty", ""),
    ("X-Spaces", "a  b\tc"),
    ("Cookie", 'a=b; c="d e"; f'),
    ("Accept", "text/event-stream"),
    ("Authorization", "Bearer token"),
    ("Content-Type", "text/plain"),
    ("Expect", "nothing"),
    ("Last-Event-ID", "7"),
]


def bare_head(run, make_transport, request: httpx2.Request, host: bytes, heads: list[bytes]) -> list[bytes]:
    async def main() -> None:
        async with make_transport(verify=False) as transport:
            response = await transport.handle_async_request(request)
            await response.aread()

    run(main)
    return [line.replace(host, b"HOST") for line in heads[0].split(b"\r\n")]


def bare_request(run, make_transport, method: str, headers: list, path: str = "/", **options) -> list[bytes]:
    """The lines that go out for a request that no client has completed."""
    with recorder() as (url, heads):
        request = httpx2.Request(method, url + path, headers=headers, **options)
        return bare_head(run, make_transport, request, url.removeprefix("http://").encode(), heads)


def test_headers_keep_their_order_their_case_and_their_duplicates(run, make_transport):
    lines = bare_request(run, make_transport, "GET", HEADERS)
    assert lines == [
        b"GET / HTTP/1.1",
        b"Host: HOST",
        *[f"{name}: {value}".encode() for name, value in HEADERS],
    ]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_a_bare_request_has_a_host_and_nothing_else(run, make_transport, method):
    lines = bare_request(run, make_transport, method, [])
    length = [b"Content-Length: 0"] if method in ("POST", "PUT", "PATCH") else []
    assert lines == [f"{method} / HTTP/1.1".encode(), b"Host: HOST", *length]


def test_a_body_adds_its_length_and_nothing_else(run, make_transport):
    lines = bare_request(run, make_transport, "POST", [], content=b"body")
    assert sorted(lines) == [b"Content-Length: 4", b"Host: HOST", b"POST / HTTP/1.1"]


def test_a_host_that_is_given_by_hand(run, make_transport):
    lines = bare_request(run, make_transport, "GET", [("X-One", "1"), ("Host", "example.com:81")])
    assert [line for line in lines if line.lower().startswith(b"host")] == [b"Host: example.com:81"]


def test_values_in_utf_8(run, make_transport):
    lines = bare_request(run, make_transport, "GET", [(b"X-Name", "Grüße, 世界".encode())])
    assert lines[-1] == b"X-Name: " + "Grüße, 世界".encode()


def test_a_value_that_is_not_utf_8_goes_out_as_it_is(run, make_transport):
    lines = bare_request(run, make_transport, "GET", [(b"X-Latin", b"a\xffb")])
    assert lines[-1] == b"X-Latin: a\xffb"


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X-Bad", b"a\r\nX-Smuggled: 1"),
        (b"X-Bad", b"a\nb"),
        (b"X-Bad", b"a\rb"),
        (b"X-Bad", b"a\0b"),
        (b"X Bad", b"a"),
        (b"X-Bad:", b"a"),
        (b"X-Bad\r\n", b"a"),
        (b"", b"a"),
    ],
)
def test_headers_that_cannot_be_sent(serve, send, name, value):
    server = serve(answer(b"5"))
    with pytest.raises(httpx2.LocalProtocolError):
        send(server.url, headers=[(name, value)])
    assert not server.requests


@over(*EVERY)
@pytest.mark.parametrize("method", ["G ET", "GET\r\nX: 1", "GET:", ""])
def test_methods_that_cannot_be_sent(serve, send, method):
    server = serve(answer(b"5"))
    with pytest.raises(httpx2.LocalProtocolError):
        send(server.url, method)
    assert not server.requests


@pytest.mark.parametrize("method", ["GET", "get", "QUERY", "PROPFIND", "X-OWN"])
def test_methods(serve, send, method):
    server = serve(answer(b"5"))
    send(server.url, method)
    assert server.requests[0].method == method.upper()


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/path",
        "/path/",
        "//double//slashes//",
        "/a/../b/./c",
        "/a%2Fb%2fc",
        "/%41%7e%7E~",
        "/sp ace",
        "/ä/世界",
        "/semi;colon=1,comma",
        "/at@sign:colon",
        "/100%",
        "/%zz",
        "/[brackets]{braces}|pipe^",
        "/quote'\"<>",
        "/?a=b&c=d",
        "/?a=b=c",
        "/?a=1&a=2",
        "/?a=b+c%20d",
        "/?a=%2B%26%3d",
        "/?a=ä",
        "/?x[]=1&y={z}",
        "/?a=?/:@!$'()*,;",
        "/?novalue",
        "/?=",
        "/?&&",
        "/?a=1#fragment",
        "/#fragment",
        "/path?" + "a=b&" * 1000,
    ],
)
def test_paths_and_queries_go_out_as_httpx2_writes_them(serve, send, target):
    server = serve(answer(b"5"))
    url = httpx2.URL(server.url + target)
    response = send(url)
    assert server.requests[0].target == url.raw_path.decode()
    assert response.request.url == url


@pytest.mark.parametrize(
    ("method", "target"), [("OPTIONS", b"*"), ("GET", b"http://other.test/path"), ("GET", b"/a?<>[]^|")]
)
def test_the_target_may_be_said(run, make_client, method, target):
    lines = head_of(run, make_client, method, "/path?query=1", extensions={"target": target})
    assert lines[0] == method.encode() + b" " + target + b" HTTP/1.1"
    assert b"Host: HOST" in lines


@over(*OURS, but="h11 lets some of these through")
@pytest.mark.parametrize("target", [b"/a b", b"/\r\nX-Smuggled: 1", b"/\n", b"/\0", b""])
def test_targets_that_cannot_be_sent(serve, send, target):
    server = serve(answer(b"5"))
    with pytest.raises(httpx2.LocalProtocolError):
        send(server.url, extensions={"target": target})
    assert not server.requests


def test_a_user_in_the_url_becomes_a_header(serve, send):
    server = serve(answer(b"5"))
    send(server.url.replace("://", "://me:p%40ss@"))
    (request,) = server.requests
    assert request.header("Authorization") == "Basic bWU6cEBzcw=="
    assert "me" not in request.header("Host")


@pytest.mark.parametrize("url", ["ftp://example.com/", "data:,x", "file:///etc/hosts", "//example.com/"])
def test_other_schemes_are_not_supported(send, url):
    with pytest.raises(httpx2.UnsupportedProtocol):
        send(url)


def respond(serve, send, data: bytes, **options) -> httpx2.Response:
    async def once(connection: Connection) -> None:
        await connection.send(data)
        if b"chunked" not in data and b"Content-Length" not in data:
            connection.close()

    return send(serve(once).url, **options)


def test_the_headers_of_a_response_keep_their_order_their_case_and_their_duplicates(serve, send):
    lines = [
        (b"X-lower", b"1"),
        (b"Set-Cookie", b"a=b; Path=/"),
        (b"X-Between", b""),
        (b"set-cookie", b"c=d; Expires=Wed, 21 Oct 2065 07:28:00 GMT"),
        (b"SET-COOKIE", b"broken;;;="),
        (b"X-Latin", "Grüße".encode("latin-1")),
        (b"X-Utf-8", "世界".encode()),
        (b"X-Spaces", b"a  b\tc"),
        (b"Content-Length", b"0"),
    ]
    head = b"".join(b"%s:  %s \r\n" % line for line in lines)
    assert respond(serve, send, b"HTTP/1.1 200 OK\r\n" + head + b"\r\n").headers.raw == lines


@pytest.mark.parametrize(
    ("line", "version", "status", "reason"),
    [
        ("HTTP/1.1 200 OK", "HTTP/1.1", 200, "OK"),
        ("HTTP/1.0 200 OK", "HTTP/1.0", 200, "OK"),
        ("HTTP/1.1 200 ", "HTTP/1.1", 200, ""),
        ("HTTP/1.1 200", "HTTP/1.1", 200, ""),
        ("HTTP/1.1 200 All is well, thank you", "HTTP/1.1", 200, "All is well, thank you"),
        ("HTTP/1.1 404 ", "HTTP/1.1", 404, ""),
        ("HTTP/1.1 299 Own", "HTTP/1.1", 299, "Own"),
        ("HTTP/1.1 418 I'm a teapot", "HTTP/1.1", 418, "I'm a teapot"),
        ("HTTP/1.1 500 Internal Server Error", "HTTP/1.1", 500, "Internal Server Error"),
        ("HTTP/1.1 599 Own", "HTTP/1.1", 599, "Own"),
        ("HTTP/1.1 999 Own", "HTTP/1.1", 999, "Own"),
    ],
)
def test_the_status_line(serve, send, line, version, status, reason):
    response = respond(serve, send, f"{line}\r\nContent-Length: 0\r\n\r\n".encode())
    assert (response.http_version, response.status_code, response.reason_phrase) == (version, status, reason)


def test_a_reason_outside_ascii_does_no_harm(serve, send):
    response = respond(serve, send, "HTTP/1.1 200 Schön\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
    assert response.status_code == 200
    assert response.extensions["reason_phrase"] == "Schön".encode("latin-1")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "informational",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 199 Own\r\n\r\n",
    ],
)
def test_what_comes_before_the_response_is_passed_over(serve, send, informational, count):
    response = respond(serve, send, informational * count + answer(b"5"))
    assert (response.status_code, response.content) == (200, b"5")
    assert "Link" not in response.headers


@over(*EVERY)
def test_what_comes_before_the_response_by_itself_is_passed_over(serve, send):
    async def hint(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await connection.send(b"HTTP/1.1 103 Early Hints\r\n")
        await connection.send(b"\r\nHTTP/1.1 200 OK\r")
        await connection.send(b"\nContent-Length: 1\r\n\r")
        await connection.send(b"\n5")

    assert send(serve(hint).url).content == b"5"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "205 Reset Content"])
def test_a_response_without_a_body(serve, send, status):
    length = "" if status.startswith("204") else "Content-Length: 0\r\n"
    response = respond(serve, send, f"HTTP/1.1 {status}\r\n{length}X-One: 1\r\n\r\n".encode())
    assert (f"{response.status_code} {response.reason_phrase}", response.content) == (status, b"")
    assert response.headers["X-One"] == "1"


def test_the_length_of_a_304_and_of_a_head_is_that_of_another_body(serve, send):
    head = b"HTTP/1.1 %b\r\nContent-Length: 1000\r\n\r\n"
    for status, method in ((b"304 Not Modified", "GET"), (b"200 OK", "HEAD")):
        response = respond(serve, send, head % status, method=method)
        assert response.headers["Content-Length"] == "1000"
        assert response.content == b""


def test_a_head_that_would_be_chunked(serve, send):
    response = respond(serve, send, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", method="HEAD")
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.content == b""


def test_a_response_of_very_many_headers(serve, send):
    lines = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(1000))
    response = respond(serve, send, b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    assert len(response.headers) == 1001


@over(*EVERY)
@pytest.mark.parametrize(
    "lines",
    [b"X-Long: " + b"x" * 50_000 + b"\r\n", b"X-Long: " + b"x" * 90_000 + b"\r\n"],
    ids=["50,000 bytes", "90,000 bytes"],
)
def test_a_response_of_a_long_header(serve, send, lines):
    response = respond(serve, send, b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    assert f"X-Long: {response.headers['X-Long']}\r\n".encode() == lines


@pytest.mark.parametrize("line", [b"X-Long: " + b"x" * 200_000, b"\r\n".join([b"X-One: " + b"x" * 1000] * 200)])
@pytest.mark.parametrize("is_ended", [True, False])
def test_a_head_without_measure_is_refused(serve, send, line, is_ended):
    end = b"\r\nContent-Length: 0\r\n\r\n" if is_ended else b""
    with pytest.raises(httpx2.RemoteProtocolError):
        respond(serve, send, b"HTTP/1.1 200 OK\r\n" + line + end)


@over(*EVERY)
def test_the_connection_tells_about_itself(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client() as client, client.stream("GET", server.url) as response:
            network_stream = response.extensions["network_stream"]
            assert network_stream.get_extra_info("server_addr")[:2] == address(server.url)
            assert network_stream.get_extra_info("client_addr")[0] == "127.0.0.1"
            connection = network_stream.get_extra_info("socket")
            assert connection.getpeername() == network_stream.get_extra_info("server_addr")
            assert connection.getsockname() == network_stream.get_extra_info("client_addr")
            assert network_stream.get_extra_info("ssl_object") is None
            assert network_stream.get_extra_info("nonsense") is None

    run(main)


@over(*EVERY)
def test_the_address_to_connect_from(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client(local_address="127.0.0.2") as client, client.stream("GET", server.url) as response:
            assert response.extensions["network_stream"].get_extra_info("client_addr")[0] == "127.0.0.2"

    run(main)


@over(*EVERY)
def test_an_address_that_cannot_be_connected_from(serve, send):
    server = serve(answer(b"5"))
    with pytest.raises(httpx2.ConnectError):
        send(server.url, options={"local_address": "192.0.2.1"})
    assert not server.requests


@over(*OURS, "httpx2")
def test_a_failed_connection_is_tried_again(run, make_client):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:{1}/".format(*listener.getsockname())

        def answer_one() -> None:
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer(b"5"))

        async def main() -> None:
            async with make_client() as client:
                with pytest.raises(httpx2.ConnectError):
                    await client.get(url)
            async with make_client(retries=5) as client:
                server = threading.Thread(target=answer_one, daemon=True)
                asyncio.get_running_loop().call_later(0.1, server.start)  # the first attempts have failed then
                assert (await client.get(url)).content == b"5"

        run(main)


@over(*EVERY)
def test_a_failed_connection_is_not_tried_for_ever(send):
    with pytest.raises(httpx2.ConnectError):
        send("http://127.0.0.1:1/", options={"retries": 1})


@over(*AND_UVLOOP)
def test_a_unix_socket(send, run, make_client, tmp_path):
    with unix_server(answer(b"5"), tmp_path / "socket") as server:

        async def main() -> None:
            async with make_client(uds=str(tmp_path / "socket")) as client:
                for _ in range(3):
                    response = await client.post("http://example.test/path?a=b", content=b"x" * 100_000)
                    assert response.content == b"5"
                    assert response.extensions["network_stream"].get_extra_info("socket").family == socket.AF_UNIX

        run(main)
        assert server.connections == 1
        assert {request.header("Host") for request in server.requests} == {"example.test"}
        assert {request.target for request in server.requests} == {"/path?a=b"}
        server.wait_until_closed()


@over(*OURS, but="httpx2's own leaves an open socket behind")
def test_a_unix_socket_that_is_not_there(send, tmp_path):
    with pytest.raises(httpx2.ConnectError) as caught:
        send("http://example.test/", options={"uds": str(tmp_path / "socket")})
    assert caught.value.request.url.host == "example.test"


@over(*EVERY)
def test_tls_over_a_unix_socket(run, make_client, tmp_path):
    path = tmp_path / "socket"
    context = certified("example.test")

    async def main() -> None:
        async with make_client(uds=str(path), verify=trusting()) as client:
            response = await client.get("https://example.test/")
            assert response.content == b"5"
            assert response.extensions["network_stream"].get_extra_info("ssl_object").version() == "TLSv1.3"

    with listen(answer(b"5"), lambda accept: asyncio.start_unix_server(accept, path, ssl=context)) as (server, _):
        run(main)
        server.wait_until_closed()


def test_trailers_are_passed_over(serve, send):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    response = respond(serve, send, head + chunk(b"body") + b"0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n")
    assert response.content == b"body"
    assert "X-Sum" not in response.headers
