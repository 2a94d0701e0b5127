"""The content of a response, read as its `Content-Type` says: text, JSON, problem details (RFC 9457)."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pydantic_core

# Python's names of those that are encodings of text. It knows others, that compress or escape, and UTF-7, which holds
# back without limit what it has not understood.
_TEXT_ENCODINGS = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|tis-620|ptcp154|kz1048"
    r"|gb2312|gbk|gb18030|hz|big5(hkscs)?|euc_\w+|iso2022_\w+|shift_jis\w*|johab"
)

_ESCAPE_IN_JSON = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)  # the group is half of a pair of surrogates


def media_type(content_type: str) -> str:
    """The media type of a `Content-Type` in lower case, without parameters; `""` where none is named."""
    return content_type.partition(";")[0].strip().lower()


def text_encoding(response: httpx2.Response) -> str:
    """Python's name for the encoding of the text; UTF-8 if the response names none, or none of text."""
    try:
        name = codecs.lookup(response.encoding or "utf-8").name
    except LookupError:
        return "utf-8"
    return name if _TEXT_ENCODINGS.fullmatch(name) else "utf-8"


def text_content(response: httpx2.Response) -> str:
    """The content as text; what cannot be decoded is replaced."""
    return response.content.decode(text_encoding(response), "replace")


def json_encoding(response: httpx2.Response) -> str:
    """The encoding of JSON: UTF-8, unless the content type says otherwise (RFC 8259, section 8.1)."""
    names_charset = "charset" in response.headers.get("Content-Type", "").lower()  # looked up faster than parsed
    if names_charset and (response.charset_encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        return text_encoding(response)
    return "utf-8"


def json_content(response: httpx2.Response) -> bytes:
    """The content in UTF-8. From another encoding, undecodable bytes are replaced."""
    encoding = json_encoding(response)
    content = response.content if encoding == "utf-8" else response.content.decode(encoding, "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8)


def well_formed(data: bytes) -> bytes:
    """JSON with U+FFFD in place of undecodable bytes, and of escaped halves of surrogate pairs."""
    text = data.decode("utf-8", "replace").encode()
    return _ESCAPE_IN_JSON.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], text)


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """A problem details object (RFC 9457, section 3).

    Attributes:
        type: A URI of the kind of problem; `"about:blank"` if the status says it all.
        title: The kind of problem, in words.
        status: The status of the response.
        detail: What happened this time.
        instance: A URI of this occurrence.
        extensions: All other members.
    """

    type: str = "about:blank"
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)


_PROBLEM_MEMBERS: dict[str, type] = {"type": str, "title": str, "status": int, "detail": str, "instance": str}


def problem_details(response: httpx2.Response) -> ProblemDetails | None:
    """The problem details of a read response; `None` if it has another media type, or is broken."""
    members: Any = None
    if media_type(response.headers.get("Content-Type", "")) == "application/problem+json":
        with contextlib.suppress(ValueError):
            members = pydantic_core.from_json(well_formed(json_content(response)))
    if not isinstance(members, dict):
        return None
    # A member that is not of its type is left out (section 3.1).
    known = {name: members[name] for name, kind in _PROBLEM_MEMBERS.items() if type(members.get(name)) is kind}
    return ProblemDetails(**known, extensions={name: members[name] for name in members.keys() - _PROBLEM_MEMBERS})
