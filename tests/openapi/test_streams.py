"""What a document says of a stream, as the function that is written for it: read through the function itself."""

from __future__ import annotations

from typing import Any

import pytest
from tests.openapi.conftest import answering, document

from clientele import api, testing

ITEM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def tagged(value: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"const": value}, **properties},
        "required": ["type", *properties],
    }


SCHEMAS = {
    "Item": ITEM,
    "Delta": tagged("delta", text={"type": "string"}),
    "Done": tagged("done", reason={"type": "string"}),
    "Chunk": {
        "type": "object",
        "properties": {"object": {"const": "chat.completion.chunk"}, "choices": {"type": "array"}},
        "required": ["object", "choices"],
    },
}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def event(data: Any = None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """The schema of an event: its data as JSON text, by `contentSchema`."""
    properties = dict(fields)
    if data is not None:
        properties["data"] = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    if name is not None:
        properties["event"] = {"const": name}
    return {"type": "object", "properties": properties}


TEXT_EVENT = {"type": "object", "properties": {"data": {"type": "string"}, "event": {"type": "string"}}}


@pytest.fixture
def stream(generate):
    """The items of a stream that is described so, and the package that it was read with."""

    def stream(media: Any, body: bytes, media_type: str = "text/event-stream", overlay: str = "", **more: Any) -> Any:
        content = {media_type: media}
        operation = {"operationId": "watch", "responses": {"200": {"description": "", "content": content}}, **more}
        package = generate(document({"/watch": {"get": operation}}, SCHEMAS), overlay)
        with testing.fake(package.client) as server:
            server.on("GET", "/watch").returns(body, headers={"Content-Type": media_type})
            return list(package.watch()), package

    return stream


ITEMS = b'data: {"name": "a"}\n\ndata: {"name": "b"}\n\n'


@pytest.mark.parametrize(
    "media",
    [
        {"itemSchema": event(ref("Item"))},
        {"itemSchema": event(ref("Item"), id={"type": "string"}, retry={"type": "integer"})},
        {"itemSchema": {"properties": {"data": ref("Item")}}},
        {"schema": event(ref("Item"))},
        {"schema": {"type": "object", "properties": {"data": ref("Item"), "event": {"type": "string"}}}},
        {"schema": {"type": "object", "properties": {"data": ref("Item")}}},
        {"schema": {"type": "array", "items": event(ref("Item"))}},
        {"schema": ref("Item")},
        {"itemSchema": ref("Item")},
        {"schema": {"allOf": [ref("Item")]}},
    ],
)
def test_a_typed_event_is_its_data(stream, media):
    items, package = stream(media, ITEMS)
    assert items == [package.models.Item(name="a"), package.models.Item(name="b")]
    assert package.findings == []


@pytest.mark.parametrize(
    "media", [{}, {"schema": {}}, {"schema": {"type": "string"}}, {"itemSchema": TEXT_EVENT}, {"schema": TEXT_EVENT}]
)
def test_an_event_whose_data_has_no_type_is_whole(stream, media):
    items, _ = stream(media, b"event: a\nid: 1\ndata: x\n\n")
    assert items == [api.ServerSentEvent("x", event="a", id="1")]


def test_an_event_of_which_the_document_requires_more_is_whole(stream):
    media = {"itemSchema": {**event(ref("Item"), event={"type": "string"}), "required": ["data", "event"]}}
    items, package = stream(media, b'event: a\ndata: {"name": "x"}\n\n')
    assert items == [api.ServerSentEvent(package.models.Item(name="x"), event="a")]


def test_text_that_is_json_is_read_as_json(stream):
    assert stream({"itemSchema": event({"type": "string"})}, b'data: "a\\n"\n\n')[0] == ["a\n"]
    items, _ = stream({"itemSchema": {"type": "string"}}, b'"a"\n"b"\n', "application/jsonl")
    assert items == ["a", "b"]


def test_events_that_their_names_tell_apart_become_an_event_map(stream):
    media = {"itemSchema": {"oneOf": [event(ref("Delta"), "delta"), event(ref("Done"), "done"), event(None, "ping")]}}
    body = (
        b'event: ping\n\nevent: ping\ndata: {}\n\nevent: delta\ndata: {"type": "delta", "text": "a"}\n\n'
        b'event: new\ndata: later\n\nevent: done\ndata: {"type": "done", "reason": "b"}\n\n'
    )
    items, package = stream(media, body)
    models = package.models
    assert items == [models.Delta(type="delta", text="a"), "later", models.Done(type="done", reason="b")]


def test_names_that_share_a_type_are_kept(stream):
    media = {"schema": {"oneOf": [event(ref("Item"), "added"), event(ref("Item"), "removed")]}}
    items, package = stream(media, b'event: removed\ndata: {"name": "a"}\n\nevent: new\ndata: x\n\n')
    assert items == [
        api.ServerSentEvent(package.models.Item(name="a"), event="removed"),
        api.ServerSentEvent("x", event="new"),
    ]


def test_one_kind_of_event_may_have_several_names(stream):
    several = {"properties": {"event": {"enum": ["added", "changed"]}, "data": ref("Item")}}
    media = {"schema": {"oneOf": [several, {"properties": {"event": {"const": "ping"}}}]}}
    items, package = stream(media, b'event: ping\n\nevent: changed\ndata: {"name": "a"}\n\n')
    assert items == [api.ServerSentEvent(package.models.Item(name="a"), event="changed")]


def test_an_event_without_a_name_beside_named_ones_is_a_message(stream):
    media = {"itemSchema": {"oneOf": [event(ref("Delta"), "delta"), event(ref("Item"))]}}
    items, package = stream(media, b'data: {"name": "a"}\n\n')
    assert items == [package.models.Item(name="a")]


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
@pytest.mark.parametrize("discriminator", [{"propertyName": "type"}, None])
@pytest.mark.parametrize("wrap", [lambda union: {"schema": union}, lambda union: {"itemSchema": event(union)}])
def test_a_union_that_is_told_apart_stays_open(stream, keyword, discriminator, wrap):
    union: dict[str, Any] = {keyword: [ref("Delta"), ref("Done")]}
    if discriminator:
        union["discriminator"] = discriminator
    body = b'data: {"type": "done", "reason": "b"}\n\ndata: {"type": "new", "x": [1]}\n\n'
    items, package = stream(wrap(union), body)
    assert items[0] == package.models.Done(type="done", reason="b")
    assert items[1].model_dump() == {"type": "new", "x": [1]}
    assert type(items[1]).__name__.startswith("Unknown")


def test_what_is_known_and_does_not_fit_is_no_unknown_one(stream):
    with pytest.raises(api.StreamDecodeError, match=r"done\.reason: Field required"):
        stream({"schema": {"oneOf": [ref("Delta"), ref("Done")]}}, b'data: {"type": "done"}\n\n')


def test_events_that_describe_their_data_as_alternatives_are_a_union(stream):
    media = {"itemSchema": {"oneOf": [event(ref("Delta")), event(ref("Done"))]}}
    items, package = stream(media, b'data: {"type": "delta", "text": "a"}\n\n')
    assert items == [package.models.Delta(type="delta", text="a")]


@pytest.mark.parametrize(
    "media",
    [
        {"schema": ref("Item"), "x-speakeasy-sse-sentinel": "[END]"},
        {"schema": {**ITEM, "x-speakeasy-sse-sentinel": "[END]"}},
        {"schema": {"oneOf": [ref("Item"), {"type": "string", "enum": ["[END]"]}]}},
        {"schema": {"anyOf": [ref("Item"), {"const": "[END]"}]}},
        {"schema": {"oneOf": [event(ref("Item")), {"type": "object", "properties": {"data": {"enum": ["[END]"]}}}]}},
    ],
)
def test_a_terminator_ends_the_stream(stream, media):
    items, _ = stream(media, b'data: {"name": "a"}\n\ndata: [END]\n\ndata: more\n\n')
    assert [item.name for item in items] == ["a"]
    with pytest.raises(api.StreamInterrupted):
        stream(media, b'data: {"name": "a"}\n\n')


def test_chunks_of_openais_making_end_with_done(stream):
    chunk = b'data: {"object": "chat.completion.chunk", "choices": []}\n\n'
    assert len(stream({"schema": ref("Chunk")}, chunk + b"data: [DONE]\n\n")[0]) == 1


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/jsonl", b'{"name": "a"}\n{"name": "b"}\n'),
        ("application/x-ndjson", b'{"name": "a"}\n{"name": "b"}\n'),
        ("application/json-seq", b'\x1e{"name": "a"}\n\x1e{"name": "b"}\n'),
        ("application/geo+json-seq", b'\x1e{"name": "a"}\n\x1e{"name": "b"}\n'),
        ("application/json", b'[{"name": "a"}, {"name": "b"}]'),
    ],
)
def test_other_formats_are_read_and_asked_for(stream, media_type, body):
    items, _ = stream({"itemSchema": ref("Item")}, body, media_type)
    assert [item.name for item in items] == ["a", "b"]
    if media_type != "application/json":  # with a schema, that is one document
        for schema in (ref("Item"), {"type": "array", "items": ref("Item")}):
            assert stream({"schema": schema}, body, media_type)[0][0].name == "a"


