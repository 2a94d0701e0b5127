"""What schemas become: annotations, and models that validate what the document says."""

from __future__ import annotations

import datetime
import typing
from typing import Any

import pydantic
import pytest
from tests.openapi.conftest import answering, document


@pytest.fixture
def model(generate):
    """The class of a schema, as a body and answer use it, and the package."""

    def model(schema: Any, **others: Any) -> Any:
        reference = {"$ref": "#/components/schemas/Thing"}
        package = generate(
            document({"/thing": {"get": answering(reference, operationId="thing")}}, {"Thing": schema, **others})
        )
        return pydantic.TypeAdapter(package.models.Thing), package

    return model


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def fits(adapter: pydantic.TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("schema", "fitting", "other"),
    [
        ({"type": "string", "nullable": True}, ["a", None], [5]),
        ({"type": ["string", "null"]}, ["a", None], [5]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["a", None], [5]),
        ({"type": "string", "enum": ["a"], "nullable": True}, ["a", None], ["b"]),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}], "nullable": True}, ["a", 5, None], [[]]),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, [6], [5]),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": False}, [5], [4]),
        ({"type": "integer", "exclusiveMinimum": 5}, [6], [5]),
        ({"const": "a"}, ["a"], ["b"]),
        ({"enum": [1, 2]}, [1], [3]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [[1, 2]], [[1, 2, 3]]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "b"}]),
        ({"type": "string", "format": "email"}, ["not checked"], [5]),
        ({"type": "string", "format": "uri"}, ["x y"], [5]),
        ({"type": "string", "format": "password"}, ["x"], [5]),
    ],
)
def test_a_member_fits_what_its_schema_says(model, schema, fitting, other):
    adapter, package = model(object_of(member=schema))
    assert [each for each in fitting if not fits(adapter, {"member": each})] == []
    assert [each for each in other if fits(adapter, {"member": each})] == []
    assert package.findings == []


def test_texts_stay_as_they_came(model):
    schema = object_of(url={"type": "string", "format": "uri"}, secret={"type": "string", "format": "password"})
    adapter, _ = model(schema)
    thing = adapter.validate_python({"url": "http://h", "secret": "x"})
    assert (thing.url, thing.secret) == ("http://h", "x")
    assert thing.model_dump_json() == '{"url":"http://h","secret":"x"}'


def test_members_that_the_document_does_not_know_break_nothing(model):
    adapter, package = model({**object_of(a={"type": "integer"}), "additionalProperties": False})
    assert adapter.validate_python({"a": 1, "new": 2}) == package.models.Thing(a=1)
    adapter, _ = model({**object_of(a={"type": "integer"}), "additionalProperties": {"type": "integer"}})
    assert adapter.validate_python({"a": 1, "new": 2}).new == 2


def test_times_are_times(model):
    adapter, _ = model(object_of(at={"type": "string", "format": "date-time"}))
    for text in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"):  # FastAPI writes those without an offset, too
        assert isinstance(adapter.validate_python({"at": text}).at, datetime.datetime)


def test_optional_nullable_and_default_are_kept_apart(model):
    properties = {
        "needed": {"type": ["string", "null"]},
        "optional": {"type": "string"},
        "default": {"type": "integer", "default": 5},
    }
    adapter, package = model({"type": "object", "properties": properties, "required": ["needed"]})
    assert not fits(adapter, {})
    thing = adapter.validate_python({"needed": None})
    assert (thing.needed, thing.optional, thing.default) == (None, None, 5)
    assert package.models.Thing(needed=None).model_dump(exclude_unset=True) == {"needed": None}


def test_members_have_names_in_python_and_their_own_ones_in_json(model):
    adapter, package = model(
        object_of(**{"userId": {"type": "integer"}, "class": {"type": "string"}, "x-y": {"type": "string"}})
    )
    thing = adapter.validate_json('{"userId": 1, "class": "a", "x-y": "b"}')
    assert thing.user_id == 1
    assert thing.model_dump(by_alias=True) == {"userId": 1, "class": "a", "x-y": "b"}
    assert package.models.Thing(user_id=2, class_="a", x_y="b").user_id == 2


def test_parts_of_an_object_are_one_class(model):
    base = object_of(id={"type": "integer"}, kind={"type": "string"})
    part = {"type": "object", "properties": {"kind": {"const": "a"}, "name": {"type": "string"}}, "required": ["name"]}
    adapter, package = model({"allOf": [{"$ref": "#/components/schemas/Base"}, part]}, Base=base)
    assert [*package.models.Thing.model_fields] == ["id", "kind", "name"]
    assert fits(adapter, {"id": 1, "kind": "a", "name": "b"})
    assert not fits(adapter, {"id": 1, "kind": "b", "name": "b"})
    assert not fits(adapter, {"kind": "a", "name": "b"})


