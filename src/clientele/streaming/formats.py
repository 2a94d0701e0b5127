"""The formats of streams: how each is recognised, requested and parsed.

The media type of the response says the format, unless the endpoint does (`stream_format=`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx2

from ..content import json_encoding, media_type, text_encoding
from .json_texts import JSONDocumentParser, JSONSequenceParser, JSONValuesParser
from .lines import BrokenText, ChunkParser, JSONLinesParser, LineParser
from .sse import EventStreamFrame, EventStreamParser

Frame: TypeAlias = EventStreamFrame | BrokenText
"""One unit of a stream. In every format, plain bytes are an event that has only data."""

FormatName: TypeAlias = Literal["sse", "jsonl", "json-seq", "json", "lines", "bytes"]

_BOM = b"\xef\xbb\xbf"
_STARTS_OF_EVENT_STREAMS = (b"data:", b"event:", b"id:", b"retry:", b":")


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """One format of streams.

    Attributes:
        accept: The `Accept` header that requests it.
        media_types: Its media types, the usual one first. Empty if only `stream_format=` selects it.
        parser: The parser's class, called with `max_event_size` and, if `encoding` is set, the encoding.
        encoding: Returns the character encoding of a response. `None` if the format is always UTF-8.
        suffix: Media types with this suffix have this format, too (RFC 6838, section 4.2.8).
    """

    accept: str
    media_types: tuple[str, ...]
    parser: Callable[..., EventStreamParser | ChunkParser]
    encoding: Callable[[httpx2.Response], str] | None = None
    suffix: str | None = None


FORMATS: dict[FormatName, StreamFormat] = {
    "sse": StreamFormat("text/event-stream", ("text/event-stream",), EventStreamParser),
    "jsonl": StreamFormat(
        # Many servers send JSON Lines as application/json. Some refuse a request that does not accept it.
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
        json_encoding,
    ),
    "json-seq": StreamFormat(
        "application/json-seq, */*;q=0.1", ("application/json-seq",), JSONSequenceParser, suffix="+json-seq"
    ),
    "json": StreamFormat("application/json, */*;q=0.1", (), JSONValuesParser, json_encoding),
    "lines": StreamFormat("text/plain, */*;q=0.1", ("text/plain",), LineParser, text_encoding),
    "bytes": StreamFormat("*/*", (), ChunkParser),
}
"""The formats by the names that `stream_format=` takes."""

JSON_DOCUMENT = StreamFormat("application/json", ("application/json",), JSONDocumentParser, json_encoding)
"""A single document. A server may send it in place of a stream if the request accepts both, as MCP's requests do."""


@functools.lru_cache
def format_of(content_type: str) -> StreamFormat | None:
    """The format that a `Content-Type` names; `None` if it names no stream."""
    found = media_type(content_type)
    for each in FORMATS.values():
        if found in each.media_types or (each.suffix is not None and found.endswith(each.suffix)):
            return each
    return None


def is_requested_document(response: httpx2.Response) -> bool:
    """Whether the response is a JSON document, and the request accepts both JSON and an event stream."""
    is_json = media_type(response.headers.get("Content-Type", "")) == "application/json"
    return is_json and _accepted(response) >= {"application/json", "text/event-stream"}


def may_be_mislabelled(response: httpx2.Response, stream_format: StreamFormat) -> bool:
    """Whether an event stream was requested and the content type says lines, as naive servers do."""
    is_lines = stream_format in (FORMATS["lines"], FORMATS["jsonl"])
    return is_lines and "text/event-stream" in _accepted(response)


def begins_event_stream(data: bytes) -> bool | None:
    """Whether a body begins as an event stream; `None` while there are too few bytes to tell."""
    data = data.removeprefix(_BOM)
    if data.startswith(_STARTS_OF_EVENT_STREAMS):
        return True
    is_open = _BOM.startswith(data) or any(start.startswith(data) for start in _STARTS_OF_EVENT_STREAMS)
    return None if is_open else False


def _accepted(response: httpx2.Response) -> set[str]:
    """The media ranges of the request's `Accept`."""
    return {media_type(each) for each in response.request.headers.get("Accept", "").split(",")}
