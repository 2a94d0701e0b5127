"""The operations of a document as the functions that are written for them: what each is called, takes and returns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..headers import is_token
from .document import Document, DocumentError, Place, pointer
from .names import class_name, function_name, operation_name, parameter_name, streaming_name, unique
from .overlay import Overlay
from .schemas import Schemas, optional
from .streams import StreamAnswer, Streams

REQUIRED = object()  # the default of a parameter that has none

_IGNORED_HEADERS = ("accept", "content-type", "authorization")  # OpenAPI, "Parameter Object"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MARKERS = {"path": "Path", "query": "Query", "header": "Header", "cookie": "Cookie"}
_JOINED = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
_STREAM_OPTIONS = (
    "stream_format",
    "until",
    "include_end",
    "reconnect",
    "idle_timeout",
    "max_event_size",
    "on_invalid",
)
_FILE_TYPE = "UploadFile"
_ITEMS_WITHOUT_TYPE = {"sse": "api.ServerSentEvent", "lines": "str", "bytes": "bytes"}
_ENDS_OF_TEXTS = ("+xml", "/xml", "/sdp", "/x-www-form-urlencoded")
_BYTES = "bytes | BinaryIO"
_ERRORS = {"default": "range(400, 600)", "4XX": "range(400, 500)", "5XX": "range(500, 600)"}
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


@dataclass(slots=True)
class _Answer:
    """What an operation answers: a complete result, a stream, or either."""

    result: str | None
    stream: StreamAnswer | None
    by_status: dict[str, str]  # the statuses as they are written, and the types of their answers
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Flag:
    """What makes an operation stream: a member of the body, a field of the form or a parameter, and its two values."""

    name: str
    streamed: Any
    complete: Any


class Operations:
    """Reads the operations of a document, in its order."""

    def __init__(self, document: Document, schemas: Schemas, streams: Streams, overlay: Overlay) -> None:
        self._document = document
        self._schemas = schemas
        self._streams = streams
        self._overlay = overlay
        self._names: set[str] = set()
        self.aliases: dict[str, str] = {}  # names of fields in Python, of models that deepObject parameters become

    def functions(self, *, both_sides: bool) -> Iterator[Function]:
        """The functions; names leave room for `_sync` behind them if both sides are written."""
        every = list(self._document.operations())
        known = {f"{method} {path}" for method, path, *_ in every}
        self._overlay.check_used("operations", known | {str(each.get("operationId")) for _, _, each, *_ in every})
        for method, path, operation, item, place in every:
            yield from self._of(method, path, operation, item, place, both_sides=both_sides)
        for name in ("webhooks",):
            if self._document.root.get(name):
                self._document.find((name,), "the API calls this; a client has no counterpart")

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
        answer = self._answer(operation, place, hint, said)
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
            flag = self._flag(operation, item, place, said) if is_either else None
            parameters, written = self._parameters(path, operation, item, place, hint, flag, said, is_stream=is_stream)
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

    def _put_answer(self, function: Function, answer: _Answer, said: Mapping[str, Any]) -> None:
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
        ranges = {
            each: statuses[each] for each in sorted(statuses, key=_ERRORS["default"].__ne__) if not each.isdigit()
        }
        exact = {status: type_ for status, type_ in statuses.items() if status.isdigit()}
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

    # Answers

    def _answer(self, operation: Mapping[str, Any], place: Place, hint: str, said: Mapping[str, Any]) -> _Answer:
        responses = operation.get("responses")
        responses = {str(key): each for key, each in responses.items()} if isinstance(responses, Mapping) else {}
        statuses = [each for each in responses if not each.startswith("x-")]
        successes = [each for each in statuses if each[:1] == "2"]
        if not successes and "default" in responses:
            successes = ["default"]
        types: dict[str, str] = {}
        stream: StreamAnswer | None = None
        for status in successes:
            response, where = self._document.resolved(responses[status], (*place, "responses", status))
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
            spelled = [each for each in types if each.isdigit()]
            content = [each for each in spelled if types[each] != "None"]
            if len({types[each] for each in content}) > 1 or len(spelled) < len(types):
                by_status = {each: types[each] for each in spelled}
        result = _union_of(types.values()) if types else None
        return _Answer(result, stream, by_status, errors)

    def _by_extension(
        self,
        operation: Mapping[str, Any],
        place: Place,
        hint: str,
        stream: StreamAnswer | None,
        types: dict[str, str],
    ) -> tuple[StreamAnswer | None, dict[str, str]]:
        """What `x-fern-streaming` and `x-streaming` say beside, or in place of, a media type."""
        said = operation.get("x-fern-streaming", operation.get("x-streaming"))
        if not said or (stream is not None and not isinstance(said, Mapping)):
            return stream, types
        key = "x-fern-streaming" if "x-fern-streaming" in operation else "x-streaming"
        details: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        if stream is None:
            schema: Any = details.get("response-stream")
            where: Place = (*place, key, "response-stream")
            if schema is None:
                schema, where = self._json_of_success(operation, place)
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

    def _json_of_success(self, operation: Mapping[str, Any], place: Place) -> tuple[Any, Place]:
        for status, given in operation.get("responses", {}).items():
            response, where = self._document.resolved(given, (*place, "responses", str(status)))
            for media_type, media in (response.get("content") or {}).items():
                if str(status)[:1] in ("2", "d") and _is_json(media_type):
                    return media.get("schema"), (*where, "content", media_type, "schema")
        return None, place

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
            media, where = self._document.resolved(given, (*place, "content", media_type))
            media = media if isinstance(media, Mapping) else {}
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
        best = self._chosen([each for each, _ in complete], said.get("answer"), place)
        for media_type, type_ in complete:
            if type_ != dict(complete)[best]:
                cure = f"to read this one, say answer = {media_type!r} in {self._overlay.name}"
                self._document.find(
                    (*place, "content", media_type), f"is left out: the answer is read as {best}; {cure}"
                )
        return dict(complete)[best], stream

    def _chosen(self, media_types: Iterable[str], wanted: str | None, place: Place) -> str:
        """The media type that is used: what the overlay says, JSON otherwise."""
        if wanted is not None and wanted not in media_types:
            has = ", ".join(media_types)
            raise DocumentError(f"{self._overlay.name}: {pointer(place)} has {has}, and not {wanted!r}")
        return wanted or min(media_types, key=_preference)

    def _content(self, media_type: str, media: Mapping[str, Any], place: Place, hint: str) -> str:
        """The annotation of a complete body of this media type."""
        if _is_json(media_type):
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
            response, where = self._document.resolved(given, (*place, "responses", status))
            if not (key in _ERRORS or (key.isdigit() and 300 <= int(key) <= 599)):
                self._document.find(where, f"{status!r} is no status of an answer that a client sees")
                continue
            content = response.get("content")
            for media_type, media in content.items() if isinstance(content, Mapping) else ():
                if not _is_json(media_type) or not isinstance(media, Mapping) or not media.get("schema"):
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

    # What is sent

    def _parameters(
        self,
        path: str,
        operation: Mapping[str, Any],
        item: Mapping[str, Any],
        place: Place,
        hint: str,
        flag: _Flag | None,
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
        return found, written

    def _declared(
        self, operation: Mapping[str, Any], item: Mapping[str, Any], place: Place
    ) -> Iterator[tuple[Mapping[str, Any], Place]]:
        """The parameters of an operation, and those of its path that it does not say otherwise."""
        seen: dict[tuple[str, str], tuple[Mapping[str, Any], Place]] = {}
        for holder, where in ((item, place[:-1]), (operation, place)):
            for number, given in enumerate(holder.get("parameters") or ()):
                value, inner = self._document.resolved(given, (*where, "parameters", str(number)))
                if isinstance(value, Mapping) and value.get("name"):
                    seen[str(value.get("in")), str(value["name"])] = (value, inner)
                else:
                    self._document.find(inner, "is no parameter; it is left out")
        yield from seen.values()

    def _parameter(self, given: Mapping[str, Any], place: Place, name: str, hint: str) -> Parameter:
        raw, location = str(given["name"]), str(given["in"])
        schema, where = given.get("schema"), (*place, "schema")
        is_json = False
        if schema is None and isinstance(content := given.get("content"), Mapping) and content:
            media_type, media = next(iter(content.items()))
            schema, where = media.get("schema"), (*place, "content", media_type, "schema")
            is_json = _is_json(media_type)
            if not is_json:
                self._document.find((*place, "content", media_type), "is sent as text")
        required = given.get("required") is True or location == "path"
        value, _ = self._schemas.resolved(schema, where)
        own_hint = f"{hint}{class_name(raw)}"
        markers: list[str] = []
        is_named = raw != name and location != "path"  # whose placeholder is named as the parameter
        alias = repr(raw) if is_named or location == "header" else ""
        if is_json:
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
        flag: _Flag | None,
        said: Mapping[str, Any],
        *,
        is_stream: bool,
    ) -> list[Parameter]:
        body, where = self._document.resolved(operation.get("requestBody"), (*place, "requestBody"))
        content = body.get("content") if isinstance(body, Mapping) else None
        if not isinstance(content, Mapping) or not content:
            return []
        chosen = self._chosen(content, said.get("body"), where)
        for media_type in content:
            if media_type != chosen:
                cure = f"to send this one, say body = {media_type!r} in {self._overlay.name}"
                self._document.find(
                    (*where, "content", media_type), f"is left out: the body is sent as {chosen}; {cure}"
                )
        media, inner = self._document.resolved(content[chosen], (*where, "content", chosen))
        media = media if isinstance(media, Mapping) else {}
        schema, inner = media.get("schema"), (*inner, "schema")
        plain = chosen.partition(";")[0].strip().lower()
        doc = str(body.get("description") or "").strip()
        if plain in ("multipart/form-data", "application/x-www-form-urlencoded"):
            return list(self._form(media, schema, inner, hint, taken, flag, plain, is_stream=is_stream))
        name = unique("data", taken)
        markers = [] if name == "data" else ["api.Body()"]
        if _is_json(plain):
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
        is_raw_json = annotation.partition(" | ")[0] == "str" and _is_json(plain)
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
        flag: _Flag | None,
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

    def _flag(
        self, operation: Mapping[str, Any], item: Mapping[str, Any], place: Place, said: Mapping[str, Any]
    ) -> _Flag | None:
        """What makes the operation stream: `stream`, or a `stream_format` that may be `"sse"`."""
        fern = operation.get("x-fern-streaming")
        condition = str(fern.get("stream-condition", "")) if isinstance(fern, Mapping) else ""
        wanted = condition.rpartition(".")[2] or "stream"
        candidates: dict[str, tuple[Any, Place]] = {}
        for given, where in self._declared(operation, item, place):
            candidates[str(given["name"])] = (given.get("schema"), (*where, "schema"))
        body, where = self._document.resolved(operation.get("requestBody"), (*place, "requestBody"))
        content = body.get("content") if isinstance(body, Mapping) else None
        if isinstance(content, Mapping) and content:
            chosen = self._chosen(content, said.get("body"), where)
            candidates |= self._schemas.members(content[chosen].get("schema"), (*where, "content", chosen, "schema"))
        if wanted in candidates:
            return _Flag(wanted, streamed=True, complete=False)
        if "stream_format" in candidates:
            value, _ = self._schemas.resolved(*candidates["stream_format"])
            values = [each for each in value.get("enum") or () if isinstance(each, str)]
            if "sse" in values and len(values) > 1:
                return _Flag("stream_format", "sse", next(each for each in values if each != "sse"))
        return None

    def _fix(self, parameter: Parameter, flag: _Flag, *, is_stream: bool) -> None:
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


def _first_segment(path: str) -> str:
    """What files an operation that has no tag: the first part of its path that is no placeholder, and no version."""
    parts = [part.partition("?")[0] for part in path.split("/") if part and "{" not in part]
    return next((part for part in parts if not re.fullmatch(r"v\d+|api", part)), "")


def _is_json(media_type: str) -> bool:
    plain = media_type.partition(";")[0].strip().lower()
    return plain.endswith(("/json", "+json")) or plain == "application/*"


def _preference(media_type: str) -> int:
    plain = media_type.partition(";")[0].strip().lower()
    order = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")
    if plain in order:
        return order.index(plain)
    if _is_json(plain):
        return 3
    return 5 if plain.startswith("text/") else 4


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


def _union_of(annotations: Any) -> str:
    result = ""
    for each in annotations:
        result = each if not result else _joined(result, each)
    return result


def _joined(left: str, right: str) -> str:
    parts = dict.fromkeys([*left.split(" | "), *right.split(" | ")]) if "[" not in left + right else {left: 0, right: 0}
    return " | ".join([*(each for each in parts if each != "None"), *(["None"] if "None" in parts else [])])
