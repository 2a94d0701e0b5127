"""HTTP/1.1: any response, in any cutting, means what the slow reading of RFC 9112 in `http11_reference.py` says.

First responses by the thousand, then those that are worth naming, the limits, and the requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from unittest import mock

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.wire.http11_reference import Reading, may_be_sent, read_response

from clientele.wire import http11
from clientele.wire.http11 import RequestWriter, ResponseReader

HOST = (b"Host", b"api.example")


@dataclass(frozen=True)
class Message:
    """What a connection brings, and the request that it answers."""

    data: bytes
    method: bytes = b"GET"
    is_last: bool = False


def reader_for(method: bytes, *, is_last: bool = False) -> ResponseReader:
    return ResponseReader(method, is_last=is_last)


def read(message: Message, pieces: list[bytes]) -> tuple[Reading, Reading]:
    """What has been read when the pieces are there, and when the connection has ended after them."""
    reader = reader_for(message.method, is_last=message.is_last)
    body = b""
    has_head = False
    for piece in pieces:
        reader.receive(piece)
        if reader.head is not None and not has_head:
            has_head = reader.take_head() is reader.head
        taken = reader.size
        data = reader.take() if has_head else b""
        assert len(data) <= taken
        assert (reader.size, reader.take()) == (0, b"")
        assert reader.is_ready == (reader.is_complete or reader.error is not None)
        body += data
    before = reading_of(reader, body)
    reader.receive_end()
    assert reader.is_ready
    return before, reading_of(reader, body)


def reading_of(reader: ResponseReader, body: bytes) -> Reading:
    if reader.head is None:
        if reader.error is not None:
            with pytest.raises(httpx2.RemoteProtocolError):
                reader.take_head()
    else:
        assert reader.take_head() is reader.head
    assert reader.error is None or isinstance(reader.error, httpx2.RemoteProtocolError)
    assert not (reader.is_complete and reader.error)
    assert not (reader.is_reusable and reader.error)
    return Reading(
        head=None if reader.head is None else tuple(reader.head),
        body=body,
        is_complete=reader.is_complete,
        is_upgraded=reader.is_upgraded,
        is_reusable=reader.is_complete and reader.is_reusable,
        is_refused=reader.error is not None,
    )


def reference(message: Message, *, is_ended: bool) -> Reading:
    return read_response(
        message.method,
        message.data,
        is_ended=is_ended,
        is_last=message.is_last,
        max_head_size=http11.MAX_HEAD_SIZE,
        max_fields=http11.MAX_FIELDS,
    )


def assert_means_what_the_reference_says(message: Message, pieces: list[bytes]) -> None:
    before, after = read(message, pieces)
    assert after == reference(message, is_ended=True)
    # That a message is invalid may be known before it is all there.
    expected = reference(message, is_ended=False)
    expected.is_refused = before.is_refused
    assert before == expected


def bytes_of(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


# Any response, in any cutting


def weighted(*choices: tuple[int, object]) -> st.SearchStrategy:
    """One of the values or strategies, each as often as its weight says."""
    strategies = [
        value if isinstance(value, st.SearchStrategy) else st.just(value)
        for weight, value in choices
        for _ in range(weight)
    ]
    return st.integers(0, len(strategies) - 1).flatmap(strategies.__getitem__)


line_ends = weighted((9, b"\r\n"), (1, b"\n"))
versions = weighted((12, b"HTTP/1.1"), (4, b"HTTP/1.0"), (1, b"HTTP/1.2"), (1, b"HTTP/2.0"))
statuses = weighted(
    (12, b"200"),
    *((1, status) for status in (b"204", b"304", b"101", b"206", b"299", b"300", b"404", b"500", b"000", b"999")),
)
reasons = weighted((4, b" OK"), (1, b" "), (1, b""), (1, b" Not  so \xff\x01 "))
methods = weighted((6, b"GET"), (1, b"POST"), (2, b"HEAD"), (2, b"CONNECT"))
spaces = weighted((6, b" "), (1, b""), (1, b"\t "))
plain_fields = st.sampled_from(
    [
        (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"X", b""),
        (b"x!#$%&'*+.^_`|~-", b"\x01\x7f\xff"),
        (b"Set-Cookie", b"a=b"),
        (b"Folded", b"a\r\n b"),
        (b"Folded", b"a \t\r\n\t  b\n c"),
        (b"Folded", b"\r\n a\r\n \r\n b\r\n "),
    ]
)
connection_fields = st.tuples(
    st.sampled_from([b"Connection", b"connection"]),
    st.sampled_from(
        [b"close", b"keep-alive", b"Keep-Alive, x", b"x, CLOSE", b"upgrade", b"", b"closed", b"x,\r\n close"]
    ),
)
odd_writer_fields = st.sampled_from(
    [
        [(b"Transfer-Encoding", b"gzip")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked,")],
        [(b"Transfer-Encoding", b"")],
        [(b"Content-Length", b"")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"+1")],
        [(b"Content-Length", b"1.0")],
        [(b"Content-Length", b"0x1")],
        [(b"Content-Length", b"\xb2")],
        [(b"Content-Length", b"3, 3,")],
        [(b"Content-Length", b"3, 4")],
        [(b"Content-Length", b"3"), (b"content-length", b"4")],
        [(b"Content-Length", b"3, 03")],
        [(b"Content-Length", b"9" * 18)],
        [(b"Content-Length", b"9" * 19)],
        [(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")],
    ]
)
extensions = weighted(
    (12, b""),
    (1, b";a"),
    (1, b";a=b;c"),
    (1, b';a="b \\"c\\\\;"'),
    (1, b" "),
    (1, b" \t;a=b"),
    (1, b";a="),
    (1, b";=b"),
    (1, b";;b"),
    (1, st.lists(st.sampled_from([b";", b"a", b"=", b'"', b"\\", b" ", b"\xff", b"\x01"]), max_size=6).map(b"".join)),
)
trailers = weighted(
    (12, b""),
    (1, b"X: y\r\n"),
    (1, b"Connection: keep-alive, upgrade\r\nUpgrade: x\r\n"),
    (1, b"Transfer-Encoding: gzip\r\n"),
    (1, b"Content-Length: 3\r\n"),
    (1, b"X: a\r\n b\r\n"),
    (1, b"X: a\n"),
    (1, b"X: \x01\r\n"),
    (1, b"X : y\r\n"),
    (1, b"X\r\n"),
)
excesses = weighted((6, b""), (1, b"x"), (1, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), (1, b"\0\r\n\r\n"))
interesting = st.sampled_from(
    [*bytes_of(b"\r\n\0 \t:,;=\"'\\/-+019afgGx\x7f\x80\xff"), b"\r\n", b"\r\n\r\n", b"\n\n", b""]
)


@st.composite
def heads(draw: st.DrawFn, status: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    lines = [draw(versions) + b" " + status + draw(reasons)]
    for name, value in draw(st.permutations(fields)):
        lines.append(name + b":" + draw(spaces) + value + draw(weighted((6, b""), (1, b" \t"))))
    return b"".join(line + draw(line_ends) for line in [*lines, b""])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    body = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(weighted((4, b"%x"), (1, b"%X"), (1, b"000%x"))) % len(data)
        body += size + draw(extensions) + b"\r\n" + data + b"\r\n"
    return body + draw(weighted((5, b"0"), (1, b"000"))) + draw(extensions) + b"\r\n" + draw(trailers) + b"\r\n"


@st.composite
def messages(draw: st.DrawFn) -> Message:
    informational = st.lists(st.sampled_from([b"100", b"102", b"103", b"199"]), max_size=2)
    data = b""
    for status in draw(weighted((3, []), (1, informational))):
        data += draw(heads(status, draw(st.lists(plain_fields | connection_fields, max_size=2))))
    fields = draw(st.lists(weighted((3, plain_fields), (1, connection_fields)), max_size=3))
    writer = draw(weighted((6, "length"), (6, "chunked"), (3, "end"), (3, "odd")))
    if writer == "length":
        body = draw(st.binary(max_size=30))
        length = b"%d" % len(body)
        listed = draw(weighted((6, [length]), (1, [length] * 2), (1, [length + b", " + length])))
        fields += [(draw(st.sampled_from([b"Content-Length", b"content-length"])), value) for value in listed]
    elif writer == "chunked":
        body = draw(chunked_bodies())
        fields.append((b"Transfer-Encoding", draw(st.sampled_from([b"chunked", b"Chunked"]))))
    elif writer == "end":
        body = draw(st.binary(max_size=30))
    else:
        body = draw(chunked_bodies() | st.just(b"abc"))
        fields += draw(odd_writer_fields)
    data += draw(heads(draw(statuses), fields)) + body + draw(excesses)
    for _ in range(draw(weighted((6, 0), (2, 1), (1, 3)))):
        position = draw(st.integers(0, len(data)))
        data = data[:position] + draw(interesting) + data[position + draw(st.integers(0, 1)) :]
    data = data[: draw(weighted((6, len(data)), (1, st.integers(0, len(data)))))]
    return Message(data, draw(methods), draw(weighted((9, False), (1, True))))


def cuttings(data: bytes) -> st.SearchStrategy[list[bytes]]:
    cuts = st.lists(st.integers(0, len(data)), max_size=6, unique=True).map(sorted)
    anywhere = cuts.map(lambda cuts: [data[start:end] for start, end in pairwise([0, *cuts, len(data)]) if start < end])
    return st.just([data] if data else []) | st.just(bytes_of(data)) | anywhere


@settings(max_examples=200, deadline=None)
@given(messages().flatmap(lambda message: st.tuples(st.just(message), cuttings(message.data))))
def test_any_response_in_any_cutting_means_what_the_reference_says(message_and_pieces):
    assert_means_what_the_reference_says(*message_and_pieces)


def test_a_connection_is_not_used_again_after_line_ends_behind_a_chunked_body():
    reader = ResponseReader(b"GET")
    reader.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n")

    assert reader.is_complete
    assert not reader.is_reusable


@settings(max_examples=50, deadline=None)
@given(messages())
def test_after_any_byte_everything_is_known_that_has_come_so_far(message):
    reader = reader_for(message.method, is_last=message.is_last)
    body = b""
    for end, byte in enumerate(bytes_of(message.data), start=1):
        reader.receive(byte)
        body += reader.take()
        expected = reference(Message(message.data[:end], message.method, message.is_last), is_ended=False)
        expected.is_refused = reader.error is not None
        assert reading_of(reader, body) == expected


@settings(max_examples=60, deadline=None)
@given(messages().filter(lambda message: b"hunked" not in message.data), st.data(), st.integers(0, 150))
def test_the_limits_of_a_head_hold_alike_in_any_cutting(message, data, max_head_size):
    pieces = data.draw(cuttings(message.data))
    max_fields = data.draw(st.integers(0, 4))
    with mock.patch.multiple(http11, MAX_HEAD_SIZE=max_head_size, MAX_FIELDS=max_fields):
        assert_means_what_the_reference_says(message, pieces)


# Responses worth naming

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def response(data: bytes, *, method: bytes = b"GET", is_last: bool = False) -> ResponseReader:
    """What has been read of a response that arrives byte by byte."""
    reader = reader_for(method, is_last=is_last)
    for byte in bytes_of(data):
        reader.receive(byte)
    return reader


def test_a_head_keeps_the_order_and_the_spelling_of_its_fields():
    reader = response(b"HTTP/1.1 404 Not There\r\nb: 1\r\nA:2 \r\nB:\t3\r\nContent-Length: 0\r\n\r\n")

    version, status, reason, headers = reader.take_head()
    assert (version, status, reason) == (b"HTTP/1.1", 404, b"Not There")
    assert headers == [(b"b", b"1"), (b"A", b"2"), (b"B", b"3"), (b"Content-Length", b"0")]


def test_lines_may_end_with_lf_alone():
    assert response(b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi").take() == b"hi"


def test_a_folded_line_is_joined_with_one_space():
    assert response(b"HTTP/1.1 204 No Content\r\nA: b \r\n\t  c\r\n\r\n").take_head().headers == [(b"A", b"b c")]


def test_white_space_is_looked_at_once():
    """However much of it there is in a head with a folded line: looked at from each place on, this takes a minute."""
    spaces = b" " * 98_000
    head = response(b"HTTP/1.1 204 No Content\r\nA: b\r\n c\r\nD: e" + spaces + b"f\r\n\r\n").take_head()
    assert head.headers == [(b"A", b"b c"), (b"D", b"e" + spaces + b"f")]


def test_informational_responses_are_skipped():
    reader = response(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    assert not reader.is_ready
    reader.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    assert reader.take_head().status == 200
    assert reader.take_head().headers == [(b"Content-Length", b"0")]
    assert reader.is_reusable


@pytest.mark.parametrize(("method", "status"), [(b"GET", b"101 Switching Protocols"), (b"CONNECT", b"200 OK")])
def test_after_an_upgrade_every_byte_belongs_to_the_other_protocol(method, status):
    reader = response(b"HTTP/1.1 %b\r\nContent-Length: 1\r\n\r\nanything" % status, method=method)

    assert (reader.is_upgraded, reader.is_complete) == (True, False)
    assert reader.take() == b"anything"
    reader.receive_end()
    assert (reader.is_complete, reader.is_reusable, reader.error) == (True, False, None)


@pytest.mark.parametrize(
    ("method", "status"), [(b"HEAD", b"200 OK"), (b"GET", b"204 No Content"), (b"GET", b"304 Not Modified")]
)
@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Content-Length: nonsense"])
def test_some_responses_end_with_their_head_whatever_it_says(method, status, field):
    reader = response(b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (status, field), method=method)

    assert reader.is_complete
    assert reader.is_reusable
    assert reader.take() == b""


def test_a_chunked_body_has_its_extensions_and_trailers_taken_out():
    reader = response(CHUNKED + b'3;a=b;c="d;\\"e"\r\nabc\r\n00A\r\n0123456789\r\n0;last\r\nTrailer: x\r\n\r\n')

    assert reader.take() == b"abc0123456789"
    assert reader.is_complete
    assert reader.is_reusable


@pytest.mark.parametrize("extension", [b";;b", b";a=", b";=b", b';a=b"c"', b" \t;a"])
def test_extensions_of_a_chunk_that_are_almost_right_are_skipped(extension):
    reader = response(CHUNKED + b"2%b\r\nhi\r\n0%b\r\n\r\n" % (extension, extension))

    assert (reader.take(), reader.is_complete) == (b"hi", True)


@pytest.mark.parametrize("extension", [b";", b";a;", b"; a", b";a =b", b';a="b', b";a=\x01", b";a\nb"])
def test_extensions_of_a_chunk_that_are_wrong_are_refused(extension):
    reader = response(CHUNKED + b"2%b\r\nhi\r\n0\r\n\r\n" % extension)

    assert reader.take() == b""
    assert isinstance(reader.error, httpx2.RemoteProtocolError)


@pytest.mark.parametrize("lengths", [b"Content-Length: 2, 2", b"Content-Length: 2\r\nContent-Length: 2"])
def test_a_length_may_be_repeated(lengths):
    reader = response(b"HTTP/1.1 200 OK\r\n%b\r\n\r\nhi" % lengths)

    assert reader.take() == b"hi"
    assert reader.is_complete


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (b"Content-Length: 2, 3", "Content-Length of the response is '2, 3'"),
        (b"Content-Length: 2\r\nContent-Length: 3", "Content-Length of the response is '2, 3'"),
        (b"Content-Length: +2", "Content-Length of the response is '\\+2'"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked", "a Transfer-Encoding and a Content-Length"),
        (b"Transfer-Encoding: gzip, chunked", "the transfer coding 'gzip, chunked' is unknown"),
        (b"Transfer-Encoding: identity", "the transfer coding 'identity' is unknown"),
        (b"Two Words: x", "line 2 of the response's head, which begins with b'Two Words'"),
        (b"A: b\r\nB : secret", "line 3 of the response's head, which begins with b'B '"),
    ],
)
def test_a_head_that_contradicts_itself_is_refused_and_the_message_names_why(fields, named):
    reader = response(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nhi")

    assert reader.is_ready
    assert not reader.is_reusable
    with pytest.raises(httpx2.RemoteProtocolError, match=named) as caught:
        reader.take_head()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "taken", "message"),
    [
        (b"", b"", "the server closed the connection without a response"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"", "the server closed the connection without a response"),
        (b"HTTP/1.1 200 OK\r\n", b"", "the server closed the connection within the head of its response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"ab", "the connection ended 3 bytes before the body did"),
        (CHUNKED + b"5\r\nab", b"ab", "the connection ended before the last chunk of the body"),
        (CHUNKED + b"2\r\nab\r\n0\r\n", b"ab", "the connection ended before the last chunk of the body"),
    ],
)
def test_a_response_that_breaks_off_gives_what_came_before_and_then_its_error(data, taken, message):
    reader = response(data)
    assert reader.error is None
    reader.receive_end()

    assert reader.is_ready
    assert reader.take() == taken
    assert isinstance(reader.error, httpx2.RemoteProtocolError)
    assert str(reader.error) == message


def test_a_body_without_a_length_ends_with_its_connection():
    reader = response(b"HTTP/1.1 200 OK\r\n\r\nto the end")
    assert (reader.take(), reader.is_complete) == (b"to the end", False)
    reader.receive_end()

    assert (reader.is_complete, reader.is_reusable, reader.error) == (True, False, None)


def test_a_chunk_that_is_none_gives_what_came_before_and_then_its_error():
    reader = response(CHUNKED + b"2\r\nab\r\nnonsense\r\n")

    assert reader.take() == b"ab"
    assert str(reader.error).startswith("the body is not chunked as it should be")


@pytest.mark.parametrize(
    ("version", "connection", "is_reusable"),
    [
        (b"HTTP/1.1", None, True),
        (b"HTTP/1.1", b"keep-alive", True),
        (b"HTTP/1.1", b"x, Close", False),
        (b"HTTP/1.0", None, False),
        (b"HTTP/1.0", b"Keep-Alive", True),
        (b"HTTP/1.0", b"keep-alive, close", False),
    ],
)
def test_a_connection_is_kept_by_the_rules(version, connection, is_reusable):
    field = b"" if connection is None else b"Connection: %b\r\n" % connection
    data = b"%b 200 OK\r\n%bContent-Length: 2\r\n\r\nhi" % (version, field)

    assert response(data).is_reusable == is_reusable
    assert not response(data, is_last=True).is_reusable


def test_http_1_0_has_no_chunks_so_its_connection_is_not_kept_after_some():
    reader = response(
        CHUNKED.replace(b"/1.1 200 OK", b"/1.0 200 OK\r\nConnection: keep-alive") + b"1\r\nx\r\n0\r\n\r\n"
    )

    assert (reader.take(), reader.is_complete, reader.is_reusable) == (b"x", True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("excess", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"])
def test_bytes_behind_the_end_are_no_part_of_anything(data, excess):
    body = response(data).take()
    for pieces in ([data, excess], [data + excess], bytes_of(data + excess)):
        reader = ResponseReader(b"GET")
        for piece in pieces:
            reader.receive(piece)

        assert (reader.take(), reader.is_complete, reader.is_reusable, reader.error) == (body, True, False, None)


def test_a_connection_that_fails_after_the_end_takes_nothing_back():
    reader = response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    reader.fail(httpx2.ReadError("reset"))

    assert (reader.take(), reader.is_complete, reader.is_reusable, reader.error) == (b"hi", True, False, None)


def test_the_first_error_is_the_one_that_counts():
    reader = response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
    first = httpx2.ReadError("reset")
    reader.fail(first)
    reader.fail(httpx2.ReadError("again"))
    reader.receive(b"i")
    reader.receive_end()

    assert (reader.take(), reader.error, reader.is_complete) == (b"h", first, False)


# Limits


@pytest.mark.parametrize("digits", [18, 19])
def test_a_content_length_has_18_digits_at_the_most(digits):
    reader = response(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"9" * digits))

    assert (reader.error is None) == (digits == 18)


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_head_has_a_largest_size(size):
    start, end = b"HTTP/1.1 204 No Content\r\nX: ", b"\r\n\r\n"
    for excess in (0, 1):
        data = start + b"x" * (http11.MAX_HEAD_SIZE - len(start + end) + excess) + end
        reader = ResponseReader(b"GET")
        for position in range(0, len(data), size):
            reader.receive(data[position : position + size])

        assert reader.is_complete == (not excess)
        assert (reader.error is not None) == bool(excess)


def test_a_head_that_never_ends_is_refused_once_it_is_too_large():
    reader = ResponseReader(b"GET")
    reader.receive(b"HTTP/1.1 200 OK\r\nX: ".ljust(http11.MAX_HEAD_SIZE, b"x"))
    assert reader.error is None
    reader.receive(b"x")

    assert "larger than 102400 bytes" in str(reader.error)


def test_informational_responses_count_for_the_size_of_the_head():
    reader = ResponseReader(b"GET")
    informational = b"HTTP/1.1 103 Early Hints\r\nLink: ".ljust(1020, b"x") + b"\r\n\r\n"
    for _ in range(100):
        reader.receive(informational)
        assert reader.error is None
    reader.receive(informational)

    assert "larger than 102400 bytes" in str(reader.error)


def test_a_head_has_a_largest_number_of_fields():
    fields = b"X: y\r\n" * http11.MAX_FIELDS
    assert len(response(b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\n").take_head().headers) == 1024

    reader = response(b"HTTP/1.1 204 No Content\r\n" + fields + b"X: y\r\n\r\n")
    assert "more than 1024 headers" in str(reader.error)


@pytest.mark.parametrize("start", [b"3;", b"3\r\nabc\r\n0\r\nX: "])
def test_extensions_and_trailers_have_a_largest_size(start):
    reader = ResponseReader(b"GET")
    reader.receive(CHUNKED + start)
    for _ in range(99):
        reader.receive(b"x" * 1024)
        assert reader.error is None
    reader.receive(b"x" * 2048)

    assert isinstance(reader.error, httpx2.RemoteProtocolError)
    assert "more than 102400 bytes" in str(reader.error)


def test_extensions_of_many_chunks_do_not_add_up():
    reader = ResponseReader(b"GET")
    reader.receive(CHUNKED)
    for _ in range(20):
        reader.receive(b"1;" + b"x" * 10_000)
        reader.receive(b"\r\ny\r\n")

    assert (reader.take(), reader.error) == (b"y" * 20, None)


# Requests


def test_a_head_is_sent_as_it_is_given():
    head = RequestWriter(b"GET", b"/path?query", [HOST, (b"x-Odd", "\tgrün".encode()), (b"X-Odd", b"")]).head

    assert head == "GET /path?query HTTP/1.1\r\nHost: api.example\r\nx-Odd: \tgrün\r\nX-Odd: \r\n\r\n".encode()


short = st.binary(max_size=4) | st.text("\r\n\0\t :xé", max_size=4).map(str.encode)
requests = st.tuples(
    weighted((6, b"GET"), (1, short)),
    weighted((6, b"/path"), (1, short)),
    st.lists(st.tuples(weighted((8, b"X"), (1, short)), weighted((4, b"value"), (1, short))), max_size=3),
    weighted((8, [HOST]), (1, []), (1, [HOST, (b"host", b"x")])),
)


@settings(max_examples=150, deadline=None)
@given(requests)
@example((b"GET", b"/", [(b"X\r\nY", b"z")], [HOST]))
@example((b"GET", b"/", [(b"X", b"y\r\nHost: z")], [HOST]))
@example((b"GET", b"/", [(b"X", b"y\r"), (b"\nY", b"z")], [HOST]))
@example((b"GET", b"/ HTTP/1.1\r\nX:", [], [HOST]))
def test_what_can_be_sent_is_what_the_reference_says(request_):
    method, target, others, hosts = request_
    headers = others + hosts
    try:
        head = RequestWriter(method, target, headers).head
    except httpx2.LocalProtocolError:
        assert not may_be_sent(method, target, headers)
    else:
        assert may_be_sent(method, target, headers)
        lines = [method + b" " + target + b" HTTP/1.1", *(b"%b: %b" % field for field in headers), b"", b""]
        assert head.split(b"\r\n") == lines


@pytest.mark.parametrize("character", [b"\r", b"\n", b"\0", b"\r\n", b"\x0b", b"\x1f", b"\x7f"])
def test_a_value_with_control_characters_is_refused_and_not_shown(character):
    with pytest.raises(httpx2.LocalProtocolError) as caught:
        RequestWriter(b"GET", b"/", [HOST, (b"Authorization", b"secret" + character)])

    assert "'Authorization'" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", [b"", b"two words", b"colon:", b"gr\xc3\xbcn", b"(comment)", b'"'])
def test_a_name_that_is_no_token_is_refused_and_its_value_is_not_shown(name):
    with pytest.raises(httpx2.LocalProtocolError, match="no token") as caught:
        RequestWriter(b"GET", b"/", [HOST, (name, b"secret")])

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "target"),
    [(b"", b"/"), (b"G T", b"/"), (b"GET\r\n", b"/"), (b"GET", b""), (b"GET", b"/a b"), (b"GET", b"/\xff")],
)
def test_a_method_or_path_that_would_not_be_one_is_refused(method, target):
    with pytest.raises(httpx2.LocalProtocolError, match="the method or the path of the request"):
        RequestWriter(method, target, [HOST])


@pytest.mark.parametrize("hosts", [[], [HOST, HOST], [HOST, (b"hOsT", b"other.example")]])
def test_a_request_has_one_host(hosts):
    with pytest.raises(httpx2.LocalProtocolError, match="one Host header"):
        RequestWriter(b"GET", b"/", [(b"X-Host", b"x"), *hosts])


@pytest.mark.parametrize(
    ("headers", "closes"),
    [
        ([], False),
        ([(b"connection", b"x, Close")], True),
        ([(b"Connection", b"x"), (b"Connection", b"close")], True),
        ([(b"Connection", b"closed"), (b"X-Connection", b"close")], False),
    ],
)
def test_a_request_says_whether_its_connection_is_to_be_closed(headers, closes):
    assert RequestWriter(b"GET", b"/", [HOST, *headers]).is_last == closes


@pytest.mark.parametrize("is_last", [False, True])
def test_a_connection_serves_no_other_request_behind_the_last(is_last):
    reader = ResponseReader(b"GET", is_last=is_last)
    reader.receive(b"HTTP/1.1 204 No Content\r\n\r\n")

    assert reader.is_reusable == (not is_last)


def test_a_body_with_a_length_is_sent_as_it_is():
    writer = RequestWriter(b"POST", b"/", [HOST, (b"content-length", b"5")])

    assert [writer.frame(b"ab"), writer.frame(b""), writer.frame(b"cde"), writer.end()] == [b"ab", b"", b"cde", b""]


def test_a_body_without_a_length_is_sent_in_chunks():
    writer = RequestWriter(b"POST", b"/", [HOST, (b"transfer-encoding", b"Chunked")])
    sent = [writer.frame(b"x" * 26), writer.frame(b""), writer.frame(bytearray(b"y")), writer.end()]

    assert sent == [b"1a\r\n" + b"x" * 26 + b"\r\n", b"", b"1\r\ny\r\n", b"0\r\n\r\n"]


def test_a_request_without_either_has_no_body():
    writer = RequestWriter(b"POST", b"/", [HOST])
    assert writer.frame(b"") == writer.end() == b""

    with pytest.raises(httpx2.LocalProtocolError, match="longer than its Content-Length, 0 bytes"):
        writer.frame(b"secret")


def test_a_body_is_as_long_as_its_content_length():
    writer = RequestWriter(b"POST", b"/", [HOST, (b"Content-Length", b"5")])
    writer.frame(b"secr")
    with pytest.raises(httpx2.LocalProtocolError) as too_short:
        writer.end()
    with pytest.raises(httpx2.LocalProtocolError) as too_long:
        writer.frame(b"et")

    assert str(too_short.value) == "the body is 1 bytes shorter than its Content-Length, 5 bytes; leave the header out"
    assert str(too_long.value) == "the body is longer than its Content-Length, 5 bytes; leave the header out"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"secret")],
        [(b"Content-Length", b"")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"1"), (b"content-length", b"2")],
        [(b"Transfer-Encoding", b"secret")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")],
    ],
)
def test_headers_that_frame_no_body_are_refused_and_not_shown(headers):
    with pytest.raises(httpx2.LocalProtocolError) as caught:
        RequestWriter(b"POST", b"/", [HOST, *headers])

    assert "secret" not in str(caught.value)


def test_a_body_is_made_of_bytes():
    with pytest.raises(TypeError, match="not of str"):
        RequestWriter(b"POST", b"/", [HOST]).frame("text")
