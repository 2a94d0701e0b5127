"""Bodies in gzip, deflate, br and zstd: whatever the cutting, as the slow reading in `content_coding_reference.py`."""

from __future__ import annotations

import gzip
import random
import sys
import tracemalloc
import zlib
from itertools import pairwise
from types import SimpleNamespace
from unittest import mock

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.wire.content_coding_reference import READERS, CutShort, Malformed, brotli, zstd
from tests.wire.content_coding_reference import decode as reference

from clientele.wire.content_coding import MAX_OUTPUT, UnsupportedContentCoding, content_decoder

pytestmark = pytest.mark.every_python

try:
    import brotlicffi
except ImportError:
    brotlicffi = None

needs_brotli = pytest.mark.skipif(brotli is None, reason="needs brotli")
needs_zstd = pytest.mark.skipif(zstd is None, reason="needs backports.zstd")
each_coding = pytest.mark.parametrize("coding", READERS)

SKIPPABLE_FRAME = b"\x50\x2a\x4d\x18" + b"\x03\0\0\0" + b"abc"
# As zlib it begins like a stored block whose sizes contradict each other. As raw deflate it is a stored block.
RAW_LIKE_ZLIB = b"\x78\x01\x00\xfe\xff" + b"A" + b"\x03\x00"
INCOMPRESSIBLE = random.Random(1).randbytes(400_000)


def decode(codings: str, pieces: list[bytes], output: bytearray | None = None) -> bytes:
    decoder = content_decoder([codings])
    output = bytearray() if output is None else output
    for piece in pieces:
        decoder.receive(piece)
        read(decoder, output)
    decoder.end()
    return bytes(output)


def read(decoder, output: bytearray) -> None:
    while data := decoder.read():
        assert len(data) <= MAX_OUTPUT
        output += data


def cut(data: bytes, size: int = 1) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def compressor(coding: str, wbits: int | None = None):
    """What compresses, what flushes a block, and what ends it all."""
    if coding == "br":
        brotli_compressor = brotli.Compressor()
        return brotli_compressor.process, brotli_compressor.flush, brotli_compressor.finish
    if coding == "zstd":
        zstd_compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})
        return (
            zstd_compressor.compress,
            lambda: zstd_compressor.flush(zstd.ZstdCompressor.FLUSH_BLOCK),
            zstd_compressor.flush,
        )
    zlib_compressor = zlib.compressobj(wbits=wbits or {"gzip": 31, "deflate": 15, "raw": -15}[coding])
    return zlib_compressor.compress, lambda: zlib_compressor.flush(zlib.Z_SYNC_FLUSH), zlib_compressor.flush


def encode(coding: str, *contents: bytes) -> bytes:
    """Compress the contents in one go, flushed after each."""
    compress, flush, finish = compressor(coding)
    return b"".join(compress(content) + flush() for content in contents) + finish()


# Any message, any cutting


@st.composite
def encoded(draw: st.DrawFn, coding: str, content: bytes) -> bytes:
    """The content in a coding, in one of the many forms that mean the same."""
    parts = cut_anywhere(draw, content)
    if coding == "deflate":
        return encode(draw(st.sampled_from(["deflate", "raw"])), *parts)
    if coding == "br":
        return encode(coding, *parts)
    if not content and draw(st.booleans()):
        return b""
    members = []
    for part in parts:
        member = encode(coding, *cut_anywhere(draw, part))
        if coding == "gzip":
            if draw(st.booleans()):
                header = member[:3] + b"\x1e" + member[4:10] + b"\x02\0" + b"xx" + b"name\0" + b"comment\0"
                member = header + zlib.crc32(header).to_bytes(4, "little")[:2] + member[10:]
            members += [member, bytes(draw(st.integers(0, 3)))]
        else:
            members += [SKIPPABLE_FRAME * draw(st.integers(0, 2)), member]
    return b"".join(members)


def cut_anywhere(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=4))
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


@st.composite
def messages(draw: st.DrawFn) -> tuple[list[str], bytes]:
    codings = draw(st.lists(st.sampled_from([*READERS]), min_size=1, max_size=3))
    body = draw(st.binary(max_size=60)) * draw(st.sampled_from([1, 1, 1, 40, 1200]))
    for coding in codings:
        body = draw(encoded(coding, body))
    return codings, body


