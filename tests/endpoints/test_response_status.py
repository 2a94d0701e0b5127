"""How an answer is handled by its status, and by a parser of the user's own."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal, NewType, Optional, Union

import httpx2
import pydantic
import pytest
from tests.fakes import client_of
from tests.servers import answer
from typing_extensions import TypeAliasType, TypedDict

from clientele import api, testing


class User(pydantic.BaseModel):
    name: str


class Admin(User):
    pass


class NotFound(pydantic.BaseModel):
    detail: str


class Queued(pydantic.BaseModel):
    name: str


class Typed(TypedDict):
    name: str


class TypedError(TypedDict):
    detail: str


class Plain:
    """A class that Pydantic knows nothing of."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response


USER = b'{"name": "x"}'
NOT_FOUND = b'{"detail": "no such user"}'
JSON = "application/json"


def answering(content: bytes, status: int = 200, content_type: str = JSON) -> api.APIClient:
    """A client that gets this answer to everything, and follows no redirects."""
    return client_of(content, content_type, status=status, follow_redirects=False)


def raiser(error: Exception) -> Callable[[Any], Any]:
    def parse(response: Any) -> Any:
        raise error

    return parse


class TestParser:
    def test_it_makes_the_result_of_the_whole_response(self, side, serve):
        server = serve(answer(b"a,b\n1,2\n", content_type="text/csv", headers="X-Rows: 1\r\n"))

        def parse(response: httpx2.Response) -> tuple[str, list[list[str]]]:
            return response.headers["X-Rows"], [line.split(",") for line in response.text.splitlines()]

        client = api.APIClient(base_url=server.url)
        rows = side.call(client, tuple[str, list[list[str]]], response_parser=parse)
        assert rows == ("1", [["a", "b"], ["1", "2"]])

    def test_the_result_may_be_of_a_class_that_pydantic_knows_nothing_of(self, side):
        result = side.call(answering(b"raw"), Plain, response_parser=Plain)
        assert isinstance(result, Plain)
        assert result.response.content == b"raw"

    def test_its_result_is_not_validated_again(self, side):
        assert side.call(answering(b""), int, response_parser=lambda response: "five") == "five"

    @pytest.mark.parametrize("status", [200, 204, 302])
    def test_it_is_asked_about_empty_answers_too(self, side, status):
        client = answering(b"", status)
        assert side.call(client, int | None, response_parser=lambda response: response.status_code) == status

    def test_it_is_given_an_event_stream_whole(self, side):
        client = answering(b"data: a\n\n", content_type="text/event-stream")
        assert side.call(client, dict, response_parser=lambda response: response.text) == "data: a\n\n"

    @pytest.mark.parametrize("status", [400, 404, 503])
    def test_it_is_not_asked_about_errors(self, side, status):
        asked = []
        with pytest.raises(api.HTTPStatusError):
            side.call(answering(USER, status), User, response_parser=asked.append)
        assert asked == []

    @pytest.mark.parametrize(
        ("content", "parse", "message"),
        [
            (b"rows", raiser(ValueError("too few rows")), "too few rows"),
            (b"rows", httpx2.Response.json, "Expecting value"),
            (b"\xff", lambda response: response.content.decode("ascii"), "'ascii' codec can't decode byte 0xff"),
        ],
    )
    def test_its_value_error_says_that_the_answer_does_not_fit(self, side, content, parse, message):
        with pytest.raises(api.ResponseValidationError) as caught:
            side.call(answering(content, content_type="text/csv"), Plain, response_parser=parse)
        error = caught.value
        assert str(error).startswith("GET http://test/: the answer (status 200) is not Plain: ")
        assert message in str(error)
        assert error.response.content == content
        assert isinstance(error.validation_error, pydantic.ValidationError)
        assert error.__cause__ is error.validation_error
        assert isinstance(error.validation_error.__cause__, ValueError)
        assert message in str(error.validation_error.__cause__)

    def test_an_error_of_pydantics_is_passed_on_as_it_is(self, side):
        def parse(response: httpx2.Response) -> User:
            return User.model_validate_json(response.content)

        with pytest.raises(api.ResponseValidationError, match="is not User: name: Field required") as caught:
            side.call(answering(b"{}"), User, response_parser=parse)
        assert caught.value.validation_error.title == "User"
        assert caught.value.__cause__ is caught.value.validation_error

    @pytest.mark.parametrize("error", [KeyError("rows"), TypeError("no"), ZeroDivisionError(), RuntimeError("no")])
    def test_its_other_errors_pass(self, side, error):
        with pytest.raises(type(error)) as caught:
            side.call(answering(b""), Plain, response_parser=raiser(error))
        assert caught.value is error


