"""What declaring and calling gives: decorated functions, those that yield among them, and calls without a declaration.

An endpoint binds the arguments, performs the call, and runs the function's body with the result. If the body yields,
the request is sent when iteration begins, and leaving the loop closes everything.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from ..exceptions import type_name
from ..http_clients import HTTPClients
from ..streaming.stream import AsyncStream, Stream
from ..validation import class_of
from .call import Call
from .options import checked_options
from .request import UNSENDABLE, Parameter, PathTemplate, RequestParts, build_parts, named, serializer
from .response import declared_result
from .signature import ASYNC_ITERATORS, METHODS_WITHOUT_STREAM, SYNC_ITERATORS, Plan, Signature, check_places

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


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
    """Turns a function into an endpoint: for type checkers, the function without its injected parameters.

    Its return type is kept exactly. Its parameters are kept where `result` comes first, `(result, user_id)`, or
    `(result, response, user_id)`: a `ParamSpec` can drop parameters from the front. It cannot drop a keyword-only one,
    so after `(user_id, *, result)` the arguments are checked at run time only. No type can tell `(*, result)` from
    `(*, limit: int = 10, result)`, so it is not seen as `() -> R`.
    """

    # A `Callable` in place of the protocols would do for all but mypy, whose `--strict` accepts it with `Any` in it.
    # mypy calls the last overload unmatchable where it is declared, though it does match it where it is used.
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
    signature = Signature(function, method, path, options, frame)
    if signature.is_async:
        clients.prepare_async()
    body, takes_response = signature.body, signature.takes_response

    def call(*args: Any, **kwargs: Any) -> Any:
        plan, parts, arguments = signature.bind(args, kwargs)
        arguments["result"], response = Call(plan, parts, clients, base_url).perform()
        if takes_response:
            arguments["response"] = response
        try:
            return body(**arguments)
        except BaseException:
            _close(arguments["result"])
            raise

    async def acall(*args: Any, **kwargs: Any) -> Any:
        plan, parts, arguments = signature.bind(args, kwargs)
        arguments["result"], response = await Call(plan, parts, clients, base_url).aperform()
        if takes_response:
            arguments["response"] = response
        try:
            return await body(**arguments)
        except BaseException:
            await _aclose(arguments["result"])
            raise

    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        plan, parts, arguments = signature.bind(args, kwargs)

        def generator() -> Generator[Any, Any, Any]:
            arguments["result"], response = Call(plan, parts, clients, base_url).perform()
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
            arguments["result"], response = await Call(plan, parts, clients, base_url).aperform()
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

    synchronous, asynchronous = (generate, agenerate) if signature.is_generator else (call, acall)
    endpoint: Any = functools.update_wrapper(asynchronous if signature.is_async else synchronous, function)
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
def _direct_parameters() -> dict[str, Parameter]:
    write = serializer(Any)
    return {
        "data": Parameter("data", "body", "data", serializer(Any, to_json=True)),
        "query": Parameter("query", "query", "query", write, is_mapping=True),
        "headers": Parameter("headers", "headers", "headers", write, is_mapping=True),
    }


def direct_plan(
    method: str, path: str, type_: Any, options: dict[str, Any], logged_names: set[str]
) -> tuple[Plan, RequestParts]:
    """The plan of a call without a declaration, made anew each time, and what it sends."""
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
        known = _direct_parameters()
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


class PendingStream(Awaitable[AsyncStream[T]], AbstractAsyncContextManager[AsyncStream[T]], Generic[T]):
    """A stream that is to be opened: `async with` opens and closes it, `await` opens it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._stream: AsyncStream[T] | None = None

    def __await__(self) -> Generator[Any, Any, AsyncStream[T]]:
        stream: AsyncStream[T] = (yield from self._call.aperform().__await__())[0]
        return stream

    async def __aenter__(self) -> AsyncStream[T]:
        if self._stream is not None:
            raise RuntimeError("this stream was opened before; call client.astream for each")
        self._stream = await self
        return self._stream

    async def __aexit__(self, *exception: object) -> None:
        if self._stream is not None:
            await self._stream.aclose()
