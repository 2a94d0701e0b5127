"""Content codings, sans-I/O: bytes as they arrive in, decoded bytes out.

A decoder pulls: it keeps what arrives as it is, and inflates one piece at a time when the reader asks for it. So a bomb
costs no more than its reader takes, and everything that has arrived is readable at once, however it is cut.

A body in several codings goes through one layer after another. A layer gets its next piece when it has used up the one
before, so each holds one piece. What the decompressors keep inside comes on top: their window, which is at most 32 KiB
for gzip and deflate, 8 MiB for zstd and 16 MiB for br. The brotli library fills its window in one go.

Input that inflates to nothing (empty members, padding) keeps a single layer busy for as long as it has bytes: up to
half a second for 256 KiB of empty zstd frames. In a row of codings it would multiply, so there it is limited.

The packages for br and zstd are imported when a body needs them.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, ClassVar

import httpx2

MAX_OUTPUT = 64 * 1024
"""The most that one `ContentDecoder.read` returns, in bytes."""

_MAX_CODINGS = 5
_MAX_IDLE = 192 * 1024  # what one coding may inflate for the next without any output; a zstd block needs 128 KiB
_MAX_ZSTD_WINDOW_LOG = 23  # 8 MiB, RFC 9659

_INPUT_SIZE = 16 * 1024  # what a decompressor takes at a time; zlib copies what it leaves on every call
_OUTPUT_SIZE = 32_000  # what it returns at a time; the brotli package returns 96 KiB when asked for 32 KiB or more

_NOTHING = re.compile(rb"(?!)")


class UnsupportedContentCoding(httpx2.DecodingError):
    """A body has a content coding that cannot be decoded here. The message names it and the cure."""


class ContentDecoder:
    """Decode a body that arrives in pieces. Create one with `content_decoder`."""

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self._layers = layers  # the coding that was applied last comes first

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the body. Call it when `read` has returned `b""`. It decodes nothing yet."""
        self._layers[0].receive(data)

    def read(self) -> bytes:
        """Return the next decoded bytes, at most `MAX_OUTPUT`, or `b""` when more input is needed.

        `httpx2.DecodingError`: the body is not in its coding, or inflates to nothing for too long.
        """
        layers = self._layers
        index = last = len(layers) - 1
        idle = 0
        while True:
            output = layers[index].read()
            if not output:
                if index == 0:
                    return b""
                index -= 1
            elif index == last:
                return output
            else:
                idle += len(output)
                if idle > last * _MAX_IDLE:
                    names = ", ".join(layer.coding for layer in reversed(layers))
                    problem = f"inflates to {idle} bytes that decode to nothing; this may be a decompression bomb"
                    raise httpx2.DecodingError(f"the body in the content codings {names} {problem}")
                index += 1
                layers[index].receive(output)

    def end(self) -> None:
        """Raise `httpx2.RemoteProtocolError` if the body was cut short. Call it at the end, when `read` gives `b""`."""
        for layer in self._layers:
            if not layer.is_complete:
                raise httpx2.RemoteProtocolError(f"the body was cut short: its {layer.coding} coding has not ended")


def content_decoder(values: Iterable[str]) -> ContentDecoder | None:
    """Return a decoder for the values of the Content-Encoding header lines, or `None` if there is nothing to decode.

    `UnsupportedContentCoding`: a coding is unknown, or the package that decodes it is not installed.
    `httpx2.DecodingError`: there are more than five codings.
    """
    names = [name.strip() for value in values for name in value.lower().split(",")]
    codings = [name for name in names if name not in ("", "identity", "none")]
    if not codings:
        return None
    if len(codings) > _MAX_CODINGS:
        raise httpx2.DecodingError(f"the body has {len(codings)} content codings in a row; {_MAX_CODINGS} is the limit")
    for name in codings:
        if name not in _CODINGS:
            cure = f"ask for one of {', '.join(_CODINGS)} with Accept-Encoding"
            raise UnsupportedContentCoding(f"its content coding {name!r} is unknown; {cure}")
    return ContentDecoder([_CODINGS[name]() for name in reversed(codings)])


class _Layer:
    """One coding of a body, which consists of one member or several.

    `_new_decompressor` returns a decompressor for one member. `_decompress` returns the next output, whether the member
    has ended, and what of the data is behind its end; with `_OUTPUT_SIZE` of output, or more, there may be more of it.
    """

    _new_decompressor: Any
    _decompress: Any

    coding: ClassVar[str]
    next_member = _NOTHING  # what may follow a member, up to the start of the next
    error: type[Exception] = zlib.error

    def __init__(self) -> None:
        self.is_complete = True  # at the end of a member, or before the first byte
        self._decompressor: Any = None
        self._received = b""
        self._position = 0  # how much of it the decompressor has got
        self._has_more = False  # the decompressor stopped because its output was full

    def receive(self, data: bytes) -> None:
        self._received = self._received[self._position :] + data
        self._position = 0

    def read(self) -> bytes:
        while self._has_more or self._position < len(self._received):
            data = b""
            if not self._has_more:
                if self.is_complete and not self._start_member():
                    break
                data = self._received[self._position : self._position + _INPUT_SIZE]
                self._position += len(data)
            try:
                output: bytes
                output, self.is_complete, rest = self._decompress(data)
            except self.error as error:
                raise httpx2.DecodingError(self._explain(error)) from error
            self._position -= len(rest)
            self._has_more = len(output) >= _OUTPUT_SIZE and not self.is_complete
            if output:
                return output
        self._received, self._position = b"", 0
        return b""

    def _start_member(self) -> bool:
        """Prepare for the next member, unless only padding has arrived."""
        if self._decompressor is not None:
            match = self.next_member.match(self._received, self._position)
            if match is None:
                raise httpx2.DecodingError(f"the body goes on after the end of its {self.coding} coding")
            self._position = match.end()
            if self._position == len(self._received):
                return False
        self._decompressor = self._new_decompressor()
        self.is_complete = False
        return True

    def _explain(self, error: Exception) -> str:
        return f"the body is not in its {self.coding} coding: {error}"


