"""Where a parameter's value goes when its annotation says so: `Annotated[str, api.Header()]` and the other markers."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, TypeVar

import fastapi
import httpx2
import pydantic
import pytest
from tests.fakes import Recorder
from tests.servers import END, EVENT_STREAM, answer, chunk, events
from typing_extensions import TypeAliasType, TypedDict

from clientele import api

pytestmark = pytest.mark.every_python


class Wire(Recorder):
    def headers(self) -> list[tuple[str, str]]:
        """The headers that are not httpx2's own, named as they are written."""
        own = {name.lower() for name in httpx2.Client().headers} | {"host", "content-length"}
        sent = [(name.decode(), value.decode()) for name, value in self.requests[-1].headers.raw]
        return [(name, value) for name, value in sent if name.lower() not in own]


@pytest.fixture
def wire() -> Wire:
    return Wire()


class Colour(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    page_size: int
    after: str | None = None
    tags: list[str] = []


@dataclasses.dataclass
class Data:
    page_size: int
    after: str | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


class Typed(TypedDict, total=False):
    page_size: int
    after: str | None
    tags: list[str]


@dataclasses.dataclass
class Session:
    session_id: str
    theme: str | None = None


class User(pydantic.BaseModel):
    name: str
    age: int | None = None


Value = TypeVar("Value")
RequestId = Annotated[str, api.Header("X-Request-Id")]
AliasedId = TypeAliasType("AliasedId", RequestId)
InHeader = TypeAliasType("InHeader", Annotated[Value, api.Header()], type_params=(Value,))


class TestHeader:
    @pytest.mark.parametrize(
        ("annotation", "name"),
        [
            (Annotated[str, api.Header()], "x-request-id"),
            (Annotated[str, api.Header("X-Request-Id")], "X-Request-Id"),
            (Annotated[str, api.Header(alias="x_underscored")], "x_underscored"),
            (RequestId, "X-Request-Id"),
            (AliasedId, "X-Request-Id"),
            (InHeader[str], "x-request-id"),
            (Annotated[AliasedId, "documented"], "X-Request-Id"),
            (Annotated[str, "documented", api.Header("X-Request-Id"), "twice"], "X-Request-Id"),
            (Annotated[str | None, api.Header("X-Request-Id")], "X-Request-Id"),
        ],
    )
    def test_it_is_named_as_said_or_as_its_parameter_with_hyphens(self, wire, annotation, name):
        @wire.client.get("/")
        def get(x_request_id: annotation, *, result: None) -> None: ...

        get("7")
        assert wire.headers() == [(name, "7")]
        assert wire.target == "/"

    @pytest.mark.parametrize(
        ("value", "sent"),
        [
            ("text", ["text"]),
            ("", [""]),
            (5, ["5"]),
            (True, ["true"]),
            (Colour.RED, ["red"]),
            (datetime.date(2026, 1, 2), ["2026-01-02"]),
            (["a", None, 2], ["a", "2"]),
            ([], []),
            (None, []),
        ],
    )
    def test_values_go_as_pydantic_writes_them(self, wire, value, sent):
        @wire.client.get("/")
        def get(x_value: Annotated[Any, api.Header()], *, result: None) -> None: ...

        get(value)
        assert wire.headers() == [("x-value", each) for each in sent]

    def test_a_serializer_beside_the_marker_is_used(self, wire):
        @wire.client.get("/")
        def get(x: Annotated[str, pydantic.PlainSerializer(str.upper), api.Header()], *, result: None) -> None: ...

        get("a")
        assert wire.headers() == [("x", "A")]

    def test_a_default_is_sent_and_none_left_out(self, wire):
        @wire.client.get("/")
        def get(
            x_one: Annotated[str, api.Header()] = "1",
            x_none: Annotated[str | None, api.Header()] = None,
            *,
            result: None,
        ) -> None: ...

        get()
        assert wire.headers() == [("x-one", "1")]

    def test_one_of_the_endpoint_beats_one_of_the_client(self):
        wire = Wire(headers={"X-Request-Id": "client"})

        @wire.client.get("/")
        def get(request_id: RequestId, *, result: None) -> None: ...

        get("call")
        assert [value for _, value in wire.headers()] == ["call"]

    def test_it_goes_beside_a_mapping_of_headers(self, wire):
        @wire.client.get("/")
        def get(request_id: RequestId, headers: dict[str, str], *, result: None) -> None: ...

        get("7", {"X-Other": "8"})
        assert wire.headers() == [("X-Request-Id", "7"), ("X-Other", "8")]

    def test_a_content_type_given_so_wins(self, wire):
        @wire.client.post("/")
        def post(data: dict[str, int], content_type: Annotated[str, api.Header()], *, result: None) -> None: ...

        post({"a": 1}, "application/merge-patch+json")
        assert wire.headers() == [("content-type", "application/merge-patch+json")]
        assert wire.sent == {"a": 1}

    def test_what_it_says_of_accept_stands_on_a_stream(self, serve):
        server = serve(events("a"))

        @api.APIClient(base_url=server.url).get("/", streaming_response=True)
        def stream(accept: Annotated[str, api.Header()], *, result: Iterator[str]) -> Iterator[str]:
            return result

        assert list(stream("text/event-stream;v=2")) == ["a"]
        assert server.requests[0].header("Accept") == "text/event-stream;v=2"

    def test_a_name_that_no_header_can_have_is_refused(self, wire):
        def get(größe: Annotated[int, api.Header()], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter 'größe'"):
            wire.client.get("/")(get)


class TestUnsendableHeaders:
    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\n", "a\0b", "\r"])
    @pytest.mark.parametrize("wrap", [str, lambda value: ["fine", value]], ids=["single", "in a list"])
    def test_cr_lf_and_nul_are_refused_before_anything_is_sent_and_not_shown(self, wire, value, wrap):
        @wire.client.get("/")
        def get(token: Annotated[Any, api.Header("X-Token")], *, result: None) -> None: ...

        @wire.client.get("/")
        async def aget(token: Annotated[Any, api.Header("X-Token")], *, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"get\(\): the value of the header 'X-Token' has an? ") as caught:
            get(wrap(value))
        assert value not in str(caught.value)
        with pytest.raises(ValueError, match=r"aget\(\): the value of the header 'X-Token' has an? "):
            asyncio.run(aget(wrap(value)))
        assert wire.requests == []

    def test_they_are_refused_in_the_field_of_a_model(self, wire):
        class Credentials(pydantic.BaseModel):
            x_token: str

        @wire.client.get("/")
        def get(credentials: Annotated[Credentials, api.Header()], *, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"the value of the header 'x-token' has an? "):
            get(Credentials(x_token="a\r\nb"))
        assert wire.requests == []

    def test_they_are_refused_on_a_stream(self, wire):
        @wire.client.get("/", streaming_response=True)
        def stream(last: Annotated[str, api.Header("Last-Event-ID")], *, result: Iterator[str]) -> Iterator[str]:
            return result

        with pytest.raises(ValueError, match=r"the value of the header 'Last-Event-ID' has an? "):
            stream("7\r\nX-Evil: 1")
        assert wire.requests == []

    def test_a_name_made_of_data_cannot_end_the_header_either(self, serve):
        server = serve(answer(b"null"))

        @api.APIClient(base_url=server.url).get("/")
        def get(more: Annotated[dict[str, str], api.Header()], *, result: None) -> None: ...

        with pytest.raises((ValueError, api.TransportError)):
            get({"X-One: 1\r\nX-Evil": "2"})
        assert server.requests == []


class TestQuery:
    @pytest.mark.parametrize(
        ("annotation", "value", "query"),
        [
            (Annotated[int, api.Query()], 5, "page_size=5"),
            (Annotated[int, api.Query("pageSize")], 5, "pageSize=5"),
            (Annotated[str, api.Query("filter[name]")], "a b", "filter%5Bname%5D=a+b"),
            (Annotated[list[int], api.Query("id")], [1, 2], "id=1&id=2"),
            (Annotated[list[int | None], api.Query("id")], [1, None], "id=1"),
            (Annotated[int | None, api.Query("id")], None, ""),
            (TypeAliasType("Size", Annotated[int, api.Query("size")]), 5, "size=5"),
        ],
    )
    def test_it_is_named_as_said_or_as_its_parameter(self, wire, annotation, value, query):
        @wire.client.get("/")
        def get(page_size: annotation, *, result: None) -> None: ...

        get(value)
        assert wire.requests[-1].url.query.decode() == query

    def test_parameters_of_one_name_repeat_it(self, wire):
        @wire.client.get("/")
        def get(
            first: Annotated[int, api.Query("id")], second: Annotated[int, api.Query("id")], *, result: None
        ) -> None: ...

        get(1, 2)
        assert wire.target == "/?id=1&id=2"


class TestPath:
    def test_it_fills_the_placeholder_that_it_names(self, wire):
        @wire.client.get("/users/{user_id}/{name}?view={view}")
        def get(
            id: Annotated[int, api.Path("user_id")],
            name: Annotated[str, api.Path()],
            how: Annotated[str, api.Path("view")],
            *,
            result: None,
        ) -> None: ...

        get(5, "a/b", "full")
        assert wire.target == "/users/5/a%2Fb?view=full"

    def test_an_empty_value_is_refused_as_it_is_without_a_marker(self, wire):
        @wire.client.get("/users/{user_id}")
        def get(id: Annotated[str, api.Path("user_id")], *, result: None) -> None: ...

        for value in ("", ".", ".."):
            with pytest.raises(ValueError, match="would lead to another path"):
                get(value)
        assert wire.requests == []


class TestCookie:
    @pytest.mark.parametrize(
        ("annotation", "value", "cookie"),
        [
            (Annotated[str, api.Cookie()], "x", "session_id=x"),
            (Annotated[str, api.Cookie("session-id")], "x", "session-id=x"),
            (Annotated[Colour, api.Cookie("sid")], Colour.RED, "sid=red"),
            (Annotated[int, api.Cookie("sid")], 5, "sid=5"),
            (Annotated[str, api.Cookie("sid")], "", "sid="),
            (Annotated[str, api.Cookie("sid")], 'a "b", c=d\\e', 'sid=a "b", c=d\\e'),
            (Annotated[str | None, api.Cookie("sid")], None, None),
        ],
    )
    def test_it_is_named_as_said_or_as_its_parameter(self, wire, annotation, value, cookie):
        @wire.client.get("/")
        def get(session_id: annotation, *, result: None) -> None: ...

        get(value)
        assert wire.requests[-1].headers.get("Cookie") == cookie
        assert wire.target == "/"

    def test_it_goes_with_this_request_alone_beside_those_of_the_client(self):
        wire = Wire(cookies={"own": "1", "sid": "client"})

        @wire.client.get("/")
        def get(sid: Annotated[str | None, api.Cookie()] = None, *, result: None) -> None: ...

        get("call")
        assert sorted(wire.requests[-1].headers["Cookie"].split("; ")) == ["own=1", "sid=call"]
        get()
        assert sorted(wire.requests[-1].headers["Cookie"].split("; ")) == ["own=1", "sid=client"]

    @pytest.mark.parametrize("value", ["a;b", "a; admin=1", "a\r\nb", "a\nb", "a\0b", "a\tb", "a\x7fb", "ü"])
    def test_a_value_that_would_end_the_cookie_is_refused_before_anything_is_sent_and_not_shown(self, wire, value):
        @wire.client.get("/")
        def get(sid: Annotated[str, api.Cookie()], *, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"get\(\): the value of the cookie 'sid' has a semicolon") as caught:
            get(value)
        assert value not in str(caught.value)
        assert wire.requests == []

    def test_a_name_made_of_data_cannot_end_the_cookie_either(self, wire):
        @wire.client.get("/")
        def get(more: Annotated[dict[str, str], api.Cookie()], *, result: None) -> None: ...

        with pytest.raises(ValueError, match="cookie"):
            get({"a=1; admin": "2"})
        assert wire.requests == []

    @pytest.mark.parametrize("header", [{"Cookie": "own=1"}, {"cookie": "own=1"}])
    def test_beside_a_cookie_header_is_refused_rather_than_lost(self, wire, header):
        @wire.client.get("/")
        def get(headers: dict[str, str], sid: Annotated[str | None, api.Cookie()] = None, *, result: None) -> None: ...

        with pytest.raises(ValueError, match=r"get\(\): there are cookies beside a Cookie header"):
            get(header, "a")
        get(header)
        assert wire.requests[-1].headers["Cookie"] == "own=1"

    def test_several_values_are_refused_rather_than_lost(self, wire):
        def send() -> None:
            @wire.client.get("/")
            def get(sid: Annotated[list[str], api.Cookie()], *, result: None) -> None: ...

            get(["a", "b"])

        with pytest.raises(TypeError, match="'sid'"):
            send()


FIELDS = {"page_size": 5, "after": None, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Model, Model(**FIELDS)),
        (Model | None, Model(**FIELDS)),
        (Data, Data(**FIELDS)),
        (Typed, FIELDS),
        (TypeAliasType("AliasedModel", Model), Model(**FIELDS)),
    ],
)
class TestManyAtOnce:
    def test_a_query_parameter_for_each_field(self, wire, annotation, value):
        @wire.client.get("/")
        def get(filter: Annotated[annotation, api.Query()], *, result: None) -> None: ...

        get(value)
        assert wire.target == "/?page_size=5&tags=a&tags=b"

    def test_a_header_for_each_field_its_underscores_as_hyphens(self, wire, annotation, value):
        @wire.client.get("/")
        def get(common: Annotated[annotation, api.Header()], *, result: None) -> None: ...

        get(value)
        assert wire.headers() == [("page-size", "5"), ("tags", "a"), ("tags", "b")]

    @pytest.mark.parametrize("marker", [api.Query("filter"), api.Header("X-Filter"), api.Cookie("filter"), api.Path()])
    def test_under_one_name_is_refused(self, wire, annotation, value, marker):
        def get(filter: Annotated[annotation, marker], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter 'filter': .* is no single value"):
            wire.client.get("/{filter}" if isinstance(marker, api.Path) else "/")(get)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Session, Session("x")),
        (Session | None, Session("x")),
        (dict[str, str | None], {"session_id": "x", "theme": None}),
    ],
)
def test_a_cookie_for_each_field(wire, annotation, value):
    @wire.client.get("/")
    def get(session: Annotated[annotation, api.Cookie()], *, result: None) -> None: ...

    get(value)
    assert wire.requests[-1].headers["Cookie"] == "session_id=x"


