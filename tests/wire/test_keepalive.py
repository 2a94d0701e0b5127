"""When a connection serves again, and when it does not."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest
import trio
from tests.listeners import tls_server, trusting
from tests.loops import Word
from tests.servers import END, EVENT_STREAM, WAIT, Connection, Handler, answer, chunk
from tests.wire.kinds import AND_UVLOOP, OURS, SYNC, over

from clientele.wire.network import KEEPALIVE_OPTIONS
from clientele.wire.transport import AsyncWireTransport


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


@over(*SYNC)
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


@over(*AND_UVLOOP)
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


@pytest.mark.parametrize("case", ENDING)
def test_a_connection_that_is_to_end_does_not_serve_again(serve, run, make_client, case):
    server = serve(ENDING[case])

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content in (b"ok", b"")

    run(main)
    assert server.connections == 3


ENDED_FOR_US = {
    "HTTP/1.0 that says keep-alive": head("200 OK", "Connection: keep-alive", "Content-Length: 2", version="1.0")
    + b"ok",
}


@over(*OURS, but="h11 ends every connection of HTTP/1.0")
@pytest.mark.parametrize("case", ENDED_FOR_US)
def test_a_connection_of_http_1_0_serves_again_if_the_server_offers_it(serve, run, make_client, case):
    server = serve(ENDED_FOR_US[case])

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"ok"

    run(main)
    assert server.connections == 1


BEYOND = {
    "GET of a length": ("GET", head("200 OK", "Content-Length: 2") + b"ok"),
    "GET in chunks": ("GET", EVENT_STREAM + chunk(b"ok") + END),
    "GET without content": ("GET", head("204 No Content")),
    "HEAD": ("HEAD", head("200 OK", "Content-Length: 2")),
}


@over(*OURS, "uvloop", but="httpx2's own takes them for the next response")
@pytest.mark.parametrize("is_later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("excess", [b" and more", answer(b"wrong")], ids=["bytes", "a response"])
@pytest.mark.parametrize("case", BEYOND)
def test_bytes_behind_a_response_are_not_taken_for_the_next_one(serve, run, make_client, case, excess, is_later):
    method, sent = BEYOND[case]
    word, has_sent = Word(), Word()

    async def send_too_much(connection: Connection) -> None:
        if connection.request.target == "/second":
            return await connection.send(answer(b"right"))
        if is_later:
            await connection.send(sent)
            await word.given()
        await connection.send(excess if is_later else sent + excess)
        has_sent.set()
        return None

    server = serve(send_too_much)

    async def main() -> None:
        async with make_client() as client:
            assert (await client.request(method, f"{server.url}/first")).content in (b"ok", b"")
            word.set()
            await has_sent.given()
            assert (await client.get(f"{server.url}/second")).content == b"right"

    run(main)
    assert server.connections == 2
    assert [request.target for request in server.requests] == ["/first", "/second"]


def padded(size: int) -> bytes:
    """A response of this size, head and all."""
    return answer(b"x" * (2 * size - len(answer(b"x" * size))))


@over(*OURS, "uvloop", but="httpx2's own takes them for the next response")
def test_a_response_in_a_tls_record_of_its_own_is_not_taken_for_the_next_one(run, make_client):
    async def send_too_much(connection: Connection) -> None:
        is_first = connection.request.target == "/first"
        record = 16_384  # bytes, of which no TLS record has more: the second response is not in that of the first
        await connection.send(padded(record) + answer(b"wrong") if is_first else answer(b"right"))

    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            await client.get(f"{server.url}/first")
            assert (await client.get(f"{server.url}/second")).content == b"right"

    with tls_server(send_too_much) as server:
        run(main)
        assert server.connections == 2


@over(*OURS, "uvloop", but="httpx2's own takes them for the next response")
@pytest.mark.parametrize("is_unasked", [True, False], ids=["unasked bytes", "nothing"])
def test_what_follows_a_large_response_over_tls_that_was_read_late(run, make_client, is_unasked):
    has_sent, word, has_spoken = Word(), Word(), Word()

    async def answer_and_speak(connection: Connection) -> None:
        if connection.request.target == "/second":
            return await connection.send(answer(b"right"))
        await connection.send(answer(b"x" * 300_000))
        has_sent.set()
        await word.given()
        if is_unasked:
            await connection.send(answer(b"wrong"))
        has_spoken.set()
        return None

    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            async with client.stream("GET", f"{server.url}/first") as response:
                await has_sent.given()
                for _ in range(100):  # so that the event loop reads all that it will
                    await asyncio.sleep(0)
                assert len(await response.aread()) == 300_000
            word.set()
            await has_spoken.given()
            assert (await client.get(f"{server.url}/second")).content == b"right"

    with tls_server(answer_and_speak) as server:
        run(main)
        assert server.connections == (2 if is_unasked else 1)


@over("sync", "httpx2-sync", "asyncio", "httpx2", but="trio has a loop of its own here; it is tried below")
@pytest.mark.parametrize("end", ["closes", "resets", "speaks"])
def test_an_idle_connection_that_ended_is_found_out_though_the_event_loop_had_no_turn(serve, run, make_client, end):
    run(lambda: an_idle_connection_ends(serve, make_client(), end))


@pytest.mark.parametrize("end", ["closes", "resets", "speaks"])
def test_an_idle_connection_that_ended_is_found_out_though_trio_had_no_turn(serve, end):
    client = httpx2.AsyncClient(transport=AsyncWireTransport(verify=False), timeout=WAIT)
    trio.run(an_idle_connection_ends, serve, client, end)


async def an_idle_connection_ends(serve, client: httpx2.AsyncClient, end: str) -> None:
    word, done = Word(), Word()

    async def answer_and_end(connection: Connection) -> None:
        await connection.send(answer(connection.request.target.encode()))
        if connection.request.target == "/first":
            await word.given()
            match end:
                case "closes":
                    connection.close()
                case "resets":
                    connection.reset()
                case "speaks":
                    await connection.send(head("408 Request Timeout", "Connection: close"))
            done.set()

    server = serve(answer_and_end)
    async with client:
        assert (await client.get(f"{server.url}/first")).text == "/first"
        word.set()
        assert done.wait(WAIT)  # and the event loop waits with us
        if end != "speaks":
            server.wait_until_closed()
        assert (await client.post(f"{server.url}/second", content=b"once")).text == "/second"
    assert [request.target for request in server.requests] == ["/first", "/second"]
    assert server.connections == 2


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


@over(*AND_UVLOOP)
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


def breaks_when_told(is_reset: bool) -> tuple[Handler, Word, Word]:
    """A server whose first connection ends when it is told so, and which says when it has."""
    word, done = Word(), Word()

    async def answer_and_break(connection: Connection) -> None:
        await connection.send(answer(connection.request.target.encode()))
        if connection.request.target == "/first":
            await word.given()
            connection.reset() if is_reset else connection.close()
            done.set()

    return answer_and_break, word, done


async def iterated() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


@over(*OURS, but="httpx2's own leaves it at the error; uvloop does not tell what became of a write")
@pytest.mark.parametrize(
    ("method", "content", "received"),
    [("GET", lambda: None, b""), ("POST", lambda: b"onetwo", b"onetwo"), ("POST", iterated, b"onetwo")],
    ids=["no body", "bytes", "an iterator"],
)
def test_a_request_of_which_nothing_could_be_written_is_sent_over_another_connection(
    serve, run, make_client, method, content, received
):
    """The connection is reset after it has been chosen for the request, and before the request is written."""
    handle, word, done = breaks_when_told(is_reset=True)
    server = serve(handle)

    async def reset_before_writing(event: str, info: object) -> None:
        if event == "http11.send_request_headers.started" and not word.is_set():
            word.set()
            assert done.wait(WAIT)
            server.wait_until_closed()

    async def main() -> None:
        async with make_client() as client:
            await client.get(f"{server.url}/first")
            response = await client.request(
                method, f"{server.url}/second", content=content(), extensions={"trace": reset_before_writing}
            )
            assert response.text == "/second"

    run(main)
    assert [request.target for request in server.requests] == ["/first", "/second"]
    assert server.requests[1].body == received
    assert server.connections == 2


@over(*OURS, "uvloop", "httpx2")
@pytest.mark.parametrize("body", ["bytes", "an iterator", "a file"])
def test_a_request_of_which_something_was_written_is_not_sent_again(serve, run, make_client, body):
    """The connection is reset while the request is written: whether the server has seen it, nobody knows."""
    begun = Word()

    async def answer_or_reset(connection: Connection) -> None:
        await connection.send(answer(b"5"))
        if connection.request.target == "/first":
            data = b""
            while b"one" not in data:
                data += await connection.reader.read(65_536)
            begun.set()
            connection.reset()

    server = serve(answer_or_reset)

    async def endless() -> AsyncIterator[bytes]:
        for _ in itertools.count():
            yield b"one" * 10_000

    bodies = {
        "bytes": {"content": b"one" * 10_000_000},
        "an iterator": {"content": endless()},
        "a file": {"files": {"file": b"one" * 10_000_000}},  # which could be read once more
    }

    async def main() -> None:
        async with make_client() as client:
            await client.get(f"{server.url}/first")
            with pytest.raises(httpx2.TransportError):
                await client.post(server.url, **bodies[body])

    run(main)
    assert begun.is_set()
    assert server.connections == 1


@over(*AND_UVLOOP)
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


@over(*OURS, "uvloop")
def test_tcp_keepalive_is_on(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> list[int]:
        async with make_client() as client:
            response = await client.get(server.url)
            connection = response.extensions["network_stream"].get_extra_info("socket")
            return options_of(connection, [(level, name) for level, name, _ in KEEPALIVE_OPTIONS])

    assert run(main) == [value for _, _, value in KEEPALIVE_OPTIONS]


@over(*AND_UVLOOP)
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
