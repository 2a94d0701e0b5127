"""The formats that a stream can come in: how each is recognised, asked for and parsed.

A response's media type says which one it is, unless the endpoint does (`stream_format=`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx2

from ..content import media_type, text_encoding
from .lines import BrokenText, ChunkParser, JSONDocumentParser, JSONLinesParser, JSONSequenceParser, LineParser
from .sse import EventStreamFrame, EventStreamParser

Frame: TypeAlias = EventStreamFrame | BrokenText
"""What a stream is made of. Bytes are the data of an event that has nothing else, whatever its format."""

FormatName: TypeAlias = Literal["sse", "jsonl", "json-seq", "lines", "bytes"]


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """The `Accept` header that asks for a format, its media types, and its parser, for a response and `max_event_size`.

    Media types with the `suffix` are in this format, too (RFC 6838, section 4.2.8).
    """

    accept: str
    media_types: tuple[str, ...]
    make_parser: Callable[[httpx2.Response, int], EventStreamParser | ChunkParser]
    suffix: str | None = None


FORMATS: dict[FormatName, StreamFormat] = {
    "sse": StreamFormat("text/event-stream", ("text/event-stream",), lambda _, limit: EventStreamParser(limit)),
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
        lambda _, limit: JSONLinesParser(limit),
    ),
    "json-seq": StreamFormat(
        "application/json-seq, */*;q=0.1",
        ("application/json-seq",),
        lambda _, limit: JSONSequenceParser(limit),
        suffix="+json-seq",
    ),
    "lines": StreamFormat(
        "text/plain, */*;q=0.1", ("text/plain",), lambda response, limit: LineParser(limit, text_encoding(response))
    ),
    "bytes": StreamFormat("*/*", (), lambda _, limit: ChunkParser(limit)),
}
"""The formats that a stream may be declared to be in, by the names that `stream_format=` takes."""

JSON_DOCUMENT = StreamFormat("application/json", ("application/json",), lambda _, limit: JSONDocumentParser(limit))
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
