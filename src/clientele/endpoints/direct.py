"""Calls without a declaration: what a signature would say is said in the call.

The type is looked at anew each time, which takes a twentieth to a fifth of a millisecond; an endpoint's once.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..exceptions import type_name
from ..http_clients import HTTPClients
from ..hydration import class_of
from ..streaming.stream import AsyncStream
from .answer import answer_of
from .call import Call, errors_named
from .options import Options
from .parameters import check_places
from .plan import ASYNC_ITERATORS, METHODS_WITHOUT_STREAM, SYNC_ITERATORS
from .request import Parameter, PathTemplate, Place, Serialize, body_serializer, build_parts, serializer

T = TypeVar("T")


@functools.cache  # made at the first call: Pydantic takes its time for its first adapter, which should not be import's
def _value_serializer() -> Serialize:
    return serializer(Any)


@functools.cache
def _parameters() -> tuple[Parameter, ...]:
    return (
        Parameter("data", Place.BODY, "data", body_serializer(Any)),
        Parameter("query", Place.QUERY, "query", _value_serializer(), is_mapping=True),
        Parameter("headers", Place.HEADERS, "headers", _value_serializer(), is_mapping=True),
    )


def direct_call(
    method: str,
    path: str,
    type_: Any,
    *,
    data: Any = None,
    query: Any = None,
    headers: Any = None,
    path_params: Mapping[str, Any] | None = None,
    clients: HTTPClients,
    base_url: str,
    logged_names: set[str],
    **options: Any,
) -> Call:
    """Prepare a call.

    Parameters:
        method: The HTTP method, in capitals.
        path: The path, with placeholders in braces.
        type_: The type of the result; of a stream, of its items.
        data: The body.
        query: A mapping of query parameters.
        headers: A mapping of headers.
        path_params: The values of the placeholders.
        clients: What sends the request.
        base_url: What comes before the path; `""` if the HTTP client has something for that.
        logged_names: What `EventMap` has logged for such calls of the client.
        **options: The keywords of `Options`.

    Raises:
        TypeError: The arguments do not go together, or no such result can be made.
        ValueError: A value cannot be sent, or an option is out of its range.
    """
    name = f"{method} {path}"
    with errors_named(name):
        template = PathTemplate.parse(path)
        placeholders: Any = path_params or {}
        if not isinstance(placeholders, Mapping):
            raise TypeError(f"path_params is {path_params!r}; it is a mapping of the placeholders' names to values")
        if placeholders.keys() != template.names:
            raise TypeError(
                f"path_params names {sorted(placeholders)}, the path's placeholders are {sorted(template.names)}; "
                "pass path_params={name: value} for each of these (and write {{ and }} for braces that are none)"
            )
        given = {"data": data, "query": query, "headers": headers}
        write_value = _value_serializer()
        parameters = [parameter for parameter in _parameters() if given[parameter.name] is not None]
        for placeholder, value in placeholders.items():
            parameter = Parameter(f"path_params[{placeholder!r}]", Place.PATH, placeholder, write_value)
            parameters.append(parameter)
            given[parameter.name] = value
        check_places(parameters, method, template.names)
        checked_options = Options(**options)
        if class_of(type_) in SYNC_ITERATORS + ASYNC_ITERATORS:
            raise TypeError(
                f"{type_name(type_)} is a stream; call client.stream or client.astream with the items' type"
            )
        if checked_options.streaming_response and method in METHODS_WITHOUT_STREAM:
            raise TypeError(f"the answer to {method} requests is no stream; call client.request or client.arequest")
        return Call(
            name=name,
            method=method,
            parts=build_parts(template, parameters, given),
            answer=answer_of(type_, checked_options, logged_names),
            options=checked_options,
            clients=clients,
            base_url=base_url,
        )


class PendingStream(Awaitable[AsyncStream[T]], AbstractAsyncContextManager[AsyncStream[T]], Generic[T]):
    """A stream that is to be opened: `async with` opens and closes it, `await` opens it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._stream: AsyncStream[T] | None = None

    def __await__(self) -> Generator[Any, Any, AsyncStream[T]]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncStream[T]:
        if self._stream is not None:
            raise RuntimeError("this stream was opened before; call client.astream for each")
        self._stream = await self._open()
        return self._stream

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.aclose()

    async def _open(self) -> AsyncStream[T]:
        stream: AsyncStream[T]
        stream, _ = await self._call.aperform()
        return stream