@pytest.mark.parametrize("marker", [api.Query(), api.Header(), api.Cookie()])
def test_no_model_is_nothing(wire, marker):
    @wire.client.get("/")
    def get(common: Annotated[Model | None, marker] = None, *, result: None) -> None: ...

    get()
    assert wire.target == "/"
    assert wire.headers() == []


def test_the_aliases_of_a_models_fields_are_sent_as_they_are(wire):
    class Page(pydantic.BaseModel):
        size: int = pydantic.Field(alias="page_Size")

    @wire.client.get("/")
    def get(page: Annotated[Page, api.Query()], header: Annotated[Page, api.Header()], *, result: None) -> None: ...

    get(Page(page_Size=5), Page(page_Size=6))
    assert wire.target == "/?page_Size=5"
    assert wire.headers() == [("page_Size", "6")]


def test_a_mapping_gives_a_query_parameter_for_each_key(wire):
    @wire.client.get("/")
    def get(filter: Annotated[dict[str, Any], api.Query()], *, result: None) -> None: ...

    get(FIELDS)
    assert wire.target == "/?page_size=5&tags=a&tags=b"


@pytest.mark.parametrize("marker", [api.Query(), api.Header(), api.Cookie()])
def test_a_text_where_a_model_may_be_is_a_type_error_that_says_so(wire, marker):
    @wire.client.get("/")
    def get(common: Annotated[Model | str, marker], *, result: None) -> None: ...

    with pytest.raises(TypeError, match=r"get\(\): argument 'common' cannot be sent: a mapping is needed"):
        get("text")


