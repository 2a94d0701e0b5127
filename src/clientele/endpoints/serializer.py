"""How values of parameters are written: as JSON values, or as JSON text.

A value is sent as it is, or refused. Pydantic alone would write a secret as stars, NaN as null, and a value that does
not fit its annotation anyway. Here, a secret parameter is sent in the open, and the other two are errors.

Two checks look at each value. The first is strict, against the annotation: a model by its class, everything else by its
content. The second is Pydantic's serializer, which also sees what a model holds without validation.
"""

from __future__ import annotations

import functools
import math
import operator
import re
import typing
from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any

import httpx2
import pydantic
from pydantic_core import PydanticSerializationError, SchemaValidator, core_schema, from_json

from ..exceptions import type_name
from ..validation import (
    SCHEMAS_BY_NAME,
    VALUES_IN_SCHEMAS,
    base_type,
    class_of,
    core_schemas,
    inner_schemas,
    is_subclass,
    metadata_of,
    type_adapter,
    union_members,
)

SECRETS = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)
_STARS = "**********"  # what Pydantic writes for a secret
_UNEXPECTED = re.compile(
    r"Expected `(?:<class ')?([^`]+?)(?:'>)?` "
    r"(?:- .*?(?:field_name='(\w+)'.*?)?input_type=(\w+)\]|but got `(?:<class ')?([^`]+?)(?:'>)?` with value)"
)
_instance_of: Any = pydantic.InstanceOf
_reveal = operator.methodcaller("get_secret_value")
_SERIALIZER_WARNINGS = "Pydantic serializer warnings"
_CURE_FOR_MASKED = "give it a serializer that writes the secret, as with @pydantic.field_serializer, or declare it str"


class Serializer:
    """Turns the values of a parameter with this annotation into plain JSON values; or, as a body, into JSON text.

    Parameters:
        to_json: Whether to write JSON text.
        may_be_streamed: Whether the values may be of a type that is sent without being written: files, iterators.
        exclude: Pydantic's `exclude_unset` and `exclude_none`.

    Raises:
        TypeError: Pydantic cannot write such values, or would write a secret within as stars.
    """

    def __init__(
        self, annotation: Any, *, to_json: bool = False, may_be_streamed: bool = False, **exclude: bool
    ) -> None:
        self._adapter = adapter = _adapter(annotation, may_be_streamed=may_be_streamed)
        schemas = [*core_schemas(adapter)]
        if _is_masking(schemas):
            raise TypeError(f"a secret in {type_name(annotation)} would be sent as stars; {_CURE_FOR_MASKED}")
        kinds = {schema.get("type") for schema in schemas}
        # A list does not fit `Iterable[int]`, if Pydantic is asked.
        warnings: Any = "none" if "generator" in kinds else "error"
        self._options: Any = {"by_alias": True, "warnings": warnings, "polymorphic_serialization": True, **exclude}
        self._may_have_floats = not kinds.isdisjoint(("float", "any", "complex"))
        self._validate = SchemaValidator(_of_values(adapter.core_schema)).validate_python if schemas else None
        self._write = self._text if to_json else self._plain

    def __call__(self, value: Any) -> Any:
        """Write a value. Raises `PydanticSerializationError`: it does not fit, or cannot be sent."""
        value = _as_dict(value)
        self.check(value)
        try:
            return self._write(value)
        except PydanticSerializationError as error:
            problem = _mismatches(error)
        raise PydanticSerializationError(problem)  # out here: Pydantic's own, which shows the value, does not go along

    def check(self, value: Any) -> None:
        """Raise `PydanticSerializationError` for a value that is not of the annotation's type."""
        problem = ""
        if self._validate is not None:
            try:
                self._validate(value, strict=True)
            except pydantic.ValidationError as error:
                problem = _misfits(error)
        if problem:
            raise PydanticSerializationError(problem)

    def _plain(self, value: Any) -> Any:
        written = self._adapter.dump_python(value, mode="json", **self._options)
        return self._revealed_and_written(value) if _has_stars(written) else written

    def _text(self, value: Any) -> bytes:
        text = self._adapter.dump_json(value, **self._options)
        if _STARS.encode() in text:
            self._revealed_and_written(value)
            text = self._adapter.dump_json(revealed(value), **self._options)
        if self._may_have_floats and (b"null" in text or b"NaN" in text or b"Infinity" in text):
            _refuse_what_is_no_number(self._adapter.dump_python(value, **self._options), from_json(text))
        return text

    def _revealed_and_written(self, value: Any) -> Any:
        """The value written with its secrets in the open. Raises if a model would mask one."""
        shown = revealed(value)
        for place, each in _leaves(self._adapter.dump_python(shown, **self._options)):
            if isinstance(each, SECRETS):
                raise PydanticSerializationError(f"{_shown(place)}a secret would be sent as stars; {_CURE_FOR_MASKED}")
        return self._adapter.dump_python(shown, mode="json", **self._options)


