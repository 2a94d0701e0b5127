"""The event-stream format: what the parser makes of bytes, whole or cut anywhere.

First the sentences of the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", in examples; then what
is this library's own, the limit on size and the work done; then any stream at all, in any cutting, against the literal
reading of the standard in `event_stream_reference.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.streaming.event_stream_reference import Interpretation, interpret

from clientele.streaming.sse import (
    DEFAULT_MAX_EVENT_SIZE,
    Comment,
    EventStreamParser,
    OversizedEvent,
    ServerSentEvent,
    UnfinishedEvent,
)

BOM = b"\xef\xbb\xbf"


def parse(*chunks: bytes) -> list[ServerSentEvent[str]]:
    """The events of a stream that arrives in these chunks, with their data as text."""
    return [frame for frame in parse_all(chunks).frames if isinstance(frame, ServerSentEvent)]


def parse_all(chunks: Iterable[bytes]) -> Interpretation:
    """The events and comments, and what the parser says of the stream after them."""
    parser = EventStreamParser()
    frames = [with_text(frame, parser) for chunk in chunks for frame in parser.receive(chunk)]
    assert all(isinstance(frame, UnfinishedEvent) for frame in parser.end())
    return Interpretation(frames, parser.last_event_id, parser.retry)


def parse_within(max_event_size: int, *chunks: bytes) -> tuple[list[str], bool]:
    """The data of the events before the size limit is exceeded, and whether it is."""
    parser = EventStreamParser(max_event_size)
    data = []
    try:
        for chunk in chunks:
            for frame in parser.receive(chunk):
                if not isinstance(frame, Comment):
                    data.append(with_text(frame, parser).data)
    except OversizedEvent:
        return data, True
    return data, False


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in parse(*chunks)]


def with_text(
    event: bytes | ServerSentEvent[bytes] | Comment, parser: EventStreamParser
) -> ServerSentEvent[str] | Comment:
    if isinstance(event, Comment):
        return event
    if isinstance(event, bytes):
        event = ServerSentEvent(event, id=parser.last_event_id)
    return ServerSentEvent(event.data.decode("utf-8", errors="replace"), event.event, event.id, event.retry)


def bytes_of(stream: bytes) -> list[bytes]:
    return [stream[position : position + 1] for position in range(len(stream))]


# "Streams must be decoded using the UTF-8 decode algorithm."


def test_text_is_utf_8():
    assert parse("event: größe\nid: ключ\ndata: 値段 €5 🎈\n\n".encode()) == [
        ServerSentEvent("値段 €5 🎈", event="größe", id="ключ")
    ]


def test_a_character_may_be_cut_between_chunks():
    stream = "event: größe\nid: ключ\ndata: 値段 €5 🎈\n\n".encode()

    assert parse(*bytes_of(stream)) == parse(stream)


@pytest.mark.parametrize(
    ("malformed", "text"),
    [
        pytest.param(b"a\xffb", "a\ufffdb", id="a byte that UTF-8 never has"),
        pytest.param(b"a\x80b", "a\ufffdb", id="a continuation that continues nothing"),
        pytest.param(b"a\xf0\x9fb", "a\ufffdb", id="a sequence broken off by a character"),
        pytest.param(b"a\xf0\x9f", "a\ufffd", id="a sequence broken off by the end of the line"),
        pytest.param(b"\xc0\xaf", "\ufffd\ufffd", id="an overlong sequence"),
        pytest.param(b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", id="a surrogate"),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_malformed_utf_8_is_replaced(malformed, text, line_end):
    lines = [b"event: " + malformed, b"id: " + malformed, b"data: " + malformed, b"data: next", b"", b""]

    assert parse(line_end.join(lines)) == [ServerSentEvent(text + "\nnext", event=text, id=text)]


def test_a_sequence_broken_off_by_a_line_end_does_not_continue_in_the_next_line():
    assert data_of(b"data: \xf0\x9f\ndata\x8e\x88: a\ndata: \x8e\x88\n\n") == ["\ufffd\n\ufffd\ufffd"]


def test_malformed_utf_8_beside_a_field_name_makes_it_another_name():
    assert data_of(b"\xffdata: a\ndata\xff: b\ndata: c\n\n") == ["c"]


# "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"\xef\xbb\xbfdata: x\n\n"], id="whole"),
        pytest.param([b"\xef", b"\xbb\xbfdata: x\n\n"], id="after one byte"),
        pytest.param([b"\xef\xbb", b"\xbfdata: x\n\n"], id="after two bytes"),
        pytest.param([b"\xef\xbb\xbf", b"data: x\n\n"], id="after three bytes"),
        pytest.param([b"", b"\xef", b"", b"\xbb", b"", b"\xbf", b"", b"data: x\n\n"], id="everywhere"),
    ],
)
def test_a_leading_byte_order_mark_is_dropped_even_when_cut(chunks):
    assert data_of(*chunks) == ["x"]


def test_a_second_byte_order_mark_is_kept():
    # It belongs to the name of the first line's field, which is unknown therefore.
    assert data_of(BOM + BOM + b"data: a\ndata: b\n\n") == ["b"]
    assert data_of(BOM, BOM, b"data: a\ndata: b\n\n") == ["b"]


def test_a_later_byte_order_mark_is_kept():
    assert data_of(b"data: " + BOM + b"x\n\n") == ["\ufeffx"]
    assert data_of(b"data:" + BOM + b"x\n\n") == ["\ufeffx"]
    assert data_of(b"data: a\n" + BOM + b"data: b\n\n") == ["a"]
    assert data_of(b"data: a\n", BOM + b"data: b\n\n") == ["a"]
    assert data_of(b"\n", BOM + b"data: a\ndata: b\n\n") == ["b"]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"\xefdata: a\ndata: b\n\n"], id="one byte"),
        pytest.param([b"\xef", b"data: a\ndata: b\n\n"], id="one byte, cut"),
        pytest.param([b"\xef\xbb", b"data: a\ndata: b\n\n"], id="two bytes, cut"),
        pytest.param([b"\xef", b"\xbb", b"data: a\ndata: b\n\n"], id="two bytes, cut twice"),
        pytest.param([b"\xef", b"\xbb", b"\xbedata: a\ndata: b\n\n"], id="another last byte"),
        pytest.param([b"\xbb\xbfdata: a\ndata: b\n\n"], id="without its first byte"),
        pytest.param([b"\xff\xfedata: a\ndata: b\n\n"], id="that of UTF-16"),
    ],
)
def test_what_only_resembles_a_byte_order_mark_is_kept(chunks):
    assert data_of(*chunks) == ["b"]


def test_a_first_line_may_be_the_beginning_of_a_byte_order_mark():
    assert data_of(b"\xef", b"\n", b"data: x\n\n") == ["x"]
    assert data_of(b"\xef\xbb", b"\r", b"\ndata: x\r\n\r\n") == ["x"]


def test_a_stream_may_be_a_byte_order_mark_or_less():
    assert parse(b"\xef", b"\xbb") == []
    assert parse(BOM) == []
    assert parse(BOM, b"\n") == []


# "[...] reading everything line by line, with a [...] (CRLF) character pair, a single [...] (LF) character [...], and a
# single [...] (CR) character [...] being the ways in which a line can end."


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_a_line_ends_with_lf_or_cr_or_crlf(line_end):
    lines = [b"data: a", b"data: b", b"", b"data: c", b"", b""]

    assert data_of(line_end.join(lines)) == ["a\nb", "c"]


def test_line_ends_may_be_mixed():
    assert data_of(b"data: a\rdata: b\r\ndata: c\n\rdata: d\n\r\ndata: e\r\n\ndata: f\r\r\n") == [
        "a\nb\nc",
        "d",
        "e",
        "f",
    ]


def test_a_line_feed_after_a_line_feed_and_a_carriage_return_belongs_to_the_carriage_return():
    # LF, CRLF: a line end and a blank line. There is no second blank line that would end the next event early.
    assert data_of(b"data: a\n\r\ndata: b\n\n") == ["a", "b"]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"], id="at every pair"),
        pytest.param([b"data: a\r", b"\n", b"data: b\r", b"\n", b"\r", b"\n"], id="around every LF"),
        pytest.param([b"data: a\r", b"", b"\ndata: b\r", b"", b"", b"\n\r\n"], id="with empty chunks between"),
    ],
)
def test_a_crlf_pair_may_be_cut_between_chunks(chunks):
    assert data_of(*chunks) == ["a\nb"]


def test_only_one_line_feed_belongs_to_a_carriage_return():
    assert data_of(b"data: x\r\n\n") == ["x"]
    assert data_of(b"data: x\r", b"\n\n") == ["x"]
    assert data_of(b"data: x\r", b"\n", b"\n") == ["x"]


def test_only_a_line_feed_that_follows_at_once_belongs_to_a_carriage_return():
    assert data_of(b"data: a\r", b"data: b", b"\n", b"data: c\n\n") == ["a\nb\nc"]
    assert data_of(b"data: a\r", b"data: b\n\n") == ["a\nb"]


@pytest.mark.parametrize(
    "character", ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\t", "\x00"], ids=ascii
)
def test_nothing_else_ends_a_line(character):
    assert data_of(f"data: a{character}data: b\n\n".encode()) == [f"a{character}data: b"]


def test_bytes_that_would_be_line_ends_elsewhere_end_no_line():
    # NEL in Latin-1; here it is malformed UTF-8.
    assert data_of(b"data: a\x85b\n\n") == ["a\ufffdb"]


def test_empty_chunks_mean_nothing():
    assert data_of(b"", b"da", b"", b"ta: a\n", b"", b"", b"data: b\n", b"", b"\n", b"") == ["a\nb"]
    assert parse(b"", b"") == []


def test_nothing_is_an_empty_stream():
    assert parse_all([]) == Interpretation([], "", None)


def test_a_stream_may_come_one_byte_at_a_time():
    assert data_of(*bytes_of(b"\xef\xbb\xbfdata: a\r\ndata:  b\n\rdata\r\n\r\n")) == ["a\n b", ""]


# "If the line is empty (a blank line): Dispatch the event."


def test_a_blank_line_ends_an_event():
    assert data_of(b"data: a\n\ndata: b\n\n") == ["a", "b"]


def test_a_line_of_a_space_is_not_blank():
    assert data_of(b"data: a\n \ndata: b\n\n") == ["a\nb"]


def test_more_blank_lines_mean_nothing():
    assert data_of(b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n") == ["a", "b"]


@pytest.mark.parametrize(
    ("stream", "needed"),
    [
        (b"data: x\n\n", b"data: x\n\n"),
        (b"data: x\r\r", b"data: x\r\r"),
        (b"data: x\r\n\r\n", b"data: x\r\n\r"),
        (b"data: x\n\r\n", b"data: x\n\r"),
        (b"data: x\r\n\n", b"data: x\r\n\n"),
        (b"data: x\r\r\n", b"data: x\r\r"),
    ],
    ids=ascii,
)
def test_an_event_is_there_with_the_first_byte_of_its_blank_line(stream, needed):
    assert data_of(needed[:-1]) == []
    assert data_of(needed) == ["x"]
    assert data_of(*bytes_of(needed)) == ["x"]
    # The rest of the blank line, when it comes, is no line of the next event.
    assert data_of(needed, stream.removeprefix(needed), b"data: y\n\n") == ["x", "y"]
    assert data_of(needed, stream.removeprefix(needed) + b"data: y\n\n") == ["x", "y"]


def test_an_event_is_there_before_the_next_one_of_the_same_chunk_is_read():
    events = iter(EventStreamParser().receive(b"data: a\n\nretry: 5\ndata: b\n\n"))

    assert next(events).data == b"a"
    assert next(events) == ServerSentEvent(b"b", retry=5)
    assert next(events, None) is None


# "If the line starts with a U+003A COLON character (:): Ignore the line."


def test_comments_are_skipped():
    assert data_of(b": hello\ndata: a\n:\n:data: b\n: data: c\n::\ndata: d\n\n") == ["a\nd"]


def test_a_comment_is_not_a_blank_line():
    assert data_of(b"data: a\n:\n") == []


def test_comments_alone_are_no_event():
    assert parse(b": ping\n\n: ping\n\n:\n\n") == []


def test_comments_come_where_they_stand_and_as_soon_as_their_line_ends():
    assert parse_all([b": a\ndata: b\n:c\n", b"data: d\n\n:  e\r", b"\n:\n: f"]).frames == [
        Comment("a"),
        Comment("c"),
        ServerSentEvent("b\nd"),
        Comment(" e"),
        Comment(""),
    ]


def test_the_text_of_a_comment_is_utf_8():
    assert parse_all([": 値段\n".encode(), b":\xff\n"]).frames == [Comment("値段"), Comment("\ufffd")]


# "Collect the characters on the line before the first U+003A COLON character (:), and let field be that string. Collect
# the characters on the line after the first U+003A COLON character (:), and let value be that string."


def test_a_value_may_have_colons():
    assert data_of(b"data: a: b:c\n\n") == ["a: b:c"]
    assert data_of(b"data::\n\n") == [":"]


# "If value starts with a U+0020 SPACE character, remove it from value."


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"data:x", "x"),
        (b"data: x", "x"),
        (b"data:  x", " x"),
        (b"data:   x ", "  x "),
        (b"data: ", ""),
        (b"data:  ", " "),
        (b"data:\tx", "\tx"),
        (b"data: \tx", "\tx"),
        ("data:\u00a0x".encode(), "\u00a0x"),
    ],
    ids=ascii,
)
def test_one_leading_space_is_taken_off(line, data):
    assert data_of(line + b"\n\n") == [data]


def test_one_leading_space_is_taken_off_every_field():
    assert parse(b"event:  e\nid:  7\ndata:  x\n\n") == [ServerSentEvent(" x", event=" e", id=" 7")]
    assert parse(b"event:e\nid:7\nretry:5\ndata:x\n\n") == [ServerSentEvent("x", event="e", id="7", retry=5)]


def test_a_space_before_the_colon_belongs_to_the_name():
    assert data_of(b"data : a\n data: b\ndata: c\n\n") == ["c"]


# "[...] using the whole line as the field name, and the empty string as the field value."


def test_a_field_without_colon_has_an_empty_value():
    assert data_of(b"data\n\n") == [""]
    assert parse(b"event: e\nevent\nid: 7\nid\nretry: 5\nretry\ndata: x\n\n") == [ServerSentEvent("x", retry=5)]


def test_a_line_that_begins_with_a_field_name_is_another_field():
    assert data_of(b"database\ndata x\ndata: y\n\n") == ["y"]


# "Field names must be compared literally, with no case folding performed."


def test_field_names_are_case_sensitive():
    stream = b"Data: a\nDATA: b\nEvent: e\nID: 7\nId: 7\nRetry: 5\ndata: c\n\n"

    assert parse_all([stream]) == Interpretation([ServerSentEvent("c")], "", None)


# "If the field name is "event": Set the event type buffer to field value."


def test_an_event_has_the_name_that_its_block_gives():
    assert parse(b"event: add\ndata: x\n\n") == [ServerSentEvent("x", event="add")]
    assert parse(b"data: x\nevent: add\n\n") == [ServerSentEvent("x", event="add")]


def test_the_last_name_of_a_block_counts():
    assert parse(b"event: add\nevent: remove\ndata: x\n\n") == [ServerSentEvent("x", event="remove")]


# "If the field name is "data": Append the field value to the data buffer, then append a single U+000A LINE FEED (LF)
# character to the data buffer." "If the data buffer's last character is a U+000A LINE FEED (LF) character, then remove
# the last character from the data buffer."


def test_data_lines_are_joined_by_lf():
    assert data_of(b"data: a\r\ndata: b\rdata: c\n\n") == ["a\nb\nc"]


def test_data_lines_need_not_be_neighbours():
    assert parse(b"data: a\nevent: e\n: comment\ndata: b\nid: 7\ndata: c\n\n") == [
        ServerSentEvent("a\nb\nc", event="e", id="7")
    ]


def test_empty_data_lines_count():
    assert data_of(b"data\ndata\n\n") == ["\n"]
    assert data_of(b"data:\ndata: \ndata\n\n") == ["\n\n"]
    assert data_of(b"data: a\ndata\n\n") == ["a\n"]
    assert data_of(b"data\ndata: a\n\n") == ["\na"]


def test_data_may_have_null_characters():
    assert data_of(b"data: a\x00b\n\n") == ["a\x00b"]


# "If the field name is "id": If the field value does not contain U+0000 NULL, then set the last event ID buffer to the
# field value. Otherwise, ignore the field."


def test_an_event_has_the_id_that_its_block_gives():
    assert parse(b"id: 7\ndata: x\n\n") == [ServerSentEvent("x", id="7")]
    assert parse(b"data: x\nid: 7\n\n") == [ServerSentEvent("x", id="7")]


def test_the_last_id_of_a_block_counts():
    assert parse(b"id: 7\nid: 8\ndata: x\n\n") == [ServerSentEvent("x", id="8")]


@pytest.mark.parametrize("value", [b"\x00", b"8\x00", b"\x008", b"8\x009"], ids=ascii)
def test_an_id_with_a_null_character_is_ignored(value):
    stream = b"id: 7\nid: " + value + b"\ndata: x\n\n"

    assert parse_all([stream]) == Interpretation([ServerSentEvent("x", id="7")], "7", None)


def test_an_id_may_be_any_other_text():
    assert parse(b"id: 0:a b\x01\ndata: x\n\n") == [ServerSentEvent("x", id="0:a b\x01")]


# "If the field name is "retry": If the field value consists of only ASCII digits, then interpret the field value as an
# integer in base ten, and set the event stream's reconnection time to that integer. Otherwise, ignore the field."


@pytest.mark.parametrize(
    ("value", "retry"),
    [(b"0", 0), (b"5", 5), (b"1500", 1500), (b"007", 7), (b"0" * 5000 + b"7", 7), (b"9" * 18, 10**18 - 1)],
    ids=["zero", "a digit", "more digits", "leading zeros", "many leading zeros", "eighteen digits"],
)
def test_a_reconnection_time_is_an_integer_in_base_ten(value, retry):
    stream = b"retry: " + value + b"\ndata: x\n\n"

    assert parse_all([stream]) == Interpretation([ServerSentEvent("x", retry=retry)], "", retry)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " 5",
        "5 ",
        "+1",
        "-1",
        "1.5",
        "1e3",
        "1_000",
        "0x10",
        "5s",
        "5\x00",
        "\uff11",  # a fullwidth digit
        "\u0661",  # an Arabic-Indic digit
        "\u00b2",  # a superscript
        "never",
    ],
    ids=ascii,
)
def test_a_reconnection_time_of_anything_but_ascii_digits_is_ignored(value):
    line = f"retry: {value}\n".encode()

    assert parse_all([line, b"data: x\n\n"]) == Interpretation([ServerSentEvent("x")], "", None)
    assert parse_all([b"retry: 7\n", line, b"data: x\n\n"]) == Interpretation([ServerSentEvent("x", retry=7)], "", 7)


@pytest.mark.parametrize("digits", [641, 5_000, 1_000_000])
def test_a_reconnection_time_of_very_many_digits_is_a_very_long_time(digits):
    [event] = parse(b"retry: " + b"9" * digits + b"\ndata: x\n\n")

    assert event.retry == 10**640


def test_a_reconnection_time_is_set_as_soon_as_its_line_is_read():
    assert parse_all([b"retry: 5\n"]).retry == 5
    assert parse_all([b"retry: 5\r"]).retry == 5
    assert parse_all([b"retry: 5"]).retry is None
    assert parse_all([b"retry: 5\n\nretry: 6\ndata: x\n"]) == Interpretation([], "", 6)


def test_the_reconnection_time_of_a_stream_is_remembered():
    assert parse_all([b"retry: 5\ndata: a\n\ndata: b\n\n"]).retry == 5


def test_an_event_has_only_the_reconnection_time_of_its_own_block():
    assert parse(b"retry: 5\ndata: a\n\ndata: b\n\ndata: c\nretry: 6\n\n") == [
        ServerSentEvent("a", retry=5),
        ServerSentEvent("b"),
        ServerSentEvent("c", retry=6),
    ]


def test_the_last_reconnection_time_of_a_block_counts():
    assert parse(b"retry: 5\nretry: 6\nretry: x\ndata: x\n\n") == [ServerSentEvent("x", retry=6)]


def test_the_reconnection_time_of_a_block_without_data_is_the_streams_alone():
    assert parse_all([b"retry: 5\n\ndata: x\n\n"]) == Interpretation([ServerSentEvent("x")], "", 5)


# "Otherwise: The field is ignored."


def test_unknown_fields_are_skipped():
    assert data_of(b"foo: a\nfoo\ndata: b\ncomment: c\ndat: d\ndata: e\n\n") == ["b\ne"]


# "Set the last event ID string of the event source to the value of the last event ID buffer. The buffer does not get
# reset, so the last event ID string of the event source remains set to this value until the next time it is set by the
# server."


def test_an_id_is_remembered_across_events():
    assert parse(b"data: a\n\nid: 7\ndata: b\n\ndata: c\n\nid: 8\ndata: d\n\n") == [
        ServerSentEvent("a"),
        ServerSentEvent("b", id="7"),
        ServerSentEvent("c", id="7"),
        ServerSentEvent("d", id="8"),
    ]


@pytest.mark.parametrize("line", [b"id", b"id:", b"id: "], ids=ascii)
def test_an_empty_id_resets_it(line):
    stream = b"id: 7\ndata: a\n\n" + line + b"\ndata: b\n\n"

    assert parse_all([stream]) == Interpretation([ServerSentEvent("a", id="7"), ServerSentEvent("b")], "", None)


def test_an_id_takes_effect_at_the_blank_line():
    assert parse_all([b"id: 7\ndata: x\n"]).last_event_id == ""
    assert parse_all([b"id: 7\ndata: x\n\n"]).last_event_id == "7"
    assert parse_all([b"id: 7\ndata: x\n\nid: 8\ndata: y\n"]).last_event_id == "7"


def test_an_id_takes_effect_even_without_data():
    assert parse_all([b"id: 7\n\n"]) == Interpretation([], "7", None)
    assert parse_all([b"id: 7\n\ndata: x\n\n"]) == Interpretation([ServerSentEvent("x", id="7")], "7", None)
    assert parse_all([b"id: 7\n\nid\n\n"]) == Interpretation([], "", None)


# "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string and return."


def test_nothing_is_dispatched_without_data():
    assert parse(b"event: add\nid: 7\nretry: 5\n\n") == []


def test_data_alone_is_an_event_with_empty_data():
    assert parse(b"data\n\n") == [ServerSentEvent("")]
    assert parse(b"data:\n\n") == [ServerSentEvent("")]


def test_a_name_ends_with_its_block_even_if_nothing_was_dispatched():
    assert parse(b"event: add\n\ndata: x\n\n") == [ServerSentEvent("x")]


# "If the event type buffer has a value other than the empty string, change the type of the newly created event to equal
# the value of the event type buffer." "Set the data buffer and the event type buffer to the empty string."


def test_an_event_without_a_name_is_a_message():
    assert parse(b"data: x\n\n") == [ServerSentEvent("x", event="message", id="", retry=None)]


@pytest.mark.parametrize("line", [b"event", b"event:", b"event: "], ids=ascii)
def test_an_empty_name_is_message(line):
    assert parse(line + b"\ndata: x\n\n") == [ServerSentEvent("x", event="message")]
    assert parse(b"event: add\n" + line + b"\ndata: x\n\n") == [ServerSentEvent("x", event="message")]


def test_a_name_and_data_end_with_their_event():
    assert parse(b"event: add\ndata: a\n\ndata: b\n\n") == [ServerSentEvent("a", event="add"), ServerSentEvent("b")]


# "Once the end of the file is reached, any pending data must be discarded. (If the file ends in the middle of an event,
# before the final empty line, the incomplete event is not dispatched.)"


@pytest.mark.parametrize("end", [b"d", b"data: b", b"data: b\n", b"data: b\r\n", b"data: b\r", b"id: 8\ndata: b\n:"])
def test_an_unfinished_event_at_the_end_is_dropped(end):
    expected = Interpretation([ServerSentEvent("a", id="7")], "7", None)

    assert parse_all([b"id: 7\ndata: a\n\n" + end]) == expected
    assert parse_all([b"id: 7\ndata: a\n\n", end]) == expected


@pytest.mark.parametrize(
    ("end", "event", "beginning", "has_data"),
    [
        (b"data: b", ServerSentEvent(b"b", id="7"), "data: b", True),
        (b"data: b\ndata: c\n", ServerSentEvent(b"b\nc", id="7"), "data: b\nc", True),
        (b"data: b\r", ServerSentEvent(b"b", id="7"), "data: b", True),
        (b"event: done", ServerSentEvent(b"", "done", id="7"), "event: done", False),
        (b"event: done\nid: 8\ndata: b\n:", ServerSentEvent(b"b", "done", id="8"), "event: done, id: 8, data: b", True),
        (b"id: 9\nretry: 5\n", ServerSentEvent(b"", id="9", retry=5), "retry: 5, id: 9", False),
        (b"dat", ServerSentEvent(b"", id="7"), "dat", False),
    ],
)
def test_what_was_unfinished_at_the_end_is_told(end, event, beginning, has_data):
    parser = EventStreamParser()
    assert list(parser.receive(b"id: 7\ndata: a\n\n" + end)) == [ServerSentEvent(b"a", id="7")]
    assert list(parser.end()) == [UnfinishedEvent(event, beginning, has_data)]
    assert parser.last_event_id == "7"


@pytest.mark.parametrize("end", [b"", b"\n", b": a comment", b": a comment\n", b"unknown: x\n"])
def test_where_no_event_has_begun_none_is_unfinished(end):
    parser = EventStreamParser()
    assert len([*parser.receive(b"data: a\n\n" + end)]) == 1 + (end == b": a comment\n")
    assert list(parser.end()) == []


# The standard's own examples.


def test_the_standards_example_of_one_event():
    assert parse(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [ServerSentEvent("YHOO\n+2\n10")]


def test_the_standards_example_of_four_blocks():
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"

    assert parse(stream) == [ServerSentEvent("first event", id="1"), ServerSentEvent("second event")]
    assert parse(stream + b"\n")[2:] == [ServerSentEvent(" third event")]


def test_the_standards_example_of_empty_data():
    assert data_of(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]


def test_the_standards_example_of_the_optional_space():
    assert data_of(b"data:test\n\ndata: test\n\n") == ["test", "test"]


# The limit on the size of an event, which is this library's own. Sizes are in bytes, without line ends.


@pytest.mark.parametrize("name", [b"data: ", b"event: ", b"id: ", b"retry: ", b": ", b"unknown"], ids=ascii)
def test_a_line_without_end_is_oversized_as_soon_as_it_exceeds_the_limit(name):
    line = name.ljust(100, b"x")

    assert parse_within(100, line) == ([], False)
    assert parse_within(100, *bytes_of(line)) == ([], False)
    assert parse_within(100, line + b"x") == ([], True)
    assert parse_within(100, *bytes_of(line + b"x")) == ([], True)
    assert parse_within(100, line, b"x") == ([], True)


def test_a_line_with_an_end_is_oversized_likewise():
    assert parse_within(10, b"data: 7890\n\n") == (["7890"], False)
    assert parse_within(10, b"data: 78901\n\n") == ([], True)
    assert parse_within(10, b"data: 789", b"01\n\n") == ([], True)


def test_an_event_of_many_data_lines_is_oversized():
    assert parse_within(100, b"data: 7890\n" * 10, b"\n") == (["\n".join(["7890"] * 10)], False)
    assert parse_within(100, b"data: 7890\n" * 10, b"data\n") == ([], True)
    assert parse_within(100, *[b"data: 7890\n"] * 11) == ([], True)


def test_an_event_of_many_empty_data_lines_is_oversized():
    assert parse_within(100, b"data\n" * 25, b"\n") == (["\n" * 24], False)
    assert parse_within(100, b"data\n" * 26) == ([], True)


def test_an_event_is_oversized_before_its_last_line_has_an_end():
    assert parse_within(100, b"data: 7890\n" * 9, b"data: 7890") == ([], False)
    assert parse_within(100, b"data: 7890\n" * 9, b"data: 7890", b"1") == ([], True)


def test_the_events_before_an_oversized_one_are_yielded_first():
    stream = b"data: a\n\ndata: b\n\n"

    assert parse_within(10, stream + b"data: 78901\n\ndata: c\n\n") == (["a", "b"], True)
    assert parse_within(10, stream + b"data: 78901") == (["a", "b"], True)
    assert parse_within(10, stream + b"data: 7\ndata: 7\n\n") == (["a", "b"], True)


def test_a_stream_of_small_events_may_be_longer_than_the_limit():
    assert parse_within(10, b"data: 7890\n\n" * 100) == (["7890"] * 100, False)
    assert parse_within(10, *[b"data: 7890\n\n"] * 100) == (["7890"] * 100, False)
    assert parse_within(10, *bytes_of(b"data: 7890\r\n\r\n" * 100)) == (["7890"] * 100, False)


def test_a_stream_of_comments_may_be_longer_than_the_limit():
    assert parse_within(10, b": ping\n\n" * 100, b"data: x\n\n") == (["x"], False)
    assert parse_within(10, b": ping\n" * 100, b"data: x\n\n") == (["x"], False)
    assert parse_within(10, *bytes_of(b": ping\r\n" * 100), b"data: x\n\n") == (["x"], False)


def test_a_stream_of_blocks_without_data_may_be_longer_than_the_limit():
    assert parse_within(13, b"id: 7\nevent: e\n\n" * 100, b"data: x\n\n") == (["x"], False)


@pytest.mark.parametrize("line", [b": 34567890", b"event: 890", b"id: 567890", b"retry: 890"], ids=ascii)
def test_the_order_of_its_lines_does_not_decide_whether_an_event_is_oversized(line):
    before = parse_within(19, line + b"\ndata: 7890\n\n")
    after = parse_within(19, b"data: 7890\n" + line + b"\n\n")

    assert before == after


def test_the_limit_is_16_mib_unless_said_otherwise():
    largest = b"data: ".ljust(DEFAULT_MAX_EVENT_SIZE, b"x")

    assert DEFAULT_MAX_EVENT_SIZE == 2**24
    assert [len(data) for data in data_of(largest, b"\n\n")] == [2**24 - len("data: ")]
    with pytest.raises(OversizedEvent):
        data_of(largest, b"x")


@pytest.mark.parametrize("end", [b"id", b"data", b"event", b"retry", b"data:"])
def test_what_is_unfinished_at_the_end_is_measured_too(end):
    """A bare name is known to be a field only where the line, or the stream, ends."""
    for size_left, is_oversized in ((len(end), False), (len(end) - 1, True)):
        parser = EventStreamParser(len(b"data: a") + size_left)
        measured = pytest.raises(OversizedEvent) if is_oversized else contextlib.nullcontext()
        with measured:
            assert list(parser.receive(b"data: a\n" + end)) == []
            assert len(list(parser.end())) == 1


# The work grows with the bytes alone: a parser that went back to the beginning of a line, an event or a chunk at each
# piece would here move or search fifty gigabytes and more.


def test_a_long_line_may_come_in_tiny_pieces():
    text = "0123456789abcdef" * 2**19  # 8 MiB
    stream = f"data: {text}\n\n".encode()
    parser = EventStreamParser()
    events = []
    for position in range(0, len(stream), 16):
        events.extend(parser.receive(stream[position : position + 16]))

    assert [event.data for event in events] == [text.encode()]


def test_many_data_lines_may_come_in_tiny_pieces():
    lines = ["0123456789abcdef"] * 2**16  # 1 MiB and the names
    stream = "".join(f"data: {line}\r\n" for line in lines).encode() + b"\r\n"

    assert data_of(*(stream[position : position + 5] for position in range(0, len(stream), 5))) == ["\n".join(lines)]


def test_many_data_lines_may_come_in_one_chunk():
    assert data_of(b"data\r\n" * 2**19 + b"\r\n") == ["\n" * (2**19 - 1)]


def test_many_events_may_come_in_one_chunk():
    assert data_of(b"data\n\n" * 2**17) == [""] * 2**17


# Any stream, in any cutting, means what the standard says.

FRAGMENTS = [
    *[b"data", b"event", b"id", b"retry", b"data: x", b"id: 7", b"event: e", b"retry: 5", b"Data", b"foo"],
    *[b":", b" ", b": ", b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"],
    *[BOM, b"\xef", b"\xbb", b"\xbf", b"\xef\xbb", b"\xf0\x9f", b"\x8e\x88", b"\xff", b"\xc0", b"\xed\xa0\x80"],
    *["é".encode(), "値".encode(), "🎈".encode(), "\uff11".encode()],
    *[b"\xe2\x80\xa8", b"\xc2\x85", b"\x85", b"\x0b", b"\x0c", b"\x1c", b"\x00", b"\t"],
    *[b"0", b"123", b"+1", b"1.5", b"9" * 18, b"9" * 19, b"x"],
]
NAMES = [b"data", b"data", b"event", b"id", b"id", b"retry", b"", b" data", b"DATA", b"foo", BOM + b"data"]
SEPARATORS = [b":", b": ", b":  ", b"", b" :"]
VALUES = [
    *[b"", b"x", b"7", b"042", b"+1", "\uff11".encode(), b"a\x00b", b"a:b", b"\xf0\x9f", b"\xff", "値".encode()],
    *[b"a\x0bdata: b", b"a\x85data: b", "a\u2028data: b".encode()],
]
LINE_ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\r\r\n"]


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def repeated(part: st.SearchStrategy[bytes], max_size: int) -> st.SearchStrategy[bytes]:
    return st.lists(part, max_size=max_size).map(b"".join)


starts = st.sampled_from([b"", b"", BOM, BOM + BOM, b"\xef", b"\xef\xbb"])
lines = joined(*map(st.sampled_from, [NAMES, SEPARATORS, VALUES, LINE_ENDS]))
streams = st.one_of(
    st.binary(max_size=60),
    joined(starts, repeated(st.sampled_from(FRAGMENTS), max_size=40)),
    joined(starts, repeated(lines, max_size=15)),
)


@st.composite
def cuttings(draw: st.DrawFn) -> list[bytes]:
    """A stream cut into chunks, empty ones among them."""
    stream = draw(streams)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=12))
    return [stream[start:end] for start, end in pairwise([0, *sorted(cuts), len(stream)])]


@settings(max_examples=400, deadline=None)
@given(cuttings())
@example([b"data: a\r", b"", b"\ndata: b\r\n\r", b"\n"])
@example([b"\xef", b"", b"\xbb", b"\xbfdata: x\n\n"])
def test_any_stream_in_any_cutting_means_what_the_standard_says(chunks):
    assert parse_all(chunks) == interpret(b"".join(chunks))


@settings(max_examples=200, deadline=None)
@given(streams)
def test_any_stream_in_single_bytes_means_what_the_standard_says(stream):
    expected = interpret(stream)

    assert parse_all(bytes_of(stream)) == expected
    assert parse_all(chunk for byte in bytes_of(stream) for chunk in (b"", byte, b"")) == expected


@settings(max_examples=100, deadline=None)
@given(streams)
def test_after_any_byte_everything_is_known_that_the_stream_means_so_far(stream):
    parser = EventStreamParser()
    events = []
    for position, byte in enumerate(bytes_of(stream), start=1):
        events.extend(with_text(frame, parser) for frame in parser.receive(byte))

        assert Interpretation(events, parser.last_event_id, parser.retry) == interpret(stream[:position])


@settings(max_examples=200, deadline=None)
@given(cuttings(), st.integers(0, 40))
def test_the_limit_holds_alike_in_any_cutting(chunks, max_event_size):
    assert parse_within(max_event_size, *chunks) == parse_within(max_event_size, b"".join(chunks))


# A frame of one `data` line is read in a short way of its own, several of them at once; any other in the general way.

common_frames = st.binary(max_size=8).filter(lambda data: not set(data) & set(b"\r\n")).map(b"data: %s\n\n".__mod__)
other_frames = st.sampled_from(
    [
        b"data:x\n\n",
        b"data: x\r\n\r\n",
        b"data: x\n\r\n",
        b"data: x\r\r",
        b"data: a\ndata: b\n\n",
        b"\ndata: x\n\n",
        b"\n",
        b"data: \r\n\n",
        b"id: 7\n\n",
        b"id: 8\ndata: x\n\n",
        b"event: e\ndata: x\n\n",
        b"retry: 5\n\n",
        b": c\n\n",
        b"unknown\n\n",
        BOM + b"data: x\n\n",
    ]
)
mixed_streams = st.lists(st.one_of(common_frames, common_frames, other_frames), max_size=8).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(mixed_streams, st.lists(st.integers(0, 60), max_size=6))
def test_common_frames_mean_the_same_among_others_however_they_are_cut(stream, cuts):
    chunks, rest = [], stream
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    assert parse_all([*chunks, rest]) == interpret(stream)


@settings(max_examples=200, deadline=None)
@given(mixed_streams, st.integers(6, 12))
def test_common_frames_are_held_against_the_largest_size_as_others_are(stream, max_event_size):
    whole = parse_within(max_event_size, stream)
    assert whole == parse_within(max_event_size, *bytes_of(stream))
