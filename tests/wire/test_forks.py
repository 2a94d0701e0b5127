"""After a fork, parent and child have connections of their own, and neither disturbs the other's."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import ssl
import sys
import textwrap
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.listeners import tls_server, trusting
from tests.loops import Word
from tests.scripts import run_script
from tests.servers import END, EVENT_STREAM, Connection, RawServer, answer, chunk
from tests.sides import number_endpoints
from tests.wire.loops import LOOPS, in_each_loop

from clientele import api
from clientele.wire.tls import OfferingContext
from clientele.wire.transport import AsyncWireTransport, WireTransport

in_asyncio = pytest.mark.parametrize("run", [LOOPS["asyncio"], LOOPS["uvloop"]], ids=["asyncio", "uvloop"])
"""Runs a test in loops that a child can leave behind: trio's knows no other one in its thread."""

pytestmark = [
    pytest.mark.every_python,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the tests' server runs in a thread
]


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


async def stream_or_answer(connection: Connection) -> None:
    if connection.request.target == "/stream":
        await connection.send(EVENT_STREAM + chunk(b"first"))
        await connection.until_client_closes()
    else:
        await connection.send(answer(b"5"))


def output_of(script: str, server: RawServer, directory: Path, **options: Any) -> tuple[str, str]:
    """What a script writes that calls a server with these endpoints."""
    (directory / "script.py").write_text(ENDPOINTS.format(url=server.url) + textwrap.dedent(script))
    return run_script(directory / "script.py", **options)


ENDPOINTS = """
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
"""


def test_sync_calls(serve):
    server = serve(answer(b"5"))
    get, _ = number_endpoints(api.APIClient(base_url=server.url))
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
    _, aget = number_endpoints(api.APIClient(base_url=server.url, **settings))

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
    _, aget = number_endpoints(api.APIClient(base_url=server.url))
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


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_a_synchronous_response_that_is_open_in_the_parent_goes_on_though_the_child_lets_go_of_it(serve, is_tls):
    word = Word()

    async def stream(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"first"))
        await word.given()
        await connection.send(chunk(b"second") + END)

    with (
        tls_server(stream) if is_tls else contextlib.nullcontext(serve(stream)) as server,
        httpx2.Client(transport=WireTransport(verify=trusting() if is_tls else False)) as client,
        client.stream("GET", server.url) as response,
    ):
        chunks = response.iter_raw()
        assert next(chunks) == b"first"
        assert exit_code(in_a_child(response.close)) == 0
        word.set()
        assert list(chunks) == [b"second"]


def test_a_child_ends_in_order_without_a_word(serve, tmp_path):
    script = """
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
    assert output_of(script, server, tmp_path) == ("done\n", "")
    server.wait_until_closed()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there asyncio itself hangs in a child that runs another loop")
def test_a_child_of_a_running_event_loop_ends_without_a_word(serve, tmp_path):
    script = """
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
    # Development mode would tell of the parent's sockets, which the child must leave alone.
    assert output_of(script, server, tmp_path, options=()) == ("done\n", "")
    server.wait_until_closed()


def test_a_child_can_begin_tls_whatever_other_threads_do():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # once: making one takes locks of OpenSSL's own, which a fork keeps
    context = OfferingContext(lambda: made, ["http/1.1"])
    begin = functools.partial(context.wrap_bio, ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="example.test")
    has_ended = threading.Event()

    def begin_again_and_again() -> None:
        while not has_ended.is_set():
            begin()

    thread = threading.Thread(target=begin_again_and_again)
    thread.start()
    try:
        for _ in range(10):
            assert exit_code(in_a_child(begin)) == 0
    finally:
        has_ended.set()
        thread.join()