Result = Union[User, NotFound, None]  # noqa: UP007 - the old spelling is to work as well
USER_OR_NOT_FOUND = {200: User, 404: NotFound}


class TestResponseMap:
    @pytest.mark.parametrize(
        ("status", "content", "result"),
        [
            (200, USER, User(name="x")),
            (404, NOT_FOUND, NotFound(detail="no such user")),
        ],
    )
    def test_a_mapped_status_is_a_result_of_its_type_even_if_it_is_an_error(self, side, status, content, result):
        client = answering(content, status)
        assert side.call(client, User | NotFound, response_map=USER_OR_NOT_FOUND) == result

    @pytest.mark.parametrize("status", [400, 403, 405, 500, 599])
    def test_an_error_that_is_not_mapped_raises(self, side, status):
        with pytest.raises(api.HTTPStatusError) as caught:
            side.call(answering(NOT_FOUND, status), User | NotFound, response_map=USER_OR_NOT_FOUND)
        assert caught.value.status_code == status
        assert caught.value.parsed is None
        assert caught.value.response.content == NOT_FOUND

    @pytest.mark.parametrize(
        ("status", "content", "result"),
        [
            (201, USER, User(name="x")),
            (206, NOT_FOUND, NotFound(detail="no such user")),
            (204, b"", None),
            (299, b"null", None),
        ],
    )
    def test_a_success_that_is_not_mapped_is_of_the_annotated_type(self, side, status, content, result):
        client = answering(content, status)
        assert side.call(client, Result, response_map=USER_OR_NOT_FOUND) == result

    def test_the_status_decides_where_the_shapes_do_not(self, side):
        statuses = {200: User, 202: Queued}
        for status, result in ((200, User(name="x")), (202, Queued(name="x"))):
            assert side.call(answering(USER, status), User | Queued, response_map=statuses) == result

    @pytest.mark.parametrize("status", [300, 302, 304, 399])
    def test_what_is_neither_success_nor_error_raises_unless_it_is_mapped(self, side, status):
        client = answering(b"", status)
        with pytest.raises(api.HTTPStatusError) as caught:
            side.call(client, User | None, response_map={200: User})
        assert caught.value.status_code == status
        assert side.call(client, User | None, response_map={200: User, status: None}) is None

    def test_a_redirect_that_is_followed_counts_as_what_it_leads_to(self, side, serve):
        async def redirect(connection):
            if connection.request.target == "/":
                await connection.send(answer(b"", status="302 Found", headers="Location: /there\r\n"))
            else:
                await connection.send(answer(NOT_FOUND, status="404 Not Found"))

        client = api.APIClient(base_url=serve(redirect).url)
        result = side.call(client, User | NotFound | None, response_map=USER_OR_NOT_FOUND | {302: None})
        assert result == NotFound(detail="no such user")

    @pytest.mark.parametrize(
        ("mapped", "content", "result"),
        [
            (None, b"", None),
            (None, b"null", None),
            (str, b"no such user", "no such user"),
            (str, b"", ""),
            (str, b'"quoted"', '"quoted"'),
            (bytes, b"\x00\xff", b"\x00\xff"),
            (int, b"5", 5),
            (dict, NOT_FOUND, {"detail": "no such user"}),
            (list[int], b"[1]", [1]),
            (TypedError, NOT_FOUND, {"detail": "no such user"}),
            (NotFound | None, b"", None),
            (Annotated[str, pydantic.StringConstraints(to_upper=True)], b"no", "NO"),
        ],
    )
    def test_every_type_that_a_result_can_be_is_taken(self, side, mapped, content, result):
        client = answering(content, 404, "text/plain")
        assert side.call(client, User | mapped, response_map={200: User, 404: mapped}) == result
        assert side.call(client, Any, response_map={404: mapped}) == result

    @pytest.mark.parametrize("result_type", [httpx2.Response, User | httpx2.Response, Any])
    def test_the_response_itself_is_one(self, side, result_type):
        response = side.call(answering(NOT_FOUND, 404), result_type, response_map={404: httpx2.Response})
        assert isinstance(response, httpx2.Response)
        assert response.content == NOT_FOUND

    @pytest.mark.parametrize("content", [USER, b"", b"<html>"])
    def test_a_mapped_answer_that_is_not_of_its_type_is_a_mismatch(self, side, content):
        with pytest.raises(api.ResponseValidationError, match=r"the answer \(status 404\) is not NotFound: ") as caught:
            side.call(answering(content, 404), User | NotFound, response_map=USER_OR_NOT_FOUND)
        assert caught.value.status_code == 404
        assert caught.value.response.content == content

    def test_statuses_may_be_named(self, side):
        client = answering(NOT_FOUND, 404)
        result = side.call(client, User | NotFound, response_map={HTTPStatus.NOT_FOUND: NotFound})
        assert result == NotFound(detail="no such user")

    def test_the_response_is_injected_beside_it(self):
        @answering(NOT_FOUND, 404).get("/", response_map=USER_OR_NOT_FOUND)
        def get(*, result: User | NotFound, response: httpx2.Response) -> tuple[User | NotFound, int]:
            return result, response.status_code

        assert get() == (NotFound(detail="no such user"), 404)


