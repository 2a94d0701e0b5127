"""Contexts that replace the httpx2 clients of an `APIClient`, under all of its endpoints."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ..api import APIClient
from ..http_clients import HTTPClients


class StandIn:
    """Enter it with `with` or `async with`. It can be nested, and restores the former clients."""

    def __init__(self, client: APIClient) -> None:
        if not isinstance(client, APIClient):
            raise TypeError(f"{client!r} is no client; pass the APIClient that the endpoints are declared with")
        self._clients = client._clients
        self._before: list[HTTPClients | None] = []

    def _made(self, clients: HTTPClients) -> HTTPClients:
        """What stands in for these clients."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        before = self._clients.stand_in
        self._clients.replace_by(self._made(before or self._clients))
        self._before.append(before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clients.replace_by(self._before.pop())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
