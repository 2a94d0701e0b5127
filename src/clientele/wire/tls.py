"""TLS contexts that offer a protocol of their own, whoever else uses the context beneath them.

Which protocols are offered (ALPN, RFC 7301) is a property of Python's context, not of a connection. httpx2 sets it at
each connection, on the user's own context, too: a client that speaks HTTP/2 would have every other one agree on HTTP/2.
Here it is set at the very moment that a connection takes its copy of it.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

_offering = threading.Lock()
if hasattr(os, "register_at_fork"):  # another thread would hold it in the child for ever
    os.register_at_fork(before=_offering.acquire, after_in_parent=_offering.release, after_in_child=_offering.release)


class OfferingContext(ssl.SSLContext):
    """A context that does as another one does, but offers these protocols, the preferred first.

    The other one is asked for when the first connection begins TLS: to load the certificates takes a tenth of a second.
    """

    def __new__(cls, get_context: Callable[[], ssl.SSLContext], protocols: list[str]) -> OfferingContext:
        """A context of its own is what asyncio insists on."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, get_context: Callable[[], ssl.SSLContext], protocols: list[str]) -> None:
        self._get_context = get_context
        self.protocols = protocols

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Ignore what anybody else would have offered."""

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
