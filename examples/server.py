"""The server that the examples talk to: FastAPI with its own `EventSourceResponse`.

Run by itself it listens where the examples look for it: `python examples/server.py`, then, in another terminal,
`python examples/typed_events.py`.
"""

import asyncio
import collections.abc
import os

import fastapi
import fastapi.sse
import pydantic
import uvicorn

PAUSE = float(os.environ.get("EXAMPLES_PAUSE", "0.15"))
"""How long the server takes between events, in seconds."""

WORDS = "An endpoint is a typed function , and its items arrive one by one .".split()

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


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8000)
