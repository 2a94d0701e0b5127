"""Where each parameter's value goes: by its marker, `Annotated[str, api.Header("X-Request-Id")]`, or by its name.

A marker beats the name: `Annotated[str, api.Query()]` makes a plain query parameter of one that is called `data`.
"""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from ..exceptions import type_name
from ..headers import is_token
from ..hydration import base_type, field_names, is_written_as_object, metadata_of
from .request import Parameter, PathTemplate, Place, Serialize, body_serializer, serializer


@dataclass(frozen=True, slots=True)
class Marker:
    """The root of the markers.

    Parameters:
        alias: The name that is sent. Default: the parameter's own.
    """

    alias: str | None = None

    place: ClassVar[Place]
    _needs_token: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.alias is None:
            return
        shown = f"api.{type(self).__name__}({self.alias!r})"
        if not isinstance(self.alias, str):
            raise TypeError(f"{shown}: what is sent is named by a str")
        if not self.alias or (self._needs_token and not is_token(self.alias)):
            raise ValueError(f"{shown}: this name cannot be sent; write a token, as in api.Header('X-Request-Id')")

    def sent_name(self, name: str) -> str:
        """The name under which the parameter of this name is sent."""
        return name if self.alias is None else self.alias


@dataclass(frozen=True, slots=True)
class Path(Marker):
    """Fills the path's placeholder of the parameter's name, or of another one: `Annotated[int, Path("user_id")]`."""

    place: ClassVar[Place] = Place.PATH


@dataclass(frozen=True, slots=True)
class Query(Marker):
    """A query parameter, named as the parameter or otherwise: `Annotated[int, Query("pageSize")]`.

    A model, dataclass or typed dict gives one for each of its fields.
    """

    place: ClassVar[Place] = Place.QUERY


@dataclass(frozen=True, slots=True)
class Header(Marker):
    """A header. Without a name, the parameter's is taken, its underscores as hyphens: `x_request_id`.

    `None` is left out, a list repeats the header; a model, dataclass or typed dict gives one for each of its fields.
    """

    place: ClassVar[Place] = Place.HEADERS
    _needs_token: ClassVar[bool] = True

    def sent_name(self, name: str) -> str:
        """The name under which the parameter of this name is sent."""
        return name.replace("_", "-") if self.alias is None else self.alias


@dataclass(frozen=True, slots=True)
class Cookie(Marker):
    """A cookie of this request alone, beside those of the client; a redirect does not take it along.

    `None` is left out; a model, dataclass or typed dict gives one for each of its fields.
    """

    place: ClassVar[Place] = Place.COOKIES
    _needs_token: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Body(Marker):
    """The body; or, where there are several of them, a member of the JSON object that is the body.

    Parameters:
        alias: The member's name. Default: the parameter's own.
        embed: Whether it is a member even by itself. Default `False`; one with an alias always is.

    A member that is `None` is left out.
    """

    embed: bool = False

    place: ClassVar[Place] = Place.BODY


_METHODS_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_MAPPINGS_BY_NAME = {"query": Place.QUERY, "headers": Place.HEADERS}
_BODIES = (Place.BODY, Place.BODY_MEMBER)
_UNIQUE = (Place.PATH, Place.COOKIES, Place.BODY_MEMBER)


def plan_parameters(annotations: Mapping[str, Any], method: str, path: PathTemplate) -> tuple[Parameter, ...]:
    """Work out where each of the caller's parameters goes, and how its values are written.

    Parameters:
        annotations: The annotation of each parameter, `Any` where it has none.
        method: The HTTP method.
        path: The path template.

    Raises:
        TypeError: A parameter's annotation does not go with its place, or its place with the request.
    """
    parameters = []
    for name, annotation in annotations.items():
        with _errors_naming(name):
            parameters.append(_parameter(name, annotation, path.names))
    if sum(each.place in _BODIES for each in parameters) > 1:
        for index, parameter in enumerate(parameters):
            with _errors_naming(parameter.name):
                parameters[index] = _as_member(parameter, annotations[parameter.name])
    check_places(parameters, method, path.names)
    return tuple(parameters)


def check_places(parameters: Sequence[Parameter], method: str, placeholders: Collection[str]) -> None:
    """Hold the places of all parameters against the request.

    Raises:
        TypeError: A placeholder is not filled, or filled twice; or there is a body where there can be none.
    """
    for complaint in _complaints(parameters, method, placeholders):
        raise TypeError(complaint)


def marker_of(annotation: Any) -> Marker | None:
    """The marker of a parameter's annotation.

    Raises:
        TypeError: There is more than one, or it does not stand where it counts, or is not called.
    """
    if is_marker(annotation):
        raise TypeError("a marker is no type; write Annotated[T, marker]")
    for each in metadata_of(annotation):
        if type(each).__module__.startswith("fastapi."):
            raise TypeError(f"{type(each).__name__} is FastAPI's own; write api.{type(each).__name__}()")
    found = [each for each in metadata_of(annotation) if is_marker(each)]
    if len(found) > 1:
        raise TypeError(f"{type_name(annotation)} names more than one place; leave one of them")
    for each in found:
        if isinstance(each, type):
            raise TypeError(f"api.{each.__name__} is not called; write api.{each.__name__}()")
        return typing.cast("Marker", each)
    if has_marker(annotation):
        raise TypeError(f"{type_name(annotation)} has its marker within; put Annotated[..., marker] around it all")
    return None


