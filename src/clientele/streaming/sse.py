"""The event-stream format: bytes in, server-sent events and comments out, nothing but bytes and values in between.

It follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", to the letter. The standard decodes
the stream as UTF-8 and then reads lines of text; here the lines are cut from the bytes, and a piece is decoded only
where text is asked for. The two agree, because CR, LF, the colon and the field names are ASCII: in UTF-8 no other
character contains their bytes, and a sequence broken off by one of them is replaced and ended there by both.

How the lines are cut, in time linear in the bytes however they arrive, is the affair of `line_buffer.py`.

Most streams consist of one kind of frame, `data: …` and a blank line, whose LF ends show that it is whole. For these
there is a short way beside that through the lines. Measured with frames of 175 bytes, on one core of 2.5 GHz, in µs for
each, as one piece each and 300 to a piece:

| | one | 300 |
|---|---|---|
| line by line, an event for each | 2.5 | 1.6 |
| a regular expression for all frames of a piece | 1.2 | 0.95 |
| a piece split at its blank lines, the rest of each looked at by itself | 0.96 | 0.32 |
| split at what stands between frames, the line feeds counted (many to a piece) | 0.97 | 0.33 |
| its one line feed found where it must be (one to a piece) | 0.53 | |

The last two are what `receive` does; the data is handed on as it is, since an event made of it (a frozen dataclass)
would cost as much again. Checking bytes by number (`13 in data`) takes a third of what `find` or `in b"..."` take.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import FrozenInstanceError, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeAlias

from .line_buffer import LineBuffer

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=str)
else:
    from typing import TypeVar

    T = TypeVar("T")

DEFAULT_MAX_EVENT_SIZE = 16 * 1024 * 1024
"""The largest event taken unless said otherwise, in bytes."""

_FIELDS = (b"data", b"event", b"id", b"retry")


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


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of an event stream, which servers send to keep a connection alive.

    Attributes:
        text: What stands after the colon, without the one space that may follow it.

    Source: WHATWG HTML, section 9.2.5.
    """

    text: str


