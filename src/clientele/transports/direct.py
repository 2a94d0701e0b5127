"""Response streams that may be read without a step between: an await for each chunk, and no generator around it."""

from __future__ import annotations

import abc
from typing import Self

import httpx2


class DirectStream(httpx2.AsyncByteStream, abc.ABC):
    """A response's stream that is its own iterator.

    Attributes:
        is_waiting: Whether a task waits for bytes.
    """

    is_waiting = False

    def __aiter__(self) -> Self:
        return self

    @abc.abstractmethod
    async def __anext__(self) -> bytes:
        """Wait for the next bytes."""


def direct_stream(response: httpx2.Response) -> DirectStream | None:
    """The stream within the one that a client of httpx2 has given a response, if it is one of these.

    The client's own layer has nothing to do until it is closed, and costs a generator's step for each chunk. Where a
    version of httpx2 keeps its inner stream under another name, there is none.
    """
    stream = getattr(response.stream, "_stream", None)
    return stream if isinstance(stream, DirectStream) else None
