"""TCP keep-alive for every connection.

A stream may wait for ever, so a peer that vanished without a word must be noticed by other means than a timeout.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

Trace: TypeAlias = Callable[[str, Mapping[str, Any]], object]
"""What httpx2 tells about a request on its way, as its `trace` extension: an event, and what belongs to it."""

SocketOption: TypeAlias = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

KEEPALIVE_OPTIONS: list[SocketOption] = [
    (level, getattr(socket, name), value)
    for level, name, value in [
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 60),  # the name of TCP_KEEPIDLE on macOS
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    ]
    if hasattr(socket, name)
]
"""After a minute without a byte the peer is probed every 15 seconds; four probes unanswered end the connection."""


def set_keepalive(connection: socket.socket) -> None:
    """Turn on TCP keep-alive. Where the system refuses an option, the connection serves without it."""
    with contextlib.suppress(OSError):
        set_socket_options(connection, KEEPALIVE_OPTIONS)


def set_socket_options(connection: socket.socket, options: Iterable[SocketOption]) -> None:
    """Set the options of a socket.

    Raises:
        OSError: The system refuses one.
    """
    for option in options:
        connection.setsockopt(*option)


def enable_keepalive(event: str, info: Mapping[str, Any]) -> None:
    """Turn on TCP keep-alive for every connection that a request opens: its `trace` extension in httpx2."""
    if not event.endswith("connect_tcp.complete"):
        return
    connection = info["return_value"].get_extra_info("socket")
    # The event loops' sockets differ in what they allow; options set through a duplicate reach them all the same.
    with (
        contextlib.suppress(OSError),
        socket.fromfd(connection.fileno(), connection.family, connection.type) as duplicate,
    ):
        set_keepalive(duplicate)


async def enable_keepalive_async(event: str, info: Mapping[str, Any]) -> None:
    """The twin of `enable_keepalive` for asynchronous requests."""
    enable_keepalive(event, info)
