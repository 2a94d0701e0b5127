"""A server that numbers its events, and serves them from `Last-Event-ID` on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.servers import END, EVENT_STREAM, Connection, chunk

TEXTS = ("plain", "zwölf Boxkämpfer", "дождь", "雨が降る", "🌧️🌂", "")
LAYOUTS = (
    "id: {number}\ndata: {data}\n\n",
    "id: {number}\r\ndata: {data}\r\n\r\n",
    "data:{data}\nid:{number}\n\n",
    ": a comment\nevent: number\nid: {number}\ndata: {data}\n\n",
    "id: {number}\ndata: {data}\nretry: 1\n\n",
    "id: {number}\rdata: {data}\r\r",
)


def event(number: int) -> bytes:
    """The event of this number; which text and which line ends it has depends on the number alone."""
    data = f'{{"number": {number}, "text": "{text(number)}"}}'
    return LAYOUTS[number % len(LAYOUTS)].format(number=number, data=data).encode()


def text(number: int) -> str:
    return TEXTS[number % len(TEXTS)]


@dataclass
class NumberedEvents:
    """Serves the events from 1 to the last, and says 204 to whoever has that.

    Attributes:
        last: The number of the last event.
        asked_for: The `Last-Event-ID` of each request so far, `None` where there was none.
    """

    last: int
    asked_for: list[str | None] = field(default_factory=list)

    async def __call__(self, connection: Connection) -> None:
        asked_for = connection.request.header("Last-Event-ID")
        self.asked_for.append(asked_for)
        first = int(asked_for or 0) + 1
        if first > self.last:
            await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        await connection.send(EVENT_STREAM)
        for number in range(first, self.last + 1):
            await connection.send(chunk(event(number)))
            await asyncio.sleep(0)
        await connection.send(END)
