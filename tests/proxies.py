"""A forward proxy for the tests, which is a raw server with this for its handler."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tests.servers import Connection, Handler, RawServer, answer


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
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