class TestBody:
    @pytest.mark.parametrize(
        ("annotation", "value", "content", "content_type"),
        [
            (Annotated[User, api.Body()], User(name="x"), b'{"name":"x","age":null}', "application/json"),
            (Annotated[list[int], api.Body()], [1], b"[1]", "application/json"),
            (Annotated[str, api.Body()], "text", b"text", None),
            (Annotated[bytes, api.Body()], b"\x00\xff", b"\x00\xff", None),
            (Annotated[Iterator[bytes], api.Body()], iter([b"a", b"b"]), b"ab", None),
            (Annotated[io.BytesIO, api.Body()], io.BytesIO(b"file"), b"file", None),
            (Annotated[User | None, api.Body()], None, b"", None),
            (
                Annotated[User, api.Body("user")],
                User(name="x"),
                b'{"user":{"name":"x","age":null}}',
                "application/json",
            ),
            (Annotated[str, api.Body("text")], "a", b'{"text":"a"}', "application/json"),
            (Annotated[int, api.Body(embed=True)], 5, b'{"value":5}', "application/json"),
            (Annotated[int, api.Body("n", embed=True)], 5, b'{"n":5}', "application/json"),
            (Annotated[int | None, api.Body(embed=True)], None, b"{}", "application/json"),
        ],
    )
    def test_one_alone_is_the_body_or_a_member_of_it_where_that_is_said(
        self, wire, annotation, value, content, content_type
    ):
        @wire.client.post("/")
        def post(value: annotation, *, result: None) -> None: ...

        post(value)
        assert wire.requests[-1].content == content
        assert wire.requests[-1].headers.get("Content-Type") == content_type

    def test_several_are_members_of_one_json_object(self, wire):
        @wire.client.post("/")
        def post(
            user: Annotated[User, api.Body()],
            when: Annotated[datetime.date, api.Body("theDate")],
            note: Annotated[str, api.Body()],
            nothing: Annotated[str | None, api.Body()] = None,
            *,
            result: None,
        ) -> None: ...

        post(User(name="x"), datetime.date(2026, 1, 2), "text")
        assert wire.sent == {"user": {"name": "x", "age": None}, "theDate": "2026-01-02", "note": "text"}
        assert wire.requests[-1].headers["Content-Type"] == "application/json"

    def test_data_is_a_member_beside_another(self, wire):
        @wire.client.post("/")
        def post(data: User, dry_run: Annotated[bool, api.Body("dryRun")], *, result: None) -> None: ...

        post(User(name="x"), True)
        assert wire.sent == {"data": {"name": "x", "age": None}, "dryRun": True}

    def test_members_that_are_all_none_leave_an_empty_object(self, wire):
        @wire.client.patch("/")
        def patch(
            name: Annotated[str | None, api.Body()] = None,
            age: Annotated[int | None, api.Body()] = None,
            *,
            result: None,
        ) -> None: ...

        patch()
        assert wire.sent == {}
        patch(age=0)
        assert wire.sent == {"age": 0}

    def test_the_serializer_of_a_member_is_used(self, wire):
        @wire.client.post("/")
        def post(
            a: Annotated[str, pydantic.PlainSerializer(str.upper), api.Body()],
            b: Annotated[str, api.Body()],
            *,
            result: None,
        ) -> None: ...

        post("x", "y")
        assert wire.sent == {"a": "X", "b": "y"}

    def test_a_streaming_request_has_them_too(self, serve):
        server = serve(events("a"))

        @api.APIClient(base_url=server.url).post("/", streaming_response=True)
        def chat(
            model: Annotated[str, api.Body()], stream: Annotated[bool, api.Body()] = True, *, result: Iterator[str]
        ) -> Iterator[str]:
            return result

        assert list(chat("m")) == ["a"]
        assert json.loads(server.requests[0].body) == {"model": "m", "stream": True}

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("marker", [api.Body(), api.Body("user"), api.Body(embed=True)])
    def test_where_there_can_be_none_is_refused(self, wire, method, marker):
        def send(user: Annotated[User, marker], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=rf"send\(\): parameter 'user' is a body, which {method} requests do not"):
            wire.client.endpoint(method, "/")(send)

    @pytest.mark.parametrize("other", [api.Body(), api.Body("content")])
    def test_a_member_that_json_cannot_hold_is_refused_by_name(self, wire, other):
        def post(file: Annotated[io.BytesIO, api.Body()], note: Annotated[str, other], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"post\(\): parameter 'file'"):
            wire.client.post("/")(post)

    @pytest.mark.parametrize("marker", [api.Body("name"), api.Cookie("name")])
    def test_two_of_one_name_are_refused_since_one_would_be_lost(self, wire, marker):
        def post(first: Annotated[int, marker], second: Annotated[int, marker], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"post\(\): .*'(first|second)'.*'name'"):
            wire.client.post("/")(post)


