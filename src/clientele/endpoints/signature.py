"""From a function's signature to its plan: everything that is known about an endpoint before a call.

The plan is made once, at decoration, and never changes. A wrong declaration raises a `TypeError` there, which names the
function, the parameter and the cure. One thing delays the plan to the first call: an annotation with a name that does
not exist yet.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import sys
import types
import typing
from collections import abc
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, NoReturn

import httpx2

from ..exceptions import type_name
from ..headers import is_token
from ..streaming.reconnect import Reconnect, Retry
from ..streaming.stream import AsyncStream, Stream
from ..validation import (
    accepts_none,
    base_type,
    class_of,
    field_names,
    is_subclass,
    is_written_as_object,
    members_of,
    metadata_of,
)
from .options import CLIENT_DEFAULT
from .request import UNSENDABLE, Parameter, PathTemplate, Place, RequestParts, build_parts, named, refuse_to_write
from .response import CompleteResult, StreamResult, declared_result
from .serializer import Serializer, is_sent_unwritten

if sys.version_info >= (3, 14):
    import annotationlib

    _signature = functools.partial(inspect.signature, annotation_format=annotationlib.Format.FORWARDREF)
else:
    _signature = inspect.signature

INJECTED = ("result", "response")  # what the library fills, never the caller
METHODS_WITHOUT_STREAM = ("HEAD", "OPTIONS")
SYNC_ITERATORS = (Iterator, Iterable, Generator, Stream)
ASYNC_ITERATORS = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator, AsyncStream)
_METHODS_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_BODIES = ("body", "body member")
_FORMS = ("form", "file")
_BYTES = (bytes, bytearray, memoryview)
_TOKENS = ("headers", "cookies")
_UNIQUE = ("path", "cookies", "body member")


@dataclass(frozen=True, slots=True)
class Marker:
    """The base of the markers. `alias` is the name that is sent; default: the parameter's name."""

    alias: str | None = None
    place: ClassVar[Place]

    def __post_init__(self) -> None:
        if self.alias is None:
            return
        shown = f"api.{type(self).__name__}({self.alias!r})"
        if not isinstance(self.alias, str):
            raise TypeError(f"{shown}: what is sent is named by a str")
        if not self.alias or (self.place in _TOKENS and not is_token(self.alias)):
            raise ValueError(f"{shown}: this name cannot be sent; write a token, as in api.Header('X-Request-Id')")


class Path(Marker):
    """The value of a placeholder in the path: `Annotated[int, api.Path("user_id")]`.

    Parameters:
        alias: The name of the placeholder. Default: that of the parameter.
    """

    place: ClassVar[Place] = "path"


class Query(Marker):
    """A query parameter: `Annotated[int, api.Query("pageSize")]`.

    `None` is left out, a list repeats the key; a model, dataclass or typed dict gives one for each of its fields.

    Parameters:
        alias: The name that is sent. Default: that of the parameter.
    """

    place: ClassVar[Place] = "query"


class Header(Marker):
    """A header: `Annotated[str, api.Header("X-Request-Id")]`.

    `None` is left out, a list repeats the header; a model, dataclass or typed dict gives one for each of its fields.

    Parameters:
        alias: The name of the header. Default: that of the parameter, with hyphens for underscores.
    """

    place: ClassVar[Place] = "headers"


class Cookie(Marker):
    """A cookie of this request, beside those of the client: `Annotated[str, api.Cookie("session")]`.

    A redirect does not take it along. `None` is left out; a model, dataclass or typed dict gives one for each of its
    fields.

    Parameters:
        alias: The name of the cookie. Default: that of the parameter.
    """

    place: ClassVar[Place] = "cookies"


@dataclass(frozen=True, slots=True)
class Body(Marker):
    """The body, or a member of the JSON object that is the body: `Annotated[User, api.Body()]`.

    Several bodies are members of one object. A member that is `None` is left out.

    Parameters:
        alias: The name of the member. Default: that of the parameter.
        embed: Whether a single body is a member, too. Default `False`; with an alias it always is.
        exclude_unset: Whether to leave out fields that were not set, as `PATCH` wants it. Default: the endpoint's.
        exclude_none: Whether to leave out fields that are `None`. Default: the endpoint's.
    """

    embed: bool = False
    exclude_unset: bool | None = None
    exclude_none: bool | None = None
    place: ClassVar[Place] = "body"


