"""What a call sends."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import io
import json
import types
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Annotated, Any

import httpx2
import pydantic
import pytest
from tests.fakes import Recorder
from typing_extensions import TypedDict

from clientele import api


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


class Colour(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    name: str
    size: int | None = pydantic.Field(default=None, alias="theSize")


class Derived(Model):
    extra: str = "more"


@dataclasses.dataclass
class Data:
    day: datetime.date
    model: Model


class Typed(TypedDict, total=False):
    name: str
    day: datetime.date


class TestPath:
    @pytest.mark.parametrize(
        ("value", "encoded"),
        [
            ("a/b", "a%2Fb"),
            ("../x", "..%2Fx"),
            ("a b?c#d%", "a%20b%3Fc%23d%25"),
            ("%2e%2e", "%252e%252e"),
            ("ü", "%C3%BC"),
            ("...", "..."),
            (5, "5"),
            (True, "true"),
            (Colour.RED, "red"),
            (datetime.date(2026, 1, 2), "2026-01-02"),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ],
    )
    def test_a_value_is_encoded_whole(self, recorder, value, encoded):
        @recorder.client.get("/files/{name}/content")
        def get(name: Any, *, result: None) -> None: ...

        get(value)
        assert recorder.target == f"/files/{encoded}/content"

    @pytest.mark.parametrize("value", ["", ".", "..", None])
    def test_a_value_that_leads_elsewhere_is_refused_before_anything_is_sent(self, recorder, value):
        @recorder.client.get("/files/{name}")
        def get(name: Any, *, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"get\(\): path parameter 'name'"):
            get(value)
        assert recorder.requests == []

    @pytest.mark.parametrize("value", [[1], {"a": 1}])
    def test_a_value_of_many_parts_is_refused(self, recorder, value):
        @recorder.client.get("/files/{name}")
        def get(name: Any, *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): argument 'name' cannot be sent"):
            get(value)

    def test_braces_are_written_twice(self, recorder):
        @recorder.client.get("/a{{b}}/{c}-{d}/{c}")
        def get(c: int, d: int, *, result: None) -> None: ...

        get(1, 2)
        assert recorder.request.url.path == "/a{b}/1-2/1"

    def test_parameters_of_reserved_names_fill_the_path_where_it_names_them(self, recorder):
        @recorder.client.get("/{data}/{query}/{headers}/{self}")
        def get(data: str, query: str, headers: str, self: str, *, result: None) -> None: ...

        get("a", "b", "c", "d")
        assert recorder.target == "/a/b/c/d"


class TestBaseURL:
    @pytest.mark.parametrize("base_url", ["http://test/api", "http://test/api/"])
    @pytest.mark.parametrize("path", ["/users", "users"])
    def test_the_path_is_appended(self, base_url, path):
        recorder = Recorder(base_url=base_url)

        @recorder.client.get(path)
        def get(*, result: None) -> None: ...

        get()
        assert str(recorder.request.url) == "http://test/api/users"

    @pytest.mark.parametrize("path", ["//users", "ftp://other/x", "https:/other", "HTTP:other", "file:///etc"])
    def test_what_is_neither_a_path_nor_the_url_of_an_api_is_refused(self, recorder, path):
        with pytest.raises(TypeError, match=r"get\(\): the path .* is neither a path nor the URL of an API; write '/i"):

            @recorder.client.get(path)
            def get(*, result: None) -> None: ...

        with pytest.raises(ValueError, match="is neither a path nor the URL of an API"):
            recorder.client.request("GET", path, None)

    def test_a_scheme_may_be_in_capitals(self, recorder):
        recorder.client.request("GET", "HTTPS://other/x", None)
        assert str(recorder.request.url) == "https://other/x"

    @pytest.mark.parametrize("path", ["/users/:user_id/posts", "/users/<user_id>"])
    def test_a_placeholder_in_the_style_of_another_library_is_refused(self, recorder, path):
        with pytest.raises(TypeError, match=r"which is no placeholder; write \{user_id\}"):

            @recorder.client.get(path)
            def get(result: None, user_id: int) -> None: ...

    def test_a_whole_url_stands_alone(self, recorder):
        @recorder.client.get("https://other/{name}")
        def get(name: str, *, result: None) -> None: ...

        get("x")
        assert str(recorder.request.url) == "https://other/x"

    def test_a_colon_in_a_path_is_no_scheme(self, recorder):
        @recorder.client.get("models:count")
        def get(*, result: None) -> None: ...

        get()
        assert str(recorder.request.url) == "http://test/models:count"

    @pytest.mark.parametrize(
        ("base_url", "problem"),
        [
            ("localhost:8000", "is not a whole URL; write it as 'http://localhost:8000'"),
            ("example.com", "is not a whole URL; write it"),
            ("/x", "is not a whole URL; write it"),
            ("", "is not a whole URL; write it"),
            ("http://", "names no host; write it as 'http://localhost:8000'"),
            ("ftp://host", "has the scheme 'ftp'; it is a whole URL with http:// or https://"),
            ("http://exa mple.com:80", "has a character in its host that no host has"),
            ("http://localhost:99999", "has a port above 65535"),
            ("http://test/{version}", "has a placeholder, which is filled in paths only"),
            ("http://test/?key=hunter2", "has a query, which would stand before the path; give it as params="),
            (b"http://test", "is of type bytes; write it as"),
        ],
    )
    def test_a_base_url_that_cannot_be_one_is_refused(self, base_url, problem):
        with pytest.raises((TypeError, ValueError), match=f"base_url .*{problem}") as caught:
            api.APIClient(base_url=base_url)
        assert "hunter2" not in str(caught.value)

    def test_credentials_of_the_base_url_become_basic_auth(self):
        recorder = Recorder(base_url="http://me:secret@test")

        @recorder.client.get("/")
        def get(*, result: None) -> None: ...

        get()
        assert recorder.request.headers["Authorization"].startswith("Basic ")
        assert repr(recorder.client) == "APIClient('http://test')"

    def test_without_a_base_url_the_message_says_what_to_do(self):
        @api.APIClient().get("/users")
        def get(*, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"get\(\): the client has no base_url for the path '/users'; give APIC"):
            get()


class TestPathWithSlashes:
    @pytest.mark.parametrize(
        ("value", "target"),
        [
            ("a", "/repos/a/x"),
            ("a/b", "/repos/a/b/x"),
            ("a b/c?d#e", "/repos/a%20b/c%3Fd%23e/x"),
            ("ü/%2F", "/repos/%C3%BC/%252F/x"),
            ("a//b", "/repos/a//b/x"),
            ("http://evil", "/repos/http%3A//evil/x"),
            ("...", "/repos/.../x"),
        ],
    )
    def test_the_slashes_of_the_value_are_kept_and_each_segment_is_encoded(self, recorder, value, target):
        @recorder.client.get("/repos/{name:path}/x")
        def get(name: str, *, result: None) -> None: ...

        get(value)
        assert recorder.target == target
        recorder.client.request("GET", "/repos/{name:path}/x", None, path_params={"name": value})
        assert recorder.target == target

    @pytest.mark.parametrize("value", ["", ".", "..", "a/../b", "./a", "a/.", "../a"])
    def test_a_segment_that_would_lead_elsewhere_is_refused(self, recorder, value):
        @recorder.client.get("/repos/{name:path}/x")
        def get(name: str, *, result: None) -> None: ...

        with pytest.raises(ValueError, match="which would lead to another path"):
            get(value)
        assert recorder.requests == []


class TestQuery:
    @pytest.mark.parametrize(
        ("value", "query"),
        [
            ("a b&c=d", "value=a+b%26c%3Dd"),
            ("", "value="),
            (None, ""),
            (True, "value=true"),
            (1.5, "value=1.5"),
            (Colour.RED, "value=red"),
            (datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC), "value=2026-01-02T03%3A04%3A00Z"),
            (datetime.timedelta(seconds=90), "value=PT1M30S"),
            (uuid.UUID(int=1), "value=00000000-0000-0000-0000-000000000001"),
            (decimal.Decimal("1.10"), "value=1.10"),
            ([1, None, 2], "value=1&value=2"),
            ((Colour.RED, True), "value=red&value=true"),
            ([], ""),
            (b"bytes", "value=bytes"),
        ],
    )
    def test_values_go_as_pydantic_writes_them(self, recorder, value, query):
        @recorder.client.get("/")
        def get(value: Any, *, result: None) -> None: ...

        get(value)
        assert recorder.request.url.query.decode() == query

    def test_the_serializer_of_the_annotation_is_used(self, recorder):
        Upper = Annotated[str, pydantic.PlainSerializer(str.upper)]

        @recorder.client.get("/{path}")
        def get(path: Upper, value: list[Upper], *, result: None) -> None: ...

        get("a", ["b", "c"])
        assert recorder.target == "/A?value=B&value=C"

    def test_defaults_are_sent(self, recorder):
        @recorder.client.get("/")
        def get(limit: int = 10, after: str | None = None, *, result: None) -> None: ...

        get()
        assert recorder.target == "/?limit=10"

    @pytest.mark.parametrize("value", [{"a": 1}, Model(name="x"), [[1]]])
    def test_a_value_of_many_parts_is_refused(self, recorder, value):
        @recorder.client.get("/")
        def get(value: Any, *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): argument 'value' cannot be sent: a single value is needed"):
            get(value)

    def test_what_pydantic_cannot_write_is_refused(self, recorder):
        @recorder.client.get("/")
        def get(value: Any, *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): argument 'value' cannot be sent"):
            get(object())

    def test_a_query_in_the_path_is_kept_beside_the_parameters(self, recorder):
        @recorder.client.get("/search?alt=sse&tag=a&{key}={value}")
        def get(tag: list[str], key: str, value: str, *, result: None) -> None: ...

        get(["b", "c"], "k", "x&y=")
        assert recorder.request.url.params.multi_items() == [
            ("alt", "sse"),
            ("tag", "a"),
            ("tag", "b"),
            ("tag", "c"),
            ("k", "x&y="),
        ]

    def test_a_call_goes_before_what_the_client_says(self):
        recorder = Recorder(params={"version": "1", "limit": "5"})

        @recorder.client.get("/?version=2")
        def get(q: str, *, result: None) -> None: ...

        get("x")
        assert dict(recorder.request.url.params) == {"version": "2", "limit": "5", "q": "x"}

    @pytest.mark.parametrize("query", [{"a": [1, 2], "b": None, "c": Colour.RED}, None])
    def test_query_is_a_mapping(self, recorder, query):
        @recorder.client.get("/")
        def get(q: str, query: dict | None = None, *, result: None) -> None: ...

        get("x", query)
        assert recorder.target == ("/?q=x&a=1&a=2&c=red" if query else "/?q=x")

    def test_query_may_be_a_model(self, recorder):
        @recorder.client.get("/")
        def get(query: Model, *, result: None) -> None: ...

        get(Model(name="x", theSize=5))
        assert recorder.target == "/?name=x&theSize=5"

    @pytest.mark.parametrize(
        ("annotation", "query"),
        [
            (Mapping[str, Any], types.MappingProxyType({"a": [1, 2]})),
            (Any, collections.UserDict(a=[1, 2])),
            (httpx2.QueryParams, httpx2.QueryParams([("a", "1"), ("a", "2")])),
        ],
    )
    def test_query_may_be_any_mapping(self, recorder, annotation, query):
        def get(query, *, result: None) -> None: ...

        get.__annotations__["query"] = annotation
        recorder.client.get("/")(get)(query)
        assert recorder.target == "/?a=1&a=2"

    def test_what_no_url_can_hold_is_refused_with_the_functions_name(self, recorder):
        @recorder.client.get("/")
        def get(q: str, *, result: None) -> None: ...

        for value in ("x" * 70_000, "\ud800"):
            with pytest.raises(ValueError, match=r"get\(\): "):
                get(value)

    def test_a_query_that_is_no_mapping_is_refused(self, recorder):
        @recorder.client.get("/")
        def get(query: Any, *, result: None) -> None: ...

        with pytest.raises(TypeError, match="argument 'query' cannot be sent: a mapping is needed"):
            get([1])


class TestHeaders:
    def test_headers_is_a_mapping(self, recorder):
        @recorder.client.get("/")
        def get(headers: dict[str, Any], *, result: None) -> None: ...

        get({"X-One": 1, "X-None": None, "X-Many": ["a", "b"], "User-Agent": "mine"})
        sent = recorder.request.headers
        assert sent["X-One"] == "1"
        assert "X-None" not in sent
        assert sent.get_list("X-Many") == ["a", "b"]
        assert sent.get_list("User-Agent") == ["mine"]

    def test_headers_may_be_any_mapping(self, recorder):
        @recorder.client.get("/")
        def get(headers: httpx2.Headers, *, result: None) -> None: ...

        get(httpx2.Headers({"X-One": "1"}))
        assert recorder.request.headers["X-One"] == "1"

    def test_a_header_of_the_client_that_cannot_be_sent_is_refused_at_once(self):
        with pytest.raises(ValueError, match="the value of the header 'Authorization'"):
            api.APIClient(headers={"Authorization": "Bearer …"})
        with pytest.raises(ValueError, match="the value of the header 'Authorization'"):
            api.APIClient(headers=[("Authorization", "Bearer x\n")])

    @pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\0b", "\r", "ü"])
    def test_a_value_that_would_break_the_head_is_refused_and_not_shown(self, recorder, value):
        @recorder.client.get("/")
        def get(headers: dict[str, str], *, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"get\(\): the value of the header 'X-Token' has an? ") as caught:
            get({"X-Token": value})
        assert value not in str(caught.value)
        assert recorder.requests == []


class TestBody:
    @pytest.mark.parametrize(
        ("annotation", "data", "sent"),
        [
            (Model, Model(name="x", theSize=5), {"name": "x", "theSize": 5}),
            (Model, Derived(name="x"), {"name": "x", "theSize": None, "extra": "more"}),
            (
                Data,
                Data(datetime.date(2026, 1, 2), Model(name="x")),
                {"day": "2026-01-02", "model": {"name": "x", "theSize": None}},
            ),
            (Typed, {"name": "x", "day": datetime.date(2026, 1, 2)}, {"name": "x", "day": "2026-01-02"}),
            (dict, {"when": datetime.date(2026, 1, 2), "c": Colour.RED}, {"when": "2026-01-02", "c": "red"}),
            (list[Model], [Model(name="x")], [{"name": "x", "theSize": None}]),
            (Any, [1, None], [1, None]),
            (Any, 5, 5),
            (Mapping[str, int], types.MappingProxyType({"a": 1}), {"a": 1}),
        ],
    )
    def test_data_is_sent_as_json(self, recorder, annotation, data, sent):
        def post(data, *, result: None) -> None: ...

        post.__annotations__["data"] = annotation
        recorder.client.post("/")(post)(data)
        assert json.loads(recorder.request.content) == sent
        assert recorder.request.headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize(
        ("annotation", "data", "sent"),
        [
            (bytes, b"\x00\xff", b"\x00\xff"),
            (str, "ü", "ü".encode()),
            (bytes | Model, b"raw", b"raw"),
            (Any, bytearray(b"raw"), b"raw"),
            (bytearray, bytearray(b"raw"), b"raw"),
            (memoryview, memoryview(b"raw"), b"raw"),
            (Any, memoryview(b"raw"), b"raw"),
            (Iterator[bytes], iter([b"a", b"b"]), b"ab"),
            (io.BytesIO, io.BytesIO(b"file"), b"file"),
        ],
    )
    def test_bytes_and_text_are_sent_as_they_are(self, recorder, annotation, data, sent):
        def post(data, *, result: None) -> None: ...

        post.__annotations__["data"] = annotation
        recorder.client.post("/")(post)(data)
        assert recorder.request.content == sent
        assert "Content-Type" not in recorder.request.headers

    def test_no_data_is_no_body(self, recorder):
        @recorder.client.post("/")
        def post(data: Model | None = None, *, result: None) -> None: ...

        post()
        assert recorder.request.content == b""
        assert "Content-Type" not in recorder.request.headers

    @pytest.mark.parametrize("name", ["Content-Type", "content-type"])
    def test_a_content_type_that_the_caller_set_wins(self, recorder, name):
        @recorder.client.post("/")
        def post(data: dict, headers: dict[str, str], *, result: None) -> None: ...

        post({}, {name: "application/merge-patch+json"})
        assert recorder.request.headers.get_list("Content-Type") == ["application/merge-patch+json"]

    def test_a_content_type_that_the_client_set_wins(self):
        recorder = Recorder(headers={"content-type": "application/vnd.api+json"})

        @recorder.client.post("/")
        def post(data: dict, *, result: None) -> None: ...

        post({})
        assert recorder.request.headers.get_list("Content-Type") == ["application/vnd.api+json"]

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_every_method_but_those_without_a_body_takes_data(self, recorder, method):
        @getattr(recorder.client, method)("/")
        def send(data: list[int], *, result: None) -> None: ...

        send([1])
        assert recorder.request.method == method.upper()
        assert recorder.request.content == b"[1]"

    def test_an_async_iterator_is_sent_as_it_comes(self, serve):
        import asyncio

        from tests.servers import answer

        server = serve(answer(b"null"))

        @api.APIClient(base_url=server.url).post("/")
        async def post(data: AsyncIterator[bytes], *, result: None) -> None: ...

        async def pieces() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        asyncio.run(post(pieces()))
        assert server.requests[0].body == b"ab"


def test_any_method_can_be_declared(recorder):
    @recorder.client.endpoint("report", "/")
    def report(data: dict, *, result: None) -> None: ...

    report({})
    assert recorder.request.method == "REPORT"
