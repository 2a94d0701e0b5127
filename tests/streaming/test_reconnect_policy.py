"""When and how streams reconnect, in virtual time, and when they do not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx2
import pytest

from clientele import api, testing

DAY = 86_400
SLOWLY = api.Reconnect(initial_delay=DAY, max_delay=DAY, max_attempts=3)


def ids_sent(server: testing.FakeServer) -> list[str | None]:
    return [request.headers.get("Last-Event-ID") for request in server.requests]


@pytest.fixture
def numbers() -> testing.Log:
    return testing.Log(range(1, 10))


@pytest.fixture
def route(fake) -> testing.Route:
    return fake.on("GET", "/")


def test_true_stands_for_the_defaults(side, fake, route):
    route.streams(testing.event(1, retry=0)).returns(status=204)
    assert side.read(fake.client, int, reconnect=True).items == [1]
    assert len(fake.requests) == 2


def test_without_it_the_end_of_the_body_is_the_end(side, fake, route, numbers):
    route.streams(numbers[:1]).streams(numbers)
    reading = side.read(fake.client, int)
    assert (reading.items, reading.stream.reconnects, len(fake.requests)) == ([1], 0, 1)


def test_until_ends_the_stream_for_good(side, fake, route, numbers):
    route.streams(numbers[:1]).streams(2, "[DONE]")
    reading = side.read(fake.client, int, reconnect=SLOWLY, until="[DONE]")
    assert (reading.items, reading.error, len(fake.requests)) == ([1, 2], None, 2)


def test_204_ends_the_stream_though_until_was_not_seen(side, fake, route, numbers):
    route.streams(numbers[:1]).returns(status=204)
    reading = side.read(fake.client, int, reconnect=SLOWLY, until="[DONE]")
    assert (reading.items, reading.error, len(fake.requests)) == ([1], None, 2)


def test_a_single_document_is_no_stream_to_take_up_again(side):
    client = api.APIClient("http://test", headers={"Accept": "application/json, text/event-stream"})
    with testing.fake(client) as server:
        server.on("GET", "/").returns(b"5", headers={"Content-Type": "application/json"})
        assert side.read(client, int, reconnect=SLOWLY).items == [5]
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_server_that_is_not_available_is_tried_again(side, fake, route, numbers, status):
    route.streams(numbers[:1]).returns(status=status, times=2).streams(numbers[:2]).returns(status=204)
    assert side.read(fake.client, int, reconnect=SLOWLY).items == [1, 2]
    assert ids_sent(fake) == [None, "1", "1", "1", "2"]
    assert DAY <= fake.clock.elapsed <= 4 * DAY


def test_a_server_that_refuses_is_not(side, fake, route, numbers):
    route.streams(numbers[:1]).returns("gone", status=410)
    reading = side.read(fake.client, int, reconnect=SLOWLY)
    assert reading.items == [1]
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.response.text == "gone"
    (note,) = reading.error.__notes__
    assert note == "This happened when the stream reconnected; items: 1 received, the last event id '1'."
    assert len(fake.requests) == 2


def test_another_content_type_is_not(side, fake, route, numbers):
    route.streams(numbers[:1]).returns("<html>", headers={"Content-Type": "text/html"})
    reading = side.read(fake.client, int, reconnect=SLOWLY)
    assert reading.items == [1]
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert (reading.error.items_received, reading.error.last_event_id) == (1, "1")
    assert len(fake.requests) == 2


@pytest.mark.parametrize("failure", [testing.connection_refused(), None])
def test_the_first_connection_is_not_tried_again(side, fake, route, numbers, failure):
    _ = route.returns(status=503) if failure is None else route.raises(failure)
    reading = side.read(fake.client, int, reconnect=SLOWLY)
    assert isinstance(reading.error, api.TransportError | api.HTTPStatusError)
    assert reading.stream is None
    assert len(fake.requests) == 1


def test_after_so_many_failures_in_a_row_the_stream_says_so(side, fake, route, numbers):
    route.streams(numbers[:2]).returns(status=503, times=1).streams(testing.cut()).raises(testing.connection_refused)
    reading = side.read(fake.client, int, reconnect=SLOWLY)
    assert reading.items == [1, 2]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert (reading.error.attempts, reading.error.items_received, reading.error.last_event_id) == (3, 2, "2")
    assert isinstance(reading.error.__cause__, api.TransportError)
    problem = "after 2 items: 3 attempts in a row to reconnect brought no event, the last: could not connect"
    assert problem in str(reading.error)
    assert str(reading.error).count("http://test") == 1
    assert len(fake.requests) == 4


def test_a_body_that_can_be_sent_once_only_is_refused_at_the_call(fake):
    @fake.client.post("/", streaming_response=True, reconnect=True)
    def stream(data: Iterator[bytes], *, result: Iterator[int]) -> Iterator[int]:
        return result

    with pytest.raises(TypeError, match=r"stream\(\): the body is of type list_iterator and can be sent once only"):
        stream(iter([b"a"]))
    with pytest.raises(TypeError, match="pass bytes, or a file that can be rewound"):
        fake.client.stream("POST", "/", int, data=iter([b"a"]), reconnect=True)
    assert fake.requests == []


def test_auth_is_worked_out_anew_each_time(side, numbers):
    class Fresh(httpx2.Auth):
        number = 0

        def auth_flow(self, request):
            self.number += 1
            request.headers["Authorization"] = f"Bearer {self.number}"
            yield request

    client = api.APIClient("http://test", auth=Fresh())
    with testing.fake(client) as server:
        server.on("GET", "/").streams(numbers[:1]).returns(status=204)
        assert side.read(client, int, reconnect=SLOWLY).items == [1]
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer 1", "Bearer 2"]


def test_on_reconnect_and_the_log_tell_each_attempt(side, fake, route, numbers, caplog):
    attempts: list[api.ReconnectAttempt] = []
    policy = api.Reconnect(initial_delay=5, max_delay=10, max_attempts=5, on_reconnect=attempts.append)
    route.streams(numbers[:2], testing.cut()).returns(status=503).streams(numbers[:3]).returns(status=204)
    with caplog.at_level(logging.INFO, "clientele"):
        assert side.read(fake.client, int, reconnect=policy).items == [1, 2, 3]
    told = [(each.number, each.last_event_id, type(each.cause)) for each in attempts]
    assert told == [(1, "2", api.StreamInterrupted), (2, "2", api.HTTPStatusError), (1, "3", api.StreamInterrupted)]
    assert [attempts[0].delay, attempts[2].delay] == [5, 5]
    assert fake.clock.elapsed == sum(each.delay for each in attempts)
    assert {each.url for each in attempts} == {"http://test/"}
    assert {each.endpoint.rpartition(".")[2] for each in attempts} <= {"stream", "async_stream"}
    lines = [record.getMessage() for record in caplog.records if record.name == "clientele"]
    assert len(lines) == 5
    when = f"in {attempts[1].delay:.3g} s (attempt 2 of 5), from event '2' on"
    assert lines[1] == f"GET http://test/: 503 Service Unavailable; reconnecting {when}"
    assert lines[2] == "GET http://test/: reconnected, with status 200"
    assert lines[3].startswith("GET http://test/: the server ended the stream after 3 items; reconnecting in")
    assert lines[4] == "GET http://test/: reconnected, with status 204"


def test_the_servers_retry_sets_the_wait(side, fake, route):
    attempts: list[api.ReconnectAttempt] = []
    route.streams(testing.event(1, retry=2500)).streams(2).returns(status=204)
    policy = api.Reconnect(on_reconnect=attempts.append)
    assert side.read(fake.client, int, reconnect=policy).items == [1, 2]
    assert [each.delay for each in attempts] == [2.5, 2.5]
    assert fake.clock.elapsed == 5


def test_what_on_reconnect_raises_ends_the_stream(side, fake, route):
    def stop(attempt: api.ReconnectAttempt) -> None:
        raise LookupError("no more")

    route.streams(1)
    reading = side.read(fake.client, int, reconnect=api.Reconnect(on_reconnect=stop))
    assert reading.items == [1]
    assert isinstance(reading.error, LookupError)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("exception", [StopIteration, StopAsyncIteration])
def test_on_reconnect_cannot_end_a_stream_in_silence(side, fake, route, exception):
    def stop(attempt: api.ReconnectAttempt) -> None:
        raise exception

    route.streams(1)
    reading = side.read(fake.client, int, reconnect=api.Reconnect(on_reconnect=stop))
    assert isinstance(reading.error, RuntimeError)


def test_an_id_that_was_reset_is_not_sent(side, fake, route):
    route.streams(testing.event(1, id=1), testing.event(2, id="")).returns(status=204)
    assert side.read(fake.client, int, reconnect=SLOWLY).items == [1, 2]
    assert ids_sent(fake) == [None, None]


def test_the_id_lasts_from_one_connection_to_the_next(side, fake, route):
    route.streams(testing.event(7, id=7)).streams(8).returns(status=204)
    reading = side.read(fake.client, api.ServerSentEvent[int], reconnect=SLOWLY)
    assert [event.id for event in reading.items] == ["7", "7"]
    assert ids_sent(fake) == [None, "7", "7"]


@pytest.mark.parametrize("stream_format", ["sse", "jsonl"])
def test_the_id_that_a_call_names_is_sent_again_until_the_stream_has_one(side, stream_format):
    client = api.APIClient("http://test", headers={"Last-Event-ID": "5"})
    with testing.fake(client) as server:
        server.on("GET", "/").streams(1).streams(testing.event(9, id=9)).returns(status=204)
        reading = side.read(client, int, reconnect=SLOWLY, stream_format=stream_format)
    assert reading.items == [1, 9]
    assert ids_sent(server) == ["5", "5", "9" if stream_format == "sse" else "5"]


def test_counts_go_on_through_all_connections(side, fake, route, numbers):
    route.streams(numbers[:2]).streams(3, "no")
    reading = side.read(fake.client, int, reconnect=SLOWLY)
    assert isinstance(reading.error, api.StreamDecodeError)
    assert reading.error.items_received == 3
    assert "event 4 of the stream is not int" in str(reading.error)
