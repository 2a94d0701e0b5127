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


def accepts_none(annotation: Any) -> bool:
    """Whether `None` is one of the annotation's types."""
    annotation = base_type(annotation)
    return annotation in (None, types.NoneType, Any, object) or any(map(accepts_none, union_members(annotation)))


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, nothing for any other type."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else ()


def is_structured(annotation: Any) -> bool:
    """Whether the values are models, dataclasses, typed dicts or other mappings: many values under one name."""
    base = base_type(annotation)
    origin = typing.get_origin(base) or base
    if members := union_members(base):
        return any(map(is_structured, members))
    if not isinstance(origin, type):
        return False
    is_model = issubclass(origin, (pydantic.BaseModel, Mapping)) or dataclasses.is_dataclass(origin)
    return is_model or typing.is_typeddict(origin) or hasattr(origin, "__required_keys__")


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
