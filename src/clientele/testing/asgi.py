"""An ASGI application as the server, in process. Its streams arrive as it sends them.

The application runs in its own task, and sends only as fast as somebody reads. When the client leaves, the
application receives `http.disconnect`, and is cancelled if it goes on. The call, or the stream, raises its
exceptions. Each event loop runs the application's lifespan, from the first request on.

Source: the ASGI specification, versions 3.0 (HTTP 2.3, lifespan 2.0).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, MutableMapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import anyio
import httpx2

from ..api import APIClient
from ..clock import CLOCK
from ..event_loop import EventLoop, PerLoop
from ..http_clients import HTTPClients
from ..wire.response import WireResponse
from .stand_in import StandIn

Message: TypeAlias = MutableMapping[str, Any]
ASGIApp: TypeAlias = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

T = TypeVar("T")
_GRACE = 0.25  # seconds in which an application can end by itself, once the client has left
_VERSION = {"version": "3.0", "spec_version": "2.3"}

logger = logging.getLogger("clientele")


class _Exchange(httpx2.AsyncByteStream):
    """One request to the application, and the body of its response."""

    is_reusable = False

    def __init__(self, request: httpx2.Request, errors: list[Exception]) -> None:
        self.timeout: float | None = request.extensions.get("timeout", {}).get("read")
        self.size = 0
        self.event_loop = EventLoop.running()
        self.start: Message | None = None  # the head of the response
        self._request = request
        self._parts = _parts_of(request)
        self._errors = errors  # that nobody else is told of
        self._error: Exception | None = None
        self._chunks: deque[bytes] = deque()
        self._is_complete = self._has_ended = self._is_left = False
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, app: ASGIApp, scope: Message) -> None:
        """Let the application answer."""
        try:
            with self._scope:
                await app(scope, self._receive, self._send)
            if not self._is_complete and not self._is_left:
                problem = "sent no response" if self.start is None else "ended before its response had"
                self._error = RuntimeError(f"the application {problem}: {self._request.method} {self._request.url}")
        except Exception as error:
            if self._is_left:
                self._errors.append(error)
                logger.exception("the application failed when the client had left")
            self._error = error
        finally:
            self._has_ended = True
            self._notify()
            with anyio.CancelScope(shield=True):
                await self._parts.aclose()

    async def head(self) -> httpx2.Response:
        """Wait for the head of the response. Raises what the application has raised."""
        try:
            await self._wait_for(lambda: self.start is not None)
        except BaseException:
            self.let_go()
            raise
        if self.start is None:
            assert self._error is not None
            raise self._error
        response = WireResponse(
            self.start["status"],
            headers=[(bytes(name), bytes(value)) for name, value in self.start.get("headers", ())],
            stream=self,
            extensions={"http_version": b"HTTP/1.1"},
        )
        response.direct_body = self  # type: ignore[assignment]
        return response

    async def read(self) -> bytes:
        """Read the next bytes; `b""` at the end. You can read again after a cancelled read."""
        await self._wait_for(lambda: bool(self._chunks) or self._is_complete)
        if self._chunks:
            chunk = self._chunks.popleft()
            self.size += len(chunk)
            self._notify()
            return chunk
        if self._is_complete and not self._is_left:
            with anyio.move_on_after(_GRACE):  # Starlette raises an error when it has answered with a 500
                while not self._has_ended:
                    await self._changed.wait()
        if self._is_complete and self._error is None:
            return b""
        raise self._error or httpx2.ReadError("the response has been closed")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    def let_go(self) -> None:
        """Leave: tell the application, and cancel it if it goes on."""
        if not self._is_left:
            self._is_left = True
            self._notify()
            if not self._has_ended:
                self.event_loop.spawn(self._cancel_later)

    async def aclose(self) -> None:
        """Leave, and wait until the application has ended, or has been cancelled."""
        self.let_go()
        with anyio.move_on_after(2 * _GRACE):
            while not (self._has_ended or self._is_complete):
                await self._changed.wait()

    async def _cancel_later(self) -> None:
        if not self._is_complete:  # otherwise it may have something to do in the background
            with anyio.move_on_after(_GRACE):
                while not self._has_ended:
                    await self._changed.wait()
            self._scope.cancel()

    async def _wait_for(self, is_there: Callable[[], bool]) -> None:
        with anyio.move_on_after(self.timeout) as scope:
            while not (is_there() or self._has_ended or self._is_left):
                await self._changed.wait()
        if scope.cancelled_caught:
            raise httpx2.ReadTimeout("the application sent nothing")

    async def _receive(self) -> Message:
        if not self._is_left:
            with contextlib.suppress(StopAsyncIteration):
                body, is_last = await anext(self._parts)
                return {"type": "http.request", "body": body, "more_body": not is_last}
        while not (self._is_left or self._is_complete):
            await self._changed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._is_left and not self._is_complete:
            await anyio.sleep_forever()  # until it is cancelled: nobody reads it
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            if self.start is None or self._is_complete:
                when = "after its response had ended" if self._is_complete else "before http.response.start"
                raise RuntimeError(f"the application sent a part of a body {when}")
            if (body := bytes(message.get("body", b""))) and self._request.method != "HEAD":
                self._chunks.append(body)
            self._is_complete = not message.get("more_body", False)
        self._notify()
        while self._chunks and not self._is_left and not self._is_complete:
            await self._changed.wait()
        await anyio.lowlevel.checkpoint()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def _parts_of(request: httpx2.Request) -> AsyncGenerator[tuple[bytes, bool]]:
    """The parts of a request's body, at least one, each with a flag for the last."""
    if isinstance(request.stream, httpx2.ByteStream):
        yield b"".join(request.stream), True
        return
    assert isinstance(request.stream, httpx2.AsyncByteStream)
    last = b""
    parts = aiter(request.stream)
    try:
        async for part in parts:
            if last:
                yield last, False
            last = part
    finally:
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()
    yield last, True


