"""What was seen of a stream as a declaration to paste: an OpenAPI document of it, and the functions of that document.

So what is learned is written by what writes packages. A document has no word for a few things that a stream shows, the
last event for one; these become options of the function.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..redaction import is_secret
from .document import Document
from .models import UNKNOWN_TO, write_models
from .modules import IMPORTS, Sides, import_lines, write_function
from .names import function_name, snake_case
from .operations import Function, Operations
from .overlay import Overlay
from .package import formatted
from .samples import Samples, singular
from .schemas import Schemas
from .streams import Streams

_MEDIA_TYPES = {
    "sse": "text/event-stream",
    "jsonl": "application/x-ndjson",
    "json-seq": "application/json-seq",
    "json": "application/json",
}
_TYPES = {"lines": "str", "bytes": "bytes"}  # of formats that documents do not know as streams
_LAST_WORDS = "done|end|ended|stop|stopped|complete|completed|finish|finished|eof|close|closed"
_LAST = re.compile(rf"(^|[._:/-])({_LAST_WORDS})($|[._:/-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event as it came."""

    data: str
    name: str = "message"
    id: str = ""


@dataclass(slots=True)
class Seen:
    """What was seen of a stream.

    Attributes:
        method: The method of the request.
        url: Its URL.
        stream_format: The format, by the name that `stream_format=` takes.
        says_format: Whether the content type says so.
        events: The events.
        has_ended: Whether the stream ended by itself.
        body: The body that was sent, if it was JSON.
        headers: The headers that were sent, beside those of every request.
        token_variable: The variable of the environment that a bearer token came from.
    """

    method: str
    url: str
    stream_format: str
    says_format: bool = True
    events: list[SeenEvent] = field(default_factory=list)
    has_ended: bool = False
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token_variable: str | None = None


def declaration(seen: Seen, *, is_async: bool = True) -> str:
    """The source of a module that declares the stream, and reads it."""
    samples = Samples()
    end = _end(seen)
    document = Document(_document(seen, samples, end), "what was seen")
    schemas, overlay = Schemas(document, {}), Overlay()
    streams = Streams(document, schemas)
    operations = Operations(document, schemas, streams, overlay)
    (function,) = (each for each in operations.functions(both_sides=False) if each.is_stream)
    _set_options(function, seen, end)
    unions = list(streams.unions.values())
    models = write_models(schemas.models, unions, document, {})
    if unions:
        models = f"from pydantic import AfterValidator, ConfigDict\n{UNKNOWN_TO}\n{models}"
    source = write_function(function, Sides(asynchronous=is_async, synchronous=not is_async))
    source = re.sub(r"api\.(Async)?Stream\[", lambda match: f"{match[1] or ''}Iterator[", source)
    return _module(seen, function, models, source, is_async=is_async)


def _module(seen: Seen, function: Function, models: str, source: str, *, is_async: bool) -> str:
    address = urlsplit(seen.url)
    example, needs = _example(seen, function, is_async=is_async)
    headers = [f"{name!r}: {value!r}" for name, value in seen.headers.items() if not is_secret(name)]
    if seen.token_variable:
        headers.append(f"'Authorization': f\"Bearer {{os.environ[{seen.token_variable!r}]}}\"")
    given = f", headers={{{', '.join(headers)}}}" if headers else ""
    base_url = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
    client = f"client = api.APIClient(base_url={base_url!r}{given})"
    lines = models.splitlines()
    imports = [line for line in lines if _IMPORT.match(line) and "__future__" not in line]
    models = "\n".join(line for line in lines if not _IMPORT.match(line))
    body = "\n\n".join([client, models, source, example])
    imports += import_lines(body, {**IMPORTS, **_IMPORTS})
    count = len(seen.events)
    doc = f'"""{seen.method} {address.path or "/"}, as {count} event{"s" * (count != 1)} of it showed it."""'
    left_out = [name for name in [*seen.headers, *needs] if is_secret(name)]
    if left_out:
        doc = doc[:-3] + f"\n\nLeft out, since they look like secrets: {', '.join(left_out)}.\n" + '"""'
    whole = "\n".join([doc, "", "from __future__ import annotations" if _needs_future(models) else "", *imports, body])
    return formatted({"declaration.py": whole})["declaration.py"]


_IMPORT = re.compile("from [\\w.]+ import |import ")
_IMPORTS = {  # of names that no generated package has
    "AsyncIterator": "from collections.abc import AsyncIterator",
    "Iterator": "from collections.abc import Iterator",
    "asyncio": "import asyncio",
}


def _needs_future(models: str) -> bool:
    return "model_rebuild()" in models


