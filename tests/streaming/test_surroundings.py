"""One client at module level, and streams that are cut and reconnect, in many loops, threads and processes."""

from __future__ import annotations

import asyncio
import functools
import gzip
import os
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import anyio
import anyio.lowlevel
import pytest
from tests.scripts import run_script
from tests.servers import END, EVENT_STREAM, WAIT, Connection, RawServer, chunk
from tests.sides import RUNNERS

from clientele import api

pytestmark = pytest.mark.every_python

LAST = 4
ALL = list(range(1, LAST + 1))


async def one_at_a_time(connection: Connection) -> None:
    """Send one event of a stream, cut it, and send the next to whoever comes again."""
    number = int(connection.request.header("Last-Event-ID") or 0) + 1
    if number > LAST:
        await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        return
    await connection.send(EVENT_STREAM + chunk(f"id: {number}\ndata: {number}\n\n".encode()) + b"5")
    connection.close()


class API:
    """The endpoints of one client."""

    def __init__(self, server: RawServer) -> None:
        self.client = api.APIClient(server.url)
        options = {"streaming_response": True, "reconnect": api.Reconnect(initial_delay=0)}

        @self.client.get("/", **options)
        def stream(*, result: Iterator[int]) -> Iterator[int]:
            return result

        @self.client.get("/", **options)
        async def astream(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
            return result

        self.stream, self.astream = stream, astream

    def read(self) -> list[int]:
        return list(self.stream())

    async def aread(self) -> list[int]:
        return [number async for number in await self.astream()]


@pytest.fixture
def numbers(serve) -> API:
    return API(serve(one_at_a_time))


def test_one_event_loop_after_another(numbers):
    for _ in range(10):
        assert asyncio.run(numbers.aread()) == ALL


def test_event_loops_of_every_kind_in_turn(numbers):
    for run in [*RUNNERS.values()] * 3:
        assert run(numbers.aread) == ALL
        assert numbers.read() == ALL


def test_32_threads_at_once(numbers):
    assert at_once(32, numbers.read) == [ALL] * 32


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_32_threads_with_an_event_loop_each(numbers, run):
    assert at_once(32, lambda: run(numbers.aread)) == [ALL] * 32


def at_once(number: int, function: Callable[[], list[int]]) -> list[list[int]]:
    """What a function gives in as many threads, which begin together."""
    barrier = Barrier(number)

    def begin() -> list[int]:
        barrier.wait(WAIT)
        return function()

    with ThreadPoolExecutor(number) as pool:
        return [run.result() for run in [pool.submit(begin) for _ in range(number)]]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the tests' server runs in a thread
def test_parent_and_child_before_and_after_a_fork(numbers):
    assert numbers.read() == asyncio.run(numbers.aread()) == ALL
    begun = numbers.stream()
    assert next(begun) == 1
    child = os.fork()
    if child == 0:
        try:
            assert numbers.read() == ALL
            for run in RUNNERS.values():
                assert run(numbers.aread) == ALL
            with pytest.raises(RuntimeError, match="before the process was forked; open another"):
                next(begun)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert list(begun) == ALL[1:]
    assert numbers.read() == ALL
    for run in RUNNERS.values():
        assert run(numbers.aread) == ALL
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def send_one_and_wait(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
    await connection.until_client_closes()


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_stream_that_is_read_in_another_event_loop_says_so_and_goes_on_in_its_own(serve, run):
    client = api.APIClient(serve(send_one_and_wait).url)

    async def read_elsewhere(stream: api.AsyncStream[int]) -> None:
        with pytest.raises(RuntimeError, match="this stream belongs to another event loop"):
            await anext(stream)

    async def main() -> None:
        async with client.astream("GET", "/", int) as stream:
            for other in RUNNERS.values():
                await anyio.to_thread.run_sync(other, functools.partial(read_elsewhere, stream))
            assert await anext(stream) == 1

    run(main)


DAEMONS = """
import atexit, threading, time
atexit.register(time.sleep, 0.2)  # runs last: a thread that fails at the exit has time to say so
from clientele import api

client = api.APIClient("{url}")
first = threading.Barrier(3)

def read():
    for number in client.stream("GET", "/", int):
        first.wait()

for _ in range(2):
    threading.Thread(target=read, daemon=True).start()
kept = client.stream("GET", "/", int)
print(next(kept))
first.wait()
"""


def test_daemon_threads_that_read_at_the_interpreters_exit_print_no_traceback(serve, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(DAEMONS.format(url=serve(send_one_and_wait).url))

    assert run_script(path) == ("1\n", "")


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_body_that_inflates_to_a_lot_of_nothing_lets_other_tasks_run(serve, run):
    head = EVENT_STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    nothing = gzip.compress((b":" + b"x" * 1022 + b"\n") * 2**12)  # 4 MiB in a few KiB, which arrive at once
    client = api.APIClient(serve(head + chunk(nothing) + END).url)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def main() -> None:
        async with client.astream("GET", "/", int) as stream, anyio.create_task_group() as group:
            group.start_soon(count_turns)
            assert [item async for item in stream] == []
            group.cancel_scope.cancel()

    run(main)
    assert turns > 30  # of 64 reads
