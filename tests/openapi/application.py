"""A FastAPI application with streams and parameters of every kind, for packages to be generated from."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import Body, Cookie, Depends, FastAPI, File, Form, Header, HTTPException, Path, Query, Response, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

app = FastAPI(title="Everything", version="1.0")


class Item(BaseModel):
    """Something on sale."""

    name: str
    price: float | None = None
    tags: list[str] = Field(default_factory=list)


class Delta(BaseModel):
    type: Literal["delta"] = "delta"
    text: str


class Done(BaseModel):
    type: Literal["done"] = "done"
    reason: str


class Prompt(BaseModel):
    text: str
    stream: bool = False


class Problem(BaseModel):
    detail: str


ITEMS = [Item(name="a", price=1), Item(name="ü", tags=["x"]), Item(name="c")]


@app.get("/sse/items", response_class=EventSourceResponse)
async def sse_items(last_event_id: Annotated[int | None, Header()] = None) -> AsyncIterator[Item]:
    for item in ITEMS[last_event_id or 0 :]:
        yield item


@app.get("/sse/sync", response_class=EventSourceResponse)
def sse_sync() -> Iterator[Item]:
    yield from ITEMS


@app.get("/sse/events", response_class=EventSourceResponse)
async def sse_events() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(data={"n": 1}, event="tick", id="1")
    yield ServerSentEvent(data="two", event="tock", id="2", retry=50)


@app.post("/sse/chat", response_class=EventSourceResponse)
async def sse_chat(prompt: Prompt) -> AsyncIterator[Annotated[Delta | Done, Field(discriminator="type")]]:
    for word in prompt.text.split():
        yield Delta(text=word)
    yield Done(reason="stop")


@app.get("/sse/str", response_class=EventSourceResponse)
async def sse_str() -> AsyncIterator[str]:
    yield "one"
    yield 'a "quoted" one'


@app.get("/jsonl/items")
async def jsonl_items() -> AsyncIterator[Item]:
    for item in ITEMS:
        yield item


@app.get("/jsonl/union")
def jsonl_union() -> Iterator[Delta | Done]:
    yield Delta(text="a")
    yield Done(reason="b")


@app.get("/jsonl/untyped")
async def jsonl_untyped() -> AsyncIterator[dict[str, Any]]:
    yield {"a": 1}


@app.get("/raw/lines")
async def raw_lines() -> Any:
    return StreamingResponse(iter(["one\n", "two\n"]), media_type="text/plain")


EITHER = {200: {"content": {"text/event-stream": {}}}}


@app.post("/either", responses=EITHER, response_model=Item)
async def either(prompt: Prompt) -> Any:
    if not prompt.stream:
        return Item(name=prompt.text)
    events = (f"data: {json.dumps({'name': word})}\n\n" for word in prompt.text.split())
    return StreamingResponse(events, media_type="text/event-stream")


@app.put("/items/{item_id}/{kind:path}", responses={404: {"model": Problem}}, tags=["items"])
async def put_item(
    item_id: int,
    kind: str,
    item: Item,
    q: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100, description="How many.")] = 10,
    tags: Annotated[list[str] | None, Query()] = None,
    page_size: Annotated[int, Query(alias="pageSize")] = 5,
    x_token: Annotated[str | None, Header()] = None,
    session: Annotated[str | None, Cookie()] = None,
) -> dict[str, Any]:
    """Put an item where it belongs."""
    if item_id == 404:
        raise HTTPException(404, "no such item")
    return {**locals(), "item": item.model_dump(exclude_unset=True)}


@app.patch("/items/{item_id}", status_code=202)
async def patch_item(item_id: int, item: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    return item


@app.delete("/items/{item_id}", status_code=204)
async def delete_item(item_id: int) -> None:
    pass


@app.post("/forms")
async def send_form(name: Annotated[str, Form()], age: Annotated[int, Form()] = 0) -> dict[str, Any]:
    return {"name": name, "age": age}


@app.post("/files")
async def send_files(
    file: UploadFile, more: Annotated[list[UploadFile] | None, File()] = None, note: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    sizes = [len(await each.read()) for each in [file, *(more or [])]]
    return {"sizes": sizes, "name": file.filename, "note": note}


@app.post("/bodies")
async def send_two(item: Item, prompt: Annotated[Prompt, Body()], count: Annotated[int, Body()] = 1) -> dict[str, Any]:
    return {"item": item.name, "prompt": prompt.text, "count": count}


@app.get("/text", response_class=PlainTextResponse)
async def text() -> str:
    return "plain"


@app.get("/bytes", response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}})
async def some_bytes() -> Response:
    return Response(b"\x00\xff", media_type="application/octet-stream")


class Filters(BaseModel):
    low: int = 0
    names: list[str] = []


@app.get("/filtered")
async def filtered(filters: Annotated[Filters, Query()]) -> Filters:
    return filters


@app.get("/secret")
async def secret(
    token: Annotated[Any, Depends(HTTPBearer(auto_error=False))],
    key: Annotated[str | None, Depends(APIKeyHeader(name="X-Key", auto_error=False))],
) -> dict[str, str | None]:
    return {"token": token and token.credentials, "key": key}


@app.get("/import/{class}")
async def keywords(
    class_: Annotated[str, Path(alias="class")], from_: Annotated[str, Query(alias="from")] = "y"
) -> dict[str, str]:
    return {"class": class_, "from": from_}
