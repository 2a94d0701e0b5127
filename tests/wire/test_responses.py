"""The bodies of responses: complete, decoded by httpx2, and each piece as it arrives."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx2
import pytest
from tests.loops import Word
from tests.servers import END, EVENT_STREAM, Connection, answer, chunk, events
from tests.wire.kinds import AND_UVLOOP, OURS, SYNC, over
from tests.wire.loops import in_each_loop

from clientele import api
from clientele.wire.transport import AsyncWireTransport, WireTransport

MIB = bytes(range(256)) * 4096


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


BODIES = {
    "a length": head("Content-Length: 6") + b"onetwo",
    "chunks": EVENT_STREAM + chunk(b"one") + chunk(b"two") + END,
    "chunks with extensions": EVENT_STREAM + b'3;a=b;c="d"\r\none\r\n003\r\ntwo\r\n00\r\n\r\n',
    "chunks with trailers": EVENT_STREAM + chunk(b"onetwo") + b"0\r\nX-Sum: 1\r\n\r\n",
    "the end of the connection": head("Connection: close") + b"onetwo",
    "the end of an HTTP/1.0 connection": b"HTTP/1.0 200 OK\r\n\r\nonetwo",
}


@pytest.mark.parametrize("size", [1, 7, 1_000_000], ids=lambda size: f"in pieces of {size}")
@pytest.mark.parametrize("case", BODIES)
def test_a_body_ends_by(serve, send, case, size):
    data = BODIES[case]

    async def send_cut(connection: Connection) -> None:
        for start in range(0, len(data), size):
            await connection.send(data[start : start + size])
        if case.startswith("the end"):
            connection.close()

    response = send(serve(send_cut).url)
    assert response.content == b"onetwo"
    assert response.num_bytes_downloaded == 6


@pytest.mark.parametrize("framing", ["length", "chunks", "connection"])
def test_a_large_body(serve, send, framing):
    async def send_all(connection: Connection) -> None:
        if framing == "length":
            await connection.send(answer(MIB * 4))
        elif framing == "chunks":
            await connection.send(EVENT_STREAM + b"".join([chunk(MIB)] * 4) + END)
        else:
            await connection.send(head("Connection: close") + MIB * 4)
            connection.close()

    assert send(serve(send_all).url).content == MIB * 4


@over(*AND_UVLOOP)
def test_a_body_that_nobody_reads_is_held_back_in_the_server(serve, run, make_client):
    """A slow reader slows the server: no buffer grows with what it sends."""
    blocked, sent = Word(), 0

    async def send_without_end(connection: Connection) -> None:
        nonlocal sent
        connection.writer.transport.set_write_buffer_limits(0)
        await connection.send(EVENT_STREAM)
        for _ in itertools.count():
            connection.writer.write(chunk(MIB))
            try:
                async with asyncio.timeout(0.2):
                    await connection.writer.drain()
            except TimeoutError:
                break
            sent += 1
        blocked.set()
        await connection.until_client_closes()

    server = serve(send_without_end)

    async def main() -> None:
        async with make_client() as client, client.stream("GET", server.url) as response:
            assert response.status_code == 200
            await blocked.given()

    run(main)
    assert sent < 64
    server.wait_until_closed()


@over(*AND_UVLOOP)
def test_a_body_that_was_held_back_goes_on(serve, run, make_client):
    async def send_much(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for _ in range(8):
            await connection.send(chunk(MIB))
        await connection.send(END)

    server = serve(send_much)

    async def main() -> int:
        async with make_client() as client, client.stream("GET", server.url) as response:
            size = 0
            async for data in response.aiter_raw():
                size += len(data)
                await asyncio.sleep(0)
            return size

    assert run(main) == 8 * len(MIB)


@over(*AND_UVLOOP)
@pytest.mark.parametrize("framing", ["chunks", "length", "connection"])
def test_each_piece_is_read_before_the_next_is_sent(serve, run, make_client, framing):
    words = [Word() for _ in range(10)]

    async def send_on_word(connection: Connection) -> None:
        begin = {"chunks": EVENT_STREAM, "length": head("Content-Length: 10"), "connection": head("Connection: close")}
        await connection.send(begin[framing])
        for number, word in enumerate(words):
            await word.given()
            await connection.send(chunk(b"%d" % number) if framing == "chunks" else b"%d" % number)
        await connection.send(END if framing == "chunks" else b"")
        if framing == "connection":
            connection.close()

    server = serve(send_on_word)

    async def main() -> list[bytes]:
        received = []
        async with make_client() as client, client.stream("GET", server.url) as response:
            words[0].set()
            async for data in response.aiter_raw():
                received.append(data)
                if len(received) < len(words):
                    words[len(received)].set()
        return received

    assert run(main) == [b"%d" % number for number in range(10)]


def test_a_part_of_a_chunk_is_read_before_the_rest_is_sent(serve, run, make_client):
    word = Word()

    async def send_half(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + b"6\r\none")
        await word.given()
        await connection.send(b"two\r\n" + END)

    server = serve(send_half)

    async def main() -> list[bytes]:
        received = []
        async with make_client() as client, client.stream("GET", server.url) as response:
            async for data in response.aiter_raw():
                received.append(data)
                word.set()
        return received

    assert run(main) == [b"one", b"two"]


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@over(*SYNC)
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", deflated), ("identity", bytes)],
    ids=["gzip", "deflate", "raw deflate", "identity"],
)
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_is_decoded_by_httpx2(serve, run, make_client, encoding, encode, is_chunked):
    encoded = encode(MIB)
    if is_chunked:
        data = EVENT_STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % encoding.encode())
        data += chunk(encoded) + END
    else:
        data = answer(encoded, headers=f"Content-Encoding: {encoding}\r\n")
    server = serve(data)

    async def main() -> None:
        async with make_client() as client:
            response = await client.get(server.url)
            assert response.content == MIB
            assert response.headers["Content-Encoding"] == encoding
            assert response.num_bytes_downloaded == len(encoded)
            async with client.stream("GET", server.url) as response:
                assert b"".join([data async for data in response.aiter_raw()]) == encoded

    run(main)


@over(*OURS, but="httpx2's own gives the bytes as they came")
def test_a_content_coding_that_nobody_knows_can_be_read_raw_alone(serve, run, make_client):
    server = serve(answer(b"5", headers="Content-Encoding: weird\r\n"))

    async def main() -> None:
        async with make_client() as client:
            async with client.stream("GET", server.url) as response:
                assert [data async for data in response.aiter_raw()] == [b"5"]
            with pytest.raises(httpx2.DecodingError, match="weird"):
                await client.get(server.url)

    run(main)


@over(*SYNC)
def test_a_body_that_is_not_encoded_as_it_says(serve, send):
    with pytest.raises(httpx2.DecodingError):
        send(serve(answer(b"plain", headers="Content-Encoding: gzip\r\n")).url)


@over(*SYNC)
def test_the_time_that_it_took(serve, send):
    elapsed = send(serve(answer(b"5")).url).elapsed
    assert timedelta() < elapsed < timedelta(minutes=1)


def test_bytes_that_were_downloaded_are_counted_as_they_come(serve, run, make_client):
    server = serve(EVENT_STREAM + chunk(b"one") + chunk(b"two") + END)

    async def main() -> None:
        async with make_client() as client, client.stream("GET", server.url) as response:
            assert response.num_bytes_downloaded == 0
            size = 0
            async for data in response.aiter_bytes():
                size += len(data)
                assert response.num_bytes_downloaded == size

    run(main)


def test_a_body_is_read_once(serve, run, make_client):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with make_client() as client, client.stream("GET", server.url) as response:
            assert [data async for data in response.aiter_raw()] == [b"5"]
            with pytest.raises(httpx2.StreamConsumed):
                await anext(response.aiter_raw())

    run(main)


@over(*SYNC)
@pytest.mark.parametrize("follow", [True, False])
def test_redirects_are_an_affair_of_httpx2(serve, send, follow):
    async def redirect(connection: Connection) -> None:
        if connection.request.target == "/end":
            await connection.send(answer(b"end"))
        else:
            await connection.send(answer(b"first", status="302 Found", headers="Location: /end\r\n"))

    server = serve(redirect)
    response = send(f"{server.url}/", options={"follow_redirects": follow})
    assert response.status_code == (200 if follow else 302)
    assert [each.status_code for each in response.history] == ([302] if follow else [])
    assert [request.target for request in server.requests] == (["/", "/end"] if follow else ["/"])
    assert server.connections == 1


@over(*SYNC)
def test_a_redirect_without_an_end(serve, send):
    server = serve(answer(b"", status="302 Found", headers="Location: /\r\n"))
    with pytest.raises(httpx2.TooManyRedirects):
        send(server.url, options={"follow_redirects": True})
    assert len(server.requests) == 21


@over(*SYNC)
def test_a_redirect_goes_out_as_httpx2_writes_it(serve, send):
    async def redirect(connection: Connection) -> None:
        if connection.request.target == "/":
            head = "Location: /%41/b%2fc?d=e+f&g=%zz#part\r\n"
            await connection.send(answer(b"", status="301 Moved Permanently", headers=head))
        else:
            await connection.send(answer(b"5"))

    server = serve(redirect)
    response = send(server.url, options={"follow_redirects": True})
    assert server.requests[-1].target == response.request.url.raw_path.decode()


@over(*SYNC)
@pytest.mark.parametrize("path", ["/set", "/redirect"])
def test_cookies_are_an_affair_of_httpx2(serve, run, make_client, path):
    async def set_cookie(connection: Connection) -> None:
        if connection.request.target == "/redirect":
            head = "Set-Cookie: a=b\r\nLocation: /end\r\n"
            await connection.send(answer(b"", status="302 Found", headers=head))
        else:
            await connection.send(answer(b"5", headers="Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n"))

    server = serve(set_cookie)

    async def main() -> None:
        async with make_client(follow_redirects=True) as client:
            await client.get(server.url + path)
            await client.get(f"{server.url}/next")
            assert client.cookies["a"] == "b"
            client.cookies.clear()
            await client.get(f"{server.url}/cleared")
            client.cookies.set("own", "1")
            client.cookies.delete("a")
            client.cookies.delete("c")
            await client.get(f"{server.url}/own")

    run(main)
    cookies = {request.target: request.header("Cookie") for request in server.requests}
    assert cookies[path] is None
    assert "a=b" in cookies["/next"]
    assert cookies["/cleared"] is None
    assert cookies["/own"] == "own=1"


def test_a_transport_keeps_no_cookies(serve, run, make_transport):
    server = serve(answer(b"5", headers="Set-Cookie: a=b\r\n"))

    async def main() -> None:
        async with make_transport(verify=False) as transport:
            for _ in range(2):
                response = await transport.handle_async_request(httpx2.Request("GET", server.url))
                await response.aread()

    run(main)
    assert [request.header("Cookie") for request in server.requests] == [None, None]


def test_a_stream_that_something_stands_around_is_not_read_past_it(serve):
    server = serve(events("a"))

    class Shouting(httpx2.AsyncByteStream):
        def __init__(self, inner: httpx2.AsyncByteStream) -> None:
            self._stream = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for data in self._stream:
                yield data.upper().replace(b"DATA", b"data")

        async def aclose(self) -> None:
            await self._stream.aclose()

    class ShoutingTransport(AsyncWireTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Shouting(response.stream)
            return response

    async def main() -> list[str]:
        client = api.APIClient(server.url, async_transport=ShoutingTransport(verify=False))
        async with client.astream("GET", "/", str) as stream:
            return [text async for text in stream]

    assert asyncio.run(main()) == ["A"]


def test_a_synchronous_stream_that_something_stands_around_is_not_read_past_it(serve):
    server = serve(events("a"))

    class Shouting(httpx2.SyncByteStream):
        def __init__(self, inner: httpx2.SyncByteStream) -> None:
            self._stream = inner

        def __iter__(self) -> Iterator[bytes]:
            for data in self._stream:
                yield data.upper().replace(b"DATA", b"data")

        def close(self) -> None:
            self._stream.close()

    class ShoutingTransport(WireTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            response = super().handle_request(request)
            assert isinstance(response.stream, httpx2.SyncByteStream)
            response.stream = Shouting(response.stream)
            return response

    client = api.APIClient(server.url, transport=ShoutingTransport(verify=False))
    with client.stream("GET", "/", str) as stream:
        assert list(stream) == ["A"]


@in_each_loop
def test_a_download_knows_how_many_bytes_have_come(serve, run):
    server = serve(answer(b"12345", content_type="application/octet-stream"))

    async def main() -> int:
        async with api.APIClient(server.url).astream("GET", "/", bytes) as stream:
            assert [data async for data in stream] == [b"12345"]
            return stream.response.num_bytes_downloaded

    assert run(main) == 5


def test_a_synchronous_download_knows_how_many_bytes_have_come(serve):
    server = serve(answer(b"12345", content_type="application/octet-stream"))
    with api.APIClient(server.url).stream("GET", "/", bytes) as stream:
        assert list(stream) == [b"12345"]
        assert stream.response.num_bytes_downloaded == 5


@pytest.mark.parametrize("is_decoded", [False, True])
def test_a_response_straight_from_the_transport_is_read(serve, is_decoded):
    body = gzip.compress(b"5") if is_decoded else b"5"
    server = serve(answer(body, headers="Content-Encoding: gzip\r\n" if is_decoded else ""))
    with WireTransport(verify=False) as transport:
        assert transport.handle_request(httpx2.Request("GET", server.url)).read() == b"5"
