"""The options of an endpoint: which there are, which go together, and how a wrong one is refused."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import httpx2
import pydantic
import pytest
from tests.fakes import client_of, stream_of

from clientele import api
from clientele.endpoints.options import OPTIONS, EndpointOptions

client = api.APIClient(base_url="http://localhost:8000")


class User(pydantic.BaseModel):
    name: str


def parse(answer: Any) -> Any:
    return answer


async def parse_later(answer: Any) -> Any:
    return answer


async def parse_piecemeal(answer: Any) -> AsyncIterator[Any]:
    yield answer


class Parser:
    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    async def __call__(self, answer: Any) -> Any:
        return answer

    async def method(self, answer: Any) -> Any:
        return answer


class PiecemealParser:
    async def __call__(self, answer: Any) -> AsyncIterator[Any]:
        yield answer


def refusal(error: type[Exception], **options: Any) -> str:
    """The message with which options are refused, before there is any function to decorate."""
    with pytest.raises(error) as caught:
        client.get("/users", **options)
    message = str(caught.value)
    assert message.startswith("GET /users: ")
    return message


def test_an_unknown_option_is_refused_with_those_that_there_are():
    message = refusal(TypeError, response_type=User)
    assert "unexpected options: response_type" in message
    for name in (
        "timeout",
        "response_map",
        "response_parser",
        "streaming_response",
        "until",
        "event_map",
        "on_invalid",
    ):
        assert name in message


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("stream", "did you mean streaming_response?"),
        ("retries", "did you mean retry?"),
        ("json", "the parameter named data is the body"),
        ("params", "each parameter that the path does not name is a query parameter"),
        ("headers", "a parameter named headers, of Annotated[str, api.Header()], or of the client"),
        ("cookies", "Annotated[str, api.Cookie()]"),
        ("response_model", "the annotation of result says what comes"),
        ("allow_redirects", "follow_redirects is given to APIClient"),
        ("idle_timeouts", "did you mean idle_timeout?"),
    ],
)
def test_an_option_of_another_library_is_hinted_at_by_its_name_here(option, hint):
    assert hint in refusal(TypeError, **{option: True})


def test_an_option_of_endpoints_that_the_client_is_given_is_said_to_be_one():
    with pytest.raises(TypeError, match="until is given to an endpoint"):
        api.APIClient("http://localhost:8000", until="[DONE]")


def test_every_option_has_a_type_and_a_default_with_its_check():
    assert OPTIONS.keys() == EndpointOptions.__annotations__.keys()


@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_streaming_response_is_true_or_false(value):
    assert f"streaming_response is {value!r}" in refusal(TypeError, streaming_response=value)


@pytest.mark.parametrize(
    "option",
    [
        {"idle_timeout": 5},
        {"max_event_size": 5},
        {"stream_format": "jsonl"},
        {"until": "[DONE]"},
        {"until": parse},
        {"event_map": {"a": User}},
        {"event_map": {}},
        {"on_invalid": "skip"},
        {"on_invalid": parse},
    ],
)
def test_an_option_of_streams_is_refused_elsewhere(option):
    (name,) = option
    assert f"{name} is for streams; add streaming_response=True" in refusal(TypeError, **option)
    assert f"{name} is for streams" in refusal(TypeError, **option, streaming_response=False)


@pytest.mark.parametrize("response_map", [{200: User}, {}])
def test_a_parser_does_not_go_with_a_response_map(response_map):
    message = refusal(TypeError, response_parser=parse, response_map=response_map)
    assert "response_parser does not go with response_map" in message
    refusal(TypeError, response_parser=parse, response_map={}, streaming_response=True)


@pytest.mark.parametrize("event_map", [{"a": User}, {}])
def test_a_parser_does_not_go_with_an_event_map(event_map):
    message = refusal(TypeError, response_parser=parse, event_map=event_map, streaming_response=True)
    assert "response_parser does not go with event_map" in message


@pytest.mark.parametrize("name", ["response_parser", "until", "on_invalid"])
@pytest.mark.parametrize(
    "function",
    [
        parse_later,
        parse_piecemeal,
        functools.partial(parse_later),
        Parser(),
        Parser().method,
        PiecemealParser(),
    ],
    ids=["async def", "that yields", "partial", "object", "method", "object that yields"],
)
def test_an_async_function_is_refused_where_nothing_would_await_it(name, function):
    message = refusal(TypeError, **{name: function}, streaming_response=True)
    assert name in message
    assert "pass a plain function" in message


@pytest.mark.parametrize("name", ["response_parser", "until", "on_invalid"])
@pytest.mark.parametrize(
    "function", [lambda: None, lambda one, two: None, lambda *, one: None, functools.partial(parse, 5)]
)
def test_a_function_that_does_not_take_one_argument_is_refused(name, function):
    message = refusal(TypeError, **{name: function}, streaming_response=True)
    assert f"{name} is called with one argument, and {function!r} does not take it: " in message


def test_an_async_parser_is_refused_for_complete_answers_too():
    assert "pass a plain function" in refusal(TypeError, response_parser=parse_later)


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("response_parser", "json", "it is a function"),
        ("response_parser", 5, "it is a function"),
        ("until", 5, "it is the data of an event, or a function of an event"),
        ("until", b"[DONE]", "it is the data of an event, or a function of an event"),
        ("on_invalid", "ignore", "it is 'raise', 'skip' or a function of a StreamDecodeError"),
        ("on_invalid", None, "it is 'raise', 'skip' or a function of a StreamDecodeError"),
        ("response_map", [404], "it is a mapping of statuses to types"),
        ("response_map", User, "it is a mapping of statuses to types"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_with_what_it_is(name, value, cure):
    assert f"{name} is {value!r}; {cure}" in refusal(TypeError, **{name: value}, streaming_response=True)


@pytest.mark.parametrize("stream_format", ["xml", "SSE", "", "application/jsonl", ["sse"], 5])
def test_an_unknown_format_is_refused_with_those_that_there_are(stream_format):
    message = refusal((TypeError, ValueError), stream_format=stream_format, streaming_response=True)
    assert f"stream_format is {stream_format!r}" in message
    for name in ("sse", "jsonl", "json-seq", "lines", "bytes"):
        assert repr(name) in message


@pytest.mark.parametrize("name", ["idle_timeout", "max_event_size"])
@pytest.mark.parametrize("value", [0, -1, -0.5, "3", float("inf"), float("nan"), b"1"])
def test_a_number_out_of_its_range_is_refused(name, value):
    message = refusal(ValueError, **{name: value}, streaming_response=True)
    assert f"{name} is {value!r}" in message
    assert "above 0" in message


@pytest.mark.parametrize("status", [0, 100, 199, 600, -404, "404", 404.0, True, None, "*", (200, 201)])
def test_what_is_no_status_is_refused_as_a_key_of_a_response_map(status):
    message = refusal(ValueError, response_map={200: User, status: User})
    assert f"response_map has the key {status!r}; it is a status, a number from 200 to 599" in message


@pytest.mark.parametrize("status", [200, 204, 302, 399, HTTPStatus.OK])
def test_only_error_statuses_have_a_type_of_their_own_on_a_stream(status):
    message = refusal(ValueError, response_map={404: User, status: User}, streaming_response=True)
    assert "it is an error status, a number from 400 to 599" in message


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_a_refusal_names_the_method_and_the_path(method):
    with pytest.raises(TypeError, match=rf"^{method.upper()} /users: unexpected options: nothing"):
        getattr(client, method)("/users", nothing=1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"streaming_response": False},
        {"timeout": None},
        {"timeout": 0.5},
        {"timeout": httpx2.Timeout(5, read=None)},
        {"response_map": {}},
        {"response_map": {200: User, 404: None}},
        {"response_map": {HTTPStatus.OK: User}},
        {"response_map": MappingProxyType({200: User})},
        {"response_parser": parse},
        {"response_parser": lambda response: None},
        {"response_parser": functools.partial(parse)},
        {"response_parser": httpx2.Response.json},
        {"response_parser": dict},
        {"response_parser": Parser},
    ],
)
def test_what_a_complete_answer_takes(options: Mapping[str, Any]):
    def get(*, result: User | None) -> User | None:
        return result

    assert client.get("/", **options)(get).__name__ == "get"


@pytest.mark.parametrize(
    "options",
    [
        {"idle_timeout": None, "max_event_size": 1},
        {"idle_timeout": 0.001},
        {"until": "", "stream_format": "sse"},
        {"until": lambda event: True},
        {"until": functools.partial(parse)},
        {"response_map": {400: User, 599: str}},
        {"response_parser": parse},
        {"on_invalid": "raise"},
        {"on_invalid": "skip"},
        {"on_invalid": lambda error: None},
        {"event_map": {"a": User, "*": None}},
        {"timeout": 5, "stream_format": None, "event_map": None, "response_map": None, "response_parser": None},
    ],
)
def test_what_a_stream_takes(options: Mapping[str, Any]):
    def stream(*, result: Iterator[User]) -> Iterator[User]:
        return result

    assert client.get("/", streaming_response=True, **options)(stream).__name__ == "stream"


def test_what_becomes_of_a_map_after_the_declaration_makes_no_difference():
    statuses: dict[int, Any] = {404: None}

    @client_of(b"", status=404).get("/", response_map=statuses)
    def get(*, result: User | None) -> User | None:
        return result

    statuses.clear()
    assert get() is None


def returns_coroutine(_: object) -> Any:
    async def later() -> bool:
        return True

    return later()


@pytest.mark.parametrize("name", ["until", "on_invalid", "response_parser"])
def test_a_coroutine_that_a_plain_function_returns_is_refused_when_it_comes(name):
    client = stream_of(b"data: x\n\n")
    with pytest.raises(TypeError, match=f"{name} returned a coroutine, which nothing awaits"):
        list(client.stream("GET", "/", int, **{name: returns_coroutine}))


@pytest.mark.parametrize("timeout", ["3", [3], object()])
def test_what_is_no_timeout_is_refused(timeout):
    with pytest.raises(TypeError, match=r"timeout is .*; it is a number of seconds"):
        api.APIClient("http://test").get("/", timeout=timeout)
