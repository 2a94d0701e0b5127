"""Synchronous streams."""

import functools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from ..payload import ITEM_TYPES
from . import MAX_SIZE, OURS, Open, Opened, Run, Take, contestant
from .decoding import FROM_BYTES, FROM_TEXT, OPENAI_TYPES


@contestant("stream", "sync", "floor: socket")
def floor(kind: str) -> Run:
    """The least that Python can do: it knows exactly what the server sends, and checks nothing."""
    decode = FROM_BYTES[kind]

    def run(url: str, count: int, take: Take) -> None:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(b"GET %b?%b HTTP/1.1\r\n\r\n" % (parts.path.encode(), parts.query.encode()))
            rest = b""
            while not rest.endswith(b"0\r\n\r\n"):
                *events, rest = (rest + connection.recv(65536)).split(b"\n\n\r\n")
                for each in events:
                    take(decode(each[each.index(b"data: ") + 6 :]))

    return run


@contestant("stream", "sync", OURS)
def clientele(kind: str) -> Run:
    """An endpoint, declared once."""
    from clientele import api

    client = api.APIClient()
    item_type = ITEM_TYPES[kind]

    @functools.cache
    def endpoint(url: str) -> Callable[[], Iterator[Any]]:
        @client.get(url, streaming_response=True, max_event_size=MAX_SIZE if kind == "large" else 1 << 24)
        def stream(*, result: Iterator[item_type]) -> Iterator[item_type]:
            return result

        return stream

    def run(url: str, count: int, take: Take) -> None:
        for item in endpoint(url)():
            take(item)

    return run


@contestant("stream", "sync", "httpx2 EventSource")
def httpx2_event_source(kind: str) -> Run:
    """httpx2's own interface for events."""
    import httpx2

    client = httpx2.Client(timeout=None)
    decode = FROM_TEXT[kind]

    def run(url: str, count: int, take: Take) -> None:
        with client.sse(url, max_event_size=MAX_SIZE) as events:
            for event in events:
                take(decode(event.data))

    return run


@contestant("stream", "sync", "httpx-sse")
def httpx_sse(kind: str) -> Run:
    """Made for httpx; it works with httpx2's responses, too."""
    import httpx2
    from httpx_sse import EventSource

    client = httpx2.Client(timeout=None)
    decode = FROM_TEXT[kind]

    def run(url: str, count: int, take: Take) -> None:
        with client.stream("GET", url, headers={"Accept": "text/event-stream"}) as response:
            for event in EventSource(response).iter_sse():
                take(decode(event.data))

    return run


@contestant("stream", "sync", "openai Stream")
def openai_stream(kind: str) -> Run:
    """It validates the same model as every other contestant. Only its private reader gives plain text."""
    import openai

    client = openai.OpenAI(
        api_key="none",
        base_url="http://127.0.0.1",
        timeout=None,
        max_retries=0,
        _strict_response_validation=True,
    )
    item_type = OPENAI_TYPES[kind]

    def run(url: str, count: int, take: Take) -> None:
        stream = client.get(url, cast_to=item_type, stream=True, stream_cls=openai.Stream[item_type])
        if item_type is str:
            for event in stream._iter_events():
                take(event.data)
        else:
            for item in stream:
                take(item)

    return run


@contestant("stream", "sync", "sseclient-py")
def sseclient_py(kind: str) -> Run:
    """It takes any iterator of bytes; here it is httpx2's."""
    import httpx2
    import sseclient

    client = httpx2.Client(timeout=None)
    decode = FROM_TEXT[kind]

    def run(url: str, count: int, take: Take) -> None:
        with client.stream("GET", url, headers={"Accept": "text/event-stream"}) as response:
            for event in sseclient.SSEClient(response.iter_bytes()).events():
                take(decode(event.data))

    return run


@contestant("stream", "sync", "requests-sse")
def requests_sse(kind: str) -> Run:
    """On requests. It reconnects at the end of a stream, so the loop stops at the last item."""
    import importlib.metadata

    import requests
    import urllib3
    from requests_sse import EventSource

    if urllib3.__version__ != importlib.metadata.version("urllib3"):
        raise RuntimeError("urllib3-future replaces urllib3; install as requirements.txt says")
    session = requests.Session()
    decode = FROM_TEXT[kind]

    def run(url: str, count: int, take: Take) -> None:
        left = count
        with EventSource(url, session=session) as events:
            for event in events:
                take(decode(event.data))
                left -= 1
                if not left:
                    break

    return run


@contestant("stream", "sync", "niquests")
def niquests_sse(kind: str) -> Run:
    """Its own reader of events. The URL's scheme turns it on."""
    import niquests

    session = niquests.Session()
    decode = FROM_TEXT[kind]

    def run(url: str, count: int, take: Take) -> None:
        events = session.get(url.replace("http", "psse", 1)).extension
        while (event := events.next_payload()) is not None:
            take(decode(event.data))
        events.close()

    return run


@contestant("open", "sync", "floor: socket")
def floor_open(kind: str) -> Open:
    """A socket for each stream."""
    decode = FROM_BYTES[kind]

    def open_one(url: str) -> Opened:
        parts = urlsplit(url)
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.sendall(b"GET %b HTTP/1.1\r\n\r\n" % parts.path.encode())
        received = b""
        while not received.endswith(b"\n\n\r\n"):
            received += connection.recv(65536)
        return decode(received[received.index(b"data: ") + 6 : -4]), connection.close

    return open_one


@contestant("open", "sync", OURS)
def clientele_open(kind: str) -> Open:
    """An endpoint, declared once."""
    import httpx2

    from clientele import api

    client = api.APIClient(limits=httpx2.Limits())
    item_type = ITEM_TYPES[kind]

    @functools.cache
    def endpoint(url: str) -> Callable[[], api.Stream[Any]]:
        @client.get(url, streaming_response=True)
        def stream(*, result: api.Stream[item_type]) -> api.Stream[item_type]:
            return result

        return stream

    def open_one(url: str) -> Opened:
        stream = endpoint(url)()
        return next(stream), stream.close

    return open_one


@contestant("open", "sync", "httpx2 EventSource")
def httpx2_open(kind: str) -> Open:
    """httpx2's own interface for events."""
    import httpx2

    client = httpx2.Client(timeout=None, limits=httpx2.Limits())
    decode = FROM_TEXT[kind]

    def open_one(url: str) -> Opened:
        stack = ExitStack()
        events = iter(stack.enter_context(client.sse(url)))
        event = next(events)
        stack.callback(lambda: events)  # an iterator that is dropped would close the stream
        return decode(event.data), stack.close

    return open_one
