"""The options of an endpoint: the keywords of its decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from ..exceptions import StreamDecodeError
from ..settings import TimeoutTypes, check_timeout
from ..streaming.formats import FORMATS, FormatName
from ..streaming.reconnect import Reconnect, Retry
from ..streaming.sse import DEFAULT_MAX_EVENT_SIZE, ServerSentEvent
from ..validation import Check, function_check, instance_check, is_number, value_check

Until: TypeAlias = str | Callable[[ServerSentEvent[str]], bool]
OnInvalid: TypeAlias = Literal["raise", "skip"] | Callable[[StreamDecodeError], Any]

CLIENT_DEFAULT: Any = object()  # the timeout of the client


@dataclass(frozen=True, slots=True)
class Raised:
    """A type in a `response_map` whose status raises `HTTPStatusError`, with the body as this type in `parsed`.

    ```python
    @client.get("/users/{user_id}", response_map={404: api.Raised(NotFound)})
    def get_user(result: User, user_id: int) -> User:
        return result
    ```

    Without `Raised`, a mapped error status is a result, and the result's type must include it. A stream raises every
    mapped status.

    Parameters:
        type: The type of the body. The result's type need not include it.
    """

    type: Any


class AnswerOptions(TypedDict, total=False):
    """The options of every call.

    Attributes:
        timeout: Timeouts in seconds: one for all, or `httpx2.Timeout`. For a stream, the read timeout bounds only the
            body of an error. Default: the client's.
        response_map: The types of the result by status, `{200: User, 404: NotFound}`. An error status that is not in it
            raises `HTTPStatusError`. For a stream, and for types within `Raised(...)`: the types of error bodies, for
            `HTTPStatusError.parsed`. Default: none.
        response_parser: A function that makes the result from the `httpx2.Response`; for a stream, an item from the
            text of an event's data. A `ValueError` from it makes the response, or the event, invalid. Default: none.
        retry: Whether a failed call, or the failed opening of a stream, is retried, and how. Default: the client's.
        exclude_unset: Whether to leave out fields of a body that were not set. Default: the client's.
        exclude_none: Whether to leave out fields of a body that are `None`. Default: the client's.
    """

    timeout: TimeoutTypes
    response_map: Mapping[int, Any]
    response_parser: Callable[[Any], Any]
    retry: bool | Retry
    exclude_unset: bool
    exclude_none: bool


class StreamOptions(AnswerOptions, total=False):
    """The options of every stream.

    Attributes:
        idle_timeout: How many seconds may pass without a byte before the stream is interrupted. Default `None`: any
            number.
        max_event_size: The largest event, line or JSON text, in bytes; a larger one raises `EventTooLarge`. Default
            16 MiB.
        stream_format: `"sse"`, `"jsonl"`, `"json-seq"`, `"json"`, `"lines"` or `"bytes"`: the format to ask for, and to
            read the response in. Default: the response's content type decides.
        until: The event that ends the stream: its data, or a function of each `ServerSentEvent` that returns whether
            it is the last. It is not yielded. A stream without it raises `StreamInterrupted`. Default: none.
        include_end: Whether to yield the event of `until` as the last item. Default `False`.
        event_map: What to do with the events of each name: a type for their data, `None` to skip them, or an exception
            class to raise with the event. `"*"` stands for all other names; without it they are skipped. Default: none.
        on_invalid: What to do with an event that is not of its type: `"raise"`; `"skip"`, with a warning in the log; or
            a function of the `StreamDecodeError` that raises, or returns the item to yield instead. Default `"raise"`.
        reconnect: Whether to reconnect when the connection ends, and how. The same request is sent again, with
            `Last-Event-ID` if an id is known. The stream then ends with the event of `until` or with status 204.
            Default `False`, because a repeated request may cost something.
    """

    idle_timeout: float | None
    max_event_size: int
    stream_format: FormatName
    until: Until
    include_end: bool
    event_map: Mapping[str, Any]
    on_invalid: OnInvalid
    reconnect: bool | Reconnect


class CallArguments(TypedDict, total=False):
    """What a call without a declaration sends.

    Attributes:
        data: The body: text, bytes, binary files and iterators of bytes as they are, everything else as JSON. Default
            `None`: no body.
        form: The fields of a form, instead of `data`: a mapping, model, dataclass or typed dict. Default: none.
        files: The files of a form: a mapping of names to files, or pairs of both; `File` says what a file is. Default:
            none.
        query: The query parameters: a mapping, model, dataclass or typed dict. Default: none.
        headers: The headers: a mapping, model, dataclass or typed dict. Default: none.
        path_params: The values of the path's placeholders. Default: none.
    """

    data: Any
    form: Any
    files: Mapping[str, Any] | Sequence[tuple[str, Any]]
    query: Any
    headers: Any
    path_params: Mapping[str, Any]


class RequestOptions(CallArguments, AnswerOptions, total=False):
    """The keywords of `APIClient.request` and `arequest`."""


class StreamRequestOptions(CallArguments, StreamOptions, total=False):
    """The keywords of `APIClient.stream` and `astream`."""


class EndpointOptions(StreamOptions, total=False):
    """The keywords of `APIClient.get`, `post` and the other decorators.

    Attributes:
        streaming_response: Whether the response is a stream, and `result` an iterator of its items. The options from
            `idle_timeout` to `reconnect` are for streams. Default `False`.
    """

    streaming_response: bool


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of an endpoint, checked, with defaults.

    Raises:
        TypeError: An option is of another type, or does not go with another one.
        ValueError: An option is out of its range.
    """
    options = {name: given.get(name, default) for name, (default, _) in OPTIONS.items()}
    is_stream = options["streaming_response"]
    for name, (default, _) in OPTIONS.items():
        if not is_stream and name in _FOR_STREAMS and options[name] != default:
            raise TypeError(f"{name} is for streams; add streaming_response=True, or leave it out")
    for name in ("response_map", "event_map"):
        if options["response_parser"] is not None and options[name] is not None:
            raise TypeError(f"response_parser does not go with {name}; leave one out")
    if options["include_end"] and options["until"] is None:
        raise TypeError("include_end is about the event that until= stops at; pass until=, too")
    for name, (default, check) in OPTIONS.items():
        if options[name] is not default:
            check(name, options[name])
    lowest, kind = (400, "an error status") if is_stream else (200, "a status")
    for status in options["response_map"] or ():
        if not (isinstance(status, int) and lowest <= status <= 599):
            raise ValueError(f"response_map has the key {status!r}; it is {kind}, a number from {lowest} to 599")
        if status < 400 and isinstance(options["response_map"][status], Raised):
            raise ValueError(f"response_map has Raised for status {status}; only 400 to 599 are raised")
    return options


