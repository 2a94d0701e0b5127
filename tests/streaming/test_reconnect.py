"""Streams that reconnect, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx2
import pytest
from tests import servers
from tests.listeners import tls_server, trusting
from tests.servers import END, EVENT_STREAM, WAIT, Connection, Handler, answer, chunk, events
from tests.sides import RUNNERS

from clientele import api

AT_ONCE = api.Reconnect(initial_delay=0, max_delay=0)
NEVER = api.Reconnect(initial_delay=10_000, max_delay=10_000)
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def in_turn(*answers: Handler | bytes) -> Handler:
    """Answer one request after another, and say 204 when there is nothing left."""
    return servers.in_turn(*answers, NO_CONTENT)


def numbered(*numbers: int) -> bytes:
    return EVENT_STREAM + b"".join(chunk(f"id: {each}\ndata: {each}\n\n".encode()) for each in numbers)


def then(data: bytes, leave: Callable[[Connection], Awaitable[None]]) -> Handler:
    async def handle(connection: Connection) -> None:
        await connection.send(data)
        await leave(connection)

    return handle


async def close(connection: Connection) -> None:
    connection.close()


async def reset(connection: Connection) -> None:
    connection.reset()


async def stall(connection: Connection) -> None:
    await connection.until_client_closes()


async def break_chunk(connection: Connection) -> None:
    await connection.send(b"not a number\r\n")
    connection.close()


async def end(connection: Connection) -> None:
    await connection.send(END)


def ids_sent(server) -> list[str | None]:
    return [request.header("Last-Event-ID") for request in server.requests]


@pytest.mark.parametrize("leave", [close, reset, stall, break_chunk, end])
def test_a_stream_is_taken_up_where_it_was(side, serve, leave):
    server = serve(in_turn(then(numbered(1, 2), leave), then(numbered(3), leave)))
    reading = side.read(api.APIClient(server.url), int, reconnect=AT_ONCE, idle_timeout=0.4 if leave is stall else None)
    assert reading.error is None
    assert reading.items == [1, 2, 3]
    assert ids_sent(server) == [None, "2", "3"]
    assert reading.stream.reconnects == 2
    server.wait_until(lambda: server.open_connections <= 1)  # the last one is kept for the next call


def test_what_was_cut_is_dropped_and_asked_for_again(side, serve):
    cut = EVENT_STREAM + chunk(b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n")
    server = serve(in_turn(then(cut, close), numbered(2) + END))
    assert side.read(api.APIClient(server.url), int, reconnect=AT_ONCE).items == [1, 2]
    assert ids_sent(server) == [None, "1", "2"]


def test_a_line_that_was_cut_is_dropped(side, serve):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve(in_turn(then(head + chunk(b"1\n2\n34"), close), head + chunk(b"5\n6") + END))
    assert side.read(api.APIClient(server.url), int, reconnect=AT_ONCE).items == [1, 2, 5, 6]


@pytest.mark.parametrize("content_type", ["application/jsonl", "text/plain", "application/json-seq"])
def test_what_the_end_of_a_connection_may_have_cut_is_dropped(side, serve, content_type):
    separator = "\x1e" if content_type == "application/json-seq" else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n"
    server = serve(in_turn(then(f"{head}{separator}1\n{separator}12".encode(), close)))
    client = api.APIClient(server.url)
    reading = side.read(client, int, reconnect=AT_ONCE)
    assert (reading.items, reading.error) == ([1], None)
    assert len(server.requests) == 2


def test_a_document_ends_with_its_connection(side, serve):
    server = serve(in_turn(then(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n5", close)))
    client = api.APIClient(server.url, headers={"Accept": "application/json, text/event-stream"})
    assert side.read(client, int, reconnect=AT_ONCE).items == [5]
    assert len(server.requests) == 1


def test_the_same_request_is_sent_again(serve):
    server = serve(in_turn(numbered(1) + END))
    client = api.APIClient(server.url, headers={"X-Client": "a"}, params={"key": "k"})

    @client.post("/{room}", streaming_response=True, reconnect=AT_ONCE)
    def stream(room: str, data: dict[str, int], page: int, *, result: Iterator[int]) -> Iterator[int]:
        return result

    assert list(stream("hall", {"n": 5}, 7)) == [1]
    first, second = server.requests
    assert (first.method, first.target, first.body) == ("POST", "/hall?key=k&page=7", b'{"n":5}')
    assert (second.method, second.target, second.body) == (first.method, first.target, first.body)
    assert [each for each in second.headers if each[0] != "Last-Event-ID"] == first.headers


@pytest.mark.parametrize("leave", [close, reset, break_chunk])
def test_without_it_a_stream_cut_short_says_how_far_it_came(side, serve, leave):
    reading = side.read(api.APIClient(serve(then(numbered(1, 2), leave)).url), int)
    assert reading.items == [1, 2]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert (reading.error.items_received, reading.error.last_event_id, reading.error.attempts) == (2, "2", 0)


def test_without_it_a_connection_that_ends_within_an_event_is_cut_short(side, serve):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    for cut in (b"id: 2\ndata: 2\n", b"data: 2", b"id", b": a comm"):
        reading = side.read(api.APIClient(serve(then(head + b"id: 1\ndata: 1\n\n" + cut, close)).url), int)
        assert reading.items == [1]
        assert isinstance(reading.error, api.StreamInterrupted)
        assert reading.error.message == "the stream was cut short after 1 item: the connection ended within an event"
    for whole in (b"", b": a comment\n", b"\n"):
        reading = side.read(api.APIClient(serve(then(head + b"id: 1\ndata: 1\n\n" + whole, close)).url), int)
        assert (reading.items, reading.error) == ([1], None)


def test_without_it_an_event_without_its_blank_line_is_dropped_where_the_body_is_whole(side, serve):
    server = serve(EVENT_STREAM + chunk(b"data: 1\n\ndata: 2\n") + END)
    reading = side.read(api.APIClient(server.url), int)
    assert (reading.items, reading.error) == ([1], None)


def test_without_it_a_body_shorter_than_its_content_length_is_cut_short(side, serve):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\n"
    reading = side.read(api.APIClient(serve(then(head + b"id: 7\ndata: 1\n\n", close)).url), int)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert reading.error.last_event_id == "7"


def test_a_server_that_is_gone_is_tried_as_often(side, serve):
    gone = f"http://127.0.0.1:{unused_port()}/"
    policy = api.Reconnect(initial_delay=0, max_delay=0, max_attempts=2)
    moved = answer(b"", status="307 Moved", headers=f"Location: {gone}\r\n")
    server = serve(in_turn(numbered(1) + END, moved, moved))
    reading = side.read(api.APIClient(server.url), int, reconnect=policy)
    assert isinstance(reading.error, api.StreamInterrupted)
    assert reading.error.attempts == 2
    assert isinstance(reading.error.__cause__, api.TransportError)
    assert isinstance(reading.error.__cause__.__cause__, httpx2.ConnectError)
    assert len(server.requests) == 3


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_redirects_are_followed_anew_and_take_no_credentials_to_another_origin(side, serve):
    other = serve(in_turn(numbered(1) + END))
    moved = answer(b"", status="307 Moved", headers=f"Location: {other.url}\r\n")
    server = serve(in_turn(moved, moved))
    secrets = {"X-Api-Key": "s", "Proxy-Authorization": "s", "X-Trace": "t"}
    client = api.APIClient(server.url, headers=secrets, auth=("me", "s"), cookies={"session": "s"})
    assert side.read(client, int, reconnect=AT_ONCE).items == [1]
    assert len(server.requests) == len(other.requests) == 2
    for request in server.requests:
        assert None not in map(request.header, [*secrets, "Authorization", "Cookie"])
    for request in other.requests:
        assert [*map(request.header, [*secrets, "Authorization", "Cookie"])] == [None, None, "t", None, None]
    assert ids_sent(other) == [None, "1"]


def test_the_body_of_a_redirect_is_not_waited_for(side, serve):
    target = serve(in_turn(numbered(1) + END))

    async def redirect_without_end(connection: Connection) -> None:
        await connection.send(
            f"HTTP/1.1 302 Found\r\nLocation: {target.url}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        await connection.until_client_closes()

    server = serve(redirect_without_end)
    assert side.read(api.APIClient(server.url), int).items == [1]
    server.wait_until_closed()


@pytest.mark.parametrize("event_id", ["a\x01b", "\ta", " a", "a ", "a\x7f"])
def test_an_id_that_no_header_can_hold_is_kept_but_not_sent(side, serve, event_id):
    server = serve(in_turn(EVENT_STREAM + chunk(f"id: {event_id}\ndata: 1\n\n".encode()) + END, numbered(2) + END))
    reading = side.read(api.APIClient(server.url), api.ServerSentEvent[int], reconnect=AT_ONCE)
    assert [(event.data, event.id) for event in reading.items] == [(1, event_id), (2, "2")]
    assert ids_sent(server) == [None, None, "2"]


def test_an_id_outside_ascii_is_sent_as_utf_8(side, serve):
    server = serve(in_turn(EVENT_STREAM + chunk("id: ключ ü\ndata: 1\n\n".encode()) + END))
    reading = side.read(api.APIClient(server.url), int, reconnect=AT_ONCE)
    assert (reading.items, reading.error) == ([1], None)
    assert ids_sent(server)[1].encode("latin-1").decode() == "ключ ü"


@pytest.mark.parametrize("location", ["http://a:b/", "ftp://a/"])
def test_a_redirect_that_leads_nowhere_is_raised(side, serve, location):
    moved = answer(b"", status="302 Found", headers=f"Location: {location}\r\n")
    server = serve(in_turn(numbered(1) + END, moved, moved))
    reading = side.read(api.APIClient(server.url), int, reconnect=AT_ONCE)
    assert reading.items == [1]
    assert isinstance(reading.error, api.TransportError)
    assert len(server.requests) == 2


def test_only_streams_are_taken_up_again():
    client = api.APIClient("http://localhost")
    with pytest.raises(TypeError, match="reconnect is for streams"):
        client.get("/", reconnect=True)
    with pytest.raises(TypeError, match=r"reconnect is 5; it is True, False or api.Reconnect\(...\)"):
        client.get("/", streaming_response=True, reconnect=5)  # type: ignore[call-overload]


# Interrupting: each of these would hang, or fail, if it did not take effect.


async def never_answer(connection: Connection) -> None:
    await connection.until_client_closes()


def sync_stream(server, policy: api.Reconnect) -> api.Stream[int]:
    return api.APIClient(server.url).stream("GET", "/", int, reconnect=policy)


@contextlib.contextmanager
def reading_thread(stream: api.Stream[int]) -> Iterator[list[Any]]:
    """Read a stream in another thread; after the block it must come to its end."""
    items: list[Any] = []
    done = threading.Event()

    def read() -> None:
        try:
            items.extend(stream)
        except Exception as error:
            items.append(error)
        done.set()

    threading.Thread(target=read, daemon=True).start()
    yield items
    assert done.wait(WAIT)


class Waiting:
    """An `on_reconnect` that says when the wait is about to begin."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def policy(self, delay: float = 10_000) -> api.Reconnect:
        return api.Reconnect(initial_delay=delay, max_delay=delay, on_reconnect=lambda attempt: self.begun.set())


