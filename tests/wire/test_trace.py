"""The `trace` extension tells of the same events, in the same order, as httpx2's own transports do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from tests.listeners import certified, tls_server, trusting, unix_server
from tests.loops import Word
from tests.proxies import proxy
from tests.servers import END, EVENT_STREAM, WAIT, Connection, answer, chunk
from tests.wire.conftest import KINDS, NOBODY_TRUSTED, Kind
from tests.wire.kinds import OUR_ASYNC, OURS, over

pytestmark = over(*OURS, "uvloop", but="this is what they are held against")

Event = tuple[str, dict[str, Any]]
Scenario = Callable[["Traced"], Awaitable[object]]


class Traced:
    """A client whose requests are traced."""

    def __init__(self, kind: Kind, **options: Any) -> None:
        transport = kind.make(**{"verify": NOBODY_TRUSTED, **options})
        self.client = httpx2.AsyncClient(transport=transport, timeout=WAIT)
        self.events: list[Event] = []
        self.connected_to: list[Any] = []

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        self.events.append((event, info))
        if event == "connection.connect_tcp.complete":
            self.connected_to.append(info["return_value"].get_extra_info("server_addr"))

    async def get(self, url: str, method: str = "GET", **request: Any) -> httpx2.Response:
        return await self.client.request(method, url, extensions={"trace": self.trace}, **request)

    async def open(self, url: str) -> httpx2.Response:
        request = self.client.build_request("GET", url, extensions={"trace": self.trace})
        return await self.client.send(request, stream=True)


@pytest.fixture
def traced(run, kind) -> Callable[..., tuple[list[Event], list[Event]]]:
    """What is told of, by this transport, and by httpx2's own on the same side."""

    def events_of(kind: Kind, scenario: Scenario, options: dict[str, Any]) -> list[Event]:
        async def main() -> list[Event]:
            traced = Traced(kind, **options)
            async with traced.client:
                await scenario(traced)
            return traced.events

        return run(main)

    def both(scenario: Scenario, **options: Any) -> tuple[list[Event], list[Event]]:
        theirs = KINDS["httpx2-sync" if kind.is_sync else "httpx2"]
        return events_of(kind, scenario, options), events_of(theirs, scenario, options)

    return both


def same(both: tuple[list[Event], list[Event]]) -> list[str]:
    """The names of the events, after it is clear that they are the same, and tell of the same things."""
    ours, theirs = both
    names = [name for name, _ in ours]
    assert names == [name for name, _ in theirs]
    assert [sorted(info) for _, info in ours] == [sorted(info) for _, info in theirs]
    return names


def steps(*names: str) -> list[str]:
    """Steps that begin and complete."""
    return [f"{name}.{end}" for name in names for end in ("started", "complete")]


EXCHANGE = steps(
    "http11.send_request_headers",
    "http11.send_request_body",
    "http11.receive_response_headers",
    "http11.receive_response_body",
    "http11.response_closed",
)


async def body() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


def test_a_new_connection_and_one_that_is_used_again(serve, traced):
    server = serve(answer(b"5"))

    async def get_twice(traced: Traced) -> None:
        await traced.get(server.url)
        await traced.get(server.url)

    assert same(traced(get_twice)) == [*steps("connection.connect_tcp"), *EXCHANGE, *EXCHANGE]


def test_what_the_events_tell(serve, traced):
    server = serve(answer(b"5", headers="X-One: 1\r\n"))

    async def get(traced: Traced) -> None:
        await traced.get(f"{server.url}/path?a=b", headers={"X-Sent": "1"})
        assert traced.connected_to == [("127.0.0.1", int(server.url.rpartition(":")[2]))]

    ours, theirs = traced(get)
    (connecting, *_), (their_connecting, *_) = ours, theirs
    assert connecting == their_connecting
    for events in (ours, theirs):
        told = dict(events)
        request = told["http11.send_request_headers.started"]["request"]
        assert (request.method, request.url.target) == (b"GET", b"/path?a=b")
        assert (b"X-Sent", b"1") in request.headers
    head = "http11.receive_response_headers.complete"
    assert dict(ours)[head] == dict(theirs)[head]
    assert dict(ours)[head]["return_value"][:3] == (b"HTTP/1.1", 200, b"OK")


@pytest.mark.parametrize("content", [b"body", body, None], ids=["bytes", "an iterator", "none"])
def test_bodies(serve, traced, content):
    server = serve(EVENT_STREAM + chunk(b"one") + chunk(b"two") + END)
    events = traced(lambda traced: traced.get(server.url, "POST", content=content() if content is body else content))
    assert same(events) == [*steps("connection.connect_tcp"), *EXCHANGE]


@pytest.mark.parametrize("retries", [0, 1])
def test_a_connection_that_fails(traced, retries):
    async def fail(traced: Traced) -> None:
        with pytest.raises(httpx2.ConnectError):
            await traced.get("http://127.0.0.1:1/")

    failed = ["connection.connect_tcp.started", "connection.connect_tcp.failed"]
    assert same(traced(fail, retries=retries)) == [*failed, *(steps("connection.retry") + failed) * retries]


