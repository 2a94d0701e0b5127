"""What an operation answers: its complete result, its stream, and its documented errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .document import Document, Place, members_of
from .media_types import chosen_media_type, is_json
from .overlay import Overlay
from .schemas import Schemas
from .streams import StreamAnswer, Streams

_ITEMS_WITHOUT_TYPE = {"sse": "api.ServerSentEvent", "lines": "str", "bytes": "bytes"}
_ENDS_OF_TEXTS = ("+xml", "/xml", "/sdp", "/x-www-form-urlencoded")
_ERRORS = {"default": "range(400, 600)", "4XX": "range(400, 500)", "5XX": "range(500, 600)"}
EVERY_ERROR = _ERRORS["default"]


@dataclass(slots=True)
class Answer:
    """What an operation answers: a complete result, a stream, or either."""

    result: str | None
    stream: StreamAnswer | None
    by_status: dict[str, str]  # the statuses as they are written, and the types of their answers
    errors: dict[str, str]


def is_status(key: str) -> bool:
    """Whether the key of a response is one status."""
    return re.fullmatch("[1-5][0-9][0-9]", key) is not None


class Answers:
    """Reads what operations answer."""

    def __init__(self, document: Document, schemas: Schemas, streams: Streams, overlay: Overlay) -> None:
        self._document = document
        self._schemas = schemas
        self._streams = streams
        self._overlay = overlay

    def of(self, operation: Mapping[str, Any], place: Place, hint: str, said: Mapping[str, Any]) -> Answer:
        """What an operation answers; `said` is what the overlay says of it."""
        responses = operation.get("responses")
        responses = {str(key): each for key, each in responses.items()} if isinstance(responses, Mapping) else {}
        statuses = [each for each in responses if not each.startswith("x-")]
        successes = [each for each in statuses if each[:1] == "2"]
        if not successes and "default" in responses:
            successes = ["default"]
        types: dict[str, str] = {}
        stream: StreamAnswer | None = None
        for status in successes:
            response, where = self._document.object(responses[status], (*place, "responses", status))
            extra = "" if len(successes) == 1 else status.title()
            result, found = self._success(response, status, where, f"{hint}{extra}", said)
            stream = stream or found
            if result is not None:
                types[status] = result
        if not successes:
            types["200"] = "httpx2.Response"
        if said.get("stream_format") and stream is None:
            # The document calls a stream something else, as FastAPI does a StreamingResponse.
            json = _union_of(types.values()) or "Any"
            item = _ITEMS_WITHOUT_TYPE.get(said["stream_format"], json)
            types, stream = {}, StreamAnswer(item)
        stream, types = self._by_extension(operation, place, hint, stream, types)
        errors = dict(self._errors(responses, place, hint, {*successes}))
        by_status: dict[str, str] = {}
        if len(set(types.values())) > 1:
            spelled = [each for each in types if is_status(each)]
            content = [each for each in spelled if types[each] != "None"]
            if len({types[each] for each in content}) > 1 or len(spelled) < len(types):
                by_status = {each: types[each] for each in spelled}
        result = _union_of(types.values()) if types else None
        return Answer(result, stream, by_status, errors)

    def _by_extension(
        self,
        operation: Mapping[str, Any],
        place: Place,
        hint: str,
        stream: StreamAnswer | None,
        types: dict[str, str],
    ) -> tuple[StreamAnswer | None, dict[str, str]]:
        """What `x-fern-streaming` and `x-streaming` say beside, or in place of, a media type."""
        response, media, where = self._json_of_success(operation, place)
        key, said = "x-fern-streaming", operation.get("x-fern-streaming")
        if said is None:
            holders = (operation, response, media)
            key, said = "x-streaming", next((each["x-streaming"] for each in holders if "x-streaming" in each), None)
        if not said or (stream is not None and not isinstance(said, Mapping)):
            return stream, types
        details: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        if stream is None:
            schema: Any = media.get("schema")
            if "response-stream" in details:
                schema, where = details["response-stream"], (*place, key, "response-stream")
            if details.get("format") == "sse":
                stream = self._streams.answer("text/event-stream", {"schema": schema}, where[:-1], f"{hint}Event")
            else:
                stream = self._streams.texts(schema, where, f"{hint}Item")
                stream.options["stream_format"] = repr("jsonl")
            if "response" in details:
                types = {
                    "200": self._schemas.type_of(details["response"], (*place, key, "response"), f"{hint}Response")
                }
            elif "stream-condition" not in details:
                types = {}
        if isinstance(end := details.get("terminator"), str):
            stream.options["until"] = repr(end)
        return stream, types

    def _json_of_success(
        self, operation: Mapping[str, Any], place: Place
    ) -> tuple[Mapping[str, Any], Mapping[str, Any], Place]:
        """The first response that succeeds with JSON, its media type object, and where the schema of that stands."""
        for status, given in members_of(operation.get("responses")):
            response, where = self._document.object(given, (*place, "responses", status))
            for media_type, media in members_of(response.get("content")):
                if status[:1] in ("2", "d") and is_json(media_type) and isinstance(media, Mapping):
                    return response, media, (*where, "content", media_type, "schema")
        return {}, {}, place

    def _success(
        self, response: Mapping[str, Any], status: str, place: Place, hint: str, said: Mapping[str, Any]
    ) -> tuple[str | None, StreamAnswer | None]:
        """The complete result and the stream of an answer, as far as it has them."""
        if "links" in response:
            self._document.find((*place, "links"), "has no counterpart; call the other operation yourself")
        content = response.get("content")
        if not isinstance(content, Mapping) or not content:
            return ("None" if status in ("204", "205") else "httpx2.Response"), None
        complete: list[tuple[str, str]] = []
        stream: StreamAnswer | None = None
        for media_type, given in content.items():
            media, where = self._document.object(given, (*place, "content", media_type))
            if self._streams.format_of(media_type, media):
                if stream is None:
                    suffix = "Event" if media_type.startswith("text/event-stream") else "Item"
                    stream = self._streams.answer(media_type, media, where, f"{hint}{suffix}")
                else:
                    self._document.find(where, "is a second stream; the first one is used")
            elif "itemSchema" in media:
                self._document.find((*where, "itemSchema"), f"a stream of {media_type} has no counterpart; it is bytes")
                complete.append((media_type, "bytes"))
            else:
                complete.append((media_type, self._content(media_type, media, where, f"{hint}Response")))
        if not complete:
            return None, stream
        best = chosen_media_type([each for each, _ in complete], said.get("answer"), place, self._overlay)
        for media_type, type_ in complete:
            if type_ != dict(complete)[best]:
                cure = f"to read this one, say answer = {media_type!r} in {self._overlay.name}"
                self._document.find(
                    (*place, "content", media_type), f"is left out: the answer is read as {best}; {cure}"
                )
        return dict(complete)[best], stream

    def _content(self, media_type: str, media: Mapping[str, Any], place: Place, hint: str) -> str:
        """The annotation of a complete body of this media type."""
        if is_json(media_type):
            if media_type.startswith("application/problem+json") and not media.get("schema"):
                return "api.ProblemDetails"
            if not media.get("schema"):
                return "Any"
            annotation = self._schemas.of_json(media["schema"], (*place, "schema"), hint)
            if annotation == "str | None":  # which would be the text as it came
                self._document.find((*place, "schema"), "a text or null as the whole of an answer is read as anything")
            return annotation if annotation != "str | None" else "Any"
        is_text = media_type.startswith("text/") or media_type.endswith(
            ("+xml", "/xml", "/sdp", "/x-www-form-urlencoded")
        )
        if is_text:
            return "str"
        schema, _ = self._schemas.resolved(media.get("schema"), place)
        if media_type == "*/*" and schema.get("format") != "binary" and schema:
            return self._schemas.type_of(media["schema"], (*place, "schema"), hint)
        return "bytes"

    def _errors(
        self, responses: Mapping[str, Any], place: Place, hint: str, successes: set[str]
    ) -> Iterator[tuple[str, str]]:
        """The documented errors whose bodies have a type: statuses, or ranges of them, as they are written."""
        for status, given in responses.items():
            key = status.upper() if status != "default" else status
            if status in successes or status.startswith("x-") or not (key in _ERRORS or key[:1] in "1345"):
                continue
            response, where = self._document.object(given, (*place, "responses", status))
            if not (key in _ERRORS or (is_status(key) and int(key) >= 300)):
                self._document.find(where, f"{status!r} is no status of an answer that a client sees")
                continue
            content = response.get("content")
            for media_type, media in content.items() if isinstance(content, Mapping) else ():
                if not is_json(media_type) or not isinstance(media, Mapping) or not media.get("schema"):
                    continue
                if key[:1] == "3":
                    self._document.find(where, "is left out: redirects are followed")
                    break
                type_ = self._schemas.of_json(
                    media["schema"], (*where, "content", media_type, "schema"), f"{hint}{status.title()}Error"
                )
                if type_ != "Any":
                    yield _ERRORS.get(key, key), type_
                break


def _union_of(annotations: Any) -> str:
    result = ""
    for each in annotations:
        result = each if not result else _joined(result, each)
    return result


def _joined(left: str, right: str) -> str:
    parts = dict.fromkeys([*left.split(" | "), *right.split(" | ")]) if "[" not in left + right else {left: 0, right: 0}
    return " | ".join([*(each for each in parts if each != "None"), *(["None"] if "None" in parts else [])])