Users = TypeAliasType("Users", list[User])
UserId = NewType("UserId", int)


class TestMapAndAnnotation:
    """They are held against one another when the endpoint is declared."""

    @pytest.mark.parametrize(
        ("annotation", "mapped"),
        [
            (User, NotFound),
            (User, User | NotFound),
            (User, None),
            (User, str),
            (str, bytes),
            (User | None, list[User]),
            (list[User], list[NotFound]),
            (list[User], User),
            (dict[str, int], dict[str, str]),
            (Literal["a"], Literal["b"]),
            (Admin, User),
            (User, httpx2.Response),
            (Typed, TypedError),
        ],
    )
    def test_a_type_in_the_map_that_the_annotation_does_not_have_is_refused(self, annotation, mapped):
        def get_user(*, result: annotation) -> Any:
            return result

        with pytest.raises(
            TypeError, match=r"get_user\(\): parameter 'result': response_map makes .* of status 404"
        ) as caught:
            answering(b"").get("/", response_map={404: mapped})(get_user)
        assert "add it to the union, or correct the map" in str(caught.value)

    @pytest.mark.parametrize(
        ("annotation", "mapped"),
        [
            (User | NotFound, NotFound),
            (Union[User, NotFound], NotFound),  # noqa: UP007
            (User | NotFound | None, Optional[NotFound]),  # noqa: UP045
            (TypeAliasType("Either", Union[User, TypeAliasType("NF", NotFound)]), NotFound),  # noqa: UP007
            (Annotated[User | NotFound, "documented"], NotFound),
            (User | Annotated[NotFound, "documented"], NotFound),
            (User | NotFound, Annotated[NotFound, "documented"]),
            (User | Typed, Typed),
            (User | Typed, User),
            (Typed | TypedError, TypedError),
            (User | list[User], Users),
            (Users | None, list[User]),
            (typing.List[User] | None, list[User]),  # noqa: UP006
            (typing.Dict[str, Any] | None, dict[str, Any]),  # noqa: UP006
            (list[User] | None, typing.List[User]),  # noqa: UP006
            (dict, dict[str, int]),
            (dict | User, Typed),
            (int | User, UserId),
            (int, bool),
            (User, Admin),
            (Any, NotFound),
            (object, NotFound),
            (Any, None),
            (User | None, type(None)),
            (Literal["a", "b"] | None, Literal["a", "b"]),
        ],
    )
    def test_one_that_it_has_is_taken(self, annotation, mapped):
        def get_user(*, result: annotation) -> Any:
            return result

        declared = answering(b"").get("/", response_map={404: mapped})(get_user)
        assert declared.__wrapped__ is get_user

    def test_a_type_that_pydantic_cannot_handle_is_refused(self):
        def get_user(*, result: Any) -> Any:
            return result

        def stream(*, result: Iterator[str]) -> Iterator[str]:
            return result

        with pytest.raises(TypeError, match=r"get_user\(\): .*Pydantic cannot handle Plain"):
            answering(b"").get("/", response_map={404: Plain})(get_user)
        with pytest.raises(TypeError, match=r"stream\(\): .*Pydantic cannot handle Plain"):
            answering(b"").get("/", response_map={404: Plain}, streaming_response=True)(stream)


