"""`APIClient`: the place where endpoints are declared, and what their calls share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx2

from .endpoints.call import Call
from .endpoints.endpoint import EndpointDecorator, PendingStream, bind, declare, direct_plan
from .endpoints.options import EndpointOptions, RequestOptions, StreamOptions, StreamRequestOptions, checked_options
from .endpoints.request import UNSENDABLE, named
from .headers import is_token
from .http_clients import HTTPClients
from .redaction import printable_path, printable_url
from .settings import HTTPClientSettings
from .streaming.reconnect import Retry
from .streaming.stream import AsyncStream, Stream

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_NAMES_ELSEWHERE = {
    "body": "data",
    "content": "data",
    "json": "data",
    "params": "query",
    "header": "headers",
    "sse": "streaming_response",
    "stream": "streaming_response",
    "streaming": "streaming_response",
    "max_retries": "retry",
    "retries": "retry",
    "allow_redirects": "follow_redirects",
    "proxies": "proxy",
    "read_timeout": "idle_timeout",
    "stop": "until",
    "url": "base_url",
}
"""What options are called in other libraries, and here."""

_DECLARED_ELSEWHERE = {
    "data": "the parameter named data is the body",
    "form": "the fields of a form are those of Annotated[..., api.Form()]",
    "files": "the files of a form are those of Annotated[..., api.File()]",
    "query": "each parameter that the path does not name is a query parameter",
    "headers": "headers are those of a parameter named headers, of Annotated[str, api.Header()], or of the client",
    "cookies": "cookies are those of Annotated[str, api.Cookie()], or of the client",
    "path_params": "a parameter named in the path fills its placeholder",
    "response_model": "the annotation of result says what comes",
    "raise_for_status": "a status of 400 or above raises HTTPStatusError by itself",
    "streaming_response": "client.stream and client.astream open streams",
}
"""What is not an option, and where to say it."""

_SCHEMES = ("http", "https")
_HOST = re.compile(r"[^\s%<>{}|\\^`\x00-\x20]*")
_CLIENTS = ("transport", "async_transport", "http_client", "async_http_client")
_BESIDE_SETTINGS = ("base_url", *_CLIENTS, "retry", "exclude_unset", "exclude_none")


class APIClient:
    """A client of an API: declares its endpoints, and makes their calls.

    ```python
    client = api.APIClient(base_url="http://localhost:8000")

    @client.get("/users/{user_id}")
    async def get_user(result: User, user_id: int) -> User:
        return result

    user = await get_user(5)
    ```

    Make it once, at module level. It opens nothing before the first call. It serves synchronous and asynchronous calls
    from any thread and event loop, and you need not close it.

    Parameters:
        base_url: The URL that all paths are appended to. Default `None`: each path is a whole URL, or the clients that
            you pass have a base URL.
        transport: An httpx2 transport for synchronous calls, such as `httpx2.MockTransport`. Default: Clientele's own.
        async_transport: An httpx2 transport for asynchronous calls. Default: Clientele's own.
        http_client: A ready `httpx2.Client` for synchronous calls; `close` closes it. Default: one is made.
        async_http_client: A ready `httpx2.AsyncClient` for asynchronous calls, in the event loops that it supports;
            `aclose` closes it. Default: one is made for each event loop.
        retry: Whether failed calls are retried, and how: see `Retry`. Default `False`. An endpoint's own option wins.
        exclude_unset: Whether to leave out fields of a body that were not set. Default `False`. An endpoint's own
            option wins.
        exclude_none: Whether to leave out fields of a body that are `None`. Default `False`. An endpoint's own option
            wins.
        **settings: The keywords of `httpx2.Client`: see `HTTPClientSettings`.

    Raises:
        TypeError: A keyword is unknown, or would not reach a client that was handed over.
        ValueError: The base URL is not one, or has a query; or a header cannot be sent.
    """

    def __init__(
        self,
        base_url: str | httpx2.URL | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        async_transport: httpx2.AsyncBaseTransport | None = None,
        http_client: httpx2.Client | None = None,
        async_http_client: httpx2.AsyncClient | None = None,
        retry: bool | Retry = False,
        exclude_unset: bool = False,
        exclude_none: bool = False,
        **settings: Unpack[HTTPClientSettings],
    ) -> None:
        is_set = settings or transport is not None or async_transport is not None
        for name, client in (("http_client", http_client), ("async_http_client", async_http_client)):
            if client is not None and is_set:
                cure = f"set what you need on the {name} itself"
                raise TypeError(f"{name} is used as it is, so neither settings nor transports go with it; {cure}")
        _check_names("APIClient", settings, (*_BESIDE_SETTINGS, *HTTPClientSettings.__annotations__))
        self._base_url = "" if base_url is None else _checked_base_url(base_url)
        # Of every call, unless it has its own.
        self._options = {"retry": retry, "exclude_unset": exclude_unset, "exclude_none": exclude_none}
        checked_options(self._options)
        self._logged_names: set[str] = set()
        self._clients = HTTPClients(
            settings,
            base_url=self._base_url,
            transport=transport,
            async_transport=async_transport,
            client=http_client,
            async_client=async_http_client,
        )

    def endpoint(self, method: str, path: str, **options: Unpack[EndpointOptions]) -> EndpointDecorator:
        """Declare an endpoint with any HTTP method.

        ```python
        @client.endpoint("PURGE", "/cache/{name}")
        def purge(result: None, name: str) -> None:
            return result
        ```

        A parameter named in the path fills it; `data` is the body; `query` and `headers` are mappings; every other
        parameter is a query parameter, unless its annotation says otherwise: `Annotated[str, api.Header()]`. `result`
        is injected, as the type that it is annotated with; so is `response`, the `httpx2.Response`, if you declare it.
        The function's body runs when the response has arrived, and what it returns is the call's value.

        Parameters:
            method: The HTTP method, `"GET"` for example.
            path: The path, appended to `base_url`, with placeholders in braces: `"/users/{user_id}"`.
            **options: See `EndpointOptions`.

        Returns:
            The decorator. The endpoint that it makes raises an `APIException` when a call fails, `TypeError` for
            arguments that do not fit the signature, and `ValueError` for a path value that is empty, `.` or `..`.

        Raises:
            TypeError: The declaration is wrong, here or when the function is decorated.
            ValueError: An option is out of its range.
        """
        method = _checked_method(method)
        if not isinstance(path, str):
            raise TypeError(f"the path comes first, as in @client.{method.lower()}('/events'); it is {path!r}")
        _check_names(f"{method} {path}", options, EndpointOptions.__annotations__)
        try:
            checked = checked_options({**self._options, **options})
        except UNSENDABLE as error:
            raise named(error, f"{method} {path}") from None

        def decorate(function: Callable[..., Any], /) -> Any:
            return declare(function, method, path, checked, sys._getframe(1), self._clients, self._base_url)

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

    def bind(self, endpoint: F) -> F:
        """The same endpoint, its calls made by this client: for a tenant's credentials, or another server.

            staging = api.APIClient(base_url="http://staging.example")
            user = staging.bind(get_user)(5)

        Parameters:
            endpoint: A function or method that a client has decorated. It stays as it is.

        Returns:
            The endpoint, with the options that it was declared with, those of its first client among them.

        Raises:
            TypeError: It is no endpoint.
        """
        bound: F = bind(endpoint, self._clients, self._base_url)
        return bound

    def request(self, method: str, path: str, type_: TypeForm[T], **options: Unpack[RequestOptions]) -> T:
        """Make a call without a declaration.

        ```python
        user = client.request("GET", "/users/{user_id}", User, path_params={"user_id": 5})
        ```

        Parameters:
            method: The HTTP method, `"GET"` for example.
            path: The path, appended to `base_url`, with placeholders in braces.
            type_: The type of the result: anything that can annotate an endpoint's `result`.
            **options: What to send, and how: see `RequestOptions`.

        Returns:
            The response as a `type_`, or as the type that `response_map` has for its status.

        Raises:
            APIException: The call failed.
            TypeError: The arguments do not go together.
            ValueError: A value cannot be sent, or an option is out of its range.
        """
        result: T = self._direct_call(method, path, type_, options).perform()[0]
        return result

    async def arequest(self, method: str, path: str, type_: TypeForm[T], **options: Unpack[RequestOptions]) -> T:
        """Make an asynchronous call without a declaration; see `request`."""
        result: T = (await self._direct_call(method, path, type_, options).aperform())[0]
        return result

    def stream(self, method: str, path: str, type_: TypeForm[T], **options: Unpack[StreamRequestOptions]) -> Stream[T]:
        """Open a stream without a declaration.

        ```python
        with client.stream("GET", "/events", Event) as events:
            for event in events:
                print(event.text)
        ```

        Parameters:
            method: The HTTP method, `"GET"` for example.
            path: The path, appended to `base_url`, with placeholders in braces.
            type_: The type of the items: anything that can stand for `T` in `Iterator[T]`.
            **options: What to send, and how to read: see `StreamRequestOptions`.

        Returns:
            The open stream.

        Raises:
            APIException: The stream could not be opened.
            TypeError: The arguments do not go together.
            ValueError: A value cannot be sent, or an option is out of its range.
        """
        stream: Stream[T] = self._direct_call(method, path, type_, options, is_stream=True).perform()[0]
        return stream

    def astream(
        self, method: str, path: str, type_: TypeForm[T], **options: Unpack[StreamRequestOptions]
    ) -> PendingStream[AsyncStream[T]]:
        """Open an asynchronous stream without a declaration; see `stream`.

        ```python
        async with client.astream("GET", "/events", Event) as events:
            async for event in events:
                print(event.text)
        ```

        Returns:
            What can be iterated, entered or awaited; each opens the stream.
        """
        call = self._direct_call(method, path, type_, options, is_stream=True)
        streams: list[AsyncStream[T]] = []

        async def open_stream() -> AsyncStream[T]:
            streams.append((await call.aperform())[0])
            return streams[0]

        return PendingStream(open_stream(), streams, name="client.astream")

    def close(self) -> None:
        """Close the client for good, without waiting for the connections of asynchronous calls."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the client for good, and wait for the connections in the running event loop."""
        await self._clients.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"APIClient({printable_url(httpx2.URL(self._base_url))!r})" if self._base_url else "APIClient()"

    def _direct_call(
        self, method: str, path: str, type_: Any, options: Mapping[str, Any], *, is_stream: bool = False
    ) -> Call:
        method = _checked_method(method)
        if not isinstance(path, str):
            raise TypeError(f"the path comes after the method {method}, as in '/events'; it is {path!r}")
        known = StreamRequestOptions if is_stream else RequestOptions
        _check_names(f"{method} {path}", options, known.__annotations__)
        options = {**self._options, **options, "streaming_response": is_stream}
        return Call(*direct_plan(method, path, type_, options, self._logged_names), self._clients, self._base_url)


