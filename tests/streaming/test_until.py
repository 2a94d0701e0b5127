"""Streams that say themselves where they end, and how their connections are handled then."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pydantic
import pytest
from tests import fakes
from tests.scripts import run_script
from tests.servers import END, EVENT_STREAM, WAIT, Connection, Handler, RawServer, answer, chunk, events
from tests.sides import Side

from clientele import api, testing

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = chunk(b"data: [DONE]\n\n")
TWO_AND_DONE = b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"


class Token(pydantic.BaseModel):
    text: str


@pytest.fixture(params=["sync", "asyncio", "uvloop", "trio"])
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def async_side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


class NewThreads:
    """The threads that were begun since this was made, and have not ended."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def settled(self) -> list[threading.Thread]:
        """Those that are left once those that are ending have ended."""
        begun = [thread for thread in threading.enumerate() if thread not in self._before]
        for thread in begun:
            thread.join(WAIT)
        return [thread for thread in begun if thread.is_alive()]


class Gate:
    """Has a server wait, with what it sends next, for the client to have read the terminator."""

    def __init__(self) -> None:
        self.open: Callable[[], object] = lambda: None

    async def send(self, connection: Connection, data: bytes) -> None:
        """Send what has the terminator in it, and wait."""
        loop = asyncio.get_running_loop()
        is_open = loop.create_future()
        self.open = lambda: loop.call_soon_threadsafe(is_open.set_result, None)
        await connection.send(data)
        await is_open

    def is_end(self, event: api.ServerSentEvent[str]) -> bool:
        """The `until` of the client."""
        if event.data == "[DONE]":
            self.open()
        return event.data == "[DONE]"


def is_end_and_tells(reached: anyio.Event | threading.Event) -> Callable[[api.ServerSentEvent[str]], bool]:
    """An `until` that sets this at the terminator; its reader goes on to the waiting before another task runs."""

    def is_end(event: api.ServerSentEvent[str]) -> bool:
        if event.data == "[DONE]":
            reached.set()
        return event.data == "[DONE]"

    return is_end


def client_of(server: RawServer, **settings: Any) -> api.APIClient:
    return api.APIClient(base_url=server.url, **settings)


def declare(client: api.APIClient, item_type: Any = str, **options: Any) -> Callable[[], Iterator[Any]]:
    @client.get("/", streaming_response=True, **options)
    def stream(*, result: Iterator[item_type]) -> Iterator[item_type]:
        return result

    return stream


