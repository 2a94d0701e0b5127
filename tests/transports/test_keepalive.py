"""When a connection serves again, and when it does not."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest
from tests.loops import ASYNCIO_LOOPS, Word, on_each_loop
from tests.servers import END, EVENT_STREAM, Connection, answer, chunk

from clientele.transports.aiohttp import AiohttpTransport
from clientele.transports.keepalive import KEEPALIVE_OPTIONS


def head(status: str = "200 OK", *lines: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status}", *lines, "", ""]).encode()


ENDED = {
    "a length": head("200 OK", "Content-Length: 2") + b"ok",
    "no content": head("200 OK", "Content-Length: 0"),
    "chunks": EVENT_STREAM + chunk(b"ok") + END,
    "chunks and trailers": EVENT_STREAM + chunk(b"ok") + b"0\r\nX-Trailer: 1\r\n\r\n",
    "no chunk": EVENT_STREAM + END,
    "204": head("204 No Content"),
    "304": head("304 Not Modified", "Content-Length: 5"),
    "1xx before": head("103 Early Hints", "Link: </style.css>") + head("200 OK", "Content-Length: 2") + b"ok",
    "HTTP/1.1 that says keep-alive": head("200 OK", "Content-Length: 2", "Connection: Keep-Alive") + b"ok",
    "an error": head("500 Internal Server Error", "Content-Length: 2") + b"ok",
    "a redirect": head("302 Found", "Location: /", "Content-Length: 0"),
}

ENDING = {
    "Connection: close": head("200 OK", "Connection: close", "Content-Length: 2") + b"ok",
    "connection: Close": head("200 OK", "connection: Close", "Content-Length: 2") + b"ok",
    "close among others": head("200 OK", "Connection: foo, close", "Content-Length: 2") + b"ok",
    "Connection: close and no content": head("204 No Content", "Connection: close"),
    "HTTP/1.0": head("200 OK", "Content-Length: 2", version="1.0") + b"ok",
}


@on_each_loop
@pytest.mark.parametrize("case", ENDED)
def test_a_connection_serves_again_after_a_response_that_was_read(serve, run, make_client, case):
    server = serve(ENDED[case])

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                await client.get(server.url)

    run(main)
    assert server.connections == 1
    server.wait_until_closed()


@pytest.mark.parametrize("case", ["a length", "no content", "204", "304"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE"])
def test_a_connection_serves_again_whatever_the_method(serve, run, make_client, method, case):
    sent = ENDED[case]
    server = serve(sent.removesuffix(b"ok") if method == "HEAD" else sent)

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert not (await client.request(method, server.url)).headers.get("Transfer-Encoding")

    run(main)
    assert server.connections == 1


@on_each_loop
@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_a_connection_serves_again_after_a_request_with_a_body(serve, run, make_client, size):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                await client.post(server.url, content=b"x" * size)

    run(main)
    assert server.connections == 1
    assert [len(request.body) for request in server.requests] == [size] * 3


@on_each_loop
@pytest.mark.parametrize("case", ENDING)
def test_a_connection_that_is_to_end_does_not_serve_again(serve, run, make_client, case):
    server = serve(ENDING[case])

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content in (b"ok", b"")

    run(main)
    assert server.connections == 3


BEYOND = {
    "bytes behind the response": head("200 OK", "Content-Length: 2") + b"ok and more",
    "a response that nobody asked for": (head("200 OK", "Content-Length: 2") + b"ok") * 2,
}


@on_each_loop
@pytest.mark.parametrize("transport_class", [AiohttpTransport], ids=["aiohttp"])  # httpx2's own takes them for the next
@pytest.mark.parametrize("case", BEYOND)
def test_bytes_behind_a_response_are_not_taken_for_the_next_one(serve, run, make_client, case):
    server = serve(BEYOND[case])

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"ok"

    run(main)
    assert server.connections == 3


def test_a_connection_does_not_serve_again_when_the_request_says_so(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client() as client:
            for _ in range(2):
                await client.get(server.url, headers={"Connection": "close"})
                await asyncio.to_thread(server.wait_until_closed)

    run(main)
    assert server.connections == 2
    assert server.requests[0].header("Connection") == "close"


def test_a_response_that_is_left_unread_takes_its_connection_along(serve, run, make_client):
    server = serve(answer(b"5" * 1_000_000))

    async def main() -> None:
        async with make_client() as client:
            for _ in range(2):
                async with client.stream("GET", server.url):
                    pass
                await asyncio.to_thread(server.wait_until_closed)

    run(main)
    assert server.connections == 2


@on_each_loop
def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(serve, run, make_client):
    async def answer_and_close(connection: Connection) -> None:
        await connection.send(answer(b"5"))
        connection.close()

    server = serve(answer_and_close)

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"5"
                await asyncio.to_thread(server.wait_until_closed)

    run(main)
    assert server.connections == 3


@on_each_loop
@pytest.mark.parametrize("is_closed", [True, False], ids=["and closed", "and left it open"])
def test_a_connection_on_which_the_server_spoke_unasked_is_not_used_again(serve, run, make_client, is_closed):
    words, spoken = [Word() for _ in range(3)], [Word() for _ in range(3)]

    async def answer_and_time_out(connection: Connection) -> None:
        number = len(server.requests) - 1
        await connection.send(answer(b"5"))
        await words[number].given()
        await connection.send(head("408 Request Timeout", "Content-Length: 0", "Connection: close"))
        spoken[number].set()
        if is_closed:
            connection.close()

    server = serve(answer_and_time_out)

    async def main() -> None:
        async with make_client() as client:
            for number in range(3):
                assert (await client.get(server.url)).content == b"5"
                words[number].set()
                await spoken[number].given()

    run(main)
    assert server.connections == 3


@on_each_loop
@pytest.mark.parametrize("transport_class", [AiohttpTransport], ids=["aiohttp"])  # httpx2's own takes it for the next
def test_an_answer_right_behind_another_is_not_taken_for_the_next(serve, run, make_client):
    async def answer_twice(connection: Connection) -> None:
        await connection.send(answer(b"5") + (answer(b"6") if len(server.requests) == 1 else b""))

    server = serve(answer_twice)

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"5"

    run(main)
    assert server.connections == 2


def test_concurrent_requests_have_connections_of_their_own(serve, run, make_client):
    async def echo(connection: Connection) -> None:
        await connection.send(answer(connection.request.target.encode()))

    server = serve(echo)

    async def main() -> None:
        async with make_client() as client:
            for _ in range(5):
                responses = await asyncio.gather(*[client.get(f"{server.url}/{number}") for number in range(10)])
                assert [response.text for response in responses] == [f"/{number}" for number in range(10)]

    run(main)
    assert server.connections == 10


def options_of(connection: socket.socket, options: list[tuple[int, int]]) -> list[int]:
    with socket.fromfd(connection.fileno(), connection.family, connection.type) as duplicate:
        return [duplicate.getsockopt(level, name) for level, name in options]


@pytest.mark.parametrize("run", ASYNCIO_LOOPS.values(), ids=ASYNCIO_LOOPS)
def test_tcp_keepalive_is_on_over_aiohttp(serve, run):
    server = serve(answer(b"5"))

    async def main() -> list[int]:
        async with httpx2.AsyncClient(transport=AiohttpTransport(verify=False)) as client:
            response = await client.get(server.url)
            connection = response.extensions["network_stream"].get_extra_info("socket")
            return options_of(connection, [(level, name) for level, name, _ in KEEPALIVE_OPTIONS])

    assert run(main) == [value for _, _, value in KEEPALIVE_OPTIONS]


@on_each_loop
def test_socket_options_are_set_and_take_the_place_of_those_by_default(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> list[int]:
        options = [(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\0" * 16), (socket.SOL_SOCKET, socket.SO_PRIORITY, 3)]
        async with make_client(socket_options=options) as client:
            response = await client.get(server.url)
            connection = response.extensions["network_stream"].get_extra_info("socket")
            return options_of(
                connection, [(socket.SOL_SOCKET, socket.SO_PRIORITY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
            )

    assert run(main) == [3, 0]
