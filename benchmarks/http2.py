"""HTTP/2 beside HTTP/1.1, and beside httpx2's own HTTP/2: `python -m benchmarks.http2`. It writes `HTTP2.md`.

All contestants are the same client over different transports, so what differs is the wire. A server in another process
sends one event at a time to each of the live streams in turn, several of them in one go.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx2
import pydantic

from clientele import api

from .report import HERE

EVENT = b'data: {"id": %d, "text": "hello world, this is a token"}\n\n'
ANSWER = b'{"id": 1, "text": "hello"}'
AT_ONCE = 20
"""How many events the server sends in one go."""

LIMITS = httpx2.Limits(max_connections=None)


class Event(pydantic.BaseModel):
    """What the server sends."""

    id: int
    text: str


def ours(url: str, **settings: Any) -> api.APIClient:
    """A client over the wire."""
    return api.APIClient(url, limits=LIMITS, timeout=30, **settings)


def theirs(url: str) -> api.APIClient:
    """The same over httpx2's own HTTP/2."""
    options: Any = {"http1": False, "http2": True, "limits": LIMITS}
    transports = {"transport": httpx2.HTTPTransport(**options), "async_transport": httpx2.AsyncHTTPTransport(**options)}
    return api.APIClient(url, timeout=30, **transports)


CONTESTANTS: dict[str, Callable[[str, str], api.APIClient]] = {
    "HTTP/2": lambda http1, http2: ours(http2, http1=False, http2=True),
    "HTTP/1.1": lambda http1, http2: ours(http1),
    "HTTP/2 of httpx2's": lambda http1, http2: theirs(http2),
}


async def live(client: api.APIClient, streams: int, events: int) -> float:
    """CPU time for each event of live streams, in µs."""
    received, is_flowing, done = 0, asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal received
        async for _ in client.astream("GET", "/events", Event):
            received += 1
            if received == streams:
                is_flowing.set()
            if received >= streams + events:
                done.set()
                return

    readers = [asyncio.create_task(read()) for _ in range(streams)]
    await is_flowing.wait()
    before, began = received, time.process_time()
    await done.wait()
    cost = (time.process_time() - began) / (received - before) * 1e6
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await client.aclose()
    return cost


async def calls(client: api.APIClient, count: int) -> float:
    """CPU time for each complete call, in µs."""
    get = client.get("/answer")(_answer)
    await get()
    began = time.process_time()
    for _ in range(count):
        await get()
    cost = (time.process_time() - began) / count * 1e6
    await client.aclose()
    return cost


async def _answer(*, result: Event) -> Event:
    return result


async def opening(client: api.APIClient, count: int) -> list[float]:
    """CPU time for opening a stream while others are open, in µs: of the first ten, and of the last ten."""
    streams, costs = [], []
    for _ in range(count):
        began = time.process_time()
        streams.append(await client.astream("GET", "/quiet", Event))
        costs.append((time.process_time() - began) * 1e6)
    await client.aclose()
    return [statistics.median(costs[5:15]), statistics.median(costs[-10:])]


