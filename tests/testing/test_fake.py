"""A fake server answers all calls of a client, in virtual time, and tells what was asked."""

from __future__ import annotations

import asyncio
import functools
import io
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx2
import pydantic
import pytest

from clientele import api, testing


class User(pydantic.BaseModel):
    name: str
    full_name: str | None = pydantic.Field(None, alias="fullName")


@pytest.fixture
def client() -> api.APIClient:
    return api.APIClient("http://never.example/v1")


@pytest.fixture
def get_user(client):
    @client.get("/users/{user_id}")
    def get_user(result: User, user_id: int) -> User:
        return result

    return get_user


@pytest.fixture
def server(client) -> Iterator[testing.FakeServer]:
    with testing.fake(client) as server:
        yield server


# What is answered.


def test_an_endpoint_that_is_declared_already_is_answered(client, get_user, server):
    server.on(get_user).returns(User(name="Ann", fullName="Ann Ex"))
    assert get_user(5) == User(name="Ann", fullName="Ann Ex")
    [request] = server.requests
    assert (request.method, str(request.url)) == ("GET", "http://never.example/v1/users/5")
    assert request.endpoint is get_user
    assert server.on(get_user).calls == [request]


@pytest.mark.parametrize(
    ("value", "type_", "result"),
    [
        ({"name": "Ann"}, dict, {"name": "Ann"}),
        ([1, 2], list[int], [1, 2]),
        ("text", str, "text"),
        ("text", Any, "text"),
        (b"bytes", bytes, b"bytes"),
        (b'{"a":1}', dict, {"a": 1}),
        (None, None, None),
        (httpx2.Response(201, json=5), int, 5),
        (lambda request: request.url.path, str, "/v1/"),
        (functools.partial(lambda name, request: {"name": name}, "Ann"), dict, {"name": "Ann"}),
    ],
)
def test_a_value_is_sent_as_the_endpoint_expects_it(side, client, server, value, type_, result):
    server.on("GET", "/").returns(value)
    assert side.call(client, type_) == result


def test_a_secret_of_a_model_is_sent(client, server):
    class Token(pydantic.BaseModel):
        token: pydantic.SecretStr

    server.on("GET", "/").returns(Token(token="hunter2"))
    assert client.request("GET", "/", dict) == {"token": "hunter2"}


def test_answers_are_given_in_turn_and_the_last_one_for_ever(client, server):
    server.on("GET", "/").returns("a").returns("b", times=2).returns("c")
    assert [client.request("GET", "/", str) for _ in range(5)] == ["a", "b", "b", "c", "c"]


def test_a_status_and_headers_are_sent(side, client, server):
    server.on("GET", "/").returns({"detail": "no"}, status=422, headers={"X-Reason": "no"})
    with pytest.raises(api.HTTPStatusError, match="422 Unprocessable") as caught:
        side.call(client, dict)
    assert caught.value.response.headers["X-Reason"] == "no"


def test_an_exception_is_raised(side, client, server):
    server.on("GET", "/").raises(testing.connection_refused(), times=1).raises(testing.connection_reset)
    with pytest.raises(api.TransportError, match="could not connect: connection refused"):
        side.call(client, dict)
    with pytest.raises(api.TransportError, match="the connection was reset"):
        side.call(client, dict)


def test_a_redirect_is_followed_to_another_route(side, client, server):
    server.on("GET", "/").returns(status=307, headers={"Location": "/v1/there"})
    server.on("GET", "/there").returns("here")
    assert side.call(client, str) == "here"
    assert [request.attempt for request in server.requests] == [1, 1]


def test_an_endpoint_that_redirects_is_not_asked_for_where_that_leads(client, get_user, server):
    server.on(get_user).returns(status=302, headers={"Location": "/elsewhere"})
    server.on("GET", "http://never.example/elsewhere").returns(User(name="Ann"))
    assert get_user(5) == User(name="Ann")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/users/{user_id}", "/users/5", True),
        ("users/{user_id}", "/users/a%20b", True),
        ("/users/{user_id}", "/users/5/posts", False),
        ("/repos/{name:path}/issues", "/repos/a/b/issues", True),
        ("/search?q=a", "/search?q=a&page=2", True),
        ("/search?q=a", "/search?q=b", False),
        ("/search", "/search?q=b", True),
        ("/a b", "/a b", True),
        ("http://never.example/v1/users", "/users", True),
        ("http://other.example/users", "/users", False),
    ],
)
def test_a_path_is_matched_below_the_base_url(client, server, pattern, path, matches):
    server.on("GET", pattern).returns("found")
    if matches:
        assert client.request("GET", path, str) == "found"
    else:
        with pytest.raises(testing.UnexpectedRequest):
            client.request("GET", path, str)


