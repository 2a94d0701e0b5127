"""The bodies of requests, as the server receives them."""

from __future__ import annotations

import asyncio
import io
import itertools
import socket
from collections.abc import AsyncIterator
from typing import Any

import h11
import httpx2
import pytest
from tests.loops import Word
from tests.servers import END, WAIT, Connection, answer
from tests.wire.conftest import NOBODY_TRUSTED
from tests.wire.kinds import AND_UVLOOP, ASYNC, IN_ASYNCIO, SYNC, over
from tests.wire.sockets import read_until_closed, reset, socket_server

from clientele.wire.transport import WireTransport

MIB = bytes(range(256)) * 4096


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("size", [1, 65_536, 65_537, len(MIB)])
def test_bytes_are_sent_with_their_length(serve, send, size):
    server = serve(answer(b"5"))
    send(server.url, "POST", content=MIB[:size])
    (request,) = server.requests
    assert request.body == MIB[:size]
    assert request.header("Content-Length") == str(size)
    assert request.header("Transfer-Encoding") is None


@pytest.mark.parametrize(
    "parts",
    [[b"one"], [b"one", b"two"], [b"one", b"", b"two"], [b""], [], [MIB], [b"x"] * 1000],
    ids=["one", "two", "an empty one between", "an empty one", "none", "a large one", "many small ones"],
)
def test_an_iterator_is_sent_in_chunks(serve, send, parts):
    server = serve(answer(b"5"))
    send(server.url, "POST", content=pieces(*parts))
    (request,) = server.requests
    assert request.body == b"".join(parts)
    assert request.header("Transfer-Encoding") == "chunked"
    assert request.header("Content-Length") is None


@over(*SYNC)
@pytest.mark.parametrize("parts", [[b"one", b"two"], [b"onetwo"], [b"one", b"", b"two"]])
def test_an_iterator_of_a_known_length_is_sent_with_it(serve, send, parts):
    server = serve(answer(b"5"))
    send(server.url, "POST", content=pieces(*parts), headers={"Content-Length": "6"})
    (request,) = server.requests
    assert request.body == b"onetwo"
    assert request.header("Content-Length") == "6"
    assert request.header("Transfer-Encoding") is None


@pytest.mark.parametrize("length", [5, 7, 0])
def test_an_iterator_that_is_not_as_long_as_was_said(serve, send, length):
    server = serve(answer(b"5"))
    with pytest.raises((httpx2.LocalProtocolError, h11.LocalProtocolError)):  # httpx2's own lets h11's through
        send(server.url, "POST", content=pieces(b"one", b"two"), headers={"Content-Length": str(length)})
    server.wait_until_closed()


@over(*SYNC)
@pytest.mark.parametrize("length", ["many", "-1", "1.5", "1_0"])
def test_a_length_that_is_no_number(serve, send, length):
    server = serve(answer(b"5"))
    with pytest.raises(httpx2.LocalProtocolError):
        send(server.url, "POST", content=pieces(b"one"), headers={"Content-Length": length})


@over(*SYNC)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("content", [None, b""], ids=["none", "empty"])
def test_a_request_without_a_body(serve, send, method, content):
    server = serve(answer(b"5" if method != "HEAD" else b""))
    send(server.url, method, content=content)
    (request,) = server.requests
    assert (request.method, request.body) == (method, b"")
    assert request.header("Content-Length") == ("0" if method in ("POST", "PUT", "PATCH") else None)
    assert request.header("Transfer-Encoding") is None
    assert request.header("Content-Type") is None


@over(*SYNC)
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_a_body_may_be_sent_with_any_method(serve, send, method):
    server = serve(answer(b"5"))
    send(server.url, method, content=b"body")
    assert server.requests[0].body == b"body"


def received(server) -> tuple[bytes, str | None, str | None, str | None]:
    (request,) = server.requests
    names = ("Content-Type", "Content-Length", "Transfer-Encoding")
    return (request.body, *[request.header(name) for name in names])


