"""What a declaration says, and how a wrong one is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import json
import traceback
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Hashable,
    Iterable,
    Iterator,
)
from typing import Annotated, Any, TypeVar

import httpx2
import pydantic
import pytest
from tests.fakes import Recorder, client_of
from typing_extensions import TypeAliasType, TypedDict

from clientele import api

pytestmark = pytest.mark.every_python

client = api.APIClient(base_url="http://localhost:8000")


def refusal(decorator: Any, function: Any) -> str:
    """The message with which a declaration is refused."""
    with pytest.raises(TypeError) as caught:
        decorator(function)
    message = str(caught.value)
    assert function.__qualname__ in message
    return message


def test_a_function_without_result_is_refused():
    def get_user(user_id: int) -> int:
        return user_id

    assert "no parameter 'result'" in refusal(client.get("/users/{user_id}"), get_user)


def test_a_result_without_annotation_is_refused():
    def get_user(*, result):
        return result

    assert "'result' has no annotation" in refusal(client.get("/user"), get_user)


def test_an_async_function_with_an_iterator_is_refused():
    async def stream(*, result: Iterator[str]) -> Iterator[str]:
        return result

    message = refusal(client.get("/", streaming_response=True), stream)
    assert "'result'" in message
    assert "declare AsyncIterator[T]" in message


def test_a_function_with_an_async_iterator_is_refused():
    def stream(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
        return result

    message = refusal(client.get("/", streaming_response=True), stream)
    assert "'result'" in message
    assert "declare Iterator[T]" in message


@pytest.mark.parametrize("iterator", [Iterator, Iterable, typing.Iterator, api.Stream])
def test_an_iterator_without_streaming_response_is_refused(iterator):
    def stream(*, result: iterator[str]):
        return result

    message = refusal(client.get("/"), stream)
    assert "'result'" in message
    assert "streaming_response=True" in message


@pytest.mark.parametrize("result_type", [str, list[str], dict])
def test_streaming_response_without_an_iterator_is_refused(result_type):
    async def stream(*, result: result_type):
        return result

    message = refusal(client.get("/", streaming_response=True), stream)
    assert "'result'" in message
    assert "declare AsyncIterator[T]" in message


@pytest.mark.parametrize("iterator", [Iterator, typing.Iterator, api.Stream])
def test_an_iterator_of_nothing_said_is_refused(iterator):
    def stream(*, result: iterator):
        return result

    assert "does not say what it yields" in refusal(client.get("/", streaming_response=True), stream)


def test_a_placeholder_that_no_parameter_fills_is_refused():
    def get_user(id: int, *, result: str) -> str:
        return result

    assert "no parameter fills the path's placeholder 'user_id'" in refusal(client.get("/users/{user_id}"), get_user)


def test_a_placeholder_named_as_an_injected_parameter_is_refused():
    def get(*, result: str) -> str:
        return result

    assert "'result' is the name of an injected parameter" in refusal(client.get("/{result}"), get)


@pytest.mark.parametrize("path", ["/{", "/}", "/{}", "/{0}", "/{a.b}", "/{a!r}", "/{a:paths}", "/{a:>5}", "/{a b}"])
def test_a_path_that_cannot_be_read_is_refused(path):
    def get(a: str, *, result: str) -> str:
        return result

    assert repr(path) in refusal(client.get(path), get)


@pytest.mark.parametrize("declare", [client.get, client.head, client.options])
def test_data_without_a_body_to_put_it_in_is_refused(declare):
    def send(data: dict, *, result: str) -> str:
        return result

    assert "'data'" in refusal(declare("/"), send)


@pytest.mark.parametrize("declare", [client.head, client.options])
def test_a_stream_of_a_method_that_has_none_is_refused(declare):
    def stream(*, result: Iterator[str]) -> Iterator[str]:
        return result

    assert "is no stream" in refusal(declare("/", streaming_response=True), stream)


def test_parameters_of_any_number_are_refused():
    def many(*values: str, result: str) -> str:
        return result

    def named(*, result: str, **values: str) -> str:
        return result

    assert "'*values'" in refusal(client.get("/"), many)
    assert "'**values'" in refusal(client.get("/"), named)


class Model(pydantic.BaseModel):
    x: int


class Typed(TypedDict):
    x: int


@dataclasses.dataclass
class Data:
    x: int


class Plain:
    """A class that Pydantic knows nothing of."""


def test_a_type_that_pydantic_cannot_handle_is_refused():
    def result_unknown(*, result: Plain) -> Plain:
        return result

    def item_unknown(*, result: Iterator[Plain]) -> Iterator[Plain]:
        return result

    def parameter_unknown(plain: Plain, *, result: str) -> str:
        return result

    assert "'result': Pydantic cannot handle Plain" in refusal(client.get("/"), result_unknown)
    assert "'result': Pydantic" in refusal(client.get("/", streaming_response=True), item_unknown)
    assert "'plain': Pydantic" in refusal(client.get("/"), parameter_unknown)


@pytest.mark.parametrize("structured", [Model, Model | None, dict, dict[str, int], Typed, Data])
def test_a_value_of_many_fields_is_refused_as_a_query_parameter(structured):
    def add(user: structured, *, result: str) -> str:
        return result

    assert "name the parameter 'data'" in refusal(client.post("/"), add)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (pydantic.RootModel[str], pydantic.RootModel[str]("a")),
        (Annotated[Model, pydantic.PlainSerializer(lambda model: f"x:{model.x}")], Model(x=1)),
        (Callable[[], str] | str, "a"),
    ],
)
def test_a_value_that_is_written_as_one_is_taken_as_a_query_parameter(annotation, value):
    def find(by, *, result: None) -> None: ...

    find.__annotations__["by"] = annotation
    assert answering(None).get("/")(find)(value) is None


def test_bytes_as_the_data_of_an_event_are_refused():
    def stream(*, result: Iterator[api.ServerSentEvent[bytes]]) -> Iterator[api.ServerSentEvent[bytes]]:
        return result

    assert "bytes are yielded as they arrive" in refusal(client.get("/", streaming_response=True), stream)


def test_an_error_of_a_declaration_is_printed_once():
    def stream(*, result: Iterator[api.Comment]) -> Iterator[api.Comment]:
        return result

    def unresolved(*, result: Missing, size: 5) -> None: ...  # noqa: F821

    for function in (stream, unresolved):
        with pytest.raises(TypeError) as caught:
            client.get("/", streaming_response=True)(function)()
        assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1


@pytest.mark.parametrize("annotation", [int, "int", list[int], Model])
def test_a_body_that_forgot_its_return_says_so(side, annotation):
    def get(*, result: int): ...
    async def aget(*, result: int): ...

    function = get if side.is_sync else aget
    function.__annotations__["return"] = annotation
    endpoint = answering(5).get("/")(function)
    with pytest.raises(TypeError, match=r"get\(\) returned None, and its annotation says .*'return result'"):
        endpoint() if side.is_sync else side.run(endpoint)


@pytest.mark.parametrize("annotation", [None, int | None, Any, object, Hashable, "Missing"])
def test_a_body_may_return_nothing_where_its_annotation_allows_it(annotation):
    def get(*, result: int): ...

    get.__annotations__["return"] = annotation
    assert answering(5).get("/")(get)() is None


@pytest.mark.parametrize("result_type", [int | None, Any])
def test_without_an_annotation_it_may_where_the_result_may_be_none(result_type):
    def get(*, result: result_type): ...

    assert answering(5).get("/")(get)() is None


def test_without_an_annotation_it_may_not_where_the_result_is_none_never():
    def get(*, result: int): ...

    with pytest.raises(TypeError, match=r"get\(\) returned None; end its body with 'return result', or annotate it as"):
        answering(5).get("/")(get)()


class TestWrappers:
    """Decorators below the endpoint's."""

    def test_the_annotations_mean_names_of_the_wrapped_function(self):
        def get(*, result: Model) -> Model:
            return result

        elsewhere = {"functools": functools}
        exec("def wrap(f):\n  return functools.wraps(f)(lambda *a, **k: f(*a, **k))", elsewhere)
        assert answering({"x": 1}).get("/")(elsewhere["wrap"](get))() == Model(x=1)

    def test_a_plain_wrapper_around_an_async_function_is_looked_through(self):
        async def get(*, result: int) -> int:
            return result

        @functools.wraps(get)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return get(*args, **kwargs)

        endpoint = answering(5).get("/")(wrapper)
        assert inspect.iscoroutinefunction(endpoint)
        assert asyncio.run(endpoint()) == 5

    def test_a_plain_wrapper_that_hides_an_async_function_is_refused(self):
        async def get(*, result: int) -> int:
            return result

        def wrapper(*, result: int) -> Any:
            return get(result=result)

        with pytest.raises(
            TypeError, match=r"wrapper\(\) is a plain function, and returned a coroutine; .*functools.wraps"
        ):
            answering(5).get("/")(wrapper)()