def declare_async(client: api.APIClient, item_type: Any = str, **options: Any) -> Callable[[], Any]:
    @client.get("/", streaming_response=True, **options)
    async def stream(*, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
        return result

    return stream


def read_often(side: Side, client: api.APIClient, times: int, **options: Any) -> list[list[Any]]:
    """Read streams one after another, all in one event loop."""
    if side.is_sync:
        stream = declare(client, **options)
        return [list(stream()) for _ in range(times)]

    async_stream = declare_async(client, **options)

    async def main() -> list[list[Any]]:
        return [[item async for item in await async_stream()] for _ in range(times)]

    return side.run(main)


def kept_open(data: bytes) -> Handler:
    """Send this, and then nothing."""

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await connection.until_client_closes()

    return send


@pytest.mark.parametrize("until", ["[DONE]", lambda event: event.data == "[DONE]"], ids=["data", "function"])
def test_the_terminator_ends_the_stream_though_the_connection_stays_open(side, serve, until):
    server = serve(kept_open(EVENT_STREAM + chunk(TWO_AND_DONE)))
    reading = side.read(client_of(server), int, until=until)
    assert (reading.items, reading.error) == ([1, 2], None)
    server.wait_until_closed()


def test_what_follows_the_terminator_is_not_yielded(side, serve):
    after = b"data: 3\n\ndata: no number\n\ndata: [DONE]\n\ndata: 4\n\n"
    server = serve(EVENT_STREAM + chunk(TWO_AND_DONE + after) + chunk(after) + END)
    reading = side.read(client_of(server), int, until="[DONE]")
    assert (reading.items, reading.error) == ([1, 2], None)


def test_what_follows_the_terminator_is_not_even_read_as_events(side):
    reading = side.read(
        fakes.stream_of(TWO_AND_DONE + b"data: " + b"x" * 1000), int, until="[DONE]", max_event_size=100
    )
    assert (reading.items, reading.error) == ([1, 2], None)


def test_a_terminator_may_be_the_first_event(side, serve):
    reading = side.read(client_of(serve(events("[DONE]", "1"))), int, until="[DONE]")
    assert (reading.items, reading.error) == ([], None)


def test_the_items_before_the_terminator_are_yielded_before_it_is_sent(serve):
    received = threading.Event()

    async def send_after_receipt(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: a\n\n"))
        await asyncio.to_thread(received.wait, WAIT)
        await connection.send(DONE + END)

    stream = declare(client_of(serve(send_after_receipt)), until="[DONE]")()
    assert next(stream) == "a"
    received.set()
    assert list(stream) == []


def test_a_stream_that_ended_stays_ended(side, serve):
    server = serve(EVENT_STREAM + chunk(TWO_AND_DONE) + END)
    if side.is_sync:
        stream = declare(client_of(server), until="[DONE]")()
        assert list(stream) == ["1", "2"]
        assert [next(stream, None), list(stream)] == [None, []]
        return

    async def main() -> None:
        stream = await declare_async(client_of(server), until="[DONE]")()
        assert [item async for item in stream] == ["1", "2"]
        assert [await anext(stream, None), [item async for item in stream]] == [None, []]

    side.run(main)


@pytest.mark.parametrize(
    ("until", "stream", "items"),
    [
        ("[DONE]", b"data:[DONE]\n\n", []),
        ("[DONE]", b"event: end\nid: 1\ndata: [DONE]\n\n", []),
        ("[DONE]", b"data: [done]\n\ndata: [DONE]\n\n", ["[done]"]),
        ("[DONE]", b"data: x[DONE]\n\ndata: [DONE]\ndata: \n\ndata: 5\n\n", ["x[DONE]"]),
        ("[DONE]", b": [DONE]\n\nevent: [DONE]\ndata: a\n\ndata: [DONE]\n\n", ["a"]),
        ("a\nb", b"data: a\n\ndata: a\ndata: b\n\n", ["a"]),
        ("größe", "data: groesse\n\ndata: größe\n\n".encode(), ["groesse"]),
        ("", b"data: a\n\ndata\n\n", ["a"]),
        ("", b"data: a\n\ndata:\n\n", ["a"]),
    ],
    ids=repr,
)
def test_the_terminator_is_an_event_with_this_data(until, stream, items):
    client = mock_client(stream, "text/event-stream")
    reading = Side("sync").read(client, str, until=until)
    assert (reading.items, reading.error) == (items, None)


def mock_client(body: bytes, content_type: str, status: int = 200) -> api.APIClient:
    return fakes.client_of(body, content_type, status=status)


def test_a_terminator_cut_anywhere_is_found(side, serve):
    async def send_byte_by_byte(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for byte in TWO_AND_DONE:
            await connection.send(chunk(bytes([byte])))
        await connection.until_client_closes()

    server = serve(send_byte_by_byte)
    reading = side.read(client_of(server), int, until="[DONE]")
    assert (reading.items, reading.error) == ([1, 2], None)
    server.wait_until_closed()


@pytest.mark.parametrize("item_type", [Token, api.ServerSentEvent[Token], Token | api.Comment, dict])
def test_a_function_is_given_each_event_with_its_data_as_text(side, item_type):
    body = b': x\n\nid: 1\nretry: 20\ndata: {"text":\ndata: "a"}\n\n:y\nevent: end\ndata: \xff\n\ndata: z\n\n'
    seen = []

    def is_end(event: api.ServerSentEvent[str]) -> bool:
        seen.append(event)
        return event.event == "end"

    reading = side.read(mock_client(body, "text/event-stream"), item_type, until=is_end)
    assert reading.error is None
    assert seen == [
        api.ServerSentEvent('{"text":\n"a"}', "message", "1", 20),
        api.ServerSentEvent("\ufffd", "end", "1"),
    ]


@pytest.mark.parametrize(
    ("answer_of_function", "items"), [(None, ["a", "b"]), (0, ["a", "b"]), ("", ["a", "b"]), (1, []), ("yes", [])]
)
def test_a_function_answers_with_what_is_true_or_false(answer_of_function, items):
    """`re.search` and the like serve as they are."""

    def is_end(event: api.ServerSentEvent[str]) -> Any:
        return event.data == "end" or answer_of_function

    reading = Side("sync").read(
        mock_client(b"data: a\n\ndata: b\n\ndata: end\n\n", "text/event-stream"), str, until=is_end
    )
    assert (reading.items, reading.error) == (items, None)


def test_an_object_that_can_be_called_will_do():
    class After:
        def __init__(self, count: int) -> None:
            self.left = count

        def __call__(self, event: api.ServerSentEvent[str]) -> bool:
            self.left -= 1
            return self.left < 0

    assert Side("sync").read(mock_client(TWO_AND_DONE, "text/event-stream"), str, until=After(1)).items == ["1"]


@pytest.mark.parametrize("raised", [ZeroDivisionError, ValueError, httpx2.ReadError, api.APIException])
def test_a_function_that_raises_closes_the_stream(side, serve, raised):
    error = raised("no", request=httpx2.Request("GET", "http://x")) if raised is api.APIException else raised("no")

    def is_end(event: api.ServerSentEvent[str]) -> bool:
        if event.data == "2":
            raise error
        return False

    server = serve(kept_open(EVENT_STREAM + chunk(TWO_AND_DONE)))
    reading = side.read(client_of(server), int, until=is_end, on_invalid="skip")
    assert reading.items == [1]
    assert reading.error is error
    server.wait_until_closed()


@pytest.mark.parametrize("raised", [StopIteration, StopAsyncIteration])
def test_a_function_cannot_end_a_stream_by_raising(side, raised):
    def is_end(event: api.ServerSentEvent[str]) -> bool:
        raise raised

    reading = side.read(mock_client(TWO_AND_DONE, "text/event-stream"), int, until=is_end)
    assert isinstance(reading.error, RuntimeError)


class TestTheTerminatorIsNoItem:
    """Nothing that makes items ever sees it."""

    @pytest.mark.parametrize("event_map", [{"message": int}, {"*": int}, {"message": int, "end": ZeroDivisionError}])
    def test_an_event_map_does_not(self, event_map):
        body = b"data: 1\n\nevent: end\ndata: [DONE]\n\n"
        reading = Side("sync").read(mock_client(body, "text/event-stream"), int, event_map=event_map, until="[DONE]")
        assert (reading.items, reading.error) == ([1], None)

    def test_an_event_whose_name_is_skipped_may_be_it(self):
        body = b"data: 1\n\nevent: end\ndata: x\n\ndata: 2\n\n"
        reading = Side("sync").read(
            mock_client(body, "text/event-stream"),
            int,
            event_map={"message": int, "end": None},
            until=lambda event: event.event == "end",
        )
        assert (reading.items, reading.error) == ([1], None)

    def test_a_parser_does_not(self):
        body = mock_client(TWO_AND_DONE, "text/event-stream")
        reading = Side("sync").read(body, int, response_parser=int, until="[DONE]")
        assert (reading.items, reading.error) == ([1, 2], None)

    def test_on_invalid_does_not(self):
        seen = []
        body = mock_client(TWO_AND_DONE, "text/event-stream")
        reading = Side("sync").read(body, int, on_invalid=seen.append, until="[DONE]")
        assert (reading.items, reading.error, seen) == ([1, 2], None, [])

    def test_its_id_counts_as_the_last(self, side):
        body = b"id: 1\ndata: 1\n\nid: 2\ndata: [DONE]\n\n"
        reading = side.read(mock_client(body, "text/event-stream"), int, until="[DONE]")
        assert reading.stream.last_event_id == "2"


FORMATS = [
    ("text/event-stream", str, b"data: 1\n\ndata: 2\n\n", b"data: [DONE]\n\n", "[DONE]"),
    (
        "text/event-stream",
        int,
        b"data: 1\n\ndata: 2\n\n",
        b"event: end\ndata: {}\n\n",
        lambda each: each.event == "end",
    ),
    ("application/x-ndjson", int, b"1\n\n2\n", b" [DONE]\r\n", "[DONE]"),
    ("application/x-ndjson", dict, b'{"n": 1}\n{"n": 2}\n', b'{"done": true}\n', lambda each: '"done"' in each.data),
    ("application/json-seq", int, b"\x1e1\n\x1e2\n", b'\x1e"end"\n', '"end"'),
    ("text/plain", str, b"1\n2\n", b"end\n", "end"),
    ("text/plain; charset=latin-1", str, b"1\n2\n", b"\xfc\n", "ü"),
    ("text/plain", int, b"1\r\n2\r\n", b"end\r\n", lambda each: each == api.ServerSentEvent("end")),
]


@pytest.mark.parametrize(("content_type", "item_type", "items", "terminator", "until"), FORMATS)
class TestEveryFormat:
    def test_ends_with_its_terminator(self, serve, content_type, item_type, items, terminator, until):
        server = serve(kept_open(HEAD.format(content_type).encode() + chunk(items + terminator)))
        reading = Side("sync").read(client_of(server), item_type, until=until)
        assert reading.error is None
        assert len(reading.items) == 2
        server.wait_until_closed()

    def test_was_interrupted_without_it(self, side, serve, content_type, item_type, items, terminator, until):
        server = serve(HEAD.format(content_type).encode() + chunk(items) + END)
        reading = side.read(client_of(server), item_type, until=until)
        assert len(reading.items) == 2
        assert isinstance(reading.error, api.StreamInterrupted)
        assert reading.error.items_received == 2
        message = f"GET {server.url}/: the stream was cut short after 2 items: it ended without the event"
        assert str(reading.error).startswith(message)
        assert "until=" in str(reading.error)

    def test_uses_its_connection_again(self, side, serve, patient, content_type, item_type, items, terminator, until):
        server = serve(HEAD.format(content_type).encode() + chunk(items + terminator) + END)
        for read in read_often(side, client_of(server), 3, item_type=item_type, until=until):
            assert len(read) == 2
        assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize(
    ("content_type", "item_type", "last", "until"),
    [
        ("application/x-ndjson", int, b"[DONE]", "[DONE]"),
        ("text/plain", str, b"[DONE]", "[DONE]"),
        ("application/json-seq", int, b'\x1e"end"', '"end"'),
    ],
)
def test_a_last_line_without_its_end_may_be_the_terminator(side, serve, content_type, item_type, last, until):
    server = serve(HEAD.format(content_type).encode() + chunk(last) + END)
    reading = side.read(client_of(server), item_type, until=until)
    assert (reading.items, reading.error) == ([], None)


@pytest.mark.parametrize("until", ["[DONE]", lambda event: event.id == "2"])
@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE] \n", b"data:[DONE]\r\n"])
def test_a_body_may_end_behind_the_terminator_without_the_blank_line(side, until, end, caplog):
    reading = side.read(fakes.stream_of(b"id: 1\ndata: 1\n\nid: 2\n" + end), int, until=until)
    assert (reading.items, reading.error) == ([1], None)
    assert reading.stream.last_event_id == "1"
    assert [record for record in caplog.records if record.name == "clientele"] == []


def test_a_cut_behind_the_terminator_may_have_cut_more_of_it(side, serve):
    async def end_with_the_connection(connection: Connection) -> None:
        await connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: [DONE]")
        connection.close()

    server = serve(end_with_the_connection)
    reading = side.read(client_of(server), int, until="[DONE]")
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)


@pytest.mark.parametrize("item_type", [str, api.ServerSentEvent[str]])
def test_a_block_without_data_ends_the_stream_and_is_no_item_without_its_blank_line_either(side, fake, item_type):
    fake.on("GET", "/").streams("a", testing.raw("event: complete\n"))
    reading = side.read(fake.client, item_type, until=lambda event: event.event == "complete", include_end=True)
    assert (len(reading.items), reading.error) == (1, None)


def test_a_function_is_asked_of_each_event_once(side, fake):
    asked = []

    def until(event: api.ServerSentEvent[str]) -> bool:
        asked.append(event.data)
        return event.data == "z" and asked.count("z") == 1

    fake.on("GET", "/").streams("a", testing.raw("data: z\n"))
    reading = side.read(fake.client, str, until=until, include_end=True)
    assert (reading.items, reading.error, asked) == (["a", "z"], None, ["a", "z"])


@pytest.mark.parametrize(("end", "shown"), [(b"data: 2\n", "data: 2"), (b"event: x", "event: x"), (b"da", "da")])
def test_an_unfinished_event_at_the_end_is_dropped_with_a_warning(serve, side, caplog, end, shown):
    server = serve(EVENT_STREAM + chunk(b"data: 1\n\n" + end) + END)
    reading = side.read(client_of(server), int)
    assert (reading.items, reading.error) == ([1], None)
    (record,) = [record for record in caplog.records if record.name == "clientele"]
    assert record.levelname == "WARNING"
    expected = f"GET {server.url}/: the stream ended within an event, which is dropped: {shown.strip()}"
    assert record.getMessage() == expected


@pytest.mark.parametrize("body", [b"data: 1\n\ndata: 2\n\ndata: 3\n\n", b"data: 1\n\ndata: 2"])
@pytest.mark.parametrize("until", ["2", lambda event: event.data == "2"])
def test_the_event_that_ends_a_stream_can_be_its_last_item(side, body, until):
    reading = side.read(fakes.stream_of(body), int, until=until, include_end=True)
    assert (reading.items, reading.error) == ([1, 2], None)


def test_the_end_is_an_item_in_any_format_and_counts_as_one(side):
    reading = side.read(
        fakes.client_of(b'{"n": 1}\n{"n": 2}\n{"n": 3}\n', "application/x-ndjson"),
        dict,
        until='{"n": 2}',
        include_end=True,
    )
    assert (reading.items, reading.error) == ([{"n": 1}, {"n": 2}], None)
    assert "2 items so far, closed" in repr(reading.stream)


def test_an_end_that_is_no_item_raises_as_any_other_event_does(side):
    reading = side.read(fakes.stream_of(b"data: 1\n\ndata: [DONE]\n\n"), int, until="[DONE]", include_end=True)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamDecodeError)
    assert str(reading.error).endswith("[DONE]; it is the end of the stream and no item, so leave include_end= out")


