"""The event-stream format: bytes in, server-sent events and comments out, nothing but bytes and values in between.

It follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", to the letter. The standard decodes
the stream as UTF-8 and then reads lines of text; here the lines are cut from the bytes, and a piece is decoded only
where text is asked for. The two agree, because CR, LF, the colon and the field names are ASCII: in UTF-8 no other
character contains their bytes, and a sequence broken off by one of them is replaced and ended there by both.

How the lines are cut, in time linear in the bytes however they arrive, is the affair of `line_buffer.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from typing import TYPE_CHECKING, Generic

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
    """

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self.last_event_id = ""
        self.retry: int | None = None
        self._lines = LineBuffer(carriage_returns=True)
        self._data: list[bytes] = []
        self._event = b""
        self._id = ""
        self._event_retry: int | None = None
        self._event_size = 0

    def receive(self, data: bytes) -> Iterator[ServerSentEvent[bytes] | Comment]:
        """Take the next bytes of the stream, and yield the events and comments that they complete.

        The iterator must be exhausted before the next bytes are handed over.

        Raises:
            OversizedEvent: An event, or a line, is larger than `max_event_size`. The events before it were yielded.
        """
        for line in self._lines.receive(data):
            frame = self._read_line(line) if line else self._finish_event()
            if frame is not None:
                yield frame
        if self._lines.rest_size:
            is_field = self._lines.rest_start.startswith((b"data:", b"event:", b"id:", b"retry:"))
            check_size(self._lines.rest_size + (self._event_size if is_field else 0), self._max_event_size)

    def end(self) -> Iterator[ServerSentEvent[bytes] | Comment]:
        """Nothing: bytes after the last blank line belong to an unfinished event, which the standard drops."""
        return iter(())

    def _read_line(self, line: bytes) -> Comment | None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name not in _FIELDS:
            check_size(len(line), self._max_event_size)
            return None if name else Comment(_text(value))
        self._event_size += len(line)
        check_size(self._event_size, self._max_event_size)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = _text(value)
        elif name == b"retry" and value.isdigit():
            self._event_retry = self.retry = _milliseconds(value)
        return None

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


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _milliseconds(digits: bytes) -> int:
    # Python may refuse to read a number of more digits than this; nobody can tell such times from one another.
    longest = sys.int_info.str_digits_check_threshold
    significant = digits.lstrip(b"0") or b"0"
    return int(significant) if len(significant) <= longest else 10**longest