def test_closing_from_another_thread_ends_the_wait_for_bytes(serve):
    server = serve(then(numbered(1), stall))
    stream = sync_stream(server, AT_ONCE)
    with reading_thread(stream) as items:
        server.wait_until(lambda: len(server.requests) == 1)
        stream.close()
    assert items in ([], [1])
    server.wait_until_closed()
    assert len(server.requests) == 1


def test_closing_from_another_thread_ends_the_wait_before_an_attempt(serve):
    server, waiting = serve(then(numbered(1), close)), Waiting()
    stream = sync_stream(server, waiting.policy())
    with reading_thread(stream) as items:
        assert waiting.begun.wait(WAIT)
        stream.close()
    assert items == [1]
    server.wait_until_closed()
    assert server.connections == 1  # nothing more was asked for


def test_closing_from_another_thread_ends_an_attempt(serve):
    server = serve(in_turn(then(numbered(1), close), never_answer))
    stream = sync_stream(server, AT_ONCE)
    with reading_thread(stream) as items:
        server.wait_until(lambda: len(server.requests) == 2)
        stream.close()
    assert items == [1]
    server.wait_until_closed()  # though it never answered


def test_an_attempt_over_tls_that_is_left_is_ended():
    with tls_server(in_turn(then(numbered(1), close), *[never_answer] * 3)) as server:
        client = api.APIClient(server.url, verify=trusting())
        stream = client.stream("GET", "/", int, reconnect=AT_ONCE)
        with reading_thread(stream) as items:
            for number in (2, 3, 4):
                server.wait_until(lambda number=number: len(server.requests) == number)
                (stream.restart if number < 4 else stream.close)()
        assert items == [1]
        server.wait_until_closed()


