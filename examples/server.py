"""The server that the examples talk to: FastAPI, with its own `EventSourceResponse`, and in the manner of other APIs.

Run by itself it listens where the examples look for it: `python examples/server.py`, then, in another terminal,
`python examples/typed_events.py`.
"""

import asyncio
import collections.abc
import email
import email.policy
import json
import os
import typing
import urllib.parse

import fastapi
import fastapi.responses
import fastapi.sse
import pydantic
import uvicorn

PAUSE = float(os.environ.get("EXAMPLES_PAUSE", "0.15"))
"""How long the server takes between events, in seconds."""

WORDS = "An endpoint is a typed function , and its items arrive one by one .".split()

ANSWER = ["Streams ", "are ", "answers."]

app = fastapi.FastAPI()


class Event(pydantic.BaseModel):
    text: str
    field: int


class Token(pydantic.BaseModel):
    text: str
    id: int


@app.api_route(
    "/events",
    methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
    response_class=fastapi.sse.EventSourceResponse,
)
async def events() -> collections.abc.AsyncIterable[Event]:
    for number, text in enumerate(["first", "second", "third"], start=1):
        await asyncio.sleep(PAUSE)
        yield Event(text=f"the {text} event", field=number)


@app.get("/stream", response_class=fastapi.sse.EventSourceResponse)
async def stream() -> collections.abc.AsyncIterable[Token]:
    for number, word in enumerate(WORDS, start=1):
        await asyncio.sleep(PAUSE)
        yield Token(text=word, id=number)


