"""From pieces of bytes to the text of each event, without a transport: what each library does to the same bytes."""

import codecs
from collections.abc import Sequence

from . import OURS, Run, Take, contestant


@contestant("parse", "sync", "floor: bytes.split")
def floor(kind: str) -> Run:
    """The least that can be done in Python."""

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        rest = b""
        for piece in pieces:
            *events, rest = (rest + piece).split(b"\n\n")
            for each in events:
                take(each[6:].decode())

    return run


@contestant("parse", "sync", "floor: str.split")
def floor_of_text(kind: str) -> Run:
    """The same, all that has come decoded at once."""

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        rest = b""
        for piece in pieces:
            events, _, rest = (rest + piece).rpartition(b"\n\n")
            if events:
                for each in events[6:].decode().split("\n\ndata: "):
                    take(each)

    return run


@contestant("parse", "sync", OURS)
def clientele(kind: str) -> Run:
    """The reader of items, as the streams use it."""
    import httpx2

    from clientele.streaming.items import ItemReader, item_plan

    plan = item_plan(str)

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        request = httpx2.Request("GET", "http://localhost/events")
        response = httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, request=request)
        reader = ItemReader[str](response, plan)
        for piece in pieces:
            reader.receive(piece)
            for item in reader.items:
                take(item)
        reader.end()
        for item in reader.items:
            take(item)

    return run


@contestant("parse", "sync", "httpx-sse")
def httpx_sse(kind: str) -> Run:
    """Its decoders one behind the other as its `EventSource` has them, fed with what httpx makes of bytes: text."""
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        to_text = codecs.getincrementaldecoder("utf-8")("replace")
        to_lines, to_events = SSELineDecoder(), SSEDecoder()
        for piece in pieces:
            for line in to_lines.decode(to_text.decode(piece)):
                event = to_events.decode(line.rstrip("\n"))
                if event is not None:
                    take(event.data)
        for line in to_lines.flush():
            event = to_events.decode(line.rstrip("\n"))
            if event is not None:
                take(event.data)

    return run


@contestant("parse", "sync", "httpx2 EventSource")
def httpx2_event_source(kind: str) -> Run:
    """Its parser, fed with what httpx2 makes of bytes: text."""
    from httpx2._sse import _SSEParser

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        to_text = codecs.getincrementaldecoder("utf-8")("replace")
        parser = _SSEParser(1 << 20)
        for piece in pieces:
            for event in parser.decode(to_text.decode(piece)):
                take(event.data)
        for event in parser.flush():
            take(event.data)

    return run


@contestant("parse", "sync", "openai SSEDecoder")
def openai_decoder(kind: str) -> Run:
    """Its decoder, which reads bytes."""
    from openai._streaming import SSEDecoder

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        for event in SSEDecoder().iter_bytes(iter(pieces)):
            take(event.data)

    return run


@contestant("parse", "sync", "sseclient-py")
def sseclient_py(kind: str) -> Run:
    """It reads any iterator of bytes."""
    import sseclient

    def run(pieces: Sequence[bytes], count: int, take: Take) -> None:
        for event in sseclient.SSEClient(iter(pieces)).events():
            take(event.data)

    return run
