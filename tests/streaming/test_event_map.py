"""Whole events and the comments between them, and events whose name says what their data is."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Protocol

import httpx2
import pydantic
import pytest
from tests.fakes import stream_of
from tests.servers import END, EVENT_STREAM, Connection, chunk
from tests.sides import Side
from typing_extensions import TypeAliasType, TypedDict

from clientele import api


class Start(pydantic.BaseModel):
    kind: Literal["start"] = "start"
    id: int


class Delta(pydantic.BaseModel):
    kind: Literal["delta"] = "delta"
    text: str


class LoudDelta(Delta):
    pass


@dataclasses.dataclass
class Usage:
    tokens: int


class Stop(TypedDict):
    reason: str


class OverloadedError(Exception):
    pass


class DetailedError(Exception):
    def __init__(self, event: api.ServerSentEvent, retry_in: int = 5) -> None:
        self.event = event
        self.retry_in = retry_in


STREAM = b"""\
: welcome

event: start
id: 1
data: {"id": 7}

:ping
data: of no name

event: delta
: in the middle of an event
retry: 500
data: {"text":
data:  "a"}

event: delta
data: {"text": "b"}

:
"""
DATA = ['{"id": 7}', "of no name", '{"text":\n "a"}', '{"text": "b"}']
"""The data of the events in `STREAM`."""


def declare(item_type: Any, **options: Any) -> Any:
    """Declare a streaming endpoint, and do not call it."""

    @stream_of(b"").get("/", streaming_response=True, **options)
    def stream(*, result: Iterator[item_type]) -> Iterator[item_type]:
        return result

    return stream


def named(*events: tuple[str, str]) -> bytes:
    """An event stream of events with these names and data."""
    return "".join(f"event: {name}\ndata: {data}\n\n" for name, data in events).encode()


class TestWholeEvents:
    def test_an_event_without_a_type_has_its_data_as_text(self, side):
        reading = side.read(stream_of(STREAM), api.ServerSentEvent)
        assert reading.error is None
        assert reading.items == [
            api.ServerSentEvent(DATA[0], "start", "1"),
            api.ServerSentEvent(DATA[1], "message", "1"),
            api.ServerSentEvent(DATA[2], "delta", "1", 500),
            api.ServerSentEvent(DATA[3], "delta", "1"),
        ]

    def test_an_event_with_a_type_has_its_data_validated(self, side):
        reading = side.read(stream_of(named(("delta", '{"text": "a"}'))), api.ServerSentEvent[Delta])
        assert reading.items == [api.ServerSentEvent(Delta(text="a"), "delta")]

    @pytest.mark.parametrize(
        ("item_type", "first", "last"),
        [
            (api.ServerSentEvent, api.ServerSentEvent("1", "a"), api.ServerSentEvent("2", "b")),
            (api.ServerSentEvent[int], api.ServerSentEvent(1, "a"), api.ServerSentEvent(2, "b")),
            (api.ServerSentEvent[Any], api.ServerSentEvent(1, "a"), api.ServerSentEvent(2, "b")),
            (int, 1, 2),
            (str, "1", "2"),
        ],
    )
    def test_a_union_with_comment_yields_comments_too_in_order(self, side, item_type, first, last):
        body = b": x\n\nevent: a\ndata: 1\n\n:y\nevent: b\n: z\ndata: 2\n\n:"
        reading = side.read(stream_of(body + b"\n"), item_type | api.Comment)
        comments = [api.Comment(text) for text in ("x", "y", "z", "")]
        assert reading.error is None
        assert reading.items == [comments[0], first, *comments[1:3], last, comments[3]]

    @pytest.mark.parametrize("item_type", [api.ServerSentEvent, int, str])
    def test_comments_are_left_out_where_no_type_asks_for_them(self, side, item_type):
        reading = side.read(stream_of(b": x\n\ndata: 1\n\n:y\n\n"), item_type)
        assert [str(getattr(item, "data", item)) for item in reading.items] == ["1"]

    def test_a_comment_is_yielded_before_the_next_byte_is_sent(self, serve):
        async def send_a_comment(connection: Connection) -> None:
            await connection.send(EVENT_STREAM + chunk(b": hello\n"))
            await connection.until_client_closes()

        @api.APIClient(base_url=serve(send_a_comment).url).get("/", streaming_response=True)
        def stream(*, result: Iterator[str | api.Comment]) -> Iterator[str | api.Comment]:
            return result

        assert next(stream()) == api.Comment("hello")

    @pytest.mark.parametrize("comments_first", [False, True])
    @pytest.mark.parametrize(
        "events",
        [
            api.ServerSentEvent[Start] | api.ServerSentEvent[Delta],
            api.ServerSentEvent[Start | Delta],
            Annotated[api.ServerSentEvent[Start | Delta], "annotated"],
            Annotated[api.ServerSentEvent[Start] | api.ServerSentEvent[Delta], "annotated"],
            TypeAliasType("OneEvent", api.ServerSentEvent[Start | Delta]),
            TypeAliasType("TwoEvents", api.ServerSentEvent[Start] | api.ServerSentEvent[Delta]),
            api.ServerSentEvent[TypeAliasType("Data", Start | Delta)],
            api.ServerSentEvent[Annotated[Start | Delta, pydantic.Field(discriminator="kind")]],
        ],
        ids=str,
    )
    def test_a_union_means_the_same_however_it_is_written(self, events, comments_first):
        item_type = api.Comment | events if comments_first else events | api.Comment
        body = b': x\n\ndata: {"kind": "start", "id": 1}\n\ndata: {"kind": "delta", "text": "a"}\n\n'
        reading = Side("sync").read(stream_of(body), item_type)
        assert reading.error is None
        expected = [api.ServerSentEvent(Start(id=1)), api.ServerSentEvent(Delta(text="a"))]
        assert reading.items == [api.Comment("x"), *expected]

    @pytest.mark.parametrize(
        "item_type",
        [
            TypeAliasType("Item", Delta | api.Comment),
            TypeAliasType("Item", Delta | Annotated[api.Comment, "annotated"]),
            Start | TypeAliasType("Item", Delta | api.Comment),
            Start | Annotated[Delta | api.Comment, "annotated"],
            TypeAliasType("Item", Delta | api.Comment) | None,
        ],
        ids=str,
    )
    def test_a_comment_in_an_alias_is_a_comment(self, item_type):
        reading = Side("sync").read(stream_of(b': x\n\ndata: {"text": "a"}\n\n'), item_type)
        assert reading.error is None
        assert reading.items == [api.Comment("x"), Delta(text="a")]

    @pytest.mark.parametrize(
        ("item_type", "message"),
        [
            (api.Comment, r"Comment alone would yield no event; declare a union, such as ServerSentEvent \| Comment"),
            (api.ServerSentEvent[Start] | Delta, r"is an event for some and its data for others; declare ServerSent"),
            (api.ServerSentEvent | None, "is an event for some and its data for others"),
            (api.ServerSentEvent | api.Comment | Delta, "is an event for some and its data for others"),
            (
                api.ServerSentEvent[bytes],
                "bytes are yielded as they arrive, not as events; declare str",
            ),
            (bytes | api.Comment, "bytes are yielded as they arrive, not as events"),
        ],
        ids=str,
    )
    def test_what_no_event_could_be_is_refused_at_decoration(self, item_type, message):
        with pytest.raises(TypeError, match=message) as caught:
            declare(item_type)
        assert "stream(): parameter 'result': " in str(caught.value)

    def test_comments_are_counted_as_items_but_not_as_events(self, side):
        reading = side.read(stream_of(b": a\n\ndata: 1\n\n: b\n\n: c\n\ndata: x\n\n"), int | api.Comment)
        assert len(reading.items) == 4
        assert reading.error.items_received == 4
        assert "event 2 of the stream is not int" in str(reading.error)


EVENT = api.ServerSentEvent("a", "token", "7", 500)
COMMENT = api.Comment("a")


class TestEventsAreValues:
    @pytest.mark.parametrize(
        ("value", "name"),
        [(EVENT, name) for name in ("data", "event", "id", "retry")] + [(COMMENT, "text")],
        ids=lambda value: value if isinstance(value, str) else type(value).__name__,
    )
    def test_they_are_immutable(self, value, name):
        before = copy.copy(value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "b")
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(value, name)
        assert value == before

    @pytest.mark.parametrize("value", [EVENT, COMMENT], ids=repr)
    def test_they_are_slotted(self, value):
        assert not hasattr(value, "__dict__")
        with pytest.raises((AttributeError, TypeError)):  # Python 3.11 and 3.12 disagree about which
            value.other = 1

    def test_they_can_be_made_with_and_without_their_type(self):
        assert api.ServerSentEvent[str]("a") == api.ServerSentEvent("a")
        assert repr(api.ServerSentEvent[int](1)) == repr(api.ServerSentEvent(1))

    def test_they_are_equal_if_all_their_fields_are(self):
        assert api.ServerSentEvent("a", "token", "7", 500) == EVENT
        for other in ({"data": "b"}, {"event": "message"}, {"id": ""}, {"retry": None}):
            assert dataclasses.replace(EVENT, **other) != EVENT
        assert api.Comment("a") == COMMENT
        assert api.Comment("b") != COMMENT
        assert api.ServerSentEvent("a") != api.Comment("a")
        assert api.ServerSentEvent("a") != "a"

    def test_equal_ones_have_the_same_hash(self):
        assert len({EVENT, api.ServerSentEvent("a", "token", "7", 500), COMMENT, api.Comment("a")}) == 2

    def test_they_print_as_they_are_written(self):
        assert repr(EVENT) == "ServerSentEvent(data='a', event='token', id='7', retry=500)"
        assert repr(api.ServerSentEvent(Start(id=1))) == (
            "ServerSentEvent(data=Start(kind='start', id=1), event='message', id='', retry=None)"
        )
        assert repr(COMMENT) == "Comment(text='a')"

    @pytest.mark.parametrize("value", [EVENT, COMMENT], ids=repr)
    def test_they_can_be_copied_and_pickled(self, value):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value

    def test_they_match_by_position_by_name_and_by_class(self):
        def describe(item: api.ServerSentEvent[Any] | api.Comment) -> Any:
            match item:
                case api.Comment(text):
                    return "comment", text
                case api.ServerSentEvent(Start(id=start_id), "start"):
                    return "start", start_id
                case api.ServerSentEvent(data=Delta(text=text), event="delta", retry=int(retry)):
                    return "delta", text, retry
                case api.ServerSentEvent(data, "message", "", None):
                    return "plain", data
                case api.ServerSentEvent():
                    return "other"

        assert describe(api.Comment("x")) == ("comment", "x")
        assert describe(api.ServerSentEvent(Start(id=7), "start")) == ("start", 7)
        assert describe(api.ServerSentEvent(Delta(text="a"), "delta", "9", 500)) == ("delta", "a", 500)
        assert describe(api.ServerSentEvent("a")) == ("plain", "a")
        assert describe(api.ServerSentEvent("a", id="1")) == "other"


class TestNamesChooseTypes:
    def test_each_name_has_its_type(self, side):
        body = named(
            ("start", '{"id": 7}'),
            ("delta", '{"text": "a"}'),
            ("usage", '{"tokens": 3}'),
            ("text", '{"id": 7}'),
            ("count", "5"),
            ("stop", '{"reason": "end"}'),
        )
        reading = side.read(
            stream_of(body),
            Start | Delta | Usage | str | int | Stop,
            event_map={"start": Start, "delta": Delta, "usage": Usage, "text": str, "count": int, "stop": Stop},
        )
        assert reading.error is None
        assert reading.items == [Start(id=7), Delta(text="a"), Usage(3), '{"id": 7}', 5, {"reason": "end"}]

    def test_the_name_chooses_even_where_the_data_fits_another_type(self, side):
        body = named(("loud", '{"text": "a"}'), ("delta", '{"text": "a"}'))
        reading = side.read(stream_of(body), Delta | LoudDelta, event_map={"delta": Delta, "loud": LoudDelta})
        assert [type(item) for item in reading.items] == [LoudDelta, Delta]

    def test_an_event_without_a_name_is_a_message(self, side):
        reading = side.read(
            stream_of(b"data: 1\n\nevent:\ndata: 2\n\nevent\ndata: 3\n\n"),
            int,
            event_map={"message": int},
        )
        assert reading.items == [1, 2, 3]

    @pytest.mark.parametrize("name", ["content.delta", "Größe", "*", "a b", "None"])
    def test_a_name_is_taken_literally(self, side, name):
        body = named((name, "1"), (name.upper() + "x", "2"))
        reading = side.read(stream_of(body), int | str, event_map={name: int, "message": str})
        assert reading.items == ([1, 2] if name == "*" else [1])

    def test_none_skips(self, side, caplog):
        body = named(("ping", "not JSON"), ("count", "1"), ("ping", "{}"))
        with caplog.at_level(logging.INFO, "clientele"):
            reading = side.read(stream_of(body), int, event_map={"count": int, "ping": None})
        assert (reading.items, reading.error) == ([1], None)
        assert caplog.records == []

    @pytest.mark.parametrize("exception", [OverloadedError, DetailedError, ValueError, Exception])
    def test_an_exception_class_is_raised_made_of_the_event(self, side, serve, exception):
        events = b'data: 1\n\nevent: error\nid: 9\nretry: 20\ndata: {"busy":\ndata: true}\n\ndata: 2\n\n'
        server = serve(EVENT_STREAM + chunk(events))
        reading = side.read(
            api.APIClient(base_url=server.url), int, event_map={"message": int, "error": exception, "*": None}
        )
        assert reading.items == [1]
        assert type(reading.error) is exception
        assert reading.error.args == (api.ServerSentEvent('{"busy":\ntrue}', "error", "9", 20),)
        server.wait_until_closed()

    def test_a_raised_event_is_not_one_that_does_not_fit(self, side):
        """A `ValueError` for an event's name is the endpoint's own wish, whatever becomes of events that do not fit."""
        reading = side.read(
            stream_of(named(("error", "x"))), int, event_map={"count": int, "error": ValueError}, on_invalid="skip"
        )
        assert type(reading.error) is ValueError

    def test_undecodable_bytes_are_replaced_in_what_is_raised(self, side):
        body = b"event: error\ndata: \xff\n\n"
        reading = side.read(stream_of(body), int, event_map={"count": int, "error": OverloadedError})
        assert reading.error.args[0].data == "\ufffd"

    def test_a_stream_that_raised_has_failed(self):
        @stream_of(named(("error", "x"), ("count", "1"))).get(
            "/", streaming_response=True, event_map={"count": int, "error": OverloadedError}
        )
        def stream(*, result: Iterator[int]) -> Iterator[int]:
            return result

        opened = stream()
        with pytest.raises(OverloadedError):
            next(opened)
        with pytest.raises(RuntimeError, match="this stream has failed, with OverloadedError"):
            next(opened)

    def test_what_an_exceptions_own_making_raises_is_raised(self, side):
        class PickyError(Exception):
            def __init__(self, event: api.ServerSentEvent) -> None:
                raise ZeroDivisionError

        reading = side.read(stream_of(named(("error", "x"))), int, event_map={"count": int, "error": PickyError})
        assert isinstance(reading.error, ZeroDivisionError)

    def test_an_exceptions_own_making_cannot_end_the_stream(self, side):
        class PickyError(Exception):
            def __init__(self, event: api.ServerSentEvent) -> None:
                raise StopIteration

        reading = side.read(stream_of(named(("error", "x"))), int, event_map={"count": int, "error": PickyError})
        assert isinstance(reading.error, RuntimeError)

    def test_an_error_whose_data_does_not_fit_is_named_by_its_exception(self, side):
        """An exception may well read the event's data with a model; then that it does not fit is said of the event."""

        class ParsedError(Exception):
            def __init__(self, event: api.ServerSentEvent) -> None:
                super().__init__(Delta.model_validate_json(event.data))

        body = named(("error", '{"text": "a"}'))
        reading = side.read(stream_of(body), int, event_map={"count": int, "error": ParsedError})
        assert reading.error.args == (Delta(text="a"),)
        reading = side.read(stream_of(named(("error", "{}"))), int, event_map={"count": int, "error": ParsedError})
        assert isinstance(reading.error, api.StreamDecodeError | pydantic.ValidationError)
        assert "is not None" not in str(reading.error)

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [(str, ["1", "x", "x"]), (None, ["1"])],
    )
    def test_a_star_takes_every_name_not_listed(self, side, caplog, entry, expected):
        body = named(("count", "1"), ("new", "x"), ("message", "x"))
        with caplog.at_level(logging.INFO, "clientele"):
            reading = side.read(stream_of(body), str, event_map={"count": str, "*": entry})
        assert (reading.items, reading.error) == (expected, None)
        assert caplog.records == []

    def test_a_star_may_raise(self, side):
        body = named(("count", "1"), ("new", "x"))
        reading = side.read(stream_of(body), int, event_map={"count": int, "*": OverloadedError})
        assert reading.items == [1]
        assert reading.error.args == (api.ServerSentEvent("x", "new"),)

    def test_a_star_alone_maps_every_event(self, side):
        assert side.read(stream_of(named(("a", "1"), ("b", "2"))), int, event_map={"*": int}).items == [1, 2]

    def test_names_not_listed_are_skipped_and_each_is_logged_once(self, side, caplog):
        body = named(("new", "1"), ("count", "2"), ("new", "3"), ("newer", "4"), ("new", "5"))
        with caplog.at_level(logging.DEBUG, "clientele"):
            reading = side.read(stream_of(body), int, event_map={"count": int})
        assert (reading.items, reading.error) == ([2], None)
        records = [record for record in caplog.records if record.name == "clientele"]
        assert [record.levelname for record in records] == ["INFO", "INFO"]
        assert ["'new'" in record.getMessage() for record in records] == [True, False]
        assert ["'newer'" in record.getMessage() for record in records] == [False, True]

    def test_a_name_is_logged_once_for_all_calls_of_an_endpoint(self, caplog):
        @stream_of(named(("new", "1"))).get("/", streaming_response=True, event_map={"count": int})
        def stream(*, result: Iterator[int]) -> Iterator[int]:
            return result

        with caplog.at_level(logging.INFO, "clientele"):
            assert [list(stream()) for _ in range(3)] == [[], [], []]
        assert len(caplog.records) == 1

    def test_names_without_end_are_not_logged_without_end(self, caplog):
        """A server may make up a name for each event; what is kept of them is bounded."""
        body = named(*((f"made up {number}", "x") for number in range(2000)), ("count", "1"))
        with caplog.at_level(logging.INFO, "clientele"):
            reading = Side("sync").read(stream_of(body), int, event_map={"count": int})
        assert reading.items == [1]
        assert 0 < len(caplog.records) < 2000

    def test_a_name_cannot_forge_a_line_of_the_log(self, caplog):
        body = b"event: " + b"x" * 10_000 + b"\x1b[2J\x00\ndata: 1\n\nevent: a\x1b[2Jb\ndata: 2\n\n"
        with caplog.at_level(logging.INFO, "clientele"):
            Side("sync").read(stream_of(body), int, event_map={"count": int})
        for message in (record.getMessage() for record in caplog.records):
            assert "\x1b" not in message
            assert len(message) < 1000
        assert len(caplog.records) == 2

    def test_an_event_without_data_is_none_at_all(self, side):
        """The standard drops an event that has no data, whatever its name."""
        body = b"event: error\n\nevent: count\ndata: 1\n\n"
        reading = side.read(stream_of(body), int, event_map={"count": int, "error": OverloadedError})
        assert (reading.items, reading.error) == ([1], None)

    def test_an_event_that_is_not_of_its_names_type_does_not_fit(self, side):
        body = named(("start", '{"id": 7}'), ("ping", ""), ("delta", '{"id": 7}'))
        reading = side.read(
            stream_of(body),
            Start | Delta,
            event_map={"start": Start, "delta": Delta, "ping": None},
        )
        assert reading.items == [Start(id=7)]
        assert isinstance(reading.error, api.StreamDecodeError)
        assert "event 3 ('delta') of the stream is not Delta: text: Field required" in str(reading.error)
        assert reading.error.items_received == 1
        assert reading.error.event == api.ServerSentEvent('{"id": 7}', "delta")

    def test_an_event_that_a_star_took_is_shown_with_the_stars_type(self, side):
        reading = side.read(stream_of(named(("new", "x"))), Start | int, event_map={"start": Start, "*": int})
        assert "event 1 ('new') of the stream is not int" in str(reading.error)

    def test_the_map_is_settled_when_the_endpoint_is_declared(self):
        event_map: dict[str, Any] = {"count": int}

        @stream_of(named(("count", "1"), ("new", "x"))).get("/", streaming_response=True, event_map=event_map)
        def stream(*, result: Iterator[int]) -> Iterator[int]:
            return result

        event_map.update({"count": None, "new": OverloadedError})
        assert list(stream()) == [1]

    def test_events_on_the_wire_cut_anywhere_are_mapped_alike(self, side, serve):
        body = named(("start", '{"id": 7}'), ("ping", "x"), ("new", "x"), ("delta", '{"text": "ü"}'))

        async def send_byte_by_byte(connection: Connection) -> None:
            await connection.send(EVENT_STREAM)
            for start in range(len(body)):
                await connection.send(chunk(body[start : start + 1]))
            await connection.send(END)

        reading = side.read(
            api.APIClient(base_url=serve(send_byte_by_byte).url),
            api.ServerSentEvent[Start | Delta],
            event_map={"start": Start, "delta": Delta, "ping": None},
        )
        assert reading.error is None
        assert reading.items == [
            api.ServerSentEvent(Start(id=7), "start"),
            api.ServerSentEvent(Delta(text="ü"), "delta"),
        ]


