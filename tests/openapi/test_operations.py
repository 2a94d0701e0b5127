"""What operations take and answer: what is sent, and what comes of it, through the functions that are written."""

from __future__ import annotations

import datetime
from typing import Any

import httpx2
import pytest
from tests.openapi.conftest import answering, document

from clientele import api, testing

USER = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
PROBLEM = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
SCHEMAS = {"User": USER, "Problem": PROBLEM}
TEXT = {"type": "string"}
NUMBERS = {"type": "array", "items": {"type": "integer"}}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def parameter(name: str, location: str, schema: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": location, "schema": schema or TEXT, "required": location == "path", **more}


@pytest.fixture
def send(generate):
    """Call the one function of a document, and give the request that was sent, and the package."""

    def send(operation: Any, *args: Any, path: str = "/call", method: str = "post", **kwargs: Any) -> Any:
        operation = {"operationId": "call", **answering("nothing"), **operation}
        package = generate(document({path: {method: operation}}, SCHEMAS))
        arguments = [each(package) if callable(each) else each for each in args]
        with testing.fake(package.client) as server:
            server.on_any().returns(status=204)
            package.call(*arguments, **kwargs)
            return server.requests[-1], package

    return send


@pytest.mark.parametrize(
    ("given", "argument", "query"),
    [
        (parameter("q", "query"), {"q": "a b&ü"}, "q=a+b%26%C3%BC"),
        (parameter("pageSize", "query", {"type": "integer"}), {"page_size": 5}, "pageSize=5"),
        (parameter("ids", "query", NUMBERS), {"ids": [1, 2]}, "ids=1&ids=2"),
        (parameter("ids", "query", NUMBERS, explode=True), {"ids": [1, 2]}, "ids=1&ids=2"),
        (parameter("ids", "query", NUMBERS, explode=False), {"ids": [1, 2]}, "ids=1%2C2"),
        (parameter("ids", "query", NUMBERS, style="pipeDelimited", explode=False), {"ids": [1, 2]}, "ids=1%7C2"),
        (parameter("ids", "query", NUMBERS, style="spaceDelimited", explode=False), {"ids": [1, 2]}, "ids=1+2"),
        (parameter("ids[]", "query", NUMBERS), {"ids": [1, 2]}, "ids%5B%5D=1&ids%5B%5D=2"),
        (parameter("ids", "query", {"anyOf": [NUMBERS, {"type": "null"}]}, explode=False), {}, ""),
        (parameter("flag", "query", {"type": "boolean"}), {"flag": True}, "flag=true"),
        (
            parameter("at", "query", {"type": "string", "format": "date-time"}),
            {"at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)},
            "at=2026-01-02T00%3A00%3A00Z",
        ),
        (parameter("data", "query"), {"data": "x"}, "data=x"),
        (parameter("query", "query"), {"query": "x"}, "query=x"),
        (parameter("headers", "query"), {"headers": "x"}, "headers=x"),
        (parameter("result", "query"), {"result_": "x"}, "result=x"),
        (parameter("class", "query"), {"class_": "x"}, "class=x"),
        (parameter("2nd", "query"), {"value_2nd": "x"}, "2nd=x"),
        (parameter("$filter", "query"), {"filter": "x"}, "%24filter=x"),
        (
            parameter("filter", "query", {"type": "object", "additionalProperties": TEXT}, style="deepObject"),
            {"filter": {"a": "x", "b": "y"}},
            "filter%5Ba%5D=x&filter%5Bb%5D=y",
        ),
        (
            parameter("filter", "query", {"type": "object", "additionalProperties": TEXT}),
            {"filter": {"a": "x", "b": "y"}},
            "a=x&b=y",
        ),
        (
            {"name": "filter", "in": "query", "content": {"application/json": {"schema": NUMBERS}}},
            {"filter": [1, 2]},
            "filter=%5B1%2C+2%5D",
        ),
        (parameter("limit", "query", {"type": "integer", "default": 20}), {}, "limit=20"),
        (parameter("limit", "query", {"type": ["integer", "null"], "default": 20}), {"limit": None}, ""),
        (parameter("limit", "query", {"type": "integer", "default": 5}, required=True), {}, "limit=5"),
        (parameter("sort", "query", {"enum": ["a", "b"], "default": "b"}), {}, "sort=b"),
        (parameter("sort", "query", {"enum": ["a", "b"]}), {}, ""),
    ],
)
def test_query_parameters_are_written_in_their_styles(send, given, argument, query):
    request, package = send({"parameters": [given]}, **argument)
    assert request.url.query.decode() == query
    assert package.findings == []


@pytest.mark.parametrize(("style", "query"), [("deepObject", "f%5Blow%5D=1&f%5BtopK%5D=2"), ("form", "low=1&topK=2")])
def test_a_model_is_written_by_its_fields(generate, style, query):
    schema = {"type": "object", "properties": {"low": {"type": "integer"}, "topK": {"type": "integer"}}}
    operation = answering("nothing", operationId="find", parameters=[parameter("f", "query", schema, style=style)])
    package = generate(document({"/find": {"get": operation}}))
    with testing.fake(package.client) as server:
        server.on_any().returns(status=204)
        package.find(f=package.models.FindF(low=1, top_k=2))
        assert server.requests[-1].url.query.decode() == query


def test_other_places(send):
    given = [
        parameter("user-id", "path"),
        parameter("class", "path", NUMBERS),
        parameter("X-Request-Id", "header"),
        parameter("X-List", "header", NUMBERS),
        parameter("session", "cookie"),
        parameter("Authorization", "header"),
        parameter("Accept", "header"),
    ]
    request, package = send(
        {"parameters": given},
        "a/b",
        [1, 2],
        path="/users/{user-id}/{class}",
        x_request_id="7",
        x_list=[1, 2],
        session="s",
    )
    assert request.url.raw_path == b"/users/a%2Fb/1%2C2"
    assert request.headers["X-Request-Id"] == "7"
    assert request.headers["X-List"] == "1,2"
    assert request.headers["Cookie"] == "session=s"
    assert package.findings == []


@pytest.mark.parametrize("location", ["query", "header", "cookie"])
@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"a": TEXT}}]},
        {"type": "array", "items": {"type": "object", "additionalProperties": TEXT}},
        {"type": ["object", "string"]},
        {"oneOf": [{"type": "array", "items": USER}, TEXT]},
    ],
)
def test_a_parameter_that_may_be_an_object_is_text_and_told(send, location, schema):
    request, package = send({"parameters": [parameter("p", location, schema)]}, p="text")
    assert "text" in str(request.url) + str(request.headers)
    assert len(package.findings) == 1


