"""Connections that speak another protocol after the response: upgraded (`101`), or a tunnel (`CONNECT`).

Whoever wants to speak it takes the `network_stream` out of the response's extensions: httpcore2's `NetworkStream`.
"""

from __future__ import annotations

import asyncio

import anyio
import httpcore2
import httpx2
import pytest
from tests.listeners import certified, tls_server, trusting
from tests.proxies import proxy
from tests.servers import WAIT, Connection, Handler, RawServer, answer
from tests.wire.kinds import AND_UVLOOP, OURS, over

pytestmark = over(*AND_UVLOOP)

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def shout(head: bytes, *, leading: bytes = b"") -> Handler:
    """Switch, and send back in capitals whatever comes, until `end` does."""

    async def handle(connection: Connection) -> None:
        await connection.send(head + leading)
        while (data := await connection.reader.read(65_536)) not in (b"", b"end"):
            await connection.send(data.upper())
        connection.close()

    return handle


def upgrade(client: httpx2.AsyncClient, server: RawServer) -> httpx2.Request:
    return client.build_request("GET", server.url, headers={"Connection": "Upgrade", "Upgrade": "own"})


def connect(client: httpx2.AsyncClient, server: RawServer) -> httpx2.Request:
    return client.build_request("CONNECT", server.url, extensions={"target": b"example.test:443"})


