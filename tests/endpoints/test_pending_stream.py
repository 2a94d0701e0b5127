"""What the call of an asynchronous stream gives: a coroutine that can also be iterated and entered."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
import trio
from tests.servers import END, EVENT_STREAM, WAIT, Connection, answer, chunk, events
from tests.sides import RUNNERS

from clientele import api

in_each_loop = pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
in_asyncio = pytest.mark.parametrize("run", [RUNNERS["asyncio"], RUNNERS["uvloop"]], ids=["asyncio", "uvloop"])


def declared(url: str) -> Callable[[], Any]:
    @api.APIClient(url).get("/", streaming_response=True)
    async def numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return result

    return numbers


def direct(url: str) -> Callable[[], Any]:
    client = api.APIClient(url)
    return lambda: client.astream("GET", "/", int)


@pytest.fixture(params=[declared, direct])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


async def hold(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
    await connection.until_client_closes()


@in_each_loop
def test_it_can_be_iterated_entered_or_awaited(serve, kind, run):
    numbers = kind(serve(events("1", "2")).url)

    async def main() -> None:
        assert [item async for item in numbers()] == [1, 2]
        assert [item async for item in await numbers()] == [1, 2]
        async with numbers() as items:
            assert [item async for item in items] == [1, 2]
        async with await numbers() as items:
            assert [item async for item in items] == [1, 2]

    run(main)


@in_each_loop
def test_breaking_out_of_it_closes_the_connection(serve, kind, run):
    server = serve(hold)
    numbers = kind(server.url)

    async def main() -> None:
        async for item in numbers():
            assert item == 1
            break
        await anyio.to_thread.run_sync(server.wait_until_closed)

    run(main)


@in_each_loop
def test_leaving_the_with_closes_the_connection(serve, kind, run):
    server = serve(hold)
    numbers = kind(server.url)

    async def main() -> None:
        async with numbers() as items:
            assert await anext(items) == 1
        await anyio.to_thread.run_sync(server.wait_until_closed)

    run(main)


@in_each_loop
@pytest.mark.parametrize("is_begun", [True, False])
def test_leaving_the_with_closes_what_a_body_has_built_on_the_stream(serve, run, is_begun):
    server = serve(hold)

    @api.APIClient(server.url).get("/", streaming_response=True)
    async def doubled(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return (2 * item async for item in result)

    async def main() -> None:
        async with doubled() as items:
            if is_begun:
                assert await anext(items) == 2
        await anyio.to_thread.run_sync(server.wait_until_closed)
        assert [item async for item in items] == []

    run(main)


@in_each_loop
def test_errors_raise_where_it_is_opened(serve, kind, run):
    numbers = kind(serve(answer(b"none", status="404 Not Found")).url)

    async def main() -> None:
        with pytest.raises(api.HTTPStatusError):
            async for _ in numbers():
                pass
        with pytest.raises(api.HTTPStatusError):
            async with numbers():
                pass
        with pytest.raises(api.HTTPStatusError):
            await numbers()

    run(main)


@in_asyncio
def test_asyncio_takes_it_as_a_coroutine(serve, kind, run):
    numbers = kind(serve(events("1", "2")).url)

    async def main() -> None:
        task = asyncio.create_task(numbers(), name="numbers")
        assert "numbers" in repr(task)
        streams = [
            await task,
            *await asyncio.gather(numbers(), numbers()),
            await asyncio.wait_for(numbers(), WAIT),
            await asyncio.ensure_future(numbers()),
        ]
        async with asyncio.TaskGroup() as tasks:
            in_group = tasks.create_task(numbers())
        for stream in [*streams, in_group.result()]:
            assert [item async for item in stream] == [1, 2]

    run(main)


@in_asyncio
def test_a_task_that_opens_it_can_be_cancelled(serve, kind, run):
    async def say_nothing(connection: Connection) -> None:
        await connection.until_client_closes()

    server = serve(say_nothing)
    numbers = kind(server.url)

    async def main() -> None:
        task = asyncio.create_task(numbers())
        await asyncio.to_thread(server.wait_until, lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_trio_takes_it_as_a_coroutine(serve, kind):
    numbers = kind(serve(events("1", "2")).url)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(numbers)

    trio.run(main)


def test_it_is_a_coroutine_to_whoever_asks(kind):
    pending = kind("http://api.example")()
    assert isinstance(pending, collections.abc.Coroutine)
    assert asyncio.iscoroutine(pending)
    assert inspect.isawaitable(pending)
    pending.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="nothing public marks a function so before")
@pytest.mark.every_python
def test_the_endpoint_is_a_coroutine_function():
    assert inspect.iscoroutinefunction(declared("http://api.example"))


def test_it_warns_if_it_is_never_opened_and_sends_nothing(serve, kind):
    server = serve(events("1"))
    numbers = kind(server.url)
    with pytest.warns(RuntimeWarning, match=r"coroutine '.*(numbers|client\.astream)' was never awaited"):
        numbers()
    assert server.requests == []


@in_each_loop
def test_it_opens_one_stream(serve, kind, run):
    server = serve(events("1"))
    numbers = kind(server.url)

    async def main() -> None:
        pending = numbers()
        async with pending as stream:
            assert [item async for item in stream] == [1]
        for again in (pending, pending.__aenter__(), anext(aiter(pending))):
            with pytest.raises(RuntimeError, match=r"was opened before; call it again for another one"):
                await again

    run(main)
    assert len(server.requests) == 1


@in_each_loop
def test_a_cancelled_read_of_it_loses_nothing(serve, kind, run):
    has_timed_out = threading.Event()

    async def main() -> None:
        async def in_two_parts(connection: Connection) -> None:
            await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
            await asyncio.to_thread(has_timed_out.wait)
            await connection.send(chunk(b"data: 2\n\n") + END)

        items = aiter(kind(serve(in_two_parts).url)())
        assert await anext(items) == 1
        with anyio.move_on_after(0.01):
            await anext(items)
        has_timed_out.set()
        assert await anext(items) == 2
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    run(main)


@in_each_loop
def test_a_body_that_returns_no_iterator_cannot_be_iterated(serve, run):
    server = serve(hold)

    @api.APIClient(server.url).get("/", streaming_response=True)
    async def first(*, result: AsyncIterator[int]) -> int:
        return await anext(result)

    async def main() -> None:
        assert await first() == 1
        with pytest.raises(TypeError, match=r"first\(\) returned 1, which is not .*; await the call"):
            async for _ in first():
                pass
        await anyio.to_thread.run_sync(server.wait_until_closed)

    run(main)
