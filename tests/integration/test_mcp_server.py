"""A server of the Model Context Protocol, spoken to over streamable HTTP with Clientele's declarations alone.

The server is the `mcp` package's own. It answers a request with an event stream, on which notifications and requests of
its own come before the response, or with the response alone, as JSON.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import httpx2
import pydantic
import pytest
from tests.integration.fixtures.conversations import converse, each, read, value_of
from tests.integration.fixtures.mcp_server import Events, make_server, signals
from tests.servers import WAIT, asgi_server

from clientele import api

VERSION = "2025-11-25"
STATELESS_VERSION = "2026-07-28"
ACCEPT = "application/json, text/event-stream"

SessionId = Annotated[str | None, api.Header("Mcp-Session-Id")]
ProtocolVersion = Annotated[str, api.Header("MCP-Protocol-Version")]


class Closed(pydantic.BaseModel):
    """The root of JSON-RPC's messages, which are told apart by their members."""

    model_config = pydantic.ConfigDict(extra="forbid")

    jsonrpc: Literal["2.0"] = "2.0"


class Request(Closed):
    id: int | str
    method: str
    params: dict[str, Any] = {}


class Notification(Closed):
    method: str
    params: dict[str, Any] = {}


class Response(Closed):
    id: int | str
    result: dict[str, Any]


class Problem(pydantic.BaseModel):
    code: int
    message: str


class Failure(Closed):
    id: int | str | None
    error: Problem


Message = Request | Notification | Response | Failure
FAILURES = {400: Failure, 404: Failure, 406: Failure}

INITIALIZE = Request(
    id="init",
    method="initialize",
    params={
        "protocolVersion": VERSION,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "clientele", "version": "0"},
    },
)


def tool_call(name: str, *, id: int | str = 7, **arguments: Any) -> Request:
    params = {"name": name, "arguments": arguments, "_meta": {"progressToken": f"progress of {id}"}}
    return Request(id=id, method="tools/call", params=params)


def declared(side, url: str) -> SimpleNamespace:
    """What a client of the protocol needs, for a server that streams."""
    client = api.APIClient(base_url=url, headers={"Accept": ACCEPT})
    options = {"streaming_response": True, "response_map": FAILURES, "idle_timeout": WAIT}

    if side.is_sync:

        @client.post("/mcp", **options)
        def call(
            data: Request,
            session: SessionId = None,
            version: ProtocolVersion = VERSION,
            *,
            result: api.Stream[Message],
        ) -> api.Stream[Message]:
            return result

        @client.post("/mcp")
        def send(
            data: Message,
            session: SessionId,
            version: ProtocolVersion = VERSION,
            *,
            result: None,
            response: httpx2.Response,
        ) -> int:
            return response.status_code

        @client.get("/mcp", **options)
        def listen(
            session: SessionId,
            version: ProtocolVersion = VERSION,
            *,
            result: Iterator[Message],
        ) -> Iterator[Message]:
            return result

        @client.delete("/mcp")
        def end(session: SessionId, *, result: None, response: httpx2.Response) -> int:
            return response.status_code

        return SimpleNamespace(call=call, send=send, listen=listen, end=end)

    @client.post("/mcp", **options)
    async def acall(
        data: Request,
        session: SessionId = None,
        version: ProtocolVersion = VERSION,
        *,
        result: api.AsyncStream[Message],
    ) -> api.AsyncStream[Message]:
        return result

    @client.post("/mcp")
    async def asend(
        data: Message,
        session: SessionId,
        version: ProtocolVersion = VERSION,
        *,
        result: None,
        response: httpx2.Response,
    ) -> int:
        return response.status_code

    @client.get("/mcp", **options)
    async def alisten(
        session: SessionId,
        version: ProtocolVersion = VERSION,
        *,
        result: AsyncIterator[Message],
    ) -> AsyncIterator[Message]:
        return result

    @client.delete("/mcp")
    async def aend(session: SessionId, *, result: None, response: httpx2.Response) -> int:
        return response.status_code

    return SimpleNamespace(call=acall, send=asend, listen=alisten, end=aend)


async def open_session(mcp: SimpleNamespace) -> str:
    stream = await value_of(mcp.call(INITIALIZE))
    (message,) = [message async for message in each(stream)]
    assert isinstance(message, Response)
    session = stream.response.headers["Mcp-Session-Id"]
    assert await value_of(mcp.send(Notification(method="notifications/initialized"), session)) == 202
    return session


@pytest.fixture(scope="module")
def streaming_server():
    with asgi_server(make_server().streamable_http_app(), lifespan="on") as url:
        yield url