def test_a_stream_of_a_type_that_is_none_of_ours_is_told(stream):
    items, package = stream({"itemSchema": ref("Item")}, b"x", "multipart/mixed")
    assert bytes(items) == b"x"
    place = "#/paths/~1watch/get/responses/200/content/multipart~1mixed/itemSchema"
    assert package.findings == [f"{place}: a stream of multipart/mixed has no counterpart; it is bytes"]


@pytest.mark.parametrize("level", ["response", "media"])
def test_x_streaming_may_stand_deeper(generate, level):
    operation = answering(ref("Item"), operationId="watch")
    response = operation["responses"]["200"]
    (response if level == "response" else response["content"]["application/json"])["x-streaming"] = True
    package = generate(document({"/watch": {"get": operation}}, SCHEMAS))
    with testing.fake(package.client) as server:
        server.on(package.watch).returns(b'{"name": "a"}\n', headers={"Content-Type": "application/jsonl"})
        assert [item.name for item in package.watch()] == ["a"]


@pytest.mark.parametrize(
    ("extension", "media_type", "body"),
    [
        ({"x-fern-streaming": True}, "application/jsonl", b'{"name": "a"}\n'),
        ({"x-streaming": True}, "application/jsonl", b'{"name": "a"}\n'),
        ({"x-fern-streaming": {"format": "json"}}, "application/jsonl", b'{"name": "a"}\n'),
        ({"x-fern-streaming": {"format": "sse"}}, "text/event-stream", b'data: {"name": "a"}\n\n'),
        (
            {"x-fern-streaming": {"format": "sse", "terminator": "[DONE]"}},
            "text/event-stream",
            b'data: {"name": "a"}\n\ndata: [DONE]\n\n',
        ),
    ],
)
def test_extensions_that_say_that_json_is_a_stream_are_understood(generate, extension, media_type, body):
    operation = answering(ref("Item"), operationId="watch", **extension)
    package = generate(document({"/watch": {"get": operation}}, SCHEMAS))
    with testing.fake(package.client) as server:
        server.on(package.watch).returns(body, headers={"Content-Type": media_type})
        assert [item.name for item in package.watch()] == ["a"]


