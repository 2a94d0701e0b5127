"""From frames to items, without I/O: what the `T` in `Iterator[T]` makes of a stream.

| `T` | item |
|---|---|
| `str` | the event's data as text, nothing parsed |
| `bytes` | the body's bytes as they arrive |
| `ServerSentEvent[T]` | the whole event, its data as `T` |
| a union with `Comment` | comments too, in order |
| anything else Pydantic takes | the event's data, parsed as JSON and validated |

An `ItemPlan` holds all of that, worked out once, when the endpoint is declared. An `ItemReader` applies it to one
response. The functions that users hand in see an event with its data as text, whatever format the stream is in: a line,
say, is an event with nothing but data.
"""

from __future__ import annotations

import logging
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, TypeAlias, TypeVar

import httpx2
import pydantic

from ..checks import not_awaitable
from ..exceptions import EventTooLarge, StreamDecodeError, StreamInterrupted, UnexpectedContentType, reason, type_name
from ..hydration import (
    Decode,
    base_type,
    class_of,
    data_decoder,
    members_of,
    parser_decoder,
    type_adapter,
    union_members,
    validation_error,
)
from .event_map import SKIPPED, DecodeEvent, EventMap
from .formats import FORMATS, JSON_DOCUMENT, FormatName, Frame, StreamFormat, format_of, is_requested_document
from .lines import BrokenText
from .reconnect import Ended, Ending
from .sse import DEFAULT_MAX_EVENT_SIZE, Comment, OversizedEvent, ServerSentEvent, text_event

T = TypeVar("T")
_TEXTUAL: tuple[FormatName, ...] = ("sse", "jsonl", "json-seq", "lines")
IsEnd: TypeAlias = Callable[[ServerSentEvent[bytes]], bool]
OnInvalid: TypeAlias = Callable[[StreamDecodeError], Any]

logger = logging.getLogger("clientele")


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """What becomes of the frames of a stream.

    Attributes:
        item_type: The type of the items.
        formats: The formats that have items of this type.
        stream_format: The one that the stream comes in, whatever its media type is; `None` if that is to say.
        decode: How an event becomes an item, or `SKIPPED`; it raises `pydantic.ValidationError` where it does not fit.
        decode_common: The same, without detours, for the data of an event that has nothing else. Where it raises,
            `decode` has the last word, and validates once more. `None` if there is no such way.
        type_of: The type that an event should have been.
        takes_comments: Whether comments are items.
        terminator: The data of the event that ends the stream; `None` if none does.
        is_end: Whether an event does; `None` if none does. It is not asked of comments.
        end_shown: What was declared to tell it.
        on_invalid: What stands in for an item that does not fit.
        max_event_size: The largest event taken, in bytes.
    """

    item_type: Any
    formats: tuple[StreamFormat, ...]
    stream_format: StreamFormat | None
    decode: DecodeEvent
    decode_common: Decode | None
    type_of: Callable[[ServerSentEvent[bytes]], Any]
    takes_comments: bool
    terminator: bytes | None
    is_end: IsEnd | None
    end_shown: str
    on_invalid: OnInvalid
    max_event_size: int

    @property
    def awaits_end(self) -> bool:
        """Whether the stream has an event that ends it."""
        return self.terminator is not None or self.is_end is not None

    @property
    def accept(self) -> str:
        """The `Accept` header to send."""
        return (self.stream_format or self.formats[0]).accept

    def format_for(self, response: httpx2.Response) -> StreamFormat:
        """The format to read a response in.

        Raises:
            UnexpectedContentType: The response's media type names none, or one that has no such items; or the response
                is a redirect, which the client does not follow.
        """
        if response.is_redirect:
            raise UnexpectedContentType(response, cure="and it is a redirect, which the client does not follow")
        if response.status_code == httpx2.codes.NO_CONTENT:
            return self.stream_format or self.formats[0]
        found = self.stream_format or format_of(response)
        if found in self.formats:
            return found
        if FORMATS["jsonl"] in self.formats and is_requested_document(response):
            return JSON_DOCUMENT
        raise UnexpectedContentType(response, cure=self._cure(found))

    def _cure(self, found: StreamFormat | None) -> str:
        expected = " or ".join(each.media_types[0] for each in self.formats)
        if found is not None:
            return f"which has no {type_name(self.item_type)}; that comes in {expected} only"
        return (
            f"where {expected} was expected; if this endpoint answers all at once, declare it without "
            "streaming_response=True, or call client.request; if it is a stream all the same, say its format: "
            "stream_format='jsonl', for example"
        )


