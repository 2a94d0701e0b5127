"""A slow reading of the content codings, to hold the decoder against.

It takes a complete body. Gzip and deflate are read bit by bit, as RFC 1950 (zlib), 1951 (deflate) and 1952 (gzip) have
it; it shares nothing with zlib but the checksums. For br and zstd it hands everything to the packages at once.
"""

from __future__ import annotations

import zlib
from itertools import pairwise

try:
    import brotli
except ImportError:
    brotli = None
try:
    from compression import zstd
except ImportError:
    try:
        from backports import zstd
    except ImportError:
        zstd = None


class CutShort(Exception):
    """The body ends before its coding does."""


class Malformed(Exception):
    """The body is not in its coding."""


def decode(codings: list[str], body: bytes) -> bytes:
    for coding in reversed(codings):
        if body:  # a body without any byte is complete, whatever its header says
            body = READERS[coding](body)
    return body


def read_gzip(body: bytes) -> bytes:
    # "A gzip file consists of a series of 'members' (compressed data sets). [...] The members simply appear one after
    # another in the file, with no additional information before, between, or after them."
    # Tape blocks made gzip tools skip zeros after a member, too.
    bits = Bits(body)
    output = b""
    while True:
        output += read_gzip_member(bits)
        while bits.position < len(body) and body[bits.position] == 0:
            bits.position += 1
        if bits.position == len(body):
            return output


def read_gzip_member(bits: Bits) -> bytes:
    start = bits.position
    # "ID1 = 31 (0x1f), ID2 = 139 (0x8b)"
    if bits.byte() != 0x1F or bits.byte() != 0x8B:
        raise Malformed("no gzip header")
    method, flags = bits.byte(), bits.byte()
    # "CM = 8 denotes the 'deflate' compression method"; "Reserved FLG bits must be zero."
    if method != 8 or flags & 0b1110_0000:
        raise Malformed("unknown method or flags")
    bits.bytes(6)  # MTIME, XFL, OS
    if flags & 0b0_0100:  # FEXTRA
        bits.bytes(int.from_bytes(bits.bytes(2), "little"))
    if flags & 0b0_1000:  # FNAME
        while bits.byte():
            pass
    if flags & 0b1_0000:  # FCOMMENT
        while bits.byte():
            pass
    if flags & 0b0_0010:  # FHCRC
        header = bits.data[start : bits.position]
        if bits.bytes(2) != zlib.crc32(header).to_bytes(4, "little")[:2]:
            raise Malformed("wrong checksum of the header")
    output = bytearray()
    inflate(bits, output)
    if bits.bytes(4) != zlib.crc32(output).to_bytes(4, "little"):
        raise Malformed("wrong checksum")
    if bits.bytes(4) != (len(output) % 2**32).to_bytes(4, "little"):
        raise Malformed("wrong size")
    return bytes(output)


def read_deflate(body: bytes) -> bytes:
    # RFC 9110, section 8.4.1.2: "The 'deflate' coding is a 'zlib' data format containing a 'deflate' compressed data
    # stream [...] Note: Some non-conformant implementations send the 'deflate' compressed data without the zlib
    # wrapper."
    if len(body) < 2:
        raise CutShort
    output = bytearray()
    try:
        bits = Bits(body)
        read_zlib(bits, output)
    except Malformed:
        if output:
            raise
        bits = Bits(body)
        inflate(bits, output)
    if bits.position < len(body):
        raise Malformed("something behind the end")
    return bytes(output)


def read_zlib(bits: Bits, output: bytearray) -> None:
    method_and_window, flags = bits.byte(), bits.byte()
    # "CM = 8 denotes the 'deflate' compression method with a window size up to 32K."
    # "Values of CINFO above 7 are not allowed"
    if method_and_window & 0b1111 != 8 or method_and_window >> 4 > 7:
        raise Malformed("unknown method")
    # "CMF and FLG, when viewed as a 16-bit unsigned integer [...], is a multiple of 31."
    if (method_and_window * 256 + flags) % 31 != 0:
        raise Malformed("wrong check bits")
    if flags & 0b10_0000:  # FDICT
        raise Malformed("a dictionary that nobody knows")
    inflate(bits, output)
    if bits.bytes(4) != zlib.adler32(output).to_bytes(4, "big"):
        raise Malformed("wrong checksum")


LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227]
LENGTHS += [258]
LENGTH_BITS = [0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0]
DISTANCE_BITS = [0, 0, *(bits for bits in range(14) for _ in range(2))]
DISTANCES = [1]
for extra_bits in DISTANCE_BITS[:-1]:
    DISTANCES.append(DISTANCES[-1] + 2**extra_bits)
CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]