REQUEST = {"type": "object", "properties": {"text": {"type": "string"}, "stream": {"type": "boolean"}}}
JSON_BODY = {"required": True, "content": {"application/json": {"schema": ref("Request")}}}
EITHER = {"application/json": {"schema": ref("Item")}, "text/event-stream": {"schema": ref("Item")}}


def either(**operation: Any) -> dict[str, Any]:
    responses = {"200": {"description": "", "content": EITHER}}
    return document({"/chat": {"post": {"responses": responses, **operation}}}, {**SCHEMAS, "Request": REQUEST})


@pytest.mark.parametrize(
    ("operation_id", "names"),
    [
        ("createChat", ("create_chat", "stream_chat")),
        ("chat", ("chat", "stream_chat")),
        ("chat_chat_post", ("chat", "stream_chat")),
        (None, ("post_chat", "stream_chat")),
    ],
)
def test_an_operation_that_answers_with_either_gives_two_functions_that_set_the_flag(generate, operation_id, names):
    package = generate(either(requestBody=JSON_BODY, operationId=operation_id))
    complete, streamed = (getattr(package, name) for name in names)
    body = package.models.Request(text="a")
    with testing.fake(package.client) as server:
        server.on(complete).returns({"name": "a"})
        assert complete(body).name == "a"
        assert server.requests[-1].body == {"text": "a", "stream": False}
    with testing.fake(package.client) as server:
        server.on(streamed).returns(ITEMS, headers={"Content-Type": "text/event-stream"})
        assert [item.name for item in streamed(body)] == ["a", "b"]
        assert server.requests[-1].body == {"text": "a", "stream": True}


