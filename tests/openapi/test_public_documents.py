"""Packages of documents that others have written: OpenAI's, with 182 paths and 1,422 schemas, and one of FastAPI's.

The documents are not a part of the project; where they are not to be had, the tests are skipped.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pydantic
import pytest
from typing_extensions import TypeAliasType

from clientele import api, testing
from clientele.openapi.modules import Sides
from clientele.openapi.package import generate

ROOT = Path(__file__).parents[2]
DOCUMENTS = Path(os.environ.get("OPENAPI_DOCUMENTS", ROOT.parent / "shared" / "openapi"))

pytestmark = pytest.mark.skipif(
    not DOCUMENTS.is_dir(), reason="set OPENAPI_DOCUMENTS to a directory with the documents"
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the packages of both documents are."""
    directory = tmp_path_factory.mktemp("packages")
    for name in ("openai", "fastapi"):
        package = generate(
            str(DOCUMENTS / f"{name}.json"), f"{name}_client", sides=Sides(synchronous=name == "fastapi")
        )
        package.write(directory / f"{name}_client")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory)
        yield directory


def modules(directory: Path, name: str) -> dict[str, ModuleType]:
    return {each.stem: importlib.import_module(f"{name}.{each.stem}") for each in (directory / name).glob("[a-z]*.py")}


@pytest.mark.parametrize("name", ["openai_client", "fastapi_client"])
def test_every_module_is_imported_and_every_type_is_built(directory, name):
    for each in vars(modules(directory, name)["models"]).values():
        if isinstance(each, TypeAliasType):
            pydantic.TypeAdapter(each)


@pytest.mark.parametrize("checker", [["mypy", "--strict", "--cache-dir", os.devnull], ["pyright", "--pythonpath"]])
def test_type_checkers_find_nothing(directory, checker):
    command = [sys.executable, "-m", *checker, *([sys.executable] if checker[0] == "pyright" else [])]
    done = subprocess.run(
        [*command, "openai_client", "fastapi_client"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_each_operation_of_openais_has_a_function_in_a_module_of_a_bearable_size(directory):
    made = modules(directory, "openai_client")
    functions = [each for module in made.values() for each in vars(module).values() if hasattr(each, "__clientele__")]
    assert len(set(functions)) == 288 + 7  # seven answer with a stream, too
    sizes = {name: (directory / "openai_client" / f"{name}.py").read_text().count("\n") for name in made}
    assert max(size for name, size in sizes.items() if name != "models") < 600


CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}


def test_chat_completions_are_streamed(directory):
    made = modules(directory, "openai_client")
    chat, models = made["chat"], made["models"]
    message = models.ChatCompletionRequestUserMessage(role="user", content="Hi")
    body = models.CreateChatCompletionRequest(model="gpt-4o", messages=[message])

    async def read() -> list[Any]:
        return [chunk async for chunk in chat.stream_chat_completion(body)]

    with testing.fake(made["client"].client) as server:
        stream = server.on(chat.stream_chat_completion)
        stream.streams(CHUNK, CHUNK, testing.event("[DONE]"))
        chunks = anyio.run(read)
        assert [type(chunk) for chunk in chunks] == [models.CreateChatCompletionStreamResponse] * 2
        assert server.requests[-1].body == {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
        }
        stream.streams(CHUNK)
        with pytest.raises(api.StreamInterrupted):
            anyio.run(read)


def test_responses_are_streamed_typed_by_event_and_new_events_with_them(directory):
    made = modules(directory, "openai_client")
    responses, models = made["responses"], made["models"]
    delta = {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0}
    events = [{**delta, "delta": "Hi", "sequence_number": 1, "logprobs": []}, {"type": "response.new", "x": 1}]

    async def read() -> list[Any]:
        stream: AsyncIterator[Any] = await responses.stream_response(models.CreateResponse(model="m", input="Hi"))
        return [event async for event in stream]

    with testing.fake(made["client"].client) as server:
        server.on(responses.stream_response).streams(*events)
        known, unknown = anyio.run(read)
    assert type(known) is models.ResponseTextDeltaEvent
    assert known.delta == "Hi"
    assert type(unknown) is models.UnknownResponseStreamEvent
    assert unknown.model_dump() == events[1]


def test_nothing_of_fastapis_is_left_out(directory):
    package = generate(str(DOCUMENTS / "fastapi.json"), "fastapi_client")
    assert package.findings == ()
