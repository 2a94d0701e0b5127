"""One transport serves one event loop after another, and several at once; and a client takes the one that fits."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx2
import pytest
import trio
import uvloop
from tests.loops import Word
from tests.servers import EVENT_STREAM, Connection, RawServer, answer, chunk, events
from tests.wire.kinds import AND_UVLOOP, over
from tests.wire.loops import LOOPS, in_each_loop, in_thread

from clientele import api
from clientele.wire.transport import AsyncWireTransport, WireTransport

pytestmark = pytest.mark.every_python

ONE = httpx2.Limits(max_connections=1)


async def never_end(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"first"))
    await connection.until_client_closes()


@pytest.fixture
def client() -> httpx2.AsyncClient:
    """One client and one transport for all, which nobody closes."""
    return httpx2.AsyncClient(transport=AsyncWireTransport(verify=False))


def get_twice(client: httpx2.AsyncClient, server: RawServer):
    async def main() -> None:
        for _ in range(2):
            assert (await client.get(server.url)).content == b"5"

    return main


def test_one_event_loop_after_another_has_connections_of_its_own(serve, client):
    server = serve(answer(b"5"))
    for number, name in enumerate([*LOOPS] * 3, 1):
        LOOPS[name](get_twice(client, server))
        server.wait_until_closed()  # though nobody closed anything
        assert server.connections == number


def test_event_loops_in_several_threads_at_once_have_connections_of_their_own(serve, client):
    server = serve(answer(b"5"))

    async def several() -> list[bytes]:
        received = []

        async def get() -> None:
            received.append((await client.get(server.url)).content)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(get)
        return received

    with ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(run, several) for run in [*LOOPS.values()] * 4]
        assert [run.result() for run in runs] == [[b"5"] * 5] * 12
    server.wait_until_closed()


@in_each_loop
def test_each_event_loop_has_limits_of_its_own(serve, run):
    server = serve(never_end)
    client = httpx2.AsyncClient(transport=AsyncWireTransport(verify=False, limits=ONE))

    async def other() -> None:
        async with client.stream("GET", server.url) as response:
            assert response.status_code == 200

    async def main() -> None:
        async with client.stream("GET", server.url):
            await in_thread(run, other)

    run(main)
    server.wait_until_closed()


@in_each_loop
def test_a_stream_that_is_open_when_the_event_loop_ends_is_closed(serve, client, run):
    server = serve(never_end)
    kept = []

    async def main() -> None:
        for _ in range(2):
            response = await client.send(client.build_request("GET", server.url), stream=True)
            chunks = aiter(response.stream)
            assert await anext(chunks) == b"first"
            kept.append((response, chunks))

    run(main)
    server.wait_until_closed()
    kept.clear()
    gc.collect()


@in_each_loop
def test_closing_closes_the_connections_of_the_running_event_loop(serve, run):
    server = serve(answer(b"5"))
    transport = AsyncWireTransport(verify=False)

    async def main() -> None:
        client = httpx2.AsyncClient(transport=transport)
        await client.get(server.url)
        await transport.aclose()
        await in_thread(server.wait_until_closed)
        await transport.aclose()

    run(main)
    run(main)


@over(*AND_UVLOOP)
def test_a_transport_that_was_closed_opens_again_where_it_is_used(serve, run, make_transport):
    server = serve(answer(b"5"))

    async def main() -> None:
        transport = make_transport()
        for _ in range(3):
            async with transport:
                response = await transport.handle_async_request(httpx2.Request("GET", server.url))
                assert await response.aread() == b"5"
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


@in_each_loop
def test_closing_in_one_event_loop_closes_the_connections_of_the_others_too(serve, client, run):
    server = serve(answer(b"5"))

    async def main() -> None:
        await client.get(server.url)
        await in_thread(asyncio.run, client.aclose())
        await in_thread(server.wait_until_closed)

    run(main)


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_event_loops_that_are_shut_down_by_hand(serve, client, new_event_loop):
    server = serve(answer(b"5"))
    for number in (1, 2, 3):
        loop = new_event_loop()
        loop.run_until_complete(get_twice(client, server)())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        server.wait_until_closed()
        assert server.connections == number


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_event_loops_that_are_only_closed_do_not_hinder_the_next(serve, client, new_event_loop):
    server = serve(answer(b"5"))
    for number in (1, 2, 3):
        loop = new_event_loop()
        loop.run_until_complete(get_twice(client, server)())
        loop.close()
        del loop
        assert server.connections == number
    asyncio.run(get_twice(client, server)())
    gc.collect()
    server.wait_until_closed()


def test_trio_may_be_a_guest_of_asyncio(serve, client):
    """Both loops run in one thread then, and each has connections of its own."""
    server = serve(answer(b"5"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()
        trio.lowlevel.start_guest_run(
            get_twice(client, server),
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        await get_twice(client, server)()
        (await done).unwrap()

    asyncio.run(main())
    server.wait_until_closed()
    assert server.connections == 2


def test_a_synchronous_transport_serves_many_threads_at_once(serve):
    everybody = Word()

    async def wait_for_everybody(connection: Connection) -> None:
        if len(server.requests) >= 8:
            everybody.set()
        await everybody.given()
        await connection.send(answer(connection.request.target.encode()))

    server = serve(wait_for_everybody)
    with httpx2.Client(transport=WireTransport(verify=False)) as client, ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(client.get, [f"{server.url}/{number}" for number in range(40)]))
    assert [response.text for response in responses] == [f"/{number}" for number in range(40)]
    assert server.connections <= 8
    server.wait_until_closed()


def gets_of(client: api.APIClient, result_type: type):
    """A synchronous and an asynchronous call."""

    @client.get("/")
    def get(*, result: result_type, response: httpx2.Response) -> httpx2.Response:
        return response

    @client.get("/")
    async def aget(*, result: result_type, response: httpx2.Response) -> httpx2.Response:
        return response

    return get, aget


@pytest.mark.parametrize("settings", [{}, {"http1": True, "http2": False}, {"http2": True}, {"limits": ONE}])
def test_an_api_client_speaks_over_the_wire(serve, settings):
    get, aget = gets_of(api.APIClient(serve(answer(b"5")).url, **settings), int)
    for response in [get(), *[run(aget) for run in LOOPS.values()]]:
        assert type(response.extensions["network_stream"]).__module__.startswith("clientele.wire.")


def test_a_ready_client_is_taken_as_it_is(serve):
    server = serve(answer(b"5"))
    ready = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(verify=False), headers={"X-Ready": "1"})
    client = api.APIClient(base_url=server.url, async_http_client=ready)

    @client.get("/")
    async def get(*, result: int) -> int:
        return result

    async def main() -> None:
        assert await get() == 5
        await client.aclose()

    asyncio.run(main())
    assert server.requests[0].header("X-Ready") == "1"


@in_each_loop
def test_streams_of_a_client_at_module_level_in_one_event_loop_after_another(serve, run):
    server = serve(events("1", "2"))
    client = api.APIClient(base_url=server.url)

    @client.get("/", streaming_response=True)
    async def numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return result

    async def main() -> None:
        for _ in range(3):
            assert [number async for number in await numbers()] == [1, 2]

    for number in (1, 2, 3):
        run(main)
        server.wait_until_closed()
        assert server.connections == number
