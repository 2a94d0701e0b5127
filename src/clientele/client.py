"""The client: where endpoints are declared, and what their calls share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

import httpx2

from .endpoints.call import Call, errors_named
from .endpoints.decorator import EndpointDecorator
from .endpoints.direct import PendingStream, direct_call
from .endpoints.endpoint import Endpoint
from .endpoints.options import EndpointOptions, Options, RequestOptions, StreamOptions, StreamRequestOptions
from .endpoints.plan import INJECTED, Planner, declare
from .exceptions import printable_url
from .headers import is_token
from .http_clients import HTTPClients, HTTPClientSettings
from .streaming.stream import Stream

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")

_NAMES_ELSEWHERE = {"params": "query", "json": "data", "content": "data", "body": "data", "header": "headers"}
"""What httpx2 and others call the options of a call."""

_BESIDE_SETTINGS = ("base_url", "transport", "async_transport", "http_client", "async_http_client")


class APIClient:
    """Declares the endpoints of an API.

        client = APIClient(base_url="http://localhost:8000")

        @client.get("/users/{user_id}")
        async def get_user(user_id: int, *, result: User) -> User:
            return result

        user = await get_user(5)

    It is made to live at module level: nothing is opened before the first call, it serves synchronous and asynchronous
    calls, from any thread and in any event loop, and it need not be closed.

    Parameters:
        base_url: What comes before every path. Default `None`: the paths are whole URLs, or the given clients have it.
        transport: An httpx2 transport for synchronous calls, `httpx2.MockTransport` for example.
        async_transport: The same for asynchronous calls.
        http_client: A ready `httpx2.Client` for synchronous calls. It is used as it is, and closed by `close`.
        async_http_client: A ready `httpx2.AsyncClient` for asynchronous calls. It is used as it is, and closed by
            `aclose`; whether it may be used in more than one event loop is its own affair.
        **settings: The keywords of `httpx2.Client`, for both sides alike.

    Raises:
        TypeError: A keyword is unknown, or would not reach a client that was handed over.
        ValueError: The base URL is none, or has a query; or a header cannot be sent.
    """

    def __init__(
        self,
        base_url: str | httpx2.URL | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        async_transport: httpx2.AsyncBaseTransport | None = None,
        http_client: httpx2.Client | None = None,
        async_http_client: httpx2.AsyncClient | None = None,
        **settings: Unpack[HTTPClientSettings],
    ) -> None:
        given = {"http_client": http_client, "async_http_client": async_http_client}
        for name in [name for name, client in given.items() if client is not None]:
            if settings or transport is not None or async_transport is not None:
                raise TypeError(
                    f"{name} is used as it is, so nothing but base_url goes with it; "
                    f"set what you need on the {name} itself"
                )
        _check_names("APIClient", settings, (*_BESIDE_SETTINGS, *HTTPClientSettings.__annotations__))
        self._base_url = "" if base_url is None else _checked_base_url(base_url)
        self._logged_names: set[str] = set()
        self._clients = HTTPClients(
            settings,
            transport=transport,
            async_transport=async_transport,
            client=http_client,
            async_client=async_http_client,
        )

    def endpoint(self, method: str, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare an endpoint of any method; the decorator beneath `get`, `post` and the others.

        The decorated function's signature says what is sent and what comes back. A parameter named in the path fills
        it; `data` is the body; `query` and `headers` are mappings of those; every other is a query parameter, if its
        annotation does not say otherwise: `Annotated[str, api.Header()]`. `result` is injected, its annotation is the
        type of the answer; so is `response`, the `httpx2.Response`, if there is such a parameter. The function's body
        runs when the response has arrived, and what it returns is the call's value.

        Parameters:
            method: The HTTP method.
            path: The path, appended to `base_url`, its placeholders in braces: `"/users/{user_id}"`.
            **options: See `EndpointOptions`.

        Returns:
            The decorator. Calling what it returns raises `TransportError`, `HTTPStatusError`,
            `ResponseValidationError` or a `StreamError`, `TypeError` for arguments that do not fit the signature, and
            `ValueError` for a path value that is empty, `.` or `..`.

        Raises:
            TypeError: The declaration is wrong, here or when the function is decorated.
            ValueError: An option is out of its range.
        """
        method = _checked_method(method)
        if not isinstance(path, str):
            raise TypeError(f"the path comes first, as in @client.{method.lower()}('/events'); it is {path!r}")
        _check_names(f"{method} {path}", options, EndpointOptions.__annotations__)
        with errors_named(f"{method} {path}"):
            checked_options = Options(**options)

        def decorate(function: Callable[..., Any], /) -> Callable[..., Any]:
            return self._declare(method, path, checked_options, function, sys._getframe(1))

        return decorate

    def get(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare a `GET` endpoint; see `endpoint`."""
        return self.endpoint("GET", path, **options)

    def post(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare a `POST` endpoint; see `endpoint`."""
        return self.endpoint("POST", path, **options)

    def put(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare a `PUT` endpoint; see `endpoint`."""
        return self.endpoint("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare a `PATCH` endpoint; see `endpoint`."""
        return self.endpoint("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare a `DELETE` endpoint; see `endpoint`."""
        return self.endpoint("DELETE", path, **options)

    def head(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare a `HEAD` endpoint; see `endpoint`."""
        return self.endpoint("HEAD", path, **options)

    def options(self, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare an `OPTIONS` endpoint; see `endpoint`."""
        return self.endpoint("OPTIONS", path, **options)

    def request(self, method: str, path: str, type_: TypeForm[T], **options: Unpack[RequestOptions]) -> T:
        """Call without a declaration.

            user = client.request("GET", "/users/{user_id}", User, path_params={"user_id": 5})

        Parameters:
            method: The HTTP method.
            path: The path, appended to `base_url`, its placeholders in braces.
            type_: The type of the answer, in all forms that an endpoint's `result` takes.
            **options: See `RequestOptions`: `data`, `query`, `headers`, `path_params`, and how the call is made.

        Returns:
            The answer, as `type_` or as the `response_map` says.

        Raises:
            APIException: As the call of an endpoint does.
            TypeError: The arguments do not go together.
            ValueError: A value cannot be sent, or an option is out of its range.
        """
        result: T
        result, _ = self._direct_call(method, path, type_, options).perform()
        return result

    async def arequest(self, method: str, path: str, type_: TypeForm[T], **options: Unpack[RequestOptions]) -> T:
        """Call without a declaration, as `request` does; its asynchronous twin."""
        result: T
        result, _ = await self._direct_call(method, path, type_, options).aperform()
        return result

    def stream(self, method: str, path: str, type_: TypeForm[T], **options: Unpack[StreamRequestOptions]) -> Stream[T]:
        """Open a stream without a declaration.

            with client.stream("GET", "/events", Event) as events:
                for event in events:
                    print(event.text)

        Parameters:
            method: The HTTP method.
            path: The path, appended to `base_url`, its placeholders in braces.
            type_: The type of the items.
            **options: See `StreamRequestOptions`: `data`, `query`, `headers`, `path_params`, and the stream's.

        Returns:
            The stream, opened.

        Raises:
            APIException: As the call of an endpoint does.
            TypeError: The arguments do not go together.
            ValueError: A value cannot be sent, or an option is out of its range.
        """
        stream: Stream[T]
        stream, _ = self._direct_call(method, path, type_, options, is_stream=True).perform()
        return stream

    def astream(
        self, method: str, path: str, type_: TypeForm[T], **options: Unpack[StreamRequestOptions]
    ) -> PendingStream[T]:
        """Open a stream without a declaration, as `stream` does; its asynchronous twin.

            async with client.astream("GET", "/events", Event) as events:
                async for event in events:
                    print(event.text)

        The request is sent by `async with`, or by `await`, which gives the stream, too.
        """
        return PendingStream(self._direct_call(method, path, type_, options, is_stream=True))

    def close(self) -> None:
        """Close the connections of synchronous calls; the client cannot be used any more.

        Those of asynchronous calls are closed by their event loops; `aclose` waits for it.
        """
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections of synchronous calls, and of asynchronous ones in the running event loop.

        The client cannot be used any more.
        """
        await self._clients.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"APIClient({printable_url(httpx2.URL(self._base_url))!r})" if self._base_url else "APIClient()"

    def _direct_call(
        self, method: str, path: str, type_: Any, options: Mapping[str, Any], *, is_stream: bool = False
    ) -> Call:
        method = _checked_method(method)
        if not isinstance(path, str):
            raise TypeError(f"the path comes after the method {method}, as in '/events'; it is {path!r}")
        _check_names(
            f"{method} {path}", options, (StreamRequestOptions if is_stream else RequestOptions).__annotations__
        )
        return direct_call(
            method,
            path,
            type_,
            **options,
            streaming_response=is_stream,
            clients=self._clients,
            base_url=self._base_url,
            logged_names=self._logged_names,
        )

    def _declare(
        self, method: str, path: str, options: Options, function: Callable[..., Any], frame: FrameType
    ) -> Callable[..., Any]:
        declaration = declare(function, method=method, path=path, options=options)
        endpoint = Endpoint(Planner(declaration, frame), self._clients, self._base_url)
        if declaration.is_async:
            self._clients.prepare_async()
        wrapper: Any
        if declaration.is_generator:
            generate = endpoint.agenerate if declaration.is_async else endpoint.generate

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return generate(args, kwargs)

        elif declaration.is_async:

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                return await endpoint.acall(args, kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return endpoint.call(args, kwargs)

        wrapper.__signature__ = declaration.caller_signature
        annotations = function.__annotations__
        wrapper.__annotations__ = {name: annotations[name] for name in annotations if name not in INJECTED}
        return cast("Callable[..., Any]", wrapper)


def _checked_method(method: Any) -> str:
    if not isinstance(method, str) or not is_token(method):
        raise TypeError(f"the method comes first, and {method!r} is none; write 'GET', '/events'")
    return method.upper()


def _check_names(name: str, options: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = sorted(options.keys() - set(known))
    if unknown:
        hints = [f"; {hint}" for each in unknown if (hint := _hint(each, known))]
        raise TypeError(
            f"{name}: unexpected options: {', '.join(unknown)}; there are {', '.join(known)}{''.join(hints)}"
        )


def _hint(name: str, known: Collection[str]) -> str | None:
    import difflib  # slow to import, and seldom needed

    if name in StreamOptions.__annotations__:
        return f"{name} is for streams, which client.stream and client.astream open"
    similar = [
        each for each in (_NAMES_ELSEWHERE.get(name), *difflib.get_close_matches(name, known, 1)) if each in known
    ]
    return f"did you mean {similar[0]}?" if similar else None


def _checked_base_url(base_url: str | httpx2.URL) -> str:
    """What comes before the slash that a path begins with."""
    url = httpx2.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url {printable_url(url)!r} is not a whole URL; write it as 'http://localhost:8000'")
    if url.port is not None and url.port > 65535:
        raise ValueError(f"base_url {printable_url(url)!r} has a port above 65535")
    if url.query:
        raise ValueError("base_url has a query, which would stand before the path; give it as params=")
    return str(url.copy_with(fragment=None)).rstrip("/")
