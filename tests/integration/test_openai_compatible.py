"""OpenAI-compatible streams, read by Clientele's declarations and by the `openai` package, which must agree.

Both read the same recorded shapes, so that these hold what the service sends, and the declarations what its clients
expect.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from tests.integration.fixtures import openai_compatible as recorded
from tests.integration.fixtures.conversations import areading, converse, each, read, value_of
from tests.integration.fixtures.recordings import CUTTINGS, event, playback, unknown_fields, without_settings
from tests.servers import END, Connection, answer
from tests.sides import Reading, Side

from clientele import api

T = TypeVar("T")
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading certificates for every client would take most of the time


class Message(pydantic.BaseModel):
    role: str
    content: str


class StreamOptions(pydantic.BaseModel):
    include_usage: bool = True


class Question(pydantic.BaseModel):
    model: str = "gpt-4o-mini"
    messages: list[Message] = [Message(role="user", content="Grüße?")]
    stream: bool = True
    stream_options: StreamOptions = StreamOptions()


class FunctionDelta(pydantic.BaseModel):
    name: str | None = None
    arguments: str


class ToolCallDelta(pydantic.BaseModel):
    index: int
    id: str | None = None
    function: FunctionDelta


class Delta(pydantic.BaseModel):
    content: str | None = None
    tool_calls: list[ToolCallDelta] = []


class Choice(pydantic.BaseModel):
    delta: Delta
    finish_reason: str | None


class Usage(pydantic.BaseModel):
    total_tokens: int


class Chunk(pydantic.BaseModel):
    choices: list[Choice]
    usage: Usage | None = None


class Problem(pydantic.BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(pydantic.BaseModel):
    error: Problem


class Answer(pydantic.BaseModel):
    """A chat's answer, put together from its chunks."""

    text: str = ""
    tool_calls: list[tuple[str, str, str]] = []
    finish_reason: str | None = None
    total_tokens: int | None = None

    def add(self, chunk: Chunk) -> None:
        if chunk.usage is not None:
            self.total_tokens = chunk.usage.total_tokens
        for choice in chunk.choices:
            self.text += choice.delta.content or ""
            self.finish_reason = choice.finish_reason or self.finish_reason
            for call in choice.delta.tool_calls:
                if call.id is not None:
                    self.tool_calls.append((call.id, call.function.name, ""))
                call_id, name, arguments = self.tool_calls[call.index]
                self.tool_calls[call.index] = (call_id, name, arguments + call.function.arguments)


QUESTION: dict[str, Any] = Question().model_dump()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    without_settings(monkeypatch, "OPENAI_")


def client_of(url: str) -> api.APIClient:
    return api.APIClient(base_url=f"{url}/v1", headers={"Authorization": "Bearer x"})


def declared_chat(side, client: api.APIClient, item_type: Any = Chunk, **options: Any):
    options = {"until": "[DONE]", "response_map": {429: ErrorBody}, **options}
    if side.is_sync:

        @client.post("/chat/completions", streaming_response=True, **options)
        def chat(data: Question, *, result: Iterator[item_type]) -> Iterator[item_type]:
            return result

        return chat

    @client.post("/chat/completions", streaming_response=True, **options)
    async def achat(data: Question, *, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
        return result

    return achat


def with_package(side, url: str, talk: Callable[[Any], Awaitable[T]]) -> T:
    """Talk through a client of the package, synchronous where the side is, asynchronous under asyncio otherwise.

    Under trio the package leaves generators behind, which trio warns of.
    """
    settings = {"base_url": f"{url}/v1", "api_key": "x", "max_retries": 0}

    async def main() -> T:
        if side.is_sync:
            with openai.OpenAI(**settings, http_client=openai.DefaultHttpxClient(verify=NO_TLS)) as client:
                return await talk(client)
        async with openai.AsyncOpenAI(**settings, http_client=openai.DefaultAsyncHttpxClient(verify=NO_TLS)) as client:
            return await talk(client)

    return converse(side if side.is_sync else Side("asyncio"), main)


def read_with_package(side, url: str) -> Reading:
    return with_package(side, url, lambda client: areading(lambda: client.chat.completions.create(**QUESTION)))


def data_of(recording: list[bytes]) -> list[str]:
    """The data of the events, as JSON alone."""
    lines = [line for each in recording for line in each.decode().split("\n") if line.startswith("data: {")]
    return [line.removeprefix("data: ") for line in lines]


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        (recorded.TEXT, ChatCompletionChunk),
        (recorded.TOOL_CALLS, ChatCompletionChunk),
        (recorded.RESPONSE, ResponseStreamEvent),
        (recorded.FAILED_RESPONSE, ResponseStreamEvent),
    ],
    ids=["text", "tool calls", "response", "failed response"],
)
def test_the_recordings_have_no_field_that_the_package_does_not_know(recording, kind):
    adapter = pydantic.TypeAdapter(kind)
    models = [adapter.validate_json(data) for data in data_of(recording)]
    assert len(models) >= len(recording) - 1
    assert set(unknown_fields(models)) <= {"store"}  # which is documented all the same


