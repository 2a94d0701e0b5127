"""httpx2's four timeouts, each raised as its own exception, and each only for what it is about."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from tests.loops import Word
from tests.servers import END, EVENT_STREAM, WAIT, Connection, answer, chunk
from tests.wire.kinds import AND_UVLOOP, OURS, over

SHORT = 0.1


def only(**timeout: float | None) -> httpx2.Timeout:
    return httpx2.Timeout(None, **timeout)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that takes connections, and never does anything with them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    return "{}://{}:{}/".format(scheme, *listener.getsockname())


@pytest.fixture
def full_listener() -> Iterator[socket.socket]:
    """A socket that takes no more connections: those that ask get no answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener


async def silent(connection: Connection) -> None:
    await connection.until_client_closes()


@over(*OURS, "httpx2", but="httpx2's own synchronous one takes a timeout of 0 for an error of the socket")
@pytest.mark.parametrize("seconds", [SHORT, 0])
def test_a_connection_that_is_not_opened_in_time(full_listener, send, seconds):
    with pytest.raises(httpx2.ConnectTimeout) as caught:
        send(url_of(full_listener), timeout=only(connect=seconds))
    assert caught.value.request.url == url_of(full_listener)


@over(*AND_UVLOOP)
def test_a_tls_handshake_that_is_not_answered_in_time(listener, send):
    with pytest.raises(httpx2.ConnectTimeout):
        send(url_of(listener, "https"), timeout=only(connect=SHORT))


@over(*OURS, "httpx2", but="httpx2's own synchronous one takes a timeout of 0 for an error of the socket")
@pytest.mark.parametrize("seconds", [SHORT, 0])
@pytest.mark.parametrize("body", [None, b"small", b"x" * 100_000], ids=["none", "small", "large"])
def test_a_response_that_does_not_begin_in_time(serve, send, body, seconds):
    server = serve(silent)
    with pytest.raises(httpx2.ReadTimeout) as caught:
        send(server.url, "POST", content=body, timeout=only(read=seconds))
    assert caught.value.request.url == server.url
    server.wait_until_closed()


@over(*AND_UVLOOP)
def test_the_time_begins_anew_with_whatever_arrives_of_a_head(serve, send):
    async def take_long(connection: Connection) -> None:
        for _ in range(4):
            await connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.15)
        await connection.send(answer(b"5"))

    assert send(serve(take_long).url, timeout=only(read=0.45)).content == b"5"


