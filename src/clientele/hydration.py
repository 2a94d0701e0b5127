"""What an annotation makes of text and bytes: the Pydantic adapters behind results, items, parameters and bodies.

They are made when an endpoint is declared; a call only uses them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import pydantic

from .checks import not_awaitable
from .exceptions import type_name

Decode = Callable[[bytes], Any]


def type_adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    """The adapter for an annotation.

    Raises:
        TypeError: Pydantic can make nothing of the annotation.
    """
    if isinstance(annotation, str):
        raise TypeError(f"{annotation!r} is the name of a type; pass the type itself")
    try:
        return pydantic.TypeAdapter(annotation)
    except pydantic.PydanticUserError as error:
        reason = str(error.message).partition(". ")[0].partition("\n")[0]
        raise TypeError(
            f"Pydantic cannot handle {type_name(annotation)} ({reason}); declare a model, a dataclass, "
            "or another type that it takes"
        ) from error


def base_type(annotation: Any) -> Any:
    """The type under type aliases, `Annotated` and `NewType`."""
    *_, base = _layers(annotation)
    return base


def metadata_of(annotation: Any) -> list[Any]:
    """All that is annotated to the type under the annotation, the innermost first."""
    annotated = [layer for layer in _layers(annotation) if typing.get_origin(layer) is Annotated]
    return [each for layer in reversed(annotated) for each in layer.__metadata__]


def _layers(annotation: Any) -> Iterator[Any]:
    """The annotation, the type that it is an alias or annotation of, and so on down to its base type."""
    while True:
        yield annotation
        if typing.get_origin(annotation) is Annotated:
            annotation = annotation.__origin__
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif hasattr(typing.get_origin(annotation), "__value__"):  # a generic alias of a `type` statement
            annotation = annotation.__origin__.__value__[typing.get_args(annotation)]
        elif hasattr(annotation, "__value__"):  # an alias of a `type` statement
            annotation = annotation.__value__
        else:
            return


def class_of(annotation: Any) -> Any:
    """The class under all that `base_type` looks under, and without its type arguments."""
    base = base_type(annotation)
    return typing.get_origin(base) or base


def accepts_none(annotation: Any) -> bool:
    """Whether `None` is one of the annotation's types."""
    annotation = base_type(annotation)
    return annotation in (None, types.NoneType, Any, object) or any(map(accepts_none, union_members(annotation)))


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, nothing for any other type."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else ()


def is_written_as_object(annotation: Any) -> bool:
    """Whether the values are written as JSON objects: models, dataclasses, typed dicts, mappings without a serializer.

    Raises:
        TypeError: Pydantic can make nothing of the annotation.
    """
    if not _has_fields(annotation):
        return False
    try:
        schema = type_adapter(annotation).json_schema(mode="serialization")
    except pydantic.PydanticUserError:  # there are types that can be written and have no schema
        return False
    return _is_object(schema, schema.get("$defs", {}))


def _has_fields(annotation: Any) -> bool:
    """Whether it is a class of values with fields or keys, and nothing (a serializer, say) is annotated to it."""
    if typing.get_origin(annotation) is Annotated:
        return False
    if members := union_members(base_type(annotation)):
        return any(map(_has_fields, members))
    origin = class_of(annotation)
    if not isinstance(origin, type):
        return False
    return (
        _is_typed_dict(origin) or dataclasses.is_dataclass(origin) or issubclass(origin, (pydantic.BaseModel, Mapping))
    )


def field_names(annotation: Any) -> set[str]:
    """The names of the fields that models, dataclasses and typed dicts among its types have in Python."""
    names: set[str] = set()
    for origin in map(class_of, members_of(annotation)):
        if isinstance(origin, type) and issubclass(origin, pydantic.BaseModel):
            names |= origin.model_fields.keys()
        elif dataclasses.is_dataclass(origin):
            names |= {field.name for field in dataclasses.fields(origin)}
        elif _is_typed_dict(origin):
            names |= origin.__annotations__.keys()
    return names


