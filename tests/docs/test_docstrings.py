"""The docstrings of the public names: a summary that fits an editor's tooltip, all parts, examples that run."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from tests.docs.pages import ROOT, blocks_of

from clientele import api, testing

NAMES = [(module, name) for module in (api, testing) for name in module.__all__]
OBJECTS = {f"{module.__name__}.{name}": getattr(module, name) for module, name in NAMES}
OBJECTS |= {
    f"{name}.{member}": getattr(cls, member)
    for name, cls in list(OBJECTS.items())
    if inspect.isclass(cls) and "VirtualClock" not in name
    for member, value in vars(cls).items()
    if inspect.isfunction(value) and not member.startswith("_")
}
EXAMPLES = [(name, block) for name, each in OBJECTS.items() for block in blocks_of(f"{inspect.getdoc(each)}\n")]


class User(BaseModel):
    name: str


class Event(BaseModel):
    text: str


class NotFound(BaseModel):
    detail: str


class Price(BaseModel):
    amount: float


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application that streams one event."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b'data: {"text": "hello"}\n\n'})


def prelude() -> dict[str, Any]:
    """What the examples take for declared."""
    client = api.APIClient(base_url="http://localhost:8000")

    @client.get("/users/{user_id}")
    def get_user(result: User, user_id: int) -> User:
        return result

    @client.get("/events", streaming_response=True)
    def stream_events(*, result: Iterator[Event]) -> Iterator[Event]:
        return result

    @client.get("/events", streaming_response=True)
    async def follow_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
        return result

    @client.get("/events", streaming_response=True, reconnect=True)
    def resumed_events(*, result: Iterator[Event]) -> Iterator[Event]:
        return result

    declared = {"client": client, "get_user": get_user, "stream_events": stream_events, "follow_events": follow_events}
    names = {"api": api, "testing": testing, "AsyncIterator": AsyncIterator, "Iterator": Iterator, "app": app}
    return (
        declared
        | names
        | {"resumed_events": resumed_events, "User": User, "Event": Event, "Price": Price, "NotFound": NotFound}
    )


@pytest.mark.parametrize(("name", "block"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_example_of_a_docstring_runs(name, block, tmp_path, monkeypatch, faked_clients):
    namespace = prelude()
    client, endpoint = namespace["client"], namespace["resumed_events" if "resumed" in block.code else "stream_events"]
    monkeypatch.chdir(tmp_path)
    with testing.fake(client) as server:
        if "server.on" in block.code:
            namespace["server"] = server
        elif "replay" in block.code:
            log = testing.Log([Event(text="hello"), Event(text="world")])
            server.on(endpoint).streams(log).returns(status=204)
            with testing.record(client, "talk.jsonl"):
                list(endpoint())
        else:
            server.on("GET", "/users/5").returns(User(name="Ann"))
            server.on("GET", "/events").streams(Event(text="hello"))
        program = compile(block.code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        outcome = eval(program, namespace)
        if inspect.iscoroutine(outcome):
            asyncio.run(outcome)


def test_there_are_examples():
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize("name", OBJECTS)
def test_a_docstring_has_a_summary_for_a_tooltip_and_all_parameters(name):
    documented = OBJECTS[name]
    text = inspect.getdoc(documented)
    assert text, "it has no docstring"
    summary = text.splitlines()[0]
    assert summary.endswith((".", ":", "`.")), summary
    assert len(summary) <= 120
    if inspect.isfunction(documented) and "; see `" not in summary:
        parameters = [each for each in inspect.signature(documented).parameters if each != "self"]
        described = re.findall(r"^ +\**(\w+): ", text, re.MULTILINE)
        assert len(parameters) < 2 or set(parameters) <= set(described)


def test_every_public_name_is_in_the_reference():
    reference = "".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))
    shown = re.findall(r"^::: clientele\.(?:api|testing)(?:\.fake)?\.(\w+)$", reference, re.MULTILINE)
    assert {name for _, name in NAMES} == set(shown)
