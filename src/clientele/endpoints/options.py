"""How an endpoint's calls are made, beyond what its signature says: the keywords of its decorator."""

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
    """In a `response_map`: the status raises `HTTPStatusError`, and its `parsed` is the answer as this type.

        @client.get("/users/{user_id}", response_map={404: api.Raised(NotFound)})
        def get_user(result: User, user_id: int) -> User:
            return result

    Parameters:
        type: The type of the answer, in all forms that a `result` takes. It need not be one of the result's.

    A mapped status without `Raised` is a result, an error among them; so the result's type must have it. Of a stream,
    each mapped status is raised, with `Raised` or without.
    """

    type: Any


class AnswerOptions(TypedDict, total=False):
    """The keywords that every call takes.

    Attributes:
        timeout: Timeouts for this endpoint's requests, in seconds, in any form that httpx2 takes; default the client's.
            Of a stream, the read timeout bounds only the reading of an error's body.
        response_map: The type of the answer for some statuses. Any other status that is no success raises
            `HTTPStatusError`. Of a stream, statuses of 400 and above, for the `parsed` of `HTTPStatusError`; those of
            other calls are raised so if they are mapped to `Raised(type)`.
        response_parser: Makes the result of the `httpx2.Response`, in place of the declared type; of a stream, the item
            of the text of each event's data. A `ValueError` from it says that the answer, or the event, does not fit.
        retry: Whether, and how, a call that fails is retried; of a stream, its opening. Default: the client's.
        exclude_unset: Whether fields of a body that were not set are left out. Default: the client's, which is `False`.
        exclude_none: Whether fields of a body that are `None` are left out. Default: the client's, which is `False`.
    """

    timeout: TimeoutTypes
    response_map: Mapping[int, Any]
    response_parser: Callable[[Any], Any]
    retry: bool | Retry
    exclude_unset: bool
    exclude_none: bool


class StreamOptions(AnswerOptions, total=False):
    """The keywords that every streaming call takes.

    Attributes:
        idle_timeout: After how many seconds without a byte the stream counts as interrupted. Default `None`: never.
        max_event_size: The largest event taken, in bytes. Default 16 MiB.
        stream_format: The format: `"sse"`, `"jsonl"`, `"json-seq"`, `"json"`, `"lines"` or `"bytes"`. It is asked for,
            and what comes is read so, whatever its content type. Default: the content type says it.
        until: What ends the stream: the data of an event, or a function that is given each event and says whether it
            does. That event is not yielded; a stream that ends without it was interrupted. Default: it ends by itself.
        include_end: Whether the event that `until` stops at is an item, the last one. Default `False`.
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
    include_end: bool
    event_map: Mapping[str, Any]
    on_invalid: OnInvalid
    reconnect: bool | Reconnect


class CallArguments(TypedDict, total=False):
    """What is sent by a call without a declaration.

    Attributes:
        data: The body: text, bytes, files and iterators of bytes as they are, everything else as JSON.
        form: The fields of a form: a mapping, model, dataclass or typed dict. In place of `data`.
        files: The files of a form: a mapping of names to files, as `File` takes them, or pairs of these.
        query: Query parameters: a mapping, model, dataclass or typed dict.
        headers: Headers, in the same forms.
        path_params: The values of the path's placeholders.
    """

    data: Any
    form: Any
    files: Mapping[str, Any] | Sequence[tuple[str, Any]]
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


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of an endpoint, with the defaults of those that are not given.

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
