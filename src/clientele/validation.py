"""Pydantic adapters for the annotations of endpoints, and checks of what users pass."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from .content import well_formed
from .exceptions import type_name

T = TypeVar("T")
Decode = Callable[[bytes], Any]
Check = Callable[[str, Any], None]  # raises `TypeError` or `ValueError`, which names what has the value


def type_adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    """The Pydantic adapter for an annotation. Raises `TypeError`: Pydantic cannot handle it."""
    if isinstance(annotation, str):
        raise TypeError(f"{annotation!r} is the name of a type; pass the type itself")
    try:
        return pydantic.TypeAdapter(annotation)
    except pydantic.PydanticUserError as error:
        reason = str(error.message).partition(". ")[0].partition("\n")[0]
        cure = "declare a model, a dataclass, or another type that it takes"
        raise TypeError(f"Pydantic cannot handle {type_name(annotation)} ({reason}); {cure}") from None


def base_type(annotation: Any) -> Any:
    """The type under type aliases, `Annotated` and `NewType`."""
    *_, base = _layers(annotation)
    return base


def class_of(annotation: Any) -> Any:
    """The class of `base_type`, without type arguments."""
    base = base_type(annotation)
    return typing.get_origin(base) or base


def is_subclass(annotation: Any, *classes: Any) -> bool:
    """Whether the annotation is one of these classes or a subclass, with or without type arguments."""
    origin = class_of(annotation)
    return isinstance(origin, type) and issubclass(origin, classes)


def metadata_of(annotation: Any) -> list[Any]:
    """The metadata of the annotation, the innermost first."""
    annotated = [layer.__metadata__ for layer in _layers(annotation) if typing.get_origin(layer) is Annotated]
    return [each for metadata in reversed(annotated) for each in metadata]


def _layers(annotation: Any) -> Iterator[Any]:
    """The annotation, and all types beneath it, down to the base type."""
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


def accepts_none(annotation: Any) -> bool:
    """Whether `None` is one of the annotation's types."""
    annotation = base_type(annotation)
    return annotation in (None, types.NoneType, Any, object) or any(map(accepts_none, union_members(annotation)))


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, nothing for any other type."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else ()


def members_of(annotation: Any) -> list[Any]:
    """The members of a union, nested unions included; any other type alone."""
    base = base_type(annotation)
    return [each for member in union_members(base) for each in members_of(member)] or [base]


def without(annotation: Any, kind: type) -> Any:
    """A union without its members of this class; any other type unchanged."""
    members = union_members(base_type(annotation))
    others = tuple(member for member in members if class_of(member) is not kind)
    return typing.Union[others] if 0 < len(others) < len(members) else annotation  # noqa: UP007


def covers(annotation: Any, part: Any) -> bool:
    """Whether every value of the type `part` belongs to the type `annotation`, judged by classes."""
    members = members_of(annotation)
    return all(each in members or any(_covers(member, each) for member in members) for each in members_of(part))


def _covers(member: Any, part: Any) -> bool:
    kind, arguments = class_of(member), typing.get_args(part)
    if member in (Any, object) or (accepts_none(member) and accepts_none(part)):
        return True
    if class_of(part) is kind is Literal:
        return set(arguments) <= set(typing.get_args(member))
    if class_of(part) is Literal:
        return all(_covers(member, type(each)) for each in arguments)
    try:
        is_kind = class_of(part) is kind or (class_of(part), kind) == (int, float) or issubclass(class_of(part), kind)
    except TypeError:  # one of them is no class, or one that does not take the question: a typed dict, a protocol
        return False
    return is_kind and (not arguments or typing.get_args(member) in ((), arguments))  # no arguments: all are Any


def is_written_as_object(annotation: Any) -> bool:
    """Whether it is a model, dataclass, typed dict or mapping whose values are written as JSON objects."""
    if not _has_fields(annotation):
        return False
    try:
        schema = type_adapter(annotation).json_schema(mode="serialization")
    except pydantic.PydanticUserError:  # there are types that can be written and have no schema
        return False

    def is_object(each: dict[str, Any]) -> bool:
        each = schema["$defs"][each["$ref"].removeprefix("#/$defs/")] if "$ref" in each else each
        return each.get("type") == "object" or any(map(is_object, each.get("anyOf", ())))

    return is_object(schema)


def _has_fields(annotation: Any) -> bool:
    """Whether its values have fields or keys, and no metadata, such as a serializer, is attached."""
    if typing.get_origin(annotation) is Annotated:
        return False
    if members := union_members(base_type(annotation)):
        return any(map(_has_fields, members))
    return is_subclass(annotation, Mapping) or _fields(annotation) is not None


