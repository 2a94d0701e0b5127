"""Responses: whole, cut, and in the slow reading of RFC 9112 they mean the same."""

from __future__ import annotations

import httpx2
from tests.wire.http11_reference import Reading, read_response

from clientele.wire.http11 import MAX_FIELDS, MAX_HEAD_SIZE, ResponseReader
from fuzz.cutting import parts_of

_METHODS = (b"GET", b"GET", b"HEAD", b"CONNECT")
_REFERENCE_SIZE = 5000  # it copies what is left again and again


def check(data: bytes) -> None:
    """Raise if a promise is broken."""
    options, message, pieces = parts_of(data)
    method, is_last = _METHODS[options[0] % len(_METHODS)], options[0] & 0x40 != 0
    is_ended = options[1] % 2 == 0
    whole = _read(method, [message] if message else [], is_last=is_last, is_ended=is_ended)
    got = _read(method, pieces, is_last=is_last, is_ended=is_ended)
    assert got == whole, (got, whole)
    if len(message) <= _REFERENCE_SIZE:
        expected = read_response(
            method,
            message,
            is_last=is_last,
            is_ended=is_ended,
            max_head_size=MAX_HEAD_SIZE,
            max_fields=MAX_FIELDS,
        )
        if not is_ended:  # that a message is invalid may be known before it is all there
            expected.is_refused = got.is_refused
        assert got == expected, (got, expected)


def _read(method: bytes, pieces: list[bytes], *, is_last: bool, is_ended: bool) -> Reading:
    reader = ResponseReader(method, is_last=is_last)
    body = b""
    received = 0
    for piece in pieces:
        reader.receive(piece)
        received += len(piece)
        if reader.head is not None:
            assert reader.take_head() is reader.head
            size = reader.size
            taken = reader.take()
            assert len(taken) <= size <= received
            body += taken
        assert reader.is_ready == (reader.is_complete or reader.error is not None)
    is_reusable = reader.is_complete and reader.is_reusable
    if is_ended:
        reader.receive_end()
        assert reader.is_ready
        assert not reader.is_reusable
        is_reusable = False
    assert reader.take() == b""
    assert len(body) <= received
    assert reader.error is None or isinstance(reader.error, httpx2.RemoteProtocolError)
    assert not (reader.error and (reader.is_complete or reader.is_reusable))
    head = None if reader.head is None else tuple(reader.head)
    return Reading(head, body, reader.is_complete, reader.is_upgraded, is_reusable, reader.error is not None)


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SEEDS = [
    options + sizes + message
    for options in (b"\0\0", b"\0\1", b"\2\1", b"\3\1")
    for sizes in (b"\0\0\0\0", b"\1\1\1\1", b"\7\0\0\0")
    for message in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3, 3\r\n\r\nabc",
        b"HTTP/1.1 200\nX: a\n b\n\nto the end",
        _CHUNKED + b'3;a;b="c\\"d" \r\nabc\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r\n',
        _CHUNKED + b"3;a=b\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        _CHUNKED + b"0\r\n\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: <x>\r\n\r\nHTTP/1.1 204 No Content\r\nX: \r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nanything",
    )
]

WORDS = [
    b"HTTP/1.1 ",
    b"HTTP/1.0 ",
    b"200 OK",
    b"204",
    b"100",
    b"101",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"Connection: ",
    b"close",
    b"keep-alive",
    b"\r\n0\r\n\r\n",
    b';a="',
]
