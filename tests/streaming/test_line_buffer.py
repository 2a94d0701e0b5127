"""Lines cut from bytes that arrive in pieces, and what the buffer says of the line that is not finished."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clientele.streaming.json_texts import JSONDocumentParser, JSONSequenceParser, JSONValuesParser
from clientele.streaming.line_buffer import LineBuffer
from clientele.streaming.lines import JSONLinesParser, LineParser
from clientele.streaming.sse import EventStreamParser

BOM = b"\xef\xbb\xbf"
ANY_LINE_END = re.compile(rb"\r\n|\n|\r")


@st.composite
def cuttings(draw: st.DrawFn) -> list[bytes]:
    """Bytes cut into pieces, empty ones among them."""
    parts = st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\0", BOM, b"\xef", b"\xbb"])
    start = draw(st.sampled_from([b"", b"", BOM, BOM + BOM, b"\xef\xbb"]))
    data = start + draw(st.lists(parts, max_size=25).map(b"".join))
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=10))
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


@pytest.mark.parametrize("carriage_returns", [False, True])
@settings(max_examples=200, deadline=None)
@given(pieces=cuttings())
@example(pieces=[b"a\r", b"", b"\nb\r", b"\n\r", b"\n"])
@example(pieces=[b"a\r", b"b\n", b"\n"])
@example(pieces=[BOM[:1], b"", BOM[1:], b"\n", BOM + b"a"])
@example(pieces=[BOM[:1], BOM[1:2]])
@example(pieces=[BOM])
def test_any_cutting_gives_the_lines_of_the_whole(carriage_returns, pieces):
    buffer = LineBuffer(carriage_returns=carriage_returns)
    lines = []
    so_far = b""
    for piece in pieces:
        lines += buffer.receive(piece)
        so_far += piece
        text = so_far.removeprefix(BOM)
        *expected, rest = ANY_LINE_END.split(text) if carriage_returns else text.split(b"\n")

        assert lines == expected
        if so_far not in (BOM[:1], BOM[:2]):  # it is not settled whether that belongs to a line
            assert (buffer.rest_size, buffer.rest_start) == (len(rest), rest[:6])
    assert buffer.take_rest() == rest
    assert (buffer.rest_size, buffer.rest_start, buffer.take_rest()) == (0, b"", b"")


@pytest.mark.parametrize("carriage_returns", [False, True])
def test_what_was_taken_out_is_no_part_of_the_next_line(carriage_returns):
    buffer = LineBuffer(carriage_returns=carriage_returns)

    assert buffer.receive(b"a\nunfinished") == [b"a"]
    assert buffer.take_rest() == b"unfinished"
    assert buffer.receive(b"b\n") == [b"b"]


def test_a_carriage_return_is_part_of_a_line_unless_it_ends_it():
    assert LineBuffer(carriage_returns=False).receive(b"a\rb\r\nc\n") == [b"a\rb\r", b"c"]


@pytest.mark.parametrize(
    "make_parser",
    [EventStreamParser, LineParser, JSONLinesParser, JSONDocumentParser, JSONSequenceParser, JSONValuesParser],
)
@pytest.mark.parametrize("piece", [b"xy", b"data: xy\n"], ids=["small pieces", "short lines"])
def test_what_is_unfinished_takes_no_more_room_than_its_size(make_parser, piece):
    parser, size = make_parser(), 0
    list(parser.receive(b'\x1e{"data": "'))
    tracemalloc.start()
    try:
        while size < 20_000:
            list(parser.receive(piece))
            size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size * 1.5
