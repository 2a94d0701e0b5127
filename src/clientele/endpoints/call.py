"""One call: send the request, and turn the response into what the endpoint declares.

The synchronous and the asynchronous call take the same steps in the same order, and share every decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httpx2

from ..bodies import StreamedBody
from ..content import media_type
from ..exceptions import IS_STREAM, APIException, StreamInterrupted, TransportError, UnexpectedContentType, reason
from ..headers import checked_headers, is_sendable
from ..http_clients import HTTPClients
from ..redaction import SECRETS, printable_path
from ..streaming.body import AsyncBody, Body
from ..streaming.items import ItemReader, NoSuchStream
from ..streaming.reconnect import Resumption, Retry, Retrying
from ..streaming.stream import AsyncStream, Stream
from ..wire.connections import Interrupt
from ..wire.response import WireResponse
from ..wire.transport import INTERRUPT
from .request import JSON, UNSENDABLE, URLENCODED, RequestParts, form_of, named
from .response import StreamResult
from .signature import Plan

R = TypeVar("R")
CALL = "clientele.call"  # the extension of a request to a fake server: the call, and the URL before any redirect
_DEFAULT_READ_TIMEOUT = 5.0  # httpx2's, in seconds
_TIME_FOR_EXCERPT = 0.5  # seconds in which the beginning of a stream can come where none was declared
_IDEMPOTENT_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
_UNDECLARED_STREAM = {
    "problem": "which is a stream",
    "cure": "declare the endpoint with streaming_response=True, and its result as AsyncIterator[T] or Iterator[T]; "
    "or call client.stream or client.astream",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: a plan, and what it sends.

    Attributes:
        base_url: What comes before the path, or `""`.
        endpoint: The endpoint; `None` for a call without a declaration.
    """

    plan: Plan
    parts: RequestParts
    clients: HTTPClients
    base_url: str
    endpoint: Any = None

    def perform(self) -> tuple[Any, httpx2.Response]:
        """Send the request, and give the result, or the stream, and the response; or raise an `APIException`."""
        plan = self.plan
        if isinstance(plan.result, StreamResult):
            body, reader = self._open() if plan.retry is None else self._retry(self._open)
            resumption = Resumption(plan.reconnect, plan.name, now=self.clients.clock.now)
            return Stream(body, reader, self._open, resumption), body.response
        return self._complete() if plan.retry is None else self._retry(self._complete)

    async def aperform(self) -> tuple[Any, httpx2.Response]:
        """Do as `perform` does; its asynchronous twin."""
        plan = self.plan
        if isinstance(plan.result, StreamResult):
            body, reader = await (self._aopen() if plan.retry is None else self._aretry(self._aopen))
            resumption = Resumption(plan.reconnect, plan.name, now=self.clients.clock.now)
            return AsyncStream(body, reader, self._aopen, resumption), body.response
        return await (self._acomplete() if plan.retry is None else self._aretry(self._acomplete))

    def _complete(self) -> tuple[Any, httpx2.Response]:
        result: Any = self.plan.result
        client = self.clients.client()
        request = self._build_request(client)
        try:
            response = WireResponse.of(client.send(request, stream=True))
            if result.is_undeclared_stream(response):
                response = Body(response, self.clients).read_response(_TIME_FOR_EXCERPT)
                raise UnexpectedContentType(response, **_UNDECLARED_STREAM)
            response.read()
        except httpx2.RequestError as error:
            raise _failure(error, request) from error
        return result.of(response), response

    async def _acomplete(self) -> tuple[Any, httpx2.Response]:
        result: Any = self.plan.result
        client = self.clients.async_client()
        request = self._build_request(client)
        try:
            response = WireResponse.of(await client.send(request, stream=True))
            if result.is_undeclared_stream(response):
                response = await AsyncBody(response, self.clients).read_response(_TIME_FOR_EXCERPT)
                raise UnexpectedContentType(response, **_UNDECLARED_STREAM)
            await response.aread()
        except httpx2.RequestError as error:
            raise _failure(error, request) from error
        return result.of(response), response

    def _open(
        self, before: ItemReader[Any] | None = None, interrupt: Interrupt | None = None
    ) -> tuple[Body, ItemReader[Any]]:
        """Open a stream; after a reconnect, continue behind what `before` has read."""
        result: Any = self.plan.result
        client = self.clients.client()
        request = self._build_request(client, before)
        if interrupt is not None:
            request.extensions[INTERRUPT] = interrupt
        try:
            response = client.send(request, stream=True)
            opened: httpx2.Response | Body = response
            try:
                opened = body = Body(response, self.clients)
                with contextlib.suppress(NoSuchStream):
                    if response.status_code < 400:
                        return body, ItemReader(response, result.items, before)
                response = body.read_response(self._read_timeout(client, response))
            except BaseException:
                opened.close()
                raise
        except httpx2.RequestError as error:
            raise _failure(error, request) from error
        raise result.error(response)

    async def _aopen(self, before: ItemReader[Any] | None = None) -> tuple[AsyncBody, ItemReader[Any]]:
        """Do as `_open` does; its asynchronous twin."""
        result: Any = self.plan.result
        client = self.clients.async_client()
        request = self._build_request(client, before)
        try:
            response = await client.send(request, stream=True)
            opened: httpx2.Response | AsyncBody = response
            try:
                opened = body = AsyncBody(response, self.clients)
                with contextlib.suppress(NoSuchStream):
                    if response.status_code < 400:
                        return body, ItemReader(response, result.items, before)
                response = await body.read_response(self._read_timeout(client, response))
            except BaseException:
                await opened.aclose()
                raise
        except httpx2.RequestError as error:
            raise _failure(error, request) from error
        raise result.error(response)

    def _read_timeout(self, client: httpx2.Client | httpx2.AsyncClient, response: httpx2.Response) -> float | None:
        """How long to read a body that is no declared stream, in seconds. It may be an endless stream after all."""
        timeout = (self.plan.timeout or client.timeout).read
        return _DEFAULT_READ_TIMEOUT if timeout is None and response.status_code < 400 else timeout

    def _retry(self, attempt: Callable[[], R]) -> R:
        """Attempt it until it succeeds, or the last attempt has failed."""
        clock = self.clients.clock
        retrying = Retrying(cast("Retry", self.plan.retry), self.plan.name, now=clock.now)
        while True:
            try:
                return attempt()
            except APIException as error:
                delay = retrying.after(error, self._obstacle(self.clients.client()))
                retrying.announce(error, delay)
            clock.sleep(delay)

    async def _aretry(self, attempt: Callable[[], Awaitable[R]]) -> R:
        """Do as `_retry` does; its asynchronous twin."""
        clock = self.clients.clock
        retrying = Retrying(cast("Retry", self.plan.retry), self.plan.name, now=clock.now)
        while True:
            try:
                return await attempt()
            except APIException as error:
                delay = retrying.after(error, self._obstacle(self.clients.async_client()))
                retrying.announce(error, delay)
            await clock.sleep_until(clock.monotonic() + delay)

    def _obstacle(self, client: httpx2.Client | httpx2.AsyncClient) -> str | None:
        """Why the request cannot be sent again; `None` if it can (RFC 9110, section 9.2.2)."""
        names = {name.lower() for name, _ in (*self.parts.headers, *client.headers.multi_items())}
        if self.plan.method not in _IDEMPOTENT_METHODS and "idempotency-key" not in names:
            return f"{self.plan.method} is not idempotent; an Idempotency-Key header would allow it"
        if kind := self.parts.used_up_by_sending:
            return f"its body, of type {kind}, can be sent once only"
        return None

    def _build_request(
        self, client: httpx2.Client | httpx2.AsyncClient, before: ItemReader[Any] | None = None
    ) -> httpx2.Request:
        plan, parts = self.plan, self.parts
        extensions: dict[str, Any] = {"timeout": (plan.timeout or client.timeout).as_dict()}
        if isinstance(plan.result, StreamResult):
            extensions["timeout"]["read"] = plan.idle_timeout
            extensions[IS_STREAM] = True
        if parts.secrets:
            extensions[SECRETS] = parts.secrets
        try:
            if plan.reconnect and parts.used_up_by_sending is not None:
                cure = "but reconnect= sends it again; pass bytes, or a file that can be rewound"
                raise TypeError(f"the body is of type {parts.used_up_by_sending} and can be sent once only, {cure}")
            body: Any = parts.content
            if isinstance(body, StreamedBody) and body.is_async and isinstance(client, httpx2.Client):
                cure = "call it from an async def, or pass an iterator"
                raise TypeError(f"the body is an asynchronous iterator, which a synchronous call cannot read; {cure}")
            headers = checked_headers(parts.headers) if parts.headers else None
            if parts.cookies and headers and "Cookie" in headers:
                cure = "give all in one way"
                raise ValueError(f"there are cookies beside a Cookie header, which would silence them; {cure}")
            request = client.build_request(
                plan.method,
                parts.path if parts.is_url else f"{self.base_url}/{parts.path.lstrip('/')}",
                params=[*parts.query] or None,
                headers=headers,
                cookies=parts.cookies or None,
                content=_as_labelled(parts, headers, client) if parts.content_type else body,
                extensions=extensions,
            )
            if self.clients.stand_in is not None:
                request.extensions[CALL] = self, request.url
            if HTTPClients.refuse is not None and self.clients.use_network(
                is_async=not isinstance(client, httpx2.Client)
            ):
                HTTPClients.refuse(request)
            if not request.url.host:
                cure = "give APIClient a base_url, or write a whole URL: 'http://localhost:8000/items'"
                raise ValueError(f"the client has no base_url for the path {printable_path(parts.path)!r}; {cure}")
        except UNSENDABLE as error:
            raise named(error, plan.name) from error.__cause__
        if parts.content_type == JSON:
            request.headers.setdefault("Content-Type", JSON)
        elif parts.content_type:
            request.headers["Content-Type"] = parts.content_type
        if isinstance(body, StreamedBody):
            request.stream = body
            body.endpoint = printable_path(plan.name)
            if body.length is not None and "Transfer-Encoding" not in (headers or ()):
                request.headers.pop("Transfer-Encoding", None)
                request.headers.setdefault("Content-Length", str(body.length))
        if isinstance(plan.result, StreamResult):
            said_by_caller = "Accept" in (headers or ()) or "Accept" in self.clients.headers
            if not said_by_caller and request.headers.get("Accept", "*/*") == "*/*":  # httpx2's own
                request.headers["Accept"] = plan.result.items.accept
            for name in ("Cache-Control", "Pragma"):  # as the Fetch standard has it for an EventSource
                request.headers.setdefault(name, "no-cache")
        if before is not None:
            others = [(name, value) for name, value in request.headers.raw if name.lower() != b"last-event-id"]
            event_id = before.last_event_id if is_sendable(before.last_event_id) else ""
            # As bytes: httpx2 would take it for ASCII.
            request.headers = httpx2.Headers([*others, (b"Last-Event-ID", event_id.encode())] if event_id else others)
        return request


def _as_labelled(parts: RequestParts, headers: httpx2.Headers | None, client: Any) -> Any:
    """The body, checked against the caller's `Content-Type`: JSON is never labelled as a form."""
    own = "" if headers is None else headers.get("Content-Type", "")
    label = media_type(own or client.headers.get("Content-Type", ""))
    if parts.content_type == JSON:
        if label == "multipart/form-data":
            raise TypeError("data cannot be sent as multipart/form-data; declare its fields as api.Form(), api.File()")
        return form_of(cast("bytes", parts.content)) if label == URLENCODED else parts.content
    if own and own.strip() != parts.content_type:
        raise ValueError(f"it is a form, {parts.content_type}; leave the header Content-Type out")
    return parts.content


def _failure(error: httpx2.RequestError, request: httpx2.Request) -> TransportError | StreamInterrupted:
    """The exception for a failed request."""
    is_idle_timeout = IS_STREAM in request.extensions and isinstance(error, httpx2.ReadTimeout)
    exception = StreamInterrupted if is_idle_timeout else TransportError
    failed = request
    with contextlib.suppress(RuntimeError):  # httpx2's way of saying that the error has none
        failed = error.request  # after a redirect not the one that was built
    return exception(reason(error, request), request=failed)
