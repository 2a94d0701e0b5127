"""Anthropic-compatible streams, read by Clientele's declarations and by the `anthropic` package, which must agree.

Both read the same recorded shapes, so that these hold what the service sends, and the declarations what its clients
expect.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar

import anthropic
import pydantic
import pytest
from anthropic.types import RawMessageStreamEvent
from tests.integration.fixtures import anthropic_compatible as recorded
from tests.integration.fixtures.conversations import areading, converse, each, read, value_of
from tests.integration.fixtures.recordings import CUTTINGS, playback, unknown_fields, without_settings
from tests.servers import Connection, answer
from tests.sides import Reading, Side

from clientele import api

T = TypeVar("T")
VERSION = "2023-06-01"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading certificates for every client would take most of the time


class Prompt(pydantic.BaseModel):
    role: str
    content: str


class Request(pydantic.BaseModel):
    model: str = "claude-opus-4-1"
    max_tokens: int = 1024
    messages: list[Prompt] = [Prompt(role="user", content="Grüße?")]
    stream: bool = True


class Usage(pydantic.BaseModel):
    input_tokens: int | None = None
    output_tokens: int


class MessageHead(pydantic.BaseModel):
    id: str
    usage: Usage


class MessageStart(pydantic.BaseModel):
    message: MessageHead


class TextBlock(pydantic.BaseModel):
    type: Literal["text"]
    text: str


class ThinkingBlock(pydantic.BaseModel):
    type: Literal["thinking"]
    thinking: str
    signature: str


class ToolUseBlock(pydantic.BaseModel):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


Block = Annotated[TextBlock | ThinkingBlock | ToolUseBlock, pydantic.Field(discriminator="type")]


class BlockStart(pydantic.BaseModel):
    index: int
    content_block: Block


class TextDelta(pydantic.BaseModel):
    type: Literal["text_delta"]
    text: str


class ThinkingDelta(pydantic.BaseModel):
    type: Literal["thinking_delta"]
    thinking: str


class SignatureDelta(pydantic.BaseModel):
    type: Literal["signature_delta"]
    signature: str


class InputDelta(pydantic.BaseModel):
    type: Literal["input_json_delta"]
    partial_json: str


class BlockDelta(pydantic.BaseModel):
    index: int
    delta: Annotated[
        TextDelta | ThinkingDelta | SignatureDelta | InputDelta,
        pydantic.Field(discriminator="type"),
    ]


class StopReason(pydantic.BaseModel):
    stop_reason: str


class MessageDelta(pydantic.BaseModel):
    delta: StopReason
    usage: Usage


class Problem(pydantic.BaseModel):
    type: str
    message: str


class ErrorBody(pydantic.BaseModel):
    type: Literal["error"]
    error: Problem
    request_id: str | None = None


class ServiceError(Exception):
    """An error that came in the middle of a stream."""

    def __init__(self, event: api.ServerSentEvent) -> None:
        self.body = ErrorBody.model_validate_json(event.data)
        super().__init__(self.body.error.message)


Event = MessageStart | BlockStart | BlockDelta | MessageDelta

EVENTS = {
    "message_start": MessageStart,
    "content_block_start": BlockStart,
    "content_block_delta": BlockDelta,
    "content_block_stop": None,
    "message_delta": MessageDelta,
    "ping": None,
    "error": ServiceError,
}
ALL_EVENTS = {"ping": None, "error": ServiceError, "*": RawMessageStreamEvent}


def is_stop(event: api.ServerSentEvent) -> bool:
    return event.event == "message_stop"


class Message(pydantic.BaseModel):
    """A message, put together from its events."""

    id: str = ""
    blocks: list[Block] = []
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int = 0

    @classmethod
    def of(cls, events: list[Event]) -> Message:
        message = cls()
        inputs: dict[int, str] = {}
        for event in events:
            match event:
                case MessageStart(message=MessageHead(id=message_id, usage=usage)):
                    message.id, message.input_tokens = message_id, usage.input_tokens
                case BlockStart(content_block=block):
                    message.blocks.append(block)
                case BlockDelta(index=index, delta=TextDelta(text=text)):
                    message.blocks[index].text += text
                case BlockDelta(index=index, delta=ThinkingDelta(thinking=thinking)):
                    message.blocks[index].thinking += thinking
                case BlockDelta(index=index, delta=SignatureDelta(signature=signature)):
                    message.blocks[index].signature += signature
                case BlockDelta(index=index, delta=InputDelta(partial_json=text)):
                    inputs[index] = inputs.get(index, "") + text
                case MessageDelta(delta=StopReason(stop_reason=stop_reason), usage=usage):
                    message.stop_reason, message.output_tokens = stop_reason, usage.output_tokens
        for index, text in inputs.items():
            message.blocks[index].input = json.loads(text)
        return message


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    without_settings(monkeypatch, "ANTHROPIC_")


def declared_messages(side, url: str, item_type: Any = Event, **options: Any):
    client = api.APIClient(base_url=url, headers={"Authorization": "Bearer x"})
    options = {"event_map": EVENTS, "until": is_stop, "response_map": {429: ErrorBody, 529: ErrorBody}, **options}
    if side.is_sync:

        @client.post("/v1/messages", streaming_response=True, **options)
        def create(
            data: Request, anthropic_version: Annotated[str, api.Header()] = VERSION, *, result: Iterator[item_type]
        ) -> Iterator[item_type]:
            return result

        return create

    @client.post("/v1/messages", streaming_response=True, **options)
    async def acreate(
        data: Request, anthropic_version: Annotated[str, api.Header()] = VERSION, *, result: AsyncIterator[item_type]
    ) -> AsyncIterator[item_type]:
        return result

    return acreate


def with_package(side, url: str, talk: Callable[[Any], Awaitable[T]]) -> T:
    """Talk through a client of the package, synchronous where the side is, asynchronous under asyncio otherwise.

    Under trio the package leaves generators behind, which trio warns of.
    """
    settings = {"base_url": url, "api_key": "x", "max_retries": 0, "open_telemetry": False}

    async def main() -> T:
        if side.is_sync:
            http_client = anthropic.DefaultHttpxClient(verify=NO_TLS)
            with anthropic.Anthropic(**settings, http_client=http_client) as client:
                return await talk(client)
        http_client = anthropic.DefaultAsyncHttpxClient(verify=NO_TLS)
        async with anthropic.AsyncAnthropic(**settings, http_client=http_client) as client:
            return await talk(client)

    return converse(side if side.is_sync else Side("asyncio"), main)


def read_with_package(side, url: str) -> Reading:
    request = Request().model_dump()
    return with_package(side, url, lambda client: areading(lambda: client.messages.create(**request)))


@pytest.mark.parametrize("recording", recorded.MESSAGES.values(), ids=recorded.MESSAGES)
def test_the_recordings_have_no_field_that_the_package_does_not_know(recording):
    adapter = pydantic.TypeAdapter(RawMessageStreamEvent)
    events = [event for event in recording if event != recorded.PING]
    models = [adapter.validate_json(event.partition(b"data: ")[2]) for event in events]
    assert len(models) >= 8
    assert unknown_fields(models) == []


@pytest.mark.parametrize(
    ("recording", "cutting"),
    [(recorded.TEXT, cutting) for cutting in CUTTINGS] + [(recorded.TOOL_USE, "event by event")],
    ids=[*(f"text, {cutting}" for cutting in CUTTINGS), "thinking and tool use"],
)
def test_the_events_are_those_that_the_package_reads(side, serve, recording, cutting):
    server = serve(playback(recorded.PATH, recording, cutting))
    theirs = read_with_package(side, server.url)
    assert theirs.error is None
    create = declared_messages(side, server.url, RawMessageStreamEvent, event_map=ALL_EVENTS, until=None)
    ours = read(side, lambda: create(Request()))
    assert ours.error is None
    assert ours.items == theirs.items
    assert len(theirs.items) == len([event for event in recording if event != recorded.PING])


@pytest.mark.parametrize("recording", recorded.MESSAGES.values(), ids=recorded.MESSAGES)
def test_the_message_put_together_is_that_of_the_package(side, serve, recording):
    server = serve(playback(recorded.PATH, recording))

    async def talk(client: Any) -> Message:
        request = {name: value for name, value in Request().model_dump().items() if name != "stream"}
        manager = client.messages.stream(**request)
        if side.is_sync:
            with manager as stream:
                message = stream.get_final_message()
        else:
            async with manager as stream:
                message = await stream.get_final_message()
        return Message(
            id=message.id,
            blocks=[block.model_dump() for block in message.content],
            stop_reason=message.stop_reason,
            input_tokens=message.usage.input_tokens,
            output_tokens=message.usage.output_tokens,
        )

    theirs = with_package(side, server.url, talk)
    create = declared_messages(side, server.url)
    reading = read(side, lambda: create(Request()))
    assert reading.error is None
    ours = Message.of(reading.items)
    assert ours == theirs
    assert (ours.input_tokens, ours.output_tokens) == (472, 89)
    if recording is recorded.TEXT:
        assert ours.blocks == [TextBlock(type="text", text="Grüße aus 東京 👋\u2028")]
    else:
        assert ours.blocks[2].input == {"location": "San Francisco, CA", "unit": "fahrenheit"}
        assert ours.stop_reason == "tool_use"


def test_both_ask_for_the_same(side, serve):
    server = serve(playback(recorded.PATH, recorded.TEXT))
    read_with_package(side, server.url)
    (theirs,) = server.requests
    create = declared_messages(side, server.url)
    read(side, lambda: create(Request(), theirs.header("Anthropic-Version")))
    ours = server.requests[1]
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    for name in ("Authorization", "Anthropic-Version", "Content-Type"):
        assert ours.header(name) == theirs.header(name)
    assert theirs.header("Authorization") == "Bearer x"
    assert json.loads(ours.body) == json.loads(theirs.body)


@pytest.mark.parametrize("cutting", ["event by event", "all at once"])
def test_an_error_in_the_middle_is_raised_by_both(side, serve, cutting):
    server = serve(playback(recorded.PATH, recorded.BROKEN_OFF, cutting))
    theirs = read_with_package(side, server.url)
    assert isinstance(theirs.error, anthropic.APIStatusError)
    create = declared_messages(side, server.url, RawMessageStreamEvent, event_map=ALL_EVENTS)
    ours = read(side, lambda: create(Request()))
    assert isinstance(ours.error, ServiceError)
    assert ours.error.body == ErrorBody.model_validate(theirs.error.body)
    assert ours.error.body.error.type == "overloaded_error"
    assert ours.items == theirs.items
    assert len(theirs.items) == 3


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("429 Too Many Requests", recorded.RATE_LIMITED, "rate_limit_error"),
        ("529 ", recorded.OVERLOADED, "overloaded_error"),
    ],
    ids=["rate limit", "overloaded"],
)
def test_a_refusal_is_parsed_and_is_what_the_package_says(side, serve, status, body, kind):
    server = serve(answer(body, status=status, headers="Request-Id: req_1\r\nRetry-After: 1\r\n"))
    theirs = read_with_package(side, server.url).error
    create = declared_messages(side, server.url)
    ours = read(side, lambda: create(Request())).error
    assert isinstance(theirs, anthropic.APIStatusError)
    assert isinstance(ours, api.HTTPStatusError)
    assert ours.status_code == theirs.status_code == int(status[:3])
    assert ours.parsed == ErrorBody.model_validate(theirs.body)
    assert ours.parsed.error.type == kind
    assert ours.response.headers["Request-Id"] == theirs.request_id


def test_whole_events_have_the_names(side, serve):
    server = serve(playback(recorded.PATH, recorded.TEXT))
    create = declared_messages(side, server.url, api.ServerSentEvent[Event])
    reading = read(side, lambda: create(Request()))
    assert reading.error is None
    names = ["message_start", "content_block_start", *["content_block_delta"] * 3, "message_delta"]
    assert [item.event for item in reading.items] == names
    expected = BlockDelta(index=0, delta=TextDelta(type="text_delta", text="Grüße"))
    assert reading.items[2] == api.ServerSentEvent(expected, "content_block_delta")


@pytest.mark.parametrize("item_type", [api.ServerSentEvent, api.ServerSentEvent[dict[str, Any]]])
def test_without_a_map_every_event_comes_under_its_name(side, serve, item_type):
    server = serve(playback(recorded.PATH, recorded.TOOL_USE))
    create = declared_messages(side, server.url, item_type, event_map=None)
    reading = read(side, lambda: create(Request()))
    assert reading.error is None
    assert len(reading.items) == len(recorded.TOOL_USE) - 1
    for item in reading.items:
        data = item.data if isinstance(item.data, dict) else json.loads(item.data)
        assert data["type"] == item.event


def test_a_new_event_is_skipped_and_logged_once(side, serve, caplog):
    server = serve(playback(recorded.PATH, recorded.WITH_A_NEW_EVENT))
    create = declared_messages(side, server.url)
    with caplog.at_level(logging.INFO, logger="clientele"):
        reading = read(side, lambda: create(Request()))
    assert reading.error is None
    assert Message.of(reading.items).blocks[0].text == "Grüße aus 東京 👋\u2028"
    (record,) = [record for record in caplog.records if record.name == "clientele"]
    assert record.levelno == logging.INFO
    assert "message_mood" in record.getMessage()


def test_a_stream_that_ends_without_message_stop_was_interrupted(side, serve):
    server = serve(playback(recorded.PATH, recorded.TEXT[:-1]))
    create = declared_messages(side, server.url)
    reading = read(side, lambda: create(Request()))
    assert isinstance(reading.error, api.StreamInterrupted)
    assert isinstance(reading.items[-1], MessageDelta)


def test_message_stop_ends_a_stream_that_the_server_keeps_open(side, serve):
    async def keep_open(connection: Connection) -> None:
        await playback(recorded.PATH, recorded.TEXT, end=b"")(connection)
        await connection.until_client_closes()

    server = serve(keep_open)
    create = declared_messages(side, server.url)
    reading = read(side, lambda: create(Request()))
    assert reading.error is None
    assert isinstance(reading.items[-1], MessageDelta)
    server.wait_until_closed()


@pytest.mark.parametrize("until", [is_stop, None], ids=["until message_stop", "to the end"])
def test_one_connection_serves_one_message_after_another(side, serve, patient, until):
    server = serve(playback(recorded.PATH, recorded.TEXT))
    create = declared_messages(side, server.url, until=until)

    async def main() -> int:
        return len([event for _ in range(10) async for event in each(await value_of(create(Request())))])

    assert converse(side, main) == 10 * 6
    assert len(server.requests) == 10
    assert server.connections == 1


def test_an_endpoint_that_yields_gives_the_words_alone_and_passes_the_error_on(side, serve):
    server = serve(playback(recorded.PATH, recorded.BROKEN_OFF))
    client = api.APIClient(base_url=server.url)

    @client.post("/v1/messages", streaming_response=True, event_map=EVENTS, until=is_stop)
    def words(data: Request, *, result: Iterator[Event]) -> Iterator[str]:
        for event in result:
            match event:
                case BlockDelta(delta=TextDelta(text=text)):
                    yield text

    @client.post("/v1/messages", streaming_response=True, event_map=EVENTS, until=is_stop)
    async def awords(data: Request, *, result: AsyncIterator[Event]) -> AsyncIterator[str]:
        async for event in result:
            match event:
                case BlockDelta(delta=TextDelta(text=text)):
                    yield text

    reading = read(side, lambda: (words if side.is_sync else awords)(Request()))
    assert reading.items == ["Grüße"]
    assert isinstance(reading.error, ServiceError)
    client.close()
    server.wait_until_closed()