def chunks_that_both_read(side, url: str) -> list[ChatCompletionChunk]:
    """The chunks of a chat, which are the same for the package and for Clientele."""
    theirs = read_with_package(side, url)
    assert theirs.error is None
    chat = declared_chat(side, client_of(url), ChatCompletionChunk)
    ours = read(side, lambda: chat(Question()))
    assert ours.error is None
    assert ours.items == theirs.items
    return theirs.items


@pytest.mark.parametrize(
    ("recording", "cutting"),
    [(recorded.TEXT, cutting) for cutting in CUTTINGS] + [(recorded.TOOL_CALLS, "event by event")],
    ids=[*(f"text, {cutting}" for cutting in CUTTINGS), "tool calls"],
)
def test_the_chunks_are_those_that_the_package_reads(side, serve, recording, cutting):
    server = serve(playback(recorded.CHAT_PATH, recording, cutting))
    assert len(chunks_that_both_read(side, server.url)) == len(recording) - 1


@pytest.mark.parametrize("recording", recorded.CHATS.values(), ids=recorded.CHATS)
def test_the_answer_put_together_is_that_of_the_package(side, serve, recording):
    server = serve(playback(recorded.CHAT_PATH, recording))

    async def talk(client: Any) -> Answer:
        question = {name: value for name, value in QUESTION.items() if name != "stream"}
        manager = client.chat.completions.stream(**question)
        if side.is_sync:
            with manager as stream:
                completion = stream.get_final_completion()
        else:
            async with manager as stream:
                completion = await stream.get_final_completion()
        (choice,) = completion.choices
        calls = choice.message.tool_calls or []
        return Answer(
            text=choice.message.content or "",
            tool_calls=[(call.id, call.function.name, call.function.arguments) for call in calls],
            finish_reason=choice.finish_reason,
            total_tokens=completion.usage.total_tokens,
        )

    theirs = with_package(side, server.url, talk)
    chat = declared_chat(side, client_of(server.url))
    reading = read(side, lambda: chat(Question()))
    assert reading.error is None
    ours = Answer()
    for chunk in reading.items:
        ours.add(chunk)
    assert ours == theirs
    assert ours.total_tokens == 99
    if recording is recorded.TEXT:
        assert ours.text == recorded.TEXT_ANSWER
    else:
        arguments = [json.loads(arguments) for _, _, arguments in ours.tool_calls]
        assert arguments == [{"location": "Paris, France"}, {}]


def test_both_ask_for_the_same(side, serve):
    server = serve(playback(recorded.CHAT_PATH, recorded.TEXT))
    read_with_package(side, server.url)
    chat = declared_chat(side, client_of(server.url))
    read(side, lambda: chat(Question()))
    theirs, ours = server.requests
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    assert ours.header("Authorization") == theirs.header("Authorization")
    assert ours.header("Content-Type") == theirs.header("Content-Type")
    assert json.loads(ours.body) == json.loads(theirs.body)


