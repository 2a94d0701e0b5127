"""Samples of JSON become schemas: what they tell apart, and that whatever was seen is valid."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clientele.openapi.samples import Samples, singular


def schema_of(*values: Any, hint: str = "thing") -> tuple[Any, dict[str, Any]]:
    samples = Samples()
    return samples.schema(values, hint), samples.schemas


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([1, 2], {"type": "integer"}),
        ([1, 2.5], {"type": "number"}),
        ([True, False], {"type": "boolean"}),
        ([None], {"type": "null"}),
        (["a", None], {"type": ["string", "null"]}),
        ([1, "a"], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ([1, "a", None], {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        ([True, 1], {"anyOf": [{"type": "boolean"}, {"type": "integer"}]}),
        ([[]], {"type": "array", "items": {}}),
        ([[], [1], ["a"]], {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}),
        (["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5+01:00"], {"type": "string", "format": "date-time"}),
        (["2026-01-02T03:04:05Z", "soon"], {"type": "string"}),
        (["2026-01-02T03:04:05Z"], {"type": "string"}),
        (["2026-01-02", "2026-13-02"], {"type": "string"}),
        (["2026-01-02", "2026-12-02"], {"type": "string", "format": "date"}),
        (["a" * 8 + "-aaaa" * 3 + "-" + "a" * 12] * 2, {"type": "string", "format": "uuid"}),
        ([{"1": 2, "17": 3}], {"type": "object", "additionalProperties": {"type": "integer"}}),
        ([{f"user{n}": n} for n in range(20)], {"type": "object", "additionalProperties": {"type": "integer"}}),
    ],
)
def test_values(values, schema):
    assert schema_of(*values) == (schema, {})


def test_members_that_some_objects_lack_are_optional_and_null_is_told_from_them():
    reference, schemas = schema_of({"a": 1, "b": None}, {"a": 1}, {"a": 2, "b": "x"})
    assert reference == {"$ref": "#/components/schemas/Thing"}
    assert schemas["Thing"]["properties"] == {"a": {"type": "integer"}, "b": {"type": ["string", "null"]}}
    assert schemas["Thing"]["required"] == ["a"]


def test_objects_are_told_apart_by_the_member_whose_values_go_with_others():
    schema, schemas = schema_of(
        {"id": "a", "type": "delta", "text": "x"},
        {"id": "b", "type": "delta", "text": "y"},
        {"id": "c", "type": "done", "reason": "z"},
    )
    assert schema["discriminator"] == {"propertyName": "type"}
    assert schemas["Delta"]["properties"]["type"] == {"const": "delta"}
    assert schemas["Done"]["required"] == ["id", "type", "reason"]


@pytest.mark.parametrize(
    "values",
    [
        [{"type": "a", "x": 1}, {"type": "b", "x": 2}],  # the values go with nothing
        [{"name": "Ann", "age": 5}, {"name": "Bob"}],  # names, of which there are as many as objects
        [{"type": "a b c", "x": 1}, {"type": "d!", "y": 1}],
        [{"type": "a", "x": 1}, {"y": 1}],
    ],
)
def test_what_tells_nothing_apart_is_a_text(values):
    schema, schemas = schema_of(*values)
    assert schema == {"$ref": "#/components/schemas/Thing"}
    assert list(schemas) == ["Thing"]


def test_objects_that_are_alike_are_one_class_named_after_the_first_place():
    _, schemas = schema_of({"choices": [{"a": 1}], "other": {"a": 2}})
    assert list(schemas) == ["Choice", "Thing"]


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("choices", "choice"),
        ("entries", "entry"),
        ("boxes", "box"),
        ("status", ""),
        ("class", ""),
        ("data", ""),
        ("s", ""),
    ],
)
def test_plurals(plural, one):
    assert singular(plural) == one


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "kind", "a", "b", "1", "model_x", "a-b"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=6))
def test_whatever_was_seen_is_valid(values):
    import jsonschema

    schema, schemas = schema_of(*values)
    whole = {**schema, "components": {"schemas": schemas}}
    for value in values:
        jsonschema.validate(value, whole)
