"""What an event's data is parsed as, type by type."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, NewType

import pydantic
import pytest
from tests import fakes
from tests.servers import END, EVENT_STREAM, chunk
from typing_extensions import TypedDict

from clientele import api


class Token(pydantic.BaseModel):
    text: str


@dataclasses.dataclass
class Point:
    x: int


class Typed(TypedDict):
    x: int


Line = NewType("Line", str)
EVENT = b'event: token\nid: 7\nretry: 500\ndata: {"text": "a"}\n\n'
CASES = [
    (str, b'data: {"text": "a"}\n\n', '{"text": "a"}'),
    (str, b"data: a\ndata:  b\n\n", "a\n b"),
    (str, b"data: \xff\n\n", "\ufffd"),
    (Line, b"data: 5\n\n", "5"),
    (Annotated[str, pydantic.StringConstraints(to_upper=True)], b"data: a\n\n", "A"),
    (dict, b'data: {"a": 1}\n\n', {"a": 1}),
    (dict[str, int], b'data: {"a":\ndata: 1}\n\n', {"a": 1}),
    (list[int], b"data: [1, 2]\n\n", [1, 2]),
    (int, b"data: 5\n\n", 5),
    (Any, b"data: null\n\n", None),
    (int | str, b'data: "a"\n\n', "a"),
    (Literal["a", "b"], b'data: "b"\n\n', "b"),
    (Token, b'data: {"text": "a"}\n\n', Token(text="a")),
    (Token | None, b"data: null\n\n", None),
    (Token, b'data: {"text": "a\xff"}\n\n', Token(text="a\ufffd")),
    (Point, b'data: {"x": 1}\n\n', Point(1)),
    (Typed, b'data: {"x": 1}\n\n', {"x": 1}),
    (api.ServerSentEvent, EVENT, api.ServerSentEvent('{"text": "a"}', "token", "7", 500)),
    (api.ServerSentEvent[str], EVENT, api.ServerSentEvent('{"text": "a"}', "token", "7", 500)),
    (api.ServerSentEvent[Token], EVENT, api.ServerSentEvent(Token(text="a"), "token", "7", 500)),
    (api.ServerSentEvent[dict], b'data: {"text": "a"}\n\n', api.ServerSentEvent({"text": "a"})),
]


@pytest.mark.parametrize(("item_type", "stream", "item"), CASES)
def test_an_event_becomes_what_is_declared(side, item_type, stream, item):
    reading = side.read(fakes.stream_of(stream), item_type)
    assert reading.error is None
    assert reading.items == [item]


@pytest.mark.parametrize(
    ("item_type", "data", "message"),
    [
        (int, "[DONE]", "is not int: Invalid JSON: expected value at line 1 column 2: [DONE]"),
        (Token, "{", "Invalid JSON: EOF while parsing an object at line 1 column 1: {"),
        (Annotated[str, pydantic.StringConstraints(max_length=2)], "abc", "at most 2 characters: abc"),
        (api.ServerSentEvent[Token], "{}", "text: Field required: {}"),
    ],
)
def test_an_event_that_does_not_fit_is_shown_with_what_is_wrong(side, item_type, data, message):
    reading = side.read(fakes.stream_of(f"data: {data}\n\n".encode()), item_type)
    assert isinstance(reading.error, api.StreamDecodeError)
    assert message in str(reading.error)


PRIMING = b"id: 7\nretry: 500\ndata: \n\n"  # what opens a stream of the Model Context Protocol


@pytest.mark.parametrize(
    ("item_type", "items"),
    [
        (int, [5]),
        (int | None, [5]),
        (dict | int, [5]),
        (api.ServerSentEvent[int], [api.ServerSentEvent(5, id="7")]),
        (str, ["", "5"]),
    ],
)
@pytest.mark.parametrize("priming", [PRIMING, b"data\nid:7\n\n", b"id: 7\ndata:\n\n"])
def test_an_event_with_empty_data_is_no_item_where_data_is_json(side, item_type, items, priming):
    reading = side.read(fakes.stream_of(priming + b"data: 5\n\n"), item_type)
    assert (reading.items, reading.error) == (items, None)
    assert reading.stream.last_event_id == "7"


def test_an_event_map_skips_empty_data_of_types_that_are_json():
    stream = b"event: a\ndata:\n\nevent: b\ndata:\n\nevent: a\ndata: 5\n\n"
    with fakes.stream_of(stream).stream("GET", "/", int | str, event_map={"a": int, "b": str}) as items:
        assert list(items) == ["", 5]


def test_empty_data_is_handed_to_a_parser_and_validated_as_text(serve):
    client = api.APIClient(serve(EVENT_STREAM + chunk(PRIMING) + END).url)
    assert list(client.stream("GET", "/", int, response_parser=len)) == [0]
    with pytest.raises(api.StreamDecodeError):
        list(client.stream("GET", "/", Annotated[str, pydantic.StringConstraints(min_length=1)]))


def test_events_are_values():
    event = api.ServerSentEvent("a", id="7")
    assert event == api.ServerSentEvent("a", "message", "7", None)
    assert hash(event) == hash(api.ServerSentEvent("a", id="7"))
    assert repr(event) == "ServerSentEvent(data='a', event='message', id='7', retry=None)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.data = "b"
    match event:
        case api.ServerSentEvent(data, "message", id=event_id):
            assert (data, event_id) == ("a", "7")
