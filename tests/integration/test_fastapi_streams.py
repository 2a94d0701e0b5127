"""FastAPI's own streams, Server-Sent Events and JSON Lines, read through Clientele over sockets."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import anyio.to_thread
import fastapi
import fastapi.routing
import pydantic
import pytest
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from tests.integration.fixtures.conversations import converse, each, read, value_of
from tests.servers import WAIT, asgi_server
from tests.sides import Reading
from typing_extensions import TypedDict

from clientele import api

signals: defaultdict[str, threading.Event] = defaultdict(threading.Event)
"""What the server waits for and a test sets, under keys of the test's own."""


class Item(pydantic.BaseModel):
    name: str
    price: float | None = None


class Cleared(pydantic.BaseModel):
    kind: Literal["cleared"] = "cleared"


class ItemDict(TypedDict):
    name: str
    price: float | None


@dataclass
class ItemData:
    name: str
    price: float | None


ITEMS = [Item(name="Plumbus", price=32.99), Item(name="Grüße, 東京"), Item(name="line\nfeed\u2028")]

app = fastapi.FastAPI()


@app.api_route("/events", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], response_class=EventSourceResponse)
async def send_events() -> AsyncIterable[Item]:
    for item in ITEMS:
        yield item


@app.get("/events/sync", response_class=EventSourceResponse)
def send_events_synchronously() -> Iterable[Item]:
    yield from ITEMS


@app.get("/events/whole", response_class=EventSourceResponse)
async def send_whole_events() -> AsyncIterable[ServerSentEvent]:
    yield ServerSentEvent(comment="the stream begins")
    yield ServerSentEvent(data=ITEMS[0], event="added", id="1", retry=5000)
    yield ServerSentEvent(data=ITEMS[1], event="added", id="2", comment="two\nlines")
    yield ServerSentEvent(data=Cleared(), event="cleared")
    yield ServerSentEvent(data=ITEMS[2])


@app.get("/events/raw", response_class=EventSourceResponse)
async def send_raw_events() -> AsyncIterable[ServerSentEvent]:
    yield ServerSentEvent(raw_data="plain text: not JSON")
    yield ServerSentEvent(raw_data="two\nlines\r\nand a third")
    yield ServerSentEvent(raw_data="", id="empty")
    yield ServerSentEvent(data="quoted")
    yield ServerSentEvent(raw_data="[DONE]", event="done")
    yield ServerSentEvent(raw_data="never read")


@app.get("/events/slow", response_class=EventSourceResponse)
async def send_after_a_signal(key: str) -> AsyncIterable[Item]:
    await anyio.to_thread.run_sync(signals[key].wait, WAIT)
    yield Item(name="seen" if signals[key].is_set() else "not seen")


@app.get("/events/broken", response_class=EventSourceResponse)
async def break_down(key: str) -> AsyncIterable[Item]:
    yield ITEMS[0]
    await anyio.to_thread.run_sync(signals[key].wait, WAIT)  # of events, FastAPI drops what is unsent
    raise ZeroDivisionError