def test_a_block_without_data_is_never_an_item(side):
    reading = side.read(
        fakes.stream_of(b"data: 1\n\nevent: complete\n\ndata: 2\n\n"),
        int,
        until=lambda event: event.event == "complete",
        include_end=True,
    )
    assert (reading.items, reading.error) == ([1], None)


def test_include_end_needs_an_end():
    with pytest.raises(TypeError, match="include_end is about the event that until= stops at; pass until=, too"):
        api.APIClient("http://test").get("/", streaming_response=True, include_end=True)


async def break_off(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
    connection.close()


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (EVENT_STREAM + chunk(b"data: 1\n\n") + END, "it ended without the event"),
        (answer(b"data: 1\n\n", content_type="text/event-stream"), "it ended without the event"),
        (break_off, "the server broke off"),
    ],
    ids=["chunked", "with a length", "broken off"],
)
def test_a_stream_that_ends_without_its_terminator_was_interrupted(side, serve, handler, reason):
    server = serve(handler)
    reading = side.read(client_of(server), int, until="[DONE]")
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert f"the stream was cut short after 1 item: {reason}" in str(reading.error)
    assert (reading.error.method, reading.error.status_code) == ("GET", 200)
    assert reading.error.response is reading.stream.response


def test_an_empty_stream_without_its_terminator_was_interrupted(side, serve):
    reading = side.read(client_of(serve(EVENT_STREAM + END)), int, until="[DONE]")
    assert isinstance(reading.error, api.StreamInterrupted)
    assert "cut short after 0 items" in str(reading.error)


