"""The formats beside event streams: what their parsers make of bytes, whole or cut anywhere.

Each format in examples first; then what is common to them, the limit on size and the work done; then any bytes at all,
in any cutting, against slow and literal readings of what each format is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clientele.streaming.json_texts import JSONDocumentParser, JSONSequenceParser
from clientele.streaming.lines import BrokenText, ChunkParser, JSONLinesParser, LineParser
from clientele.streaming.sse import DEFAULT_MAX_EVENT_SIZE, OversizedEvent

BOM = b"\xef\xbb\xbf"
RS = b"\x1e"
PARSERS = [LineParser, JSONLinesParser, JSONSequenceParser]


def data_of(parser: Any, chunks: Iterable[bytes], *, has_ended: bool = True) -> list[bytes | BrokenText]:
    """The data of what a stream means that arrives in these chunks, and what of it is broken."""
    frames = [frame for chunk in chunks for frame in parser.receive(chunk)]
    if has_ended:
        frames.extend(parser.end())
    # There is nothing more to what is whole than its data.
    assert all(isinstance(frame, BrokenText | bytes) for frame in frames)
    return frames


def lines_of(*chunks: bytes, encoding: str = "utf-8", has_ended: bool = True) -> list[str]:
    data = data_of(LineParser(encoding=encoding), chunks, has_ended=has_ended)
    return [line.decode("utf-8", "replace") for line in data]


def documents_of(*chunks: bytes, has_ended: bool = True) -> list[bytes]:
    return data_of(JSONLinesParser(), chunks, has_ended=has_ended)


def texts_of(*chunks: bytes, has_ended: bool = True) -> list[bytes | BrokenText]:
    return data_of(JSONSequenceParser(), chunks, has_ended=has_ended)


def within(parser: Any, *chunks: bytes) -> tuple[list[bytes | BrokenText], bool]:
    """What comes before the parser's size limit is exceeded, and whether it is."""
    data = []
    try:
        for chunk in chunks:
            for frame in parser.receive(chunk):
                data.append(frame)
    except OversizedEvent:
        return data, True
    return data, False


def bytes_of(stream: bytes) -> list[bytes]:
    return [stream[position : position + 1] for position in range(len(stream))]


def pieces_of(stream: bytes, size: int) -> Iterable[bytes]:
    return (stream[position : position + size] for position in range(0, len(stream), size))


# Lines of text.


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
def test_a_line_ends_with_lf_or_cr_or_crlf(line_end):
    lines = ["a", "", " größe ", "", "", "值"]
    stream = line_end.join([*lines, ""]).encode()

    assert lines_of(stream) == lines
    assert lines_of(*bytes_of(stream)) == lines


def test_line_ends_may_be_mixed():
    assert lines_of(b"a\rb\r\nc\n\rd\n\r\ne\r\n\nf\r\r\n") == ["a", "b", "c", "", "d", "", "e", "", "f", ""]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\r", b"\nb\r", b"\n\r", b"\n"], ["a", "b", ""]),
        ([b"a\r", b"", b"", b"\nb"], ["a", "b"]),
        ([b"a\r", b"\n", b"\n"], ["a", ""]),
        ([b"a\r", b"\n\n"], ["a", ""]),
        ([b"a\r", b"b", b"\n"], ["a", "b"]),
        ([b"a\r", b"\r", b"\n"], ["a", ""]),
    ],
    ids=ascii,
)
def test_only_one_line_feed_that_follows_at_once_belongs_to_a_carriage_return(chunks, lines):
    assert lines_of(*chunks) == lines


def test_empty_lines_are_lines():
    assert lines_of(b"\n\na\n\n\n") == ["", "", "a", "", ""]
    assert lines_of(b"\r\r") == ["", ""]
    assert lines_of(b" \n\t\n") == [" ", "\t"]


def test_the_last_line_needs_no_end():
    assert lines_of(b"a\nb") == ["a", "b"]
    assert lines_of(b"a\n", b"", b"b") == ["a", "b"]
    assert lines_of(b"a\nb", has_ended=False) == ["a"]


def test_nothing_is_no_line():
    assert lines_of() == []
    assert lines_of(b"", b"") == []


