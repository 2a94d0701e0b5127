"""httpx2's limits: how many connections there are, who waits for one, and what frees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.loops import Word
from tests.servers import END, EVENT_STREAM, WAIT, Connection, answer, chunk
from tests.wire.kinds import ASYNC, IN_ASYNCIO, over

ONE = httpx2.Limits(max_connections=1)


def test_no_more_connections_than_allowed_under_many_requests(serve, run, make_client):
    seen: list[int] = []
    everybody = Word()

    async def count(connection: Connection) -> None:
        seen.append(server.open_connections)
        if len(seen) >= 5:
            everybody.set()
        await everybody.given()  # the first five are held until all of them are here
        await connection.send(answer(b"5"))

    server = serve(count)

    async def main() -> list[httpx2.Response]:
        async with make_client(limits=httpx2.Limits(max_connections=5)) as client:
            return await asyncio.gather(*[client.get(server.url) for _ in range(20)])

    assert [response.content for response in run(main)] == [b"5"] * 20
    assert max(seen) == server.connections == 5


def test_those_who_wait_take_up_the_connections_of_those_before_them(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=5, max_keepalive_connections=1)
        async with make_client(limits=limits) as client:
            responses = await asyncio.gather(*[client.get(server.url) for _ in range(50)])
            await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 1)
            return responses

    assert [response.content for response in run(main)] == [b"5"] * 50
    assert server.connections == 5


def test_without_a_limit_every_request_gets_its_connection(serve, run, make_client):
    async def wait(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        await connection.until_client_closes()

    server = serve(wait)

    async def main() -> None:
        async with make_client(limits=httpx2.Limits()) as client:
            responses = [await client.send(client.build_request("GET", server.url), stream=True) for _ in range(120)]
            assert server.open_connections == 120
            for response in responses:
                await response.aclose()

    run(main)
    server.wait_until_closed()


@over(*IN_ASYNCIO, "uvloop", but="nobody can tell from here in which order threads, or tasks of trio, come to wait")
def test_those_who_wait_are_served_in_their_order(serve, run, make_client):
    async def stream_or_answer(connection: Connection) -> None:
        if connection.request.target == "/stream":
            await connection.send(EVENT_STREAM)
            await connection.until_client_closes()
        await connection.send(answer(b"5"))

    server = serve(stream_or_answer)

    async def main() -> None:
        async with make_client(limits=ONE) as client:
            async with client.stream("GET", f"{server.url}/stream"):
                waiting = [asyncio.create_task(client.get(f"{server.url}/{number}")) for number in range(8)]
                done, _ = await asyncio.wait(waiting, timeout=0)
                assert not done
            await asyncio.gather(*waiting)

    run(main)
    assert [request.target for request in server.requests] == ["/stream", *[f"/{number}" for number in range(8)]]


async def serve_anything(connection: Connection) -> None:
    match connection.request.target:
        case "/silent":
            await connection.until_client_closes()
        case "/stream":
            await connection.send(EVENT_STREAM + chunk(b"first"))
            await connection.until_client_closes()
        case "/cut":
            await connection.send(EVENT_STREAM + chunk(b"first"))
            connection.close()
        case "/garbage":
            await connection.send(b"what?\r\n\r\n")
        case "/broken":
            await connection.send(EVENT_STREAM + chunk(b"first") + b"nonsense\r\n")
            await connection.until_client_closes()
        case "/reset":
            connection.reset()
        case "/last":
            await connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody")
            connection.close()
        case "/empty":
            await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        case _:
            await connection.send(answer(b"5"))


async def read_to_the_end(client: httpx2.AsyncClient, url: str) -> None:
    await client.get(url)


async def read_to_the_end_of_the_connection(client: httpx2.AsyncClient, url: str) -> None:
    assert (await client.get(f"{url}/last")).content == b"body"


async def read_nothing_where_nothing_is(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/empty"):
        pass
    async with client.stream("HEAD", url):
        pass


async def close_unread(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/stream"):
        pass


async def close_midway(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/stream") as response:
        await anext(response.aiter_raw())


async def close_twice(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/stream") as response:
        pass
    await response.aclose()
    await response.stream.aclose()


async def cancel_while_the_head_is_awaited(client: httpx2.AsyncClient, url: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.get(f"{url}/silent")


async def cancel_while_the_body_is_awaited(client: httpx2.AsyncClient, url: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.get(f"{url}/stream")


async def cancel_before_anything_happened(client: httpx2.AsyncClient, url: str) -> None:
    task = asyncio.create_task(client.get(url))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_at_every_step(client: httpx2.AsyncClient, url: str) -> None:
    for steps in range(30):
        task = asyncio.create_task(client.get(url))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


async def cancel_those_who_wait(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/stream"):
        waiting = [asyncio.create_task(client.get(url)) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def cancel_who_has_just_been_let_in(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/stream"):
        waiting = [asyncio.create_task(client.get(url)) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def wait_in_vain(client: httpx2.AsyncClient, url: str) -> None:
    async with client.stream("GET", f"{url}/stream"):
        with pytest.raises(httpx2.PoolTimeout):
            await client.get(url, timeout=httpx2.Timeout(None, pool=0.1))


async def fail_to_connect(client: httpx2.AsyncClient, url: str) -> None:
    for _ in range(3):
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://127.0.0.1:1/")


async def fail_before_the_head(client: httpx2.AsyncClient, url: str) -> None:
    for path in ("/reset", "/garbage"):
        with pytest.raises(httpx2.TransportError):
            await client.get(url + path)


async def fail_in_the_body(client: httpx2.AsyncClient, url: str) -> None:
    for path in ("/cut", "/broken"):
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(url + path)


async def fail_in_the_upload(client: httpx2.AsyncClient, url: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.post(url, content=body())


async def time_out(client: httpx2.AsyncClient, url: str) -> None:
    for path in ("/silent", "/stream"):
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(url + path, timeout=httpx2.Timeout(WAIT, read=0.1))


async def be_refused_by_the_protocol(client: httpx2.AsyncClient, url: str) -> None:
    with pytest.raises(httpx2.LocalProtocolError):
        await client.get(url, headers={"X-Bad": "a\r\nb"})


WAYS = [
    read_to_the_end,
    read_to_the_end_of_the_connection,
    read_nothing_where_nothing_is,
    close_unread,
    close_midway,
    close_twice,
    wait_in_vain,
    fail_to_connect,
    fail_before_the_head,
    fail_in_the_body,
    fail_in_the_upload,
    time_out,
    be_refused_by_the_protocol,
]

WAYS_TO_CANCEL = [
    cancel_while_the_head_is_awaited,
    cancel_while_the_body_is_awaited,
    cancel_before_anything_happened,
    cancel_at_every_step,
    cancel_those_who_wait,
    cancel_who_has_just_been_let_in,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_only_connection_is_free_again_however_a_request_ended(serve, run, make_client, way):
    the_only_connection_is_free_again(serve, run, make_client, way)


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
@pytest.mark.parametrize("way", WAYS_TO_CANCEL, ids=lambda way: way.__name__)
def test_the_only_connection_is_free_again_however_a_request_was_cancelled(serve, run, make_client, way):
    the_only_connection_is_free_again(serve, run, make_client, way)


def the_only_connection_is_free_again(serve, run, make_client, way) -> None:
    server = serve(serve_anything)

    async def main() -> None:
        async with make_client(limits=ONE) as client:
            for _ in range(2):
                await way(client, server.url)
            assert (await client.get(server.url)).content == b"5"

    run(main)


def test_idle_connections_above_their_number_are_closed(serve, run, make_client):
    word = Word()

    async def wait(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        await word.given()
        await connection.send(END)

    server = serve(wait)

    async def main() -> None:
        limits = httpx2.Limits(max_keepalive_connections=2)
        async with make_client(limits=limits) as client:
            responses = [await client.send(client.build_request("GET", server.url), stream=True) for _ in range(5)]
            assert server.open_connections == 5
            word.set()
            for response in responses:
                await response.aread()
            await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 2)

    run(main)
    server.wait_until_closed()


def test_no_idle_connection_is_kept_where_none_may_be(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client(limits=httpx2.Limits(max_keepalive_connections=0)) as client:
            for _ in range(3):
                await client.get(server.url)
                await asyncio.to_thread(server.wait_until_closed)

    run(main)
    assert server.connections == 3


def test_connections_that_are_kept_for_no_time_are_not_used_again(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client(limits=httpx2.Limits(keepalive_expiry=0)) as client:
            for _ in range(3):
                await client.get(server.url)

    run(main)
    assert server.connections == 3
    server.wait_until_closed()


def test_connections_that_never_expire_are_used_again(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client(limits=httpx2.Limits(keepalive_expiry=None)) as client:
            for _ in range(3):
                await client.get(server.url)

    run(main)
    assert server.connections == 1


def test_an_idle_connection_gives_way_to_one_for_another_server(serve, run, make_client):
    first, second = serve(answer(b"1")), serve(answer(b"2"))

    async def main() -> None:
        async with make_client(limits=ONE) as client:
            for _ in range(2):
                assert (await client.get(first.url)).content == b"1"
                assert (await client.get(second.url)).content == b"2"
                await asyncio.to_thread(first.wait_until_closed)
                assert second.open_connections == 1

    run(main)
    assert (first.connections, second.connections) == (2, 2)


def test_an_open_connection_to_one_server_keeps_another_server_waiting(serve, run, make_client):
    first, second = serve(serve_anything), serve(answer(b"2"))

    async def main() -> None:
        async with make_client(limits=ONE) as client:
            async with client.stream("GET", f"{first.url}/stream"):
                waiting = asyncio.create_task(client.get(second.url))
                with pytest.raises(httpx2.PoolTimeout):
                    await client.get(second.url, timeout=httpx2.Timeout(WAIT, pool=0.1))
                assert second.connections == 0
            assert (await waiting).content == b"2"

    run(main)
