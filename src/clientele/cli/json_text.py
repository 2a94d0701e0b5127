r"""JSON as text, without a detour over Python's numbers: `1.10` stays `1.10`, and nothing is too deep to be shown.

`parse` says whether a text is JSON (RFC 8259). `single_line` and `pretty` change its white space, and write what a
terminal could obey (C1 controls, directions of writing) as `\uXXXX`, which means the same in JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_INDENT = 2
_MAX_DEPTH = 40  # levels that are indented; deeper ones stay where they are

Piece = tuple[str, str]
"""A piece of text, and its style: `name`, `string`, `number`, `literal`, or `""` for punctuation."""


def parse(text: str) -> Any:
    """The value of a JSON text. Raises `ValueError`: it is none (NaN and numbers beyond a float are none, either)."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write(value: Any) -> str:
    """The JSON text of a value, in one line."""
    return json.dumps(value, ensure_ascii=False)


def escaped(text: str) -> str:
    r"""The text with `\uXXXX` for what a terminal obeys in place of showing it; tabs and line feeds stay."""
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def single_line(text: str) -> str:
    """A JSON text in one line. White space within its strings stays: line breaks can only be between tokens."""
    return escaped(text.strip().replace("\r", " ").replace("\n", " "))


def pretty(text: str, width: int) -> Iterator[Piece]:
    """A JSON text laid out: what fits into the width stands in one line, else each member in one of its own."""
    parts = _TOKEN.findall(text)
    fits = _fitting(parts, width)
    open_: list[bool] = []  # of each bracket that is open: whether it is laid out over several lines
    for index, part in enumerate(parts):
        if part in "[{":
            yield part, ""
            open_.append(not fits[index])
            if open_[-1]:
                yield _line_break(open_), ""
        elif part in "]}":
            if open_.pop():
                yield _line_break(open_), ""
            yield part, ""
        elif part == ",":
            yield (f",{_line_break(open_)}", "") if open_ and open_[-1] else (", ", "")
        elif part == ":":
            yield ": ", ""
        else:
            is_name = index + 1 < len(parts) and parts[index + 1] == ":"
            yield escaped(part), "name" if is_name else _style(part)


def _fitting(parts: list[str], width: int) -> dict[int, bool]:
    """For each opening bracket, by its index, whether all up to its closing one fits into a line."""
    ends: list[int] = [0]  # how many columns all parts before an index take in one line
    for part in parts:
        ends.append(ends[-1] + len(part) + (part in ",:"))
    fits: dict[int, bool] = {}
    opened: list[int] = []
    for index, part in enumerate(parts):
        if part in "[{":
            opened.append(index)
        elif part in "]}":
            start = opened.pop()
            room = width - _INDENT * min(len(opened), _MAX_DEPTH)
            if start >= 2 and parts[start - 1] == ":":
                room -= ends[start] - ends[start - 2]  # the name before it
            room -= parts[index + 1 : index + 2] == [","]
            fits[start] = ends[index + 1] - ends[start] <= room or index == start + 1
    return fits


def _line_break(open_: list[bool]) -> str:
    return "\n" + " " * (_INDENT * min(len(open_), _MAX_DEPTH))


def _style(part: str) -> str:
    if part.startswith('"'):
        return "string"
    return "literal" if part in ("true", "false", "null") else "number"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond a float")
    return number
