"""Secrets that a recording never holds: known by the names of headers, parameters, fields and JSON members.

A body arrives in pieces, and a secret may span two of them. So the redactor follows JSON byte by byte, whatever
surrounds it (an event stream, lines), and leaves out the value of each member whose name looks like a secret. A
string becomes one fixed text, a number becomes 0; in an object or a list, every value does. `null`, `true` and
`false` stay, and so do numbers named `…_tokens`, which are counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from urllib.parse import quote_plus, unquote_plus

from ..redaction import is_secret

REDACTED = "REDACTED"

_MAX_NAME = 200  # bytes of a name that are kept; longer ones are no names of secrets
_SPACE = b" \t\r\n"
_PREFIX = b"data:"  # of each line of an event's data
_FORM_FIELD = re.compile(rb"([^&=]+)=([^&]*)")
_PART = re.compile(rb'(name="([^"\r\n]*)"[^\r\n]*(?:\r\n[^\r\n]+)*\r\n\r\n)(.*?)(?=\r\n--)', re.DOTALL)


class JSONRedactor:
    """Leaves the values of secret members out of JSON that arrives in pieces."""

    def __init__(self) -> None:
        self._name = bytearray()  # the string that is being read, or was read last
        self._in_string = self._is_escaped = False
        self._is_after_string = False  # a colon would make it a name
        self._expects_value = False  # after such a colon
        self._is_secret = False  # the value that is expected, or read
        self._within = bytearray()  # the objects and lists that are open in a secret, by their brackets
        self._in_literal = False  # a number, true, false or null that is secret
        self._line = bytearray()  # the beginning of a line, as far as it may be a prefix

    def feed(self, data: bytes) -> bytes:
        """The next piece, without its secrets."""
        out = bytearray()
        for byte in data:
            self._take(byte, out)
        return bytes(out)

    def _take(self, byte: int, out: bytearray) -> None:
        if self._in_string:
            self._take_in_string(byte, out)
            return
        if self._in_literal:
            if byte not in b",]}" + _SPACE:
                return
            self._in_literal = False
            self._is_secret = bool(self._within)
        if self._is_prefix(byte):
            out.append(byte)
            return
        if byte == 0x22:  # "
            self._in_string, self._name = True, bytearray()
            out.append(byte)
            if self._is_value_secret:
                out += REDACTED.encode()
            return
        if byte == 0x3A and self._is_after_string:  # :
            self._expects_value, self._is_after_string = True, False
            self._is_secret = bool(self._within) or is_secret(_text(self._name))
        elif byte in _SPACE:
            pass
        elif self._is_value_secret and byte in b"{[":
            self._within.append(byte)
            self._expects_value = False
        elif self._within and byte in b"}]":
            self._within.pop()
            self._is_secret = bool(self._within)
        elif self._is_value_secret and byte in b"-0123456789" and not _text(self._name).endswith("tokens"):  # a count
            self._in_literal, self._expects_value = True, False
            out.append(0x30)
            return
        else:
            self._is_after_string = self._expects_value = False
            self._is_secret = bool(self._within)
        out.append(byte)

    @property
    def _is_value_secret(self) -> bool:
        return self._is_secret and (self._expects_value or self._within[-1:] == b"[")

    def _take_in_string(self, byte: int, out: bytearray) -> None:
        is_hidden = self._is_value_secret
        if byte in b"\r\n":  # no string of JSON goes on in another line: it was none
            self._in_string = self._is_escaped = self._is_after_string = self._expects_value = False
            self._is_secret, self._within = False, bytearray()
            out.append(byte)
            return
        if self._is_escaped:
            self._is_escaped = False
        elif byte == 0x5C:  # \
            self._is_escaped = True
        elif byte == 0x22:
            self._in_string = False
            self._is_after_string = True
            self._expects_value = False
            self._is_secret = bool(self._within)
            out.append(byte)
            return
        if len(self._name) < _MAX_NAME:
            self._name.append(byte)
        if not is_hidden:
            out.append(byte)

    def _is_prefix(self, byte: int) -> bool:
        """Whether the byte belongs to the `data:` of a line, where JSON goes on in another line."""
        if byte in b"\r\n":
            self._line = bytearray(b"\n")
            return False
        if self._line:
            self._line.append(byte)
            if _PREFIX.startswith(self._line[1:]):
                if len(self._line) > len(_PREFIX):
                    self._line = bytearray()
                return True
            self._line = bytearray()
        return False


class TextRedactor:
    """Removes texts from data that arrives in pieces. A possible beginning waits for the next piece."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece, without them."""
        if not self._secrets:
            return data
        data = without(self._secrets, self._held + data)
        longest = max(map(len, self._secrets)) - 1
        sizes = (size for size in range(min(longest, len(data)), 0, -1) if self._may_begin(data[-size:]))
        start = len(data) - next(sizes, 0)
        self._held = data[start:]
        return data[:start]

    def rest(self) -> bytes:
        """What was held back; call it at the end."""
        held, self._held = self._held, b""
        return held

    def _may_begin(self, end: bytes) -> bool:
        return any(secret.startswith(end) for secret in self._secrets)


def without(secrets: Sequence[bytes], data: bytes) -> bytes:
    """The data with these texts replaced."""
    for secret in secrets:
        data = data.replace(secret, REDACTED.encode())
    return data


def redacted_body(content: bytes, media_type: str) -> bytes:
    """A whole body without its secrets."""
    if media_type == "application/x-www-form-urlencoded":
        return _FORM_FIELD.sub(_redacted_field, content)
    if media_type == "multipart/form-data":
        return _PART.sub(lambda part: part[1] + (REDACTED.encode() if is_secret(_text(part[2])) else part[3]), content)
    return JSONRedactor().feed(content)


def _redacted_field(field: re.Match[bytes]) -> bytes:
    name = unquote_plus(field[1].decode("utf-8", "replace"))
    return field[1] + b"=" + quote_plus(REDACTED).encode() if is_secret(name) else field[0]


def _text(name: bytes | bytearray) -> str:
    try:
        return str(json.loads(b'"%b"' % bytes(name)))
    except ValueError:
        return bytes(name).decode("utf-8", "replace")
