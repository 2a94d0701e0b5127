"""A recording as an ASGI application: the recorded methods and paths get the recorded answers, as fast as then."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

import httpx2

from ..testing.recording import Exchange
from ..testing.replaying import behind
from .serving import (
    CORS,
    CutConnection,
    Headers,
    Receive,
    Scope,
    Send,
    header,
    is_preflight,
    respond_preflight,
    respond_text,
    send_while_connected,
)

_OF_CONNECTION = ("connection", "keep-alive", "content-length", "content-encoding", "transfer-encoding", "date")
_COMPLETE = ("complete", "left")
_WITHOUT_BODY = (204, 304)


class RecordedServer:
    """Answers as recorded.

    Of several exchanges with the same method and path, one with the same query and `Last-Event-ID` is taken, if there
    is one; else they take turns. To a `Last-Event-ID` that was not recorded it sends what is behind that event.

    Parameters:
        exchanges: What was recorded.
        speed: How many times as fast the answers come.
    """

    def __init__(self, exchanges: list[Exchange], speed: float) -> None:
        self._exchanges = [each for each in exchanges if each.response is not None]
        self._speed = speed
        self._turns: dict[int, int] = {}  # how often each exchange was played

    def describe(self, url: str) -> str:
        """What is served, under this URL."""
        lines = [f"  {method} {url}{path}" for method, path in self._recorded()]
        example = next((f"clientele stream {url}{path}" for method, path in self._recorded() if method == "GET"), "")
        return "\n".join(["Serving the recording. Press Ctrl-C to stop.", *lines, *([example] if example else [])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if is_preflight(scope):
            await respond_preflight(send)
            return
        target = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        of_path = [each for each in self._exchanges if _path(each) == scope["path"]]
        of_method = [each for each in of_path if each.request["method"] == scope["method"]]
        if not of_method:
            recorded = "".join(f"  {method} {path}\n" for method, path in self._recorded())
            text = f"{scope['method']} {target} is not recorded. What is recorded:\n{recorded}"
            allowed = ", ".join(sorted({each.request["method"] for each in of_path}))
            headers: Headers = [(b"allow", allowed.encode())] if of_path else []
            await respond_text(send, 405 if of_path else 404, text, headers)
            return
        event_id = header(scope, "Last-Event-ID")
        exchange = self._chosen(of_method, scope["query_string"].decode("latin-1"), event_id)
        is_resumed = event_id is not None and _event_id(exchange) != event_id
        await send_while_connected(receive, self._play(exchange, send, event_id if is_resumed else None))

    def _chosen(self, candidates: list[Exchange], query: str, event_id: str | None) -> Exchange:
        candidates = [each for each in candidates if _query(each) == query] or candidates
        candidates = [each for each in candidates if _event_id(each) == event_id] or candidates
        chosen = min(candidates, key=lambda each: self._turns.get(id(each), 0))
        self._turns[id(chosen)] = self._turns.get(id(chosen), 0) + 1
        return chosen

    async def _play(self, exchange: Exchange, send: Send, event_id: str | None) -> None:
        """Send an answer; only what is behind the event with this id, if one is given."""
        assert exchange.response is not None
        began = asyncio.get_running_loop().time()
        status: int = exchange.response["status"]
        headers = [
            (name.encode("latin-1", "replace"), value.encode("utf-8"))
            for name, value in exchange.response["headers"].items()
            if name.lower() not in _OF_CONNECTION and not name.lower().startswith("access-control-")
        ]
        start = behind(b"".join(chunk for _, chunk in exchange.chunks), event_id) if event_id else 0
        skipped = 0.0  # seconds that the events took which are left out

        async def wait_until(at: float) -> None:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, began + (at - skipped) / self._speed - loop.time()))

        await wait_until(exchange.at[0] if exchange.at else 0.0)
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *CORS]})
        place = 0
        for at, chunk in exchange.chunks:
            part = chunk[max(0, start - place) :]
            place += len(chunk)
            if not part:
                skipped = at - (exchange.at[0] if exchange.at else 0.0)
                continue
            await wait_until(at)
            if status not in _WITHOUT_BODY:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        if exchange.at:
            await wait_until(exchange.at[-1])
        if exchange.end not in _COMPLETE:
            raise CutConnection(exchange.end)
        await send({"type": "http.response.body", "body": b""})

    def _recorded(self) -> list[tuple[str, str]]:
        """The method and the target of each exchange, each once."""
        requests = [each.request for each in self._exchanges]
        return list(dict.fromkeys((each["method"], httpx2.URL(each["url"]).raw_path.decode()) for each in requests))


def _path(exchange: Exchange) -> str:
    return unquote(httpx2.URL(exchange.request["url"]).path)


def _query(exchange: Exchange) -> str:
    return httpx2.URL(exchange.request["url"]).query.decode("latin-1")


def _event_id(exchange: Exchange) -> str | None:
    headers: dict[str, str] = exchange.request["headers"]
    return next((value for name, value in headers.items() if name.lower() == "last-event-id"), None)