class _Lifespan:
    """The lifespan of an application in one event loop."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._is_begun = self._is_supported = False
        self._failure: str | None = None
        self._started, self._stopping, self._stopped = anyio.Event(), anyio.Event(), anyio.Event()

    async def start(self) -> None:
        """Start the application, once. Raises `RuntimeError`: the start failed."""
        if not self._is_begun:
            self._is_begun = True
            EventLoop.running().spawn(self._run)
        await self._started.wait()
        if self._failure is not None:
            raise RuntimeError(f"the application failed to start: {self._failure}")

    async def aclose(self) -> None:
        """Shut it down."""
        self._stopping.set()
        if self._is_begun:
            with anyio.move_on_after(2):
                await self._stopped.wait()

    async def _run(self) -> None:
        try:
            await self._app({"type": "lifespan", "asgi": _VERSION, "state": self.state}, self._receive, self._send)
        except Exception as error:
            if self._is_supported:
                logger.exception("the lifespan of the application failed")
                self._failure = self._failure or repr(error)
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> Message:
        if not self._is_supported:
            self._is_supported = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message") or "it does not say why"
        self._started.set()
        if message["type"].startswith("lifespan.shutdown"):
            self._stopped.set()


class ASGITransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport that sends asynchronous requests to an ASGI application, in process.

    ```python
    client = api.APIClient("http://test", async_transport=testing.ASGITransport(app))
    ```

    Parameters:
        app: The application, of FastAPI, Starlette or any other framework.
        root_path: The path at which the application is mounted. Default `""`: the root.
        client: The address of the client, as the application sees it. Default `("127.0.0.1", 123)`.
    """

    def __init__(self, app: ASGIApp, *, root_path: str = "", client: tuple[str, int] = ("127.0.0.1", 123)) -> None:
        self.errors: list[Exception] = []
        self._app = app
        self._root_path = root_path
        self._client = client
        self._lifespans = PerLoop(functools.partial(_Lifespan, app))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Let the application answer. Raises what it raises."""
        lifespan = self._lifespans.here()
        await lifespan.start()
        exchange = _Exchange(request, self.errors)
        url = request.url
        scope = {
            "type": "http",
            "asgi": _VERSION,
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": self._root_path,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": self._client,
            "server": (url.host, url.port or {"https": 443}.get(url.scheme, 80)),
            "state": dict(lifespan.state),
            "extensions": {},
        }
        exchange.event_loop.spawn(functools.partial(exchange.run, self._app, scope))
        return await exchange.head()

    async def aclose(self) -> None:
        """Shut the application down."""
        await self._lifespans.aclose()


class _SyncBody(httpx2.SyncByteStream):
    """The body of the application's response, read from another thread."""

    is_reusable = False
    event_loop = None

    def __init__(self, exchange: _Exchange, loop: _LoopThread) -> None:
        self._exchange = exchange
        self._loop = loop
        weakref.finalize(self, loop.call_soon, exchange.let_go).atexit = False

    @property
    def size(self) -> int:
        """How many bytes have been read."""
        return self._exchange.size

    @property
    def timeout(self) -> float | None:
        """How long to wait for the next bytes, in seconds."""
        return self._exchange.timeout

    @timeout.setter
    def timeout(self, timeout: float | None) -> None:
        self._exchange.timeout = timeout

    def read(self) -> bytes:
        """The next bytes; `b""` at the end."""
        return self._loop.run(self._exchange.read())

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    def let_go(self) -> None:
        """Leave."""
        self._loop.call_soon(self._exchange.let_go)

    def close(self) -> None:
        """Leave, from any thread."""
        self.let_go()


