"""Each test here is held against `AiohttpTransport` and against httpx2's own transport: same server, same claim."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from tests.loops import ASYNCIO_LOOPS
from tests.servers import WAIT

from clientele.transports.aiohttp import AiohttpTransport

NOBODY_TRUSTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default context takes long to load


@pytest.fixture(params=[AiohttpTransport, httpx2.AsyncHTTPTransport], ids=["aiohttp", "httpx2"])
def transport_class(request: pytest.FixtureRequest) -> type[httpx2.AsyncBaseTransport]:
    return request.param


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run an asynchronous function under asyncio. Modules where event loops may differ take uvloop too."""
    return ASYNCIO_LOOPS["asyncio"]


@pytest.fixture
def make_client(transport_class) -> Callable[..., httpx2.AsyncClient]:
    """Make a client over the transport, with options of either."""

    def make(*, timeout: Any = WAIT, verify: Any = NOBODY_TRUSTED, **options: Any) -> httpx2.AsyncClient:
        own = {name: options.pop(name) for name in ("follow_redirects", "cookies") if name in options}
        return httpx2.AsyncClient(transport=transport_class(verify=verify, **options), timeout=timeout, **own)

    return make


@pytest.fixture
def send(run, make_client) -> Callable[..., httpx2.Response]:
    """Send one request, and read the response."""

    def send(
        url: str, method: str = "GET", *, options: dict[str, Any] | None = None, **request: Any
    ) -> httpx2.Response:
        async def main() -> httpx2.Response:
            async with make_client(**(options or {})) as client:
                return await client.request(method, url, **request)

        return run(main)

    return send
