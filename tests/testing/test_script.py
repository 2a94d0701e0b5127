"""Scripts of streams: what is sent, and when, on every side and in every format."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pydantic
import pytest
from tests.sides import Side

from clientele import api, testing


class Tick(pydantic.BaseModel):
    n: int


class Word(pydantic.BaseModel):
    text: str


@dataclasses.dataclass
class Point:
    x: int


class Pair(NamedTuple):
    x: int
    y: int


TICKS = [Tick(n=n) for n in range(4)]
AT_ONCE = api.Reconnect(initial_delay=5, max_attempts=3)


@pytest.fixture(params=["sync", "asyncio", "uvloop", "trio"])
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


@pytest.fixture
def client() -> api.APIClient:
    return api.APIClient("http://never.example")


@pytest.fixture
def server(client) -> Iterator[testing.FakeServer]:
    with testing.fake(client) as server:
        yield server


@pytest.fixture
def read(side, client, server) -> Callable[..., Any]:
    """Read a stream that follows this script."""

    def read(item_type: Any, *script: Any, **options: Any) -> Any:
        server.on("GET", "/").streams(*script)
        return side.read(client, item_type, **options)

    return read


# What is sent.


@pytest.mark.parametrize(
    ("item_type", "script", "options", "items"),
    [
        (Tick, TICKS, {}, TICKS),
        (Tick, [{"n": 1}, '{"n": 2}'], {}, [Tick(n=1), Tick(n=2)]),
        (Point, [Point(1)], {}, [Point(1)]),
        (str, ["a", "b\nc\r\nd", ""], {}, ["a", "b\nc\nd", ""]),
        (list[int], [[[1, 2], [3]]], {}, [[1, 2], [3]]),
        (bytes, [b"ab", "cd"], {}, [b"ab", b"cd"]),
        (Tick, TICKS, {"stream_format": "jsonl"}, TICKS),
        (Tick, TICKS, {"stream_format": "json-seq"}, TICKS),
        (Tick, TICKS, {"stream_format": "json"}, TICKS),
        (str, ["a", "b"], {"stream_format": "lines"}, ["a", "b"]),
        (Tick | Word, [Tick(n=1), Word(text="a")], {"event_map": {"t": Tick, "w": Word}}, [Tick(n=1), Word(text="a")]),
        (Tick, [Tick(n=1), "[DONE]"], {"until": "[DONE]"}, [Tick(n=1)]),
        (api.ServerSentEvent[Tick], [api.ServerSentEvent(Tick(n=1), "tick", "7", 5)], {}, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_items_are_written_as_the_endpoint_reads_them(read, item_type, script, options, items):
    reading = read(item_type, *script, **options)
    assert reading.error is None
    assert reading.items == (items if items is not None else script)


def test_events_and_comments_have_all_their_fields(read):
    script = [
        testing.comment("hello"),
        testing.event(Tick(n=1), event="tick", id=7, retry=500),
        testing.event(event="ping"),
        testing.event("5", id=""),
        testing.raw(b"data: 6\r\n\r\n"),
        testing.raw("data: 7\n\n"),
    ]
    reading = read(api.ServerSentEvent[str] | api.Comment, *script)
    assert reading.items == [
        api.Comment("hello"),
        api.ServerSentEvent('{"n":1}', "tick", "7", 500),
        api.ServerSentEvent("5", "message", "", None),
        api.ServerSentEvent("6", "message", "", None),
        api.ServerSentEvent("7", "message", "", None),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: TICKS,
        lambda: iter(TICKS),
        lambda: deque(TICKS),
        lambda: {tick.n: tick for tick in TICKS}.values(),
        lambda: lambda: TICKS,
        lambda: lambda request: iter(TICKS),
    ],
)
def test_a_script_is_any_iterable_or_what_makes_one(read, make):
    assert read(Tick, make()).items == TICKS


@pytest.mark.parametrize(
    ("item_type", "step"), [(dict, {"a": 1}), (Tick, Tick(n=1)), (Pair, Pair(1, 2)), (str, "ab"), (Point, Point(1))]
)
def test_a_step_that_can_be_iterated_is_one_all_the_same(read, item_type, step):
    assert read(item_type, step).items == [step]


def test_an_endless_script_is_followed_no_further_than_it_is_read(side, client, server):
    given = itertools.count()
    server.on("GET", "/").streams({"n": n} for n in given)
    if side.is_sync:
        with client.stream("GET", "/", Tick) as stream:
            items = list(itertools.islice(stream, 3))
    else:

        async def main() -> list[Tick]:
            async with client.astream("GET", "/", Tick) as stream:
                return [await anext(stream) for _ in range(3)]

        items = side.run(main)
    assert items == TICKS[:3]
    assert next(given) == 3


def test_a_status_and_a_type_of_its_own(side, client, server):
    server.on("GET", "/").streams("a", headers={"Content-Type": "text/html"}, times=1).streams("b", status=500)
    assert isinstance(side.read(client, str).error, api.UnexpectedContentType)
    assert isinstance(side.read(client, str).error, api.HTTPStatusError)


def test_what_cannot_be_written_is_said(read):
    reading = read(Tick, testing.comment(), stream_format="jsonl")
    assert isinstance(reading.error, RuntimeError | TypeError)
    assert "a comment is for event streams" in str(reading.error)


# How it breaks off.


@pytest.mark.parametrize(
    ("how", "items", "message"),
    [
        ("reset", ["a"], "the connection was reset"),
        ("close", ["a"], "before the response had ended"),
        ("within_event", ["a"], "before the response had ended"),
        ("within_character", ["a"], "before the response had ended"),
    ],
)
def test_a_cut_is_an_interruption(read, how, items, message):
    reading = read(str, "a", testing.cut(how), "never")
    assert reading.items == items
    assert isinstance(reading.error, api.StreamInterrupted)
    assert message in str(reading.error)


def test_an_exception_of_the_script_comes_out(read):
    def script() -> Iterator[str]:
        yield "a"
        raise LookupError("of the script")

    reading = read(str, script)
    assert reading.items == ["a"]
    assert isinstance(reading.error, LookupError)


# When.


def test_waits_take_no_time_and_are_measured(read, server):
    reading = read(Tick, testing.wait(3600), TICKS[0], testing.wait(0.5), TICKS[1])
    assert reading.items == TICKS[:2]
    assert server.clock.elapsed == 3600.5


def test_an_idle_timeout_ends_a_stream_that_stalls(read, server):
    reading = read(Tick, TICKS[0], testing.wait(20), TICKS[1], testing.stall(), idle_timeout=30)
    assert reading.items == TICKS[:2]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert "within 30 s (idle_timeout)" in str(reading.error)
    assert server.clock.elapsed == 50


def test_a_slow_head_and_a_slow_connection_time_out(side, client, server):
    server.on("GET", "/").returns(1, delay=9, times=1).raises(testing.connect_timeout, times=1).returns(1, delay=4)
    for elapsed, words in ((5, r"within 5.0 s \(timeout\)"), (12, r"within 7 s \(timeout\)")):
        timeout = 5.0 if elapsed == 5 else (7, 5, 5, 5)
        with pytest.raises(api.TransportError, match=words):
            side.call(client, int, timeout=timeout)
        assert server.clock.elapsed == elapsed
    assert side.call(client, int) == 1
    assert server.clock.elapsed == 16


def test_a_log_tells_the_story_of_a_reconnect(side, client, server):
    log = testing.Log(TICKS)
    server.on("GET", "/").streams(log[:2], testing.cut()).streams(log[:3], testing.stall()).returns(
        status=503, headers={"Retry-After": "60"}
    ).streams(log).returns(status=204)
    reading = side.read(client, Tick, reconnect=AT_ONCE, idle_timeout=100)
    assert reading.items == TICKS
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [None, "2", "3", "3", "4"]
    assert [request.attempt for request in server.requests] == [1, 2, 3, 4, 5]
    assert server.clock.elapsed == 5 + 100 + 5 + 60 + 5
    server.assert_all_used()


def test_a_log_keeps_ids_and_gives_all_to_whom_it_does_not_know():
    log = testing.Log(["a", testing.event("b", id="x"), "c"], first_id=10)
    assert [event.id for event in log] == ["10", "x", "12"]
    assert [event.id for event in log.after("x")] == ["12"]
    assert len(log.after("")) == len(log.after("?")) == 3
    assert list(log[1:]) == [log[1], log[2]]


def test_reconnecting_gives_up_in_virtual_time(side, client, server):
    server.on("GET", "/").streams(TICKS[0], testing.cut()).raises(testing.connection_refused)
    reading = side.read(client, Tick, reconnect=api.Reconnect(initial_delay=600, max_delay=600, max_attempts=4))
    assert isinstance(reading.error, api.StreamInterrupted)
    assert reading.error.attempts == 4
    assert len(server.requests) == 5


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_waits_of_several_tasks_end_in_their_order(client, server, loop):
    told = []
    for name, every in (("a", 2), ("b", 3)):
        steps = [step for _ in range(3) for step in (testing.wait(every), name)]
        server.on("GET", f"/{name}").streams(steps)

    async def follow(name: str) -> None:
        async with client.astream("GET", f"/{name}", str) as stream:
            async for item in stream:
                told.append((server.clock.elapsed, item))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, "b")
            tasks.start_soon(follow, "a")

    Side(loop).run(main)
    assert told == [(2, "a"), (3, "b"), (4, "a"), (6, "b"), (6, "a"), (9, "b")] or told == [
        (2, "a"), (3, "b"), (4, "a"), (6, "a"), (6, "b"), (9, "b")
    ]  # fmt: skip


def test_waits_of_several_threads_end_in_their_order(client, server):
    told = []
    server.on("GET", "/a").streams(testing.wait(1), "a", testing.wait(4), "a")
    server.on("GET", "/b").streams(testing.wait(2), "b", testing.wait(1), "b")
    opened = threading.Barrier(2)

    def follow(name: str) -> None:
        with client.stream("GET", f"/{name}", str) as stream:
            opened.wait()
            for item in stream:
                told.append((server.clock.elapsed, item))

    threads = [threading.Thread(target=follow, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [(1, "a"), (2, "b"), (3, "b"), (5, "a")]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_a_cancelled_read_loses_nothing(client, server, loop):
    server.on("GET", "/").streams("a", "b", testing.stall())

    async def main() -> None:
        async with client.astream("GET", "/", str) as stream:
            with anyio.move_on_after(0) as scope:  # over before the item that is there has been read
                await anext(stream)
            assert scope.cancelled_caught
            assert [await anext(stream), await anext(stream)] == ["a", "b"]
            for _ in range(3):
                with anyio.move_on_after(0.01) as scope:
                    await anext(stream)
                assert scope.cancelled_caught

    Side(loop).run(main)


def test_a_stream_that_stalls_is_closed_from_elsewhere(side, client, server):
    server.on("GET", "/").streams("a", testing.stall())
    items = []
    if side.is_sync:
        stream = client.stream("GET", "/", str)
        items.append(next(stream))
        threading.Timer(0.01, stream.close).start()
        items += list(stream)
    else:

        async def main() -> None:
            stream = await client.astream("GET", "/", str)
            async with anyio.create_task_group() as tasks:
                async for item in stream:
                    items.append(item)
                    tasks.start_soon(stream.aclose)

        side.run(main)
    assert items == ["a"]


def test_time_can_be_moved_by_hand(client, server):
    server.on("GET", "/").streams("a", testing.wait(10), "b", testing.wait(10), "c")
    stream = client.stream("GET", "/", str)
    assert next(stream) == "a"
    server.clock.advance(15)
    assert next(stream) == "b"
    assert server.clock.elapsed == 15
    assert next(stream) == "c"
    assert server.clock.elapsed == 20
    assert repr(server.clock) == "<VirtualClock: 20 s>"


def test_an_endless_stream_lets_other_tasks_run(client, server):
    server.on("GET", "/").streams(itertools.repeat("a"))

    async def main() -> int:
        count = 0

        async def stop() -> None:
            await asyncio.sleep(0)
            raise LookupError

        async def consume(stream: AsyncIterator[str]) -> None:
            nonlocal count
            async for _ in stream:
                count += 1

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(consume(await client.astream("GET", "/", str)))
                tasks.create_task(stop())
        return count

    assert asyncio.run(main()) < 10


def test_closing_from_another_thread_ends_an_attempt_to_reconnect(client, server):
    server.on("GET", "/").streams(1, testing.cut()).streams(2, delay=float("inf"))
    stream = client.stream("GET", "/", int, reconnect=True)
    assert next(stream) == 1
    threading.Timer(0.01, stream.close).start()
    assert list(stream) == []


def test_a_thread_and_an_event_loop_wait_for_each_other(client, server):
    told = []
    server.on("GET", "/a").streams("a", testing.wait(2), "a")
    server.on("GET", "/b").streams("b", testing.wait(1), "b", testing.wait(2), "b")
    opened = threading.Barrier(2)

    def follow() -> None:
        with client.stream("GET", "/a", str) as stream:
            next(stream)
            opened.wait()
            for item in stream:
                told.append((server.clock.elapsed, item))

    async def afollow() -> None:
        async with client.astream("GET", "/b", str) as stream:
            await anext(stream)
            await anyio.to_thread.run_sync(opened.wait)
            async for item in stream:
                told.append((server.clock.elapsed, item))

    thread = threading.Thread(target=follow)
    thread.start()
    asyncio.run(afollow())
    thread.join()
    assert sorted(told) == [(1, "b"), (2, "a"), (3, "b")]


@pytest.mark.parametrize(
    ("item_type", "step", "options", "problem"),
    [
        (str, "a\nb", {"stream_format": "lines"}, "an item of 'lines' is one line"),
        (str, testing.event("a", id="1\n2"), {}, "the id of an event is one line"),
        (dict, object(), {}, "Unable to serialize"),
    ],
)
def test_a_step_that_cannot_be_written_says_so(read, item_type, step, options, problem):
    reading = read(item_type, step, **options)
    assert problem in str(reading.error)