@pytest.mark.parametrize(
    "character", ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\t", "\x00"], ids=ascii
)
def test_nothing_else_ends_a_line(character):
    assert lines_of(f"a{character}b\n".encode()) == [f"a{character}b"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_a_line_is_there_with_the_first_byte_of_its_end(line_end):
    parser = LineParser()

    assert [*parser.receive(b"a")] == []
    assert list(parser.receive(line_end[:1])) == [b"a"]
    assert [*parser.receive(line_end[1:])] == []  # it is no line of its own
    assert list(parser.receive(b"b\n")) == [b"b"]


def test_undecodable_bytes_are_replaced_in_their_line_alone():
    assert lines_of(b"a\xff\n\xf0\x9f\n\x8e\x88b\n\xf0\x9f") == ["a\ufffd", "\ufffd", "\ufffd\ufffdb", "\ufffd"]


@pytest.mark.parametrize(
    "chunks",
    [[BOM + b"a\nb\n"], [BOM, b"a\nb\n"], [BOM[:1], b"", BOM[1:] + b"a\n", b"b\n"], bytes_of(BOM + b"a\nb\n")],
    ids=ascii,
)
def test_a_byte_order_mark_before_the_first_line_is_dropped_even_when_cut(chunks):
    assert lines_of(*chunks) == ["a", "b"]


def test_any_other_byte_order_mark_is_kept():
    assert lines_of(BOM + BOM + b"a\n") == ["\ufeffa"]
    assert lines_of(b"a" + BOM + b"\n" + BOM + b"b\n") == ["a\ufeff", "\ufeffb"]
    assert lines_of(b"\n", BOM + b"a\n") == ["", "\ufeffa"]


def test_a_byte_order_mark_alone_is_no_line():
    assert lines_of(BOM + b"\n") == [""]
    assert lines_of(BOM) == []


ENCODED = {
    "iso-8859-1": "größe",
    "windows-1252": "€ “quoted”",
    "koi8-r": "ключ",
    "us-ascii": "plain",
    "utf-8-sig": "値段 🎈",
    "utf-16": "値段 🎈 \u0a0d\u0d0a",  # characters that have the bytes of line ends in them
    "utf-16-le": "値段 🎈 \u0a0d\u0d0a",
    "utf-16-be": "値段 🎈 \u0a0d\u0d0a",
    "utf-32": "値段 🎈",
    "shift_jis": "表示 ソ",
    "iso-2022-jp": "値段",
    "euc-kr": "가격",
    "gb18030": "价格 🎈",
    "big5": "價格 功",
    "cp500": "EBCDIC",  # in which no line end has the byte that it has in ASCII
}


@pytest.mark.parametrize(("encoding", "text"), ENCODED.items(), ids=list(ENCODED))
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_text_may_be_in_any_encoding(encoding, text, size):
    stream = f"{text}\r\n\n{text}\r{text}".encode(encoding)

    assert lines_of(*pieces_of(stream, size), encoding=encoding) == [text, "", text, text]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_line_of_another_encoding_is_there_with_the_first_character_of_its_end(encoding):
    parser = LineParser(encoding=encoding)
    start = "a\r".encode(encoding)
    rest = "a\r\nb\r\n".encode(encoding).removeprefix(start)

    assert list(parser.receive(start)) == [b"a"]
    assert list(parser.receive(rest)) == [b"b"]


@pytest.mark.parametrize("encoding", ["UTF-8", "utf8", "Utf_8", "u8", "cp65001"])
def test_an_encoding_may_go_by_any_of_its_names(encoding):
    assert lines_of(BOM + "値段\n\xff".encode(), encoding=encoding) == ["値段", "ÿ"]


@pytest.mark.parametrize(
    ("encoding", "stream", "lines"),
    [
        ("us-ascii", b"a\xffb\n", ["a\ufffdb"]),
        ("windows-1252", b"\x81\n", ["\ufffd"]),
        ("utf-16-le", b"a\0\n\0\x3d\xd8", ["a", "\ufffd"]),
        ("utf-16-le", b"a\0\n\0b", ["a", "\ufffd"]),
        ("shift_jis", b"a\n\x83", ["a", "\ufffd"]),
    ],
)
def test_what_another_encoding_cannot_decode_is_replaced(encoding, stream, lines):
    assert lines_of(stream, encoding=encoding) == lines
    assert lines_of(*bytes_of(stream), encoding=encoding) == lines


@pytest.mark.parametrize(
    ("encoding", "stream"),
    [("utf-16-le", b"\xff\xfea\0\n\0"), ("utf-16", b"\xff\xfea\0\n\0"), ("utf-16", b"\xfe\xff\0a\0\n")],
    ids=ascii,
)
def test_the_byte_order_mark_of_another_encoding_is_dropped(encoding, stream):
    assert lines_of(stream, encoding=encoding) == ["a"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["a\nb\n", "", "\n", "値", "a\n\ufeffb\n"], ids=ascii)
def test_what_may_begin_with_a_byte_order_mark_need_not(encoding, text):
    # It is little-endian then, as the WHATWG's Encoding standard says.
    stream = text.encode(f"{encoding}-le")

    assert lines_of(stream, encoding=encoding) == text.splitlines()
    assert lines_of(*bytes_of(stream), encoding=encoding) == text.splitlines()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_less_than_a_byte_order_mark_is_replaced(encoding):
    assert lines_of(b"a", encoding=encoding) == ["\ufffd"]
    assert lines_of(b"", encoding=encoding) == []


# JSON Lines.


def test_each_line_is_a_document():
    assert documents_of(b'{"a": 1}\n[2]\n"c"\n4\nnull\n') == [b'{"a": 1}', b"[2]", b'"c"', b"4", b"null"]


def test_blank_lines_are_skipped():
    assert documents_of(b"\n\n1\n \n\t\n\r\n2\n\r\r \t\n3\n\n") == [b"1", b"2", b"3"]
    assert documents_of(b"\n", b" ", b"\r\n") == []
    assert documents_of() == []


def test_the_last_document_needs_no_line_end():
    assert documents_of(b"1\n2") == [b"1", b"2"]
    assert documents_of(b"1\n", b"2", b"3") == [b"1", b"23"]
    assert documents_of(b"1\n2", has_ended=False) == [b"1"]
    assert documents_of(b"1\n \r") == [b"1"]


def test_white_space_around_a_document_is_no_part_of_it():
    assert documents_of(b'1\r\n\t {"a": 1} \t\r\n 3 \r') == [b"1", b'{"a": 1}', b"3"]
    assert documents_of(*bytes_of(b'1\r\n\t {"a": 1} \t\r\n 3 \r')) == [b"1", b'{"a": 1}', b"3"]


def test_a_carriage_return_within_a_document_is_white_space():
    assert documents_of(b"[1,\r2]\n", b"[1,\r", b"2]\r\n") == [b"[1,\r2]", b"[1,\r2]"]


@pytest.mark.parametrize(
    "character", ["\v", "\f", "\x1e", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\0"], ids=ascii
)
def test_no_other_character_ends_a_document_or_is_taken_off_it(character):
    line = f'{character}"a{character}b"{character}'.encode()

    assert documents_of(b"1\n" + line + b"\n") == [b"1", line]


def test_a_document_is_there_with_its_line_feed():
    parser = JSONLinesParser()

    assert [*parser.receive(b'{"a": 1}')] == []
    assert [*parser.receive(b"\r")] == []
    assert list(parser.receive(b"\n")) == [b'{"a": 1}']


def test_what_is_no_json_is_given_as_it_is():
    assert documents_of(b"[DONE]\n{\n\xff\n") == [b"[DONE]", b"{", b"\xff"]


@pytest.mark.parametrize(
    "chunks",
    [[BOM + b"1\n2\n"], [BOM, b"1\n2\n"], [BOM[:2], b"", BOM[2:] + b"1\n", b"2"], bytes_of(BOM + b" 1\n2")],
    ids=ascii,
)
def test_a_byte_order_mark_before_the_first_document_is_dropped_even_when_cut(chunks):
    assert documents_of(*chunks) == [b"1", b"2"]


def test_a_byte_order_mark_alone_is_no_document():
    assert documents_of(BOM) == []
    assert documents_of(BOM + b"\r\n1\n") == [b"1"]


def test_any_other_byte_order_mark_is_no_white_space():
    assert documents_of(BOM + BOM + b"1\n" + BOM + b"2\n") == [BOM + b"1", BOM + b"2"]


# One JSON document.


@pytest.mark.parametrize("document", [b"{}", b'{\n  "a": "\xff"\r\n}', b"1", b"[DONE]", b"1 2"], ids=ascii)
@pytest.mark.parametrize("around", [b"", b" \r\n\t"], ids=ascii)
def test_a_document_is_all_there_is_without_white_space_around_it(document, around):
    for start in (b"", BOM):
        stream = start + around + document + around

        assert data_of(JSONDocumentParser(), [stream], has_ended=False) == []
        assert data_of(JSONDocumentParser(), [stream]) == [document]
        assert data_of(JSONDocumentParser(), bytes_of(stream)) == [document]


def test_no_document_is_none():
    assert data_of(JSONDocumentParser(), []) == []
    assert data_of(JSONDocumentParser(), [BOM, b" ", b"\n"]) == []


def test_a_document_is_oversized_as_soon_as_it_exceeds_the_limit():
    assert within(JSONDocumentParser(100), *[b"\n"] * 100) == ([], False)
    assert within(JSONDocumentParser(100), *[b"\n"] * 101) == ([], True)
    assert within(JSONDocumentParser(), b"x" * DEFAULT_MAX_EVENT_SIZE) == ([], False)
    assert within(JSONDocumentParser(), b"x" * DEFAULT_MAX_EVENT_SIZE, b"x") == ([], True)


# JSON text sequences. The section numbers are those of RFC 7464.


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b'{"a": {"b": [1, {"c": "d"}]}}',
        b'"a"',
        b'""',
        b"1",
        b"-1.5e+3",
        b"true",
        b"null",
        '"größe 値段 🎈 \u2028"'.encode(),
        pytest.param(b'{\n  "a": 1,\n  "b": [\n    2,\n    3\n  ]\n}', id="pretty-printed"),
        pytest.param(b'[\r\n\n\n1\r\n,\r\n2\n]', id="line ends everywhere"),
        pytest.param(b'"}]\\"}]\\\\"', id="brackets and escapes in a string"),
        pytest.param(b'{"{\\"\n\\\\": "[", "\\\\\\"": ["]\\\\"]}', id="brackets and escapes in many strings"),
        pytest.param(b"[" * 100 + b"\n" + b"]" * 100, id="deep"),
    ],
)  # fmt: skip
def test_a_text_is_there_with_its_line_feed_and_not_before(text):
    parser = JSONSequenceParser()

    assert [frame for byte in bytes_of(RS + text) for frame in parser.receive(byte)] == []
    assert list(parser.receive(b"\n")) == [text]
    assert [*parser.receive(RS), *parser.end()] == []
    assert texts_of(RS + text + b"\n" + RS + text + b"\n") == [text, text]


