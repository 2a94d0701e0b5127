"""Complete calls, one after another on a connection that is kept alive."""

import functools
from typing import Any

from ..payload import Record
from . import OURS, Run, Take, contestant


@contestant("calls", "sync", "httpx2")
def httpx2_sync(kind: str) -> Run:
    """httpx2 on its own transport, and Pydantic."""
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


@contestant("calls", "async", "httpx2")
def httpx2_async(kind: str) -> Run:
    """httpx2 on its own transport, and Pydantic."""
    import httpx2

    client = httpx2.AsyncClient()

    async def run(url: str, count: int, take: Take) -> None:
        for _ in range(count):
            response = await client.get(url)
            response.raise_for_status()
            take(Record.model_validate_json(response.content))

    return run


@contestant("calls", "async", OURS)
def clientele_async(kind: str) -> Run:
    """An endpoint, declared once."""
    from clientele import api

    client = api.APIClient()

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


@contestant("calls", "async", "bare aiohttp")
def bare_aiohttp(kind: str) -> Run:
    """aiohttp, and Pydantic."""
    import aiohttp

    @functools.cache
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def run(url: str, count: int, take: Take) -> None:
        for _ in range(count):
            async with session().get(url, raise_for_status=True) as response:
                take(Record.model_validate_json(await response.read()))

    return run
