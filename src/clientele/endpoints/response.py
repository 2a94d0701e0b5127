"""From a complete response to the result that the endpoint declares.

| `result` | is |
|---|---|
| `httpx2.Response` | the response itself |
| `str` | its text |
| `bytes` | its content |
| anything else Pydantic takes | its content, parsed as JSON and validated |

An empty body is `None` for every type that has `None` among its members.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx2
import pydantic

from ..content import json_content, text_content
from ..exceptions import ResponseValidationError
from ..hydration import accepts_none, base_type, parser_decoder, text_decoder, type_adapter, union_members
from ..streaming.body import AsyncBody, Body

MAX_ERROR_BODY_SIZE = 1024 * 1024
"""How much is read of the body of an error that came where a stream was expected, in bytes."""

DecodeResponse: TypeAlias = Callable[[httpx2.Response], Any]


def response_decoder(annotation: Any) -> DecodeResponse:
    """How a response becomes a result of this type.

    Parameters:
        annotation: The annotation of the endpoint's `result`.

    Returns:
        A function from a response whose body has been read to a result. It raises `ResponseValidationError` where the
        two do not fit.

    Raises:
        TypeError: No result of this type can be made of a response.
    """
    decode = _validated(_content_decoder(annotation), annotation)
    if not accepts_none(annotation):
        return decode
    return lambda response: decode(response) if response.content else None


def parsed_response_decoder(parse: Callable[[httpx2.Response], Any], annotation: Any) -> DecodeResponse:
    """The same for a parser of the user's own, whose `ValueError`s say that the two do not fit."""
    return _validated(parser_decoder(parse), annotation)


def _validated(decode: DecodeResponse, annotation: Any) -> DecodeResponse:
    def decode_response(response: httpx2.Response) -> Any:
        try:
            return decode(response)
        except pydantic.ValidationError as error:
            raise ResponseValidationError(response, expected=annotation, validation_error=error) from error

    return decode_response


def is_json(annotation: Any) -> bool:
    """Whether a result of this type is made of JSON, and not the text, the bytes or the response itself."""
    return base_type(_without_none(annotation)) not in (str, bytes, httpx2.Response)


def _content_decoder(annotation: Any) -> DecodeResponse:
    unparsed = _without_none(annotation)
    base = base_type(unparsed)
    if base is httpx2.Response:
        return lambda response: response
    if base is str:
        from_text = text_decoder(unparsed)
        return lambda response: from_text(text_content(response))
    if base is bytes:
        from_bytes = type_adapter(unparsed).validate_python
        return lambda response: from_bytes(response.content)
    validate_json = type_adapter(annotation).validate_json
    return lambda response: validate_json(json_content(response))


def _without_none(annotation: Any) -> Any:
    """`T` for `T | None`, every other annotation as it is."""
    members = [member for member in union_members(annotation) if not accepts_none(member)]
    return members[0] if len(members) == 1 else annotation


def read_error(body: Body, timeout: float | None) -> httpx2.Response:
    """Read an error that came where a stream was expected, and close its response.

    Parameters:
        body: The response's body.
        timeout: No wait for bytes is longer, and none begins after this time, in seconds; `None` for no limit.

    Returns:
        The same response with as much of its body as came in time, and no more than `MAX_ERROR_BODY_SIZE`.
    """
    content = _ErrorContent(body.response, timeout)
    with contextlib.suppress(StopIteration, httpx2.RequestError):  # the status is the news; what came must do
        while not content.is_enough_with(body.read()):
            pass
    body.close()
    return content.response()


async def aread_error(body: AsyncBody, timeout: float | None) -> httpx2.Response:
    """Read it as `read_error` does; its asynchronous twin."""
    content = _ErrorContent(body.response, timeout)
    with contextlib.suppress(StopAsyncIteration, httpx2.RequestError):
        while not content.is_enough_with(await body.read()):
            pass
    await body.aclose()
    return content.response()


class _ErrorContent:
    """Collects an error's content, within limits of size and time."""

    def __init__(self, response: httpx2.Response, timeout: float | None) -> None:
        # A stream waits for ever, its error does not. The transport looks up the timeout when the body is first read.
        response.request.extensions.setdefault("timeout", {})["read"] = timeout
        self._response = response
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._content = bytearray()

    def is_enough_with(self, chunk: bytes) -> bool:
        self._content += chunk[: MAX_ERROR_BODY_SIZE - len(self._content)]
        return len(self._content) == MAX_ERROR_BODY_SIZE or time.monotonic() > self._deadline

    def response(self) -> httpx2.Response:
        headers = self._response.headers.copy()
        for name in ("Content-Encoding", "Content-Length", "Transfer-Encoding"):
            headers.pop(name, None)  # they speak of the body as it was sent, not of the content as it was decoded
        response = httpx2.Response(
            self._response.status_code,
            headers=headers,
            content=bytes(self._content),
            request=self._response.request,
            extensions=self._response.extensions,
            history=self._response.history,
            default_encoding=self._response.default_encoding,
        )
        with contextlib.suppress(RuntimeError):  # httpx2's way of saying that it was not measured
            response.elapsed = self._response.elapsed
        return response