OPTIONS: dict[str, tuple[Any, Check]] = {
    "streaming_response": (False, instance_check(bool, "True or False")),
    "timeout": (CLIENT_DEFAULT, check_timeout),
    "response_map": (None, instance_check(Mapping, "a mapping of statuses to types")),
    "response_parser": (None, function_check("a function", lambda value: value is None)),
    "retry": (False, instance_check((bool, Retry), "True, False or api.Retry(...)")),
    "exclude_unset": (False, instance_check(bool, "True or False")),
    "exclude_none": (False, instance_check(bool, "True or False")),
    "idle_timeout": (
        None,
        value_check(lambda value: is_number(value, int, float), "a finite number of seconds above 0, or None"),
    ),
    "max_event_size": (
        DEFAULT_MAX_EVENT_SIZE,
        value_check(lambda value: is_number(value, int), "a number of bytes above 0"),
    ),
    "stream_format": (None, value_check((*FORMATS,).__contains__, f"one of {', '.join(map(repr, FORMATS))}")),
    "until": (
        None,
        function_check("the data of an event, or a function of an event", lambda value: isinstance(value, str)),
    ),
    "include_end": (False, instance_check(bool, "True or False")),
    "event_map": (None, lambda name, value: None),  # `EventMap` checks it
    "on_invalid": (
        "raise",
        function_check("'raise', 'skip' or a function of a StreamDecodeError", ("raise", "skip").__contains__),
    ),
    "reconnect": (False, instance_check((bool, Reconnect), "True, False or api.Reconnect(...)")),
}
"""The default of each option of `EndpointOptions`, and what checks another value."""

_FOR_STREAMS = StreamOptions.__annotations__.keys() - AnswerOptions.__annotations__.keys()
