"""`clientele stream`: what it sends, what it shows, and how it ends."""

from __future__ import annotations

import json
import os
import re

import pytest
from tests.listeners import tls_server
from tests.servers import END, EVENT_STREAM, Connection, answer, chunk, events, in_turn

from clientele.cli.display import PipeDisplay

URLENCODED = "application/x-www-form-urlencoded"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


async def quiet(connection: Connection) -> None:
    """Send one event, and then nothing more."""
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
    await connection.until_client_closes()


@pytest.mark.parametrize(
    ("content_type", "body", "shown"),
    [
        ("text/event-stream", b'data: {"a": 1}\n\n', [{"a": 1}]),
        ("text/event-stream; charset=utf-8", b"data: Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x91\x8b\n\n", ["Grüße 👋"]),
        ("application/x-ndjson", b'{"a": 1}\n[2]\n', [{"a": 1}, [2]]),
        ("application/json-seq", b'\x1e{"a": 1}\n\x1e2\n', [{"a": 1}, 2]),
        ("application/json", b'[{"a": 1},\n {"a":\n2}]', [{"a": 1}, {"a": 2}]),
        ("application/json", b'{"a": 1}', [{"a": 1}]),
        ("application/vnd.api+json", b'{"a": 1}', [{"a": 1}]),
        ("text/plain", b'one\n{"two": 2}\n', ["one", {"two": 2}]),
        ("audio/pcm", b"\x00\xff", [{"base64": "AP8="}]),
    ],
)
def test_the_content_type_says_how_a_stream_is_read(serve, run, content_type, body, shown):
    done = run("stream", serve(answer(body, content_type=content_type)).url)

    assert (done.exit_code, done.data, done.stderr) == (0, shown, "")


def test_the_format_can_be_said(serve, run):
    done = run("stream", serve(answer(b"data: 1\n\n", content_type="text/html")).url, "--format", "sse")

    assert done.items == [{"data": 1, "event": "message", "id": None, "retry": None}]


def test_an_item_has_the_event_with_its_name_id_and_reconnection_time(serve, run):
    body = b'id: 7\nevent: token\nretry: 500\ndata: {"a":\ndata: 1}\n\ndata: more\n\n'
    done = run("stream", serve(answer(body, content_type="text/event-stream")).url)

    assert done.items == [
        {"data": {"a": 1}, "event": "token", "id": "7", "retry": 500},
        {"data": "more", "event": "message", "id": "7", "retry": None},
    ]


def test_a_format_without_events_has_no_names(serve, run):
    done = run("stream", serve(answer(b"1\n", content_type="application/x-ndjson")).url)

    assert done.items == [{"data": 1, "event": None, "id": None, "retry": None}]


def test_numbers_keep_their_digits(serve, run):
    done = run("stream", serve(events('{"price": 1.10, "big": 123456789012345678901234567890}')).url)

    assert b'{"price": 1.10, "big": 123456789012345678901234567890}' in done.stdout


@pytest.mark.parametrize("text", ["NaN", "1e999", "[" * 100_000, '{"a": "\ud800"}'.encode("utf-8", "replace").decode()])
def test_what_is_no_json_is_text_in_each_line(serve, run, text):
    done = run("stream", serve(events(text, "1")).url)

    assert (done.exit_code, len(done.items), done.data[-1]) == (0, 2, 1)


def test_raw_is_the_bare_data(serve, run):
    done = run("stream", serve(events('{"a":  1}', "plain text")).url, "--raw")

    assert done.stdout == b'{"a":  1}\nplain text\n'


def test_raw_bytes_are_those_that_came(serve, run):
    done = run("stream", serve(answer(b"\x00\n\xff", content_type="audio/pcm")).url, "--raw")

    assert done.stdout == b"\x00\n\xff"


def test_what_a_terminal_obeys_is_escaped_on_a_pipe_too(serve, run):
    hostile = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202e"
    body = f"event: {hostile}\nid: {hostile}\ndata: {hostile}\n\ndata: {json.dumps([hostile], ensure_ascii=False)}\n\n"
    done = run("stream", serve(answer(body.encode(), content_type="text/event-stream")).url)

    assert done.data[0] == hostile
    assert not CONTROL.search(done.stdout.decode().replace("\n", ""))


def test_an_error_of_a_hostile_server_is_escaped(serve, run):
    hostile = answer("no \x1b[31m\u202e".encode(), status="404 Not Found", content_type="text/plain")
    done = run("stream", serve(hostile).url)

    assert (done.exit_code, done.stdout) == (4, b"")
    assert "404 Not Found: no" in done.stderr
    assert not CONTROL.search(done.stderr)


