"""JSON values one behind the other: what the parser makes of them, whole or cut anywhere; and streams of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests import fakes
from tests.servers import answer, in_turn

from clientele import api
from clientele.streaming.json_texts import JSONValuesParser
from clientele.streaming.lines import BrokenText
from clientele.streaming.sse import OversizedEvent


def values_of(*chunks: bytes, encoding: str = "utf-8") -> list[bytes | BrokenText]:
    parser = JSONValuesParser(encoding=encoding)
    return [*(value for piece in chunks for value in parser.receive(piece)), *parser.end()]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"", []),
        (b" \r\n ", []),
        (b'{"a":1}{"a":2}', [b'{"a":1}', b'{"a":2}']),
        (b'{\n "a": 1\n}\n{\n "a": 2\n}\n', [b'{\n "a": 1\n}', b'{\n "a": 2\n}']),
        (b'{"a":1},{"a":2},', [b'{"a":1}', b'{"a":2}']),
        (b'{"a":1}\r\n,\r\n{"a":2}', [b'{"a":1}', b'{"a":2}']),
        (b'[{"a":1}\n,\r\n{"a":2}\n]', [b'{"a":1}', b'{"a":2}']),
        (b"[]", []),
        (b"[[1, 2], [3]]", [b"[1, 2]", b"[3]"]),
        (b'{"a":1} [1, 2] [3]', [b'{"a":1}', b"[1, 2]", b"[3]"]),
        (b'"a" "b""c"', [b'"a"', b'"b"', b'"c"']),
        (rb'"a\"b" "\\" "\\\"" {"\"}": "]"}', [rb'"a\"b"', rb'"\\"', rb'"\\\""', rb'{"\"}": "]"}']),
        (b"1 2\n-3.5e+7,true,falsenull 12", [b"1", b"2", b"-3.5e+7", b"true", b"false", b"null", b"12"]),
        (b"[1,2]", [b"1", b"2"]),
        (b"\xef\xbb\xbf[1]", [b"1"]),
        (b'1{"a":1}2[3]"4"5', [b"1", b'{"a":1}', b"2", b"[3]", b'"4"', b"5"]),
        # What may not stand there is told from the values.
        (b"[1] 2", [b"1", BrokenText(b"2")]),
        (b"[1][2]", [b"1", BrokenText(b"[2]")]),
        (b"1]2", [b"1", BrokenText(b"]"), b"2"]),
        (b"}1", [BrokenText(b"}"), b"1"]),
        (b"<html> 1", [b"<html>", b"1"]),
    ],
)
def test_values_are_found_however_they_are_cut(body, values):
    assert values_of(body) == values
    assert values_of(*[body[at : at + 1] for at in range(len(body))]) == values
    for cut in range(len(body)):
        assert values_of(body[:cut], b"", body[cut:]) == values


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"a": {}}', 1),
        (b'[{"a":1}', 1),
        (b'"a"', 1),
        (b"true", 1),
        (b"[null", 1),
        (b"12", 0),
        (b"12 ", 1),
        (b"[12,", 1),
    ],
)
def test_a_value_is_given_out_at_its_last_byte(body, count):
    parser = JSONValuesParser()
    assert len([*parser.receive(body)]) == count


@pytest.mark.parametrize("body", [b"[", b"[1,", b'{"a"', b'"a', b'{"a": "}', b'["\\"]'])
def test_what_is_open_at_the_end_was_cut(body):
    parser = JSONValuesParser()
    list(parser.receive(body))
    assert parser.is_within_event
    assert all(isinstance(value, bytes) for value in parser.end())


def test_nothing_larger_than_the_limit_is_kept():
    for body in (b'"' + b"x" * 100, b"[[" + b"1," * 50, b"1" * 100, b'{"a": "' + b"x" * 100):
        parser = JSONValuesParser(max_event_size=99)
        with pytest.raises(OversizedEvent):
            for at in range(len(body)):
                list(parser.receive(body[at : at + 1]))
    assert list(JSONValuesParser(max_event_size=3).receive(b" , " * 1000 + b"[[1], 2]")) == [b"[1]", b"2"]


def test_other_encodings_are_read():
    body = '[{"a": "ü"}, 1]'
    assert values_of(*[bytes([byte]) for byte in body.encode("utf-16")], encoding="utf-16") == [
        '{"a": "ü"}'.encode(),
        b"1",
    ]


scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
separators = st.sampled_from([b" ", b"\n", b",", b"\r\n,\r\n", b"  "])


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Any], list[bytes]]:
    """Values, and a stream of them that is cut anywhere."""
    values = draw(st.lists(json_values, max_size=6))
    indent = draw(st.sampled_from([None, 1]))
    ascii_only = draw(st.booleans())
    texts = [json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace") for value in values]
    body = b"".join(text + draw(separators) for text in texts)
    if draw(st.booleans()) or (values and isinstance(values[0], list)):
        body = b" [" + body + b"]"
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return values, [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@settings(max_examples=300, deadline=None)
@given(streams())
def test_any_values_in_any_cutting_come_out(stream):
    values, chunks = stream
    assert [json.loads(value) for value in values_of(*chunks)] == [
        json.loads(json.dumps(value).encode("utf-8", "replace")) for value in values
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*(bytes([byte]) for byte in b'[]{}",\\ 1t\n'), b"true", b"null", b"\xef\xbb\xbf"])))
@example([b"t", b"r", b"u", b"e", b"1"])
def test_any_bytes_mean_the_same_in_any_cutting(pieces):
    whole = b"".join(pieces)
    assert values_of(whole) == values_of(*pieces) == values_of(*[bytes([byte]) for byte in whole])


def read(side: Any, serve: Any, body: bytes, item_type: Any, **options: Any) -> Any:
    server = serve(answer(body))
    return side.read(api.APIClient(base_url=server.url), item_type, stream_format="json", **options)


def test_an_array_is_streamed_element_by_element(side, serve):
    reading = read(side, serve, b'[{"n": 1}\n,\r\n{"n": 2}\n]\n', dict)
    assert (reading.items, reading.error) == ([{"n": 1}, {"n": 2}], None)


def test_it_is_asked_for_as_json(side, serve):
    server = serve(answer(b"1"))
    side.read(api.APIClient(base_url=server.url), int, stream_format="json")
    assert server.requests[0].header("Accept") == "application/json, */*;q=0.1"


@pytest.mark.parametrize("body", [b'[{"n": 1}, {"n": 2}', b'{"n": 1} {"n": 2} {"n"', b'[{"n": 1}, {"n": 2}, "'])
def test_a_body_that_ends_before_its_json_was_cut(side, serve, body):
    reading = read(side, serve, body, dict)
    assert reading.items == [{"n": 1}, {"n": 2}]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert "after 2 items: it ended before its JSON did" in str(reading.error)


def test_a_stream_whose_array_has_ended_does_not_reconnect(side, serve):
    server = serve(in_turn(answer(b"[1, 2]"), answer(b"[3]")))
    client = api.APIClient(base_url=server.url)
    reading = side.read(client, int, stream_format="json", reconnect=api.Reconnect(initial_delay=0))
    assert (reading.items, reading.error, len(server.requests)) == ([1, 2], None, 1)


def test_what_is_no_value_is_an_event_that_does_not_fit(side, serve):
    reading = read(side, serve, b"[1] 2", int)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamDecodeError)


def test_its_charset_is_honoured(side):
    body = '[{"n": "ü"}]'.encode("utf-16")
    reading = side.read(fakes.client_of(body, "application/json; charset=utf-16"), dict, stream_format="json")
    assert (reading.items, reading.error) == ([{"n": "ü"}], None)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
def test_the_cure_for_json_of_another_form_works(side, content_type):
    client = fakes.client_of(b"[1,\n2]", content_type)
    if content_type != "text/plain":
        assert "'json'" in str(side.read(client, int).error)
    assert side.read(client, int, stream_format="json").items == [1, 2]


@pytest.mark.parametrize("body", [b"1.10\n0.30000000000000000004\n5\n", b'1.10 0.30000000000000000004 "5"'])
def test_decimals_of_a_stream_keep_their_digits(side, serve, body):
    reading = read(side, serve, body, Decimal)
    assert [*map(str, reading.items)] == ["1.10", "0.30000000000000000004", "5"]
