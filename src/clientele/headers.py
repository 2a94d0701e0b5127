"""Which headers can be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import httpx2

from .redaction import excerpt

HeaderTypes: TypeAlias = httpx2.Headers | Mapping[str, str] | Sequence[tuple[str, str]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_HEADERS = re.compile(r"[\x00-\x08\n-\x1f\x7f]|^[ \t]|[ \t]$")


def checked_headers(headers: HeaderTypes | None) -> httpx2.Headers:
    """The headers; a `ValueError` where one cannot be sent."""
    if headers is None:
        return httpx2.Headers()
    if isinstance(headers, httpx2.Headers):
        headers = headers.multi_items()
    items = [*(headers.items() if isinstance(headers, Mapping) else headers)]
    for name, value in items:
        if not is_token(name):
            raise ValueError(f"{excerpt(name)!r} cannot be the name of a header; it is no token")
        # The one that may have characters outside ASCII is sent as UTF-8 (WHATWG HTML, section 9.2.3).
        if not is_sendable(value) or not (value.isascii() or name.lower() == "last-event-id"):
            raise ValueError(
                f"the value of the header {name!r} has a CR, LF, NUL or other control character in it, "
                "a character outside ASCII, or white space around it"
            )
    return httpx2.Headers([(name.encode(), value.encode()) for name, value in items])


def is_sendable(value: str) -> bool:
    """Whether it can be the value of a header (RFC 9110, section 5.5)."""
    return not _FORBIDDEN_IN_HEADERS.search(value)


def is_token(name: str) -> bool:
    """Whether it can be the name of a header (RFC 9110, section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None
