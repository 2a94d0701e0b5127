"""Where documents come from, and what is said of those that are none."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest
from tests.openapi.conftest import answering, document
from tests.servers import answer

from clientele.openapi.document import DocumentError, load
from clientele.openapi.package import generate

YAML = """
openapi: 3.0.3
info: {title: Shop, version: 1.0}
paths:
  /days/{day}:
    get:
      operationId: day
      parameters: [{name: day, in: path, required: true, schema: {type: string, enum: [on, off, 2026-01-02]}}]
      responses:
        200:
          description: ""
          content: {application/json: {schema: {$ref: "schemas.yaml#/Day"}}}
"""
OTHER = """
Day:
  type: object
  properties: {date: {type: string, format: date}, next: {$ref: "#/Day"}, kind: {$ref: "more/kinds.json"}}
  required: [date]
"""


def test_yaml_means_what_json_would_and_references_lead_to_other_files(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "shop.yaml").write_text(YAML)
    (tmp_path / "schemas.yaml").write_text(OTHER)
    (tmp_path / "more" / "kinds.json").write_text('{"type": "string", "enum": ["a"]}')
    package = generate(str(tmp_path / "shop.yaml"), "shop")
    assert package.findings == ()
    assert 'day: Literal["on", "off", "2026-01-02"]' in package.files["client.py"]
    assert "next: Day | None = None" in package.files["models.py"]
    assert "from shop.yaml (Shop 1.0)" in package.files["client.py"]


def test_a_document_is_fetched(serve):
    server = serve(answer(json.dumps(document({"/a": {"get": answering(operationId="a")}})).encode()))
    package = generate(f"{server.url}/openapi.json?token=secret", "shop")
    assert f'base_url: str = "{server.url}"' in package.files["client.py"]
    assert "secret" not in package.files["client.py"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no OpenAPI document: it holds list, where an object is wanted"),
        ("{", "is no JSON: "),
        ("a: [", "is neither JSON nor YAML: "),
        ('{"swagger": "2.0"}', "is a document of Swagger 2.0, which is not read; convert it to OpenAPI 3"),
        ('{"a": 1}', "is no OpenAPI document: it has neither 'openapi' nor 'paths'"),
        ('{"openapi": "3.1.0", "paths": []}', "is no OpenAPI document: its 'paths' are no object"),
    ],
)
def test_what_is_no_document_is_said_to_be_none(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DocumentError, match=r"^a\.json ") as caught:
        load(str(tmp_path / "a.json"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.json", "'nowhere.json' cannot be read: No such file or directory; give a file, a URL"),
        ("json:nothing", "json has no 'nothing'"),
        ("nowhere:app", "the module of nowhere:app cannot be imported: No module named 'nowhere'"),
        ("json:dumps", "json:dumps is of type function, which has no openapi(); name a FastAPI application"),
        ("http://127.0.0.1:1/openapi.json", "http://127.0.0.1:1/openapi.json cannot be fetched: "),
    ],
)
def test_what_cannot_be_read_is_said_with_the_cure(source, message):
    with pytest.raises(DocumentError) as caught:
        load(source)
    assert message in str(caught.value)


def test_an_answer_that_is_no_document_is_said_to_be_none(serve):
    server = serve(answer(b"gone", status="404 Not Found"))
    with pytest.raises(DocumentError, match="answers with status 404, and no document"):
        load(server.url)


def test_references_that_lead_nowhere_or_around_are_told(tmp_path):
    reference = {"$ref": "#/paths/~1a/get/responses/200/content/application~1json/schema"}
    paths = {
        "/a": {"get": answering(reference, operationId="a")},
        "/b": {"get": {"operationId": "b", "responses": {"200": {"$ref": "#/components/responses/None"}}}},
        "/c": {"$ref": "other.json"},
    }
    (tmp_path / "a.json").write_text(json.dumps(document(paths)))
    messages = [str(each) for each in generate(str(tmp_path / "a.json"), "shop").findings]
    assert [each for each in messages if "means itself" in each or "points to nothing" in each or "other.json" in each]
    assert "'other.json' cannot be followed" in textwrap.shorten(" ".join(messages), 10_000)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("paths", "/a"), 5),
        (("paths", "/a", "get"), []),
        (("paths", "/a", "get", "operationId"), {}),
        (("paths", "/a", "get", "parameters"), {"x": 1}),
        (("paths", "/a", "get", "parameters", 0), "x"),
        (("paths", "/a", "get", "requestBody"), [1]),
        (("paths", "/a", "get", "responses"), "x"),
        (("paths", "/a", "get", "responses", "200"), 5),
        (("paths", "/a", "get", "responses", "200", "content"), []),
        (("paths", "/a", "get", "responses", "200", "content", "application/json"), True),
        (("components", "schemas", "User"), "x"),
        (("components", "schemas", "User", "type"), {"a": 1}),
        (("components", "schemas", "User", "properties"), [1]),
        (("components", "schemas", "User", "required"), 5),
        (("components", "schemas", "User", "properties", "name"), 5),
        (("components", "securitySchemes", "key"), None),
        (("servers",), "x"),
        (("tags",), {}),
        (("info",), []),
    ],
)
def test_what_is_malformed_is_passed_over_and_the_rest_is_generated(tmp_path, place, value):
    parameter = {"name": "q", "in": "query", "schema": {"type": "string"}}
    user = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    reference = {"$ref": "#/components/schemas/User"}
    get = {**answering(reference, operationId="a"), "parameters": [parameter], "tags": ["x"]}
    whole = document(
        {"/a": {"get": get}, "/b": {"get": answering(operationId="b")}}, {"User": user}, tags=[], servers=[]
    )
    whole["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "basic"}}
    part: Any = whole
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert "async def b(" in generate(str(tmp_path / "a.json"), "shop").files["client.py"]