def test_what_an_attempt_opens_too_late_is_closed(serve):
    go_on = threading.Event()

    async def answer_late(connection: Connection) -> None:
        await asyncio.to_thread(go_on.wait, WAIT)
        await connection.send(numbered(2))
        await connection.until_client_closes()

    server = serve(in_turn(then(numbered(1), close), answer_late))
    stream = sync_stream(server, AT_ONCE)
    with reading_thread(stream) as items:
        server.wait_until(lambda: len(server.requests) == 2)
        stream.close()
    go_on.set()
    server.wait_until_closed()
    assert items == [1]


@pytest.mark.parametrize("policy", [False, AT_ONCE])
def test_closing_the_client_from_another_thread_ends_the_wait_for_bytes(serve, policy):
    server = serve(then(numbered(1), stall))
    client = api.APIClient(server.url)
    with reading_thread(client.stream("GET", "/", int, reconnect=policy)) as items:
        server.wait_until(lambda: len(server.requests) == 1)
        client.close()
    assert isinstance(items[-1], api.StreamInterrupted)
    assert items[-1].message.endswith("its client, or its event loop, was closed")
    server.wait_until_closed()
    assert len(server.requests) == 1


def test_restarting_from_another_thread_ends_the_wait_for_bytes(serve):
    server = serve(in_turn(then(numbered(1), stall), numbered(2) + END))
    stream = sync_stream(server, AT_ONCE)
    assert next(stream) == 1
    with reading_thread(stream) as items:
        stream.restart()
    assert items == [2]
    assert ids_sent(server) == [None, "1", "2"]
    assert stream.reconnects == 2


