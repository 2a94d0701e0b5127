"""After a fork, parent and child have connections of their own, and neither disturbs the other's."""

from __future__ import annotations

import asyncio
import os
import textwrap
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from tests.listeners import tls_server, trusting
from tests.loops import Word
from tests.scripts import run_script
from tests.servers import END, EVENT_STREAM, Connection, RawServer, answer, chunk
from tests.wire.loops import LOOPS, in_each_loop

from clientele import api
from clientele.wire.transport import AsyncWireTransport, WireTransport

in_asyncio = pytest.mark.parametrize("run", [LOOPS["asyncio"], LOOPS["uvloop"]], ids=["asyncio", "uvloop"])
"""Runs a test in loops that a child can leave behind: trio's knows no other one in its thread."""

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the tests' server runs in a thread


def in_a_child(function: Callable[[], Any]) -> int:
    """Run this in a forked process, and give the process's id."""
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def checked(function: Callable[[], Any], expected: Any) -> Callable[[], None]:
    def check() -> None:
        assert function() == expected

    return check


def declare(server: RawServer, **settings: Any) -> tuple[Callable[[], int], Callable[[], Awaitable[int]]]:
    client = api.APIClient(base_url=server.url, **settings)

    @client.get("/")
    def get(*, result: int) -> int:
        return result

    @client.get("/")
    async def aget(*, result: int) -> int:
        return result

    return get, aget


def test_sync_calls(serve):
    server = serve(answer(b"5"))
    get, _ = declare(server)
    assert get() == 5
    assert exit_code(in_a_child(checked(get, 5))) == 0
    assert server.connections == 2
    assert get() == 5
    assert server.connections == 2  # the parent's is the one that it had


@in_asyncio
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_async_calls_around_a_fork_in_the_running_event_loop(serve, run, is_tls):
    if is_tls:
        with tls_server(answer(b"5")) as server:
            fork_in_the_running_loop(server, run, verify=trusting())
    else:
        fork_in_the_running_loop(serve(answer(b"5")), run)


def fork_in_the_running_loop(server: RawServer, run, **settings) -> None:
    _, aget = declare(server, **settings)

    async def main() -> None:
        assert await aget() == 5
        child = in_a_child(checked(lambda: run(aget), 5))
        assert await asyncio.to_thread(exit_code, child) == 0
        assert server.connections == 2
        assert await aget() == 5
        assert server.connections == 2

    run(main)
    server.wait_until_closed()


@in_each_loop
def test_async_calls_after_one_event_loop_and_before_another(serve, run):
    server = serve(answer(b"5"))
    _, aget = declare(server)
    assert run(aget) == 5
    assert exit_code(in_a_child(checked(lambda: run(aget), 5))) == 0
    assert run(aget) == 5
    server.wait_until_closed()
    assert server.connections == 3


@in_asyncio
def test_a_stream_that_is_open_in_the_parent_goes_on(serve, run):
    word = Word()

    async def stream_or_answer(connection: Connection) -> None:
        if connection.request.target != "/stream":
            return await connection.send(answer(b"5"))
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
        await word.given()
        await connection.send(chunk(b"data: 2\n\n") + END)
        return None

    server = serve(stream_or_answer)
    client = api.APIClient(base_url=server.url)

    @client.get("/")
    async def aget(*, result: int) -> int:
        return result

    @client.get("/stream", streaming_response=True)
    async def astream(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return result

    async def main() -> list[int]:
        stream = await astream()
        received = [await anext(stream)]
        child = in_a_child(checked(lambda: run(aget), 5))
        assert await asyncio.to_thread(exit_code, child) == 0
        word.set()
        return received + [number async for number in stream]

    assert run(main) == [1, 2]
    server.wait_until_closed()


@in_asyncio
def test_a_transport_by_itself(serve, run):
    server = serve(answer(b"5"))
    client = httpx2.AsyncClient(transport=AsyncWireTransport(verify=False))

    async def get() -> bytes:
        return (await client.get(server.url)).content

    async def main() -> None:
        assert await get() == b"5"
        child = in_a_child(checked(lambda: run(get), b"5"))
        assert await asyncio.to_thread(exit_code, child) == 0
        assert await get() == b"5"
        assert server.connections == 2

    run(main)


def test_a_synchronous_transport_by_itself(serve):
    server = serve(answer(b"5"))
    client = httpx2.Client(transport=WireTransport(verify=False))

    def get() -> bytes:
        return client.get(server.url).content

    assert get() == b"5"
    assert exit_code(in_a_child(checked(get, b"5"))) == 0
    assert get() == b"5"
    assert server.connections == 2
    client.close()


def test_a_synchronous_response_that_is_open_in_the_parent_goes_on_though_the_child_lets_go_of_it(serve):
    word = Word()

    async def stream(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"first"))
        await word.given()
        await connection.send(chunk(b"second") + END)

    server = serve(stream)
    with (
        httpx2.Client(transport=WireTransport(verify=False)) as client,
        client.stream("GET", server.url) as response,
    ):
        chunks = response.iter_raw()
        assert next(chunks) == b"first"
        assert exit_code(in_a_child(response.close)) == 0
        word.set()
        assert list(chunks) == [b"second"]