class TestNames:
    def test_a_marker_beats_the_name_that_means_something_else(self, wire):
        @wire.client.post("/{path}")
        def post(
            data: Annotated[str, api.Query()],
            query: Annotated[str, api.Header()],
            headers: Annotated[str, api.Cookie()],
            path: str,
            cls: Annotated[int, api.Body(embed=True)],
            *,
            result: None,
        ) -> None: ...

        post("a", "b", "c", "d", 5)
        assert wire.target == "/d?data=a"
        assert wire.requests[-1].headers["query"] == "b"
        assert wire.requests[-1].headers["Cookie"] == "headers=c"
        assert wire.sent == {"cls": 5}

    def test_data_may_be_a_query_of_a_get(self, wire):
        @wire.client.get("/")
        def get(data: Annotated[str, api.Query()], *, result: None) -> None: ...

        get("a")
        assert wire.target == "/?data=a"

    @pytest.mark.parametrize(
        ("annotation", "headers"),
        [(dict[str, str], {"X-One": "1"}), (Annotated[dict[str, str], api.Header()], {"X-One": "1"})],
    )
    def test_headers_is_a_mapping_with_or_without_a_marker(self, wire, annotation, headers):
        @wire.client.get("/")
        def get(headers: annotation, *, result: None) -> None: ...

        get(headers)
        assert wire.headers() == [("X-One", "1")]

    @pytest.mark.parametrize("name", ["result", "response"])
    @pytest.mark.parametrize("is_string", [False, True], ids=["annotation", "string"])
    @pytest.mark.parametrize(
        "markers",
        [[api.Header()], [api.Query("a")], [api.Body()], [api.Cookie()], [api.Header], [api.Path(), api.Path()]],
    )
    def test_what_is_injected_takes_no_marker(self, wire, name, is_string, markers):
        annotation = Annotated[(httpx2.Response, *markers)]

        def get(*, result: httpx2.Response, response: httpx2.Response) -> None: ...

        get.__annotations__[name] = "annotation" if is_string else annotation
        with pytest.raises(TypeError, match=rf"get\(\): parameter '{name}'"):
            wire.client.post("/")(get)

    @pytest.mark.parametrize("iterator", [Iterator[Annotated[str, api.Body()]], Annotated[Iterator[str], api.Body()]])
    def test_neither_do_the_items_of_a_stream(self, wire, iterator):
        def stream(*, result: iterator) -> Iterator[str]:
            return result

        with pytest.raises(TypeError, match=r"stream\(\): parameter 'result'.* marker"):
            wire.client.get("/", streaming_response=True)(stream)

    def test_a_method_has_them_behind_self(self, wire):
        class API:
            @wire.client.get("/users/{user_id}")
            def get(self, id: Annotated[int, api.Path("user_id")], request_id: RequestId = "7", *, result: None) -> API:
                return self

            @classmethod
            @wire.client.get("/class")
            def of_class(cls, size: Annotated[int, api.Query("pageSize")], *, result: None) -> type[API]:
                return cls

        a = API()
        assert a.get(5) is a
        assert wire.target == "/users/5"
        assert wire.headers() == [("X-Request-Id", "7")]
        assert API.of_class(6) is API
        assert wire.target == "/class?pageSize=6"


