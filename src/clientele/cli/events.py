"""Whole events of a stream in any format, their data as it came: what the commands read streams with.

A declared endpoint knows what it gets. A person who looks at a stream does not: so `EventPlan` takes every format that
Clientele reads, chosen by the content type of each response, and hands on each event with its name and id.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from ..client import APIClient
from ..content import media_type
from ..endpoints.call import Call
from ..endpoints.options import checked_options
from ..endpoints.response import StreamResult
from ..exceptions import StreamDecodeError, UnexpectedContentType
from ..streaming.formats import FORMATS, FormatName, StreamFormat, format_of
from ..streaming.items import ItemPlan
from ..streaming.sse import ServerSentEvent

_ACCEPT = (
    "text/event-stream, application/x-ndjson, application/jsonl, application/json-seq, application/json;q=0.9, "
    "text/plain;q=0.8, */*;q=0.1"
)
_BINARY = ("application/octet-stream", "audio/", "image/", "video/")  # media types that are read as bytes
_FOR_STREAM = ("idle_timeout", "max_event_size", "reconnect", "until")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands in the place of an event whose JSON is broken."""

    error: StreamDecodeError


class EventPlan(ItemPlan):
    """Gives each event as a `ServerSentEvent[bytes]`, and an `Unreadable` for broken JSON between record separators.

    Parameters:
        options: All options of the call.
        stream_format: The format to read, whatever the content type; `None` for what the content type says.
        needs_names: Whether only event streams will do, since the names of events are asked for.
    """

    def __init__(
        self, options: Mapping[str, Any], *, stream_format: FormatName | None = None, needs_names: bool = False
    ) -> None:
        super().__init__(str, options)
        self._needs_names = needs_names
        self.formats = (FORMATS["sse"],) if needs_names else tuple(FORMATS.values())
        self.stream_format = None if stream_format is None else FORMATS[stream_format]
        self.accept = self.stream_format.accept if self.stream_format else self.formats[0].accept
        if stream_format is None and not needs_names:
            self.accept = _ACCEPT
        self.decode: Callable[[ServerSentEvent[bytes]], Any] = lambda event: event
        self.decode_common = None
        self.on_invalid = Unreadable

    def format_for(self, response: httpx2.Response) -> StreamFormat | None:
        """The format to read a response in; `None` where its content type is none of a stream."""
        if response.is_redirect:
            return None
        if self.stream_format is not None:
            return self.stream_format
        name = _name_of(response)
        if name is None and response.status_code == httpx2.codes.NO_CONTENT:
            return self.formats[0]
        return FORMATS[name] if name is not None and FORMATS[name] in self.formats else None

    def refusal(self, response: httpx2.Response) -> UnexpectedContentType:
        """The exception for a response that has been read, as far as it came, and is none of a stream's."""
        problem, cure = self._refusal(response)
        if response.is_redirect or response.status_code == httpx2.codes.NOT_MODIFIED:
            return UnexpectedContentType(response, problem=problem, cure=cure)
        if self._needs_names and _name_of(response) is not None:
            problem, cure = "which has no names of events", "leave --event out, or say --format sse"
        elif problem == "and begins as an event stream":
            cure = "say --format sse to read it as one, or --format lines for its lines"
        else:
            problem, cure = "which is no stream's", f"say its format: --format {', '.join(FORMATS)}"
        return UnexpectedContentType(response, problem=problem, cure=cure)

    def type_of(self, event: ServerSentEvent[bytes]) -> Any:
        """What the event should have been."""
        return "JSON"


def event_stream_call(
    client: APIClient,
    method: str,
    url: str,
    *,
    stream_format: FormatName | None = None,
    needs_names: bool = False,
    **options: Any,
) -> Call:
    """The call that opens a stream of whole events: `await call.aperform()` gives it, and its response.

    Parameters:
        options: What `APIClient.stream` takes.

    Raises:
        TypeError: The options do not go together.
        ValueError: A value cannot be sent, or is out of its range.
    """
    call = client._direct_call(method, url, str, options, is_stream=True)
    for_stream = {name: options[name] for name in _FOR_STREAM if name in options}
    checked = checked_options({**for_stream, "streaming_response": True})
    plan = EventPlan(checked, stream_format=stream_format, needs_names=needs_names)
    return dataclasses.replace(call, plan=dataclasses.replace(call.plan, result=StreamResult(plan, {})))


def format_name(response: httpx2.Response, stream_format: FormatName | None) -> FormatName:
    """The name of the format that a response is read in."""
    return stream_format or _name_of(response) or "sse"


def _name_of(response: httpx2.Response) -> FormatName | None:
    """The format that the content type of a response names, if it does."""
    content_type = response.headers.get("Content-Type", "")
    found = media_type(content_type)
    if found == "application/json" or found.endswith("+json"):
        return "json"
    if found.startswith(_BINARY):
        return "bytes"
    of_stream = format_of(content_type)
    return next((name for name, each in FORMATS.items() if each is of_stream), None)
