"""What a response's `Content-Type` says, and its content read accordingly."""

from __future__ import annotations

import codecs
import re

import httpx2

# Python's names of those that are encodings of text. It knows others, that compress or escape, and UTF-7, which holds
# back without limit what it has not understood.
_TEXT_ENCODINGS = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|tis-620|ptcp154|kz1048"
    r"|gb2312|gbk|gb18030|hz|big5(hkscs)?|euc_\w+|iso2022_\w+|shift_jis\w*|johab"
)


def media_type(response: httpx2.Response) -> str:
    """The media type in lower case, without parameters; `""` where none is named."""
    content_type: str = response.headers.get("Content-Type", "")
    return content_type.partition(";")[0].strip().lower()


def text_encoding(response: httpx2.Response) -> str:
    """Python's name of the encoding that text comes in; UTF-8 where none is named, or none of text."""
    try:
        name = codecs.lookup(response.encoding or "utf-8").name
    except LookupError:
        return "utf-8"
    return name if _TEXT_ENCODINGS.fullmatch(name) else "utf-8"


def text_content(response: httpx2.Response) -> str:
    """The content as text; what cannot be decoded is replaced."""
    return response.content.decode(text_encoding(response), "replace")


def json_content(response: httpx2.Response) -> bytes | str:
    """The content, as text only where it says that it is not in UTF-8 (RFC 8259, section 8.1)."""
    if "charset" not in response.headers.get("Content-Type", "").lower():  # which is looked up faster than parsed
        return response.content.removeprefix(codecs.BOM_UTF8)
    if (response.charset_encoding or "utf-8").lower() in ("utf-8", "utf8", "us-ascii"):
        return response.content.removeprefix(codecs.BOM_UTF8)
    return text_content(response)