def outcome(decode, *arguments) -> bytes | type[Exception]:
    try:
        return decode(*arguments)
    except (CutShort, httpx2.RemoteProtocolError):
        return CutShort
    except (Malformed, httpx2.DecodingError):
        return Malformed


@settings(deadline=None)
@given(data=st.data(), message=messages())
def test_any_cutting_gives_what_the_whole_message_means(data, message):
    codings, body = message
    change = data.draw(st.sampled_from(["none", "cut", "longer"]), "change")
    if change == "cut":
        body = body[: data.draw(st.integers(0, len(body)), "size")]
    elif change == "longer" and body:
        body += data.draw(st.sampled_from([b"\0", b"x", b"\x1f", b"\x1f\x8b\x08", b"\0\x1fx"]), "trailing")
    pieces = data.draw(st.just(cut(body)) | st.builds(lambda: cut_anywhere(data.draw, body)), "pieces")

    assert outcome(decode, ",".join(codings), pieces) == outcome(reference, codings, body)


@settings(deadline=None)
@given(data=st.data(), message=messages())
def test_a_damaged_message_gives_an_error_or_what_it_means(data, message):
    codings, body = message
    damaged = bytearray(body)
    for index in data.draw(st.lists(st.integers(0, max(len(body) - 1, 0)), min_size=1, max_size=3)):
        damaged[index : index + 1] = data.draw(st.binary(min_size=1, max_size=1))
    expected = outcome(reference, codings, bytes(damaged))
    got = outcome(decode, ",".join(codings), cut_anywhere(data.draw, bytes(damaged)))

    assert got == expected if isinstance(expected, bytes) else not isinstance(got, bytes)


@settings(deadline=None)
@given(body=st.binary(max_size=40) | st.binary(max_size=40).map(lambda rest: b"\x78\x01" + rest))
@example(body=RAW_LIKE_ZLIB)
@example(body=RAW_LIKE_ZLIB[:6])
@example(body=b"\x78\x9c\x03\x00\x00\x00\x00\x01")  # nothing, in zlib
@example(body=b"\x03\x00")  # nothing, in raw deflate
def test_what_is_zlib_and_what_raw_is_decided_alike_in_any_cutting(body):
    whole, bytewise = outcome(decode, "deflate", [body]), outcome(decode, "deflate", cut(body))

    assert whole == bytewise
    expected = outcome(reference, ["deflate"], body)
    assert whole == expected if isinstance(expected, bytes) else not isinstance(whole, bytes)


# Prompt, and complete


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("coding", [*READERS, "raw"])
def test_what_was_flushed_is_readable_at_once(coding, size):
    compress, flush, _ = compressor(coding)
    decoder = content_decoder(["deflate" if coding == "raw" else coding])
    output = bytearray()
    for number in range(100):
        event = b'data: {"number": %d}\n\n' % number
        for piece in cut(compress(event) + flush(), size):
            decoder.receive(piece)
            read(decoder, output)
        assert output.endswith(event)


def test_each_gzip_member_is_readable_at_once():
    decoder = content_decoder(["gzip"])
    for event in [b"first", b"second", b"third"]:
        decoder.receive(gzip.compress(event))
        assert decoder.read() == event
        assert decoder.read() == b""
        decoder.end()  # between members the body is complete


def test_bytes_that_arrive_before_the_last_ones_were_read_are_kept():
    decoder = content_decoder(["gzip"])
    for piece in cut(gzip.compress(b"first") + gzip.compress(b"second"), 9):
        decoder.receive(piece)

    assert decoder.read() + decoder.read() == b"firstsecond"


@each_coding
def test_a_body_that_stops_anywhere_was_cut_short(coding):
    content = b"some text, " * 50
    body = encode(coding, content)
    for size in range(1, len(body)):
        output = bytearray()
        with pytest.raises(httpx2.RemoteProtocolError, match=f"^the body was cut short: its {coding} coding has not"):
            decode(coding, [body[:size]], output)
        assert content.startswith(output)


@each_coding
def test_a_body_without_any_byte_is_complete(coding):
    assert decode(f"{coding}, {coding}", []) == b""


