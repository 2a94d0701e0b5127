"""`clientele replay`: recordings in the output of `clientele stream`, and served."""

from __future__ import annotations

import json
import signal
import socket

import httpx2
import pytest
from tests.servers import END, EVENT_STREAM, Connection, answer, asgi_server, chunk, in_turn

from clientele import api, testing
from clientele.cli.recorded_server import RecordedServer
from clientele.testing.replaying import read_recording

BODY = b'event: a\nid: 1\ndata: {"n": 1}\n\nid: 2\ndata: two\n\n'


def recorded(*lines, url="http://test/events", method="GET", headers=None, end="complete", number=1):
    """The lines of an exchange."""
    return [
        {"exchange": number, "request": {"method": method, "url": url, "headers": headers or {}, "body": None}},
        {"exchange": number, "at": 0.0, "response": {"status": 200, "headers": {"content-type": "text/event-stream"}}},
        *({"exchange": number, "at": at, "chunk": chunk} for at, chunk in lines),
        {"exchange": number, "at": lines[-1][0] if lines else 0.0, "end": end},
    ]


@pytest.fixture
def write(tmp_path):
    """Write a recording of these exchanges."""

    def write_file(*exchanges):
        path = tmp_path / "talk.jsonl"
        lines = [{"clientele": "recording", "version": 1}, *(line for exchange in exchanges for line in exchange)]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return path

    return write_file


def test_a_recording_is_played_in_the_same_output(serve, run, tmp_path):
    path = str(tmp_path / "talk.jsonl")
    server = serve(answer(BODY, content_type="text/event-stream"))
    for options in ([], ["--raw"], ["--select", "$.n"], ["--event", "a"], ["--limit", "1"]):
        streamed = run("stream", f"{server.url}/?a={{b}}", "-X", "POST", *options, "--record", path)
        replayed = run("replay", path, *options)

        assert streamed.stdout
        assert (replayed.exit_code, replayed.stdout) == (0, streamed.stdout)


def test_a_recording_is_for_the_kit_too(serve, run, tmp_path):
    path = tmp_path / "talk.jsonl"
    server = serve(answer(BODY, content_type="text/event-stream"))
    run("stream", server.url, "--record", str(path))
    client = api.APIClient()
    with testing.replay(client, path, match=("method", "url")):
        assert [each.id for each in client.stream("GET", server.url, api.ServerSentEvent[str])] == ["1", "2"]


def test_a_recording_that_was_left_ends_where_it_was_left(write, run):
    path = write(recorded((0.0, "data: 1\n\ndata: [1,"), end="left"))
    done = run("replay", str(path))

    assert (done.exit_code, done.data, done.stderr) == (0, [1], "")


def test_all_exchanges_are_played_and_the_last_one_tells_how_it_ended(write, run):
    cut = recorded((0.0, "data: 1\n\n"), end="ReadError: Connection reset by peer")
    path = write(cut, recorded((0.0, "data: 2\n\n"), number=2))
    done = run("replay", str(path))

    assert (done.exit_code, done.data) == (0, [1, 2])
    assert "Connection reset by peer" in done.stderr
    assert run("replay", str(write(cut))).exit_code == 3


def test_speed_divides_the_times(write, run):
    path = write(recorded((0.0, "data: 1\n\n"), (1e6, "data: 2\n\n")))

    assert run("replay", str(path), "--speed", "999999").data == [1, 2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file or directory"),
        ("", "nothing is recorded"),
        ("nonsense\n", "line 1: it is no line of a recording"),
        ('{"clientele": "recording", "version": 2}\n', "version 2"),
    ],
)
def test_a_file_that_is_no_recording_is_told(run, tmp_path, text, problem):
    path = tmp_path / "talk.jsonl"
    if text is not None:
        path.write_text(text)
    done = run("replay", str(path))

    assert (done.exit_code, done.stdout) == (2, b"")
    assert problem in done.stderr


@pytest.mark.parametrize("speed", ["0", "fast", "-1"])
def test_a_speed_is_above_0(write, run, speed):
    assert "no number above 0" in run("replay", str(write(recorded())), "--speed", speed).stderr


