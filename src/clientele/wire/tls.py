"""TLS contexts that offer their own protocols, whoever else uses the context beneath them.

Python stores the offered protocols (ALPN, RFC 7301) in the context, not in the connection. httpx2 sets them at each
connection, in the user's own context. So one client that speaks HTTP/2 would make every other client negotiate it, too.
Here they are set at the moment when a connection copies the context.

Through an https proxy, TLS runs within TLS. asyncio and trio support that; for blocking sockets `TLSWithinTLS` does it.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

_READ_SIZE = 64 * 1024  # bytes
_offering = threading.Lock()
if hasattr(os, "register_at_fork"):  # another thread would hold it in the child for ever
    os.register_at_fork(before=_offering.acquire, after_in_parent=_offering.release, after_in_child=_offering.release)


class OfferingContext(ssl.SSLContext):
    """A context that behaves like another one, but offers these protocols, the preferred first.

    The other one is asked for when the first connection begins TLS: to load the certificates takes a tenth of a second.
    """

    def __new__(cls, get_context: Callable[[], ssl.SSLContext], protocols: list[str]) -> OfferingContext:
        """A context of its own is what asyncio insists on."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, get_context: Callable[[], ssl.SSLContext], protocols: list[str]) -> None:
        self._get_context = get_context
        self.protocols = protocols

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Ignore protocols that anybody else offers."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begin TLS in memory."""
        context = self._get_context()
        with _offering:
            context.set_alpn_protocols(self.protocols)
            return context.wrap_bio(*args, **kwargs)

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Begin TLS over a socket, and shake hands."""
        kwargs["do_handshake_on_connect"] = False
        context = self._get_context()
        with _offering:
            context.set_alpn_protocols(self.protocols)
            connection = context.wrap_socket(sock, *args, **kwargs)
        try:
            connection.do_handshake()
        except BaseException:
            connection.close()
            raise
        return connection


class TLSWithinTLS:
    """A TLS session over another one, with those methods of a socket that a blocking stream uses.

    Bytes that the outer session does not take at once are kept, and sent before any others.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = b""
        self._lock = threading.Lock()  # OpenSSL's sessions are not made for two threads at once
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._do(self.session.do_handshake)

    def recv(self, size: int) -> bytes:
        """The next bytes; `b""` at the end."""
        try:
            return self._do(self.session.read, size)  # type: ignore[no-any-return]
        except ssl.SSLZeroReturnError:
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """Send bytes. Returns how many were taken."""
        self._flush()
        if self._unsent:
            raise ssl.SSLWantWriteError
        return self._do(self.session.write, data)  # type: ignore[no-any-return]

    def pending(self) -> int:
        """How many bytes have arrived that the socket does not report."""
        return self.session.pending() + self._incoming.pending + self._outer.pending()

    def shutdown(self, how: int) -> None:
        """End the connection beneath."""
        socket.socket.shutdown(self._outer, how)  # SSLSocket's own drops TLS before

    def __getattr__(self, name: str) -> Any:  # `settimeout`, `fileno`, `close`, and the addresses
        return getattr(self._outer, name)

    def _do(self, step: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                with self._lock:
                    outcome = step(*args)
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._outer.recv(_READ_SIZE):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except BaseException:
                self._flush()
                raise
            else:
                self._flush()
                return outcome

    def _flush(self) -> None:
        with self._lock:
            self._unsent += self._outgoing.read()
            try:
                while self._unsent:
                    self._unsent = self._unsent[self._outer.send(self._unsent) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):  # the rest is sent the next time
                pass
