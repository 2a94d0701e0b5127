"""The other formats: bytes in; lines of text, JSON documents or the bytes themselves out.

What comes out is the same as of an event stream whose events have nothing but data: bytes. What is complete is given
out at once, the work is linear in the bytes however they arrive, and nothing larger than `max_event_size` is kept.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .line_buffer import LineBuffer
from .sse import DEFAULT_MAX_EVENT_SIZE, check_size

_BYTE_ORDER_MARKS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
_JSON_SPACE = b" \t\r\n"
_RECORD_SEPARATOR = b"\x1e"
_ENDS_OF_WHOLE_TEXTS = (b"}", b"]", b'"', b" ", b"\t", b"\r", b"\n")
_OUTSIDE_STRING = re.compile(rb'["\[\]{}\n]')
_INSIDE_STRING = re.compile(rb'["\\]')
_DEPTH = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


@dataclass(frozen=True, slots=True)
class BrokenText:
    """What stands in a JSON text sequence and is no whole text: it is unfinished, or has no record separator."""

    data: bytes


class ChunkParser:
    """Gives the bytes out as they arrive; what the parsers below have in common with that.

    None of these formats has ids or reconnection times, and none has an event that the end of the stream drops.
    """

    last_event_id = ""
    retry: int | None = None
    is_within_event = False

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self._text = bytearray()  # what is unfinished, of a document

    def receive(self, data: bytes) -> Iterable[bytes | BrokenText]:
        """Take the next bytes, and give what they complete. It must be exhausted before the next are handed over.

        `OversizedEvent`: something is larger than `max_event_size`. What comes before it was given.
        """
        return (data,) if data else ()

    def end(self) -> Iterable[bytes | BrokenText]:
        """The stream has ended; give what its end completes."""
        return ()

    def _keep(self, piece: bytes) -> None:
        self._text += piece
        check_size(len(self._text), self._max_event_size)


class LineParser(ChunkParser):
    """Turn bytes into lines of text, which end with LF, CR or CRLF. What the encoding cannot decode is replaced."""

    _is_json = False

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE, encoding: str = "utf-8") -> None:
        super().__init__(max_event_size)
        self._lines = LineBuffer(carriage_returns=not self._is_json)  # within JSON, CR is white space
        self._to_utf8 = _to_utf8(encoding)

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes, and yield the lines that they complete."""
        yield from self._checked(self._lines.receive(self._to_utf8(data, False)))
        check_size(self._lines.rest_size, self._max_event_size)

    def end(self) -> Iterator[bytes]:
        """The stream has ended; yield the last line, which needs no end."""
        lines = self._lines.receive(self._to_utf8(b"", True))
        rest = self._lines.take_rest()
        yield from self._checked([*lines, rest] if rest else lines)

    def _checked(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            check_size(len(line), self._max_event_size)
            if not self._is_json:
                yield line
            elif document := line.strip(_JSON_SPACE):
                yield document


class JSONLinesParser(LineParser):
    """Turn bytes into JSON documents, one on each line that is not blank."""

    _is_json = True


def _to_utf8(encoding: str) -> Callable[[bytes, bool], bytes]:
    """A function that turns pieces of text in this encoding into UTF-8; it is told which is the last.

    Python's decoders of UTF-16 and UTF-32 need a byte order mark. Text without one is little-endian (WHATWG Encoding).
    """
    name = codecs.lookup(encoding).name
    if name == "utf-8":
        return lambda data, is_last: data
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    marks: tuple[bytes, ...] = _BYTE_ORDER_MARKS.get(name, ())  # those that may still come
    start = b""

    def to_utf8(data: bytes, is_last: bool) -> bytes:
        nonlocal marks, start
        if marks:
            start += data
            if len(start) < len(marks[0]) and not is_last:
                return b""
            data = start if start.startswith(marks) else marks[0] + start
            marks = ()
        return decode(data, is_last).encode("utf-8", "replace")

    return to_utf8


class JSONDocumentParser(ChunkParser):
    """Turn bytes into the one JSON document that they are."""

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; they complete nothing."""
        self._keep(data)
        yield from ()

    def end(self) -> Iterable[bytes]:
        """The stream has ended; give the document, if there is one."""
        document = bytes(self._text).removeprefix(codecs.BOM_UTF8).strip(_JSON_SPACE)
        return (document,) if document else ()


class JSONSequenceParser(ChunkParser):
    """Turn bytes into the texts of a JSON text sequence (RFC 7464).

    A text stands between a record separator and a line feed, and may have line feeds within. It is given out at the
    first line feed at which all its brackets and strings are closed: the next record separator may be long in coming.
    One that was broken off by a record separator or by the end is told from a whole one (section 2.4).
    """

    _follows_separator = False
    _depth = 0
    _in_string = False
    _is_escaped = False  # the first byte of what comes next is

    def receive(self, data: bytes) -> Iterator[bytes | BrokenText]:
        """Take the next bytes, and yield the texts that they complete, or break off."""
        first, *others = data.split(_RECORD_SEPARATOR)
        yield from self._read(first)
        for piece in others:
            yield from self.end()
            self._follows_separator = True
            yield from self._read(piece)

    def end(self) -> Iterator[bytes | BrokenText]:
        """The stream has ended, or a record separator the text; yield what was not finished."""
        is_closed = self._depth == 0 and not self._in_string
        yield from self._finish(is_whole=is_closed and self._text.endswith(_ENDS_OF_WHOLE_TEXTS))

    def _read(self, data: bytes) -> Iterator[bytes | BrokenText]:
        start = 0
        for end in self._ends(data):
            self._keep(data[start : end - 1])
            yield from self._finish(is_whole=True)
            start = end
        self._keep(data[start:])

    def _finish(self, *, is_whole: bool) -> Iterator[bytes | BrokenText]:
        text = bytes(self._text).strip(_JSON_SPACE)
        self._text.clear()
        self._depth = 0
        self._in_string = self._is_escaped = False
        if text:
            yield text if is_whole and self._follows_separator else BrokenText(text)
            self._follows_separator = False

    def _ends(self, data: bytes) -> Iterator[int]:
        """The places behind the line feeds that are in no brackets and no string."""
        position = int(self._is_escaped)
        while position < len(data):
            match = (_INSIDE_STRING if self._in_string else _OUTSIDE_STRING).search(data, position)
            if match is None:
                position = len(data)
                break
            position = match.end()
            token = match[0]
            if token == b"\\":
                position += 1
            elif token == b'"':
                self._in_string = not self._in_string
            elif token != b"\n":
                self._depth += _DEPTH[token]
            elif self._depth <= 0:
                yield position
        self._is_escaped = position > len(data)
