"""A package of a FastAPI application, each of its operations called, on both sides, against the application itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.openapi.application import app
from tests.openapi.conftest import Generated

from clientele import api, testing

pytestmark = pytest.mark.every_python  # models, signatures and aliases of types are what it may depend on


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    """The package of the application, its client in process with it."""
    from clientele.cli import generate as command

    directory = tmp_path_factory.mktemp("generated") / "everything_client"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory.parent)
        command.generate("tests.openapi.application:app", directory, asynchronous=True, synchronous=True)
        package = Generated(None, directory, directory.name)  # type: ignore[arg-type]
        with testing.in_process(package.client, app):
            yield package


@pytest.fixture(params=["asynchronous", "synchronous"])
def call(request: pytest.FixtureRequest, generated: Generated) -> Callable[..., Any]:
    """Call a function of the package, and read what it gives: the result, or the items of a stream."""

    def call(name: str, /, *args: Any, **kwargs: Any) -> Any:
        if request.param == "synchronous":
            result = getattr(generated, f"{name}_sync")(*args, **kwargs)
            return list(result) if isinstance(result, api.Stream) else result

        async def perform() -> Any:
            result = await getattr(generated, name)(*args, **kwargs)
            return [item async for item in result] if isinstance(result, api.AsyncStream) else result

        return anyio.run(perform)

    return call


def test_every_operation_has_a_function_on_each_side(generated):
    module = generated.module("client")
    functions = {name for name, each in vars(module).items() if hasattr(each, "__clientele__")}
    operations = [operation for item in app.openapi()["paths"].values() for operation in item]
    assert len(functions) == 2 * (len(operations) + 1)  # one answers with JSON or a stream
    assert {f"{name}_sync" for name in functions if not name.endswith("_sync")} < functions


def test_streams_of_events_give_what_their_data_is(call, generated):
    models = generated.models
    items = [models.Item(name="a", price=1, tags=[]), models.Item(name="ü", price=None, tags=["x"])]
    assert call("sse_items")[:2] == call("sse_sync")[:2] == items
    assert call("sse_str") == ["one", 'a "quoted" one']
    assert call("sse_chat", models.Prompt(text="a b")) == [
        models.Delta(type="delta", text="a"),
        models.Delta(type="delta", text="b"),
        models.Done(type="done", reason="stop"),
    ]


def test_events_without_a_type_of_data_are_whole(call):
    assert call("sse_events") == [
        api.ServerSentEvent('{"n": 1}', event="tick", id="1"),
        api.ServerSentEvent('"two"', event="tock", id="2", retry=50),
    ]


def test_a_stream_is_resumed_by_its_last_event_id(call):
    assert [item.name for item in call("sse_items", last_event_id="1")] == ["ü", "c"]
    assert [item.name for item in call("sse_items", last_event_id=2)] == ["c"]


def test_streams_of_json_lines_give_what_their_lines_are(call, generated):
    models = generated.models
    assert [item.name for item in call("jsonl_items")] == ["a", "ü", "c"]
    assert call("jsonl_union") == [models.Delta(type="delta", text="a"), models.Done(type="done", reason="b")]
    assert call("jsonl_untyped") == [{"a": 1}]


def test_an_operation_that_answers_with_either_has_two_functions_which_set_the_flag(call, generated):
    prompt = generated.models.Prompt(text="a b", stream=True)
    assert call("either", prompt).name == "a b"
    prompt = generated.models.Prompt(text="a b")
    assert [event.data for event in call("stream_either", prompt)] == ['{"name": "a"}', '{"name": "b"}']


def test_parameters_arrive_in_their_places(call, generated):
    item = generated.models.Item(name="a")
    sent = call("put_item", 5, "a/b c", item, q="ü&", tags=["x", "y"], page_size=7, x_token="t", session="s")
    assert sent == {
        "item_id": 5,
        "kind": "a/b c",
        "item": {"name": "a"},
        "q": "ü&",
        "limit": 10,
        "tags": ["x", "y"],
        "page_size": 7,
        "x_token": "t",
        "session": "s",
    }


def test_what_is_left_out_is_the_servers_to_choose(call, generated):
    sent = call("put_item", 5, "k", generated.models.Item(name="a"))
    assert (sent["q"], sent["tags"], sent["x_token"], sent["session"]) == (None, None, None, None)


def test_a_documented_error_is_raised_with_its_answer(call, generated):
    with pytest.raises(api.HTTPStatusError) as caught:
        call("put_item", 404, "k", generated.models.Item(name="a"))
    assert caught.value.parsed == generated.models.Problem(detail="no such item")
    with pytest.raises(api.HTTPStatusError) as caught:
        call("put_item", 1, "k", generated.models.Item(name="a"), limit=101)
    assert isinstance(caught.value.parsed, generated.models.HTTPValidationError)
    assert caught.value.parsed.detail[0].loc == ["query", "limit"]


def test_bodies_and_answers_of_other_kinds(call, generated, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"123")
    assert call("patch_item", 1, {"a": [1]}) == {"a": [1]}
    assert call("delete_item", 1) is None
    assert call("send_form", name="ü", age=5) == {"name": "ü", "age": 5}
    assert call("send_files", file=tmp_path / "a.txt", more=[b"1", ("b", b"22")], note="n") == {
        "sizes": [3, 1, 2],
        "name": "a.txt",
        "note": "n",
    }
    two = generated.models.SendTwoBody(item=generated.models.Item(name="a"), prompt=generated.models.Prompt(text="b"))
    assert call("send_two", two) == {"item": "a", "prompt": "b", "count": 1}
    assert call("text") == "plain"
    assert call("some_bytes") == b"\x00\xff"
    assert call("filtered", low=3, names=["a", "b"]).names == ["a", "b"]
    assert call("keywords", "c", from_="d") == {"class": "c", "from": "d"}


def test_a_raw_stream_is_what_the_document_calls_it(call):
    with pytest.raises(api.ResponseValidationError):
        call("raw_lines")


def test_credentials_come_from_the_environment_and_from_arguments(generated, monkeypatch):
    assert generated.secret_sync() == {"token": None, "key": None}
    monkeypatch.setenv("EVERYTHING_CLIENT_TOKEN", "from-env")
    assert generated.secret_sync() == {"token": "from-env", "key": None}
    mine = generated.make_client(token=lambda: "called", api_key="k", base_url="http://test")
    with testing.in_process(mine, app):
        assert mine.bind(generated.secret_sync)() == {"token": "called", "key": "k"}


JSON_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@settings(deadline=None, max_examples=50)
@given(
    item_id=st.integers(1, 400),
    kind=st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\\"), min_size=1).filter(
        lambda text: not {".", "..", ""} & set(text.split("/"))
    ),
    name=JSON_TEXT,
    price=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    q=st.none() | JSON_TEXT,
    limit=st.integers(1, 100),
    tags=st.none() | st.lists(JSON_TEXT, min_size=1, max_size=3),
)
def test_what_is_sent_arrives(generated, item_id, kind, name, price, q, limit, tags):
    item = generated.models.Item(name=name, price=price)
    sent = generated.put_item_sync(item_id, kind, item, q=q, limit=limit, tags=tags)
    assert (sent["item_id"], sent["kind"], sent["q"], sent["limit"], sent["tags"]) == (item_id, kind, q, limit, tags)
    assert sent["item"] == {"name": name, "price": price}


def test_functions_are_documented(generated):
    doc = inspect.getdoc(generated.put_item)
    assert doc.startswith("Put Item.\n\nPut an item where it belongs.")
    assert "limit: How many. (at least 1, at most 100)" in doc
