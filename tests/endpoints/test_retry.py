"""Calls that are tried again, over real sockets: what is sent, and what comes of it."""

from __future__ import annotations

import logging
import re
import threading
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from tests.servers import END, WAIT, Connection, answer, events, in_turn
from tests.sides import RUNNERS

from clientele import api

AT_ONCE = api.Retry(initial_delay=0)
BUSY = answer(b"busy", status="503 Service Unavailable", content_type="text/plain")


def methods(server) -> list[str]:
    return [request.method for request in server.requests]


@pytest.mark.parametrize("failure", [BUSY, None, answer(b"5")[:-1]], ids=["status", "no answer", "half an answer"])
def test_a_complete_call_is_tried_again(side, serve, failure):
    async def fail_twice(connection: Connection) -> None:
        if len(server.requests) > 2:
            await connection.send(answer(b"5"))
            return
        if failure is not None:
            await connection.send(failure)
        if failure is not BUSY:
            connection.close()

    server = serve(fail_twice)
    assert side.call(api.APIClient(server.url), int, retry=AT_ONCE) == 5
    assert len(server.requests) == 3


@pytest.mark.parametrize("failure", [BUSY, None], ids=["status", "no answer"])
def test_the_opening_of_a_stream_is_tried_again(side, serve, failure):
    server = serve(in_turn(failure, failure, events("1", "2")))
    reading = side.read(api.APIClient(server.url), int, retry=AT_ONCE)
    assert (reading.items, reading.error) == ([1, 2], None)
    assert len(server.requests) == 3


def test_what_follows_the_opening_is_left_to_reconnect(side, serve):
    cut = events("1").removesuffix(END)

    async def cut_short(connection: Connection) -> None:
        await connection.send(cut)
        connection.close()

    server = serve(cut_short)
    reading = side.read(api.APIClient(server.url), int, retry=AT_ONCE)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert len(server.requests) == 1


