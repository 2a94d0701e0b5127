"""ASGI applications answer in process: their streams, their lifespans, their exceptions, on both sides."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import fastapi
import httpx2
import pytest
from fastapi.responses import StreamingResponse

from clientele import api, testing

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


def part(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.fixture
def told() -> list[str]:
    """What the application tells of itself."""
    return []


@pytest.fixture
def app(told) -> fastapi.FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[dict[str, str]]:
        told.append("started")
        yield {"name": "shared"}
        told.append("stopped")

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/state")
    async def state(request: fastapi.Request) -> str:
        return request.state.name

    @app.post("/echo")
    async def echo(request: fastapi.Request) -> dict[str, Any]:
        body = await request.body()
        return {"body": body.decode(), "query": str(request.query_params), "agent": request.headers["x-agent"]}

    @app.get("/broken")
    async def broken(after: int = 0) -> StreamingResponse:
        async def numbers() -> AsyncIterator[str]:
            for number in range(after):
                yield f"data: {number}\n\n"
            raise LookupError("of the application")

        return StreamingResponse(numbers(), media_type="text/event-stream")

    @app.get("/failing")
    async def failing() -> None:
        raise LookupError("of the application")

    return app


@pytest.fixture
def client() -> api.APIClient:
    return api.APIClient("http://never.example")


def test_calls_are_answered_and_the_lifespan_is_run(side, client, app, told):
    if side.is_sync:
        with testing.in_process(client, app):
            assert side.call(client, str, path="/state") == '"shared"'
            assert told == ["started"]
    else:

        async def main() -> None:
            async with testing.in_process(client, app):
                assert await client.arequest("GET", "/state", str) == '"shared"'
                assert told == ["started"]

        side.run(main)
    assert told == ["started", "stopped"]
    assert client._clients.stand_in is None


def test_transports_serve_without_anything_else(side, app):
    client = api.APIClient(
        "http://test",
        transport=testing.SyncASGITransport(app),
        async_transport=testing.ASGITransport(app),
        headers={"X-Agent": "me"},
    )
    given = {"data": iter([b"a", b"b"]), "query": {"q": "1"}}
    if side.is_sync:
        answer = client.request("POST", "/echo", dict, **given)
    else:
        answer = side.run(lambda: client.arequest("POST", "/echo", dict, **given))
    assert answer == {"body": "ab", "query": "q=1", "agent": "me"}
    client.close()


def test_an_endless_stream_is_read_as_it_is_sent(side, client, told):
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(HEAD)
        for number in itertools.count():
            told.append(number)
            await send(part(b"data: %d\n\n" % number))

    with testing.in_process(client, endless):
        if side.is_sync:
            with client.stream("GET", "/", int) as stream:
                items = list(itertools.islice(stream, 3))
        else:

            async def main() -> list[int]:
                async with client.astream("GET", "/", int) as stream:
                    return [await anext(stream) for _ in range(3)]

            items = side.run(main)
    assert items == [0, 1, 2]
    assert len(told) <= 5


@pytest.mark.parametrize(("path", "items"), [("/broken", []), ("/broken?after=2", [0, 1])])
def test_an_exception_of_the_application_comes_out_of_the_stream(side, client, app, path, items):
    with testing.in_process(client, app):
        reading = side.read(client, int, path=path)
    assert reading.items == items
    error = reading.error
    while isinstance(error, ExceptionGroup):
        [error] = error.exceptions
    assert isinstance(error, LookupError)


def test_an_exception_of_the_application_comes_out_of_the_call(side, client, app):
    with testing.in_process(client, app), pytest.raises(LookupError, match="of the application"):
        side.call(client, int, path="/failing")


class Application:
    """An application without a framework, which tells what it receives."""

    def __init__(self, told: list[str], *, listens: bool) -> None:
        self.told = told
        self.listens = listens

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"  # it has no lifespan
        try:
            await receive()
            await send(HEAD)
            await send(part(b"data: 1\n\n"))
            if self.listens:
                self.told.append((await receive())["type"])
            else:
                await anyio.sleep_forever()
        except BaseException:
            self.told.append("cancelled")
            raise
        finally:
            self.told.append("ended")


@pytest.mark.parametrize(("listens", "told"), [(True, ["http.disconnect", "ended"]), (False, ["cancelled", "ended"])])
def test_an_application_is_told_that_the_client_has_left_or_is_cancelled(side, client, listens, told):
    application = Application([], listens=listens)
    if side.is_sync:
        with testing.in_process(client, application), client.stream("GET", "/", int) as stream:
            assert next(stream) == 1
    else:

        async def main() -> None:
            async with testing.in_process(client, application), client.astream("GET", "/", int) as stream:
                assert await anext(stream) == 1

        side.run(main)
    assert application.told == told


def test_an_idle_timeout_holds(side, client):
    with testing.in_process(client, Application([], listens=True)):
        reading = side.read(client, int, idle_timeout=0.05)
    assert reading.items == [1]
    assert isinstance(reading.error, api.StreamInterrupted)


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def ends_early(scope: Any, receive: Any, send: Any) -> None:
    await send(HEAD)
    await send(part(b"data: 1\n\n"))


async def sends_too_much(scope: Any, receive: Any, send: Any) -> None:
    await send(part(b"data: 1\n\n"))


@pytest.mark.parametrize(
    ("app", "problem"),
    [
        (says_nothing, "the application sent no response: GET"),
        (ends_early, "the application ended before its response had: GET"),
        (sends_too_much, "sent a part of a body before http.response.start"),
    ],
)
def test_a_broken_application_is_told(side, client, app, problem):
    async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await app(scope, receive, send)

    with testing.in_process(client, without_lifespan):
        reading = side.read(client, int)
    assert isinstance(reading.error, RuntimeError)
    assert problem in str(reading.error)


def test_an_application_that_does_not_start_is_told(side, client):
    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    problem = r"(?s)the application failed to start: .*no database"
    with testing.in_process(client, fastapi.FastAPI(lifespan=lifespan)), pytest.raises(RuntimeError, match=problem):
        side.call(client, int)


def test_what_fails_when_nobody_waits_is_raised_at_the_end(client, caplog):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send(HEAD)
        await send(part(b"data: 1\n\n"))
        await receive()
        await receive()
        raise LookupError("behind")

    with pytest.raises(LookupError, match="behind"), testing.in_process(client, app):
        next(client.stream("GET", "/", int))
    assert [record.levelno for record in caplog.records if record.name == "clientele"] == [logging.ERROR]


def test_a_thread_ends_with_its_transport(app) -> None:
    transport = testing.SyncASGITransport(app)
    with httpx2.Client(transport=transport, base_url="http://test") as client:
        assert client.get("/state").json() == "shared"
        [thread] = _threads()
    assert not thread.is_alive()
    assert list(_threads()) == []


def _threads() -> Iterator[Any]:
    import threading

    return (thread for thread in threading.enumerate() if thread.name == "ASGI application")


def test_a_body_that_is_no_stream_is_shown(side, client):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send(part(b"<html>", more=False))

    with testing.in_process(client, app):
        reading = side.read(client, int)
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert reading.error.response.text == "<html>"


def test_a_response_counts_what_was_read(client, app):
    with testing.in_process(client, app):
        response = client.request("GET", "/state", httpx2.Response)
    assert response.num_bytes_downloaded == len(response.content)


def test_a_head_that_does_not_come_times_out(side, client):
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await anyio.sleep_forever()

    with testing.in_process(client, silent), pytest.raises(api.TransportError, match="no byte from the server"):
        side.call(client, int, timeout=0.02)
