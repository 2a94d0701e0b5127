"""Decorated functions, functions that yield among them, and calls without a declaration.

An endpoint binds the arguments, performs the call, and runs the function's body with the result. If the body yields,
the request is sent when iteration begins, and leaving the loop closes the stream. Calling an asynchronous stream
gives a `PendingStream`, which you can await, iterate or enter.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager
from types import CoroutineType, FrameType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from ..exceptions import type_name
from ..http_clients import HTTPClients
from ..streaming.stream import AsyncStream, Stream
from ..validation import class_of
from .call import Call
from .options import checked_options
from .request import UNSENDABLE, Parameter, PathTemplate, RequestParts, build_parts, named
from .response import declared_result
from .serializer import Serializer
from .signature import ASYNC_ITERATORS, METHODS_WITHOUT_STREAM, SYNC_ITERATORS, Plan, Signature, check_places

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S", bound=AsyncIterable[Any])
S_co = TypeVar("S_co", bound=AsyncIterable[Any], covariant=True)


class PendingStream(Coroutine[Any, Any, S_co], AbstractAsyncContextManager[S_co], Generic[S_co]):
    """The call of an asynchronous stream, which opens when you iterate, enter or await it.

    ```python
    async for event in follow_events():
        print(event.text)

    async with follow_events() as events:  # closes the stream at the end of the block
        print(await anext(events))

    events = await follow_events()
    ```

    It is a coroutine, so `asyncio.create_task` and `gather` take it. It opens one stream; call again for another one.
    """

    def __init__(self, coroutine: Any, streams: Sequence[AsyncStream[Any]], *, name: str) -> None:
        self.__name__ = self.__qualname__ = coroutine.__name__ = coroutine.__qualname__ = name
        self._coroutine: CoroutineType[Any, Any, S_co] = coroutine
        self._streams = streams  # that the coroutine has opened
        self._value: Any = None
        self._read: Callable[[], Awaitable[Any]] | None = None

    def __await__(self) -> Generator[Any, Any, S_co]:
        if self._coroutine.cr_frame is None:  # it is done
            how = "was opened before" if self._streams else "was not opened: that has failed, or was cancelled"
            raise RuntimeError(f"the stream of {self.__name__}() {how}; call it again for another one")
        return self._coroutine.__await__()

    def __repr__(self) -> str:
        how = "await it, iterate it with async for, or enter it with async with"
        return f"<{type(self).__name__} {self.__name__}(): {how}>"

    def send(self, value: Any, /) -> Any:
        """Resume the coroutine; see `collections.abc.Coroutine`."""
        return self._coroutine.send(value)

    def throw(self, *exception: Any) -> Any:
        """Raise in the coroutine; see `collections.abc.Coroutine`."""
        return self._coroutine.throw(*exception)

    def close(self) -> None:
        """Close the coroutine; see `collections.abc.Coroutine`."""
        self._coroutine.close()

    def __aiter__(self: PendingStream[AsyncIterable[T]]) -> AsyncIterator[T]:
        iterator: Any = self
        return iterator  # type: ignore[no-any-return]

    def __anext__(self) -> Awaitable[Any]:
        return self._open_and_read() if self._read is None else self._read()

    async def _open_and_read(self) -> Any:
        value: Any = await self
        if not isinstance(value, AsyncIterable):
            await self._close_streams()
            returned = f"returned {value!r:.100}, which is not an asynchronous iterator"
            raise TypeError(f"{self.__name__}() {returned}; await the call")
        self._read = aiter(value).__anext__
        return await self._read()

    async def __aenter__(self) -> S_co:
        self._value = await self
        value: S_co = self._value
        return value

    async def __aexit__(self, *exception: object) -> None:
        if isinstance(self._value, AsyncGenerator):
            await self._value.aclose()
        await self._close_streams()

    async def _close_streams(self) -> None:
        for stream in self._streams:
            await stream.aclose()


class CheckedEndpoint(Protocol[P, R_co]):
    """An endpoint whose parameters type checkers know."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the endpoint."""


