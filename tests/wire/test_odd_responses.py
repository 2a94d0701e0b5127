"""Responses as they should not be: what is taken and what is refused, to the letter of RFC 9112.

The same code reads them on every side, so most are held against the synchronous transports alone: ours, and httpx2's
own, which takes more.
"""

from __future__ import annotations

import contextlib
import itertools

import httpx2
import pytest
from tests.loops import Word
from tests.servers import END, Connection, chunk
from tests.wire.kinds import OURS, SYNC, over

REFUSED = httpx2.RemoteProtocolError


def head(*lines: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def of_length(*lines: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    return head(*lines, "Content-Length: 2", first=first) + b"ok"


def chunked(body: bytes, *lines: str, coding: str = "chunked", first: str = "HTTP/1.1 200 OK") -> bytes:
    return head(*lines, f"Transfer-Encoding: {coding}", first=first) + body


OK = chunk(b"ok") + END

TAKEN = {
    "lines that end with LF": of_length("X-One: 1").replace(b"\r\n", b"\n"),
    "a status line that ends with LF": of_length().replace(b"\r\n", b"\n", 1),
    "an empty line that ends with LF": of_length("X-One: 1").replace(b"\r\n\r\n", b"\r\n\n"),
    "a folded header": of_length("X-One: 1", "  2"),
    "two spaces before the reason": of_length(first="HTTP/1.1 200  OK"),
    "a control character in a value": of_length("X-One: a\x01b"),
    "a byte that is not UTF-8 in a value": of_length("X-One: a\xffb"),
    "a broken cookie": of_length("Set-Cookie: \xff=\xfe;;"),
    "an empty Connection": of_length("Connection: ,,"),
    "an offer to upgrade": of_length("Upgrade: h2c", "Connection: Upgrade"),
    "an offer of WebSockets": of_length("Upgrade: websocket", "Connection: Upgrade"),
    "an upgrade that is required": of_length("Upgrade: h2c", "Connection: Upgrade", first="HTTP/1.1 426 Upgrade"),
    "a reset with content": of_length(first="HTTP/1.1 205 Reset Content"),
    "many informational responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + of_length(),
    "an informational response with a length": b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n" + of_length(),
    "an informational response in chunks": head("Transfer-Encoding: chunked", first="HTTP/1.1 103 Hi") + of_length(),
    "the length twice": of_length("Content-Length: 2"),
    "the length in a list": head("Content-Length: 2, 2") + b"ok",
    "Chunked": chunked(OK, coding="Chunked"),
    "a space behind the size of a chunk": chunked(b"2 \r\nok\r\n0\r\n\r\n"),
    "a long extension of a chunk": chunked(b"2;" + b"a" * 20_000 + b"\r\nok\r\n0\r\n\r\n"),
    "many trailers": chunked(OK.removesuffix(b"\r\n") + b"X: 1\r\n" * 500 + b"\r\n"),
    "chunks in HTTP/1.0": chunked(OK, "Connection: keep-alive", first="HTTP/1.0 200 OK"),
}

REFUSED_BY_BOTH = {
    "a space before the colon": of_length("X-One : 1"),
    "an empty name": of_length(": 1"),
    "a name that is no token": of_length("X-(One): 1"),
    "a name outside ASCII": of_length("X-\xe4: 1"),
    "a NUL in a value": of_length("X-One: a\0b"),
    "a CR in a value": of_length("X-One: a\rb"),
    "a fold before any header": head("  folded", "Content-Length: 2") + b"ok",
    "HTTP/2": of_length(first="HTTP/2 200 OK"),
    "http": of_length(first="http/1.1 200 OK"),
    "ICY": of_length(first="ICY 200 OK"),
    "a status of two digits": of_length(first="HTTP/1.1 20 OK"),
    "a tab behind the status": of_length(first="HTTP/1.1 200\tOK"),
    "a chunk of a negative size": chunked(b"-2\r\nok\r\n0\r\n\r\n"),
    "a chunk of a prefixed size": chunked(b"0x2\r\nok\r\n0\r\n\r\n"),
    "a chunk without a size": chunked(b"\r\nok\r\n0\r\n\r\n"),
    "a trailer without a colon": chunked(OK.removesuffix(b"\r\n") + b"nonsense\r\n\r\n"),
    "trailers without measure": chunked(OK.removesuffix(b"\r\n") + b"X: " + b"a" * 200_000 + b"\r\n\r\n"),
}

MISFRAMED = {
    "chunks and a length": (chunked(OK, "Content-Length: 2"), "Content-Length"),
    "lengths that differ": (of_length("Content-Length: 3"), "Content-Length"),
    "lengths that differ in a list": (head("Content-Length: 2, 3") + b"ok", "Content-Length"),
    "a length that is no number": (head("Content-Length: many") + b"ok", "Content-Length"),
    "a signed length": (head("Content-Length: +2") + b"ok", "Content-Length"),
    "a negative length": (head("Content-Length: -2") + b"ok", "Content-Length"),
    "an empty length": (head("Content-Length: ") + b"ok", "Content-Length"),
    "a length in other digits": (head("Content-Length: \xb2") + b"ok", "Content-Length"),
    "a length without measure": (head("Content-Length: 99999999999999999999999") + b"ok", "Content-Length"),
    "another coding, too": (chunked(OK, coding="gzip, chunked"), "(?i)coding"),
    "no coding, said so": (chunked(b"ok", coding="identity"), "(?i)coding"),
    "another coding alone": (chunked(b"ok", coding="gzip"), "(?i)coding"),
    "chunked twice": (chunked(OK, coding="chunked, chunked"), "(?i)coding"),
    "chunked twice, in two lines": (chunked(OK, "Transfer-Encoding: chunked"), "(?i)coding"),
    "a chunk of a size without measure": (chunked(b"f" * 20 + b"\r\nok\r\n0\r\n\r\n"), "chunk"),
}


@pytest.fixture
def answered(serve, send):
    """What a client gets from a server that answers so, and then waits."""

    def answered(data: bytes, method: str = "GET") -> httpx2.Response:
        async def answer_and_wait(connection: Connection) -> None:
            await connection.send(data)
            await connection.until_client_closes()

        return send(serve(answer_and_wait).url, method)

    return answered


@over(*SYNC)
@pytest.mark.parametrize("case", TAKEN)
def test_taken(answered, case):
    assert answered(TAKEN[case]).content == b"ok"


@over(*SYNC)
@pytest.mark.parametrize("case", REFUSED_BY_BOTH)
def test_refused(answered, case):
    with pytest.raises(REFUSED):
        answered(REFUSED_BY_BOTH[case])


@over(*OURS, but="httpx2's own takes some, and has other words")
@pytest.mark.parametrize("case", MISFRAMED)
def test_a_body_whose_framing_is_ambiguous_is_refused(answered, case):
    data, says = MISFRAMED[case]
    with pytest.raises(REFUSED, match=says):
        answered(data)


@over(*OURS, but="httpx2's own takes it")
@pytest.mark.parametrize("first", ["HTTP/1.2 200 OK", "HTTP/0.9 200 OK", "HTTP/2.0 200 OK"])
def test_another_version_of_http_takes_no_second_request(serve, run, make_client, first):
    """It is refused, or read as HTTP/1.1 with a connection that does not serve again (RFC 9110, section 2.5)."""
    server = serve(of_length(first=first))

    async def main() -> None:
        async with make_client() as client:
            for _ in range(2):
                with contextlib.suppress(REFUSED):
                    assert (await client.get(server.url)).content == b"ok"

    run(main)
    assert server.connections == 2


@over(*SYNC)
@pytest.mark.parametrize("fold", ["\r\n ", "\n\t", "\r\n \t \r\n  "], ids=["a line", "a line with LF", "two lines"])
def test_a_fold_is_a_space(answered, fold):
    response = answered(of_length(f"X-One: a{fold}b", "X-Two: c"))
    assert response.headers["X-One"].split() == ["a", "b"]
    assert "\n" not in response.headers["X-One"]
    assert response.headers["X-Two"] == "c"


@over(*OURS, but="httpx2's own keeps the spaces of some")
def test_a_fold_is_one_space(answered):
    assert answered(of_length("X-One: a \t", " \t b")).headers["X-One"] == "a b"


@over(*SYNC)
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("framing", ["Content-Length: 2", "Transfer-Encoding: chunked"])
def test_a_body_that_should_not_be_there_is_not_read(answered, status, framing):
    assert answered(head(framing, first=f"HTTP/1.1 {status}") + b"ok").content == b""


@over(*OURS, but="httpx2's own reads the framing before it knows that there is no body")
@pytest.mark.parametrize(
    ("method", "status"), [("GET", "204 No Content"), ("GET", "304 Not Modified"), ("HEAD", "200 OK")]
)
@pytest.mark.parametrize(
    "framing",
    [
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: gzip"],
    ],
    ids=["two lengths", "chunks and a length", "another coding"],
)
def test_where_no_body_is_its_framing_does_not_count(answered, method, status, framing):
    response = answered(head(*framing, first=f"HTTP/1.1 {status}"), method)
    assert (f"{response.status_code} {response.reason_phrase}", response.content) == (status, b"")


@over(*SYNC)
def test_chunks_of_http_1_0_are_read_and_end_the_connection(serve, run, make_client):
    server = serve(chunked(OK, "Connection: keep-alive", first="HTTP/1.0 200 OK"))

    async def main() -> None:
        async with make_client() as client:
            for _ in range(2):
                assert (await client.get(server.url)).content == b"ok"

    run(main)
    assert server.connections == 2


@over(*SYNC)
def test_lines_may_end_in_several_ways_in_whatever_pieces_they_come(serve, send):
    data = b"HTTP/1.1 200 OK\nX-One: 1\r\nX-Two: 2\nContent-Length: 2\r\n\nok"

    async def send_cut(connection: Connection) -> None:
        for number in range(len(data)):
            await connection.send(data[number : number + 1])

    response = send(serve(send_cut).url)
    assert response.headers.raw == [(b"X-One", b"1"), (b"X-Two", b"2"), (b"Content-Length", b"2")]
    assert response.content == b"ok"


@over(*OURS, but="httpx2's own counts the bytes alone")
def test_a_head_of_fields_without_measure_is_refused(answered):
    with pytest.raises(REFUSED, match="head"):
        answered(b"HTTP/1.1 200 OK\r\n" + b"X:\r\n" * 10_000 + b"\r\n")


@over(*OURS, but="httpx2's own reads on and on")
def test_informational_responses_without_end_are_refused(serve, send):
    stopped = Word()

    async def hint_for_ever(connection: Connection) -> None:
        try:
            for _ in itertools.count():
                await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 100)
        finally:
            stopped.set()

    server = serve(hint_for_ever)
    with pytest.raises(REFUSED, match="head"):
        send(server.url)
    assert stopped.wait(10)
    server.wait_until_closed()


@over(*OURS, but="httpx2's own waits for more of it")
def test_garbage_without_end_is_refused_at_its_beginning(serve, send):
    """A server of another protocol is found out by its first line, though it ends neither that nor its connection."""

    async def greet(connection: Connection) -> None:
        await connection.send(b"SSH-2.0-OpenSSH_9.6\r\n" + b"\r\n")
        await connection.until_client_closes()

    with pytest.raises(REFUSED):
        send(serve(greet).url)


@over(*SYNC)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_response_is_the_same_in_whatever_pieces_it_comes(serve, send, size):
    data = (
        head("Link: </a>", first="HTTP/1.1 103 Early Hints")
        + head("X-One: 1", "\t2", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        + b"2;a=b\r\nok\r\n000\r\nX-Sum: 1\r\n\r\n"
    )

    async def send_cut(connection: Connection) -> None:
        for start in range(0, len(data), size):
            await connection.send(data[start : start + size])
        await connection.until_client_closes()

    response = send(serve(send_cut).url)
    assert (response.headers["X-One"], response.content) == ("1 2", b"ok")
    assert "Link" not in response.headers


@over(*OURS, but="httpx2's own lets a server send empty chunks' extensions for ever")
def test_extensions_without_measure_are_refused(serve, send):
    async def extend_for_ever(connection: Connection) -> None:
        await connection.send(head("Transfer-Encoding: chunked") + b"2;")
        for _ in itertools.count():
            await connection.send(b"a" * 65_536)

    server = serve(extend_for_ever)
    with pytest.raises(REFUSED):
        send(server.url)
    server.wait_until_closed()