@app.get("/events/from", response_class=EventSourceResponse)
async def send_from(
    last_event_id: Annotated[int | None, fastapi.Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    first = 0 if last_event_id is None else last_event_id + 1
    for number, item in enumerate(ITEMS[first:], start=first):
        yield ServerSentEvent(data=item, id=str(number))


@app.post("/echo/{item_id}", response_class=EventSourceResponse)
async def echo(
    item_id: str,
    page_size: Annotated[int, fastapi.Query(alias="pageSize")],
    x_request_id: Annotated[str, fastapi.Header()],
    session: Annotated[str, fastapi.Cookie()],
    item: Annotated[Item, fastapi.Body()],
    note: Annotated[str, fastapi.Body()],
    tag: Annotated[list[str], fastapi.Query()],
) -> AsyncIterable[dict[str, Any]]:
    for name, value in locals().items():
        yield {name: value}


@app.get("/limited", response_class=EventSourceResponse)
async def refuse(limit: Annotated[int, fastapi.Query(le=10)]) -> AsyncIterable[Item]:
    for item in ITEMS[:limit]:
        yield item


def is_open() -> None:
    raise fastapi.HTTPException(status_code=403, detail="closed")


@app.get("/closed", response_class=EventSourceResponse, dependencies=[fastapi.Depends(is_open)])
async def send_nothing() -> AsyncIterable[Item]:
    yield ITEMS[0]


@app.api_route("/lines", methods=["GET", "POST"])
async def send_lines() -> AsyncIterable[Item]:
    for item in ITEMS:
        yield item


@app.get("/lines/sync")
def send_lines_synchronously() -> Iterable[Item]:
    yield from ITEMS


@app.get("/lines/mixed")
async def send_mixed_lines() -> AsyncIterable[Any]:
    for value in (1, "two", [3], {"four": 5}, None):
        yield value


@app.get("/lines/slow")
async def send_lines_after_a_signal(key: str) -> AsyncIterable[Item]:
    yield ITEMS[0]
    await anyio.to_thread.run_sync(signals[key].wait, WAIT)
    yield Item(name="seen" if signals[key].is_set() else "not seen")


@app.get("/lines/broken")
async def break_down_in_lines(key: str) -> AsyncIterable[Item]:
    yield ITEMS[0]
    await anyio.to_thread.run_sync(signals[key].wait, WAIT)
    raise ZeroDivisionError


@app.get("/text", response_class=StreamingResponse)
async def send_text() -> AsyncIterable[str]:
    for piece in ("first li", "ne\nsecond line\r\n", "\nGrüße"):
        yield piece


@app.get("/bytes", response_class=StreamingResponse)
async def send_bytes() -> AsyncIterable[bytes]:
    for number in range(256):
        yield bytes([number]) * 100


app.mount("/compressed", GZipMiddleware(app, minimum_size=1))


@pytest.fixture(scope="module")
def url():
    with asgi_server(app) as url:
        yield url


@pytest.fixture
def client(url):
    return api.APIClient(base_url=url)


def as_dicts(items: Iterable[Item]) -> list[dict[str, Any]]:
    return [item.model_dump() for item in items]


FORMS = {
    "models": (Item, ITEMS),
    "dictionaries": (dict, as_dicts(ITEMS)),
    "typed dictionaries": (ItemDict, as_dicts(ITEMS)),
    "dataclasses": (ItemData, [ItemData(item.name, item.price) for item in ITEMS]),
    "a union": (Cleared | Item, ITEMS),
    "text": (str, [item.model_dump_json() for item in ITEMS]),
}


@pytest.mark.parametrize("path", ["/events", "/events/sync", "/lines", "/lines/sync"])
@pytest.mark.parametrize(("item_type", "items"), FORMS.values(), ids=FORMS)
def test_items_come_in_every_form(side, client, path, item_type, items):
    reading = side.read(client, item_type, path=path)
    assert reading.error is None
    assert reading.items == items


@pytest.mark.parametrize("item_type", [Item, str])
def test_lines_come_out_of_their_compression(side, client, item_type):
    plain = side.read(client, item_type, path="/lines")
    compressed = side.read(client, item_type, path="/compressed/lines")
    assert compressed.error is None
    assert compressed.stream.response.headers["Content-Encoding"] == "gzip"
    assert compressed.items == plain.items
    assert len(plain.items) == len(ITEMS)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_events_come_by_every_method(side, client, method):
    reading = side.read(client, Item, method=method, path="/events")
    assert reading.error is None
    assert reading.items == ITEMS


@pytest.mark.parametrize(
    "item_type",
    [api.ServerSentEvent[Item | Cleared], api.ServerSentEvent[Item] | api.ServerSentEvent[Cleared]],
    ids=["event of a union", "union of events"],
)
def test_whole_events_have_what_the_server_gave_them(side, client, item_type):
    reading = side.read(client, item_type, path="/events/whole")
    assert reading.error is None
    assert reading.items == [
        api.ServerSentEvent(ITEMS[0], "added", "1", 5000),
        api.ServerSentEvent(ITEMS[1], "added", "2"),
        api.ServerSentEvent(Cleared(), "cleared", "2"),
        api.ServerSentEvent(ITEMS[2], "message", "2"),
    ]
    assert reading.stream.last_event_id == "2"


def test_comments_come_in_order_where_they_are_asked_for(side, client):
    reading = side.read(client, api.ServerSentEvent[Item | Cleared] | api.Comment, path="/events/whole")
    assert reading.error is None
    assert [item.text if isinstance(item, api.Comment) else item.event for item in reading.items] == [
        "the stream begins",
        "added",
        "two",
        "lines",
        "added",
        "cleared",
        "message",
    ]


def test_comments_come_between_data(side, client):
    reading = side.read(client, Item | Cleared | api.Comment, path="/events/whole")
    assert reading.error is None
    comments = [api.Comment("the stream begins"), api.Comment("two"), api.Comment("lines")]
    assert reading.items == [comments[0], ITEMS[0], comments[1], comments[2], ITEMS[1], Cleared(), ITEMS[2]]


@pytest.mark.parametrize(
    ("item_type", "event_map", "items"),
    [
        (Item, {"added": Item, "cleared": None}, ITEMS[:2]),
        (Item | Cleared, {"added": Item, "cleared": Cleared}, [*ITEMS[:2], Cleared()]),
        (Item | Cleared, {"cleared": Cleared, "*": Item}, [*ITEMS[:2], Cleared(), ITEMS[2]]),
        (str, {"message": str}, [ITEMS[2].model_dump_json()]),
        (
            Item | api.Comment,
            {"added": Item},
            [
                api.Comment("the stream begins"),
                ITEMS[0],
                api.Comment("two"),
                api.Comment("lines"),
                ITEMS[1],
            ],
        ),
        (
            api.ServerSentEvent[Item | Cleared],
            {"added": Item, "cleared": Cleared},
            [
                api.ServerSentEvent(ITEMS[0], "added", "1", 5000),
                api.ServerSentEvent(ITEMS[1], "added", "2"),
                api.ServerSentEvent(Cleared(), "cleared", "2"),
            ],
        ),
    ],
    ids=["skipped", "two types", "all others", "without a name", "comments", "whole events"],
)
def test_the_names_choose_the_types(side, client, item_type, event_map, items):
    reading = side.read(client, item_type, path="/events/whole", event_map=event_map)
    assert reading.error is None
    assert reading.items == items


class ClearedError(Exception):
    pass


def test_a_name_that_stands_for_an_exception_raises_after_what_came(side, client):
    event_map = {"added": Item, "cleared": ClearedError}
    reading = side.read(client, Item, path="/events/whole", event_map=event_map)
    assert reading.items == ITEMS[:2]
    assert isinstance(reading.error, ClearedError)
    assert reading.error.args == (api.ServerSentEvent('{"kind":"cleared"}', "cleared", "2"),)


RAW = ["plain text: not JSON", "two\nlines\nand a third", "", '"quoted"']


@pytest.mark.parametrize(
    ("until", "count"),
    [("[DONE]", 4), (lambda event: event.event == "done", 4), (lambda event: event.data == "", 2)],
    ids=["data", "name", "empty data"],
)
def test_raw_data_comes_as_text_until_its_end(side, client, until, count):
    reading = side.read(client, str, path="/events/raw", until=until)
    assert reading.error is None
    assert reading.items == RAW[:count]


def test_an_item_that_does_not_fit_is_replaced(side, client):
    reading = side.read(
        client, str | int, path="/events/raw", until="[DONE]", on_invalid=lambda error: len(error.event.data)
    )
    assert reading.error is None
    assert reading.items == [len(RAW[0]), len(RAW[1]), "quoted"]  # empty data is no item where JSON is


def read_and_signal(side, client: api.APIClient, path: str, item_type: Any, **options: Any) -> Reading:
    """Read a stream whose server waits until the first item has been received."""
    key = uuid.uuid4().hex
    reading = Reading([])

    @client.get(path, streaming_response=True, **options)
    def stream(key: str, *, result: Iterator[item_type]) -> Iterator[item_type]:
        return result

    @client.get(path, streaming_response=True, **options)
    async def astream(key: str, *, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
        return result

    async def main() -> None:
        async for item in each(await value_of((stream if side.is_sync else astream)(key))):
            reading.items.append(item)
            signals[key].set()

    try:
        converse(side, main)
    except api.APIException as error:
        reading.error = error
    return reading


def test_keep_alive_comments_come_while_the_server_has_nothing_to_say(side, client, monkeypatch):
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.01)  # it is there for tests to set
    reading = read_and_signal(side, client, "/events/slow", Item | api.Comment)
    assert reading.error is None
    *comments, item = reading.items
    assert item == Item(name="seen")
    assert comments
    assert set(comments) == {api.Comment("ping")}


def test_a_line_comes_before_the_next_one_is_made(side, client):
    reading = read_and_signal(side, client, "/lines/slow", Item)
    assert reading.error is None
    assert reading.items == [ITEMS[0], Item(name="seen")]


@pytest.mark.parametrize(
    ("path", "options"),
    # FastAPI ends an event stream that broke down as if all were well; only a terminator tells.
    [("/lines/broken", {}), ("/lines/broken", {"until": "[DONE]"}), ("/events/broken", {"until": "[DONE]"})],
    ids=["lines", "lines with a terminator", "events with a terminator"],
)
def test_a_server_that_breaks_down_interrupts_the_stream_after_what_came(side, client, path, options):
    reading = read_and_signal(side, client, path, Item, **options)
    assert reading.items == ITEMS[:1]
    assert isinstance(reading.error, api.StreamInterrupted)


def test_lines_of_every_kind_of_json(side, client):
    reading = side.read(client, Any, path="/lines/mixed")
    assert reading.error is None
    assert reading.items == [1, "two", [3], {"four": 5}, None]


@pytest.mark.parametrize("item_type", [api.ServerSentEvent[Item], Item | api.Comment])
def test_lines_are_no_events(side, client, item_type):
    reading = side.read(client, item_type, path="/lines")
    assert isinstance(reading.error, api.UnexpectedContentType)
    assert reading.error.content_type == "application/jsonl"


@pytest.mark.parametrize(
    ("path", "stream_format"), [("/events", "sse"), ("/lines", "jsonl"), ("/text", "lines"), ("/text", "bytes")]
)
def test_a_format_may_be_said(side, client, path, stream_format):
    item_type = {"lines": str, "bytes": bytes}.get(stream_format, Item)
    reading = side.read(client, item_type, path=path, stream_format=stream_format)
    assert reading.error is None
    if stream_format == "bytes":
        assert b"".join(reading.items).decode() == "first line\nsecond line\r\n\nGrüße"
    else:
        assert reading.items == (["first line", "second line", "", "Grüße"] if stream_format == "lines" else ITEMS)


@pytest.mark.parametrize("path", ["/bytes", "/compressed/bytes"])
def test_bytes_come_as_they_are(side, client, path):
    reading = side.read(client, bytes, path=path)
    assert reading.error is None
    assert b"".join(reading.items) == b"".join(bytes([number]) * 100 for number in range(256))


def test_a_stream_is_taken_up_behind_the_last_event(side, client):
    @client.get("/events/from", streaming_response=True)
    def stream(
        last_event_id: Annotated[str | None, api.Header()] = None, *, result: api.Stream[Item]
    ) -> api.Stream[Item]:
        return result

    @client.get("/events/from", streaming_response=True)
    async def astream(
        last_event_id: Annotated[str | None, api.Header()] = None, *, result: api.AsyncStream[Item]
    ) -> api.AsyncStream[Item]:
        return result

    endpoint = stream if side.is_sync else astream

    async def main() -> list[Item]:
        opened = await value_of(endpoint())
        first = await anext(each(opened))
        return [first, *[item async for item in each(await value_of(endpoint(opened.last_event_id)))]]

    assert converse(side, main) == ITEMS


def test_what_is_said_in_the_signature_is_what_fastapi_reads(side, client):
    @client.post("/echo/{item}", streaming_response=True)
    def stream(
        item_id: Annotated[str, api.Path("item")],
        page_size: Annotated[int, api.Query("pageSize")],
        x_request_id: Annotated[str, api.Header()],
        session: Annotated[str, api.Cookie()],
        item: Annotated[Item, api.Body()],
        note: Annotated[str, api.Body()],
        tag: list[str],
        *,
        result: Iterator[dict[str, Any]],
    ) -> Iterator[dict[str, Any]]:
        return result

    @client.post("/echo/{item}", streaming_response=True)
    async def astream(
        item_id: Annotated[str, api.Path("item")],
        page_size: Annotated[int, api.Query("pageSize")],
        x_request_id: Annotated[str, api.Header()],
        session: Annotated[str, api.Cookie()],
        item: Annotated[Item, api.Body()],
        note: Annotated[str, api.Body()],
        tag: list[str],
        *,
        result: AsyncIterator[dict[str, Any]],
    ) -> AsyncIterator[dict[str, Any]]:
        return result

    arguments = {
        "item_id": "a&b é?",
        "page_size": 5,
        "x_request_id": "7",
        "session": "s-1",
        "item": ITEMS[1],
        "note": "Grüße",
        "tag": ["x", "y z"],
    }
    reading = read(side, lambda: (stream if side.is_sync else astream)(**arguments))
    assert reading.error is None
    echoed = {name: value for item in reading.items for name, value in item.items()}
    assert echoed == {**arguments, "item": ITEMS[1].model_dump()}


class Mismatch(pydantic.BaseModel):
    loc: list[str | int]
    type: str


class Mismatches(pydantic.BaseModel):
    detail: list[Mismatch]


class Refusal(pydantic.BaseModel):
    detail: str


def test_a_request_that_fastapi_does_not_accept_raises_with_its_reasons(side, client):
    reading = side.read(client, Item, path="/limited?limit=11", response_map={422: Mismatches})
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.parsed == Mismatches(
        detail=[Mismatch(loc=["query", "limit"], type="less_than_equal")],
    )


def test_a_dependency_that_refuses_raises_before_the_stream(side, client):
    reading = side.read(client, Item, path="/closed", response_map={403: Refusal})
    assert reading.stream is None
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.status_code == 403
    assert reading.error.parsed == Refusal(detail="closed")