class _ResultAndResponseFirst(Protocol[P, R_co]):
    def __call__(self, result: Any, response: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _ResultFirst(Protocol[P, R_co]):
    def __call__(self, result: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class EndpointDecorator(Protocol):
    """The decorator of an endpoint; for type checkers, it removes the injected parameters of a function.

    Its return type is kept exactly. Its parameters are kept where `result` comes first, `(result, user_id)`, or
    `(result, response, user_id)`: a `ParamSpec` can drop parameters from the front. It cannot drop a keyword-only one,
    so after `(user_id, *, result)` the arguments are checked at run time only. No type can tell `(*, result)` from
    `(*, limit: int = 10, result)`, so it is not seen as `() -> R`.
    """

    # A `Callable` in place of the protocols would do for all but mypy, whose `--strict` accepts it with `Any` in it.
    # mypy calls two overloads unmatchable where they are declared, though it does match them where they are used.
    @overload
    def __call__(
        self, function: _ResultAndResponseFirst[P, Coroutine[Any, Any, S]], /
    ) -> CheckedEndpoint[P, PendingStream[S]]: ...
    @overload
    def __call__(
        self, function: _ResultFirst[P, Coroutine[Any, Any, S]], /
    ) -> CheckedEndpoint[P, PendingStream[S]]: ...
    @overload
    def __call__(  # type: ignore[overload-cannot-match]
        self, function: Callable[..., Coroutine[Any, Any, S]], /
    ) -> Callable[..., PendingStream[S]]: ...
    @overload
    def __call__(self, function: _ResultAndResponseFirst[P, R], /) -> CheckedEndpoint[P, R]: ...
    @overload
    def __call__(self, function: _ResultFirst[P, R], /) -> CheckedEndpoint[P, R]: ...
    @overload
    def __call__(self, function: Callable[..., R], /) -> Callable[..., R]: ...  # type: ignore[overload-cannot-match]


def declare(
    function: Any,
    method: str,
    path: str,
    options: Mapping[str, Any],
    frame: FrameType,
    clients: HTTPClients,
    base_url: str,
) -> Any:
    """Make an endpoint of a function that was decorated in this frame."""
    return _endpoint(function, Signature(function, method, path, options, frame), options, clients, base_url)


def bind(endpoint: Any, clients: HTTPClients, base_url: str) -> Any:
    """The same endpoint for the clients of another `APIClient`."""
    declared = inspect.unwrap(endpoint, stop=lambda each: hasattr(each, "__clientele__"))
    if not hasattr(declared, "__clientele__"):
        raise TypeError(f"{endpoint!r} is no endpoint; pass a function that a client's get, post, ... has decorated")
    bound = declared.__clientele__[2](clients, base_url)
    return bound.__get__(endpoint.__self__) if inspect.ismethod(endpoint) else bound


def _endpoint(
    function: Any, signature: Signature, options: Mapping[str, Any], clients: HTTPClients, base_url: str
) -> Any:
    if signature.is_async:
        clients.prepare_async()
    body, takes_response = signature.body, signature.takes_response

    def call(*args: Any, **kwargs: Any) -> Any:
        plan, parts, arguments = signature.bind(args, kwargs)
        arguments["result"], response = Call(plan, parts, clients, base_url, endpoint).perform()
        if takes_response:
            arguments["response"] = response
        try:
            value = body(**arguments)
            if value is None and not signature.may_return_none:
                signature.refuse_none()
            if type(value) is CoroutineType:
                signature.refuse_coroutine(value)
        except BaseException:
            _close(arguments["result"])
            raise
        return value

    async def acall(*args: Any, **kwargs: Any) -> Any:
        return await perform([], args, kwargs)

    def open_later(*args: Any, **kwargs: Any) -> PendingStream[Any]:
        streams: list[AsyncStream[Any]] = []
        return PendingStream(perform(streams, args, kwargs), streams, name=function.__qualname__)

    async def perform(streams: list[AsyncStream[Any]], args: Any, kwargs: Any) -> Any:
        plan, parts, arguments = signature.bind(args, kwargs)
        arguments["result"], response = await Call(plan, parts, clients, base_url, endpoint).aperform()
        if takes_response:
            arguments["response"] = response
        try:
            value = await body(**arguments)
            if value is None and not signature.may_return_none:
                signature.refuse_none()
        except BaseException:
            await _aclose(arguments["result"])
            raise
        if isinstance(arguments["result"], AsyncStream):
            streams.append(arguments["result"])
        return value

    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        plan, parts, arguments = signature.bind(args, kwargs)

        def generator() -> Generator[Any, Any, Any]:
            arguments["result"], response = Call(plan, parts, clients, base_url, endpoint).perform()
            if takes_response:
                arguments["response"] = response
            try:
                return (yield from body(**arguments))
            finally:
                _close(arguments["result"])

        return generator()

    def agenerate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        plan, parts, arguments = signature.bind(args, kwargs)

        async def generator() -> AsyncGenerator[Any, Any]:
            arguments["result"], response = await Call(plan, parts, clients, base_url, endpoint).aperform()
            if takes_response:
                arguments["response"] = response
            try:
                async with contextlib.aclosing(body(**arguments)) as items:
                    hooks = sys.get_asyncgen_hooks()
                    sys.set_asyncgen_hooks(None, None)  # the loop would close it at its shutdown, beside this one
                    try:
                        first = anext(items)
                    finally:
                        sys.set_asyncgen_hooks(*hooks)
                    item = await first
                    while True:  # what `yield from` does
                        try:
                            sent = yield item
                        except Exception as error:
                            item = await items.athrow(error)
                        else:
                            item = await items.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await _aclose(arguments["result"])

        return generator()

    is_stream = options["streaming_response"] and not signature.is_generator
    synchronous, asynchronous = (generate, agenerate) if signature.is_generator else (call, acall)
    endpoint: Any = asynchronous if signature.is_async else synchronous
    if signature.is_async and is_stream:
        endpoint = open_later
        if sys.version_info >= (3, 12):  # what calls it must know that it gives something to be awaited
            endpoint = inspect.markcoroutinefunction(endpoint)
    functools.update_wrapper(endpoint, function)
    # What a fake server knows it by, whatever wraps it, and what makes it anew for another client.
    endpoint.__clientele__ = endpoint, clients, functools.partial(_endpoint, function, signature, options)
    endpoint.__signature__ = signature.as_called
    endpoint.__annotations__ = signature.annotations  # from Python 3.14 on the function's own may not be there yet
    return endpoint


def _close(result: Any) -> None:
    if isinstance(result, Stream):
        result.close()


async def _aclose(result: Any) -> None:
    if isinstance(result, AsyncStream):
        await result.aclose()


@functools.cache  # made at the first call: Pydantic takes its time for its first adapter, which should not be import's
def _direct_parameters(**exclude: bool) -> dict[str, Parameter]:
    write = Serializer(Any)
    return {
        "data": Parameter("data", "body", "data", Serializer(Any, to_json=True, may_be_streamed=True, **exclude)),
        "form": Parameter("form", "form", "form", Serializer(Any, **exclude), is_mapping=True),
        "files": Parameter("files", "file", "files", is_mapping=True),
        "query": Parameter("query", "query", "query", write, is_mapping=True),
        "headers": Parameter("headers", "headers", "headers", write, is_mapping=True),
    }


def direct_plan(
    method: str, path: str, type_: Any, options: dict[str, Any], logged_names: set[str]
) -> tuple[Plan, RequestParts]:
    """The plan of a call without a declaration, and what the call sends. Made for each call."""
    name = f"{method} {path}"
    try:
        template = PathTemplate(path)
        placeholders: Any = options.pop("path_params", None) or {}
        if not isinstance(placeholders, Mapping):
            raise TypeError(f"path_params is {placeholders!r}; it is a mapping of the placeholders' names to values")
        if placeholders.keys() != template.names:
            found = f"path_params names {sorted(placeholders)}, the path's placeholders are {sorted(template.names)}"
            cure = "pass path_params={name: value} for each of these (and write {{ and }} for braces that are none)"
            raise TypeError(f"{found}; {cure}")
        exclude = {each: bool(options.get(each)) for each in ("exclude_unset", "exclude_none")}
        known = _direct_parameters(**exclude)
        arguments = {each: options.pop(each, None) for each in known}
        parameters = [parameter for parameter in known.values() if arguments[parameter.name] is not None]
        for placeholder, value in placeholders.items():
            parameter = Parameter(f"path_params[{placeholder!r}]", "path", placeholder, known["query"].serialize)
            parameters.append(parameter)
            arguments[parameter.name] = value
        check_places(parameters, method, template.names)
        checked = checked_options(options)
        if class_of(type_) in SYNC_ITERATORS + ASYNC_ITERATORS:
            cure = "call client.stream or client.astream with the items' type"
            raise TypeError(f"{type_name(type_)} is a stream; {cure}")
        if checked["streaming_response"] and method in METHODS_WITHOUT_STREAM:
            raise TypeError(f"the answer to {method} requests is no stream; call client.request or client.arequest")
        result = declared_result(type_, checked, logged_names)
        parts = build_parts(template, parameters, arguments)
        return Plan.of(name, method, template, parameters, result, checked), parts
    except UNSENDABLE as error:
        raise named(error, name) from error.__cause__
