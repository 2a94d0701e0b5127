"""What an operation takes: parameters in all places and styles, bodies, and forms, as parameters of a function."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..headers import is_token
from .document import Document, Place
from .media_types import chosen_media_type, is_json
from .names import class_name, parameter_name, unique
from .overlay import Overlay
from .schemas import Schemas, listed, optional

REQUIRED = object()  # the default of a parameter that has none

_IGNORED_HEADERS = ("accept", "content-type", "authorization")  # OpenAPI, "Parameter Object"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_MARKERS = {"path": "Path", "query": "Query", "header": "Header", "cookie": "Cookie"}
_JOINED = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
_FILE_TYPE = "UploadFile"
_BYTES = "bytes | BinaryIO"
_NOTED = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "matching `{}`",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


@dataclass(slots=True)
class Parameter:
    """A parameter of a function.

    Attributes:
        name: Its name.
        annotation: Its annotation.
        default: Its default, as it is written; `REQUIRED` without one.
        doc: What it is.
        is_positional: Whether it may be given by its position: what fills the path, and the body.
    """

    name: str
    annotation: str
    default: Any = REQUIRED
    doc: str = ""
    is_positional: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """What makes an operation stream: a member of the body, a field of the form or a parameter, and its two values."""

    name: str
    streamed: Any
    complete: Any


class Parameters:
    """Reads what operations take."""

    def __init__(self, document: Document, schemas: Schemas, overlay: Overlay) -> None:
        self._document = document
        self._schemas = schemas
        self._overlay = overlay
        self.aliases: dict[str, str] = {}
        """Names of fields in Python, of models that deepObject parameters become."""

    def of(
        self,
        path: str,
        operation: Mapping[str, Any],
        item: Mapping[str, Any],
        place: Place,
        hint: str,
        flag: Flag | None,
        said: Mapping[str, Any],
        *,
        is_stream: bool,
    ) -> tuple[list[Parameter], str]:
        """The parameters, and the path with its placeholders named as they are."""
        taken: set[str] = set()
        fills: dict[str, str] = {}
        found: list[Parameter] = []
        for given, where in self._declared(operation, item, place):
            raw, location = str(given.get("name")), str(given.get("in"))
            if location == "header" and raw.lower() in _IGNORED_HEADERS:
                continue
            if location in ("header", "cookie") and not is_token(raw):
                self._document.find(where, f"{raw!r} cannot be the name of a {location}; it is left out")
                continue
            if location not in _MARKERS:
                self._document.find(where, f"a parameter in {location!r} has no counterpart; it is left out")
                continue
            name = unique(parameter_name(raw), taken)
            if location == "path":
                if f"{{{raw}}}" not in path:
                    self._document.find(where, f"the path has no {{{raw}}}; the parameter is left out")
                    continue
                fills[raw] = name
            parameter = self._parameter(given, where, name, hint)
            if flag is not None and raw == flag.name:
                self._fix(parameter, flag, is_stream=is_stream)
            taken.add(name)
            found.append(parameter)
        for raw in _PLACEHOLDER.findall(path):
            if raw not in fills:
                self._document.find(place, f"no parameter describes {{{raw}}} of the path; it is text")
                fills[raw] = unique(parameter_name(raw), taken)
                taken.add(fills[raw])
                found.append(Parameter(fills[raw], "str", is_positional=True))
        found += self._body(operation, place, hint, taken, flag, said, is_stream=is_stream)
        written = _PLACEHOLDER.sub(lambda match: f"{{{fills[match[1]]}}}", path).partition("#")[0]
        written = _UNPRINTABLE.sub(lambda match: quote(match[0]), written)
        return found, written

    def _declared(
        self, operation: Mapping[str, Any], item: Mapping[str, Any], place: Place
    ) -> Iterator[tuple[Mapping[str, Any], Place]]:
        """The parameters of an operation, and those of its path that it does not say otherwise."""
        seen: dict[tuple[str, str], tuple[Mapping[str, Any], Place]] = {}
        for holder, where in ((item, place[:-1]), (operation, place)):
            for number, given in enumerate(listed(holder.get("parameters"))):
                value, inner = self._document.object(given, (*where, "parameters", str(number)))
                if value.get("name"):
                    seen[str(value.get("in")), str(value["name"])] = (value, inner)
                else:
                    self._document.find(inner, "is no parameter; it is left out")
        yield from seen.values()

    def _parameter(self, given: Mapping[str, Any], place: Place, name: str, hint: str) -> Parameter:
        raw, location = str(given["name"]), str(given["in"])
        schema, where = given.get("schema"), (*place, "schema")
        is_written_as_json = False
        if schema is None and isinstance(content := given.get("content"), Mapping) and content:
            media_type, media = next(iter(content.items()))
            schema, where = media.get("schema"), (*place, "content", media_type, "schema")
            is_written_as_json = is_json(media_type)
            if not is_written_as_json:
                self._document.find((*place, "content", media_type), "is sent as text")
        required = given.get("required") is True or location == "path"
        value, _ = self._schemas.resolved(schema, where)
        own_hint = f"{hint}{class_name(raw)}"
        markers: list[str] = []
        is_named = raw != name and location != "path"  # whose placeholder is named as the parameter
        alias = repr(raw) if is_named or location == "header" else ""
        if is_written_as_json:
            annotation = self._schemas.type_of(schema, where, own_hint)
            markers.append("as_json()")
        else:
            annotation, added, alias = self._styled(given, schema, where, alias, own_hint)
            markers += added
        if location == "header" and raw.lower() == "last-event-id":
            required = False
            annotation = "str" if annotation in ("str", "str | None") else "int | str"
        default: Any = _default(value, annotation)
        if default == "None" and required:
            default = REQUIRED
        elif default == "None":
            annotation = optional(annotation)
        marker = f"api.{_MARKERS[location]}({alias})"
        if "api.Query()" not in markers and (
            location in ("header", "cookie") or alias or name in ("data", "query", "headers")
        ):
            markers.append(marker)
        if markers:
            annotation = f"Annotated[{', '.join([annotation, *markers])}]"
        doc = _parameter_doc(given, value)
        if location == "header" and raw.lower() == "last-event-id":
            doc = doc or "The id of the event to go on after: `last_event_id` of a stream that was cut short."
        return Parameter(name, annotation, default, doc, is_positional=location == "path")

    def _styled(
        self,
        given: Mapping[str, Any],
        schema: Any,
        where: Place,
        alias: str,
        hint: str,
    ) -> tuple[str, list[str], str]:
        """The annotation, markers and alias of a parameter that is written in a style."""
        location, place = str(given["in"]), where[:-1]
        style = given.get("style") or ("form" if location in ("query", "cookie") else "simple")
        explode = given.get("explode", style in ("form", "deepObject"))
        core, inner = self._schemas.without_null(schema, where)
        whole, whole_place = schema, where
        schema, _ = self._schemas.resolved(core, inner)
        is_array = schema.get("type") in ("array", ["array", "null"]) or "items" in schema
        is_object = bool(self._schemas.members(core, inner)) or schema.get("type") in ("object", ["object", "null"])
        if location == "query" and (style == "deepObject" or (style == "form" and explode and is_object)):
            return self._object(core, inner, str(given["name"]) if style == "deepObject" else "", hint)
        annotation = self._schemas.type_of(whole, whole_place, hint) if whole else "str"
        if not is_object and whole and not self._schemas.is_single(whole, whole_place):
            self._document.find(where, f"what may be an object has no counterpart in a {location}; pass it as text")
            return "str", [], alias
        if not is_array and not is_object:
            if style not in _JOINED and style != "deepObject":
                self._document.find(
                    (*place, "style"), f"the style {style!r} has no counterpart: the value is sent plain"
                )
            return annotation, [], alias
        if is_object:
            self._document.find(
                (*place, "style"), f"an object in the style {style!r} has no counterpart; pass it as text"
            )
            return "str", [], alias
        if style not in _JOINED:
            self._document.find((*place, "style"), f"the style {style!r} has no counterpart: commas join the values")
        if location == "query" and explode:
            return annotation, [], alias
        return annotation, [f"joined({_JOINED.get(style, ',')!r})"], alias

    def _object(self, schema: Any, place: Place, name: str, hint: str) -> tuple[str, list[str], str]:
        """An object whose members are query parameters: `a=x` in the style `form`, `name[a]=x` as a deepObject."""
        members = self._schemas.members(schema, place)
        if not members:
            value, where = self._schemas.resolved(schema, place)
            values = value.get("additionalProperties")
            inner = self._schemas.type_of(values, (*where, "additionalProperties"), hint) if values else "str"
            inner = "str" if inner == "Any" else inner
            return f"dict[{f'Annotated[str, under({name!r})]' if name else 'str'}, {inner}]", ["api.Query()"], ""
        if not name:
            return self._schemas.type_of(schema, place, hint), ["api.Query()"], ""
        properties: dict[str, Any] = {}
        aliases: dict[str, str] = {}
        for member, each in members.items():
            value, _ = self._schemas.resolved(*self._schemas.without_null(*each))
            if value.get("properties") or value.get("type") == "object":
                self._document.find(each[1], "an object within a deepObject has no counterpart; it is left out")
                continue
            properties[f"{name}[{member}]"] = self._schemas.normalised(*each)
            aliases[f"{name}[{member}]"] = parameter_name(member)
        required = [each for each in properties if each[len(name) + 1 : -1] in self._schemas.required(schema, place)]
        made = self._schemas.hoisted({"type": "object", "properties": properties, "required": required}, hint)
        self.aliases |= {f"{made}.{written}": each for written, each in aliases.items()}
        return made, ["api.Query()"], ""

    def _body(
        self,
        operation: Mapping[str, Any],
        place: Place,
        hint: str,
        taken: set[str],
        flag: Flag | None,
        said: Mapping[str, Any],
        *,
        is_stream: bool,
    ) -> list[Parameter]:
        body, where = self._document.object(operation.get("requestBody"), (*place, "requestBody"))
        content = body.get("content")
        if not isinstance(content, Mapping) or not content:
            return []
        chosen = chosen_media_type(content, said.get("body"), where, self._overlay)
        for media_type in content:
            if media_type != chosen:
                cure = f"to send this one, say body = {media_type!r} in {self._overlay.name}"
                self._document.find(
                    (*where, "content", media_type), f"is left out: the body is sent as {chosen}; {cure}"
                )
        media, inner = self._document.object(content[chosen], (*where, "content", chosen))
        schema, inner = media.get("schema"), (*inner, "schema")
        plain = chosen.partition(";")[0].strip().lower()
        doc = str(body.get("description") or "").strip()
        if plain in ("multipart/form-data", "application/x-www-form-urlencoded"):
            return list(self._form(media, schema, inner, hint, taken, flag, plain, is_stream=is_stream))
        name = unique("data", taken)
        markers = [] if name == "data" else ["api.Body()"]
        if is_json(plain):
            annotation = self._schemas.type_of(schema, inner, f"{hint}Request") if schema else "Any"
            if flag is not None and flag.name in self._schemas.members(schema, inner):
                value = flag.streamed if is_stream else flag.complete
                markers.insert(0, f"sending({flag.name}={value!r})")
        else:
            annotation = "str" if plain.startswith("text/") else _BYTES
        required = body.get("required") is True
        default: Any = REQUIRED if required else "None"
        annotation = annotation if required else optional(annotation)
        if markers:
            annotation = f"Annotated[{', '.join([annotation, *markers])}]"
        found = [Parameter(name, annotation, default, doc, is_positional=required)]
        is_raw_json = annotation.partition(" | ")[0] == "str" and is_json(plain)
        if is_raw_json:
            self._document.find(inner, "a body that is a text in JSON is sent as it is given: with its quotes")
        if is_raw_json or plain not in ("application/json", "*/*", "application/*"):
            header = unique("content_type", taken)
            taken.add(header)
            found.append(
                Parameter(header, "Annotated[str, api.Header('Content-Type')]", repr(chosen), "What the body is.")
            )
        return found

    def _form(
        self,
        media: Mapping[str, Any],
        schema: Any,
        place: Place,
        hint: str,
        taken: set[str],
        flag: Flag | None,
        media_type: str,
        *,
        is_stream: bool,
    ) -> Iterator[Parameter]:
        """The fields of a form, a parameter each."""
        members = self._schemas.members(schema, place)
        if not members:
            self._document.find(place, "a form that names no fields takes a mapping")
            yield Parameter(unique("data", taken), "Annotated[dict[str, str], api.Form()]", is_positional=True)
            return
        required = self._schemas.required(schema, place)
        encodings = media.get("encoding")
        if media_type == "multipart/form-data" and not any(map(self._is_file, members.values())):
            self._document.find(place, "a form without files is sent as application/x-www-form-urlencoded")
        for raw, member in members.items():
            value, _ = self._schemas.resolved(*member)
            encoding = encodings.get(raw, {}) if isinstance(encodings, Mapping) else {}
            for keyword in encoding if isinstance(encoding, Mapping) else ():
                if keyword not in ("contentType", "style", "explode"):
                    self._document.find((*place[:-1], "encoding", raw, keyword), "has no counterpart")
            name = unique(parameter_name(raw), taken)
            taken.add(name)
            alias = repr(raw) if raw != name else ""
            default: Any = REQUIRED
            if self._is_file(member):
                one, several = _FILE_TYPE, f"list[{_FILE_TYPE}]"
                kinds = [
                    several if "items" in each else one for each in self._kinds(member) if each.get("type") != "null"
                ]
                annotation, marker = " | ".join(dict.fromkeys(kinds)), f"api.File({alias})"
            else:
                annotation = self._schemas.type_of(*member, f"{hint}{class_name(raw)}")
                marker = f"api.Form({alias})"
                if any(map(self._is_structured, self._kinds(member))):
                    marker = f"as_json(), {marker}"
            if raw not in required:
                default = _default(value, annotation)
                annotation = optional(annotation) if default == "None" else annotation
            parameter = Parameter(name, f"Annotated[{annotation}, {marker}]", default, _parameter_doc(value, value))
            if flag is not None and raw == flag.name:
                self._fix(parameter, flag, is_stream=is_stream)
            yield parameter

    def _kinds(self, schema: tuple[Any, Place]) -> list[Mapping[str, Any]]:
        """What a field may be: itself, or the members of a union."""
        return [self._schemas.resolved(*each)[0] for each in self._schemas.alternatives(*schema)]

    def _items(self, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What is in an array, and the schema itself."""
        return [schema, *(self._kinds((schema["items"], ())) if "items" in schema else ())]

    def _is_file(self, schema: tuple[Any, Place]) -> bool:
        return any(_is_binary(each) for kind in self._kinds(schema) for each in self._items(kind))

    def _is_structured(self, schema: Mapping[str, Any]) -> bool:
        """Whether it has members, or its items have, and so is JSON in a field of a form."""
        return any(each.get("type") == "object" or self._schemas.members(each, ()) for each in self._items(schema))

    def flag(
        self, operation: Mapping[str, Any], item: Mapping[str, Any], place: Place, said: Mapping[str, Any]
    ) -> Flag | None:
        """What makes the operation stream: `stream`, or a `stream_format` that may be `"sse"`."""
        fern = operation.get("x-fern-streaming")
        condition = str(fern.get("stream-condition", "")) if isinstance(fern, Mapping) else ""
        wanted = condition.rpartition(".")[2] or "stream"
        candidates: dict[str, tuple[Any, Place]] = {}
        for given, where in self._declared(operation, item, place):
            candidates[str(given["name"])] = (given.get("schema"), (*where, "schema"))
        body, where = self._document.object(operation.get("requestBody"), (*place, "requestBody"))
        content = body.get("content")
        if isinstance(content, Mapping) and content:
            chosen = chosen_media_type(content, said.get("body"), where, self._overlay)
            media, where = self._document.object(content[chosen], (*where, "content", chosen))
            candidates |= self._schemas.members(media.get("schema"), (*where, "schema"))
        if wanted in candidates:
            return Flag(wanted, streamed=True, complete=False)
        if "stream_format" in candidates:
            value, _ = self._schemas.resolved(*candidates["stream_format"])
            values = [each for each in value.get("enum") or () if isinstance(each, str)]
            if "sse" in values and len(values) > 1:
                return Flag("stream_format", "sse", next(each for each in values if each != "sse"))
        return None

    def _fix(self, parameter: Parameter, flag: Flag, *, is_stream: bool) -> None:
        """Give a field or parameter the value that the function is for, and no other."""
        value = flag.streamed if is_stream else flag.complete
        marker = re.search(r", (api\.\w+\([^)]*\))\]$", parameter.annotation)
        literal = f"Literal[{value!r}]"
        parameter.annotation = f"Annotated[{literal}, {marker[1]}]" if marker else literal
        parameter.default = repr(value)


