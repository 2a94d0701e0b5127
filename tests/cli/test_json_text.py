"""JSON as text: laid out to a width, and without anything that a terminal obeys."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clientele.cli import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def laid_out(text: str, width: int) -> str:
    return "".join(piece for piece, _ in json_text.pretty(text, width))


@given(VALUES, st.integers(1, 200))
def test_a_layout_says_the_same(value, width):
    text = json.dumps(value, ensure_ascii=False, indent=1)

    assert json.loads(laid_out(text, width)) == value
    assert json.loads(json_text.single_line(text)) == value
    assert "\n" not in json_text.single_line(text)


@given(st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=5), st.integers(20, 60))
def test_no_line_is_wider_than_the_width_where_each_value_fits(value, width):
    assert all(len(line) <= width for line in laid_out(json.dumps(value), width).splitlines())


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (30, '{"a": [1, 2], "b": {"c": {}}}'),
        (28, '{\n  "a": [1, 2],\n  "b": {"c": {}}\n}'),
        (12, '{\n  "a": [\n    1,\n    2\n  ],\n  "b": {\n    "c": {}\n  }\n}'),
    ],
)
def test_what_fits_into_the_width_stands_in_one_line(width, shown):
    assert laid_out('{"a":[1,2],"b":{"c":{}}}', width) == shown


def test_each_piece_has_its_style():
    pieces = [(piece, style) for piece, style in json_text.pretty('{"a": [1.10, true, "x:,"]}', 80) if style]

    assert pieces == [('"a"', "name"), ("1.10", "number"), ("true", "literal"), ('"x:,"', "string")]


def test_no_depth_is_too_much():
    text = "[" * 5000 + "]" * 5000

    assert laid_out(text, 80).replace(" ", "").replace("\n", "") == text


def test_what_is_obeyed_is_escaped_and_means_the_same():
    text = '"\x7f\x9b\u202e\u2028"'

    assert json_text.single_line(text) == r'"\u007f\u009b\u202e\u2028"'
    assert json.loads(json_text.single_line(text)) == json.loads(text)