def test_with_both_the_first_connection_is_tried_again_and_the_later_ones_reconnect(side, serve):
    no_content = b"HTTP/1.1 204 No Content\r\n\r\n"
    server = serve(in_turn(BUSY, events("1"), BUSY, events("2"), no_content))
    policy = api.Reconnect(initial_delay=0, max_delay=0)
    reading = side.read(api.APIClient(server.url), int, retry=AT_ONCE, reconnect=policy)
    assert (reading.items, reading.error) == ([1, 2], None)
    assert reading.stream.reconnects == 2  # and the 204 ended it


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_idempotent_methods_are_tried_again(serve, method):
    server = serve(in_turn(BUSY if method != "HEAD" else b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\n"))
    with pytest.raises(api.HTTPStatusError, match="503"):
        api.APIClient(server.url, retry=AT_ONCE).request(method, "/", Any)
    assert methods(server) == [method] * 3


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
@pytest.mark.parametrize("failure", [BUSY, None], ids=["status", "no answer"])
def test_other_methods_are_not(side, serve, method, failure):
    server = serve(in_turn(failure))
    with pytest.raises(api.APIException) as caught:
        side.call(api.APIClient(server.url), Any, method=method, retry=AT_ONCE)
    assert methods(server) == [method]
    cure = f"{method} is not idempotent; an Idempotency-Key header would allow it"
    assert caught.value.__notes__ == [f"This call was not tried again: {cure}."]


def test_an_idempotency_key_lets_any_method_be_tried_again_and_stays_the_same(side, serve):
    server = serve(in_turn(BUSY, None, answer(b"5")))
    client = api.APIClient(server.url)
    options: dict[str, Any] = {"data": {"item": "tea"}, "headers": {"idempotency-key": "abc"}, "retry": AT_ONCE}
    if side.is_sync:
        assert client.request("POST", "/orders", int, **options) == 5
    else:
        assert side.run(lambda: client.arequest("POST", "/orders", int, **options)) == 5
    assert [(request.header("Idempotency-Key"), request.body) for request in server.requests] == [
        ("abc", b'{"item":"tea"}')
    ] * 3


def test_the_key_may_be_a_parameter_or_a_header_of_the_client(serve):
    server = serve(in_turn(BUSY, answer(b"5"), BUSY, answer(b"5")))
    client = api.APIClient(server.url, retry=AT_ONCE)

    @client.post("/orders")
    def order(result: int, idempotency_key: Annotated[str | None, api.Header()] = None) -> int:
        return result

    assert order("abc") == 5
    assert api.APIClient(server.url, headers={"Idempotency-Key": "x"}, retry=AT_ONCE).request("POST", "/", int) == 5
    assert len(server.requests) == 4


def test_a_body_that_can_be_sent_once_is_not_sent_twice(serve):
    server = serve(in_turn(BUSY))
    with pytest.raises(api.HTTPStatusError) as caught:
        api.APIClient(server.url).request("PUT", "/", Any, data=iter([b"a", b"b"]), retry=AT_ONCE)
    assert [request.body for request in server.requests] == [b"ab"]
    assert "can be sent once only" in caught.value.__notes__[0]


def test_a_status_that_response_map_makes_a_result_of_is_one_at_once(serve):
    server = serve(in_turn(answer(b'"busy"', status="503 Busy")))
    client = api.APIClient(server.url)
    assert client.request("GET", "/", int | str, response_map={503: str}, retry=AT_ONCE) == '"busy"'
    assert len(server.requests) == 1


def test_an_answer_that_does_not_fit_is_not_asked_for_again(side, serve):
    server = serve(answer(b'"five"'))
    with pytest.raises(api.ResponseValidationError):
        side.call(api.APIClient(server.url), int, retry=AT_ONCE)
    assert len(server.requests) == 1


def test_after_the_last_attempt_its_error_tells_how_many_there_were(side, serve):
    server = serve(in_turn(None, None, BUSY))
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(api.APIClient(server.url), Any, retry=AT_ONCE)
    assert str(caught.value) == f"GET {server.url}/: 503 Service Unavailable: busy (the last of 3 attempts)"
    assert caught.value.attempts == 3
    assert caught.value.__context__ is None


def test_a_call_is_tried_once_unless_told_otherwise(side, serve):
    server = serve(in_turn(BUSY))
    with pytest.raises(api.HTTPStatusError) as caught:
        side.call(api.APIClient(server.url), Any)
    assert (len(server.requests), caught.value.attempts) == (1, 1)


def test_an_endpoint_wins_over_its_client(serve):
    server = serve(in_turn(BUSY))
    client = api.APIClient(server.url, retry=AT_ONCE)
    for options, number in (({}, 3), ({"retry": False}, 1), ({"retry": api.Retry(attempts=2, initial_delay=0)}, 2)):
        server.requests.clear()
        with pytest.raises(api.HTTPStatusError):
            client.request("GET", "/", Any, **options)  # type: ignore[misc]
        assert len(server.requests) == number


def test_true_stands_for_the_defaults(serve, monkeypatch):
    delays: list[float] = []
    monkeypatch.setattr("clientele.clock.time.sleep", delays.append)
    server = serve(in_turn(BUSY))
    with pytest.raises(api.HTTPStatusError, match="the last of 3 attempts"):
        api.APIClient(server.url).request("GET", "/", int, retry=True)
    assert delays[0] <= 0.5
    assert delays[1] <= 1.0


def test_the_defaults_of_a_retry():
    def decline(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    told: list[api.RetryAttempt] = []

    def stop(attempt: api.RetryAttempt) -> None:
        told.append(attempt)
        raise LookupError("no more")

    client = api.APIClient("http://api.example", transport=httpx2.MockTransport(decline))
    with pytest.raises(LookupError):
        client.request("GET", "/", int, retry=api.Retry(on_retry=stop))
    assert told[0].delay <= 0.5
    assert api.Retry() == api.Retry(attempts=3, initial_delay=0.5, max_delay=8.0, deadline=None, on_retry=None)


def test_on_retry_and_the_log_tell_each_attempt(side, serve, caplog):
    attempts: list[api.RetryAttempt] = []
    server = serve(in_turn(BUSY, None, answer(b"5")))
    client = api.APIClient(server.url.replace("//", "//ann:pw@"))
    with caplog.at_level(logging.INFO, "clientele"):
        policy = api.Retry(initial_delay=0, on_retry=attempts.append)
        assert side.call(client, int, retry=policy, path="/users?key=s3cret") == 5
    url = f"{server.url}/users?key=REDACTED"
    assert [(each.number, each.delay, each.url) for each in attempts] == [(1, 0, url), (2, 0, url)]
    assert {each.endpoint.rpartition(".")[2] for each in attempts} <= {"function", "async_function"}
    assert isinstance(attempts[0].cause, api.HTTPStatusError)
    lines = [record.getMessage() for record in caplog.records if record.name == "clientele"]
    busy = f"GET {url}: 503 Service Unavailable: busy"
    assert lines[0] == f"{busy}; trying again in 0 s (attempt 2 of 3)"
    assert re.search(r"; trying again in 0 s \(attempt 3 of 3\)$", lines[1])


def test_a_direct_call_is_named_by_its_method_and_path(serve):
    attempts: list[api.RetryAttempt] = []
    server = serve(in_turn(BUSY, answer(b"5")))
    policy = api.Retry(initial_delay=0, on_retry=attempts.append)
    assert api.APIClient(server.url).request("GET", "/users", int, retry=policy) == 5
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
