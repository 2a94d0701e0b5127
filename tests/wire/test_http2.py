"""HTTP/2: streams that share a connection, over real sockets, against a scripted server."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import h2.errors
import httpx2
import pytest
from tests.http2_server import CODES, HTTP2Server, Peer, frame, http2_server
from tests.listeners import authority, certified, tls_server, trusting
from tests.proxies import proxy, socks_proxy
from tests.servers import WAIT, answer
from tests.wire.kinds import OUR_ASYNC, OURS, over

from clientele import api

pytestmark = pytest.mark.over(*OURS)
CANCEL = h2.errors.ErrorCodes.CANCEL


@pytest.fixture
def serve2() -> Iterator[Callable[..., HTTP2Server]]:
    """Start a scripted server, and stop it after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda handler, **options: stack.enter_context(http2_server(handler, **options))


@pytest.fixture
def client2(make_client) -> Callable[..., httpx2.AsyncClient]:
    """Make a client that speaks HTTP/2, and nothing else."""
    return lambda **options: make_client(**{"http1": False, "http2": True, **options})


async def say_ok(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
    peer.respond(stream_id, b"ok")


async def say_what_came(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
    while peer.h2.streams[stream_id].open and not peer.h2.streams[stream_id].closed_by and not ended(peer, stream_id):
        await peer.wait()
    peer.respond(stream_id, str(len(peer.bodies[stream_id])).encode())


def ended(peer: Peer, stream_id: int) -> bool:
    return peer.h2.streams[stream_id].state_machine.state.name == "HALF_CLOSED_REMOTE"


async def stream_for_ever(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
    peer.start(stream_id, content_type="text/event-stream")
    while True:
        await peer.send(stream_id, b"data: 1\n\n")
        await anyio.lowlevel.checkpoint()


# Requests and responses.


def test_a_request_and_its_response(run, client2, serve2):
    server = serve2(say_ok)

    async def main() -> httpx2.Response:
        async with client2() as client:
            return await client.get(f"{server.url}/a?b=c", headers={"X-A": "1", "Connection": "close", "TE": "gzip"})

    response = run(main)
    assert (response.status_code, response.text, response.http_version) == (200, "ok", "HTTP/2")
    (request,) = server.requests
    assert {name: request[name] for name in (":method", ":path", ":scheme", "x-a")} == {
        ":method": "GET",
        ":path": "/a?b=c",
        ":scheme": "http",
        "x-a": "1",
    }
    assert request[":authority"] == server.url.removeprefix("http://")
    assert not {"connection", "host", "te", "transfer-encoding"} & request.keys()


@over(*OURS, "uvloop")
def test_requests_share_a_connection(run, client2, serve2):
    server = serve2(say_ok)

    async def main() -> None:
        async with client2() as client, anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(client.get, server.url)

    run(main)
    assert (len(server.requests), server.connections) == (50, 1)


@over(*OURS, "uvloop")
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1_000_000])
def test_a_body_is_sent_within_the_windows(run, client2, serve2, size):
    server = serve2(say_what_came)

    async def pieces() -> Any:
        yield b"x" * size

    async def main() -> tuple[str, str]:
        async with client2() as client:
            whole = await client.post(server.url, content=b"x" * size)
            return whole.text, (await client.post(server.url, content=pieces())).text

    assert run(main) == (str(size), str(size))


def test_many_large_bodies_are_sent_at_once_where_the_windows_are_large(run, client2, serve2):
    server = serve2(say_what_came, settings={CODES.INITIAL_WINDOW_SIZE: 2**30})

    async def main() -> None:
        async def post() -> None:
            assert (await client.post(server.url, content=b"x" * 3_000_000)).text == "3000000"

        async with client2() as client:
            await client.get(server.url)  # the settings are known from here on
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(post)

    run(main)


def test_a_large_response_is_read_within_the_windows(run, client2, serve2):
    async def send_much(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id)
        await peer.send(stream_id, b"x" * 20_000_000, end=True)

    server = serve2(send_much)

    async def main() -> int:
        async with client2() as client:
            return len((await client.get(server.url)).content)

    assert run(main) == 20_000_000


def test_a_request_that_cannot_be_written_is_refused_and_the_connection_serves_on(run, client2, serve2):
    server = serve2(say_ok)

    async def main() -> None:
        async with client2() as client:
            with pytest.raises(httpx2.LocalProtocolError, match="longer than its Content-Length, 1 bytes"):
                await client.post(server.url, content=b"abc", headers={"Content-Length": "1"})
            assert (await client.get(server.url)).text == "ok"

    run(main)
    assert server.connections == 1


def test_an_early_answer_ends_the_sending(run, client2, serve2):
    async def refuse(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.respond(stream_id, b"too large", status=413)

    server = serve2(refuse, settings={CODES.INITIAL_WINDOW_SIZE: 10})

    async def main() -> int:
        async with client2() as client:
            await client.get(server.url)  # the settings are known from here on
            return (await client.post(server.url, content=b"x" * 1_000_000)).status_code

    assert run(main) == 413


# Leaving.


@over(*OURS, "uvloop")
def test_a_response_that_is_left_is_reset_at_once_and_the_connection_serves_on(run, client2, serve2):
    server = serve2(stream_for_ever)

    async def main() -> None:
        async with client2() as client:
            for number in range(1, 6):
                async with client.stream("GET", server.url) as response:
                    async for _ in response.aiter_raw():
                        break
                await anyio.to_thread.run_sync(server.wait_until, lambda number=number: len(server.resets) == number)

    run(main)
    assert server.connections == 1
    assert {code for _, code in server.resets} == {CANCEL}


def test_what_arrives_for_a_stream_that_was_left_does_not_hold_up_the_others(run, client2, serve2):
    async def send_much(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id)
        if headers[":path"] == "/left":
            for _ in range(60):  # the frames are on their way when the client leaves
                peer.h2.send_data(stream_id, b"x" * 16_000)
                peer.flush()
            await peer.writer.drain()
        else:
            await peer.send(stream_id, b"y" * 2_000_000, end=True)

    server = serve2(send_much)

    async def main() -> None:
        async with client2() as client:
            for _ in range(30):
                async with client.stream("GET", f"{server.url}/left") as response:
                    async for _ in response.aiter_raw():
                        break
            assert len((await client.get(f"{server.url}/whole")).content) == 2_000_000

    run(main)
    assert server.connections == 1


@over(*OUR_ASYNC, but="a synchronous call cannot be cancelled")
def test_a_response_is_left_by_a_cancellation(run, client2, serve2):
    async def never(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        if headers[":path"] == "/ok":
            peer.respond(stream_id, b"ok")

    server = serve2(never)

    async def main() -> None:
        async with client2() as client:
            with anyio.move_on_after(0.1) as scope:
                await client.get(server.url)
            assert scope.cancelled_caught
            assert (await client.get(f"{server.url}/ok")).text == "ok"

    run(main)
    server.wait_until(lambda: len(server.resets) == 1)


# Windows.


def test_a_slow_consumer_holds_up_nobody_else(run, client2, serve2):
    sent: dict[str, int] = {}

    async def send_much(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id)
        path = headers[":path"]
        for number in range(300):
            await peer.send(stream_id, b"x" * 16_000, end=number == 299)
            sent[path] = sent.get(path, 0) + 16_000

    server = serve2(send_much)

    async def main() -> None:
        async with client2() as client, client.stream("GET", f"{server.url}/slow") as slow:
            assert len((await client.get(f"{server.url}/fast")).content) == 4_800_000
            assert sent["/slow"] <= 1024 * 1024 + 16_000
            assert sum([len(piece) async for piece in slow.aiter_raw()]) == 4_800_000

    run(main)


@pytest.mark.parametrize("window", [1, 1000, 3_000_000])
def test_the_window_of_a_stream_can_be_set(run, client2, serve2, window):
    allowed: list[int] = []

    async def send_much(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        allowed.append(peer.h2.local_flow_control_window(stream_id))
        peer.start(stream_id)
        await peer.send(stream_id, b"x" * 3 * window, end=True)

    server = serve2(send_much)

    async def main() -> int:
        async with client2(stream_window=window) as client:
            return len((await client.get(server.url)).content)

    assert run(main) == 3 * window
    assert allowed == [window]


# Limits.


def test_a_limit_that_changes_in_flight_is_obeyed(run, client2, serve2):
    together: list[int] = []

    async def lower(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        if headers[":path"] == "/lower":
            peer.h2.update_settings({CODES.MAX_CONCURRENT_STREAMS: 2})
            peer.flush()
        else:
            together.append(peer.h2.open_inbound_streams)
            await anyio.sleep(0.01)
        peer.respond(stream_id, b"ok")

    server = serve2(lower, settings={CODES.MAX_CONCURRENT_STREAMS: 100})

    async def main() -> None:
        async with client2(limits=httpx2.Limits(max_connections=1)) as client:
            await client.get(f"{server.url}/lower")
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(client.get, server.url)

    run(main)
    assert (len(together), server.connections) == (10, 1)
    assert max(together) <= 2


def test_at_the_limit_of_streams_a_request_waits_for_one(run, client2, serve2):
    together: list[int] = []

    async def count(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        together.append(peer.h2.open_inbound_streams)
        await anyio.sleep(0.01)
        peer.respond(stream_id, b"ok")

    server = serve2(count, settings={CODES.MAX_CONCURRENT_STREAMS: 3})
    limits = httpx2.Limits(max_connections=1)

    async def main() -> None:
        async with client2(limits=limits) as client:
            await client.get(server.url)  # the settings are known from here on
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(client.get, server.url)

    run(main)
    assert (len(server.requests), server.connections) == (21, 1)
    assert max(together) <= 3


def test_at_the_limit_of_streams_another_connection_is_opened_within_the_clients_limits(run, client2, serve2):
    release = threading.Event()

    async def wait(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        if headers[":path"] == "/wait":
            await anyio.to_thread.run_sync(release.wait)
        peer.respond(stream_id, b"ok")

    server = serve2(wait, settings={CODES.MAX_CONCURRENT_STREAMS: 2})

    async def main() -> None:
        async with client2(limits=httpx2.Limits(max_connections=2)) as client:
            await client.get(server.url)
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(client.get, f"{server.url}/wait")
                await anyio.to_thread.run_sync(server.wait_until, lambda: len(server.requests) == 5)
                release.set()

    run(main)
    assert server.connections == 2


# GOAWAY, and requests that were not processed.


def test_streams_up_to_the_last_go_on_and_new_calls_go_elsewhere(run, client2, serve2):
    async def go_away(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id)
        if headers[":path"] == "/first":
            peer.go_away(stream_id)
            await peer.send(stream_id, b"x" * 100_000, end=True)
        else:
            await peer.send(stream_id, b"ok", end=True)

    server = serve2(go_away)

    async def main() -> None:
        async with client2() as client:
            assert len((await client.get(f"{server.url}/first")).content) == 100_000
            assert (await client.get(f"{server.url}/second")).text == "ok"

    run(main)
    assert server.connections == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["GOAWAY", "REFUSED_STREAM"])
def test_a_request_that_was_not_processed_is_sent_again(run, client2, serve2, method, how):
    async def refuse_first(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        if len(peer.server.requests) > 1:
            peer.respond(stream_id, b"ok")
        elif how == "GOAWAY":
            peer.go_away(0)
        else:
            peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            peer.flush()

    server = serve2(refuse_first)

    async def main() -> str:
        async with client2() as client:
            return (await client.request(method, server.url, content=b"abc" if method == "POST" else None)).text

    assert run(main) == "ok"
    assert len(server.requests) == 2


def test_a_server_that_refuses_for_ever_is_not_asked_for_ever(run, client2, serve2):
    async def refuse(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
        peer.flush()

    server = serve2(refuse)

    async def main() -> None:
        async with client2() as client:
            with pytest.raises(httpx2.RemoteProtocolError, match="the server refused the stream"):
                await client.get(server.url)

    run(main)
    assert len(server.requests) == 3


def test_a_stream_that_the_server_resets_fails_and_the_others_do_not(run, client2, serve2):
    async def reset_one(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id)
        await peer.send(stream_id, b"before")
        if headers[":path"] == "/reset":
            peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            peer.flush()
        else:
            await peer.send(stream_id, b", after", end=True)

    server = serve2(reset_one)

    async def main() -> None:
        async with client2() as client:
            with pytest.raises(httpx2.RemoteProtocolError, match="the server reset the stream, with INTERNAL_ERROR"):
                await client.get(f"{server.url}/reset")
            assert (await client.get(server.url)).text == "before, after"

    run(main)
    assert server.connections == 1


# Negotiation.


@pytest.mark.parametrize(
    ("offered", "version"), [(["h2", "http/1.1"], "HTTP/2"), (["http/1.1"], "HTTP/1.1"), ([], "HTTP/1.1")]
)
def test_the_protocol_is_negotiated(run, make_client, serve2, serve, offered, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    if offered:
        context.set_alpn_protocols(offered)

    async def main(url: str) -> httpx2.Response:
        async with make_client(verify=trusting(), http2=True) as client:
            return await client.get(url)

    if version == "HTTP/2":
        server = serve2(say_ok, tls=context)
        assert run(lambda: main(server.url)).http_version == "HTTP/2"
    else:
        with tls_server(answer(b"ok"), context=context) as plain:
            assert run(lambda: main(plain.url)).http_version == "HTTP/1.1"


@over(*OURS, "uvloop")
@pytest.mark.parametrize("through", ["http", "https", "socks"])
def test_it_goes_through_every_kind_of_proxy(run, make_client, serve2, serve, through):
    server = serve2(say_ok, tls=certified("localhost", "127.0.0.1"))
    with contextlib.ExitStack() as stack:
        if through == "socks":
            via = httpx2.Proxy(stack.enter_context(socks_proxy(server)).url)
        elif through == "https":
            front = stack.enter_context(tls_server(proxy(lambda: server)))
            via = httpx2.Proxy(front.url, ssl_context=trusting())
        else:
            via = httpx2.Proxy(serve(proxy(lambda: server)).url)

        async def main() -> None:
            async with (
                make_client(verify=trusting(), http2=True, proxy=via) as client,
                anyio.create_task_group() as tasks,
            ):
                for _ in range(5):
                    tasks.start_soon(client.get, server.url)
                response = await client.post(server.url, content=b"x" * 200_000)
                assert response.http_version == "HTTP/2"

        run(main)
    assert (len(server.requests), server.connections) == (6, 1)


# Hostile servers.

HOSTILE = {
    "HTTP/1.1": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak HTTP/2"),
    "a frame that is too large": (frame(0x0, b"x" * 20_000, stream_id=1), "a frame of 20000 bytes"),
    "settings for ever": (frame(0x4) * 20_000, "10000 frames in a row carried nothing"),
    "pings for ever": (frame(0x6, b"12345678") * 20_000, "10000 frames in a row carried nothing"),
    "empty data for ever": (frame(0x0, stream_id=1) * 20_000, "."),
    "endless continuation": (frame(0x1, b"", stream_id=1) + frame(0x9, b"", stream_id=1) * 20_000, "."),
    "a header bomb": (frame(0x1, b"\x82" * 16_000, flags=0x4, stream_id=1) * 5, "broke the rules of HTTP/2"),
    "no HPACK": (frame(0x1, b"\xff" * 8, flags=0x4, stream_id=1), "a head cannot be decoded"),
    "a push": (frame(0x5, b"\0\0\0\2\x82", flags=0x4, stream_id=1), "broke the rules of HTTP/2"),
    "a window update of nothing": (frame(0x8, b"\0\0\0\0", stream_id=0), "broke the rules of HTTP/2"),
    "a goaway that is too short": (frame(0x7, b"\0"), "GOAWAY frame that is too short"),
    "garbage": (b"\xff" * 100, "or does not speak HTTP/2"),
}


@pytest.mark.parametrize(("sent", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_is_given_up_with_the_reason(run, client2, serve2, sent, reason):
    async def attack(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.send_raw(sent)
        await peer.writer.drain()

    server = serve2(attack)

    async def main() -> None:
        async with client2() as client:
            with pytest.raises(httpx2.TransportError, match=reason):
                await client.get(server.url)

    run(main)


def test_a_server_that_asks_and_takes_no_answers_is_given_up(run, client2, serve2):
    async def ask(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.writer.transport.pause_reading()
        peer.start(stream_id)
        for _ in range(100):  # with data between, so that the frames do not carry nothing
            peer.send_raw(frame(0x6, b"12345678") * 5_000 + frame(0x0, b"x", stream_id=stream_id))
            await peer.writer.drain()

    server = serve2(ask)

    async def main() -> None:
        small = (socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)  # else the system takes megabytes of answers first
        async with client2(socket_options=[small]) as client:
            with pytest.raises(httpx2.TransportError, match="the server asks, and takes no answers"):
                await client.get(server.url)

    run(main)


def test_a_server_that_opens_no_window_is_given_up_after_the_write_timeout(run, client2, serve2):
    async def answer_gets(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        if headers[":method"] == "GET":
            peer.respond(stream_id, b"ok")

    server = serve2(answer_gets, settings={CODES.INITIAL_WINDOW_SIZE: 0})

    async def main() -> None:
        async with client2(timeout=httpx2.Timeout(WAIT, write=0.1)) as client:
            await client.get(server.url)  # the settings are known from here on
            with pytest.raises(httpx2.WriteTimeout):
                await client.post(server.url, content=b"abc")

    run(main)
    server.wait_until(lambda: len(server.resets) == 1)


def test_a_connection_that_ends_fails_all_its_streams(run, client2, serve2):
    async def close(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        if headers[":path"] == "/close":
            peer.close()

    server = serve2(close)

    async def main() -> None:
        async def fails(path: str) -> None:
            with pytest.raises(httpx2.TransportError):
                await client.get(f"{server.url}{path}")

        async with client2() as client, anyio.create_task_group() as tasks:
            tasks.start_soon(fails, "/wait")
            await anyio.to_thread.run_sync(server.wait_until, lambda: len(server.requests) == 1)
            tasks.start_soon(fails, "/close")

    run(main)


# Streams of the library over it, on their own sides.


def http2_client(server: HTTP2Server, **settings: Any) -> api.APIClient:
    return api.APIClient(server.url, http1=False, http2=True, **settings)


@over("sync", but="another thread closes it")
@pytest.mark.parametrize("leave", ["close", "restart"])
def test_another_thread_ends_a_wait_at_once(serve2, leave):
    async def one_each(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id, content_type="text/event-stream")
        await peer.send(stream_id, b"data: %d\n\n" % len(peer.server.requests))

    server = serve2(one_each)
    stream = http2_client(server).stream("GET", "/", int, reconnect=api.Reconnect(initial_delay=0))
    assert next(stream) == 1
    threading.Timer(0.05, getattr(stream, leave)).start()
    if leave == "close":
        assert list(stream) == []
    else:
        assert next(stream) == 2
        stream.close()
    server.wait_until(lambda: len(server.resets) == len(server.requests))
    assert server.connections == 1


@over("sync", but="the threads read for one another")
def test_many_threads_share_a_connection(serve2):
    async def count(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id, content_type="text/event-stream")
        for number in range(100):
            await peer.send(stream_id, b"data: %d\n\n" % number)
            await anyio.lowlevel.checkpoint()
        await peer.send(stream_id, b"", end=True)

    server = serve2(count)
    client, sums = http2_client(server), []
    threads = [threading.Thread(target=lambda: sums.append(sum(client.stream("GET", "/", int)))) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert (sums, server.connections) == ([4950] * 30, 1)


@over("sync", but="it runs on each side itself")
def test_a_stream_that_is_dropped_is_reset(side, serve2):
    server = serve2(stream_for_ever)
    client = http2_client(server)

    if side.is_sync:
        for _ in client.stream("GET", "/", int):
            break
        server.wait_until(lambda: len(server.resets) == 1)
        return

    async def main() -> None:
        async for _ in client.astream("GET", "/", int):
            break
        gc.collect()
        await anyio.to_thread.run_sync(server.wait_until, lambda: len(server.resets) == 1)

    side.run(main)


@over("sync", but="it runs on each side itself")
def test_a_client_lives_through_event_loops_and_leaves_nothing_open(side, serve2):
    server = serve2(say_ok)
    client = http2_client(server)
    for number in (1, 2, 3):
        assert side.call(client, str) == "ok"
        if not side.is_sync:
            server.wait_until(lambda number=number: server.open_connections == 0 and server.connections == number)
    client.close()
    server.wait_until(lambda: server.open_connections == 0)


@over("sync", but="it runs on each side itself")
def test_a_stream_that_a_server_resets_reconnects_over_the_same_connection(side, serve2):
    async def reset_first(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id, content_type="text/event-stream")
        if "last-event-id" not in headers:
            await peer.send(stream_id, b"id: 1\ndata: 1\n\n")
            peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            peer.flush()
        else:
            await peer.send(stream_id, b"id: 2\ndata: 2\n\ndata: end\n\n")

    server = serve2(reset_first)
    reading = side.read(http2_client(server), int, until="end", reconnect=api.Reconnect(initial_delay=0))
    assert (reading.items, reading.error, server.connections) == ([1, 2], None, 1)
    # What `until` left; under trio the loop may have ended, and the connection with it, before a task could say so.
    server.wait_until(lambda: len(server.resets) == 1 or (side.name == "trio" and not server.open_connections))


# Connections that are idle, or silent.


def test_an_idle_connection_that_the_server_has_closed_is_replaced(run, client2, serve2):
    async def close_after(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.respond(stream_id, b"ok")
        if headers[":path"] == "/close":
            peer.close()

    server = serve2(close_after)

    async def main() -> None:
        async with client2() as client:
            for number in range(1, 4):
                await client.get(f"{server.url}/close")
                await anyio.to_thread.run_sync(server.wait_until, lambda number=number: server.open_connections == 0)
                assert (await client.get(server.url)).text == "ok"
                await client.get(f"{server.url}/close")
                await anyio.to_thread.run_sync(server.wait_until, lambda: server.open_connections == 0)

    run(main)


def test_a_silent_server_is_asked_whether_it_is_there_and_given_up(run, client2, serve2, monkeypatch):
    monkeypatch.setattr("clientele.wire.shared.PING_INTERVAL", 0.05)

    async def fall_silent(peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        peer.start(stream_id)
        if headers[":path"] == "/silent":
            peer.h2.data_to_send = lambda amount=None: b""  # not even an answer to a ping
        else:
            await anyio.sleep(0.3)
            await peer.send(stream_id, b"ok", end=True)

    server = serve2(fall_silent)

    async def main() -> None:
        async with client2(timeout=None) as client:
            assert (await client.get(server.url)).text == "ok"
            with pytest.raises(httpx2.ReadError, match="the server does not answer"):
                await client.get(f"{server.url}/silent")

    run(main)
    assert server.pings >= 4


@over("sync", "asyncio", but="trio's socket is closed before a task could write")
def test_closing_says_goodbye(run, client2, serve2):
    server = serve2(say_ok)

    async def main() -> None:
        async with client2() as client:
            await client.get(server.url)

    run(main)
    server.wait_until(lambda: (server.goaways, server.open_connections) == (1, 0))


def test_a_trace_is_told_of_each_step(run, client2, serve2):
    server = serve2(say_ok)
    steps: list[str] = []

    async def trace(name: str, info: dict[str, Any]) -> None:
        steps.append(name)

    async def main() -> None:
        async with client2() as client:
            await client.post(server.url, content=b"abc", extensions={"trace": trace})

    run(main)
    assert [step for step in steps if step.endswith(".complete")] == [
        "connection.connect_tcp.complete",
        "http2.send_request_headers.complete",
        "http2.send_request_body.complete",
        "http2.receive_response_headers.complete",
        "http2.receive_response_body.complete",
        "http2.response_closed.complete",
    ]
