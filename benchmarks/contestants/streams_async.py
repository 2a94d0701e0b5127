"""Asynchronous streams."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

from ..payload import ITEM_TYPES
from . import MAX_SIZE, OURS, Run, Take, contestant
from .decoding import FROM_BYTES, FROM_TEXT, OPENAI_TYPES


class _Protocol(asyncio.Protocol):
    """What both floors need."""

    def __init__(self, request: bytes, decode: Callable[[bytes], Any], take: Take) -> None:
        self._request = request
        self._decode = decode
        self._take = take
        self._rest = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or EOFError("the stream was cut short"))


class _SplittingProtocol(_Protocol):
    """Knows exactly what the server sends, and checks nothing."""

    def data_received(self, data: bytes) -> None:
        decode, take = self._decode, self._take
        *events, self._rest = (self._rest + data).split(b"\n\n\r\n")
        for each in events:
            take(decode(each[each.index(b"data: ") + 6 :]))
        if self._rest.endswith(b"0\r\n\r\n"):
            self.ended.set_result(None)


class _ParsingProtocol(_Protocol):
    """Parses HTTP with httptools."""

    def __init__(self, request: bytes, decode: Callable[[bytes], Any], take: Take) -> None:
        import httptools

        super().__init__(request, decode, take)
        self.data_received = httptools.HttpResponseParser(self).feed_data

    def on_body(self, data: bytes) -> None:
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for each in events:
            self._take(self._decode(each[6:]))

    def on_message_complete(self) -> None:
        self.ended.set_result(None)


def _protocol_run(kind: str, protocol_class: Any) -> Run:
    decode = FROM_BYTES[kind]

    async def run(url: str, count: int, take: Take) -> None:
        parts = urlsplit(url)
        request = b"GET %b?%b HTTP/1.1\r\n\r\n" % (parts.path.encode(), parts.query.encode())
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(
            lambda: protocol_class(request, decode, take), parts.hostname, parts.port
        )
        try:
            await protocol.ended
        finally:
            transport.close()

    return run


@contestant("stream", "async", "floor: protocol")
def floor(kind: str) -> Run:
    """The least that Python can do."""
    return _protocol_run(kind, _SplittingProtocol)


@contestant("stream", "async", "floor: protocol, httptools")
def floor_with_httptools(kind: str) -> Run:
    """The least that Python can do with a real HTTP parser."""
    return _protocol_run(kind, _ParsingProtocol)


@contestant("stream", "async", "bare aiohttp")
def bare_aiohttp(kind: str) -> Run:
    """aiohttp, splitting at the blank line, and the validation that every contestant has."""
    import aiohttp

    @functools.cache
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout())

    decode = FROM_BYTES[kind]

    async def run(url: str, count: int, take: Take) -> None:
        rest = b""
        async with session().get(url) as response:
            async for data in response.content.iter_any():
                *events, rest = (rest + data).split(b"\n\n")
                for each in events:
                    take(decode(each[6:]))

    return run


@contestant("stream", "async", OURS)
def clientele(kind: str) -> Run:
    """An endpoint, declared once."""
    import httpx2

    from clientele import api

    client = api.APIClient(limits=httpx2.Limits())
    item_type = ITEM_TYPES[kind]

    @functools.cache
    def endpoint(url: str) -> Callable[[], Awaitable[AsyncIterator[Any]]]:
        @client.get(url, streaming_response=True, max_event_size=MAX_SIZE if kind == "large" else 1 << 24)
        async def stream(*, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
            return result

        return stream

    async def run(url: str, count: int, take: Take) -> None:
        async for item in await endpoint(url)():
            take(item)

    return run


@contestant("stream", "async", "httpx2 EventSource")
def httpx2_event_source(kind: str) -> Run:
    """httpx2's own interface for events."""
    import httpx2

    client = httpx2.AsyncClient(timeout=None, limits=httpx2.Limits())
    decode = FROM_TEXT[kind]

    async def run(url: str, count: int, take: Take) -> None:
        async with client.sse(url, max_event_size=MAX_SIZE) as events:
            async for event in events:
                take(decode(event.data))

    return run


@contestant("stream", "async", "httpx-sse")
def httpx_sse(kind: str) -> Run:
    """Made for httpx; it works with httpx2's responses, too."""
    import httpx2
    from httpx_sse import EventSource

    client = httpx2.AsyncClient(timeout=None, limits=httpx2.Limits())
    decode = FROM_TEXT[kind]

    async def run(url: str, count: int, take: Take) -> None:
        async with client.stream("GET", url, headers={"Accept": "text/event-stream"}) as response:
            async for event in EventSource(response).aiter_sse():
                take(decode(event.data))

    return run


@contestant("stream", "async", "openai AsyncStream")
def openai_stream(kind: str) -> Run:
    """It validates the same model as every other contestant. Only its private reader gives plain text."""
    import httpx2
    import openai

    client = openai.AsyncOpenAI(
        api_key="none",
        base_url="http://127.0.0.1",
        max_retries=0,
        _strict_response_validation=True,
        http_client=httpx2.AsyncClient(timeout=None, limits=httpx2.Limits()),
    )
    item_type = OPENAI_TYPES[kind]

    async def run(url: str, count: int, take: Take) -> None:
        stream = await client.get(url, cast_to=item_type, stream=True, stream_cls=openai.AsyncStream[item_type])
        if item_type is str:
            async for event in stream._iter_events():
                take(event.data)
        else:
            async for item in stream:
                take(item)

    return run


@contestant("stream", "async", "aiohttp-sse-client2")
def aiohttp_sse_client2(kind: str) -> Run:
    """On aiohttp. It reconnects at the end of a stream, so the loop stops at the last item."""
    import aiohttp
    from aiohttp_sse_client2.client import EventSource

    options: dict[str, Any] = {"read_bufsize": MAX_SIZE} if kind == "large" else {}

    @functools.cache
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(), **options
        )

    decode = FROM_TEXT[kind]

    async def run(url: str, count: int, take: Take) -> None:
        left = count
        async with EventSource(url, session=session()) as events:
            async for event in events:
                take(decode(event.data))
                left -= 1
                if not left:
                    break

    return run


@contestant("stream", "async", "niquests")
def niquests_sse(kind: str) -> Run:
    """Its own reader of events. The URL's scheme turns it on."""
    import niquests

    session = niquests.AsyncSession()
    decode = FROM_TEXT[kind]

    async def run(url: str, count: int, take: Take) -> None:
        response = await session.get(url.replace("http", "psse", 1))
        events = response.extension
        while (event := await events.next_payload()) is not None:
            take(decode(event.data))
        await events.close()

    return run