def _document(seen: Seen, samples: Samples, end: _End) -> dict[str, Any]:
    address = urlsplit(seen.url)
    words = [part for part in address.path.split("/") if re.search("[a-zA-Z]", part)]
    name = function_name(f"stream_{snake_case(words[-1]) if words else 'events'}".removeprefix("stream_stream_"))
    media: dict[str, Any] = {"itemSchema": {}}
    events = [each for number, each in enumerate(seen.events) if number not in end.left_out]
    if seen.stream_format == "sse":
        media = {"itemSchema": _event_schema(events, samples, name)}
    elif seen.stream_format in _MEDIA_TYPES:
        values = [json.loads(each.data) for each in events]
        media = {"itemSchema": samples.schema(values, _item_name(name))}
    media_type = _MEDIA_TYPES.get(seen.stream_format, "application/x-ndjson")
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": f"Stream what {seen.method} {address.path or '/'} sends",
        "parameters": [
            {"name": key, "in": "query", "schema": {"type": "string"}, "required": True}
            if is_secret(key)
            else {"name": key, "in": "query", "schema": {"type": "string", "default": value}}
            for key, value in parse_qsl(address.query, keep_blank_values=True)
        ],
        "responses": {"200": {"description": "", "content": {media_type: media}}},
    }
    if seen.body is not None:
        schema = samples.schema([seen.body], f"{name.removeprefix('stream_')}_request")
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    path = re.sub(r"[{}]", lambda match: {"{": "%7B", "}": "%7D"}[match[0]], address.path or "/")
    return {
        "openapi": "3.2.0",
        "info": {"title": address.netloc, "version": ""},
        "paths": {path: {seen.method.lower(): operation}},
        "components": {"schemas": samples.schemas},
    }


def _item_name(name: str) -> str:
    """What an item of `stream_events` is called: `event`."""
    plural = name.removeprefix("stream_")
    return singular(plural) or plural


def _event_schema(events: Sequence[SeenEvent], samples: Samples, name: str) -> dict[str, Any]:
    """The schema of an event; events of several names are told apart by these."""
    by_name: dict[str, list[str]] = {}
    for event in events:
        by_name.setdefault(event.name, []).append(event.data)
    hint = _item_name(name)
    if set(by_name) <= {"message"}:
        return {"type": "object", "properties": {"data": _data_schema(by_name.get("message", []), samples, hint)}}
    members = []
    for each, data in by_name.items():
        properties: dict[str, Any] = {"event": {"const": each}}
        if any(text.strip() for text in data):
            properties["data"] = _data_schema(data, samples, each if each != "message" else hint)
        members.append({"type": "object", "properties": properties, "required": ["event"]})
    return {"oneOf": members}


def _data_schema(texts: Sequence[str], samples: Samples, hint: str) -> dict[str, Any]:
    try:
        values = [json.loads(text) for text in texts if text.strip()]
    except ValueError:
        return {"type": "string"}
    if not values:
        return {"type": "string"}
    schema = samples.schema(values, hint, is_own=True)
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}


@dataclass(frozen=True, slots=True)
class _End:
    """What ends the stream: the option that says so, and the numbers of the events that are no items."""

    until: str = ""
    is_item: bool = False
    left_out: frozenset[int] = frozenset()


def _end(seen: Seen) -> _End:
    """What ends the stream: an event that came once, at its end, and says so."""
    if not seen.events or not seen.has_ended or len(seen.events) < 2:
        return _End()
    last, number = seen.events[-1], len(seen.events) - 1
    others = seen.events[:-1]
    text = last.data.strip()
    is_json = _is_json(text) or not any(_is_json(each.data) for each in others)
    if text and not is_json and all(each.data.strip() != text for each in others):
        return _End(repr(text), left_out=frozenset({number}))
    if _LAST.search(last.name) and all(each.name != last.name for each in others):
        return _End(f"lambda event: event.event == {last.name!r}", is_item=bool(last.data.strip()))
    if not all(_is_object(each.data) for each in seen.events):
        return _End()
    values = [json.loads(each.data) for each in others]
    for name, tag in json.loads(last.data).items():
        is_last = isinstance(tag, str) and _LAST.search(tag) and all(each.get(name) != tag for each in values)
        if is_last and all(isinstance(each.get(name), str) for each in values):
            return _End(f"lambda event: json.loads(event.data)[{name!r}] == {tag!r}", is_item=True)
    return _End()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _is_object(text: str) -> bool:
    return _is_json(text) and isinstance(json.loads(text), dict)


def _set_options(function: Function, seen: Seen, end: _End) -> None:
    if end.until:
        function.options["until"] = end.until
        if end.is_item:
            function.options["include_end"] = "True"
    function.options.pop("stream_format", None)
    if not seen.says_format or seen.stream_format in ("json", "jsonl", "json-seq"):
        function.options["stream_format"] = repr(seen.stream_format)
    function.result = _TYPES.get(seen.stream_format, function.result)
    if any(each.id for each in seen.events):
        function.doc.append("Its events have ids. If the server can resume, say reconnect=True, too.")


def _example(seen: Seen, function: Function, *, is_async: bool) -> tuple[str, list[str]]:
    """The lines that read the stream, and the names of what they cannot know."""
    arguments, needs = [], []
    for parameter in function.parameters:
        if parameter.name == "data" and seen.body is not None:
            model = parameter.annotation
            arguments.append(f"{model}.model_validate({seen.body!r})" if model.isidentifier() else repr(seen.body))
        elif isinstance(parameter.default, str):
            continue
        else:
            needs.append(parameter.name)
            arguments.append(f"{parameter.name}='...'")
    call = f"{function.name}({', '.join(arguments)})"
    if is_async:
        loop = f"async def main() -> None:\n    async for item in {call}:\n        print(item)\n"
        return f"{loop}\n\nif __name__ == '__main__':\n    asyncio.run(main())\n", needs
    return f"if __name__ == '__main__':\n    for item in {call}:\n        print(item)\n", needs
