"""The HTTP clients under an `APIClient`: when they are made, shared and closed."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import httpx2
import pytest
import trio
import uvloop
from tests.fakes import client_of
from tests.servers import answer
from tests.sides import RUNNERS, number_endpoints

from clientele import api
from clientele.wire.network import KEEPALIVE_OPTIONS

pytestmark = pytest.mark.every_python


@pytest.fixture
def server(serve):
    return serve(answer(b"5"))


def test_nothing_is_opened_before_the_first_call(server):
    client = api.APIClient(base_url=server.url)
    number_endpoints(client)
    with client:
        pass
    assert server.connections == 0


def test_a_client_serves_one_event_loop_after_another(server):
    get, aget = number_endpoints(api.APIClient(base_url=server.url))
    for run in [*RUNNERS.values()] * 3:
        assert run(aget) == 5
        assert get() == 5
    server.wait_until(lambda: server.open_connections == 1)  # the synchronous one


def test_a_client_serves_event_loops_in_many_threads_at_once(server):
    get, aget = number_endpoints(api.APIClient(base_url=server.url))

    async def several() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(aget()) for _ in range(5)]
        return [task.result() for task in tasks]

    with ThreadPoolExecutor(8) as pool:
        sync_calls = [pool.submit(get) for _ in range(20)]
        async_calls = [pool.submit(asyncio.run, several()) for _ in range(8)]
        assert {call.result() for call in sync_calls} == {5}
        assert all(call.result() == [5] * 5 for call in async_calls)


def test_calls_share_connections(server):
    get, aget = number_endpoints(api.APIClient(base_url=server.url))
    for _ in range(3):
        get()
    assert server.connections == 1

    async def several() -> None:
        for _ in range(3):
            await aget()

    asyncio.run(several())
    assert server.connections == 2


def test_cookies_are_shared_by_both_sides(serve):
    server = serve(answer(b"5", headers="Set-Cookie: session=abc\r\n"))
    get, aget = number_endpoints(api.APIClient(base_url=server.url, cookies={"own": "1"}))
    get()
    asyncio.run(aget())
    assert server.requests[0].header("Cookie") == "own=1"
    assert sorted(server.requests[1].header("Cookie").split("; ")) == ["own=1", "session=abc"]


def test_settings_reach_both_sides(server):
    get, aget = number_endpoints(
        api.APIClient(base_url=server.url, headers={"X-One": "1"}, params={"a": "b"}, auth=("me", "secret"))
    )
    get()
    asyncio.run(aget())
    for request in server.requests:
        assert request.header("X-One") == "1"
        assert request.target == "/?a=b"
        assert request.header("Authorization").startswith("Basic ")


def test_closing_closes_the_connections_and_ends_the_use(server):
    client = api.APIClient(base_url=server.url)
    get, aget = number_endpoints(client)
    with client:
        get()
    server.wait_until_closed()
    with pytest.raises(RuntimeError, match="has been closed"):
        get()
    with pytest.raises(RuntimeError, match="has been closed"):
        asyncio.run(aget())


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_closing_asynchronously_closes_the_connections_of_both_sides(server, run):
    client = api.APIClient(base_url=server.url)
    get, aget = number_endpoints(client)

    async def main() -> None:
        async with client:
            await aget()
            get()
        await anyio.to_thread.run_sync(server.wait_until_closed)

    run(main)
    with pytest.raises(RuntimeError, match="has been closed"):
        get()


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_dropping_a_client_closes_its_connections(server, run):
    async def call() -> None:
        _, aget = number_endpoints(api.APIClient(base_url=server.url))
        await aget()

    async def main() -> None:
        await call()
        gc.collect()
        await anyio.to_thread.run_sync(server.wait_until_closed)

    run(main)


def test_a_client_that_is_handed_over_is_used_and_closed(server):
    http_client = httpx2.Client(headers={"X-Mine": "1"})
    client = api.APIClient(base_url=server.url, http_client=http_client)
    get, _ = number_endpoints(client)
    assert get() == 5
    assert server.requests[0].header("X-Mine") == "1"
    client.close()
    assert http_client.is_closed


def test_an_async_client_that_is_handed_over_is_used_and_closed(server):
    async def main() -> None:
        http_client = httpx2.AsyncClient(base_url=server.url, headers={"X-Mine": "1"})
        client = api.APIClient(async_http_client=http_client)
        _, aget = number_endpoints(client)
        async with client:
            assert await aget() == 5
        assert http_client.is_closed

    asyncio.run(main())
    assert server.requests[0].header("X-Mine") == "1"


@pytest.mark.parametrize("given", [{"http_client": httpx2.Client()}, {"async_http_client": httpx2.AsyncClient()}])
def test_settings_that_would_not_reach_a_client_that_is_handed_over_are_refused(given):
    with pytest.raises(TypeError, match="is used as it is"):
        api.APIClient(**given, headers={"Authorization": "Bearer x"})


@pytest.mark.parametrize(
    "given",
    [
        {"http_client": httpx2.AsyncClient()},
        {"async_http_client": httpx2.Client()},
        {"transport": httpx2.AsyncHTTPTransport()},
        {"async_transport": httpx2.HTTPTransport()},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_client_or_transport_of_the_other_side_is_refused(given):
    with pytest.raises(TypeError, match=rf"{next(iter(given))} must be of type httpx2\.\w+; it is of type \w+"):
        api.APIClient(**given)


def test_http_2_without_its_package_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("clientele.settings.find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"http2=True needs the extra clientele\[http2\], the package h2: run pip install h2"
    ):
        api.APIClient(http2=True)


def test_an_unknown_setting_is_refused():
    with pytest.raises(
        TypeError, match=r"unexpected options: base, header; .*; did you mean base_url\?; did you mean headers\?"
    ):
        api.APIClient(header={}, base="x")


def test_plain_functions_are_event_hooks_on_both_sides(server):
    seen = []

    async def only_async(request):
        seen.append("async")

    get, aget = number_endpoints(api.APIClient(base_url=server.url, event_hooks={"request": [seen.append]}))
    get()
    asyncio.run(aget())
    assert [type(each) for each in seen] == [httpx2.Request, httpx2.Request]

    _, aget = number_endpoints(api.APIClient(base_url=server.url, event_hooks={"request": [only_async]}))
    asyncio.run(aget())
    assert seen[-1] == "async"


def keepalive_of(response: httpx2.Response) -> list[int]:
    connection = response.extensions["network_stream"].get_extra_info("socket")
    with socket.fromfd(connection.fileno(), connection.family, connection.type) as duplicate:
        return [duplicate.getsockopt(level, name) for level, name, _ in KEEPALIVE_OPTIONS]


def test_connections_use_tcp_keepalive(server):
    client = api.APIClient(base_url=server.url)

    @client.get("/")
    def get(*, result: int, response: httpx2.Response) -> list[int]:
        return keepalive_of(response)

    @client.get("/")
    async def aget(*, result: int, response: httpx2.Response) -> list[int]:
        return keepalive_of(response)

    expected = [value for _, _, value in KEEPALIVE_OPTIONS]
    assert len(expected) >= 1
    assert get() == expected
    for run in (lambda function: asyncio.run(function()), lambda function: uvloop.run(function()), trio.run):
        assert run(aget) == expected


def test_a_forked_child_uses_connections_of_its_own(server):
    get, aget = number_endpoints(api.APIClient(base_url=server.url))
    assert get() == 5
    child = os.fork()
    if child == 0:
        os._exit(0 if get() == 5 and asyncio.run(aget()) == 5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert get() == 5
    assert server.connections == 3


def test_event_loops_that_were_only_closed_are_forgotten(server):
    from clientele.event_loop import _event_loops

    _, aget = number_endpoints(
        api.APIClient(base_url=server.url, async_transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=5)))
    )
    closed = asyncio.new_event_loop()
    assert closed.run_until_complete(aget()) == 5
    closed.close()
    assert asyncio.run(aget()) == 5
    assert closed not in _event_loops


def test_event_loops_that_shut_down_are_forgotten(server):
    from clientele.event_loop import _event_loops

    before = set(_event_loops)
    _, aget = number_endpoints(api.APIClient(base_url=server.url))
    for run in RUNNERS.values():
        run(aget)
    assert set(_event_loops) <= before


def test_a_connection_that_fails_to_close_is_logged_and_does_not_hide_others(caplog):
    from clientele.event_loop import EventLoop

    done = []

    class Failing:
        async def aclose(self) -> None:
            done.append("failing")
            raise OSError("no")

    class Fine:
        async def aclose(self) -> None:
            done.append("fine")

    async def main() -> None:
        event_loop = EventLoop.running()
        event_loop.close_at_shutdown(Failing())
        event_loop.close_at_shutdown(Fine())

    with caplog.at_level("DEBUG", logger="clientele"):
        asyncio.run(main())
    assert sorted(done) == ["failing", "fine"]
    assert "closing" in caplog.text


def test_a_closing_that_is_cancelled_does_not_keep_the_rest_open():
    from clientele.event_loop import EventLoop

    closed = []

    class Slow:
        async def aclose(self) -> None:
            closed.append(self)
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        event_loop = EventLoop.running()
        for _ in range(5):
            event_loop.close_at_shutdown(Slow())

    trio.run(main)
    assert len(closed) == 5


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_what_is_dropped_in_another_thread_is_closed_in_its_event_loop(run):
    from clientele.event_loop import EventLoop

    class Thing:
        async def aclose(self) -> None:
            closed_by.append(threading.get_ident())
            event.set()

    closed_by: list[int] = []
    event = anyio.Event

    async def main() -> None:
        nonlocal event
        event = anyio.Event()
        event_loop = EventLoop.running()
        await anyio.to_thread.run_sync(event_loop.close_soon, Thing())
        with anyio.fail_after(10):
            await event.wait()
        assert closed_by == [threading.get_ident()]
        late.append(event_loop)

    late: list[EventLoop] = []
    run(main)
    late[0].close_soon(Thing())  # the loop has ended: nothing happens, and nothing fails


@pytest.mark.parametrize("verify", [{}, {"verify": True}], ids=["by default", "asked for"])
def test_no_certificates_are_loaded_where_the_base_url_needs_none(server, monkeypatch, verify):
    def refuse(verify: object = True, **_: object) -> object:
        assert verify is not True, "certificates are loaded"
        return verify

    monkeypatch.setattr(httpx2, "create_ssl_context", refuse)
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)  # which no other test has loaded
    with pytest.raises(AssertionError, match="certificates are loaded"):
        api.APIClient("https://localhost", cookies={"a": "b"}, trust_env=False, **verify)
    client = api.APIClient(server.url, **verify)
    get, aget = number_endpoints(client)

    assert get() == asyncio.run(aget()) == 5


def test_a_call_that_failed_shows_in_its_frames_neither_credentials_nor_bodies():
    client = client_of(b"", status=503)

    @client.post("/{key}")
    def post(key: str, data: str, query: dict[str, str], headers: dict[str, str], *, result: str) -> str:
        return result

    with pytest.raises(api.HTTPStatusError) as caught:
        post("s3cret", "s3cret", {"a": "s3cret"}, {"a": "s3cret"})
    shown = [
        repr(value)
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        for value in frame.f_locals.values()
        if type(value).__module__.startswith("clientele.endpoints")
    ]

    assert any(each.startswith("Call(") for each in shown)
    assert not any("s3cret" in each for each in shown)


# A side that was not given anything does not go past what the other one was given.


def handle(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json=1)


class SyncOnly(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return handle(request)


class AsyncOnly(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return handle(request)


@pytest.mark.parametrize("name", ["transport", "async_transport"])
def test_a_transport_of_both_sides_serves_both(side, name):
    client = api.APIClient("http://test", **{name: httpx2.MockTransport(handle)})
    assert side.call(client, int) == 1
    assert side.read(client, int, stream_format="jsonl").items == [1]


@pytest.mark.parametrize(
    ("given", "serves_sync", "cure"),
    [
        (
            {"transport": SyncOnly()},
            True,
            "nothing but transport= or http_client=, .*pass async_transport= or async_http_client=",
        ),
        ({"http_client": httpx2.Client(transport=SyncOnly())}, True, "pass async_transport= or async_http_client="),
        (
            {"async_transport": AsyncOnly()},
            False,
            "nothing but async_transport= .*pass transport= or http_client=, too",
        ),
        (
            {"async_http_client": httpx2.AsyncClient(transport=AsyncOnly())},
            False,
            "pass transport= or http_client=, too",
        ),
    ],
)
def test_the_side_that_was_given_nothing_raises_and_says_what_to_pass(side, given, serves_sync, cure):
    client = api.APIClient("http://test" if "transport" in str([*given]) else None, **given)

    def call() -> int:
        return side.call(client, int, path="http://test/")

    if side.is_sync is serves_sync:
        assert call() == 1
    else:
        with pytest.raises(RuntimeError, match=cure):
            call()


def test_each_side_uses_its_own(side):
    client = api.APIClient("http://test", transport=SyncOnly(), async_transport=AsyncOnly())
    assert side.call(client, int) == 1


def test_a_mount_of_the_other_side_is_not_passed_by(side):
    client = api.APIClient("http://test", mounts={"http://test": SyncOnly()})
    if side.is_sync:
        assert side.call(client, int) == 1
    else:
        with pytest.raises(
            TypeError, match=r"mounts\['http://test'\] is no httpx2.AsyncBaseTransport, which this call"
        ):
            side.call(client, int)
