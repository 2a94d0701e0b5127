"""What goes wrong is raised as httpx2 raises it, after what had arrived before."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import traceback
from collections.abc import Iterator

import httpx2
import pytest
from tests.loops import Word
from tests.servers import EVENT_STREAM, Connection, chunk
from tests.wire.kinds import AND_UVLOOP, OURS, over
from tests.wire.sockets import socket_server

in_our_words = over(*OURS, but="the words of the others are their own")

WITH_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
WITHOUT_LENGTH = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
SECRET = "".join(["s3cr", "3t"])  # not a word in the source, which tracebacks quote


@contextlib.contextmanager
def unused_port() -> Iterator[str]:
    """A URL where nobody listens: the port is bound, so that nobody else takes it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "http://127.0.0.1:{1}".format(*bound.getsockname())


def failure_of(send, url: str, **options) -> httpx2.TransportError:
    with pytest.raises(httpx2.TransportError) as caught:
        send(url, **options)
    return caught.value


@over(*AND_UVLOOP)
def test_a_refused_connection(send):
    with unused_port() as url:
        error = failure_of(send, url)
    assert type(error) is httpx2.ConnectError
    assert error.request.url == url


@over(*OURS, "uvloop", but="httpx2's own loses it in asyncio")
@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_an_answer_before_the_request_was_read_is_kept_though_the_connection_is_reset(send, size):
    def refuse(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")

    with socket_server(refuse) as url:
        response = send(url, method="POST", content=b"x" * size)
    assert (response.status_code, response.content) == (413, b"no")


def test_an_unknown_host_name(send):
    error = failure_of(send, "http://nowhere.invalid/")
    assert type(error) is httpx2.ConnectError
    assert error.request.url.host == "nowhere.invalid"


BEFORE_THE_HEAD = {
    "closed": (b"", False, httpx2.RemoteProtocolError),
    "closed in the status line": (b"HTTP/1.1 20", False, httpx2.RemoteProtocolError),
    "closed in the head": (b"HTTP/1.1 200 OK\r\nX-One: 1\r\n", False, httpx2.RemoteProtocolError),
    "closed after 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n", False, httpx2.RemoteProtocolError),
    "reset": (b"", True, httpx2.ReadError),
    "reset in the head": (b"HTTP/1.1 200 OK\r\nX-One: 1\r\n", True, httpx2.ReadError),
    "garbage": (b"\x16\x03\x01 what\r\n\r\n", False, httpx2.RemoteProtocolError),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", False, httpx2.RemoteProtocolError),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", False, httpx2.RemoteProtocolError),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", False, httpx2.RemoteProtocolError),
    "a header without a colon": (
        b"HTTP/1.1 200 OK\r\nNonsense\r\nContent-Length: 0\r\n\r\n",
        False,
        httpx2.RemoteProtocolError,
    ),
    "a header's name with a space": (
        b"HTTP/1.1 200 OK\r\nX One: 1\r\nContent-Length: 0\r\n\r\n",
        False,
        httpx2.RemoteProtocolError,
    ),
    "a length that is no number": (
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        False,
        httpx2.RemoteProtocolError,
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        False,
        httpx2.RemoteProtocolError,
    ),
}


@over(*AND_UVLOOP)
@pytest.mark.parametrize("case", BEFORE_THE_HEAD)
def test_a_connection_that_fails_before_the_response(serve, send, case):
    sent, is_reset, expected = BEFORE_THE_HEAD[case]

    async def fail(connection: Connection) -> None:
        if sent:
            await connection.send(sent)
        connection.reset() if is_reset else connection.close()

    server = serve(fail)
    error = failure_of(send, f"{server.url}/path?key={SECRET}")
    assert type(error) is expected
    assert error.request.url.path == "/path"
    assert len(server.requests) == 1  # it was not sent again
    server.wait_until_closed()


IN_THE_BODY = {
    "a chunked body that is cut between chunks": (EVENT_STREAM + chunk(b"first"), False, httpx2.RemoteProtocolError),
    "a chunked body that is cut in a chunk": (EVENT_STREAM + b"a\r\nfirst", False, httpx2.RemoteProtocolError),
    "a chunked body that is cut in its last line": (
        EVENT_STREAM + chunk(b"first") + b"0\r\n",
        False,
        httpx2.RemoteProtocolError,
    ),
    "a length that is not reached": (WITH_LENGTH + b"first", False, httpx2.RemoteProtocolError),
    "a chunk of no size": (EVENT_STREAM + chunk(b"first") + b"nonsense\r\n", False, httpx2.RemoteProtocolError),
    "a chunk longer than it says": (EVENT_STREAM + b"5\r\nfirst, second\r\n", False, httpx2.RemoteProtocolError),
    "a reset in a chunked body": (EVENT_STREAM + chunk(b"first"), True, httpx2.ReadError),
    "a reset in a body of a length": (WITH_LENGTH + b"first", True, httpx2.ReadError),
    "a reset in a body without a length": (WITHOUT_LENGTH + b"first", True, httpx2.ReadError),
}