class TestWrongDeclarations:
    @pytest.mark.parametrize(
        ("annotation", "cure"),
        [
            (Annotated[str, api.Header()] | None, "put Annotated[..., marker] around it all"),
            (RequestId | None, "put Annotated[..., marker] around it all"),
            (AliasedId | None, "put Annotated[..., marker] around it all"),
            (list[RequestId], "put Annotated[..., marker] around it all"),
            (
                Annotated[list[Annotated[int, api.Query("id")]], "documented"],
                "put Annotated[..., marker] around it all",
            ),
            (dict[str, list[AliasedId | None]], "put Annotated[..., marker] around it all"),
            (Annotated[str, api.Header(), api.Query()], "leave one of them"),
            (Annotated[str, api.Header("A"), api.Header("A")], "leave one of them"),
            (Annotated[AliasedId, api.Query()], "leave one of them"),
            (Annotated[str, api.Header, api.Query()], "leave one of them"),
            (Annotated[str, api.Header], "write api.Header()"),
            (Annotated[str, api.Path], "write api.Path()"),
            (Annotated[User, api.Body], "write api.Body()"),
        ],
    )
    def test_a_marker_that_would_not_count_is_refused_with_the_cure(self, wire, annotation, cure):
        def get(value: annotation, *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter 'value': ") as caught:
            wire.client.post("/")(get)
        assert cure in str(caught.value)

    @pytest.mark.parametrize("annotation", [api.Header("X-Request-Id"), api.Header, api.Body()])
    def test_a_marker_for_a_type_is_refused_with_the_cure(self, wire, annotation):
        def get(value: annotation, *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter 'value': .*write Annotated\[T, marker\]"):
            wire.client.post("/")(get)

    @pytest.mark.parametrize("default", [fastapi.Query(), fastapi.Form(None), fastapi.File(None)])
    def test_a_marker_of_fastapi_for_a_default_is_refused_with_the_cure(self, wire, default):
        def post(value: str = default, *, result: None) -> None: ...

        kind = type(default).__name__
        with pytest.raises(
            TypeError, match=rf"FastAPI's {kind} for a default; write value: Annotated\[T, api.{kind}\(\)\]"
        ):
            wire.client.post("/")(post)

    def test_a_marker_of_fastapi_is_refused_with_the_cure(self, wire):
        def get(value: Annotated[str, fastapi.Header()], *, result: None) -> None: ...

        with pytest.raises(
            TypeError, match=r"get\(\): parameter 'value': Header is FastAPI's own; write api.Header\(\)"
        ):
            wire.client.get("/")(get)

    def test_a_marker_of_ones_own_is_a_marker(self, wire):
        class RequestId(api.Header):
            pass

        @wire.client.get("/")
        def get(value: Annotated[str, RequestId("X-Request-Id")], *, result: None) -> None: ...

        get("a")
        assert wire.headers() == [("X-Request-Id", "a")]

    @pytest.mark.parametrize("default", [api.Header("X-Request-Id"), api.Query(), api.Body(), api.Header, api.Query])
    def test_a_marker_for_a_default_is_refused_with_the_cure(self, wire, default):
        def get(value: str = default, *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter 'value' .*write value: Annotated\[T, api\.\w+\("):
            wire.client.post("/")(get)

    def test_a_path_marker_without_its_placeholder_is_refused(self, wire):
        def get(id: Annotated[int, api.Path("user_id")], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter 'id': the path has no placeholder 'user_id'"):
            wire.client.get("/users")(get)
        with pytest.raises(TypeError, match=r"get\(\): no parameter fills the path's placeholder 'id'"):
            wire.client.get("/users/{id}")(get)

    def test_a_placeholder_whose_parameter_goes_elsewhere_is_refused(self, wire):
        def get(user_id: Annotated[int, api.Query()], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): no parameter fills the path's placeholder 'user_id'"):
            wire.client.get("/users/{user_id}")(get)

    def test_a_placeholder_that_two_would_fill_is_refused(self, wire):
        def get(user_id: int, id: Annotated[int, api.Path("user_id")], *, result: None) -> None: ...

        with pytest.raises(TypeError, match=r"get\(\): parameter .* another one .*'user_id'"):
            wire.client.get("/users/{user_id}")(get)

    @pytest.mark.parametrize("alias", ["", "X Y", "X:Y", "X\r\nY", "X-Ü"])
    @pytest.mark.parametrize("marker", [api.Header, api.Cookie])
    def test_a_name_that_cannot_be_sent_is_refused_at_once(self, marker, alias):
        with pytest.raises(ValueError, match=rf"api\.{marker.__name__}\("):
            marker(alias)

    @pytest.mark.parametrize("marker", [api.Header, api.Cookie, api.Query, api.Path, api.Body])
    def test_a_name_that_is_none_is_refused_at_once(self, marker):
        with pytest.raises(ValueError, match=rf"api\.{marker.__name__}\(''\)"):
            marker("")
        with pytest.raises(TypeError, match=rf"api\.{marker.__name__}\(5\)"):
            marker(5)


class TestForwardReferences:
    def test_a_type_that_is_defined_later_is_found_at_the_first_call(self, wire):
        @wire.client.post("/{id}")
        def post(
            name: Annotated[str, api.Path("id")],
            page: Annotated[Later, api.Body()],
            request_id: LaterId,
            *,
            result: None,
        ) -> None: ...

        class Later(pydantic.BaseModel):
            size: int

        LaterId = Annotated[str, api.Header("X-Later-Id")]
        post("a", Later(size=5), "7")
        assert wire.target == "/a"
        assert wire.sent == {"size": 5}
        assert wire.requests[-1].headers["X-Later-Id"] == "7"

    def test_a_wrong_declaration_is_refused_at_the_first_call_then(self, wire):
        @wire.client.get("/")
        def get(value: LaterId | None, *, result: None) -> None: ...

        LaterId = Annotated[str, api.Header("X-Later-Id")]
        with pytest.raises(TypeError, match=r"get\(\): parameter 'value': .* around it all"):
            get("7")
        assert wire.requests == []

    def test_annotations_that_are_strings_are_read(self, wire):
        def get(value, *, result): ...

        get.__annotations__ |= {"value": "Annotated['str | None', api.Header('X-Value')]", "result": None}
        wire.client.get("/")(get)("7")
        assert wire.headers() == [("X-Value", "7")]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="a type statement is what makes such types")
    @pytest.mark.parametrize("parameters", ["data: Json, *, result: None", "data: int, *, result: Json"])
    def test_a_type_that_holds_itself_is_taken(self, wire, parameters):
        scope: dict[str, Any] = {"__name__": __name__}
        exec(
            f"type Json = str | int | None | list[Json] | dict[str, Json]\ndef post({parameters}): return result\n",
            scope,
        )
        assert wire.client.post("/")(scope["post"])(5) is None
        assert wire.sent == 5


class TestLastEventID:
    """A stream is taken up where an earlier one ended."""

    @pytest.mark.parametrize("event_id", ["7-a", "naïve 日本", "a:b; c=d"])
    def test_it_is_given_as_a_header_in_utf8_whatever_it_is(self, side, serve, event_id):
        server = serve(EVENT_STREAM + chunk(f"id: {event_id}\ndata: x\n\n".encode()) + END)
        client = api.APIClient(base_url=server.url)
        LastEventID = Annotated[str | None, api.Header("Last-Event-ID")]

        @client.get("/", streaming_response=True)
        def stream(last_event_id: LastEventID = None, *, result: Iterator[str]) -> api.Stream[str]:
            return result

        @client.get("/", streaming_response=True)
        async def astream(last_event_id: LastEventID = None, *, result: AsyncIterator[str]) -> api.AsyncStream[str]:
            return result

        async def aread_twice() -> None:
            first = await astream()
            assert [item async for item in first] == ["x"]
            assert [item async for item in await astream(first.last_event_id)] == ["x"]

        if side.is_sync:
            first = stream()
            assert list(first) == ["x"]
            assert list(stream(first.last_event_id)) == ["x"]
        else:
            side.run(aread_twice)
        first, second = (request.header("Last-Event-ID") for request in server.requests)
        assert first is None
        assert second.encode("latin-1").decode() == event_id
