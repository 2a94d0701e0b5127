"""Opening a connection in a thread of its own, so that whoever waits for it can be told not to.

Nothing ends the waiting for a name server or a connection from outside. What is opened too late, when nobody waits any
more, is closed there; a connection that was opened for it is ended, so that nothing waits for its response's head. (Of
one that had been in the pool before nothing is known here; it is left to the server, and to `idle_timeout`.)
"""

from __future__ import annotations

import contextlib
import contextvars
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ..transports.keepalive import Trace, enable_keepalive

T = TypeVar("T")

_CONNECTED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


class Opening(Generic[T]):
    """Something that is being opened. Leaving the context closes it if nobody took it, as soon as it is open.

    Parameters:
        open_it: Opens it, with a `trace` for its request. Runs in another thread, with the context variables of this.
        close_it: Closes it.
        notify: Called when it has been opened, or could not be.
    """

    def __init__(
        self, open_it: Callable[[Trace], T], *, close_it: Callable[[T], None], notify: Callable[[], None]
    ) -> None:
        self._future: Future[T] = Future()
        self._close_it = close_it
        self._is_taken = False
        self._is_left = False
        self._connection: Any = None  # the one that was opened last
        self._lock = threading.Lock()
        self._future.add_done_callback(lambda _: notify())
        target = contextvars.copy_context().run
        arguments = (_fulfil, self._future, lambda: open_it(self._trace))
        threading.Thread(target=target, args=arguments, name="clientele", daemon=True).start()

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
        if self._is_taken:
            return
        with self._lock:
            self._is_left = True
            if self._connection is not None and not self.is_done:
                _end(self._connection)
        self._future.add_done_callback(self._close)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        enable_keepalive(event, info)
        if event.endswith(_CONNECTED):
            with self._lock:
                self._connection = info["return_value"]
                if self._is_left:
                    _end(self._connection)

    def _close(self, future: Future[T]) -> None:
        with contextlib.suppress(BaseException):  # it was not opened: nobody waits to be told why
            self._close_it(future.result())


def _end(connection: Any) -> None:
    """End a connection of httpx2's, unless others may share it."""
    ssl_object = connection.get_extra_info("ssl_object")
    if ssl_object is not None and ssl_object.selected_alpn_protocol() == "h2":
        return
    with contextlib.suppress(OSError):  # it is gone already, or changes over to TLS, which has a timeout
        connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _fulfil(future: Future[T], open_it: Callable[[], T]) -> None:
    try:
        future.set_result(open_it())
    except BaseException as error:
        future.set_exception(error)