EVENT_MAP = {"start": Start, "delta": Delta, "ping": None, "error": OverloadedError}
START, DELTA = Start(id=7), Delta(text="a")


@pytest.mark.parametrize("with_comments", [False, True])
@pytest.mark.parametrize(
    ("item_type", "is_whole"),
    [
        (Start | Delta, False),
        (Start | Delta | None, False),
        (pydantic.BaseModel, False),
        (Any, False),
        (object, False),
        (Annotated[Start | Delta, pydantic.Field(discriminator="kind")], False),
        (Annotated[Start, "annotated"] | Delta, False),
        (TypeAliasType("Data", Start | Delta), False),
        (TypeAliasType("Outer", TypeAliasType("Inner", Start) | Annotated[Delta, "annotated"]), False),
        (api.ServerSentEvent[Start | Delta], True),
        (api.ServerSentEvent[Start] | api.ServerSentEvent[Delta], True),
        (api.ServerSentEvent[pydantic.BaseModel], True),
        (api.ServerSentEvent[Any], True),
        (api.ServerSentEvent[TypeAliasType("Data", Start | Delta)], True),
        (api.ServerSentEvent[Annotated[Start | Delta, pydantic.Field(discriminator="kind")]], True),
        (Annotated[api.ServerSentEvent[Start | Delta], "annotated"], True),
        (TypeAliasType("Events", api.ServerSentEvent[Start] | api.ServerSentEvent[Delta]), True),
    ],
    ids=str,
)
def test_the_annotation_may_be_written_in_many_ways(item_type, is_whole, with_comments):
    event_map = dict(EVENT_MAP)
    if item_type == Start | Delta | None:
        event_map["nothing"] = type(None)
    body = b': x\n\nevent: start\ndata: {"id": 7}\n\nevent: ping\ndata: x\n\nevent: delta\ndata: {"text": "a"}\n\n'
    reading = Side("sync").read(
        stream_of(body),
        item_type | api.Comment if with_comments else item_type,
        event_map=event_map,
    )
    comments = [api.Comment("x")] if with_comments else []
    data = [api.ServerSentEvent(START, "start"), api.ServerSentEvent(DELTA, "delta")] if is_whole else [START, DELTA]
    assert reading.error is None
    assert reading.items == comments + data


