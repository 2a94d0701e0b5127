"""From the arguments of a call to the request: path, query, headers, body.

The serializer of a parameter's annotation writes each value. The parameter's place says where the value goes. A body is
written here, or sent in pieces (`bodies.py`).
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

import httpx2
from pydantic_core import PydanticSerializationError, from_json, to_json

from ..bodies import FilePart, StreamedBody, file_part, is_file, is_streamed, multipart_form
from ..exceptions import type_name
from ..headers import is_token
from ..redaction import excerpt, printable_path
from .serializer import is_secret_value, revealed

Content: TypeAlias = str | bytes | StreamedBody | None
Place: TypeAlias = Literal["path", "query", "headers", "cookies", "body", "body member", "form", "file"]

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
_OTHER_URL = re.compile(r"(?!https?://)([a-z][a-z0-9+.-]*:)?//|https?:/?(?!/)", re.IGNORECASE)
_RAW = (str, bytes, bytearray, memoryview)
_NAME_SOMETHING = "pass a value that names something"
_COOKIE_VALUE = re.compile(r"[ -:<-~]*")  # what ends neither the cookie nor the header (RFC 6265, section 4.2.1)


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the caller's parameters: where its value goes, under which name, and how it is written."""

    name: str
    place: Place
    sent_name: str
    serialize: Callable[[Any], Any] = _as_it_is
    is_mapping: bool = False  # its items are sent under their own names
    hyphenated: Collection[str] = ()  # those of its names whose underscores are sent as hyphens
    sent_raw: tuple[type, ...] = (object,)  # classes of values that may be sent without being written, as a body
    check: Callable[[Any], Any] = _as_it_is  # refuses such a value if it is not of the annotation's type

    def texts(self, value: Any) -> list[tuple[str, str]]:
        """The names and texts to send for a value."""
        written = self.serialize(value)
        if not self.is_mapping:
            return _texts(self.sent_name, written)
        if not isinstance(written, dict | None):
            raise PydanticSerializationError(f"a mapping is needed here, not a {type(written).__name__}")
        items = (written or {}).items()
        named = {name.replace("_", "-") if name in self.hyphenated else name: values for name, values in items}
        return [pair for name, values in named.items() for pair in _texts(name, values)]


@dataclass(slots=True, repr=False)  # a traceback that shows locals shows neither credentials nor bodies
class RequestParts:
    """What a call sends, before the client's own settings are added."""

    path: str = ""
    is_url: bool = False  # the path is a whole URL
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)
    content: Content = None
    content_type: str | None = None  # of a body that is written here
    secrets: set[str] = field(default_factory=set)  # texts in the path and the query that are not to be shown

    @property
    def used_up_by_sending(self) -> str | None:
        """The type of a part of the body that can be sent only once, an iterator for example; `None` without one."""
        return self.content.used_up_by_sending if isinstance(self.content, StreamedBody) else None