def test_no_content_is_a_clean_end(side, serve):
    server = serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    client = client_of(server)
    assert read_often(side, client, 3, until="[DONE]") == [[], [], []]
    assert server.connections == 1


async def in_two_segments(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(TWO_AND_DONE))
    await connection.send(END)


async def with_trailers(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(TWO_AND_DONE) + b"0\r\nX-Checksum: 1\r\n\r\n")


async def behind_more_events(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(TWO_AND_DONE))
    for _ in range(3):
        await connection.send(chunk(b": bye\n\ndata: x\n\n"))
    await connection.send(END)


@pytest.mark.parametrize(
    "handler",
    [
        EVENT_STREAM + chunk(TWO_AND_DONE) + END,
        answer(TWO_AND_DONE, content_type="text/event-stream"),
        answer(TWO_AND_DONE + b": " + b"x" * 1000, content_type="text/event-stream"),
        answer(gzip.compress(TWO_AND_DONE), content_type="text/event-stream", headers="Content-Encoding: gzip\r\n"),
        in_two_segments,
        with_trailers,
        behind_more_events,
    ],
    ids=[
        "same segment",
        "with a length",
        "with a length and more",
        "compressed",
        "next segment",
        "with trailers",
        "behind more events",
    ],
)
def test_a_hundred_streams_one_after_another_use_one_connection(side, serve, patient, handler):
    server = serve(handler)
    client = client_of(server)
    threads = NewThreads()
    assert read_often(side, client, 100, until="[DONE]") == [["1", "2"]] * 100
    assert (len(server.requests), server.connections) == (100, 1)
    assert threads.settled() == []


