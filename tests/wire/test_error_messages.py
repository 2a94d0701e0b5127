"""What an error says: one line, and neither the query of the URL, nor a header, nor a password of the proxy."""

from __future__ import annotations

import itertools
import socket
import traceback
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.servers import WAIT, answer
from tests.wire.kinds import OURS, over
from tests.wire.sockets import listening, read_until_closed, reset, socket_server

pytestmark = over(*OURS, but="the words of the others are their own")

SECRET = "".join(["s3cr", "3t"])  # not a word in the source, which tracebacks quote


def says_nothing_secret(error: BaseException) -> None:
    assert str(error).strip()
    assert len(str(error).splitlines()) == 1
    assert SECRET not in "".join(traceback.format_exception(error))


async def endless() -> AsyncIterator[bytes]:
    for _ in itertools.count():
        yield b"x" * 65_536


def failure_of(send, url: str, method: str = "GET", **options) -> httpx2.TransportError:
    with pytest.raises(httpx2.TransportError) as caught:
        send(f"{url}?key={SECRET}", method, headers={"Authorization": f"Bearer {SECRET}"}, **options)
    return caught.value


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_not_opened_in_time(send, scheme):
    with listening(is_full=scheme == "http") as (url, _):
        error = failure_of(send, url.replace("http:", f"{scheme}:"), timeout=httpx2.Timeout(WAIT, connect=0.1))
    assert type(error) is httpx2.ConnectTimeout
    says_nothing_secret(error)


def test_a_response_that_does_not_begin_in_time(send):
    with listening() as (url, _):
        error = failure_of(send, url, timeout=httpx2.Timeout(WAIT, read=0.1))
    assert type(error) is httpx2.ReadTimeout
    says_nothing_secret(error)


def test_a_body_that_is_not_taken_in_time(send):
    with listening() as (url, _):
        error = failure_of(send, url, "POST", content=endless(), timeout=httpx2.Timeout(WAIT, write=0.1))
    assert type(error) is httpx2.WriteTimeout
    says_nothing_secret(error)


def test_a_connection_that_is_reset_while_the_body_is_sent(send):
    def take_some(connection: socket.socket) -> None:
        connection.recv(1000)
        reset(connection)

    with socket_server(take_some) as url:
        error = failure_of(send, url, "POST", content=endless())
    assert isinstance(error, httpx2.NetworkError)
    says_nothing_secret(error)


@pytest.mark.parametrize("url", ["http://nowhere.invalid/", "http://127.0.0.1:1/", "https://127.0.0.1:1/"])
def test_a_server_that_is_not_there(send, url):
    error = failure_of(send, url)
    assert type(error) is httpx2.ConnectError
    says_nothing_secret(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("is_full", [False, True], ids=["nobody", "nobody in time"])
def test_a_proxy_that_is_not_there(send, scheme, is_full):
    with listening(is_full=is_full) as (_, listener):
        host, port = listener.getsockname()
        if not is_full:
            port = 1
        error = failure_of(
            send,
            f"{scheme}://example.test/",
            options={"proxy": f"http://me:{SECRET}@{host}:{port}"},
            timeout=httpx2.Timeout(WAIT, connect=0.1),
        )
    assert isinstance(error, httpx2.ConnectTimeout if is_full else httpx2.ConnectError)
    says_nothing_secret(error)


def test_a_server_that_speaks_no_tls(send):
    def speak_plainly(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_until_closed(connection)

    with socket_server(speak_plainly) as url:
        error = failure_of(send, url.replace("http:", "https:"))
    assert type(error) is httpx2.ConnectError
    says_nothing_secret(error)


def test_no_connection_that_becomes_free_in_time(run, make_client, serve):
    async def main() -> httpx2.TransportError:
        async with make_client(limits=httpx2.Limits(max_connections=1)) as client, client.stream("GET", server.url):
            with pytest.raises(httpx2.PoolTimeout) as caught:
                await client.get(f"{server.url}/?key={SECRET}", timeout=httpx2.Timeout(WAIT, pool=0.1))
            return caught.value

    server = serve(answer(b"x" * 1_000_000))
    says_nothing_secret(run(main))


@pytest.mark.parametrize("value", [f"a\r\n{SECRET}", f"a\0{SECRET}"])
def test_a_header_that_cannot_be_sent(serve, send, value):
    server = serve(answer(b"5"))
    with pytest.raises(httpx2.LocalProtocolError) as caught:
        send(server.url, headers=[(b"X-Key", value.encode("latin-1"))])
    says_nothing_secret(caught.value)


def test_a_tunnel_that_breaks_off(send, serve):
    async def break_off(connection) -> None:
        connection.reset()

    server = serve(break_off)
    proxy = server.url.replace("://", f"://me:{SECRET}@")
    says_nothing_secret(failure_of(send, "https://example.test/", options={"proxy": proxy}))
