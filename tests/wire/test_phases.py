"""A request in its phases: waiting for a connection, opening it, sending, answered. Each has a timeout of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import h11
import httpx2
import pytest
from tests.loops import Word
from tests.servers import EVENT_STREAM, Connection, RawServer, answer, chunk
from tests.wire.kinds import AND_UVLOOP, OUR_ASYNC, OURS, SYNC, over
from tests.wire.sockets import listening, read_until_closed, socket_server

SHORT = httpx2.Timeout(None, write=0.05)


async def body() -> AsyncIterator[bytes]:
    yield b"one"


async def outlast(timeout: float) -> None:
    """Wait until a timeout of this length that began before has fired, if it runs."""
    await asyncio.get_running_loop().run_in_executor(None, asyncio.run, asyncio.sleep(2 * timeout))


@pytest.mark.parametrize("content", [b"one", b"1" * 100_000, None], ids=["small", "large", "an iterator"])
def test_the_write_timeout_does_not_count_the_wait_for_the_answer(serve, run, make_client, content):
    async def think(connection: Connection) -> None:
        await outlast(0.05)
        await connection.send(answer(b"5"))

    server = serve(think)

    async def main() -> httpx2.Response:
        async with make_client(timeout=SHORT) as client:
            return await client.post(server.url, content=content or body())

    assert run(main).content == b"5"


def test_the_write_timeout_does_not_count_the_wait_for_a_connection(serve, run, make_client):
    async def think(connection: Connection) -> None:
        await outlast(0.05)
        await connection.send(answer(b"5"))

    server = serve(think)

    async def main() -> list[httpx2.Response]:
        async with make_client(timeout=SHORT, limits=httpx2.Limits(max_connections=1)) as client:
            return await asyncio.gather(*[client.post(server.url, content=body()) for _ in range(3)])

    assert [response.content for response in run(main)] == [b"5"] * 3


@over(*SYNC)
@pytest.mark.parametrize("length", ["0", "2", "10"])
def test_a_small_body_is_held_to_its_length_too(serve, send, length):
    server = serve(answer(b"5"))
    with pytest.raises((httpx2.LocalProtocolError, h11.LocalProtocolError)):
        send(server.url, "POST", content=b"abc", headers={"Content-Length": length})


HALVES = {
    "of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab",
    "chunked": EVENT_STREAM + chunk(b"ab"),
    "until the connection closes": b"HTTP/1.1 200 OK\r\n\r\nab",
}


@over(*OURS, "uvloop", "httpx2", but="httpx2's own does not wake a thread that reads")
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_a_client_that_is_closed_ends_the_reading_of_its_responses(serve, run, make_client, half):
    server = serve_and_wait(serve, half)

    async def main() -> list[bytes]:
        client, received = make_client(), []
        async with client.stream("GET", server.url) as response:
            chunks = response.aiter_raw()
            received.append(await anext(chunks))
            reading = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(0)
            await client.aclose()
            with pytest.raises(httpx2.NetworkError):
                await reading
        return received

    assert run(main) == [b"ab"]


@over(*AND_UVLOOP)
def test_an_error_in_the_body_is_raised_though_the_answer_has_begun(run, make_client):
    begun = Word()

    def answer_before_the_body(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(EVENT_STREAM + chunk(b"1"))
        begun.set()
        read_until_closed(connection)

    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        await begun.given()
        raise KeyError("user")

    async def main() -> None:
        with socket_server(answer_before_the_body) as url:
            async with make_client() as client:
                with pytest.raises(KeyError, match="user"):
                    await client.post(url, content=broken())

    run(main)


@over(*AND_UVLOOP)
def test_an_answer_without_a_body_is_whole_whatever_becomes_of_the_connection(serve, run, make_client):
    async def reset(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        connection.reset()

    server = serve(reset)

    async def main() -> int:
        async with make_client() as client, client.stream("GET", server.url) as response:
            await asyncio.to_thread(server.wait_until_closed)
            await asyncio.sleep(0)
            await response.aread()
            return response.status_code

    assert run(main) == 204


@over(*OUR_ASYNC, "uvloop", but="httpx2's own leaves off in the middle, and a thread cannot be cancelled")
def test_cancelling_an_upload_again_and_again_ends_it_in_order(run, make_client, caplog):
    begun = Word()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            begun.set()
            yield b"1" * 65_536

    async def main() -> None:
        async with make_client() as client:
            with listening() as (url, listener):
                task = asyncio.ensure_future(client.post(url, content=endless()))
                connection, _ = await asyncio.to_thread(listener.accept)
                await begun.given()
                for _ in range(3):
                    task.cancel()
                    await asyncio.sleep(0)
                with pytest.raises(asyncio.CancelledError):
                    await task
                with connection:
                    await asyncio.to_thread(read_until_closed, connection)

    run(main)
    assert not caplog.records


@pytest.mark.parametrize("is_at_once", [True, False], ids=["at once", "one after another"])
def test_what_came_before_a_broken_chunk_is_given_first_behind_a_1xx_too(serve, run, make_client, is_at_once):
    read = Word()

    async def hint_and_break(connection: Connection) -> None:
        parts = [b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n", EVENT_STREAM + chunk(b"ab") + b"zz\r\n"]
        for part in [b"".join(parts)] if is_at_once else parts:
            await connection.send(part)
        await read.given()
        connection.close()

    server = serve(hint_and_break)

    async def main() -> list[bytes]:
        received = []
        async with make_client() as client, client.stream("GET", server.url) as response:
            with pytest.raises(httpx2.RemoteProtocolError):
                async for part in response.aiter_raw():
                    received.append(part)
        read.set()
        return received

    assert run(main) == [b"ab"]


@over(*OURS, "httpx2", but="httpx2's own synchronous one lets the codec's error through")
def test_a_host_name_that_no_name_can_be_is_a_connection_that_failed(send):
    with pytest.raises(httpx2.ConnectError):
        send(f"http://{'a' * 70}.test/")


def serve_and_wait(serve, head: bytes) -> RawServer:
    async def send_and_wait(connection: Connection) -> None:
        await connection.send(head)
        await connection.until_client_closes()

    return serve(send_and_wait)