def test_the_settings_of_the_client_hold(side):
    seen = []
    hook = {"request": [lambda request: seen.append(request.url.path)]}
    client = api.APIClient("http://h", headers={"X-A": "a"}, params={"p": "1"}, auth=("u", "p"), event_hooks=hook)
    with testing.fake(client) as server:
        server.on("GET", "/").returns(1, headers={"Set-Cookie": "sid=5"})
        side.call(client, int)
        side.call(client, int)
    first, second = server.requests
    assert (first.headers["X-A"], first.query, first.headers["Authorization"][:6]) == ("a", {"p": "1"}, "Basic ")
    assert second.headers["Cookie"] == "sid=5"
    assert seen == ["/", "/"]
    with testing.fake(client) as server:
        server.on("GET", "/").returns(1)
        side.call(client, int)
    assert "Cookie" not in server.requests[0].headers


def test_clients_that_were_handed_over_are_answered_for_too(side):
    sync = httpx2.Client(base_url="http://h/api", headers={"X-A": "a"})
    asynchronous = httpx2.AsyncClient(base_url="http://h/api", headers={"X-A": "a"})
    client = api.APIClient(http_client=sync, async_http_client=asynchronous)
    with testing.fake(client) as server:
        server.on("GET", "/api/users").returns(1)
        assert side.call(client, int, path="/users") == 1
    assert server.requests[0].headers["X-A"] == "a"


# Where it holds.


def test_it_holds_in_all_threads_and_restores_what_was_before(client, get_user, serve):
    found = []
    with testing.fake(client) as outer:
        outer.on(get_user).returns(User(name="outer"))
        with testing.fake(client) as inner:
            inner.on(get_user).returns(User(name="inner"))
            thread = threading.Thread(target=lambda: found.append(get_user(1).name))
            thread.start()
            thread.join()
        found.append(get_user(1).name)
    assert found == ["inner", "outer"]
    assert client._clients.stand_in is None


def test_it_is_entered_asynchronously_and_left_after_an_error(client):
    async def main() -> None:
        async with testing.fake(client) as server:
            server.on("GET", "/").returns(5)
            assert await client.arequest("GET", "/", int) == 5
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert client._clients.stand_in is None


def test_methods_and_wrapped_endpoints_are_known(client, server):
    class Users:
        @client.get("/me")
        def me(self, result: User) -> User:
            return result

    @client.get("/you")
    def you(result: User) -> User:
        return result

    @functools.wraps(you)
    def wrapped() -> User:
        return you()

    users = Users()
    server.on(users.me).returns(User(name="me"))
    server.on(wrapped).returns(User(name="you"))
    assert (users.me().name, wrapped().name) == ("me", "you")
    assert server.on(Users.me) is server.on(users.me)
    assert server.on(you) is server.on(wrapped)


# What was asked.


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"data": "text"}, "text"),
        ({"data": b"\xff"}, b"\xff"),
        ({"data": iter([b"a", b"b"])}, "ab"),
        ({"data": io.BytesIO(b"file")}, "file"),
        ({"form": {"a": ["1", "2"], "b": "3"}}, {"a": ["1", "2"], "b": "3"}),
        ({}, None),
    ],
)
def test_the_body_of_a_request_is_parsed(client, server, options, body):
    server.on("POST", "/").returns(1)
    client.request("POST", "/", int, **options)
    assert server.requests[0].body == body


def test_retries_are_attempts_of_one_call(side, client, server):
    server.on("GET", "/").returns(status=503, headers={"Retry-After": "7"}, times=2).returns(1)
    assert side.call(client, int, retry=True) == 1
    assert [request.attempt for request in server.requests] == [1, 2, 3]
    assert server.clock.elapsed == 14


def test_a_request_that_nothing_answers_says_what_would_have_been(side, client, get_user, server):
    server.on(get_user).returns(User(name="Ann"), times=1)
    get_user(5)
    with pytest.raises(testing.UnexpectedRequest) as caught:
        side.call(client, int, method="POST", path="/users?key=hunter2")
    message = str(caught.value)
    assert message.startswith("a request came, and no route is for it: POST http://never.example/v1/users?key=REDACTED")
    assert "    get_user()\n        returns(User(name='Ann', full_name=None)): given 1 of 1 times\n" in message
    assert "1. GET http://never.example/v1/users/5" in message
    with pytest.raises(testing.UnexpectedRequest, match="its answers are used up: GET http"):
        get_user(5)
    with pytest.raises(testing.UnexpectedRequest, match="not answered: POST"):
        server.assert_all_used()


def test_an_iterator_is_given_once(client, server):
    server.on("GET", "/").streams(iter([1]))
    assert list(client.stream("GET", "/", int)) == [1]
    with pytest.raises(testing.UnexpectedRequest, match="an iterator is given once; pass a function that makes one"):
        client.stream("GET", "/", int)


