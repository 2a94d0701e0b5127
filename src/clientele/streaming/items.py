"""From frames to items, without I/O: what the `T` in `Iterator[T]` makes of a stream.

| `T` | item |
|---|---|
| `str` | the event's data as text, nothing parsed |
| `bytes` | the body's bytes as they arrive |
| `ServerSentEvent[T]` | the whole event, its data as `T` |
| a union with `Comment` | comments too, in order |
| anything else Pydantic takes | the event's data, parsed as JSON and validated |

An `ItemPlan` holds all of that, worked out once, when the endpoint is declared. An `ItemReader` applies it to one
response. Users' functions see an event with its data as text, whatever the format: a line is one with nothing but data.
"""

from __future__ import annotations

import logging
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import methodcaller
from typing import Any, Generic, Literal, TypeVar

import httpx2
import pydantic

from ..content import media_type
from ..exceptions import EventTooLarge, StreamDecodeError, StreamInterrupted, UnexpectedContentType, reason, type_name
from ..redaction import excerpt, request_url
from ..validation import (
    Decode,
    base_type,
    class_of,
    data_decoder,
    has_decimals,
    is_defined,
    json_decoder,
    members_of,
    not_awaitable,
    parser_decoder,
    type_adapter,
    union_members,
    validation_error,
)
from ..wire.response import response_with
from .event_map import SKIPPED, DecodeEvent, EventMap
from .formats import (
    FORMATS,
    JSON_DOCUMENT,
    FormatName,
    Frame,
    StreamFormat,
    begins_event_stream,
    format_of,
    is_requested_document,
    may_be_mislabelled,
)
from .lines import BrokenText, ChunkParser
from .reconnect import Ended, Ending
from .sse import (
    Comment,
    EventStreamParser,
    EventWithoutData,
    OversizedEvent,
    ServerSentEvent,
    UnfinishedEvent,
    text_event,
)

T = TypeVar("T")
_TEXTUAL: tuple[FormatName, ...] = ("sse", "jsonl", "json-seq", "json", "lines")


class NoSuchStream(Exception):
    """The response's format cannot give the plan's items. Read it, then `ItemPlan.refusal` says why."""


NO_ITEM: Any = object()
"""What `take` gives where there is none."""

logger = logging.getLogger("clientele")