def _without_markers(annotation: Any) -> Any:
    others = [each for each in metadata_of(annotation) if not is_marker(each)]
    base = base_type(annotation)
    return Annotated[(base, *others)] if others else base


@contextlib.contextmanager
def _errors_naming(name: str) -> Generator[None]:
    try:
        yield
    except TypeError as error:
        raise TypeError(f"parameter {name!r}: {error}") from error


def is_marker(value: Any) -> bool:
    """Whether it is a marker, or the class of one that somebody forgot to call."""
    return isinstance(value, Marker) or (isinstance(value, type) and issubclass(value, Marker))


def has_marker(annotation: Any, seen: tuple[Any, ...] = ()) -> bool:
    """Whether there is a marker on the annotation or anywhere within.

    Parameters:
        annotation: The annotation.
        seen: What it is within; a type may hold itself.
    """
    if annotation in seen:
        return False
    parts = typing.get_args(base_type(annotation))
    on_it = any(map(is_marker, metadata_of(annotation)))
    return on_it or any(has_marker(part, (*seen, annotation)) for part in parts)


def _parameter(name: str, annotation: Any, placeholders: Collection[str]) -> Parameter:
    marker = marker_of(annotation)
    if marker is None and name not in placeholders and name in _MAPPINGS_BY_NAME:
        return Parameter(name, _MAPPINGS_BY_NAME[name], name, serializer(annotation), is_mapping=True)
    is_marked = marker is not None
    marker = marker or (Path() if name in placeholders else Body() if name == "data" else Query())
    sent_name, place = marker.sent_name(name), marker.place
    if place in (Place.HEADERS, Place.COOKIES) and not is_token(sent_name):
        raise TypeError(f"{sent_name!r} cannot be sent as a name; give it one, as in api.Header('X-Request-Id')")
    if isinstance(marker, Body):
        parameter = Parameter(name, place, sent_name, body_serializer(annotation))
        return _as_member(parameter, annotation) if marker.embed or marker.alias is not None else parameter
    serialize = serializer(annotation)
    is_mapping = is_written_as_object(_without_markers(annotation) if is_marked else annotation)
    if is_mapping and (not is_marked or marker.alias is not None or place is Place.PATH):
        raise TypeError(
            f"{type_name(annotation)} is no single value for a {place.value}; name the parameter 'data' to send it as "
            "the body, or mark it Annotated[..., api.Query()] to send its fields as query parameters"
        )
    if is_mapping and place is Place.HEADERS:
        serialize = _with_hyphens(serialize, field_names(annotation))
    return Parameter(name, place, sent_name, serialize, is_mapping)


def _as_member(parameter: Parameter, annotation: Any) -> Parameter:
    if parameter.place is not Place.BODY:
        return parameter
    return replace(parameter, place=Place.BODY_MEMBER, serialize=serializer(annotation))


def _with_hyphens(serialize: Serialize, names: Collection[str]) -> Serialize:
    """The names of fields with hyphens; aliases and the keys of mappings say themselves what they are."""

    def serialize_headers(value: Any) -> Any:
        written = serialize(value)
        if not isinstance(written, dict):
            return written
        return {name.replace("_", "-") if name in names else name: each for name, each in written.items()}

    return serialize_headers


def _complaints(parameters: Sequence[Parameter], method: str, placeholders: Collection[str]) -> Iterator[str]:
    fillers = [parameter for parameter in parameters if parameter.place is Place.PATH]
    filled = [parameter.sent_name for parameter in fillers]
    for name in sorted(set(placeholders).difference(filled)):
        yield f"no parameter fills the path's placeholder {name!r}; add a parameter of that name, or correct the path"
    for parameter in fillers:
        if parameter.sent_name not in placeholders:
            yield f"parameter {parameter.name!r}: the path has no placeholder {parameter.sent_name!r} for it to fill"
    for parameter in parameters:
        namesakes = [
            each for each in parameters if (each.place, each.sent_name) == (parameter.place, parameter.sent_name)
        ]
        if parameter.place in _UNIQUE and len(namesakes) > 1:
            shown = f"{parameter.sent_name!r} of the {parameter.place.value}"
            yield f"parameter {parameter.name!r}: another one is the {shown}, too; give each its own name"
        if parameter.place in _BODIES and method in _METHODS_WITHOUT_BODY:
            yield (
                f"parameter {parameter.name!r} is a body, which {method} requests do not have; "
                "send it as query, or declare the endpoint with post, put or patch"
            )