def _refuse_to_set(frame: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(frame: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


# What the dataclass made of these fails for names that are no fields (with slots, up to Python 3.13 at least), and
# typing tries to set one: `ServerSentEvent[int](5)` would not work.
for _kind in (ServerSentEvent, Comment):
    setattr(_kind, "__setattr__", _refuse_to_set)  # noqa: B010
    setattr(_kind, "__delattr__", _refuse_to_delete)  # noqa: B010


def text_event(event: ServerSentEvent[bytes]) -> ServerSentEvent[str]:
    """The same event, its data as text; undecodable bytes are replaced, as the standard says."""
    return ServerSentEvent(_text(event.data), event.event, event.id, event.retry)


EventStreamFrame: TypeAlias = bytes | ServerSentEvent[bytes] | Comment
"""An event, or its data where it has nothing else; or a comment."""


class OversizedEvent(Exception):
    """An event is larger than the parser's `max_event_size`."""


def check_size(size: int, max_event_size: int) -> None:
    """Hold a size against the limit.

    Raises:
        OversizedEvent: It is larger.
    """
    if size > max_event_size:
        raise OversizedEvent


class EventStreamParser:
    """Turn the bytes of an event stream into events and comments, whole or cut anywhere.

    An event that has nothing but data is given as that: as `bytes`. Its id is the parser's `last_event_id`.

    Parameters:
        max_event_size: The most bytes that the fields of one event may have, line ends not counted. What is skipped
            (comments, unknown fields) does not count, but no line of it may be longer either.

    Attributes:
        last_event_id: The latest `id` of a finished event. `""` before the first; it may be set, for a stream that is
            taken up again.
        retry: The latest reconnection time that the stream has set, in milliseconds, `None` before the first.

        >>> parser = EventStreamParser()
        >>> list(parser.receive(b"data: Hel"))
        []
        >>> list(parser.receive(b"lo" + bytes([10, 10])))
        [b'Hello']
    """

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self.last_event_id = ""
        self.retry: int | None = None
        self._lines = LineBuffer(carriage_returns=True)
        self._data: bytes | bytearray | None = None  # lists of lines would take many times the room of short ones
        self._event = b""
        self._id: str | None = None  # what the id will be when an event is finished; None if none came
        self._event_retry: int | None = None
        self._event_size = 0
        self._is_between_events = False  # at the start a byte order mark may come

    @property
    def is_within_event(self) -> bool:
        """Whether an event has begun, or a line."""
        return self._event_size > 0 or self._lines.rest_size > 0

    def receive(self, data: bytes) -> Iterable[EventStreamFrame]:
        """Take the next bytes of the stream, and give the events and comments that they complete.

        They must be iterated to their end before the next bytes are handed over.

        Raises:
            OversizedEvent: An event, or a line, is larger than `max_event_size`. The events before it were given.
        """
        if not self._is_between_events:
            return self._receive_rest(data)
        if data[:6] != b"data: ":
            return self._read(data)
        if data[-2:] == b"\n\n" and data.find(b"\n") == len(data) - 2 and 13 not in data:
            return (data[6:-2],) if len(data) <= self._max_event_size else self._read(data)
        return self._receive_common(data)

    def _receive_rest(self, data: bytes) -> Iterable[EventStreamFrame]:
        """Take bytes while an event may be open; behind the first blank line none is."""
        end = data.find(b"\n\n") + 2
        if end < len(b"\n\n") or data[end : end + 6] != b"data: ":
            return self._read(data)
        return chain(self._read(data[:end]), self._receive_common(data[end:]))

    def _receive_common(self, data: bytes) -> Iterable[EventStreamFrame]:
        """Take bytes that begin as a common frame."""
        end = data.rfind(b"\n\n") + 2
        whole = data if end == len(data) else data[:end]
        frames = whole[6:-2].split(b"\n\ndata: ")
        # Only line feeds, and no more of them than stand behind each of these.
        if 2 * len(frames) != whole.count(b"\n") or 13 in whole or end > self._max_event_size:
            return self._read(data)
        return frames if whole is data else chain(frames, self._read(data[end:]))

    def _read(self, data: bytes) -> Iterator[EventStreamFrame]:
        """The general way, line by line."""
        for line in self._lines.receive(data):
            frame = self._read_line(line) if line else self._finish_event()
            if frame is not None:
                yield frame
        self._is_between_events = self._event_size == 0 and self._lines.is_empty
        if self._lines.rest_size:
            is_field = self._lines.rest_start.startswith((b"data:", b"event:", b"id:", b"retry:"))
            check_size(self._lines.rest_size + (self._event_size if is_field else 0), self._max_event_size)

    def end(self) -> Iterable[EventStreamFrame]:
        """Nothing: bytes after the last blank line belong to an unfinished event, which the standard drops."""
        return ()

    def _read_line(self, line: bytes) -> Comment | None:
        if line[:6] == b"data: ":
            self._event_size += len(line)
            check_size(self._event_size, self._max_event_size)
            self._add_data(line[6:])
            return None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name not in _FIELDS:
            check_size(len(line), self._max_event_size)
            return None if name else Comment(_text(value))
        self._event_size += len(line)
        check_size(self._event_size, self._max_event_size)
        if name == b"data":
            self._add_data(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = _text(value)
        elif name == b"retry" and value.isdigit():
            self._event_retry = self.retry = _milliseconds(value)
        return None

    def _finish_event(self) -> ServerSentEvent[bytes] | None:
        if self._id is not None:
            self.last_event_id = self._id
        event = None
        if self._data is not None:
            event = ServerSentEvent(
                bytes(self._data), _text(self._event) or "message", self.last_event_id, self._event_retry
            )
        self._reset_event()
        return event

    def _add_data(self, line: bytes) -> None:
        if self._data is None:
            self._data = line
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += line

    def _reset_event(self) -> None:
        self._data = None
        self._event = b""
        self._event_retry = None
        self._event_size = 0


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _milliseconds(digits: bytes) -> int:
    # Python may refuse to read a number of more digits than this; nobody can tell such times from one another.
    longest = sys.int_info.str_digits_check_threshold
    significant = digits.lstrip(b"0") or b"0"
    return int(significant) if len(significant) <= longest else 10**longest