def _is_object(schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    return schema.get("type") == "object" or any(_is_object(each, definitions) for each in schema.get("anyOf", ()))


def text_decoder(annotation: Any) -> Callable[[str], Any]:
    """For an annotation whose base type is `str`: the text as it is, held against the annotation's constraints."""
    return str if annotation is str else type_adapter(annotation).validate_python


def json_decoder(annotation: Any) -> Decode:
    """JSON in bytes, parsed and validated in one step.

    Undecodable bytes are replaced as in text, but only looked for where the validation failed.
    """
    validate_json = type_adapter(annotation).validate_json

    def decode(data: bytes) -> Any:
        try:
            return validate_json(data)
        except pydantic.ValidationError:
            text = data.decode("utf-8", "replace")
            if "\ufffd" not in text:
                raise
        return validate_json(text)

    return decode


def data_decoder(annotation: Any) -> Decode:
    """An event's data in bytes: as text where that is asked for, as JSON otherwise.

    Raises:
        TypeError: No such value can be made of the data of an event.
    """
    base = base_type(annotation)
    if base is bytes:
        raise TypeError("the data of an event is text or JSON; declare str, or the type of the JSON")
    if base is not str:
        return json_decoder(annotation)
    from_text = text_decoder(annotation)
    return lambda data: from_text(data.decode("utf-8", "replace"))


def parser_decoder(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A parser of the user's own. Its `ValueError` says that the input is wrong, as in a Pydantic validator."""

    def decode(value: Any) -> Any:
        try:
            return not_awaitable("response_parser", parse(value))
        except pydantic.ValidationError:
            raise
        except ValueError as error:
            raise validation_error(error, value) from error

    return decode


def validation_error(error: ValueError, value: Any) -> pydantic.ValidationError:
    """What Pydantic makes of a `ValueError` about a value."""
    details: Any = {"type": "value_error", "input": value, "ctx": {"error": error}}
    return pydantic.ValidationError.from_exception_data("value", [details])


def covers(annotation: Any, part: Any) -> bool:
    """Whether every value of the type `part` is one of the type `annotation`, as far as their classes can tell."""
    members = members_of(annotation)
    return all(each in members or any(_covers(member, each) for member in members) for each in members_of(part))


def members_of(annotation: Any) -> list[Any]:
    """The types that a union is made of, those of unions within it too; any other type by itself."""
    base = base_type(annotation)
    members = union_members(base)
    return [each for member in members for each in members_of(member)] if members else [base]


def without(annotation: Any, kind: type) -> Any:
    """A union without those of its members that are of this class; any other type as it is."""
    members = union_members(base_type(annotation))
    others = tuple(member for member in members if class_of(member) is not kind)
    return typing.Union[others] if 0 < len(others) < len(members) else annotation  # noqa: UP007


def _covers(member: Any, part: Any) -> bool:
    if member in (Any, object) or (accepts_none(member) and accepts_none(part)):
        return True
    if class_of(part) is class_of(member) is Literal:
        return set(typing.get_args(part)) <= set(typing.get_args(member))
    if class_of(part) is Literal:
        return all(_covers(member, type(value)) for value in typing.get_args(part))
    arguments = typing.get_args(part)  # without any, a generic class has Any for all of them
    return _is_kind(class_of(part), class_of(member)) and (not arguments or typing.get_args(member) in ((), arguments))


def _is_kind(part: Any, kind: Any) -> bool:
    if part is kind or (part, kind) == (int, float):
        return True
    try:
        return issubclass(part, kind)
    except TypeError:  # one of them is no class, or one that does not take the question: a typed dict, a protocol
        return False


def _is_typed_dict(origin: Any) -> bool:
    return hasattr(origin, "__required_keys__")  # typing's, or typing_extensions'