class SaysText(Protocol):
    text: str


@pytest.mark.parametrize(
    ("item_type", "event_map"),
    [
        (api.ServerSentEvent, {"a": str}),
        (str, {"a": Annotated[str, pydantic.StringConstraints(max_length=5)]}),
        (str | None, {"a": str | None}),
        (str | int | None, {"a": str | None, "b": int}),
        (Start | Delta, {"a": Start | Delta}),
        (Start | Delta, {"a": Start, "b": Start | Delta}),
        (Delta, {"a": LoudDelta}),
        (int, {"a": bool}),
        (list, {"a": list[int]}),
        (list[int], {"a": list[int], "*": list[int]}),
        (dict | Start, {"a": dict[str, int], "b": Start}),
        (Stop, {"a": Stop}),
        (Stop | Start, {"a": Stop, "b": Start}),
        (dict[str, Any] | Stop, {"a": dict[str, Any], "b": Stop}),
        (Literal["x", "y"], {"a": Literal["x", "y"]}),
        (pydantic.JsonValue, {"a": pydantic.JsonValue}),
    ],
    ids=str,
)
def test_these_maps_and_annotations_agree(item_type, event_map):
    assert callable(declare(item_type, event_map=event_map))


@pytest.mark.parametrize(
    ("item_type", "event_map", "message"),
    [
        (
            Start,
            {"start": Start, "delta": Delta},
            (
                "event_map makes Delta of the event 'delta', which Start does not have; "
                "add it to the union, or correct the map"
            ),
        ),
        (
            Start | Delta,
            {"start": Start},
            "event_map makes no event a Delta; map a name to it, or take it out of the union",
        ),
        (LoudDelta, {"delta": Delta}, "event_map makes Delta of the event 'delta', which LoudDelta does not have"),
        (Start, {"start": Start, "*": dict}, "event_map makes dict of the event '*', which Start does not have"),
        (Start, {"start": Start | None}, "event_map makes Start | None of the event 'start', which Start does not"),
        (Start | None, {"start": Start}, "event_map makes no event a None"),
        (list[int], {"a": list[str]}, "event_map makes list[str] of the event 'a', which list[int] does not have"),
        (str, {"a": Literal[1]}, "event_map makes Literal[1] of the event 'a', which str does not have"),
        (Stop, {"start": Start}, "event_map makes Start of the event 'start', which Stop does not have"),
        (Start, {"stop": Stop}, "event_map makes Stop of the event 'stop', which Start does not have"),
        (
            api.ServerSentEvent,
            {"start": Start},
            "event_map makes Start of the event 'start', which ServerSentEvent does",
        ),
        (api.ServerSentEvent[Start], {"delta": Delta}, "event_map makes Delta of the event 'delta', which ServerSent"),
        (api.ServerSentEvent[Start | Delta], {"start": Start}, "event_map makes no event a Delta"),
        (api.ServerSentEvent[Start] | api.ServerSentEvent[Delta], {"a": Delta}, "event_map makes no event a Start"),
        (Start | api.Comment, {"start": Start, "delta": Delta}, "event_map makes Delta of the event 'delta'"),
        (Start, {"start": api.ServerSentEvent[Start]}, "event_map makes ServerSentEvent[Start] of the event 'start'"),
        (
            api.ServerSentEvent[Start] | Delta,
            {"start": Start, "delta": Delta},
            "is an event for some and its data for others; declare ServerSentEvent[A | B], or A | B",
        ),
        (Start, {}, "event_map has a type for no event; nothing could ever be yielded"),
        (Start, {"a": None, "*": OverloadedError}, "event_map has a type for no event"),
        (Start, [("start", Start)], "it is a mapping of event names to types"),
        (Start, "start", "it is a mapping of event names to types"),
        (Start, {"start": 5}, "Pydantic cannot handle 5"),
        (Start, {"start": OverloadedError("x"), "delta": Start}, "an exception at 'start'; map its class, Over"),
        (bytes, {"start": Start}, "bytes are yielded as they arrive, not as events"),
        (Start, {"start": bytes}, "the data of an event is text or JSON; declare str, or the type of the JSON"),
        (Start, {"start": Start, "a": KeyboardInterrupt}, "Pydantic cannot handle KeyboardInterrupt"),
    ],
    ids=str,
)
def test_a_map_that_does_not_go_with_the_annotation_is_refused_at_decoration(item_type, event_map, message):
    with pytest.raises(TypeError) as caught:
        declare(item_type, event_map=event_map)
    assert message in str(caught.value)
    assert "stream(): parameter 'result': " in str(caught.value)


