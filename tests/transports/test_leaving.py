"""A response that is left, in whatever way, takes its connection along: at once, and without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from tests.loops import Word, on_each_loop
from tests.servers import EVENT_STREAM, WAIT, Connection, answer, chunk

from clientele import api
from clientele.transports.aiohttp import AiohttpTransport

pytestmark = on_each_loop


async def never_end(connection: Connection) -> None:
    """Send a body, or only what the target says, and nothing more."""
    if connection.request.target != "/silent":
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n"))
    await connection.until_client_closes()


async def send_without_end(connection: Connection) -> None:
    """Send more than anybody reads, until the client closes."""
    await connection.send(EVENT_STREAM)
    for _ in itertools.count():
        await connection.send(chunk(b"x" * 65_536))


@pytest.mark.parametrize("handler", [never_end, send_without_end], ids=["silent", "sending"])
@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_closing_a_response_early_closes_its_connection(serve, run, make_client, handler, pieces):
    server = serve(handler)

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(client.build_request("GET", server.url), stream=True)
            chunks = response.aiter_raw()
            for _ in range(pieces if handler is send_without_end else min(pieces, 1)):
                await anext(chunks)
            await response.aclose()
            await asyncio.to_thread(server.wait_until_closed)
            with pytest.raises((httpx2.StreamClosed, httpx2.StreamConsumed)):
                await response.aread()

    run(main)


def test_leaving_the_block_with_an_exception_closes_the_connection(serve, run, make_client):
    server = serve(never_end)

    async def main() -> None:
        async with make_client() as client:
            with pytest.raises(ZeroDivisionError):
                async with client.stream("GET", server.url) as response:
                    async for _ in response.aiter_bytes():
                        raise ZeroDivisionError
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


@pytest.mark.parametrize("path", ["/silent", "/body"])
def test_cancelling_who_waits_closes_the_connection(serve, run, make_client, path):
    server = serve(never_end)

    async def main() -> None:
        async with make_client() as client:
            task = asyncio.create_task(client.get(server.url + path))
            await asyncio.to_thread(server.wait_until, lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


@pytest.mark.parametrize("path", ["/silent", "/body"])
def test_a_timeout_of_asyncio_closes_the_connection(serve, run, make_client, path):
    server = serve(never_end)

    async def main() -> None:
        async with make_client() as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.get(server.url + path)
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_cancelling_who_reads_midway_closes_the_connection(serve, run, make_client):
    server = serve(never_end)
    read = Word()

    async def main() -> None:
        async with make_client() as client:

            async def reader() -> None:
                async with client.stream("GET", server.url) as response:
                    async for _ in response.aiter_bytes():
                        read.set()

            task = asyncio.create_task(reader())
            await read.given()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_a_closed_response_ends_the_waiting_of_another_task(serve, run, make_client):
    server = serve(never_end)
    read = Word()

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(client.build_request("GET", server.url), stream=True)

            async def reader() -> None:
                async for _ in response.aiter_raw():
                    read.set()

            task = asyncio.create_task(reader())
            await read.given()
            await asyncio.wait([task], timeout=0)
            await response.aclose()
            with contextlib.suppress(httpx2.TransportError, httpx2.StreamError):
                await asyncio.wait_for(task, WAIT)
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_closing_the_client_closes_all_its_connections(serve, run, make_client):
    server = serve(never_end)

    async def main() -> None:
        client = make_client()
        for _ in range(3):
            await client.send(client.build_request("GET", server.url), stream=True)
        await client.aclose()
        await asyncio.to_thread(server.wait_until_closed)

    run(main)
    gc.collect()


def test_responses_that_are_open_when_the_client_is_closed_are_closed_with_it(serve, run, make_client):
    server = serve(never_end)

    async def main() -> None:
        client = make_client()
        responses = [await client.send(client.build_request("GET", server.url), stream=True) for _ in range(3)]
        await client.aclose()
        await asyncio.to_thread(server.wait_until_closed)
        for response in responses:
            await response.aclose()

    run(main)


def test_a_response_that_is_dropped_unclosed_leaves_no_warning(serve, run, make_client):
    server = serve(never_end)

    async def main() -> None:
        async with make_client() as client:
            for _ in range(3):
                await client.send(client.build_request("GET", server.url), stream=True)
                gc.collect()
        await asyncio.to_thread(server.wait_until_closed)

    run(main)
    gc.collect()


def test_a_response_that_outlives_its_event_loop_leaves_no_warning(serve, run):
    server = serve(never_end)
    client = httpx2.AsyncClient(transport=AiohttpTransport(verify=False))

    async def main() -> httpx2.Response:
        asyncio.get_running_loop().set_debug(True)
        return await client.send(client.build_request("GET", server.url), stream=True)

    response = run(main)
    server.wait_until_closed()
    del response
    gc.collect()


async def endless() -> AsyncIterator[bytes]:
    for _ in itertools.count():
        yield b"x" * 65_536


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)
        yield "http://127.0.0.1:{1}/".format(*listener.getsockname()), listener


def read_until_closed(connection: socket.socket) -> None:
    connection.settimeout(WAIT)
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 20):
            pass


@pytest.mark.parametrize("body", ["an iterator", "bytes"])
def test_cancelling_an_upload_that_nobody_takes_closes_the_connection(run, make_client, body):
    async def main() -> None:
        with listening() as (url, listener):
            async with make_client(timeout=None) as client:
                content = endless() if body == "an iterator" else b"x" * (64 << 20)
                task = asyncio.create_task(client.post(url, content=content))
                connection, _ = await asyncio.to_thread(listener.accept)
                await asyncio.to_thread(connection.recv, 1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                with connection:
                    await asyncio.to_thread(read_until_closed, connection)

    run(main)


def test_an_upload_that_is_under_way_when_the_loop_ends_is_given_up(run, make_client):
    async def main() -> None:
        with listening() as (url, listener):
            client = make_client(timeout=None)
            task = asyncio.create_task(client.post(url, content=endless()))
            connection, _ = await asyncio.to_thread(listener.accept)
            with connection:
                await asyncio.to_thread(connection.recv, 1)
            assert not task.done()

    run(main)
    gc.collect()


@pytest.mark.parametrize("is_closed", [True, False], ids=["and closes", "and goes on reading"])
def test_a_response_before_the_end_of_the_upload_ends_the_request(run, make_client, is_closed):
    word = Word()

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await word.given()
        for _ in range(100):
            yield b"x" * 65_536

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
            word.set()
            if is_closed:
                connection.shutdown(socket.SHUT_WR)
            read_until_closed(connection)

    async def main() -> httpx2.Response:
        with listening() as (url, listener):
            async with asyncio.TaskGroup() as group, make_client() as client:
                group.create_task(asyncio.to_thread(refuse, listener))
                return await client.post(url, content=body())

    response = run(main)
    assert (response.status_code, response.content) == (413, b"no")


def streaming_client(url: str, transport_class) -> tuple[api.APIClient, object]:
    client = api.APIClient(base_url=url, async_transport=transport_class(verify=False))

    @client.get("/", streaming_response=True)
    async def numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return result

    return client, numbers


def test_a_stream_of_the_api_that_is_broken_out_of_closes_its_connection(serve, run, transport_class):
    server = serve(never_end)

    async def main() -> None:
        client, numbers = streaming_client(server.url, transport_class)
        async with client:
            async for number in await numbers():
                assert number == 1
                break
            gc.collect()
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_a_stream_of_the_api_that_is_cancelled_closes_its_connection(serve, run, transport_class):
    server = serve(never_end)
    read = Word()

    async def main() -> None:
        client, numbers = streaming_client(server.url, transport_class)

        async def reader() -> None:
            async for _ in await numbers():
                read.set()

        async with client:
            task = asyncio.create_task(reader())
            await read.given()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_a_stream_of_the_api_that_is_open_when_the_loop_ends_is_closed(serve, run, transport_class):
    server = serve(never_end)
    kept = []

    async def main() -> None:
        _, numbers = streaming_client(server.url, transport_class)
        stream = await numbers()
        kept.append(stream)
        assert await anext(stream) == 1

    run(main)
    server.wait_until_closed()


def test_a_stream_of_the_api_that_is_read_out_gives_its_connection_back(serve, run, transport_class):
    async def three(connection: Connection) -> None:
        if connection.request.target == "/":
            await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\n\r\n")
        else:
            await connection.send(answer(b"5"))

    server = serve(three)

    async def main() -> None:
        client, numbers = streaming_client(server.url, transport_class)
        async with client:
            for _ in range(3):
                assert [number async for number in await numbers()] == [1, 2]

    run(main)
    assert server.connections == 1
