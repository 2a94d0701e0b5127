"""However a stream is left, nothing of it stays: no connection, no file descriptor, no warning at the exit.

The server never ends its streams, so each connection here is closed because the stream was left, and for nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import os
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import anyio
import pytest
from tests.scripts import DEVELOPMENT_MODE, run_script
from tests.servers import EVENT_STREAM, Connection, RawServer, chunk, events
from tests.sides import RUNNERS

from clientele import api

pytestmark = pytest.mark.every_python

STREAMS = int(os.environ.get("LEFT_STREAMS", "1000"))


async def send_two_and_wait(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n"))
    await connection.until_client_closes()


def declare(server: RawServer):
    client = api.APIClient(base_url=server.url)

    @client.get("/", streaming_response=True)
    def stream(*, result: Iterator[int]) -> Iterator[int]:
        return result

    @client.get("/", streaming_response=True)
    async def astream(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
        return result

    return stream, astream


def break_out(stream) -> None:
    for _ in stream():
        break


def fail(stream) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in stream():
            raise ZeroDivisionError


def close_early(stream) -> None:
    opened = stream()
    next(opened)
    opened.close()


def leave_the_context(stream) -> None:
    with stream() as opened:
        next(opened)


def drop_unread(stream) -> None:
    stream()


def drop_a_generator_over_it(stream) -> None:
    next(item for item in stream())


@pytest.mark.leaks
@pytest.mark.parametrize(
    "leave", [break_out, fail, close_early, leave_the_context, drop_unread, drop_a_generator_over_it]
)
def test_leaving_a_synchronous_stream_leaves_nothing(serve, leave):
    server = serve(send_two_and_wait)
    stream, _ = declare(server)
    leave(stream)
    server.wait_until_closed()
    descriptors = count_descriptors()
    for _ in range(STREAMS):
        leave(stream)
    gc.collect()
    server.wait_until_closed()
    assert len(server.requests) == STREAMS + 1
    assert count_descriptors() <= descriptors


async def abreak_out(astream) -> None:
    async for _ in await astream():
        break


async def afail(astream) -> None:
    with pytest.raises(ZeroDivisionError):
        async for _ in await astream():
            raise ZeroDivisionError


async def aclose_early(astream) -> None:
    opened = await astream()
    await anext(opened)
    await opened.aclose()


async def aleave_the_context(astream) -> None:
    async with await astream() as opened:
        await anext(opened)


async def adrop_unread(astream) -> None:
    await astream()


async def adrop_a_generator_over_it(astream) -> None:
    await anext(item async for item in await astream())


async def be_cancelled(astream) -> None:
    async with anyio.create_task_group() as group:
        waiting = anyio.Event()

        async def read() -> None:
            opened = await astream()
            await anext(opened)
            await anext(opened)
            waiting.set()
            await anext(opened)
            raise AssertionError("the stream has but two events")

        group.start_soon(read)
        await waiting.wait()
        group.cancel_scope.cancel()


ASYNC_WAYS = [
    abreak_out,
    afail,
    aclose_early,
    aleave_the_context,
    adrop_unread,
    adrop_a_generator_over_it,
    be_cancelled,
]


@pytest.mark.leaks
@pytest.mark.parametrize("leave", ASYNC_WAYS)
def test_leaving_an_asynchronous_stream_leaves_nothing(serve, leave):
    assert_nothing_is_left(serve(send_two_and_wait), RUNNERS["asyncio"], leave, STREAMS)


@pytest.mark.leaks
@pytest.mark.parametrize("leave", ASYNC_WAYS)
@pytest.mark.parametrize("run", [RUNNERS["uvloop"], RUNNERS["trio"]], ids=["uvloop", "trio"])
def test_leaving_a_stream_under_other_event_loops_leaves_nothing(serve, run, leave):
    if leave is adrop_a_generator_over_it and run is RUNNERS["trio"]:
        pytest.skip("trio itself warns of an asynchronous generator that its user dropped")
    assert_nothing_is_left(serve(send_two_and_wait), run, leave, STREAMS // 20)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_the_connections_of_cancelled_tasks_do_not_wait_for_the_garbage_collector(serve, run):
    server = serve(send_two_and_wait)
    _, astream = declare(server)

    async def main() -> None:
        gc.disable()
        try:
            for _ in range(10):
                await be_cancelled(astream)
            await anyio.to_thread.run_sync(server.wait_until_closed)
        finally:
            gc.enable()

    run(main)
    assert len(server.requests) == 10


def assert_nothing_is_left(
    server: RawServer, run: Callable[..., None], leave: Callable[..., Awaitable[None]], streams: int
) -> None:
    _, astream = declare(server)

    async def main() -> None:
        await leave(astream)
        gc.collect()  # anyio's task groups keep the frames of a cancelled task in a cycle
        await anyio.to_thread.run_sync(server.wait_until_closed)
        descriptors = count_descriptors()
        for _ in range(streams):
            await leave(astream)
        gc.collect()
        await anyio.to_thread.run_sync(server.wait_until_closed)
        assert count_descriptors() <= descriptors

    run(main)
    assert len(server.requests) == streams + 1


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_streams_read_to_their_end_share_a_connection(serve):
    server = serve(events("1", "2"))
    stream, astream = declare(server)
    for _ in range(100):
        assert list(stream()) == [1, 2]

    async def main() -> None:
        for _ in range(100):
            assert [item async for item in await astream()] == [1, 2]

    asyncio.run(main())
    assert server.connections == 2


SCRIPTS = {
    "reads all, asynchronously": """
        async def main():
            async for event in await stream_events():
                print(event)
        asyncio.run(main())
    """,
    "breaks out, asynchronously": """
        async def main():
            async for event in await stream_endless():
                print(event)
                break
        asyncio.run(main())
    """,
    "breaks out and goes on, asynchronously": """
        async def main():
            async for event in await stream_endless():
                break
            async for event in await stream_events():
                print(event)
        asyncio.run(main())
    """,
    "keeps a stream that it does not read, asynchronously": """
        async def main():
            global kept
            kept = await stream_endless()
            print(await anext(kept))
        asyncio.run(main())
    """,
    "leaves a generator over a stream, asynchronously": """
        async def main():
            global kept
            kept = (event async for event in await stream_endless())
            print(await anext(kept))
        asyncio.run(main())
    """,
    "fails, asynchronously": """
        async def main():
            async for event in await stream_endless():
                print(event)
                raise SystemExit
        asyncio.run(main())
    """,
    "is cancelled, asynchronously": """
        async def main():
            task = asyncio.create_task(read())
            await started.wait()
            task.cancel()
        async def read():
            async for event in await stream_endless():
                print(event)
                started.set()
        started = asyncio.Event()
        asyncio.run(main())
    """,
    "runs one event loop after another": """
        async def main():
            async for event in await stream_endless():
                print(event)
                break
        for _ in range(5):
            asyncio.run(main())
    """,
    "runs in uvloop": """
        async def main():
            async for event in await stream_endless():
                print(event)
                break
        import uvloop
        uvloop.run(main())
    """,
    "reads all, synchronously": """
        for event in stream_events_sync():
            print(event)
    """,
    "breaks out, synchronously": """
        for event in stream_endless_sync():
            print(event)
            break
    """,
    "keeps a stream, synchronously": """
        kept = stream_endless_sync()
        print(next(kept))
    """,
    "leaves a generator over a stream, synchronously": """
        kept = (event for event in stream_endless_sync())
        print(next(kept))
    """,
    "fails, synchronously": """
        for event in stream_endless_sync():
            print(event)
            raise SystemExit
    """,
}

DECLARATIONS = """
import asyncio
from typing import AsyncIterator, Iterator
from clientele import api

