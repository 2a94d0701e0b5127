"""What the servers answer that the pages of the documentation call."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from clientele import testing

ORDINALS = ("first", "second", "third")
WORDS = ("Streams ", "are ", "answers.")


def answer(server: testing.FakeServer) -> None:
    """Let a fake server answer as the pages say."""
    log = testing.Log(_event(number) for number in range(1, 21))
    server.on("GET", "/events?count=20").streams(log[:5], testing.cut()).streams(log).returns(status=204)
    server.on("GET", "/events").returns(_events)
    chunks = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS]
    server.on("POST", "/v1/chat/completions").streams(*chunks, "[DONE]")
    named = testing.event({"tokens": 3}, event="usage"), testing.event("overloaded", event="error")
    server.on("GET", "/named").streams(testing.event({"text": "hello"}, event="delta"), *named)
    server.on("GET", "/readings").streams("20.5", "broken", "21.0")
    server.on("GET", "/prices").streams("ACME;10.50", "ACME;10.75")


def _events(request: testing.Request) -> httpx2.Response:
    """Numbered events behind the last id, as the demo server sends them; status 204 behind the last of them."""
    first = int(request.headers.get("Last-Event-ID", "0")) + 1
    if first > 3:
        return httpx2.Response(204)
    data = [json.dumps(_event(number), separators=(",", ":")) for number in range(first, 4)]
    content = "".join(f"id: {number}\ndata: {each}\n\n" for number, each in enumerate(data, first))
    return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=content.encode())


def _event(number: int) -> dict[str, Any]:
    return {"text": f"the {ORDINALS[number - 1]} event" if number <= 3 else f"event {number}", "field": number}