def test_restarting_from_another_thread_ends_the_wait_before_an_attempt(serve):
    server, waiting = serve(in_turn(then(numbered(1), close), events("2", "end"))), Waiting()
    stream = api.APIClient(server.url).stream("GET", "/", int, reconnect=waiting.policy(), until="end")
    with reading_thread(stream) as items:
        assert waiting.begun.wait(WAIT)
        stream.restart()
    assert items == [1, 2]


def test_restarting_from_another_thread_ends_an_attempt(serve):
    server = serve(in_turn(then(numbered(1), close), never_answer, numbered(2) + END))
    stream = sync_stream(server, AT_ONCE)
    with reading_thread(stream) as items:
        server.wait_until(lambda: len(server.requests) == 2)
        stream.restart()
    assert items == [1, 2]
    assert ids_sent(server) == [None, "1", "1", "2"]
    server.wait_until(lambda: server.open_connections <= 1)


def test_what_had_come_whole_is_yielded_before_a_restart(serve, caplog):
    server = serve(in_turn(then(EVENT_STREAM + chunk(b"data: 1\n\ndata: 2\n\ndata: 3"), stall), events("4")))
    stream = sync_stream(server, AT_ONCE)
    assert next(stream) == 1
    with caplog.at_level(logging.INFO, "clientele"):
        stream.restart()
        assert list(stream) == [2, 4]
    told = f"GET {server.url}/: restarting the stream, without an event id, so perhaps from the start"
    assert caplog.messages[0] == told


def test_a_closed_stream_stays_closed(serve):
    server = serve(in_turn(then(numbered(1), stall)))
    stream = sync_stream(server, AT_ONCE)
    stream.close()
    stream.restart()
    assert list(stream) == []
    assert len(server.requests) == 1


def test_only_a_stream_that_may_be_taken_up_again_can_be_restarted(serve):
    stream = api.APIClient(serve(then(numbered(1), stall)).url).stream("GET", "/", int)
    with pytest.raises(RuntimeError, match="declare it with reconnect="):
        stream.restart()
    assert next(stream) == 1
    stream.close()


def test_a_second_thread_is_told_that_the_stream_is_being_read(serve):
    server, waiting = serve(then(numbered(1), close)), Waiting()
    stream = sync_stream(server, waiting.policy())
    with reading_thread(stream):
        assert waiting.begun.wait(WAIT)
        with pytest.raises(RuntimeError, match="another thread is reading this stream"):
            next(stream)
        stream.close()


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    async def limited(function: Callable[[], Awaitable[Any]]) -> Any:
        with anyio.fail_after(WAIT):
            return await function()

    return lambda function: RUNNERS[request.param](lambda: limited(function))


async def read(stream: AsyncIterator[int], items: list[int]) -> None:
    async for item in stream:
        items.append(item)


async def cancel_a_read(stream: AsyncIterator[int], items: list[int], until_stuck: Callable[[], object]) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, stream, items)
            await anyio.to_thread.run_sync(until_stuck)
            scope.cancel()
    assert scope.cancelled_caught


