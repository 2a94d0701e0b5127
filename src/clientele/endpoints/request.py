"""From a call's arguments to what is sent: path, query, headers, body.

Values are written as Pydantic writes them in JSON mode, by the serializer of the parameter's annotation.
"""

from __future__ import annotations

import functools
import io
import re
import string
import typing
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, quote

import httpx2
from pydantic_core import PydanticSerializationError, to_json

from ..headers import is_token
from ..redaction import excerpt, printable_path
from ..validation import base_type, class_of, is_subclass, type_adapter

Content: TypeAlias = str | bytes | Iterable[bytes] | AsyncIterable[bytes] | None
Serialize: TypeAlias = Callable[[Any], Any]
Place: TypeAlias = Literal["path", "query", "headers", "cookies", "body", "body member"]

_NAME_SOMETHING = "pass a value that names something"
_SENT_AS_IT_IS = (str, bytes, bytearray, memoryview, Iterator, AsyncIterable, io.IOBase, type(None))
_COOKIE_VALUE = re.compile(r"[ -:<-~]*")  # what ends neither the cookie nor the header (RFC 6265, section 4.2.1)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the caller's parameters: where its value goes, under which name, and how it is written."""

    name: str
    place: Place
    sent_name: str
    serialize: Serialize
    is_mapping: bool = False  # its items are sent under their own names
    hyphenated: Collection[str] = ()  # those of its names whose underscores are sent as hyphens

    def texts(self, value: Any) -> list[tuple[str, str]]:
        """The names and texts that a value is sent as."""
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
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)
    content: Content = None
    is_json: bool = False

    @property
    def can_be_sent_again(self) -> bool:
        """Whether the body is there to be sent more than once; an iterator or a file is not."""
        return isinstance(self.content, str | bytes | None)


class PathTemplate:
    """A path with placeholders: `/users/{user_id}?view=full`; a `ValueError` where it cannot be read as one."""

    def __init__(self, template: str) -> None:
        try:
            self.names = frozenset(_placeholders(template))
        except ValueError as error:
            cure = "write {name} for a parameter, {{ and }} for braces"
            raise ValueError(f"the path {template!r} cannot be read: {error}; {cure}") from None
        self._path, _, self._query = template.partition("?")
        self._names_in_path = [*_placeholders(self._path)]

    def expand(self, values: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
        """Fill the placeholders: the path, its values percent-encoded whole, and the template's query."""
        for name in self._names_in_path:
            if (value := values[name]) in ("", ".", ".."):
                problem = f"is {value!r}, which would lead to another path"
                raise ValueError(f"path parameter {name!r} {problem}; {_NAME_SOMETHING}")
        quoted = {name: quote(value, safe="") for name, value in values.items()}
        return self._path.format_map(quoted), parse_qsl(self._query.format_map(quoted), keep_blank_values=True)


def _placeholders(template: str) -> Iterator[str]:
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is not None:
            if spec or conversion or not name.isidentifier():
                raise ValueError(f"the placeholder of {name!r} holds more or less than the name of a parameter")
            yield name


def serializer(annotation: Any, *, to_json: bool = False) -> Serialize:
    """How the values of a parameter with this annotation become plain JSON values; or, as a body, JSON text."""
    is_generic = class_of(annotation) is not base_type(annotation)
    is_opaque = not is_generic and is_subclass(annotation, Mapping) and not is_subclass(annotation, dict)
    if to_json:
        is_opaque |= is_subclass(annotation, bytearray, memoryview, Iterator, AsyncIterable, io.IOBase, typing.IO)
    adapter = type_adapter(Any if is_opaque else annotation)
    dump: Any = adapter.dump_json if to_json else functools.partial(adapter.dump_python, mode="json")
    return lambda value: dump(_as_dict(value), by_alias=True, warnings=False, polymorphic_serialization=True)


UNSENDABLE = (TypeError, ValueError, httpx2.InvalidURL)
"""What is raised for arguments that cannot be sent."""


def named(error: Exception, name: str) -> Exception:
    """A `TypeError` or `ValueError` that says of which call the arguments cannot be sent, or are wrong."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{printable_path(name)}: {error}")


def build_parts(path: PathTemplate, parameters: Iterable[Parameter], arguments: Mapping[str, Any]) -> RequestParts:
    """Put each argument where it belongs. Raises one of `UNSENDABLE`: an argument cannot be sent."""
    parts = RequestParts()
    path_values: dict[str, str] = {}
    members: dict[str, Any] = {}
    for parameter in parameters:
        value = arguments[parameter.name]
        try:
            match parameter.place:
                case "path":
                    if value is None:
                        raise ValueError(f"path parameter {parameter.name!r} is None; {_NAME_SOMETHING}")
                    path_values[parameter.sent_name] = _text(parameter.serialize(value))
                case "query":
                    parts.query += parameter.texts(value)
                case "headers":
                    parts.headers += parameter.texts(value)
                case "cookies":
                    parts.cookies |= _cookies(parameter.texts(value))
                case "body":
                    parts.is_json = not isinstance(value, _SENT_AS_IT_IS)
                    as_it_is = bytes(value) if isinstance(value, bytearray | memoryview) else value
                    parts.content = parameter.serialize(value) if parts.is_json else as_it_is
                case "body member":
                    members[parameter.sent_name] = None if value is None else parameter.serialize(value)
                    parts.is_json = True
        except PydanticSerializationError as error:
            raise TypeError(f"argument {parameter.name!r} cannot be sent: {error}") from error
    if members:
        parts.content = to_json({name: each for name, each in members.items() if each is not None})
    parts.path, template_query = path.expand(path_values)
    parts.query[:0] = template_query
    return parts


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


def _as_dict(value: Any) -> Any:
    """Any mapping as a `dict`, the one mapping that Pydantic writes whatever the annotation says."""
    if isinstance(value, httpx2.QueryParams):
        return {name: value.get_list(name) for name in value}
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value
