r"""Recordings: what a client and its servers said, in a text file that can be read and compared.

Each line is a JSON object. `exchange` is the number of the exchange that it belongs to, `at` the time since its
request, in seconds.

    {"clientele": "recording", "version": 1}
    {"exchange": 1, "request": {"method": "GET", "url": "http://…/events", "headers": {…}, "body": null}}
    {"exchange": 1, "at": 0.012, "response": {"status": 200, "headers": {"content-type": "text/event-stream"}}}
    {"exchange": 1, "at": 0.013, "chunk": "data: 1\n\n"}
    {"exchange": 1, "at": 0.52, "end": "complete"}

A body or chunk that is no text is `{"base64": "…"}`, a body of JSON is that JSON. `end` is `"complete"`, or `"left"` if
the client closed it, or the exception that it ended with; `error` stands there if no response came. Content codings are
taken off. Nothing secret is in it: see `secrets.py`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from ..api import APIClient
from ..content import media_type
from ..http_clients import HTTPClients
from ..redaction import is_secret, request_url
from ..wire.content_coding import ContentDecoder, content_decoder
from ..wire.response import WireResponse
from .secrets import REDACTED, JSONRedactor, TextRedactor, redacted_body, without
from .stand_in import StandIn

HEADER = {"clientele": "recording", "version": 1}
Redact = Callable[[str], str]

_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_OF_CODING = ("content-encoding", "content-length", "transfer-encoding")
_INCIDENTAL = ("connection", "date", "user-agent", "accept-encoding")  # headers that differ from one time to another


@dataclass(eq=False)
class Exchange:
    """One request of a recording, and its outcome.

    Attributes:
        request: Its method, URL, headers and body, without what is secret.
        response: The status and headers; `None` if none came.
        chunks: The body, each part with the time since the request, in seconds.
        end: `"complete"`, `"left"`, or the exception that it ended with.
        at: When the head came, and when it ended, in seconds.
    """

    request: dict[str, Any]
    response: dict[str, Any] | None = None
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    end: str = "left"
    at: list[float] = field(default_factory=list)


class record(StandIn):  # noqa: N801
    """Record the requests and responses of a client in a file. Enter it with `with` or `async with`.

    ```python
    with testing.record(client, "talk.jsonl"):
        for event in stream_events():
            print(event.text)
    ```

    Values whose names look like secrets are never written.

    Parameters:
        client: The client whose calls are recorded.
        path: The file, which is overwritten.
        redact: A function that receives each text before it is written (URLs, header values, bodies, chunks) and
            returns the text to write. Default: nothing else is changed.
        secrets: Texts that are never written, wherever they appear: a token that the server may send back, for example.
            Unlike `redact`, it also sees a text that arrives in two chunks. Default: none.
    """

    def __init__(
        self,
        client: APIClient,
        path: str | os.PathLike[str],
        *,
        redact: Redact | None = None,
        secrets: Collection[str] = (),
    ) -> None:
        super().__init__(client)
        self._path = Path(path)
        self.secrets = [each.encode() for each in secrets if each]
        self._redact = redact or str
        self._lock = threading.Lock()
        self._count = 0

    def _made(self, clients: HTTPClients) -> HTTPClients:
        self._file = self._path.open("w", encoding="utf-8")
        self.write(HEADER)
        self._recording = clients.wrapped(functools.partial(_Recording, recording=self))
        return self._recording

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._recording.close()
        with self._lock:
            self._file.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._recording.aclose()
        self.__exit__(kind, error, traceback)

    def redact(self, text: str) -> str:
        """The text as the recording holds it."""
        return self._redact(without(self.secrets, text.encode()).decode())

    def number(self) -> int:
        """The number of another exchange."""
        with self._lock:
            self._count += 1
            return self._count

    def write(self, line: dict[str, Any]) -> None:
        """Write a line, unless the recording is over."""
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
                self._file.flush()


def recorded_request(request: httpx2.Request, content: bytes, redact: Redact) -> dict[str, Any]:
    """A request as the recording holds it."""
    content_type = request.headers.get("Content-Type", "")
    kind = media_type(content_type)
    body = redacted_body(content, kind)
    shown: Any = _shown(body, redact) if body else None
    if kind == "application/json" and isinstance(shown, str):
        with contextlib.suppress(ValueError):
            shown = json.loads(shown)
    headers = _recorded_headers(request.headers, redact, _INCIDENTAL + _OF_CODING + ("host",))
    if kind == "multipart/form-data" and (boundary := _BOUNDARY.search(content_type)):  # another one each time
        headers["content-type"] = kind
        shown = _shown(body.replace(boundary[1].encode(), b"boundary"), redact)
    return {"method": request.method, "url": redact(request_url(request)), "headers": headers, "body": shown}


def _recorded_headers(headers: httpx2.Headers, redact: Redact, left_out: tuple[str, ...]) -> dict[str, str]:
    return {
        name: REDACTED if is_secret(name) else redact(value)
        for name, value in headers.items()
        if name.lower() not in left_out
    }


def _shown(content: bytes, redact: Redact) -> str | dict[str, str]:
    try:
        return redact(content.decode())
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def content_of(shown: Any) -> bytes:
    """The bytes of a recorded chunk."""
    return base64.b64decode(shown["base64"]) if isinstance(shown, dict) else shown.encode()


class _Entry:
    """One exchange, while it is recorded."""

    def __init__(self, recording: record) -> None:
        self._recording = recording
        self._number = recording.number()
        self._redact = recording.redact
        self._start = time.monotonic()
        self._decoder: ContentDecoder | None = None
        self._texts = TextRedactor(recording.secrets)
        self._redactor = JSONRedactor()
        self._has_ended = False
        self._held = b""  # the beginning of a character

    @contextlib.contextmanager
    def noting(self, request: httpx2.Request) -> Iterator[None]:
        """Record a request while it is sent."""
        stream = request.stream
        if not isinstance(stream, httpx2.ByteStream):
            request.stream = _Sent(stream)
        try:
            yield
        finally:
            content = request.stream.content if isinstance(request.stream, _Sent) else b"".join(stream)  # type: ignore[arg-type]
            request.stream = stream
            line = {"exchange": self._number, "request": recorded_request(request, content, self._redact)}
            self._recording.write(line)

    def head(self, response: httpx2.Response) -> None:
        """Write down the head of the response."""
        self._decoder = content_decoder(response.headers.get_list("Content-Encoding"))
        headers = _recorded_headers(response.headers, self._redact, _OF_CODING + _INCIDENTAL)
        if "location" in headers:
            headers["location"] = self._redact(request_url(httpx2.Request("GET", headers["location"])))
        self._write({"response": {"status": response.status_code, "headers": headers}})

    def chunk(self, data: bytes) -> None:
        """Write down a part of the body."""
        if self._decoder is not None:
            self._decoder.receive(data)
            data = b"".join(iter(self._decoder.read, b""))
        self._write_chunk(self._texts.feed(data))

    def _write_chunk(self, data: bytes) -> None:
        if data := self._redactor.feed(data):
            whole, self._held = _whole_characters(self._held + data)
            if whole:
                self._write({"chunk": _shown(whole, self._redact)})

    def end(self, how: str | BaseException) -> None:
        """Write down how it has ended, once."""
        if not self._has_ended:
            self._has_ended = True
            self._write_chunk(self._texts.rest())
            if self._held:
                self._write({"chunk": _shown(self._held, self._redact)})
            self._write({"end": how if isinstance(how, str) else f"{type(how).__name__}: {self._redact(str(how))}"})

    def failed(self, error: BaseException) -> None:
        """Write down that no response came."""
        self._write({"error": f"{type(error).__name__}: {self._redact(str(error))}"})

    def _write(self, line: dict[str, Any]) -> None:
        at = round(time.monotonic() - self._start, 3)
        self._recording.write({"exchange": self._number, "at": at, **line})


def _whole_characters(data: bytes) -> tuple[bytes, bytes]:
    """Split data before a character that it cuts; all of it if it is no text."""
    for size in range(1, min(3, len(data)) + 1):
        if data[-size] >= 0xC0:  # the first byte of a character
            needed = 2 if data[-size] < 0xE0 else 3 if data[-size] < 0xF0 else 4
            return (data[:-size], data[-size:]) if size < needed else (data, b"")
    return data, b""


class _Recording(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A transport of either side that records its exchanges."""

    def __init__(self, transport: Any, recording: record, *, is_owned: bool) -> None:
        self._transport = transport
        self._recording = recording
        self._is_owned = is_owned

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Let the transport answer."""
        entry = _Entry(self._recording)
        try:
            with entry.noting(request):
                response: httpx2.Response = self._transport.handle_request(request)
        except BaseException as error:
            entry.failed(error)
            raise
        return _recorded(response, entry, _Body)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Let the transport answer."""
        entry = _Entry(self._recording)
        try:
            with entry.noting(request):
                response: httpx2.Response = await self._transport.handle_async_request(request)
        except BaseException as error:
            entry.failed(error)
            raise
        return _recorded(response, entry, _AsyncBody)

    def close(self) -> None:
        """Close the transport, unless somebody else had it first."""
        if self._is_owned:
            self._transport.close()

    async def aclose(self) -> None:
        """The same, of an asynchronous one."""
        if self._is_owned:
            await self._transport.aclose()