@each_coding
def test_the_cut_of_any_coding_in_a_row_is_told(coding):
    body = gzip.compress(encode(coding, b"text")[:-1])

    with pytest.raises(httpx2.RemoteProtocolError, match=f"its {coding} coding"):
        decode(f"{coding}, gzip", [body])


@pytest.mark.parametrize("trailing", [b"x", b"\0x", b"text", b"\x1f\x8b\x07\0"])
@each_coding
def test_bytes_behind_the_end_are_an_error(coding, trailing):
    for pieces in [[encode(coding, b"text") + trailing], [encode(coding, b"text"), trailing]]:
        with pytest.raises(httpx2.DecodingError, match=rf"{coding} coding"):
            decode(coding, pieces)


@each_coding
def test_an_error_is_not_forgotten(coding):
    decoder = content_decoder([coding])
    decoder.receive(b"this is no compressed text")
    with pytest.raises(httpx2.DecodingError, match=f"^the body is not in its {coding} coding: "):
        read(decoder, bytearray())
    with pytest.raises((httpx2.DecodingError, httpx2.RemoteProtocolError)):
        read(decoder, bytearray())
        decoder.end()


def test_a_wrong_checksum_is_an_error():
    body = gzip.compress(b"text")
    with pytest.raises(httpx2.DecodingError, match="incorrect data check"):
        decode("gzip", [body[:-8] + bytes(4) + body[-4:]])


@needs_zstd
def test_a_wrong_zstd_checksum_is_an_error():
    with pytest.raises(httpx2.DecodingError, match="doesn't match checksum"):
        decode("zstd", [encode("zstd", b"text")[:-4] + b"\1\2\3\4"])


# Bounded


def endless_zeros() -> bytes:
    """The start of a gzip body of 1 GiB: 1 MiB of zeros, compressed to 1 KiB, a thousand times."""
    compressor = zlib.compressobj(wbits=31)
    header = compressor.flush(zlib.Z_FULL_FLUSH)
    return header + (compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_FULL_FLUSH)) * 1024


@pytest.mark.parametrize("size", [256 * 1024, 2**21])
def test_a_bomb_takes_no_more_memory_than_what_is_read(size):
    piece = endless_zeros()[:size]
    decoder = content_decoder(["gzip"])
    tracemalloc.start()
    try:
        decoder.receive(piece)
        for _ in range(10):
            assert decoder.read().strip(b"\0") == b""
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_OUTPUT
    finally:
        tracemalloc.stop()


@each_coding
def test_a_bomb_in_a_bomb_is_read_bit_by_bit(coding):
    body = encode(coding, encode(coding, bytes(5_000_000)))
    decoder = content_decoder([coding, coding])
    decoder.receive(body)
    output = bytearray()
    read(decoder, output)

    assert output == bytes(5_000_000)
    decoder.end()


@each_coding
@pytest.mark.parametrize("outer", READERS)
def test_all_of_an_answer_that_ends_where_an_output_ends_is_read(coding, outer):
    for size in [1, 31_999, 32_000, 32_001, 32_752, 64_000, 65_536]:
        for content in [bytes(size), INCOMPRESSIBLE[:size]]:
            assert decode(f"{coding}, {outer}", [encode(outer, encode(coding, content))]) == content


