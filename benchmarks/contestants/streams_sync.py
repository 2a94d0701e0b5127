"""Streams, synchronously."""

import functools
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ..payload import ITEM_TYPES
from . import MAX_SIZE, OURS, Run, Take, contestant
from .decoding import FROM_BYTES, FROM_TEXT, OPENAI_TYPES


@contestant("stream", "sync", "floor: socket")
def floor(kind: str) -> Run:
    """The least that can be done in Python: it knows what the server sends, and nothing else."""
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


@contestant("stream", "sync", "bare httpx2")
def bare_httpx2(kind: str) -> Run:
    """What Clientele rides on, and on it the least that can be done."""
    import httpx2

    client = httpx2.Client(timeout=None)
    decode = FROM_BYTES[kind]

    def run(url: str, count: int, take: Take) -> None:
        rest = b""
        with client.stream("GET", url) as response:
            for data in response.iter_bytes():
                *events, rest = (rest + data).split(b"\n\n")
                for each in events:
                    take(decode(each[6:]))

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
    """httpx2's own."""
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
    """Made for httpx, but content with httpx2's responses: so it rides on the same transport as the others."""
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
    """With the same model, validated as everywhere; text is what its private reader has."""
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
    """Over httpx2's bytes, so that it rides on the same transport as the others."""
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
    """Over requests. It connects again at the end of a stream, so it must be left before."""
    import importlib.metadata

    import requests
    import urllib3
    from requests_sse import EventSource

    if urllib3.__version__ != importlib.metadata.version("urllib3"):
        raise RuntimeError("urllib3-future stands in for urllib3; install as requirements.txt says")
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
    """Its own reader of events, which a scheme of its own turns on."""
    import niquests

    session = niquests.Session()
    decode = FROM_TEXT[kind]

    def run(url: str, count: int, take: Take) -> None:
        events = session.get(url.replace("http", "psse", 1)).extension
        while (event := events.next_payload()) is not None:
            take(decode(event.data))
        events.close()

    return run
