"""A response that is left, in whatever way, takes its connection along: at once, and without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import httpx2
import pytest
from tests.loops import Word
from tests.servers import END, EVENT_STREAM, WAIT, Connection, answer, chunk, events
from tests.wire.kinds import AND_UVLOOP, ASYNC, IN_ASYNCIO, OURS, over
from tests.wire.loops import given, in_each_loop, in_thread
from tests.wire.sockets import listening, read_until_closed

from clientele import api
from clientele.wire.transport import AsyncWireTransport, WireTransport

pytestmark = [pytest.mark.every_python, over(*AND_UVLOOP)]


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


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
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


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
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


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
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


@over(*OURS, "uvloop", "httpx2", but="httpx2's own does not wake a thread that reads")
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


def test_closing_a_transport_closes_idle_connections_and_active_ones(serve, run, make_transport):
    async def answer_or_stream(connection: Connection) -> None:
        await (never_end(connection) if connection.request.target == "/stream" else connection.send(answer(b"5")))

    server = serve(answer_or_stream)

    async def main() -> None:
        transport = make_transport()
        for _ in range(2):  # closed, it can be used again
            for path in ("/", "/stream"):
                response = await transport.handle_async_request(httpx2.Request("GET", f"{server.url}{path}"))
                if path == "/":
                    assert await response.aread() == b"5"
                    await response.aclose()
            await transport.handle_async_request(httpx2.Request("GET", f"{server.url}/stream"))
            assert server.open_connections == 2
            await transport.aclose()
            await asyncio.to_thread(server.wait_until_closed)

    run(main)
    gc.collect()


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


@pytest.mark.parametrize("path", ["/idle", "/open"])
def test_a_synchronous_transport_that_nobody_holds_lets_go_of_its_connections(serve, path):
    """Of the idle ones, and of those of responses that nobody holds either; and no warning tells of a socket."""

    async def answer_or_stream(connection: Connection) -> None:
        await (never_end(connection) if connection.request.target == "/open" else connection.send(answer(b"5")))

    server = serve(answer_or_stream)

    def leave() -> None:
        client = httpx2.Client(transport=WireTransport(verify=False))
        response = client.send(client.build_request("GET", server.url + path), stream=True)
        if path == "/idle":
            assert response.read() == b"5"

    leave()
    gc.collect()
    server.wait_until_closed()


@in_each_loop
def test_a_response_that_outlives_its_event_loop_leaves_no_warning(serve, run):
    server = serve(never_end)
    client = httpx2.AsyncClient(transport=AsyncWireTransport(verify=False))

    async def main() -> httpx2.Response:
        return await client.send(client.build_request("GET", server.url), stream=True)

    response = run(main)
    server.wait_until_closed()
    del response
    gc.collect()


async def endless() -> AsyncIterator[bytes]:
    for _ in itertools.count():
        yield b"x" * 65_536


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
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


@over(*IN_ASYNCIO, "uvloop", but="trio lets no task outlive its run, and no thread ends with a loop")
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


def streaming(url: str) -> Callable[[], Awaitable[api.AsyncStream[int]]]:
    client = api.APIClient(base_url=url)

    @client.get("/", streaming_response=True)
    async def numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return result

    return numbers


@in_each_loop
def test_a_stream_of_the_api_that_is_broken_out_of_closes_its_connection(serve, run):
    server = serve(never_end)

    async def main() -> None:
        async for number in await streaming(server.url)():
            assert number == 1
            break
        gc.collect()
        await in_thread(server.wait_until_closed)

    run(main)


@in_each_loop
def test_a_stream_of_the_api_that_is_cancelled_and_dropped_closes_its_connection(serve, run):
    server = serve(never_end)
    read = Word()

    async def main() -> None:
        numbers = streaming(server.url)

        async def reader() -> None:
            async for _ in await numbers():
                read.set()

        async with anyio.create_task_group() as group:
            group.start_soon(reader)
            await given(read)
            group.cancel_scope.cancel()
        gc.collect()
        await in_thread(server.wait_until_closed)

    run(main)


@in_each_loop
def test_a_stream_of_the_api_that_is_open_when_the_loop_ends_is_closed(serve, run):
    server = serve(never_end)
    kept = []

    async def main() -> None:
        stream = await streaming(server.url)()
        kept.append(stream)
        assert await anext(stream) == 1

    run(main)
    server.wait_until_closed()


@in_each_loop
def test_a_stream_of_the_api_that_is_read_out_gives_its_connection_back(serve, run):
    server = serve(events("1", "2"))

    async def main() -> None:
        numbers = streaming(server.url)
        for _ in range(3):
            assert [number async for number in await numbers()] == [1, 2]

    run(main)
    assert server.connections == 1


@over(*OURS, "uvloop", but="httpx2's own warn of a client that was not closed")
def test_a_response_can_be_read_though_its_client_is_dropped(serve, run, make_client):
    rest = Word()

    async def send_in_two(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"one"))
        await rest.given()
        await connection.send(chunk(b"two") + END)

    server = serve(send_in_two)

    async def open_stream() -> httpx2.Response:
        client = make_client()
        return await client.send(client.build_request("GET", server.url), stream=True)

    async def main() -> None:
        response = await open_stream()
        gc.collect()
        rest.set()
        assert await response.aread() == b"onetwo"
        await response.aclose()

    run(main)
    gc.collect()


@over(*OURS, "uvloop", but="httpx2's own leave them to the garbage collector, which warns of them")
def test_a_transport_that_is_dropped_closes_its_connections(serve, run, make_client):
    server = serve(answer(b"5"))

    async def get() -> None:
        assert (await make_client().get(server.url)).content == b"5"

    async def main() -> None:
        await get()
        gc.collect()
        await anyio.to_thread.run_sync(server.wait_until_closed)

    run(main)