def test_white_space_around_a_text_is_no_part_of_it():
    assert texts_of(RS + b"\n \t{}\r\n" + RS + b"\r\n\n[] \n \n" + RS + b"3 \t\r") == [b"{}", b"[]", b"3"]
    assert texts_of(RS + b"\v\f1\0\f\v\n") == [b"\v\f1\0\f\v"]  # no JSON has that around it


@pytest.mark.parametrize("text", [b"{}", b"[1]", b'"a"', b"1 ", b"true\t", b"null\r", b'{"a":\n1}'], ids=ascii)
def test_a_text_that_cannot_go_on_needs_no_line_feed(text):
    assert texts_of(RS + text + RS + b"2\n") == [text.strip(), b"2"]
    assert texts_of(RS + text) == [text.strip()]
    assert texts_of(*bytes_of(RS + text)) == [text.strip()]


@pytest.mark.parametrize("text", [b"1", b"-", b"12.5", b"true", b"false", b"null", b" 1"], ids=ascii)
def test_a_number_or_literal_without_white_space_behind_it_may_have_been_cut(text):
    # Section 2.4: "123" may be all that is left of "1234".
    assert texts_of(RS + text + RS + b"2\n") == [BrokenText(text.strip()), b"2"]
    assert texts_of(RS + text) == [BrokenText(text.strip())]


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[1, 2",
        b'{"a": 1',
        b'{"a": {}',
        b'{"a": 1, ',
        b'[{"a":\n1}\n',
        b'"',
        b'"abc',
        b'"abc\\"',
        b'"abc\\',
        b'"abc\n',
        b'{"}',
        b'{"a": "}]\n',
        b"[[]",
        b"tru",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("cut", [lambda stream: [stream], bytes_of], ids=["whole", "in bytes"])
def test_a_truncated_text_is_broken_and_the_following_ones_are_not(text, cut):
    broken = BrokenText(text.strip(b" \n"))

    assert texts_of(*cut(RS + b"1\n" + RS + text + RS + b'{"a":\n2}\n' + RS + b"3\n")) == [
        b"1",
        broken,
        b'{"a":\n2}',
        b"3",
    ]
    assert texts_of(*cut(RS + text + RS + text)) == [broken, broken]


def test_a_truncated_text_is_known_with_the_next_record_separator():
    parser = JSONSequenceParser()

    assert [*parser.receive(RS + b'{"a": ')] == []
    assert [*parser.receive(RS)] == [BrokenText(b'{"a":')]


def test_brackets_that_close_nothing_do_no_harm_to_the_following_texts():
    assert texts_of(RS + b"]]}\n" + RS + b"[\n1]\n" + RS + b"}]" + RS + b"[\n2]\n") == [
        b"]]}",  # no JSON, which is for others to say
        b"[\n1]",
        BrokenText(b"}]"),
        b"[\n2]",
    ]


def test_what_stands_before_the_first_record_separator_is_broken():
    assert texts_of(b"1\n" + RS + b"2\n") == [BrokenText(b"1"), b"2"]
    assert texts_of(b"{" + RS + b"2\n") == [BrokenText(b"{"), b"2"]
    assert texts_of(b"[1]") == [BrokenText(b"[1]")]
    assert texts_of(b" \n", b"\r\n" + RS + b"2\n") == [b"2"]


def test_what_stands_behind_a_text_without_a_record_separator_is_broken():
    assert texts_of(RS + b"1\n2\n" + RS + b"3\n") == [b"1", BrokenText(b"2"), b"3"]
    assert texts_of(RS + b"{}\n{}\n{}") == [b"{}", BrokenText(b"{}"), BrokenText(b"{}")]


def test_more_record_separators_mean_nothing():
    # Section 2.1: "multiple consecutive RS octets do not denote empty sequence elements".
    assert texts_of(RS + RS + b"1\n" + RS + RS, RS, RS + b"2\n" + RS) == [b"1", b"2"]
    assert texts_of(RS + b"\n" + RS + b" 1\n" + RS + b"\r\n") == [b"1"]
    assert texts_of() == texts_of(b"", RS, b"") == []


def test_an_escape_may_be_cut_from_what_it_escapes():
    assert texts_of(RS + b'["\\', b'"', b"", b"\n", b'\\', b"", b'\\"]', b"\n") == [b'["\\"\n\\\\"]']  # fmt: skip


def test_an_escape_ends_with_its_text():
    assert texts_of(RS + b'"\\', RS + b'"a"\n') == [BrokenText(b'"\\'), b'"a"']
    assert texts_of(RS + b'"\\' + RS + b'"a"\n') == [BrokenText(b'"\\'), b'"a"']


# The bytes as they are.


def test_bytes_are_given_as_they_come():
    assert data_of(ChunkParser(), [b"a\n", b"\0\xff", b"a"]) == [b"a\n", b"\0\xff", b"a"]
    assert data_of(ChunkParser(), [b"", b"a", b""]) == [b"a"]


# The limit on the size of a line or text, in bytes, without its end.

LIMITED = pytest.mark.parametrize(
    ("make_parser", "start"), [(LineParser, b""), (JSONLinesParser, b""), (JSONSequenceParser, RS)]
)


@LIMITED
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_text_without_end_is_oversized_as_soon_as_it_exceeds_the_limit(make_parser, start, size):
    pieces = [start, *pieces_of(b'["' + b"x" * 98, size)]

    assert within(make_parser(100), *pieces) == ([], False)
    assert within(make_parser(100), *pieces, b"x") == ([], True)
    assert within(make_parser(100), b"".join(pieces) + b"x") == ([], True)


@LIMITED
def test_a_text_with_an_end_is_oversized_likewise(make_parser, start):
    assert within(make_parser(10), start + b"4567890123\n") == ([b"4567890123"], False)
    assert within(make_parser(10), start + b"4567890123", b"\n") == ([b"4567890123"], False)
    assert within(make_parser(10), start + b"45678901234\n") == ([], True)
    assert within(make_parser(10), start + b"456", b"78901234\n") == ([], True)


@LIMITED
def test_what_comes_before_an_oversized_text_is_yielded_first(make_parser, start):
    texts = start + b"1\n" + start + b"2\n"

    assert within(make_parser(10), texts + start + b"45678901234\n" + start + b"3\n") == ([b"1", b"2"], True)
    assert within(make_parser(10), texts + start + b"45678901234") == ([b"1", b"2"], True)
    assert within(make_parser(10), *bytes_of(texts + start + b"45678901234")) == ([b"1", b"2"], True)


@LIMITED
def test_a_stream_of_small_texts_may_be_longer_than_the_limit(make_parser, start):
    stream = (start + b"[1,2]\n") * 100

    assert within(make_parser(10), stream) == ([b"[1,2]"] * 100, False)
    assert within(make_parser(10), *bytes_of(stream)) == ([b"[1,2]"] * 100, False)


@pytest.mark.parametrize("make_parser", PARSERS)
def test_a_stream_of_blank_lines_may_be_longer_than_the_limit(make_parser):
    assert within(make_parser(10), b" \r\n" * 100)[1] is False
    assert within(make_parser(10), *bytes_of(b" \r\n" * 100))[1] is False


@pytest.mark.parametrize("make_parser", PARSERS)
def test_white_space_without_end_is_oversized(make_parser):
    assert within(make_parser(10), *[b" "] * 11) == ([], True)


def test_a_text_of_many_lines_is_oversized():
    assert within(JSONSequenceParser(10), RS + b"[\n" + b"\n" * 7 + b"]\n") == ([b"[\n" + b"\n" * 7 + b"]"], False)
    assert within(JSONSequenceParser(10), RS + b"[\n", *[b"\n"] * 8) == ([], False)
    assert within(JSONSequenceParser(10), RS + b"[\n", *[b"\n"] * 9) == ([], True)


def test_what_is_no_text_of_a_sequence_is_oversized_likewise():
    assert within(JSONSequenceParser(10), b"4567890123", b"4") == ([], True)
    assert within(JSONSequenceParser(10), RS + b"1\n4567890123", b"4") == ([b"1"], True)


def test_the_last_line_is_held_to_the_limit_too():
    # Only at the end is it known that one character is missing, and replaced, which takes three bytes.
    parser = LineParser(5, "utf-16-le")

    assert [*parser.receive(b"1\x002\x003\x00x")] == []
    with pytest.raises(OversizedEvent):
        [*parser.end()]


def test_a_byte_order_mark_counts_alike_in_any_cutting():
    for make_parser in (LineParser, JSONLinesParser):
        for size in range(4, 10):
            assert within(make_parser(size), BOM + b"12345\n") == within(make_parser(size), BOM + b"12345", b"\n")


@LIMITED
def test_the_limit_is_16_mib_unless_said_otherwise(make_parser, start):
    largest = b'"'.ljust(DEFAULT_MAX_EVENT_SIZE, b"x")

    assert within(make_parser(), start + largest) == ([], False)
    assert within(make_parser(), start + largest, b"x") == ([], True)


# The work grows with the bytes alone: a parser that went back to the beginning of a line, a text or a chunk at each
# piece, or at each bracket, would here move or search tens of gigabytes and more.


@LIMITED
def test_a_long_text_may_come_in_tiny_pieces(make_parser, start):
    text = b'"' + b"0123456789abcdef" * 2**17 + b'"'  # 2 MiB
    stream = start + text + b"\n"

    assert data_of(make_parser(), pieces_of(stream, 16), has_ended=False) == [text]


def test_a_long_line_of_another_encoding_may_come_in_tiny_pieces():
    text = "0123456789abcdé" * 2**15

    assert lines_of(*pieces_of(f"{text}\n".encode("utf-16"), 7), encoding="utf-16") == [text]


@LIMITED
def test_many_texts_may_come_in_one_chunk(make_parser, start):
    assert data_of(make_parser(), [(start + b"1\n") * 2**17]) == [b"1"] * 2**17


@LIMITED
def test_many_texts_may_come_in_tiny_pieces(make_parser, start):
    stream = (start + b'{"a": [1]}\n') * 2**15

    assert data_of(make_parser(), pieces_of(stream, 3)) == [b'{"a": [1]}'] * 2**15


def test_many_carriage_returns_may_come_in_one_chunk():
    assert lines_of(b"\r" * 2**17 + b"\r\n" * 2**17) == [""] * 2**18


def test_a_large_pretty_printed_text_may_come_in_tiny_pieces():
    text = json.dumps([{"number": number, "text": 'a\n"b"\\'} for number in range(2**15)], indent=2).encode()

    assert len(text) > 2**20
    assert data_of(JSONSequenceParser(), pieces_of(RS + text + b"\n" + RS, 5)) == [text]


@pytest.mark.parametrize(
    "text", [b"[" * 2**18 + b"\n" + b"]" * 2**18, b'"' + b'\\"' * 2**19 + b'"'], ids=["deep", "escapes"]
)
def test_a_text_of_many_brackets_or_escapes_may_come_in_any_pieces(text):
    assert texts_of(RS + text + b"\n") == [text]
    assert texts_of(*pieces_of(RS + text + b"\n", 5)) == [text]


def test_many_truncated_texts_may_come_in_any_pieces():
    stream = (RS + b'{"a": [1, ') * 2**15

    assert texts_of(stream) == [BrokenText(b'{"a": [1,')] * 2**15
    assert texts_of(*pieces_of(stream, 7)) == [BrokenText(b'{"a": [1,')] * 2**15


def test_many_record_separators_may_come_in_any_pieces():
    assert texts_of(RS * 2**18 + b"1\n") == [b"1"]
    assert texts_of(*bytes_of(RS * 2**16 + b"1\n")) == [b"1"]


# Any stream, in any cutting, means what a slow and literal reading of its format says.


def read_lines(stream: bytes, encoding: str = "utf-8", *, has_ended: bool = True) -> list[str]:
    text = stream.decode(encoding, "replace").removeprefix("\ufeff")
    *lines, last = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [*lines, last] if last and has_ended else lines


def read_json_lines(stream: bytes, *, has_ended: bool = True) -> list[bytes]:
    *lines, last = stream.removeprefix(BOM).split(b"\n")
    stripped = [line.strip(b" \t\r\n") for line in ([*lines, last] if has_ended else lines)]
    return [line for line in stripped if line]


def read_json_sequence(stream: bytes, *, has_ended: bool = True) -> list[tuple[bytes, bool]]:
    """The texts, and whether each is JSON behind a record separator."""
    before, *elements = stream.split(RS)
    texts = read_element(before, has_ended=has_ended or bool(elements))
    frames = [(text, False) for text, _ in texts]
    for number, element in enumerate(elements, start=1):
        texts = read_element(element, has_ended=has_ended or number < len(elements))
        frames += [(text, index == 0 and is_whole and is_json(text)) for index, (text, is_whole) in enumerate(texts)]
    return frames


def read_element(element: bytes, *, has_ended: bool) -> list[tuple[bytes, bool]]:
    """What stands between two record separators, and whether it is whole; the first of it should be all of it."""
    texts = []
    text = b""
    for byte in bytes_of(element):
        text += byte
        if byte == b"\n" and not is_open(text):
            texts.append((text, True))
            text = b""
    if has_ended:
        texts.append((text, not is_open(text) and text.endswith((b"}", b"]", b'"', b" ", b"\t", b"\r", b"\n"))))
    stripped = [(text.strip(b" \t\r\n"), is_whole) for text, is_whole in texts]
    return [(text, is_whole) for text, is_whole in stripped if text]


def is_open(text: bytes) -> bool:
    """Whether a string or bracket is open at the end."""
    without_strings = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text, flags=re.DOTALL)
    depth = 0
    for byte in bytes_of(without_strings):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(byte, 0)
    return depth > 0 or b'"' in without_strings