STATES = ["bytes", "wait", "attempt"]


def stuck(serve: Any, state: str, *later: bytes) -> tuple[Any, api.Reconnect, Callable[[], object]]:
    """A server and a policy with which a stream waits after its first event, and what waits until it does."""
    waiting = Waiting()
    if state == "bytes":
        server = serve(in_turn(then(numbered(1), stall), *later))
        return server, AT_ONCE, lambda: server.wait_until(lambda: len(server.requests) == 1)
    if state == "wait":
        server = serve(in_turn(then(numbered(1), close), *later))
        return server, waiting.policy(), lambda: waiting.begun.wait(WAIT)
    server = serve(in_turn(then(numbered(1), close), never_answer, *later))
    return server, AT_ONCE, lambda: server.wait_until(lambda: len(server.requests) == 2)


@pytest.mark.parametrize("state", STATES)
def test_closing_from_another_task_ends_every_wait(serve, run, state, caplog):
    server, policy, until_stuck = stuck(serve, state)

    async def main() -> list[int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy)
        items = [await anext(stream)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, stream, items)
            await anyio.to_thread.run_sync(until_stuck)
            requests = len(server.requests)
            caplog.clear()
            await stream.aclose()
        assert len(server.requests) == requests
        assert caplog.messages == []
        return items

    with caplog.at_level(logging.INFO, "clientele"):
        assert run(main) == [1]
    server.wait_until_closed()


@pytest.mark.parametrize("state", STATES)
def test_restarting_from_another_task_ends_every_wait(serve, run, state):
    server, policy, until_stuck = stuck(serve, state, events("2", "end"))

    async def main() -> tuple[list[int], int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy, until="end")
        items = [await anext(stream)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, stream, items)
            await anyio.to_thread.run_sync(until_stuck)
            stream.restart()
        return items, stream.reconnects

    assert run(main) == ([1, 2], 1)
    server.wait_until_closed()


@pytest.mark.parametrize("policy", [False, AT_ONCE])
def test_closing_the_client_from_another_task_ends_the_wait_for_bytes(serve, run, policy):
    server = serve(then(numbered(1), stall))

    async def main() -> None:
        client = api.APIClient(server.url)
        stream = await client.astream("GET", "/", int, reconnect=policy)
        assert await anext(stream) == 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close_when_read, client, stream)
            with pytest.raises(api.StreamInterrupted, match="its client, or its event loop, was closed"):
                await anext(stream)

    async def close_when_read(client: api.APIClient, stream: api.AsyncStream[int]) -> None:
        while not stream._is_read:
            await anyio.lowlevel.checkpoint()
        await client.aclose()

    run(main)
    server.wait_until_closed()
    assert len(server.requests) == 1


@pytest.mark.parametrize("state", STATES)
def test_restarting_from_another_thread_is_refused_and_changes_nothing(serve, run, state):
    server, policy, until_stuck = stuck(serve, state, events("2", "end"))

    async def main() -> list[int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy, until="end")
        items = [await anext(stream)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, stream, items)
            await anyio.to_thread.run_sync(until_stuck)
            with pytest.raises(RuntimeError, match=r"call_soon_threadsafe\(stream\.restart\)"):
                await anyio.to_thread.run_sync(stream.restart)
            stream.restart()
        return items

    assert run(main) == [1, 2]
    server.wait_until_closed()


def test_a_stream_that_outlives_its_event_loop_says_so(serve, run):
    async def open_stream() -> api.AsyncStream[int]:
        stream = await client.astream("GET", "/", int)
        assert await anext(stream) == 1
        return stream

    client = api.APIClient(serve(then(numbered(1), stall)).url)
    stream = run(open_stream)
    with pytest.raises(api.StreamInterrupted, match="its client, or its event loop, was closed"):
        run(lambda: anext(stream))


def test_restarting_while_an_attempt_comes_through_drops_what_it_opened(run):
    async def main() -> None:
        def handle(request: httpx2.Request) -> httpx2.Response:
            number = next(numbers)
            if number == 2:
                stream.restart()
            content = f"id: {number}\ndata: {number}\n\n" if number < 4 else ""
            return httpx2.Response(200 if content else 204, headers={"Content-Type": sse}, text=content)

        numbers, sse = itertools.count(1), "text/event-stream"
        client = api.APIClient(base_url="http://test", async_transport=httpx2.MockTransport(handle))

        @client.get("/", streaming_response=True, reconnect=AT_ONCE)
        async def stream_numbers(*, result: api.AsyncStream[int]) -> api.AsyncStream[int]:
            return result

        stream = await stream_numbers()
        assert [number async for number in stream] == [1, 3]

    run(main)


