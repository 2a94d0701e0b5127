"""JSON values one behind the other: every cutting gives the same, and valid JSON gives what `json` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable

from clientele.streaming.json_texts import JSONValuesParser
from clientele.streaming.lines import BrokenText
from fuzz.cutting import parts_of


def check(data: bytes) -> None:
    """Raise if a promise is broken."""
    _, body, pieces = parts_of(data)
    values = _read([body])
    assert _read(pieces) == values
    assert _read(body[at : at + 1] for at in range(len(body))) == values
    try:
        document = json.loads(body.removeprefix(b"\xef\xbb\xbf").decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return
    expected = document if isinstance(document, list) else [document]
    assert [json.loads(value) for value in values if isinstance(value, bytes)] == expected


def _read(pieces: Iterable[bytes]) -> list[bytes | BrokenText]:
    parser = JSONValuesParser()
    values = [value for piece in pieces for value in parser.receive(piece)]
    return [*values, *parser.end()]


def _refuse(constant: str) -> None:
    raise ValueError(constant)


SEEDS = [
    b"\0\0" + sizes + body
    for sizes in (b"\0\0\0\0", b"\1\2\3\4")
    for body in (
        b'{"a": 1}{"a": 2}\n[3]',
        b'[{"a": "\\"]}"}\n,\r\n[1, 2], null, -1.5e3]',
        b'1 2,true falsenull "a" [] {}',
    )
]

WORDS = [b"true", b"false", b"null", b'\\"', b"\\\\", b"[", b"]", b"{", b"}", b'"', b",", b"\xef\xbb\xbf"]