@pytest.fixture(scope="module")
def json_server():
    with asgi_server(make_server().streamable_http_app(json_response=True), lifespan="on") as url:
        yield url


@pytest.fixture(scope="module")
def resumable_server():
    with asgi_server(make_server().streamable_http_app(event_store=Events(), retry_interval=10), lifespan="on") as url:
        yield url


@pytest.fixture
def mcp(side, streaming_server):
    return declared(side, streaming_server)


def test_a_session_is_opened(side, mcp):
    async def main() -> None:
        stream = await value_of(mcp.call(INITIALIZE))
        messages = [message async for message in each(stream)]
        (response,) = messages
        assert response.id == "init"
        assert response.result["protocolVersion"] == VERSION
        assert response.result["serverInfo"]["name"] == "fixture"
        session = stream.response.headers["Mcp-Session-Id"]
        assert await value_of(mcp.send(Notification(method="notifications/initialized"), session)) == 202

    converse(side, main)


def test_tools_are_listed_and_called(side, mcp):
    async def main() -> None:
        session = await open_session(mcp)
        (tools,) = [
            message async for message in each(await value_of(mcp.call(Request(id=1, method="tools/list"), session)))
        ]
        assert "add" in [tool["name"] for tool in tools.result["tools"]]
        adding = await value_of(mcp.call(tool_call("add", a=2, b=3), session))
        (total,) = [message async for message in each(adding)]
        assert total.result["content"] == [{"type": "text", "text": "5"}]
        assert total.result["structuredContent"] == {"result": 5}

    converse(side, main)


def test_progress_comes_before_the_result_and_while_the_tool_runs(side, mcp):
    key = uuid.uuid4().hex

    async def main() -> list[Message]:
        session = await open_session(mcp)
        messages = []
        async for message in each(await value_of(mcp.call(tool_call("wait_for_client", key=key), session))):
            messages.append(message)
            signals[key].set()
        return messages

    *progress, response = converse(side, main)
    assert all(isinstance(message, Notification) for message in progress)
    assert [(message.method, message.params["message"]) for message in progress] == [
        ("notifications/progress", "begun"),
        ("notifications/progress", "done"),
    ]
    assert {message.params["progressToken"] for message in progress} == {"progress of 7"}
    assert response.result["content"] == [{"type": "text", "text": "seen"}]


def test_the_server_asks_back_in_the_middle_of_a_call(side, mcp):
    async def main() -> list[Message]:
        session = await open_session(mcp)
        messages = []
        async for message in each(await value_of(mcp.call(tool_call("order"), session))):
            messages.append(message)
            if isinstance(message, Request):
                answer = Response(id=message.id, result={"action": "accept", "content": {"pieces": 12}})
                assert await value_of(mcp.send(answer, session)) == 202
        return messages

    question, response = converse(side, main)
    assert question.method == "elicitation/create"
    assert question.params["message"] == "How many?"
    assert response.result["content"] == [{"type": "text", "text": "accept: 12"}]


def test_two_calls_stream_side_by_side(side, mcp):
    keys = [uuid.uuid4().hex, uuid.uuid4().hex]

    async def main() -> list[Message]:
        session = await open_session(mcp)
        calls = [tool_call("wait_for_client", key=key, id=key) for key in keys]
        streams = [await value_of(mcp.call(call, session)) for call in calls]
        first = [await anext(each(stream)) for stream in streams]
        for key in keys:
            signals[key].set()
        return first + [message for stream in streams async for message in each(stream)]

    messages = converse(side, main)
    assert [message.params["progressToken"] for message in messages[:2]] == [f"progress of {key}" for key in keys]
    assert [message.id for message in messages if isinstance(message, Response)] == keys


def test_what_belongs_to_no_request_comes_on_the_stream_of_the_session(side, mcp):
    async def main() -> Message:
        session = await open_session(mcp)
        listening = await value_of(mcp.listen(session))
        async for _ in each(await value_of(mcp.call(tool_call("announce"), session))):
            pass
        return await anext(each(listening))

    assert converse(side, main) == Notification(method="notifications/tools/list_changed")


def test_an_error_of_the_protocol_is_an_item(side, mcp):
    async def main() -> list[Message]:
        session = await open_session(mcp)
        return [message async for message in each(await value_of(mcp.call(Request(id=3, method="no/such"), session)))]

    (failure,) = converse(side, main)
    assert isinstance(failure, Failure)
    assert (failure.id, failure.error.code) == (3, -32601)