class Form(Marker):
    """A field of a form: `Annotated[str, api.Form("grant_type")]`.

    `None` is left out, a list repeats the field; a model, dataclass or typed dict gives one for each of its fields. The
    form is sent as `application/x-www-form-urlencoded`; beside a `File`, as `multipart/form-data`.

    Parameters:
        alias: The name of the field. Default: that of the parameter.
    """

    place: ClassVar[Place] = "form"


class File(Marker):
    """A file of a form, sent as `multipart/form-data`: `Annotated[pathlib.Path, api.File()]`.

    A file is bytes, a path, a binary file, an iterator of bytes, `(name, content)` or `(name, content, content type)`,
    or a list of these. It is read as it is sent. `None` is left out.

    Parameters:
        alias: The name of the field. Default: that of the parameter.
    """

    place: ClassVar[Place] = "file"


_MARKERS_BY_NAME: dict[str, type[Marker]] = {"data": Body, "query": Query, "headers": Header}


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is known before the arguments: what is sent where, and how the response is read."""

    name: str
    method: str
    path: PathTemplate
    parameters: Sequence[Parameter]
    result: CompleteResult | StreamResult
    timeout: httpx2.Timeout | None  # `None` for the client's
    idle_timeout: float | None
    reconnect: Reconnect | None
    retry: Retry | None
    constant: RequestParts | None  # what is always sent, if there are no parameters

    @classmethod
    def of(
        cls,
        name: str,
        method: str,
        path: PathTemplate,
        parameters: Sequence[Parameter],
        result: CompleteResult | StreamResult,
        options: Mapping[str, Any],
    ) -> Plan:
        """The plan for these options."""
        timeout = None if options["timeout"] is CLIENT_DEFAULT else httpx2.Timeout(options["timeout"])
        reconnect = Reconnect() if options["reconnect"] is True else options["reconnect"] or None
        retry = Retry() if options["retry"] is True else options["retry"] or None
        constant = None if parameters else build_parts(path, (), {})
        return cls(name, method, path, parameters, result, timeout, options["idle_timeout"], reconnect, retry, constant)


class UnresolvedAnnotation(TypeError):
    """An annotation names something that does not exist, or not yet."""


class Signature:
    """The signature of a function that was decorated in `frame`, and the plan that follows from it."""

    def __init__(
        self, function: Any, method: str, path: str, options: Mapping[str, Any], frame: types.FrameType | None
    ) -> None:
        if not inspect.isfunction(function):
            cure = "an endpoint's decorator goes directly on a def or async def, below @staticmethod or @classmethod"
            raise TypeError(f"{function!r} is not a function; {cure}")
        self._name = f"{function.__qualname__}()"
        try:
            self._path = PathTemplate(path)
        except ValueError as error:
            raise TypeError(f"{self._name}: {error}") from None
        self._function = inspect.unwrap(function)  # whose names its annotations mean, whoever has wrapped it
        body = self._function if _is_plain(function) else function  # a plain wrapper gives what is in it gives
        self.is_generator = inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body)
        self.is_async = inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body)
        self._method = method
        self._options = options
        signature = _signature(function)
        self._parameters = signature.parameters
        self.takes_response = "response" in self._parameters
        self.body = _taking_keywords(function, self._parameters)
        given = [each for name, each in self._parameters.items() if name not in INJECTED]
        self.as_called = signature.replace(parameters=given)
        for complaint in self._complaints():
            raise TypeError(f"{self._name}: {complaint}")
        self._plan: Plan | None = None
        self._returns: Any = Any  # what its body returns, as far as that is known
        self.may_return_none = True
        self._scopes = _enclosing_scopes(self._function, frame)
        with contextlib.suppress(UnresolvedAnnotation):  # the first call resolves it, or says what it cannot resolve
            self.plan()

    @property
    def annotations(self) -> dict[str, Any]:
        """The annotations of the function that can be resolved now, without injected parameters."""
        found = {name: each.annotation for name, each in self.as_called.parameters.items()}
        found["return"] = self.as_called.return_annotation
        return {name: each for name, each in found.items() if each is not inspect.Parameter.empty}

    def plan(self) -> Plan:
        """The plan: made at once if all annotations can be resolved, at the first call otherwise."""
        scopes = self._scopes  # looked up before the plan, which another thread may be making
        if self._plan is None:
            namespace = {name: value for scope in reversed(scopes) for name, value in scope.f_locals.items()}
            self._plan = self._make_plan(namespace)
            self._scopes = ()  # frames keep everything in them alive
        return self._plan

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Plan, RequestParts, dict[str, Any]]:
        """The plan, what is sent, and the value of each of the caller's parameters, defaults included."""
        plan = self._plan or self.plan()
        try:
            bound = self.as_called.bind(*args, **kwargs)
        except TypeError as error:
            parameters = self.as_called.replace(return_annotation=inspect.Signature.empty)
            raise TypeError(f"{self._name} {error}; its parameters are {parameters}") from None
        bound.apply_defaults()
        try:
            parts = plan.constant or build_parts(plan.path, plan.parameters, bound.arguments)
        except UNSENDABLE as error:
            raise named(error, self._name) from error.__cause__
        return plan, parts, bound.arguments

    def refuse_none(self) -> NoReturn:
        """Raise for a body that returned `None` where its annotation says otherwise."""
        is_silent = self._returns is inspect.Signature.empty
        promise = "returned None" + ("" if is_silent else f", and its annotation says {type_name(self._returns)}")
        raise TypeError(f"{self._name} {promise}; end its body with 'return result', or annotate it as -> None")

    def refuse_coroutine(self, coroutine: types.CoroutineType[Any, Any, Any]) -> NoReturn:
        """Close a coroutine that a plain function returned, and raise."""
        coroutine.close()
        cure = "let the wrapper that is around an async def use functools.wraps, or be async itself"
        raise TypeError(f"{self._name} is a plain function, and returned a coroutine; {cure}")

    def _is_receiver(self, name: str) -> bool:
        """Whether a first parameter of this name is `self` or `cls` of a method: it is not sent."""
        scope = self._function.__qualname__.rpartition(".")[0]
        is_in_class = bool(scope) and not scope.endswith("<locals>")
        return name not in self._path.names and (name == "self" or (name == "cls" and is_in_class))

    def _complaints(self) -> Iterator[str]:
        """What is wrong with the path, and with the names and kinds of the parameters."""
        if "result" not in self._parameters:
            yield "it has no parameter 'result'; put it first, annotated with the type of the answer: result: T"
        elif self._parameters["result"].annotation is inspect.Parameter.empty:
            yield "parameter 'result' has no annotation; annotate it with the type of the answer: result: T"
        for name, parameter in self._parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                shown, cure = (
                    str(parameter).split(":")[0],
                    "name each parameter, or take a mapping: query or headers",
                )
                yield f"parameter {shown!r} takes what nobody can know beforehand; {cure}"
            if name in INJECTED and name in self._path.names:
                yield f"the path's placeholder {name!r} is the name of an injected parameter; give it another name"
            if name not in self._path.names and (other := self._path.in_other_style(name)):
                yield f"the path has {other!r}, which is no placeholder; write {{{name}}}"
            if _is_marker(parameter.default):
                marker = f"api.{getattr(parameter.default, '__name__', type(parameter.default).__name__)}"
                yield f"parameter {name!r} has {marker} for a default; write {name}: Annotated[T, {marker}(...)]"
            elif type(parameter.default).__module__.startswith("fastapi."):
                kind = type(parameter.default).__name__
                yield f"parameter {name!r} has FastAPI's {kind} for a default; write {name}: Annotated[T, api.{kind}()]"
        if self._options["streaming_response"] and self._method in METHODS_WITHOUT_STREAM:
            cure = "declare the endpoint without streaming_response=True"
            yield f"the answer to {self._method} requests is no stream; {cure}"

    def _make_plan(self, namespace: Mapping[str, Any]) -> Plan:
        sent = [
            name for index, name in enumerate(self.as_called.parameters) if index > 0 or not self._is_receiver(name)
        ]
        annotations = self._annotations([*sent, "result"], namespace)
        with contextlib.suppress(UnresolvedAnnotation):  # of the response, which need not be there at run time
            annotations |= self._annotations(["response"], namespace)
        with contextlib.suppress(UnresolvedAnnotation):
            self._returns = self._annotations(["return"], namespace).get("return", inspect.Signature.empty)
            is_silent = self._returns is inspect.Signature.empty  # then the result says what it may be
            self.may_return_none = _may_be_none(annotations["result"] if is_silent else self._returns)
        for name in INJECTED:
            if _has_marker(annotations.get(name)):
                raise TypeError(f"{self._name}: parameter {name!r} is injected, never sent; leave its marker out")
        with _errors_naming(self._name):
            with _errors_naming("parameter 'result'"):
                result = declared_result(self._result_type(annotations["result"]), self._options)
            sent_types = {name: annotations.get(name, Any) for name in sent}
            parameters = _parameters(sent_types, self._path.names, self._options)
            check_places(parameters, self._method, self._path.names)
        return Plan.of(self._name, self._method, self._path, parameters, result, self._options)

    def _annotations(self, names: Iterable[str], namespace: Mapping[str, Any]) -> dict[str, Any]:
        """The annotations of these parameters, and of the `return`, where there is one; forward references resolved."""
        annotations = {name: self._parameters[name].annotation for name in names if name in self._parameters}
        if "return" in names:
            annotations["return"] = self.as_called.return_annotation
        annotations = {name: each for name, each in annotations.items() if each is not inspect.Parameter.empty}
        holder = types.SimpleNamespace(__annotations__=annotations)
        try:
            return typing.get_type_hints(holder, self._function.__globals__, dict(namespace), include_extras=True)
        except (NameError, AttributeError) as error:
            cure = "import or define the name where the function is defined, and not under `if TYPE_CHECKING:`"
            raise UnresolvedAnnotation(f"{self._name}: an annotation cannot be resolved: {error}; {cure}") from None
        except SyntaxError as error:
            raise TypeError(f"{self._name}: an annotation cannot be read: {error}") from None

    def _result_type(self, annotation: Any) -> Any:
        """The type that a complete response, or each event of a stream, is turned into."""
        origin, arguments, shown = class_of(annotation), typing.get_args(base_type(annotation)), type_name(annotation)
        iterator, others = ("AsyncIterator", SYNC_ITERATORS) if self.is_async else ("Iterator", ASYNC_ITERATORS)
        if origin not in SYNC_ITERATORS + ASYNC_ITERATORS:
            if self._options["streaming_response"]:
                cure = f"declare {iterator}[T], T being the type of one event's data"
                problem = "is no iterator, but the endpoint is declared with streaming_response=True"
                raise TypeError(f"{shown} {problem}; {cure}")
            return annotation
        if not self._options["streaming_response"]:
            cure = "streaming_response=True, or the result as list[T] if the answer comes all at once"
            raise TypeError(f"{shown} is a stream; declare the endpoint with {cure}")
        if origin in others:
            kind = "an async def" if self.is_async else "a def"
            raise TypeError(f"{shown} does not go with {kind}; declare {iterator}[T]")
        if not arguments:
            cure = f"declare {iterator}[str], or the type of the events' data"
            raise TypeError(f"{shown} does not say what it yields; {cure}")
        return arguments[0]