def field_names(annotation: Any) -> set[str]:
    """The names of the fields that models, dataclasses and typed dicts among its types have in Python."""
    return {name for member in members_of(annotation) for name in _fields(member) or ()}


def _fields(annotation: Any) -> Iterable[str] | None:
    kind = class_of(annotation)
    if is_subclass(kind, pydantic.BaseModel):
        return kind.model_fields  # type: ignore[no-any-return]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    is_typed_dict = hasattr(kind, "__required_keys__")  # typing's, or typing_extensions'
    return kind.__required_keys__ | kind.__optional_keys__ if is_typed_dict else None


def json_decoder(annotation: Any) -> Decode:
    """A decoder of JSON bytes that parses and validates in one step. On failure it replaces undecodable bytes."""
    adapter = type_adapter(annotation)
    if not is_defined(adapter):
        return _later(adapter)
    return _decoder_of(adapter, has_decimals=has_decimals(annotation))


def _decoder_of(adapter: pydantic.TypeAdapter[Any], *, has_decimals: bool) -> Decode:
    validate_json = _exact_decoder(adapter) if has_decimals else adapter.validate_json

    def decode(data: bytes) -> Any:
        try:
            return validate_json(data)
        except pydantic.ValidationError:
            text = well_formed(data)
            if text == data:
                raise
        return validate_json(text)

    return decode


def is_defined(adapter: pydantic.TypeAdapter[Any]) -> bool:
    """Whether all classes in the annotation are defined. Builds an adapter that was deferred."""
    if next(core_schemas(adapter), None) is None:
        adapter.rebuild(raise_errors=False)
    return next(core_schemas(adapter), None) is not None


def _later(adapter: pydantic.TypeAdapter[Any]) -> Decode:
    """A decoder for a type with a class that is not defined yet."""
    made: list[Decode] = []

    def decode(data: bytes) -> Any:
        if not made:
            adapter.rebuild()
            made.append(_decoder_of(adapter, has_decimals="decimal" in _kinds(adapter)))
        return made[0](data)

    return decode


def has_decimals(annotation: Any) -> bool:
    """Whether some of its values are `Decimal`, for which Pydantic's parser of JSON keeps too few digits."""
    try:
        return _has_decimals(annotation)
    except TypeError:  # it cannot be hashed
        return _has_decimals.__wrapped__(annotation)


@functools.lru_cache  # calls without a declaration ask each time
def _has_decimals(annotation: Any) -> bool:
    return "decimal" in _kinds(type_adapter(annotation))


def _kinds(adapter: pydantic.TypeAdapter[Any]) -> set[str]:
    return {str(schema.get("type")) for schema in core_schemas(adapter)}


_LONG_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|(?P<number>-?\d+\.\d+(?:[eE][+-]?\d+)?)', re.DOTALL)
_DIGITS = [b"%d" % digit for digit in range(10)]
_EXACT_DIGITS = 15  # that a float keeps


class _Number(float):
    """A fractional number from JSON. `Decimal` uses its digits, any other type its value."""

    digits: str

    def __new__(cls, digits: str) -> _Number:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    def __str__(self) -> str:
        return self.digits


def _exact_decoder(adapter: pydantic.TypeAdapter[Any]) -> Decode:
    kinds = _kinds(adapter)
    takes_anything = not kinds.isdisjoint(("any", "dict", "list", "typed-dict"))
    may_quote = kinds.isdisjoint(("any", "union", "tagged-union"))  # where a number is never better off as a text

    def decode(data: bytes) -> Any:
        if b"\\u" in data or not data.isascii():
            data = well_formed(data)
        try:
            value = adapter.validate_python(json.loads(data, parse_float=_Number))
            return _with_plain_numbers(value) if takes_anything else value
        except (
            ValueError,
            RecursionError,
        ):  # it takes more out of JSON (dates where it is strict), or says what is wrong
            value = adapter.validate_json(data)
        if may_quote and (quoted := _LONG_NUMBER.sub(_quoted, data)) != data:
            with contextlib.suppress(pydantic.ValidationError):
                return adapter.validate_json(quoted)  # `Decimal` takes texts, too, and all of their digits
        return value

    return decode


def _quoted(found: re.Match[bytes]) -> bytes:
    number = found["number"]
    return b'"%b"' % number if number and sum(map(number.count, _DIGITS)) > _EXACT_DIGITS else found[0]


