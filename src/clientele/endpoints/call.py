"""One call: send the request, and make of the response what the endpoint declares.

The synchronous and the asynchronous call take the same steps in the same order; what decides is shared by both.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx2

from ..event_loop import EventLoop
from ..exceptions import IS_STREAM, StreamInterrupted, TransportError, UnexpectedContentType, reason
from ..headers import checked_headers, is_sendable
from ..http_clients import HTTPClients
from ..redaction import printable_path
from ..streaming.body import AsyncBody, Body
from ..streaming.items import ItemReader
from ..streaming.stream import AsyncStream, Stream
from ..wire.connections import Interrupt
from ..wire.response import WireResponse
from ..wire.transport import INTERRUPT
from .options import CLIENT_DEFAULT
from .request import build_parts
from .response import StreamResult, aread_error, read_error
from .signature import Plan

_UNDECLARED_STREAM = (
    "which is a stream; declare the endpoint with streaming_response=True, "
    "and its result as AsyncIterator[T] or Iterator[T]; or call client.stream or client.astream"
)


class Call:
    """One call: a plan, with a value for each of its parameters. `base_url` comes before the path, or is `""`."""

    def __init__(self, plan: Plan, arguments: Mapping[str, Any], clients: HTTPClients, base_url: str) -> None:
        self._plan = plan
        self._clients = clients
        self._base_url = base_url
        with errors_named(plan.name):
            self._parts = build_parts(plan.path, plan.parameters, arguments)

    def perform(self) -> tuple[Any, httpx2.Response]:
        """Send the request, and give the result, or the stream, and the response; or raise an `APIException`."""
        result = self._plan.result
        if isinstance(result, StreamResult):
            open_stream = functools.partial(self._open, result)
            body, reader = open_stream()
            return Stream(body, reader, open_stream, self._plan.options.reconnect_policy), body.response
        client = self._clients.client()
        request = self._build_request(client)
        with self._transport_errors(request):
            response = WireResponse.of(client.send(request, stream=True))
            if result.is_undeclared_stream(response):
                response.close()
                raise UnexpectedContentType(response, cure=_UNDECLARED_STREAM)
            response.read()
        return result.of(response), response

    async def aperform(self) -> tuple[Any, httpx2.Response]:
        """Do as `perform` does; its asynchronous twin."""
        result = self._plan.result
        if isinstance(result, StreamResult):
            open_stream = functools.partial(self._aopen, result)
            body, reader = await open_stream()
            return AsyncStream(body, reader, open_stream, self._plan.options.reconnect_policy), body.response
        client = self._clients.async_client()
        request = self._build_request(client)
        with self._transport_errors(request):
            response = WireResponse.of(await client.send(request, stream=True))
            if result.is_undeclared_stream(response):
                await response.aclose()
                raise UnexpectedContentType(response, cure=_UNDECLARED_STREAM)
            await response.aread()
        return result.of(response), response

    def _open(
        self, result: StreamResult, before: ItemReader[Any] | None = None, interrupt: Interrupt | None = None
    ) -> tuple[Body, ItemReader[Any]]:
        """Open a stream, or reconnect behind what `before` has read of it."""
        client = self._clients.client()
        request = self._build_request(client, before)
        if interrupt is not None:
            request.extensions[INTERRUPT] = interrupt
        with self._transport_errors(request):
            response = client.send(request, stream=True)
            opened: httpx2.Response | Body = response
            try:
                opened = body = Body(response, self._clients)
                if response.status_code < 400:
                    return body, ItemReader(response, result.items, before)
                response = read_error(body, self._timeout(client).read)
            except BaseException:
                opened.close()
                raise
            raise result.error(response)

    async def _aopen(
        self, result: StreamResult, before: ItemReader[Any] | None = None
    ) -> tuple[AsyncBody, ItemReader[Any]]:
        """Do as `_open` does; its asynchronous twin."""
        client = self._clients.async_client()
        request = self._build_request(client, before)
        with self._transport_errors(request):
            response = await client.send(request, stream=True)
            opened: httpx2.Response | AsyncBody = response
            try:
                opened = body = AsyncBody(response, self._clients, EventLoop.running())
                if response.status_code < 400:
                    return body, ItemReader(response, result.items, before)
                response = await aread_error(body, self._timeout(client).read)
            except BaseException:
                await opened.aclose()
                raise
            raise result.error(response)

    def _build_request(
        self, client: httpx2.Client | httpx2.AsyncClient, before: ItemReader[Any] | None = None
    ) -> httpx2.Request:
        plan, parts = self._plan, self._parts
        stream = plan.result if isinstance(plan.result, StreamResult) else None
        extensions: dict[str, Any] = {"timeout": self._timeout(client).as_dict()}
        if stream is not None:
            extensions["timeout"]["read"] = plan.options.idle_timeout
            extensions[IS_STREAM] = True
        with errors_named(plan.name):
            if plan.options.reconnect_policy and not isinstance(parts.content, str | bytes | None):
                cure = "but reconnect= sends it again; pass bytes or text"
                raise TypeError(f"data is of type {type(parts.content).__name__} and can be sent once only, {cure}")
            headers = checked_headers(parts.headers) if parts.headers else None
            if parts.cookies and headers and "Cookie" in headers:
                cure = "give all in one way"
                raise ValueError(f"there are cookies beside a Cookie header, which would silence them; {cure}")
            is_url = parts.path.startswith(("http://", "https://"))
            request = client.build_request(
                plan.method,
                parts.path if is_url else f"{self._base_url}/{parts.path.lstrip('/')}",
                params=[*parts.query] or None,
                headers=headers,
                cookies=parts.cookies or None,
                content=parts.content,
                extensions=extensions,
            )
        if parts.is_json:
            request.headers.setdefault("Content-Type", "application/json")
        if stream is not None:
            said_by_caller = "Accept" in (headers or ()) or "Accept" in self._clients.headers
            if not said_by_caller and request.headers.get("Accept", "*/*") == "*/*":  # httpx2's own
                request.headers["Accept"] = stream.items.accept
            request.headers.setdefault("Cache-Control", "no-store")
        if before is not None:
            others = [(name, value) for name, value in request.headers.raw if name.lower() != b"last-event-id"]
            event_id = before.last_event_id if is_sendable(before.last_event_id) else ""
            # As bytes: httpx2 would take it for ASCII.
            request.headers = httpx2.Headers([*others, (b"Last-Event-ID", event_id.encode())] if event_id else others)
        return request

    def _timeout(self, client: httpx2.Client | httpx2.AsyncClient) -> httpx2.Timeout:
        timeout = self._plan.options.timeout
        return client.timeout if timeout is CLIENT_DEFAULT else httpx2.Timeout(timeout)

    @staticmethod
    @contextmanager
    def _transport_errors(request: httpx2.Request) -> Generator[None]:
        try:
            yield
        except httpx2.RequestError as error:
            is_idle_timeout = IS_STREAM in request.extensions and isinstance(error, httpx2.ReadTimeout)
            exception = StreamInterrupted if is_idle_timeout else TransportError
            failed = request
            with suppress(RuntimeError):  # httpx2's way of saying that the error has none
                failed = error.request  # after a redirect not the one that was built
            raise exception(reason(error, request), request=failed) from error


@contextmanager
def errors_named(name: str) -> Generator[None]:
    """Say of which call the arguments cannot be sent, in the message of a `TypeError` or `ValueError`."""
    name = printable_path(name)
    try:
        yield
    except (TypeError, ValueError, httpx2.InvalidURL) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error.__cause__  # without the same words once more