def _is_plain(function: Any) -> bool:
    kinds = inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.iscoroutinefunction
    return not any(is_one(function) for is_one in kinds)


def _may_be_none(annotation: Any) -> bool:
    kind = class_of(annotation)
    is_class = isinstance(kind, type) and issubclass(types.NoneType, kind)  # `object`, `Hashable`
    return is_class or isinstance(annotation, typing.TypeVar) or accepts_none(annotation)


def _taking_keywords(function: Any, parameters: Mapping[str, inspect.Parameter]) -> Callable[..., Any]:
    """The function, wrapped if it has positional-only parameters."""
    positional = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY]
    if not positional:
        return function  # type: ignore[no-any-return]
    return lambda **given: function(*[given.pop(name) for name in positional], **given)


def check_places(parameters: Sequence[Parameter], method: str, placeholders: Collection[str]) -> None:
    """Refuse a placeholder that is not filled exactly once, and a body for a method without one."""
    taken = [(parameter.place, parameter.sent_name) for parameter in parameters]
    for name in sorted(set(placeholders).difference(sent_name for place, sent_name in taken if place == "path")):
        cure = "add a parameter of that name, or correct the path"
        raise TypeError(f"no parameter fills the path's placeholder {name!r}; {cure}")
    for parameter, (place, sent_name) in zip(parameters, taken, strict=True):
        name = f"parameter {parameter.name!r}"
        if place == "path" and sent_name not in placeholders:
            raise TypeError(f"{name}: the path has no placeholder {sent_name!r} for it to fill")
        if place in _UNIQUE and taken.count((place, sent_name)) > 1:
            raise TypeError(f"{name}: another one is the {sent_name!r} of the {place}, too; give each its own name")
        if place in _BODIES + _FORMS and method in _METHODS_WITHOUT_BODY:
            other = "" if place in _FORMS else ", or send it as query"
            cure = f"declare the endpoint with post, put or patch{other}"
            raise TypeError(f"{name} is a body, which {method} requests do not have; {cure}")
        if place in _FORMS and (body := next((each for each in parameters if each.place in _BODIES), None)):
            cure = f"mark {body.name!r} with api.Form(), too, or {parameter.name!r} with api.Body()"
            raise TypeError(f"{name} is part of a form, and {body.name!r} a body; a request has one of them: {cure}")