@pytest.mark.parametrize(
    "make_body",
    [
        lambda: {"json": {"a": [1, "ä"]}},
        lambda: {"data": {"a": "1", "b": ["2", "ä"]}},
        lambda: {"files": {"file": ("a.txt", io.BytesIO(b"content"))}, "headers": {"Content-Type": BOUNDARY}},
        lambda: {"files": {"file": MIB}, "data": {"a": "1"}, "headers": {"Content-Type": BOUNDARY}},
    ],
    ids=["JSON", "a form", "a file", "a large file and a field"],
)
def test_what_httpx2_encodes_is_sent_as_it_is(serve, send, make_body):
    server = serve(answer(b"5"))
    send(server.url, "POST", **make_body())
    expected = httpx2.Request("POST", server.url, **make_body())
    names = ("Content-Type", "Content-Length", "Transfer-Encoding")
    assert received(server) == (expected.read(), *[expected.headers.get(name) for name in names])


@over(*SYNC)
def test_bytes_may_be_sent_in_chunks(serve, send):
    server = serve(answer(b"5"))
    send(server.url, "POST", content=b"abc", headers={"Transfer-Encoding": "chunked"})
    assert received(server) == (b"abc", None, None, "chunked")


def test_a_body_of_anything_but_bytes_is_refused(serve, send):
    async def text() -> AsyncIterator[Any]:
        yield b"a"
        yield "b"

    with pytest.raises(TypeError, match="bytes"):
        send(serve(Connection.until_client_closes).url, "POST", content=text())


@over(*IN_ASYNCIO, but="asyncio knows no other word for it")
def test_a_body_that_awaits_what_was_cancelled_says_so(serve, send):
    async def cancelled() -> AsyncIterator[bytes]:
        yield b"a"
        task = asyncio.create_task(asyncio.sleep(WAIT))
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        send(serve(Connection.until_client_closes).url, "POST", content=cancelled())


BOUNDARY = "multipart/form-data; boundary=boundary"


class BrokenError(Exception):
    pass


@pytest.mark.parametrize(
    ("sent", "headers", "error"),
    [
        ([], {}, BrokenError),
        ([MIB], {}, BrokenError),
        ([b"one"], {"Content-Length": "10000000"}, BrokenError),
        *[([b"one"], {}, error) for error in (BrokenError, ValueError, OSError, TimeoutError, ConnectionResetError)],
    ],
)
def test_an_error_in_the_iterator_comes_out_as_it_is(serve, send, sent, headers, error):
    async def take(connection: Connection) -> None:
        await connection.until_client_closes()

    raised = error("broken")

    async def body() -> AsyncIterator[bytes]:
        for part in sent:
            yield part
        raise raised

    server = serve(take)
    with pytest.raises(error) as caught:
        send(server.url, "POST", content=body(), headers=headers)
    assert caught.value is raised
    server.wait_until_closed()


def answer_to_the_end(connection: socket.socket) -> None:
    data = b""
    while not data.endswith(END):
        data += connection.recv(65_536)
    connection.sendall(answer(b"5"))
    connection.recv(1)


def take_one_and_reset(connection: socket.socket) -> None:
    data = b""
    while b"one" not in data:
        data += connection.recv(1000)
    reset(connection)


