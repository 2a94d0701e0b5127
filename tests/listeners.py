"""Raw servers that listen otherwise than on plain TCP: over TLS, or on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import trustme
from tests.servers import WAIT, Connection, Handler, RawServer


@functools.cache
def authority() -> trustme.CA:
    """Whoever trusts it trusts the servers here."""
    return trustme.CA()


@functools.cache
def trusting() -> ssl.SSLContext:
    """A client's context that trusts the servers here."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def certified(*names: str, clients: trustme.CA | None = None) -> ssl.SSLContext:
    """A server's context for these names; it asks clients for a certificate of that authority, if one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority().issue_cert(*names).configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Listener(RawServer):
    """A raw server whose clients may also break off TLS."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ssl.SSLError):
            await super().serve(reader, writer)


@contextlib.contextmanager
def listen(
    handler: Handler | bytes, start: Callable[[Callable[..., None]], Awaitable[asyncio.Server]]
) -> Iterator[tuple[RawServer, int | str]]:
    """Run a server that listens as `start` makes it, and give it and its port or path."""

    async def send_bytes(connection: Connection) -> None:
        await connection.send(handler)

    server = Listener(send_bytes if isinstance(handler, bytes) else handler)
    started = threading.Event()
    stop: Callable[[], object] = lambda: None  # noqa: E731
    place: int | str = ""

    async def main() -> None:
        nonlocal stop, place
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        stop = lambda: loop.call_soon_threadsafe(stopped.set)  # noqa: E731
        listener = await start(server.accept)
        name = listener.sockets[0].getsockname()
        place = name if isinstance(name, str) else name[1]
        started.set()
        await stopped.wait()
        await server.stop()
        listener.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(WAIT)
    try:
        yield server, place
    finally:
        stop()
        thread.join(WAIT)


@contextlib.contextmanager
def tls_server(handler: Handler | bytes, context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Run a server that speaks TLS, as `localhost` and as `127.0.0.1` unless its context says otherwise."""
    context = context or certified("localhost", "127.0.0.1")
    with listen(handler, lambda accept: asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)) as (server, port):
        server.url = f"https://127.0.0.1:{port}"
        yield server


@contextlib.contextmanager
def unix_server(handler: Handler | bytes, path: Path) -> Iterator[RawServer]:
    """Run a server at this path."""
    with listen(handler, lambda accept: asyncio.start_unix_server(accept, path)) as (server, _):
        server.url = "http://localhost"
        yield server
