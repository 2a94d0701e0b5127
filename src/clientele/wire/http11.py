"""HTTP/1.1, sans-I/O: a request becomes bytes, and bytes become the head and the body of its response.

One `ResponseReader` reads one response. It parses the head with a regular expression, so that the size is bounded and
the framing is decided to the letter of RFC 9112, section 6.3, before any of the body is read. llhttp parses chunked
bodies; a body that has a length, or ends with its connection, needs no parser. (llhttp could parse the head, too. But
it knows nothing of `HEAD`, limits, folded lines or a length that is given twice, and a callback for each field costs
more.)

`receive` never raises. A response that breaks off gives what came before, then its error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import httptools
import httpx2

from ..exceptions import UnwritableRequest

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

MAX_HEAD_SIZE = 100 * 1024
"""The largest head of a response, those of informational responses before it included, in bytes. So much may also stand
between two chunks, and behind the last one."""

MAX_FIELDS = 1024
"""The most fields that a head may have."""

_STATUS_LINE = re.compile(rb"(HTTP/(\d\.\d)) (\d{3})(?: ([^\0\r\n]*))?\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)\r?\n")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"(?:(?<![ \t])[ \t]+)?\r?\n[ \t]+")  # looks at each white space once
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00-\x08\n-\x1f\x7f]")
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")
_FRAMING_SIZES = frozenset(map(len, _FRAMING))
_MAX_LENGTH_DIGITS = 18  # what 63 bits hold

_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
"""What makes llhttp expect a chunked body, and nothing behind it."""

_END = b""
"""Stands behind the pieces of a chunked body that has ended; no piece is empty."""


class RequestWriter:
    """Writes one request.

    Parameters:
        method: The method.
        target: What stands behind it: a path, or what a proxy is asked for.
        headers: The headers, which frame the body, too.

    Attributes:
        method: The method.
        target: The target.
        headers: The headers.
        head: The head, as it is sent.
        length: How many bytes the body has, by its `Content-Length`; 0 without one.
        is_framed: Whether the headers announce a body.
        is_last: Whether they say that the connection serves no other request.

    Raises:
        UnwritableRequest: It cannot be sent, or its framing is contradictory. No value of a header is shown.

    Source: RFC 9112, sections 3, 5 and 6; RFC 9110, section 5.5.
    """

    def __init__(self, method: bytes, target: bytes, headers: RawHeaders) -> None:
        values: dict[bytes, list[bytes]] = {name: [] for name in (*_FRAMING, b"host")}
        for name, value in headers:
            if not _TOKEN.fullmatch(name):
                raise UnwritableRequest(f"{name.decode('latin-1')!r} is no token, so it cannot name a header")
            if _FORBIDDEN_IN_VALUE.search(value):
                problem = "has a CR, LF, NUL or other control character in it"
                raise UnwritableRequest(f"the value of the header {name.decode()!r} {problem}")
            if (known := values.get(name.lower())) is not None:
                known.append(value.lower())
        if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
            raise UnwritableRequest("the method or the path of the request cannot be sent as they are")
        if len(values[b"host"]) != 1:
            raise UnwritableRequest("a request has one Host header, no more and no less")
        lengths, codings, options = (
            [each.strip(b" \t") for value in values[name] for each in value.split(b",")] for name in _FRAMING
        )
        if codings and (lengths or codings != [b"chunked"]):
            problem = "a request's Transfer-Encoding is chunked or nothing, and has no Content-Length beside it"
            raise UnwritableRequest(problem)
        if len(set(lengths)) > 1 or not all(map(_is_length, lengths)):
            raise UnwritableRequest("the Content-Length of the request is not one whole number; leave the header out")
        self.method, self.target, self.headers = method, target, headers
        lines = b"".join([b"%b: %b\r\n" % field for field in headers])
        self.head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines)
        self.is_framed = bool(lengths or codings)
        self.is_last = b"close" in options
        self.length = int(lengths[0]) if lengths else 0
        self._missing = self.length
        self._is_chunked = bool(codings)

    def frame(self, data: bytes) -> bytes:
        """Frame the next bytes of the body. Raises if they exceed what the headers say."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"the body of a request is made of bytes, not of {type(data).__name__}")
        data = bytes(data)
        self.count(len(data))
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return data

    def count(self, size: int) -> None:
        """Count sent bytes of the body. Raises if they exceed what the headers say."""
        self._missing -= 0 if self._is_chunked else size
        if self._missing < 0:
            problem = f"the body is longer than its Content-Length, {self.length} bytes; leave the header out"
            raise UnwritableRequest(problem)

    def end(self) -> bytes:
        """The bytes that end the body. Raises if it is shorter than the headers say."""
        if self._missing:
            what = f"the body is {self._missing} bytes shorter than its Content-Length, {self.length} bytes"
            problem = f"{what}; leave the header out"
            raise UnwritableRequest(problem)
        self._missing = self.length  # the request may be sent again
        return b"0\r\n\r\n" if self._is_chunked else b""