@app.post("/v1/chat/completions")
async def chat_completions(request: fastapi.Request) -> fastapi.responses.Response:
    """Chunks as OpenAI sends them: unnamed events, and a last one that is not JSON; for one question an error."""
    breaks = "breaks" in (await request.body()).decode()

    async def events() -> collections.abc.AsyncIterator[str]:
        yield event({"id": "chat-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]})
        for word in ANSWER:
            await asyncio.sleep(PAUSE)
            yield event({"id": "chat-1", "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
            if breaks:
                yield event({"error": {"message": "the model is overloaded", "type": "server_error"}})
                return
        yield event({"id": "chat-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield "data: [DONE]\n\n"

    return fastapi.responses.StreamingResponse(events(), media_type="text/event-stream")


@app.post("/v1/messages")
async def messages() -> fastapi.responses.Response:
    """A message as Anthropic sends it: the name of an event says what its data is."""

    async def events() -> collections.abc.AsyncIterator[str]:
        yield event({"type": "message_start", "message": {"id": "msg-1", "model": "a-model"}}, "message_start")
        yield event({"type": "ping"}, "ping")
        for word in ANSWER:
            await asyncio.sleep(PAUSE)
            delta = {"type": "text_delta", "text": word}
            yield event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
        yield event({"type": "message_stop"}, "message_stop")

    return fastapi.responses.StreamingResponse(events(), media_type="text/event-stream")


@app.get("/v2/stream/recentchange")
async def recent_changes(
    last_event_id: typing.Annotated[int | None, fastapi.Header()] = None,
) -> fastapi.responses.Response:
    """Changes as Wikimedia sends them: with ids, comments in between, and from where the client was."""

    async def events() -> collections.abc.AsyncIterator[str]:
        yield ": ok\n\n"
        for number in range(0 if last_event_id is None else last_event_id + 1, 5):
            await asyncio.sleep(PAUSE)
            yield f"id: {number}\n" + event({"title": f"Page {number}", "user": "Ann"})

    return fastapi.responses.StreamingResponse(events(), media_type="text/event-stream")


@app.post("/api/generate")
async def generate() -> fastapi.responses.Response:
    """An answer as Ollama sends it: a JSON document on each line."""

    async def lines() -> collections.abc.AsyncIterator[str]:
        for word in ANSWER:
            await asyncio.sleep(PAUSE)
            yield json.dumps({"response": word, "done": False}) + "\n"
        yield json.dumps({"response": "", "done": True, "eval_count": len(ANSWER)}) + "\n"

    return fastapi.responses.StreamingResponse(lines(), media_type="application/x-ndjson")


@app.get("/api/v1/namespaces/{namespace}/pods")
async def watch_pods(namespace: str) -> fastapi.responses.Response:
    """A watch as Kubernetes sends it: JSON Lines that are called JSON."""

    async def lines() -> collections.abc.AsyncIterator[str]:
        for kind, phase in (("ADDED", "Pending"), ("MODIFIED", "Running"), ("DELETED", "Succeeded")):
            await asyncio.sleep(PAUSE)
            pod = {"metadata": {"name": "web-1", "namespace": namespace}, "status": {"phase": phase}}
            yield json.dumps({"type": kind, "object": pod}) + "\n"

    return fastapi.responses.StreamingResponse(lines(), media_type="application/json")


@app.post("/v1beta/models/{model}:streamGenerateContent")
async def stream_generate_content(model: str) -> fastapi.responses.Response:
    """An answer as Gemini's REST API sends it: one JSON array, element by element."""

    async def elements() -> collections.abc.AsyncIterator[str]:
        separator = "["
        for word in ANSWER:
            await asyncio.sleep(PAUSE)
            answer = {"candidates": [{"content": {"parts": [{"text": word}]}}], "modelVersion": model}
            yield separator + json.dumps(answer, indent=2)
            separator = "\n,\r\n"
        yield "\n]\n"

    return fastapi.responses.StreamingResponse(elements(), media_type="application/json")


@app.get("/readings")
async def readings() -> fastapi.responses.Response:
    """A JSON text sequence, one text of which was broken off."""

    async def texts() -> collections.abc.AsyncIterator[str]:
        for text in ('{"celsius": 20.5}\n', '{"cels', '{"celsius": 21.0}\n'):
            await asyncio.sleep(PAUSE)
            yield "\x1e" + text

    return fastapi.responses.StreamingResponse(texts(), media_type="application/json-seq")


@app.get("/builds/{build}/log")
async def build_log(build: int) -> fastapi.responses.Response:
    """Lines of text."""

    async def lines() -> collections.abc.AsyncIterator[str]:
        for line in (f"build {build}: started", "warning: deprecated option", f"build {build}: done"):
            await asyncio.sleep(PAUSE)
            yield line + "\n"

    return fastapi.responses.StreamingResponse(lines(), media_type="text/plain")


@app.get("/speech")
async def speech() -> fastapi.responses.Response:
    """Bytes that are no text."""

    async def pieces() -> collections.abc.AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(PAUSE)
            yield bytes(1000)

    return fastapi.responses.StreamingResponse(pieces(), media_type="audio/pcm")


@app.get("/prices")
async def prices() -> fastapi.responses.Response:
    """Events whose data is neither JSON nor plain text; one of them is damaged."""

    async def events() -> collections.abc.AsyncIterator[str]:
        for data in ("ACME;10.50", "ACME;?", "ACME;10.75"):
            await asyncio.sleep(PAUSE)
            yield f"data: {data}\n\n"

    return fastapi.responses.StreamingResponse(events(), media_type="text/event-stream")


@app.post("/mcp")
async def mcp(request: fastapi.Request) -> fastapi.responses.Response:
    """Answers as a server of the Model Context Protocol gives them: as JSON, or as a stream with its progress."""
    call = await request.json()
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 0.5}}
    answer = {"jsonrpc": "2.0", "id": call["id"], "result": {"tools": ["add", "search"]}}
    if call["method"] == "tools/list":
        return fastapi.responses.JSONResponse(answer)

    async def events() -> collections.abc.AsyncIterator[str]:
        yield event(progress)
        await asyncio.sleep(PAUSE)
        yield event(answer | {"result": {"found": 2}})

    return fastapi.responses.StreamingResponse(events(), media_type="text/event-stream")


@app.get("/users/{user_id}")
async def get_user(user_id: int) -> fastapi.responses.Response:
    """A user, or what there is to say about there being none."""
    if user_id == 1:
        return fastapi.responses.JSONResponse({"name": "Ann"})
    return fastapi.responses.JSONResponse({"detail": f"there is no user {user_id}"}, status_code=404)


@app.post("/oauth/token")
async def token(request: fastapi.Request) -> fastapi.responses.Response:
    """A token, for a client that says its secret in a form."""
    form = dict(urllib.parse.parse_qsl((await request.body()).decode()))
    if form.get("client_secret") != "my-secret":
        return fastapi.responses.JSONResponse({"error": "invalid_client"}, status_code=401)
    return fastapi.responses.JSONResponse({"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 3600})


@app.get("/account")
async def account(authorization: typing.Annotated[str, fastapi.Header()]) -> dict[str, str]:
    """What a token opens."""
    return {"name": "Ann"} if authorization == "Bearer t0k3n" else {"error": "invalid_token"}


@app.post("/uploads")
async def upload(request: fastapi.Request) -> dict[str, str | int]:
    """What came in a form with a title and a file."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + await request.body(), policy=email.policy.HTTP)
    title, file = form.iter_parts()
    return {"title": title.get_content(), "size": len(file.get_content())}


@app.get("/orders")
async def orders() -> fastapi.responses.Response:
    """A problem as RFC 9457 has it."""
    problem = {"title": "Out of credit", "detail": "Your balance is 30, but that costs 50.", "balance": 30}
    return fastapi.responses.JSONResponse(problem, status_code=403, media_type="application/problem+json")


def event(data: object, name: str | None = None) -> str:
    """A server-sent event with JSON for its data."""
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8000)