def test_a_first_parameter_called_cls_of_a_plain_function_is_sent():
    def find(cls: str, *, result: None) -> None: ...

    recorder = Recorder()
    recorder.client.get("/")(find)("economy")
    assert str(recorder.request.url) == "http://test/?cls=economy"


def test_a_decorator_without_a_path_is_refused():
    with pytest.raises(TypeError, match=r"the path comes first, as in @client.get\('/events'\)"):

        @client.get
        def stream(*, result: str) -> str:
            return result


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="is not a function"):
        client.get("/")(Plain)
    with pytest.raises(TypeError, match="below @staticmethod"):
        client.get("/")(classmethod(lambda cls, *, result: result))


def test_an_unknown_option_is_refused_with_those_that_there_are():
    with pytest.raises(TypeError, match="unexpected options: streaming; there are timeout,"):
        client.get("/", streaming=True)


@pytest.mark.parametrize("option", [{"idle_timeout": 5}, {"max_event_size": 5}])
def test_options_of_streams_are_refused_elsewhere(option):
    with pytest.raises(TypeError, match="is for streams"):
        client.get("/", **option)


@pytest.mark.parametrize(
    "option",
    [
        {"idle_timeout": 0},
        {"idle_timeout": -1},
        {"idle_timeout": "3"},
        {"idle_timeout": float("inf")},
        {"max_event_size": 0},
        {"max_event_size": None},
    ],
)
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match="above 0"):
        client.get("/", streaming_response=True, **option)