def _parameters(
    annotations: Mapping[str, Any], placeholders: Collection[str], options: Mapping[str, Any]
) -> list[Parameter]:
    parameters = {}
    for name, annotation in annotations.items():
        with _errors_naming(f"parameter {name!r}"):
            parameters[name] = _parameter(name, annotation, placeholders, options)
    bodies = [name for name, parameter in parameters.items() if parameter.place in _BODIES]
    for name in bodies if len(bodies) > 1 else ():
        with _errors_naming(f"parameter {name!r}"):
            marker = _marker_of(annotations[name])
            embedded = replace(marker if isinstance(marker, Body) else Body(), embed=True)
            parameters[name] = _body(name, annotations[name], embedded, options)
    return [*parameters.values()]


def _parameter(name: str, annotation: Any, placeholders: Collection[str], options: Mapping[str, Any]) -> Parameter:
    marker = _marker_of(annotation)
    is_marked = marker is not None
    marker = marker or (Path() if name in placeholders else _MARKERS_BY_NAME.get(name, Query)())
    place = marker.place
    if not is_marked and name in ("query", "headers") and place != "path":
        return Parameter(name, place, name, Serializer(annotation), is_mapping=True)
    sent_name = marker.alias or (name.replace("_", "-") if place == "headers" else name)
    if place == "file":
        _refuse_text_in_pieces(annotation)
        return Parameter(name, place, sent_name)
    if place in _TOKENS and not is_token(sent_name):
        raise TypeError(f"{sent_name!r} cannot be sent as a name; give it one, as in api.Header('X-Request-Id')")
    if isinstance(marker, Body):
        return _body(name, annotation, marker, options)
    exclude = {each: options[each] for each in ("exclude_unset", "exclude_none")} if place == "form" else {}
    serialize = Serializer(annotation, **exclude)
    is_mapping = is_written_as_object(_without_markers(annotation) if is_marked else annotation)
    if is_mapping and place == "form" and marker.alias is not None:
        raise TypeError(f"{type_name(annotation)} has fields, each with its own name; leave the name out of api.Form()")
    if is_mapping and (not is_marked or marker.alias is not None or place == "path"):
        raise TypeError(
            f"{type_name(annotation)} is no single value for a {place}; name the parameter 'data' to send it as "
            "the body, or mark it Annotated[..., api.Query()] to send its fields as query parameters"
        )
    # Aliases and the keys of mappings say themselves what they are.
    hyphenated = field_names(annotation) if is_mapping and place == "headers" else ()
    return Parameter(name, place, sent_name, serialize, is_mapping, hyphenated)