def _recorded(response: httpx2.Response, entry: _Entry, kind: type[_Body | _AsyncBody]) -> httpx2.Response:
    """The same response, with a body that is recorded as it is read."""
    entry.head(response)
    direct = response.direct_body if isinstance(response, WireResponse) else None
    body = kind(direct or response.stream, entry)
    made = copy_without_request(response, body)
    if direct is not None:
        made.direct_body = body  # type: ignore[assignment]
    return made


def copy_without_request(response: httpx2.Response, body: Any) -> WireResponse:
    """A copy of the response with another body, and without its request."""
    return WireResponse(response.status_code, headers=response.headers, stream=body, extensions=response.extensions)


class _NotedBody:
    """A body that is recorded as it is read."""

    def __init__(self, body: Any, entry: _Entry) -> None:
        self._body = body
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    @property
    def timeout(self) -> float | None:
        """How long to wait for the next bytes, in seconds."""
        timeout: float | None = self._body.timeout
        return timeout

    @timeout.setter
    def timeout(self, timeout: float | None) -> None:
        self._body.timeout = timeout

    def _noted(self, data: bytes) -> bytes:
        if data:
            self._entry.chunk(data)
        else:
            self._entry.end("complete")
        return data

    def let_go(self) -> None:
        """Let go of the connection."""
        self._entry.end("left")
        self._body.let_go()


class _Body(_NotedBody, httpx2.SyncByteStream):
    def read(self) -> bytes:
        try:
            return self._noted(self._body.read())
        except Exception as error:
            self._entry.end(error)
            raise

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._body:
                yield self._noted(data)
        except Exception as error:
            self._entry.end(error)
            raise
        self._entry.end("complete")

    def close(self) -> None:
        self._entry.end("left")
        self._body.close()


class _AsyncBody(_NotedBody, httpx2.AsyncByteStream):
    async def read(self) -> bytes:
        try:
            return self._noted(await self._body.read())
        except Exception as error:
            self._entry.end(error)
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._body:
                yield self._noted(data)
        except Exception as error:
            self._entry.end(error)
            raise
        self._entry.end("complete")

    async def aclose(self) -> None:
        self._entry.end("left")
        await self._body.aclose()


class _Sent(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of a request, kept while it is sent."""

    def __init__(self, stream: Any) -> None:
        self.content = b""
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            self.content += part
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self.content += part
            yield part