def inflate(bits: Bits, output: bytearray) -> None:
    """Read a deflate stream as RFC 1951, section 3.2.3 has it, and go on at the next byte."""
    final = 0
    while not final:
        # "read block header from input stream."
        final = bits.number(1)
        block_type = bits.number(2)
        # "if stored with no compression: skip any remaining bits in current partially processed byte; read LEN and
        # NLEN; copy LEN bytes of data to output"
        if block_type == 0:
            bits.skip_to_byte()
            size = int.from_bytes(bits.bytes(2), "little")
            if int.from_bytes(bits.bytes(2), "little") != size ^ 0xFFFF:
                raise Malformed("LEN and NLEN differ")
            for _ in range(size):
                output.append(bits.byte())
            continue
        if block_type == 1:
            literals = code_of([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)
            distances = code_of([5] * 32)
        elif block_type == 2:
            literals, distances = read_codes(bits)
        else:
            raise Malformed("unknown block type")
        # "loop (until end of block code recognized): decode literal/length value from input stream"
        while (value := bits.symbol(literals)) != 256:
            # "if value < 256: copy value (literal byte) to output stream"
            if value < 256:
                output.append(value)
                continue
            # "otherwise: decode distance from input stream; move backwards distance bytes in the output stream, and
            # copy length bytes from this position to the output stream."
            if value > 285:
                raise Malformed("unknown length")
            length = LENGTHS[value - 257] + bits.number(LENGTH_BITS[value - 257])
            value = bits.symbol(distances)
            if value > 29:
                raise Malformed("unknown distance")
            distance = DISTANCES[value] + bits.number(DISTANCE_BITS[value])
            if distance > len(output):
                raise Malformed("too far back")
            for _ in range(length):
                output.append(output[-distance])
    bits.skip_to_byte()


def read_codes(bits: Bits) -> tuple[dict[str, int], dict[str, int]]:
    literal_count, distance_count, length_count = bits.number(5) + 257, bits.number(5) + 1, bits.number(4) + 4
    if literal_count > 286 or distance_count > 30:
        raise Malformed("too many codes")
    code_lengths = [0] * 19
    for symbol in CODE_LENGTH_ORDER[:length_count]:
        code_lengths[symbol] = bits.number(3)
    code = code_of(code_lengths)
    lengths: list[int] = []
    while len(lengths) < literal_count + distance_count:
        symbol = bits.symbol(code)
        if symbol < 16:
            lengths += [symbol]
        elif symbol == 16:
            if not lengths:
                raise Malformed("nothing to repeat")
            lengths += [lengths[-1]] * (3 + bits.number(2))
        elif symbol == 17:
            lengths += [0] * (3 + bits.number(3))
        else:
            lengths += [0] * (11 + bits.number(7))
    if len(lengths) > literal_count + distance_count or lengths[256] == 0:
        raise Malformed("wrong lengths")
    return code_of(lengths[:literal_count]), code_of(lengths[literal_count:])


def code_of(lengths: list[int]) -> dict[str, int]:
    """Section 3.2.2: codes of one length are consecutive, in the order of their symbols; shorter ones come first."""
    ordered = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    code = {}
    value = 0
    for (length, symbol), (next_length, _) in pairwise([*ordered, (15, None)]):
        if value >= 2**length:
            raise Malformed("more codes than there is room for")
        code[f"{value:0{length}b}"] = symbol
        value = (value + 1) << max(next_length - length, 0)
    return code


class Bits:
    """Section 3.1.1: bits are taken from a byte "starting with the least-significant bit"."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.left: list[int] = []  # the bits of the byte before the position that were not taken

    def byte(self) -> int:
        if self.position == len(self.data):
            raise CutShort
        self.position += 1
        return self.data[self.position - 1]

    def bytes(self, size: int) -> bytes:
        return bytes(self.byte() for _ in range(size))

    def bit(self) -> int:
        if not self.left:
            byte = self.byte()
            self.left = [byte >> index & 1 for index in range(8)]
        return self.left.pop(0)

    def number(self, size: int) -> int:
        return sum(self.bit() << index for index in range(size))

    def symbol(self, code: dict[str, int]) -> int:
        word = ""
        while word not in code:
            if len(word) == 15:
                raise Malformed("no such code")
            word += str(self.bit())
        return code[word]

    def skip_to_byte(self) -> None:
        self.left = []


def read_br(body: bytes) -> bytes:
    decompressor = brotli.Decompressor()
    try:
        output = decompressor.process(body)
    except brotli.error as error:
        raise Malformed from error
    if not decompressor.is_finished():
        raise CutShort
    return output


def read_zstd(body: bytes) -> bytes:
    # RFC 8878, section 3: "Zstandard compressed data is made up of one or more frames. Each frame is independent and
    # can be decompressed independently of other frames. The decompressed content of multiple concatenated frames is
    # the concatenation of each frame's decompressed content."
    output = b""
    while body:
        # RFC 9659 allows no window of more than 8 MiB in HTTP.
        decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})
        try:
            output += decompressor.decompress(body)
        except zstd.ZstdError as error:
            raise Malformed from error
        if not decompressor.eof:
            raise CutShort
        body = decompressor.unused_data
    return output


READERS = {"gzip": read_gzip, "deflate": read_deflate}
if brotli is not None:
    READERS["br"] = read_br
if zstd is not None:
    READERS["zstd"] = read_zstd