def is_sent_unwritten(annotation: Any) -> bool:
    """Whether its values are always sent as they are: files and iterators, also beside text or bytes."""
    members = [each for each in union_members(annotation) or (annotation,) if each not in (None, type(None))]
    return any(map(_is_streamed_type, members)) and all(
        _is_streamed_type(each) or is_subclass(each, str, bytes) for each in members
    )


def _is_streamed_type(annotation: Any) -> bool:
    kinds = (bytearray, memoryview, Iterator, AsyncIterable)
    return is_subclass(annotation, *kinds) or callable(getattr(class_of(annotation), "read", None))  # a file


def _adapter(annotation: Any, *, may_be_streamed: bool) -> pydantic.TypeAdapter[Any]:
    is_generic = class_of(annotation) is not base_type(annotation)
    is_opaque = not is_generic and is_subclass(annotation, Mapping) and not is_subclass(annotation, dict)
    if is_opaque or annotation is Any or (may_be_streamed and is_sent_unwritten(annotation)):
        return pydantic.TypeAdapter(Any, config=pydantic.ConfigDict(ser_json_inf_nan="constants"))
    return type_adapter(_revealing(annotation))


def _as_dict(value: Any) -> Any:
    """Any mapping as a `dict`: the only mapping that Pydantic writes under any annotation."""
    if isinstance(value, httpx2.QueryParams):
        return {name: value.get_list(name) for name in value}
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value


def _of_values(part: Any) -> Any:
    """A schema that accepts Python instances only, not data from which they could be made.

    Where a validator of the user's turns something else into such a value, only what comes out of it is looked at.
    """
    if isinstance(part, list | tuple):
        return type(part)(map(_of_values, part))
    if not isinstance(part, dict):
        return part
    kind, changed = part.get("type"), None
    if kind in ("model", "dataclass"):  # a generic model's values may be of the class without type arguments
        changed = {"type": "is-instance", "cls": part.get("generic_origin") or part["cls"]}
    elif kind == "generator":  # looking at it would use it up
        changed = {"type": "any"}
    elif kind == "json":
        changed = part.get("schema") or {"type": "any"}
    elif kind == "chain":
        changed = part["steps"][-1]
    elif kind == "tagged-union":
        changed = {"type": "union", "choices": [*part["choices"].values()]}
    elif isinstance(kind, str) and kind.startswith("function-"):
        changed = _of_results(part)
    elif kind == "int":  # which a bool is, to type checkers
        return core_schema.no_info_before_validator_function(_bool_as_int, part)
    elif kind == "typed-dict" and part.get("extra_behavior") != "allow":
        part = {**part, "extra_behavior": "forbid"}  # Pydantic would leave them out
    elif kind == "typed-dict-field":  # whose keys are those in Python
        part = {name: each for name, each in part.items() if name != "validation_alias"}
    if changed is not None:
        return _of_values(changed) | {name: part[name] for name in ("ref",) if name in part}
    return {name: _inner_of_values(name, each) for name, each in part.items()}


def _inner_of_values(name: str, inner: Any) -> Any:
    if name in SCHEMAS_BY_NAME and isinstance(inner, dict):
        return {key: _of_values(each) for key, each in inner.items()}
    return inner if name in _OPAQUE else _of_values(inner)


