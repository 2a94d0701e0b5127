"""The sides that a client is called from: synchronously, under asyncio, under trio.

A test that takes the `side` fixture runs once on each, and states its claim once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import trio
import uvloop

from clientele import api

RUNNERS: dict[str, Callable[..., Any]] = {
    "asyncio": lambda function: asyncio.run(function()),
    "uvloop": lambda function: uvloop.run(function()),
    "trio": trio.run,
}


def number_endpoints(client: api.APIClient) -> tuple[Callable[[], int], Callable[[], Awaitable[int]]]:
    """An endpoint of each side, for a server that answers with a number."""

    @client.get("/")
    def get(*, result: int) -> int:
        return result

    @client.get("/")
    async def aget(*, result: int) -> int:
        return result

    return get, aget


@dataclass
class Reading:
    """What came of reading a stream.

    Attributes:
        items: The items that came.
        error: What ended the reading, if not the stream's end.
        stream: The stream, if the call got that far.
    """

    items: list[Any]
    error: BaseException | None = None
    stream: api.Stream[Any] | api.AsyncStream[Any] | None = None


@dataclass(frozen=True)
class Side:
    name: str

    @property
    def is_sync(self) -> bool:
        return self.name == "sync"

    def run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run an asynchronous function."""
        return RUNNERS[self.name](function)

    def call(
        self,
        client: api.APIClient,
        result_type: Any,
        *,
        method: str = "GET",
        path: str = "/",
        **options: Any,
    ) -> Any:
        """Call an endpoint with this result and no parameters."""
        if self.is_sync:

            def function(*, result):
                return result

            function.__annotations__["result"] = result_type
            return client.endpoint(method, path, **options)(function)()

        async def async_function(*, result):
            return result

        async_function.__annotations__["result"] = result_type
        return self.run(client.endpoint(method, path, **options)(async_function))

    def read(
        self, client: api.APIClient, item_type: Any, *, method: str = "GET", path: str = "/", **options: Any
    ) -> Reading:
        """Read a stream to its end, or to its error."""
        reading = Reading([])
        if self.is_sync:

            @client.endpoint(method, path, streaming_response=True, **options)
            def stream(*, result: Iterator[item_type]) -> Iterator[item_type]:
                return result

            try:
                reading.stream = stream()
                for item in reading.stream:
                    reading.items.append(item)
            except Exception as error:
                reading.error = error
            return reading

        @client.endpoint(method, path, streaming_response=True, **options)
        async def async_stream(*, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
            return result

        async def main() -> None:
            try:
                reading.stream = await async_stream()
                async for item in reading.stream:
                    reading.items.append(item)
            except Exception as error:
                reading.error = error

        self.run(main)
        return reading
