"""From a function's signature to its plan: all that can be known about an endpoint before it is called.

The plan is made once, when the function is decorated, and is immutable. Whatever is wrong with a declaration is said
then, by a `TypeError` that names the function, the parameter and the cure. Only an annotation that names what does not
exist yet (a forward reference) puts the plan off, to the first call; what the names and kinds of the parameters show to
be wrong is refused at once even so.
"""

from __future__ import annotations

import collections.abc
import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..exceptions import type_name
from ..hydration import base_type, class_of
from ..streaming.stream import AsyncStream, Stream
from .answer import Answer, answer_of
from .options import Options
from .parameters import has_marker, is_marker, plan_parameters
from .request import Parameter, PathTemplate

if sys.version_info >= (3, 14):
    import annotationlib

INJECTED = ("result", "response")
"""The parameters that the library fills, never the caller."""

_RECEIVERS = ("self", "cls")
METHODS_WITHOUT_STREAM = ("HEAD", "OPTIONS")
SYNC_ITERATORS = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator, Stream)
ASYNC_ITERATORS = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
    AsyncStream,
)


class UnresolvedAnnotation(TypeError):
    """An annotation names something that does not exist, or not yet."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A function, decorated with a method and a path.

    Attributes:
        function: The decorated function.
        method: The HTTP method.
        path: The path template, cut into pieces.
        options: How its calls are made.
        signature: The function's signature, injected parameters included.
        caller_signature: The signature as the caller sees it, without them.
    """

    function: types.FunctionType
    method: str
    path: PathTemplate
    options: Options
    signature: inspect.Signature
    caller_signature: inspect.Signature

    @property
    def name(self) -> str:
        """The function's name as errors show it."""
        return f"{self.function.__qualname__}()"

    @property
    def is_async(self) -> bool:
        """Whether the function is an `async def`."""
        return inspect.iscoroutinefunction(self.function) or inspect.isasyncgenfunction(self.function)

    @property
    def is_generator(self) -> bool:
        """Whether the function's body yields."""
        return inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a call of an endpoint needs to know.

    Attributes:
        declaration: What was declared.
        parameters: The caller's parameters that are sent, and where each goes.
        answer: What becomes of the response.
    """

    declaration: Declaration
    parameters: tuple[Parameter, ...]
    answer: Answer

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each of the caller's parameters, defaults included.

        Raises:
            TypeError: An argument is missing, or unknown, as in any Python call.
        """
        try:
            bound = self.declaration.caller_signature.bind(*args, **kwargs)
        except TypeError as error:
            parameters = str(self.declaration.caller_signature.replace(return_annotation=inspect.Signature.empty))
            raise TypeError(f"{self.declaration.name} {error}; its parameters are {parameters}") from None
        bound.apply_defaults()
        return bound.arguments

    def run_body(self, arguments: Mapping[str, Any], *, result: Any, response: Any) -> Any:
        """Run the function's body with the caller's arguments and what is injected."""
        values = {**arguments, "result": result, "response": response}
        positional, keywords = [], {}
        for parameter in self.declaration.signature.parameters.values():
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(values[parameter.name])
            else:
                keywords[parameter.name] = values[parameter.name]
        return self.declaration.function(*positional, **keywords)


class Planner:
    """Makes an endpoint's plan: at once if all annotations can be resolved, at the first call otherwise.

    Parameters:
        declaration: The checked declaration.
        frame: The frame in which the function was decorated.

    Raises:
        TypeError: An annotation is wrong for its parameter.
    """

    def __init__(self, declaration: Declaration, frame: types.FrameType | None) -> None:
        self._declaration = declaration
        self._plan: Plan | None = None
        self._scopes = _enclosing_scopes(declaration.function, frame)
        with contextlib.suppress(UnresolvedAnnotation):  # the first call resolves it, or says what it cannot resolve
            self.plan()

    def plan(self) -> Plan:
        """The endpoint's plan.

        Raises:
            UnresolvedAnnotation: An annotation names something that does not exist.
            TypeError: An annotation is wrong for its parameter.
        """
        if self._plan is None:
            namespace = {name: value for scope in reversed(self._scopes) for name, value in scope.f_locals.items()}
            self._plan = make_plan(self._declaration, namespace)
            self._scopes = ()  # frames keep everything in them alive
        return self._plan


def declare(function: Any, *, method: str, path: str, options: Options) -> Declaration:
    """Check what the path and the names and kinds of the parameters can show, before any annotation is looked at.

    Parameters:
        function: The function to be decorated.
        method: The HTTP method.
        path: The path template.
        options: How its calls are made.

    Raises:
        TypeError: The declaration is wrong.
    """
    if not inspect.isfunction(function):
        raise TypeError(
            f"{function!r} is not a function; an endpoint's decorator goes directly on a def or async def, "
            "below @staticmethod or @classmethod"
        )
    try:
        template = PathTemplate.parse(path)
    except ValueError as error:
        raise TypeError(f"{function.__qualname__}(): {error}") from error
    signature = _signature(function)
    caller_parameters = [each for each in signature.parameters.values() if each.name not in INJECTED]
    declaration = Declaration(
        function, method, template, options, signature, signature.replace(parameters=caller_parameters)
    )
    for complaint in _complaints(declaration):
        raise TypeError(f"{declaration.name}: {complaint}")
    return declaration


