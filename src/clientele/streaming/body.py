"""The bytes of a response's body as they arrive, and the one way in which the reading of them ends: `close`.

A body that was read to its end gives its connection back to the pool; one that is closed before that closes it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from types import AsyncGeneratorType, GeneratorType

import httpx2

from ..event_loop import EventLoop, unseen


class Body(Iterator[bytes]):
    """The decoded bytes of a response, chunk by chunk.

    Attributes:
        response: The response that they belong to.
        is_closed: Whether the reading has ended.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.is_closed = False
        self._chunks = response.iter_bytes()

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """Close the response. Closing it again does nothing."""
        self.is_closed = True
        if self._is_waiting():
            self._interrupt()
        else:
            self.response.close()

    def _is_waiting(self) -> bool:
        """Whether another thread waits for bytes."""
        return isinstance(self._chunks, GeneratorType) and self._chunks.gi_running

    def _interrupt(self) -> None:
        """End the waiting of another thread, which closes the response then: nobody else may close what it reads.

        Over HTTP/2 other responses share the connection; there the waiting ends with the next bytes.
        """
        network_stream = self.response.extensions.get("network_stream")
        if network_stream is not None and self.response.http_version.startswith("HTTP/1"):
            with contextlib.suppress(OSError):  # the connection is gone already
                network_stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class AsyncBody(AsyncIterator[bytes]):
    """The asynchronous twin of `Body`, which is closed with its event loop at the latest."""

    def __init__(self, response: httpx2.Response, event_loop: EventLoop) -> None:
        self.response = response
        self.is_closed = False
        self._chunks = response.aiter_bytes()
        self._has_begun = False
        self._event_loop = event_loop
        event_loop.close_at_shutdown(self)

    async def __anext__(self) -> bytes:
        if self._has_begun:
            return await anext(self._chunks)
        self._has_begun = True
        return await unseen(self._chunks.__anext__)  # which begins the generators within, too

    async def aclose(self) -> None:
        """Close the response. Closing it again does nothing."""
        self.is_closed = True
        self._event_loop.forget(self)
        try:
            await self.response.aclose()
        finally:
            if not self._is_waiting():
                await self._chunks.aclose()

    def close_soon(self) -> None:
        """Leave the closing to the event loop."""
        if not self.is_closed:
            self._event_loop.close_soon(self)

    def _is_waiting(self) -> bool:
        """Whether another task waits for bytes; the closing of the response ends its waiting."""
        return isinstance(self._chunks, AsyncGeneratorType) and self._chunks.ag_running
