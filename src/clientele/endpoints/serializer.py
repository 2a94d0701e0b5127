"""How the values of parameters are written: as Pydantic writes them in JSON mode, or as JSON text.

What is sent is what was given, or an error. Pydantic would write a secret as stars, NaN as null, and a value that does
not fit its annotation all the same; here a parameter that is a secret is sent, and the rest is refused.
"""

from __future__ import annotations

import functools
import math
import re
import typing
from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import httpx2
import pydantic
from pydantic_core import PydanticSerializationError, from_json

from ..exceptions import type_name
from ..validation import base_type, class_of, core_schemas, is_subclass, metadata_of, type_adapter, union_members

Serialize: TypeAlias = Callable[[Any], Any]

SECRETS = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)
_STARS = "**********"  # what Pydantic writes for a secret
_UNEXPECTED = re.compile(r"Expected `(.+?)` - .*?(?:field_name='(\w+)'.*?)?input_type=(\w+)\]")
_CURE_FOR_MASKED = "give it a serializer that writes the secret, as with @pydantic.field_serializer, or declare it str"


def serializer(annotation: Any, *, to_json: bool = False, may_be_streamed: bool = False, **exclude: bool) -> Serialize:
    """How the values of a parameter with this annotation become plain JSON values; or, as a body, JSON text.

    Parameters:
        to_json: Whether to write JSON text.
        may_be_streamed: Whether the values may be of a type that is sent without being written: files, iterators.
        exclude: Pydantic's `exclude_unset` and `exclude_none`.

    Raises:
        TypeError: Pydantic cannot write such values, or would write a secret within as stars.
    """
    adapter = _adapter(annotation, may_be_streamed=may_be_streamed)
    schemas = [*core_schemas(adapter)]
    if _is_masking(schemas):
        raise TypeError(f"a secret in {type_name(annotation)} would be sent as stars; {_CURE_FOR_MASKED}")
    kinds = {schema.get("type") for schema in schemas}
    # A list does not fit `Iterable[int]`, if Pydantic is asked.
    warnings: Any = "none" if "generator" in kinds else "error"
    options: dict[str, Any] = {"by_alias": True, "warnings": warnings, "polymorphic_serialization": True, **exclude}
    may_have_floats = not kinds.isdisjoint(("float", "any", "complex"))

    def serialize(value: Any) -> Any:
        value = _as_dict(value)
        try:
            if not to_json:
                written = adapter.dump_python(value, mode="json", **options)
                return written if not _has_stars(written) else _revealed_and_written(adapter, value, options)
            text = adapter.dump_json(value, **options)
            if _STARS.encode() in text:
                _revealed_and_written(adapter, value, options)
                text = adapter.dump_json(revealed(value), **options)
        except PydanticSerializationError as error:
            raise PydanticSerializationError(_mismatches(error)) from None
        if may_have_floats and (b"null" in text or b"NaN" in text or b"Infinity" in text):
            _refuse_what_is_no_number(adapter.dump_python(value, **options), from_json(text))
        return text

    return serialize


def _adapter(annotation: Any, *, may_be_streamed: bool) -> pydantic.TypeAdapter[Any]:
    is_generic = class_of(annotation) is not base_type(annotation)
    is_opaque = not is_generic and is_subclass(annotation, Mapping) and not is_subclass(annotation, dict)
    if may_be_streamed:
        is_opaque |= is_subclass(annotation, bytearray, memoryview, Iterator, AsyncIterable)
        is_opaque |= callable(getattr(class_of(annotation), "read", None))  # a file
    if is_opaque or annotation is Any:
        return pydantic.TypeAdapter(Any, config=pydantic.ConfigDict(ser_json_inf_nan="constants"))
    return type_adapter(_revealing(annotation))


def _as_dict(value: Any) -> Any:
    """Any mapping as a `dict`, the one mapping that Pydantic writes whatever the annotation says."""
    if isinstance(value, httpx2.QueryParams):
        return {name: value.get_list(name) for name in value}
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value


def _mismatches(error: PydanticSerializationError) -> str:
    """What does not fit, without the values, which may be secrets."""
    found = _UNEXPECTED.findall(str(error))
    shown = [f"{field}: " * bool(field) + f"expected {expected}, got {kind}" for expected, field, kind in found]
    return "; ".join(dict.fromkeys(shown)) or str(error)