def _checked_method(method: Any) -> str:
    if not isinstance(method, str) or not is_token(method):
        raise TypeError(f"the method comes first, and {method!r} is none; write 'GET', '/events'")
    return method.upper()


def _check_names(name: str, options: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = sorted(options.keys() - set(known))
    if unknown:
        hints = "".join(_hint(each, known) for each in unknown)
        allowed = f"there are {', '.join(known)}{hints}"
        raise TypeError(f"{printable_path(name)}: unexpected options: {', '.join(unknown)}; {allowed}")


def _hint(name: str, known: Collection[str]) -> str:
    import difflib  # slow to import, and seldom needed

    if name in StreamOptions.__annotations__ and known is RequestOptions.__annotations__:
        return f"; {name} is for streams, which client.stream and client.astream open"
    meant = _NAMES_ELSEWHERE.get(name, name)
    if meant not in known and meant in _DECLARED_ELSEWHERE:
        return f"; {_DECLARED_ELSEWHERE[meant]}"
    similar = [each for each in (meant, *difflib.get_close_matches(name, known, 1)) if each in known]
    if similar:
        return f"; did you mean {similar[0]}?"
    if meant in HTTPClientSettings.__annotations__:
        return f"; {meant} is given to APIClient"
    return f"; {meant} is given to an endpoint" if meant in EndpointOptions.__annotations__ else ""


def _checked_base_url(base_url: str | httpx2.URL) -> str:
    if not isinstance(base_url, str | httpx2.URL):
        raise TypeError(f"base_url is of type {type(base_url).__name__}; write it as 'http://localhost:8000'")
    url = httpx2.URL(base_url)
    problems = {
        "is not a whole URL; write it as 'http://localhost:8000'": "://" not in str(base_url),
        f"has the scheme {url.scheme!r}; it is a whole URL with http:// or https://": url.scheme not in _SCHEMES,
        "names no host; write it as 'http://localhost:8000'": not url.host,
        "has a character in its host that no host has": not _HOST.fullmatch(url.host),
        "has a port above 65535": (url.port or 0) > 65535,
        "has a placeholder, which is filled in paths only; put it in the endpoints' paths": "{" in str(base_url),
        "has a query, which would stand before the path; give it as params=": bool(url.query),
    }
    for problem, is_it in problems.items():
        if is_it:
            raise ValueError(f"base_url {printable_url(url.copy_with(query=None))!r} {problem}")
    return str(url.copy_with(fragment=None)).rstrip("/")
