"""The event-stream format: bytes in, server-sent events and comments out, nothing but bytes and values in between.

It follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", to the letter, except that the lines
are cut from the bytes (by `line_buffer.py`), and a piece is decoded where text is asked for. The two agree, because CR,
LF, the colon and the field names are ASCII: in UTF-8 no other character contains their bytes, and both replace and end
a sequence that one of them breaks off.

Most streams consist of one kind of frame: `data: …` and a blank line. Beside the way through the lines `receive` has a
short one for a piece that is one such frame, and one for a piece of many, each about five times as fast. Their data is
handed on as it is, since an event made of it would cost as much again. `13 in data` takes a third of what `find` takes.
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
    """An event of an event stream. `T` is the type of its data, `str` by default.

    Attributes:
        data: The event's data: its `data` lines, joined by LF.
        event: The event's type, `"message"` where the stream names none.
        id: The last event id: that of this event, or else of the latest before it that has one; `""` before the first.
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


def _refuse(frame: object, name: str, *value: object) -> None:
    raise FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")


# What a dataclass with slots makes of these fails for names that are not fields (up to Python 3.13 at least), and
# typing tries to set one: `ServerSentEvent[int](5)` would not work.
for _kind in (ServerSentEvent, Comment):
    _kind.__setattr__ = _kind.__delattr__ = _refuse  # type: ignore[method-assign]


def text_event(event: ServerSentEvent[bytes]) -> ServerSentEvent[str]:
    """The same event with its data as text. Undecodable bytes are replaced, as the standard says."""
    return ServerSentEvent(_text(event.data), event.event, event.id, event.retry)


class EventWithoutData(ServerSentEvent[bytes]):
    """A block that has fields, but no `data`: no event (WHATWG HTML, section 9.2.6), but it may end a stream."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class UnfinishedEvent:
    """The rest behind the last blank line: no event (WHATWG HTML, section 9.2.6), but it may end a stream."""

    event: ServerSentEvent[bytes]
    beginning: str
    has_data: bool


EventStreamFrame: TypeAlias = bytes | ServerSentEvent[bytes] | Comment | UnfinishedEvent
"""An event, or its data where it has nothing else (its id is the parser's `last_event_id`); or a comment."""


class OversizedEvent(Exception):
    """An event is larger than the parser's `max_event_size`."""


def check_size(size: int, max_event_size: int) -> None:
    """Raise `OversizedEvent` if the size is above the limit."""
    if size > max_event_size:
        raise OversizedEvent


class EventStreamParser:
    """Turn the bytes of an event stream into events and comments, whole or cut anywhere.

    `max_event_size` bounds the bytes that the fields of one event have, line ends not counted. What is skipped
    (comments, unknown fields) does not count, but no line of it may be longer either.
    """

    needs_its_end = is_complete = False  # the format does not say where a stream ends
    gives_events_without_data = False  # which only a function that looks for the end of the stream needs

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self.last_event_id = ""  # of the last finished event; set from outside when a stream reconnects
        self.retry: int | None = None  # the latest that the stream has set, in milliseconds
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
        """Receive the next bytes. Exhaust what it returns before the next call.

        `OversizedEvent`: an event, or a line, is larger than `max_event_size`. The events before it were given.
        """
        if not self._is_between_events:
            return self._receive_rest(data)
        if data[:6] != b"data: ":
            return self._read(data)
        if data[-2:] == b"\n\n" and data.find(b"\n") == len(data) - 2 and 13 not in data:
            return (data[6:-2],) if len(data) <= self._max_event_size else self._read(data)
        return self._receive_common(data)

    def _receive_rest(self, data: bytes) -> Iterable[EventStreamFrame]:
        """Receive bytes while an event may be open. None is open behind the first blank line."""
        end = data.find(b"\n\n") + 2
        if end < len(b"\n\n") or data[end : end + 6] != b"data: ":
            return self._read(data)
        return chain(self._read(data[:end]), self._receive_common(data[end:]))

    def _receive_common(self, data: bytes) -> Iterable[EventStreamFrame]:
        """Receive bytes that begin as a common frame."""
        end = data.rfind(b"\n\n") + 2
        whole = data if end == len(data) else data[:end]
        frames = whole[6:-2].split(b"\n\ndata: ")
        # Only line feeds, and no more of them than stand behind each of these.
        if 2 * len(frames) != whole.count(b"\n") or 13 in whole or end > self._max_event_size:
            return self._read(data)
        return frames if whole is data else chain(frames, self._read(data[end:]))

    def _read(self, data: bytes) -> Iterator[EventStreamFrame]:
        """Read line by line, the general way."""
        for line in self._lines.receive(data):
            frame = self._read_line(line) if line else self._finish_event()
            if frame is not None:
                yield frame
        self._is_between_events = self._event_size == 0 and self._lines.is_empty
        if self._lines.rest_size:
            is_field = self._lines.rest_start.startswith((b"data:", b"event:", b"id:", b"retry:"))
            check_size(self._lines.rest_size + (self._event_size if is_field else 0), self._max_event_size)

    def end(self) -> Iterator[EventStreamFrame]:
        """The stream has ended; give what stands behind the last blank line, which the standard drops.

        `OversizedEvent`: that is larger than `max_event_size`; only here is `id` without a colon known to be a field.
        """
        line, retry = self._lines.take_rest(), self.retry
        if line:
            self._read_line(line)
            self.retry = retry
        if not self._event_size and line[:1] in (b"", b":"):  # nothing, or a comment
            return
        event_id = self.last_event_id if self._id is None else self._id
        event = ServerSentEvent(bytes(self._data or b""), self._name, event_id, self._event_retry)
        if not self._event_size:
            yield UnfinishedEvent(event, _text(line), has_data=False)
            return
        fields = {"event": _text(self._event) or None, "retry": self._event_retry}
        if self._id != self.last_event_id:
            fields["id"] = self._id
        shown = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        if self._data is not None:
            shown.append(f"data: {_text(bytes(self._data))}")
        yield UnfinishedEvent(event, ", ".join(shown), has_data=self._data is not None)

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
        elif name == b"id" and b"\0" not in value:
            self._id = _text(value)
        elif name == b"retry" and value.isdigit():
            self._event_retry = self.retry = _milliseconds(value)
        return None

    def _finish_event(self) -> ServerSentEvent[bytes] | None:
        if self._id is not None:
            self.last_event_id = self._id
        event = None
        if self._data is not None:
            event = ServerSentEvent(bytes(self._data), self._name, self.last_event_id, self._event_retry)
        elif self.gives_events_without_data and self._event_size:
            event = EventWithoutData(b"", self._name, self.last_event_id, self._event_retry)
        self._data = self._event_retry = None
        self._event = b""
        self._event_size = 0
        return event

    @property
    def _name(self) -> str:
        return _text(self._event) or "message"

    def _add_data(self, line: bytes) -> None:
        if self._data is None:
            self._data = line
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += line


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _milliseconds(digits: bytes) -> int:
    # Python may refuse to read a number of more digits than this; nobody can tell such times from one another.
    longest = sys.int_info.str_digits_check_threshold
    significant = digits.lstrip(b"0") or b"0"
    return int(significant) if len(significant) <= longest else 10**longest
