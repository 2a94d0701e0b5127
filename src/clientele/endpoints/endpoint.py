"""An endpoint's calls: bind the arguments, send, make the result, run the function's body with it.

The synchronous and the asynchronous call take the same steps in the same order and differ only in what they wait for.
Everything that decides is in the functions that they share.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from ..event_loop import EventLoop
from ..exceptions import HTTPStatusError, StreamInterrupted, TransportError, UnexpectedContentType, reason
from ..http_clients import HTTPClients, checked_headers, enable_keepalive, enable_keepalive_async
from ..streaming.body import AsyncBody, Body
from ..streaming.items import ItemReader
from ..streaming.sse import DEFAULT_MAX_EVENT_SIZE
from ..streaming.stream import AsyncStream, Stream, check_content_type, is_event_stream
from .plan import Plan, Planner
from .request import build_parts
from .response import aread_error, read_error

_CLIENT_DEFAULT: Any = object()
_UNDECLARED_STREAM = (
    "which is a stream; declare the endpoint with streaming_response=True, "
    "and its result as AsyncIterator[T] or Iterator[T]"
)


@dataclass(frozen=True, slots=True)
class Options:
    """How an endpoint's calls are made: the keywords of its decorator.

    Attributes:
        streaming_response: Whether the answer is a stream.
        timeout: The timeouts of its requests, in seconds, in any form that httpx2 takes.
        idle_timeout: After how many seconds without a byte a stream counts as interrupted; `None` for never.
        max_event_size: The largest event of a stream, in bytes.
    """

    streaming_response: bool = False
    timeout: Any = _CLIENT_DEFAULT
    idle_timeout: float | None = None
    max_event_size: int = DEFAULT_MAX_EVENT_SIZE

    def __post_init__(self) -> None:
        if not self.streaming_response:
            for name, default in (("idle_timeout", None), ("max_event_size", DEFAULT_MAX_EVENT_SIZE)):
                if getattr(self, name) != default:
                    raise TypeError(f"{name} is for streams; add streaming_response=True, or leave it out")
        if self.idle_timeout is not None and not _is_number(self.idle_timeout, int, float):
            raise ValueError(f"idle_timeout is {self.idle_timeout!r}; it is a number of seconds above 0, or None")
        if not _is_number(self.max_event_size, int):
            raise ValueError(f"max_event_size is {self.max_event_size!r}; it is a number of bytes above 0")
        if not isinstance(self.streaming_response, bool):
            raise TypeError(f"streaming_response is {self.streaming_response!r}; it is True or False")


def _is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and 0 < value < math.inf  # type: ignore[operator]


class Endpoint:
    """A declared endpoint of a client, ready to be called.

    Parameters:
        planner: What the endpoint's function declares.
        options: How its calls are made.
        clients: What sends them.
        base_url: What comes before a path, if not what the HTTP client has for that.
    """

    def __init__(self, planner: Planner, options: Options, clients: HTTPClients, base_url: httpx2.URL | None) -> None:
        self._planner = planner
        self._options = options
        self._clients = clients
        self._base_url = base_url

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a synchronous endpoint."""
        plan = self._planner.plan()
        arguments = plan.bind(args, kwargs)
        client = self._clients.client()
        request = self._build_request(client, plan, arguments, enable_keepalive)
        with self._transport_errors(request):
            response = client.send(request, stream=True)
        if not self._options.streaming_response:
            with self._transport_errors(request):
                _read_complete(plan, response)
            result = _complete_result(plan, response)
            return plan.run_body(arguments, result=result, response=response)
        body = Body(response, self._clients)
        with _closed_on_error(body):
            if response.status_code >= httpx2.codes.BAD_REQUEST:
                raise HTTPStatusError(read_error(body, self._timeout(client).read))
            check_content_type(response)
            stream = Stream(body, self._item_reader(plan, response))
            return plan.run_body(arguments, result=stream, response=response)

    async def acall(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call an asynchronous endpoint."""
        plan = self._planner.plan()
        arguments = plan.bind(args, kwargs)
        client = await self._clients.async_client()
        request = self._build_request(client, plan, arguments, enable_keepalive_async)
        with self._transport_errors(request):
            response = await client.send(request, stream=True)
        if not self._options.streaming_response:
            with self._transport_errors(request):
                await _aread_complete(plan, response)
            result = _complete_result(plan, response)
            return await plan.run_body(arguments, result=result, response=response)
        body = AsyncBody(response, self._clients, await EventLoop.running())
        async with _aclosed_on_error(body):
            if response.status_code >= httpx2.codes.BAD_REQUEST:
                raise HTTPStatusError(await aread_error(body, self._timeout(client).read))
            check_content_type(response)
            stream = AsyncStream(body, self._item_reader(plan, response))
            return await plan.run_body(arguments, result=stream, response=response)

    def _build_request(
        self,
        client: httpx2.Client | httpx2.AsyncClient,
        plan: Plan,
        arguments: Mapping[str, Any],
        trace: Callable[[str, Mapping[str, Any]], Any],
    ) -> httpx2.Request:
        timeout = self._timeout(client).as_dict()
        if self._options.streaming_response:
            timeout["read"] = self._options.idle_timeout
        try:
            parts = build_parts(plan.declaration.path, plan.parameters, arguments)
            headers = checked_headers(parts.headers)
            request = client.build_request(
                plan.declaration.method,
                self._url(parts.path),
                params=[*parts.query] or None,
                headers=headers,
                content=parts.content,
                extensions={"timeout": timeout, "trace": trace},
            )
        except TypeError as error:
            raise TypeError(f"{plan.declaration.name}: {error}") from error
        except (ValueError, httpx2.InvalidURL) as error:
            raise ValueError(f"{plan.declaration.name}: {error}") from error
        if parts.is_json:
            request.headers.setdefault("Content-Type", "application/json")
        if self._options.streaming_response:
            said_by_caller = "Accept" in headers or "Accept" in self._clients.headers
            if not said_by_caller and request.headers.get("Accept", "*/*") == "*/*":  # httpx2's own
                request.headers["Accept"] = "text/event-stream"
            request.headers.setdefault("Cache-Control", "no-store")
        return request

    def _url(self, path: str) -> httpx2.URL:
        if path.startswith(("http://", "https://")):
            return httpx2.URL(path)
        path = "/" + path.lstrip("/")
        if self._base_url is None:
            return httpx2.URL(path)
        return self._base_url.copy_with(raw_path=self._base_url.raw_path.rstrip(b"/") + httpx2.URL(path).raw_path)

    def _timeout(self, client: httpx2.Client | httpx2.AsyncClient) -> httpx2.Timeout:
        timeout = self._options.timeout
        return client.timeout if timeout is _CLIENT_DEFAULT else httpx2.Timeout(timeout)

    def _item_reader(self, plan: Plan, response: httpx2.Response) -> ItemReader[Any]:
        return ItemReader(
            response,
            item_type=plan.result_type,
            decode=plan.decode,
            max_event_size=self._options.max_event_size,
        )

    @contextmanager
    def _transport_errors(self, request: httpx2.Request) -> Generator[None]:
        """Turn httpx2's exceptions into our own."""
        try:
            yield
        except httpx2.RequestError as error:
            is_idle_timeout = self._options.streaming_response and isinstance(error, httpx2.ReadTimeout)
            exception = StreamInterrupted if is_idle_timeout else TransportError
            raise exception(reason(error, request), request=_request_of(error, request)) from error


def _read_complete(plan: Plan, response: httpx2.Response) -> None:
    if _is_undeclared_stream(plan, response):
        response.close()
        raise UnexpectedContentType(response, cure=_UNDECLARED_STREAM)
    response.read()


async def _aread_complete(plan: Plan, response: httpx2.Response) -> None:
    if _is_undeclared_stream(plan, response):
        await response.aclose()
        raise UnexpectedContentType(response, cure=_UNDECLARED_STREAM)
    await response.aread()


def _is_undeclared_stream(plan: Plan, response: httpx2.Response) -> bool:
    """Whether an event stream came where JSON was expected; reading it to its end might take for ever."""
    return plan.result_is_json and is_event_stream(response) and response.status_code < httpx2.codes.BAD_REQUEST


def _complete_result(plan: Plan, response: httpx2.Response) -> Any:
    if response.status_code >= httpx2.codes.BAD_REQUEST:
        raise HTTPStatusError(response)
    return plan.decode(response)


def _request_of(error: httpx2.RequestError, request: httpx2.Request) -> httpx2.Request:
    """The request that failed: after a redirect not the one that was built."""
    try:
        return error.request
    except RuntimeError:  # httpx2's way of saying that it has none
        return request


@contextmanager
def _closed_on_error(body: Body) -> Generator[None]:
    try:
        yield
    except BaseException:
        body.close()
        raise


@asynccontextmanager
async def _aclosed_on_error(body: AsyncBody) -> AsyncGenerator[None]:
    try:
        yield
    except BaseException:
        await body.aclose()
        raise