DIALECTS = {
    "CRLF": lambda event: event.replace(b"\n", b"\r\n"),
    "CR": lambda event: event.replace(b"\n", b"\r"),
    "no space": lambda event: event.replace(b"data: ", b"data:"),
    "comments": lambda event: b": OPENROUTER PROCESSING\n\n" + event + b":\n\n",
    "named": lambda event: b"event: message\n" + event,
    "ids and retries": lambda event: b"id: 7\nretry: 1000\n" + event,
}


@pytest.mark.parametrize(
    ("dialect", "cutting"),
    [("CRLF", "byte by byte"), *((dialect, "event by event") for dialect in DIALECTS)],
)
def test_the_dialects_of_compatible_services_are_one(side, serve, dialect, cutting):
    recording = [DIALECTS[dialect](each) for each in [*recorded.TEXT[:2], recorded.DONE]]
    server = serve(playback(recorded.CHAT_PATH, recording, cutting))
    assert len(chunks_that_both_read(side, server.url)) == 2


def test_the_first_chunk_of_some_services_has_no_choices(side, serve):
    # Azure's says what its content filters found in the prompt.
    first = event({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []})
    server = serve(playback(recorded.CHAT_PATH, [first, *recorded.TEXT]))
    chat = declared_chat(side, client_of(server.url))
    reading = read(side, lambda: chat(Question()))
    assert reading.error is None
    assert reading.items[0] == Chunk(choices=[])
    assert len(reading.items) == len(recorded.TEXT)


@pytest.mark.parametrize(
    ("item_type", "first"),
    [
        (str, data_of(recorded.TEXT)[0]),
        (dict[str, Any], json.loads(data_of(recorded.TEXT)[0])),
        (api.ServerSentEvent, api.ServerSentEvent(data_of(recorded.TEXT)[0])),
        (api.ServerSentEvent[Chunk], api.ServerSentEvent(Chunk.model_validate_json(data_of(recorded.TEXT)[0]))),
    ],
    ids=["text", "dictionaries", "events", "events of models"],
)
def test_the_terminator_ends_streams_of_every_kind_of_item(side, serve, item_type, first):
    server = serve(playback(recorded.CHAT_PATH, recorded.TEXT))
    chat = declared_chat(side, client_of(server.url), item_type)
    reading = read(side, lambda: chat(Question()))
    assert reading.error is None
    assert len(reading.items) == len(recorded.TEXT) - 1
    assert reading.items[0] == first


def test_an_endpoint_that_yields_gives_the_words_alone(side, serve):
    server = serve(playback(recorded.CHAT_PATH, recorded.TEXT))
    client = client_of(server.url)

    def words_of(chunk: Chunk) -> list[str]:
        return [choice.delta.content for choice in chunk.choices if choice.delta.content]

    @client.post("/chat/completions", streaming_response=True, until="[DONE]")
    def words(data: Question, *, result: Iterator[Chunk]) -> Iterator[str]:
        for chunk in result:
            yield from words_of(chunk)

    @client.post("/chat/completions", streaming_response=True, until="[DONE]")
    async def awords(data: Question, *, result: AsyncIterator[Chunk]) -> AsyncIterator[str]:
        async for chunk in result:
            for word in words_of(chunk):
                yield word

    reading = read(side, lambda: (words if side.is_sync else awords)(Question()))
    assert reading.error is None
    assert "".join(reading.items) == recorded.TEXT_ANSWER


def test_a_refusal_is_parsed_and_is_what_the_package_says(side, serve):
    server = serve(answer(recorded.RATE_LIMITED, status="429 Too Many Requests", headers="X-Request-Id: req_1\r\n"))
    theirs = read_with_package(side, server.url).error
    chat = declared_chat(side, client_of(server.url))
    ours = read(side, lambda: chat(Question())).error
    assert isinstance(theirs, openai.RateLimitError)
    assert isinstance(ours, api.HTTPStatusError)
    assert ours.status_code == theirs.status_code == 429
    assert ours.parsed == ErrorBody.model_validate({"error": theirs.body})
    assert ours.parsed.error.code == "rate_limit_exceeded"
    assert ours.response.headers["X-Request-Id"] == theirs.request_id


