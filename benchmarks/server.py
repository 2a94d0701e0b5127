"""The server: `python -m benchmarks.server` prints its port and serves until its input ends.

It must never be the bottleneck. What it sends is prepared beforehand and written in large blocks, and uvloop does the
waiting. Only the paced events come from a thread, which sleeps until the right moment and writes to the sockets itself:
the timers of event loops are too coarse for that.

| path | answer |
|---|---|
| `/firehose?n=` | that many events, as fast as the client reads |
| `/large?kib=` | one event of that size, in pieces of 1 KiB |
| `/idle` | one event, and nothing more until `/go` |
| `/go?n=&interval_ms=` | all idle streams get their remaining events, one per interval, in turn; then they end |
| `/json` | a complete response |

`&gzip=1` compresses `/firehose` and `/large`. Every event or piece is flushed, so the client can read it at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import uvloop

from .payload import (
    GZIP_START,
    RECORD,
    SERIALS,
    all_events,
    content,
    event,
    event_block,
    gzip_end,
    http_chunk,
    large_body,
)
from .system import allow_many_files

SLICE = 256 * 1024
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
GZIP_HEAD = HEAD.replace(b"Transfer-Encoding", b"Content-Encoding: gzip\r\nTransfer-Encoding")
END = b"0\r\n\r\n"
JSON_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(RECORD)
) + RECORD
EMPTY_RESPONSE = b"HTTP/1.1 204 No Content\r\n\r\n"
Numbers = dict[str, float]


class Connection(asyncio.Protocol):
    """One connection: reads requests and answers each by its path."""

    idle: dict[Connection, None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._received = b""
        self._resumed: asyncio.Future[None] | None = None
        self._answer: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Answer every complete request. None has a body."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            parts = urlsplit(head.split(b" ", 2)[1].decode())
            numbers = {name: float(value) for name, value in parse_qsl(parts.query)}
            answer = ANSWERS[parts.path](self, numbers)
            if answer is not None:
                self._answer = asyncio.ensure_future(answer)

    def pause_writing(self) -> None:
        """The client reads more slowly than this writes."""
        self._resumed = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.is_open = False
        self.resume_writing()
        self.idle.pop(self, None)

    def write_now(self, data: bytes) -> None:
        """Write from any thread, at once. The data fits in the socket's buffer."""
        if self.is_open:
            try:
                os.write(self.transport.get_extra_info("socket").fileno(), data)
            except OSError:  # the client closed the connection
                self.is_open = False

    async def write_all(self, data: bytes) -> None:
        """Write as fast as the client reads."""
        view = memoryview(data)
        for start in range(0, len(view), SLICE):
            if self._resumed is not None:
                await self._resumed
            if not self.is_open:
                return
            self.transport.write(view[start : start + SLICE])


Connection.idle = {}


async def firehose(connection: Connection, numbers: Numbers) -> None:
    """Send events as fast as the client reads."""
    is_gzip, left = "gzip" in numbers, int(numbers["n"])
    block, ends = event_block(is_gzip=is_gzip)
    checksum = size = 0
    connection.transport.write(GZIP_HEAD + http_chunk(GZIP_START) if is_gzip else HEAD)
    while left and connection.is_open:
        count = min(left, SERIALS)
        left -= count
        if is_gzip:
            events = all_events()[: len(all_events()) // SERIALS * count]
            checksum, size = zlib.crc32(events, checksum), size + len(events)
        await connection.write_all(block[: ends[count - 1]])
    await connection.write_all(http_chunk(gzip_end(checksum, size)) + END if is_gzip else END)


async def large(connection: Connection, numbers: Numbers) -> None:
    """Send one event in many pieces."""
    is_gzip = "gzip" in numbers
    body = large_body(int(numbers["kib"]), is_gzip=is_gzip)
    connection.transport.write(GZIP_HEAD if is_gzip else HEAD)
    await connection.write_all(body)
    await connection.write_all(END)


def idle(connection: Connection, numbers: Numbers) -> None:
    """Send one event and keep the stream open."""
    connection.transport.write(HEAD + http_chunk(event(content(0))))
    connection.idle[connection] = None


async def go(connection: Connection, numbers: Numbers) -> None:
    """Send the idle streams the rest of their events."""
    connection.transport.write(EMPTY_RESPONSE)
    group = list(connection.idle)
    connection.idle.clear()
    await asyncio.to_thread(_send_in_turn, group, int(numbers["n"]), numbers["interval_ms"] / 1000)


def _send_in_turn(group: list[Connection], count: int, interval: float) -> None:
    start = time.monotonic() + 0.05
    for number in range(1, count):
        data = http_chunk(event(content(number)))
        for place, connection in enumerate(group):
            _sleep_until(start + (number - 1 + place / len(group)) * interval)
            connection.write_now(data)
    _sleep_until(start + (count + 1) * interval)  # no stream ends before each has had its last event
    for connection in group:
        connection.write_now(END)


def complete(connection: Connection, numbers: Numbers) -> None:
    """Send a complete response."""
    connection.transport.write(JSON_RESPONSE)


def _sleep_until(moment: float) -> None:
    remaining = moment - time.monotonic()
    if remaining > 0:
        time.sleep(remaining)


ANSWERS: dict[str, Callable[[Connection, Numbers], Awaitable[None] | None]] = {
    "/firehose": firehose,
    "/large": large,
    "/idle": idle,
    "/go": go,
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
