"""From a call's arguments to what is sent: path, query, headers, body.

Values are written as Pydantic writes them in JSON mode, by the serializer of the parameter's annotation. Nothing here
knows a URL's host or sends anything: httpx2 does, and adds what was set for the whole client.
"""

from __future__ import annotations

import enum
import io
import re
import string
import typing
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, quote

import httpx2
import pydantic_core

from ..exceptions import excerpt
from ..headers import is_token
from ..hydration import base_type, class_of, type_adapter

Content: TypeAlias = str | bytes | Iterable[bytes] | AsyncIterable[bytes] | None
Serialize: TypeAlias = Callable[[Any], Any]


_COOKIE_VALUE = re.compile(r"[ -:<-~]*")  # what ends neither the cookie nor the header (RFC 6265, section 4.2.1)


class Place(enum.Enum):
    """Where in a request a parameter's value goes."""

    PATH = "path"
    QUERY = "query"
    HEADERS = "headers"
    COOKIES = "cookies"
    BODY = "body"
    BODY_MEMBER = "body member"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the caller's parameters.

    Attributes:
        name: Its name.
        place: Where its value goes.
        sent_name: The name that its value is sent under.
        serialize: How its value is written.
        is_mapping: Whether its value is a mapping, whose items are sent under their own names.
    """

    name: str
    place: Place
    sent_name: str
    serialize: Serialize
    is_mapping: bool = False

    def texts(self, value: Any) -> list[tuple[str, str]]:
        """The names and texts that a value is sent as."""
        written = self.serialize(value)
        return _mapping_texts(written) if self.is_mapping else _texts(self.sent_name, written)


@dataclass(slots=True)
class RequestParts:
    """What a call sends, before the client's own settings are added."""

    path: str = ""
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)
    content: Content = None
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A path with placeholders, `/users/{user_id}?view=full`, cut into its literal pieces and its names.

    Attributes:
        names: The placeholders' names.
    """

    names: frozenset[str]
    _path: tuple[tuple[str, str | None], ...]
    _query: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, template: str) -> PathTemplate:
        """Cut a template into pieces.

        Raises:
            ValueError: A brace stands alone, or a placeholder is not a plain name.
        """
        try:
            return cls._cut(template)
        except ValueError as error:
            raise ValueError(
                f"the path {template!r} cannot be read: {error}; "
                "write {name} for a parameter, {{ and }} for braces"
            ) from error

    @classmethod
    def _cut(cls, template: str) -> PathTemplate:
        pieces: dict[Literal["path", "query"], list[tuple[str, str | None]]] = {"path": [], "query": []}
        part: Literal["path", "query"] = "path"
        for literal, name, spec, conversion in string.Formatter().parse(template):
            if name is not None and (spec or conversion or not name.isidentifier()):
                raise ValueError(f"the placeholder of {name!r} holds more or less than the name of a parameter")
            if part == "path" and "?" in literal:
                literal, _, query = literal.partition("?")
                pieces["path"].append((literal, None))
                literal, part = query, "query"
            pieces[part].append((literal, name))
        names = frozenset(name for _, name in pieces["path"] + pieces["query"] if name is not None)
        return cls(names, tuple(pieces["path"]), tuple(pieces["query"]))

    def expand(self, values: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
        """Fill the placeholders.

        Parameters:
            values: The text for each name.

        Returns:
            The path, its values percent-encoded whole, and the template's query as name and value pairs.

        Raises:
            ValueError: A value in the path is empty, `.` or `..`: it would lead to another resource.
        """
        for _, name in self._path:
            if name is not None and values[name] in ("", ".", ".."):
                raise ValueError(
                    f"path parameter {name!r} is {values[name]!r}, which would lead to another path; "
                    "pass a value that names something"
                )
        query = parse_qsl(_fill(self._query, values), keep_blank_values=True) if self._query else []
        return _fill(self._path, values), query


def serializer(annotation: Any) -> Serialize:
    """How the values of a parameter with this annotation become plain JSON values.

    Raises:
        TypeError: Pydantic can make nothing of the annotation.
    """
    dump_python = type_adapter(Any if _is_unknown_mapping(annotation) else annotation).dump_python
    return lambda value: dump_python(
        _as_dict(value), mode="json", by_alias=True, warnings=False, polymorphic_serialization=True
    )


def body_serializer(annotation: Any) -> Serialize:
    """How the values of a `data` parameter with this annotation become JSON text.

    Raises:
        TypeError: Pydantic can make nothing of the annotation.
    """
    is_opaque = _is_bytes_like(annotation) or _is_unknown_mapping(annotation)
    dump_json = type_adapter(Any if is_opaque else annotation).dump_json
    return lambda value: dump_json(_as_dict(value), by_alias=True, warnings=False, polymorphic_serialization=True)


def build_parts(path: PathTemplate, parameters: Iterable[Parameter], arguments: Mapping[str, Any]) -> RequestParts:
    """Put each argument where it belongs.

    Parameters:
        path: The endpoint's path.
        parameters: The endpoint's parameters, all but a method's receiver.
        arguments: A value for each parameter.

    Raises:
        TypeError: A value is of a type that cannot be sent in its place.
        ValueError: A value in the path is empty, `.` or `..`.
    """
    parts = RequestParts()
    path_values: dict[str, str] = {}
    members: dict[str, Any] = {}
    for parameter in parameters:
        name, value = parameter.name, arguments[parameter.name]
        try:
            match parameter.place:
                case Place.PATH:
                    path_values[parameter.sent_name] = _path_text(parameter, value)
                case Place.QUERY:
                    parts.query += parameter.texts(value)
                case Place.HEADERS:
                    parts.headers += parameter.texts(value)
                case Place.COOKIES:
                    parts.cookies |= _cookies(parameter.texts(value))
                case Place.BODY:
                    parts.content, parts.is_json = _body(value, parameter.serialize)
                case Place.BODY_MEMBER:
                    members[parameter.sent_name] = None if value is None else parameter.serialize(value)
                    parts.is_json = True
        except (_Unsendable, pydantic_core.PydanticSerializationError) as error:
            raise TypeError(f"argument {name!r} cannot be sent: {error}") from error
    if members:
        parts.content = pydantic_core.to_json({name: each for name, each in members.items() if each is not None})
    parts.path, template_query = path.expand(path_values)
    parts.query[:0] = template_query
    return parts


class _Unsendable(Exception):
    """A value has no form in the place where it should go."""


def _fill(pieces: Iterable[tuple[str, str | None]], values: Mapping[str, str]) -> str:
    return "".join(literal + ("" if name is None else quote(values[name], safe="")) for literal, name in pieces)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return pydantic_core.to_json(value).decode()
    raise _Unsendable(f"a single value is needed here, not a {type(value).__name__}")


def _path_text(parameter: Parameter, value: Any) -> str:
    if value is None:
        raise ValueError(f"path parameter {parameter.name!r} is None; pass a value that names something")
    return _text(parameter.serialize(value))


def _cookies(texts: list[tuple[str, str]]) -> dict[str, str]:
    if len(dict(texts)) < len(texts):
        raise _Unsendable("a single value is needed for a cookie, not a list")
    for name, text in texts:
        if not is_token(name):
            raise ValueError(
                f"{excerpt(name)!r} cannot be the name of a cookie; it is no token (RFC 6265, section 4.1.1)"
            )
        if not _COOKIE_VALUE.fullmatch(text):
            raise ValueError(
                f"the value of the cookie {name!r} has a semicolon, a control character or one outside ASCII in it; "
                "encode it, as with urllib.parse.quote"
            )
    return dict(texts)


def _texts(name: str, value: Any) -> list[tuple[str, str]]:
    values = value if isinstance(value, list) else [value]
    return [(name, _text(each)) for each in values if each is not None]


def _mapping_texts(value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise _Unsendable(f"a mapping is needed here, not a {type(value).__name__}")
    return [pair for name, values in value.items() for pair in _texts(name, values)]


def _body(value: Any, serialize: Serialize) -> tuple[Content, bool]:
    if value is None or isinstance(value, str | bytes | Iterator | AsyncIterable | io.IOBase):
        return value, False
    if isinstance(value, bytearray | memoryview):
        return bytes(value), False
    return serialize(value), True


def _as_dict(value: Any) -> Any:
    """Any mapping as a `dict`, the one mapping that Pydantic writes whatever the annotation says."""
    if isinstance(value, httpx2.QueryParams):
        return {name: value.get_list(name) for name in value}
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value


def _is_bytes_like(annotation: Any) -> bool:
    return _is_subclass(annotation, bytearray, memoryview, Iterator, AsyncIterable, io.IOBase, typing.IO)


def _is_unknown_mapping(annotation: Any) -> bool:
    """Whether it is a class of mappings beside those that Pydantic knows."""
    is_generic = class_of(annotation) is not base_type(annotation)
    return not is_generic and _is_subclass(annotation, Mapping) and not _is_subclass(annotation, dict)


def _is_subclass(annotation: Any, *classes: Any) -> bool:
    origin = class_of(annotation)
    return isinstance(origin, type) and issubclass(origin, classes)
