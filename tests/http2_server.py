"""A scripted HTTP/2 server: it answers each request as its handler says, with frames of h2's or any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from tests.servers import WAIT

CODES = h2.settings.SettingCodes


@dataclass
class Peer:
    """The server's end of one connection."""

    server: HTTP2Server
    writer: asyncio.StreamWriter
    h2: h2.connection.H2Connection
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    bodies: dict[int, bytes] = field(default_factory=dict)

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def send_raw(self, frames: bytes) -> None:
        """Send bytes that h2 knows nothing of."""
        self.flush()
        self.writer.write(frames)

    def respond(self, stream_id: int, body: bytes = b"", *, status: int = 200, **headers: str) -> None:
        """Send a complete response."""
        self.start(stream_id, status=status, end=not body, **headers)
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        self.flush()

    def start(self, stream_id: int, *, status: int = 200, end: bool = False, **headers: str) -> None:
        """Send the head of a response."""
        fields = [(":status", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self.h2.send_headers(stream_id, fields, end_stream=end)
        self.flush()

    async def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Send data, as far as the client's windows allow it at a time."""
        rest = memoryview(data)
        while rest:
            window = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size)
            if window <= 0:
                await self.wait()
                continue
            self.h2.send_data(stream_id, bytes(rest[:window]))
            rest = rest[window:]
            self.flush()
            await self.writer.drain()
        if end:
            self.h2.end_stream(stream_id)
            self.flush()

    async def wait(self) -> None:
        """Wait for the next bytes of the client's."""
        self.changed.clear()
        await self.changed.wait()

    def go_away(self, last_stream_id: int, code: int = 0) -> None:
        """Send a GOAWAY frame, and go on."""
        payload = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big")
        self.send_raw(frame(0x7, payload))

    def close(self) -> None:
        self.writer.close()


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream_id: int = 0) -> bytes:
    """The bytes of a frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


Handler = Callable[[Peer, int, dict[str, str]], Awaitable[None]]


@dataclass
class HTTP2Server:
    """What came to the server.

    Attributes:
        requests: The headers of each request, in their order.
        bodies: The body of each, by connection and stream.
        resets: The streams that the client has reset, each with the connection, its id and the code.
        goaways: How many connections the client has said goodbye to.
        connections: How many connections have been opened so far.
        open_connections: How many are open now.
    """

    handler: Handler
    settings: dict[Any, int]
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    pings: int = 0
    goaways: int = 0
    connections: int = 0
    open_connections: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something about what came holds."""
        with self.changed:
            assert self.changed.wait_for(condition, WAIT), f"not within {WAIT} s: {self}"

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        with self.changed:
            yield
            self.changed.notify_all()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self.noting():
            self.connections += 1
            self.open_connections += 1
        self.writers.add(writer)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.local_settings = h2.settings.Settings(client=False, initial_values=self.settings)
        connection.initiate_connection()
        peer = Peer(self, writer, connection)
        peer.flush()
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    self.handle(peer, event)
                with contextlib.suppress(ConnectionError):
                    peer.flush()
                peer.changed.set()
        except (ConnectionError, h2.exceptions.ProtocolError, ssl.SSLError):
            pass
        finally:
            writer.close()
            self.writers.discard(writer)
            with self.noting():
                self.open_connections -= 1

    def handle(self, peer: Peer, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                headers = {str(name): str(value) for name, value in event.headers}
                with self.noting():
                    self.requests.append(headers)
                peer.bodies[event.stream_id] = b""
                task = asyncio.create_task(self.answer(peer, event.stream_id, headers))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            case h2.events.DataReceived():
                peer.bodies[event.stream_id] += event.data
                if "x-no-window" not in self.requests[-1]:
                    peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                with self.noting():
                    self.bodies.append(peer.bodies[event.stream_id])
            case h2.events.StreamReset():
                with self.noting():
                    self.resets.append((event.stream_id, event.error_code))
            case h2.events.PingReceived():
                with self.noting():
                    self.pings += 1
            case h2.events.ConnectionTerminated():
                with self.noting():
                    self.goaways += 1

    async def answer(self, peer: Peer, stream_id: int, headers: dict[str, str]) -> None:
        with contextlib.suppress(ConnectionError, h2.exceptions.ProtocolError):  # the client is gone, or has left it
            await self.handler(peer, stream_id, headers)


@contextlib.contextmanager
def http2_server(
    handler: Handler, *, settings: dict[Any, int] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[HTTP2Server]:
    """Run a server that answers with a handler; with prior knowledge, or over TLS."""
    server = HTTP2Server(handler, settings or {})
    started = threading.Event()
    stop: Callable[[], object] = bool

    async def main() -> None:
        nonlocal stop
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        stop = lambda: loop.call_soon_threadsafe(stopped.set)  # noqa: E731
        listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls, backlog=1024)
        scheme = "http" if tls is None else "https"
        server.url = f"{scheme}://localhost:{listener.sockets[0].getsockname()[1]}"
        if tls is None:
            server.url = server.url.replace("localhost", "127.0.0.1")
        started.set()
        await stopped.wait()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in [*server.writers]:
                writer.transport.abort()
            for task in [*server.tasks]:
                task.cancel()
            await asyncio.wait(others)
        listener.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(WAIT)
    try:
        yield server
    finally:
        stop()
        thread.join(WAIT)
