"""Which headers can be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import httpx2

from .exceptions import excerpt

HeaderTypes: TypeAlias = httpx2.Headers | Mapping[str, str] | Sequence[tuple[str, str]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_HEADERS = re.compile(r"[\x00-\x08\n-\x1f\x7f]|^[ \t]|[ \t]$")


def checked_headers(headers: HeaderTypes | None) -> httpx2.Headers:
    """The headers, if they can be sent.

    The one value that may have characters outside ASCII is that of `Last-Event-ID`, which is sent as UTF-8 (WHATWG
    HTML, section 9.2.3).

    Raises:
        ValueError: A value has a CR, LF or NUL in it, which would end the header, another control character, a
            character outside ASCII, or white space around it; or a name is no token.
    """
    if headers is None:
        return httpx2.Headers()
    if isinstance(headers, httpx2.Headers):
        headers = headers.multi_items()
    items = headers.items() if isinstance(headers, Mapping) else headers
    return httpx2.Headers([(name.encode(), _checked_value(name, value)) for name, value in items])


def is_sendable(value: str) -> bool:
    """Whether it can be the value of a header (RFC 9110, section 5.5)."""
    return not _FORBIDDEN_IN_HEADERS.search(value)


def is_token(name: str) -> bool:
    """Whether it can be the name of a header (RFC 9110, section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def _checked_value(name: str, value: str) -> bytes:
    if not is_token(name):
        raise ValueError(f"{excerpt(name)!r} cannot be the name of a header; it is no token")
    if not is_sendable(value) or not (value.isascii() or name.lower() == "last-event-id"):
        raise ValueError(
            f"the value of the header {name!r} has a CR, LF, NUL or other control character in it, "
            "a character outside ASCII, or white space around it"
        )
    return value.encode()