def test_a_hundred_streams_whose_end_comes_while_it_is_awaited_use_one_connection(side, serve, patient):
    gate = Gate()

    async def send_the_end_when_awaited(connection: Connection) -> None:
        await gate.send(connection, EVENT_STREAM + chunk(TWO_AND_DONE))
        await connection.send(END)

    server = serve(send_the_end_when_awaited)
    client = client_of(server)
    threads = NewThreads()
    assert read_often(side, client, 100, until=gate.is_end) == [["1", "2"]] * 100
    assert (len(server.requests), server.connections) == (100, 1)
    assert threads.settled() == []


def test_a_hundred_streams_sent_byte_by_byte_use_one_connection(side, serve, patient):
    async def send_byte_by_byte(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for byte in chunk(b"data: 1\n\n") + DONE + END:
            await connection.send(bytes([byte]))

    server = serve(send_byte_by_byte)
    assert read_often(side, client_of(server), 100, until="[DONE]") == [["1"]] * 100
    assert server.connections == 1


def test_streams_of_several_threads_give_their_connections_back(serve, patient):
    server = serve(in_two_segments)
    stream = declare(client_of(server), until="[DONE]")
    threads = NewThreads()
    results: list[list[str]] = []
    readers = [threading.Thread(target=lambda: results.extend(list(stream()) for _ in range(10))) for _ in range(10)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(WAIT)
    assert results == [["1", "2"]] * 100
    assert server.connections <= 10
    assert threads.settled() == []


def test_streams_at_once_give_their_connections_back(async_side, serve, patient):
    server = serve(in_two_segments)
    stream = declare_async(client_of(server), until="[DONE]")
    results: list[list[str]] = []

    async def read_ten() -> None:
        for _ in range(10):
            results.append([item async for item in await stream()])

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(read_ten)

    async_side.run(main)
    assert results == [["1", "2"]] * 100
    assert server.connections <= 10


def test_a_generator_endpoint_gives_its_connection_back(side, serve, patient):
    server = serve(in_two_segments)
    client = client_of(server)
    if side.is_sync:

        @client.get("/", streaming_response=True, until="[DONE]")
        def doubled(*, result: Iterator[int]) -> Iterator[int]:
            for number in result:
                yield 2 * number

        read = [list(doubled()) for _ in range(10)]
    else:

        @client.get("/", streaming_response=True, until="[DONE]")
        async def doubled_async(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
            async for number in result:
                yield 2 * number

        async def main() -> list[list[int]]:
            return [[item async for item in doubled_async()] for _ in range(10)]

        read = side.run(main)
    assert read == [[2, 4]] * 10
    assert server.connections == 1


NO_FRAMING = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
LAST = EVENT_STREAM.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n")
TOO_SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000\r\n\r\n"
OPEN_ENDS = {
    "open": EVENT_STREAM + chunk(TWO_AND_DONE),
    "end begun": EVENT_STREAM + chunk(TWO_AND_DONE) + b"0\r\n",
    "more": EVENT_STREAM + chunk(TWO_AND_DONE) + chunk(b"data: more\n\n"),
    "last of its connection": LAST + chunk(TWO_AND_DONE),
    "no framing": NO_FRAMING + TWO_AND_DONE,
    "too short": TOO_SHORT + TWO_AND_DONE,
    "broken": EVENT_STREAM + chunk(TWO_AND_DONE) + b"no chunk\r\n",
    "not compressed": TOO_SHORT.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    + gzip.compress(TWO_AND_DONE)
    + b"no gzip",
}

SIDES_AND_ENDS = [("sync", name) for name in OPEN_ENDS] + [("asyncio", "open"), ("trio", "open"), ("trio", "more")]


@pytest.mark.parametrize(("side", "data"), [(Side(side), OPEN_ENDS[name]) for side, name in SIDES_AND_ENDS])
def test_a_connection_that_cannot_be_used_again_is_closed(side, serve, data):
    server = serve(kept_open(data))
    client = client_of(server)
    threads = NewThreads()
    reading = side.read(client, str, until="[DONE]")
    assert (reading.items, reading.error) == (["1", "2"], None)
    assert reading.stream.response.is_closed
    server.wait_until_closed()
    assert threads.settled() == []


def test_a_closed_connection_leaves_its_place_in_the_pool(side, serve):
    server = serve(kept_open(EVENT_STREAM + chunk(TWO_AND_DONE)))
    client = client_of(server, limits=httpx2.Limits(max_connections=1), timeout=httpx2.Timeout(5, pool=WAIT))
    assert read_often(side, client, 3, until="[DONE]") == [["1", "2"]] * 3
    assert server.connections == 3


@pytest.mark.parametrize("breaking", [Connection.close, Connection.reset], ids=["closed", "reset"])
def test_a_connection_that_breaks_behind_the_terminator_is_no_error(side, serve, breaking):
    gate = Gate()

    async def break_when_awaited(connection: Connection) -> None:
        await gate.send(connection, EVENT_STREAM + chunk(TWO_AND_DONE))
        breaking(connection)

    server = serve(break_when_awaited)
    client = client_of(server)
    assert read_often(side, client, 10, until=gate.is_end) == [["1", "2"]] * 10
    assert server.connections == 10


def test_a_flood_behind_the_terminator_is_not_read_to_its_end(side, serve):
    async def flood(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(TWO_AND_DONE))
        while True:  # until the client has closed the connection
            await connection.send(chunk(b"data: " + b"x" * 60_000 + b"\n\n"))

    server = serve(flood)
    reading = side.read(client_of(server), str, until="[DONE]")
    assert (reading.items, reading.error) == (["1", "2"], None)
    server.wait_until_closed()


def test_a_compressed_flood_behind_the_terminator_is_not_read_to_its_end(side, serve):
    async def flood(connection: Connection) -> None:
        head = EVENT_STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        await connection.send(head + chunk(gzip.compress(TWO_AND_DONE + b"x" * 50_000_000)))
        await connection.until_client_closes()

    server = serve(flood)
    reading = side.read(client_of(server), str, until="[DONE]", max_event_size=100)
    assert (reading.items, reading.error) == (["1", "2"], None)
    server.wait_until_closed()


def test_a_trickle_behind_the_terminator_is_not_waited_out(side, serve):
    has_trickled_out = threading.Event()

    async def trickle(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(TWO_AND_DONE))
        for _ in range(1000):
            await connection.send(chunk(b":\n"))
            await asyncio.sleep(0.01)
        has_trickled_out.set()
        await connection.send(END)

    server = serve(trickle)
    reading = side.read(client_of(server), str, until="[DONE]")
    assert (reading.items, reading.error) == (["1", "2"], None)
    server.wait_until_closed()
    assert not has_trickled_out.is_set()


def test_an_idle_timeout_behind_the_terminator_is_no_error(side, serve):
    server = serve(kept_open(EVENT_STREAM + chunk(TWO_AND_DONE)))
    reading = side.read(client_of(server), str, until="[DONE]", idle_timeout=0.1)
    assert (reading.items, reading.error) == (["1", "2"], None)
    server.wait_until_closed()


def test_a_stream_that_no_network_carries_ends_as_well(side):
    reading = side.read(mock_client(TWO_AND_DONE, "text/event-stream"), int, until="[DONE]")
    assert (reading.items, reading.error) == ([1, 2], None)
    assert reading.stream.response.is_closed


class TestLeavingWhileTheEndIsAwaited:
    """The terminator has come, and the client waits for the end of the response."""

    @pytest.fixture
    def server(self, serve):
        return serve(kept_open(EVENT_STREAM + chunk(TWO_AND_DONE)))

    def test_a_stream_that_is_dropped_after_a_cancelled_read_closes_the_connection(self, async_side, server):
        async def main() -> None:
            reached = anyio.Event()
            items, is_cancelled = [], False

            async def read() -> None:
                nonlocal is_cancelled
                try:
                    async for item in await declare_async(client_of(server), until=is_end_and_tells(reached))():
                        items.append(item)
                except anyio.get_cancelled_exc_class():
                    is_cancelled = True
                    raise

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await reached.wait()
                group.cancel_scope.cancel()
            assert is_cancelled
            assert items == ["1", "2"]
            gc.collect()
            await anyio.to_thread.run_sync(server.wait_until_closed)

        async_side.run(main)

    def test_a_timeout_of_the_callers_own_is_still_theirs(self, async_side, server):
        async def main() -> None:
            reached = anyio.Event()
            stream = await declare_async(client_of(server), until=is_end_and_tells(reached))()
            assert [await anext(stream), await anext(stream)] == ["1", "2"]
            with anyio.move_on_after(0) as scope:  # runs out while the end is awaited
                await anext(stream, None)
            assert scope.cancelled_caught
            assert reached.is_set()
            await stream.aclose()
            await anyio.to_thread.run_sync(server.wait_until_closed)

        async_side.run(main)

    def test_closing_in_another_task_ends_the_waiting(self, async_side, server):
        async def main() -> None:
            reached = anyio.Event()
            stream = await declare_async(client_of(server), until=is_end_and_tells(reached))()
            items = []

            async def read() -> None:
                async for item in stream:
                    items.append(item)

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await reached.wait()
                await stream.aclose()
            assert items == ["1", "2"]
            await anyio.to_thread.run_sync(server.wait_until_closed)

        async_side.run(main)

    @pytest.mark.parametrize("attempt", range(5))
    def test_closing_in_another_thread_ends_the_waiting(self, server, attempt):
        reached = threading.Event()
        stream = declare(client_of(server), until=is_end_and_tells(reached))()
        items, errors = [], []
        threads = NewThreads()

        def read() -> None:
            try:
                items.extend(stream)
            except BaseException as error:
                errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        assert reached.wait(WAIT)
        stream.close()
        reader.join(WAIT)
        assert (items, errors) == (["1", "2"], [])
        server.wait_until_closed()
        assert threads.settled() == []

    def test_an_interrupt_from_the_keyboard_closes_the_connection(self, server):
        class Interrupt(BaseException):
            pass

        def interrupt(number: int, frame: object) -> None:
            raise Interrupt

        def is_end(event: api.ServerSentEvent[str]) -> bool:
            if event.data == "[DONE]":
                signal.setitimer(signal.ITIMER_REAL, 0.02)  # the client is waiting by then
            return event.data == "[DONE]"

        stream = declare(client_of(server), until=is_end)()
        threads = NewThreads()
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with pytest.raises(Interrupt):
                list(stream)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        server.wait_until_closed()
        with pytest.raises(RuntimeError, match="this stream has failed, with Interrupt"):
            next(stream)
        assert threads.settled() == []

    def test_the_end_of_the_event_loop_closes_the_connection(self, async_side, server):
        """A program that ends while another task waits for the end of a stream."""

        class EndOfProgram(Exception):
            pass

        async def main() -> None:
            reached = anyio.Event()
            stream = await declare_async(client_of(server), until=is_end_and_tells(reached))()

            async def read() -> None:
                async for _ in stream:
                    pass

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await reached.wait()
                raise EndOfProgram

        with pytest.raises(ExceptionGroup) as caught:
            async_side.run(main)
        assert caught.group_contains(EndOfProgram)
        server.wait_until_closed()


SCRIPT = """
import asyncio, atexit, os
from typing import AsyncIterator, Iterator
from clientele import api

client = api.APIClient(base_url=os.environ["URL"])

@client.get("/", streaming_response=True, until="[DONE]")
def stream(*, result: Iterator[int]) -> Iterator[int]:
    return result

@client.get("/", streaming_response=True, until="[DONE]")
async def async_stream(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
    return result

async def main():
    print([number async for number in await async_stream()])

atexit.register(lambda: print(list(stream())))
print(list(stream()))
asyncio.run(main())
"""


@pytest.mark.parametrize("handler", [in_two_segments, kept_open(EVENT_STREAM + chunk(TWO_AND_DONE))])
def test_a_program_may_read_such_streams_up_to_its_last_moment(serve, tmp_path, handler):
    server = serve(handler)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert run_script(script, environment={"URL": server.url}) == ("[1, 2]\n" * 3, "")
    server.wait_until_closed()


@pytest.mark.parametrize("data", ["[DONE]", "[END]", "DONE", "done", " [DONE] ", "<|endoftext|>"])
@pytest.mark.parametrize("item_type", [int, Token, api.ServerSentEvent[Token]])
def test_data_that_looks_like_a_terminator_hints_at_until(item_type, data):
    reading = Side("sync").read(mock_client(f"data: {data}\n\n".encode(), "text/event-stream"), item_type)
    assert isinstance(reading.error, api.StreamDecodeError)
    assert "until=" in str(reading.error)


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "text/plain"])
def test_a_line_that_looks_like_a_terminator_hints_at_until(side, content_type):
    reading = side.read(fakes.client_of(b"1\n[DONE]\n", content_type), int)
    assert reading.items == [1]
    assert "until=" in str(reading.error)


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        '{"text": 5}',
        "[]",
        "[1, 2]",
        '["DONE"]',
        "[DONE",
        "null",
        "5",
        "Internal Server Error",
        "<html>x</html>",
    ],
)
def test_other_data_that_does_not_fit_hints_at_nothing(data):
    reading = Side("sync").read(mock_client(f"data: {data}\n\n".encode(), "text/event-stream"), Token)
    assert isinstance(reading.error, api.StreamDecodeError)
    assert "until=" not in str(reading.error)


