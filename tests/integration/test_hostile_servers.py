"""Servers that mean harm, or might as well: each ends in a clear exception, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socket
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.listeners import tls_server, trusting
from tests.servers import END, EVENT_STREAM, Connection, RawServer, answer, chunk, events

from clientele import api
from clientele.redirects import RefusedRedirect

MIB = 1024 * 1024
MAX_EVENT_SIZE = MIB
FIXED_AMOUNT = 6 * MIB
"""What a stream may take beside its largest event: what httpx2 decodes at once, what is on its way, and this server."""


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Hold what is allocated at once within the bounds."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < MAX_EVENT_SIZE + FIXED_AMOUNT


def for_ever(head: bytes, piece: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def send(connection: Connection) -> None:
        await connection.send(head)
        while True:
            await connection.send(piece)

    return send


def chunks_for_ever(first: bytes, piece: bytes) -> Callable[[Connection], Awaitable[None]]:
    return for_ever(EVENT_STREAM + chunk(first), chunk(piece))


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"data: 1\n\ndata: ", b"x" * 10_000, id="a line"),
        pytest.param(b"data: 1\n\n", b"data: xy\n" * 1000, id="an event"),
        pytest.param(b"data: 1\n\n", b"id: x" + b"y" * 100 + b"\n", id="an event without data"),
        pytest.param(b"data: 1\n\n:", b"x" * 10_000, id="a comment"),
        pytest.param(b"data: 1\n\nunknown", b"x" * 10_000, id="an unknown field"),
    ],
)
def test_what_never_ends_is_too_large(side, serve, first, piece):
    server = serve(chunks_for_ever(first, piece))
    with bounded_memory():
        reading = side.read(api.APIClient(server.url), int, max_event_size=MAX_EVENT_SIZE, reconnect=True)
    assert reading.items == [1]
    assert isinstance(reading.error, api.EventTooLarge)
    server.wait_until_closed()
    assert len(server.requests) == 1


def test_a_line_of_json_that_never_ends_is_too_large(side, serve):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\n\r\n"
    server = serve(for_ever(head + b'1\n"', b"x" * 10_000))
    with bounded_memory():
        reading = side.read(api.APIClient(server.url), int, max_event_size=MAX_EVENT_SIZE)
    assert reading.items == [1]
    assert isinstance(reading.error, api.EventTooLarge)


def bomb(encoding: str) -> tuple[bytes, bytes]:
    """The beginning of a body that inflates a thousandfold, and a piece of which there can be any number more."""
    compress = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    first = compress.compress(b"data: 1\n\ndata: ") + compress.flush(zlib.Z_SYNC_FLUSH)
    compress.compress(bytes(MIB))  # from here on each piece depends on nothing but zeros
    compress.flush(zlib.Z_FULL_FLUSH)
    piece = compress.compress(b"x" * 16 * MIB) + compress.flush(zlib.Z_FULL_FLUSH)
    return first, piece


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_decompression_bomb_is_too_large(side, serve, encoding):
    first, piece = bomb(encoding)
    head = EVENT_STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: " + encoding.encode() + b"\r\n\r\n")
    server = serve(for_ever(head + chunk(first), chunk(piece)))
    with bounded_memory():
        reading = side.read(api.APIClient(server.url), str, max_event_size=MAX_EVENT_SIZE)
    assert reading.items == ["1"]
    assert isinstance(reading.error, api.EventTooLarge)


def test_a_bomb_within_a_bomb_is_too_large(side, serve):
    packed = gzip.compress(gzip.compress(b"data: 1\n\ndata: " + b"x" * 32 * MIB))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(packed)}\r\n"
    server = serve(head.encode() + b"Content-Encoding: gzip, gzip\r\n\r\n" + packed)
    with bounded_memory():
        reading = side.read(api.APIClient(server.url), str, max_event_size=MAX_EVENT_SIZE)
    assert reading.items == ["1"]
    assert isinstance(reading.error, api.EventTooLarge)


def test_a_bomb_in_an_error_is_read_to_its_first_mebibyte(side, serve):
    packed = gzip.compress(b"x" * 32 * MIB)
    server = serve(answer(packed, status="400 Bad", content_type="text/plain", headers="Content-Encoding: gzip\r\n"))
    with bounded_memory():
        reading = side.read(api.APIClient(server.url), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert len(reading.error.response.content) == MIB


@pytest.mark.parametrize("piece", [b"X: y\r\n" * 1000, b"X" * 10_000], ids=["headers", "a header"])
def test_a_head_that_never_ends_is_refused(side, serve, piece):
    server = serve(for_ever(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", piece))
    with bounded_memory():
        reading = side.read(api.APIClient(server.url), str)
    assert isinstance(reading.error, api.TransportError)
    assert "broke the protocol" in str(reading.error)
    server.wait_until_closed()


def silence(head: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def send(connection: Connection) -> None:
        await connection.send(head)
        await connection.until_client_closes()

    return send


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", EVENT_STREAM, EVENT_STREAM + b"5\r\nda"])
def test_what_never_begins_is_interrupted_after_the_idle_timeout(side, serve, head):
    server = serve(silence(head))
    reading = side.read(api.APIClient(server.url), str, idle_timeout=0.1)
    assert isinstance(reading.error, api.StreamInterrupted)
    assert "no byte from the server within 0.1 s" in str(reading.error)
    server.wait_until_closed()


@pytest.mark.parametrize("slow", [b"HTTP/1.1 200 OK\r\nX", b"data: x"], ids=["the head", "an event"])
def test_a_byte_now_and_then_is_interrupted_by_a_shorter_idle_timeout(side, serve, slow):
    async def drip(connection: Connection) -> None:
        if slow.startswith(b"data"):
            await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
        for byte in itertools.cycle(slow):
            await connection.send(chunk(bytes([byte])) if slow.startswith(b"data") else bytes([byte]))
            await asyncio.sleep(0.5)

    reading = side.read(api.APIClient(serve(drip).url), int, idle_timeout=0.2)
    assert reading.items == ([1] if slow.startswith(b"data") else [])
    assert isinstance(reading.error, api.StreamInterrupted)


def test_a_byte_now_and_then_is_a_stream_like_any_other(side, serve):
    async def drip(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for byte in b"data: 1\n\ndata: 2\n\n":
            await connection.send(chunk(bytes([byte])))
            await asyncio.sleep(0.01)
        await connection.send(END)

    assert side.read(api.APIClient(serve(drip).url), int).items == [1, 2]


def test_bytes_after_the_last_chunk_are_no_part_of_the_stream(side, serve):
    server = serve(events("1") + b"data: 2\n\n")
    client = api.APIClient(server.url)
    readings = [side.read(client, int) for _ in range(3)]
    assert [(reading.items, reading.error) for reading in readings] == [([1], None)] * len(readings)


def test_a_redirect_loop_is_left(side, serve):
    server = serve(answer(b"", status="302 Found", headers="Location: /\r\n"))
    reading = side.read(api.APIClient(server.url, max_redirects=5), int, reconnect=True)
    assert isinstance(reading.error, api.TransportError)
    assert "too many redirects" in str(reading.error)
    assert len(server.requests) == 6


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_redirect_from_https_to_http_is_not_followed(side, serve, is_stream):
    target = serve(events("1"))
    moved = answer(b"", status="307 Moved", headers=f"Location: {target.url}/path?token=s\r\n")
    with tls_server(moved) as server:
        client = api.APIClient(server.url, verify=trusting())
        with pytest.raises(api.TransportError) as caught:
            if is_stream:
                raise side.read(client, int, reconnect=True).error or AssertionError("it was followed")
            side.call(client, int)
    assert isinstance(caught.value.__cause__, RefusedRedirect)
    assert f"the server redirects to {target.url}/path?token=REDACTED, where everybody" in str(caught.value)
    assert target.requests == []


def test_a_redirect_from_http_to_https_is_followed(side, serve):
    with tls_server(events("1")) as target:
        server = serve(answer(b"", status="307 Moved", headers=f"Location: {target.url}/\r\n"))
        assert side.read(api.APIClient(server.url, verify=trusting()), int).items == [1]


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        (b"", "no content type"),
        (b"Content-Type:\r\n", "no content type"),
        (b"Content-Type: text/event-stream\r\nContent-Type: text/html\r\n", "'text/event-stream, text/html'"),
        (b"Content-Type: text/html\r\nContent-Type: text/event-stream\r\n", "'text/html, text/event-stream'"),
    ],
)
def test_a_content_type_that_is_missing_or_doubled_is_unexpected(side, serve, headers, shown):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + headers + b"\r\ndata: 1\n\n")
    reading = side.read(api.APIClient(server.url), int)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert shown in str(reading.error)
    assert reading.stream is None


def test_control_characters_in_a_name_or_id_reach_the_user_and_no_log(side, serve):
    server = serve(EVENT_STREAM + chunk(b"event: a\x1b[2Jb\nid: 1\x07\ndata: 1\n\nevent: a\x1b[2Jb\ndata: x\n\n") + END)
    reading = side.read(api.APIClient(server.url), api.ServerSentEvent[int])
    assert [(event.event, event.id) for event in reading.items] == [("a\x1b[2Jb", "1\x07")]
    assert isinstance(reading.error, api.StreamDecodeError)
    assert str(reading.error).isprintable()


async def half_close(connection: Connection) -> None:
    """Say that nothing more will come, and go on listening."""
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n") + b"20\r\ndata: 2")
    connection.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
    await connection.until_client_closes()


def test_a_half_closed_connection_is_cut_short(side, serve):
    server: RawServer = serve(half_close)
    reading = side.read(api.APIClient(server.url), int)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)
    server.wait_until_closed()