def _with_plain_numbers(value: Any) -> Any:
    """The value with plain `float` instead of `_Number`, at every depth."""
    if isinstance(value, _Number):
        return float(value)
    if isinstance(value, dict):
        for name, each in value.items():
            value[name] = _with_plain_numbers(each)
    elif isinstance(value, list):
        value[:] = map(_with_plain_numbers, value)
    elif isinstance(value, tuple) and type(value) is tuple:
        return tuple(map(_with_plain_numbers, value))
    elif isinstance(value, pydantic.BaseModel) or dataclasses.is_dataclass(value):
        held = getattr(value, "__dict__", {})
        for name, each in held.items():
            if isinstance(each, _Number | dict | list | tuple | pydantic.BaseModel) or dataclasses.is_dataclass(each):
                held[name] = _with_plain_numbers(each)
        if (extra := getattr(value, "__pydantic_extra__", None)) is not None:
            _with_plain_numbers(extra)
    return value


def core_schemas(adapter: pydantic.TypeAdapter[Any]) -> Iterator[dict[str, Any]]:
    """All parts of the adapter's schema; none if a class is not defined yet."""
    try:
        rest: list[Any] = [adapter.core_schema]
        while rest:
            part = rest.pop()
            if isinstance(part, dict):
                yield part
                rest += inner_schemas(part)
            elif isinstance(part, list | tuple):
                rest += part
    except pydantic.PydanticUserError:
        return


# What in a core schema holds values, and not schemas: a default may look like one.
VALUES_IN_SCHEMAS = frozenset(("cls", "config", "custom_error_context", "default", "expected", "members", "metadata"))
# What holds schemas by names that are the user's: a field may be called "type", a tag "default".
SCHEMAS_BY_NAME = frozenset(("fields", "choices"))


def inner_schemas(schema: dict[str, Any]) -> list[Any]:
    """The parts of a core schema that may hold schemas, without names that users choose."""
    parts: list[Any] = []
    for name, each in schema.items():
        if name in SCHEMAS_BY_NAME and isinstance(each, dict):
            parts += each.values()
        elif name not in VALUES_IN_SCHEMAS:
            parts.append(each)
    return parts


def data_decoder(annotation: Any) -> Decode:
    """A decoder of an event's data: as text for `str`, as JSON otherwise."""
    base = base_type(annotation)
    if base is bytes:
        raise TypeError("the data of an event is text or JSON; declare str, or the type of the JSON")
    if base is not str:
        return json_decoder(annotation)
    from_text = str if annotation is str else type_adapter(annotation).validate_python
    return lambda data: from_text(data.decode("utf-8", "replace"))


def parser_decoder(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decoder from a user's parser. Its `ValueError` says that the input is invalid, as in a Pydantic validator."""

    def decode(value: Any) -> Any:
        try:
            return not_awaitable("response_parser", parse(value))
        except pydantic.ValidationError:
            raise
        except ValueError as error:
            raise validation_error(error, value) from error

    return decode


def validation_error(error: ValueError, value: Any) -> pydantic.ValidationError:
    """Pydantic's error for a `ValueError` about a value."""
    details: Any = {"type": "value_error", "input": value, "ctx": {"error": error}}
    return pydantic.ValidationError.from_exception_data("value", [details])


def instance_check(kinds: Any, words: str) -> Check:
    """A check that refuses values of other classes; `words` say what is allowed."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, kinds):
            raise TypeError(f"{name} is {value!r}; it is {words}")

    return check


def function_check(words: str, is_other: Callable[[Any], bool]) -> Check:
    """A check that allows functions of one argument, and these other values."""

    def check(name: str, value: Any) -> None:
        if not is_other(value):
            check_function(name, value, words)

    return check


def value_check(is_right: Callable[[Any], bool], words: str) -> Check:
    """A check that refuses values out of range."""

    def check(name: str, value: Any) -> None:
        if not is_right(value):
            raise ValueError(f"{name} is {value!r}; it is {words}")

    return check


def check_function(name: str, value: object, kind: str) -> None:
    """Refuse everything but a plain function of one argument; `kind` says what is allowed."""
    if not callable(value):
        raise TypeError(f"{name} is {value!r}; it is {kind}")
    functions = (value, getattr(type(value), "__call__", None))  # noqa: B004
    if any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in functions):
        raise TypeError(f"{name} is an async function; nothing awaits it, so pass a plain function")
    if refusal := refusal_of_one_argument(value):
        raise TypeError(f"{name} is called with one argument, and {value!r} does not take it: {refusal}")


def refusal_of_one_argument(function: Callable[..., Any]) -> str | None:
    """Why a function cannot take one argument; `None` if it can, or has no signature."""
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        return str(error)
    except ValueError:  # built-in ones do not tell
        pass
    return None


def not_awaitable(name: str, value: T) -> T:
    """The result of a user's function. Refuses a coroutine, which nothing would await."""
    if isinstance(value, types.CoroutineType):
        value.close()
        raise TypeError(f"{name} returned a coroutine, which nothing awaits; pass a plain function")
    return value


def is_number(value: object, *kinds: type) -> bool:
    """Whether it is a finite number above 0, of one of these types."""
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf  # type: ignore[operator]
