"""Schemas of the document: as types in a signature, or as models that get a name of their own.

What is simple stands in the signature itself: `int`, `list[User]`, `Literal["a", "b"]`. What is not is a named schema,
handed to `models.py`. On the way each schema is put into the dialect of JSON Schema 2020-12, whatever version the
document claims: `nullable`, a boolean `exclusiveMinimum` and the like mean what they have always meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Annotated, Any

import pydantic
import pydantic_core

from .document import Document, Place
from .names import class_name, common_prefix_trimmed, operation_name, unique

REFERENCE = "#/components/schemas/"

_ONE = frozenset(("items", "additionalProperties"))
_COMBINED = ("allOf", "anyOf", "oneOf")
_NAMED = frozenset(("properties",))
_KEPT = frozenset(
    """type required enum const default description format pattern minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems deprecated""".split()
)
# Notes for readers, which say nothing of what is valid; and what has been read when these are met.
_READ_ELSEWHERE = frozenset(
    """title example examples externalDocs $comment $schema $id $defs definitions nullable discriminator readOnly
    writeOnly contentMediaType contentEncoding patternProperties""".split()
)
_KINDS_OF_SCHEMA = frozenset(("type", "enum", "const", "$ref", "oneOf", "anyOf", "allOf", "properties", "items"))
_NOTES = ("description", "default", "deprecated")
_ALTERNATIVES = frozenset(("oneOf", "anyOf", "enum", "const", "not", "if"))
_ONE_CLASS = "the member is optional: one class serves requests and answers"
_UNCHECKED = {
    "xml": "XML has no counterpart: the names of JSON are used",
    "contentSchema": "the text stays text; parse it where you use it",
}

# What stands in a signature, by `format`; every other text is `str`, as it is sent.
_TEXT = {
    "date-time": "datetime",
    "date": "date",
    "time": "time",
    "duration": "timedelta",
    "uuid": "UUID",
    "decimal": "Decimal",
}
# What the values of keywords are; of a keyword that is not here, they may be anything.
_VALUES: dict[str, type | tuple[type, ...]] = {
    "$ref": str,
    "type": (str, list),
    "enum": list,
    "required": list,
    "properties": Mapping,
    "patternProperties": Mapping,
    "discriminator": Mapping,
    "items": (Mapping, bool),
    "additionalProperties": (Mapping, bool),
    "allOf": list,
    "anyOf": list,
    "oneOf": list,
    "prefixItems": list,
    "format": str,
    "pattern": str,
    "description": str,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), int),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), (bool, int, float)),
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}
_SIMPLE = {"integer": "int", "number": "float", "boolean": "bool", "null": "None"}


class Schemas:
    """The schemas of a document, those that have been used with the names that their models get."""

    def __init__(self, document: Document, names: Mapping[str, str]) -> None:
        self._document = document
        self.models: dict[str, Any] = {}
        """The schemas of the models by the names of their classes, as references among them name them."""
        components = document.root.get("components")
        schemas = components.get("schemas") if isinstance(components, Mapping) else None
        declared = [str(name) for name in schemas] if isinstance(schemas, Mapping) else []
        self._annotations: dict[Place, str] = {}
        self._classes: dict[Place, str] = {}
        bodies = {  # FastAPI's names for bodies of several parameters
            f"Body_{operation.get('operationId')}": operation_name(str(operation.get("operationId")), method, path)
            for method, path, operation, *_ in document.operations()
        }
        for name, short in common_prefix_trimmed(declared).items():
            wanted = names.get(name) or class_name(f"{bodies[name]}_body" if name in bodies else short)
            self._classes["components", "schemas", name] = unique(wanted, self._classes.values())
        self.declared_names = frozenset(declared)

    @property
    def taken(self) -> set[str]:
        """The names that classes have already."""
        return {*self._classes.values(), *self.models}

    def type_of(self, schema: Any, place: Place, hint: str) -> str:
        """The annotation that a schema is in a signature; `hint` names the model that is made where one is needed."""
        if place not in self._annotations:  # what two functions take or answer with is one model
            self._annotations[place] = self._annotation(self.normalised(schema, place), hint)
        return self._annotations[place]

    def of_json(self, schema: Any, place: Place, hint: str) -> str:
        """The annotation of what is read as JSON; `str` alone would be the text as it came, quotes and all."""
        annotation = self.type_of(schema, place, hint)
        return f"Json[{annotation}]" if self._is_text(annotation) else annotation

    def _is_text(self, annotation: str) -> bool:
        if (model := self.models.get(annotation)) is None:
            return annotation == "str"
        return self._is_text(self._annotation(model, annotation)) if self._is_simple(model) else False

    def is_single(self, schema: Any, place: Place) -> bool:
        """Whether its values are single values or lists of these, and so can be a parameter."""
        return self._is_single(self.normalised(schema, place), ())

    def _is_single(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> bool:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(REFERENCE)
            return name in within or self._is_single(self.models[name], (*within, name))
        if "properties" in schema or "object" in (schema.get("type"), *listed(schema.get("type"))):
            return False
        parts = [each for keyword in _COMBINED for each in schema.get(keyword, ())]
        items = schema.get("items")
        return all(self._is_single(each, within) for each in [*parts, *([items] if isinstance(items, dict) else ())])

    def _is_simple(self, model: Mapping[str, Any]) -> bool:
        return "properties" not in model and not _ALTERNATIVES & model.keys() and "allOf" not in model

    def resolved(self, schema: Any, place: Place) -> tuple[Mapping[str, Any], Place]:
        """What a schema is behind its references, without keywords whose values cannot be theirs."""
        value, place = self._document.resolved(schema, place)
        return (self._sound(value, place) if isinstance(value, Mapping) else {}), place

    def _sound(self, schema: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        wrong = [each for each, kinds in _VALUES.items() if each in schema and not isinstance(schema[each], kinds)]
        for each in wrong:
            self._document.find((*place, each), f"is {schema[each]!r:.40}, which it cannot be; it is left out")
        return {name: each for name, each in schema.items() if name not in wrong} if wrong else schema

    def members(self, schema: Any, place: Place) -> dict[str, tuple[Any, Place]]:
        """The properties that an object has, those of all parts of an `allOf` among them."""
        value, place = self.resolved(schema, place)
        found: dict[str, tuple[Any, Place]] = {}
        for part in self._parts(value, place, ("allOf",)):
            found |= self.members(*part)
        properties = value.get("properties")
        if isinstance(properties, Mapping):
            found |= {name: (each, (*place, "properties", name)) for name, each in properties.items()}
        return found

    def required(self, schema: Any, place: Place) -> set[str]:
        """The properties that an object must have."""
        value, place = self.resolved(schema, place)
        names = {each for each in value.get("required") or () if isinstance(each, str)}
        for part in self._parts(value, place, ("allOf",)):
            names |= self.required(*part)
        return names

    def _parts(
        self, value: Mapping[str, Any], place: Place, keywords: Iterable[str] = _COMBINED
    ) -> list[tuple[Any, Place]]:
        """The members of its unions, or parts of its `allOf`, without those that mean the schema itself."""
        parts = [
            (each, (*place, keyword, str(number)))
            for keyword in keywords
            if isinstance(value.get(keyword), list)
            for number, each in enumerate(value[keyword])
        ]
        return [each for each in parts if not self._means(*each, place)]

    def _means(self, schema: Any, place: Place, goal: Place, within: tuple[Place, ...] = ()) -> bool:
        """Whether a schema is, by references and combinations alone, one that stands somewhere."""
        value, where = self.resolved(schema, place)
        if where == goal or where in within:
            return where == goal
        return any(
            self._means(each, (*where, keyword, str(number)), goal, (*within, where))
            for keyword in _COMBINED
            if isinstance(value.get(keyword), list)
            for number, each in enumerate(value[keyword])
        )

    def alternatives(self, schema: Any, place: Place) -> list[tuple[Any, Place]]:
        """The members of a union, and of the unions in it; of anything else, itself alone."""
        value, where = self.resolved(schema, place)
        members = [] if value.get("properties") else self._parts(value, where, ("oneOf", "anyOf"))
        return [one for each in members for one in self.alternatives(*each)] or [(schema, place)]

    def without_null(self, schema: Any, place: Place) -> tuple[Any, Place]:
        """The one member of a union beside null, if there is one; anything else as it is."""
        members = self.alternatives(schema, place)
        others = [each for each in members if self.resolved(*each)[0].get("type") != "null"]
        return others[0] if len(others) == 1 else (schema, place)

    def constant(self, schema: Any, place: Place) -> Any:
        """The only value that a schema has, `None` where it has several."""
        value, _ = self.resolved(schema, place)
        values = value.get("enum")
        return value.get("const", values[0] if isinstance(values, list) and len(values) == 1 else None)

    def discriminator(self, schema: Any, place: Place) -> tuple[str, dict[str, tuple[Any, Place]]] | None:
        """The property that tells the members of a union apart, and the member for each of its values.

        The document names it, or it is the first one that every member requires, or has by default, with another value.
        """
        members = [each for each in self.alternatives(schema, place) if self.resolved(*each)[0].get("type") != "null"]
        if len(members) < 2:
            return None
        value, _ = self.resolved(schema, place)
        said = value.get("discriminator")
        named = said.get("propertyName") if isinstance(said, Mapping) else None
        properties = [self.members(*member) for member in members]
        for name in [named] if isinstance(named, str) else list(properties[0]):
            tags = [self.texts(*each[name]) if name in each else [] for each in properties]
            every = [tag for several in tags for tag in several]
            if all(tags) and len(set(every)) == len(every):
                return name, {tag: member for member, several in zip(members, tags, strict=True) for tag in several}
        return None

    def texts(self, schema: Any, place: Place) -> list[str]:
        """The values of a schema that has only these texts; none of any other."""
        value, _ = self.resolved(schema, place)
        values = [value["const"]] if "const" in value else value.get("enum") or []
        return values if all(isinstance(each, str) for each in values) else []

    def named(self, schema: Any, place: Place, hint: str) -> str:
        """The class of a schema: of what it refers to, or of a model of its own."""
        annotation = self.type_of(schema, place, hint)
        return annotation if annotation in self.models else self.hoisted(self.normalised(schema, place), hint)

    def hoisted(self, normalised: Any, hint: str) -> str:
        """Give a schema that has been normalised a class of its own."""
        name = unique(class_name(hint), self.taken)
        self.models[name] = normalised
        return name

    def normalised(self, schema: Any, place: Place) -> dict[str, Any]:
        """The schema in the dialect of JSON Schema 2020-12, its references to the models of this package."""
        if schema is True or schema is None:
            return {}
        if not isinstance(schema, Mapping):
            self._document.find(place, f"is {schema!r:.40}, which is read as anything at all")
            return {}
        schema = self._sound(schema, place)
        if isinstance(reference := schema.get("$ref"), str):
            return self._reference(reference, schema, place)
        out: dict[str, Any] = {}
        rest = self._put_together(schema, place, out) if self._is_object_of_parts(schema, place) else schema
        for keyword, value in rest.items():
            inner = (*place, keyword)
            if keyword in _ONE and isinstance(value, Mapping):
                out[keyword] = self.normalised(value, inner)
            elif keyword in _ONE:
                out[keyword] = value
            elif keyword in _COMBINED and isinstance(value, list):
                parts = self._parts(rest, place, (keyword,))
                out[keyword] = [self.normalised(*each) for each in parts]
                if len(parts) < len(value):
                    self._document.find(inner, "a member that means the schema itself is left out")
            elif keyword == "prefixItems" and isinstance(value, list):
                out[keyword] = [self.normalised(each, (*inner, str(at))) for at, each in enumerate(value)]
            elif keyword == "pattern" and not _is_pattern(value):
                self._document.find(inner, f"{value!r} is not checked by the models: their patterns are Rust's")
            elif keyword in _NAMED and isinstance(value, Mapping):
                out[keyword] = {name: self.normalised(each, (*inner, name)) for name, each in value.items()}
            elif keyword in _KEPT:
                out[keyword] = value
            elif keyword not in _READ_ELSEWHERE and not keyword.startswith("x-"):
                self._document.find(inner, _UNCHECKED.get(keyword, "is not checked by the models"))
        self._say_it_in_2020(out, schema, place)
        return out

    def _is_object_of_parts(self, schema: Mapping[str, Any], place: Place) -> bool:
        """Whether it is an `allOf` of objects, which are one object: a class has all its fields in one place."""
        parts = self._parts(schema, place, ("allOf",))
        if len(parts) + ("properties" in schema) < 2 or not parts:
            return False
        return all(self._is_plain_object(*each) for each in parts)

    def _is_plain_object(self, schema: Any, place: Place) -> bool:
        value, where = self.resolved(schema, place)
        if not _ALTERNATIVES.isdisjoint(value) or value.get("type", "object") != "object":
            return False
        return all(self._is_plain_object(*each) for each in self._parts(value, where, ("allOf",)))

    def _put_together(self, schema: Mapping[str, Any], place: Place, out: dict[str, Any]) -> Mapping[str, Any]:
        """Put the members of all parts into one object; what is left is the rest of the schema."""
        members = self.members(schema, place)
        required = self.required(schema, place)
        out["type"] = "object"
        out["properties"] = {name: self.normalised(*each) for name, each in members.items()}
        out["required"] = [name for name in members if name in required]
        for part in self._parts(schema, place, ("allOf",)):
            value, _ = self.resolved(*part)
            for keyword in ("description", "additionalProperties"):
                if keyword in value and keyword not in schema and isinstance(value[keyword], str | bool):
                    out[keyword] = value[keyword]
        return {name: each for name, each in schema.items() if name not in ("allOf", "properties", "required", "type")}

    def _reference(self, reference: str, schema: Mapping[str, Any], place: Place) -> dict[str, Any]:
        target = self._document.target(reference, place)
        if target is None or self._document.resolved(*target)[0] in ({}, True):
            return {}
        found, where = target
        if where not in self._classes:
            hint = next((part for part in reversed(where) if not part.isdigit() and part != "schema"), "Model")
            self._classes[where] = unique(class_name(PurePath(hint).stem), self.taken)
        name = self._classes[where]
        if name not in self.models:
            self.models[name] = {}  # so that a schema may refer to itself
            self.models[name] = self.normalised(found, where)
        out: dict[str, Any] = {"$ref": REFERENCE + name}
        notes = {
            each: schema[each] for each in ("description", "default", "deprecated") if schema.get(each) is not None
        }
        constraints = {each: value for each, value in schema.items() if each in _KEPT - notes.keys() - {"default"}}
        if schema.get("nullable") is True:
            out = {"anyOf": [out, {"type": "null"}]}
        elif constraints:
            out = {"allOf": [out, constraints]}
        elif notes:
            out = {"allOf": [out]}
        return {**out, **notes}

    def _say_it_in_2020(self, out: dict[str, Any], schema: Mapping[str, Any], place: Place) -> None:
        """Say what older versions say otherwise, and what needs more than its own keyword."""
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if out.get(exclusive) is True and bound in out:
                out[exclusive] = out.pop(bound)
            elif isinstance(out.get(exclusive), bool):
                del out[exclusive]
        patterns = schema.get("patternProperties")
        if isinstance(patterns, Mapping) and patterns:
            self._document.find(
                (*place, "patternProperties"), "is not checked by the models: any name may have any of these"
            )
            each = [self.normalised(value, (*place, "patternProperties", name)) for name, value in patterns.items()]
            out.setdefault("additionalProperties", each[0] if len(each) == 1 else {"anyOf": each})
        if "properties" in out and isinstance(out.get("required"), list):
            self._read_only(out, schema, place)
        discriminator = schema.get("discriminator")
        if isinstance(discriminator, Mapping) and ("oneOf" in out or "anyOf" in out):
            self._put_discriminator(out, discriminator, schema, place)
        elif discriminator:
            self._document.find((*place, "discriminator"), "stands beside no oneOf or anyOf, and tells nothing apart")
        if schema.get("nullable") is True:
            self._admit_null(out)
        if out.get("default", 0) is None:  # what is optional is `None` by default anyway
            del out["default"]
        elif "default" in out and not _has_type(out["default"], out.get("type")):
            self._document.find(
                (*place, "default"), f"{out['default']!r} is not of type {out['type']!r}; it is left out"
            )
            del out["default"]
        if out.get("additionalProperties") is False and "properties" in out:
            del out["additionalProperties"]  # what an API learns to send must not break its clients

    def _read_only(self, out: dict[str, Any], schema: Mapping[str, Any], place: Place) -> None:
        """What is in answers alone, or in requests alone, is optional: one class serves both."""
        for name, member in self.members(schema, place).items():
            value, where = self.resolved(*member)
            for keyword in ("readOnly", "writeOnly"):
                if value.get(keyword) is True and name in out["required"]:
                    out["required"] = [each for each in out["required"] if each != name]
                    self._document.find((*where, keyword), _ONE_CLASS)

    def _put_discriminator(
        self, out: dict[str, Any], discriminator: Mapping[str, Any], schema: Mapping[str, Any], place: Place
    ) -> None:
        """Keep what tells a union apart where it does: each member a class that has the property as a constant."""
        where = (*place, "discriminator")
        if (found := self.discriminator(schema, place)) is None:
            self._document.find(where, "does not tell the members apart by constants; the first one that fits is taken")
            return
        name, tags = found
        mapping = {tag: self.normalised(*member).get("$ref") for tag, member in tags.items()}
        if all(mapping.values()):
            out["discriminator"] = {"propertyName": name, "mapping": mapping}
        else:
            out["discriminator"] = {"propertyName": name}

    def _admit_null(self, out: dict[str, Any]) -> None:
        if isinstance(out.get("enum"), list) and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
        if isinstance(type_ := out.get("type"), str):
            out["type"] = [type_, "null"]
        elif isinstance(type_, list):
            out["type"] = list(dict.fromkeys([*type_, "null"]))
        else:
            notes: dict[str, Any] = {name: out.pop(name) for name in _NOTES if name in out}
            value = dict(out)
            out.clear()
            out.update({"anyOf": [value, {"type": "null"}], **notes})

    def _annotation(self, schema: Mapping[str, Any], hint: str) -> str:
        if "$ref" in schema:
            return str(schema["$ref"]).removeprefix(REFERENCE)
        if "const" in schema or "enum" in schema:
            return _literal([schema["const"]] if "const" in schema else schema["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                if "discriminator" in schema or "properties" in schema:
                    return self.hoisted(schema, hint)
                return _union(self._annotation(each, f"{hint}{at + 1}") for at, each in enumerate(schema[keyword]))
        if "allOf" in schema:
            parts = [each for each in schema["allOf"] if each]
            if len(parts) == 1 and "properties" not in schema:
                return self._annotation(parts[0], hint)
            if parts and self._is_single(schema, ()):  # constraints of one type, in several parts
                kinds = [each for each in parts if not _KINDS_OF_SCHEMA.isdisjoint(each)]
                return self._annotation(kinds[0], hint) if kinds else "Any"
            return self.hoisted(schema, hint)
        type_ = schema.get("type")
        if isinstance(type_, list):
            return _union(self._annotation({**schema, "type": each}, hint) for each in type_)
        if type_ in _SIMPLE:
            return _SIMPLE[type_]
        if type_ == "string":
            return _TEXT.get(str(schema.get("format")), "str")
        if type_ == "array" or (type_ is None and "items" in schema):
            items = schema.get("items")
            return f"list[{self._annotation(items, f'{hint}Item')}]" if isinstance(items, Mapping) else "list[Any]"
        if type_ == "object" or "properties" in schema:
            return self._object(schema, hint)
        return "Any"

    def _object(self, schema: Mapping[str, Any], hint: str) -> str:
        if schema.get("properties"):
            return self.hoisted(schema, hint)
        values = schema.get("additionalProperties")
        return f"dict[str, {self._annotation(values, f'{hint}Value') if isinstance(values, Mapping) else 'Any'}]"


def _is_pattern(value: Any) -> bool:
    """Whether Pydantic can check it: its engine is that of Rust, without look-around."""
    try:
        pydantic.TypeAdapter(Annotated[str, pydantic.Field(pattern=value)])
    except (pydantic_core.SchemaError, pydantic.PydanticUserError, TypeError):
        return False
    return True


def _has_type(value: Any, type_: Any) -> bool:
    """Whether a value is of a type of JSON, or of one of several."""
    if isinstance(type_, list):
        return any(_has_type(value, each) for each in type_)
    if type_ not in _KINDS:
        return True
    return isinstance(value, _KINDS[type_]) and isinstance(value, bool) == (type_ == "boolean")


def listed(value: Any) -> list[Any]:
    """The items of a list; none of anything else."""
    return value if isinstance(value, list) else []


def _literal(values: Iterable[Any]) -> str:
    simple = [each for each in values if each is None or isinstance(each, str | int | bool)]
    shown = [repr(each) for each in simple if each is not None]
    parts = ([f"Literal[{', '.join(dict.fromkeys(shown))}]"] if shown else []) + ["None"] * (None in simple)
    return " | ".join(parts) or "Any"


def _union(annotations: Iterable[str]) -> str:
    """The union of some annotations: each once, `None` last, and nothing beside `Any`."""
    flat: dict[str, None] = {}
    for annotation in annotations:
        flat |= dict.fromkeys(_split(annotation))
    if "Any" in flat:
        return "Any"
    has_none = flat.pop("None", 0) is None
    return " | ".join([*flat, *(["None"] if has_none else [])]) or "Any"


def _split(annotation: str) -> Iterator[str]:
    """The members of a union that is written with `|`, brackets left whole."""
    depth, start, quote = 0, 0, ""
    for position, character in enumerate(annotation):
        if quote:
            quote = "" if character == quote and annotation[position - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        elif character in "[(":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "|" and not depth:
            yield annotation[start:position].strip()
            start = position + 1
    yield annotation[start:].strip()


def optional(annotation: str) -> str:
    """The annotation with `None` among its members."""
    return _union([annotation, "None"])