class ItemReader(Iterable[T]):
    """The items of one response, as far as its bytes have arrived.

    Parameters:
        response: The response that the bytes belong to.
        plan: What becomes of its frames.
        before: What read the stream before it was taken up again with this response. Default `None`: it begins here.

    Attributes:
        response: As given.
        items: The items in the bytes that were received last. They stop where more bytes are needed, or where the
            stream ends.
        items_received: How many items have been yielded, since the stream began.
        ended: How the response ended; `None` as long as it goes on.

    Raises:
        UnexpectedContentType: The response is no stream of such items.
    """

    def __init__(self, response: httpx2.Response, plan: ItemPlan, before: ItemReader[T] | None = None) -> None:
        self.items: Iterator[T] = iter(())
        self.items_received: int = before.items_received if before else 0
        self.ended: Ended | None = None
        self.response = response
        self._plan = plan
        self._format = plan.format_for(response)
        asked_for = response.request.headers.get("Last-Event-ID", "")
        self._parser = self._format.make_parser(response, plan.max_event_size)
        self._parser.last_event_id = before.last_event_id if before else asked_for
        self._events_before: int = before._events_read if before else 0
        self._events_read: int = self._events_before

    @property
    def last_event_id(self) -> str:
        """The id of the last event that was read; before the first that has one, the one that the request named."""
        return self._parser.last_event_id

    def __iter__(self) -> Iterator[T]:
        return self.items

    def receive(self, data: bytes) -> None:
        """Take the next bytes, once the items in those before have been read."""
        self.items = self._read(self._parser.receive(data))

    def end(self, *, is_framed: bool = True, takes_rest: bool = True) -> None:
        """Take note that there are no more bytes, once the items in those before have been read.

        Parameters:
            is_framed: Whether more says so than the end of the connection, which may have cut an event. Default `True`.
            takes_rest: Whether a last line without an end, say, is an item all the same. A document always is, which
                has no other end. Default `True`.
        """
        rest = self._parser.end() if takes_rest or self._format is JSON_DOCUMENT else ()
        self.items = self._read_last(rest, is_cut=not is_framed and self._parser.is_within_event)

    def _read(self, frames: Iterable[Frame]) -> Iterator[T]:
        decode, terminator = self._plan.decode_common, self._plan.terminator
        item: Any
        try:
            for frame in frames:
                if decode is not None and type(frame) is bytes and frame != terminator:  # the short way
                    try:
                        item = decode(frame)
                        self._events_read += 1
                    except pydantic.ValidationError:
                        item = self._item(frame)
                else:
                    item = self._item(frame)
                    if self.ended is not None:
                        return
                if item is not SKIPPED:
                    self.items_received += 1
                    yield item
        except OversizedEvent:
            raise EventTooLarge(
                event_number=self._events_read + 1,
                max_event_size=self._plan.max_event_size,
                response=self.response,
                items_received=self.items_received,
                last_event_id=self.last_event_id,
            ) from None
        except (StopIteration, StopAsyncIteration) as error:  # it would pass for the end of the items
            raise RuntimeError(f"what reads {type_name(self._plan.item_type)} raised {error!r}") from error

    def _read_last(self, frames: Iterable[Frame], *, is_cut: bool) -> Iterator[T]:
        yield from self._read(frames)
        if self.ended is not None:
            return
        if self.response.status_code == httpx2.codes.NO_CONTENT:
            self._end(Ending.FINISHED)
        elif self._plan.awaits_end:
            awaited = f"until={self._plan.end_shown} waits for"
            self._end(Ending.UNFINISHED, self.interrupted(f"it ended without the event, whole, that {awaited}"))
        elif is_cut:
            self._end(Ending.CUT_SHORT, self.interrupted("the connection ended within an event"))
        elif self._format is JSON_DOCUMENT:
            self._end(Ending.FINISHED)
        else:
            self._end(Ending.END_OF_BODY, self.interrupted(what="the server ended the stream"))

    def cut_short(self, error: httpx2.RequestError | httpx2.StreamError) -> None:
        """Take note that no more bytes came, since this went wrong."""
        interrupted = self.interrupted(reason(error, self.response.request))
        interrupted.__cause__ = error
        self._end(Ending.CUT_SHORT, interrupted)

    def left(self, *, to_restart: bool) -> None:
        """Take note that the body was closed though the stream was not.

        Parameters:
            to_restart: Whether the stream is to be taken up again. Otherwise what it belongs to was closed.
        """
        if to_restart:
            self._end(Ending.RESTARTED)
        else:
            self._end(Ending.REFUSED, self.interrupted("its client, or its event loop, was closed"))

    def interrupted(
        self, reason: str = "", *, what: str = "the stream was cut short", attempts: int = 0
    ) -> StreamInterrupted:
        """The exception for a stream that was cut short here.

        Parameters:
            reason: How it was, in words. Default `""`: there is no more to say.
            what: What happened to it. Default: it was cut short.
            attempts: How many attempts to take it up again have failed.
        """
        items = "1 item" if self.items_received == 1 else f"{self.items_received} items"
        return StreamInterrupted(
            f"{what} after {items}" + (f": {reason}" if reason else ""),
            request=self.response.request,
            response=self.response,
            items_received=self.items_received,
            last_event_id=self.last_event_id,
            attempts=attempts,
        )

    def _end(self, how: Ending, cause: StreamInterrupted | None = None) -> None:
        had_events = self._events_read > self._events_before
        self.ended = Ended(how, cause, had_events=had_events, retry=self._parser.retry)

    def _item(self, frame: Frame) -> Any:
        """What becomes of a frame: an item, `SKIPPED`, or the end of the stream."""
        if isinstance(frame, Comment):
            return frame if self._plan.takes_comments else SKIPPED
        self._events_read += 1
        if isinstance(frame, BrokenText):
            broken = ValueError("the text is cut short, or does not follow a record separator")
            return self._invalid(ServerSentEvent(frame.data), validation_error(broken, frame.data))
        event = self._event(frame)
        if event.data == self._plan.terminator or (self._plan.is_end is not None and self._plan.is_end(event)):
            self._end(Ending.FINISHED)
            return SKIPPED
        try:
            return self._plan.decode(event)
        except pydantic.ValidationError as error:
            return self._invalid(event, error)

    def _event(self, frame: bytes | ServerSentEvent[bytes]) -> ServerSentEvent[bytes]:
        return ServerSentEvent(frame, id=self.last_event_id) if isinstance(frame, bytes) else frame

    def _invalid(self, event: ServerSentEvent[bytes], error: pydantic.ValidationError) -> Any:
        exception = StreamDecodeError(
            event=text_event(event),
            event_number=self._events_read,
            expected=self._plan.type_of(event),
            validation_error=error,
            response=self.response,
            items_received=self.items_received,
            last_event_id=self.last_event_id,
        )
        exception.__cause__ = error
        return not_awaitable("on_invalid", self._plan.on_invalid(exception))