def is_secret_value(value: object) -> bool:
    """Whether it is one of Pydantic's secrets."""
    return isinstance(value, SECRETS)


def revealed(value: Any) -> Any:
    """The value, with the secrets in it and in its lists and dicts in the open."""
    if isinstance(value, SECRETS):
        return value.get_secret_value()
    if type(value) in (list, tuple, set):
        return type(value)(map(revealed, value))
    return {name: revealed(each) for name, each in value.items()} if type(value) is dict else value


def _reveal(value: Any) -> Any:
    if not isinstance(value, SECRETS):
        raise TypeError(f"expected a secret, got {type(value).__name__}")
    return value.get_secret_value()


def _revealing(annotation: Any, seen: tuple[Any, ...] = ()) -> Any:
    """The annotation, with secrets in it, and in its lists, dicts and unions, sent in the open.

    `seen` is what it is within: a type may hold itself.
    """
    if annotation in seen:
        return annotation
    base = base_type(annotation)
    arguments = typing.get_args(base)
    reveal = functools.partial(_revealing, seen=(*seen, annotation))
    if is_subclass(base, *SECRETS):
        base = Annotated[base, pydantic.PlainSerializer(_reveal)]
    elif arguments and (shown := tuple(map(reveal, arguments))) != arguments:
        base = typing.Union[shown] if union_members(base) else typing.get_origin(base)[shown]  # noqa: UP007
    else:
        return annotation
    metadata = metadata_of(annotation)
    return Annotated[(base, *metadata)] if metadata else base


def _is_masking(schemas: list[dict[str, Any]]) -> bool:
    """Whether Pydantic's own serializer of secrets is among these, and no other one is around it."""
    functions = [schema["serialization"]["function"] for schema in _written(schemas[:1])]
    return any(
        getattr(function, "__module__", "") == "pydantic.types" and "secret" in function.__qualname__
        for function in functions
    )


def _written(parts: Any) -> Iterator[dict[str, Any]]:
    """The outermost schemas that have a serializer of their own."""
    rest = list(parts)
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            if isinstance(part.get("serialization"), dict) and "function" in part["serialization"]:
                yield part
            elif not part.get("serialization_exclude"):
                rest += [each for name, each in part.items() if name != "metadata"]
        elif isinstance(part, list | tuple):
            rest += part


def _has_stars(written: Any) -> bool:
    if isinstance(written, dict):
        return any(map(_has_stars, written.values()))
    return _STARS in written if isinstance(written, list) else written == _STARS


def _revealed_and_written(adapter: pydantic.TypeAdapter[Any], value: Any, options: dict[str, Any]) -> Any:
    """The value once more, its secrets in the open; an error where one is in a model, which masks it."""
    shown = revealed(value)
    for place, each in _leaves(adapter.dump_python(shown, **options)):
        if isinstance(each, SECRETS):
            raise PydanticSerializationError(f"{_shown(place)}a secret would be sent as stars; {_CURE_FOR_MASKED}")
    return adapter.dump_python(shown, mode="json", **options)


def _refuse_what_is_no_number(value: Any, written: Any) -> None:
    """Raise `PydanticSerializationError` for NaN or an infinity that JSON has null for, or what JSON does not have."""
    for place, each in _leaves(value):
        if isinstance(each, float) and not math.isfinite(each) and isinstance(_at(written, place), float | None):
            raise PydanticSerializationError(
                f"{_shown(place)}{each} is no number in JSON; send it as text, or leave it out"
            )


def _leaves(value: Any, *place: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What is in the value, and in the dicts and lists in it, each with the keys that lead there."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, *place, name)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, each in enumerate(value):
            yield from _leaves(each, *place, index)
    else:
        yield place, value


def _at(written: Any, place: Sequence[Any]) -> Any:
    """What stands at this place of a JSON value; an empty text if there is nothing."""
    for key in place:
        try:
            written = written[key] if isinstance(written, list) else written[str(key)]
        except (LookupError, TypeError):
            return ""
    return written


def _shown(place: Sequence[Any]) -> str:
    return f"{'.'.join(map(str, place))}: " if place else ""
