"""Formats of JSON that is not in lines: one document, a text sequence, values one after another.

The parsers only count brackets and quotation marks; Pydantic reads the JSON. Each text is given out at the byte that
completes it. The work is linear in the bytes, however they arrive. Nothing larger than `max_event_size` is kept.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from .lines import JSON_SPACE, BrokenText, ChunkParser, to_utf8
from .sse import DEFAULT_MAX_EVENT_SIZE

_RECORD_SEPARATOR = b"\x1e"
_ENDS_OF_WHOLE_TEXTS = (b"}", b"]", b'"', b" ", b"\t", b"\r", b"\n")
_LITERALS = (b"true", b"false", b"null")
_BETWEEN_VALUES = re.compile(rb"[ \t\r\n,]*")
_SCALAR = re.compile(rb'[^ \t\r\n,"\[\]{}]*')
_OUTSIDE_STRING = re.compile(rb'["\[\]{}]')
_OUTSIDE_STRING_OR_LINE_FEED = re.compile(rb'["\[\]{}\n]')
_INSIDE_STRING = re.compile(rb'["\\]')
_DEPTH = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


class JSONDocumentParser(ChunkParser):
    """Turn bytes into one JSON document."""

    is_complete = True

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE, encoding: str = "utf-8") -> None:
        super().__init__(max_event_size)
        self._to_utf8 = to_utf8(encoding)

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; they complete nothing."""
        self._keep(self._to_utf8(data, False))
        yield from ()

    def end(self) -> Iterable[bytes]:
        """The stream has ended; give the document, if there is one."""
        self._text += self._to_utf8(b"", True)
        document = bytes(self._text).removeprefix(codecs.BOM_UTF8).strip(JSON_SPACE)
        return (document,) if document else ()


class _BracketCounter(ChunkParser):
    """Finds the ends of JSON texts: it tracks the depth of brackets, and strings."""

    _depth = 0
    _in_string = False
    _is_escaped = False  # the first byte of what comes next is

    def _tokens(self, data: bytes, position: int, outside: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
        """The tokens from here on behind which no bracket and no string is open, each with the place behind it."""
        position += self._is_escaped
        while position < len(data):
            match = (_INSIDE_STRING if self._in_string else outside).search(data, position)
            if match is None:
                position = len(data)
                break
            position, token = match.end(), match[0]
            if token == b"\\":
                position += 1
                continue
            if token == b'"':
                self._in_string = not self._in_string
            else:
                self._depth += _DEPTH.get(token, 0)
            if self._depth <= 0 and not self._in_string:
                self._is_escaped = False
                yield position, token
        self._is_escaped = position > len(data)

    def _take_text(self) -> bytes:
        text = bytes(self._text)
        self._text.clear()
        self._depth = 0
        self._in_string = self._is_escaped = False
        return text


class JSONSequenceParser(_BracketCounter):
    """Turn bytes into the texts of a JSON text sequence (RFC 7464).

    A text stands between a record separator and a line feed, and may have line feeds within. It is given out at the
    first line feed at which all its brackets and strings are closed: the next record separator may be long in coming.
    One that was broken off by a record separator or by the end is told from a whole one (section 2.4).
    """

    _follows_separator = False

    def receive(self, data: bytes) -> Iterator[bytes | BrokenText]:
        """Take the next bytes, and yield the texts that they complete, or break off."""
        first, *others = data.split(_RECORD_SEPARATOR)
        yield from self._read(first)
        for piece in others:
            yield from self.end()
            self._follows_separator = True
            yield from self._read(piece)

    def end(self) -> Iterator[bytes | BrokenText]:
        """The stream has ended, or a record separator has ended the text: yield the unfinished rest."""
        is_closed = self._depth == 0 and not self._in_string
        yield from self._finish(is_whole=is_closed and self._text.endswith(_ENDS_OF_WHOLE_TEXTS))

    def _read(self, data: bytes) -> Iterator[bytes | BrokenText]:
        start = 0
        for end, token in self._tokens(data, 0, _OUTSIDE_STRING_OR_LINE_FEED):
            if token == b"\n":
                self._keep(data[start : end - 1])
                yield from self._finish(is_whole=True)
                start = end
        self._keep(data[start:])

    def _finish(self, *, is_whole: bool) -> Iterator[bytes | BrokenText]:
        if text := self._take_text().strip(JSON_SPACE):
            yield text if is_whole and self._follows_separator else BrokenText(text)
            self._follows_separator = False


class JSONValuesParser(_BracketCounter):
    """Turn bytes into consecutive JSON values, with white space or commas between them.

    Where the first of them would be an array, its elements are the values, and nothing may stand behind it. A value is
    given out at its last byte: an object, an array and a string at what closes it, a literal at its last letter. A
    number waits for what follows it.
    """

    needs_its_end = True
    _is_at_start = True
    _is_in_array = False

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE, encoding: str = "utf-8") -> None:
        super().__init__(max_event_size)
        self._to_utf8 = to_utf8(encoding)
        self._start: bytes | None = b""  # may become a byte order mark; None once that is settled

    @property
    def is_within_event(self) -> bool:
        """Whether a bracket or a string is open."""
        return self._is_in_array or self._depth > 0 or self._in_string

    def receive(self, data: bytes) -> Iterator[bytes | BrokenText]:
        """Take the next bytes, and yield the values that they complete."""
        return self._read(self._to_utf8(data, False))

    def end(self) -> Iterator[bytes | BrokenText]:
        """The stream has ended; yield the number that it ends. Brackets and strings that are open were cut."""
        yield from self._read(self._to_utf8(b"", True))
        if self._text and not (self._depth or self._in_string):
            yield self._take_value()

    def _read(self, data: bytes) -> Iterator[bytes | BrokenText]:
        if self._start is not None:
            data = self._start + data
            if len(data) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(data):
                self._start = data
                return
            self._start = None
            data = data.removeprefix(codecs.BOM_UTF8)
        position = 0
        while position < len(data):
            if self._depth or self._in_string:
                end = next((end for end, _ in self._tokens(data, position, _OUTSIDE_STRING)), None)
                self._keep(data[position:end])
                position = len(data) if end is None else end
                if end is not None:
                    yield self._take_value()
                continue
            if not self._text:
                position = _end_of(_BETWEEN_VALUES, data, position)
            end = _end_of(_SCALAR, data, position)
            scalar = bytes(self._text) + data[position:end] if len(self._text) < len(b"false") else b""
            if literal := next(filter(scalar.startswith, _LITERALS), b""):
                end = position + len(literal) - len(self._text)
            self._keep(data[position:end])
            is_token = end == position < len(data)
            position = end
            if literal or (self._text and is_token):
                yield self._take_value()
            elif is_token:
                position += 1
                if not self._opens(data[end:position]):
                    yield BrokenText(data[end:position])

    def _opens(self, token: bytes) -> bool:
        """Note a bracket or quotation mark between two values; `False` if it may not stand there."""
        if token == b"[" and self._is_at_start:
            self._is_in_array = True
        elif token == b"]" and self._is_in_array:
            self._is_in_array = False
            self.is_complete = True
        elif token in b"}]":
            return False
        else:
            self._in_string = token == b'"'
            self._depth = int(not self._in_string)
            self._text += token
        self._is_at_start = False
        return True

    def _take_value(self) -> bytes | BrokenText:
        self._is_at_start = False
        text = self._take_text()
        return BrokenText(text) if self.is_complete else text


def _end_of(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    """The position behind the match; the same position if nothing matches."""
    match = pattern.match(data, position)
    return position if match is None else match.end()
