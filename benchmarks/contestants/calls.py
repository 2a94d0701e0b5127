"""Complete answers, called for one after another on a connection that is kept."""

import functools
from typing import Any

from ..payload import Record
from . import OURS, Run, Take, contestant

OVER_AIOHTTP = "httpx2 on clientele's transport"
OVER_HTTPX2 = "clientele on httpx2's transport"


@contestant("calls", "sync", "httpx2")
def httpx2_sync(kind: str) -> Run:
    """The client that Clientele rides on, and the model's own validation."""
    import httpx2

    client = httpx2.Client()

    def run(url: str, count: int, take: Take) -> None:
        for _ in range(count):
            response = client.get(url)
            response.raise_for_status()
            take(Record.model_validate_json(response.content))

    return run


@contestant("calls", "sync", OURS)
def clientele_sync(kind: str) -> Run:
    """An endpoint, declared once."""
    from clientele import api

    client = api.APIClient()

    @functools.cache
    def endpoint(url: str) -> Any:
        @client.get(url)
        def get_record(*, result: Record) -> Record:
            return result

        return get_record

    def run(url: str, count: int, take: Take) -> None:
        get_record = endpoint(url)
        for _ in range(count):
            take(get_record())

    return run


def _httpx2_run(**settings: Any) -> Run:
    import httpx2

    client = httpx2.AsyncClient(**settings)

    async def run(url: str, count: int, take: Take) -> None:
        for _ in range(count):
            response = await client.get(url)
            response.raise_for_status()
            take(Record.model_validate_json(response.content))

    return run


def _clientele_run(**settings: Any) -> Run:
    from clientele import api

    client = api.APIClient(**settings)

    @functools.cache
    def endpoint(url: str) -> Any:
        @client.get(url)
        async def get_record(*, result: Record) -> Record:
            return result

        return get_record

    async def run(url: str, count: int, take: Take) -> None:
        get_record = endpoint(url)
        for _ in range(count):
            take(await get_record())

    return run


@contestant("calls", "async", "httpx2")
def httpx2_async(kind: str) -> Run:
    """httpx2's client on its own transport."""
    return _httpx2_run()


@contestant("calls", "async", OVER_AIOHTTP)
def httpx2_over_aiohttp(kind: str) -> Run:
    """The client that Clientele rides on, on the transport that Clientele gives it."""
    from clientele.transports.aiohttp import AiohttpTransport

    return _httpx2_run(transport=AiohttpTransport())


@contestant("calls", "async", OURS)
def clientele_async(kind: str) -> Run:
    """An endpoint, declared once, on the transport that is there if nothing is said."""
    return _clientele_run()


@contestant("calls", "async", OVER_HTTPX2)
def clientele_on_httpx2(kind: str) -> Run:
    """The same on httpx2's own transport."""
    import httpx2

    return _clientele_run(async_transport=httpx2.AsyncHTTPTransport())


@contestant("calls", "async", "bare aiohttp")
def bare_aiohttp(kind: str) -> Run:
    """No httpx2 at all."""
    import aiohttp

    @functools.cache
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def run(url: str, count: int, take: Take) -> None:
        for _ in range(count):
            async with session().get(url, raise_for_status=True) as response:
                take(Record.model_validate_json(await response.read()))

    return run