class ItemPlan:
    """How frames become items of `item_type`. Raises `TypeError`: such a stream has no such items.

    Parameters:
        item_type: The type.
        options: All options of the endpoint.
        logged_names: The names of skipped events that the log has told of. Default: those of this plan.
    """

    def __init__(self, item_type: Any, options: Mapping[str, Any], logged_names: set[str] | None = None) -> None:
        stream_format, response_parser = options["stream_format"], options["response_parser"]
        until: str | Callable[[ServerSentEvent[str]], object] | None = options["until"]
        event_map = None if options["event_map"] is None else EventMap(options["event_map"], logged_names)
        self.item_type = item_type
        self._has_parser = response_parser is not None
        self.event_map = event_map
        self._data_type, is_whole_event, self.takes_comments = _taken_apart(item_type)
        is_bytes = any(base is bytes for base in members_of(self._data_type)) and response_parser is None
        is_event = is_whole_event or self.takes_comments or event_map is not None
        if is_bytes and (is_event or until is not None or base_type(self._data_type) is not bytes):
            raise TypeError("bytes are yielded as they arrive, not as events; declare str, or a type without bytes")
        names: tuple[FormatName, ...] = ("bytes",) if is_bytes else ("sse",) if is_event else _TEXTUAL
        if stream_format is not None and stream_format not in names:
            only = " or ".join(map(repr, names))
            asked = type_name(item_type) if event_map is None else "names of events, which event_map needs"
            raise TypeError(f"stream_format={stream_format!r} has no {asked}; that comes with {only}")
        self.formats = tuple(FORMATS[name] for name in names)
        self.stream_format = FORMATS["bytes"] if is_bytes else stream_format and FORMATS[stream_format]
        self.accept = (self.stream_format or self.formats[0]).accept
        if event_map is not None:
            event_map.check(self._data_type, item_type=item_type)
        decode = _event_decoder(self._data_type, response_parser) if event_map is None else event_map.decode
        # An event → an item, or `SKIPPED`; `pydantic.ValidationError` where it does not fit.
        self.decode = _whole_event_decoder(decode) if is_whole_event else decode
        # The short way for an event that is data only, if there is one. Where it raises, `decode` validates once more.
        is_common = not (is_whole_event or event_map or response_parser or callable(until))
        self.decode_common = _common_decoder(self._data_type) if is_common else None
        self.until = until
        self.includes_end: bool = options["include_end"]
        self.terminator = until.strip().encode() if isinstance(until, str) else None  # white space around it is ignored
        self.on_invalid: Literal["raise", "skip"] | Callable[[StreamDecodeError], Any] = options["on_invalid"]
        self.max_event_size: int = options["max_event_size"]

    def format_for(self, response: httpx2.Response) -> StreamFormat | None:
        """The format to read a response in; `None` if its format has no such items."""
        if response.is_redirect:
            return None
        if response.status_code == httpx2.codes.NO_CONTENT:
            return self.stream_format or self.formats[0]
        found = self.stream_format or format_of(response.headers.get("Content-Type", ""))
        if found in self.formats:
            return found
        return JSON_DOCUMENT if FORMATS["jsonl"] in self.formats and is_requested_document(response) else None

    def refusal(self, response: httpx2.Response) -> UnexpectedContentType:
        """The exception for a response in another format, read as far as it arrived."""
        problem, cure = self._refusal(response)
        return UnexpectedContentType(response, problem=problem, cure=cure)

    def _refusal(self, response: httpx2.Response) -> tuple[str, str]:
        """What is wrong with a response in another format, and the cure."""
        if response.has_redirect_location:
            return "and is a redirect, which the client does not follow", "make it with follow_redirects=True"
        if response.status_code == httpx2.codes.NOT_MODIFIED:
            return "and nothing has changed since", "leave If-None-Match and the like out of the request"
        if response.is_redirect and "Location" in response.headers:
            return (
                "and names another place, which is not followed after this status",
                "call the one that Location names",
            )
        if response.is_redirect:
            return "and is a redirect without a Location", "ask the server's operators where it should lead"
        found = format_of(response.headers.get("Content-Type", ""))
        if found is not None and found not in self.formats:
            cure = "or read it as an event stream, with stream_format='sse'"
            if self.event_map is not None:
                return "which has no names of events, as event_map= needs them", f"leave event_map= out, {cure}"
            return f"which has no {type_name(self.item_type)}", f"declare the type of its data alone, {cure}"
        if FORMATS["sse"] in self.formats and begins_event_stream(response.content):
            lines = ", or stream_format='lines' for its lines" if found is FORMATS["lines"] else ""
            return "and begins as an event stream", f"pass stream_format='sse' to read it as one{lines}"
        *names, last = [repr(name) for name, each in FORMATS.items() if each in self.formats]
        cure = "if it is a stream, say its format: stream_format=" + (
            f"{', '.join(names)} or {last}" if names else last
        )
        if names or media_type(response.headers.get("Content-Type", "")) == "application/json":
            cure += "; if it comes all at once, declare it without streaming_response=True, or call client.request"
        return f"where {', '.join(each.media_types[0] for each in self.formats if each.media_types)} was expected", cure

    def reads_json(self, event: ServerSentEvent[bytes]) -> bool:
        """Whether the event's data is parsed as JSON."""
        return not self._has_parser and base_type(self.type_of(event)) is not str

    def type_of(self, event: ServerSentEvent[bytes]) -> Any:
        """The type that the event should have."""
        return self._data_type if self.event_map is None else self.event_map.type_of(event)