def main() -> None:
    """Measure, and write the report; print it instead in a small size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http2", description="Measure HTTP/2.")
    parser.add_argument("--smoke", action="store_true", help="run everything in a small size, to see that it works")
    is_smoke = parser.parse_args().smoke
    rounds, streams, events, count = (1, 5, 50, 20) if is_smoke else (5, 200, 10_000, 500)
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTESTANTS}
    command = [sys.executable, "-m", "benchmarks.http2", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        http1, http2 = server.stdout.readline().split()
        try:
            for _ in range(rounds):
                for name, make in CONTESTANTS.items():
                    cost = asyncio.run(live(make(http1, http2), streams, events))
                    figures[name].append((cost, asyncio.run(calls(make(http1, http2), count))))
            opened = asyncio.run(opening(ours(http2, http1=False, http2=True), 20 if is_smoke else 1000))
        finally:
            server.kill()
    report = _report(figures, opened, streams)
    if is_smoke:
        print("smoke run of HTTP/2: every contestant got what was sent")
    else:
        (HERE / "HTTP2.md").write_text(report)
        print(report)


def _report(figures: dict[str, list[tuple[float, float]]], opened: list[float], streams: int) -> str:
    base = figures["HTTP/2 of httpx2's"]
    lines = [
        "# HTTP/2",
        "",
        "Written by `python -m benchmarks.http2`. CPU time in µs, asyncio, the median of the rounds; a ratio is the",
        "median of the ratios in each round.",
        "",
        f"|  | an event of {streams} live streams | beside httpx2's | a complete call | beside httpx2's |",
        "|---|---|---|---|---|",
    ]
    for name, rows in figures.items():
        cells = []
        for column in (0, 1):
            ratio = statistics.median(row[column] / other[column] for row, other in zip(rows, base, strict=True))
            cells += [f"{statistics.median(row[column] for row in rows):.1f}", f"{ratio:.2f} ×"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Opening a stream over HTTP/2: {opened[0]:.0f} µs for the 10th, {opened[1]:.0f} µs for the last.",
        "",
    ]
    return "\n".join(lines)


async def serve() -> None:
    """Serve events and answers, over HTTP/1.1 and over HTTP/2."""
    handlers = _serve_http1, _serve_http2
    servers = [await asyncio.start_server(each, "127.0.0.1", 0, backlog=1024) for each in handlers]
    print(*[f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers], flush=True)
    await asyncio.Event().wait()


_http1: list[asyncio.StreamWriter] = []


async def _serve_http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n"
    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            if b"/answer" in request:
                writer.write(head % b"application/json" + b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
                continue
            writer.write(head % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n")
            _http1.append(writer)
            if len(_http1) == 1:
                asyncio.get_running_loop().create_task(_pump_http1())
    except (asyncio.IncompleteReadError, ConnectionError):
        if writer in _http1:
            _http1.remove(writer)
        writer.close()


async def _pump_http1() -> None:
    number = 0
    while _http1:
        await asyncio.sleep(0.002)
        for _ in range(min(AT_ONCE, len(_http1))):
            number += 1
            event = EVENT % number
            _http1[number % len(_http1)].write(b"%x\r\n%b\r\n" % (len(event), event))


async def _serve_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    configuration = h2.config.H2Configuration(client_side=False, header_encoding=None)
    connection = h2.connection.H2Connection(configuration)
    streams: list[int] = []
    connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 10_000})
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    pumping = asyncio.create_task(_pump_http2(connection, streams, writer))
    try:
        while data := await reader.read(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    _answer_http2(connection, streams, event)
                elif isinstance(event, h2.events.StreamReset) and event.stream_id in streams:
                    streams.remove(event.stream_id)
            writer.write(connection.data_to_send())
    except ConnectionError:
        pass
    finally:
        pumping.cancel()
        writer.close()


def _answer_http2(connection: Any, streams: list[int], event: Any) -> None:
    path = dict(event.headers)[b":path"]
    if path == b"/answer":
        connection.send_headers(event.stream_id, [(b":status", b"200"), (b"content-type", b"application/json")])
        connection.send_data(event.stream_id, ANSWER, end_stream=True)
    else:
        connection.send_headers(event.stream_id, [(b":status", b"200"), (b"content-type", b"text/event-stream")])
        if path == b"/events":
            streams.append(event.stream_id)


async def _pump_http2(connection: Any, streams: list[int], writer: asyncio.StreamWriter) -> None:
    number = 0
    while True:
        await asyncio.sleep(0.002)
        for _ in range(min(AT_ONCE, len(streams))):
            number += 1
            stream_id, event = streams[number % len(streams)], EVENT % number
            if connection.local_flow_control_window(stream_id) >= len(event):
                connection.send_data(stream_id, event)
        writer.write(connection.data_to_send())


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