@over(*AND_UVLOOP)
@pytest.mark.parametrize(
    ("serve_one", "way"),
    [
        (answer_to_the_end, "it ended"),
        (read_until_closed, "it failed"),
        (take_one_and_reset, "the server broke off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_iterator_is_closed_when(run, make_client, kind, serve_one, way):
    if (kind.name, way) == ("httpx2-sync", "the server broke off"):
        pytest.skip("httpx2's own does not close it from Python 3.12 on")
    begun, closed = Word(), Word()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            begun.set()
            if way == "it failed":
                raise BrokenError
            if way != "it ended":
                for _ in itertools.count():
                    yield MIB[:65_536]
        finally:
            closed.set()

    async def main() -> None:
        with socket_server(serve_one) as url:
            async with make_client() as client:
                task = asyncio.create_task(client.post(url, content=body()))
                await begun.given()
                await asyncio.wait([task], timeout=WAIT)
                await closed.given()
        errors = {"it failed": BrokenError, "the server broke off": httpx2.TransportError}
        assert isinstance(task.exception(), errors.get(way, type(None)))

    run(main)


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
def test_the_iterator_is_closed_when_the_task_is_cancelled(run, make_client):
    begun, closed = Word(), Word()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def main() -> None:
        with socket_server(read_until_closed) as url:
            async with make_client() as client:
                task = asyncio.create_task(client.post(url, content=body()))
                await begun.given()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await closed.given()

    run(main)


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_generator_cannot_be_sent_once_more(serve, send, status):
    server = serve(answer(b"", status=status, headers="Location: /other\r\n"))
    with pytest.raises(httpx2.StreamConsumed):
        send(server.url, "POST", content=pieces(b"one"), options={"follow_redirects": True})
    assert [request.target for request in server.requests] == ["/"]


def test_bytes_are_sent_once_more(serve, send):
    async def redirect(connection: Connection) -> None:
        where = "" if connection.request.target == "/end" else "Location: /end\r\n"
        await connection.send(answer(b"", status="307 Temporary Redirect" if where else "200 OK", headers=where))

    server = serve(redirect)
    send(server.url, "POST", content=b"body", options={"follow_redirects": True})
    assert [(request.target, request.body) for request in server.requests] == [("/", b"body"), ("/end", b"body")]


def test_a_body_is_sent_as_it_is_made(run, make_client):
    """Each piece is made only when the server has received the one before."""
    received = [Word() for _ in range(3)]

    def take(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            for number, word in enumerate(received):
                assert stream.readline() + stream.readline() == b"1\r\n%d\r\n" % number
                word.set()
            connection.sendall(answer(b"5"))
            stream.read()

    async def body() -> AsyncIterator[bytes]:
        for number, word in enumerate(received):
            yield b"%d" % number
            await word.given()

    async def main() -> None:
        with socket_server(take) as url:
            async with make_client() as client:
                assert (await client.post(url, content=body())).content == b"5"

    run(main)


@over(*ASYNC, but="synchronous transports take it")
def test_a_synchronous_iterator_is_refused(serve, send):
    with pytest.raises(RuntimeError, match="sync"):
        send(serve(answer(b"5")).url, "POST", content=iter([b"one"]))


def continue_and_take(connection: socket.socket) -> None:
    with connection.makefile("rb") as stream:
        while stream.readline() != b"\r\n":
            pass
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert stream.read(4) == b"body"
        connection.sendall(answer(b"5"))
        stream.read()


def refuse_to_continue(connection: socket.socket) -> None:
    with connection.makefile("rb") as stream:
        while stream.readline() != b"\r\n":
            pass
        connection.sendall(answer(b"no", status="417 Expectation Failed", headers="Connection: close\r\n"))
        connection.shutdown(socket.SHUT_WR)
        stream.read()


@pytest.mark.parametrize(
    ("serve_one", "status", "content"),
    [(continue_and_take, 200, b"5"), (refuse_to_continue, 417, b"no")],
    ids=["continues", "refuses"],
)
def test_a_server_that_is_asked_whether_it_will_take_the_body(run, make_client, serve_one, status, content):
    async def main() -> None:
        with socket_server(serve_one) as url:
            async with make_client() as client:
                response = await client.post(url, content=b"body", headers={"Expect": "100-continue"})
                assert (response.status_code, response.content) == (status, content)

    run(main)


@pytest.mark.parametrize("transport_class", [WireTransport, httpx2.HTTPTransport], ids=["ours", "httpx2"])
@pytest.mark.parametrize(
    ("make_body", "framing"),
    [
        (lambda: iter([b"one", b"", b"two"]), "Transfer-Encoding"),
        (lambda: (part for part in [b"one", b"two"]), "Transfer-Encoding"),
        (lambda: io.BytesIO(b"onetwo"), "Content-Length"),
        (lambda: b"onetwo", "Content-Length"),
        (lambda: "onetwo", "Content-Length"),
    ],
    ids=["an iterator", "a generator", "a file", "bytes", "text"],
)
def test_what_a_synchronous_transport_sends(serve, transport_class, make_body, framing):
    server = serve(answer(b"5"))
    with httpx2.Client(transport=transport_class(verify=NOBODY_TRUSTED)) as client:
        for _ in range(2):
            assert client.post(server.url, content=make_body()).content == b"5"
    assert [request.body for request in server.requests] == [b"onetwo"] * 2
    assert server.requests[0].header(framing)
    assert server.connections == 1


@pytest.mark.parametrize("transport_class", [WireTransport, httpx2.HTTPTransport], ids=["ours", "httpx2"])
def test_an_asynchronous_iterator_is_refused_by_a_synchronous_transport(serve, transport_class):
    with (
        httpx2.Client(transport=transport_class(verify=NOBODY_TRUSTED)) as client,
        pytest.raises(RuntimeError, match="async"),
    ):
        client.post(serve(answer(b"5")).url, content=pieces(b"one"))
