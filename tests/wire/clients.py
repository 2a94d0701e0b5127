"""Transports that an asynchronous test under asyncio can use, whatever they are made for.

A test states its claim once, as a coroutine for asyncio over an `httpx2.AsyncClient`. It holds for a synchronous
transport, too, and for one under trio: the adapters here take each step of the transport to a thread, or to trio, and
bring back what came of it unchanged: the same exception objects, the same bytes, nothing earlier and nothing later.

A step in a thread cannot be cancelled; one under trio is cancelled with the task that waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, Protocol

import httpx2
import outcome
import trio

END = object()


class Place(Protocol):
    """Where the steps of a transport happen."""

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it there; for asynchronous steps, await what it gives."""

    def body(self, stream: httpx2.AsyncByteStream) -> httpx2.SyncByteStream | httpx2.AsyncByteStream:
        """The body of a request that asyncio makes, as it is read there."""

    def trace(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The `trace` extension of a request, as it is called there."""


class Threads:
    """A thread for each step, which nobody waits for when a test gives up."""

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[outcome.Outcome[Any]] = loop.create_future()

        def work() -> None:
            result = outcome.capture(function, *arguments)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, future, result)

        threading.Thread(target=work, daemon=True).start()
        return (await future).unwrap()

    def body(self, stream: httpx2.AsyncByteStream) -> httpx2.SyncByteStream:
        return BodyInThread(asyncio.get_running_loop(), stream)

    def trace(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def trace(event: str, info: dict[str, Any]) -> None:
            with contextlib.suppress(StopIteration):
                function(event, info).send(None)
                raise AssertionError("a trace function of a test waits for nothing")

        return trace


class BodyInThread(httpx2.SyncByteStream):
    """The body of a request, made in an event loop and read in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: httpx2.AsyncByteStream) -> None:
        self._loop = loop
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        iterator = aiter(self._stream)
        try:
            while (piece := self._next(iterator)) is not END:
                yield piece
        finally:
            close_in(self._loop, iterator)

    def _next(self, iterator: AsyncIterator[bytes]) -> Any:
        done, results = threading.Event(), []

        async def step() -> None:
            results.append(await outcome.acapture(anext, iterator, END))
            done.set()

        self._loop.call_soon_threadsafe(create_task, self._loop, step())
        done.wait()
        return results[0].unwrap()


class Trio:
    """A run of trio in a thread of its own, which lasts until it is stopped."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery

    def start(self) -> None:
        if self._thread is None:
            started = threading.Event()
            self._thread = threading.Thread(target=trio.run, args=[self._run, started], daemon=True)
            self._thread.start()
            started.wait()

    def stop(self) -> None:
        if self._thread is not None:
            self._token.run_sync_soon(self._nursery.cancel_scope.cancel)
            self._thread.join()
            self._thread = None

    async def _run(self, started: threading.Event) -> None:
        async with trio.open_nursery() as self._nursery:
            self._token = trio.lowlevel.current_trio_token()
            started.set()
            await trio.sleep_forever()

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[outcome.Outcome[Any] | None] = loop.create_future()
        scope = trio.CancelScope()

        async def work() -> None:
            result: outcome.Outcome[Any] | None = None
            try:
                with scope:
                    try:
                        result = outcome.Value(await function(*arguments))
                    except trio.Cancelled:
                        raise
                    except BaseException as error:
                        result = outcome.Error(error)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(settle, future, result)

        self._token.run_sync_soon(self._nursery.start_soon, work)
        try:
            result = await asyncio.shield(future)
        except asyncio.CancelledError:
            self._token.run_sync_soon(scope.cancel)
            future.add_done_callback(self._let_go)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(future)
            raise
        assert result is not None, "trio has stopped"
        return result.unwrap()

    def _let_go(self, future: asyncio.Future[outcome.Outcome[Any] | None]) -> None:
        """Close a response that came when nobody waited for it any more."""
        result = None if future.cancelled() else future.result()
        if isinstance(result, outcome.Value) and isinstance(result.value, httpx2.Response):
            self._token.run_sync_soon(self._nursery.start_soon, result.value.stream.aclose)

    def body(self, stream: httpx2.AsyncByteStream) -> httpx2.AsyncByteStream:
        return BodyInTrio(asyncio.get_running_loop(), stream)

    def trace(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function


class BodyInTrio(httpx2.AsyncByteStream):
    """The body of a request, made in asyncio's event loop and read in trio's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: httpx2.AsyncByteStream) -> None:
        self._loop = loop
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        iterator = aiter(self._stream)
        try:
            while (piece := await self._next(iterator)) is not END:
                yield piece
        finally:
            close_in(self._loop, iterator)

    async def _next(self, iterator: AsyncIterator[bytes]) -> Any:
        token = trio.lowlevel.current_trio_token()
        done, results, tasks = trio.Event(), [], []

        async def step() -> None:
            results.append(await outcome.acapture(anext, iterator, END))
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        self._loop.call_soon_threadsafe(lambda: tasks.append(create_task(self._loop, step())))
        try:
            await done.wait()
        except trio.Cancelled:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            raise
        return results[0].unwrap()


def settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


_tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds its tasks weakly


def create_task(loop: asyncio.AbstractEventLoop, coroutine: Any) -> asyncio.Task[None]:
    task = loop.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def close_in(loop: asyncio.AbstractEventLoop, iterator: AsyncIterator[bytes]) -> None:
    """Close an iterator in its event loop, and wait for nothing."""

    async def close() -> None:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()

    def begin() -> None:
        create_task(loop, close())

    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(begin)


class Elsewhere(httpx2.AsyncBaseTransport):
    """A transport for asyncio, each step of which another one takes somewhere else."""

    def __init__(self, transport: httpx2.BaseTransport | httpx2.AsyncBaseTransport, place: Place) -> None:
        self._transport = transport
        self._place = place
        if isinstance(transport, httpx2.BaseTransport):
            self._handle, self._close = transport.handle_request, transport.close
        else:
            self._handle, self._close = transport.handle_async_request, transport.aclose

    async def __aenter__(self) -> Elsewhere:
        enter = getattr(self._transport, "__aenter__", None) or self._transport.__enter__
        await self._place.call(enter)
        return self

    async def __aexit__(self, *error: Any) -> None:
        leave = getattr(self._transport, "__aexit__", None) or self._transport.__exit__
        await self._place.call(leave, *error)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._place.call(self._handle, self._translated(request))
        extensions = dict(response.extensions)
        if "network_stream" in extensions:
            extensions["network_stream"] = NetworkStream(extensions["network_stream"], self._place)
        return type(response)(
            response.status_code,
            headers=response.headers,
            stream=ResponseStream(response.stream, self._place),
            extensions=extensions,
        )

    def _translated(self, request: httpx2.Request) -> httpx2.Request:
        stream = request.stream
        if not isinstance(stream, httpx2.SyncByteStream):  # what is both waits for nothing
            stream = self._place.body(stream)
        translated = httpx2.Request(request.method, request.url, headers=request.headers, stream=stream)
        translated.extensions = request.extensions  # the same, so that what is changed in it later is seen
        if "trace" in request.extensions:
            trace = self._place.trace(request.extensions["trace"])
            translated.extensions = {**request.extensions, "trace": trace}
        return translated

    async def aclose(self) -> None:
        await self._place.call(self._close)


class ResponseStream(httpx2.AsyncByteStream):
    """The body of a response that is read elsewhere."""

    def __init__(self, stream: Any, place: Place) -> None:
        self._stream = stream
        self._place = place

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._stream, httpx2.SyncByteStream):
            iterator = iter(self._stream)
            step = functools.partial(next, iterator, END)
        else:
            iterator = aiter(self._stream)
            step = lambda: anext(iterator, END)  # noqa: E731
        try:
            while (piece := await self._place.call(step)) is not END:
                yield piece
        finally:
            if isinstance(iterator, AsyncGenerator):  # trio warns of those that are left
                await self._place.call(iterator.aclose)

    async def aclose(self) -> None:
        is_sync = isinstance(self._stream, httpx2.SyncByteStream)
        await self._place.call(self._stream.close if is_sync else self._stream.aclose)


class NetworkStream:
    """The `network_stream` of a response that is read and written elsewhere, with asyncio's names for everything."""

    def __init__(self, stream: Any, place: Place) -> None:
        self._stream = stream
        self._place = place

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._place.call(self._stream.read, max_bytes, timeout)

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        await self._place.call(self._stream.write, data, timeout)

    async def aclose(self) -> None:
        await self._place.call(getattr(self._stream, "aclose", None) or self._stream.close)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        stream = await self._place.call(self._stream.start_tls, ssl_context, server_hostname, timeout)
        return NetworkStream(stream, self._place)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
