"""What a document says of a stream: the type of its items, and the options that its endpoint needs.

A document describes a stream of events in one of three ways: each event, by `itemSchema` (OpenAPI 3.2, and FastAPI);
each event, by `schema`; the data of each, by `schema` (OpenAI). The members `data`, `event`, `id` and `retry` are an
event's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..streaming.formats import FORMATS, format_of
from .document import Document, Place
from .models import OpenUnion, open_union
from .schemas import Schemas, optional

_FIELDS = frozenset(("data", "event", "id", "retry"))
_NOT_JSON = "api.ServerSentEvent"


@dataclass(slots=True)
class StreamAnswer:
    """A stream.

    Attributes:
        item: The annotation of its items.
        options: The options of its endpoint, as they are written.
    """

    item: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Event:
    """One kind of event: its names where constants say them, and what its data is."""

    names: tuple[str, ...]
    data: Any
    place: Place
    is_json: bool
    keeps_fields: bool  # the document requires more of it than data


class Streams:
    """Reads the streams of a document."""

    def __init__(self, document: Document, schemas: Schemas) -> None:
        self._document = document
        self._schemas = schemas
        self.unions: dict[str, OpenUnion] = {}  # by the union that each opens

    def format_of(self, media_type: str, media: Mapping[str, Any]) -> str | None:
        """The format of a stream of this media type; `None` where it is no stream's."""
        if (found := format_of(media_type)) is not None and found is not FORMATS["lines"]:
            return next(name for name, each in FORMATS.items() if each is found)
        if "itemSchema" not in media:
            return None
        return "json" if media_type.partition(";")[0].strip().endswith("json") else None

    def answer(self, media_type: str, media: Mapping[str, Any], place: Place, hint: str) -> StreamAnswer:
        """The stream that a media type object describes."""
        keyword = "itemSchema" if "itemSchema" in media else "schema"
        schema, where = media.get(keyword), (*place, keyword)
        stream_format = self.format_of(media_type, media)
        if "itemSchema" in media and "schema" in media:
            self._document.find((*place, "schema"), "describes the whole of a stream; itemSchema describes its items")
        if stream_format == "sse":
            answer = self._events(schema, where, hint, is_item=keyword == "itemSchema")
        else:
            answer = self.texts(schema, where, hint)
            answer.options["stream_format"] = repr(stream_format)
        value, _ = self._schemas.resolved(schema, where)
        sentinel = media.get("x-speakeasy-sse-sentinel", value.get("x-speakeasy-sse-sentinel"))
        if isinstance(sentinel, str):
            answer.options["until"] = repr(sentinel)
        return answer

    def texts(self, schema: Any, place: Place, hint: str) -> StreamAnswer:
        """A stream of JSON texts, each of this schema, or the elements of an array of it."""
        value, where = self._schemas.resolved(schema, place)
        if value.get("type") == "array" and place[-1] == "schema" and "items" in value:
            schema, place = value["items"], (*where, "items")
        return StreamAnswer(self._item(schema, place, hint))

    def _item(self, schema: Any, place: Place, hint: str) -> str:
        """The annotation of an item: a union of models stays open to those that the document does not know."""
        if not schema or schema is True:
            return "Any"
        found = self._schemas.discriminator(schema, place)
        if found is None:
            return self._schemas.of_json(schema, place, hint)
        property_, tags = found
        value, _ = self._schemas.resolved(schema, place)
        if "discriminator" not in value:
            schema, _ = self._document.resolved(schema, place)
            schema = {**schema, "discriminator": {"propertyName": property_}}
        of = self._schemas.named(schema, place, hint)
        if of not in self.unions:
            taken = {*self._schemas.taken, *(each.name for each in self.unions.values())}
            self.unions[of] = open_union(of, property_, tuple(tags), taken)
        has_none = any(
            self._schemas.resolved(*each)[0].get("type") == "null" for each in self._schemas.alternatives(schema, place)
        )
        return optional(self.unions[of].name) if has_none else self.unions[of].name

    def _events(self, schema: Any, place: Place, hint: str, *, is_item: bool) -> StreamAnswer:
        if not schema or schema is True:
            return StreamAnswer(_NOT_JSON)
        value, where = self._schemas.resolved(schema, place)
        if value.get("type") == "array" and not is_item and "items" in value:
            schema, place = value["items"], (*where, "items")
        members = self._schemas.alternatives(schema, place)
        events = [self._event(*each) for each in members]
        if None in events:  # it is the data that is described
            return self._data(schema, place, hint)
        return self._told_apart([each for each in events if each is not None], hint)

    def _event(self, schema: Any, place: Place) -> _Event | None:
        members = self._schemas.members(schema, place)
        if not members or not members.keys() <= _FIELDS or not members.keys() & {"data", "event"}:
            return None
        names = tuple(self._schemas.texts(*members["event"])) if "event" in members else ()
        keeps_fields = bool(self._schemas.required(schema, place) & {"event", "id"}) and not names
        if "data" not in members:
            return _Event(names, None, place, is_json=False, keeps_fields=keeps_fields)
        data, where = members["data"]
        value, _ = self._schemas.resolved(data, where)
        content = value.get("contentSchema")
        if content is not None:
            return _Event(names, content, (*where, "contentSchema"), is_json=True, keeps_fields=keeps_fields)
        is_json = value.get("type") != "string" or "json" in str(value.get("contentMediaType", ""))
        is_text_alone = not value or "const" in value or "enum" in value
        if is_json and value.get("type") == "string":
            return _Event(names, True, where, is_json=True, keeps_fields=keeps_fields)
        return _Event(names, data, where, is_json=is_json and not is_text_alone, keeps_fields=keeps_fields)

    def _data(self, schema: Any, place: Place, hint: str) -> StreamAnswer:
        """A stream whose document describes the data of its events."""
        value, _ = self._schemas.resolved(schema, place)
        if value.get("type") == "string" and not {"enum", "const"} & value.keys():
            return StreamAnswer(_NOT_JSON)
        ends: list[str] = []
        members = self._schemas.alternatives(schema, place)
        kept = []
        for each in members:
            constant = self._schemas.constant(*each)
            if isinstance(constant, str) and self._schemas.resolved(*each)[0].get("type", "string") == "string":
                ends.append(constant)  # text that is no JSON, [DONE] for one
            else:
                kept.append(each)
        if ends and kept:
            schema, place = {"oneOf": [each for each, _ in kept]} if len(kept) > 1 else kept[0][0], kept[0][1]
        answer = StreamAnswer(self._item(schema, place, hint))
        if ends and kept:
            answer.options["until"] = repr(ends[0])
        elif {"choices", "object"} <= self._schemas.members(schema, place).keys():
            answer.options["until"] = repr("[DONE]")  # which OpenAI's documents do not say of their chunks
        return answer

    def _told_apart(self, events: list[_Event], hint: str) -> StreamAnswer:
        ends = [each for each in events if self._end_of(each) is not None]
        options = {"until": repr(self._end_of(ends[0]))} if ends else {}
        events = [each for each in events if each not in ends] or events
        if len(events) == 1 and not events[0].names:
            event = events[0]
            if not event.is_json:
                return StreamAnswer(_NOT_JSON, options)
            answer = StreamAnswer(self._item(event.data, event.place, hint))
            if event.keeps_fields:
                answer.item = f"api.ServerSentEvent[{answer.item}]"
            answer.options |= options
            return answer
        if all(not each.names and each.is_json for each in events):
            answer = StreamAnswer(self._item({"oneOf": [each.data for each in events]}, events[0].place, hint))
            answer.options |= options
            return answer
        return self._by_name(events, options, hint)

    def _by_name(self, events: list[_Event], options: dict[str, str], hint: str) -> StreamAnswer:
        """Events that their names tell apart, those of names that the document does not know as text."""
        types: dict[str, str] = {}
        for event in events:
            names = event.names or ("message",)
            data = self._item(event.data, event.place, f"{hint}_{names[0]}") if event.is_json else "str"
            types |= dict.fromkeys(names, "None" if event.data is None else data)
        types.setdefault("*", "str")
        items = [each for each in types.values() if each != "None"]
        union = " | ".join(dict.fromkeys(items))
        known = [each for name, each in types.items() if each != "None" and name != "*"]
        # Where the type does not tell the name, the name must be kept.
        item = union if len(set(known)) == len(known) and "str" not in known else f"api.ServerSentEvent[{union}]"
        event_map = ", ".join(f"{name!r}: {each}" for name, each in types.items())
        return StreamAnswer(item, {**options, "event_map": f"{{{event_map}}}"})

    def _end_of(self, event: _Event) -> str | None:
        """The data that ends the stream: a constant that is no JSON."""
        if event.is_json or event.data is None:
            return None
        constant = self._schemas.constant(event.data, event.place)
        return constant if isinstance(constant, str) and constant[:1] == "[" else None
