"""Proxies for the tests: a forward proxy, which is a raw server with this for its handler, and one of SOCKS."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.servers import WAIT, Connection, Handler, RawServer, answer


def proxy(
    target: Callable[[], RawServer] | None = None, *, refuses: str | None = None, accepts: str = "200 OK"
) -> Handler:
    """Answer what is asked for in plain HTTP as if it had been forwarded, and tunnel to `target` whatever is the name.

    Parameters:
        target: Gives the server behind the proxy.
        refuses: The status that every request is refused with.
        accepts: The status that a tunnel is granted with.
    """

    async def handle(connection: Connection) -> None:
        if refuses is not None:
            await connection.send(answer(b"refused", status=refuses))
        elif connection.request.method == "CONNECT":
            assert target is not None
            await connection.send(f"HTTP/1.1 {accepts}\r\n\r\n".encode())
            await _tunnel(connection, target())
        else:
            await connection.send(answer(b"forwarded"))

    return handle


async def _tunnel(connection: Connection, server: RawServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(connection.reader, writer))
            group.create_task(_pump(reader, connection.writer))
    finally:
        writer.close()
        connection.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


@dataclass
class SOCKSProxy:
    """A SOCKS 5 proxy, which connects to one server whatever it is asked for.

    Attributes:
        url: Where it is, with the user name and password that it asks for, if there are any.
        asked_for: The hosts and ports that it was asked for.
    """

    port: int
    auth: tuple[str, str] | None
    answers: dict[str, bytes]
    url: str = ""
    asked_for: list[tuple[str, int]] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(self.answers.get("method", b"\x05\x02" if self.auth else b"\x05\x00"))
        if self.auth:
            given = []
            await reader.readexactly(1)
            for _ in range(2):
                (size,) = await reader.readexactly(1)
                given.append((await reader.readexactly(size)).decode())
            writer.write(b"\x01\x00" if tuple(given) == self.auth else b"\x01\x01")
        *_, kind = await reader.readexactly(4)
        if kind == 3:
            (size,) = await reader.readexactly(1)
            host = (await reader.readexactly(size)).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        self.asked_for.append((host, int.from_bytes(await reader.readexactly(2), "big")))
        for byte in self.answers.get("reply", b"\x05\x00\x00\x03\x04here\x00\x01"):  # in pieces
            writer.write(bytes([byte]))
            await writer.drain()
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.add(back)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))
        finally:
            back.close()


@contextlib.contextmanager
def socks_proxy(
    server: Any, *, auth: tuple[str, str] | None = None, url_auth: str | None = None, **answers: bytes
) -> Iterator[SOCKSProxy]:
    """Run a SOCKS proxy before a server, one that asks for a user name and password, or answers otherwise."""
    proxy = SOCKSProxy(int(server.url.rpartition(":")[2]), auth, answers)
    started, stop = threading.Event(), threading.Event()

    async def main() -> None:
        listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        user = url_auth if url_auth is not None else ":".join(auth) if auth else ""
        proxy.url = f"socks5://{user}{'@' * bool(user)}127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        started.set()
        await asyncio.to_thread(stop.wait)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in proxy.writers:
                writer.transport.abort()
            await asyncio.wait(others)
        listener.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(WAIT)
    try:
        yield proxy
    finally:
        stop.set()
        thread.join(WAIT)
