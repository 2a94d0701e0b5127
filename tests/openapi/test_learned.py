"""What was seen of a stream becomes a declaration that runs, reads what was seen, and type-checks as it stands."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import types
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.openapi.test_samples import JSON

from clientele import testing
from clientele.openapi.learned import Seen, SeenEvent, declaration


def seen(*events: Any, url: str = "http://api.example/v1/events", **more: Any) -> Seen:
    """A stream of events: data, or a name and data."""
    made = [SeenEvent(*reversed(each)) if isinstance(each, tuple) else SeenEvent(each) for each in events]
    method = "GET" if more.get("body") is None else "POST"
    return Seen(method, url, **{"stream_format": "sse", "events": made, "has_ended": True, **more})


def chunk(delta: dict[str, Any], **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [choice], **more})


def typed(name: str, **members: Any) -> tuple[str, str]:
    return name, json.dumps({"type": name, **members})


QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
CHAT = seen(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hi"}),
    chunk({}, finish_reason="stop", usage={"total_tokens": 5}),
    "[DONE]",
    url="http://api.example/v1/chat/completions",
    body=QUESTION,
    token_variable="OPENAI_API_KEY",
)
ANTHROPIC = seen(
    typed("message_start", message={"id": "m", "content": [], "usage": {"input_tokens": 3}}),
    ("ping", ""),
    typed("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
    typed("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{"}),
    typed("message_stop"),
    url="http://api.example/v1/messages",
)
RESPONSES = seen(
    *(
        data
        for _, data in (
            typed("response.created", response={"id": "r", "output": []}),
            typed("response.output_text.delta", delta="Hi", logprobs=[]),
            typed("response.output_text.delta", delta="!", logprobs=[]),
            typed("response.completed", response={"id": "r", "output": [{"type": "message"}]}),
        )
    ),
    url="http://api.example/v1/responses",
)
WIKIMEDIA = Seen(
    "GET",
    "http://api.example/v2/stream/recentchange?since=2026-01-01",
    "sse",
    events=[
        SeenEvent(json.dumps({"id": 1, "type": "edit", "length": {"old": 1, "new": 2}, "bot": False}), id="[{}]"),
        SeenEvent(json.dumps({"id": None, "type": "log", "log_params": {"x": 1}, "bot": True}), id="[{}]"),
        SeenEvent(json.dumps({"id": 3, "type": "edit", "length": {"old": None, "new": 2}, "bot": True}), id="[{}]"),
    ],
)
KUBERNETES = seen(
    json.dumps({"type": "ADDED", "object": {"metadata": {"name": "a", "labels": {"1": "x", "2": "y"}}}}),
    json.dumps({"type": "DELETED", "object": {"metadata": {"name": "b", "labels": {}}}}),
    stream_format="jsonl",
    says_format=False,
    has_ended=False,
)
LINES = seen("one", "two", stream_format="lines", url="http://api.example/log")
ALL = {
    "chat": CHAT,
    "anthropic": ANTHROPIC,
    "responses": RESPONSES,
    "wikimedia": WIKIMEDIA,
    "kubernetes": KUBERNETES,
    "lines": LINES,
}
_numbers = itertools.count()


def run(source: str) -> types.ModuleType:
    module = types.ModuleType(f"learned_{next(_numbers)}")
    sys.modules[module.__name__] = module
    exec(compile(source, module.__name__, "exec", dont_inherit=True), module.__dict__)
    return module


def read(what: Seen, *, is_async: bool = False) -> tuple[list[Any], types.ModuleType]:
    """What the declaration of a stream reads, where the same stream comes again."""
    module = run(declaration(what, is_async=is_async))
    (function,) = (each for each in vars(module).values() if hasattr(each, "__clientele__"))
    arguments = []
    if what.body is not None:
        arguments = [function.__annotations__["data"].model_validate(what.body)]
    with testing.fake(module.client) as server:
        script = [
            testing.event(each.data, event=None if each.name == "message" else each.name, id=each.id or None)
            for each in what.events
        ]
        if what.stream_format == "sse":
            server.on(function).streams(*script)
        else:
            body = "".join(f"{each.data}\n" for each in what.events).encode()
            media_type = "text/plain" if what.stream_format == "lines" else "application/x-ndjson"
            server.on(function).returns(body, headers={"Content-Type": media_type})
        if not is_async:
            return list(function(*arguments)), module

        async def items() -> list[Any]:
            return [item async for item in function(*arguments)]

        return anyio.run(items), module


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "t")


@pytest.mark.every_python
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_what_was_seen_is_read(name, is_async):
    items, _ = read(ALL[name], is_async=is_async)
    left_out = {"chat": 1, "anthropic": 1}.get(name, 0)  # [DONE]; a ping without data
    assert len(items) == len(ALL[name].events) - left_out


def test_a_chat_is_learned():
    source = declaration(CHAT)
    assert 'until="[DONE]"' in source
    assert "class Choice(BaseModel):" in source
    assert "content: str | None = None" in source
    assert "data: CompletionsRequest," in source or "data: CompletionsRequest\n" in source
    assert "os.environ['OPENAI_API_KEY']" in source


def test_event_names_are_told_apart_and_those_to_come_are_text():
    items, module = read(ANTHROPIC)
    source = declaration(ANTHROPIC)
    assert [type(item.data).__name__ if hasattr(item, "data") else type(item).__name__ for item in items] == [
        "MessageStart",
        "ContentBlockDelta",
        "ContentBlockDelta",
        "MessageStop",
    ]
    assert '"ping": None' in source
    assert '"*": str' in source
    assert 'until=lambda event: event.event == "message_stop"' in source
    assert "include_end=True" in source
    assert module.TextDelta


def test_discriminators_are_found_and_new_values_are_read_too():
    items, module = read(RESPONSES)
    assert [type(item).__name__ for item in items] == [
        "ResponseCreated",
        "ResponseOutputTextDelta",
        "ResponseOutputTextDelta",
        "ResponseCompleted",
    ]
    assert 'json.loads(event.data)["type"] == "response.completed"' in declaration(RESPONSES)
    assert any(name.startswith("Unknown") for name in vars(module))


def test_a_format_that_the_content_type_does_not_say_is_an_option():
    assert 'stream_format="jsonl"' in declaration(KUBERNETES)
    assert "labels: dict[str, str]" in declaration(KUBERNETES)
    assert 'stream_format="sse"' in declaration(seen("1", says_format=False))
    assert "stream_format" not in declaration(seen("1"))


def test_ids_are_told():
    assert "reconnect=True" in declaration(WIKIMEDIA)
    assert "reconnect=True" not in declaration(CHAT)


def test_the_query_becomes_parameters_and_secrets_are_shown_nowhere():
    what = seen(
        "1",
        url="http://user:hunter2@api.example/events?topic=a&api_key=hunter2",
        headers={"X-Key": "hunter2", "X-A": "b"},
    )
    source = declaration(what)
    assert "hunter2" not in source
    assert 'topic: str = "a"' in source
    assert "api_key: str" in source
    assert "'X-A': 'b'" in source.replace('"', "'")
    assert "Left out, since they look like secrets: X-Key, api_key." in source


@pytest.mark.parametrize(
    "events",
    [
        ["1", "2"],
        ['{"type": "done"}', '{"type": "done"}'],  # twice
        [("end", "1")],  # alone
        ["text", "[DONE]"],  # all is text
    ],
)
def test_what_does_not_end_a_stream_is_not_taken_for_its_end(events):
    assert "until" not in declaration(seen(*events))
    assert "until" not in declaration(seen("1", ("end", "2"), has_ended=False))


@settings(max_examples=25, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=4))
def test_whatever_was_seen_is_read(values):
    what = seen(*(json.dumps(value) for value in values), has_ended=False)
    items, _ = read(what)
    assert len(items) == len(values)


def test_declarations_type_check_as_they_stand(tmp_path):
    for name, each in ALL.items():
        for is_async in (True, False):
            (tmp_path / f"{name}_{is_async}.py").write_text(declaration(each, is_async=is_async))
    for command in (["mypy", "--strict", "--cache-dir", "/dev/null"], ["pyright", "--pythonpath", sys.executable]):
        done = subprocess.run(
            [sys.executable, "-m", *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
