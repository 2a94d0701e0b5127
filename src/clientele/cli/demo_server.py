"""`clientele demo-server`: a server to try the library and the commands with.

It is a plain ASGI application, so that it needs uvicorn and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs

import typer

from .serving import (
    CORS,
    HOST,
    PANEL,
    CutConnection,
    Headers,
    Receive,
    Scope,
    Send,
    header,
    is_preflight,
    respond,
    respond_preflight,
    respond_text,
    send_while_connected,
    serve,
)

HELP = """Serve streams to try things with: numbered events, JSON Lines, a chat, a log, and one that breaks off.

    clientele demo-server

    clientele stream :8000/events
"""

_ORDINALS = ("first", "second", "third")
_ANSWER = ("Streams ", "are ", "answers", ".")
_USERS = {"1": "Ann", "2": "Bob"}


@dataclass(frozen=True, slots=True)
class _Request:
    """A request, as far as the routes look at it."""

    path: re.Match[str]
    query: dict[str, list[str]]
    last_event_id: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer: its parts come one after another, with a pause before each."""

    content_type: str
    parts: AsyncIterator[bytes] | bytes
    status: int = 200


@dataclass(frozen=True, slots=True)
class _Route:
    methods: tuple[str, ...]
    path: str
    words: str
    answer: Callable[[DemoServer, _Request], _Answer]
    example: str = ""

    def match(self, path: str) -> re.Match[str] | None:
        """Whether a path is one of this route."""
        return re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path), path)


class DemoServer:
    """The ASGI application.

    Parameters:
        pause: How many seconds pass between two items.
    """

    def __init__(self, pause: float = 0.3) -> None:
        self.pause = pause

    def describe(self, url: str) -> str:
        """What is served, under this URL."""
        width = max(len(f"{route.methods[0]} {route.path}") for route in _ROUTES)
        served = [f"  {f'{route.methods[0]} {route.path}':<{width}}  {route.words}" for route in _ROUTES]
        examples = [f"  clientele stream {route.example.format(url=url)}" for route in _ROUTES if route.example]
        try_them = "Try, in another terminal:"
        return "\n".join([f"Serving on {url}. Press Ctrl-C to stop.", "", *served, "", try_them, *examples])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if is_preflight(scope):
            await respond_preflight(send)
            return
        host = header(scope, "Host") or "localhost"
        found = [(route, match) for route in _ROUTES if (match := route.match(scope["path"]))]
        allowed = [(route, match) for route, match in found if scope["method"] in route.methods]
        if not allowed:
            is_start = scope["path"] == "/"
            methods = ", ".join(method for route, _ in found for method in route.methods)
            headers: Headers = [(b"allow", methods.encode())] if found else []
            status = 200 if is_start else 405 if found else 404
            await respond_text(send, status, self.describe(f"http://{host}") + "\n", headers)
            return
        route, match = allowed[0]
        body = await _read_body(receive)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        answer = route.answer(self, _Request(match, query, header(scope, "Last-Event-ID"), body))
        head: Headers = [(b"content-type", answer.content_type.encode()), (b"cache-control", b"no-store")]
        if isinstance(answer.parts, bytes):
            await respond(send, answer.status, head, answer.parts)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": [*head, *CORS]})
        await send_while_connected(receive, _send_parts(send, answer.parts))

    async def _paced(self, *parts: str) -> AsyncIterator[bytes]:
        for part in parts:
            await asyncio.sleep(self.pause)
            yield part.encode()


def _events(server: DemoServer, request: _Request) -> _Answer:
    """As many events as `?count=` says, 3 unless said, behind the `Last-Event-ID`; status 204 behind the last."""
    count, start = _number(request.query.get("count", [""])[0], len(_ORDINALS)), _number(request.last_event_id, 0)
    if start >= count:
        return _Answer("text/event-stream", b"", 204)
    return _Answer("text/event-stream", _numbered(server, start, count))