def test_the_flag_may_be_a_parameter_or_a_field_of_a_form(generate):
    flag = {"name": "stream", "in": "query", "schema": {"type": "boolean"}}
    package = generate(either(operationId="chat", parameters=[flag]))
    with testing.fake(package.client) as server:
        server.on(package.stream_chat).returns(ITEMS, headers={"Content-Type": "text/event-stream"})
        list(package.stream_chat())
        assert str(server.requests[-1].url).endswith("/chat?stream=true")
    form = {"content": {"multipart/form-data": {"schema": ref("Request")}}}
    package = generate(either(operationId="chat", requestBody=form))
    with testing.fake(package.client) as server:
        server.on(package.stream_chat).returns(ITEMS, headers={"Content-Type": "text/event-stream"})
        list(package.stream_chat(text="a"))
        assert b"stream=true" in server.requests[-1].content


def test_ferns_condition_names_the_flag_and_its_schemas_the_answers(generate):
    schema = {"type": "object", "properties": {"live": {"type": "boolean"}}}
    operation = {
        "operationId": "chat",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "x-fern-streaming": {
            "format": "sse",
            "stream-condition": "$request.live",
            "response": ref("Item"),
            "response-stream": ref("Delta"),
        },
        **answering({}),
    }
    package = generate(document({"/chat": {"post": operation}}, SCHEMAS))
    with testing.fake(package.client) as server:
        server.on(package.chat).returns({"name": "a"})
        server.on(package.stream_chat).returns(
            b'data: {"type": "delta", "text": "a"}\n\n', headers={"Content-Type": "text/event-stream"}
        )
        assert package.chat(package.models.ChatRequest()).name == "a"
        assert next(package.stream_chat(package.models.ChatRequest())).text == "a"
        assert [each.body for each in server.requests] == [{"live": False}, {"live": True}]


def test_an_operation_whose_answer_nothing_chooses_is_told(generate):
    assert generate(either(operationId="chat")).findings == [
        "#/paths/~1chat/post: answers as JSON or as a stream, and nothing but Accept says which"
    ]


def test_a_last_event_id_is_the_way_to_resume(generate):
    header = {"name": "Last-Event-ID", "in": "header", "required": True, "schema": {"type": "string"}}
    operation = answering(ref("Item"), "text/event-stream", operationId="watch", parameters=[header])
    package = generate(document({"/watch": {"get": operation}}, SCHEMAS))
    with testing.fake(package.client) as server:
        server.on(package.watch).returns(ITEMS, headers={"Content-Type": "text/event-stream"})
        list(package.watch())
        list(package.watch(last_event_id="7"))
        assert [each.headers.get("Last-Event-ID") for each in server.requests] == [None, "7"]


def test_the_overlay_says_what_the_document_cannot(generate):
    overlay = '[operations.watch]\nname = "follow"\nuntil = "[END]"\nreconnect = true\nidle_timeout = 30\n'
    paths = {"/watch": {"get": answering(ref("Item"), "text/event-stream", operationId="watch")}}
    package = generate(document(paths, SCHEMAS), overlay)
    with testing.fake(package.client) as server:
        follow = server.on(package.follow)
        follow.streams(testing.event('{"name": "a"}', id="1"), testing.cut("reset"))
        follow.streams(testing.event('{"name": "b"}', id="2"), testing.event("[END]"))
        assert [item.name for item in package.follow()] == ["a", "b"]
        assert server.requests[-1].headers["Last-Event-ID"] == "1"


def test_the_overlay_makes_a_stream_of_what_the_document_calls_json(generate):
    paths = {"/raw": {"get": answering({}, operationId="raw")}}
    package = generate(document(paths), '[operations.raw]\nstream_format = "lines"\n')
    with testing.fake(package.client) as server:
        server.on(package.raw).returns(b"one\ntwo\n", headers={"Content-Type": "text/plain"})
        assert list(package.raw()) == ["one", "two"]