@pytest.mark.parametrize("name", [1, None, b"start", Start], ids=repr)
def test_a_name_that_no_event_could_have_is_refused_at_decoration(name):
    with pytest.raises(TypeError, match="event_map"):
        declare(Start, event_map={"start": Start, name: None})


class KeywordError(Exception):
    def __init__(self, *, event: api.ServerSentEvent) -> None: ...


class NothingError(Exception):
    def __init__(self) -> None: ...


class PairError(Exception):
    def __init__(self, event: api.ServerSentEvent, code: int) -> None: ...


@pytest.mark.parametrize(
    "exception",
    [KeywordError, NothingError, PairError, api.StreamError, httpx2.HTTPStatusError],
)
@pytest.mark.parametrize("name", ["error", "*"])
def test_an_exception_that_cannot_be_made_of_an_event_is_refused_at_decoration(name, exception):
    with pytest.raises(TypeError) as caught:
        declare(Start, event_map={"start": Start, name: exception})
    assert f"event_map raises {exception.__name__} at {name!r}, which cannot be made of an event" in str(caught.value)
    assert "map a class that takes the event as its one argument" in str(caught.value)


@pytest.mark.parametrize("exception", [StopIteration, StopAsyncIteration, type("MyStop", (StopIteration,), {})])
def test_an_exception_that_would_pass_for_the_end_is_refused_at_decoration(exception):
    with pytest.raises(TypeError, match=f"raises {exception.__name__} at 'error', which would pass for the stream's"):
        declare(Start, event_map={"start": Start, "error": exception})