@pytest.mark.parametrize(
    ("codings", "nothing"),
    [
        ("gzip, gzip", gzip.compress(b"")),
        ("gzip, gzip", gzip.compress(b"") + bytes(1000)),
        ("deflate, gzip", b"\0\0\0\xff\xff"),
        pytest.param("zstd, gzip", SKIPPABLE_FRAME, marks=needs_zstd),
        pytest.param("zstd, br", SKIPPABLE_FRAME, marks=[needs_zstd, needs_brotli]),
    ],
    ids=["members", "padding", "blocks", "frames", "frames in br"],
)
def test_much_that_comes_to_nothing_is_an_error(codings, nothing):
    outer = codings.split(", ")[1]
    few, many = (encode(outer, nothing * (size // len(nothing))) for size in (100_000, 500_000))

    assert content_decoder([codings]).read() == b""
    decoder = content_decoder([codings])
    decoder.receive(few)
    assert decoder.read() == b""
    decoder = content_decoder([codings])
    decoder.receive(many)
    with pytest.raises(
        httpx2.DecodingError, match=rf"content codings {codings} inflates to \d+ bytes that decode to n"
    ):
        decoder.read()


@each_coding
def test_five_codings_in_a_row_carry_what_cannot_be_compressed(coding):
    body = INCOMPRESSIBLE
    for _ in range(5):
        body = encode(coding, body)

    assert decode(",".join([coding] * 5), cut(body, 100_000)) == INCOMPRESSIBLE


@needs_zstd
def test_a_zstd_window_of_8_mib_is_the_largest():
    bodies = []
    for window_log in (23, 24):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
        bodies.append(
            compressor.compress(b"text") + compressor.flush(zstd.ZstdCompressor.FLUSH_BLOCK) + compressor.flush()
        )

    assert decode("zstd", bodies[:1]) == b"text"
    with pytest.raises(httpx2.DecodingError, match=r"has a window of more than 8 MiB, the limit of RFC 9659$"):
        decode("zstd", bodies[1:])


@pytest.mark.skipif(brotlicffi is None, reason="needs brotlicffi")
def test_brotlicffi_serves_where_brotli_is_missing():
    content = bytes(300_000) + b"text" + INCOMPRESSIBLE
    body = brotlicffi.compress(content)
    with mock.patch.dict(sys.modules, {"brotli": None}):
        assert decode("br", [body]) == content
        assert decode("br", cut(body, 1000)) == content
        with pytest.raises(httpx2.DecodingError):
            decode("br", [body + b"x"])
        with pytest.raises(httpx2.RemoteProtocolError):
            decode("br", [body[:-1]])


# The header


@pytest.mark.parametrize("values", [[], [""], [" , "], ["identity"], ["None"], ["identity, none", "IDENTITY"]])
def test_there_may_be_nothing_to_decode(values):
    assert content_decoder(values) is None


@pytest.mark.parametrize("values", [["gzip, deflate"], ["x-gzip", "Deflate"], [" GZIP ,, identity,deflate", "none"]])
def test_the_coding_that_was_applied_last_is_decoded_first(values):
    decoder = content_decoder(values)
    decoder.receive(zlib.compress(gzip.compress(b"text")))

    assert decoder.read() == b"text"
    decoder.end()


def test_an_unknown_coding_is_named():
    with pytest.raises(
        UnsupportedContentCoding, match="its content coding 'compress' is unknown; ask for one of gzip, "
    ):
        content_decoder(["gzip, compress"])


def test_more_than_five_codings_are_an_error():
    assert content_decoder(["gzip"] * 5) is not None
    with pytest.raises(httpx2.DecodingError, match="6 content codings in a row; 5 is the limit"):
        content_decoder(["gzip"] * 6)


@pytest.mark.parametrize(
    ("coding", "missing", "cure"),
    [
        ("br", {"brotli": None, "brotlicffi": None}, "run `pip install 'brotli>=1.2'`"),
        ("br", {"brotli": SimpleNamespace(Decompressor=object), "brotlicffi": None}, "run `pip install 'brotli>=1.2'`"),
        ("zstd", {"backports.zstd": None}, "run `pip install backports.zstd`"),
        ("zstd", {"compression.zstd": None}, "use a Python that was built with compression.zstd"),
    ],
    ids=["no brotli", "an old brotli", "no backports.zstd", "no compression.zstd"],
)
def test_a_missing_package_is_named(coding, missing, cure):
    version = (3, 14) if "compression.zstd" in missing else (3, 13)
    with mock.patch.dict(sys.modules, missing), mock.patch.object(sys, "version_info", version):
        with pytest.raises(UnsupportedContentCoding) as caught:
            content_decoder(["gzip", coding])
        assert content_decoder(["gzip, deflate"]) is not None

    assert str(caught.value) == f"its content coding '{coding}' needs a package: {cure}"


@needs_zstd
def test_python_3_14_decodes_zstd_itself():
    with (
        mock.patch.dict(sys.modules, {"compression.zstd": zstd, "backports.zstd": None}),
        mock.patch.object(sys, "version_info", (3, 14)),
    ):
        assert decode("zstd", [encode("zstd", b"text")]) == b"text"
