"""Opening a connection in a thread of its own, so that whoever waits for it can be told not to.

Nothing ends the waiting for a name server, a connection or a response's head from outside. What is opened too late,
when nobody waits any more, is closed there.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Opening(Generic[T]):
    """Something that is being opened. Leaving the context closes it if nobody took it, as soon as it is open.

    Parameters:
        open_it: Opens it. Runs in another thread, with the context variables of this one.
        close_it: Closes it.
        notify: Called when it has been opened, or could not be.
    """

    def __init__(self, open_it: Callable[[], T], *, close_it: Callable[[T], None], notify: Callable[[], None]) -> None:
        self._future: Future[T] = Future()
        self._close_it = close_it
        self._is_taken = False
        self._future.add_done_callback(lambda _: notify())
        target = contextvars.copy_context().run
        threading.Thread(target=target, args=(_fulfil, self._future, open_it), name="clientele", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether it has been opened, or could not be."""
        return self._future.done()

    def take(self) -> T:
        """What was opened, which is the caller's to close from here on.

        Raises:
            BaseException: What opening it raised.
        """
        self._is_taken = True
        return self._future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._is_taken:
            self._future.add_done_callback(self._close)

    def _close(self, future: Future[T]) -> None:
        with contextlib.suppress(BaseException):  # it was not opened: nobody waits to be told why
            self._close_it(future.result())


def _fulfil(future: Future[T], open_it: Callable[[], T]) -> None:
    try:
        future.set_result(open_it())
    except BaseException as error:
        future.set_exception(error)
