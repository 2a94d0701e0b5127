"""The formats that a stream can come in, over real sockets: how each is chosen, asked for, read and bounded."""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, NewType

import httpx2
import pydantic
import pytest
from tests import fakes
from tests.servers import END, WAIT, Connection, answer, chunk
from tests.sides import Reading, Side

from clientele import api
from clientele.content import media_type
from clientele.streaming.formats import FORMATS, format_of


class Token(pydantic.BaseModel):
    text: str


Audio = NewType("Audio", bytes)
MEDIA_TYPES = {
    "sse": ["text/event-stream"],
    "jsonl": [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "application/stream+json",
    ],
    "json-seq": ["application/json-seq", "application/geo+json-seq", "application/vnd.example.v1+json-seq"],
    "lines": ["text/plain"],
}
BODIES = {
    "sse": b'data: {"text": "a"}\n\ndata: {"text": "b"}\n\n',
    "jsonl": b'{"text": "a"}\n{"text": "b"}\n',
    "json-seq": b'\x1e{"text": "a"}\n\x1e{"text": "b"}\n',
    "lines": b'{"text": "a"}\n{"text": "b"}\n',
}
EVERY_MEDIA_TYPE = pytest.mark.parametrize(
    ("name", "content_type"), [(name, each) for name, all_of_it in MEDIA_TYPES.items() for each in all_of_it]
)
SEQUENCE = "application/json-seq"


def client_of(server) -> api.APIClient:
    return api.APIClient(base_url=server.url)