def test_schemas_may_mean_themselves(model):
    reference = {"$ref": "#/components/schemas/Thing"}
    adapter, _ = model(
        {"type": "object", "properties": {"next": reference, "all": {"type": "array", "items": reference}}}
    )
    thing = adapter.validate_python({"next": {"next": {}}, "all": [{"all": []}]})
    assert type(thing.next.next) is type(thing.all[0]) is type(thing)


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf", "allOf"])
def test_a_schema_that_is_itself_is_what_else_it_is(model, keyword):
    around = {"oneOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "integer"}]}
    adapter, package = model({keyword: [{"$ref": "#/components/schemas/Around"}, {"type": "integer"}]}, Around=around)
    assert fits(adapter, 5)
    assert any("means the schema itself is left out" in each for each in package.findings)


@pytest.mark.parametrize("pattern", ["(?!x)a", "(?<=x)a", "[", r"(a)\1"])
def test_a_pattern_that_pydantic_does_not_know_is_told(model, pattern):
    adapter, package = model(object_of(a={"type": "string", "pattern": pattern}))
    assert fits(adapter, {"a": "anything"})
    assert [each for each in package.findings if "/properties/a/pattern: " in each]


def test_a_union_of_models_is_told_apart(model):
    cat = object_of(kind={"const": "cat"}, lives={"type": "integer"})
    dog = object_of(kind={"enum": ["dog", "wolf"]}, name={"type": "string"})
    members = [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]
    mapping = {"cat": "#/components/schemas/Cat", "dog": "Dog", "wolf": "Dog"}
    discriminator = {"propertyName": "kind", "mapping": mapping}
    adapter, package = model({"oneOf": members, "discriminator": discriminator}, Cat=cat, Dog=dog)
    assert type(adapter.validate_python({"kind": "wolf", "name": "a"})) is package.models.Dog
    with pytest.raises(pydantic.ValidationError, match=r"cat\.lives"):
        adapter.validate_python({"kind": "cat"})


@pytest.mark.parametrize(
    ("schema", "finding"),
    [
        ({"type": "object", "properties": {}, "minProperties": 1}, "/minProperties: is not checked by the models"),
        ({"type": "string", "not": {"const": "a"}}, "/not: is not checked by the models"),
        ({"type": "object", "xml": {"name": "x"}}, "/xml: XML has no counterpart: the names of JSON are used"),
        ({"type": "string", "contentSchema": {}}, "/contentSchema: the text stays text; parse it where you use it"),
        ({"type": "integer", "default": "many"}, "/default: 'many' is not of type 'integer'; it is left out"),
        ({"if": {}, "then": {}}, "/if: is not checked by the models"),
        ({"type": "string", "frobnicate": 1}, "/frobnicate: is not checked by the models"),
        (
            {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
            "/patternProperties: is not checked by the models: any name may have any of these",
        ),
        (
            {"type": "object", "discriminator": {"propertyName": "a"}},
            "/discriminator: stands beside no oneOf or anyOf, and tells nothing apart",
        ),
        (
            {"type": "object", "properties": {"id": {"type": "integer", "readOnly": True}}, "required": ["id"]},
            "/properties/id/readOnly: the member is optional: one class serves requests and answers",
        ),
        (
            {"$ref": "#/components/schemas/Nothing"},
            ": the reference '#/components/schemas/Nothing' points to nothing; it is read as anything at all",
        ),
        (5, ": is 5, which is read as anything at all"),
    ],
)
def test_what_models_do_not_say_is_told_with_its_place(generate, schema, finding):
    package = generate(
        document({"/thing": {"get": answering({"$ref": "#/components/schemas/Thing"})}}, {"Thing": schema})
    )
    assert f"#/components/schemas/Thing{finding}" in package.findings


@pytest.mark.parametrize(
    ("name", "class_name"),
    [("user.profile", "UserProfile"), ("Literal", "LiteralModel"), ("a__b__Item", "Item"), ("Page_Item_", "PageItem")],
)
def test_classes_are_named_as_a_person_would(generate, name, class_name):
    reference = {"$ref": f"#/components/schemas/{name}"}
    paths = {"/thing": {"get": answering(reference, operationId="thing")}}
    package = generate(document(paths, {name: object_of(a={"type": "integer"})}))
    assert typing.get_type_hints(package.module("client").thing)["return"] is getattr(package.models, class_name)


def test_names_that_collide_are_numbered_and_long_ones_kept_where_short_ones_are_not_unique(generate):
    schemas = {name: object_of(a={"type": "integer"}) for name in ("a-b", "a_b", "m__Item", "n__Item")}
    paths = {
        f"/{number}": {"get": answering({"$ref": f"#/components/schemas/{name}"})}
        for number, name in enumerate(schemas)
    }
    models = generate(document(paths, schemas)).models
    assert {"AB", "AB2", "MItem", "NItem"} <= vars(models).keys()


def test_what_no_operation_uses_is_not_written(generate):
    reference = {"$ref": "#/components/schemas/Used"}
    schemas = {
        "Used": object_of(a={"$ref": "#/components/schemas/Within"}),
        "Within": object_of(),
        "Unused": object_of(),
    }
    package = generate(document({"/thing": {"get": answering(reference)}}, schemas))
    assert {"Used", "Within"} <= vars(package.models).keys()
    assert "Unused" not in vars(package.models)
