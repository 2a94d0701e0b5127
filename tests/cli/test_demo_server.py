"""`clientele demo-server`: the streams that the documentation's examples read."""

from __future__ import annotations

import httpx2
import pytest
from pydantic import BaseModel

from clientele import api, testing
from clientele.cli.demo_server import DemoServer
from clientele.cli.serving import CutConnection


class Event(BaseModel):
    text: str


@pytest.fixture
def client():
    made = api.APIClient("http://localhost:8000")
    with testing.in_process(made, DemoServer(pause=0)):
        yield made


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_the_events_are_those_of_the_first_example(client, method):
    texts = [each.text for each in client.stream(method, "/events", Event)]

    assert texts == ["the first event", "the second event", "the third event"]


def test_as_many_events_come_as_are_asked_for_and_a_client_goes_on_behind_the_last_one(client):
    kind = api.ServerSentEvent[Event]
    ids = [each.id for each in client.stream("GET", "/events?count=5", kind, headers={"Last-Event-ID": "3"})]

    assert ids == ["4", "5"]


def test_a_stream_that_reconnects_is_told_the_end(client):
    policy = api.Reconnect(initial_delay=0, max_attempts=1)

    assert len(list(client.stream("GET", "/events", Event, reconnect=policy))) == 3


def test_ticks_have_no_end(client):
    with client.stream("GET", "/ticks", api.ServerSentEvent[Event], headers={"Last-Event-ID": "999"}) as ticks:
        assert [next(ticks).id, next(ticks).data.text] == ["1000", "event 1001"]


def test_there_are_lines_of_json_and_of_text(client):
    assert [each["celsius"] for each in client.stream("GET", "/lines", dict)] == [20.5, 20.75, 21.0]
    assert list(client.stream("GET", "/log", str)) == ["build started", "warning: old option", "build done"]


def test_a_chat_is_streamed_or_complete(client):
    def words(chunk):
        return chunk["choices"][0]["delta"]["content"]

    path = "/v1/chat/completions"
    streamed = client.stream("POST", path, dict, data={"stream": True}, until="[DONE]")
    complete = client.request("POST", path, dict, data={"stream": False})

    assert "".join(map(words, streamed)) == complete["choices"][0]["message"]["content"] == "Streams are answers."
    with pytest.raises(api.HTTPStatusError, match="400 Bad Request"):
        client.request("POST", path, dict, data=b"{")


def test_there_are_complete_answers_and_errors(client):
    assert client.request("GET", "/users/1", dict) == {"id": 1, "name": "Ann"}
    with pytest.raises(api.HTTPStatusError, match="there is no user 3"):
        client.request("GET", "/users/3", dict)
    with pytest.raises(api.HTTPStatusError, match="405"):
        client.request("POST", "/users/1", dict)


def test_its_start_page_and_errors_say_what_is_served(client):
    with pytest.raises(api.HTTPStatusError, match="404") as refused:
        client.request("GET", "/nothing", str)
    for text in (client.request("GET", "/", str), refused.value.response.text):
        assert "GET /events " in text
        assert "clientele stream http://localhost:8000/events\n" in text


def test_the_broken_stream_is_cut_within_an_event():
    client = api.APIClient("http://localhost:8000")
    with testing.in_process(client, DemoServer(pause=0)), pytest.raises(CutConnection):
        stream = client.stream("GET", "/broken", Event)
        assert next(stream).text == "whole"
        next(stream)


def test_a_page_of_another_server_may_ask(client):
    headers = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
    response = client.request("OPTIONS", "/v1/chat/completions", httpx2.Response, headers=headers)

    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (204, "*")