def _ticks(server: DemoServer, request: _Request) -> _Answer:
    return _Answer("text/event-stream", _numbered(server, _number(request.last_event_id, 0), None))


async def _numbered(server: DemoServer, start: int, count: int | None) -> AsyncIterator[bytes]:
    number = start
    while count is None or number < count:
        await asyncio.sleep(server.pause)
        name = f"the {_ORDINALS[number]} event" if number < len(_ORDINALS) else f"event {number + 1}"
        number += 1
        yield _event({"text": name}, event_id=number).encode()


def _lines(server: DemoServer, request: _Request) -> _Answer:
    readings = [{"sensor": "roof", "celsius": each} for each in (20.5, 20.75, 21.0)]
    return _Answer("application/x-ndjson", server._paced(*(f"{json.dumps(each)}\n" for each in readings)))


def _log(server: DemoServer, request: _Request) -> _Answer:
    lines = server._paced("build started\n", "warning: old option\n", "build done\n")
    return _Answer("text/plain; charset=utf-8", lines)


def _chat(server: DemoServer, request: _Request) -> _Answer:
    """An answer in the manner of OpenAI: a stream if the question says `"stream": true`, else complete JSON."""
    try:
        question = json.loads(request.body or b"{}")
    except ValueError:
        return _Answer("application/json", b'{"error": {"message": "the body is no JSON"}}', 400)
    if not isinstance(question, dict) or not question.get("stream", False):
        message = {"role": "assistant", "content": "".join(_ANSWER)}
        return _Answer("application/json", json.dumps({"choices": [{"index": 0, "message": message}]}).encode())
    chunks = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in _ANSWER]
    return _Answer("text/event-stream", server._paced(*map(_event, chunks), "data: [DONE]\n\n"))


def _user(server: DemoServer, request: _Request) -> _Answer:
    user_id = request.path["user_id"]
    if user_id not in _USERS:
        return _Answer("application/json", json.dumps({"detail": f"there is no user {user_id}"}).encode(), 404)
    return _Answer("application/json", json.dumps({"id": int(user_id), "name": _USERS[user_id]}).encode())


def _broken(server: DemoServer, request: _Request) -> _Answer:
    async def parts() -> AsyncIterator[bytes]:
        async for part in server._paced(_event({"text": "whole"}, event_id=1), 'data: {"text": "bro'):
            yield part
        raise CutConnection

    return _Answer("text/event-stream", parts())


_ROUTES = (
    _Route(
        ("GET", "POST", "PUT", "PATCH", "DELETE"),
        "/events",
        "numbered events, 3 or ?count=, resumed by Last-Event-ID",
        _events,
        "{url}/events",
    ),
    _Route(("GET",), "/ticks", "the same without an end", _ticks, "{url}/ticks --for 5s --rate"),
    _Route(("GET",), "/lines", "JSON Lines", _lines, "{url}/lines --select '$.celsius'"),
    _Route(("GET",), "/log", "lines of text", _log),
    _Route(
        ("POST",),
        "/v1/chat/completions",
        "a chat, streamed or complete",
        _chat,
        "{url}/v1/chat/completions --json '{{\"stream\": true}}' --until '[DONE]'",
    ),
    _Route(("GET",), "/users/{user_id}", "a complete answer in JSON: users 1 and 2", _user),
    _Route(("GET",), "/broken", "a stream that is cut within an event", _broken, "{url}/broken"),
)


def demo_server(
    *,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            help="The port to listen on; 0 for a free one.",
            rich_help_panel=PANEL,
        ),
    ] = 8000,
    host: HOST = "127.0.0.1",
) -> None:
    """Serve streams to try things with."""
    server = DemoServer()
    serve(server, host, port, server.describe)


async def _send_parts(send: Send, parts: AsyncIterator[bytes]) -> None:
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,9}", text) else default


def _event(data: Any, event_id: int | None = None) -> str:
    return ("" if event_id is None else f"id: {event_id}\n") + f"data: {json.dumps(data)}\n\n"