client = api.APIClient(base_url="{url}")

@client.get("/events", streaming_response=True)
async def stream_events(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
    return result

@client.get("/endless", streaming_response=True)
async def stream_endless(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
    return result

@client.get("/events", streaming_response=True)
def stream_events_sync(*, result: Iterator[int]) -> Iterator[int]:
    return result

@client.get("/endless", streaming_response=True)
def stream_endless_sync(*, result: Iterator[int]) -> Iterator[int]:
    return result
"""


OLD_FASHIONED_SCRIPTS = {
    "leaves the event loop open": """
        async def main():
            async for event in await stream_endless():
                print(event)
                break
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
    """,
    "closes the event loop without shutting it down": """
        async def main():
            async for event in await stream_endless():
                print(event)
                break
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("script", OLD_FASHIONED_SCRIPTS.values(), ids=OLD_FASHIONED_SCRIPTS)
def test_a_script_that_runs_its_event_loop_by_hand_ends_without_a_word_too(serve, script, tmp_path):
    # Without `-X dev`: asyncio itself warns there of loops that were not closed or not shut down.
    assert_silent(serve, script, tmp_path, options=[])


@pytest.mark.parametrize("last", ["fails, asynchronously", "fails, synchronously"])
def test_a_script_that_closes_nothing_ends_without_a_word(serve, last, tmp_path):
    others = [name for name in SCRIPTS if not name.startswith("fails")]
    script = "\n".join(
        textwrap.dedent(SCRIPTS[name]).replace("kept", f"kept_{number}")  # until the interpreter's exit
        for number, name in enumerate([*others, last])
    )
    assert_silent(serve, script, tmp_path, options=DEVELOPMENT_MODE)


def assert_silent(serve, script, tmp_path, *, options: Sequence[str]) -> None:
    async def answer(connection: Connection) -> None:
        if connection.request.target == "/events":
            await connection.send(events("1", "2"))
        else:
            await send_two_and_wait(connection)

    server = serve(answer)
    path = tmp_path / "script.py"
    path.write_text(DECLARATIONS.format(url=server.url) + textwrap.dedent(script))
    stdout, stderr = run_script(path, options=options)
    assert stderr == ""
    assert stdout.startswith("1\n")
    server.wait_until_closed()