def make_plan(declaration: Declaration, namespace: Mapping[str, Any]) -> Plan:
    """Work out the plan of a checked declaration.

    Parameters:
        declaration: The declaration.
        namespace: The local names that are in scope where the function is defined.

    Raises:
        UnresolvedAnnotation: An annotation names something that does not exist.
        TypeError: An annotation is wrong for its parameter.
    """
    annotations = _resolved_annotations(declaration, [*_sent_parameters(declaration), "result"], namespace)
    with contextlib.suppress(UnresolvedAnnotation):  # of the response, which need not be there at run time
        annotations |= _resolved_annotations(declaration, ["response"], namespace)
    for name in INJECTED:
        if has_marker(annotations.get(name)):
            raise TypeError(f"{declaration.name}: parameter {name!r} is injected, never sent; leave its marker out")
    try:
        answer = answer_of(_result_type(declaration, annotations["result"]), declaration.options)
    except TypeError as error:
        raise TypeError(f"{declaration.name}: parameter 'result': {error}") from error
    sent = {name: annotations.get(name, Any) for name in _sent_parameters(declaration)}
    try:
        parameters = plan_parameters(sent, declaration.method, declaration.path)
    except TypeError as error:
        raise TypeError(f"{declaration.name}: {error}") from error
    return Plan(declaration, parameters, answer)


def _complaints(declaration: Declaration) -> Iterator[str]:
    parameters = declaration.signature.parameters
    if "result" not in parameters:
        yield "it has no parameter 'result'; add one, annotated with the type of the answer: *, result: T"
    elif parameters["result"].annotation is inspect.Parameter.empty:
        yield "parameter 'result' has no annotation; annotate it with the type of the answer: *, result: T"
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield (
                f"parameter {str(parameter).split(':')[0]!r} cannot be planned for; name each parameter, "
                "or take a mapping: query or headers"
            )
        if name in INJECTED and name in declaration.path.names:
            yield f"the path's placeholder {name!r} is the name of an injected parameter; give it another name"
        if is_marker(parameter.default):
            marker = f"api.{getattr(parameter.default, '__name__', type(parameter.default).__name__)}"
            yield f"parameter {name!r} has {marker} for a default; write {name}: Annotated[T, {marker}(...)]"
    if declaration.options.streaming_response and declaration.method in METHODS_WITHOUT_STREAM:
        yield (
            f"the answer to {declaration.method} requests is no stream; "
            "declare the endpoint without streaming_response=True"
        )


def _result_type(declaration: Declaration, annotation: Any) -> Any:
    """The type that a complete response, or each event of a stream, is turned into."""
    base = base_type(annotation)
    origin = class_of(annotation)
    shown = type_name(annotation)
    iterator, kind, others = (
        ("AsyncIterator", "an async def", SYNC_ITERATORS)
        if declaration.is_async
        else ("Iterator", "a def", ASYNC_ITERATORS)
    )
    if origin not in SYNC_ITERATORS + ASYNC_ITERATORS:
        if declaration.options.streaming_response:
            raise TypeError(
                f"{shown} is no iterator, but the endpoint is declared with streaming_response=True; "
                f"declare {iterator}[T], T being the type of one event's data"
            )
        return annotation
    if not declaration.options.streaming_response:
        raise TypeError(
            f"{shown} is a stream; declare the endpoint with streaming_response=True, "
            "or the result as list[T] if the answer comes all at once"
        )
    if origin in others:
        raise TypeError(f"{shown} does not go with {kind}; declare {iterator}[T]")
    if not typing.get_args(base):
        raise TypeError(
            f"{shown} does not say what it yields; declare {iterator}[str], or the type of the events' data"
        )
    return typing.get_args(base)[0]


def _sent_parameters(declaration: Declaration) -> Iterator[str]:
    """The names of the caller's parameters, without a method's receiver."""
    for index, name in enumerate(declaration.caller_signature.parameters):
        if index > 0 or name not in _RECEIVERS or name in declaration.path.names:
            yield name


def _resolved_annotations(
    declaration: Declaration, names: Iterable[str], namespace: Mapping[str, Any]
) -> dict[str, Any]:
    """The annotations of those of these parameters that have one, forward references resolved."""
    parameters = declaration.signature.parameters
    annotations = {
        name: parameters[name].annotation
        for name in names
        if name in parameters and parameters[name].annotation is not inspect.Parameter.empty
    }
    try:
        return typing.get_type_hints(
            types.SimpleNamespace(__annotations__=annotations),
            declaration.function.__globals__,
            dict(namespace),
            include_extras=True,
        )
    except (NameError, AttributeError) as error:
        raise UnresolvedAnnotation(
            f"{declaration.name}: an annotation cannot be resolved: {error}; "
            "import or define the name where the function is defined, and not under `if TYPE_CHECKING:`"
        ) from error
    except SyntaxError as error:
        raise TypeError(f"{declaration.name}: an annotation cannot be read: {error}") from error


def _enclosing_scopes(function: types.FunctionType, frame: types.FrameType | None) -> Sequence[types.FrameType]:
    """The running functions and class bodies that the function is defined in, innermost first."""
    scopes = []
    while frame is not None and "." in function.__qualname__:
        is_enclosing = function.__qualname__.startswith(f"{frame.f_code.co_qualname}.")
        if is_enclosing and frame.f_globals is function.__globals__:
            scopes.append(frame)
        frame = frame.f_back
    return scopes


def _signature(function: types.FunctionType) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)