class PathTemplate:
    """A path with placeholders: `/users/{user_id}?view=full`. Raises `ValueError`: it is no such path.

    `{name:path}` keeps the slashes of its value: `/repos/{name:path}/issues`.
    """

    def __init__(self, template: str) -> None:
        if _OTHER_URL.match(template):
            cure = "write '/items', which is appended to base_url, or a whole URL with http:// or https://"
            raise ValueError(f"the path {printable_path(template)!r} is neither a path nor the URL of an API; {cure}")
        path, _, query = template.partition("?")
        try:
            self.pieces, self._query = _pieces(path), _pieces(query)
        except ValueError as error:
            cure = "write {name} for a parameter, {name:path} for one with slashes, {{ and }} for braces"
            raise ValueError(f"the path {printable_path(template)!r} cannot be read: {error}; {cure}") from None
        self.is_url = template[:8].lower().startswith(("http://", "https://"))
        self.names = frozenset(name for _, name, _ in self.pieces + self._query if name)

    def in_other_style(self, name: str) -> str | None:
        """A segment that is a placeholder of this name in other libraries' style."""
        segments = {segment for text, _, _ in self.pieces for segment in text.split("/")}
        return next((each for each in (f":{name}", f"<{name}>") if each in segments), None)

    def expand(self, values: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
        """Fill the placeholders: the path, its values percent-encoded, and the template's query."""
        return _filled(self.pieces, values), parse_qsl(_filled(self._query, values, None), keep_blank_values=True)


_Piece: TypeAlias = tuple[str, str | None, bool]  # a text, the placeholder behind it, whether that keeps its slashes


def _pieces(template: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    for text, name, spec, conversion in string.Formatter().parse(template):
        if name is not None and (spec not in ("", "path") or conversion or not name.isidentifier()):
            raise ValueError(f"the placeholder of {name!r} holds more or less than the name of a parameter")
        pieces.append((text, name, spec == "path"))
    return pieces


def _filled(pieces: Sequence[_Piece], values: Mapping[str, str], refused: Sequence[str] | None = (".", "..")) -> str:
    filled = ""
    for text, name, keeps_slashes in pieces:
        filled += text
        if name is None:
            continue
        segments = values[name].split("/") if keeps_slashes else [values[name]]
        if refused is not None and (segments == [""] or not set(refused).isdisjoint(segments)):
            problem = f"is {values[name]!r}, which would lead to another path"
            raise ValueError(f"path parameter {name!r} {problem}; {_NAME_SOMETHING}")
        filled += "/".join([quote(segment, safe="") for segment in segments])
    return filled


UNSENDABLE = (TypeError, ValueError, httpx2.InvalidURL)
"""What is raised for arguments that cannot be sent."""


def named(error: Exception, name: str) -> Exception:
    """The same error, with the name of the call whose arguments are wrong."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{printable_path(name)}: {error}")


def refuse_to_write(kinds: Iterable[type], value: Any) -> NoReturn:
    """Raise for a value that is none of these kinds."""
    expected = " or ".join(map(type_name, kinds)) or "what is written as JSON"
    raise PydanticSerializationError(f"expected {expected}, got {type(value).__name__}")


def build_parts(path: PathTemplate, parameters: Iterable[Parameter], arguments: Mapping[str, Any]) -> RequestParts:
    """Put each argument where it belongs. Raises one of `UNSENDABLE`: an argument cannot be sent."""
    parts = RequestParts()
    path_values: dict[str, str] = {}
    members: dict[str, bytes] = {}
    form: list[tuple[str, str]] = []
    files: list[tuple[str, FilePart]] = []
    is_form = False
    for parameter in parameters:
        value = arguments[parameter.name]
        try:
            match parameter.place:
                case "path":
                    path_values[parameter.sent_name] = _path_value(parameter, value)
                case "query":
                    parts.query += parameter.texts(value)
                case "headers":
                    parts.headers += parameter.texts(value)
                case "cookies":
                    parts.cookies |= _cookies(parameter.texts(value))
                case "body":
                    _set_body(parts, parameter, value)
                case "body member":
                    if value is not None:
                        members[parameter.sent_name] = parameter.serialize(value)
                    parts.content_type = JSON
                case "form":
                    form += parameter.texts(value)
                    is_form = True
                case "file":
                    files += _files(parameter, value)
        except PydanticSerializationError as error:
            raise TypeError(f"argument {parameter.name!r} cannot be sent: {error}") from error
        except (TypeError, ValueError) as error:
            if parameter.place not in ("body", "file"):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"argument {parameter.name!r} cannot be sent: {error}") from error
        if parameter.place in ("path", "query"):
            parts.secrets.update(map(str, _secrets_in(value)))
    if parts.content_type == JSON and parts.content is None:
        given = [to_json(name) + b":" + text for name, text in members.items() if text != b"null"]
        parts.content = b"{%b}" % b",".join(given)
    elif files:
        parts.content, parts.content_type = multipart_form(form, files)
    elif is_form:
        parts.content, parts.content_type = urlencode(form).encode(), URLENCODED
    parts.is_url = path.is_url
    parts.path, template_query = path.expand(path_values)
    parts.query[:0] = template_query
    return parts


def _path_value(parameter: Parameter, value: Any) -> str:
    if value is None:
        raise ValueError(f"path parameter {parameter.name!r} is None; {_NAME_SOMETHING}")
    return _text(parameter.serialize(value))


def _set_body(parts: RequestParts, parameter: Parameter, value: Any) -> None:
    if is_secret_value(value):
        parameter.check(value)
        value = revealed(value)
    elif isinstance(value, os.PathLike):
        cure = "pass open(path, 'rb') to send the file, or str(path) to send its name"
        raise PydanticSerializationError(f"it is a path, and could mean the file or its name; {cure}")
    elif isinstance(value, _RAW) or is_streamed(value):
        if not _may_be_raw(value, parameter.sent_raw):
            refuse_to_write(parameter.sent_raw, value)
        parameter.check(value)
    if isinstance(value, str | bytes | None):
        parts.content = value
    elif isinstance(value, bytearray | memoryview):
        parts.content = bytes(value)
    elif is_streamed(value):
        parts.content = StreamedBody(value)
    else:
        parts.content, parts.content_type = parameter.serialize(value), JSON


def _may_be_raw(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a text or streamed body is of one of these classes. `typing.IO` stands for files."""
    return isinstance(value, kinds) or (is_file(value) and any(hasattr(kind, "read") for kind in kinds))


def _files(parameter: Parameter, value: Any) -> Iterator[tuple[str, FilePart]]:
    """The names and contents of the files in a value; a list gives several files of one name."""
    items: Iterable[tuple[str, Any]] = [(parameter.sent_name, value)]
    if parameter.is_mapping:
        items = [*value.items()] if isinstance(value, Mapping) else value
        if not isinstance(items, list) or not all(isinstance(each, tuple) and len(each) == 2 for each in items):
            raise TypeError("it is a mapping of names to files, or a list of such pairs")
    for name, given in items:
        for each in given if isinstance(given, list) else [given]:
            if each is not None:
                yield name, file_part(each)


def _secrets_in(value: Any) -> list[Any]:
    """The secrets in a value, in the open."""
    if is_secret_value(value):
        return [revealed(value)]
    held = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple | set) else ()
    return [revealed(each) for each in held if is_secret_value(each)]


def form_of(content: bytes) -> str:
    """A JSON object as a form (`application/x-www-form-urlencoded`). Raises `TypeError`: it cannot be one."""
    members = from_json(content)
    problem = "it is no mapping or model"
    if isinstance(members, dict):
        try:
            return urlencode([pair for name, value in members.items() for pair in _texts(name, value)])
        except PydanticSerializationError as error:
            problem = str(error)
    cure = "leave Content-Type out to send it as JSON"
    raise TypeError(f"data cannot be sent as a form, as its Content-Type says: {problem}; {cure}")


def _texts(name: str, value: Any) -> list[tuple[str, str]]:
    values = value if isinstance(value, list) else [value]
    return [(name, _text(each)) for each in values if each is not None]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return to_json(value).decode()
    raise PydanticSerializationError(f"a single value is needed here, not a {type(value).__name__}")


def _cookies(texts: list[tuple[str, str]]) -> dict[str, str]:
    if len(dict(texts)) < len(texts):
        raise PydanticSerializationError("a single value is needed for a cookie, not a list")
    for name, text in texts:
        if not is_token(name):
            problem = "it is no token (RFC 6265, section 4.1.1)"
            raise ValueError(f"{excerpt(name)!r} cannot be the name of a cookie; {problem}")
        if not _COOKIE_VALUE.fullmatch(text):
            problem = "has a semicolon, a control character or one outside ASCII in it"
            raise ValueError(f"the value of the cookie {name!r} {problem}; encode it, as with urllib.parse.quote")
    return dict(texts)