def test_answers_that_were_not_asked_for_are_told(client, server):
    server.on("GET", "/").returns(1).returns(2)
    server.on("GET", "/other").returns(1, times=2)
    client.request("GET", "/", int)
    client.request("GET", "/other", int)
    with pytest.raises(testing.UnexpectedRequest) as caught:
        server.assert_all_used()
    assert str(caught.value).startswith(
        "not asked for: GET /: returns(2)\nnot asked for: GET /other: returns(1)\nroutes:"
    )
    client.request("GET", "/", int)
    client.request("GET", "/other", int)
    server.assert_all_used()


def test_a_fixture_needs_no_plugin(client, tmp_path):
    script = tmp_path / "test_user.py"
    script.write_text(
        "from clientele import api, testing\n"
        "client = api.APIClient('http://never.example')\n"
        "server = testing.fixture(client)\n"
        "def test_one(server):\n"
        "    server.on('GET', '/').returns(5)\n"
        "    assert client.request('GET', '/', int) == 5\n"
        "def test_two(server):\n"
        "    server.on('GET', '/').returns(5)\n"
    )
    outcome = pytest.main(
        ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(tmp_path), str(script)]
    )
    assert outcome == pytest.ExitCode.TESTS_FAILED


# Mistakes.


def test_mistakes_are_said_at_once(client, server):
    other = api.APIClient("http://other")

    @other.get("/")
    def elsewhere(result: int) -> int:
        return result

    route = server.on("GET", "/")
    for mistake, words in {
        lambda: testing.fake("http://h"): "pass the APIClient",
        lambda: server.on(print): "is no endpoint; pass one, or a method and a path",
        lambda: server.on(elsewhere): "an endpoint of another client",
        lambda: server.on("GET"): "a path belongs to a method",
        lambda: route.returns(1, times=0): "times is 0",
        lambda: route.raises("no"): "it is an exception",
        lambda: route.streams(_asynchronous()): "no asynchronous iterator",
        lambda: testing.wait(-1): "0 or more",
        lambda: testing.cut("off"): "it is one of 'reset'",
        lambda: server.clock.advance(-1): "0 seconds or more",
    }.items():
        with pytest.raises((TypeError, ValueError), match=words):
            mistake()


def test_a_function_of_an_answer_is_a_plain_one(client, server):
    async def answer(request: testing.Request) -> int:
        return 5

    server.on("GET", "/").returns(answer)
    with pytest.raises(TypeError, match="is a plain one, which serves both sides"):
        client.request("GET", "/", int)


class _asynchronous:  # noqa: N801
    def __aiter__(self) -> AsyncIterator[int]: ...


# The network.


def test_nothing_reaches_a_network_that_is_forbidden(side, serve):
    server = serve(b"")
    client = api.APIClient(server.url)
    with testing.forbid_network():
        with pytest.raises(testing.UnexpectedRequest, match=f"GET {server.url}/: the network is forbidden"):
            side.call(client, int)
        with testing.fake(client) as fake:
            fake.on("GET", "/").returns(5)
            assert side.call(client, int) == 5
        mocked = api.APIClient(server.url, transport=httpx2.MockTransport(lambda request: httpx2.Response(200, json=5)))
        assert side.call(mocked, int) == 5
        both = {"http_client": httpx2.Client(), "async_http_client": httpx2.AsyncClient()}
        with pytest.raises(testing.UnexpectedRequest, match="the network is forbidden"):
            side.call(api.APIClient(server.url, **both), int)
    assert server.requests == []


def test_concurrent_tasks_and_threads_are_answered(client, server):
    server.on("GET", "/").returns(lambda request: int(request.query["n"]))

    async def main() -> list[int]:
        found: list[int] = []

        async def ask(n: int) -> None:
            found.append(await client.arequest("GET", "/", int, query={"n": n}))

        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(ask, n)
        return found

    assert sorted(asyncio.run(main())) == list(range(50))
    threads = [
        threading.Thread(target=client.request, args=("GET", "/", int), kwargs={"query": {"n": n}}) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 70


def test_a_function_may_give_an_exception_and_raises_takes_a_class(client, server):
    server.on("GET", "/").returns(lambda request: httpx2.ReadError("by a function"), times=1).raises(
        httpx2.ConnectError
    )
    for words in ("by a function", "ConnectError"):
        with pytest.raises(api.TransportError, match=words):
            client.request("GET", "/", int)


def test_a_request_elsewhere_is_not_below_the_base_url(client, server):
    server.on("GET", "/users").returns(1)
    with pytest.raises(testing.UnexpectedRequest, match=r"no route is for it: GET http://other\.example/users"):
        client.request("GET", "http://other.example/users", int)
