"""Recordings: what was said, without its secrets, and played again, whole or cut."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx2
import pydantic
import pytest
from tests.servers import EVENT_STREAM, Connection, answer, chunk, in_turn
from tests.sides import RUNNERS

from clientele import api, testing
from clientele.testing.replaying import read_recording
from clientele.testing.secrets import JSONRedactor, redacted_body

SECRET = "hunter2"
EVENTS = EVENT_STREAM + chunk("id: 1\ndata: ä\n\n".encode()) + chunk(b"id: 2\ndata: b\n\n") + chunk(b"")


@pytest.fixture
def talk(tmp_path) -> Path:
    return tmp_path / "talk.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def within(side: Any, context: Callable[[], Any], action: Callable[[], Any]) -> Any:
    """Take an action within a context."""
    with context():
        return action()


def test_a_talk_is_recorded_and_played_again(side, serve, talk):
    server = serve(in_turn(answer(b'{"name":"Ann"}', headers="Content-Type: application/json\r\n"), EVENTS))
    client = api.APIClient(server.url)

    def ask() -> Any:
        user = side.call(client, dict, method="POST", path="/users?page=2")
        return user, side.read(client, str, path="/events").items

    recorded = within(side, lambda: testing.record(client, talk), ask)
    assert recorded == ({"name": "Ann"}, ["ä", "b"])
    shown = lines(talk)
    assert shown[0] == {"clientele": "recording", "version": 1}
    assert shown[1]["request"]["url"] == f"{server.url}/users?page=2"
    assert next(line["chunk"] for line in shown if "chunk" in line) == '{"name":"Ann"}'
    assert "".join(line["chunk"] for line in shown if "chunk" in line)[14:] == "id: 1\ndata: ä\n\nid: 2\ndata: b\n\n"
    assert all(line["at"] >= 0 for line in shown[2:] if "at" in line)
    assert shown[-1]["end"] == "complete"
    asked = len(server.requests)

    def play() -> Any:
        with testing.replay(client, talk) as replay:
            played = ask()
            replay.assert_all_played()
        return played

    assert play() == recorded
    assert len(server.requests) == asked


def test_secrets_never_reach_the_disk(side, serve, talk):
    content = json.dumps({"access_token": SECRET, "nested": [{"password": SECRET}], "name": "Ann"}).encode()
    headers = f"Content-Type: application/json\r\nSet-Cookie: sid={SECRET}\r\nX-Api-Key: {SECRET}\r\n"
    server = serve(answer(content, headers=headers))
    client = api.APIClient(
        server.url,
        headers={"Authorization": f"Bearer {SECRET}"},
        params={"api_key": SECRET},
        cookies={"sid": SECRET},
    )

    def send(
        result: dict,
        data: dict,
        token: Annotated[pydantic.SecretStr, api.Path()],
    ) -> dict:
        return result

    async def asend(
        result: dict,
        data: dict,
        token: Annotated[pydantic.SecretStr, api.Path()],
    ) -> dict:
        return result

    endpoint = client.post("/{token}")(send if side.is_sync else asend)
    given = {"data": {"client_secret": SECRET, "text": "open"}, "token": pydantic.SecretStr(SECRET)}
    with testing.record(client, talk):
        result = endpoint(**given) if side.is_sync else side.run(lambda: endpoint(**given))
    assert result["access_token"] == SECRET
    text = talk.read_text()
    assert SECRET not in text
    assert '"open"' in text
    assert "Ann" in text
    with testing.replay(client, talk):
        result = endpoint(**given) if side.is_sync else side.run(lambda: endpoint(**given))
    assert result == {"access_token": "REDACTED", "nested": [{"password": "REDACTED"}], "name": "Ann"}


def test_a_secret_across_chunks_is_found(serve, talk):
    async def in_pieces(connection: Connection) -> None:
        text = f'data: {{"token": "{SECRET}", "n": 1}}\n\n'
        await connection.send(EVENT_STREAM)
        for character in text:
            await connection.send(chunk(character.encode()))
        await connection.send(chunk(b""))

    client = api.APIClient(serve(in_pieces).url)
    with testing.record(client, talk), client.stream("GET", "/", dict) as stream:
        assert list(stream) == [{"token": SECRET, "n": 1}]
    written = "".join(line["chunk"] for line in lines(talk) if "chunk" in line)
    assert written == 'data: {"token": "REDACTED", "n": 1}\n\n'


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (b'{"token": "a\\"b", "x": "keep"}', b'{"token": "REDACTED", "x": "keep"}'),
        (
            b'data: {"api_key":\ndata: "abc",\ndata: "x": 1}\n\n',
            b'data: {"api_key":\ndata: "REDACTED",\ndata: "x": 1}\n\n',
        ),
        (b'{"pin": 1234, "n": -5}', b'{"pin": 0, "n": -5}'),
        (b'{"keys": ["a", {"b": "c"}, 1], "x": "y"}', b'{"keys": ["REDACTED", {"b": "REDACTED"}, 0], "x": "y"}'),
        (b'{"secret": {}, "x": []}{"secret": [], "x": "y"}', b'{"secret": {}, "x": []}{"secret": [], "x": "y"}'),
        (b'{"to\\u006ben": "abc"}', b'{"to\\u006ben": "REDACTED"}'),
        (b'{"secret": null, "password": false}', b'{"secret": null, "password": false}'),
        (b'{"prompt_tokens": 5, "tokens": ["a"]}', b'{"prompt_tokens": 5, "tokens": ["REDACTED"]}'),
        (b'say "token": it\nis "fine"', b'say "token": it\nis "fine"'),
        (b'["token", "x"]', b'["token", "x"]'),
    ],
)
def test_secret_members_are_left_out_wherever_the_content_is_cut(content, written):
    assert JSONRedactor().feed(content) == written
    for place in range(len(content)):
        redactor = JSONRedactor()
        assert redactor.feed(content[:place]) + redactor.feed(content[place:]) == written


def test_secret_fields_of_forms_are_left_out():
    form = redacted_body(b"user=a&password=b%20c&token=", "application/x-www-form-urlencoded")
    assert form == b"user=a&password=REDACTED&token=REDACTED"
    part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    multipart = part % (b"password", b"hunter2") + part % (b"a", b"b") + b"--x--\r\n"
    assert redacted_body(multipart, "multipart/form-data") == multipart.replace(b"hunter2", b"REDACTED")


def test_a_form_with_files_is_known_again(serve, talk):
    client = api.APIClient(serve(answer(b"1")).url)
    for context in (testing.record, testing.replay):
        with context(client, talk):
            given = {"password": b"hunter2", "photo": ("a.png", b"\xff\x00")}
            assert client.request("POST", "/", int, form={"a": "b"}, files=given) == 1
    assert SECRET not in talk.read_text()


@pytest.mark.parametrize("place", range(1, 24))
def test_a_secret_text_is_never_written_even_where_it_comes_in_two_chunks(talk, place):
    body = b"data: a t0k-t0ken b\n\ndata: t0k"
    client = api.APIClient("http://test")
    with testing.fake(client) as server, testing.record(client, talk, secrets=["t0k-t0ken"]):
        server.on("GET", "/t0k-t0ken").streams(testing.raw(body[:place]), testing.raw(body[place:]))
        list(client.stream("GET", "/t0k-t0ken", str, headers={"X-Echo": "t0k-t0ken"}))
    [exchange] = read_recording(talk)

    assert b"".join(data for _, data in exchange.chunks) == body.replace(b"t0k-t0ken", b"REDACTED")
    assert "t0k-" not in talk.read_text()


def test_a_function_redacts_what_no_name_tells(serve, talk):
    client = api.APIClient(serve(answer(b'"customer 4711"')).url)

    def redact(text: str) -> str:
        return text.replace("4711", "0000")

    with testing.record(client, talk, redact=redact):
        client.request("POST", "/customers/4711", str, data="4711", headers={"X-Customer": "4711"})
    assert "4711" not in talk.read_text()
    with testing.replay(client, talk, redact=redact):
        answered = client.request("POST", "/customers/4711", str, data="4711", headers={"X-Customer": "4711"})
    assert answered == '"customer 0000"'


def test_codings_and_binary_content_are_kept(side, serve, talk):
    packed = answer(gzip.compress(b'{"a":1}'), headers="Content-Encoding: gzip\r\nContent-Type: application/json\r\n")
    client = api.APIClient(serve(in_turn(packed, answer(b"\xff\x00"))).url)
    for context in (testing.record, testing.replay):
        with context(client, talk):
            assert side.call(client, dict, path="/json") == {"a": 1}
            assert side.call(client, bytes, path="/binary") == b"\xff\x00"
    assert {"base64": "/wA="} in [line.get("chunk") for line in lines(talk)]


def test_errors_cuts_and_leaving_are_recorded(side, serve, talk):
    async def break_off(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
        connection.close()

    client = api.APIClient(serve(break_off).url)
    for context in (testing.record, testing.replay):
        with context(client, talk):
            reading = side.read(client, int)
            assert reading.items == [1]
            assert isinstance(reading.error, api.StreamInterrupted)
            with pytest.raises(api.TransportError):
                side.call(client, int, path="http://127.0.0.1:1/")
    assert [line["end"][:19] for line in lines(talk) if "end" in line] == ["RemoteProtocolError"]
    assert [line["error"][:12] for line in lines(talk) if "error" in line] == ["ConnectError"]


def test_clients_and_transports_that_were_handed_over_are_recorded(side, talk):
    seen = []
    mock = httpx2.MockTransport(lambda request: httpx2.Response(200, json=request.headers["x-a"]))
    hooks = {"request": [seen.append]}

    async def hook(request: httpx2.Request) -> None:
        seen.append(request)

    ready = httpx2.Client(transport=mock, base_url="http://h", headers={"X-A": "a"}, event_hooks=hooks)
    aready = httpx2.AsyncClient(
        transport=mock, base_url="http://h", headers={"X-A": "a"}, event_hooks={"request": [hook]}
    )
    for client in (
        api.APIClient(http_client=ready, async_http_client=aready),
        api.APIClient("http://h", transport=mock, headers={"X-A": "a"}),
    ):
        with testing.record(client, talk):
            assert side.call(client, str) == '"a"'
        assert [line["request"]["url"] for line in lines(talk) if "request" in line] == ["http://h/"]
        with testing.replay(client, talk):
            assert side.call(client, str) == '"a"'
        assert side.call(client, str) == '"a"'
    assert len(seen) == 3


def test_a_request_that_differs_says_in_what(serve, talk):
    client = api.APIClient(serve(answer(b"1")).url)
    with testing.record(client, talk):
        client.request("POST", "/a", int, data={"n": 1}, headers={"X-A": "a"})
    for match, path, n, header, difference in (
        (("method", "url", "body"), "/a", 2, "a", "body: recorded {'n': 1}, now {'n': 2}"),
        (("url",), "/b", 1, "a", "url: recorded"),
        (("headers",), "/a", 1, "b", "headers: recorded"),
        (lambda recorded, request: False, "/b", 1, "a", "url: recorded"),
    ):
        with (
            testing.replay(client, talk, match=match),
            pytest.raises(testing.UnexpectedRequest, match=f"(?s)differs in:.*{difference}"),
        ):
            client.request("POST", path, int, data={"n": n}, headers={"X-A": header})
    with testing.replay(client, talk, match=("method",)) as replay:
        with pytest.raises(testing.UnexpectedRequest, match="not asked for: POST"):
            replay.assert_all_played()
        assert client.request("POST", "/b", int) == 1
        with pytest.raises(testing.UnexpectedRequest, match="all of it has been played"):
            client.request("POST", "/b", int)


def test_a_talk_is_cut_everywhere_and_nothing_is_lost(side, talk):
    client = api.APIClient("http://never.example")
    with testing.fake(client) as server:
        server.on("GET", "/").streams(testing.Log(["a", "bä", "c"]), "[DONE]")
        with testing.record(client, talk):
            assert side.read(client, str, until="[DONE]").items == ["a", "bä", "c"]
    places = list(testing.everywhere(talk))
    assert places == list(range(len("".join(line.get("chunk", "") for line in lines(talk)).encode())))
    for place in places:
        with testing.replay(client, talk, cut_after=place):
            reading = side.read(client, str, until="[DONE]", reconnect=True)
            assert reading.items == ["a", "bä", "c"], place


def test_places_are_drawn_by_a_seed_that_is_printed(talk, capsys):
    client = api.APIClient("http://never.example")
    with testing.fake(client) as server, testing.record(client, talk):
        server.on("GET", "/").streams("a" * 100)
        list(client.stream("GET", "/", str))
    drawn = list(testing.everywhere(talk, 10, seed=5))
    assert len(set(drawn)) == 10
    assert capsys.readouterr().out == f"testing.everywhere({str(talk)!r}, 10, seed=5)\n"
    assert list(testing.everywhere(talk, 10, seed=5)) == drawn
    assert len(list(testing.everywhere(talk, 10_000))) == 108


def recorded_stream(*moments: int) -> str:
    """A recording of a stream whose events came at these moments, in seconds."""
    request = {"method": "GET", "url": "http://h/", "headers": {}, "body": None}
    head = {"status": 200, "headers": {"content-type": "text/event-stream"}}
    lines = [
        {"clientele": "recording", "version": 1},
        {"exchange": 1, "request": request},
        {"exchange": 1, "at": 10, "response": head},
        *({"exchange": 1, "at": at, "chunk": f"data: {at}\n\n"} for at in moments),
        {"exchange": 1, "at": moments[-1], "end": "complete"},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_a_recording_is_played_at_its_speed(side, talk):
    talk.write_text(recorded_stream(20, 40))
    client = api.APIClient("http://h")
    with testing.replay(client, talk, speed=1000) as replay:
        assert side.read(client, int).items == [20, 40]
        assert replay.clock.elapsed >= 40
    with testing.replay(client, talk) as replay:
        assert side.read(client, int, idle_timeout=15).items == [20, 40]
        assert replay.clock.elapsed == 0


def test_a_timeout_passes_at_the_speed_of_the_recording(side, talk):
    talk.write_text(recorded_stream(20, 1_000_000))
    client = api.APIClient("http://h")
    with testing.replay(client, talk, speed=1000):
        reading = side.read(client, int, idle_timeout=100)
    assert reading.items == [20]
    assert isinstance(reading.error, api.StreamInterrupted)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("no json\n", "line 1: it is no line of a recording"),
        ('{"clientele": "recording", "version": 7}\n', "of version 7"),
        ('{"exchange": 1, "at": 0, "chunk": "a"}\n', "line 1: it is no line of a recording"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(talk, content, problem):
    talk.write_text(content)
    with pytest.raises(ValueError, match=problem):
        testing.replay(api.APIClient("http://h"), talk)


def test_mistakes_are_said_at_once(talk):
    talk.write_text("")
    client = api.APIClient("http://h")
    with pytest.raises(ValueError, match=r"match has \{'path'\}"):
        testing.replay(client, talk, match=("path",))
    with pytest.raises(ValueError, match="speed is -1"):
        testing.replay(client, talk, speed=-1)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_talk_is_recorded_within_an_event_loop(serve, talk, loop):
    there = serve(in_turn(answer(b"5"), EVENTS))
    there_url = there.url.replace("//", f"//ann:{SECRET}@")
    moved = f"Location: {there_url}/?token={SECRET}\r\n"
    here = serve(answer(b"", status="307 Moved", headers=moved))
    client = api.APIClient(here.url)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def talking() -> tuple[int, str]:
        number = await client.arequest("GET", "/", int)
        await client.arequest("PUT", f"{there.url}/", httpx2.Response, data=pieces())
        async with client.astream("GET", f"{there.url}/", str) as stream:
            return number, await anext(stream)

    async def main() -> None:
        async with testing.record(client, talk):
            recorded = await talking()
        async with testing.replay(client, talk):
            assert await talking() == recorded == (5, "ä")

    RUNNERS[loop](main)
    assert SECRET not in talk.read_text()
    assert [line["request"]["body"] for line in lines(talk) if "request" in line][2] == "ab"


def test_a_stream_of_another_transport_is_recorded(side, talk):
    def endless(request: httpx2.Request) -> httpx2.Response:
        class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                yield b"data: 1\n\n"
                raise httpx2.ReadError("broke")

            async def __aiter__(self) -> AsyncIterator[bytes]:
                for data in self:
                    yield data

        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Body())

    client = api.APIClient("http://h", transport=httpx2.MockTransport(endless))
    for context in (testing.record, testing.replay):
        with context(client, talk):
            reading = side.read(client, int, idle_timeout=5)
            assert reading.items == [1]
            assert isinstance(reading.error, api.StreamInterrupted)
    assert [line["end"] for line in lines(talk) if "end" in line] == ["ReadError: broke"]


def test_a_stream_that_is_dropped_while_it_is_recorded_was_left(side, talk, fake):
    fake.on_any().streams(1, testing.stall())
    with testing.record(fake.client, talk):
        if side.is_sync:
            stream = fake.client.stream("GET", "/", int)
            assert next(stream) == 1
            del stream
        else:

            async def main() -> None:
                stream = await fake.client.astream("GET", "/", int)
                assert await anext(stream) == 1
                del stream
                gc.collect()
                await anyio.sleep(0.01)

            side.run(main)
    assert [line["end"] for line in lines(talk) if "end" in line] == ["left"]


def test_a_name_that_is_no_json_is_none_of_a_secret():
    assert JSONRedactor().feed(b'{"\\x token": "a", "b": "c') == b'{"\\x token": "REDACTED", "b": "c'