def item_plan(
    item_type: Any,
    *,
    stream_format: FormatName | None = None,
    until: str | Callable[[ServerSentEvent[str]], object] | None = None,
    event_map: EventMap | None = None,
    response_parser: Callable[[str], Any] | None = None,
    on_invalid: str | OnInvalid = "raise",
    max_event_size: int = DEFAULT_MAX_EVENT_SIZE,
) -> ItemPlan:
    """Work out what becomes of the frames of a stream.

    Parameters:
        item_type: The `T` of the endpoint's `result`.
        stream_format: The format that the stream comes in. Default: what its media type says.
        until: The data of the event that ends the stream, or a function that tells it. Default: none does.
        event_map: What becomes of the events of each name. Default: all are of the declared type.
        response_parser: What makes an item, or its data, of an event's data. Default: the declared type does.
        on_invalid: What becomes of an event that does not fit: `"raise"`, `"skip"`, or a function of the exception.
        max_event_size: The largest event taken, in bytes.

    Raises:
        TypeError: No such items can be made of such a stream.
    """
    data_type, is_whole_event, takes_comments = _taken_apart(item_type)
    is_bytes = any(base is bytes for base in members_of(data_type)) and response_parser is None
    is_event = is_whole_event or takes_comments or event_map is not None
    if is_bytes and (is_event or until is not None or base_type(data_type) is not bytes):
        raise TypeError("bytes are yielded as they arrive, not as events; declare str, or a type without bytes")
    names: tuple[FormatName, ...] = ("bytes",) if is_bytes else ("sse",) if is_event else _TEXTUAL
    if stream_format is not None and stream_format not in names:
        only = " or ".join(map(repr, names))
        asked = type_name(item_type) if event_map is None else "names of events, which event_map needs"
        raise TypeError(f"stream_format={stream_format!r} has no {asked}; that comes with {only}")
    if event_map is not None:
        event_map.check(data_type, item_type=item_type)
        decode: DecodeEvent = event_map.decode
        type_of: Callable[[ServerSentEvent[bytes]], Any] = event_map.type_of
    else:
        decode, type_of = _event_decoder(data_type, response_parser), lambda event: data_type
    is_common = not (is_whole_event or event_map or response_parser or callable(until))
    return ItemPlan(
        item_type=item_type,
        formats=tuple(FORMATS[name] for name in names),
        stream_format=FORMATS["bytes"] if is_bytes else stream_format and FORMATS[stream_format],
        decode=_whole_event_decoder(decode) if is_whole_event else decode,
        decode_common=_common_decoder(data_type) if is_common else None,
        type_of=type_of,
        takes_comments=takes_comments,
        terminator=until.encode() if isinstance(until, str) else None,
        is_end=_end_test(until) if callable(until) else None,
        end_shown=repr(until) if isinstance(until, str) else getattr(until, "__name__", type(until).__name__),
        on_invalid=on_invalid if callable(on_invalid) else _ON_INVALID[on_invalid],
        max_event_size=max_event_size,
    )


