"""Servers for what a test wants to do with the socket of one connection itself, in a thread."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from tests.servers import WAIT


@contextlib.contextmanager
def socket_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection, without reading the request first."""

    def accept() -> None:
        connection, _ = listener.accept()
        connection.settimeout(WAIT)
        with connection:
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield "http://127.0.0.1:{1}/".format(*listener.getsockname())
        thread.join(WAIT)


@contextlib.contextmanager
def listening(backlog: int = 5, *, is_full: bool = False) -> Iterator[tuple[str, socket.socket]]:
    """Listen, and give the URL and the listener.

    Parameters:
        backlog: How many connections may wait to be accepted.
        is_full: Whether there are so many that any other one gets no answer.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0 if is_full else backlog))
        listener.settimeout(WAIT)
        for _ in range(4 if is_full else 0):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield "http://127.0.0.1:{1}/".format(*listener.getsockname()), listener


def reset(connection: socket.socket) -> None:
    """Have the connection reset when it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_until_closed(connection: socket.socket) -> None:
    """Take all that the client sends."""
    connection.settimeout(WAIT)
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 20):
            pass