def test_an_error_in_the_middle_comes_as_an_item_and_is_what_the_package_raises(side, serve):
    server = serve(playback(recorded.CHAT_PATH, recorded.BROKEN_OFF))
    theirs = read_with_package(side, server.url)
    assert isinstance(theirs.error, openai.APIError)
    chat = declared_chat(side, client_of(server.url), Chunk | ErrorBody)
    ours = read(side, lambda: chat(Question()))
    *chunks, error = ours.items
    assert len(chunks) == len(theirs.items) == 3
    assert error == ErrorBody.model_validate({"error": theirs.error.body})
    # The package stops at the error; whoever reads on here is told that the stream is not whole.
    assert isinstance(ours.error, api.StreamInterrupted)
    assert ours.error.items_received == 4


def test_an_error_that_was_not_declared_is_shown(side, serve):
    server = serve(playback(recorded.CHAT_PATH, recorded.BROKEN_OFF))
    chat = declared_chat(side, client_of(server.url))
    reading = read(side, lambda: chat(Question()))
    assert len(reading.items) == 3
    assert isinstance(reading.error, api.StreamDecodeError)
    assert recorded.SERVER_ERROR["message"] in str(reading.error)


def test_a_stream_that_ends_without_done_was_interrupted(side, serve):
    server = serve(playback(recorded.CHAT_PATH, recorded.TEXT[:-1]))
    chat = declared_chat(side, client_of(server.url))
    reading = read(side, lambda: chat(Question()))
    assert len(reading.items) == len(recorded.TEXT) - 1
    assert isinstance(reading.error, api.StreamInterrupted)


def test_a_stream_that_is_cut_short_raises_with_both(side, serve):
    async def cut_short(connection: Connection) -> None:
        await playback(recorded.CHAT_PATH, recorded.TEXT[:3], end=b"")(connection)
        connection.close()

    server = serve(cut_short)
    theirs = read_with_package(side, server.url)
    assert isinstance(theirs.error, openai.APIConnectionError)
    chat = declared_chat(side, client_of(server.url), ChatCompletionChunk)
    ours = read(side, lambda: chat(Question()))
    assert isinstance(ours.error, api.StreamInterrupted)
    assert ours.items == theirs.items
    assert len(theirs.items) == 3


def test_done_that_was_not_declared_is_recognised(side, serve):
    server = serve(playback(recorded.CHAT_PATH, recorded.TEXT))
    chat = declared_chat(side, client_of(server.url), until=None)
    reading = read(side, lambda: chat(Question()))
    assert len(reading.items) == len(recorded.TEXT) - 1
    assert isinstance(reading.error, api.StreamDecodeError)
    assert "until=" in str(reading.error)


def test_done_ends_a_stream_that_the_server_keeps_open(side, serve):
    async def keep_open(connection: Connection) -> None:
        await playback(recorded.CHAT_PATH, recorded.TEXT, end=b"")(connection)
        await connection.until_client_closes()

    server = serve(keep_open)
    chat = declared_chat(side, client_of(server.url))
    reading = read(side, lambda: chat(Question()))
    assert reading.error is None
    assert len(reading.items) == len(recorded.TEXT) - 1
    server.wait_until_closed()


@pytest.mark.parametrize("end", [END, b"5\r\n:bye\n\r\n0\r\n\r\n"], ids=["at once", "after a comment"])
def test_one_connection_serves_one_chat_after_another(side, serve, patient, end):
    server = serve(playback(recorded.CHAT_PATH, recorded.TEXT, end=end))
    chat = declared_chat(side, client_of(server.url), str)

    async def main() -> list[str]:
        return [data for _ in range(20) async for data in each(await value_of(chat(Question())))]

    assert converse(side, main) == 20 * data_of(recorded.TEXT)
    assert len(server.requests) == 20
    assert server.connections == 1


