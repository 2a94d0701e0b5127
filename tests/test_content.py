"""Problem details: what a server says in JSON about an error (RFC 9457)."""

from __future__ import annotations

import json
import pickle
from typing import Any

import httpx2
import pytest
from tests.fakes import client_of
from tests.sides import Side

from clientele import api
from clientele.content import problem_details

MEDIA_TYPE = "application/problem+json"
# RFC 9457, section 3
OUT_OF_CREDIT = b"""{
    "type": "https://example.com/probs/out-of-credit",
    "title": "You do not have enough credit.",
    "status": 403,
    "detail": "Your current balance is 30, but that costs 50.",
    "instance": "/account/12345/msgs/abc",
    "balance": 30,
    "accounts": ["/account/12345", "/account/67890"]
}"""
PROBLEM = api.ProblemDetails(
    type="https://example.com/probs/out-of-credit",
    title="You do not have enough credit.",
    status=403,
    detail="Your current balance is 30, but that costs 50.",
    instance="/account/12345/msgs/abc",
    extensions={"balance": 30, "accounts": ["/account/12345", "/account/67890"]},
)


def response(content: bytes, content_type: str | None = MEDIA_TYPE, status: int = 403) -> httpx2.Response:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return httpx2.Response(status, content=content, headers=headers)


@pytest.mark.parametrize(
    "content_type",
    [
        MEDIA_TYPE,
        "Application/Problem+JSON",
        "application/problem+json; charset=utf-8",
        "application/problem+json;charset=UTF-8",
        "application/problem+json ; profile=x",
    ],
)
def test_a_problem_is_read_where_the_content_type_says_so(content_type):
    assert problem_details(response(OUT_OF_CREDIT, content_type)) == PROBLEM


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "application/problem+xml",
        "text/html",
        "application/problem+json-seq",
        "problem+json",
    ],
)
def test_other_content_types_are_no_problem(content_type):
    assert problem_details(response(OUT_OF_CREDIT, content_type)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        OUT_OF_CREDIT[:-1],
        b"[]",
        b'[{"title": "a"}]',
        b'"a"',
        b"5",
        b"null",
        b"<html>",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"status": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_no_problem(content):
    assert problem_details(response(content)) is None


def test_a_problem_of_no_members_is_about_the_status():
    assert problem_details(response(b"{}")) == api.ProblemDetails(type="about:blank")
    assert problem_details(response(b"{}")).extensions == {}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("type", None),
        ("type", 5),
        ("title", ["a"]),
        ("title", {}),
        ("status", "403"),
        ("status", 403.0),
        ("status", True),
        ("status", None),
        ("detail", 5),
        ("detail", False),
        ("instance", {"a": 1}),
    ],
)
def test_a_member_of_the_wrong_type_is_ignored_and_the_others_are_not(member, value):
    # RFC 9457, section 3.1
    members = json.loads(OUT_OF_CREDIT)
    problem = problem_details(response(json.dumps(members | {member: value}).encode()))
    del members[member]
    assert problem == problem_details(response(json.dumps(members).encode()))
    assert problem.extensions == PROBLEM.extensions


def test_extensions_may_be_of_any_type_and_name():
    extensions: dict[str, Any] = {
        "": None,
        "Type": "x",
        "status_code": 5,
        "extensions": {"a": [1, 2.5, True]},
        "ü": "ü",
    }
    problem = problem_details(response(json.dumps(extensions).encode()))
    assert problem == api.ProblemDetails(extensions=extensions)


def test_a_status_that_differs_from_the_answers_own_is_kept():
    # RFC 9457, section 3.1.3: it is advisory; an intermediary may have changed the answer's own.
    assert problem_details(response(b'{"status": 404}', status=502)).status == 404


def test_a_byte_order_mark_is_skipped_as_in_any_other_json():
    assert problem_details(response(b"\xef\xbb\xbf" + OUT_OF_CREDIT)) == PROBLEM


def test_json_is_read_in_the_encoding_that_it_is_in():
    answer = response('{"title": "Zu spät"}'.encode("latin-1"), "application/problem+json; charset=latin-1")
    assert problem_details(answer) == api.ProblemDetails(title="Zu spät")


@pytest.fixture
def client() -> api.APIClient:
    return client_of(OUT_OF_CREDIT, MEDIA_TYPE, status=403)


def test_the_error_of_a_complete_answer_has_it(side, client):
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(client, dict)
    assert caught.value.problem == PROBLEM


def test_the_error_of_a_stream_has_it_beside_what_was_parsed(side, client):
    assert side.read(client, str).error.problem == PROBLEM
    error = side.read(client, str, response_map={403: dict}).error
    assert error.problem == PROBLEM
    assert error.parsed == json.loads(OUT_OF_CREDIT)


def test_an_error_of_another_content_type_has_none(side):
    client = client_of({"title": "a"}, status=403)
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(client, dict)
    assert caught.value.problem is None
    assert side.read(client, str).error.problem is None


def test_it_crosses_process_borders_with_its_error(client):
    with pytest.raises(api.HTTPStatusError) as caught:
        Side("sync").call(client, dict)
    assert pickle.loads(pickle.dumps(caught.value)).problem == PROBLEM


def test_it_is_a_value():
    problem = problem_details(response(OUT_OF_CREDIT))
    assert problem == PROBLEM != problem_details(response(b"{}"))
    with pytest.raises(AttributeError):
        problem.title = "another"
    match problem:
        case api.ProblemDetails(type="https://example.com/probs/out-of-credit", extensions={"balance": balance}):
            assert balance == 30
        case _:
            pytest.fail("it did not match")