def _taken_apart(item_type: Any) -> tuple[Any, bool, bool]:
    """The type of an event's data, whether the whole event is asked for, and whether comments are."""
    members = _members_with_frames(item_type)
    others = tuple(member for member in members if class_of(member) is not Comment)
    if not others:
        raise TypeError("Comment alone would yield no event; declare a union, such as ServerSentEvent | Comment")
    takes_comments = len(others) < len(members)
    whole = [member for member in others if class_of(member) is ServerSentEvent]
    if not whole:
        return (typing.Union[others] if takes_comments else item_type), False, takes_comments  # noqa: UP007
    if len(whole) < len(others):
        raise TypeError(
            f"{type_name(item_type)} is an event for some and its data for others; "
            "declare ServerSentEvent[A | B], or A | B"
        )
    data_types = tuple((typing.get_args(base_type(member)) or (str,))[0] for member in whole)
    return typing.Union[data_types], True, takes_comments  # noqa: UP007


def _members_with_frames(annotation: Any) -> list[Any]:
    """The members of a union, and of those within it that have frames among theirs; other types as they are."""
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
    return adapter.validate_python if base_type(data_type) is bytes else adapter.validator.validate_json


def _whole_event_decoder(decode: DecodeEvent) -> DecodeEvent:
    def decode_event(event: ServerSentEvent[bytes]) -> Any:
        data = decode(event)
        return data if data is SKIPPED else ServerSentEvent(data, event.event, event.id, event.retry)

    return decode_event


def _end_test(until: Callable[[ServerSentEvent[str]], object]) -> IsEnd:
    return lambda event: bool(not_awaitable("until", until(text_event(event))))


def _raise(error: StreamDecodeError) -> Any:
    raise error


def _skip(error: StreamDecodeError) -> Any:
    logger.warning("skipped: %s", error, extra={"event": error.event})
    return SKIPPED


_ON_INVALID: dict[str, OnInvalid] = {"raise": _raise, "skip": _skip}