def test_a_synchronous_response_over_tls_that_is_open_in_the_parent_goes_on(serve):
    word = Word()

    async def stream(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"first"))
        await word.given()
        await connection.send(chunk(b"second") + END)

    with (
        tls_server(stream) as server,
        httpx2.Client(transport=WireTransport(verify=trusting())) as client,
        client.stream("GET", server.url) as response,
    ):
        chunks = response.iter_raw()
        assert next(chunks) == b"first"
        assert exit_code(in_a_child(response.close)) == 0
        word.set()
        assert list(chunks) == [b"second"]


def test_a_child_ends_in_order_without_a_word(serve, tmp_path):
    async def stream_or_answer(connection: Connection) -> None:
        if connection.request.target != "/stream":
            return await connection.send(answer(b"5"))
        await connection.send(EVENT_STREAM + chunk(b"first"))
        return await connection.until_client_closes()

    script = """
        import asyncio, gc, os, sys
        from collections.abc import AsyncIterator
        from clientele import api

        client = api.APIClient(base_url={url!r})

        @client.get("/")
        def get(*, result: int) -> int:
            return result

        @client.get("/")
        async def aget(*, result: int) -> int:
            return result

        @client.get("/stream", streaming_response=True)
        async def astream(*, result: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            return result

        async def call():
            stream = await astream()
            assert await anext(stream) == b"first"
            assert await aget() == 5

        get()
        asyncio.run(call())
        child = os.fork()
        get()
        asyncio.run(call())
        gc.collect()
        if child == 0:
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        get()
        asyncio.run(call())
        print("done")
        """
    server = serve(stream_or_answer)
    (tmp_path / "script.py").write_text(textwrap.dedent(script).format(url=server.url))
    assert run_script(tmp_path / "script.py") == ("done\n", "")
    server.wait_until_closed()


def test_a_child_of_a_running_event_loop_ends_without_a_word(serve, tmp_path):
    async def stream_or_answer(connection: Connection) -> None:
        if connection.request.target != "/stream":
            return await connection.send(answer(b"5"))
        await connection.send(EVENT_STREAM + chunk(b"first"))
        return await connection.until_client_closes()

    script = """
        import asyncio, gc, os, sys
        from collections.abc import AsyncIterator
        from clientele import api

        client = api.APIClient(base_url={url!r})

        @client.get("/")
        def get(*, result: int) -> int:
            return result

        @client.get("/")
        async def aget(*, result: int) -> int:
            return result

        @client.get("/stream", streaming_response=True)
        async def astream(*, result: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            return result

        def in_child():
            get()
            assert asyncio.run(aget()) == 5
            gc.collect()
            sys.exit()

        async def main():
            stream = await astream()
            assert await anext(stream) == b"first"
            assert await aget() == 5
            child = os.fork()
            if child == 0:
                in_child()
            assert os.waitpid(child, 0)[1] == 0
            assert await aget() == 5
            print("done")

        asyncio.run(main())
        """
    server = serve(stream_or_answer)
    (tmp_path / "script.py").write_text(textwrap.dedent(script).format(url=server.url))
    # Development mode would tell of the parent's sockets, which the child must leave alone.
    assert run_script(tmp_path / "script.py", options=()) == ("done\n", "")
    server.wait_until_closed()