@over(*AND_UVLOOP)
@pytest.mark.parametrize("reading", ["at once", "late"])
@pytest.mark.parametrize("case", IN_THE_BODY)
def test_a_body_that_fails_after_its_first_bytes(serve, run, make_client, case, reading):
    sent, is_reset, expected = IN_THE_BODY[case]
    head, separator, body = sent.partition(b"\r\n\r\n")
    opened, has_read = Word(), Word()

    async def fail(connection: Connection) -> None:
        await connection.send(head + separator)
        await opened.given()
        await connection.send(body)
        if reading == "at once":
            await has_read.given()
        connection.reset() if is_reset else connection.close()

    server = serve(fail)
    received = b""

    async def main() -> None:
        nonlocal received
        async with make_client() as client, client.stream("GET", f"{server.url}/path?key={SECRET}") as response:
            opened.set()
            if reading == "late":
                await asyncio.to_thread(server.wait_until_closed)
            async for data in response.aiter_raw():
                received += data
                has_read.set()

    with pytest.raises(httpx2.TransportError) as caught:
        run(main)
    assert type(caught.value) is expected
    assert caught.value.request.url.path == "/path"
    assert received == b"first"
    assert len(server.requests) == 1
    server.wait_until_closed()


@pytest.mark.parametrize("case", [case for case, (_, is_reset, _) in IN_THE_BODY.items() if not is_reset])
def test_a_body_that_came_in_one_piece_with_its_head_and_its_failure(serve, run, make_client, case):
    sent, _, expected = IN_THE_BODY[case]

    async def fail(connection: Connection) -> None:
        await connection.send(sent)
        connection.close()

    server = serve(fail)
    received = b""

    async def main() -> None:
        nonlocal received
        async with make_client() as client, client.stream("GET", server.url) as response:
            assert response.status_code == 200
            async for data in response.aiter_raw():
                received += data

    with pytest.raises(expected):
        run(main)
    assert received == b"first"


@pytest.mark.parametrize("case", IN_THE_BODY)
def test_a_body_that_failed_fails_again_where_it_is_read_again(serve, run, make_client, case):
    sent, is_reset, _ = IN_THE_BODY[case]

    async def fail(connection: Connection) -> None:
        await connection.send(sent)
        connection.reset() if is_reset else connection.close()

    server = serve(fail)

    async def main() -> None:
        async with make_client() as client, client.stream("GET", server.url) as response:
            with pytest.raises(httpx2.TransportError):
                await response.aread()
            with pytest.raises((httpx2.TransportError, httpx2.StreamError)):
                await response.aread()

    run(main)


def test_a_connection_serves_the_next_request_after_one_that_failed(serve, run, make_client):
    async def fail_first(connection: Connection) -> None:
        if connection.request.target == "/fails":
            connection.reset()
        else:
            await connection.send(WITH_LENGTH.replace(b"1000", b"2") + b"ok")

    server = serve(fail_first)

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                with pytest.raises(httpx2.ReadError):
                    await client.get(f"{server.url}/fails")
                assert (await client.get(server.url)).content == b"ok"

    run(main)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_is_not_sent_again_though_its_idle_connection_broke(serve, run, make_client, method):
    async def answer_once(connection: Connection) -> None:
        if connection.request.target == "/first":
            await connection.send(WITH_LENGTH.replace(b"1000", b"2") + b"ok")
        else:
            connection.close()

    server = serve(answer_once)

    async def main() -> None:
        async with make_client() as client:
            await client.get(f"{server.url}/first")
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.request(method, f"{server.url}/second")

    run(main)
    assert [request.target for request in server.requests] == ["/first", "/second"]


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def one_line_without_secrets(error: httpx2.TransportError) -> None:
    assert str(error).strip()
    assert len(str(error).splitlines()) == 1
    assert SECRET not in str(error)
    assert SECRET not in text_of(error)


@in_our_words
@pytest.mark.parametrize("case", BEFORE_THE_HEAD)
def test_an_error_before_the_response_says_what_happened_in_one_line_without_secrets(serve, send, case):
    sent, is_reset, _ = BEFORE_THE_HEAD[case]

    async def fail(connection: Connection) -> None:
        if sent:
            await connection.send(sent)
        connection.reset() if is_reset else connection.close()

    error = failure_of(send, f"{serve(fail).url}/?api_key={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
    one_line_without_secrets(error)


@in_our_words
@pytest.mark.parametrize("case", IN_THE_BODY)
def test_an_error_in_the_body_says_what_happened_in_one_line_without_secrets(serve, send, case):
    sent, is_reset, _ = IN_THE_BODY[case]

    async def fail(connection: Connection) -> None:
        await connection.send(sent)
        connection.reset() if is_reset else connection.close()

    one_line_without_secrets(failure_of(send, f"{serve(fail).url}/?api_key={SECRET}"))


@in_our_words
def test_a_refused_connection_is_told_of_without_secrets(send):
    with unused_port() as url:
        one_line_without_secrets(failure_of(send, f"{url}/?api_key={SECRET}"))
