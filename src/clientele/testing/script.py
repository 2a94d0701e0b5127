"""Scripts: what a server sends in a stream, step by step, and when.

A step is an item, which is written in the endpoint's format, or something that this file makes: an event with an id, a
comment, raw bytes, a wait, a cut. A script is any iterable of steps; it may be endless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args, overload

import httpx2
import pydantic
import pydantic_core

from ..endpoints.response import CompleteResult, StreamResult
from ..endpoints.serializer import revealed
from ..streaming.formats import FORMATS
from ..streaming.sse import Comment, ServerSentEvent
from ..validation import class_of, is_number, members_of

CutName: TypeAlias = Literal["reset", "close", "within_event", "within_character"]
Action: TypeAlias = "bytes | Wait | Exception"
"""What a body does next: give bytes, let time pass, or break off."""

_STARS = b"**********"  # what Pydantic writes for a secret
_LINE_END = re.compile("\r\n|\r|\n")
CUTS: dict[CutName, Exception] = {
    "reset": httpx2.ReadError("the connection was reset"),
    **dict.fromkeys(
        ("close", "within_event", "within_character"),
        httpx2.RemoteProtocolError("the connection was closed before the response had ended"),
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a stream; `event` makes one."""

    data: Any = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are; `raw` makes one."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause; `wait` and `stall` make one."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of a connection; `cut` makes one."""

    how: CutName


def event(
    data: Any = None,
    *,
    event: str | None = None,
    id: str | int | None = None,  # noqa: A002
    retry: int | None = None,
) -> Event:
    """A step: an event with a name, an id or a reconnection time.

    Formats without names and ids send its data alone.

    Parameters:
        data: The data: text as it is, anything else as JSON. Default `None`: no data.
        event: The name. Default: the name that the endpoint's `event_map` has for the type of the data, or none.
        id: The id. Default: none.
        retry: The reconnection time, in milliseconds. Default: none.
    """
    return Event(data, event, None if id is None else str(id), retry)


def comment(text: str = "") -> Comment:
    """A step: a comment, which servers send to keep a connection alive."""
    return Comment(text)


def raw(content: bytes | str) -> Raw:
    """A step: bytes as they are, or text as UTF-8; for broken events, half characters, wrong formats."""
    return Raw(content.encode() if isinstance(content, str) else bytes(content))


def wait(seconds: float) -> Wait:
    """A step: nothing for this many seconds, which take no real time."""
    if not is_number(seconds, int, float) and seconds != 0:
        raise ValueError(f"wait({seconds!r}): it is a number of seconds, 0 or more")
    return Wait(seconds)


def stall() -> Wait:
    """A step: nothing more, on a connection that stays open. `idle_timeout` or closing the stream ends it."""
    return Wait(float("inf"))


def cut(how: CutName = "reset") -> Cut:
    """A step: the connection breaks.

    Parameters:
        how: `"reset"`: it is reset. `"close"`: the server closes it before the response ends. `"within_event"`: the
            server closes it after half of the next step's event. `"within_character"`: after half of a character.
            Default `"reset"`.
    """
    if how not in get_args(CutName):
        raise ValueError(f"cut({how!r}): it is one of {', '.join(map(repr, get_args(CutName)))}")
    return Cut(how)


class Log(Sequence[Event]):
    """Numbered events, as a server keeps them to resume a stream.

    ```python
    log = testing.Log(Event(text=text) for text in "abcde")
    server.on(stream_events).streams(log[:2], testing.cut()).streams(log)
    ```

    In a script, it sends the events after the request's `Last-Event-ID`; all of them, if the request has none or one
    that the log does not have.

    Parameters:
        items: The events: items, or events made with `event`, which keep their own ids.
        first_id: The id of the first event. Default 1.
    """

    def __init__(self, items: Iterable[Any], *, first_id: int = 1) -> None:
        events = [each if isinstance(each, Event) else Event(each) for each in items]
        numbered = enumerate(events, first_id)
        self._events = tuple(each if each.id is not None else replace(each, id=str(n)) for n, each in numbered)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Log: ...
    def __getitem__(self, index: int | slice) -> Event | Log:
        return Log(self._events[index]) if isinstance(index, slice) else self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __repr__(self) -> str:
        return f"Log({list(self._events)!r:.200})"

    def after(self, last_event_id: str) -> Sequence[Event]:
        """The events after the one with this id; all, if there is no such event."""
        ids = [each.id for each in self._events]
        return self._events[ids.index(last_event_id) + 1 :] if last_event_id in ids else self._events


def is_script(value: Any) -> bool:
    """Whether it is an iterable of steps. Texts, mappings and models are steps themselves."""
    is_step = isinstance(value, str | bytes | bytearray | memoryview | Mapping | pydantic.BaseModel | Log)
    return isinstance(value, Iterable) and not is_step and not hasattr(value, "_fields")  # of a named tuple


class Writer:
    """Writes steps in the format that an endpoint reads."""

    def __init__(self, result: CompleteResult | StreamResult) -> None:
        self._items = result.items if isinstance(result, StreamResult) else None
        format_ = FORMATS["sse"] if self._items is None else self._items.stream_format or self._items.formats[0]
        self.format = next(name for name, each in FORMATS.items() if each is format_)
        unnamed = {"json": "application/json", "bytes": "application/octet-stream"}
        self.content_type = unnamed.get(self.format) or format_.media_types[0]

    def actions(self, script: Iterable[Any], last_event_id: str) -> Iterator[Action]:
        """The actions of a body that follows this script."""
        steps = self._flat(script, last_event_id)
        for step in steps:
            if isinstance(step, Wait):
                yield step
            elif isinstance(step, Cut):
                if step.how == "within_event":
                    whole = next((self.write(each) for each in steps if not isinstance(each, Wait | Cut)), None)
                    whole = self.write(Event("it is cut")) if whole is None else whole
                    yield whole[: max(1, len(whole) // 2)]
                elif step.how == "within_character":
                    yield self.write(Event("\N{SNOWMAN}")).partition("\N{SNOWMAN}".encode())[0] + b"\xe2\x98"
                yield CUTS[step.how]
                return
            elif written := self.write(step):
                yield written

    def _flat(self, script: Iterable[Any], last_event_id: str) -> Iterator[Any]:
        for step in script:
            if isinstance(step, Log):
                yield from step.after(last_event_id)
            else:
                yield step

    def write(self, step: Any) -> bytes:
        """One step, as bytes."""
        if isinstance(step, Raw):
            return step.content
        if isinstance(step, Comment):
            if self.format != "sse":
                raise TypeError(f"a comment is for event streams; this endpoint reads {self.format!r}")
            return b"".join(b": %b\n" % line.encode() for line in _LINE_END.split(step.text)) + b"\n"
        if isinstance(step, ServerSentEvent):
            step = Event(step.data, None if step.event == "message" else step.event, step.id or None, step.retry)
        elif not isinstance(step, Event):
            step = Event(step)
        return _WRITERS[self.format](self, step)

    def name_of(self, step: Event) -> str | None:
        """The name of an event: its own, or the one that the `event_map` has for its type."""
        if step.event is not None or self._items is None:
            return step.event
        types = self._items.event_map.types if self._items.event_map else {}
        return next((name for name, each in types.items() if name != "*" and _is_one(step.data, each)), None)

    def _event(self, step: Event) -> bytes:
        fields = [("event", self.name_of(step)), ("id", step.id), ("retry", step.retry)]
        lines = [f"{name}: {value}" for name, value in fields if value is not None]
        for name, value in fields:
            if value is not None and _LINE_END.search(str(value)):
                raise ValueError(f"the {name} of an event is one line; it is {value!r}")
        head = "".join(f"{line}\n" for line in lines).encode()
        data = b"" if step.data is None else _written(step.data)
        data_lines = [] if step.data is None else re.split(rb"\r\n|\r|\n", data)
        return head + b"".join(b"data: %b\n" % line for line in data_lines) + b"\n"

    def _text(self, step: Event) -> bytes:
        data = _written(step.data)
        if self.format in ("lines", "jsonl") and re.search(rb"[\r\n]", data):
            raise ValueError(f"an item of {self.format!r} is one line; give its text as testing.raw(...)")
        start, end = {"json-seq": (b"\x1e", b"\n"), "bytes": (b"", b"")}.get(self.format, (b"", b"\n"))
        return start + data + end


_WRITERS: dict[str, Callable[[Writer, Event], bytes]] = {
    name: Writer._event if name == "sse" else Writer._text for name in FORMATS
}


def _written(data: Any) -> bytes:
    """Text and bytes as they are, anything else as JSON."""
    if isinstance(data, str):
        return data.encode()
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else json_of(data)


def json_of(value: Any) -> bytes:
    """A value as the JSON that a server would send: with its secrets."""
    text = pydantic_core.to_json(value, by_alias=True)
    if _STARS in text:
        text = pydantic_core.to_json(revealed(pydantic.TypeAdapter(Any).dump_python(value, by_alias=True)))
    return text


def _is_one(value: Any, annotation: Any) -> bool:
    kinds = [class_of(member) for member in members_of(annotation)]
    return any(isinstance(kind, type) and type(value) is kind for kind in kinds)
