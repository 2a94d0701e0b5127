"""The event-stream format: bytes in, server-sent events out, nothing but bytes and values in between.

It follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", to the letter. The standard decodes
the stream as UTF-8 and then reads lines of text; here the lines are cut from the bytes, and a piece is decoded only
where text is asked for. The two agree, because CR, LF, the colon and the field names are ASCII: in UTF-8 no other
character contains their bytes, and a sequence broken off by one of them is replaced and ended there by both.

Each byte is looked at a fixed number of times however the stream is cut: a piece without a line end is put aside as it
is, and the pieces of a line are joined once, when its end arrives. A line ends with its CR; a LF that turns out to
follow, in the same chunk or the next, is swallowed, so that no event waits for a byte that may never come.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=str)
else:
    from typing import TypeVar

    T = TypeVar("T")

DEFAULT_MAX_EVENT_SIZE = 16 * 1024 * 1024
"""The largest event taken unless said otherwise, in bytes."""

_FIELDS = (b"data", b"event", b"id", b"retry")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent(Generic[T]):
    """One event of an event stream. `T` is the type of its data, `str` unless said.

    Attributes:
        data: The event's data: its `data` lines, joined by LF.
        event: The event's type, `"message"` where the stream names none.
        id: The last event id as of this event: the latest `id` that the stream has set, `""` before the first.
        retry: The reconnection time in milliseconds that came with this event, `None` where none did.

    Source: WHATWG HTML, section 9.2.
    """

    data: T
    event: str = "message"
    id: str = ""
    retry: int | None = None


class OversizedEvent(Exception):
    """An event is larger than the parser's `max_event_size`."""


class EventStreamParser:
    """Turn the bytes of an event stream into events, whole or cut anywhere.

    Parameters:
        max_event_size: The most bytes that the fields of one event may have, line ends not counted. What is skipped
            (comments, unknown fields) does not count, but no line of it may be longer either.

    Attributes:
        last_event_id: The latest `id` of a finished event, `""` before the first.
        retry: The latest reconnection time that the stream has set, in milliseconds, `None` before the first.

        >>> parser = EventStreamParser()
        >>> list(parser.receive(b"data: Hel"))
        []
        >>> list(parser.receive(b"lo" + bytes([10, 10])))
        [ServerSentEvent(data=b'Hello', event='message', id='', retry=None)]

    Bytes after the last blank line belong to an unfinished event, which the standard drops; so there is nothing to say
    at the end of a stream.
    """

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self.last_event_id = ""
        self.retry: int | None = None
        self._start: bytes | None = b""  # what may become a byte order mark; None once that is settled
        self._skip_line_feed = False  # the last chunk ended with CR
        self._line: list[bytes] = []  # the pieces of the unfinished line
        self._line_size = 0
        self._line_start = b""  # enough of it to tell a field
        self._data: list[bytes] = []
        self._event = b""
        self._id = ""
        self._event_retry: int | None = None
        self._event_size = 0

    def receive(self, data: bytes) -> Iterator[ServerSentEvent[bytes]]:
        """Take the next bytes of the stream, and yield the events that they complete.

        The iterator must be exhausted before the next bytes are handed over.

        Raises:
            OversizedEvent: An event, or a line, is larger than `max_event_size`. The events before it were yielded.
        """
        if self._start is not None:
            data = self._start + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._start = data
                return
            self._start = None
            data = data.removeprefix(_BOM)
        if self._skip_line_feed and data:
            self._skip_line_feed = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_line_feed = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

        *lines, rest = data.split(b"\n")
        if lines and self._line:
            lines[0] = b"".join([*self._line, lines[0]])
            self._line.clear()
            self._line_size = 0
            self._line_start = b""
        for line in lines:
            if line:
                self._read_line(line)
            else:
                event = self._finish_event()
                if event is not None:
                    yield event
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
            self._line_start = (self._line_start + rest[:6])[:6]
            is_field = self._line_start.startswith((b"data:", b"event:", b"id:", b"retry:"))
            self._check_size(self._line_size + (self._event_size if is_field else 0))

    def _read_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name not in _FIELDS:
            self._check_size(len(line))
            return
        self._event_size += len(line)
        self._check_size(self._event_size)
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = _text(value)
        elif name == b"retry" and value.isdigit():
            self._event_retry = self.retry = _milliseconds(value)

    def _finish_event(self) -> ServerSentEvent[bytes] | None:
        self.last_event_id = self._id
        event = None
        if self._data:
            event = ServerSentEvent(
                b"\n".join(self._data), _text(self._event) or "message", self.last_event_id, self._event_retry
            )
        self._reset_event()
        return event

    def _reset_event(self) -> None:
        self._data = []
        self._event = b""
        self._event_retry = None
        self._event_size = 0

    def _check_size(self, size: int) -> None:
        if size > self._max_event_size:
            raise OversizedEvent


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _milliseconds(digits: bytes) -> int:
    # Python may refuse to read a number of more digits than this; nobody can tell such times from one another.
    longest = sys.int_info.str_digits_check_threshold
    significant = digits.lstrip(b"0") or b"0"
    return int(significant) if len(significant) <= longest else 10**longest
