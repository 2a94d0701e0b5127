"""The responses of the wire: httpx2's, with our content codings, and with a body that can be read directly.

httpx2 reads a body through two generators, the client's around the response's. They cost more than the reading, and a
cancelled read ends them. `direct_body` avoids them, unless somebody else has wrapped the body.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import httpx2

from .content_coding import ContentDecoder, content_decoder
from .exchange import AsyncResponseBody, ResponseBody

_BY_CLIENT = 2  # how often the stream is set of a response that comes straight from the wire: here, and by the client


class _Counted:
    """The attribute `stream`, which counts how often it is set. To read it costs what any attribute does."""

    def __set__(self, response: WireResponse, stream: object) -> None:
        response.__dict__["stream"] = stream
        response._streams_set += 1
        if response._streams_set > _BY_CLIENT:
            response.direct_body = None


class WireResponse(httpx2.Response):
    """A response whose content `content_coding.py` decodes. It is made as `httpx2.Response` is.

    Attributes:
        wire_body: The body itself, if the response came over the wire.
        direct_body: The same, unless anybody but httpx2's client has put something around it.
    """

    stream: Any = _Counted()  # the body, as it was sent
    direct_body: ResponseBody | AsyncResponseBody | None = None
    wire_body: ResponseBody | AsyncResponseBody | None = None
    _streams_set = 0

    @classmethod
    def of(cls, response: httpx2.Response) -> httpx2.Response:
        """The same response, with its content decoded here if it is not decoded yet."""
        is_ours = isinstance(response, cls) or response.is_stream_consumed
        if is_ours or "Content-Encoding" not in response.headers:
            return response
        return copy_of(response, cls, stream=response.stream)

    @property
    def num_bytes_downloaded(self) -> int:
        """How many bytes of the body have been read, as they were sent."""
        return super().num_bytes_downloaded if self.wire_body is None else self.wire_body.size

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The content, decoded."""
        decoded = self._decoded()
        return super().iter_bytes(chunk_size) if decoded is None else decoded.iter_raw(chunk_size)

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        """The content, decoded; the twin of `iter_bytes`."""
        decoded = self._decoded()
        return super().aiter_bytes(chunk_size) if decoded is None else decoded.aiter_raw(chunk_size)

    def __getstate__(self) -> dict[str, Any]:
        own = ("direct_body", "_streams_set", "wire_body")
        return {name: value for name, value in super().__getstate__().items() if name not in own}

    def _decoded(self) -> httpx2.Response | None:
        """A response whose body is the content of this one; `None` where that needs no decoding."""
        if self.is_stream_consumed:
            return None
        decoder = content_decoder(self.headers.get_list("Content-Encoding"))
        if decoder is None:
            return None
        request = None
        with suppress(RuntimeError):  # straight from the transport it has none
            request = self.request
        return httpx2.Response(200, stream=_Content(self, decoder), request=request)


def copy_of(response: httpx2.Response, kind: type[httpx2.Response] = httpx2.Response, **other: Any) -> httpx2.Response:
    """A copy of the response, with these attributes replaced."""
    names = ("headers", "request", "extensions", "history", "default_encoding")
    return kind(response.status_code, **{name: getattr(response, name) for name in names} | other)


def response_with(response: httpx2.Response, content: bytes) -> httpx2.Response:
    """The same response, with content that has been read and decoded."""
    headers = response.headers.copy()
    for name in ("Content-Encoding", "Content-Length", "Transfer-Encoding"):
        headers.pop(name, None)  # they speak of the body as it was sent
    complete = copy_of(response, headers=headers, content=content)
    with suppress(RuntimeError):  # httpx2's way of saying that it was not measured
        complete.elapsed = response.elapsed
    return complete


class _Content(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The content of a response."""

    def __init__(self, response: httpx2.Response, decoder: ContentDecoder) -> None:
        self._response = response
        self._decoder = decoder

    def __iter__(self) -> Iterator[bytes]:
        for data in self._response.iter_raw():
            yield from self._decode(data)
        self._decoder.end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._response.aiter_raw()) as raw:
            async for data in raw:
                for decoded in self._decode(data):
                    yield decoded
        self._decoder.end()

    def close(self) -> None:
        self._response.close()

    async def aclose(self) -> None:
        await self._response.aclose()

    def _decode(self, data: bytes) -> Iterator[bytes]:
        self._decoder.receive(data)
        while decoded := self._decoder.read():
            yield decoded
