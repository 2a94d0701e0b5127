"""From samples of JSON to a schema: what `clientele learn` makes of what it has seen.

All samples of one place are looked at together. Objects are told apart by a member whose values go with other members
(`"type": "delta"`), if there is one. Each object becomes a named schema; two that are alike are the same one. Whatever
was seen is valid by the schema that comes out.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from .names import class_name, unique
from .schemas import REFERENCE

_MANY_KEYS = 12  # from so many on, names may be data
_MANY_VALUES = 64  # of so many, one property does not tell objects apart
_FEWEST_SAMPLES = 2  # of texts that look like a time, before they are called one
_DEEPEST = 40
_TAG = re.compile(r"[A-Za-z][\w.:/-]{0,63}")
_NUMBER_OR_ID = re.compile(r"\d+|[0-9a-fA-F-]{16,}")
# Names that tell objects apart come first, where several could.
_USUAL_TAGS = ("type", "kind", "event", "object", "op", "action", "role", "status")


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text)) and _parses(
        datetime.datetime.fromisoformat, text
    )


def _is_date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and _parses(datetime.date.fromisoformat, text)


def _is_uuid(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)) and _parses(uuid.UUID, text)


def _parses(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_PLURALS = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ss", None), ("us", None), ("s", ""))
_FORMATS = {"date-time": _is_time, "date": _is_date, "uuid": _is_uuid}


class Samples:
    """Makes schemas of samples; `schemas` has those of objects, by the names of their classes."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self._known: dict[str, str] = {}  # the names of schemas, by what they say

    def schema(self, values: Sequence[Any], hint: str, depth: int = 0, *, is_own: bool = False) -> dict[str, Any]:
        """The schema of a place where these values were seen.

        Parameters:
            hint: What a class in it may be called.
            is_own: Whether an object here has a class of its own, though another one is alike.
        """
        if depth > _DEEPEST:
            return {}
        kinds: dict[str, list[Any]] = {}
        for value in values:
            kinds.setdefault(_kind(value), []).append(value)
        if "number" in kinds and "integer" in kinds:
            kinds["number"] += kinds.pop("integer")
        found = [self._of_kind(kind, each, hint, depth, is_own) for kind, each in kinds.items() if kind != "null"]
        if "null" in kinds:
            found.append({"type": "null"})
        if len(found) == 1:
            return found[0]
        if len(found) == 2 and "null" in kinds and isinstance(found[0].get("type"), str):
            return {**found[0], "type": [found[0]["type"], "null"]}
        return {"anyOf": found} if found else {}

    def _of_kind(self, kind: str, values: list[Any], hint: str, depth: int, is_own: bool) -> dict[str, Any]:
        if kind == "object":
            return self._object(values, hint, depth, is_own)
        if kind == "array":
            items = [item for value in values for item in value]
            return {"type": "array", "items": self.schema(items, singular(hint) or f"{hint}_item", depth + 1)}
        if kind == "string" and len(values) >= _FEWEST_SAMPLES:
            for name, is_one in _FORMATS.items():
                if all(map(is_one, values)):
                    return {"type": kind, "format": name}
        return {"type": kind}

    def _object(self, values: list[dict[str, Any]], hint: str, depth: int, is_own: bool) -> dict[str, Any]:
        if _is_map(values):
            inner = [each for value in values for each in value.values()]
            hint = singular(hint) or f"{hint}_value"
            return {"type": "object", "additionalProperties": self.schema(inner, hint, depth + 1)}
        if (tag := _discriminator(values)) is None:
            return self._named(self._members(values, depth), hint, is_own)
        members = []
        for name in dict.fromkeys(value[tag] for value in values):
            schema = self._members([value for value in values if value[tag] == name], depth)
            schema["properties"][tag] = {"const": name}
            members.append(self._named(schema, name, is_own))
        return {"oneOf": members, "discriminator": {"propertyName": tag}}

    def _members(self, values: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        names = dict.fromkeys(name for value in values for name in value)
        properties = {
            name: self.schema([value[name] for value in values if name in value], name, depth + 1) for name in names
        }
        required = [name for name in names if all(name in value for value in values)]
        return {"type": "object", "properties": properties, "required": required}

    def _named(self, schema: dict[str, Any], hint: str, is_own: bool) -> dict[str, Any]:
        """A reference to the schema, under a name of its own or of one that says the same."""
        text = json.dumps(schema, sort_keys=True) + hint * is_own
        if text not in self._known:
            self._known[text] = unique(class_name(_in_words(hint)), self.schemas)
            self.schemas[self._known[text]] = schema
        return {"$ref": REFERENCE + self._known[text]}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds[type(value)]


def _is_map(values: list[dict[str, Any]]) -> bool:
    """Whether the names of the members are data: many of them, each in few objects, or all of them numbers or ids."""
    names = {name for value in values for name in value}
    if not names:
        return False
    kinds = {_kind(each) for value in values for each in value.values()} - {"null"}
    if len(kinds) > 1 and kinds != {"integer", "number"}:
        return False
    if all(map(_NUMBER_OR_ID.fullmatch, names)):
        return True
    filled = sum(map(len, values)) / (len(names) * len(values))
    return len(names) > _MANY_KEYS and len(values) > 1 and filled < 0.3


def _discriminator(values: list[dict[str, Any]]) -> str | None:
    """The member that tells the objects apart: a text in each, whose values go with other members."""
    if len(values) < 2:
        return None
    candidates = [name for name in values[0] if all(_is_tag(value.get(name)) for value in values)]
    candidates.sort(key=lambda name: _USUAL_TAGS.index(name) if name in _USUAL_TAGS else len(_USUAL_TAGS))
    for name in candidates:
        groups: dict[str, list[dict[str, Any]]] = {}
        for value in values:
            groups.setdefault(value[name], []).append(value)
        is_told = name in _USUAL_TAGS or len(groups) * 2 <= len(values)
        if (
            1 < len(groups) <= _MANY_VALUES
            and is_told
            and _optional_members(values) > max(map(_optional_members, groups.values()))
        ):
            return name
    return None


def _is_tag(value: Any) -> bool:
    return isinstance(value, str) and bool(_TAG.fullmatch(value))


def _optional_members(values: list[dict[str, Any]]) -> int:
    names = {name for value in values for name in value}
    return sum(not all(name in value for value in values) for name in names)


def singular(name: str) -> str:
    """`choices` as `choice`, `entries` as `entry`; `""` where the name is no plural."""
    for ending, other in _PLURALS:
        if name.lower().endswith(ending) and len(name) > len(ending) + 1:
            return name[: -len(ending)] + other if other is not None else ""
    return ""


def _in_words(name: str) -> str:
    """The name with an end that is no number: `v1.2` is a class `V12`, and no number of one."""
    return re.sub(r"[^\w]+", "_", name)