@pytest.mark.parametrize("until", [5, b"[DONE]", ["[DONE]"], re.compile("DONE"), True], ids=repr)
def test_what_is_neither_data_nor_a_function_is_refused(until):
    client = mock_client(b"", "text/event-stream")
    with pytest.raises(TypeError, match=r"GET /: until is .*; it is the data of an event, or a function of an event"):
        client.get("/", streaming_response=True, until=until)


async def ends(event: api.ServerSentEvent[str]) -> bool:
    return True


class Ends:
    async def __call__(self, event: api.ServerSentEvent[str]) -> bool:
        return True


@pytest.mark.parametrize("until", [ends, Ends()], ids=["function", "object"])
def test_a_function_that_would_have_to_be_awaited_is_refused(until):
    client = mock_client(b"", "text/event-stream")
    with pytest.raises(TypeError, match="until is an async function; nothing awaits it, so pass a plain function"):
        client.get("/", streaming_response=True, until=until)


def test_until_is_for_streams():
    with pytest.raises(TypeError, match="until is for streams; add streaming_response=True, or leave it out"):
        mock_client(b"", "text/event-stream").get("/", until="[DONE]")


def test_bytes_have_no_terminator():
    with pytest.raises(TypeError, match="bytes are yielded as they arrive, not as events"):
        declare(mock_client(b"", "text/event-stream"), bytes, until="[DONE]")


