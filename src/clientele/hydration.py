"""What an annotation makes of text and bytes: the Pydantic adapters behind results, items, parameters and bodies.

They are made when an endpoint is declared; a call only uses them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pydantic

from .exceptions import type_name

Decode = Callable[[bytes], Any]


def type_adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    """The adapter for an annotation.

    Raises:
        TypeError: Pydantic can make nothing of the annotation.
    """
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
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = annotation.__origin__
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif hasattr(typing.get_origin(annotation), "__value__"):  # a generic alias of a `type` statement
            annotation = annotation.__origin__.__value__[typing.get_args(annotation)]
        elif hasattr(annotation, "__value__"):  # an alias of a `type` statement
            annotation = annotation.__value__
        else:
            return annotation


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
    is_typed_dict = hasattr(origin, "__required_keys__")  # typing's, or typing_extensions'
    return is_typed_dict or dataclasses.is_dataclass(origin) or issubclass(origin, (pydantic.BaseModel, Mapping))


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
