"""The simplest formats: bytes in; lines of text, JSON Lines or the bytes themselves out.

They give bytes, like an event stream whose events have nothing but data. Whatever is complete is given out at once. The
work is linear in the bytes, however they arrive. Nothing larger than `max_event_size` is kept.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .line_buffer import LineBuffer
from .sse import DEFAULT_MAX_EVENT_SIZE, check_size

_BYTE_ORDER_MARKS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
JSON_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class BrokenText:
    """A broken text among JSON texts: it is unfinished, or in a place where none may be."""

    data: bytes


class ChunkParser:
    """Gives out the bytes as they arrive. The base of all parsers except that of event streams.

    None of these formats has ids or reconnection times, and none has an event that the end of the stream drops.

    Attributes:
        needs_its_end: Whether a body that ends `is_within_event` was cut even if it ends properly.
        is_complete: Whether the format itself has said that nothing follows.
    """

    last_event_id = ""
    retry: int | None = None
    needs_its_end = is_complete = False

    @property
    def is_within_event(self) -> bool:
        """Whether the last bytes are unfinished, and the end of the stream would drop them."""
        return False

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self._text = bytearray()  # what is unfinished, of a document

    def receive(self, data: bytes) -> Iterable[bytes | BrokenText]:
        """Receive the next bytes. Exhaust what it returns before the next call.

        `OversizedEvent`: something is larger than `max_event_size`. What comes before it was given.
        """
        return (data,) if data else ()

    def end(self) -> Iterable[bytes | BrokenText]:
        """The stream has ended: return what its end completes."""
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
        self._to_utf8 = to_utf8(encoding)

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
            elif document := line.strip(JSON_SPACE):
                yield document


class JSONLinesParser(LineParser):
    """Turn bytes into JSON documents, one on each line that is not blank."""

    _is_json = True


def to_utf8(encoding: str) -> Callable[[bytes, bool], bytes]:
    """A function that converts pieces of text from this encoding to UTF-8. Its second argument marks the last piece.

    Python's decoders of UTF-16 and UTF-32 need a byte order mark. Text without one is little-endian (WHATWG Encoding).
    """
    name = codecs.lookup(encoding).name
    if name == "utf-8":
        return lambda data, is_last: data
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    marks: tuple[bytes, ...] = _BYTE_ORDER_MARKS.get(name, ())  # those that may still come
    start = b""

    def convert(data: bytes, is_last: bool) -> bytes:
        nonlocal marks, start
        if marks:
            start += data
            if len(start) < len(marks[0]) and not is_last:
                return b""
            data = start if start.startswith(marks) else marks[0] + start
            marks = ()
        return decode(data, is_last).encode("utf-8", "replace")

    return convert
