"""Bodies in content codings: whole, cut, and in the slow reading they mean the same, and no read returns too much."""

from __future__ import annotations

import zlib

import brotli
import httpx2
from tests.wire.content_coding_reference import READERS, CutShort, Malformed, decode, zstd

from clientele.wire.content_coding import MAX_OUTPUT, content_decoder
from fuzz.cutting import parts_of

_CODINGS = [
    ["gzip"],
    ["deflate"],
    ["br"],
    ["zstd"],
    ["gzip", "gzip"],
    ["deflate", "gzip"],
    ["gzip", "br"],
    ["zstd", "deflate"],
    ["br", "zstd", "gzip"],
]
_REPEATED = (1, 1, 2, 50, 5000)
_REFERENCE_SIZE = 80  # gzip and deflate are read bit by bit there
_MAX_SIZE = 20_000_000


def check(data: bytes) -> None:
    """Raise if a promise is broken.

    The first option picks the codings. The second says what the message is: the body as it is, or a content to be
    encoded, repeated so often, and then damaged or not.
    """
    options, message, pieces = parts_of(data)
    codings = _CODINGS[options[0] % len(_CODINGS)]
    mode, rest = options[1] % 4, options[1] // 4
    content = None
    if mode:
        content = message * _REPEATED[rest % len(_REPEATED)]
        body = _encoded(codings, content, rest)
        if mode > 1 and body and message:
            position = int.from_bytes(message[:2], "big") % len(body)
            body = body[:position] + (message[-1:] + body[position + 1 :] if mode == 2 else b"")
            content = None
        step = max(1, len(pieces[0]) if pieces else 1, len(body) // 500)
        pieces = [body[start : start + step] for start in range(0, len(body), step)]
    else:
        body = message
    got = _outcome(codings, pieces)
    whole = _outcome(codings, [body] if body else [])
    assert got == whole, (got, whole)
    if content is not None:
        assert whole == content
    elif len(body) <= _REFERENCE_SIZE:
        expected = _expected(codings, body)
        if isinstance(expected, bytes):
            assert whole == expected
        else:
            assert not isinstance(whole, bytes)


def _encoded(codings: list[str], content: bytes, choice: int) -> bytes:
    for coding in codings:
        if coding == "br":
            content = brotli.compress(content, quality=choice % 12)
        elif coding == "zstd":
            options = {zstd.CompressionParameter.checksum_flag: choice % 2}
            content = zstd.compress(content, options=options)
        else:
            wbits = 31 if coding == "gzip" else (15, -15)[choice % 2]
            compressor = zlib.compressobj(level=choice % 10, wbits=wbits)
            content = compressor.compress(content) + compressor.flush()
    return content


def _outcome(codings: list[str], pieces: list[bytes]) -> bytes | type[Exception]:
    decoder = content_decoder([",".join(codings)])
    assert decoder is not None
    output = bytearray()
    try:
        for piece in pieces:
            decoder.receive(piece)
            while read := decoder.read():
                assert len(read) <= MAX_OUTPUT
                output += read
                if len(output) > _MAX_SIZE:  # a bomb costs what its reader takes, and this one has had enough
                    return OverflowError
        decoder.end()
    except httpx2.DecodingError:
        return Malformed
    except httpx2.RemoteProtocolError:
        return CutShort
    return bytes(output)


def _expected(codings: list[str], body: bytes) -> bytes | type[Exception]:
    try:
        return decode(codings, body)
    except (CutShort, Malformed) as error:
        return type(error)


SEEDS = [
    bytes([index, option]) + sizes + b"text, text and text"
    for index in range(len(_CODINGS))
    for option in (1, 2, 3, 1 + 4 * 3)
    for sizes in (b"\0\0\0\0", b"\1\0\0\0")
] + [
    bytes([index, 0]) + sizes + _encoded(codings, b"text, text and text", 6)
    for index, codings in enumerate(_CODINGS)
    for sizes in (b"\0\0\0\0", b"\1\1\1\1", b"\5\0\2\1")
]
assert set(READERS) >= {coding for codings in _CODINGS for coding in codings}

WORDS = [
    b"\x1f\x8b\x08",  # gzip
    b"\x78\x9c",  # zlib
    b"\x78\x01\x00\xfe\xff",
    b"\x01\0\0\xff\xff",  # an empty block that is the last
    b"\0\0\0\xff\xff",  # an empty block
    b"\x28\xb5\x2f\xfd",  # a zstd frame
    b"\x50\x2a\x4d\x18",  # one to skip
]
