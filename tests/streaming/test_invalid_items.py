"""Events that are not what they should be, and parsers of the user's own, which say so themselves."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import httpx2
import pydantic
import pytest
from tests import fakes
from tests.fakes import stream_of
from tests.servers import EVENT_STREAM, WAIT, Connection, chunk
from tests.sides import Side

from clientele import api


class Token(pydantic.BaseModel):
    text: str


class Point:
    """A class of which Pydantic knows nothing."""

    def __init__(self, text: str) -> None:
        self.x, self.y = map(int, text.split(","))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None


class UnfitError(Exception):
    pass


BODY = b'data: 1\n\n: x\n\nevent: odd\nid: 7\nretry: 20\ndata: {"no":\ndata: number}\n\ndata: 3\n\ndata: [DONE]\n\n'
"""The second of four events is no number, and neither is the last."""

ODD = api.ServerSentEvent('{"no":\nnumber}', "odd", "7", 20)


def reraise(error: api.StreamDecodeError) -> Any:
    raise error


@pytest.mark.parametrize("options", [{}, {"on_invalid": "raise"}, {"on_invalid": reraise}])
def test_an_item_that_does_not_fit_raises_unless_said_otherwise(side, serve, options):
    server = serve(EVENT_STREAM + chunk(BODY))
    reading = side.read(api.APIClient(base_url=server.url), int, **options)
    assert reading.items == [1]
    error = reading.error
    assert type(error) is api.StreamDecodeError
    assert error.event == ODD
    assert error.items_received == 1
    assert error.last_event_id == "7"
    assert error.response is reading.stream.response
    assert error.__cause__ is error.validation_error
    assert isinstance(error.validation_error, pydantic.ValidationError)
    assert str(error).startswith(f"GET {server.url}/: event 2 ('odd') of the stream is not int: Invalid JSON")
    server.wait_until_closed()


def test_skipping_leaves_out_what_does_not_fit_and_logs_each_with_its_event(side, caplog):
    with caplog.at_level(logging.DEBUG, "clientele"):
        reading = side.read(stream_of(BODY), int, on_invalid="skip")
    assert (reading.items, reading.error) == ([1, 3], None)
    first, second = (record for record in caplog.records if record.name == "clientele")
    assert (first.levelname, second.levelname) == ("WARNING", "WARNING")
    assert first.stream_event == ODD
    assert second.stream_event == api.ServerSentEvent("[DONE]", id="7")
    assert "event 2 ('odd') of the stream is not int" in first.getMessage()
    assert r'{"no":\nnumber}' in first.getMessage()
    assert "event 4 of the stream is not int" in second.getMessage()


def test_what_is_logged_shows_no_secrets_and_is_cut(caplog):
    client = stream_of(b"data: " + b"x\x1b" * 10_000 + b"\n\n")
    with caplog.at_level(logging.WARNING, "clientele"):
        Side("sync").read(client, int, path="/?api_key=hush", on_invalid="skip")
    (message,) = (record.getMessage() for record in caplog.records)
    assert "hush" not in message
    assert "\x1b" not in message
    assert len(message) < 3000


def test_a_stream_of_which_nothing_fits_is_read_to_its_end(side, caplog):
    body = b"data: x\n\n" * 5000
    with caplog.at_level(logging.CRITICAL, "clientele"):
        reading = side.read(stream_of(body), int, on_invalid="skip")
    assert (reading.items, reading.error) == ([], None)


def test_a_function_is_given_the_exception_that_would_have_been_raised(side):
    errors: list[api.StreamDecodeError] = []
    reading = side.read(stream_of(BODY), int, on_invalid=errors.append)
    assert reading.error is None
    assert [type(error) for error in errors] == [api.StreamDecodeError] * 2
    assert [error.event for error in errors] == [ODD, api.ServerSentEvent("[DONE]", id="7")]
    assert [error.items_received for error in errors] == [1, 3]
    assert [error.__cause__ for error in errors] == [error.validation_error for error in errors]
    assert "event 4 of the stream" in str(errors[1])


@pytest.mark.parametrize("replacement", [-1, "text", None, False, [], StopIteration(), NotImplemented], ids=repr)
def test_what_a_function_returns_stands_in_for_the_item(side, replacement):
    reading = side.read(stream_of(BODY), int, on_invalid=lambda error: replacement)
    assert reading.error is None
    assert [reading.items[0], reading.items[2]] == [1, 3]
    assert len(reading.items) == 4
    assert reading.items[1] is replacement
    assert reading.items[3] is replacement


def test_what_a_function_returns_is_the_whole_item(side):
    """Where the whole event is the item, so is its replacement."""
    reading = side.read(
        stream_of(BODY),
        api.ServerSentEvent[int] | api.Comment,
        on_invalid=lambda error: error.event,
    )
    assert reading.items == [
        api.ServerSentEvent(1),
        api.Comment("x"),
        ODD,
        api.ServerSentEvent(3, id="7"),
        api.ServerSentEvent("[DONE]", id="7"),
    ]


@pytest.mark.parametrize("raised", [UnfitError, ValueError, KeyError, httpx2.ReadError])
def test_what_a_function_raises_ends_the_stream(side, serve, raised):
    def give_up(error: api.StreamDecodeError) -> Any:
        raise raised("enough") from error

    server = serve(EVENT_STREAM + chunk(BODY))
    reading = side.read(api.APIClient(base_url=server.url), int, on_invalid=give_up)
    assert reading.items == [1]
    assert type(reading.error) is raised
    assert isinstance(reading.error.__cause__, api.StreamDecodeError)
    server.wait_until_closed()


@pytest.mark.parametrize("raised", [StopIteration, StopAsyncIteration])
def test_a_function_cannot_end_the_stream_in_silence(side, raised):
    def stop(error: api.StreamDecodeError) -> Any:
        raise raised

    reading = side.read(stream_of(BODY), int, on_invalid=stop)
    assert reading.items == [1]
    assert isinstance(reading.error, RuntimeError)


def test_a_function_may_raise_what_validates_its_replacement(side):
    """A replacement that is itself wrong is not a second event that does not fit."""
    reading = side.read(stream_of(BODY), int, on_invalid=lambda error: Token.model_validate_json(error.event.data))
    assert reading.items == [1]
    assert isinstance(reading.error, pydantic.ValidationError)


def test_numbers_in_messages_count_events_and_items_received_counts_items(side):
    """Comments, skipped events and the ones of names that nobody asked for: all differ in what they count as."""
    body = (
        b": a comment is an item here, and no event\n\n"
        b"event: count\ndata: 1\n\n"
        b"event: ping\ndata: x\n\n"
        b"event: unknown\ndata: x\n\n"
        b"event: count\ndata: skipped\n\n"
        b"event: no data, so no event\n\n"
        b"event: count\ndata: replaced\n\n"
        b"event: count\ndata: raised\n\n"
    )
    errors = []

    def on_invalid(error: api.StreamDecodeError) -> Any:
        errors.append(error)
        if error.event.data == "raised":
            raise error
        return 0

    reading = side.read(
        stream_of(body),
        int | api.Comment,
        event_map={"count": int, "ping": None},
        on_invalid=on_invalid,
    )
    assert reading.items == [api.Comment("a comment is an item here, and no event"), 1, 0, 0]
    assert reading.error is errors[-1]
    assert [error.items_received for error in errors] == [2, 3, 4]
    assert [f"event {number} ('count')" in str(error) for number, error in zip([4, 5, 6], errors, strict=True)] == [
        True
    ] * 3


def test_skipped_events_are_no_items_received(side):
    server_body = b"data: 1\n\ndata: x\n\ndata: y\n\ndata: " + b"z" * 1000
    reading = side.read(stream_of(server_body), int, on_invalid="skip", max_event_size=100)
    assert reading.items == [1]
    assert isinstance(reading.error, api.EventTooLarge)
    assert reading.error.items_received == 1
    assert "event 4 of the stream is larger" in str(reading.error)


def test_an_event_is_too_large_where_only_the_end_of_the_body_shows_it(side):
    reading = side.read(stream_of(b"data: 1\n\ndata: 22\nid"), int, max_event_size=8)
    assert reading.items == [1]
    assert isinstance(reading.error, api.EventTooLarge)
    assert "event 2 of the stream is larger" in str(reading.error)


@pytest.mark.parametrize("on_invalid", ["skip", lambda error: None])
def test_only_what_does_not_fit_is_passed_over(side, serve, on_invalid):
    """An event that is too large, and a stream that breaks off, raise all the same."""
    reading = side.read(stream_of(b"data: " + b"x" * 100), int, on_invalid=on_invalid, max_event_size=10)
    assert isinstance(reading.error, api.EventTooLarge)

    async def break_off(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
        connection.close()

    reading = side.read(api.APIClient(base_url=serve(break_off).url), int, on_invalid=on_invalid)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)


def test_what_a_validator_raises_on_purpose_is_not_passed_over(side):
    def check(value: int) -> int:
        raise UnfitError

    item_type = Annotated[int, pydantic.AfterValidator(check)]
    reading = side.read(stream_of(b"data: 1\n\n"), item_type, on_invalid="skip")
    assert isinstance(reading.error, UnfitError)


@pytest.mark.parametrize(
    ("content_type", "body", "items", "unfit"),
    [
        ("application/x-ndjson", b"1\nx\n\n3\n", [1, 3], ["x"]),
        ("application/json-seq", b"\x1e1\n\x1e{\x1e3\n\x1e\x1ex\n", [1, 3], ["{", "x"]),
        ("text/plain", b"1\nx\n3", [1, 3], ["x"]),
    ],
)
def test_other_formats_pass_over_what_does_not_fit_too(side, content_type, body, items, unfit):
    client, events = fakes.client_of(body, content_type), []
    reading = side.read(client, int, on_invalid=lambda error: events.append(error.event))
    assert reading.error is None
    assert [item for item in reading.items if item is not None] == items
    assert events == [api.ServerSentEvent(data) for data in unfit]
    assert side.read(client, int, on_invalid="skip").items == items


@pytest.mark.parametrize("on_invalid", ["ignore", "", None, 5, True, UnfitError("x"), b"skip"], ids=repr)
def test_what_on_invalid_does_not_know_is_refused(on_invalid):
    with pytest.raises(TypeError, match=r"GET /: on_invalid is .*; it is 'raise', 'skip' or a function of a Stream"):
        stream_of(b"").get("/", streaming_response=True, on_invalid=on_invalid)


async def coroutine_function(argument: Any) -> Any:
    return argument


class CoroutineObject:
    async def __call__(self, argument: Any) -> Any:
        return argument


@pytest.mark.parametrize("option", ["on_invalid", "response_parser"])
@pytest.mark.parametrize(
    "function",
    [coroutine_function, CoroutineObject(), functools.partial(coroutine_function)],
    ids=["function", "object", "partial"],
)
def test_a_function_that_would_have_to_be_awaited_is_refused(option, function):
    with pytest.raises(TypeError, match=f"GET /: {option} is an async function; nothing awaits it"):
        stream_of(b"").get("/", streaming_response=True, **{option: function})


def test_on_invalid_is_for_streams():
    with pytest.raises(TypeError, match="on_invalid is for streams; add streaming_response=True, or leave it out"):
        stream_of(b"").get("/", on_invalid="skip")


PARSED = b"data: 1,2\n\n:x\n\nevent: odd\nid: 7\ndata: 3,\ndata: 4\n\n"


class TestResponseParser:
    """`response_parser=` makes the items, or their data, of each frame's data."""

    @pytest.mark.parametrize(
        ("item_type", "parser", "items"),
        [
            (Point, Point, [Point("1,2"), Point("3,4")]),
            (str, lambda text: text, ["1,2", "3,\n4"]),
            (bytes, str.encode, [b"1,2", b"3,\n4"]),
            (list[int], lambda text: json.loads(f"[{text}]"), [[1, 2], [3, 4]]),
            (Token, lambda text: Token(text=text), [Token(text="1,2"), Token(text="3,\n4")]),
            (Token | None, lambda text: None, [None, None]),
            (
                Point | api.Comment,
                Point,
                [Point("1,2"), api.Comment("x"), Point("3,4")],
            ),
            (
                api.ServerSentEvent[Point],
                Point,
                [api.ServerSentEvent(Point("1,2")), api.ServerSentEvent(Point("3,4"), "odd", "7")],
            ),
            (
                api.ServerSentEvent[Point] | api.Comment,
                Point,
                [
                    api.ServerSentEvent(Point("1,2")),
                    api.Comment("x"),
                    api.ServerSentEvent(Point("3,4"), "odd", "7"),
                ],
            ),
            (
                api.ServerSentEvent[bytes],
                str.encode,
                [api.ServerSentEvent(b"1,2"), api.ServerSentEvent(b"3,\n4", "odd", "7")],
            ),
        ],
    )
    def test_makes_the_items(self, side, item_type, parser, items):
        reading = side.read(stream_of(PARSED), item_type, response_parser=parser)
        assert reading.error is None
        assert reading.items == items

    def test_is_given_text_where_bytes_cannot_be_decoded(self, side):
        reading = side.read(stream_of(b"data: \xff\n\ndata: \xc3\xbc\n\n"), str, response_parser=str.upper)
        assert reading.items == ["\ufffd", "Ü"]

    def test_its_item_is_not_validated(self, side):
        """It is the user's own parser; what it returns is what the item is."""
        assert side.read(stream_of(b"data: x\n\n"), int, response_parser=str.upper).items == ["X"]

    def test_is_called_once_for_each_event_as_it_arrives(self, serve):
        received = threading.Event()
        seen = []

        async def send_after_receipt(connection: Connection) -> None:
            await connection.send(EVENT_STREAM + chunk(b": comment\n\ndata: a\n\n"))
            await asyncio.to_thread(received.wait, WAIT)
            await connection.send(chunk(b"data: b\n\n") + b"0\r\n\r\n")

        @api.APIClient(base_url=serve(send_after_receipt).url).get(
            "/", streaming_response=True, response_parser=lambda text: seen.append(text) or text
        )
        def stream(*, result: Iterator[str]) -> Iterator[str]:
            return result

        opened = stream()
        assert (next(opened), seen) == ("a", ["a"])
        received.set()
        assert (list(opened), seen) == (["b"], ["a", "b"])

    @pytest.mark.parametrize(
        ("content_type", "body", "seen"),
        [
            ("application/x-ndjson", b'{"a": 1}\r\n\n [2] \n"\xc3\xbc"', ['{"a": 1}', "[2]", '"ü"']),
            ("application/json-seq", b'\x1e{"a":\n1}\n\x1e[2]\n', ['{"a":\n1}', "[2]"]),
            ("text/plain; charset=latin-1", b"a\r\n\n\xfc", ["a", "", "ü"]),
        ],
    )
    def test_is_given_the_frames_of_every_format(self, side, content_type, body, seen):
        client = fakes.client_of(body, content_type)
        assert side.read(client, tuple, response_parser=lambda text: ("parsed", text)).items == [
            ("parsed", text) for text in seen
        ]

    @pytest.mark.parametrize(
        ("parser", "cause"),
        [
            (int, ValueError),
            (json.loads, json.JSONDecodeError),
            (lambda text: text.encode("ascii"), UnicodeEncodeError),
            (Token.model_validate_json, None),
        ],
        ids=["int", "json.loads", "encode", "model"],
    )
    @pytest.mark.parametrize("item_type", [int, api.ServerSentEvent[int]])
    def test_its_value_error_says_that_the_event_does_not_fit(self, side, item_type, parser, cause):
        reading = side.read(stream_of("data: ü\n\n".encode()), item_type, response_parser=parser)
        assert reading.items == []
        error = reading.error
        assert isinstance(error, api.StreamDecodeError)
        assert error.event == api.ServerSentEvent("ü")
        assert "event 1 of the stream is not int: " in str(error)
        assert error.__cause__ is error.validation_error
        assert isinstance(error.validation_error, pydantic.ValidationError)
        if cause is not None:
            original = error.__cause__.__cause__
            assert type(original) is cause
            assert str(original) in str(error)

    def test_a_mismatch_is_subject_to_on_invalid(self, side, caplog):
        body = b"data: 1\n\ndata: x\n\ndata: 3\n\n"
        client = stream_of(body)
        with caplog.at_level(logging.WARNING, "clientele"):
            assert side.read(client, int, response_parser=int, on_invalid="skip").items == [1, 3]
        assert [record.stream_event for record in caplog.records] == [api.ServerSentEvent("x")]
        replaced = side.read(client, int, response_parser=int, on_invalid=lambda error: error.event.data)
        assert replaced.items == [1, "x", 3]

    @pytest.mark.parametrize("raised", [KeyError, TypeError, UnfitError, httpx2.ReadError])
    @pytest.mark.parametrize("on_invalid", ["raise", "skip"])
    def test_whatever_else_it_raises_is_raised(self, side, serve, raised, on_invalid):
        def parse(text: str) -> int:
            if text == "1":
                return 1
            raise raised("parser")

        server = serve(EVENT_STREAM + chunk(b"data: 1\n\ndata: 2\n\ndata: 3\n\n"))
        client = api.APIClient(base_url=server.url)
        reading = side.read(client, int, response_parser=parse, on_invalid=on_invalid)
        assert reading.items == [1]
        assert type(reading.error) is raised
        server.wait_until_closed()

    @pytest.mark.parametrize("raised", [StopIteration, StopAsyncIteration])
    def test_it_cannot_end_the_stream_in_silence(self, side, raised):
        def parse(text: str) -> int:
            raise raised

        reading = side.read(stream_of(b"data: 1\n\n"), int, response_parser=parse)
        assert isinstance(reading.error, RuntimeError)

    def test_any_callable_will_do(self, side):
        @dataclasses.dataclass
        class Times:
            factor: int

            def __call__(self, text: str) -> int:
                return self.factor * int(text)

        client = stream_of(b"data: 2\n\n")
        assert side.read(client, int, response_parser=Times(5)).items == [10]
        assert side.read(client, Decimal, response_parser=Decimal).items == [Decimal(2)]
        assert side.read(client, int, response_parser=functools.partial(int, base=16)).items == [2]

    @pytest.mark.parametrize("other", ["event_map", "response_map"])
    @pytest.mark.parametrize("value", [{}, {"message": int}, {404: int}], ids=repr)
    def test_it_does_not_go_with_what_also_makes_items(self, other, value):
        with pytest.raises(TypeError) as caught:
            stream_of(b"").get("/", streaming_response=True, response_parser=int, **{other: value})
        for said in ("GET /: response_parser ", f" {other}", "; leave one out"):
            assert said in str(caught.value)

    @pytest.mark.parametrize("parser", [5, "json", {}, Token(text="a")], ids=repr)
    def test_what_is_no_function_is_refused(self, parser):
        with pytest.raises(TypeError, match=r"GET /: response_parser is .*; it is a function"):
            stream_of(b"").get("/", streaming_response=True, response_parser=parser)

    def test_it_needs_frames_to_parse(self):
        """Bytes as they come are cut anywhere."""
        with pytest.raises(TypeError, match="stream_format='bytes' has no int"):

            @stream_of(b"").get("/", streaming_response=True, response_parser=int, stream_format="bytes")
            def stream(*, result: Iterator[int]) -> Iterator[int]:
                return result
