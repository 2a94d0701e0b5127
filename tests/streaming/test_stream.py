"""What callers see of a stream, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import anyio
import anyio.lowlevel
import httpx2
import pydantic
import pytest
from tests import fakes
from tests.servers import END, EVENT_STREAM, Connection, Handler, answer, chunk, events, in_turn
from tests.sides import RUNNERS

from clientele import api, testing

pytestmark = pytest.mark.every_python


class Token(pydantic.BaseModel):
    text: str
    id: int


def client_of(server) -> api.APIClient:
    return api.APIClient(base_url=server.url)


def test_items_are_validated_models(side, serve):
    server = serve(events('{"text": "a", "id": 1}', '{"text": "b", "id": 2}'))
    reading = side.read(client_of(server), Token)
    assert reading.error is None
    assert reading.items == [Token(text="a", id=1), Token(text="b", id=2)]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_with_a_body_to_answer_streams(side, serve, method):
    server = serve(events("a", "b"))
    assert side.read(client_of(server), str, method=method).items == ["a", "b"]
    assert server.requests[0].method == method


def test_the_request_asks_for_an_event_stream_that_is_not_cached(side, serve):
    server = serve(events("a"))
    side.read(client_of(server), str)
    (request,) = server.requests
    assert request.header("Accept") == "text/event-stream"
    assert (request.header("Cache-Control"), request.header("Pragma")) == ("no-cache", "no-cache")


@pytest.mark.parametrize("accept", ["text/event-stream;v=2", "*/*"])
def test_what_the_client_says_of_accept_and_caching_stands(side, serve, accept):
    server = serve(events("a"))
    client = api.APIClient(base_url=server.url, headers={"accept": accept, "Cache-Control": "no-cache"})
    side.read(client, str)
    (request,) = server.requests
    assert request.header("Accept") == accept
    assert request.header("Cache-Control") == "no-cache"


def test_what_a_call_says_of_accept_and_caching_stands(serve):
    server = serve(events("a"))

    @client_of(server).get("/", streaming_response=True)
    def stream(headers: dict[str, str], *, result: Iterator[str]) -> Iterator[str]:
        return result

    list(stream({"Accept": "*/*", "cache-control": "max-age=1"}))
    (request,) = server.requests
    assert request.header("Accept") == "*/*"
    assert request.header("Cache-Control") == "max-age=1"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_cutting_of_the_bytes_makes_no_difference(side, serve, size):
    stream = "data: a\r\n\r\ndata: ü\n\nid: 7\rdata: b\rdata: c\r\rdata: unfinished".encode()

    async def send_in_pieces(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for start in range(0, len(stream), size):
            await connection.send(chunk(stream[start : start + size]))
        await connection.send(END)

    reading = side.read(client_of(serve(send_in_pieces)), str)
    assert reading.items == ["a", "ü", "b\nc"]
    assert reading.stream.last_event_id == "7"


def test_an_item_is_yielded_before_the_next_byte_is_sent(side, serve):
    received = threading.Event()

    async def send_after_receipt(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for data in (b"data: a\n\n", b"data: b\r\n\r", b"data: c\r\r", b"data: d\n\r"):
            await connection.send(chunk(data))
            assert await asyncio.to_thread(received.wait, 10)
            received.clear()
        await connection.send(END)

    client = client_of(serve(send_after_receipt))
    if side.is_sync:
        for _ in side.call(client, Iterator[str], streaming_response=True):
            received.set()
        return

    @client.get("/", streaming_response=True)
    async def stream(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
        return result

    async def main() -> None:
        async for _ in await stream():
            received.set()

    side.run(main)


def test_a_bad_status_raises_at_the_call_with_the_body_read(side, serve):
    server = serve(answer(b'{"detail": "busy"}', status="503 Service Unavailable"))
    reading = side.read(client_of(server), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.stream is None
    assert reading.error.status_code == 503
    assert reading.error.response.json() == {"detail": "busy"}
    assert str(reading.error) == f'GET {server.url}/: 503 Service Unavailable: {{"detail": "busy"}}'


def test_a_compressed_error_body_is_decoded(side, serve):
    import gzip

    server = serve(answer(gzip.compress(b"too bad"), status="500 Oops", headers="Content-Encoding: gzip\r\n"))
    reading = side.read(client_of(server), str)
    assert reading.error.response.text == "too bad"
    assert reading.error.response.elapsed.total_seconds() > 0


def test_an_error_of_a_mock_transport_raises_too(side):
    transport = httpx2.MockTransport(lambda request: httpx2.Response(500, content=b"oops"))
    reading = side.read(api.APIClient("http://test", transport=transport, async_transport=transport), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.response.text == "oops"


def test_a_stream_of_a_mock_transport_is_read(side):
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, content=b"data: a\n\n", headers={"Content-Type": "text/event-stream"})
    )
    reading = side.read(api.APIClient("http://test", transport=transport, async_transport=transport), str)
    assert (reading.items, reading.error) == (["a"], None)


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_a_body_that_is_not_encoded_as_it_says_leaves_nothing(side, serve, status):
    async def send_no_gzip(connection: Connection) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
        await connection.send(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"not gzip at all"))
        await connection.until_client_closes()

    server = serve(send_no_gzip)
    reading = side.read(client_of(server), str)
    assert isinstance(reading.error, api.StreamInterrupted if status == "200 OK" else api.HTTPStatusError)
    gc.collect()
    server.wait_until_closed()


def test_an_error_behind_an_auth_flow_with_requests_of_its_own_raises(side, serve):
    class Auth(httpx2.Auth):
        def auth_flow(self, request):
            yield httpx2.Request(request.method, request.url)

    server = serve(answer(b"no", status="403 Forbidden", content_type="text/plain"))
    reading = side.read(api.APIClient(base_url=server.url, auth=Auth()), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.response.text == "no"


def test_a_redirect_that_is_not_followed_is_named(side, serve):
    server = serve(answer(b"", status="307 Temporary Redirect", headers="Location: /there\r\n"))
    reading = side.read(api.APIClient(base_url=server.url, follow_redirects=False), str)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert "and is a redirect, which the client does not follow" in str(reading.error)


def test_a_response_that_only_says_that_nothing_has_changed_is_no_redirect(side, serve):
    server = serve(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    reading = side.read(api.APIClient(base_url=server.url), str)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert "status 304" in str(reading.error)
    assert "redirect" not in str(reading.error)


@pytest.mark.parametrize("raised", [StopIteration, StopAsyncIteration])
def test_a_validator_cannot_end_a_stream(side, serve, raised):
    def validate(value: int) -> int:
        if value == 2:
            raise raised("odd")
        return value

    reading = side.read(client_of(serve(events("1", "2", "3"))), Annotated[int, pydantic.AfterValidator(validate)])
    assert reading.items == [1]
    assert isinstance(reading.error, RuntimeError)


def test_a_validators_own_connection_trouble_is_not_the_streams(side, serve):
    def validate(value: int) -> int:
        raise httpx2.ReadError("elsewhere")

    reading = side.read(client_of(serve(events("1"))), Annotated[int, pydantic.AfterValidator(validate)])
    assert isinstance(reading.error, httpx2.ReadError)


def test_no_more_than_a_mebibyte_of_an_error_is_read(side, serve):
    async def send_without_end(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.send(chunk(b"x" * 60_000))

    server = serve(send_without_end)
    reading = side.read(client_of(server), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.response.content == b"x" * 1024 * 1024
    server.wait_until_closed()


def test_an_error_body_that_never_ends_is_read_for_as_long_as_the_read_timeout(side, serve):
    async def stop_midway(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nso far")
        await connection.until_client_closes()

    server = serve(stop_midway)
    reading = side.read(api.APIClient(base_url=server.url, timeout=httpx2.Timeout(5, read=0.1)), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.response.text == "so far"
    server.wait_until_closed()


def test_an_error_body_that_drips_is_read_for_as_long_as_the_read_timeout(side, serve):
    async def drip(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.send(chunk(b"x"))
            await asyncio.sleep(0.01)

    server = serve(drip)
    reading = side.read(api.APIClient(base_url=server.url, timeout=httpx2.Timeout(5, read=0.1)), str)
    assert isinstance(reading.error, api.HTTPStatusError)
    assert set(reading.error.response.text) == {"x"}


@pytest.mark.parametrize("content_type", ["application/json", "text/event-streams", "text/html; charset=utf-8"])
def test_a_wrong_content_type_raises_at_the_call(side, serve, content_type):
    async def send_and_wait(connection: Connection) -> None:
        await connection.send(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n{{}}".encode())
        await connection.until_client_closes()

    server = serve(send_and_wait)
    reading = side.read(api.APIClient(base_url=server.url, timeout=0.2), str)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert reading.stream is None
    assert reading.error.content_type == content_type
    assert content_type in str(reading.error)
    assert "without streaming_response=True" in str(reading.error)
    server.wait_until_closed()


def test_what_came_in_place_of_a_stream_says_why(side):
    reading = side.read(fakes.client_of(b'{"error": {"message": "quota exceeded"}}'), dict)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert "'application/json', where text/event-stream, application/x-ndjson, " in str(reading.error)
    assert ' was expected: {"error": {"message": "quota exceeded"}}; if it is a stream, say its' in str(reading.error)
    assert reading.error.response.json() == {"error": {"message": "quota exceeded"}}


def test_what_comes_in_place_of_a_stream_is_read_up_to_a_mebibyte(side):
    reading = side.read(fakes.client_of(b" " * (1024 * 1024 + 1)), dict)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert len(reading.error.response.content) == 1024 * 1024


def test_a_stream_that_reconnects_says_what_came_in_its_place(side, serve):
    page = answer(b"<h1>log in</h1>", content_type="text/html")
    server = serve(in_turn(EVENT_STREAM + chunk(b"id: 7\ndata: 1\n\n") + END, page))
    reading = side.read(client_of(server), int, reconnect=api.Reconnect(initial_delay=0))
    assert reading.items == [1]
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert " was expected: <h1>log in</h1>; " in str(reading.error)
    assert (reading.error.response.text, reading.error.last_event_id) == ("<h1>log in</h1>", "7")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("302 Found", "and is a redirect without a Location: the body is empty; ask"),
        ("308 Permanent Redirect", "and is a redirect without a Location: the body is empty; ask"),
        ("304 Not Modified", "and nothing has changed since: the body is empty; leave If-None-Match and the like out"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_called_so(side, serve, status, words):
    server = serve(answer(b"", status=status, content_type="text/event-stream"))
    reading = side.read(client_of(server), str)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert words in str(reading.error)


def test_a_missing_content_type_raises_at_the_call(side, serve):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    reading = side.read(client_of(server), str)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert "no content type" in str(reading.error)


@pytest.mark.parametrize(
    "content_type", ["Text/Event-Stream", "text/event-stream; charset=utf-8", "text/event-stream ;x=y"]
)
def test_a_content_type_is_known_by_its_media_type(side, content_type):
    assert side.read(fakes.client_of(b"data: a\n\n", content_type), str).items == ["a"]


def test_an_empty_answer_is_an_empty_stream(side, serve):
    server = serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    reading = side.read(client_of(server), str)
    assert (reading.items, reading.error) == ([], None)


def test_a_refused_connection_raises_at_the_call(side, free_tcp_port):
    reading = side.read(api.APIClient(base_url=f"http://127.0.0.1:{free_tcp_port}"), str)
    assert isinstance(reading.error, api.TransportError)
    assert isinstance(reading.error.__cause__, httpx2.ConnectError)
    assert reading.stream is None


def test_an_item_that_does_not_fit_raises_after_those_before_it(side, serve):
    server = serve(
        EVENT_STREAM
        + chunk(b'data: {"text": "a", "id": 1}\n\nevent: token\nid: 7\ndata: {"text": "b"}\n\ndata: {"text": "c"}\n\n')
    )
    reading = side.read(client_of(server), Token)
    assert reading.items == [Token(text="a", id=1)]
    error = reading.error
    assert isinstance(error, api.StreamDecodeError)
    assert error.event == api.ServerSentEvent('{"text": "b"}', "token", "7")
    assert error.validation_error.errors()[0]["loc"] == ("id",)
    assert error.__cause__ is error.validation_error
    assert error.items_received == 1
    assert error.last_event_id == "7"
    assert str(error) == (
        f'GET {server.url}/: event 2 (\'token\') of the stream is not Token: id: Field required: {{"text": "b"}}'
    )
    server.wait_until_closed()


def test_an_event_that_is_too_large_raises_after_those_before_it(side, serve):
    server = serve(EVENT_STREAM + chunk(b"data: a\n\ndata: " + b"x" * 1000))
    reading = side.read(client_of(server), str, max_event_size=100)
    assert reading.items == ["a"]
    assert isinstance(reading.error, api.EventTooLarge)
    assert reading.error.max_event_size == 100
    assert reading.error.items_received == 1
    assert "max_event_size" in str(reading.error)
    server.wait_until_closed()


async def close_midway(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"id: 5\ndata: a\n\ndata: cut"))
    connection.close()


async def reset_midway(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"id: 5\ndata: a\n\ndata: cut"))
    await connection.reader.readexactly(1)
    connection.reset()


async def break_a_chunk(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"id: 5\ndata: a\n\n") + b"not a number\r\n")
    await connection.until_client_closes()


async def stop_short_of_the_length(connection: Connection) -> None:
    await connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000\r\n\r\nid: 5\ndata: a\n\n"
    )
    connection.close()


@pytest.mark.parametrize("handler", [close_midway, break_a_chunk, stop_short_of_the_length])
def test_a_stream_cut_short_raises_after_what_came(side, serve, handler):
    server = serve(handler)
    reading = side.read(client_of(server), str)
    assert reading.items == ["a"]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert reading.error.items_received == 1
    assert reading.error.last_event_id == "5"
    assert isinstance(reading.error.__cause__, httpx2.RequestError)
    assert "cut short after 1 item:" in str(reading.error)
    server.wait_until_closed()


def test_a_reset_connection_raises_after_what_came(side, serve):
    received = threading.Event()

    async def reset_after_receipt(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: a\n\n"))
        await asyncio.to_thread(received.wait, 10)
        connection.reset()

    client = client_of(serve(reset_after_receipt))
    if side.is_sync:
        stream = side.call(client, Iterator[str], streaming_response=True)
        assert next(stream) == "a"
        received.set()
        with pytest.raises(api.StreamInterrupted):
            next(stream)
        return

    @client.get("/", streaming_response=True)
    async def stream_text(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
        return result

    async def main() -> None:
        stream = await stream_text()
        assert await anext(stream) == "a"
        received.set()
        with pytest.raises(api.StreamInterrupted):
            await anext(stream)

    side.run(main)


async def send_one_and_wait(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"data: a\n\n"))
    await connection.until_client_closes()


def test_a_stream_without_a_byte_for_idle_timeout_is_interrupted(side, serve):
    server = serve(send_one_and_wait)
    reading = side.read(client_of(server), str, idle_timeout=0.5)
    assert reading.items == ["a"]
    assert isinstance(reading.error, api.StreamInterrupted)
    assert isinstance(reading.error.__cause__, httpx2.ReadTimeout)
    assert "0.5 s" in str(reading.error)
    server.wait_until_closed()


def test_an_answer_that_does_not_begin_within_idle_timeout_is_interrupted(side, serve):
    server = serve(Connection.until_client_closes)
    reading = side.read(client_of(server), str, idle_timeout=0.1)
    assert isinstance(reading.error, api.StreamInterrupted)
    assert reading.stream is None
    server.wait_until_closed()


def test_a_quiet_stream_outlasts_the_read_timeout(side, serve):
    async def pause(connection: Connection) -> None:
        await asyncio.sleep(0.2)
        await connection.send(EVENT_STREAM)
        await asyncio.sleep(0.2)
        await connection.send(chunk(b"data: a\n\n") + END)

    server = serve(pause)
    reading = side.read(api.APIClient(base_url=server.url, timeout=httpx2.Timeout(5, read=0.05)), str)
    assert reading.items == ["a"]
    assert reading.error is None


def test_a_stream_that_was_read_gives_its_connection_back(side, serve):
    server = serve(events("a"))
    client = client_of(server)
    if side.is_sync:
        for _ in range(3):
            assert list(side.call(client, Iterator[str], streaming_response=True)) == ["a"]
    else:

        @client.get("/", streaming_response=True)
        async def stream(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
            return result

        async def main() -> None:
            for _ in range(3):
                assert [item async for item in await stream()] == ["a"]

        side.run(main)
    assert len(server.requests) == 3
    assert server.connections == 1


def pausing(released: threading.Event, *, before: bytes, after: bytes) -> Handler:
    """Send a stream in two parts, the second when it is released."""

    async def send(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + before)
        await asyncio.to_thread(released.wait, 10)
        await connection.send(after)

    return send


class TestSynchronousStreams:
    @pytest.fixture
    def server(self, serve):
        return serve(send_one_and_wait)

    @pytest.fixture
    def stream_events(self, server):
        @client_of(server).get("/", streaming_response=True)
        def stream_events(*, result: Iterator[str]) -> Iterator[str]:
            return result

        return stream_events

    def test_a_stream_is_an_iterator_and_a_context_manager(self, stream_events, server):
        with stream_events() as stream:
            assert isinstance(stream, api.Stream)
            assert iter(stream) is stream
            assert isinstance(stream.response, httpx2.Response)
            assert stream.response.status_code == 200
            assert next(stream) == "a"
        server.wait_until_closed()
        assert list(stream) == []

    def test_breaking_out_closes_the_connection(self, stream_events, server):
        for _ in stream_events():
            break
        server.wait_until_closed()

    def test_an_error_in_the_loop_closes_the_connection(self, stream_events, server):
        with pytest.raises(ZeroDivisionError):
            for _ in stream_events():
                raise ZeroDivisionError
        gc.collect()
        server.wait_until_closed()

    def test_closing_early_closes_the_connection_and_ends_the_iteration(self, stream_events, server):
        stream = stream_events()
        stream.close()
        server.wait_until_closed()
        stream.close()
        assert next(stream, None) is None

    def test_a_stream_whose_response_was_closed_by_somebody_else_is_interrupted(self, stream_events):
        stream = stream_events()
        stream.response.close()
        with pytest.raises(api.StreamInterrupted, match="the response has been closed"):
            list(stream)

    def test_dropping_an_unread_stream_closes_the_connection(self, stream_events, server):
        stream_events()
        server.wait_until_closed()

    def test_dropping_the_client_closes_idle_connections(self, serve):
        server = serve(answer(b"1"))

        def call() -> None:
            @client_of(server).get("/")
            def get(*, result: int) -> int:
                return result

            assert get() == 1

        call()
        gc.collect()
        server.wait_until_closed()

    def test_an_error_in_the_body_closes_the_connection(self, serve):
        server = serve(send_one_and_wait)

        @client_of(server).get("/", streaming_response=True)
        def failing(*, result: Iterator[str]) -> str:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            failing()
        server.wait_until_closed()

    def test_a_stream_outlives_its_client(self, serve):
        received = threading.Event()
        send_after_receipt = pausing(received, before=chunk(b"data: a\n\n"), after=chunk(b"data: b\n\n") + END)

        def open_stream() -> Iterator[str]:
            @client_of(serve(send_after_receipt)).get("/", streaming_response=True)
            def stream(*, result: Iterator[str]) -> Iterator[str]:
                return result

            return stream()

        stream = open_stream()
        assert next(stream) == "a"
        gc.collect()
        received.set()
        assert list(stream) == ["b"]

    def test_a_second_reader_is_refused_and_the_first_reads_on(self, serve):
        release = threading.Event()
        send_after_release = pausing(release, before=b"", after=chunk(b"data: a\n\n") + END)

        @client_of(serve(send_after_release)).get("/", streaming_response=True)
        def stream(*, result: Iterator[str]) -> Iterator[str]:
            return result

        opened, items = stream(), []
        reader = threading.Thread(target=lambda: items.extend(opened))
        reader.start()
        while not opened._is_read:
            pass
        with pytest.raises(RuntimeError, match="another thread is reading this stream"):
            next(opened)
        release.set()
        reader.join(10)
        assert items == ["a"]

    def test_a_fork_leaves_the_stream_to_the_parent(self, stream_events):
        stream = stream_events()
        assert next(stream) == "a"
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        while not stream._is_read:
            pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: of forks while threads run
            child = os.fork()
        if child == 0:
            stream.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert stream._is_read
        stream.close()
        reader.join(10)
        assert not reader.is_alive()

    def test_closing_in_another_thread_ends_the_waiting(self, stream_events, server):
        stream = stream_events()
        items = []
        first_came = threading.Event()

        def read() -> None:
            for item in stream:
                items.append(item)
                first_came.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert first_came.wait(10)
        while not stream._is_read:
            pass
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
        assert items == ["a"]
        server.wait_until_closed()


class TestAsynchronousStreams:
    @pytest.fixture(params=["asyncio", "uvloop", "trio"])
    def run(self, request):
        return RUNNERS[request.param]

    @pytest.fixture
    def server(self, serve):
        return serve(send_one_and_wait)

    @pytest.fixture
    def stream_events(self, server):
        @client_of(server).get("/", streaming_response=True)
        async def stream_events(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
            return result

        return stream_events

    def test_a_stream_is_an_iterator_and_a_context_manager(self, run, stream_events, server):
        async def main() -> None:
            async with await stream_events() as stream:
                assert isinstance(stream, api.AsyncStream)
                assert aiter(stream) is stream
                assert isinstance(stream.response, httpx2.Response)
                assert stream.response.status_code == 200
                assert await anext(stream) == "a"
            await closed(server)
            assert [item async for item in stream] == []

        run(main)

    def test_breaking_out_closes_the_connection(self, run, stream_events, server):
        async def main() -> None:
            async for _ in await stream_events():
                break
            await closed(server)

        run(main)

    def test_an_error_in_the_loop_closes_the_connection(self, run, stream_events, server):
        async def main() -> None:
            with pytest.raises(ZeroDivisionError):
                async for _ in await stream_events():
                    raise ZeroDivisionError
            gc.collect()
            await closed(server)

        run(main)

    def test_closing_early_closes_the_connection_and_ends_the_iteration(self, run, stream_events, server):
        async def main() -> None:
            stream = await stream_events()
            await stream.aclose()
            await closed(server)
            await stream.aclose()
            assert await anext(stream, None) is None

        run(main)

    def test_a_stream_outlives_its_client(self, run, serve):
        received = threading.Event()
        send_after_receipt = pausing(received, before=chunk(b"data: a\n\n"), after=chunk(b"data: b\n\n") + END)

        async def open_stream() -> AsyncIterator[str]:
            @client_of(serve(send_after_receipt)).get("/", streaming_response=True)
            async def stream(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
                return result

            return await stream()

        async def main() -> None:
            stream = await open_stream()
            assert await anext(stream) == "a"
            gc.collect()
            received.set()
            assert [item async for item in stream] == ["b"]

        run(main)

    def test_a_second_reader_is_refused_and_the_first_reads_on(self, run, serve):
        release = threading.Event()
        send_after_release = pausing(release, before=b"", after=chunk(b"data: a\n\n") + END)

        @client_of(serve(send_after_release)).get("/", streaming_response=True)
        async def stream(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
            return result

        async def main() -> None:
            opened, items = await stream(), []

            async def read() -> None:
                async for item in opened:
                    items.append(item)

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                while not opened._is_read:
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(RuntimeError, match="another task is reading this stream"):
                    await anext(opened)
                release.set()
            assert items == ["a"]

        run(main)

    @pytest.mark.parametrize("attempt", range(10))
    def test_dropping_a_stream_as_the_last_thing_keeps_what_ended_the_run(self, run, stream_events, attempt):
        async def main() -> None:
            async for _ in await stream_events():
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(main)

    def test_closing_in_another_task_ends_the_waiting(self, run, stream_events, server):
        async def main() -> None:
            stream = await stream_events()
            items = []
            first_came = anyio.Event()

            async def read() -> None:
                async for item in stream:
                    items.append(item)
                    first_came.set()

            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    group.start_soon(read)
                    await first_came.wait()
                    while not stream._is_read:
                        await anyio.lowlevel.checkpoint()
                    await stream.aclose()
            assert items == ["a"]
            await closed(server)

        run(main)

    def test_dropping_a_stream_after_a_timed_out_read_closes_the_connection(self, run, stream_events, server):
        async def main() -> None:
            stream = await stream_events()
            assert await anext(stream) == "a"
            with anyio.move_on_after(0.05) as scope:
                await anext(stream)
            assert scope.cancelled_caught
            assert server.open_connections == 1
            del stream
            gc.collect()
            await closed(server)

        run(main)

    def test_dropping_an_unread_stream_closes_the_connection(self, run, stream_events, server):
        async def main() -> None:
            await stream_events()
            await closed(server)

        run(main)


async def closed(server) -> None:
    """Wait, without holding up the event loop, until no connection is open."""
    await anyio.to_thread.run_sync(server.wait_until_closed)


def test_the_repr_of_a_stream_says_what_it_is_and_how_far_it_has_come(serve):
    server = serve(events("1", "2"))
    url = server.url.replace("//", "//ann:pw@")
    with api.APIClient(url).stream("GET", "/events?key=s3cret", int) as stream:
        next(stream)
        what = f"GET {server.url}/events?key=REDACTED, status 200"
        assert repr(stream) == f"<Stream: {what}, 1 items so far, open>"
    assert repr(stream) == f"<Stream: {what}, 1 items so far, closed>"


@pytest.mark.parametrize("failure", ["cut short", "invalid", "raised by a function"])
def test_reading_on_after_an_error_raises_again(side, serve, failure):
    def refuse(error: api.StreamDecodeError) -> None:
        raise LookupError("no more")

    async def cut_short(connection: Connection) -> None:
        await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
        connection.close()

    server = serve(cut_short if failure == "cut short" else events("1", "one", "2"))
    options = {"on_invalid": refuse} if failure == "raised by a function" else {}
    reading = side.read(api.APIClient(server.url), int, **options)
    kinds = {"cut short": api.StreamInterrupted, "invalid": api.StreamDecodeError, "raised by a function": LookupError}
    assert (reading.items, type(reading.error)) == ([1], kinds[failure])

    again: list[Exception] = []
    for _ in range(2):
        try:
            if side.is_sync:
                next(reading.stream)
            else:
                side.run(lambda: anext(reading.stream))
        except Exception as error:
            again.append(error)
    if failure == "raised by a function":
        assert "this stream has failed, with LookupError('no more'); open another one" in str(again[0])
    else:
        assert [(type(each), str(each)) for each in again] == [(kinds[failure], str(reading.error))] * 2
    assert reading.stream.response.status_code == 200


def test_a_stream_that_was_closed_has_no_more_items_after_its_end(serve):
    stream = api.APIClient(serve(events("1")).url).stream("GET", "/", int)
    stream.close()
    assert list(stream) == []


# What is read on after a failure.


@pytest.mark.parametrize(
    ("script", "cause"),
    [((1, testing.cut()), httpx2.ReadError), ((1, "no"), pydantic.ValidationError)],
)
def test_a_failure_is_told_again_with_what_it_came_of(fake, script, cause):
    fake.on("GET", "/").streams(*script)
    stream = fake.client.stream("GET", "/", int)
    assert next(stream) == 1
    for _ in range(3):
        with pytest.raises(api.StreamError) as caught:
            next(stream)
        assert isinstance(caught.value.__cause__, cause)


def test_a_body_that_cannot_be_decoded_is_not_asked_for_again(side, fake):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    fake.on("GET", "/").returns(b"no gzip", headers=headers)
    with pytest.raises(api.TransportError, match="cannot be decoded"):
        side.call(fake.client, int, retry=True)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("headers", "problem"), [({"Location": "/a"}, "names another place"), ({}, "without a Location")]
)
def test_a_status_that_redirects_nobody_is_called_so(side, fake, headers, problem):
    fake.on("GET", "/").returns(status=300, headers=headers)
    reading = side.read(fake.client, int)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert problem in str(reading.error)


@pytest.mark.parametrize("type_", [str, bytes, dict])
def test_a_redirect_that_leads_nowhere_is_no_result(side, fake, type_):
    fake.on("GET", "/").returns(status=302)
    with pytest.raises(api.HTTPStatusError, match="302"):
        side.call(fake.client, type_)
    assert side.call(fake.client, httpx2.Response).status_code == 302


def test_a_mislabelled_answer_to_a_reconnect_says_how_far_the_stream_came(side, fake):
    fake.on("GET", "/").streams(testing.event("a", id=4)).streams("b", headers={"Content-Type": "text/plain"})
    reading = side.read(fake.client, str, reconnect=True)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert (reading.error.items_received, reading.error.last_event_id) == (1, "4")


def test_json_in_place_of_whole_events_is_cured_by_reading_it_whole(side, fake):
    fake.on("GET", "/").returns({"error": "quota"})
    reading = side.read(fake.client, api.ServerSentEvent[str])
    assert "if it comes all at once, declare it without streaming_response=True" in str(reading.error)


def test_data_of_nothing_but_spaces_is_no_item(side, fake):
    fake.on("GET", "/").streams(testing.event("  ", id=1), testing.event("\n"), 1)
    assert side.read(fake.client, int).items == [1]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_opening_that_was_cancelled_says_so(fake, loop):
    fake.on("GET", "/").raises(testing.connect_timeout)

    async def main() -> None:
        pending = fake.client.astream("GET", "/", int, timeout=None)
        with anyio.move_on_after(0.01):
            await anext(pending)
        with pytest.raises(RuntimeError, match="was not opened: that has failed, or was cancelled; call it again"):
            await anext(pending)

    RUNNERS[loop](main)