WAYS = {
    "an upgrade": (upgrade, SWITCHING, 101),
    "a tunnel": (connect, ESTABLISHED, 200),
    "a tunnel without content": (connect, b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "a tunnel that names a length": (connect, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
}


@pytest.mark.parametrize("case", WAYS)
def test_it_is_read_and_written(serve, run, make_client, case):
    request_of, head, status = WAYS[case]
    server = serve(shout(head))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(request_of(client, server), stream=True)
            assert response.status_code == status
            stream = response.extensions["network_stream"]
            for word in (b"one", b"two", b"x" * 200_000):
                await stream.write(word, WAIT)
                received = b""
                while len(received) < len(word):
                    received += await stream.read(65_536, WAIT)
                assert received == word.upper()
            await stream.write(b"end", timeout=WAIT)
            assert await stream.read(100, timeout=WAIT) == b""
            await response.aclose()

    run(main)
    server.wait_until_closed()
    assert server.requests[0].target == ("/" if request_of is upgrade else "example.test:443")


def test_one_task_or_thread_may_write_while_another_one_reads(serve, run, make_client):
    server = serve(shout(SWITCHING))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            stream = response.extensions["network_stream"]
            read: list[bytes] = []

            async def read_once() -> None:
                read.append(await stream.read(100, WAIT))

            async with anyio.create_task_group() as group:
                group.start_soon(read_once)
                await anyio.wait_all_tasks_blocked()  # the reader waits
                await stream.write(b"meanwhile", WAIT)
            assert read == [b"MEANWHILE"]
            await response.aclose()

    run(main)
    server.wait_until_closed()


def test_what_came_with_the_head_is_read_first(serve, run, make_client):
    server = serve(shout(SWITCHING, leading=b"leading"))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            stream = response.extensions["network_stream"]
            assert await stream.read(4, WAIT) == b"lead"
            assert await stream.read(100, WAIT) == b"ing"
            await stream.write(b"more", WAIT)
            assert await stream.read(100, WAIT) == b"MORE"
            await response.aclose()

    run(main)


def test_what_comes_before_anybody_reads_is_kept(serve, run, make_client):
    async def greet(connection: Connection) -> None:
        await connection.send(SWITCHING)
        await connection.send(b"greetings")
        connection.close()

    server = serve(greet)

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            await asyncio.to_thread(server.wait_until_closed)
            stream, received = response.extensions["network_stream"], b""
            while data := await stream.read(4, WAIT):
                received += data
            assert received == b"greetings"
            await response.aclose()

    run(main)


def test_it_can_be_written_after_the_server_has_ended_its_side(serve, run, make_client):
    received = b""

    async def end_and_read(connection: Connection) -> None:
        nonlocal received
        await connection.send(SWITCHING)
        connection.writer.write_eof()
        received = await connection.reader.read()

    server = serve(end_and_read)

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            stream = response.extensions["network_stream"]
            assert await stream.read(100, WAIT) == b""
            await stream.write(b"still here", WAIT)
            await response.aclose()

    run(main)
    server.wait_until_closed()
    assert received == b"still here"


def test_a_response_before_another_protocol_has_no_body(serve, run, make_client):
    server = serve(shout(SWITCHING, leading=b"leading"))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            assert await response.aread() == b""

    run(main)
    server.wait_until_closed()


@pytest.mark.parametrize("close", ["the stream", "the response", "the client"])
def test_closing_ends_the_connection(serve, run, make_client, close):
    server = serve(shout(SWITCHING))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            if close != "the client":
                closed = response if close == "the response" else response.extensions["network_stream"]
                await closed.aclose()
                await asyncio.to_thread(server.wait_until_closed)
        await asyncio.to_thread(server.wait_until_closed)

    run(main)


def test_the_connection_serves_no_other_request(serve, run, make_client):
    async def upgrade_or_answer(connection: Connection) -> None:
        await connection.send(SWITCHING if connection.request.header("Upgrade") else answer(b"5"))

    server = serve(upgrade_or_answer)

    async def main() -> None:
        async with make_client() as client:
            for number in (1, 2, 3):
                assert (await client.get(server.url)).content == b"5"
                assert server.connections == number
                await (await client.send(upgrade(client, server), stream=True)).aclose()

    run(main)


def test_a_read_that_takes_too_long_may_be_repeated(serve, run, make_client):
    server = serve(shout(SWITCHING))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            stream = response.extensions["network_stream"]
            with pytest.raises(httpcore2.ReadTimeout):
                await stream.read(100, 0.05)
            await stream.write(b"one", WAIT)
            assert await stream.read(100, WAIT) == b"ONE"
            await response.aclose()

    run(main)


def test_tls_begins_in_a_tunnel(serve, run, make_client):
    with tls_server(answer(b"secret"), certified("example.test")) as target:
        server = serve(proxy(lambda: target))

        async def main() -> None:
            async with make_client() as client:
                response = await client.send(connect(client, server), stream=True)
                stream = response.extensions["network_stream"]
                assert stream.get_extra_info("ssl_object") is None
                stream = await stream.start_tls(trusting(), "example.test", WAIT)
                assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
                await stream.write(b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", WAIT)
                received = b""
                while not received.endswith(b"secret"):
                    received += await stream.read(65_536, WAIT)
                await stream.aclose()
                await response.aclose()

        run(main)
        assert target.requests[0].header("Host") == "example.test"
        target.wait_until_closed()
        server.wait_until_closed()


def test_tls_in_a_tunnel_verifies_the_server(serve, run, make_client):
    async def main() -> None:
        async with make_client() as client:
            response = await client.send(connect(client, server), stream=True)
            with pytest.raises(httpcore2.ConnectError):
                await response.extensions["network_stream"].start_tls(trusting(), "other.test", WAIT)
            await response.aclose()

    with tls_server(answer(b"secret"), certified("example.test")) as target:
        server = serve(proxy(lambda: target))
        run(main)
        server.wait_until_closed()


@over(*OURS, "uvloop", but="httpx2's own drop the bytes")
def test_what_came_before_tls_is_not_read_as_if_it_came_over_tls(serve, run, make_client):
    server = serve(shout(SWITCHING, leading=b"plaintext"))

    async def main() -> None:
        async with make_client() as client:
            response = await client.send(upgrade(client, server), stream=True)
            with pytest.raises(httpcore2.ConnectError, match="sent bytes before TLS had begun"):
                await response.extensions["network_stream"].start_tls(trusting(), "example.test", WAIT)
            await response.aclose()

    run(main)
    server.wait_until_closed()


def test_an_upgrade_over_tls(run, make_client):
    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            response = await client.send(upgrade(client, server), stream=True)
            stream = response.extensions["network_stream"]
            assert stream.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            assert await stream.read(100, WAIT) == b"leading"
            await stream.write(b"one", WAIT)
            assert await stream.read(100, WAIT) == b"ONE"
            await response.aclose()

    with tls_server(shout(SWITCHING, leading=b"leading")) as server:
        run(main)
        server.wait_until_closed()


def test_a_tunnel_that_is_refused_has_a_response_as_any_other(serve, run, make_client):
    server = serve(answer(b"no", status="403 Forbidden"))

    async def main() -> None:
        async with make_client() as client:
            for _ in range(2):
                response = await client.send(connect(client, server))
                assert (response.status_code, response.content) == (403, b"no")

    run(main)
    assert server.connections == 1


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_stream_knows_whether_it_can_be_read(serve, run, make_client, is_closed):
    async def answer_and_close(connection: Connection) -> None:
        await connection.send(answer(b"5"))
        if is_closed:
            connection.close()

    server = serve(answer_and_close)

    async def main() -> None:
        async with make_client() as client:
            stream = (await client.get(server.url)).extensions["network_stream"]
            if is_closed:
                await asyncio.to_thread(server.wait_until_closed)
            assert bool(stream.get_extra_info("is_readable")) is is_closed

    run(main)