def test_tls(traced):
    with tls_server(answer(b"5")) as server:
        names = same(traced(lambda traced: traced.get(server.url), verify=trusting()))
    assert names == [*steps("connection.connect_tcp", "connection.start_tls"), *EXCHANGE]


def test_tls_that_fails(traced):
    async def fail(traced: Traced) -> None:
        with pytest.raises(httpx2.ConnectError):
            await traced.get(server.url)

    with tls_server(answer(b"5"), certified("other.test")) as server:
        names = same(traced(fail, verify=trusting()))
    assert names == [
        *steps("connection.connect_tcp"),
        "connection.start_tls.started",
        "connection.start_tls.failed",
    ]


def test_a_unix_socket(traced, tmp_path):
    with unix_server(answer(b"5"), tmp_path / "socket") as server:
        names = same(traced(lambda traced: traced.get(server.url), uds=str(tmp_path / "socket")))
    assert names == [*steps("connection.connect_unix_socket"), *EXCHANGE]


def test_a_proxy(serve, traced):
    server = serve(proxy())
    names = same(traced(lambda traced: traced.get("http://example.test/"), proxy=server.url))
    assert names == [*steps("connection.connect_tcp"), *EXCHANGE]


def test_a_tunnel(serve, traced):
    async def get_twice(traced: Traced) -> None:
        await traced.get("https://example.test/")
        await traced.get("https://example.test/")

    with tls_server(answer(b"5"), certified("example.test")) as target:
        server = serve(proxy(lambda: target))
        names = same(traced(get_twice, proxy=server.url, verify=trusting()))
    assert "proxy.start_tls.complete" in names


def test_a_tunnel_that_is_refused(serve, traced):
    async def fail(traced: Traced) -> None:
        with pytest.raises(httpx2.ProxyError):
            await traced.get("https://example.test/")

    server = serve(proxy(refuses="403 Forbidden"))
    assert "http11.receive_response_headers.complete" in same(traced(fail, proxy=server.url))


FAILURES = {
    "before the head": b"",
    "in the head": b"what?\r\n\r\n",
    "in the body": EVENT_STREAM + chunk(b"one"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_response_that_fails(serve, traced, case):
    async def fail(connection: Connection) -> None:
        await connection.send(FAILURES[case])
        connection.close()

    async def get(traced: Traced) -> None:
        with pytest.raises(httpx2.RemoteProtocolError):
            await traced.get(server.url)

    server = serve(fail)
    names = same(traced(get))
    failed = (
        "http11.receive_response_body.failed" if case == "in the body" else "http11.receive_response_headers.failed"
    )
    assert failed in names
    assert names[-2:] == steps("http11.response_closed")


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_response_that_is_closed_early(serve, traced, pieces):
    async def never_end(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"one"))
        await connection.until_client_closes()

    async def close(traced: Traced) -> None:
        response = await traced.open(server.url)
        if pieces:
            assert await anext(response.aiter_raw()) == b"one"
        await response.aclose()

    server = serve(never_end)
    names = [name for name, _ in traced(close)[0]]
    assert names[-2:] == steps("http11.response_closed")
    assert names.count("http11.receive_response_body.started") == pieces


def test_a_body_that_cannot_be_sent(serve, traced):
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise ZeroDivisionError

    async def fail(traced: Traced) -> None:
        with contextlib.suppress(ZeroDivisionError):
            await traced.get(server.url, "POST", content=broken())

    server = serve(Connection.until_client_closes)
    names = same(traced(fail))
    assert names[-3:] == ["http11.send_request_body.failed", *steps("http11.response_closed")]


@over(*OUR_ASYNC, "uvloop", but="a thread cannot be cancelled")
def test_a_request_that_is_cancelled(serve, run, kind):
    async def main() -> list[Event]:
        traced = Traced(kind)
        async with traced.client:
            task = asyncio.create_task(traced.get(server.url))
            await asyncio.to_thread(server.wait_until, lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return traced.events

    server = serve(Connection.until_client_closes)
    names = [name for name, _ in run(main)]
    assert names[-3:] == ["http11.receive_response_headers.failed", *steps("http11.response_closed")]


@over("asyncio", "uvloop", but="the others run elsewhere, where no scope reaches them")
def test_a_trace_that_is_cancelled_gives_the_connection_back(serve, run, make_client):
    async def stay_silent(connection: Connection) -> None:
        if connection.request.target == "/silent":
            asked.set()
            await connection.until_client_closes()
        else:
            await connection.send(answer(b"5"))

    async def trace(event: str, info: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()  # where a cancelled scope ends it

    asked = Word()
    server = serve(stay_silent)

    async def main() -> None:
        async with make_client(limits=httpx2.Limits(max_connections=1)) as client:
            async with anyio.create_task_group() as group:
                get = functools.partial(client.get, f"{server.url}/silent", extensions={"trace": trace})
                group.start_soon(get)
                await asked.given()
                group.cancel_scope.cancel()
            assert (await client.get(server.url)).content == b"5"

    run(main)