class TestRaised:
    """A status that is mapped to `Raised` raises, as those of streams do, and need not be in the result's type."""

    @pytest.mark.parametrize(
        ("mapped", "content", "parsed"),
        [
            (NotFound, NOT_FOUND, NotFound(detail="no such user")),
            (User | NotFound, NOT_FOUND, NotFound(detail="no such user")),
            (str, b"no", "no"),
            (None, b"", None),
        ],
    )
    def test_its_error_carries_the_answer(self, side, mapped, content, parsed):
        with pytest.raises(api.HTTPStatusError, match="404") as caught:
            side.call(answering(content, 404), User, response_map={404: api.Raised(mapped)})
        assert caught.value.parsed == parsed
        assert caught.value.__cause__ is None

    def test_another_status_is_what_it_was(self, side):
        response_map = {404: api.Raised(NotFound), 409: User}
        assert side.call(answering(USER), User, response_map=response_map) == User(name="x")
        assert side.call(answering(USER, 409), User, response_map=response_map) == User(name="x")
        with pytest.raises(api.HTTPStatusError) as caught:
            side.call(answering(NOT_FOUND, 500), User, response_map=response_map)
        assert caught.value.parsed is None

    def test_a_body_that_does_not_fit_leaves_the_status_as_the_news_and_says_why(self, side):
        with pytest.raises(api.HTTPStatusError) as caught:
            side.call(answering(b"<html>", 404), User, response_map={404: api.Raised(NotFound)})
        assert caught.value.parsed is None
        assert isinstance(caught.value.__cause__, api.ResponseValidationError)

    def test_on_a_stream_it_says_nothing_new(self, side):
        error = side.read(answering(NOT_FOUND, 404), User, response_map={404: api.Raised(NotFound)}).error
        assert error.parsed == NotFound(detail="no such user")

    def test_a_success_is_not_raised(self):
        with pytest.raises(ValueError, match="response_map has Raised for status 200; only 400 to 599 are raised"):
            answering(b"").get("/", response_map={200: api.Raised(User)})

    def test_a_status_that_is_raised_is_retried(self, side):
        client = api.APIClient(base_url="http://api.example", retry=True)
        with testing.fake(client) as server:
            server.on_any().returns(status=503, times=1)
            server.on_any().returns(User(name="x"))
            assert side.call(client, User, response_map={503: api.Raised(NotFound)}) == User(name="x")