def test_a_session_that_was_ended_is_not_found(side, mcp):
    async def main() -> None:
        session = await open_session(mcp)
        assert await value_of(mcp.end(session)) == 200
        await value_of(mcp.call(Request(id=1, method="tools/list"), session))

    with pytest.raises(api.HTTPStatusError) as raised:
        converse(side, main)
    assert raised.value.status_code == 404
    assert isinstance(raised.value.parsed, Failure)
    assert raised.value.parsed.error.code == -32600


def test_a_call_without_its_session_is_refused(side, mcp):
    reading = read(side, lambda: mcp.call(Request(id=1, method="tools/list")))
    assert isinstance(reading.error, api.HTTPStatusError)
    assert reading.error.status_code == 400
    assert "Missing session ID" in reading.error.parsed.error.message


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_a_call_that_does_not_accept_both_media_types_is_refused(side, streaming_server, accept):
    client = api.APIClient(base_url=streaming_server)
    Accept = Annotated[str, api.Header()]
    options = {"streaming_response": True, "response_map": FAILURES}

    @client.post("/mcp", **options)
    def call(data: Request, accept: Accept, *, result: Iterator[Message]) -> Iterator[Message]:
        return result

    @client.post("/mcp", **options)
    async def acall(data: Request, accept: Accept, *, result: AsyncIterator[Message]) -> AsyncIterator[Message]:
        return result

    endpoint = call if side.is_sync else acall
    refused = read(side, lambda: endpoint(INITIALIZE, accept))
    assert isinstance(refused.error, api.HTTPStatusError)
    assert refused.error.status_code == 406
    assert "must accept both" in refused.error.parsed.error.message
    accepted = read(side, lambda: endpoint(INITIALIZE, ACCEPT))
    assert accepted.error is None
    assert isinstance(accepted.items[0], Response)


def declared_json(side, url: str):
    """The one endpoint that it takes for a server that answers all at once."""
    client = api.APIClient(base_url=url, headers={"Accept": ACCEPT})

    if side.is_sync:

        @client.post("/mcp", response_map=FAILURES)
        def call(
            data: Request | Notification,
            session: SessionId = None,
            version: ProtocolVersion = VERSION,
            *,
            result: Response | Failure | None,
            response: httpx2.Response,
        ) -> tuple[Response | Failure | None, httpx2.Response]:
            return result, response

        return call

    @client.post("/mcp", response_map=FAILURES)
    async def acall(
        data: Request | Notification,
        session: SessionId = None,
        version: ProtocolVersion = VERSION,
        *,
        result: Response | Failure | None,
        response: httpx2.Response,
    ) -> tuple[Response | Failure | None, httpx2.Response]:
        return result, response

    return acall


def test_a_server_that_answers_with_json_takes_complete_endpoints(side, json_server):
    call = declared_json(side, json_server)

    async def main() -> None:
        opened, response = await value_of(call(INITIALIZE))
        assert opened.result["serverInfo"]["version"] == "1.2.3"
        session = response.headers["Mcp-Session-Id"]
        nothing, response = await value_of(call(Notification(method="notifications/initialized"), session))
        assert nothing is None
        assert response.status_code == 202
        total, _ = await value_of(call(tool_call("add", a=2, b=3), session))
        assert total.result["structuredContent"] == {"result": 5}
        failure, _ = await value_of(call(Request(id=3, method="no/such"), session))
        assert failure == Failure(id=3, error=Problem(code=-32601, message="Method not found"))
        lost, response = await value_of(call(Request(id=4, method="tools/list"), "no such session"))
        assert isinstance(lost, Failure)
        assert response.status_code == 404

    converse(side, main)


def test_json_in_place_of_a_stream_is_a_stream_of_one(side, json_server):
    reading = read(side, lambda: declared(side, json_server).call(INITIALIZE))
    assert reading.error is None
    assert reading.stream.response.headers["Content-Type"] == "application/json"
    (answer,) = reading.items
    assert isinstance(answer, Response)
    assert answer.id == INITIALIZE.id


def test_json_was_declared_and_a_stream_came(side, streaming_server):
    call = declared_json(side, streaming_server)

    async def main() -> None:
        await value_of(call(INITIALIZE))

    with pytest.raises(api.UnexpectedContentType, match="streaming_response=True"):
        converse(side, main)


MESSAGE = pydantic.TypeAdapter(Message)


def message_or_nothing(data: str) -> Message | None:
    """The first event of a stream that can be resumed has an id and no data."""
    return MESSAGE.validate_json(data) if data else None


