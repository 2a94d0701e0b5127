"""Which headers can be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import httpx2

from .redaction import excerpt

HeaderTypes: TypeAlias = httpx2.Headers | Mapping[str, str] | Mapping[bytes, bytes] | Sequence[tuple[str, str]]

_NAMES = {"\r": "a CR", "\n": "an LF", "\0": "a NUL"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_HEADERS = re.compile(r"[\x00-\x08\n-\x1f\x7f]|^[ \t]|[ \t]$")


def checked_headers(headers: HeaderTypes | None) -> httpx2.Headers:
    """Check headers. Raises `TypeError` or `ValueError`: one cannot be sent."""
    if headers is None:
        return httpx2.Headers()
    if isinstance(headers, httpx2.Headers):
        headers = headers.multi_items()
    if not isinstance(headers, Mapping | list | tuple):
        raise TypeError(f"headers are of type {type(headers).__name__}; pass a mapping, pairs, or httpx2.Headers")
    items = [_text_pair(field) for field in (headers.items() if isinstance(headers, Mapping) else headers)]
    for name, value in items:
        if not is_token(name):
            raise ValueError(f"{excerpt(name)!r} cannot be the name of a header; it is no token")
        # The one that may have characters outside ASCII is sent as UTF-8 (WHATWG HTML, section 9.2.3).
        if not is_sendable(value) or not (value.isascii() or name.lower() == "last-event-id"):
            raise ValueError(f"the value of the header {name!r} has {_problem(value)}")
    return httpx2.Headers([(name.encode(), value.encode()) for name, value in items])


def _text_pair(field: Any) -> tuple[str, str]:
    if not isinstance(field, tuple | list) or len(field) != 2:
        raise TypeError("headers are pairs of a name and a value; pass a mapping, or a list of such pairs")
    name, value = [each.decode("latin-1") if isinstance(each, bytes) else each for each in field]
    if not isinstance(name, str):
        raise TypeError(f"a header has the name {name!r}; pass text")
    if not isinstance(value, str):
        cure = "value.get_secret_value()" if hasattr(value, "get_secret_value") else "str(value)"
        raise TypeError(f"the value of the header {name!r} is of type {type(value).__name__}; pass text: {cure}")
    return name, value


def _problem(value: str) -> str:
    if control := re.search(r"[\x00-\x08\n-\x1f\x7f]", value):
        return f"{_NAMES.get(control[0], f'the control character {control[0]!r}')} in it"
    if not value.isascii():
        return "a character outside ASCII in it; encode it, as with urllib.parse.quote"
    return "white space around it; strip it"


def is_sendable(value: str) -> bool:
    """Whether it can be the value of a header (RFC 9110, section 5.5)."""
    return not _FORBIDDEN_IN_HEADERS.search(value)


def is_token(name: str) -> bool:
    """Whether it can be the name of a header (RFC 9110, section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None
