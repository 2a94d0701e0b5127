"""`clientele learn`: from a URL or a recording to a declaration."""

from __future__ import annotations

import pytest
from tests.servers import EVENT_STREAM, answer, chunk

EVENTS = b'event: add\ndata: {"n": 1}\n\nevent: add\ndata: {"n": 2}\n\nevent: done\ndata: {"ok": true}\n\n'


@pytest.fixture
def url(serve):
    return serve(answer(EVENTS, content_type="text/event-stream")).url


def test_a_declaration_is_printed_and_what_was_learned_is_told(run, url):
    done = run("learn", f"{url}/events")
    source = done.stdout.decode()
    assert done.exit_code == 0
    assert 'event_map={"add": Add, "done": Done, "*": str}' in source
    assert 'until=lambda event: event.event == "done"' in source
    assert done.stderr == "clientele learn: learned from 3 events"
    compile(source, "learned", "exec")


def test_a_plain_function_is_printed_into_a_file(run, url, tmp_path):
    done = run("learn", f"{url}/events", "--sync", "-o", str(tmp_path / "made.py"), "--limit", "2")
    assert done.stdout == b""
    assert "\ndef stream_events(" in (tmp_path / "made.py").read_text()
    assert "the stream goes on" in done.stderr


def test_the_same_is_learned_from_a_recording(run, url, tmp_path):
    talk = str(tmp_path / "talk.jsonl")
    assert run("stream", f"{url}/events", "--record", talk).exit_code == 0
    assert run("learn", talk).stdout == run("learn", f"{url}/events").stdout


def test_where_nothing_came_nothing_is_learned(run, serve):
    done = run("learn", serve(answer(b"", content_type="text/event-stream")).url)
    assert done.exit_code == 1
    assert done.stderr == ("clientele learn: no event came, so nothing was learned; --for watches longer")
    done = run("learn", serve(answer(b"gone", status="404 Not Found")).url)
    assert done.exit_code == 4
    assert "404 Not Found" in done.stderr


def test_a_recording_that_is_not_there_is_no_host(run):
    done = run("learn", "talk.jsonl")
    assert done.exit_code == 2
    assert "talk.jsonl: there is no such recording" in done.stderr


def test_a_quiet_stream_is_watched_for_a_while(run, serve):
    server = serve(EVENT_STREAM + chunk(EVENTS[:27]))
    done = run("learn", f"{server.url}/events", "--for", "300ms")
    assert done.stderr == "clientele learn: learned from 1 event; the stream goes on"
    server.wait_until_closed()
