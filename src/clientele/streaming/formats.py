"""The formats that a stream can come in: how each is recognised, asked for and parsed.

A response's media type says which one it is, unless the endpoint does (`stream_format=`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import httpx2

from ..content import media_type, text_encoding
from .lines import BrokenText, JSONDocumentParser, JSONLinesParser, JSONSequenceParser, LineParser
from .sse import Comment, EventStreamParser, ServerSentEvent

Frame: TypeAlias = bytes | ServerSentEvent[bytes] | Comment | BrokenText
"""What a stream is made of. Bytes are the data of an event that has nothing else, whatever its format."""

FormatName: TypeAlias = Literal["sse", "jsonl", "json-seq", "lines", "bytes"]


class Parser(Protocol):
    """Turns the bytes of a stream into frames, without I/O.

    Attributes:
        last_event_id: The id of the last event, before the first what it is set to. Formats without ids leave it alone.
        retry: The latest reconnection time that the stream has set, in milliseconds, `None` before the first.
        is_within_event: Whether an event has begun that the end of the stream would drop. Formats whose end completes
            what has begun leave it alone.
    """

    last_event_id: str
    retry: int | None

    @property
    def is_within_event(self) -> bool:
        """As above."""

    def receive(self, data: bytes) -> Iterable[Frame]:
        """Take the next bytes, and give the frames that they complete."""

    def end(self) -> Iterable[Frame]:
        """The stream has ended; give what its end completes."""


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """One format.

    Attributes:
        accept: The `Accept` header that asks for it.
        media_types: The media types that it goes by.
        make_parser: Makes the parser for a response, given the largest event taken, in bytes.
        suffix: The structured syntax suffix of other media types in this format (RFC 6838, section 4.2.8).
    """

    accept: str
    media_types: tuple[str, ...]
    make_parser: Callable[[httpx2.Response, int], Parser]
    suffix: str | None = None


class ChunkParser:
    """Gives the bytes out as they arrive."""

    last_event_id = ""
    retry: int | None = None
    is_within_event = False

    def receive(self, data: bytes) -> Iterable[bytes]:
        """Take the next bytes, and give them."""
        return (data,) if data else ()

    def end(self) -> Iterable[bytes]:
        """Nothing is left to be said at the end."""
        return ()


_JSON_LINES_MEDIA_TYPES = (
    "application/x-ndjson",
    "application/jsonl",
    "application/jsonlines",
    "application/stream+json",
    "application/ndjson",
    "application/x-jsonlines",
)

FORMATS: dict[FormatName, StreamFormat] = {
    "sse": StreamFormat(
        "text/event-stream",
        ("text/event-stream",),
        lambda response, max_event_size: EventStreamParser(max_event_size),
    ),
    "jsonl": StreamFormat(
        # Many servers send JSON Lines as application/json, and some refuse what does not name that.
        "application/x-ndjson, application/jsonl, application/json;q=0.9, */*;q=0.1",
        _JSON_LINES_MEDIA_TYPES,
        lambda response, max_event_size: JSONLinesParser(max_event_size),
    ),
    "json-seq": StreamFormat(
        "application/json-seq, */*;q=0.1",
        ("application/json-seq",),
        lambda response, max_event_size: JSONSequenceParser(max_event_size),
        suffix="+json-seq",
    ),
    "lines": StreamFormat(
        "text/plain, */*;q=0.1",
        ("text/plain",),
        lambda response, max_event_size: LineParser(max_event_size, text_encoding(response)),
    ),
    "bytes": StreamFormat("*/*", (), lambda response, max_event_size: ChunkParser()),
}
"""The formats that a stream may be declared to be in, by the names that `stream_format=` takes."""

JSON_DOCUMENT = StreamFormat(
    "application/json",
    ("application/json",),
    lambda response, max_event_size: JSONDocumentParser(max_event_size),
)
"""One document, which a server may answer with in place of a stream if it was asked for either, as those of MCP are."""


def format_of(response: httpx2.Response) -> StreamFormat | None:
    """The format that the response's media type names, `None` where it is no stream's."""
    found = media_type(response)
    for each in FORMATS.values():
        if found in each.media_types or (each.suffix is not None and found.endswith(each.suffix)):
            return each
    return None


def is_requested_document(response: httpx2.Response) -> bool:
    """Whether the response is a JSON document, and the request named both that and an event stream."""
    media_ranges = response.request.headers.get("Accept", "").lower().split(",")
    accepted = {each.partition(";")[0].strip() for each in media_ranges}
    return media_type(response) == "application/json" and accepted >= {"application/json", "text/event-stream"}
