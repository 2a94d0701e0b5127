"""Watching a stream: open it, show its items, and end when the stream, the user or the time says so.

One coroutine reads and shows. What ends it from outside (`--for`, Ctrl-C, SIGTERM, a reader of our output that is gone)
cancels it where it waits, so that no item is shown in half and the connection is let go. Where it hangs in a write,
since nobody reads a pipe that is full, a signal breaks the write off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import httpx2

from ..exceptions import (
    APIException,
    EventTooLarge,
    HTTPStatusError,
    StreamInterrupted,
    TransportError,
    UnexpectedContentType,
)
from ..streaming.formats import FormatName
from ..streaming.sse import ServerSentEvent
from .cursor import Cursor
from .display import Display, discard_stdout, is_terminal, make_console, make_display
from .events import Unreadable, format_name
from .exit_codes import ExitCode
from .items import Item, ItemOptions, ItemReader, Misfit
from .messages import Messages, Secrets
from .rates import Rates

if TYPE_CHECKING:
    from rich.console import Console

    from ..endpoints.call import Call

_SIGNALS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
_REFRESH = 0.25  # seconds between two versions of the live line

_CODES: dict[type[APIException], ExitCode] = {
    UnexpectedContentType: ExitCode.INVALID,
    EventTooLarge: ExitCode.INVALID,
    StreamInterrupted: ExitCode.CUT,
    HTTPStatusError: ExitCode.REFUSED,
    TransportError: ExitCode.REFUSED,
    APIException: ExitCode.CUT,
}


class _BrokenOff(BaseException):
    """A signal came while a write was waited for."""


@dataclass
class Watch:
    """Watches one stream after another.

    Attributes:
        options: What is shown.
        reader: What makes items of events.
        messages: Where to tell what goes wrong.
        seconds: How long to watch; `None` for as long as it goes.
        cursor: Where the id of the last event is kept; `None` for nowhere.
        secrets: What is hidden in the output.
    """

    options: ItemOptions
    reader: ItemReader
    messages: Messages
    seconds: float | None = None
    cursor: Cursor | None = None
    secrets: Secrets | None = None

    _shown = 0
    _has_misfits = False
    _is_writing = False
    _stopped: ExitCode | None = None  # with this code, if it is to end
    _console: Console | None = None  # of the terminal that items are shown on

    def run(self, watch: Callable[[], Any]) -> ExitCode:
        """Run a coroutine that awaits `show` for each stream, and give its exit code, or that of what ended it."""
        if is_terminal(sys.stdout):
            self._console = make_console()
        try:
            with self.messages.with_log():
                code = asyncio.run(self._stoppable(watch))
        except _BrokenOff:
            assert self._stopped is not None
            code = self._stopped
            discard_stdout()
        except BrokenPipeError:
            code = ExitCode.ENDED
            discard_stdout()
        except OSError as error:
            self.messages.tell(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
            discard_stdout()
            return ExitCode.FAILED
        if self._has_misfits and code is ExitCode.ENDED:
            return ExitCode.INVALID
        return code

    @property
    def is_satisfied(self) -> bool:
        """Whether as many items have been shown as were asked for."""
        return self._shown == self.options.limit

    async def show(self, call: Call, *, is_left: bool = False) -> ExitCode:
        """Show a stream, from its request to its end.

        Parameters:
            is_left: Whether it is one that was recorded until the client left it, and so ends anywhere.
        """
        self.messages.hears_log = not is_left  # which would warn of the event that it ends in
        stream: Any = None
        rates = Rates(time.monotonic())
        sizes: dict[int, tuple[httpx2.Response, int]] = {}

        def line() -> str:
            if stream is not None:
                sizes[id(stream.response)] = stream.response, _size(stream.response)
            rates.size = sum(size for _, size in sizes.values())
            return rates.line(time.monotonic())

        try:
            async with self._live_line(line):
                try:
                    stream, _ = await call.aperform()
                    await self._show_items(stream, rates, line)
                except APIException as error:
                    if is_left and isinstance(error, StreamInterrupted):
                        return ExitCode.ENDED
                    self.messages.tell(str(error))
                    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
        finally:
            if self.options.rate:
                self.messages.tell(line())
            if stream is not None:
                await stream.aclose()
        return ExitCode.ENDED

    async def _show_items(self, stream: Any, rates: Rates, measure: Callable[[], str]) -> None:
        stream_format, response, display = self._found_format(stream.response)
        number = 0
        async for event in stream:
            gap = rates.item(time.monotonic())
            number += 1
            if stream.response is not response:
                stream_format, response, display = self._found_format(stream.response)
                measure()
            for item in self._items(event, stream_format, number, response):
                self._show(item, display, gap, number)
                if self.is_satisfied:
                    break
            if isinstance(event, ServerSentEvent) and self.cursor is not None:
                self.cursor.keep(event.id)
            if self.is_satisfied:
                return
            if number % 64 == 0:  # a stream whose bytes are always there would let nothing else run
                await asyncio.sleep(0)
        if self.cursor is not None:
            self.cursor.keep(stream.last_event_id)

    def _items(
        self,
        event: ServerSentEvent[bytes] | Unreadable,
        stream_format: FormatName,
        number: int,
        response: httpx2.Response,
    ) -> list[Item]:
        try:
            if isinstance(event, ServerSentEvent):
                if self.secrets is not None:
                    event = self._without_secrets(event)
                return self.reader.read(event, stream_format, number, response)
            problem = event.error.message
        except Misfit as misfit:
            problem = str(misfit)
        self._has_misfits = True
        self.messages.tell(problem)
        return []

    def _without_secrets(self, event: ServerSentEvent[bytes]) -> ServerSentEvent[bytes]:
        assert self.secrets is not None
        data, name, event_id = self.secrets.hide_in_bytes(event.data), event.event, event.id
        return ServerSentEvent(data, self.secrets.hide(name), self.secrets.hide(event_id), event.retry)

    def _show(self, item: Item, display: Display, gap: float, number: int) -> None:
        self._is_writing = True
        try:
            if self._stopped is not None:  # by a signal that came since
                raise asyncio.CancelledError
            display.show(item, gap, number)
        finally:
            self._is_writing = False
        self._shown += 1

    def _found_format(self, response: httpx2.Response) -> tuple[FormatName, httpx2.Response, Display]:
        found = format_name(response, cast("FormatName | None", self.options.stream_format))
        return found, response, make_display(self._console, raw=self.options.raw, is_binary=found == "bytes")

    @contextlib.asynccontextmanager
    async def _live_line(self, line: Callable[[], str]) -> AsyncIterator[None]:
        """Show a line at the bottom of the terminal, if it is asked for and there is one, meanwhile."""
        if not self.options.rate or not (self._console is not None or is_terminal(sys.stderr)):
            yield
            return
        from rich.live import Live
        from rich.text import Text

        console = self._console or make_console(stderr=True)

        def text() -> Text:
            return Text(line(), "dim", no_wrap=True, overflow="ellipsis")

        live = Live(console=console, auto_refresh=False, transient=True, get_renderable=text)

        async def refresh() -> None:
            while True:
                live.refresh()
                await asyncio.sleep(_REFRESH)

        with live:
            self.messages.above = lambda message: console.print(Text(message), soft_wrap=True)
            task = asyncio.create_task(refresh())
            try:
                yield
            finally:
                self.messages.above = None
                task.cancel()

    async def _stoppable(self, watch: Callable[[], Any]) -> ExitCode:
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[Any]", asyncio.current_task())

        def stop(code: ExitCode) -> None:
            if self._stopped is None:
                self._stopped = code
            task.cancel()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self._stopped is None:
                self._stopped = _SIGNALS[signal.Signals(number)]
            if self._is_writing:
                raise _BrokenOff
            loop.call_soon_threadsafe(task.cancel)

        timer = None if self.seconds is None else loop.call_later(self.seconds, stop, ExitCode.ENDED)
        try:
            with _handling_signals(on_signal), _noticing_closed_pipe(loop, lambda: stop(ExitCode.ENDED)):
                return cast("ExitCode", await watch())
        except asyncio.CancelledError:
            if self._stopped is None:
                raise
            return self._stopped
        finally:
            if timer is not None:
                timer.cancel()


def _size(response: httpx2.Response) -> int:
    """How many bytes of a body have been read, as they were sent."""
    direct = getattr(response, "direct_body", None)  # a recording stands around the body
    return max(response.num_bytes_downloaded, getattr(direct, "size", 0))


@contextlib.contextmanager
def _handling_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have a function called at Ctrl-C and SIGTERM, meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, handler) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, former in before.items():
            signal.signal(each, former)


@contextlib.contextmanager
def _noticing_closed_pipe(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    """Have a function called when nobody reads our output any more, though there is nothing to write, meanwhile."""
    descriptor = None
    with contextlib.suppress(ImportError, OSError, ValueError, NotImplementedError):
        import fcntl  # which Windows has not

        found = sys.stdout.fileno()
        is_write_only = fcntl.fcntl(found, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        if stat.S_ISFIFO(os.fstat(found).st_mode) and is_write_only:
            loop.add_reader(found, stop)  # the end that is written to becomes readable when the other one is closed
            descriptor = found
    try:
        yield
    finally:
        if descriptor is not None:
            loop.remove_reader(descriptor)