def _body(name: str, annotation: Any, marker: Body, options: Mapping[str, Any]) -> Parameter:
    is_member = marker.embed or marker.alias is not None
    _refuse_text_in_pieces(annotation)
    given = {"exclude_unset": marker.exclude_unset, "exclude_none": marker.exclude_none}
    exclude = {each: options[each] if value is None else value for each, value in given.items()}
    serialize = Serializer(annotation, to_json=True, may_be_streamed=not is_member, **exclude)
    if is_member:
        return Parameter(name, "body member", marker.alias or name, serialize)
    kinds = _sent_raw(annotation)
    if is_sent_unwritten(annotation):
        return Parameter(name, "body", name, functools.partial(refuse_to_write, kinds), sent_raw=kinds)
    return Parameter(name, "body", name, serialize, sent_raw=kinds, check=serialize.check)


def _refuse_text_in_pieces(annotation: Any) -> None:
    """Refuse iterators and files of text: their content is sent as it is, so it must be bytes."""
    for member in members_of(annotation):
        is_file = is_subclass(member, typing.IO, io.IOBase)
        if is_file or is_subclass(member, Iterator, abc.AsyncIterable):
            default = str if is_subclass(member, typing.TextIO, io.TextIOBase) else bytes
            pieces = (*typing.get_args(member), default)[0]
            if isinstance(pieces, type) and pieces not in (Any, object) and not issubclass(pieces, _BYTES):
                shown = "BinaryIO" if is_file else f"{type_name(class_of(member))}[bytes]"
                raise TypeError(f"{type_name(member)} gives no bytes; declare {shown}, or list[T] to send JSON")


