"""One call: send the request, and make of the response what the endpoint declares.

The synchronous and the asynchronous call take the same steps in the same order and differ only in what they wait for.
Everything that decides is in the functions that they share.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from ..event_loop import EventLoop
from ..exceptions import IS_STREAM, StreamInterrupted, TransportError, UnexpectedContentType, reason
from ..headers import checked_headers, is_sendable
from ..http_clients import HTTPClients
from ..streaming.body import AsyncBody, Body
from ..streaming.formats import FORMATS, format_of
from ..streaming.items import ItemReader
from ..streaming.stream import AsyncStream, Stream
from ..transports.keepalive import Trace, enable_keepalive, enable_keepalive_async
from .answer import Answer, CompleteAnswer, StreamAnswer, is_error
from .options import CLIENT_DEFAULT, Options
from .request import RequestParts
from .response import aread_error, read_error

_UNDECLARED_STREAM = (
    "which is a stream; declare the endpoint with streaming_response=True, "
    "and its result as AsyncIterator[T] or Iterator[T]; or call client.stream or client.astream"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        name: What it is called in errors.
        method: The HTTP method.
        parts: What is sent.
        answer: What becomes of the response.
        options: How it is made.
        clients: What sends it.
        base_url: What comes before its path; `""` if the HTTP client has something for that.
    """

    name: str
    method: str
    parts: RequestParts
    answer: Answer
    options: Options
    clients: HTTPClients
    base_url: str

    def perform(self) -> tuple[Any, httpx2.Response]:
        """Send the request, and give the result, or the stream, and the response.

        Raises:
            APIException: There is no such result.
        """
        if isinstance(self.answer, CompleteAnswer):
            return self._fetch(self.answer)
        body, reader = self._open(self.answer)
        open_again = functools.partial(self._open, self.answer)
        return Stream(body, reader, open_again, self.options.reconnect_policy), body.response

    async def aperform(self) -> tuple[Any, httpx2.Response]:
        """Do as `perform` does; its asynchronous twin."""
        if isinstance(self.answer, CompleteAnswer):
            return await self._afetch(self.answer)
        body, reader = await self._aopen(self.answer)
        open_again = functools.partial(self._aopen, self.answer)
        return AsyncStream(body, reader, open_again, self.options.reconnect_policy), body.response

    def _fetch(self, answer: CompleteAnswer) -> tuple[Any, httpx2.Response]:
        client = self.clients.client()
        request = self._build_request(client, enable_keepalive)
        with self._transport_errors(request):
            response = client.send(request, stream=True)
            _read_complete(answer, response)
        return answer.result(response), response

    async def _afetch(self, answer: CompleteAnswer) -> tuple[Any, httpx2.Response]:
        client = await self.clients.async_client()
        request = self._build_request(client, enable_keepalive_async)
        with self._transport_errors(request):
            response = await client.send(request, stream=True)
            await _aread_complete(answer, response)
        return answer.result(response), response

    def _open(
        self, answer: StreamAnswer, before: ItemReader[Any] | None = None, trace: Trace = enable_keepalive
    ) -> tuple[Body, ItemReader[Any]]:
        """Open a stream, or take up again what `before` has read of it."""
        client = self.clients.client()
        request = self._build_request(client, trace, before)
        with self._transport_errors(request):
            response = client.send(request, stream=True)
        body = Body(response, self.clients)
        with _closed_on_error(body):
            if is_error(response):
                raise answer.error(read_error(body, self._timeout(client).read))
            return body, ItemReader(response, answer.items, before)

    async def _aopen(
        self, answer: StreamAnswer, before: ItemReader[Any] | None = None
    ) -> tuple[AsyncBody, ItemReader[Any]]:
        """Do as `_open` does; its asynchronous twin."""
        client = await self.clients.async_client()
        request = self._build_request(client, enable_keepalive_async, before)
        with self._transport_errors(request):
            response = await client.send(request, stream=True)
        is_download = answer.items.stream_format is FORMATS["bytes"]
        body = AsyncBody(response, self.clients, await EventLoop.running(), counts_bytes=is_download)
        async with _aclosed_on_error(body):
            if is_error(response):
                raise answer.error(await aread_error(body, self._timeout(client).read))
            return body, ItemReader(response, answer.items, before)

    def _build_request(
        self,
        client: httpx2.Client | httpx2.AsyncClient,
        trace: Trace,
        before: ItemReader[Any] | None = None,
    ) -> httpx2.Request:
        parts = self.parts
        extensions: dict[str, Any] = {"timeout": self._timeout(client).as_dict(), "trace": trace}
        if isinstance(self.answer, StreamAnswer):
            extensions["timeout"]["read"] = self.options.idle_timeout
            extensions[IS_STREAM] = True
        with errors_named(self.name):
            if self.options.reconnect_policy and not isinstance(parts.content, str | bytes | None):
                raise TypeError(
                    f"data is of type {type(parts.content).__name__} and can be sent once only, "
                    "but reconnect= sends it again; pass bytes or text"
                )
            headers = checked_headers(parts.headers) if parts.headers else None
            if parts.cookies and headers and "Cookie" in headers:
                raise ValueError(
                    "there are cookies beside a Cookie header, which would silence them; give all in one way"
                )
            request = client.build_request(
                self.method,
                self._url(parts.path),
                params=[*parts.query] or None,
                headers=headers,
                cookies=parts.cookies or None,
                content=parts.content,
                extensions=extensions,
            )
        if parts.is_json:
            request.headers.setdefault("Content-Type", "application/json")
        if isinstance(self.answer, StreamAnswer):
            said_by_caller = "Accept" in (headers or ()) or "Accept" in self.clients.headers
            if not said_by_caller and request.headers.get("Accept", "*/*") == "*/*":  # httpx2's own
                request.headers["Accept"] = self.answer.items.accept
            request.headers.setdefault("Cache-Control", "no-store")
        if before is not None:
            _name_last_event(request, before.last_event_id)
        return request

    def _url(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"

    def _timeout(self, client: httpx2.Client | httpx2.AsyncClient) -> httpx2.Timeout:
        timeout = self.options.timeout
        return client.timeout if timeout is CLIENT_DEFAULT else httpx2.Timeout(timeout)

    @contextmanager
    def _transport_errors(self, request: httpx2.Request) -> Generator[None]:
        """Turn httpx2's exceptions into our own."""
        try:
            yield
        except httpx2.RequestError as error:
            is_idle_timeout = isinstance(self.answer, StreamAnswer) and isinstance(error, httpx2.ReadTimeout)
            exception = StreamInterrupted if is_idle_timeout else TransportError
            raise exception(reason(error, request), request=_request_of(error, request)) from error


def close_result(result: Any) -> None:
    """Close what `perform` gave, if it is a stream."""
    if isinstance(result, Stream):
        result.close()


async def aclose_result(result: Any) -> None:
    """Close what `aperform` gave, if it is a stream."""
    if isinstance(result, AsyncStream):
        await result.aclose()


@contextmanager
def errors_named(name: str) -> Generator[None]:
    """Say of which call the arguments cannot be sent.

    Raises:
        TypeError, ValueError: What was raised within, with the name in its message.
    """
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from error.__cause__  # without the same words once more
    except (ValueError, httpx2.InvalidURL) as error:
        raise ValueError(f"{name}: {error}") from error.__cause__


def _read_complete(answer: CompleteAnswer, response: httpx2.Response) -> None:
    if _is_undeclared_stream(answer, response):
        response.close()
        raise UnexpectedContentType(response, cure=_UNDECLARED_STREAM)
    response.read()


async def _aread_complete(answer: CompleteAnswer, response: httpx2.Response) -> None:
    if _is_undeclared_stream(answer, response):
        await response.aclose()
        raise UnexpectedContentType(response, cure=_UNDECLARED_STREAM)
    await response.aread()


def _is_undeclared_stream(answer: CompleteAnswer, response: httpx2.Response) -> bool:
    """Whether an event stream came where JSON was expected; reading it to its end might take for ever."""
    expects_json = answer.expects_json and response.status_code not in answer.by_status
    return format_of(response) is FORMATS["sse"] and expects_json and not is_error(response)


def _name_last_event(request: httpx2.Request, event_id: str) -> None:
    """Say where the stream is to be taken up again; an id that no header can hold is not sent."""
    headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"last-event-id"]
    if event_id and is_sendable(event_id):
        headers.append((b"Last-Event-ID", event_id.encode()))  # as bytes: httpx2 would take it for ASCII
    request.headers = httpx2.Headers(headers)


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
