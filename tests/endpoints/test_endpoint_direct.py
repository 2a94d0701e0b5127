"""Calls without a declaration: `request`, `stream` and their asynchronous twins."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pydantic
import pytest
from tests.fakes import Recorder, client_of, stream_of
from tests.servers import EVENT_STREAM, answer, chunk, events
from tests.sides import RUNNERS

from clientele import api


class User(pydantic.BaseModel):
    name: str


class NotFound(pydantic.BaseModel):
    detail: str


def request(side, client, *args, **options):
    """Call `request` or `arequest`."""
    if side.is_sync:
        return client.request(*args, **options)
    return side.run(lambda: client.arequest(*args, **options))


def read(side, client, *args, **options):
    """Read a stream of `stream` or `astream` to its end, within its `with`."""
    if side.is_sync:
        with client.stream(*args, **options) as stream:
            return list(stream)

    async def main():
        async with client.astream(*args, **options) as stream:
            return [item async for item in stream]

    return side.run(main)


def test_a_request_sends_what_the_call_says_and_gives_the_type_that_it_names(side):
    recorder = Recorder(b'{"name": "Ann"}')
    user = request(
        side,
        recorder.client,
        "put",
        "/users/{user_id}/{name}?full=1",
        User,
        data=User(name="Ann"),
        query={"tag": ["a", "b"]},
        headers={"X-One": "1"},
        path_params={"user_id": 5, "name": "a/b"},
    )
    assert user == User(name="Ann")
    (received,) = recorder.requests
    assert (received.method, recorder.target) == ("PUT", "/users/5/a%2Fb?full=1&tag=a&tag=b")
    assert received.headers["X-One"] == "1"
    assert received.headers["Content-Type"] == "application/json"
    assert received.body == {"name": "Ann"}


@pytest.mark.parametrize(
    ("type_", "result"),
    [
        (list[User] | User, User(name="Ann")),
        (dict[str, str], {"name": "Ann"}),
        (str, '{"name": "Ann"}'),
        (bytes, b'{"name": "Ann"}'),
        (Any, {"name": "Ann"}),
    ],
)
def test_a_request_takes_every_type_that_a_result_takes(side, type_, result):
    assert request(side, client_of(b'{"name": "Ann"}'), "GET", "/", type_) == result


def test_a_request_can_give_the_response_itself(side, serve):
    server = serve(answer(b"5", headers="X-One: 1\r\n"))
    assert request(side, api.APIClient(base_url=server.url), "GET", "/", httpx2.Response).headers["X-One"] == "1"


def test_the_status_of_a_request_may_decide_the_type(side):
    client = client_of(b'{"detail": "none"}', status=404)
    result = request(side, client, "GET", "/", User | NotFound, response_map={404: NotFound})
    assert result == NotFound(detail="none")
    with pytest.raises(api.HTTPStatusError):
        request(side, client, "GET", "/", User)


def test_a_request_may_have_a_parser_and_a_timeout(side):
    client = client_of(b"5")
    assert request(side, client, "GET", "/", int, response_parser=lambda response: len(response.text), timeout=5) == 1


def test_a_stream_yields_the_type_that_the_call_names(side):
    recorder = Recorder(b'data: {"name": "Ann"}\n\ndata: {"name": "Bob"}\n\n', "text/event-stream")
    users = read(side, recorder.client, "POST", "/events", User, data={"a": 1}, query={"page": 2})
    assert users == [User(name="Ann"), User(name="Bob")]
    (received,) = recorder.requests
    assert (received.method, recorder.target, received.content) == ("POST", "/events?page=2", b'{"a":1}')
    assert received.headers["Accept"] == "text/event-stream"


def test_a_stream_takes_the_options_of_an_endpoint(side):
    items = read(
        side,
        stream_of(b"event: a\ndata: 1\n\nevent: b\ndata: x\n\ndata: [DONE]\n\n"),
        "GET",
        "/",
        int | str,
        event_map={"a": int, "b": str},
        until="[DONE]",
        idle_timeout=5,
        max_event_size=100,
    )
    assert items == [1, "x"]


def test_leaving_the_with_closes_the_stream(side, serve):
    async def endless(connection):
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
        await connection.until_client_closes()

    server = serve(endless)
    client = api.APIClient(base_url=server.url)
    if side.is_sync:
        with client.stream("GET", "/", int) as stream:
            assert next(stream) == 1
        assert isinstance(stream, api.Stream)
        assert list(stream) == []
        server.wait_until_closed()
        return

    async def main():
        async with client.astream("GET", "/", int) as stream:
            assert await anext(stream) == 1
        assert isinstance(stream, api.AsyncStream)
        assert [item async for item in stream] == []
        server.wait_until_closed()

    side.run(main)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_an_asynchronous_stream_can_be_awaited_too(run, serve):
    server = serve(events("1", "2"))

    async def main():
        stream = await api.APIClient(base_url=server.url).astream("GET", "/", int)
        return [item async for item in stream]

    assert run(main) == [1, 2]


@pytest.mark.parametrize("status", [404, 500])
def test_the_errors_of_a_stream_raise_where_it_is_opened(side, status):
    with pytest.raises(api.HTTPStatusError) as caught:
        read(side, client_of(b'{"detail": "none"}', status=status), "GET", "/", User, response_map={404: NotFound})
    assert caught.value.parsed == (NotFound(detail="none") if caught.value.status_code == 404 else None)


client = api.APIClient(base_url="http://test", transport=httpx2.MockTransport(lambda request: pytest.fail("sent")))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: client.request("GET", "/users/{user_id}", User), "placeholders are ['user_id']"),
        (lambda: client.request("GET", "/", User, path_params={"a": 1}), "path_params names ['a']"),
        (lambda: client.request("GET", "/", User, data=5), "parameter 'data' is a body"),
        (lambda: client.request("GET", "/", User, until="[DONE]"), "until is for streams, which client.stream and"),
        (lambda: client.request("GET", "/", User, params={}), "did you mean query?"),
        (lambda: client.request("GET", "/", User, json={}), "did you mean data?"),
        (
            lambda: client.stream("GET", "/", User, event_map={"a": 3}),
            "event_map has 3 at 'a': Pydantic cannot handle 3",
        ),
        (lambda: client.request("GET", "/", Iterator[User]), "Iterator[User] is a stream"),
        (lambda: client.stream("GET", "/", User, streaming_response=True), "unexpected options: streaming_response"),
        (lambda: client.stream("GET", "/", Iterator[User]), "with the items' type"),
        (lambda: client.astream("GET", "/", AsyncIterator[User]), "with the items' type"),
        (lambda: client.stream("HEAD", "/", User), "the answer to HEAD requests is no stream"),
        (lambda: client.stream("GET", "/", api.Comment), "Comment alone"),
        (lambda: client.request("GET", "/", User, response_map={404: NotFound}), "response_map makes NotFound"),
        (lambda: client.request("GET", "/", object()), "Pydantic cannot handle"),
        (lambda: client.request("GET", "/", User, query=5), "argument 'query' cannot be sent"),
        (lambda: client.request("GET", "/", "User"), "'User' is the name of a type; pass the type itself"),
        (lambda: client.request("GET", "/{a}", User, path_params=[("a", 1)]), "path_params is [('a', 1)]"),
        (lambda: client.request("GET", "/", User, headerz={}), "did you mean headers?"),
        (lambda: client.request("GET", "/", User, stream=True), "client.stream and client.astream open streams"),
        (lambda: client.request("GET", "/", User, max_retries=3), "did you mean retry?"),
        (lambda: client.request("GET", "/", User, auth=("ann", "pw")), "auth is given to APIClient"),
    ],
)
def test_what_does_not_go_together_is_a_type_error_that_names_the_call(call, message):
    with pytest.raises(TypeError, match=rf"^(GET|HEAD) /.*{re.escape(message)}"):
        call()


@pytest.mark.parametrize("method", [5, None, "/users", "GET /", "GÉT", "GET\r\nX-Evil: 1", ""])
def test_what_is_no_method_is_refused(method):
    with pytest.raises(TypeError, match="the method comes first"):
        client.request(method, "GET", User)
    with pytest.raises(TypeError, match="the method comes first"):
        client.endpoint(method, "/")


def test_a_stream_is_opened_once(serve):
    server = serve(events("1"))

    async def main():
        pending = api.APIClient(base_url=server.url).astream("GET", "/", int)
        async with pending as stream:
            assert [item async for item in stream] == [1]
        with pytest.raises(RuntimeError, match="opened before"):
            async with pending:
                pass

    RUNNERS["asyncio"](main)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: client.request("GET", "/{", User), "'{'"),
        (lambda: client.request("GET", "/{a}", User, path_params={"a": ".."}), "would lead to another path"),
        (lambda: client.request("GET", "/{a}", User, path_params={"a": None}), "is None"),
        (lambda: client.request("GET", "/", User, headers={"X-A": "a\r\nb"}), "has a CR in it"),
        (lambda: client.stream("GET", "/", User, idle_timeout=0), "idle_timeout is 0"),
        (lambda: client.stream("GET", "/", User, stream_format="xml"), "stream_format is 'xml'"),
    ],
)
def test_what_cannot_be_sent_is_a_value_error_that_names_the_call(call, message):
    with pytest.raises(ValueError, match=rf"^GET /.*{re.escape(message)}"):
        call()