def _sent_raw(annotation: Any) -> tuple[type, ...]:
    """The classes of the annotation's values; `object` if it does not say."""
    kinds = [class_of(member) for member in members_of(annotation)]
    kinds = [dict if hasattr(kind, "__required_keys__") else kind for kind in kinds]  # of typed dicts nothing is one
    can_tell = all(
        isinstance(kind, type) and kind is not Any and not getattr(kind, "_is_protocol", False) for kind in kinds
    )
    return tuple(kinds) if can_tell else (object,)


def _marker_of(annotation: Any) -> Marker | None:
    if _is_marker(annotation):
        raise TypeError("a marker is no type; write Annotated[T, marker]")
    metadata = metadata_of(annotation)
    for each in metadata:
        if type(each).__module__.startswith("fastapi."):
            raise TypeError(f"{type(each).__name__} is FastAPI's own; write api.{type(each).__name__}()")
    found = [each for each in metadata if _is_marker(each)]
    if len(found) > 1:
        raise TypeError(f"{type_name(annotation)} names more than one place; leave one of them")
    if not found and _has_marker(annotation):
        raise TypeError(f"{type_name(annotation)} has its marker within; put Annotated[..., marker] around it all")
    for each in found:
        if isinstance(each, type):
            raise TypeError(f"api.{each.__name__} is not called; write api.{each.__name__}()")
    return found[0] if found else None


def _without_markers(annotation: Any) -> Any:
    others = [each for each in metadata_of(annotation) if not _is_marker(each)]
    base = base_type(annotation)
    return Annotated[(base, *others)] if others else base


def _is_marker(value: Any) -> bool:
    """Whether it is a marker, or a marker's class that was not called."""
    return isinstance(value, Marker) or (isinstance(value, type) and issubclass(value, Marker))


def _has_marker(annotation: Any, seen: tuple[Any, ...] = ()) -> bool:
    """Whether there is a marker on the annotation or anywhere within; `seen` is what it is within, or it itself."""
    if annotation in seen:
        return False
    parts = typing.get_args(base_type(annotation))
    on_it = any(map(_is_marker, metadata_of(annotation)))
    return on_it or any(_has_marker(part, (*seen, annotation)) for part in parts)


@contextlib.contextmanager
def _errors_naming(name: str) -> Generator[None]:
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None  # printed once


def _enclosing_scopes(function: types.FunctionType, frame: types.FrameType | None) -> Sequence[types.FrameType]:
    """The running functions and class bodies that the function is defined in, innermost first."""
    scopes = []
    while frame is not None and "." in function.__qualname__:
        is_enclosing = function.__qualname__.startswith(f"{frame.f_code.co_qualname}.")
        if is_enclosing and frame.f_globals is function.__globals__:
            scopes.append(frame)
        frame = frame.f_back
    return scopes