def _parameter_doc(given: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    text = str(given.get("description") or schema.get("description") or "").strip()
    bounds = [note.format(schema[key]) for key, note in _NOTED.items() if key in schema]
    if given.get("deprecated") is True:
        bounds.insert(0, "deprecated")
    noted = f"{', '.join(bounds)}." if bounds else ""
    return f"{text} ({noted.rstrip('.')})" if text and noted else text or noted[:1].upper() + noted[1:]


def _is_binary(schema: Mapping[str, Any]) -> bool:
    """Whether a field of a form is a file: `format: binary` (3.0), or a media type of its own (3.1)."""
    is_text = schema.get("type") in ("string", ["string", "null"])
    return (is_text and schema.get("format") == "binary") or (
        "contentMediaType" in schema and "contentSchema" not in schema and "json" not in str(schema["contentMediaType"])
    )


def _default(schema: Mapping[str, Any], annotation: str) -> str:
    """The default of a parameter as it is written: what the document says, if the annotation takes it, else `None`."""
    value = schema.get("default")
    kinds: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}
    first = annotation.partition(" | ")[0]
    if first in kinds:
        fits = isinstance(value, kinds[first]) and isinstance(value, bool) == (first == "bool")
    else:
        fits = value is not None and value in (schema.get("enum") or ()) and isinstance(value, str | int)
    return repr(value) if fits else "None"
