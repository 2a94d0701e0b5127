"""Lines from bytes that arrive in pieces, for all formats that consist of lines.

Each byte is looked at a fixed number of times, however the stream is cut. A piece without a line end goes to one
growing buffer, which takes no more room than the line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True, eq=False, kw_only=True)
class LineBuffer:
    """Cut bytes into lines. A byte order mark before the first is dropped.

    With `carriage_returns`, CR and CRLF end a line as LF does. A line ends with its CR, so that it does not wait for a
    byte that may never come; a LF that follows, in the same piece or the next, is swallowed.
    """

    carriage_returns: bool
    _start: bytes | None = field(default=b"", init=False)  # may become a byte order mark; None once that is settled
    _skip_line_feed: bool = field(default=False, init=False)  # the last piece ended with CR
    _rest: bytearray = field(default_factory=bytearray, init=False)

    @property
    def rest_size(self) -> int:
        """The size of the unfinished line, in bytes."""
        return len(self._rest)

    @property
    def rest_start(self) -> bytes:
        """The first bytes of the unfinished line, at most six."""
        return bytes(self._rest[:6])

    @property
    def is_empty(self) -> bool:
        """Whether the next byte begins a line: no byte order mark and no half of a CRLF is pending."""
        return not self._rest and self._start is None and not self._skip_line_feed

    def receive(self, data: bytes) -> list[bytes]:
        """Receive the next bytes. Returns the lines that they finish, without line ends."""
        if self._start is not None:
            data = self._start + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._start = data
                return []
            self._start = None
            data = data.removeprefix(_BOM)
        if self.carriage_returns:
            if self._skip_line_feed and data:
                self._skip_line_feed = False
                data = data.removeprefix(b"\n")
            if b"\r" in data:
                self._skip_line_feed = data.endswith(b"\r")
                data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        if lines and self._rest:
            self._rest += lines[0]
            lines[0] = self.take_rest()
        self._rest += rest
        return lines

    def take_rest(self) -> bytes:
        """Remove and return the unfinished line; `b""` if there is none."""
        rest = self._start or bytes(self._rest)
        self._start = None
        self._rest.clear()
        return rest
