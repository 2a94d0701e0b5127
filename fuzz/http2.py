"""The frames of an HTTP/2 server: every cutting means the same, nothing is raised, and nothing grows without limit."""

from __future__ import annotations

from collections.abc import Iterable

from clientele.wire.http2 import HTTP2Connection
from clientele.wire.http11 import RequestWriter
from fuzz.cutting import parts_of

_REQUEST = [(b"Host", b"example.test")]
_MAX_OUTGOING = 1024 * 1024
_STREAM_WINDOW = 1000


def check(data: bytes) -> None:
    """Raise if a promise is broken."""
    options, frames, pieces = parts_of(data)
    count = 1 + options[0] % 3
    whole = _read([frames] if frames else [], count)
    assert _read(pieces, count) == whole
    assert _read((frames[at : at + 1] for at in range(len(frames))), count) == whole


def _read(pieces: Iterable[bytes], count: int) -> list[tuple[object, ...]]:
    connection = HTTP2Connection(_STREAM_WINDOW)
    responses = [connection.open(RequestWriter(b"GET", b"/", _REQUEST), b"http", b"example.test") for _ in range(count)]
    outgoing = 0
    for piece in pieces:
        connection.receive(piece)
        outgoing += len(connection.take_outgoing())
        assert all(response.size <= 2 * _STREAM_WINDOW for response in responses)
    assert outgoing <= _MAX_OUTGOING
    meaning = [
        (response.head, response.take(), response.is_complete, str(response.error), response.is_ready)
        for response in responses
    ]
    for response in responses:
        connection.reset(response)
    connection.receive_end()
    assert connection.is_done
    assert connection.live == 0
    return meaning


def _frame(kind: int, payload: bytes = b"", flags: int = 0, stream_id: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


_HEAD = _frame(0x1, b"\x88", 0x4, 1)  # :status 200
SEEDS = [
    b"\0\0" + sizes + _frame(0x4) + frames
    for sizes in (b"\0\0\0\0", b"\1\5\2\7")
    for frames in (
        _HEAD + _frame(0x0, b"hello", 0, 1) + _frame(0x0, b"", 1, 1),
        _frame(0x4, flags=1) + _frame(0x6, b"12345678") + _HEAD + _frame(0x3, b"\0\0\0\7", 0, 1),
        _frame(0x8, b"\0\0\1\0") + _HEAD + _frame(0x0, b"\2ab\0\0", 0x8, 1) + _frame(0x7, b"\0\0\0\1\0\0\0\0"),
        _frame(0x4, b"\0\3\0\0\0\1") + _frame(0x1, b"", 0, 1) + _frame(0x9, b"\x88", 0x4, 1),
    )
]

WORDS = [
    _HEAD,
    _frame(0x0, b"x", 0, 1),
    _frame(0x0, b"", 1, 1),
    _frame(0x4),
    _frame(0x6, b"12345678"),
    _frame(0x7, b"\0" * 8),
]
