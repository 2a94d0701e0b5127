"""Request bodies that are sent in pieces: files, iterators, and multipart forms that contain them.

One class serves synchronous and asynchronous calls. It knows whether its length is known, and whether it can be sent
again: for a redirect, a retry, or `auth=`. A file is sent from its current position, and rewound to it. Asynchronous
calls read files and plain iterators in a worker thread, so that they do not block the event loop.
"""

from __future__ import annotations

import inspect
import io
import mimetypes
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import anyio.to_thread
import httpx2

FileContent: TypeAlias = bytes | os.PathLike[str] | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
FilePart: TypeAlias = tuple[str, Any, str]  # the name of a file, what it is read from, its content type
FileTypes: TypeAlias = FileContent | tuple[str, FileContent | str] | tuple[str, FileContent | str, str]

_END: Any = object()
_READ_SIZE = 64 * 1024  # bytes
_TO_ESCAPE_IN_NAMES = re.compile(r'["\r\n]')  # WHATWG HTML, section 4.10.21.8
_UPLOAD = "upload"  # the name of a file that has none; servers take a part without a name for a field of text


class UnrepeatableBody(httpx2.RequestError):
    """The request must be sent again, and its body can be sent only once."""


@dataclass(slots=True)
class _Piece:
    """The source of a part of a body. `length` is in bytes; a file is rewound to `start`."""

    source: Any
    length: int | None = None
    start: int | None = None

    @classmethod
    def of(cls, source: Any) -> _Piece:
        if isinstance(source, bytes):
            return cls(source, len(source))
        if isinstance(source, os.PathLike):
            return cls(Path(source), Path(source).stat().st_size)
        if not is_file(source):
            return cls(source)
        _check_file(source)
        with suppress(OSError, AttributeError):  # it cannot be rewound
            start = source.tell()
            length = source.seek(0, os.SEEK_END) - start
            source.seek(start)
            return cls(source, length, start)
        return cls(source)

    @property
    def is_once(self) -> bool:
        """Whether it can be read only once."""
        is_iterator = isinstance(self.source, Iterator | AsyncIterator)
        return self.start is None and (is_file(self.source) or is_iterator)

    def rewind(self) -> None:
        if self.start is not None:
            self.source.seek(self.start)

    def read(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
        elif isinstance(self.source, Path):
            with self.source.open("rb") as file:
                yield from _Piece(file).read()
        elif is_file(self.source):
            while (data := self.source.read(_READ_SIZE)) != b"":
                yield data
        else:
            yield from self.source

    async def aread(self) -> AsyncGenerator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
        elif isinstance(self.source, AsyncIterable):
            parts = aiter(self.source)
            try:
                async for data in parts:
                    yield data
            finally:
                if isinstance(parts, AsyncGenerator):
                    await parts.aclose()
        else:
            parts_of_it = self.read()
            while (part := await anyio.to_thread.run_sync(next, parts_of_it, _END, abandon_on_cancel=True)) is not _END:
                yield part


class StreamedBody(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in pieces: bytes, paths, binary files, iterators of bytes.

    Attributes:
        length: Its length in bytes; `None` if it shows only when it is read.
        is_async: Whether only an asynchronous call can read it.
        used_up_by_sending: The type of the piece that can be read once only, `None` if there is none.

    Raises:
        TypeError: A file is opened as text, or is read asynchronously.
        OSError: A path leads to no file.
    """

    def __init__(self, *sources: Any) -> None:
        self._pieces = [*map(_Piece.of, sources)]
        lengths = [piece.length for piece in self._pieces]
        self.length = None if None in lengths else sum(filter(None, lengths))
        self.is_async = any(isinstance(piece.source, AsyncIterable) for piece in self._pieces)
        once = [type(piece.source).__name__ for piece in self._pieces if piece.is_once]
        self.used_up_by_sending = once[0] if once else None
        self.endpoint = ""  # what sends it, for messages
        self._is_begun = False

    def check(self) -> None:
        """Raise `UnrepeatableBody` if it was sent, and cannot be sent again."""
        if self._is_begun and self.used_up_by_sending is not None:
            problem = f"it would have to be sent again, but its body is of type {self.used_up_by_sending}"
            raise UnrepeatableBody(f"{problem}, which can be sent once only; pass bytes, or a file that can be rewound")

    def _begin(self) -> None:
        self.check()
        self._is_begun = True
        for piece in self._pieces:
            piece.rewind()

    def _checked(self, data: Any) -> bytes:
        if not isinstance(data, bytes | bytearray | memoryview):
            found = f"{self.endpoint}: the body gives a {type(data).__name__}"
            raise TypeError(f"{found}, and is sent as bytes; let it give bytes: text.encode()")
        return data  # type: ignore[return-value]

    def __iter__(self) -> Iterator[bytes]:
        if self.is_async:
            raise TypeError("a synchronous call cannot read a body that is an asynchronous iterator")
        self._begin()
        for piece in self._pieces:
            yield from map(self._checked, piece.read())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._begin()
        for piece in self._pieces:
            parts = piece.aread()
            try:
                async for part in parts:
                    yield self._checked(part)
            finally:
                await parts.aclose()


def is_file(value: object) -> bool:
    """Whether it is a file, or has the methods of one."""
    return callable(getattr(value, "read", None)) and not isinstance(value, type)


def _check_file(file: Any) -> None:
    if isinstance(file, io.TextIOBase) or inspect.iscoroutinefunction(file.read):
        cure = "is read as text, or asynchronously; pass a file that was opened with open(path, 'rb')"
        raise TypeError(f"{type(file).__name__} {cure}")
    if getattr(file, "closed", False) is True:
        raise ValueError(f"{type(file).__name__} is closed; read it, or send it, before it is closed")


def is_streamed(value: object) -> bool:
    """Whether a body is sent in pieces, not as JSON: a file, or an iterator."""
    return isinstance(value, Iterator | AsyncIterable | io.IOBase) or is_file(value)


def multipart_form(
    fields: Sequence[tuple[str, str]], files: Sequence[tuple[str, FilePart]]
) -> tuple[StreamedBody, str]:
    """A form with files, and its content type. Raises `OSError`: a path leads to no file.

    Source: RFC 7578; WHATWG HTML, section 4.10.21.8.
    """
    boundary = os.urandom(16).hex()
    sources: list[Any] = []
    for name, text in fields:
        sources += [_head(boundary, name), text.encode()]
    for name, (file_name, content, content_type) in files:
        details = f'; filename="{_escaped(file_name)}"\r\nContent-Type: {content_type}'
        sources += [_head(boundary, name, details), content]
    sources.append(f"\r\n--{boundary}--\r\n".encode())
    sources[0] = sources[0].removeprefix(b"\r\n")
    return StreamedBody(*sources), f"multipart/form-data; boundary={boundary}"


def _head(boundary: str, name: str, details: str = "") -> bytes:
    return f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"{details}\r\n\r\n'.encode()


def _escaped(name: str) -> str:
    return _TO_ESCAPE_IN_NAMES.sub(lambda match: f"%{ord(match[0]):02X}", name)


def file_part(given: Any) -> FilePart:
    """The name, source and content type of a file that is one of `FileTypes`.

    Raises:
        TypeError: What is given is no file.
        ValueError: The content type cannot be sent.
    """
    name = content_type = None
    content = given
    if isinstance(given, tuple):
        if len(given) not in (2, 3) or not all(isinstance(each, str) for each in (given[0], *given[2:])):
            found = ", ".join(type(each).__name__ for each in given)
            raise TypeError(f"a tuple is (name, content) or (name, content, content type), not ({found})")
        name, content, content_type = (*given, None)[:3]
    if isinstance(content, str) and name is not None:  # by itself it might be a path
        content = content.encode()
    elif isinstance(content, bytearray | memoryview):
        content = bytes(content)
    elif not isinstance(content, bytes | os.PathLike) and not is_streamed(content):
        kinds = "bytes, pathlib.Path(...), a file, an iterator of bytes, or (name, content, content type)"
        raise TypeError(f"{type(content).__name__} is no file; pass {kinds}")
    if is_file(content):
        _check_file(content)
    if name is None:
        path = content if isinstance(content, os.PathLike) else getattr(content, "name", None)
        name = Path(path).name if isinstance(path, str | os.PathLike) else _UPLOAD
    content_type = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if not content_type.isprintable():
        raise ValueError(f"the content type of the file {name!r} has a control character in it")
    return name or _UPLOAD, content, content_type
