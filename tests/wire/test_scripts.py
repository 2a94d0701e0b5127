"""Programs that close nothing end without a word on stderr, and without a connection."""

from __future__ import annotations

import textwrap

import pytest
from tests.listeners import authority, tls_server
from tests.scripts import run_script
from tests.servers import EVENT_STREAM, Connection, chunk, raw_server

pytestmark = pytest.mark.every_python


async def never_end(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"first"))
    await connection.until_client_closes()


SCRIPT = """
    import asyncio, gc, ssl, sys
    from collections.abc import AsyncIterator, Iterator
    import httpx2, trio, uvloop
    from clientele import api
    from clientele.wire.transport import AsyncWireTransport, WireTransport

    context = ssl.create_default_context(cafile={authority!r})
    kept = []

    async def by_httpx2(leave):
        client = httpx2.AsyncClient(transport=AsyncWireTransport(verify=context))
        response = await client.send(client.build_request("GET", {url!r}), stream=True)
        print(response.status_code)  # trio would complain of the generators that httpx2 reads with
        await leave(response)

    client = api.APIClient(base_url={url!r}, verify=context)

    @client.get("/", streaming_response=True)
    async def stream(*, result: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return result

    async def by_api(leave):
        response = await stream()
        print(await anext(response))
        await leave(response)

    async def close(response):
        await response.aclose()

    async def keep(response):
        kept.append(response)

    async def drop(response):
        pass

    def by_httpx2_in_sync():
        client = httpx2.Client(transport=WireTransport(verify=context))
        with client.stream("GET", {url!r}) as response:
            print(response.status_code)

    @client.get("/", streaming_response=True)
    def stream_in_sync(*, result: Iterator[bytes]) -> Iterator[bytes]:
        return result

    def by_api_in_sync(leave):
        response = stream_in_sync()
        print(next(response))
        leave(response)

    in_asyncio = lambda function, leave: asyncio.run(function(leave))
    in_uvloop = lambda function, leave: uvloop.run(function(leave))

    for run in (in_asyncio, in_uvloop, trio.run):
        for leave in (close, keep, drop):
            run(by_httpx2, leave)
            run(by_api, leave)
            gc.collect()
    by_httpx2_in_sync()
    for leave in (lambda response: response.close(), kept.append, id):
        by_api_in_sync(leave)
        gc.collect()
    kept.clear()
    gc.collect()
"""


@pytest.mark.parametrize("listen", [raw_server, tls_server], ids=["plain", "tls"])
def test_a_script_that_leaves_streams_ends_without_a_word(tmp_path, listen):
    authority().cert_pem.write_to_path(tmp_path / "authority.pem")
    with listen(never_end) as server:
        script = textwrap.dedent(SCRIPT).format(authority=str(tmp_path / "authority.pem"), url=server.url)
        (tmp_path / "script.py").write_text(script)
        out, err = run_script(tmp_path / "script.py")
        assert err == ""
        assert (out.count("200"), out.count("b'first'")) == (10, 12)
        server.wait_until_closed()
