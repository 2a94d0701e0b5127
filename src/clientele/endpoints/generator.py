"""Asynchronous endpoints that yield: the request is sent when iteration begins, and leaving the loop closes everything.

For synchronous ones a generator does all that, with `yield from`. Asynchronous generators have no such thing, and one
that is dropped is left to its event loop, which closes it with a warning under trio. So these are iterated through an
object of our own, whose dropping is noticed as a stream's is.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any

from ..event_loop import EventLoop, begun_unseen
from .call import aclose_result


class RunningBody:
    """The body of an endpoint's function, as far as it has run. It is closed with its event loop at the latest.

    Parameters:
        generator: The generator that it is.
        result: What was injected.
        event_loop: The event loop that it runs in.
    """

    def __init__(self, generator: AsyncGenerator[Any, Any], result: Any, event_loop: EventLoop) -> None:
        self.generator = generator
        self._result = result
        self._event_loop = event_loop
        self._is_closed = False
        event_loop.close_at_shutdown(self)

    async def aclose(self) -> None:
        """Close the generator, then the stream that it read. Closing it again does nothing."""
        self._is_closed = True
        self._event_loop.forget(self)
        try:
            await self.generator.aclose()
        finally:
            await aclose_result(self._result)

    def close_soon(self) -> None:
        """Leave the closing to the event loop."""
        if not self._is_closed:
            self._event_loop.close_soon(self)


class EndpointGenerator(AsyncGenerator[Any, Any]):
    """What the call of an asynchronous endpoint that yields returns.

    Parameters:
        begin: Sends the request, and gives the function's body, not yet begun.
    """

    def __init__(self, begin: Callable[[], Awaitable[RunningBody]]) -> None:
        self._begin = begin
        self._body: RunningBody | None = None
        self._is_running = False
        self._is_closed = False

    async def asend(self, value: Any) -> Any:
        """Go on to the next item, and make `value` what the `yield` before gives."""
        with self._running():
            if self._is_closed:
                raise StopAsyncIteration
            return await self._advance(lambda generator: generator.asend(value))

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """Raise an exception where the generator waits, and go on to the next item."""
        error = val if isinstance(val, BaseException) else typ
        with self._running():
            if self._body is None or self._is_closed:
                self._is_closed = True
                raise error
            return await self._advance(lambda generator: generator.athrow(error))

    async def aclose(self) -> None:
        """Close the function's body, and its stream. Closing it again does nothing."""
        with self._running():
            await self._close()

    @contextlib.contextmanager
    def _running(self) -> Generator[None]:
        if self._is_running:
            raise RuntimeError("another task is reading this generator; let one read it and hand the items on")
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False

    async def _advance(self, advance: Callable[[AsyncGenerator[Any, Any]], Awaitable[Any]]) -> Any:
        try:
            if self._body is None:
                self._body = await self._begin()
                weakref.finalize(self, self._body.close_soon)
                with begun_unseen([]):  # the loop would close it a second time, at its shutdown
                    step = advance(self._body.generator)
            else:
                step = advance(self._body.generator)
            return await step
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        self._is_closed = True
        if self._body is not None:
            await self._body.aclose()