@pytest.mark.parametrize("stream_format", ["jsonl", "json-seq", "lines", "bytes"])
def test_a_format_without_names_has_no_event_map(stream_format):
    with pytest.raises(TypeError, match=f"stream_format='{stream_format}' has no .*; that comes with 'sse'"):
        declare(Start, event_map={"start": Start}, stream_format=stream_format)


def test_an_event_map_is_for_streams():
    client = stream_of(b"")
    with pytest.raises(TypeError, match="event_map is for streams; add streaming_response=True"):
        client.get("/", event_map={"start": Start})


def test_any_mapping_will_do(side):
    class Names(Mapping[str, Any]):
        def __getitem__(self, name: str) -> Any:
            return {"count": int}[name]

        def __iter__(self) -> Iterator[str]:
            return iter(["count"])

        def __len__(self) -> int:
            return 1

    assert side.read(stream_of(named(("count", "1"), ("new", "x"))), int, event_map=Names()).items == [1]


def test_an_annotation_that_is_not_there_yet_is_checked_at_the_first_call():
    @stream_of(b"").get("/", streaming_response=True, event_map={"start": Start})
    def stream(*, result: Iterator[Later]) -> Iterator[Later]:
        return result

    class Later(pydantic.BaseModel):
        pass

    with pytest.raises(TypeError, match="event_map makes Start of the event 'start', which Later does not have"):
        stream()


def test_a_name_is_logged_once_for_all_direct_calls_of_a_client(caplog):
    caplog.set_level(logging.INFO, "clientele")
    stream = b"event: a\ndata: 1\n\nevent: new\ndata: 1\n\n"
    client = stream_of(stream)
    for _ in range(3):
        assert list(client.stream("GET", "/", int, event_map={"a": int})) == [1]
    assert [record.getMessage() for record in caplog.records if "'new'" in record.getMessage()] == [
        "skipping events named 'new': they are not in the event_map, and neither is '*'"
    ]