class ItemReader(Generic[T]):
    """The items of one response, as its bytes arrive. Raises `NoSuchStream`: it is in another format.

    `before` read the stream before it reconnected; `items_received` counts since the stream began; `ended` says how the
    response ended, `None` as long as it goes on.
    """

    def __init__(self, response: httpx2.Response, plan: ItemPlan, before: ItemReader[T] | None = None) -> None:
        self.items_received: int = before.items_received if before else 0
        self.ended: Ended | None = None
        self.response = response
        self._plan = plan
        self._decode_common = plan.decode_common
        self._terminator = plan.terminator
        named: Any = plan.stream_format or format_of(response.headers.get("Content-Type", ""))
        is_usual = response.status_code == httpx2.codes.OK and named in plan.formats
        if not is_usual and (named := plan.format_for(response)) is None:
            raise NoSuchStream
        self._format: StreamFormat = named
        options = {"encoding": named.encoding(response)} if named.encoding else {}
        self._parser: EventStreamParser | ChunkParser = named.parser(plan.max_event_size, **options)
        is_unsure = plan.stream_format is None and named.encoding and may_be_mislabelled(response, named)
        self._receive: Callable[[bytes], Iterable[Frame]] = self._parser.receive
        if is_unsure:
            self._receive = self._receive_start
        self._start = b""  # which does not tell yet what it is the start of
        asked_for = response.request.headers.get("Last-Event-ID", "")
        self._parser.last_event_id = before.last_event_id if before else asked_for
        if isinstance(self._parser, EventStreamParser) and callable(plan.until):
            self._parser.gives_events_without_data = True
        self._frames: Iterator[Frame] = iter(())
        self._is_at_end = False
        self._cut = ""  # how the end cut what was read last
        self._events_read: int = before._events_read if before else 0
        self._events_before = self._events_read

    @property
    def last_event_id(self) -> str:
        """The id of the last event read; before the first id, the request's own `Last-Event-ID`."""
        return self._parser.last_event_id

    @property
    def _details(self) -> dict[str, Any]:
        return {"response": self.response, "items_received": self.items_received, "last_event_id": self.last_event_id}

    def receive(self, data: bytes) -> None:
        """Receive the next bytes. Call it when all items before them are taken."""
        self._frames = iter(self._receive(data))

    def _receive_start(self, data: bytes) -> Iterable[Frame]:
        """Receive the first bytes of lines. Raises if they begin an event stream under the wrong content type."""
        self._start += data
        is_event_stream = begins_event_stream(self._start)
        if is_event_stream is None:
            return ()
        if is_event_stream:
            refusal = self._plan.refusal(response_with(self.response, self._start))
            refusal.items_received, refusal.last_event_id = self.items_received, self.last_event_id
            raise refusal
        self._receive = self._parser.receive
        data, self._start = self._start, b""
        return self._receive(data)

    def end(self, *, is_framed: bool = True, takes_rest: bool = True) -> None:
        """Note that there are no more bytes. Call it when all items before are taken.

        `is_framed` is `False` where nothing but the end of the connection says so, which may have cut an event. What no
        end follows is an item if `takes_rest`; a document always is, since it has no other end.
        """
        self._is_at_end = True
        start = self._parser.receive(self._start) if self._start else ()
        if self._parser.is_within_event and not is_framed:
            self._cut = "the connection ended within an event"
        elif self._parser.is_within_event and self._parser.needs_its_end:
            self._cut = "it ended before its JSON did"
        self._frames = chain(start, self._parser.end() if takes_rest or self._format is JSON_DOCUMENT else ())

    def take(self) -> Any:
        """The next item in the received bytes; `NO_ITEM` if it needs more bytes, or the stream ends."""
        decode, terminator = self._decode_common, self._terminator  # with the terminator in it, the long way tells
        item: Any
        try:
            for frame in self._frames:
                if decode is not None and type(frame) is bytes and (terminator is None or terminator not in frame):
                    try:
                        item = decode(frame)
                        self._events_read += 1
                    except pydantic.ValidationError:
                        item = self._item(frame)
                else:
                    item = self._item(frame)
                    if self.ended is not None:
                        self._frames = iter(())
                        if item is SKIPPED:
                            return NO_ITEM
                if item is not SKIPPED:
                    self.items_received += 1
                    return item
        except OversizedEvent:
            limit = self._plan.max_event_size
            raise EventTooLarge(event_number=self._events_read + 1, max_event_size=limit, **self._details) from None
        except (StopIteration, StopAsyncIteration) as error:  # it would pass for the end of the items
            raise RuntimeError(f"what reads {type_name(self._plan.item_type)} raised {error!r}") from error
        if self._is_at_end and self.ended is None:
            self._finish()
        return NO_ITEM

    def cut_short(self, error: httpx2.RequestError | httpx2.StreamError) -> None:
        """Note that the connection failed with this error."""
        interrupted = self.interrupted(reason(error, self.response.request))
        interrupted.__cause__ = error.with_traceback(None)  # which would hold the stream that is being read
        self._end("cut short", interrupted)

    def left(self, *, to_restart: bool) -> None:
        """Note that the body was closed: for a restart, or with its client or event loop."""
        if to_restart:
            self._end("restarted")
        else:
            self._end("refused", self.interrupted("its client, or its event loop, was closed"))

    def interrupted(
        self, reason: str = "", *, what: str = "the stream was cut short", attempts: int = 0
    ) -> StreamInterrupted:
        """The exception for a stream that was cut short here, with the number of attempts to reconnect."""
        items = "1 item" if self.items_received == 1 else f"{self.items_received} items"
        message = f"{what} after {items}" + (f": {reason}" if reason else "")
        return StreamInterrupted(message, request=self.response.request, attempts=attempts, **self._details)

    def _finish(self) -> None:
        until = self._plan.until
        if self.response.status_code == httpx2.codes.NO_CONTENT:
            self._end("finished")
        elif until is not None:
            shown = repr(until) if isinstance(until, str) else getattr(until, "__name__", type(until).__name__)
            awaited = f"it ended without the event, whole, that until={shown} waits for"
            self._end("unfinished", self.interrupted(awaited))
        elif self._cut:
            self._end("cut short", self.interrupted(self._cut))
        elif self._parser.is_complete:
            self._end("finished")
        else:
            self._end("body ended", self.interrupted(what="the server ended the stream"))

    def _end(self, how: Ending, cause: StreamInterrupted | None = None) -> None:
        had_events = self._events_read > self._events_before
        self.ended = Ended(how, cause, had_events=had_events, retry=self._parser.retry)

    def _item(self, frame: Frame) -> Any:
        """Turn a frame into an item, `SKIPPED`, or the end of the stream."""
        if isinstance(frame, Comment):
            return frame if self._plan.takes_comments else SKIPPED
        if isinstance(frame, EventWithoutData):
            if self._is_end(frame):
                self._end("finished")
            return SKIPPED
        if isinstance(frame, UnfinishedEvent):
            if self._cut:
                return SKIPPED
            is_end = self._plan.until is not None and self._is_end(frame.event)
            if is_end:
                self._end("finished")
            if not is_end or not self._plan.includes_end or not frame.has_data:
                if is_end:
                    return SKIPPED
                where = f"{self.response.request.method} {request_url(self.response.request)}"
                logger.warning(
                    "%s: the stream ended within an event, which is dropped: %s", where, excerpt(frame.beginning)
                )
                return SKIPPED
            frame = frame.event
        self._events_read += 1
        if isinstance(frame, BrokenText):
            separator = ", or does not follow a record separator" if self._format is FORMATS["json-seq"] else ""
            broken = ValueError(f"the text is cut short, or stands where none can{separator}")
            return self._invalid(ServerSentEvent(frame.data), validation_error(broken, frame.data))
        event = ServerSentEvent(frame, id=self.last_event_id) if isinstance(frame, bytes) else frame
        if self.ended is None and self._plan.until is not None and self._is_end(event):
            self._end("finished")
            if not self._plan.includes_end:
                return SKIPPED
        try:
            return self._plan.decode(event)
        except pydantic.ValidationError as error:
            if not event.data.strip() and self._format is FORMATS["sse"] and self._plan.reads_json(event):
                return SKIPPED  # as servers send it to set `id` and `retry`
            return self._invalid(event, error)

    def _is_end(self, event: ServerSentEvent[bytes]) -> object:
        """Whether `until` says that the event ends the stream."""
        until = self._plan.until
        if callable(until):
            return not_awaitable("until", until(text_event(event)))
        return event.data.strip() == self._terminator

    def _invalid(self, event: ServerSentEvent[bytes], error: pydantic.ValidationError) -> Any:
        exception = StreamDecodeError(
            event=text_event(event),
            event_number=self._events_read,
            is_end=self.ended is not None,
            expected=self._plan.type_of(event),
            validation_error=error,
            **self._details,
        )
        exception.__cause__ = error
        on_invalid = self._plan.on_invalid
        if on_invalid == "raise":
            raise exception
        if on_invalid == "skip":
            logger.warning("skipped: %s", exception, extra={"stream_event": exception.event})
            return SKIPPED
        return not_awaitable("on_invalid", on_invalid(exception))