class Head(NamedTuple):
    """The head of a response, its fields in their order and spelling."""

    http_version: bytes
    status: int
    reason: bytes
    headers: RawHeaders


class ResponseReader:
    """Reads the response to one request.

    Parameters:
        method: The method of the request.
        is_last: Whether the request says that its connection serves no other one. Default `False`.

    Attributes:
        head: The head; `None` before it has come.
        size: The bytes of the body that have come and not been taken, at the most.
        is_ready: Whether there is something to go on with: a head, bytes of the body, its end, or an error.
        is_complete: Whether the response has ended. Its last bytes may not have been taken yet.
        is_upgraded: Whether the connection speaks another protocol from here on (`101`, or `CONNECT`).
        is_reusable: Whether the connection can serve another request, once the response is complete.
        error: Why the response cannot be read any further; to be raised when what came before has been taken.
    """

    def __init__(self, method: bytes, *, is_last: bool = False) -> None:
        self.head: Head | None = None
        self.size = 0
        self.is_ready = False
        self.is_complete = False
        self.is_upgraded = False
        self.is_reusable = not is_last
        self.error: Exception | None = None
        self.receive = self._receive_head
        self._method = method
        self._received = bytearray()  # of the head
        self._informational_size = 0
        self._pieces: list[bytes] = []
        self._missing: int | None = None  # of a body that has a length
        self._chunks: Any = None
        self._overhead = 0

    def take_head(self) -> Head:
        """The head, once it has arrived. Raises the error that prevents it."""
        if self.head is not None:
            self.is_ready = bool(self._pieces) or self.is_complete or self.error is not None
            return self.head
        assert self.error is not None
        raise self.error

    def take(self) -> bytes:
        """The bytes of the body that have arrived and are not taken yet."""
        self.size = 0
        self.is_ready = self.is_complete or self.error is not None
        pieces = self._pieces
        if len(pieces) == 1:
            return pieces.pop()
        data = b"".join(pieces)
        pieces.clear()
        return data

    def fail(self, error: Exception) -> None:
        """Note that the connection is gone, for this reason."""
        self.is_reusable = False
        if not self.is_complete and self.error is None:
            self.error = error
            self.is_ready = True
            self._ignore_rest()

    def receive_end(self) -> None:
        """The server has ended the connection."""
        if self.is_complete or self.error is not None:
            self.is_reusable = False
        elif self.head is None:
            within = "within the head of its response" if self._received else "without a response"
            self.fail(httpx2.RemoteProtocolError(f"the server closed the connection {within}"))
        elif self._chunks is not None:
            self.fail(httpx2.RemoteProtocolError("the connection ended before the last chunk of the body"))
        elif self._missing is not None:
            self.fail(httpx2.RemoteProtocolError(f"the connection ended {self._missing} bytes before the body did"))
        else:
            self._complete()

    def _receive_head(self, data: bytes | memoryview) -> None:
        searched = max(0, len(self._received) - 2)
        self._received += data
        try:
            while end := _END_OF_HEAD.search(self._received, searched):
                size = end.end()
                if self._informational_size + size > MAX_HEAD_SIZE:
                    break
                head, rest = _parsed_head(bytes(self._received[:size])), self._received[size:]
                if not 100 <= head.status < 200 or head.status == 101:
                    self._received = bytearray()
                    self._begin_body(head, bytes(rest))
                    return
                self._informational_size += size
                self._received, searched = rest, 0
        except httpx2.RemoteProtocolError as error:
            self.fail(error)
        else:
            if self._informational_size + len(self._received) > MAX_HEAD_SIZE:
                what = f"the head of the response is larger than {MAX_HEAD_SIZE} bytes"
                self.fail(httpx2.RemoteProtocolError(what))

    def _begin_body(self, head: Head, rest: bytes) -> None:
        """Decide how the body is framed (RFC 9112, section 6.3)."""
        values: dict[bytes, list[bytes]] = {name: [] for name in _FRAMING}
        for name, value in head.headers:
            if len(name) in _FRAMING_SIZES and (known := values.get(name.lower())) is not None:
                known.append(value.lower())
        lengths, codings, options = (
            [each.strip(b" \t") for value in values[name] for each in value.split(b",")] for name in _FRAMING
        )
        is_old = head.http_version == b"HTTP/1.0" and b"keep-alive" in options and not codings
        self.is_reusable &= b"close" not in options and (is_old or head.http_version == b"HTTP/1.1")
        if head.status == 101 or (self._method == b"CONNECT" and 200 <= head.status < 300):
            self.is_upgraded = True
            self.is_reusable = False
            self.receive = self._receive_rest
        elif self._method == b"HEAD" or head.status in (204, 304):
            self._complete()
        elif codings and lengths:
            problem = "the response has a Transfer-Encoding and a Content-Length, so where its body ends is ambiguous"
            raise httpx2.RemoteProtocolError(problem)
        elif codings:
            if [*filter(None, codings)] != [b"chunked"]:
                shown = b", ".join(codings).decode("latin-1")[:50]
                raise httpx2.RemoteProtocolError(f"the transfer coding {shown!r} is unknown; only chunked is supported")
            pieces = self._pieces
            callbacks = SimpleNamespace(on_body=pieces.append, on_message_complete=lambda: pieces.append(_END))
            self._chunks = httptools.HttpResponseParser(callbacks)
            self._chunks.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)  # some servers pad it
            self._chunks.feed_data(_CHUNKED_HEAD)
            self.receive = self._receive_chunks
        elif lengths:
            if len(set(lengths)) > 1 or not _is_length(lengths[0]):
                shown = b", ".join(lengths).decode("latin-1")[:50]
                problem = f"the Content-Length of the response is {shown!r}, not one whole number"
                raise httpx2.RemoteProtocolError(problem)
            self._missing = int(lengths[0])
            self.receive = self._receive_length
            if not self._missing:
                self._complete()
        else:
            self.is_reusable = False
            self.receive = self._receive_rest
        self.head = head
        self.is_ready = True
        if rest:
            self.receive(rest)

    def _receive_length(self, data: bytes | memoryview) -> None:
        assert self._missing is not None
        if len(data) > self._missing:
            self.is_reusable = False
            data = data[: self._missing]
        self._missing -= len(data)
        self.size += len(data)
        self._pieces.append(bytes(data))
        self.is_ready = True
        if not self._missing:
            self._complete()

    def _receive_rest(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        self._pieces.append(bytes(data))
        self.is_ready = True

    def _receive_chunks(self, data: bytes | memoryview) -> None:
        if 1 < len(data) < 5:  # too short to show whether the body ends with it
            for index in range(len(data)):
                self.receive(data[index : index + 1])
            return
        pieces = self._pieces
        count = len(pieces)
        error = None
        try:
            self._chunks.feed_data(data)
        except httptools.HttpParserError as raised:
            error = raised
        self.size += len(data)
        if len(pieces) == count:
            self._overhead += len(data)
        else:
            self._overhead = 0
            self.is_ready = True
            if pieces[-1] == _END:
                pieces.pop()
                self._complete()
                # llhttp refuses bytes behind the end, but for line ends.
                ends_here = len(data) == 1 or (data[-4:] == b"\r\n\r\n" and data[-5] not in b"\r\n")
                self.is_reusable &= error is None and ends_here
                return
        if error is not None:
            self.fail(httpx2.RemoteProtocolError(f"the body is not chunked as it should be: {error}"))
        elif self._overhead > MAX_HEAD_SIZE:
            what = f"the body has more than {MAX_HEAD_SIZE} bytes of chunk extensions or trailers"
            self.fail(httpx2.RemoteProtocolError(what))

    def _receive_excess(self, data: bytes | memoryview) -> None:
        """Receive excess bytes: they end the connection, and are never the next response."""
        self.is_reusable = False

    def _complete(self) -> None:
        self.is_complete = self.is_ready = True
        self._ignore_rest()

    def _ignore_rest(self) -> None:
        self.receive = self._receive_excess
        self._chunks = None


def _parsed_head(data: bytes) -> Head:
    """A head from its first byte to the empty line. Raises `httpx2.RemoteProtocolError`: it is none.

    Lines may end with LF alone; a folded line is joined with one space (RFC 9112, sections 2.2 and 5.2).
    """
    status_line = _STATUS_LINE.match(data)
    if status_line is None:
        raise httpx2.RemoteProtocolError(f"the response does not begin as HTTP/1.1 does, but with {data[:20]!r}")
    http_version, _, status, reason = status_line.groups()
    position = status_line.end()
    if (b"\n " in data or b"\n\t" in data) and data[position] not in b" \t":
        data = _FOLD.sub(b" ", data)
    headers: list[tuple[bytes, bytes]] = []
    while field := _FIELD.match(data, position):
        name, value = field.groups()
        headers.append((name, value.strip(b" \t")))
        position = field.end()
    if data[position:] not in (b"\r\n", b"\n"):
        line = data[position:].partition(b"\n")[0].partition(b":")[0]
        raise httpx2.RemoteProtocolError(
            f"line {len(headers) + 2} of the response's head, which begins with {line[:20]!r}, is no header"
        )
    if len(headers) > MAX_FIELDS:
        raise httpx2.RemoteProtocolError(f"the head of the response has more than {MAX_FIELDS} headers")
    return Head(http_version, int(status), reason or b"", headers)


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS
