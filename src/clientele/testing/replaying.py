"""Recordings played again: each request gets its recorded answer, or an error that names the difference.

A recording can be cut at any byte, so that your code meets a bad network. A stream that reconnects then gets what its
server would send.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import httpx2

from ..api import APIClient
from ..clock import Clock
from ..http_clients import HTTPClients
from .clock import VirtualClock
from .fake import UnexpectedRequest
from .recording import HEADER, Exchange, Redact, content_of, recorded_request
from .script import CUTS, Action, Wait
from .stand_in import StandIn
from .transport import FakeTransport, Reply

MatchName: TypeAlias = Literal["method", "url", "headers", "body"]
Match: TypeAlias = Collection[MatchName] | Callable[[dict[str, Any], dict[str, Any]], bool]

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r)(?:\r\n|\n|\r)")
_ID = re.compile(rb"(?:^|[\r\n])id:? ?([^\r\n]*)")
_UNASKED = ("last-event-id",)  # what a request has when a stream reconnects, and differs then


class _PacedClock(VirtualClock):
    """The time of this machine, at another speed."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._real = Clock()
        self._speed = speed
        self._began = self._real.monotonic()

    @property
    def elapsed(self) -> float:
        """How many seconds of the recording have passed."""
        return (self._real.monotonic() - self._began) * self._speed if hasattr(self, "_began") else 0.0

    @elapsed.setter
    def elapsed(self, value: float) -> None:
        """It goes on by itself."""

    def wait(self, changed: Any, is_over: Callable[[], bool], seconds: float) -> None:
        """Do as `Clock.wait` does."""
        self._real.wait(changed, is_over, seconds / self._speed)

    async def sleep_until(self, moment: float) -> None:
        """Do as `Clock.sleep_until` does."""
        await self._real.sleep_until(self._began + moment / self._speed)


class replay(StandIn):  # noqa: N801
    """Answer the calls of a client from a recording. Enter it with `with` or `async with`.

    ```python
    with testing.replay(client, "talk.jsonl"):
        assert [event.text for event in stream_events()] == ["hello", "world"]
    ```

    A request gets the first matching exchange that was not played yet. A request without one raises
    `UnexpectedRequest`, which names the difference.

    Parameters:
        client: The client whose calls are answered.
        path: A file that `record` has written.
        speed: How many times as fast as it was recorded. Default 0: without waiting.
        match: What to compare: names among `"method"`, `"url"`, `"headers"` and `"body"`, or a function of the recorded
            request and of the new one, both as they are in the file. Default: all but the headers.
        redact: The function that the recording was made with. Default: none.
        cut_after: The number of bytes of bodies after which the connection breaks, once. The next request is answered
            after the event of its `Last-Event-ID`, or from the start if it has none. Default: never.
    """

    def __init__(
        self,
        client: APIClient,
        path: str | os.PathLike[str],
        *,
        speed: float = 0,
        match: Match = ("method", "url", "body"),
        redact: Redact | None = None,
        cut_after: int | None = None,
    ) -> None:
        if not callable(match) and (unknown := set(match) - set(get_args(MatchName))):
            raise ValueError(f"match has {unknown}; it is a function, or some of {get_args(MatchName)}")
        if not speed >= 0:
            raise ValueError(f"speed is {speed!r}; it is 0, or how many times as fast as it was recorded")
        self.clock = _PacedClock(speed) if speed else VirtualClock()
        super().__init__(client)
        self._path = Path(path)
        self._exchanges = read_recording(self._path)
        self._played: list[Exchange] = []
        self._cut: list[Exchange] = []
        self._match = match
        self._redact: Redact = redact or str
        self._waits = speed > 0
        self._left = cut_after

    def _made(self, clients: HTTPClients) -> HTTPClients:
        transport = FakeTransport(self.clock, self._reply)
        return clients.replaced(transport, transport, self.clock)

    def assert_all_played(self) -> None:
        """Raise `UnexpectedRequest` if an exchange was never requested."""
        unplayed = [_line(each.request) for each in self._exchanges if each not in self._played]
        if unplayed:
            raise UnexpectedRequest(f"{self._path}: not asked for: {', '.join(unplayed)}")

    def _reply(self, sent: httpx2.Request, content: bytes) -> Reply:
        request = recorded_request(sent, content, self._redact)
        candidates = [each for each in self._exchanges if not any(each is played for played in self._played)]
        for exchange in (*self._cut, *candidates):
            if self._matches(exchange.request, request):
                if exchange not in self._cut:
                    self._played.append(exchange)
                event_id = sent.headers.get("Last-Event-ID") if exchange in self._cut else None
                return self._reply_with(exchange, event_id)
        raise UnexpectedRequest(self._difference(request, candidates))

    def _matches(self, recorded: dict[str, Any], request: dict[str, Any]) -> bool:
        if callable(self._match):
            return self._match(recorded, request)
        return all(_comparable(recorded, name) == _comparable(request, name) for name in self._match)

    def _difference(self, request: dict[str, Any], candidates: Sequence[Exchange]) -> str:
        problem = f"{self._path} has no answer for {_line(request)}"
        if not candidates:
            return f"{problem}: all of it has been played"
        names = ("method", "url", "headers", "body") if callable(self._match) else self._match
        next_one = candidates[0].request
        differences = [
            f"    {name}: recorded {_comparable(next_one, name)!r}, now {_comparable(request, name)!r}"
            for name in names
            if _comparable(next_one, name) != _comparable(request, name)
        ]
        return "\n".join([f"{problem}; the next one that was recorded differs in:", *differences])

    def _reply_with(self, exchange: Exchange, event_id: str | None) -> Reply:
        delay = exchange.at[0] if self._waits and exchange.at else 0.0
        if exchange.response is None:
            return Reply(delay, _exception(exchange.end))
        body = b"".join(chunk for _, chunk in exchange.chunks)
        headers = httpx2.Headers(exchange.response["headers"])
        if exchange.response["status"] not in (204, 304):
            headers["Transfer-Encoding"] = "chunked"
        start = behind(body, event_id) if event_id else 0
        return Reply(delay, None, exchange.response["status"], headers, self._actions(exchange, start))

    def _actions(self, exchange: Exchange, start: int) -> Iterator[Action]:
        before, place = exchange.at[0] if exchange.at else 0.0, 0
        for at, chunk in exchange.chunks:
            part = chunk[max(0, start - place) :]
            place += len(chunk)
            if self._waits and at > before:
                yield Wait(at - before)
                before = at
            if self._left is not None and len(part) >= self._left:
                whole, self._left = part[: self._left], None
                self._cut.append(exchange)
                if whole:
                    yield whole
                yield CUTS["reset"]
                return
            if part:
                if self._left is not None:
                    self._left -= len(part)
                yield part
        if exchange in self._cut:  # it has come whole now
            self._cut.remove(exchange)
        if exchange.end not in ("complete", "left"):
            yield _exception(exchange.end)


def everywhere(path: str | os.PathLike[str], count: int | None = None, *, seed: int | None = None) -> Iterator[int]:
    """Yield the positions at which a recording can be cut: each number of bytes that `cut_after` takes.

    ```python
    for place in testing.everywhere("talk.jsonl"):
        with testing.replay(client, "talk.jsonl", cut_after=place):
            assert [event.text for event in resumed_events()] == ["hello", "world"]
    ```

    Parameters:
        path: A file that `record` has written.
        count: How many positions to draw at random. Default: all of them.
        seed: The seed to draw them with. Default: a new one each time, which is printed.

    Returns:
        An iterator of numbers of bytes, in ascending order.
    """
    size = sum(len(chunk) for exchange in read_recording(Path(path)) for _, chunk in exchange.chunks)
    places: Sequence[int] = range(size)
    if count is not None and count < size:
        seed = random.randrange(2**32) if seed is None else seed  # noqa: S311
        print(f"testing.everywhere({os.fspath(path)!r}, {count}, seed={seed})")
        places = sorted(random.Random(seed).sample(places, count))  # noqa: S311
    yield from places


def read_recording(path: Path) -> list[Exchange]:
    """The exchanges of a recording, in order. Raises `ValueError`: the file is no recording."""
    exchanges: dict[int, Exchange] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                _read_line(json.loads(line), exchanges)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: it is no line of a recording: {error!r}") from None
    return list(exchanges.values())


def _read_line(line: dict[str, Any], exchanges: dict[int, Exchange]) -> None:
    if "clientele" in line:
        if line != HEADER:
            raise ValueError(f"it is a {line['clientele']} of version {line['version']}")
    elif "request" in line:
        exchanges[line["exchange"]] = Exchange(line["request"])
    else:
        exchange = exchanges[line["exchange"]]
        if "response" in line:
            exchange.response = line["response"]
            exchange.at = [line["at"]]
        elif "chunk" in line:
            exchange.chunks.append((line["at"], content_of(line["chunk"])))
        else:
            exchange.end = line["error"] if "error" in line else line["end"]
            exchange.at = [*(exchange.at or [line["at"]]), line["at"]]


def _comparable(request: dict[str, Any], name: str) -> Any:
    value = request.get(name)
    if name != "headers" or value is None:
        return value
    return {header.lower(): each for header, each in value.items() if header.lower() not in _UNASKED}


def _line(request: dict[str, Any]) -> str:
    return f"{request['method']} {request['url']}"


def _exception(end: str) -> Exception:
    """The exception of httpx2's that was written down."""
    name, _, words = end.partition(": ")
    kind = getattr(httpx2, name, None)
    is_one = isinstance(kind, type) and issubclass(kind, httpx2.RequestError)
    return kind(words) if is_one else httpx2.ReadError(end)  # type: ignore[misc]


def behind(body: bytes, event_id: str) -> int:
    """The position behind the event with this id; 0 if there is no such event."""
    start = found = 0
    for end in _BLANK_LINE.finditer(body):
        block = body[start : end.end()]
        start = end.end()
        if (ids := _ID.findall(block)) and ids[-1].decode("utf-8", "replace") == event_id:
            found = start
    return found
