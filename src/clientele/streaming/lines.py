"""The other formats: bytes in; lines of text, JSON documents or the bytes themselves out.

What comes out is the same as of an event stream whose events have nothing but data: bytes.
The rules are those of the event-stream format: what is complete is given out at once, the work is linear in the bytes
however they arrive, and nothing larger than `max_event_size` is kept.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
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
    """What stands in a JSON text sequence and is no whole text.

    Attributes:
        data: A text that was not finished, or what stands where no record separator is before it.
    """

    data: bytes


class LineParser:
    """Turn bytes into lines of text, which end with LF, CR or CRLF.

    The last line needs no end. A byte order mark before the first is dropped.

    Parameters:
        max_event_size: The longest line taken, in bytes.
        encoding: The encoding of the text. What it cannot decode is replaced.
    """

    last_event_id = ""
    retry: int | None = None
    is_within_event = False
    _carriage_returns = True

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE, encoding: str = "utf-8") -> None:
        self._max_event_size = max_event_size
        self._lines = LineBuffer(carriage_returns=self._carriage_returns)
        self._to_utf8 = _to_utf8(encoding)

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes, and yield the lines that they complete.

        The iterator must be exhausted before the next bytes are handed over.

        Raises:
            OversizedEvent: A line is longer than `max_event_size`. The lines before it were yielded.
        """
        yield from self._events(self._lines.receive(self._to_utf8(data, False)))
        check_size(self._lines.rest_size, self._max_event_size)

    def end(self) -> Iterator[bytes]:
        """The stream has ended; yield the last line, if it had no end."""
        lines = self._lines.receive(self._to_utf8(b"", True))
        rest = self._lines.take_rest()
        yield from self._events([*lines, rest] if rest else lines)

    def _events(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            check_size(len(line), self._max_event_size)
            yield line


class JSONLinesParser(LineParser):
    """Turn bytes into JSON documents, one on each line.

    Blank lines are skipped, the last line needs no end, a byte order mark before the first is dropped.

    Parameters:
        max_event_size: The longest line taken, in bytes.
    """

    _carriage_returns = False  # within JSON, CR is white space

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        super().__init__(max_event_size)

    def _events(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            check_size(len(line), self._max_event_size)
            document = line.strip(_JSON_SPACE)
            if document:
                yield document


def _to_utf8(encoding: str) -> Callable[[bytes, bool], bytes]:
    """A function that turns pieces of text in this encoding into UTF-8; it is told which is the last."""
    name = codecs.lookup(encoding).name
    if name == "utf-8":
        return lambda data, is_last: data
    decode: Callable[[bytes, bool], str] = codecs.getincrementaldecoder(encoding)("replace").decode
    if name in _BYTE_ORDER_MARKS:
        decode = _with_byte_order_mark(decode, *_BYTE_ORDER_MARKS[name])
    return lambda data, is_last: decode(data, is_last).encode("utf-8", "replace")


def _with_byte_order_mark(
    decode: Callable[[bytes, bool], str], little: bytes, big: bytes
) -> Callable[[bytes, bool], str]:
    """Python's decoder cannot do without a byte order mark. Text that has none is little-endian (WHATWG Encoding)."""
    start: bytes | None = b""

    def decode_text(data: bytes, is_last: bool) -> str:
        nonlocal start
        if start is not None:
            start += data
            if len(start) < len(little) and not is_last:
                return ""
            data = start if start.startswith((little, big)) else little + start
            start = None
        return decode(data, is_last)

    return decode_text


class JSONDocumentParser:
    """Turn bytes into the one JSON document that they are.

    Parameters:
        max_event_size: The largest document taken, in bytes.
    """

    last_event_id = ""
    retry: int | None = None
    is_within_event = False

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self._document = bytearray()

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; they complete nothing.

        Raises:
            OversizedEvent: The document is larger than `max_event_size`.
        """
        self._document += data
        check_size(len(self._document), self._max_event_size)
        yield from ()

    def end(self) -> Iterator[bytes]:
        """The stream has ended; yield the document, if there is one."""
        document = bytes(self._document).removeprefix(codecs.BOM_UTF8).strip(_JSON_SPACE)
        if document:
            yield document


class JSONSequenceParser:
    """Turn bytes into the texts of a JSON text sequence (RFC 7464).

    A text stands between a record separator and a line feed, and may have line feeds within. It is complete with the
    first line feed at which all its brackets and strings are closed, and is given out then: the next record separator
    comes with the next text, which may be long in coming. One that was broken off by a record separator or by the end
    is told from a whole one, numbers included (section 2.4).

    Parameters:
        max_event_size: The longest text taken, in bytes.
    """

    last_event_id = ""
    retry: int | None = None
    is_within_event = False

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self._text = bytearray()  # the unfinished text
        self._follows_separator = False
        self._depth = 0
        self._in_string = False
        self._is_escaped = False  # the first byte of what comes next is

    def receive(self, data: bytes) -> Iterator[bytes | BrokenText]:
        """Take the next bytes, and yield the texts that they complete, or break off.

        The iterator must be exhausted before the next bytes are handed over.

        Raises:
            OversizedEvent: A text is longer than `max_event_size`. The texts before it were yielded.
        """
        first, *others = data.split(_RECORD_SEPARATOR)
        yield from self._read(first)
        for piece in others:
            yield from self.end()
            self._follows_separator = True
            yield from self._read(piece)

    def end(self) -> Iterator[bytes | BrokenText]:
        """The stream has ended, or the text has, by a record separator; yield what was not finished."""
        is_closed = self._depth == 0 and not self._in_string
        yield from self._finish(is_whole=is_closed and self._text.endswith(_ENDS_OF_WHOLE_TEXTS))

    def _read(self, data: bytes) -> Iterator[bytes | BrokenText]:
        start = 0
        for end in self._ends(data):
            self._keep(data[start : end - 1])
            yield from self._finish(is_whole=True)
            start = end
        self._keep(data[start:])

    def _keep(self, piece: bytes) -> None:
        self._text += piece
        check_size(len(self._text), self._max_event_size)

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
