"""Responses as they should not be: what both transports take or refuse alike, and what only one of them takes."""

from __future__ import annotations

import httpx2
import pytest
from tests.servers import END, Connection, chunk

from clientele.transports.aiohttp import AiohttpTransport

REFUSED = httpx2.RemoteProtocolError


def of_length(*lines: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([first, *lines, "Content-Length: 2", "", "ok"]).encode("latin-1")


def chunked(body: bytes, *lines: str, coding: str = "chunked") -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, f"Transfer-Encoding: {coding}", "", ""]).encode() + body


OK = chunk(b"ok") + END

TAKEN_BY_BOTH = {
    "lines that end with LF": of_length().replace(b"\r\n", b"\n"),
    "a status line that ends with LF": of_length().replace(b"\r\n", b"\n", 1),
    "a folded header": of_length("X-One: 1", "  2"),
    "two spaces before the reason": of_length(first="HTTP/1.1 200  OK"),
    "HTTP/0.9": of_length(first="HTTP/0.9 200 OK"),
    "HTTP/2.0": of_length(first="HTTP/2.0 200 OK"),
    "a control character in a value": of_length("X-One: a\x01b"),
    "a byte that is not UTF-8 in a value": of_length("X-One: a\xffb"),
    "a broken cookie": of_length("Set-Cookie: \xff=\xfe;;"),
    "an empty Connection": of_length("Connection: ,,"),
    "an offer to upgrade": of_length("Upgrade: h2c", "Connection: Upgrade"),
    "an offer of WebSockets": of_length("Upgrade: websocket", "Connection: Upgrade"),
    "an upgrade that is required": of_length("Upgrade: h2c", "Connection: Upgrade", first="HTTP/1.1 426 Upgrade"),
    "an unknown encoding": of_length("Content-Encoding: weird"),
    "a reset with content": of_length(first="HTTP/1.1 205 Reset Content"),
    "many informational responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + of_length(),
    "an informational response with a length": b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n" + of_length(),
    "Chunked": chunked(OK, coding="Chunked"),
    "a space behind the size of a chunk": chunked(b"2 \r\nok\r\n0\r\n\r\n"),
    "a long extension of a chunk": chunked(b"2;" + b"a" * 20_000 + b"\r\nok\r\n0\r\n\r\n"),
    "many trailers": chunked(OK.removesuffix(b"\r\n") + b"X: 1\r\n" * 500 + b"\r\n"),
}

REFUSED_BY_BOTH = {
    "a space before the colon": of_length("X-One : 1"),
    "an empty name": of_length(": 1"),
    "a name that is no token": of_length("X-(One): 1"),
    "a name outside ASCII": of_length("X-\xe4: 1"),
    "a NUL in a value": of_length("X-One: a\0b"),
    "a CR in a value": of_length("X-One: a\rb"),
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
    "a length without measure": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
    "HTTP/2": of_length(first="HTTP/2 200 OK"),
    "http": of_length(first="http/1.1 200 OK"),
    "ICY": of_length(first="ICY 200 OK"),
    "a status of two digits": of_length(first="HTTP/1.1 20 OK"),
    "a tab behind the status": of_length(first="HTTP/1.1 200\tOK"),
    "identity and a length": of_length("Transfer-Encoding: identity"),
    "a chunk of a negative size": chunked(b"-2\r\nok\r\n0\r\n\r\n"),
    "a chunk of a prefixed size": chunked(b"0x2\r\nok\r\n0\r\n\r\n"),
    "a trailer without a colon": chunked(OK.removesuffix(b"\r\n") + b"nonsense\r\n\r\n"),
    "trailers without measure": chunked(OK.removesuffix(b"\r\n") + b"X: " + b"a" * 200_000 + b"\r\n\r\n"),
}

TAKEN_BY_AIOHTTP = {
    "blank lines before the status line": b"\r\n\r\n" + of_length(),
    "chunked twice": chunked(OK, "Transfer-Encoding: chunked"),
    "another coding, too": chunked(OK, coding="gzip, chunked"),
}

TAKEN_BY_HTTPX2 = {
    "a length besides the chunks": chunked(OK, "Content-Length: 2"),
    "the length twice": of_length("Content-Length: 2"),
    "the length in a list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "HTTP/1.2": of_length(first="HTTP/1.2 200 OK"),
}


@pytest.fixture
def answered(serve, send):
    """What a client gets from a server that answers so, and then waits."""

    def answered(data: bytes) -> httpx2.Response:
        async def answer_and_wait(connection: Connection) -> None:
            await connection.send(data)
            await connection.until_client_closes()

        return send(serve(answer_and_wait).url)

    return answered


@pytest.mark.parametrize("case", TAKEN_BY_BOTH)
def test_both_take(answered, case):
    assert answered(TAKEN_BY_BOTH[case]).content == b"ok"


@pytest.mark.parametrize("case", REFUSED_BY_BOTH)
def test_both_refuse(answered, case):
    with pytest.raises(REFUSED):
        answered(REFUSED_BY_BOTH[case])


@pytest.mark.parametrize("case", [*TAKEN_BY_AIOHTTP, *TAKEN_BY_HTTPX2])
def test_only_one_takes(answered, transport_class, case):
    taken = TAKEN_BY_AIOHTTP if transport_class is AiohttpTransport else TAKEN_BY_HTTPX2
    if case in taken:
        assert answered(taken[case]).content == b"ok"
    else:
        with pytest.raises(REFUSED):
            answered((TAKEN_BY_AIOHTTP | TAKEN_BY_HTTPX2)[case])


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("framing", ["Content-Length: 2", "Transfer-Encoding: chunked"])
def test_a_body_that_should_not_be_there_is_not_read(answered, status, framing):
    assert answered(f"HTTP/1.1 {status}\r\n{framing}\r\n\r\n".encode() + b"ok").content == b""