def test_one_declaration_serves_call_after_call(serve):
    """What ends one stream does not end the next."""
    numbers = itertools.count()

    async def send(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: %d\n\n" % next(numbers)) + DONE + END)

    stream = declare(client_of(serve(send)), int, until="[DONE]")
    assert [list(stream()) for _ in range(3)] == [[0], [1], [2]]


@pytest.mark.parametrize("data", ["[DONE]", " [DONE]", " [DONE] ", "\t[DONE]  "])
@pytest.mark.parametrize("item_type", [str, int, api.ServerSentEvent[str]])
def test_white_space_around_the_terminator_is_ignored(side, item_type, data):
    reading = side.read(fakes.stream_of(f"data: 1\n\ndata: {data}\n\ndata: 2\n\n".encode()), item_type, until="[DONE]")
    assert (len(reading.items), reading.error) == (1, None)


@pytest.mark.parametrize("data", ["[DONE] or not", "x[DONE]", "[DO NE]"])
def test_what_only_contains_the_terminator_is_an_item(data):
    assert list(
        fakes.stream_of(f"data: {data}\n\ndata: [DONE]\n\n".encode()).stream("GET", "/", str, until="[DONE]")
    ) == [data]


@pytest.mark.parametrize("block", ["event: complete", "event:complete\nid: 9", "event: complete\nretry: 5"])
def test_a_function_is_asked_of_a_block_without_data_which_is_never_an_item(side, serve, block):
    stream = f"event: next\n\ndata: 1\n\n: comment\n\n{block}\n\ndata: 2\n\n"
    asked: list[tuple[str, str]] = []

    def is_end(event: api.ServerSentEvent) -> bool:
        asked.append((event.event, event.data))
        return event.event == "complete"

    server = serve(EVENT_STREAM + chunk(stream.encode()) + END)
    reading = side.read(api.APIClient(server.url), int, until=is_end)
    assert (reading.items, reading.error) == ([1], None)
    assert asked == [("next", ""), ("message", "1"), ("complete", "")]