class ResponseQuestion(pydantic.BaseModel):
    model: str = "gpt-4.1"
    input: str = "Hello!"
    stream: bool = True


class ResponseState(pydantic.BaseModel):
    status: str
    usage: Usage | None


class Created(pydantic.BaseModel):
    response: ResponseState


class TextDelta(pydantic.BaseModel):
    delta: str


class Completed(pydantic.BaseModel):
    response: ResponseState


class ResponseFailed(Exception):
    def __init__(self, event: api.ServerSentEvent) -> None:
        self.error = json.loads(event.data)["response"]["error"]
        super().__init__(self.error["message"])


RESPONSE_EVENTS = {
    "response.created": Created,
    "response.output_text.delta": TextDelta,
    "response.completed": Completed,
    "response.failed": ResponseFailed,
}


def declared_responses(side, url: str, item_type: Any, event_map: dict[str, Any]):
    client = client_of(url)
    if side.is_sync:

        @client.post("/responses", streaming_response=True, event_map=event_map)
        def respond(data: ResponseQuestion, *, result: Iterator[item_type]) -> Iterator[item_type]:
            return result

        return respond

    @client.post("/responses", streaming_response=True, event_map=event_map)
    async def arespond(data: ResponseQuestion, *, result: AsyncIterator[item_type]) -> AsyncIterator[item_type]:
        return result

    return arespond


def test_the_events_of_a_response_are_those_that_the_package_reads(side, serve):
    server = serve(playback(recorded.RESPONSES_PATH, recorded.RESPONSE))

    question = ResponseQuestion().model_dump()
    theirs = with_package(side, server.url, lambda client: areading(lambda: client.responses.create(**question)))
    assert theirs.error is None
    respond = declared_responses(side, server.url, ResponseStreamEvent, {"*": ResponseStreamEvent})
    ours = read(side, lambda: respond(ResponseQuestion()))
    assert ours.error is None
    assert ours.items == theirs.items
    assert len(theirs.items) == len(recorded.RESPONSE)
    their_request, our_request = server.requests
    assert json.loads(our_request.body) == json.loads(their_request.body)


@pytest.mark.parametrize("cutting", CUTTINGS)
def test_the_names_of_a_response_choose_the_types(side, serve, cutting):
    server = serve(playback(recorded.RESPONSES_PATH, recorded.RESPONSE, cutting))
    respond = declared_responses(side, server.url, Created | TextDelta | Completed, RESPONSE_EVENTS)
    reading = read(side, lambda: respond(ResponseQuestion()))
    assert reading.error is None
    text = ""
    statuses = []
    for item in reading.items:
        match item:
            case TextDelta(delta=delta):
                text += delta
            case Created(response=response) | Completed(response=response):
                statuses.append((response.status, response.usage))
    assert text == "Hi there!"
    assert statuses == [("in_progress", None), ("completed", Usage(total_tokens=48))]


def test_the_names_of_a_response_stay_with_whole_events(side, serve):
    server = serve(playback(recorded.RESPONSES_PATH, recorded.RESPONSE))
    item_type = api.ServerSentEvent[Created | TextDelta | Completed]
    respond = declared_responses(side, server.url, item_type, RESPONSE_EVENTS)
    reading = read(side, lambda: respond(ResponseQuestion()))
    assert reading.error is None
    names = ["response.created", *["response.output_text.delta"] * 3, "response.completed"]
    assert [item.event for item in reading.items] == names
    assert reading.items[1] == api.ServerSentEvent(TextDelta(delta="Hi"), "response.output_text.delta")


def test_a_response_that_fails_raises_after_what_came(side, serve):
    server = serve(playback(recorded.RESPONSES_PATH, recorded.FAILED_RESPONSE))
    respond = declared_responses(side, server.url, Created | TextDelta | Completed, RESPONSE_EVENTS)
    reading = read(side, lambda: respond(ResponseQuestion()))
    assert reading.items[1:] == [TextDelta(delta="Hi"), TextDelta(delta=" there")]
    assert isinstance(reading.error, ResponseFailed)
    assert reading.error.error["code"] == "server_error"
