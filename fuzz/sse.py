"""Event streams: whole, cut, and in the slow reading of the standard they mean the same, up to the size limit."""

from __future__ import annotations

from collections.abc import Iterable

from tests.streaming.event_stream_reference import Interpretation, interpret

from clientele.streaming.sse import (
    DEFAULT_MAX_EVENT_SIZE,
    Comment,
    EventStreamParser,
    OversizedEvent,
    ServerSentEvent,
    UnfinishedEvent,
    text_event,
)
from fuzz.cutting import parts_of

_MAX_SIZES = (DEFAULT_MAX_EVENT_SIZE, 6, 7, 10, 20, 40)
_REFERENCE_SIZE = 2000  # it takes a step for each byte


def check(data: bytes) -> None:
    """Raise if a promise is broken."""
    options, stream, pieces = parts_of(data)
    max_event_size = _MAX_SIZES[options[0] % len(_MAX_SIZES)]
    whole = _read([stream] if stream else [], max_event_size)
    assert _read(pieces, max_event_size) == whole
    meaning, is_oversized = whole
    if max_event_size == DEFAULT_MAX_EVENT_SIZE:
        assert not is_oversized
        if len(stream) <= _REFERENCE_SIZE:
            assert meaning == interpret(stream)
    elif not is_oversized and len(stream) <= _REFERENCE_SIZE:
        assert meaning == interpret(stream)
        for frame in meaning.frames:
            text = frame.text if isinstance(frame, Comment) else frame.data
            assert len(text) <= max_event_size


def _read(pieces: Iterable[bytes], max_event_size: int) -> tuple[Interpretation, bool]:
    parser = EventStreamParser(max_event_size)
    frames: list[ServerSentEvent[str] | Comment] = []
    try:
        for piece in pieces:
            for frame in parser.receive(piece):
                if isinstance(frame, bytes):
                    frame = ServerSentEvent(frame, id=parser.last_event_id)
                frames.append(frame if isinstance(frame, Comment) else text_event(frame))
        assert all(isinstance(frame, UnfinishedEvent) for frame in parser.end())
    except OversizedEvent:
        # What the fields of the oversized event have set is nobody's; the stream is over.
        return Interpretation(frames, "", None), True
    return Interpretation(frames, parser.last_event_id, parser.retry), False


SEEDS = [
    b"\0\0" + sizes + stream
    for sizes in (b"\0\0\0\0", b"\1\0\0\0", b"\1\1\1\1", b"\7\3\1\2")
    for stream in (
        b"data: a\n\ndata: b\n\ndata: c\n\n",
        b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata:c\n\n",
        b": comment\nevent: e\nid: 7\nretry: 10\ndata: x\ndata\n\nid\n\ndata: y\n\n",
        b"id: \0\nretry: 1x\nunknown: z\ndata: \xff\xc3\xa4\n\ndata: unfinished",
    )
]

WORDS = [b"data: ", b"data:", b"data", b"event: ", b"id: ", b"retry: ", b": "]
WORDS += [b"\n\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\0"]
