"""Content codings, as servers of streams apply them: what has been encoded can be decoded at once."""

from __future__ import annotations

import zlib
from typing import Protocol

GZIP = 16 + zlib.MAX_WBITS


class Coding(Protocol):
    """The coding of one response.

    Attributes:
        name: What it is called in the account of a run.
        headers: The lines of the head that name it.
    """

    name: str
    headers: bytes

    def encode(self, data: bytes) -> bytes:
        """The next data, encoded so that all of it can be decoded."""

    def end(self) -> bytes:
        """What stands behind the last data."""

    def is_whole(self, encoded: bytes) -> bool:
        """Whether a body that ends behind these bytes has not been cut, as far as the coding tells."""


class Identity:
    name = "not encoded"
    headers = b""

    def encode(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""

    def is_whole(self, encoded: bytes) -> bool:
        return True


class Gzip:
    """One gzip member, which is flushed behind each event."""

    name = "gzip"
    headers = b"Content-Encoding: gzip\r\n"

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(wbits=GZIP)

    def encode(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush()

    def is_whole(self, encoded: bytes) -> bool:
        return are_whole_members(encoded)


class GzipMembers:
    """A gzip member for each event, as Kubernetes sends its watches."""

    name = "gzip, a member for each event"
    headers = Gzip.headers

    def encode(self, data: bytes) -> bytes:
        return zlib.compress(data, wbits=GZIP)

    def end(self) -> bytes:
        return b""

    def is_whole(self, encoded: bytes) -> bool:
        return are_whole_members(encoded)


def are_whole_members(encoded: bytes) -> bool:
    while encoded:
        decompressor = zlib.decompressobj(wbits=GZIP)
        decompressor.decompress(encoded)
        if not decompressor.eof:
            return False
        encoded = decompressor.unused_data
    return True


CODINGS: list[type[Coding]] = [Identity, Gzip, GzipMembers]
