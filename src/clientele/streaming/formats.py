"""The formats that a stream can come in: how each is recognised, asked for and parsed.

A response's media type says which one it is, unless the endpoint does (`stream_format=`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx2

from ..content import media_type
from .lines import BrokenText, ChunkParser, JSONDocumentParser, JSONLinesParser, JSONSequenceParser, LineParser
from .sse import EventStreamFrame, EventStreamParser

Frame: TypeAlias = EventStreamFrame | BrokenText
"""What a stream is made of. Bytes are the data of an event that has nothing else, whatever its format."""

FormatName: TypeAlias = Literal["sse", "jsonl", "json-seq", "lines", "bytes"]


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """One format.

    Attributes:
        accept: The `Accept` header that asks for it.
        media_types: Its media types; the first is the usual one.
        parser: What parses it; it is made with `max_event_size`.
        has_charset: Whether its text comes in the encoding that the response names, which the parser is made with.
        suffix: Media types with this suffix are in this format, too (RFC 6838, section 4.2.8).
    """

    accept: str
    media_types: tuple[str, ...]
    parser: Callable[..., EventStreamParser | ChunkParser]
    has_charset: bool = False
    suffix: str | None = None


FORMATS: dict[FormatName, StreamFormat] = {
    "sse": StreamFormat("text/event-stream", ("text/event-stream",), EventStreamParser),
    "jsonl": StreamFormat(
        # Many servers send JSON Lines as application/json, and some refuse what does not name that.
        "application/x-ndjson, application/jsonl, application/json;q=0.9, */*;q=0.1",
        (
            "application/x-ndjson",
            "application/jsonl",
            "application/jsonlines",
            "application/stream+json",
            "application/ndjson",
            "application/x-jsonlines",
        ),
        JSONLinesParser,
    ),
    "json-seq": StreamFormat(
        "application/json-seq, */*;q=0.1", ("application/json-seq",), JSONSequenceParser, suffix="+json-seq"
    ),
    "lines": StreamFormat("text/plain, */*;q=0.1", ("text/plain",), LineParser, has_charset=True),
    "bytes": StreamFormat("*/*", (), ChunkParser),
}
"""The formats that a stream may be declared to be in, by the names that `stream_format=` takes."""

JSON_DOCUMENT = StreamFormat("application/json", ("application/json",), JSONDocumentParser)
"""One document, which a server may answer with in place of a stream if it was asked for either, as those of MCP are."""


@functools.lru_cache
def format_of(content_type: str) -> StreamFormat | None:
    """The format that a response's `Content-Type` names, `None` where it is no stream's."""
    found = media_type(content_type)
    for each in FORMATS.values():
        if found in each.media_types or (each.suffix is not None and found.endswith(each.suffix)):
            return each
    return None


def is_requested_document(response: httpx2.Response) -> bool:
    """Whether the response is a JSON document, and the request named both that and an event stream."""
    media_ranges = response.request.headers.get("Accept", "").lower().split(",")
    accepted = {each.partition(";")[0].strip() for each in media_ranges}
    is_json = media_type(response.headers.get("Content-Type", "")) == "application/json"
    return is_json and accepted >= {"application/json", "text/event-stream"}
