"""How an endpoint's calls are made, beyond what its signature says: the keywords of its decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypedDict

import httpx2

from ..checks import check_function, is_number
from ..exceptions import StreamDecodeError
from ..http_clients import TimeoutTypes
from ..streaming.formats import FORMATS, FormatName
from ..streaming.reconnect import Reconnect
from ..streaming.sse import DEFAULT_MAX_EVENT_SIZE, ServerSentEvent

Until: TypeAlias = str | Callable[[ServerSentEvent[str]], bool]
OnInvalid: TypeAlias = Literal["raise", "skip"] | Callable[[StreamDecodeError], Any]

CLIENT_DEFAULT: Any = object()
"""The timeout of the client."""


class AnswerOptions(TypedDict, total=False):
    """The keywords that every call takes.

    Attributes:
        timeout: Timeouts for this endpoint's requests, in seconds, in any form that httpx2 takes; default the client's.
            Of a stream, the read timeout bounds only the reading of an error's body.
        response_map: For some statuses, the type of the answer. A status of 400 and above that is not in the map
            raises `HTTPStatusError`, and any other that is no success does, too; a success is of the declared type.
            Of a stream, statuses of 400 and above, for the `parsed` of `HTTPStatusError`.
        response_parser: Makes the result of the `httpx2.Response`, in place of the declared type; of a stream, the item
            of the text of each event's data. A `ValueError` from it says that the answer, or the event, does not fit.
    """

    timeout: TimeoutTypes
    response_map: Mapping[int, Any]
    response_parser: Callable[[Any], Any]


class StreamOptions(AnswerOptions, total=False):
    """The keywords that every streaming call takes.

    Attributes:
        idle_timeout: After how many seconds without a byte the stream counts as interrupted. Default `None`: never, a
            quiet stream is not a broken one.
        max_event_size: The largest event taken, in bytes. Default 16 MiB.
        stream_format: The format: `"sse"`, `"jsonl"`, `"json-seq"`, `"lines"` or `"bytes"`; it is asked for, and what
            comes is read so, whatever its content type. Default: the content type says it.
        until: What ends the stream: the data of an event, or a function that is given each event and says whether it
            does. That event is not yielded; a stream that ends without it was interrupted. Default: it ends by itself.
        event_map: What becomes of the events of each name: a type for their data, `None` to skip them, an exception
            class to raise one made of the event; `"*"` stands for all other names, which are skipped otherwise.
        on_invalid: What becomes of an event that is not of its type: `"raise"`, the default; `"skip"`, with a warning
            in the log; or a function that is given the `StreamDecodeError` and returns an item in its place, or raises.
        reconnect: Whether, and how, the stream is taken up again when its connection has ended: the same request is
            sent again, with `Last-Event-ID` if an id is known. The stream ends with `until` then, or with status 204,
            and not with a body. Default `False`: a repeated request may cost something.
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
    """The same, checked, with the defaults filled in.

    Raises:
        TypeError: An option is of the wrong kind, or does not go with another.
        ValueError: A number is out of its range.
    """

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
        """When and how a stream is taken up again; `None` for never."""
        return self.reconnect if isinstance(self.reconnect, Reconnect) else Reconnect() if self.reconnect else None

    def __post_init__(self) -> None:
        if not isinstance(self.streaming_response, bool):
            raise TypeError(f"streaming_response is {self.streaming_response!r}; it is True or False")
        self._check_company()
        self._check_functions()
        self._check_statuses()
        if self.stream_format is not None and self.stream_format not in list(FORMATS):
            raise ValueError(f"stream_format is {self.stream_format!r}; it is one of {', '.join(map(repr, FORMATS))}")
        if self.idle_timeout is not None and not is_number(self.idle_timeout, int, float):
            raise ValueError(
                f"idle_timeout is {self.idle_timeout!r}; it is a finite number of seconds above 0, or None"
            )
        if not _is_timeout(self.timeout):
            raise TypeError(f"timeout is {self.timeout!r}; it is a number of seconds, httpx2.Timeout(...) or None")
        if not is_number(self.max_event_size, int):
            raise ValueError(f"max_event_size is {self.max_event_size!r}; it is a number of bytes above 0")
        if not isinstance(self.reconnect, bool | Reconnect):
            raise TypeError(f"reconnect is {self.reconnect!r}; it is True, False or api.Reconnect(...)")

    def _check_company(self) -> None:
        if not self.streaming_response:
            for field in fields(self):
                if field.name in _FOR_STREAMS and getattr(self, field.name) != field.default:
                    raise TypeError(f"{field.name} is for streams; add streaming_response=True, or leave it out")
        for name in ("response_map", "event_map"):
            if self.response_parser is not None and getattr(self, name) is not None:
                raise TypeError(f"response_parser does not go with {name}; leave one out")

    def _check_functions(self) -> None:
        if self.response_parser is not None:
            check_function("response_parser", self.response_parser, "a function")
        if self.until is not None and not isinstance(self.until, str):
            check_function("until", self.until, "the data of an event, or a function of an event")
        if self.on_invalid not in ("raise", "skip"):
            check_function("on_invalid", self.on_invalid, "'raise', 'skip' or a function of a StreamDecodeError")

    def _check_statuses(self) -> None:
        lowest, kind = (400, "an error status") if self.streaming_response else (200, "a status")
        if not isinstance(self.response_map, Mapping | None):
            raise TypeError(f"response_map is {self.response_map!r}; it is a mapping of statuses to types")
        for status in self.response_map or ():
            if not (isinstance(status, int) and lowest <= status <= 599):  # type: ignore[redundant-expr]
                raise ValueError(f"response_map has the key {status!r}; it is {kind}, a number from {lowest} to 599")


_FOR_STREAMS = StreamOptions.__annotations__.keys() - AnswerOptions.__annotations__.keys()


def _is_timeout(value: object) -> bool:
    return value is CLIENT_DEFAULT or value is None or isinstance(value, int | float | tuple | httpx2.Timeout)