def is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode())
    except ValueError:
        return False
    return True


def with_validity(frames: list[bytes | BrokenText]) -> list[tuple[bytes, bool]]:
    """Texts, and whether they are JSON: whether a parser calls what is not JSON broken, nobody can see."""
    return [(each.data, False) if isinstance(each, BrokenText) else (each, is_json(each)) for each in frames]


FRAGMENTS = [
    *[b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"\t", b"a", b"bc", b"1", b"23", b"null", b"-"],
    *[RS, RS, RS + b"1\n", RS + b'{"a": 1}\n', RS + b"[\n1\n]\n", b'{"a": 1}\n', b"[1, 2]", b'"a"'],
    *[b"{", b"}", b"[", b"]", b",", b":", b'"', b'"', b"\\", b'\\"', b"\\\\"],
    *[
        BOM,
        b"\xef",
        b"\xbb",
        b"\xbf",
        b"\xff",
        b"\xf0\x9f",
        b"\x8e\x88",
        "値".encode(),
        "\u2028".encode(),
        b"\x85",
        b"\0",
    ],
]
starts = st.sampled_from([b"", b"", BOM, BOM + BOM, b"\xef", RS, BOM + RS])
streams = st.one_of(
    st.binary(max_size=40),
    st.tuples(starts, st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)).map(b"".join),
)


