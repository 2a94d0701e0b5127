"""Calls that are tried again, in virtual time: what is sent, when, and what comes of it."""

from __future__ import annotations

import logging
import threading
from typing import Annotated, Any

import anyio
import pytest
from tests.servers import WAIT, answer, in_turn
from tests.sides import RUNNERS

from clientele import api, testing

AT_ONCE = api.Retry(initial_delay=0)
BUSY = answer(b"busy", status="503 Service Unavailable", content_type="text/plain")
JSON = {"Content-Type": "application/json"}
SLOWLY = api.Retry(initial_delay=60, max_delay=600)


@pytest.fixture
def route(fake) -> testing.Route:
    return fake.on("GET", "/")


def busy(route: testing.Route, times: int | None = None) -> testing.Route:
    return route.returns("busy", status=503, headers={"Content-Type": "text/plain"}, times=times)


@pytest.mark.parametrize("failure", ["status", "no answer", "half an answer"])
def test_a_complete_call_is_tried_again(side, fake, route, failure):
    match failure:
        case "status":
            busy(route, 2)
        case "no answer":
            route.raises(testing.connection_reset, times=2)
        case _:
            route.streams(testing.raw(b"5"), testing.cut("close"), headers=JSON, times=2)
    route.returns(5)
    assert side.call(fake.client, int, retry=SLOWLY) == 5
    assert [request.attempt for request in fake.requests] == [1, 2, 3]
    assert fake.clock.elapsed <= 60 + 120


@pytest.mark.parametrize("failure", ["status", "no answer"])
def test_the_opening_of_a_stream_is_tried_again(side, fake, route, failure):
    _ = busy(route, 2) if failure == "status" else route.raises(testing.connection_refused, times=2)
    route.streams(1, 2)
    reading = side.read(fake.client, int, retry=SLOWLY)
    assert (reading.items, reading.error) == ([1, 2], None)
    assert len(fake.requests) == 3


def test_what_follows_the_opening_is_left_to_reconnect(side, fake, route):
    route.streams(1, testing.cut("close"))
    reading = side.read(fake.client, int, retry=SLOWLY)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert len(fake.requests) == 1


def test_with_both_the_first_connection_is_tried_again_and_the_later_ones_reconnect(side, fake, route):
    busy(route, 1).streams(1)
    busy(route, 1).streams(2).returns(status=204)
    reading = side.read(fake.client, int, retry=SLOWLY, reconnect=api.Reconnect())
    assert (reading.items, reading.error) == ([1, 2], None)
    assert reading.stream.reconnects == 2  # and the 204 ended it


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_idempotent_methods_are_tried_again(fake, method):
    route = busy(fake.on(method, "/"))
    with pytest.raises(api.HTTPStatusError, match="503"):
        fake.client.request(method, "/", Any, retry=SLOWLY)
    assert len(route.calls) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
@pytest.mark.parametrize("failure", ["status", "no answer"])
def test_other_methods_are_not(side, fake, method, failure):
    route = fake.on(method, "/")
    _ = busy(route) if failure == "status" else route.raises(testing.connection_reset)
    with pytest.raises(api.APIException) as caught:
        side.call(fake.client, Any, method=method, retry=SLOWLY)
    assert len(route.calls) == 1
    cure = f"{method} is not idempotent; an Idempotency-Key header would allow it"
    assert caught.value.__notes__ == [f"This call was not retried: {cure}."]


def test_an_idempotency_key_lets_any_method_be_tried_again_and_stays_the_same(side, fake):
    busy(fake.on("POST", "/orders"), 1).raises(testing.connection_reset, times=1).returns(5)
    options: dict[str, Any] = {"data": {"item": "tea"}, "headers": {"idempotency-key": "abc"}, "retry": SLOWLY}
    if side.is_sync:
        assert fake.client.request("POST", "/orders", int, **options) == 5
    else:
        assert side.run(lambda: fake.client.arequest("POST", "/orders", int, **options)) == 5
    sent = [(request.headers["Idempotency-Key"], request.body) for request in fake.requests]
    assert sent == [("abc", {"item": "tea"})] * 3


@pytest.mark.parametrize("where", ["parameter", "client"])
def test_the_key_may_be_a_parameter_or_a_header_of_the_client(where):
    client = api.APIClient("http://test", headers={"Idempotency-Key": "abc"} if where == "client" else {}, retry=SLOWLY)

    @client.post("/orders")
    def order(result: int, idempotency_key: Annotated[str | None, api.Header()] = None) -> int:
        return result

    with testing.fake(client) as server:
        busy(server.on(order), 1).returns(5)
        assert order("abc" if where == "parameter" else None) == 5
    assert [request.headers["Idempotency-Key"] for request in server.requests] == ["abc", "abc"]


def test_a_body_that_can_be_sent_once_is_not_sent_twice(fake):
    busy(fake.on("PUT", "/"))
    with pytest.raises(api.HTTPStatusError) as caught:
        fake.client.request("PUT", "/", Any, data=iter([b"a", b"b"]), retry=SLOWLY)
    assert [request.content for request in fake.requests] == [b"ab"]
    assert "can be sent once only" in caught.value.__notes__[0]


def test_a_status_that_response_map_makes_a_result_of_is_one_at_once(fake, route):
    route.returns("busy", status=503)
    assert fake.client.request("GET", "/", int | str, response_map={503: str}, retry=SLOWLY) == "busy"
    assert len(fake.requests) == 1