@pytest.mark.parametrize(
    "annotation",
    [
        Iterator[int],
        Iterable[int],
        Generator[int, None, None],
        api.Stream[int],
        typing.Iterator[int],
        typing.Iterable[int],
        typing.Generator[int, None, None],
        Annotated[Iterator[int], "documented"],
        "Iterator[int]",
        "Iterator['int']",
    ],
)
def test_every_annotation_of_a_stream_is_taken(serve, annotation):
    from tests.servers import events

    server = serve(events("1", "2"))

    def stream(*, result):
        return result

    stream.__annotations__["result"] = annotation
    declared = api.APIClient(base_url=server.url).get("/", streaming_response=True)(stream)
    assert list(declared()) == [1, 2]


@pytest.mark.parametrize(
    "annotation",
    [
        AsyncIterator[int],
        AsyncIterable[int],
        AsyncGenerator[int, None],
        api.AsyncStream[int],
        typing.AsyncIterator[int],
        typing.AsyncIterable[int],
        typing.AsyncGenerator[int, None],
    ],
)
def test_every_annotation_of_an_async_stream_is_taken(serve, annotation):
    from tests.servers import events

    server = serve(events("1", "2"))

    async def stream(*, result):
        return result

    stream.__annotations__["result"] = annotation
    declared = api.APIClient(base_url=server.url).get("/", streaming_response=True)(stream)

    async def main() -> list[int]:
        return [item async for item in await declared()]

    assert asyncio.run(main()) == [1, 2]


def answering(content: Any, **options: Any) -> api.APIClient:
    """A client that gets this JSON as the answer to everything."""
    return client_of(json.dumps(content).encode(), **options)


def test_types_defined_inside_a_function_are_found():
    class Local(pydantic.BaseModel):
        x: int

    @answering([{"x": 1}]).get("/")
    def get(*, result: list[Local]) -> list[Local]:
        return result

    assert get() == [Local(x=1)]


def test_types_defined_later_are_found_at_the_first_call():
    @answering({"x": 1}).get("/")
    def get(*, result: Later) -> Later:
        return result

    class Later(pydantic.BaseModel):
        x: int

    assert get() == Later(x=1)
    assert get() == Later(x=1)


def test_types_of_every_enclosing_function_and_class_are_found():
    class Outer(pydantic.BaseModel):
        x: int

    def enclosing():
        class API:
            class Inner(pydantic.BaseModel):
                x: int

            @answering({"x": 1}).get("/")
            def get(self, *, result: Outer) -> Outer:
                return result

            @answering({"x": 2}).get("/")
            def get_inner(self, *, result: Inner) -> Inner:
                return result

        return API

    assert enclosing()().get() == Outer(x=1)
    assert enclosing()().get_inner().x == 2


def test_a_type_that_exists_nowhere_is_a_type_error_at_the_first_call():
    @answering({}).get("/")
    def get(*, result: Nowhere) -> Nowhere:  # noqa: F821
        return result

    with pytest.raises(TypeError, match=r"get\(\): an annotation cannot be resolved: name 'Nowhere' is not defined"):
        get()


def test_an_attribute_that_does_not_exist_yet_is_found_at_the_first_call():
    module = types.SimpleNamespace()

    @answering({"x": 1}).get("/")
    def get(*, result: module.Later) -> Any:
        return result

    module.Later = Model
    assert get() == Model(x=1)