def head(content_type: str, more: str = "") -> bytes:
    """The head of a chunked answer."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n{more}\r\n".encode(
        "latin-1"
    )


def response(content_type: str | None) -> httpx2.Response:
    return httpx2.Response(200, headers={} if content_type is None else {"Content-Type": content_type})


def read_mocked(
    item_type: Any, content_type: str, body: bytes, *, stream_format: Any = None, **settings: Any
) -> Reading:
    """Read a stream that comes over no wire."""
    headers = [(b"Content-Type", content_type.encode("latin-1"))]
    client = fakes.client_of(httpx2.Response(200, headers=headers, content=body), **settings)
    return Side("sync").read(client, item_type, stream_format=stream_format)


def read_each(
    side: Side, client: api.APIClient, item_type: Any, receive: Callable[[Any], object], **options: Any
) -> BaseException | None:
    """Read a stream, hand on each item as it is received, and give what ended it, if not its end."""
    if side.is_sync:
        try:
            for item in side.call(client, Iterator[item_type], streaming_response=True, **options):
                receive(item)
        except Exception as error:
            return error
        return None

    @client.get("/", streaming_response=True, **options)
    async def stream(*, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
        return result

    async def main() -> BaseException | None:
        try:
            async for item in await stream():
                receive(item)
        except Exception as error:
            return error
        return None

    return side.run(main)


def read_in_step(
    side: Side, serve: Any, head: bytes, pieces: list[tuple[bytes, int]], item_type: Any, **options: Any
) -> Reading:
    """Read a stream whose server sends a piece only when the items in those before it have been received.

    Each piece comes with the number of items that it completes.
    """
    reading = Reading([])
    received = threading.Semaphore(0)

    async def send_in_step(connection: Connection) -> None:
        await connection.send(head)
        for piece, number_of_items in pieces:
            await connection.send(chunk(piece))
            for _ in range(number_of_items):
                assert await asyncio.to_thread(received.acquire, timeout=WAIT)
        await connection.send(END)

    def receive(item: Any) -> None:
        reading.items.append(item)
        received.release()

    reading.error = read_each(side, client_of(serve(send_in_step)), item_type, receive, **options)
    return reading


# Which format it is: the media type says it.


@EVERY_MEDIA_TYPE
def test_a_media_type_names_a_format_however_it_is_written(name, content_type):
    for written in (
        content_type,
        content_type.upper(),
        content_type.title(),
        f"{content_type};charset=utf-8",
        f'{content_type} ; charset="UTF-8" ; x=";y"',
        f"{content_type};",
        f" {content_type}\t; x",
    ):
        assert format_of(written) is FORMATS[name]
        assert media_type(written) == content_type


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        ";",
        ";text/plain",
        "text",
        "plain",
        "text/*",
        "*/*",
        "text/plain2",
        "xtext/plain",
        "text/html",
        "text/html; x=text/plain",
        "text/html, text/plain",
        "application/json",
        "application/geo+json",
        "application/json-seq2",
        "application/geo+json-seq2",
        "application/octet-stream",
    ],
)
def test_any_other_media_type_names_none(content_type):
    assert format_of(content_type) is None


@EVERY_MEDIA_TYPE
def test_the_content_type_chooses_the_format(side, name, content_type):
    reading = side.read(fakes.client_of(BODIES[name], f"{content_type.title()}; charset=utf-8"), Token)
    assert (reading.items, reading.error) == ([Token(text="a"), Token(text="b")], None)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    ("item_type", "items"),
    [
        (str, ['{"text": "a"}', '{"text": "b"}']),
        (dict, [{"text": "a"}, {"text": "b"}]),
        (Any, [{"text": "a"}, {"text": "b"}]),
        (Token | int, [Token(text="a"), Token(text="b")]),
    ],
)
def test_an_item_is_text_or_json_in_any_format(side, name, item_type, items):
    reading = side.read(fakes.client_of(BODIES[name], MEDIA_TYPES[name][0]), item_type)
    assert (reading.items, reading.error) == (items, None)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", None])
def test_stream_format_overrides_any_content_type_and_none(side, serve, name, content_type):
    body = BODIES[name]
    if content_type is None:
        server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    else:
        server = serve(answer(body, content_type=content_type))
    reading = side.read(client_of(server), Token, stream_format=name)
    assert (reading.items, reading.error) == ([Token(text="a"), Token(text="b")], None)


@pytest.mark.parametrize("name", [*BODIES, "bytes"])
def test_stream_format_does_not_make_a_stream_of_an_error(side, name):
    reading = side.read(
        fakes.client_of(b"too bad", MEDIA_TYPES.get(name, ["image/png"])[0], status=500),
        bytes if name == "bytes" else str,
        stream_format=name,
    )
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.response.content == b"too bad"


@pytest.mark.parametrize("name", [*BODIES, "bytes"])
@pytest.mark.parametrize(
    "empty",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ids=["no content", "no bytes"],
)
def test_an_empty_answer_is_an_empty_stream_in_any_format(side, serve, name, empty):
    reading = side.read(client_of(serve(empty)), bytes if name == "bytes" else Token, stream_format=name)
    assert (reading.items, reading.error) == ([], None)


@pytest.mark.parametrize("name", [*BODIES, "bytes"])
def test_stream_format_does_not_make_a_stream_of_a_redirect_that_is_not_followed(side, serve, name):
    server = serve(answer(b"1\n", status="307 Temporary Redirect", headers="Location: /there\r\n"))
    unfollowing = api.APIClient(base_url=server.url, follow_redirects=False)
    reading = side.read(unfollowing, bytes if name == "bytes" else str, stream_format=name)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert "and is a redirect, which the client does not follow" in str(reading.error)


# A server that was asked for a document or a stream may answer with either.

EITHER = "application/json, text/event-stream"


@pytest.mark.parametrize("accept", [EITHER, "Text/Event-Stream;q=0.9,Application/JSON;q=0.5"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'\xef\xbb\xbf {\n  "text": "a"\n}\r\n'),
        ("Application/JSON; charset=utf-8", b'{"text": "a"}'),
        ("text/event-stream", b'data: {"text": "a"}\n\n'),
    ],
)
def test_a_document_that_was_asked_for_beside_a_stream_is_a_stream_of_one(side, serve, accept, content_type, body):
    server = serve(lambda connection: in_bytes(connection, head(content_type), body))
    reading = side.read(api.APIClient(base_url=server.url, headers={"Accept": accept}), Token)
    assert (reading.items, reading.error) == ([Token(text="a")], None)


@pytest.mark.parametrize(
    ("accept", "item_type"),
    [
        ("text/event-stream", Token),
        ("application/json", Token),
        ("application/json-seq, text/event-stream", Token),
        ("application/json-patch+json, text/event-stream", Token),
        ("text/event-stream, */*", Token),
        (EITHER, api.ServerSentEvent[Token]),
        (EITHER, Token | api.Comment),
    ],
)
def test_a_document_that_was_not_asked_for_beside_a_stream_is_none(side, serve, accept, item_type):
    server = serve(answer(b'{"text": "a"}'))
    reading = side.read(api.APIClient(base_url=server.url, headers={"Accept": accept}), item_type)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert reading.stream is None


def test_a_document_in_place_of_a_stream_may_be_wrong_too_large_or_cut_short(side, serve):
    async def close_midway(connection: Connection) -> None:
        await connection.send(head("application/json") + chunk(b'{"text": "a"}'))
        connection.close()

    for handler, options, error in (
        (answer(b'{"text": "a"'), {}, api.StreamDecodeError),
        (answer(b'{"text": "a"}\n{"text": "b"}'), {}, api.StreamDecodeError),
        (answer(b'{"text": "' + b"a" * 100 + b'"}'), {"max_event_size": 100}, api.EventTooLarge),
        (close_midway, {}, api.StreamInterrupted),
    ):
        asking = api.APIClient(base_url=serve(handler).url, headers={"Accept": EITHER})
        reading = side.read(asking, Token, **options)
        assert reading.items == []
        assert isinstance(reading.error, error)


@pytest.mark.parametrize(
    ("item_type", "options", "accept"),
    [
        (Token, {}, "text/event-stream"),
        (api.ServerSentEvent[Token], {}, "text/event-stream"),
        (Token, {"stream_format": "sse"}, "text/event-stream"),
        (Token, {"stream_format": "jsonl"}, "application/x-ndjson"),
        (Token, {"stream_format": "json-seq"}, "application/json-seq"),
        (str, {"stream_format": "lines"}, "text/plain"),
        (bytes, {}, "*/*"),
        (Audio, {"stream_format": "bytes"}, "*/*"),
    ],
)
def test_the_request_asks_for_the_format_first_of_all(side, serve, item_type, options, accept):
    server = serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    side.read(client_of(server), item_type, **options)
    (request,) = server.requests
    first, *others = request.header("Accept").split(", ")
    assert first == accept
    # Not every server that sends such a format knows its name.
    assert "event-stream" in accept or "*/*;q=0.1" in others or accept == "*/*"


def test_what_the_client_says_of_accept_stands_in_any_format(side, serve):
    server = serve(answer(b"1\n"))
    client = api.APIClient(base_url=server.url, headers={"Accept": "application/json"})
    assert side.read(client, int, stream_format="jsonl").items == [1]
    assert server.requests[0].header("Accept") == "application/json"


# Which items come in which format.

client = api.APIClient(base_url="http://localhost:8000")


def declare(item_type: Any, **options: Any) -> None:
    @client.get("/", streaming_response=True, **options)
    def stream(*, result: Iterator[item_type]) -> Iterator[item_type]:
        return result

    @client.get("/", streaming_response=True, **options)
    async def async_stream(*, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
        return result


@pytest.mark.parametrize("stream_format", ["jsonl", "json-seq", "lines", "bytes"])
@pytest.mark.parametrize(
    ("item_type", "options"),
    [
        (api.ServerSentEvent, {}),
        (api.ServerSentEvent[Token], {}),
        (Annotated[api.ServerSentEvent[Token], "metadata"], {}),
        (api.ServerSentEvent[Token] | api.Comment, {}),
        (Token | api.Comment, {}),
        (Token, {"event_map": {"token": Token}}),
    ],
)
def test_only_an_event_stream_has_events_comments_and_names(item_type, options, stream_format):
    with pytest.raises(TypeError, match=rf"stream\(\).*'result'.*stream_format='{stream_format}' has no .*'sse'$"):
        declare(item_type, stream_format=stream_format, **options)
    declare(item_type, stream_format="sse", **options)


@pytest.mark.parametrize("item_type", [str, Token, dict, list[bytes], Any])
def test_text_and_json_do_not_come_as_mere_bytes(item_type):
    with pytest.raises(TypeError, match=r"stream\(\).*'result'.*stream_format='bytes' has no .*'sse' or 'jsonl'"):
        declare(item_type, stream_format="bytes")
    for stream_format in BODIES:
        declare(item_type, stream_format=stream_format)


@pytest.mark.parametrize("item_type", [bytes, Audio, Annotated[bytes, pydantic.Field(max_length=100)]])
@pytest.mark.parametrize("stream_format", BODIES)
def test_bytes_come_in_no_format_but_their_own(item_type, stream_format):
    with pytest.raises(TypeError, match=rf"stream\(\).*'result'.*stream_format='{stream_format}' has no .*'bytes'$"):
        declare(item_type, stream_format=stream_format)
    declare(item_type, stream_format="bytes")


@pytest.mark.parametrize(
    ("item_type", "options"),
    [
        (bytes, {"until": "[DONE]"}),
        (Audio, {"until": lambda event: True}),
        (bytes, {"event_map": {"token": Token}}),
        (bytes | api.Comment, {}),
        (api.ServerSentEvent[bytes], {}),
    ],
)
def test_bytes_are_no_events(item_type, options):
    with pytest.raises(TypeError, match=r"stream\(\).*'result'.*bytes are yielded as they arrive, not as events"):
        declare(item_type, **options)


def test_what_is_no_format_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="stream_format is 'xml'; it is one of 'sse', 'jsonl', 'json-seq', 'json', "):
        client.get("/", streaming_response=True, stream_format="xml")


def test_a_format_without_a_stream_is_refused():
    with pytest.raises(TypeError, match="stream_format is for streams; add streaming_response=True"):
        client.get("/", stream_format="jsonl")


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json-seq", "text/plain"])
@pytest.mark.parametrize(
    ("item_type", "options", "name", "cure"),
    [
        (api.ServerSentEvent[Token], {}, "ServerSentEvent[Token]", "declare the type of its data alone"),
        (Token | api.Comment, {}, "Token | Comment", "declare the type of its data alone"),
        (Token, {"event_map": {"token": Token}}, "names of events", "leave event_map= out"),
    ],
)
def test_a_stream_that_has_no_such_items_raises_at_the_call(side, serve, content_type, item_type, options, name, cure):
    async def send_without_end(connection: Connection) -> None:
        await connection.send(head(content_type) + chunk(b"1\n"))
        await connection.until_client_closes()

    server = serve(send_without_end)
    reading = side.read(client_of(server), item_type, timeout=0.2, **options)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert reading.stream is None
    assert reading.error.content_type == content_type
    assert f"has content type '{content_type}', which has no {name}" in str(reading.error)
    assert str(reading.error).endswith(f": 1; {cure}, or read it as an event stream, with stream_format='sse'")
    server.wait_until_closed()


def test_an_unknown_content_type_is_answered_with_the_cure(side):
    reading = side.read(fakes.client_of(b"1\n"), int)
    assert isinstance(reading.error, api.UnexpectedContentType)
    for expected in ("text/event-stream", "application/x-ndjson", "application/json-seq", "text/plain"):
        assert expected in str(reading.error)
    assert "stream_format=" in str(reading.error)


# Every format is prompt: what is complete is yielded before the next byte is sent.

IN_STEP = {
    "an event of a stream": (
        "text/event-stream",
        str,
        [(b"data: a\n\n", 1), (b"data: b\r\n\r", 1), (b"\ndata: c", 0), (b"\r\r", 1)],
        ["a", "b", "c"],
    ),
    "a document": (
        "application/x-ndjson",
        dict,
        [(b'{"a": 1}\n', 1), (b'\n{"a": 2}\r\n', 1), (b'\r\n{"a": 3', 0), (b"}", 0), (b"\n\n", 1), (b'{"a": 4}', 0)],
        [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}],
    ),
    "a text of a sequence": (
        "application/json-seq",
        Any,
        [
            (b'\x1e{"a": "\\"}"}\n', 1),
            (b'\x1e{\n  "a": [\n', 0),
            (b"    1\n  ]\n}\n", 1),
            (b"\x1e2\n", 1),
            (b"\x1e", 0),
            (b'"\\', 0),
            (b'"3\\\\"\n', 1),
            (b"\x1e[4]\x1e", 1),
            (b"true ", 0),
        ],
        [{"a": '"}'}, {"a": [1]}, 2, '"3\\', [4], True],
    ),
    "a line that ends with LF": (
        "text/plain",
        str,
        [(b"a\n", 1), (b"\n", 1), (b"b", 0), (b"\n\n", 2)],
        ["a", "", "b", ""],
    ),
    "a line that ends with CR": (
        "text/plain",
        str,
        [(b"a\r", 1), (b"\r", 1), (b"b", 0), (b"\rc\r", 2), (b"d", 0)],
        ["a", "", "b", "c", "d"],
    ),
    "a line that ends with CRLF": (
        "text/plain",
        str,
        [(b"a\r", 1), (b"\n\r", 1), (b"\nb\r\n", 1), (b"\r\n\r", 2), (b"\n", 0), (b"c\r\n", 1)],
        ["a", "", "b", "", "", "c"],
    ),
    "a line in UTF-16": (
        "text/plain; charset=utf-16",
        str,
        [(b"\xfe\xff\0a\0\n", 1), (b"\x50\x24\0\r", 1), (b"\0\n\0", 0), (b"b\0\r", 1)],
        ["a", "値", "b"],
    ),
    "bytes": (
        "text/event-stream",
        bytes,
        [(b"\0", 1), (b"a\n\n", 1), (b"\x1e\xff", 1)],
        [b"\0", b"a\n\n", b"\x1e\xff"],
    ),
}


@pytest.mark.parametrize(("content_type", "item_type", "pieces", "items"), IN_STEP.values(), ids=list(IN_STEP))
def test_an_item_is_yielded_before_the_next_byte_is_sent(side, serve, content_type, item_type, pieces, items):
    reading = read_in_step(side, serve, head(content_type), pieces, item_type)
    assert (reading.items, reading.error) == (items, None)


@pytest.mark.parametrize(("content_type", "item_type", "pieces", "items"), IN_STEP.values(), ids=list(IN_STEP))
def test_so_is_an_item_of_a_compressed_stream(side, serve, content_type, item_type, pieces, items):
    compressor = zlib.compressobj(wbits=31)
    compressed = [
        (compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH), number_of_items)
        for piece, number_of_items in pieces
    ]
    compressed.append((compressor.flush(), 0))
    reading = read_in_step(side, serve, head(content_type, "Content-Encoding: gzip\r\n"), compressed, item_type)
    assert (reading.items, reading.error) == (items, None)


# What each format is, as callers see it.


async def in_bytes(connection: Connection, head: bytes, body: bytes) -> None:
    await connection.send(head)
    for position in range(len(body)):
        await connection.send(chunk(body[position : position + 1]))
    await connection.send(END)


@pytest.mark.parametrize(
    ("content_type", "body", "item_type", "items"),
    [
        (
            "application/x-ndjson",
            b'\xef\xbb\xbf{"text": "a"}\n\n \t\n{"text": "b"}\r\n\r\n\n {"text": "c"} \n{"text": "\xe5\x80\xa4"}',
            Token,
            [Token(text="a"), Token(text="b"), Token(text="c"), Token(text="値")],
        ),
        ("application/jsonl", b'"a\xe2\x80\xa8b\xc2\x85"\n"\x1f\xff"\n', str, ['"a\u2028b\x85"', '"\x1f\ufffd"']),
        ("application/jsonl", b'"a\xff"\n', Any, ["a\ufffd"]),
        (
            "application/json-seq",
            (
                b'\x1e{"text": "a"}\n\x1e{\n  "text":\n\n  "b"\n}\r\n\x1e\x1e\n'
                b'\x1e{"text": "}\\"{\\\\"}\x1e{"text": "\xe5\x80\xa4"}\n'
            ),
            Token,
            [Token(text="a"), Token(text="b"), Token(text='}"{\\'), Token(text="値")],
        ),
        ("application/json-seq", b'\x1e[\n1 ]\n\x1e2', str, ["[\n1 ]"]),
        (
            "text/plain",
            b"\xef\xbb\xbfa\n\n b \rc\r\n\r\n\r\xe5\x80\xa4\xff\nend",
            str,
            ["a", "", " b ", "c", "", "", "値\ufffd", "end"],
        ),
        ("text/plain; charset=utf-16", "値\r\n\n🎈\r".encode("utf-16"), str, ["値", "", "🎈"]),
        ("text/plain; charset=iso-8859-1", b"gr\xf6\xdfe\n\x85", str, ["größe", "\x85"]),
    ],
)  # fmt: skip
def test_a_stream_means_the_same_however_it_is_cut(side, serve, content_type, body, item_type, items):
    options = {"on_invalid": "skip"} if body.endswith(b"\x1e2") else {}
    whole = serve(answer(body, content_type=content_type))
    cut = serve(lambda connection: in_bytes(connection, head(content_type), body))
    for server in (whole, cut):
        reading = side.read(client_of(server), item_type, **options)
        assert (reading.items, reading.error) == (items, None)


@pytest.mark.parametrize("text", [b'{"text": "b"', b'{"text": "b', b'["b"\n', b"12", b"tru", b'"b\\"'], ids=ascii)
def test_a_truncated_text_raises_after_those_before_it(side, serve, text):
    body = b'\x1e{"text": "a"}\n\x1e' + text + b'\x1e{"text": "c"}\n'
    server = serve(head(SEQUENCE) + chunk(body))
    reading = side.read(client_of(server), Token)
    error = reading.error
    assert reading.items == [Token(text="a")]
    assert isinstance(error, api.StreamDecodeError)
    assert error.event == api.ServerSentEvent(text.decode().strip())
    assert error.items_received == 1
    assert error.__cause__ is error.validation_error
    assert "event 2 of the stream is not Token: " in str(error)
    assert "the text is cut short" in str(error)
    assert text.decode().strip() in str(error)
    server.wait_until_closed()


def test_a_truncated_text_raises_even_where_any_text_would_do(side):
    # 12 may be all that is left of 123: to take it would be to make a number up.
    for item_type, items in ((int, [1]), (str, ["1"]), (Any, [1])):
        reading = side.read(fakes.client_of(b"\x1e1\n\x1e12\x1e2\n", SEQUENCE), item_type)
        assert reading.items == items
        assert isinstance(reading.error, api.StreamDecodeError)


def test_a_text_truncated_by_the_end_raises_too(side):
    reading = side.read(fakes.client_of(b'\x1e[1]\n\x1e[2, ', SEQUENCE), list)  # fmt: skip
    assert reading.items == [[1]]
    assert isinstance(reading.error, api.StreamDecodeError)
    assert reading.error.event.data == "[2,"


def test_the_texts_after_truncated_ones_are_reached_by_skipping(side, caplog):
    body = b'before\x1e{"text": "a"}\n{"text": "stray"}\n\x1e{"text": "\x1e12\x1e{"text": "b"}\n\x1e{"text": \n'
    with caplog.at_level(logging.WARNING, "clientele"):
        reading = side.read(fakes.client_of(body, SEQUENCE), Token, on_invalid="skip")
    assert (reading.items, reading.error) == ([Token(text="a"), Token(text="b")], None)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 5
    assert [record.stream_event.data for record in caplog.records] == [
        "before",
        '{"text": "stray"}',
        '{"text": "',
        "12",
        '{"text":',
    ]


def test_a_function_may_stand_in_for_truncated_texts(side):
    reading = side.read(
        fakes.client_of(b"\x1e1\n\x1e2\x1e3\n", SEQUENCE), int, on_invalid=lambda error: f"broken: {error.event.data}"
    )
    assert (reading.items, reading.error) == ([1, "broken: 2", 3], None)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-ndjson", b"1\n[\n2\n"),
        ("application/json-seq", b"\x1e1\n\x1e]\n\x1e2\n"),
        ("text/plain", b"1\n\n2"),
    ],
)
def test_an_item_that_does_not_fit_raises_or_is_skipped_in_any_format(side, serve, content_type, body):
    server = serve(answer(body, content_type=content_type))
    reading = side.read(client_of(server), int)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamDecodeError)
    assert "event 2 of the stream is not int: Invalid JSON" in str(reading.error)
    reading = side.read(client_of(server), int, on_invalid="skip")
    assert (reading.items, reading.error) == ([1, 2], None)


@pytest.mark.parametrize("name", ["jsonl", "json-seq", "lines"])
def test_a_stream_without_ids_has_none(side, name):
    assert side.read(fakes.client_of(BODIES[name], MEDIA_TYPES[name][0]), Token).stream.last_event_id == ""


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-ndjson", b'"a"\n"end"\n"b"\n'),
        ("application/json-seq", b'\x1e"a"\n\x1e"end"\n\x1e"b"\n'),
        ("text/plain", b'"a"\n"end"\n"b"\n'),
    ],
)
@pytest.mark.parametrize("until", ['"end"', lambda event: event == api.ServerSentEvent('"end"')])
def test_a_terminator_ends_a_stream_in_any_format(side, content_type, body, until):
    reading = side.read(fakes.client_of(body, content_type), str, until=until)
    assert (reading.items, reading.error) == (['"a"'], None)


def test_a_truncated_text_is_no_terminator(side):
    reading = side.read(fakes.client_of(b"\x1e1\n\x1e12\x1e2\n", SEQUENCE), int, until="12")
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamDecodeError)


# Bytes.


@pytest.mark.parametrize("content_type", ["image/png", "text/event-stream", "application/x-ndjson", "", None])
def test_bytes_are_yielded_whatever_the_content_type(side, serve, content_type):
    body = bytes(range(256)) * 1000
    if content_type is None:
        server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    else:
        server = serve(answer(body, content_type=content_type))
    reading = side.read(client_of(server), bytes)
    assert reading.error is None
    assert {type(item) for item in reading.items} == {bytes}
    assert b"" not in reading.items
    assert b"".join(reading.items) == body


@pytest.mark.parametrize("item_type", [Audio, Annotated[bytes, pydantic.Field(min_length=1)], Annotated[Audio, "opus"]])
def test_a_type_that_is_bytes_beneath_is_bytes(side, item_type):
    reading = side.read(fakes.client_of(b"\0[1]\n", "text/plain"), item_type)
    assert (reading.items, reading.error) == ([b"\0[1]\n"], None)


def test_bytes_are_yielded_after_content_decoding(side, serve):
    body = b"\0\xff\r\n" * 100_000
    server = serve(answer(gzip.compress(body), content_type="audio/mpeg", headers="Content-Encoding: gzip\r\n"))
    reading = side.read(client_of(server), bytes)
    assert reading.error is None
    assert b"" not in reading.items
    assert b"".join(reading.items) == body


def test_bytes_that_do_not_fit_raise(side):
    reading = side.read(fakes.client_of(b"abc"), Annotated[bytes, pydantic.Field(max_length=2)])
    assert reading.items == []
    assert isinstance(reading.error, api.StreamDecodeError)
    assert reading.error.event.data == "abc"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-ndjson"])
def test_a_parser_of_ones_own_may_make_bytes_of_text(side, content_type):
    assert side.read(fakes.client_of(b"00\nff\n", content_type), bytes, response_parser=bytes.fromhex).items == [
        b"\0",
        b"\xff",
    ]


# The charset of text; nothing else has one.


@pytest.mark.parametrize(
    "parameters",
    [
        "charset=iso-8859-1",
        "charset=ISO-8859-1",
        "charset=latin1",
        'charset="latin-1"',
        "CharSet = Latin_1",
        "format=flowed; delsp=yes;charset=latin-1 ; x=y",
        "charset=latin-1; charset=utf-8",
    ],
)
def test_the_charset_is_that_of_the_content_type(parameters):
    reading = read_mocked(str, f"text/plain; {parameters}", b"gr\xf6\xdfe\r\nb")
    assert (reading.items, reading.error) == (["größe", "b"], None)


@pytest.mark.parametrize("stream_format", [None, "lines"])
@pytest.mark.parametrize("content_type", ["text/csv; charset=latin-1", "TEXT/PLAIN;CHARSET=LATIN-1"])
def test_the_charset_counts_for_any_content_type_read_as_lines(side, stream_format, content_type):
    reading = side.read(fakes.client_of(b"gr\xf6\xdfe", content_type), str, stream_format=stream_format)
    if stream_format is None and "csv" in content_type:
        assert isinstance(reading.error, api.UnexpectedContentType)
    else:
        assert (reading.items, reading.error) == (["größe"], None)


@pytest.mark.parametrize(
    "charset",
    [
        *["bogus", "", "''", "utf-9", "x-user-defined", "../utf-8", "aliases", "utf-8,", "null", "größe"],
        # What follows are names that Python has a codec for, but none that decodes any text.
        *["base64", "hex", "quopri", "uu", "rot13", "zip", "bz2", "undefined", "idna"],
    ],
)
def test_text_of_an_unknown_charset_is_utf_8(charset):
    reading = read_mocked(str, f"text/plain; charset={charset}", "größe\r\n\xff".encode() + b"\xff\n")
    assert reading.error is None
    assert reading.items == ["größe", "ÿ\ufffd"]


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        *[("US-ASCII", "plain"), ("ISO-8859-15", "5 €"), ("windows-1251", "ключ"), ("KOI8-R", "ключ")],
        *[("IBM866", "ключ"), ("macintosh", "größe"), ("TIS-620", "ราคา"), ("Shift_JIS", "値段 ソ")],
        *[("EUC-JP", "値段"), ("ISO-2022-JP", "値段"), ("GBK", "价格"), ("GB18030", "价格 🎈")],
        *[("Big5", "價格 功"), ("EUC-KR", "가격")],
        *[("UTF-16", "値段 🎈"), ("UTF-16BE", "値段 🎈"), ("UTF-16LE", "値段 🎈"), ("UTF-32", "値段 🎈")],
    ],
)  # fmt: skip
def test_every_charset_in_use_is_known(charset, text):
    reading = read_mocked(str, f"text/plain; charset={charset}", f"{text}\r\n\n{text}".encode(charset))
    assert (reading.items, reading.error) == ([text, "", text], None)


@pytest.mark.parametrize("charset", ["utf-16", "utf-32"])
def test_text_whose_charset_leaves_the_order_of_bytes_open_is_little_endian(charset):
    reading = read_mocked(str, f"text/plain; charset={charset}", "größe\n値\r\n".encode(f"{charset}-le"))
    assert (reading.items, reading.error) == (["größe", "値"], None)


@pytest.mark.parametrize("default_encoding", ["latin-1", "utf-8"])
def test_text_without_a_charset_is_in_the_clients_default_encoding(default_encoding):
    reading = read_mocked(str, "text/plain", "größe\n".encode(default_encoding), default_encoding=default_encoding)
    assert (reading.items, reading.error) == (["größe"], None)


@pytest.mark.parametrize("parameters", ["", "; charset=bogus", "; charset=base64"])
def test_a_default_encoding_that_needs_the_whole_body_leaves_utf_8(parameters):
    reading = read_mocked(
        str, f"text/plain{parameters}", "größe\n".encode(), default_encoding=lambda content: "latin-1"
    )
    assert (reading.items, reading.error) == (["größe"], None)


@pytest.mark.parametrize("name", ["sse", "json-seq"])
@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "bogus"])
def test_every_other_text_is_utf_8_whatever_charset_it_names(name, charset):
    body = BODIES[name].replace(b'"a"', '"größe"'.encode())
    reading = read_mocked(Token, f"{MEDIA_TYPES[name][0]}; charset={charset}", body)
    assert (reading.items, reading.error) == ([Token(text="größe"), Token(text="b")], None)


# Every format is bounded.

OVERSIZED = {
    "an event stream": ("text/event-stream", b"data: 1\n\ndata: 2\n\ndata: ", b"x"),
    "JSON Lines": ("application/x-ndjson", b"1\n2\n", b"3"),
    "JSON Lines, a string": ("application/x-ndjson", b'1\n2\n"', b"x\xe2\x80\xa8"),
    "JSON Lines, white space": ("application/x-ndjson", b"1\n2\n", b" \r"),
    "a sequence": ("application/json-seq", b"\x1e1\n\x1e2\n\x1e", b"3"),
    "a sequence, a string": ("application/json-seq", b'\x1e1\n\x1e2\n\x1e"', b"\\n\\\n"),
    "a sequence, an array": ("application/json-seq", b"\x1e1\n\x1e2\n\x1e[\n", b"[\n],\n"),
    "a sequence, white space": ("application/json-seq", b"\x1e1\n\x1e2\n\x1e", b" \r"),
    "lines": ("text/plain", b"1\r2\r\n", b"x"),
    "lines in Latin-1": ("text/plain; charset=latin-1", b"1\r2\r\n", b"\x85"),
    "lines in UTF-16": ("text/plain; charset=utf-16-le", b"1\x00\r\x002\x00\n\0", b"\n\r"),
    "lines in UTF-7": ("text/plain; charset=utf-7", b"1\n2\n+", b"AAAA"),
    "lines in escapes": ("text/plain; charset=unicode_escape", b"1\n2\n\\N{", b"AAAA"),
}


@pytest.mark.parametrize(("content_type", "start", "piece"), OVERSIZED.values(), ids=list(OVERSIZED))
def test_an_endless_item_in_small_pieces_raises_after_those_before_it(side, serve, content_type, start, piece):
    async def send_on_and_on(connection: Connection) -> None:
        await connection.send(head(content_type) + chunk(start))
        for _ in range(5000):
            await connection.send(chunk(piece))
        connection.close()

    server = serve(send_on_and_on)
    reading = side.read(client_of(server), int, max_event_size=1000)
    error = reading.error
    assert reading.items == [1, 2]
    assert isinstance(error, api.EventTooLarge)
    assert error.items_received == 2
    assert error.max_event_size == 1000
    assert "event 3 of the stream is larger than max_event_size, 1000 bytes" in str(error)
    server.wait_until_closed()


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("text/event-stream", b"data: %b\n\n"),
        ("application/x-ndjson", b"%b\n"),
        ("application/json-seq", b"\x1e%b\n"),
        ("text/plain", b"%b\n"),
    ],
)
def test_an_item_that_is_too_large_raises_even_if_it_came_whole(side, serve, content_type, text):
    server = serve(head(content_type) + chunk(text % b"1" + text % b"2" + text % (b"3" * 1000) + text % b"4"))
    reading = side.read(client_of(server), int, max_event_size=100)
    assert reading.items == [1, 2]
    assert isinstance(reading.error, api.EventTooLarge)
    server.wait_until_closed()


# Nothing is lost, and nothing is made up, where the connection is.

CUT = {
    "JSON Lines": ("application/x-ndjson", b"1\n\n2\n", b"34"),
    "a sequence": ("application/json-seq", b"\x1e1\n\x1e2\n", b"\x1e[3]"),
    "a sequence, white space": ("application/json-seq", b"\x1e1\n\x1e2\n", b"\x1e34 "),
    "lines": ("text/plain", b"1\r2\r\n", b"34"),
    "lines in UTF-16": ("text/plain; charset=utf-16-be", b"\0001\0\n\0002\0\r", b"\0\n\0003\0"),
}


@pytest.mark.parametrize(("content_type", "whole", "rest"), CUT.values(), ids=list(CUT))
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_what_was_cut_short_is_dropped(side, serve, content_type, whole, rest, is_reset):
    received = threading.Semaphore(0)

    async def cut_short(connection: Connection) -> None:
        await connection.send(head(content_type) + chunk(whole))
        for _ in range(2):
            assert await asyncio.to_thread(received.acquire, timeout=WAIT)
        await connection.send(chunk(rest))
        if is_reset:
            connection.reset()
        else:
            connection.close()

    items = []

    def receive(item: int) -> None:
        items.append(item)
        received.release()

    server = serve(cut_short)
    error = read_each(side, client_of(server), int, receive)
    assert items == [1, 2]
    assert isinstance(error, api.StreamInterrupted)
    assert isinstance(error.__cause__, httpx2.RequestError)
    assert error.items_received == 2
    assert "cut short after 2 items" in str(error)
    server.wait_until_closed()


@pytest.mark.parametrize(("content_type", "whole", "rest"), CUT.values(), ids=list(CUT))
def test_a_stream_that_is_shorter_than_its_length_was_cut_short(side, serve, content_type, whole, rest):
    async def stop_short_of_the_length(connection: Connection) -> None:
        start = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 1000\r\n\r\n"
        await connection.send(start.encode() + whole + rest)
        connection.close()

    reading = side.read(client_of(serve(stop_short_of_the_length)), int)
    assert reading.items == [1, 2]
    assert isinstance(reading.error, api.StreamInterrupted)


def test_bytes_that_were_cut_short_raise_after_those_that_came(side, serve):
    async def close_midway(connection: Connection) -> None:
        await connection.send(head("audio/mpeg") + chunk(b"abc"))
        connection.close()

    reading = side.read(client_of(serve(close_midway)), bytes)
    assert b"".join(reading.items) == b"abc"
    assert isinstance(reading.error, api.StreamInterrupted)


@pytest.mark.parametrize(
    ("content_type", "body", "items"),
    [
        ("application/x-ndjson", b"1\n2", [1, 2]),
        ("application/x-ndjson", b"1\n2\r\n\r", [1, 2]),
        ("application/json-seq", b"\x1e1\n\x1e2 ", [1, 2]),
        ("text/plain", b"1\r\n2", [1, 2]),
        ("text/plain", b"1\r2\r", [1, 2]),
    ],
)
def test_what_stands_at_the_end_needs_no_line_end(side, serve, content_type, body, items):
    server = serve(head(content_type) + chunk(body) + END)
    reading = side.read(client_of(server), int)
    assert (reading.items, reading.error) == (items, None)


# Servers that do not know better call an event stream lines of text.


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=utf-8", "application/x-ndjson"])
@pytest.mark.parametrize(
    "body", [b"data: 1\n\n", b"event: a\n", b"id: 1", b"retry: 5\n", b": hello\n", b"\xef\xbb\xbfdata:1\n"]
)
def test_an_event_stream_by_another_name_is_refused_with_the_cure(side, serve, content_type, body):
    server = serve(answer(body, content_type=content_type))
    reading = side.read(client_of(server), str)
    assert (reading.items, type(reading.error)) == ([], api.UnexpectedContentType)
    assert "and begins as an event stream: " in str(reading.error)
    assert (
        "; pass stream_format='sse' to read it as one, or stream_format='lines'" in str(reading.error)
        or "nd" in content_type
    )
    assert reading.error.response.content == body
    assert side.read(client_of(server), str, stream_format="sse").error is None
    assert side.read(client_of(server), str, stream_format="lines").items != []


def test_it_is_told_from_lines_in_any_cutting(serve):
    async def in_pieces(connection: Connection) -> None:
        await in_bytes(connection, head("text/plain"), b"data: 1\n\n")

    reading = Side("sync").read(client_of(serve(in_pieces)), str)
    assert (reading.items, type(reading.error)) == ([], api.UnexpectedContentType)


@pytest.mark.parametrize(
    "body", [b"", b"d", b"dat", b"data", b"database: 1\n", b" data: 1\n", b"\ndata: 1\n", b"\xef\xbb"]
)
def test_other_lines_are_lines(serve, body):
    async def in_pieces(connection: Connection) -> None:
        await in_bytes(connection, head("text/plain"), body)

    reading = Side("sync").read(client_of(serve(in_pieces)), str)
    assert (reading.items, reading.error) == ([*body.decode("utf-8", "replace").splitlines()], None)


def test_lines_that_were_asked_for_are_lines(serve):
    server = serve(answer(b"data: 1\n", content_type="text/plain"))
    client = api.APIClient(base_url=server.url, headers={"Accept": "text/plain"})
    assert Side("sync").read(client, str).items == ["data: 1"]


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "application/octet-stream"])
def test_an_event_stream_by_a_name_of_no_format_is_recognised(content_type):
    reading = Side("sync").read(fakes.client_of(b"data: 1\n\n", content_type), int)
    assert "and begins as an event stream: " in str(reading.error)
    assert str(reading.error).endswith("; pass stream_format='sse' to read it as one")


@pytest.mark.parametrize("name", ["jsonl", "json"])
@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "utf-16-be", "utf-32"])
def test_json_lines_are_read_in_the_encoding_that_they_name(name, charset):
    body = '{"text": "größe"}\n{"text": "b"}\n'.encode(charset)
    reading = read_mocked(Token, f"application/x-ndjson; charset={charset}", body, stream_format=name)
    assert (reading.items, reading.error) == ([Token(text="größe"), Token(text="b")], None)


@pytest.mark.parametrize("default", ["latin-1", lambda content: "latin-1"])
def test_the_default_encoding_is_that_of_text_and_not_of_json(default):
    reading = read_mocked(Token, "application/x-ndjson", '{"text": "größe"}'.encode(), default_encoding=default)
    assert (reading.items, reading.error) == ([Token(text="größe")], None)


@pytest.mark.parametrize("name", ["sse", "jsonl", "json-seq", "json"])
def test_half_a_surrogate_pair_is_replaced(name):
    text = rb'{"text": "\ud83d \ude00 \ud83d\ude00 \\ud83d"}'
    body = {"sse": b"data: %s\n\n", "json-seq": b"\x1e%s\n"}.get(name, b"%s\n") % text
    reading = read_mocked(Token, MEDIA_TYPES.get(name, ["application/json"])[0], body, stream_format=name)
    assert (reading.items, reading.error) == ([Token(text="\ufffd \ufffd 😀 \\ud83d")], None)
