"""The bytes of a response's body as they arrive, and the one way in which the reading of them ends: `close`.

A body that was read to its end gives its connection back to the pool; one that is closed before that closes it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import httpx2

from ..event_loop import EventLoop, unseen


class Body(Iterator[bytes]):
    """The decoded bytes of a response, chunk by chunk.

    Parameters:
        response: The response that they belong to.
        owner: What must live as long as they are read: with it the connections would be closed.

    Attributes:
        response: The response that they belong to.
        is_closed: Whether the reading has ended.
    """

    def __init__(self, response: httpx2.Response, owner: object) -> None:
        self.response = response
        self.is_closed = False
        self._owner = owner
        self._process = os.getpid()
        self._chunks = response.iter_bytes()

    @property
    def is_waiting(self) -> bool:
        """Whether a thread waits for bytes."""
        return isinstance(self._chunks, GeneratorType) and self._chunks.gi_running

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """Close the response. Closing it again does nothing; nor does closing it in a forked process."""
        self.is_closed = True
        if self._process != os.getpid():
            return
        if self.is_waiting:
            self._interrupt()
        else:
            self.response.close()

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

    def __init__(self, response: httpx2.Response, owner: object, event_loop: EventLoop) -> None:
        self.response = response
        self.is_closed = False
        self._owner = owner
        self._event_loop = event_loop
        self._chunks = response.aiter_bytes()
        self._generators: list[AsyncGenerator[Any, Any]] = []  # those within the chunks' too, the outer first
        event_loop.close_at_shutdown(self)

    @property
    def is_waiting(self) -> bool:
        """Whether a task waits for bytes."""
        return _is_running(self._chunks)

    async def __anext__(self) -> bytes:
        if self._generators:
            return await anext(self._chunks)
        return await unseen(self._chunks.__anext__, self._generators)

    async def aclose(self) -> None:
        """Close the response. Closing it again does nothing."""
        self.is_closed = True
        self._event_loop.forget(self)
        async with contextlib.AsyncExitStack() as stack:
            for generator in self._generators:
                if not _is_running(generator):  # a task that waits for bytes is ended by the closing of the response
                    stack.push_async_callback(generator.aclose)
            await self.response.aclose()

    def close_soon(self) -> None:
        """Leave the closing to the event loop."""
        if not self.is_closed:
            self._event_loop.close_soon(self)


def _is_running(generator: AsyncGenerator[Any, Any]) -> bool:
    return isinstance(generator, AsyncGeneratorType) and generator.ag_running