def test_an_annotation_that_is_no_python_is_refused():
    def get(*, result: "int [") -> Any:  # noqa: F722
        return result

    assert "cannot be read" in refusal(client.get("/"), get)


def test_a_generic_alias_stands_for_what_it_names():
    Item = TypeVar("Item")
    Items = TypeAliasType("Items", list[Item], type_params=(Item,))

    @answering([{"x": 1}]).get("/")
    def get(*, result: Items[Model]) -> Any:
        return result

    assert get() == [Model(x=1)]


def test_what_names_alone_show_to_be_wrong_is_refused_at_once_despite_forward_references():
    def get(*ids: int, result: Nowhere) -> Nowhere:  # noqa: F821
        return result

    assert "'*ids' takes what nobody can know beforehand" in refusal(client.get("/"), get)


def test_the_annotations_of_the_return_and_of_response_need_not_exist():
    @answering(1).get("/")
    def get(*, result: int, response: Nowhere) -> Nowhere:  # noqa: F821
        return result

    assert get() == 1


def test_methods_are_endpoints():
    recorder = Recorder(b"5")

    class API:
        client = recorder.client
        factor = 2

        @client.get("/items/{item_id}")
        def doubled(self, item_id: int, size: int = 1, *, result: int) -> int:
            """The doc."""
            return result * self.factor

        @staticmethod
        @client.get("/static")
        def static(size: int, *, result: int) -> int:
            return result

        @classmethod
        @client.get("/class")
        def of_class(cls, *, result: int) -> int:
            return result * cls.factor

    assert API().doubled(7) == 10
    assert API.doubled(API(), 8, size=3) == 10
    assert API.static(1) == 5
    assert API.of_class() == 10
    assert [str(request.url) for request in recorder.requests] == [
        "http://test/items/7?size=1",
        "http://test/items/8?size=3",
        "http://test/static?size=1",
        "http://test/class",
    ]
    assert str(inspect.signature(API().doubled)) == "(item_id: 'int', size: 'int' = 1) -> 'int'"


def test_an_endpoint_looks_like_the_function_without_what_is_injected():
    async def get_user(user_id: int, *, verbose: bool = False, result: dict, response: httpx2.Response) -> dict:
        """Get a user."""
        return result

    endpoint = client.get("/users/{user_id}")(get_user)
    assert endpoint.__name__ == "get_user"
    assert endpoint.__qualname__ == get_user.__qualname__
    assert endpoint.__doc__ == "Get a user."
    assert endpoint.__module__ == __name__
    assert endpoint.__wrapped__ is get_user
    assert str(inspect.signature(endpoint)) == "(user_id: 'int', *, verbose: 'bool' = False) -> 'dict'"
    assert typing.get_type_hints(endpoint) == {"user_id": int, "verbose": bool, "return": dict}
    assert inspect.iscoroutinefunction(endpoint)
    assert isinstance(endpoint, types.FunctionType)


def test_arguments_that_do_not_fit_the_signature_are_type_errors():
    @answering(1).get("/users/{user_id}")
    def get_user(user_id: int, *, result: int) -> int:
        return result

    with pytest.raises(TypeError, match=r"get_user\(\) missing a required argument: 'user_id'"):
        get_user()
    with pytest.raises(TypeError, match=r"get_user\(\) got an unexpected keyword argument 'userid'"):
        get_user(1, userid=1)
    with pytest.raises(TypeError, match=r"get_user\(\) got an unexpected keyword argument 'result'"):
        get_user(1, result=1)
    with pytest.raises(TypeError, match=r"get_user\(\) too many positional arguments"):
        get_user(1, 2)


def test_an_injected_parameter_may_stand_anywhere():
    @answering(1).get("/{a}")
    def first(result: int, a: int, b: int) -> tuple[int, int, int]:
        return result, a, b

    @answering(1).get("/{a}")
    def positional_only(a: int, result: int, response: httpx2.Response, /, b: int) -> tuple[int, int, int, int]:
        return result, a, b, response.status_code

    assert first(2, 3) == first(a=2, b=3) == (1, 2, 3)
    assert positional_only(2, 3) == positional_only(2, b=3) == (1, 2, 3, 200)


def test_the_response_is_injected_where_it_is_asked_for():
    @answering(1).get("/")
    def get(*, result: int, response: httpx2.Response) -> tuple[int, int]:
        return result, response.status_code

    assert get() == (1, 200)


def test_the_body_runs_with_the_arguments_and_its_value_is_the_calls():
    @answering([1, 2, 3]).get("/")
    def total(factor: int = 10, *, result: list[int]) -> int:
        return sum(result) * factor

    assert total() == 60
    assert total(2) == 12
