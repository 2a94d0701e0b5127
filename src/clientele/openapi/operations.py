"""The operations of a document as the functions that are written for them: what each is called, takes and returns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answers import EVERY_ERROR, Answer, Answers, is_status
from .document import Document, Place
from .names import class_name, function_name, operation_name, streaming_name, unique
from .overlay import Overlay
from .parameters import REQUIRED, Parameter, Parameters
from .schemas import Schemas
from .streams import Streams

_STREAM_OPTIONS = (
    "stream_format",
    "until",
    "include_end",
    "reconnect",
    "idle_timeout",
    "max_event_size",
    "on_invalid",
)


@dataclass(slots=True)
class Function:
    """A function that is written for an operation.

    Attributes:
        name: Its name.
        method: The method of HTTP.
        path: The path, its placeholders named as the parameters that fill them.
        tag: The tag that it is filed under.
        parameters: Its parameters, those that must be given first.
        result: The annotation of its result; of a stream, of its items.
        is_stream: Whether it streams.
        options: The options of its endpoint, as they are written.
        doc: What the document says of it, a paragraph each.
    """

    name: str
    method: str
    path: str
    tag: str
    parameters: list[Parameter]
    result: str
    is_stream: bool
    options: dict[str, str] = field(default_factory=dict)
    doc: list[str] = field(default_factory=list)


class Operations:
    """Reads the operations of a document, in its order."""

    def __init__(self, document: Document, schemas: Schemas, streams: Streams, overlay: Overlay) -> None:
        self._document = document
        self._overlay = overlay
        self._answers = Answers(document, schemas, streams, overlay)
        self.parameters = Parameters(document, schemas, overlay)
        self._names: set[str] = set()

    def functions(self, *, both_sides: bool) -> Iterator[Function]:
        """The functions; names leave room for `_sync` behind them if both sides are written."""
        every = list(self._document.operations())
        known = {f"{method} {path}" for method, path, *_ in every}
        self._overlay.check_used("operations", known | {str(each.get("operationId")) for _, _, each, *_ in every})
        for method, path, operation, item, place in every:
            yield from self._of(method, path, operation, item, place, both_sides=both_sides)
        if self._document.root.get("webhooks"):
            self._document.find(("webhooks",), "the API calls this; a client has no counterpart")

    def _of(
        self,
        method: str,
        path: str,
        operation: Mapping[str, Any],
        item: Mapping[str, Any],
        place: Place,
        *,
        both_sides: bool,
    ) -> Iterator[Function]:
        operation_id = operation.get("operationId")
        if not isinstance(operation_id, str | None):
            self._document.find((*place, "operationId"), "is no text; the function is named by its method and path")
            operation_id = None
        said = {
            **self._overlay.operations.get(f"{method} {path}", {}),
            **self._overlay.operations.get(str(operation_id), {}),
        }
        if said.get("skip"):
            return
        if "callbacks" in operation:
            self._document.find((*place, "callbacks"), "the API calls this; a client has no counterpart")
        base = said.get("name") or operation_name(operation_id, method, path)
        hint = class_name(base)
        answer = self._answers.of(operation, place, hint, said)
        is_either = answer.result is not None and answer.stream is not None
        name = function_name(base)
        if name in self._names and not name.startswith(f"{method.lower()}_"):  # FastAPI's routes with several methods
            name = f"{method.lower()}_{name}"
        name = self._unique(name, both_sides=both_sides)
        tags = operation.get("tags")
        tag = said.get("tag") or (str(tags[0]) if isinstance(tags, list) and tags else _first_segment(path))
        for is_stream in (False, True):
            if (answer.stream if is_stream else answer.result) is None:
                continue
            flag = self.parameters.flag(operation, item, place, said) if is_either else None
            parameters, written = self.parameters.of(
                path, operation, item, place, hint, flag, said, is_stream=is_stream
            )
            if is_either and flag is None and is_stream:
                self._document.find(place, "answers as JSON or as a stream, and nothing but Accept says which")
            own = said.get("stream_name") if is_stream else None
            if is_stream and is_either:
                own = self._unique(function_name(own or streaming_name(base)), both_sides=both_sides)
            function = Function(
                name=own or name,
                method=method,
                path=self._servers(operation, item, place) + written,
                tag=tag,
                parameters=sorted(parameters, key=lambda each: (not each.is_positional, each.default is not REQUIRED)),
                result="",
                is_stream=is_stream,
                doc=self._doc(operation, method, path),
            )
            self._put_answer(function, answer, said)
            yield function

    def _unique(self, name: str, *, both_sides: bool) -> str:
        name = unique(name, self._names)
        self._names |= {name, f"{name}_sync"} if both_sides else {name}
        return name

    def _put_answer(self, function: Function, answer: Answer, said: Mapping[str, Any]) -> None:
        options = function.options
        if function.is_stream and answer.stream is not None:
            options["streaming_response"] = "True"
            options |= answer.stream.options
            function.result = said.get("item") or answer.stream.item
            keys = (
                "until",
                "include_end",
                "reconnect",
                "idle_timeout",
                "max_event_size",
                "on_invalid",
                "stream_format",
            )
            options |= {key: repr(said[key]) for key in keys if key in said}
            statuses = answer.errors
        else:
            function.result = str(answer.result)
            raised = {status: f"api.Raised({type_})" for status, type_ in answer.errors.items()}
            statuses = {**answer.by_status, **raised}
        options |= {key: repr(said[key]) for key in ("retry", "timeout") if key in said}
        # The widest first: what comes later wins.
        ranges = {each: statuses[each] for each in sorted(statuses, key=EVERY_ERROR.__ne__) if not is_status(each)}
        exact = {status: type_ for status, type_ in statuses.items() if is_status(status)}
        if statuses:
            parts = [f"dict.fromkeys({status}, {type_})" for status, type_ in ranges.items()]
            if exact:
                parts.append(f"{{{', '.join(f'{status}: {type_}' for status, type_ in exact.items())}}}")
            options["response_map"] = " | ".join(parts)

    def _servers(self, operation: Mapping[str, Any], item: Mapping[str, Any], place: Place) -> str:
        """The server of this operation alone, as the start of its path."""
        for holder, where in ((operation, place), (item, place[:-1])):
            servers = holder.get("servers")
            if isinstance(servers, list) and servers:
                url = str(servers[0].get("url", ""))
                if "://" in url and "{" not in url:
                    return url.rstrip("/")
                self._document.find((*where, "servers"), f"the server {url!r} is not used: base_url is")
        return ""

    def _doc(self, operation: Mapping[str, Any], method: str, path: str) -> list[str]:
        summary, description = (str(operation.get(key) or "").strip() for key in ("summary", "description"))
        if not summary:
            summary, _, description = description.partition("\n\n")
        first = summary or f"{method} {path}"
        rest = [] if not description or description == summary else [description.strip()]
        if operation.get("deprecated") is True:
            rest.insert(0, "Deprecated.")
        docs = operation.get("externalDocs")
        if isinstance(docs, Mapping) and docs.get("url"):
            rest.append(f"See {docs['url']}")
        return [first, *rest]


def _first_segment(path: str) -> str:
    """What files an operation that has no tag: the first part of its path that is no placeholder, and no version."""
    parts = [part.partition("?")[0] for part in path.split("/") if part and "{" not in part]
    return next((part for part in parts if not re.fullmatch(r"v\d+|api", part)), "")
