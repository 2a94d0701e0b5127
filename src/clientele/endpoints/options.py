"""How an endpoint's calls are made, beyond what its signature says: the keywords of its decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypedDict

import httpx2

from ..exceptions import StreamDecodeError
from ..http_clients import TimeoutTypes
from ..streaming.formats import FORMATS, FormatName
from ..streaming.reconnect import Reconnect
from ..streaming.sse import DEFAULT_MAX_EVENT_SIZE, ServerSentEvent
from ..validation import check_function, is_number

Until: TypeAlias = str | Callable[[ServerSentEvent[str]], bool]
OnInvalid: TypeAlias = Literal["raise", "skip"] | Callable[[StreamDecodeError], Any]

CLIENT_DEFAULT: Any = object()  # the timeout of the client


class AnswerOptions(TypedDict, total=False):
    """The keywords that every call takes.

    Attributes:
        timeout: Timeouts for this endpoint's requests, in seconds, in any form that httpx2 takes; default the client's.
            Of a stream, the read timeout bounds only the reading of an error's body.
        response_map: The type of the answer for some statuses. Any other status that is no success raises
            `HTTPStatusError`. Of a stream, statuses of 400 and above, for the `parsed` of `HTTPStatusError`.
        response_parser: Makes the result of the `httpx2.Response`, in place of the declared type; of a stream, the item
            of the text of each event's data. A `ValueError` from it says that the answer, or the event, does not fit.
    """

    timeout: TimeoutTypes
    response_map: Mapping[int, Any]
    response_parser: Callable[[Any], Any]


class StreamOptions(AnswerOptions, total=False):
    """The keywords that every streaming call takes.

    Attributes:
        idle_timeout: After how many seconds without a byte the stream counts as interrupted. Default `None`: never.
        max_event_size: The largest event taken, in bytes. Default 16 MiB.
        stream_format: The format: `"sse"`, `"jsonl"`, `"json-seq"`, `"lines"` or `"bytes"`; it is asked for, and what
            comes is read so, whatever its content type. Default: the content type says it.
        until: What ends the stream: the data of an event, or a function that is given each event and says whether it
            does. That event is not yielded; a stream that ends without it was interrupted. Default: it ends by itself.
        event_map: How the events of each name are handled: a type for their data, `None` to skip them, an exception
            class to raise one made of the event; `"*"` stands for all other names, which are skipped otherwise.
        on_invalid: How an event is handled that is not of its type: `"raise"`, the default; `"skip"`, with a warning
            in the log; or a function that is given the `StreamDecodeError` and returns an item in its place, or raises.
        reconnect: Whether, and how, Clientele reconnects when the connection ends: it sends the same request again,
            with `Last-Event-ID` if an id is known. The stream ends with `until` then, or with status 204, and not with
            a body. Default `False`: a repeated request may cost something.
    """

    idle_timeout: float | None
    max_event_size: int
    stream_format: FormatName
    until: Until
    event_map: Mapping[str, Any]
    on_invalid: OnInvalid
    reconnect: bool | Reconnect


class CallArguments(TypedDict, total=False):
    """What is sent by a call without a declaration.

    Attributes:
        data: The body: text, bytes and iterators of bytes as they are, everything else as JSON.
        query: Query parameters: a mapping, model, dataclass or typed dict.
        headers: Headers, in the same forms.
        path_params: The values of the path's placeholders.
    """

    data: Any
    query: Any
    headers: Any
    path_params: Mapping[str, Any]


class RequestOptions(CallArguments, AnswerOptions, total=False):
    """The keywords of `APIClient.request`: those of `CallArguments` and `AnswerOptions`."""


class StreamRequestOptions(CallArguments, StreamOptions, total=False):
    """The keywords of `APIClient.stream`: those of `CallArguments` and `StreamOptions`."""


class EndpointOptions(StreamOptions, total=False):
    """The keywords that every endpoint's decorator takes; those of `StreamOptions` are for streams.

    Attributes:
        streaming_response: The answer is a stream: `result` is an iterator of its items. Default `False`.
    """

    streaming_response: bool


@dataclass(frozen=True, slots=True)
class Options:
    """The same, checked, with the defaults filled in; a `TypeError` or `ValueError` says what is wrong with one."""

    streaming_response: bool = False
    timeout: Any = CLIENT_DEFAULT
    response_map: Mapping[int, Any] | None = None
    response_parser: Callable[[Any], Any] | None = None
    idle_timeout: float | None = None
    max_event_size: int = DEFAULT_MAX_EVENT_SIZE
    stream_format: FormatName | None = None
    until: Until | None = None
    event_map: Mapping[str, Any] | None = None
    on_invalid: OnInvalid = "raise"
    reconnect: bool | Reconnect = False

    @property
    def reconnect_policy(self) -> Reconnect | None:
        """When and how a stream reconnects; `None` for never."""
        return self.reconnect if isinstance(self.reconnect, Reconnect) else Reconnect() if self.reconnect else None

    def __post_init__(self) -> None:
        for field in () if self.streaming_response else fields(self):
            if field.name in _FOR_STREAMS and getattr(self, field.name) != field.default:
                raise TypeError(f"{field.name} is for streams; add streaming_response=True, or leave it out")
        for name in ("response_map", "event_map"):
            if self.response_parser is not None and getattr(self, name) is not None:
                raise TypeError(f"response_parser does not go with {name}; leave one out")
        if self.response_parser is not None:
            check_function("response_parser", self.response_parser, "a function")
        if self.until is not None and not isinstance(self.until, str):
            check_function("until", self.until, "the data of an event, or a function of an event")
        if self.on_invalid not in ("raise", "skip"):
            check_function("on_invalid", self.on_invalid, "'raise', 'skip' or a function of a StreamDecodeError")
        for name, (kinds, words) in _KINDS.items():
            if not isinstance(value := getattr(self, name), kinds) and value is not CLIENT_DEFAULT:
                raise TypeError(f"{name} is {value!r}; it is {words}")
        if self.stream_format not in (None, *FORMATS):
            raise ValueError(f"stream_format is {self.stream_format!r}; it is one of {', '.join(map(repr, FORMATS))}")
        if (idle := self.idle_timeout) is not None and not is_number(idle, int, float):
            raise ValueError(f"idle_timeout is {idle!r}; it is a finite number of seconds above 0, or None")
        if not is_number(self.max_event_size, int):
            raise ValueError(f"max_event_size is {self.max_event_size!r}; it is a number of bytes above 0")
        lowest, kind = (400, "an error status") if self.streaming_response else (200, "a status")
        for status in self.response_map or ():
            if not (isinstance(status, int) and lowest <= status <= 599):  # type: ignore[redundant-expr]
                raise ValueError(f"response_map has the key {status!r}; it is {kind}, a number from {lowest} to 599")


_FOR_STREAMS = StreamOptions.__annotations__.keys() - AnswerOptions.__annotations__.keys()

_KINDS: dict[str, tuple[Any, str]] = {
    "streaming_response": (bool, "True or False"),
    "timeout": (int | float | tuple | httpx2.Timeout | None, "a number of seconds, httpx2.Timeout(...) or None"),
    "response_map": (Mapping | None, "a mapping of statuses to types"),
    "reconnect": (bool | Reconnect, "True, False or api.Reconnect(...)"),
}