@pytest.mark.parametrize(
    "schema", [{"allOf": [TEXT, {"maxLength": 5}]}, {"allOf": [{"$ref": "#/components/schemas/Name"}], "minLength": 1}]
)
def test_constraints_of_a_parameter_in_several_parts_are_one_type(generate, schema):
    operation = answering("nothing", operationId="ask", parameters=[parameter("p", "query", schema)])
    package = generate(document({"/ask": {"get": operation}}, {"Name": TEXT}))
    with testing.fake(package.client) as server:
        server.on_any().returns(status=204)
        package.ask(p="a")
        assert server.requests[-1].url.query == b"p=a"


def test_a_name_that_no_header_can_have_is_told(send):
    _, package = send({"parameters": [parameter("größe", "header"), parameter("a b", "cookie")]})
    assert len(package.findings) == 2


def test_a_parameter_called_data_leaves_the_body_another_name(send):
    operation = {"parameters": [parameter("data", "query")], **body({"type": "object"})}
    request, _ = send(operation, {"a": 1}, data="x")
    assert (request.body, request.url.query) == ({"a": 1}, b"data=x")


def test_parameters_of_the_path_are_those_of_each_operation_unless_it_says_otherwise(generate):
    shared = [parameter("q", "query"), parameter("limit", "query", {"type": "integer"})]
    own = [parameter("limit", "query", {"type": "integer", "default": 5})]
    item = {"parameters": shared, "get": answering("nothing", operationId="find", parameters=own)}
    package = generate(document({"/find": item}))
    with testing.fake(package.client) as server:
        server.on_any().returns(status=204)
        package.find(q="a")
        assert server.requests[-1].url.query == b"q=a&limit=5"


def test_a_placeholder_that_no_parameter_describes_is_text_and_told(send):
    request, package = send({}, "a", path="/users/{id}")
    assert request.url.path == "/users/a"
    assert package.findings == ["#/paths/~1users~1{id}/post: no parameter describes {id} of the path; it is text"]


def body(schema: Any, media_type: str = "application/json", *, required: bool = True, **media: Any) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {media_type: {"schema": schema, **media}}}}