class _Gzip(_Layer):
    coding = "gzip"
    next_member = re.compile(rb"\0*+(?=\x1f|\Z)")  # zeros are padding

    def _new_decompressor(self) -> Any:
        return zlib.decompressobj(16 + zlib.MAX_WBITS)

    def _decompress(self, data: bytes) -> tuple[bytes, bool, bytes]:
        inflate = self._decompressor
        output = inflate.decompress(data or inflate.unconsumed_tail, _OUTPUT_SIZE)
        return output, inflate.eof, inflate.unused_data


class _Deflate(_Gzip):
    """Zlib or, as some servers send it, raw deflate.

    A raw stream may start like a zlib header. So what is read as zlib is kept until the first output, and read again
    as raw if it turns out to be wrong before.
    """

    coding = "deflate"
    next_member = _NOTHING

    def _new_decompressor(self) -> Any:
        self._undecided: bytearray | None = bytearray()
        return zlib.decompressobj()

    def _decompress(self, data: bytes) -> tuple[bytes, bool, bytes]:
        if self._undecided is None:
            return super()._decompress(data)
        self._undecided += data
        try:
            result = super()._decompress(data)
        except zlib.error:
            data, self._undecided = bytes(self._undecided), None
            if _gives_zlib_output(data):
                raise
            self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
            return super()._decompress(data)
        if result[0] or len(self._undecided) > MAX_OUTPUT:
            self._undecided = None
        return result


def _gives_zlib_output(data: bytes) -> bool:
    """Whether broken zlib data gives output before it breaks: byte by byte, so that the cutting does not matter."""
    inflate = zlib.decompressobj()
    try:
        return any(inflate.decompress(data[index : index + 1]) for index in range(len(data)))
    except zlib.error:
        return False


class _Brotli(_Layer):
    coding = "br"

    def __init__(self) -> None:
        super().__init__()
        self._package = _brotli_package()
        self.error = self._package.error

    def _new_decompressor(self) -> Any:
        return self._package.Decompressor()

    def _decompress(self, data: bytes) -> tuple[bytes, bool, bytes]:
        brotli = self._decompressor
        output = brotli.process(data, output_buffer_limit=_OUTPUT_SIZE)
        is_finished = brotli.is_finished()
        # Data behind the end is an error of its own, except for brotlicffi before 1.2.1, which keeps it.
        has_rest = is_finished and not brotli.can_accept_more_data()
        return output, is_finished, b"?" if has_rest else b""


class _Zstd(_Layer):
    coding = "zstd"
    next_member = re.compile(rb"(?=[\x28\x50-\x5f])")  # a frame, or one to skip

    def __init__(self) -> None:
        super().__init__()
        self._package = _zstd_package()
        self.error = self._package.ZstdError

    def _new_decompressor(self) -> Any:
        option = self._package.DecompressionParameter.window_log_max
        return self._package.ZstdDecompressor(options={option: _MAX_ZSTD_WINDOW_LOG})

    def _decompress(self, data: bytes) -> tuple[bytes, bool, bytes]:
        zstd = self._decompressor
        return zstd.decompress(data, _OUTPUT_SIZE), zstd.eof, zstd.unused_data

    def _explain(self, error: Exception) -> str:
        if "too much memory" in str(error):
            return "the zstd coding of the body has a window of more than 8 MiB, the limit of RFC 9659"
        return super()._explain(error)


_CODINGS: dict[str, type[_Layer]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate, "br": _Brotli, "zstd": _Zstd}


def _brotli_package() -> Any:
    for name in ("brotli", "brotlicffi"):
        try:
            package = import_module(name)
        except ImportError:
            continue
        if hasattr(package.Decompressor, "can_accept_more_data"):  # since 1.2, as is `output_buffer_limit`
            return package
    raise UnsupportedContentCoding("its content coding 'br' needs a package: run `pip install 'brotli>=1.2'`")


def _zstd_package() -> Any:
    if sys.version_info >= (3, 14):
        name, cure = "compression.zstd", "use a Python that was built with compression.zstd"
    else:
        name, cure = "backports.zstd", "run `pip install backports.zstd`"
    try:
        return import_module(name)
    except ImportError as error:
        raise UnsupportedContentCoding(f"its content coding 'zstd' needs a package: {cure}") from error