def _taken_apart(item_type: Any) -> tuple[Any, bool, bool]:
    """Take an item type apart: the type of the data, whether events are whole, whether comments are items."""
    members = _members_with_frames(item_type)
    others = tuple(member for member in members if class_of(member) is not Comment)
    if not others:
        raise TypeError("Comment alone would yield no event; declare a union, such as ServerSentEvent | Comment")
    takes_comments = len(others) < len(members)
    whole = [member for member in others if class_of(member) is ServerSentEvent]
    if not whole:
        return (typing.Union[others] if takes_comments else item_type), False, takes_comments  # noqa: UP007
    if len(whole) < len(others):
        cure = "declare ServerSentEvent[A | B], or A | B"
        raise TypeError(f"{type_name(item_type)} is an event for some and its data for others; {cure}")
    data_types = tuple((typing.get_args(base_type(member)) or (str,))[0] for member in whole)
    return typing.Union[data_types], True, takes_comments  # noqa: UP007


def _members_with_frames(annotation: Any) -> list[Any]:
    """The members of a union, nested unions of frames included; any other type alone."""
    if not any(class_of(member) in (Comment, ServerSentEvent) for member in members_of(annotation)):
        return [annotation]
    members = union_members(base_type(annotation))
    return [each for member in members for each in _members_with_frames(member)] or [annotation]


def _event_decoder(data_type: Any, response_parser: Callable[[str], Any] | None) -> DecodeEvent:
    if response_parser is not None:
        parse = parser_decoder(response_parser)
        return lambda event: parse(event.data.decode("utf-8", "replace"))
    decode = type_adapter(data_type).validate_python if base_type(data_type) is bytes else data_decoder(data_type)
    return lambda event: decode(event.data)


def _common_decoder(data_type: Any) -> Decode:
    if data_type is str:
        return methodcaller("decode", "utf-8", "replace")
    if base_type(data_type) is str:
        return data_decoder(data_type)
    adapter = type_adapter(data_type)
    if not is_defined(adapter) or has_decimals(data_type):
        return json_decoder(data_type)
    return adapter.validate_python if base_type(data_type) is bytes else adapter.validator.validate_json


def _whole_event_decoder(decode: DecodeEvent) -> DecodeEvent:
    def decode_event(event: ServerSentEvent[bytes]) -> Any:
        data = decode(event)
        return data if data is SKIPPED else ServerSentEvent(data, event.event, event.id, event.retry)

    return decode_event