@pytest.mark.parametrize(
    ("schema", "argument", "sent"),
    [
        (ref("User"), lambda package: package.models.User(name="a"), {"name": "a"}),
        ({"type": "array", "items": ref("User")}, lambda package: [package.models.User(name="a")], [{"name": "a"}]),
        (USER, lambda package: package.models.CallRequest(name="a"), {"name": "a"}),
        ({"type": "object"}, {"a": 1}, {"a": 1}),
        ({}, ["anything"], ["anything"]),
        ({"type": "string"}, '"text"', "text"),
    ],
)
def test_bodies_in_json(send, schema, argument, sent):
    request, _ = send(body(schema), argument)
    assert request.body == sent
    assert request.headers["Content-Type"] == "application/json"


def test_a_body_that_is_not_required_may_be_left_out(send):
    request, _ = send(body(ref("User"), required=False))
    assert request.content == b""


def test_fields_that_were_not_set_are_left_out_and_null_is_sent(generate):
    properties = {"a": {"type": ["string", "null"]}, "b": {"type": "integer"}, "c": {"type": "integer", "default": 5}}
    schema = {"type": "object", "properties": properties}
    paths = {"/call": {"post": answering("nothing", operationId="send", **body(schema))}}
    package = generate(document(paths))
    with testing.fake(package.client) as server:
        server.on_any().returns(status=204)
        package.send(package.models.SendRequest())
        package.send(package.models.SendRequest(a=None))
        assert [each.body for each in server.requests] == [{}, {"a": None}]


@pytest.mark.parametrize(
    ("media_type", "value", "content"),
    [
        ("text/plain", "ü", "ü".encode()),
        ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
        ("image/png", b"\x89PNG", b"\x89PNG"),
        ("application/xml", b"<a/>", b"<a/>"),
    ],
)
def test_bodies_of_other_kinds(send, media_type, value, content):
    request, _ = send(body(TEXT, media_type), value)
    assert request.content == content
    assert request.headers["Content-Type"].partition(";")[0] == media_type


def test_json_of_another_media_type_says_so(send):
    request, _ = send(body({"type": "object"}, "application/merge-patch+json"), {"a": None}, method="patch")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.body == {"a": None}


FORM = {
    "type": "object",
    "properties": {"grantType": TEXT, "scopes": {"type": "array", "items": TEXT}, "age": {"type": "integer"}},
    "required": ["grantType"],
}


def test_forms_are_parameters(send):
    request, _ = send(body(FORM, "application/x-www-form-urlencoded"), grant_type="a b", scopes=["x", "y"])
    assert request.content == b"grantType=a+b&scopes=x&scopes=y"


@pytest.mark.parametrize(
    "file", [{"type": "string", "format": "binary"}, {"contentMediaType": "application/octet-stream"}]
)
def test_multipart_forms_take_files(send, tmp_path, file):
    schema = {
        "type": "object",
        "properties": {
            "file": file,
            "others": {"type": "array", "items": file},
            "meta": USER,
            "n": {"type": "integer"},
        },
        "required": ["file"],
    }
    (tmp_path / "a.txt").write_bytes(b"123")
    request, package = send(body(schema, "multipart/form-data"), file=tmp_path / "a.txt", others=[b"x", b"y"], n=5)
    assert package.findings == []
    assert request.headers["Content-Type"].startswith("multipart/form-data")
    assert b'name="file"; filename="a.txt"' in request.content
    assert request.content.count(b'name="others"') == 2


def test_an_object_in_a_form_is_json(generate):
    file = {"type": "string", "format": "binary"}
    schema = {"type": "object", "properties": {"meta": ref("User"), "file": file}, "required": ["meta", "file"]}
    paths = {"/call": {"post": answering("nothing", operationId="send", **body(schema, "multipart/form-data"))}}
    package = generate(document(paths, SCHEMAS))
    with testing.fake(package.client) as server:
        server.on_any().returns(status=204)
        package.send(meta=package.models.User(name="a"), file=b"x")
        assert b'{"name": "a"}' in server.requests[-1].content