def test_a_port_that_is_taken_is_told(write, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("replay", str(write(recorded())), "--serve", str(taken.getsockname()[1]))

    assert done.exit_code == 2
    assert "Address already in use; another program listens there" in done.stderr


def test_a_recording_is_served_until_ctrl_c(write, run, start):
    process = start("replay", str(write(recorded((0.0, "data: 1\n\n")))), "--serve", "0")
    banner = [process.stdout.readline().decode() for _ in range(3)]
    done = run(*banner[2].split()[1:])
    process.send_signal(signal.SIGINT)

    assert banner[0] == "Serving the recording. Press Ctrl-C to stop.\n"
    assert done.data == [1]
    assert (process.wait(timeout=10), process.stderr.read()) == (0, b"")


# Served


@pytest.fixture
def served(write):
    """The URL of a server of these exchanges, which waits for nothing."""
    stack = []

    def serve_exchanges(*exchanges):
        server = asgi_server(RecordedServer(read_recording(write(*exchanges)), 1e9))
        stack.append(server)
        return server.__enter__()

    yield serve_exchanges
    for each in stack:
        each.__exit__(None, None, None)


def test_the_recorded_answer_comes_with_its_chunks_and_headers_for_browsers(served):
    url = served(recorded((0.0, "data: 1\n\n"), (5.0, {"base64": "ZGF0YTogMgoK"})))
    response = httpx2.get(f"{url}/events", headers={"Origin": "http://elsewhere"})

    assert (response.status_code, response.content) == (200, b"data: 1\n\ndata: 2\n\n")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_a_browser_may_ask_first(served):
    url = served(recorded(method="POST"))
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    response = httpx2.options(f"{url}/events", headers={"Origin": "http://elsewhere", **preflight})

    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Methods"] == response.headers["Access-Control-Allow-Headers"] == "*"


def test_what_is_not_recorded_gets_a_list_of_what_is(served):
    url = served(recorded(), recorded(url="http://test/a%20b?c=1", method="POST", number=2))
    unknown, method = httpx2.get(f"{url}/nothing"), httpx2.post(f"{url}/events")

    assert unknown.status_code == 404
    assert unknown.text == "GET /nothing is not recorded. What is recorded:\n  GET /events\n  POST /a%20b?c=1\n"
    assert (method.status_code, method.headers["Allow"]) == (405, "GET")
    assert httpx2.post(f"{url}/a%20b", content=b"x").status_code == 200


def test_the_server_takes_the_recorded_time(write, run):
    path = write(recorded((0.0, "data: 1\n\n"), (3600.0, "data: 2\n\n")))
    with asgi_server(RecordedServer(read_recording(path), 1)) as url:
        assert run("stream", f"{url}/events", "--for", "0.5s").data == [1]


def test_a_recorded_cut_is_a_cut(served, run):
    done = run("stream", served(recorded((0.0, "data: 1\n\n"), end="ReadError: reset")) + "/events")

    assert (done.exit_code, done.data) == (3, [1])


def test_exchanges_of_one_path_take_turns_unless_query_or_event_id_tell_them_apart(served, run):
    url = served(
        recorded((0.0, "data: 1\n\n")),
        recorded((0.0, "data: 2\n\n"), number=2),
        recorded((0.0, "data: 3\n\n"), headers={"Last-Event-ID": "x"}, number=3),
        recorded((0.0, "data: 4\n\n"), url="http://test/events?q=4", number=4),
    )

    def data(path, *options):
        return run("stream", f"{url}{path}", *options).data

    assert [data("/events"), data("/events"), data("/events")] == [[1], [2], [1]]
    assert data("/events", "-H", "Last-Event-ID: x") == [3]
    assert [data("/events?q=4"), data("/events?q=4")] == [[4], [4]]


def test_a_stream_goes_on_behind_the_event_that_the_client_names(served, run):
    url = served(recorded((0.0, "id: 1\ndata: 1\n\nid: 2\nda"), (9.0, "ta: 2\n\nid: 3\ndata: 3\n\n")))

    assert run("stream", f"{url}/events", "-H", "Last-Event-ID: 1").data == [2, 3]
    assert run("stream", f"{url}/events", "-H", "Last-Event-ID: 3").data == []
    assert run("stream", f"{url}/events").data == [1, 2, 3]


def test_what_was_recorded_of_a_reconnecting_stream_is_served_to_one(serve, run, served, tmp_path):
    first = EVENT_STREAM + chunk(b"retry: 1\nid: 1\ndata: 1\n\n")

    async def cut(connection: Connection) -> None:
        await connection.send(first)
        connection.close()

    path = tmp_path / "live.jsonl"
    server = serve(in_turn(cut, EVENT_STREAM + chunk(b"id: 2\ndata: 2\n\ndata: [DONE]\n\n") + END))
    options = ["--reconnect", "--until", "[DONE]"]
    live = run("stream", f"{server.url}/events", *options, "--record", str(path))
    with asgi_server(RecordedServer(read_recording(path), 1e9)) as url:
        again = run("stream", f"{url}/events", *options)

    assert (live.exit_code, live.data) == (again.exit_code, again.data) == (0, [1, 2])