def _bool_as_int(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


_OPAQUE = VALUES_IN_SCHEMAS | {"serialization", "function"}


def _of_results(part: dict[str, Any]) -> dict[str, Any] | None:
    """The replacement for the schema of a validating function: a schema of its results, if possible."""
    is_pydantics = (getattr(part["function"]["function"], "__module__", None) or "").startswith("pydantic.")
    is_written_otherwise = "serialization" in part
    match part["type"]:
        case "function-plain":
            return None if is_pydantics else {"type": "any"}
        case "function-before":
            return None if is_pydantics else part["schema"]
        case "function-wrap":
            return None if is_pydantics else {"type": "any"} if is_written_otherwise else part["schema"]
        case _:  # function-after
            return None if not is_written_otherwise else part["schema"] if is_pydantics else {"type": "any"}


def _misfits(error: pydantic.ValidationError) -> str:
    """The mismatches of a validation error, without values, which may be secrets."""
    shown = []
    for each in error.errors(include_url=False, include_context=False):
        words = re.sub("^Input ", "it ", each["msg"])
        words = words if words[:2].isupper() else words[:1].lower() + words[1:]
        place = [key for key in each["loc"] if not str(key).startswith("is-instance[")]  # one of a union
        is_of_another_type = each["type"].endswith("_type") or each["type"] == "is_instance_of"
        got = f", got {type(each['input']).__name__}" if is_of_another_type else ""
        shown.append(f"{_shown(place)}{words}{got}")
    return "; ".join(dict.fromkeys(shown))


def _mismatches(error: PydanticSerializationError) -> str:
    """The mismatches of a serialization error."""
    found = _UNEXPECTED.findall(str(error))
    shown = [
        f"{field}: " * bool(field) + f"expected {expected.rpartition('.')[2]}, got {(got or kind).rpartition('.')[2]}"
        for expected, field, kind, got in found
    ]
    if not shown and not str(error).startswith(_SERIALIZER_WARNINGS):
        return str(error)
    return "; ".join(dict.fromkeys(shown)) or "something in it is not of the type that it is declared with"


def is_secret_value(value: object) -> bool:
    """Whether it is one of Pydantic's secrets."""
    return isinstance(value, SECRETS)


def revealed(value: Any) -> Any:
    """The value with its secrets in the open, in lists and dicts, too."""
    if isinstance(value, SECRETS):
        return value.get_secret_value()
    if type(value) in (list, tuple, set):
        return type(value)(map(revealed, value))
    return {name: revealed(each) for name, each in value.items()} if type(value) is dict else value


def _revealing(annotation: Any, seen: tuple[Any, ...] = ()) -> Any:
    """The annotation, changed so that its secrets are sent in the open, in lists, dicts and unions, too.

    `seen` is what it is within: a type may hold itself.
    """
    if annotation in seen:
        return annotation
    base = base_type(annotation)
    arguments = typing.get_args(base)
    reveal = functools.partial(_revealing, seen=(*seen, annotation))
    if is_subclass(base, *SECRETS):
        base = Annotated[_instance_of[base], pydantic.PlainSerializer(_reveal)]
    elif class_of(base) is AbstractSet:  # which Pydantic takes for a frozenset
        items = tuple(map(reveal, arguments or (Any,)))
        base = typing.Union[tuple(kind[items] for kind in (set, frozenset))]  # noqa: UP007
    elif arguments and (shown := tuple(map(reveal, arguments))) != arguments:
        base = typing.Union[shown] if union_members(base) else typing.get_origin(base)[shown]  # noqa: UP007
    else:
        return annotation
    metadata = metadata_of(annotation)
    return Annotated[(base, *metadata)] if metadata else base


def _is_masking(schemas: list[dict[str, Any]]) -> bool:
    """Whether a secret would be written by Pydantic's own serializer, which masks it."""
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
                rest += inner_schemas(part)
        elif isinstance(part, list | tuple):
            rest += part


def _has_stars(written: Any) -> bool:
    if isinstance(written, dict):
        return any(map(_has_stars, written.values()))
    return _STARS in written if isinstance(written, list) else written == _STARS


def _refuse_what_is_no_number(value: Any, written: Any) -> None:
    """Raise `PydanticSerializationError` for NaN or an infinity that JSON has null for, or what JSON does not have."""
    for place, each in _leaves(value):
        if isinstance(each, float) and not math.isfinite(each) and isinstance(_at(written, place), float | None):
            raise PydanticSerializationError(
                f"{_shown(place)}{each} is no number in JSON; send it as text, or leave it out"
            )


def _leaves(value: Any, *place: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The leaves of a value, each with the keys that lead there."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, *place, name)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, each in enumerate(value):
            yield from _leaves(each, *place, index)
    else:
        yield place, value


def _at(written: Any, place: Sequence[Any]) -> Any:
    """The part of a JSON value at this place; an empty text if there is none."""
    for key in place:
        try:
            written = written[key] if isinstance(written, list) else written[str(key)]
        except (LookupError, TypeError):
            return ""
    return written


def _shown(place: Sequence[Any]) -> str:
    return f"{'.'.join(map(str, place))}: " if place else ""
