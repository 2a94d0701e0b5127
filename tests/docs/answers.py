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
    ann = {"name": "Ann", "age": 36}
    server.on("GET", "/users/5?fields=name&fields=age").returns(ann)
    for user_id in (1, 5):
        server.on("GET", f"/users/{user_id}").returns(ann)
    server.on("PATCH", "/users/5").returns(lambda request: ann | request.body)
    server.on("GET", "/users").returns([{"name": "Ann"}, {"name": "Ben"}])
    server.on("POST", "/users").returns(_created)
    server.on("POST", "/users/5/orders?pageSize=10").returns(lambda request: request.body)
    server.on("GET", "/rates.csv").returns("EUR,1.0\nUSD,1.25\n", headers={"Content-Type": "text/csv"})
    server.on("POST", "/oauth/token").returns(_token(1)).returns(_token(2))
    server.on("GET", "/account").returns(_account)
    weather = [(12, 20.5), (13, 21.0), (14, 20.75)]
    server.on("GET", "/nothing").returns({"detail": "there is nothing"}, status=404)
    server.on("GET", "/users/7").returns({"detail": "no such user"}, status=404)
    server.on("POST", "/chat/completions").streams(*chunks, "[DONE]")
    server.on("GET", "/weather").streams(
        *({"at": f"2026-01-01T{at}:00:00Z", "celsius": celsius} for at, celsius in weather)
    )
    server.on("GET", "/archive.zip").returns(bytes(4000))
    server.on("POST", "/search").returns(lambda request: [*request.body["q"], request.body["limit"]])
    server.on("POST", "/photos").returns(lambda request: {"parts": request.content.count(b"Content-Disposition")})
    server.on("PUT", "/files/report.pdf").returns(lambda request: len(request.content))
    pages: list[dict[str, Any]] = [
        {"items": [{"text": "one"}, {"text": "two"}], "next_cursor": "after-two"},
        {"items": [{"text": "three"}]},
    ]
    server.on("GET", "/messages?cursor=after-two").returns(pages[1])
    server.on("GET", "/messages?limit=2").returns(pages[0])
    link = {"Link": '<https://api.example.com/issues?page=2>; rel="next"'}
    server.on("GET", "/issues?page=1").returns([{"title": "crash"}], headers=link)
    server.on("GET", "/issues?page=2").returns([{"title": "typo"}])
    server.on("GET", "/reports/7").returns(status=503, times=2).returns({"title": "Streams"})
    server.on("POST", "/payments").raises(testing.connection_reset()).returns(
        lambda request: {"paid": request.body["amount"]}
    )
    server.on("GET", "/prices/ACME").streams(*({"symbol": "ACME", "amount": each} for each in (10.5, 10.75))).returns(
        status=204
    )
    server.on("GET", "/prices/INIT").streams(*({"symbol": "INIT", "amount": each} for each in (3.5, 3.25))).returns(
        status=204
    )
    server.on("GET", "/prices").streams("ACME;10.50", "ACME;10.75")


def _events(request: testing.Request) -> httpx2.Response:
    """Numbered events behind the last id, as the demo server sends them; status 204 behind the last of them."""
    first = int(request.headers.get("Last-Event-ID", "0")) + 1
    count = int(request.query.get("count", "3"))  # type: ignore[arg-type]
    if first > count:
        return httpx2.Response(204)
    data = [json.dumps(_event(number), separators=(",", ":")) for number in range(first, count + 1)]
    content = "".join(f"id: {number}\ndata: {each}\n\n" for number, each in enumerate(data, first))
    return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=content.encode())


def _event(number: int) -> dict[str, Any]:
    return {"text": f"the {ORDINALS[number - 1]} event" if number <= 3 else f"event {number}", "field": number}


def _created(request: testing.Request) -> httpx2.Response:
    assert request.body == {"name": "Ann", "age": None}
    assert request.headers["X-Request-Id"] == "7"
    return httpx2.Response(201, json=request.body, headers={"Location": "/users/6"})


def _token(number: int) -> dict[str, Any]:
    return {"access_token": f"t-{number}", "token_type": "Bearer", "expires_in": 3600}


def _account(request: testing.Request) -> httpx2.Response:
    """For any token but the first, which has been revoked."""
    is_known = request.headers["Authorization"] == "Bearer t-2"
    return httpx2.Response(200, json={"name": "Ann"}) if is_known else httpx2.Response(401)
