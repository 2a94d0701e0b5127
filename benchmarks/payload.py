"""What is sent, and what the items must be.

The event is a chunk of an OpenAI-shaped chat completion, about 210 bytes. Every event has a serial number in its text,
so that an item lost, doubled or out of order is noticed; all are of the same length, so that a server can cut any
number of them out of one prepared block.

In every run the contents of all items are compared with those that were sent, by a digest. The models are compared
whole in the round that warms up.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

SERIALS = 10_000
PIECE = bytes(range(ord("A"), ord("Z") + 1)) * 40
STAMPED_DIGITS = 6


class Delta(BaseModel):
    """What a chunk adds to the answer."""

    content: str


class Choice(BaseModel):
    """One of the answers."""

    index: int
    delta: Delta
    finish_reason: str | None


class Chunk(BaseModel):
    """A chunk of a chat completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]


class Record(BaseModel):
    """A complete answer."""

    id: int
    name: str
    email: str
    tags: list[str]
    active: bool


RECORD = (
    b'{"id":4711,"name":"Ada Lovelace","email":"ada@example.com","tags":["analyst","countess","poetical science"],'
    b'"active":true}'
)
ITEM_TYPES: dict[str, Any] = {"model": Chunk, "dict": dict[str, Any], "str": str, "large": str}
"""The kinds of items. A `large` one is a `str`, for which the limits of a library are raised."""


def content(serial: int) -> str:
    """The text of an event."""
    return f"word{serial % SERIALS:04d} "


def chunk_json(text: str) -> str:
    """The data of an event."""
    return (
        '{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,'
        f'"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}'
    )


def event(text: str) -> bytes:
    """An event as it stands in the stream."""
    return b"data: %b\n\n" % chunk_json(text).encode()


def http_chunk(data: bytes) -> bytes:
    """Bytes in chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@functools.cache
def event_block() -> tuple[bytes, int]:
    """All events in their HTTP chunks, one after another, and the size of each."""
    chunks = [http_chunk(event(content(serial))) for serial in range(SERIALS)]
    assert len({len(chunk) for chunk in chunks}) == 1
    return b"".join(chunks), len(chunks[0])


@functools.cache
def event_pieces(count: int, size: int | None) -> list[bytes]:
    """Events without HTTP: each in a piece of its own, or all in pieces of a size."""
    events = [event(content(serial)) for serial in range(count)]
    if size is None:
        return events
    whole = b"".join(events)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def large_text(kib: int) -> str:
    """The data of a large event."""
    unit = PIECE[:1024].decode()
    return unit * kib


@functools.lru_cache(maxsize=1)
def large_body(kib: int) -> bytes:
    """A large event, each of its pieces of 1 KiB an HTTP chunk."""
    body = b"data: %b\n\n" % large_text(kib).encode()
    return b"".join(http_chunk(body[start : start + 1024]) for start in range(0, len(body), 1024))


def _content_of_model(item: Any) -> str:
    text: str = item.choices[0].delta.content
    return text


def _content_of_dict(item: Any) -> str:
    text: str = item["choices"][0]["delta"]["content"]
    return text


def _content_of_text(item: Any) -> str:
    text: str = item
    return text


def _content_of_record(item: Any) -> str:
    text: str = item.name
    return text


CONTENT_OF: dict[str, Callable[[Any], str]] = {
    "model": _content_of_model,
    "dict": _content_of_dict,
    "str": _content_of_text,
    "large": _content_of_text,
    "record": _content_of_record,
}
"""What is looked at in each item, within the clock, of each kind."""


def whole(kind: str, item: Any) -> str:
    """All of an item, in a form that can be compared."""
    if isinstance(item, str):
        return item if kind == "large" else json.dumps(json.loads(item), sort_keys=True)
    return json.dumps(item if isinstance(item, dict) else item.model_dump(), sort_keys=True)


def digest(contents: Iterable[str]) -> str:
    """One short text for the contents of all items."""
    digested = hashlib.sha256()
    for each in contents:
        digested.update(each.encode())
        digested.update(b"\n")
    return digested.hexdigest()[:16]


@functools.cache
def expected_digest(kind: str, count: int, *, is_whole: bool = False) -> str:
    """The digest of the items of that many events."""
    texts = (chunk_json(content(serial)) for serial in range(count))
    if is_whole:
        return digest(whole("str", text) for text in texts)
    return digest(texts if kind == "str" else (content(serial) for serial in range(count)))


@functools.cache
def expected_large(kib: int) -> str:
    """The digest of a large event."""
    return digest([large_text(kib)])


@functools.cache
def expected_records(count: int, *, is_whole: bool = False) -> str:
    """The digest of that many complete answers."""
    record = Record.model_validate_json(RECORD)
    return digest([whole("record", record) if is_whole else record.name] * count)