def test_an_answer_that_does_not_fit_is_not_asked_for_again(side, fake, route):
    route.returns("five")
    with pytest.raises(api.ResponseValidationError):
        side.call(fake.client, int, retry=SLOWLY)
    assert len(fake.requests) == 1


def test_after_the_last_attempt_its_error_tells_how_many_there_were(side, fake, route):
    busy(route.raises(testing.connection_reset, times=2))
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(fake.client, Any, retry=SLOWLY)
    assert str(caught.value) == "GET http://test/: 503 Service Unavailable: busy (the last of 3 attempts)"
    assert caught.value.attempts == 3
    assert caught.value.__context__ is None


def test_a_call_is_tried_once_unless_told_otherwise(side, fake, route):
    busy(route)
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(fake.client, Any)
    assert (len(fake.requests), caught.value.attempts) == (1, 1)


def test_an_endpoint_wins_over_its_client():
    client = api.APIClient("http://test", retry=SLOWLY)
    for options, number in (({}, 3), ({"retry": False}, 1), ({"retry": api.Retry(attempts=2)}, 2)):
        with testing.fake(client) as server:
            busy(server.on("GET", "/"))
            with pytest.raises(api.HTTPStatusError):
                client.request("GET", "/", Any, **options)  # type: ignore[misc]
            assert len(server.requests) == number


def test_true_stands_for_the_defaults(side, fake, route):
    busy(route)
    with pytest.raises(api.HTTPStatusError, match="the last of 3 attempts"):
        side.call(fake.client, int, retry=True)
    assert fake.clock.elapsed <= 0.5 + 1
    assert api.Retry() == api.Retry(attempts=3, initial_delay=0.5, max_delay=8.0, deadline=None, on_retry=None)


def test_retry_after_and_the_deadline_are_kept(side, fake, route):
    route.returns(status=429, headers={"Retry-After": "40"})
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(fake.client, int, retry=api.Retry(attempts=10, deadline=100))
    assert (caught.value.attempts, fake.clock.elapsed) == (3, 80)


def test_what_on_retry_raises_ends_the_call(side, fake, route):
    def stop(attempt: api.RetryAttempt) -> None:
        raise LookupError("no more")

    busy(route)
    with pytest.raises(LookupError):
        side.call(fake.client, int, retry=api.Retry(on_retry=stop))
    assert len(fake.requests) == 1


def test_on_retry_and_the_log_tell_each_attempt(side, caplog):
    attempts: list[api.RetryAttempt] = []
    client = api.APIClient("http://ann:pw@test")
    with testing.fake(client) as server, caplog.at_level(logging.INFO, "clientele"):
        busy(server.on("GET", "/users"), 1).raises(testing.connection_reset, times=1).returns(5)
        policy = api.Retry(initial_delay=60, on_retry=attempts.append)
        assert side.call(client, int, retry=policy, path="/users?key=s3cret") == 5
    url = "http://test/users?key=REDACTED"
    assert [(each.number, each.url) for each in attempts] == [(1, url), (2, url)]
    assert server.clock.elapsed == sum(each.delay for each in attempts)
    assert {each.endpoint.rpartition(".")[2] for each in attempts} <= {"function", "async_function"}
    assert isinstance(attempts[0].cause, api.HTTPStatusError)
    lines = [record.getMessage() for record in caplog.records if record.name == "clientele"]
    first, second = (f"{each.delay:.3g}" for each in attempts)
    assert lines[0] == f"GET {url}: 503 Service Unavailable: busy; retrying in {first} s (attempt 2 of 3)"
    assert lines[1].endswith(f"; retrying in {second} s (attempt 3 of 3)")


def test_a_direct_call_is_named_by_its_method_and_path(fake):
    attempts: list[api.RetryAttempt] = []
    busy(fake.on("GET", "/users"), 1).returns(5)
    assert fake.client.request("GET", "/users", int, retry=api.Retry(on_retry=attempts.append)) == 5
    assert attempts[0].endpoint == "GET /users"


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_cancelled_call_waits_no_longer(serve, run):
    server = serve(in_turn(BUSY))
    waiting = anyio.Event

    async def main() -> None:
        is_waiting = waiting()
        policy = api.Retry(initial_delay=1e6, max_delay=1e6, on_retry=lambda _: is_waiting.set())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: api.APIClient(server.url).arequest("GET", "/", int, retry=policy))
            with anyio.fail_after(WAIT):
                await is_waiting.wait()
            tasks.cancel_scope.cancel()

    run(main)
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", [1, "yes", None, api.Reconnect()])
def test_retry_is_a_bool_or_a_policy(value):
    with pytest.raises(TypeError, match=r"retry is .*True, False or api.Retry"):
        api.APIClient("http://api.example", retry=value)
    client = api.APIClient("http://api.example")
    with pytest.raises(TypeError, match=r"retry is .*True, False or api.Retry"):
        client.get("/", retry=value)


def test_each_thread_counts_its_own_attempts(serve):
    server = serve(in_turn(BUSY))
    client = api.APIClient(server.url, retry=AT_ONCE)
    errors: list[api.HTTPStatusError] = []

    def call() -> None:
        try:
            client.request("GET", "/", int)
        except api.HTTPStatusError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert [error.attempts for error in errors] == [3] * 4
