"""The transports of a fake server: responses without a network, in virtual time.

A body follows its script only as far as it is read. Each wait ends at a fixed moment, counted from the beginning of the
response. So a slow reader, or a cancelled one, does not change when things happen.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2

from ..event_loop import EventLoop
from ..wire.response import WireResponse
from ..wire.transport import INTERRUPT
from .clock import VirtualClock
from .script import Action, Wait

_PHASES: dict[type[Exception], str] = {
    httpx2.ConnectTimeout: "connect",
    httpx2.ReadTimeout: "read",
    httpx2.WriteTimeout: "write",
    httpx2.PoolTimeout: "pool",
}
_CLOSED = "the response has been closed"


@dataclass
class Reply:
    """An answer: an error, or a response whose body follows its actions, after a delay."""

    delay: float = 0.0
    error: Exception | None = None
    status: int = 200
    headers: httpx2.Headers = field(default_factory=httpx2.Headers)
    actions: Iterable[Action] = ()


class _Body:
    """A body that follows a script. Streams read it as a body of the wire."""

    is_reusable = True
    event_loop: Any = None

    def __init__(self, clock: VirtualClock, actions: Iterable[Action], timeout: float | None) -> None:
        self.timeout = timeout
        self.size = 0
        self._clock = clock
        self._actions = iter(actions)
        self._moment = clock.elapsed  # up to which the script has come
        self._waits_since: float | None = None
        self._changed = threading.Condition()
        self._is_closed = False

    def _step(self) -> bytes | float:
        """The next bytes, `b""` at the end; or the moment to wait for. Raises the error that ends the script."""
        while not self._is_closed:
            now = self._clock.elapsed
            if now < self._moment:
                if self.timeout is None:
                    return self._moment
                self._waits_since = now if self._waits_since is None else self._waits_since
                if now < (latest := self._waits_since + self.timeout):
                    return min(self._moment, latest)
                self._waits_since = None
                raise httpx2.ReadTimeout("nothing came")
            self._waits_since = None
            action = next(self._actions, b"")
            if isinstance(action, bytes):
                self.size += len(action)
                return action
            if not isinstance(action, Wait):
                raise action
            self._moment += action.seconds
        raise httpx2.ReadError(_CLOSED)

    def let_go(self) -> None:
        """Close it."""
        self._is_closed = True
        with self._changed:
            self._changed.notify_all()


class Body(_Body, httpx2.SyncByteStream):
    """The body of a synchronous response."""

    def read(self) -> bytes:
        """The next bytes; `b""` at the end."""
        while not isinstance(step := self._step(), bytes):
            with self._changed:
                self._clock.wait(self._changed, lambda: self._is_closed, step - self._clock.elapsed)
        return step

    def close(self) -> None:
        """Close it, from any thread."""
        self.let_go()

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data


class AsyncBody(_Body, httpx2.AsyncByteStream):
    """The body of an asynchronous response."""

    def __init__(self, clock: VirtualClock, actions: Iterable[Action], timeout: float | None) -> None:
        super().__init__(clock, actions, timeout)
        self.event_loop = EventLoop.running()
        self._scope: anyio.CancelScope | None = None

    async def read(self) -> bytes:
        """Read the next bytes; `b""` at the end. You can read again after a cancelled read."""
        # A socket lets others run, in an endless stream, too. A read that is cancelled here has taken nothing yet.
        await anyio.lowlevel.checkpoint()
        while not isinstance(step := self._step(), bytes):
            with anyio.CancelScope() as self._scope:
                await self._clock.sleep_until(step)
        return step

    def let_go(self) -> None:
        """Close it, in its event loop."""
        super().let_go()
        if self._scope is not None:
            self._scope.cancel()

    async def aclose(self) -> None:
        """Close it."""
        self.let_go()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data


class FakeTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers requests of both sides with the result of `reply`.

    Parameters:
        clock: What waits are measured by.
        reply: Makes the reply of a request and its content.
    """

    def __init__(self, clock: VirtualClock, reply: Callable[[httpx2.Request, bytes], Reply]) -> None:
        self._clock = clock
        self._reply = reply

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer, after the reply's delay."""
        assert isinstance(request.stream, httpx2.SyncByteStream)
        self._clock.notice()
        reply = self._reply(request, b"".join(request.stream))
        seconds, error = _before_head(request.extensions.get("timeout", {}), reply)
        if seconds:
            changed, is_over = threading.Condition(), threading.Event()
            if (interrupt := request.extensions.get(INTERRUPT)) is not None:
                interrupt.watch(lambda: _end(changed, is_over))
            with changed:
                self._clock.wait(changed, is_over.is_set, seconds)
            if is_over.is_set():
                raise httpx2.ReadError(_CLOSED)
        if error is not None:
            raise error
        return _response(reply, Body(self._clock, reply.actions, _read_timeout(request)))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Do as `handle_request` does."""
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        self._clock.notice()
        reply = self._reply(request, b"".join([part async for part in request.stream]))
        seconds, error = _before_head(request.extensions.get("timeout", {}), reply)
        if seconds:
            await self._clock.sleep_until(self._clock.elapsed + seconds)
        await anyio.lowlevel.checkpoint()
        if error is not None:
            raise error
        return _response(reply, AsyncBody(self._clock, reply.actions, _read_timeout(request)))


def _end(changed: threading.Condition, is_over: threading.Event) -> None:
    is_over.set()
    with changed:
        changed.notify_all()


def _before_head(timeouts: Mapping[str, float | None], reply: Reply) -> tuple[float, Exception | None]:
    """The delay before the head of the response, or before the error, in seconds."""
    for kind, phase in _PHASES.items():
        if isinstance(reply.error, kind):
            timeout = timeouts.get(phase)
            return reply.delay + (float("inf") if timeout is None else timeout), reply.error
    timeout = timeouts.get("read")
    if timeout is not None and reply.delay > timeout:
        return timeout, httpx2.ReadTimeout("nothing came")
    return reply.delay, reply.error


def _read_timeout(request: httpx2.Request) -> float | None:
    timeout: float | None = request.extensions.get("timeout", {}).get("read")
    return timeout


def _response(reply: Reply, body: Body | AsyncBody) -> httpx2.Response:
    extensions = {"http_version": b"HTTP/1.1"}
    response = WireResponse(reply.status, headers=reply.headers, stream=body, extensions=extensions)
    response.direct_body = body  # type: ignore[assignment]
    return response