class TestErrorsOfStreams:
    """On a stream the mapped errors raise, too: what was mapped is found in `parsed`."""

    @pytest.mark.parametrize(
        ("mapped", "content", "parsed"),
        [
            (NotFound, NOT_FOUND, NotFound(detail="no such user")),
            (User | NotFound, NOT_FOUND, NotFound(detail="no such user")),
            (dict, NOT_FOUND, {"detail": "no such user"}),
            (TypedError, NOT_FOUND, {"detail": "no such user"}),
            (str, b"no", "no"),
            (bytes, b"\x00\xff", b"\x00\xff"),
            (None, b"", None),
        ],
    )
    def test_an_error_carries_what_its_status_is_mapped_to(self, side, mapped, content, parsed):
        reading = side.read(answering(content, 404), User, response_map={404: mapped})
        assert isinstance(reading.error, api.HTTPStatusError)
        assert reading.stream is None
        assert reading.error.parsed == parsed
        assert reading.error.__cause__ is None
        assert reading.error.response.content == content

    def test_the_response_itself_is_one(self, side):
        error = side.read(answering(NOT_FOUND, 404), User, response_map={404: httpx2.Response}).error
        assert error.parsed is error.response
        assert error.parsed.content == NOT_FOUND

    def test_an_error_that_is_not_mapped_carries_nothing(self, side):
        error = side.read(answering(NOT_FOUND, 500), User, response_map={404: NotFound}).error
        assert isinstance(error, api.HTTPStatusError)
        assert error.status_code == 500
        assert error.parsed is None
        assert error.__cause__ is None

    @pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b'{"detail": 5}', b"null"])
    def test_a_body_that_does_not_fit_leaves_the_status_as_the_news_and_says_why(self, side, content):
        error = side.read(answering(content, 404), User, response_map={404: NotFound}).error
        assert isinstance(error, api.HTTPStatusError)
        assert error.status_code == 404
        assert error.parsed is None
        assert isinstance(error.__cause__, api.ResponseValidationError)
        assert "is not NotFound" in str(error.__cause__)
        assert error.__cause__.response is error.response

    def test_a_body_too_large_to_be_read_whole_does_not_fit(self, side):
        content = b'{"detail": "%s"}' % (b"x" * 2 * 1024 * 1024)
        error = side.read(answering(content, 404), User, response_map={404: NotFound}).error
        assert error.status_code == 404
        assert error.parsed is None
        assert isinstance(error.__cause__, api.ResponseValidationError)

    def test_the_body_is_read_from_the_wire(self, side, serve):
        server = serve(answer(NOT_FOUND, status="404 Not Found"))
        client = api.APIClient(base_url=server.url)
        error = side.read(client, User, response_map={404: NotFound}).error
        assert error.parsed == NotFound(detail="no such user")
        assert str(error) == f'GET {server.url}/: 404 Not Found: {{"detail": "no such user"}}'

    def test_a_stream_that_begins_is_read_as_ever(self, side):
        client = answering(b"data: " + USER + b"\n\n", content_type="text/event-stream")
        assert side.read(client, User, response_map={404: NotFound}).items == [User(name="x")]

    @pytest.mark.parametrize("item_type", [str, bytes, api.ServerSentEvent[User], User | api.Comment])
    def test_the_mapped_type_need_not_be_one_of_the_items(self, side, item_type):
        error = side.read(answering(NOT_FOUND, 404), item_type, response_map={404: NotFound}).error
        assert error.parsed == NotFound(detail="no such user")


@pytest.mark.parametrize("charset", ["hex", "base64", "rot13", "undefined", "idna", "punycode", "bogus"])
@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json", "text/plain"])
def test_a_charset_that_is_none_of_text_does_not_hide_the_status(content_type, charset):
    client = client_of(b'{"title": "none"}', f"{content_type}; charset={charset}", status=404)
    for call in (lambda: client.request("GET", "/", dict), lambda: client.stream("GET", "/", dict)):
        with pytest.raises(api.HTTPStatusError, match=r'404 Not Found: \{"title": "none"\}'):
            call()


def test_the_text_of_an_answer_with_such_a_charset_is_utf_8():
    assert client_of("größe".encode(), "text/plain; charset=hex").request("GET", "/", str) == "größe"


@pytest.mark.parametrize(
    ("annotation", "mapped"),
    [(float, int), (Sequence[int], list[int]), (dict[str, Any], dict), (Mapping[str, int], dict)],
)
def test_a_type_whose_values_are_all_of_the_declared_one_is_taken(annotation, mapped):
    client = client_of(b"{}", status=404)
    with pytest.raises(api.ResponseValidationError) if mapped is not dict else contextlib.nullcontext():
        client.request("GET", "/", annotation, response_map={404: mapped})


@pytest.mark.parametrize("status", [400, 599])
def test_the_first_and_the_last_error_status_are_errors_of_a_stream_too(side, status):
    client = client_of(b"data: 1\n\n", "text/event-stream", status=status)
    reading = side.read(client, int)

    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.status_code == status
