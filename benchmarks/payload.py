"""What the server sends, and what the items must be.

An event is a chunk of an OpenAI-shaped chat completion, about 210 bytes. Its text contains a serial number, so a lost,
repeated or misplaced item is noticed. All events have the same length.

Every run compares the contents of all items with what was sent, by a digest. The warm-up compares whole items.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

SERIALS = 10_000
PIECE = 1024
"""The bytes of a large event that are sent at a time."""


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
ITEM_TYPES: dict[str, Any] = {"model": Chunk, "str": str, "large": str}
"""The kinds of items. A `large` one is a `str`, for which a library's size limits are raised."""
GZIP_START = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


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
def all_events() -> bytes:
    """Every event once, in order."""
    return b"".join(event(content(serial)) for serial in range(SERIALS))


@functools.cache
def event_block(*, is_gzip: bool = False) -> tuple[bytes, list[int]]:
    """Every event once, each in an HTTP chunk of its own, and where each chunk ends.

    A compressed block flushes after every event. The last flush also resets the compression window, so the block may
    be sent any number of times in a row.
    """
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = bytearray()
    ends: list[int] = []
    for serial in range(SERIALS):
        data = event(content(serial))
        if is_gzip:
            is_last = serial == SERIALS - 1
            data = compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH if is_last else zlib.Z_SYNC_FLUSH)
        block += http_chunk(data)
        ends.append(len(block))
    return bytes(block), ends


def gzip_end(checksum: int, size: int) -> bytes:
    """The end of a gzip stream: an empty last block, the CRC-32 and the size of what was compressed."""
    return zlib.compressobj(wbits=-zlib.MAX_WBITS).flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF)


@functools.cache
def _words() -> str:
    """1 MiB of random words, the same in every process. It compresses about as well as ordinary text."""
    chosen = random.Random(4711)
    letters = "etaoinshrdlu"
    words = ["".join(chosen.choices(letters, k=chosen.randint(2, 9))) for _ in range(2000)]
    return " ".join(chosen.choices(words, k=1 << 18))[: 1 << 20]


def large_text(kib: int) -> str:
    """The data of a large event."""
    repeats, rest = divmod(kib << 10, 1 << 20)
    return _words() * repeats + _words()[:rest]


@functools.lru_cache(maxsize=2)
def large_body(kib: int, *, is_gzip: bool = False) -> bytes:
    """A large event in pieces of 1 KiB, each flushed if compressed, and each in an HTTP chunk of its own."""
    body = b"data: %b\n\n" % large_text(kib).encode()
    pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
    if is_gzip:
        compressor = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
        pieces = [compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
        pieces.append(compressor.flush())
    return b"".join(map(http_chunk, pieces))


def _content_of_model(item: Any) -> str:
    text: str = item.choices[0].delta.content
    return text


def _content_of_text(item: Any) -> str:
    text: str = item
    return text


def _content_of_record(item: Any) -> str:
    text: str = item.name
    return text


CONTENT_OF: dict[str, Callable[[Any], str]] = {
    "model": _content_of_model,
    "str": _content_of_text,
    "large": _content_of_text,
    "record": _content_of_record,
}
"""What is looked at in each item, within the clock, of each kind."""


def whole(kind: str, item: Any) -> str:
    """A whole item in a form that can be compared."""
    if isinstance(item, str):
        return item if kind == "large" else json.dumps(json.loads(item), sort_keys=True)
    return json.dumps(item.model_dump(), sort_keys=True)


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
