"""The other end of the wire: `python -m benchmarks.server` prints its port and serves until its input ends.

It must never be what is measured. What it sends is prepared, whole blocks are written at once, and uvloop does the
waiting. Where moments matter (a token every so often, the time of a write), a thread sleeps until the moment and writes
to the socket itself, since the timers of event loops tick in milliseconds and their writes wait for the end of a turn.

| path | answer |
|---|---|
| `/firehose?n=` | that many events, as fast as they are read |
| `/paced?n=&interval_ms=&size=` | waits for that many streams; then each gets an event per interval, in turn |
| `/stamped?n=` | an event per millisecond, whose text says when it was written |
| `/large?kib=` | one event of that size, in pieces of 1 KiB |
| `/idle` | one event, and then nothing |
| `/json` | a complete answer |
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import uvloop

from .payload import (
    RECORD,
    SERIALS,
    STAMPED_DIGITS,
    content,
    event,
    event_block,
    http_chunk,
    large_body,
)
from .system import allow_many_files

SLICE = 256 * 1024
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
JSON_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(RECORD)
) + RECORD


class Connection(asyncio.Protocol):
    """One connection: reads requests, and lets the path say what is answered."""

    gathering: list[Connection]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._received = b""
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._answer: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Answer the requests that have arrived whole; none has a body."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            parts = urlsplit(head.split(b" ", 2)[1].decode())
            numbers = {name: float(value) for name, value in parse_qsl(parts.query)}
            answer = ANSWERS[parts.path](self, numbers)
            if answer is not None:
                self._answer = asyncio.ensure_future(answer)

    def pause_writing(self) -> None:
        """The reader is slower."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._may_write.set()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.is_open = False
        self._may_write.set()
        if self in self.gathering:
            self.gathering.remove(self)

    def write_now(self, data: bytes) -> None:
        """Write from any thread, at this moment. It is little enough to fit in the socket's buffer."""
        if self.is_open:
            try:
                os.write(self.transport.get_extra_info("socket").fileno(), data)
            except OSError:  # the reader has gone
                self.is_open = False

    async def write_all(self, data: bytes) -> None:
        """Write as fast as is read."""
        view = memoryview(data)
        for start in range(0, len(view), SLICE):
            await self._may_write.wait()
            if not self.is_open:
                return
            self.transport.write(view[start : start + SLICE])


Connection.gathering = []


async def firehose(connection: Connection, numbers: dict[str, float]) -> None:
    """Send events as fast as they are read."""
    block, size = event_block()
    count = int(numbers["n"])
    connection.transport.write(HEAD)
    for _ in range(count // SERIALS):
        await connection.write_all(block)
    await connection.write_all(block[: count % SERIALS * size])
    await connection.write_all(END)


async def paced(connection: Connection, numbers: dict[str, float]) -> None:
    """Send every stream of a group an event per interval, all of them evenly in turn."""
    connection.transport.write(HEAD)
    connection.gathering.append(connection)
    if len(connection.gathering) == int(numbers["size"]):
        group = list(connection.gathering)
        connection.gathering.clear()
        await asyncio.to_thread(_send_in_turn, group, int(numbers["n"]), numbers["interval_ms"] / 1000)


def _send_in_turn(group: list[Connection], count: int, interval: float) -> None:
    start = time.monotonic() + 0.1
    for number in range(count):
        data = http_chunk(event(content(number)))
        for place, connection in enumerate(group):
            _sleep_until(start + (number + place / len(group)) * interval)
            connection.write_now(data)
    _sleep_until(start + (count + 1) * interval)  # so that no stream ends before each has had its last event
    for connection in group:
        connection.write_now(END)


async def stamped(connection: Connection, numbers: dict[str, float]) -> None:
    """Send an event per millisecond with the time of its writing."""
    await asyncio.to_thread(_send_stamped, connection, int(numbers["n"]))


def _send_stamped(connection: Connection, count: int) -> None:
    connection.write_now(HEAD)
    start = time.monotonic() + 0.05
    for number in range(count):
        _sleep_until(start + number / 1000)
        connection.write_now(http_chunk(event(f"{number:0{STAMPED_DIGITS}d} {time.monotonic_ns()}")))
    connection.write_now(END)


async def large(connection: Connection, numbers: dict[str, float]) -> None:
    """Send one event in many pieces."""
    body = large_body(int(numbers["kib"]))
    connection.transport.write(HEAD)
    await connection.write_all(body)
    await connection.write_all(END)


def idle(connection: Connection, numbers: dict[str, float]) -> None:
    """Send one event and leave the stream open."""
    connection.transport.write(HEAD + http_chunk(event(content(0))))


def complete(connection: Connection, numbers: dict[str, float]) -> None:
    """Send a complete answer."""
    connection.transport.write(JSON_ANSWER)


def _sleep_until(moment: float) -> None:
    remaining = moment - time.monotonic()
    if remaining > 0:
        time.sleep(remaining)


ANSWERS: dict[str, Callable[[Connection, dict[str, float]], Awaitable[None] | None]] = {
    "/firehose": firehose,
    "/paced": paced,
    "/stamped": stamped,
    "/large": large,
    "/idle": idle,
    "/json": complete,
}


async def serve() -> None:
    """Serve until the standard input ends."""
    allow_many_files()
    event_block()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