def cut(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=12))
    return [stream[start:end] for start, end in pairwise([0, *sorted(cuts), len(stream)])]


@st.composite
def cuttings(draw: st.DrawFn) -> list[bytes]:
    """A stream cut into chunks, empty ones among them."""
    return cut(draw, draw(streams))


ANY_STREAM = settings(max_examples=200, deadline=None)


@ANY_STREAM
@given(cuttings())
@example([BOM])
@example([BOM[:1], BOM[1:], b"\r", b"\n"])
def test_any_lines_in_any_cutting_are_those_of_the_text(chunks):
    assert lines_of(*chunks) == read_lines(b"".join(chunks))
    assert lines_of(*bytes_of(b"".join(chunks))) == read_lines(b"".join(chunks))


@ANY_STREAM
@given(cuttings())
def test_any_json_lines_in_any_cutting_are_those_of_the_stream(chunks):
    assert documents_of(*chunks) == read_json_lines(b"".join(chunks))
    assert documents_of(*bytes_of(b"".join(chunks))) == read_json_lines(b"".join(chunks))


@ANY_STREAM
@given(cuttings())
@example([RS + b'"\\', b'"\n', b'"\n', RS])
@example([RS + b"]", b"\n[\n", b"]\n]", RS])
def test_any_sequence_in_any_cutting_is_that_of_the_stream(chunks):
    assert with_validity(texts_of(*chunks)) == read_json_sequence(b"".join(chunks))
    assert texts_of(*bytes_of(b"".join(chunks))) == texts_of(*chunks)


