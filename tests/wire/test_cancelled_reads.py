"""A read that was cancelled, or took too long, is not the end of a stream: the next one goes on where it left off."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
import trio
from tests.loops import Word
from tests.servers import END, EVENT_STREAM, WAIT, Connection, answer, chunk
from tests.wire.loops import LOOPS, given, in_each_loop, in_thread

from clientele import api
from clientele.wire.transport import AsyncWireTransport, WireTransport

pytestmark = pytest.mark.every_python

POLL = 0.01
NOTHING = object()


async def within_asyncio_timeout(stream: AsyncIterator[Any]) -> Any:
    try:
        async with asyncio.timeout(POLL):
            return await anext(stream)
    except TimeoutError:
        return NOTHING


async def within_wait_for(stream: AsyncIterator[Any]) -> Any:
    try:
        return await asyncio.wait_for(anext(stream), POLL)
    except TimeoutError:
        return NOTHING


async def within_move_on_after(stream: AsyncIterator[Any]) -> Any:
    with trio.move_on_after(POLL):
        return await anext(stream)
    return NOTHING


async def within_anyio_scope(stream: AsyncIterator[Any]) -> Any:
    with anyio.move_on_after(POLL):
        return await anext(stream)
    return NOTHING


each_poll = pytest.mark.parametrize(
    ("run", "poll"),
    [
        pytest.param(LOOPS[loop], poll, id=f"{loop}-{poll.__name__}")
        for loop, polls in {
            "asyncio": [within_asyncio_timeout, within_wait_for, within_anyio_scope],
            "uvloop": [within_asyncio_timeout],
            "trio": [within_move_on_after, within_anyio_scope],
        }.items()
        for poll in polls
    ],
)

EVENTS = [f"data: {number}\n\n".encode() for number in range(4)]
LINES = [b"%d\n" % number for number in range(4)]


class Sender:
    """A server that sends one piece of a body for each word, in chunks."""

    def __init__(self, pieces: list[bytes], headers: str = "", content_type: str = "text/event-stream") -> None:
        self.words = [Word() for _ in pieces]
        self.sent = [Word() for _ in pieces]
        self.pieces = pieces
        self.head = EVENT_STREAM.replace(b"text/event-stream", content_type.encode()).replace(
            b"\r\n\r\n", f"\r\n{headers}\r\n".encode() if headers else b"\r\n\r\n"
        )

    async def __call__(self, connection: Connection) -> None:
        await connection.send(self.head)
        for word, sent, piece in zip(self.words, self.sent, self.pieces, strict=True):
            await word.given()
            await connection.send(chunk(piece) if piece else b"")
            sent.set()
        await connection.send(END)


def stream_of(url: str, item: Any, **options: Any) -> Callable[[], Awaitable[api.AsyncStream[Any]]]:
    client = api.APIClient(base_url=url)

    @client.get("/", streaming_response=True, **options)
    async def stream(*, result: AsyncIterator[item]) -> AsyncIterator[item]:
        return result

    return stream


async def polled(stream: AsyncIterator[Any], poll: Callable[[AsyncIterator[Any]], Awaitable[Any]]) -> Any:
    """The next item, however many polls it takes."""
    while (item := await poll(stream)) is NOTHING:
        pass
    return item


def compressed(pieces: list[bytes], wbits: int) -> list[bytes]:
    compressor = zlib.compressobj(wbits=wbits)
    parts = [compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH) for piece in pieces[:-1]]
    return [*parts, compressor.compress(pieces[-1]) + compressor.flush()]


BODIES = {
    "events": (int, EVENTS, {}),
    "lines of JSON": (int, LINES, {"content_type": "application/x-ndjson"}),
    "bytes": (bytes, LINES, {"content_type": "application/octet-stream"}),
    "gzip": (int, compressed(EVENTS, 31), {"headers": "Content-Encoding: gzip\r\n"}),
    "deflate": (int, compressed(EVENTS, 15), {"headers": "Content-Encoding: deflate\r\n"}),
}


@each_poll
@pytest.mark.parametrize("case", BODIES)
def test_polling_loses_nothing(serve, run, poll, case):
    item, pieces, options = BODIES[case]
    sender = Sender(pieces, **options)
    server = serve(sender)

    async def main() -> list[Any]:
        items = []
        stream = await stream_of(server.url, item)()
        for word in sender.words:
            assert await poll(stream) is NOTHING
            assert await poll(stream) is NOTHING
            word.set()
            items.append(await polled(stream, poll))
        with pytest.raises(StopAsyncIteration):
            await polled(stream, poll)
        return items

    assert run(main) == (LINES if item is bytes else [0, 1, 2, 3])
    assert server.connections == len(server.requests) == 1


@each_poll
def test_an_item_that_comes_in_parts_is_whole_though_the_reads_between_were_cancelled(serve, run, poll):
    sender = Sender([b"da", b"ta: on", b"e", b"\n", b"\ndata: tw", b"o\n\n"])
    server = serve(sender)

    async def main() -> list[Any]:
        items = []
        stream = await stream_of(server.url, str)()
        for word, sent in zip(sender.words, sender.sent, strict=True):
            assert await poll(stream) is NOTHING
            word.set()
            await given(sent)
            if word in (sender.words[4], sender.words[5]):
                items.append(await polled(stream, poll))
        return items

    assert run(main) == ["one", "two"]


@in_each_loop
def test_an_item_that_came_while_nobody_read_is_there_at_once(serve, run):
    sender = Sender(EVENTS)
    server = serve(sender)

    async def main() -> list[int]:
        stream = await stream_of(server.url, int)()
        with anyio.move_on_after(POLL):
            await anext(stream)
        for word in sender.words:
            word.set()
        await given(sender.sent[-1])
        return [number async for number in stream]

    assert run(main) == [0, 1, 2, 3]


@in_each_loop
def test_reads_that_are_cancelled_at_whatever_step_lose_nothing(serve, run):
    count = 300

    async def send_all(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for number in range(count):
            await connection.send(chunk(b"data: %d\n\n" % number))
        await connection.send(END)

    server = serve(send_all)

    async def main() -> list[int]:
        received: list[int] = []
        stream = await stream_of(server.url, int)()

        async def read() -> None:
            received.append(await anext(stream))

        for attempt in range(100 * count):
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                for _ in range(attempt % 4):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            if len(received) == count:
                break
        return received

    assert run(main) == list(range(count))


@in_each_loop
def test_a_body_that_inflates_to_a_lot_of_nothing_can_be_cancelled_and_loses_nothing(serve, run):
    comments = 16_000 * (b":" + 98 * b"x" + b"\n")
    sender = Sender([gzip.compress(EVENTS[0] + comments + EVENTS[1])], headers="Content-Encoding: gzip\r\n")
    server = serve(sender)

    async def within_a_cancelled_scope(stream: AsyncIterator[int]) -> Any:
        nonlocal polls
        polls += 1
        with anyio.CancelScope() as scope:
            scope.cancel()
            return await anext(stream)
        return NOTHING

    async def main() -> None:
        stream = await stream_of(server.url, int)()
        sender.words[0].set()
        assert await anext(stream) == 0  # the rest has come with it
        assert await polled(stream, within_a_cancelled_scope) == 1

    polls = 0
    run(main)
    assert polls > 5


@in_each_loop
def test_a_task_that_was_cancelled_leaves_the_stream_to_another(serve, run):
    sender = Sender(EVENTS)
    server = serve(sender)

    async def main() -> list[int]:
        stream = await stream_of(server.url, int)()
        received = []

        async def reader() -> None:
            async for number in stream:
                received.append(number)

        for word in sender.words:
            async with anyio.create_task_group() as group:
                group.start_soon(reader)
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            word.set()
        received.extend([number async for number in stream])
        return received

    assert run(main) == [0, 1, 2, 3]


@in_each_loop
def test_a_stream_whose_read_was_cancelled_can_be_closed(serve, run):
    sender = Sender(EVENTS)
    server = serve(sender)

    async def main() -> None:
        stream = await stream_of(server.url, int)()
        with anyio.move_on_after(POLL):
            await anext(stream)
        await stream.aclose()
        for word in sender.words:
            word.set()
        await in_thread(server.wait_until_closed)
        with pytest.raises((StopAsyncIteration, RuntimeError)):
            await anext(stream)

    run(main)


@in_each_loop
def test_a_stream_that_was_polled_and_read_out_gives_its_connection_back(serve, run):
    async def serve_twice(connection: Connection) -> None:
        await (answer_one if connection.request.target != "/" else sender)(connection)

    async def answer_one(connection: Connection) -> None:
        await connection.send(answer(b"5"))

    sender = Sender(EVENTS)
    server = serve(serve_twice)

    async def main() -> None:
        client = api.APIClient(base_url=server.url)

        @client.get("/", streaming_response=True)
        async def numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
            return result

        @client.get("/one")
        async def one(*, result: int) -> int:
            return result

        stream = await numbers()
        for word in sender.words:
            with anyio.move_on_after(POLL):
                await anext(stream)
            word.set()
        async for _ in stream:
            pass
        assert await one() == 5

    run(main)
    assert server.connections == 1


async def trace_nothing(name: str, info: dict[str, Any]) -> None:
    """Nobody listens, but the steps are told."""


@pytest.mark.parametrize("traced", [{}, {"trace": trace_nothing}], ids=["", "traced"])
@in_each_loop
def test_a_body_is_read_on_after_a_read_that_took_too_long(serve, run, traced):
    sender = Sender(LINES)
    server = serve(sender)

    async def main() -> list[bytes]:
        transport = AsyncWireTransport(verify=False)
        request = httpx2.Request("GET", server.url, extensions={"timeout": {"read": WAIT}, **traced})
        body = (await transport.handle_async_request(request)).stream
        received = []
        for word in sender.words:
            body.timeout = POLL
            for _ in range(2):
                with pytest.raises(httpx2.ReadTimeout):
                    await body.read()
            word.set()
            body.timeout = WAIT
            received.append(await body.read())
        assert await body.read() == b""
        await transport.aclose()
        return received

    assert run(main) == LINES


@pytest.mark.parametrize("traced", [{}, {"trace": lambda name, info: None}], ids=["", "traced"])
def test_a_synchronous_body_is_read_on_after_a_read_that_took_too_long(serve, traced):
    sender = Sender(LINES)
    server = serve(sender)
    with WireTransport(verify=False) as transport:
        request = httpx2.Request("GET", server.url, extensions={"timeout": {"read": WAIT}, **traced})
        body = transport.handle_request(request).stream
        received = []
        for word in sender.words:
            body.timeout = POLL
            for _ in range(2):
                with pytest.raises(httpx2.ReadTimeout):
                    body.read()
            word.set()
            body.timeout = WAIT
            received.append(body.read())
        assert body.read() == b""
    assert received == LINES


@each_poll
def test_a_stream_that_is_polled_notices_that_no_byte_came_within_its_idle_timeout(serve, run, poll):
    sender = Sender(EVENTS)
    server = serve(sender)

    async def main() -> None:
        stream = await api.APIClient(server.url).astream("GET", "/", int, idle_timeout=10 * POLL)
        with pytest.raises(api.StreamInterrupted, match="idle_timeout"):
            await polled(stream, poll)

    run(main)
    for word in sender.words:
        word.set()  # the server need not wait for them any longer


def test_what_arrived_while_nobody_read_is_read_though_the_time_is_up(serve, monkeypatch):
    """On trio, where nothing is read in between; the time stands still until it has passed."""
    clock = [0.0]
    monkeypatch.setattr("clientele.wire.exchange.time", SimpleNamespace(monotonic=lambda: clock[0]))
    sender = Sender(LINES[:1])
    server = serve(sender)

    async def main() -> None:
        transport = AsyncWireTransport(verify=False)
        response = await transport.handle_async_request(httpx2.Request("GET", server.url))
        response.stream.timeout = 60.0
        with trio.move_on_after(POLL):
            await response.stream.read()
        sender.words[0].set()
        await trio.lowlevel.wait_readable(response.extensions["network_stream"].get_extra_info("socket"))
        clock[0] = 61.0
        assert await response.stream.read() == LINES[0]
        await transport.aclose()

    trio.run(main)