@pytest.mark.parametrize("state", STATES)
def test_a_read_that_is_cancelled_leaves_the_stream_where_it_was(serve, run, state):
    server, policy, until_stuck = stuck(serve, state, events("2", "end"))

    async def main() -> list[int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy, until="end")
        items = [await anext(stream)]
        await cancel_a_read(stream, items, until_stuck)
        stream.restart()
        return items + [item async for item in stream]

    assert run(main) == [1, 2]
    server.wait_until_closed()


@pytest.mark.parametrize("state", STATES)
def test_a_deadline_around_a_read_is_met_and_leaves_the_stream_where_it_was(serve, run, state):
    server, policy, _ = stuck(serve, state, events("2", "end"))

    async def main() -> list[int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy, until="end")
        items = [await anext(stream)]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.05):
                    await anext(stream)
        stream.restart()
        return items + [item async for item in stream]

    assert run(main) == [1, 2]
    server.wait_until_closed()


def test_a_stream_that_is_polled_reconnects_though_no_poll_is_as_long_as_that_takes(serve, run):
    polled = threading.Event()

    async def answer_late(connection: Connection) -> None:
        if len(server.requests) == 1:
            await connection.send(numbered(1))
            connection.close()
        else:
            await asyncio.to_thread(polled.wait, WAIT)
            await connection.send(events("2", "end"))

    server = serve(answer_late)
    attempts: list[api.ReconnectAttempt] = []
    policy = api.Reconnect(initial_delay=0.1, on_reconnect=attempts.append)

    async def main() -> list[int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy, until="end")
        items: list[int] = []
        while len(items) < 2:
            with anyio.move_on_after(0.01):
                items.append(await anext(stream))
            if len(server.requests) == 2:
                polled.set()
        return items

    assert run(main) == [1, 2]
    assert (len(attempts), len(server.requests)) == (1, 2)


@pytest.mark.parametrize("state", STATES)
def test_a_stream_that_is_closed_after_a_cancelled_read_leaves_no_connection(serve, run, state):
    server, policy, until_stuck = stuck(serve, state)

    async def main() -> list[int]:
        async with api.APIClient(server.url) as client:
            stream = await client.astream("GET", "/", int, reconnect=policy)
            items = [await anext(stream)]
            await cancel_a_read(stream, items, until_stuck)
            await stream.aclose()
            await anyio.to_thread.run_sync(server.wait_until_closed)
            return items + [item async for item in stream]

    assert run(main) == [1]


@pytest.mark.parametrize("state", STATES)
def test_a_stream_that_is_dropped_after_a_cancelled_read_leaves_no_connection(serve, run, state):
    server, policy, until_stuck = stuck(serve, state)

    async def main() -> list[int]:
        async with api.APIClient(server.url) as client:
            stream = await client.astream("GET", "/", int, reconnect=policy)
            items = [await anext(stream)]
            await cancel_a_read(stream, items, until_stuck)
            del stream
            gc.collect()
            await anyio.to_thread.run_sync(server.wait_until_closed)
        return items

    assert run(main) == [1]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_task_that_is_cancelled_leaves_no_connection_once_it_is_gone(serve, name, state):
    server, policy, until_stuck = stuck(serve, state)

    async def main() -> list[int]:
        items: list[int] = []
        has_first = asyncio.Event()

        async def iterate() -> None:
            async for item in await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy):
                items.append(item)
                has_first.set()

        task = asyncio.create_task(iterate())
        await asyncio.to_thread(until_stuck)
        await has_first.wait()
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        await asyncio.to_thread(server.wait_until_closed)
        return items

    assert RUNNERS[name](main) == [1]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_asyncios_own_timeout_works_around_every_wait(serve, name, state):
    server, policy, _ = stuck(serve, state, events("2", "end"))

    async def main() -> list[int]:
        stream = await api.APIClient(server.url).astream("GET", "/", int, reconnect=policy, until="end")
        items = [await anext(stream)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(stream)
        stream.restart()
        return items + [item async for item in stream]

    assert RUNNERS[name](main) == [1, 2]
    server.wait_until_closed()
