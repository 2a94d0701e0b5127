"""From a complete response to the result: the status decides first, then the type of the result.

| `result` | is |
|---|---|
| `httpx2.Response` | the response itself |
| `str` | its text |
| `bytes` | its content |
| anything else Pydantic takes | its content, parsed as JSON and validated |

An empty body is `None`, if the type allows `None`. Of a stream, only error responses are read here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2
import pydantic

from ..content import json_content, text_content
from ..exceptions import HTTPStatusError, ResponseValidationError, UnexpectedContentType, type_name
from ..streaming.formats import FORMATS, format_of
from ..streaming.items import ItemPlan
from ..validation import (
    accepts_none,
    base_type,
    covers,
    json_decoder,
    parser_decoder,
    type_adapter,
    union_members,
    without,
)
from .options import Raised

_NOT_JSON = (str, bytes, httpx2.Response)

DecodeResponse: TypeAlias = Callable[[httpx2.Response], Any]  # raises `ResponseValidationError`


@dataclass(frozen=True, slots=True)
class CompleteResult:
    """How complete responses are decoded, by status."""

    decode: DecodeResponse
    by_status: Mapping[int, DecodeResponse]
    errors: Mapping[int, DecodeResponse]  # for the `parsed` of the exceptions that these statuses raise
    expects_json: bool
    is_response: bool = False  # the result is the response itself, whatever its status below 400

    def is_undeclared_stream(self, response: httpx2.Response) -> bool:
        """Whether an event stream came where JSON was expected; reading it to its end might take for ever."""
        expects_json = self.expects_json and response.status_code not in self.by_status
        content_type = response.headers.get("Content-Type", "")
        return expects_json and format_of(content_type) is FORMATS["sse"] and response.status_code < 400

    def of(self, response: httpx2.Response) -> Any:
        """The result of a read response. Raises `HTTPStatusError`, `ResponseValidationError`."""
        if response.status_code in self.by_status:
            return self.by_status[response.status_code](response)
        is_refused = self.by_status or (response.is_redirect and not self.is_response)
        if response.status_code >= 400 or (is_refused and not response.is_success):
            raise _status_error(response, self.errors)
        return self.decode(response)


@dataclass(frozen=True, slots=True)
class StreamResult:
    """How streams are read: their items, and the types of error bodies by status."""

    items: ItemPlan
    by_status: Mapping[int, DecodeResponse]

    def error(self, response: httpx2.Response) -> HTTPStatusError | UnexpectedContentType:
        """The exception for a read response that is no stream."""
        if response.status_code < 400:
            return self.items.refusal(response)
        return _status_error(response, self.by_status)


def _status_error(response: httpx2.Response, by_status: Mapping[int, DecodeResponse]) -> HTTPStatusError:
    """The exception for an error status, with its parsed body."""
    error = HTTPStatusError(response)
    try:
        if decode := by_status.get(response.status_code):
            error.parsed = decode(response)
    except ResponseValidationError as mismatch:
        error.__cause__ = mismatch
    return error


def declared_result(
    type_: Any, options: Mapping[str, Any], logged: set[str] | None = None
) -> CompleteResult | StreamResult:
    """How responses become results, or streams of items, of this type."""
    response_map, parser = options["response_map"] or {}, options["response_parser"]
    by_status = {
        int(status): _decoder(each.type if isinstance(each, Raised) else each) for status, each in response_map.items()
    }
    if options["streaming_response"]:
        return StreamResult(ItemPlan(type_, options, logged), by_status)
    errors: dict[int, DecodeResponse] = {}
    for status, each in response_map.items():
        if isinstance(each, Raised):
            errors[int(status)] = by_status.pop(int(status))
        elif not covers(type_, each):
            lack = f"which {type_name(type_)} does not have; add it to the union, or correct the map"
            raise TypeError(f"response_map makes {type_name(each)} of status {int(status)}, {lack}")
    if by_status:
        type_ = without(type_, httpx2.Response)  # it stands there for the map's sake
    decode = _decoder(type_, parser)
    expects_json = parser is None and base_type(_without_none(type_)) not in _NOT_JSON
    is_response = base_type(_without_none(type_)) is httpx2.Response or parser is not None
    return CompleteResult(decode, by_status, errors, expects_json, is_response)


def _decoder(annotation: Any, parse: DecodeResponse | None = None) -> DecodeResponse:
    """A decoder from a response to this type, or a decoder with the user's parser."""
    decode = _content_decoder(annotation) if parse is None else parser_decoder(parse)
    takes_nothing = parse is None and accepts_none(annotation)

    def decode_response(response: httpx2.Response) -> Any:
        if takes_nothing and not response.content:
            return None
        try:
            return decode(response)
        except pydantic.ValidationError as error:
            raise ResponseValidationError(response, expected=annotation, validation_error=error) from error

    return decode_response


def _content_decoder(annotation: Any) -> DecodeResponse:
    unparsed = _without_none(annotation)
    base = base_type(unparsed)
    if base is httpx2.Response:
        return lambda response: response
    if base in (str, bytes):
        read: DecodeResponse = text_content if base is str else operator.attrgetter("content")
        validate = str if unparsed is str else type_adapter(unparsed).validate_python
        return lambda response: validate(read(response))
    decode = json_decoder(annotation)
    return lambda response: decode(json_content(response))


def _without_none(annotation: Any) -> Any:
    """`T` for `T | None`; any other annotation unchanged."""
    members = [member for member in union_members(annotation) if not accepts_none(member)]
    return members[0] if len(members) == 1 else annotation
