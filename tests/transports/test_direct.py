"""Streams over aiohttp are read without the layers of httpx2 between, where these have nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
from tests.servers import answer, events

from clientele import api
from clientele.transports.aiohttp import AiohttpTransport
from clientele.transports.direct import direct_stream


def test_a_client_of_httpx2_leaves_the_transports_stream_reachable(serve):
    server = serve(answer(b"5"))

    async def main() -> None:
        async with (
            httpx2.AsyncClient(transport=AiohttpTransport(verify=False)) as client,
            client.stream("GET", server.url) as response,
        ):
            stream = direct_stream(response)
            assert stream is not None
            assert [data async for data in stream] == [b"5"]

    asyncio.run(main())


def test_a_stream_that_something_stands_around_is_not_read_past_it(serve):
    server = serve(events("a"))

    class Shouting(httpx2.AsyncByteStream):
        def __init__(self, inner: httpx2.AsyncByteStream) -> None:
            self._stream = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for data in self._stream:
                yield data.upper().replace(b"DATA", b"data")

        async def aclose(self) -> None:
            await self._stream.aclose()

    class ShoutingTransport(AiohttpTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Shouting(response.stream)
            return response

    async def main() -> list[str]:
        client = api.APIClient(server.url, async_transport=ShoutingTransport(verify=False))
        async with client.astream("GET", "/", str) as stream:
            return [text async for text in stream]

    assert asyncio.run(main()) == ["A"]


def test_a_download_knows_how_many_bytes_have_come(serve):
    server = serve(answer(b"12345", content_type="application/octet-stream"))

    async def main() -> int:
        async with api.APIClient(server.url).astream("GET", "/", bytes) as stream:
            assert [data async for data in stream] == [b"12345"]
            return stream.response.num_bytes_downloaded

    assert asyncio.run(main()) == 5