def declared_resumable(side, url: str) -> SimpleNamespace:
    client = api.APIClient(base_url=url, headers={"Accept": ACCEPT})
    options = {"streaming_response": True, "idle_timeout": WAIT, "response_parser": message_or_nothing}
    LastEventId = Annotated[str, api.Header("Last-Event-ID")]
    Event = api.ServerSentEvent[Message | None]

    if side.is_sync:

        @client.post("/mcp", **options)
        def call(
            data: Request, session: SessionId, version: ProtocolVersion = VERSION, *, result: api.Stream[Event]
        ) -> api.Stream[Event]:
            return result

        @client.get("/mcp", **options)
        def resume(
            last_event_id: LastEventId,
            session: SessionId,
            version: ProtocolVersion = VERSION,
            *,
            result: api.Stream[Event],
        ) -> api.Stream[Event]:
            return result

        return SimpleNamespace(call=call, resume=resume)

    @client.post("/mcp", **options)
    async def acall(
        data: Request, session: SessionId, version: ProtocolVersion = VERSION, *, result: api.AsyncStream[Event]
    ) -> api.AsyncStream[Event]:
        return result

    @client.get("/mcp", **options)
    async def aresume(
        last_event_id: LastEventId,
        session: SessionId,
        version: ProtocolVersion = VERSION,
        *,
        result: api.AsyncStream[Event],
    ) -> api.AsyncStream[Event]:
        return result

    return SimpleNamespace(call=acall, resume=aresume)


def test_a_stream_that_the_server_hung_up_is_taken_up_again(side, resumable_server):
    key = uuid.uuid4().hex
    mcp = declared_resumable(side, resumable_server)

    async def main() -> None:
        opening = await value_of(mcp.call(INITIALIZE, None))
        session = opening.response.headers["Mcp-Session-Id"]
        first, _ = [event async for event in each(opening)]
        assert first.data is None
        assert first.retry == 10
        await value_of(declared(side, resumable_server).send(Notification(method="notifications/initialized"), session))
        stream = await value_of(mcp.call(tool_call("hang_up", key=key, id=key), session))
        events = each(stream)
        first, progress = await anext(events), await anext(events)
        signals[key].set()
        assert await anext(events, None) is None
        assert first.data is None
        assert progress.data.params["message"] == "before"
        assert stream.last_event_id == progress.id
        assert signals[f"stored {key}"].wait(WAIT)
        rest = []
        async for event in each(await value_of(mcp.resume(stream.last_event_id, session))):
            rest.append(event)
            if isinstance(event.data, Response):
                break
        after, response = rest
        assert after.data.params["message"] == "after"
        assert response.data.result["content"] == [{"type": "text", "text": "the rest"}]
        assert int(first.id) < int(progress.id) < int(after.id) < int(response.id)

    converse(side, main)


def stateless(request: Request) -> Request:
    """The same request as the revision without sessions wants it: it says itself who calls."""
    meta = {
        **request.params["_meta"],
        "io.modelcontextprotocol/protocolVersion": STATELESS_VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "clientele", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return Request(id=request.id, method=request.method, params={**request.params, "_meta": meta})


def declared_stateless(side, url: str):
    client = api.APIClient(base_url=url, headers={"Accept": ACCEPT, "MCP-Protocol-Version": STATELESS_VERSION})
    options = {"streaming_response": True, "idle_timeout": WAIT}
    Method = Annotated[str, api.Header("Mcp-Method")]
    Name = Annotated[str, api.Header("Mcp-Name")]

    if side.is_sync:

        @client.post("/mcp", **options)
        def call(data: Request, mcp_method: Method, mcp_name: Name, *, result: Iterator[Message]) -> Iterator[Message]:
            return result

        return call

    @client.post("/mcp", **options)
    async def acall(
        data: Request, mcp_method: Method, mcp_name: Name, *, result: AsyncIterator[Message]
    ) -> AsyncIterator[Message]:
        return result

    return acall


def test_the_revision_without_sessions_streams_where_there_is_progress(side, streaming_server):
    call = declared_stateless(side, streaming_server)
    key = uuid.uuid4().hex

    async def main() -> list[Message]:
        messages = []
        request = stateless(tool_call("wait_for_client", key=key))
        async for message in each(await value_of(call(request, "tools/call", "wait_for_client"))):
            messages.append(message)
            signals[key].set()
        return messages

    begun, done, response = converse(side, main)
    assert [begun.params["message"], done.params["message"]] == ["begun", "done"]
    assert response.result["structuredContent"] == {"result": "seen"}


def test_the_revision_without_sessions_answers_at_once_where_there_is_none(side, streaming_server):
    call = declared_stateless(side, streaming_server)
    reading = read(side, lambda: call(stateless(tool_call("add", a=2, b=3)), "tools/call", "add"))
    assert reading.error is None
    assert reading.stream.response.headers["Content-Type"] == "application/json"
    (answer,) = reading.items
    assert answer.result["structuredContent"] == {"result": 5}