def test_of_several_bodies_json_is_sent_and_the_others_are_told(generate):
    content = {"multipart/form-data": {"schema": FORM}, "application/json": {"schema": ref("User")}}
    operation = answering("nothing", operationId="send", requestBody={"required": True, "content": content})
    paths = {"/call": {"post": operation}}
    place = "#/paths/~1call/post/requestBody/content/multipart~1form-data"
    cure = "to send this one, say body = 'multipart/form-data' in clientele.toml"
    assert generate(document(paths, SCHEMAS)).findings == [
        f"{place}: is left out: the body is sent as application/json; {cure}"
    ]
    package = generate(document(paths, SCHEMAS), '[operations.send]\nbody = "multipart/form-data"\n')
    with testing.fake(package.client) as server:
        server.on_any().returns(status=204)
        package.send(grant_type="a")
        assert server.requests[-1].content == b"grantType=a"


def test_a_multipart_form_without_files_is_told(generate):
    paths = {"/call": {"post": answering("nothing", operationId="send", **body(FORM, "multipart/form-data"))}}
    place = "#/paths/~1call/post/requestBody/content/multipart~1form-data/schema"
    message = "a form without files is sent as application/x-www-form-urlencoded"
    assert generate(document(paths)).findings == [f"{place}: {message}"]


# Answers.


@pytest.fixture
def answer(generate):
    """What the function of a document gives for an answer."""

    def answer(responses: Any, content: Any = b"", status: int = 200, media_type: str = "application/json") -> Any:
        operation = {"operationId": "ask", "responses": responses}
        package = generate(document({"/ask": {"get": operation}}, SCHEMAS))
        with testing.fake(package.client) as server:
            server.on_any().returns(content, status=status, headers={"Content-Type": media_type})
            return package.ask(), package

    return answer


def response(schema: Any = None, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": "", "content": {media_type: {} if schema is None else {"schema": schema}}}


@pytest.mark.parametrize(
    ("schema", "content", "result"),
    [
        ({"type": "array", "items": {"type": "integer"}}, b"[1, 2]", [1, 2]),
        ({"type": "integer"}, b"5", 5),
        ({"type": "string"}, b'"a\\n"', "a\n"),
        ({"type": ["string", "null"]}, b'"a"', "a"),
        ({"type": ["string", "null"]}, b"null", None),
        ({}, b'{"a": [1]}', {"a": [1]}),
        (None, b"[]", []),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, b'{"a": 1}', {"a": 1}),
        ({"type": "string", "format": "date"}, b'"2026-01-02"', datetime.date(2026, 1, 2)),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, b"null", None),
        ({"type": "integer", "nullable": True}, b"null", None),
        ({"enum": ["a", "b"]}, b'"b"', "b"),
    ],
)
def test_answers_in_json(answer, schema, content, result):
    assert answer({"200": response(schema)}, content)[0] == result


