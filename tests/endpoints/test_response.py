"""How a complete answer is handled."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Annotated, Any, NewType

import httpx2
import pydantic
import pytest
from tests.fakes import client_of
from tests.servers import answer

from clientele import api


class User(pydantic.BaseModel):
    name: str


@dataclasses.dataclass
class Point:
    x: int


Line = NewType("Line", str)
CASES = [
    (User, b'{"name": "x"}', User(name="x")),
    (list[User], b'[{"name": "x"}]', [User(name="x")]),
    (Point, b'{"x": 1}', Point(1)),
    (dict, b'{"a": 1}', {"a": 1}),
    (Any, b"[1]", [1]),
    (int, b"5", 5),
    (User | int, b"5", 5),
    (str, b'"quoted"', '"quoted"'),
    (str, b"", ""),
    (Line, b"text", "text"),
    (Annotated[str, pydantic.StringConstraints(to_upper=True)], b"text", "TEXT"),
    (str | None, b"text", "text"),
    (str | None, b"", None),
    (bytes, b"\x00\xff", b"\x00\xff"),
    (bytes | None, b"", None),
    (None, b"", None),
    (None, b"null", None),
    (User | None, b"", None),
    (User | None, b"null", None),
    (Any, b"", None),
]


@pytest.mark.parametrize(("result_type", "body", "result"), CASES)
def test_the_body_becomes_what_is_declared(side, result_type, body, result):
    client = client_of(body)
    assert side.call(client, result_type) == result


def test_the_response_itself_can_be_asked_for(side):
    client = client_of(b"abc", status=202)
    response = side.call(client, httpx2.Response)
    assert isinstance(response, httpx2.Response)
    assert (response.status_code, response.content) == (202, b"abc")


def test_text_is_decoded_as_the_answer_says(side):
    client = client_of(b"\xfc", "text/plain; charset=latin-1")
    assert side.call(client, str) == "ü"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'\xef\xbb\xbf{"a": "\xc3\xbc"}', "application/json"),
        (b'{"a": "\xfc"}', "application/json; charset=latin-1"),
        ('{"a": "ü"}'.encode(), "application/json; charset=UTF-8"),
    ],
)
def test_json_is_read_in_the_encoding_that_it_is_in(side, body, content_type):
    client = client_of(body, content_type)
    assert side.call(client, dict) == {"a": "ü"}


@pytest.mark.parametrize("body", [b'{"a": "\xfc\\\\ud83d"}', rb'{"a": "\ud83d\\ud83d"}', rb'{"a": "\uDE00\\ud83d"}'])
def test_what_is_no_text_is_replaced_in_json(side, body):
    client = client_of(body)
    assert side.call(client, dict) == {"a": "\ufffd\\ud83d"}


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        ("302 Found", "", "302 Found, a redirect without a Location"),
        ("307 Temporary Redirect", "Location: /x\r\n", "307 Temporary Redirect, a redirect, which the client does not"),
        ("304 Not Modified", "", "304 Not Modified"),
    ],
)
def test_a_redirect_in_place_of_json_is_called_so(side, serve, status, headers, words):
    client = api.APIClient(serve(answer(b"", status=status, headers=headers)).url, follow_redirects=False)
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(client, dict)
    assert f": {words}" in str(caught.value)
    assert side.call(client, httpx2.Response).status_code == caught.value.status_code


def test_decimals_keep_their_digits(side):
    client = client_of(b'{"a": 1.10, "b": 0.12345678901234567890123}')
    assert side.call(client, dict[str, Decimal]) == {"a": Decimal("1.10"), "b": Decimal("0.12345678901234567890123")}


def test_an_event_stream_that_was_not_declared_is_refused_unread(side, serve):
    from tests.servers import EVENT_STREAM, Connection

    async def stream(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        await connection.until_client_closes()

    server = serve(stream)
    with pytest.raises(api.UnexpectedContentType, match="declare the endpoint with streaming_response=True"):
        side.call(api.APIClient(base_url=server.url), dict)
    server.wait_until_closed()


@pytest.mark.parametrize(
    ("result_type", "body", "message"),
    [
        (User, b'{"nam": "x"}', 'is not User: name: Field required: {"nam": "x"}'),
        (User, b"", "Invalid JSON: EOF while parsing a value at line 1 column 0: the body is empty"),
        (User, b"<html>\n", "is not User: Invalid JSON: expected value at line 1 column 1: <html>"),
        (None, b"{}", "is not None: Input should be null: {}"),
        (list[int], b'["x"]', "is not list[int]: 0: Input should be a valid integer"),
    ],
)
def test_a_mismatch_raises_with_the_response_and_pydantics_error(side, result_type, body, message):
    with pytest.raises(api.ResponseValidationError) as caught:
        side.call(client_of(body), result_type)
    error = caught.value
    assert message in str(error)
    assert str(error).startswith("GET http://test/: the answer (status 200) is not ")
    assert error.response.content == body
    assert isinstance(error.validation_error, pydantic.ValidationError)
    assert error.__cause__ is error.validation_error


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Internal Server Error"])
@pytest.mark.parametrize("result_type", [User, str, httpx2.Response, None])
def test_status_400_and_above_raises(status, result_type):
    from tests.sides import Side

    with pytest.raises(api.HTTPStatusError) as caught:
        Side("sync").call(client_of(b"no", "text/plain", status=int(status[:3])), result_type)
    assert caught.value.status_code == int(status[:3])
    assert caught.value.response.text == "no"
    assert str(caught.value) == f"GET http://test/: {status}: no"


def test_redirects_are_followed_unless_said_otherwise(side, serve):
    async def redirect(connection):
        if connection.request.target == "/":
            await connection.send(answer(b"", status="302 Found", headers="Location: /there\r\n"))
        else:
            await connection.send(answer(b"5"))

    server = serve(redirect)
    assert side.call(api.APIClient(base_url=server.url), int) == 5
    response = side.call(api.APIClient(base_url=server.url, follow_redirects=False), httpx2.Response)
    assert response.status_code == 302


def test_an_answer_that_does_not_come_in_time_raises(side, serve):
    from tests.servers import Connection

    server = serve(Connection.until_client_closes)
    with pytest.raises(api.TransportError, match=r"no byte from the server within 0\.05 s") as caught:
        side.call(api.APIClient(base_url=server.url), int, timeout=httpx2.Timeout(5, read=0.05))
    assert isinstance(caught.value.__cause__, httpx2.ReadTimeout)


def test_an_answer_that_breaks_off_raises(side, serve):
    async def break_off(connection):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        connection.close()

    with pytest.raises(api.TransportError, match="the server broke off"):
        side.call(api.APIClient(base_url=serve(break_off).url), int)


def test_a_redirect_to_nowhere_names_where_it_led(side, serve, free_tcp_port):
    target = f"http://127.0.0.1:{free_tcp_port}/there"
    server = serve(answer(b"", status="302 Found", headers=f"Location: {target}\r\n"))
    with pytest.raises(api.TransportError, match=f"GET {target}: could not connect"):
        side.call(api.APIClient(base_url=server.url), int)