class _LoopThread:
    """An event loop in a separate thread, which ends with the interpreter."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),), daemon=True, name="ASGI application")
        self._thread.start()
        self._loop, self._stop = self._begun.result()

    async def _main(self) -> None:
        stop = asyncio.Event()
        self._begun.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run this in the loop, and wait for its result."""
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, function: Callable[[], object]) -> None:
        """Have the loop call this, unless it has ended."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """End it."""
        self.call_soon(self._stop.set)
        if self._thread is not threading.current_thread():
            self._thread.join(2)


class SyncASGITransport(httpx2.BaseTransport):
    """An httpx2 transport that sends synchronous requests to an ASGI application, which runs in its own thread.

    ```python
    client = api.APIClient("http://test", transport=testing.SyncASGITransport(app))
    ```

    Parameters:
        app: The application, of FastAPI, Starlette or any other framework.
        root_path: The path at which the application is mounted. Default `""`: the root.
        client: The address of the client, as the application sees it. Default `("127.0.0.1", 123)`.
    """

    def __init__(self, app: ASGIApp, *, root_path: str = "", client: tuple[str, int] = ("127.0.0.1", 123)) -> None:
        self._transport = ASGITransport(app, root_path=root_path, client=client)
        self._lock = threading.Lock()
        self._loop: _LoopThread | None = None

    @property
    def errors(self) -> list[Exception]:
        """The exceptions that the application raised after everybody had left."""
        return self._transport.errors

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Let the application answer. Raises what it raises."""
        with self._lock:
            if self._loop is None:
                self._loop = _LoopThread()
                weakref.finalize(self, self._loop.stop).atexit = False
        assert isinstance(request.stream, httpx2.SyncByteStream)
        again = httpx2.Request(
            request.method, request.url, headers=request.headers.raw, content=b"".join(request.stream)
        )
        again.headers = request.headers
        again.extensions = request.extensions
        response = self._loop.run(self._transport.handle_async_request(again))
        body = _SyncBody(response.stream, self._loop)  # type: ignore[arg-type]
        extensions = {"http_version": b"HTTP/1.1"}
        made = WireResponse(response.status_code, headers=response.headers, stream=body, extensions=extensions)
        made.direct_body = body  # type: ignore[assignment]
        return made

    def close(self) -> None:
        """Shut the application down, and end its thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.run(self._transport.aclose())
            loop.stop()


class in_process(StandIn):  # noqa: N801
    """Answer all calls of a client with an ASGI application, in process. Enter it with `with` or `async with`.

    ```python
    with testing.in_process(client, app):
        for event in stream_events():
            print(event.text)
    ```

    Leaving it shuts the application down, and raises the exceptions that it raised after the client had left. In
    asynchronous tests use `async with`, so that the application runs in your event loop.

    Parameters:
        client: The client whose calls are answered.
        app: The application, of FastAPI, Starlette or any other framework.
    """

    def __init__(self, client: APIClient, app: ASGIApp) -> None:
        super().__init__(client)
        self._transport, self._async_transport = SyncASGITransport(app), ASGITransport(app)

    def _made(self, clients: HTTPClients) -> HTTPClients:
        return clients.replaced(self._transport, self._async_transport, CLOCK)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._transport.close()
        for failure in (*self._transport.errors, *self._async_transport.errors) if error is None else ():
            raise failure

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._async_transport.aclose()
        self.__exit__(kind, error, traceback)