@settings(max_examples=200, deadline=None)
@given(streams)
def test_after_any_byte_everything_is_known_that_the_stream_means_so_far(stream):
    lines, documents, texts = LineParser(), JSONLinesParser(), JSONSequenceParser()
    known_lines, known_documents, known_texts = [], [], []
    for position, byte in enumerate(bytes_of(stream), start=1):
        known_lines += [line.decode("utf-8", "replace") for line in data_of(lines, [byte], has_ended=False)]
        known_documents += data_of(documents, [byte], has_ended=False)
        known_texts += with_validity(data_of(texts, [byte], has_ended=False))

        assert known_lines == read_lines(stream[:position], has_ended=False)
        assert known_documents == read_json_lines(stream[:position], has_ended=False)
        assert known_texts == read_json_sequence(stream[:position], has_ended=False)


@st.composite
def encoded_texts(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    encoding = draw(st.sampled_from(list(ENCODED)))
    characters = st.sampled_from(sorted({*"\r\n\r\nab\ufeff", *"".join(ENCODED.values())}))
    text = draw(st.text(st.one_of(characters, st.characters(codec="utf-8")), max_size=30))
    return encoding, cut(draw, text.encode(encoding, "ignore"))


@settings(max_examples=200, deadline=None)
@given(encoded_texts())
def test_any_text_in_any_encoding_and_cutting_has_its_lines(encoding_and_chunks):
    encoding, chunks = encoding_and_chunks

    assert lines_of(*chunks, encoding=encoding) == read_lines(b"".join(chunks), encoding)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda values: st.one_of(st.lists(values, max_size=4), st.dictionaries(st.text(max_size=5), values, max_size=4)),
    max_leaves=10,
)
white_space = st.text(" \t\r\n", max_size=3)


