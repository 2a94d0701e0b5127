"""Servers for the tests: one that sends any bytes, cut anywhere, and one that runs an ASGI application.

Both listen on a free port of the loopback interface and run in a thread of their own. Nothing here sleeps: whoever
waits, waits for the event itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import uvicorn

EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The head of a chunked event stream."""

END = b"0\r\n\r\n"
"""The end of a chunked body."""

WAIT = 10
"""How long a test waits at the most for what must happen, in seconds."""


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer(body: bytes, *, status: str = "200 OK", content_type: str = "application/json", headers: str = "") -> bytes:
    """A complete response."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body


def events(*data: str) -> bytes:
    """A complete event stream of these events."""
    return EVENT_STREAM + b"".join(chunk(f"data: {each}\n\n".encode()) for each in data) + END


@dataclass
class Received:
    """A request as it came in."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


@dataclass
class Connection:
    """A connection with the request that just came in on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Received

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_client_closes(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1024):
                pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Handler = Callable[[Connection], Awaitable[None]]


@dataclass
class RawServer:
    """Answers each request with what its handler sends.

    Attributes:
        requests: All requests so far.
        connections: How many connections have been opened so far.
        open_connections: How many are open now.
    """

    handler: Handler
    url: str = ""
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something about the connections or requests holds."""
        with self.changed:
            assert self.changed.wait_for(condition, WAIT), f"not within {WAIT} s; open: {self.open_connections}"

    def wait_until_closed(self) -> None:
        """Wait until no connection is open."""
        self.wait_until(lambda: self.open_connections == 0)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self.changed:
            self.connections += 1
            self.open_connections += 1
            self.changed.notify_all()
        self.writers.add(writer)
        task = asyncio.create_task(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # those that accept, and those that serve
            for writer in self.writers:
                writer.transport.abort()
            await asyncio.wait(others)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                with self.changed:
                    self.requests.append(request)
                    self.changed.notify_all()
                await self.handler(Connection(reader, writer, request))
        except ConnectionError:  # the client is gone, or the test is over
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.writers.discard(writer)
            with self.changed:
                self.open_connections -= 1
                self.changed.notify_all()


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    received = Received(method, target, headers, b"")
    if length := received.header("Content-Length"):
        received.body = await reader.readexactly(int(length))
    elif received.header("Transfer-Encoding"):
        while size := int(await reader.readline(), 16):
            received.body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return received


def in_turn(*answers: Handler | bytes | None) -> Handler:
    """Answer one request after another; `None` closes the connection instead. The last answer is repeated."""
    left = list(answers)

    async def handle(connection: Connection) -> None:
        each = left.pop(0) if len(left) > 1 else left[0]
        if each is None:
            connection.close()
        elif isinstance(each, bytes):
            await connection.send(each)
        else:
            await each(connection)

    return handle


@contextlib.contextmanager
def raw_server(handler: Handler | bytes) -> Iterator[RawServer]:
    """Run a server that answers with a handler, or always with the same bytes."""

    async def send_bytes(connection: Connection) -> None:
        await connection.send(handler)

    server = RawServer(send_bytes if isinstance(handler, bytes) else handler)
    stop: Callable[[], object] = lambda: None  # noqa: E731
    started = threading.Event()

    async def main() -> None:
        nonlocal stop
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        stop = lambda: loop.call_soon_threadsafe(stopped.set)  # noqa: E731
        listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, backlog=1024)
        server.url = "http://127.0.0.1:{1}".format(*listener.sockets[0].getsockname())
        started.set()
        await stopped.wait()
        await server.stop()
        listener.close()  # not before the last connection is whole: asyncio leaves behind what it was accepting

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(WAIT)
    try:
        yield server
    finally:
        stop()
        thread.join(WAIT)


@contextlib.contextmanager
def asgi_server(app: object, *, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Run an ASGI application on uvicorn, with its lifespan or without, and give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # its backlog takes connections until uvicorn is up
        config = uvicorn.Config(app, log_level="warning", lifespan=lifespan, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield "http://127.0.0.1:{1}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join(WAIT)