def test_a_head_that_stops_midway(serve, send):
    async def stop(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        await connection.until_client_closes()

    server = serve(stop)
    with pytest.raises(httpx2.ReadTimeout):
        send(server.url, timeout=only(read=SHORT))
    server.wait_until_closed()


@pytest.mark.parametrize(
    "begun",
    [
        EVENT_STREAM + chunk(b"first"),
        EVENT_STREAM + b"a\r\nfirst",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst",
    ],
    ids=["between chunks", "in a chunk", "in a body of a length", "in a body without a length"],
)
def test_a_body_that_does_not_go_on_in_time(serve, run, make_client, begun):
    async def stop(connection: Connection) -> None:
        await connection.send(begun)
        await connection.until_client_closes()

    server = serve(stop)
    received = b""

    async def main() -> None:
        nonlocal received
        async with make_client() as client:
            request = client.build_request("GET", server.url, timeout=httpx2.Timeout(WAIT, read=SHORT))
            response = await client.send(request, stream=True)
            with pytest.raises(httpx2.ReadTimeout) as caught:
                async for data in response.aiter_raw():
                    received += data
            assert caught.value.request is request
            await response.aclose()
            await asyncio.to_thread(server.wait_until_closed)

    run(main)
    assert received == b"first"


@over(*OURS)
def test_the_time_in_which_nobody_reads_does_not_count(serve, run, make_client):
    word, sent = Word(), Word()

    async def pause(connection: Connection) -> None:
        if connection.request.target == "/silent":
            return await connection.until_client_closes()
        await connection.send(EVENT_STREAM + chunk(b"first"))
        await word.given()
        await connection.send(chunk(b"second") + END)
        sent.set()
        return None

    server = serve(pause)

    async def main() -> list[bytes]:
        async with make_client(timeout=only(read=0.5)) as client, client.stream("GET", server.url) as response:
            chunks = response.aiter_raw()
            received = [await anext(chunks)]
            with pytest.raises(httpx2.ReadTimeout):  # which takes as long as the timeout of the other is
                await client.get(f"{server.url}/silent")
            word.set()
            await sent.given()
            return [*received, *[data async for data in chunks]]

    assert run(main) == [b"first", b"second"]


@over(*OURS)
def test_the_time_before_anybody_reads_does_not_count(serve, run, make_client):
    word, sent = Word(), Word()

    async def pause(connection: Connection) -> None:
        if connection.request.target == "/silent":
            return await connection.until_client_closes()
        await connection.send(EVENT_STREAM)
        await word.given()
        await connection.send(chunk(b"first") + END)
        sent.set()
        return None

    server = serve(pause)

    async def main() -> bytes:
        async with make_client(timeout=only(read=0.5)) as client, client.stream("GET", server.url) as response:
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(f"{server.url}/silent")
            word.set()
            await sent.given()
            return await response.aread()

    assert run(main) == b"first"


async def endless() -> AsyncIterator[bytes]:
    for _ in itertools.count():
        yield b"x" * 65_536


@over(*AND_UVLOOP)
@pytest.mark.parametrize(
    "make_body", [endless, lambda: b"x" * (64 << 20)], ids=["an iterator without an end", "64 MiB at once"]
)
def test_a_body_that_the_server_does_not_take_in_time(listener, send, make_body):
    with pytest.raises(httpx2.WriteTimeout) as caught:
        send(url_of(listener), "POST", content=make_body(), timeout=only(write=SHORT))
    assert caught.value.request.method == "POST"


def test_the_write_timeout_does_not_count_the_time_that_the_body_takes_to_be_made(serve, run, make_client):
    async def answer_or_not(connection: Connection) -> None:
        if connection.request.target == "/silent":
            await connection.until_client_closes()
        await connection.send(answer(b"5"))

    server = serve(answer_or_not)

    async def main() -> httpx2.Response:
        async with make_client(timeout=only(write=SHORT)) as client:

            async def slow() -> AsyncIterator[bytes]:
                yield b"first"
                with pytest.raises(httpx2.ReadTimeout):
                    await client.get(f"{server.url}/silent", timeout=only(read=2 * SHORT))
                yield b"second"

            return await client.post(server.url, content=slow())

    assert run(main).status_code == 200
    assert server.requests[-1].body == b"firstsecond"


@pytest.mark.parametrize("body", [None, b"x" * 100_000], ids=["no body", "a body"])
def test_the_write_timeout_does_not_count_the_time_that_the_response_takes(serve, run, make_client, body):
    word = Word()

    async def wait(connection: Connection) -> None:
        if connection.request.target == "/silent":
            await connection.until_client_closes()
        await word.given()
        await connection.send(answer(b"5"))

    server = serve(wait)

    async def main() -> httpx2.Response:
        async with make_client(timeout=only(write=SHORT)) as client:
            waiting = asyncio.create_task(client.post(server.url, content=body))
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(f"{server.url}/silent", timeout=only(read=2 * SHORT))
            word.set()
            return await waiting

    assert run(main).content == b"5"


@pytest.mark.parametrize("seconds", [SHORT, 0])
def test_no_connection_that_becomes_free_in_time(serve, run, make_client, seconds):
    async def stream(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        await connection.until_client_closes()

    server = serve(stream)

    async def main() -> None:
        limits = httpx2.Limits(max_connections=1)
        async with make_client(limits=limits) as client, client.stream("GET", server.url):
            with pytest.raises(httpx2.PoolTimeout) as caught:
                await client.get(f"{server.url}/waits", timeout=only(pool=seconds))
            assert caught.value.request.url.path == "/waits"

    run(main)
    assert len(server.requests) == 1


def test_a_pool_timeout_of_zero_lets_through_whom_it_need_not_keep_waiting(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client(limits=httpx2.Limits(max_connections=1), timeout=only(pool=0)) as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"5"

    run(main)


def test_without_a_timeout_a_response_may_take_as_long_as_it_likes(serve, run, make_client):
    word = Word()

    async def wait(connection: Connection) -> None:
        if connection.request.target == "/silent":
            await connection.until_client_closes()
        await word.given()
        await connection.send(answer(b"5"))

    server = serve(wait)

    async def main() -> httpx2.Response:
        async with make_client(timeout=None) as client:
            waiting = asyncio.create_task(client.get(server.url))
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(f"{server.url}/silent", timeout=SHORT)
            word.set()
            return await waiting

    assert run(main).content == b"5"


def test_a_request_without_the_extension_has_no_timeouts(serve, run, make_transport):
    server = serve(answer(b"5"))

    async def main() -> bytes:
        async with make_transport(verify=False) as transport:
            response = await transport.handle_async_request(httpx2.Request("GET", server.url))
            return await response.aread()

    assert run(main) == b"5"