@st.composite
def json_sequences(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """The elements of a sequence, some cut off, and the chunks that it comes in."""
    elements = []
    for value in draw(st.lists(json_values, max_size=6)):
        text = json.dumps(value, indent=draw(st.sampled_from([None, 0, 2])), ensure_ascii=draw(st.booleans()))
        element = f"{draw(white_space)}{text}\n{draw(white_space)}".encode()
        elements.append(element[: draw(st.one_of(st.none(), st.integers(0, len(element))))])
    return elements, cut(draw, b"".join(RS + element for element in elements))


@settings(max_examples=100, deadline=None)
@given(json_sequences())
def test_a_sequence_has_all_texts_that_are_whole_and_names_all_that_are_not(elements_and_chunks):
    elements, chunks = elements_and_chunks
    expected = []
    for element in elements:
        if text := element.strip(b" \t\r\n"):
            # Section 2.4: numbers and literals must have white space behind them.
            may_go_on = text == element.lstrip(b" \t\r\n") and not text.endswith((b'"', b"]", b"}"))
            expected.append(text if is_json(text) and not may_go_on else BrokenText(text))

    assert texts_of(*chunks) == expected


@ANY_STREAM
@given(cuttings(), st.sampled_from(PARSERS), st.integers(1, 20))
@example([BOM + b"12", b"\n"], LineParser, 3)
@example([RS + b"12", b"\n"], JSONSequenceParser, 2)
def test_the_limit_holds_alike_in_any_cutting(chunks, make_parser, max_event_size):
    assert within(make_parser(max_event_size), *chunks) == within(make_parser(max_event_size), b"".join(chunks))
