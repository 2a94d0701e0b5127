"""One transport serves one event loop after another, and several at once; and a client takes the one that fits."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import trio
import uvloop
from tests.loops import ASYNCIO_LOOPS, on_each_loop
from tests.servers import EVENT_STREAM, Connection, RawServer, answer, chunk
from tests.sides import RUNNERS

from clientele import api
from clientele.transports.aiohttp import AiohttpClient, AiohttpTransport


async def never_end(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"first"))
    await connection.until_client_closes()


@pytest.fixture
def client() -> httpx2.AsyncClient:
    """One client and one transport for all, which nobody closes."""
    return httpx2.AsyncClient(transport=AiohttpTransport(verify=False))


def get_twice(client: httpx2.AsyncClient, server: RawServer):
    async def main() -> None:
        for _ in range(2):
            assert (await client.get(server.url)).content == b"5"

    return main


def test_one_event_loop_after_another_has_connections_of_its_own(serve, client):
    server = serve(answer(b"5"))
    for number, name in enumerate(["asyncio", "uvloop"] * 3, 1):
        ASYNCIO_LOOPS[name](get_twice(client, server))
        server.wait_until_closed()  # though nobody closed anything
        assert server.connections == number


def test_event_loops_in_several_threads_at_once_have_connections_of_their_own(serve, client):
    server = serve(answer(b"5"))

    async def several() -> list[bytes]:
        return [response.content for response in await asyncio.gather(*[client.get(server.url) for _ in range(5)])]

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run, several) for run in [*ASYNCIO_LOOPS.values()] * 4]
        assert [run.result() for run in runs] == [[b"5"] * 5] * 8
    server.wait_until_closed()


def test_each_event_loop_has_limits_of_its_own(serve):
    server = serve(never_end)
    client = httpx2.AsyncClient(transport=AiohttpTransport(verify=False, limits=httpx2.Limits(max_connections=1)))

    async def other() -> None:
        async with client.stream("GET", server.url) as response:
            assert response.status_code == 200

    async def main() -> None:
        async with client.stream("GET", server.url):
            await asyncio.to_thread(asyncio.run, other())

    asyncio.run(main())
    server.wait_until_closed()


@on_each_loop
def test_a_stream_that_is_open_when_the_event_loop_ends_is_closed(serve, client, run):
    server = serve(never_end)
    kept = []

    async def main() -> None:
        for _ in range(2):
            response = await client.send(client.build_request("GET", server.url), stream=True)
            chunks = response.aiter_raw()
            assert await anext(chunks) == b"first"
            kept.append((response, chunks))

    run(main)
    server.wait_until_closed()
    kept.clear()
    gc.collect()


@on_each_loop
def test_closing_closes_the_connections_of_the_running_event_loop(serve, run):
    server = serve(answer(b"5"))
    transport = AiohttpTransport(verify=False)

    async def main() -> None:
        client = httpx2.AsyncClient(transport=transport)
        await client.get(server.url)
        await transport.aclose()
        await asyncio.to_thread(server.wait_until_closed)
        await transport.aclose()

    run(main)
    run(main)


@on_each_loop
def test_a_transport_that_was_closed_opens_again_where_it_is_used(serve, run, transport_class):
    server = serve(answer(b"5"))

    async def main() -> None:
        transport = transport_class(verify=False)
        for _ in range(3):
            async with transport:
                response = await transport.handle_async_request(httpx2.Request("GET", server.url))
                assert await response.aread() == b"5"
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_closing_in_one_event_loop_closes_the_connections_of_the_others_too(serve, client):
    server = serve(answer(b"5"))

    async def main() -> None:
        await client.get(server.url)
        await asyncio.to_thread(asyncio.run, client.aclose())
        await asyncio.to_thread(server.wait_until_closed)

    asyncio.run(main())


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


def test_trio_is_told_what_to_take_instead(client):
    async def main() -> None:
        await client.get("http://127.0.0.1:1/")

    with pytest.raises(RuntimeError, match=r"under trio httpx2\.AsyncHTTPTransport"):
        trio.run(main)


def transports_taken(run, **settings) -> set[str]:
    """What an API client sends with, by its module."""
    seen = set()

    async def look(request: httpx2.Request) -> None:
        frame = sys._getframe()
        while frame is not None:
            if isinstance(found := frame.f_locals.get("self"), httpx2.AsyncClient):
                seen.add(type(found).__module__.partition(".")[0])
            frame = frame.f_back

    client = api.APIClient(event_hooks={"request": [look]}, **settings)

    @client.get("http://127.0.0.1:1/")
    async def get(*, result: int) -> int:
        return result

    async def main() -> None:
        with pytest.raises(api.TransportError):
            await get()

    run(main)
    return seen


@pytest.mark.parametrize(
    ("loop", "settings", "expected"),
    [
        ("asyncio", {}, "clientele"),
        ("uvloop", {}, "clientele"),
        ("trio", {}, "httpx2"),
        ("asyncio", {"http1": True, "http2": False}, "clientele"),
        ("asyncio", {"async_transport": httpx2.AsyncHTTPTransport(verify=False)}, "httpx2"),
        ("asyncio", {"limits": httpx2.Limits(max_connections=1)}, "clientele"),
    ],
)
def test_an_api_client_takes_aiohttp_where_it_serves(loop, settings, expected):
    assert transports_taken(RUNNERS[loop], **settings) == {expected}


@pytest.mark.parametrize("settings", [{"http2": True}, {"http1": False, "http2": True}])
def test_an_api_client_that_may_speak_http_2_takes_what_can(monkeypatch, settings):
    made = []

    class Made(httpx2.AsyncClient):
        def __init__(self, **settings) -> None:
            made.append(type(self))
            super().__init__(**{**settings, "http1": True, "http2": False})  # HTTP/2 needs a package of its own

    monkeypatch.setattr(httpx2, "AsyncClient", Made)
    client = api.APIClient(**settings)

    @client.get("http://127.0.0.1:1/")
    async def get(*, result: int) -> int:
        return result

    with pytest.raises(api.TransportError):
        asyncio.run(get())
    assert made == [Made]


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


@on_each_loop
def test_streams_of_a_client_at_module_level_in_one_event_loop_after_another(serve, run):
    server = serve(EVENT_STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\n\r\n")
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


@on_each_loop
def test_a_client_over_aiohttp_is_a_client_of_httpx2_in_all_else(serve, run):
    server = serve(answer(b"5", headers="Set-Cookie: a=b\r\n"))

    async def main() -> None:
        async with AiohttpClient(verify=False, base_url=server.url, params={"q": "1"}) as client:
            assert (await client.get("/")).json() == 5
            await client.get("/")

    run(main)
    assert [request.target for request in server.requests] == ["/?q=1"] * 2
    assert [request.header("Cookie") for request in server.requests] == [None, "a=b"]