# How it ends


def test_until_names_the_event_that_ends_the_stream(serve, run):
    async def endless(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\ndata: [DONE]\n\n"))
        await connection.until_client_closes()

    done = run("stream", serve(endless).url, "--until", "[DONE]")

    assert (done.exit_code, done.data) == (0, [1])


def test_a_stream_that_ends_without_its_terminator_was_cut(serve, run):
    done = run("stream", serve(events("1")).url, "--until", "[DONE]")

    assert (done.exit_code, done.data) == (3, [1])
    assert "--until '[DONE]'" in done.stderr


def test_a_stream_that_breaks_off_was_cut(serve, run):
    async def broken(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\ndata: 2"))
        connection.close()

    done = run("stream", serve(broken).url)

    assert (done.exit_code, done.data) == (3, [1])
    assert "cut short after 1 item" in done.stderr


def test_a_stream_that_is_silent_for_too_long_was_cut(serve, run):
    done = run("stream", serve(quiet).url, "--idle-timeout", "50ms")

    assert (done.exit_code, done.data) == (3, [1])
    assert "--idle-timeout" in done.stderr


def test_limit_ends_a_stream_that_goes_on(serve, run):
    server = serve(quiet)
    done = run("stream", server.url, "--limit", "1")

    assert (done.exit_code, done.data) == (0, [1])
    server.wait_until_closed()


def test_for_ends_a_quiet_stream(serve, run):
    server = serve(quiet)
    done = run("stream", server.url, "--for", "0.3s")

    assert (done.exit_code, done.data, done.stderr) == (0, [1], "")
    server.wait_until_closed()


def test_for_ends_a_server_that_does_not_answer(serve, run):
    done = run("stream", serve(lambda connection: connection.until_client_closes()).url, "--for", "50ms")

    assert (done.exit_code, done.stdout, done.stderr) == (0, b"", "")


@pytest.mark.parametrize(
    ("status", "code"), [("401 Unauthorized", 4), ("404 Not Found", 4), ("500 Internal Server Error", 4), ("200 OK", 5)]
)
def test_a_status_of_400_and_above_is_a_refusal_and_another_content_type_invalid(serve, run, status, code):
    done = run("stream", serve(answer(b"<h1>", status=status, content_type="text/html")).url)

    assert (done.exit_code, done.stdout) == (code, b"")
    assert "<h1>" in done.stderr


def test_an_unknown_content_type_is_told_with_the_cure(serve, run):
    done = run("stream", serve(answer(b"<h1>", content_type="text/html")).url)

    assert "'text/html', which is no stream's: <h1>; say its format: --format sse, jsonl" in done.stderr


def test_an_event_stream_by_the_name_of_text_is_told_with_the_cure(serve, run):
    done = run("stream", serve(answer(b"data: 1\n\n", content_type="text/plain")).url)

    assert done.exit_code == 5
    assert "--format sse" in done.stderr


def test_no_connection_is_a_refusal(run):
    done = run("stream", "127.0.0.1:1/events")

    assert done.exit_code == 4
    assert "could not connect" in done.stderr


def test_a_redirect_that_leads_nowhere_is_told(serve, run):
    done = run("stream", serve(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").url)

    assert (done.exit_code, "a redirect without a Location" in done.stderr) == (5, True)


def test_an_event_that_is_too_large_is_told(serve, run):
    done = run("stream", serve(events("1", "x" * 100)).url, "--max-event-size", "99")

    assert (done.exit_code, done.data) == (5, [1])
    assert "larger than --max-event-size, 99 bytes; if events may be that large, say a larger --max" in done.stderr


def test_status_204_is_the_end(serve, run):
    done = run("stream", serve(b"HTTP/1.1 204 No Content\r\n\r\n").url)

    assert (done.exit_code, done.stdout) == (0, b"")


def test_a_reader_that_goes_away_ends_the_stream(serve, run, monkeypatch, tmp_path):
    def show(self, item, gap, number):
        if number == 2:
            raise BrokenPipeError

    monkeypatch.setattr(PipeDisplay, "show", show)
    cursor = tmp_path / "cursor"
    body = b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n"
    done = run("stream", serve(answer(body, content_type="text/event-stream")).url, "--cursor", str(cursor))

    assert (done.exit_code, done.stderr) == (0, "")
    assert cursor.read_text() == "1\n"  # the second was not shown


# What is shown


def test_event_shows_events_of_these_names_alone(serve, run):
    body = b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\nevent: c\ndata: 4\n\n"
    server = serve(answer(body, content_type="text/event-stream"))

    assert run("stream", server.url, "--event", "a", "--event", "c").data == [1, 4]


def test_event_needs_a_format_that_has_names(serve, run):
    done = run("stream", serve(answer(b"1\n", content_type="application/x-ndjson")).url, "--event", "a")

    assert (done.exit_code, done.stdout) == (5, b"")
    assert "leave --event out" in done.stderr


def test_each_selected_part_is_an_item(serve, run):
    server = serve(
        events('{"choices": [{"d": "Hel"}, {"d": "lo"}]}', "[DONE]", '{"choices": []}', '{"choices": [{"d": 1}]}')
    )

    assert run("stream", server.url, "--select", "$.choices[*].d").data == ["Hel", "lo", 1]
    assert run("stream", server.url, "--select", "$.choices[?@.d == 'lo'].d", "--raw").stdout == b"lo\n"
    assert run("stream", server.url, "--select", "$.choices[*].d", "--limit", "1").data == ["Hel"]


def test_what_does_not_fit_the_type_is_told_and_the_stream_goes_on(serve, run, monkeypatch, tmp_path):
    (tmp_path / "models_of_test_type.py").write_text(
        "import pydantic\n"
        "class Token(pydantic.BaseModel):\n"
        "    text: str\n"
        "    class Inner(pydantic.BaseModel):\n"
        "        a: int\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in __import__("sys").path if each])
    server = serve(events('{"text": "a"}', '{"txt": "b"}', "", '{"text": "c"}'))
    done = run("stream", server.url, "--type", "models_of_test_type:Token")

    assert (done.exit_code, done.data) == (5, [{"text": "a"}, {"text": "c"}])
    assert done.stderr == 'clientele stream: event 2 of the stream is not Token: text: Field required: {"txt": "b"}'
    assert run("stream", server.url, "--type", "models_of_test_type:Token.Inner").data == []


def test_a_line_that_is_no_json_is_told_and_the_stream_goes_on(serve, run):
    done = run("stream", serve(answer(b"1\nnope\n3\n", content_type="application/x-ndjson")).url)

    assert (done.exit_code, done.data) == (5, [1, 3])
    assert "event 2 of the stream is not JSON" in done.stderr


def test_a_text_of_a_sequence_that_is_cut_is_told_and_the_stream_goes_on(serve, run):
    done = run("stream", serve(answer(b'\x1e1\n\x1e{"a\n\x1e3\n', content_type="application/json-seq")).url)

    assert (done.exit_code, done.data) == (5, [1, 3])


def test_what_cannot_be_searched_is_told_and_the_stream_goes_on(serve, run):
    done = run("stream", serve(events("[" * 500 + "]" * 500, '{"a": 1}')).url, "--select", "$..a")

    assert (done.exit_code, done.data) == (5, [1])
    assert "event 1 of the stream cannot be searched" in done.stderr


def test_rate_is_told_at_the_end(serve, run):
    done = run("stream", serve(events("1", "2")).url, "--rate")

    line = r"2 items in \S+ s, \S+ items/s, \S+ k?M?B/s \(18 B\), first item after \S+ s, longest gap \S+ s"
    assert re.fullmatch(f"clientele stream: {line}", done.stderr)


# What is sent


@pytest.mark.parametrize(
    ("arguments", "method", "content_type", "body"),
    [
        ([], "GET", None, b""),
        (["-X", "delete"], "DELETE", None, b""),
        (["-d", '{"a": 1}'], "POST", "application/json", b'{"a": 1}'),
        (["-d", "a=1&b=2"], "POST", URLENCODED, b"a=1&b=2"),
        (["-d", "how are you?"], "POST", "text/plain; charset=utf-8", b"how are you?"),
        (["-d", "@body.bin"], "POST", "application/octet-stream", b"\xff\x00"),
        (["-d", "-", "-X", "PUT"], "PUT", "application/json", b"[1]"),
        (["-d", "[]", "-H", "content-type: text/csv"], "POST", "text/csv", b"[]"),
        (["--json", "{}"], "POST", "application/json", b"{}"),
        (["--json", "-"], "POST", "application/json", b"[1]"),
        (
            ["--form", "a=1", "--form", "b=x y", "--form", "a=2"],
            "POST",
            "application/x-www-form-urlencoded",
            b"a=1&a=2&b=x+y",
        ),
    ],
)
def test_a_body_has_its_method_and_content_type(
    serve, run, monkeypatch, tmp_path, arguments, method, content_type, body
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.bin").write_bytes(b"\xff\x00")
    server = serve(events("1"))
    done = run("stream", server.url, *arguments, stdin=b"[1]")
    [request] = server.requests

    assert done.data == [1]
    assert (request.method, request.header("Content-Type"), request.body) == (method, content_type, body)


def test_a_form_uploads_files(serve, run, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    server = serve(events("1"))
    run("stream", server.url, "--form", "title=x", "--form", f"file=@{file}")
    [request] = server.requests

    assert (request.header("Content-Type") or "").startswith("multipart/form-data")
    assert b'filename="notes.txt"' in request.body
    assert b"hello" in request.body


def test_headers_are_sent_and_may_stand_twice(serve, run):
    server = serve(events("1"))
    run("stream", server.url, "-H", "X-One: a:b", "-H", "x-two:1", "-H", "X-Two: 2", "-H", "Accept: text/event-stream")
    [request] = server.requests

    assert (request.header("X-One"), request.header("X-Two")) == ("a:b", "1, 2")
    assert request.header("Accept") == "text/event-stream"


def test_every_format_is_asked_for(serve, run):
    server = serve(events("1"))
    run("stream", server.url + "/a?b={c}")
    [request] = server.requests

    assert (request.header("Accept") or "").startswith("text/event-stream, application/x-ndjson")
    assert request.target == "/a?b=%7Bc%7D"


def test_a_bearer_token_is_sent_and_shown_nowhere(serve, run, tmp_path):
    token = "t0k/n+very=secret"

    async def echo(connection: Connection) -> None:
        assert connection.request.header("Authorization") == f"Bearer {token}"
        if connection.request.target == "/error":
            await connection.send(
                answer(f"bad token {token}".encode(), status="403 Forbidden", content_type="text/plain")
            )
        else:
            await connection.send(events(f"you are {token}", json.dumps({"echo": token})))

    server, recording = serve(echo), tmp_path / "talk.jsonl"
    done = run("stream", f"{server.url}/", "--bearer-env", "API_TOKEN", "--record", str(recording), API_TOKEN=token)
    refused = run("stream", f"{server.url}/error", "--bearer-env", "API_TOKEN", API_TOKEN=token)

    assert done.data == ["you are REDACTED", {"echo": "REDACTED"}]
    assert (refused.exit_code, "bad token REDACTED" in refused.stderr) == (4, True)
    for shown in (done.stdout.decode(), done.stderr, refused.stderr, recording.read_text()):
        assert "t0k" not in shown


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ([], "Missing argument 'URL'"),
        (["ftp://example.com/x"], "write http://localhost:8000/events"),
        (["http://"], "write http://localhost:8000/events"),
        (["localhost:port"], "it is no URL: Invalid port"),
        (["localhost:70000"], "above 65535"),
        (["x", "-H", "s3cret"], "-H number 1 has no name and colon; write -H 'Name: value'"),
        (["x", "-H", "A: 1", "-H", "B b: s3cret"], "-H number 2 has no name and colon"),
        (["x", "-H", "A: s3cret\x07"], "control character"),
        (["x", "-d", "1", "--json", "2"], "-d and --json both give the body; leave one out"),
        (["x", "--form", "a=1", "-d", "2"], "-d and --form both give the body"),
        (["x", "--form", "a"], "--form 'name=value'"),
        (["x", "--form", "a=1", "-H", "Content-Type: a/b"], "leave it out of -H"),
        (["x", "--json", "{a: 1}"], "--json: it is no JSON"),
        (["x", "-d", "@nowhere.txt"], "'nowhere.txt' cannot be read: No such file or directory"),
        (["x", "-X", "HEAD"], "no body"),
        (["x", "-X", "A B"], "write -X POST"),
        (["x", "--bearer-env", "NOT_SET"], "'NOT_SET' is not set"),
        (["x", "--bearer-env", "HOME", "-H", "authorization: s3cret"], "both say who you are"),
        (["x", "--limit", "0"], "no whole number above 0"),
        (["x", "--for", "soon"], "write 10s, 500ms, 2m or 1h"),
        (["x", "--format", "xml"], "there are sse, jsonl, json-seq, json, lines, bytes"),
        (["x", "--format", "lines", "--event", "a"], "leave --event out"),
        (["x", "--format", "bytes", "--select", "$"], "--select has nothing to look at"),
        (["x", "--select", "a.b"], "it begins with $"),
        (["x", "--type", "json"], "MODULE:NAME"),
        (["x", "--type", "no_such_module:A"], "'no_such_module' cannot be imported"),
        (["x", "--type", "json:nothing"], "'json' has no 'nothing'"),
        (["x", "--type", "json:__all__"], "is no type that data can be validated as"),
        (["x", "--cursor", "/no/such/place"], "No such file or directory"),
        (["x", "--record", "/no/such/place"], "No such file or directory"),
    ],
)
def test_arguments_that_make_no_sense_are_told_with_the_cure(run, arguments, cure):
    done = run("stream", *arguments)

    assert (done.exit_code, done.stdout) == (2, b"")
    assert cure in done.stderr
    assert "s3cret" not in done.stderr


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_insecure(run):
    with tls_server(events("1")) as server:
        refused, taken = run("stream", server.url), run("stream", server.url, "-k")

    assert (refused.exit_code, "certificate" in refused.stderr.lower()) == (4, True)
    assert taken.data == [1]


def test_a_token_stays_with_its_origin(serve, run, monkeypatch):
    other = serve(events("1"))
    moved = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    done = run("stream", serve(moved).url, "--bearer-env", "API_TOKEN", API_TOKEN="t0ken")
    [request] = other.requests

    assert (done.data, request.header("Authorization")) == ([1], None)


# Reconnecting, and going on another time


def test_reconnect_goes_on_behind_the_last_event_and_tells_it(serve, run):
    first = EVENT_STREAM + chunk(b"retry: 1\nid: 1\ndata: 1\n\n") + END
    second = EVENT_STREAM + chunk(b"id: 2\ndata: 2\n\ndata: [DONE]\n\n") + END
    server = serve(in_turn(first, second))
    done = run("stream", server.url, "--reconnect", "--until", "[DONE]")

    assert (done.exit_code, done.data) == (0, [1, 2])
    assert server.requests[1].header("Last-Event-ID") == "1"
    assert re.search(r"after 1 item: .*; reconnecting in \S+ s \(attempt 1\) from event '1' on", done.stderr)


def test_a_cursor_is_kept_and_the_next_run_goes_on_there(serve, run, tmp_path):
    cursor = tmp_path / "cursor"
    first = answer("id: a\ndata: 1\n\nid: ü2\ndata: 2\n\nid: 3\ndata: 3\n\n".encode(), content_type="text/event-stream")
    server = serve(in_turn(first, answer(b"id: 4\ndata: 4\n\n", content_type="text/event-stream")))
    run("stream", server.url, "--cursor", str(cursor), "--limit", "2")
    kept = cursor.read_text(encoding="utf-8")
    done = run("stream", server.url, "--cursor", str(cursor))

    assert (kept, cursor.read_text()) == ("ü2\n", "4\n")
    assert server.requests[0].header("Last-Event-ID") is None
    assert (server.requests[1].header("Last-Event-ID") or "").encode("latin-1").decode() == "ü2"
    assert done.data == [4]
    assert os.listdir(tmp_path) == ["cursor"]


def test_a_cursor_that_cannot_be_kept_is_told_and_stays_whole(serve, run, monkeypatch, tmp_path):
    cursor = tmp_path / "cursor"
    cursor.write_text("before\n")
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left", "cursor"))
    )
    server = serve(answer(b"id: 4\ndata: 4\n\n", content_type="text/event-stream"))
    done = run("stream", server.url, "--cursor", str(cursor))

    assert (done.exit_code, done.data, cursor.read_text()) == (1, [4], "before\n")
    assert "cursor cannot be written: No space left" in done.stderr


def test_a_cursor_keeps_its_permissions_and_its_link(serve, run, tmp_path):
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("")
    kept.chmod(0o600)
    link.symlink_to(kept)
    run("stream", serve(answer(b"id: 4\ndata: 4\n\n", content_type="text/event-stream")).url, "--cursor", str(link))

    assert (kept.read_text(), kept.stat().st_mode & 0o777, link.is_symlink()) == ("4\n", 0o600, True)


def test_a_file_that_is_no_cursor_is_left_alone(run, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("dear diary\n\ntoday")
    done = run("stream", "x", "--cursor", str(notes))

    assert (done.exit_code, notes.read_text()) == (2, "dear diary\n\ntoday")
    assert "something else than the id of an event" in done.stderr


def test_a_cursor_beside_the_header_is_refused(run, tmp_path):
    done = run("stream", "x", "-H", "last-event-id: 1", "--cursor", str(tmp_path / "cursor"))

    assert done.exit_code == 2
    assert "both say where to go on" in done.stderr