@pytest.mark.parametrize(
    ("media_type", "content", "result"),
    [
        ("text/plain", "ü".encode(), "ü"),
        ("text/csv", b"a,b", "a,b"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/pdf", b"%PDF", b"%PDF"),
        ("image/png", b"\x89", b"\x89"),
        ("application/octet-stream", b"\x00", b"\x00"),
    ],
)
def test_answers_of_other_kinds(answer, media_type, content, result):
    assert answer({"200": response(TEXT, media_type)}, content, media_type=media_type)[0] == result


def test_an_answer_without_content(answer):
    assert answer({"204": {"description": ""}}, status=204)[0] is None
    result, _ = answer({"200": {"description": ""}}, b"x", media_type="text/plain")
    assert isinstance(result, httpx2.Response)
    assert answer({"200": response(ref("User")), "204": {"description": ""}}, status=204)[0] is None


def test_the_status_decides_between_answers(answer):
    responses = {"200": response(ref("User")), "202": response({"type": "array", "items": ref("User")})}
    assert answer(responses, b'{"name": "a"}')[0].name == "a"
    assert answer(responses, b'[{"name": "a"}]', 202)[0][0].name == "a"


def test_a_default_is_the_answer_where_there_is_no_other(answer):
    assert answer({"default": response(ref("User"))}, b'{"name": "a"}')[0].name == "a"


@pytest.mark.parametrize("key", ["404", "4XX", "4xx", "default"])
@pytest.mark.parametrize("media_type", ["application/json", "application/problem+json"])
def test_documented_errors_are_raised_with_their_answers(answer, key, media_type):
    responses = {"200": response(ref("User")), key: response(ref("Problem"), media_type)}
    with pytest.raises(api.HTTPStatusError) as caught:
        answer(responses, b'{"detail": "gone"}', 404, media_type)
    assert caught.value.parsed.detail == "gone"


def test_a_status_wins_over_a_range_and_a_range_over_the_default(answer):
    other = {"type": "object", "properties": {"code": {"type": "integer"}}, "required": ["code"]}
    responses = {
        "200": response(ref("User")),
        "404": response(ref("Problem")),
        "4XX": response(other),
        "default": response({"type": "array", "items": {"type": "integer"}}),
    }
    for status, content, parsed in ((404, b'{"detail": "a"}', "detail"), (409, b'{"code": 5}', "code")):
        with pytest.raises(api.HTTPStatusError) as caught:
            answer(responses, content, status)
        assert hasattr(caught.value.parsed, parsed)
    with pytest.raises(api.HTTPStatusError) as caught:
        answer(responses, b"[1]", 500)
    assert caught.value.parsed == [1]


def test_what_has_no_counterpart_is_told_with_its_place(generate):
    operation = {
        "operationId": "ask",
        "callbacks": {"done": {}},
        "parameters": [parameter("x", "query", style="matrix"), {"name": "y", "in": "body", "schema": TEXT}],
        "responses": {
            "200": {
                "description": "",
                "content": {"application/json": {"schema": ref("User")}, "application/pdf": {}},
                "links": {"next": {}},
            },
            "100": {"description": ""},
        },
    }
    whole = document({"/ask": {"get": operation, "fetch": {}}}, SCHEMAS, webhooks={"new": {}})
    assert sorted(generate(whole).findings) == [
        "#/paths/~1ask/fetch: is no method of HTTP; it is left out",
        "#/paths/~1ask/get/callbacks: the API calls this; a client has no counterpart",
        "#/paths/~1ask/get/parameters/0/style: the style 'matrix' has no counterpart: the value is sent plain",
        "#/paths/~1ask/get/parameters/1: a parameter in 'body' has no counterpart; it is left out",
        "#/paths/~1ask/get/responses/100: '100' is no status of an answer that a client sees",
        (
            "#/paths/~1ask/get/responses/200/content/application~1pdf: is left out: the answer is read as "
            "application/json; to read this one, say answer = 'application/pdf' in clientele.toml"
        ),
        "#/paths/~1ask/get/responses/200/links: has no counterpart; call the other operation yourself",
        "#/webhooks: the API calls this; a client has no counterpart",
    ]


@pytest.mark.parametrize("method", ["get", "put", "post", "delete", "options", "patch", "trace", "query"])
def test_every_method(generate, method):
    package = generate(document({"/ask": {method: answering("nothing", operationId="ask")}}))
    with testing.fake(package.client) as server:
        server.on_any().returns(b"")
        package.ask()
        assert server.requests[-1].method == method.upper()


def test_statuses_and_methods_that_are_none_are_told(generate):
    other_digits = dict.fromkeys(("4\u00b2", "2\u0660\u0660", "\u0664\u0660\u0664"), response({"type": "string"}))
    operation = answering({}, operationId="ask")
    operation["responses"] |= other_digits
    package = generate(document({"/ask": {"get": operation, "additionalOperations": {"a b": {}}}}))
    assert "#/paths/~1ask/additionalOperations/a b: is no method of HTTP; it is left out" in package.findings
    assert package.source.isascii()


def test_methods_beyond_those_of_the_standard(generate):
    item = {"additionalOperations": {"COPY": answering("nothing", operationId="copy_it")}}
    package = generate(document({"/ask": item}))
    with testing.fake(package.client) as server:
        server.on_any().returns(b"")
        package.copy_it()
        assert server.requests[-1].method == "COPY"


def test_servers(generate):
    servers = [
        {
            "url": "https://{region}.example/v{version}/",
            "variables": {"region": {"default": "eu"}, "version": {"default": "1"}},
        }
    ]
    paths = {
        "/ask": {"get": answering("nothing", operationId="ask")},
        "/upload": {"servers": [{"url": "https://up.example/"}], "post": answering("nothing", operationId="upload")},
    }
    package = generate(document(paths, servers=servers))
    with testing.fake(package.client) as server:
        server.on_any().returns(b"")
        package.ask()
        package.upload()
        assert [str(each.url) for each in server.requests] == ["https://eu.example/v1/ask", "https://up.example/upload"]
    other = package.make_client(region="us")
    with testing.fake(other) as server:
        server.on_any().returns(b"")
        other.bind(package.ask)()
        assert str(server.requests[-1].url) == "https://us.example/v1/ask"
