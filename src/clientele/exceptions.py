"""The exceptions of calls, under one root.

Each says which request failed, what was wrong and, if there is a cure, what to do. Messages end up in logs, so they
never show credentials (`redaction.py`), and never quote headers.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import httpx2

from .content import ProblemDetails, problem_details, text_content
from .redaction import excerpt, request_url

if TYPE_CHECKING:
    import pydantic

    from .streaming.sse import ServerSentEvent

IS_STREAM = "clientele.is_stream"  # the extension of a request for a stream

_MODULE = re.compile(r"\b(?:[\w<>]+\.)+(?=[A-Za-z_])")
_SENTINEL = re.compile(r"\[[A-Za-z][A-Za-z _-]{0,30}\]|<\|?[a-z_]{1,30}\|?>|[A-Z]{3,30}|done|end|stop|finished")
_TEXTUAL_MEDIA_TYPE = re.compile(r"text/|.*(json|xml|javascript|x-www-form-urlencoded)", re.IGNORECASE)

THROUGH_PROXY = "through the proxy"  # what the message of an error begins with that is the proxy's

_TIMEOUTS: dict[type[Exception], tuple[str, str]] = {
    httpx2.ConnectTimeout: ("connect", "no connection"),
    httpx2.ReadTimeout: ("read", "no byte from the server"),
    httpx2.WriteTimeout: ("write", "the server took no byte"),
    httpx2.PoolTimeout: ("pool", "all connections that the client's limits= allows are in use, and none became free"),
}
_REASONS: dict[type[Exception], str] = {
    httpx2.RequestError: "the request failed",
    httpx2.StreamError: "somebody else read or closed its response",
    httpx2.ConnectError: "could not connect",
    httpx2.ReadError: "the connection broke",
    httpx2.WriteError: "the connection broke while the request was sent",
    httpx2.ProxyError: "the proxy refused",
    httpx2.RemoteProtocolError: "the server broke off, or broke the protocol",
    httpx2.LocalProtocolError: "the request cannot be written as HTTP: a header's name or value is not allowed, or the "
    "body has another length than its Content-Length",
    httpx2.UnsupportedProtocol: "only http:// and https:// can be called; a path alone needs a client with a base_url",
    httpx2.DecodingError: "the body cannot be decoded",
    httpx2.TooManyRedirects: "too many redirects",
}


class APIException(Exception):
    """The root of all exceptions about a request or its response.

    Attributes:
        request: The request, as it was sent last (after redirects).
        response: The response, or `None` where none arrived.
        method: The request's method, `"GET"` for example.
        url: The request's URL, without credentials.
        status_code: The response's status, or `None` where none arrived.
        attempts: How many attempts the call made: more than 1 only with `retry`.
    """

    attempts: int = 1

    def __init__(self, message: str, *, request: httpx2.Request, response: httpx2.Response | None = None) -> None:
        self.request: httpx2.Request = request
        self.response: httpx2.Response | None = response
        self.method: str = request.method
        self.url: str = request_url(request)
        self.status_code: int | None = None if response is None else response.status_code
        super().__init__(f"{self.method} {self.url}: {message}")

    @property
    def message(self) -> str:
        """What was wrong, without the request that it belongs to."""
        return str(self).removeprefix(f"{self.method} {self.url}: ")

    def came_after(self, attempts: int) -> None:
        """Note that it comes from the last of this many attempts."""
        if attempts > 1:
            self.attempts = attempts
            self.args = (f"{self} (the last of {attempts} attempts)",)

    def __reduce__(self) -> tuple[Any, ...]:  # the default would call the class with nothing but the message
        return _rebuild, (type(self), *self.args), self.__dict__


class UnwritableRequest(httpx2.LocalProtocolError):
    """A request that the wire cannot write as HTTP. No value of a header is in the message."""


class TransportError(APIException):
    """No response arrived: the connection was refused, timed out or broke, or redirects led nowhere.

    `__cause__` is httpx2's own exception.
    """


class _AnsweredError(APIException):
    response: httpx2.Response
    status_code: int


class HTTPStatusError(_AnsweredError):
    """The response has an error status: 400 or above, or no success and not in the `response_map`.

    The body has been read (of a stream, its first MiB), so `error.response.json()` works.

    Attributes:
        parsed: The body as the type that `response_map` has for the status. `None` if it has none, or if
            the body is not of that type (`__cause__` says why).
        problem: The body as problem details (RFC 9457); `None` if it has another content type.
    """

    def __init__(self, response: httpx2.Response, *, parsed: Any = None) -> None:
        self.parsed = parsed
        self.problem: ProblemDetails | None = problem_details(response)
        answer = f"{response.status_code} {response.reason_phrase}".strip()
        if response.has_redirect_location:
            answer += ", a redirect, which the client does not follow"
        elif response.status_code in (301, 302, 303, 307, 308):
            answer += ", a redirect without a Location"
        body = _body_excerpt(response)
        super().__init__(f"{answer}: {body}" if body else answer, request=response.request, response=response)


class ResponseValidationError(_AnsweredError):
    """The body of a complete response is not of the declared type.

    Attributes:
        validation_error: Pydantic's exception, which lists every mismatch.
    """

    def __init__(
        self, response: httpx2.Response, *, expected: object, validation_error: pydantic.ValidationError
    ) -> None:
        self.validation_error = validation_error
        found = f"{_mismatches(validation_error)}: {_body_excerpt(response) or 'the body is empty'}"
        message = f"the answer (status {response.status_code}) is not {type_name(expected)}: {found}"
        super().__init__(message, request=response.request, response=response)


class _Progress(TypedDict, total=False):
    items_received: int
    last_event_id: str


class StreamError(APIException):
    """The root of the exceptions about a stream. Every complete item before it has been yielded.

    Attributes:
        items_received: How many items the stream has yielded.
        last_event_id: The id of the last event; `""` if none had one.
    """

    def __init__(
        self,
        message: str,
        *,
        request: httpx2.Request,
        response: httpx2.Response | None = None,
        items_received: int = 0,
        last_event_id: str = "",
    ) -> None:
        self.items_received = items_received
        self.last_event_id = last_event_id
        super().__init__(message, request=request, response=response)


class StreamInterrupted(StreamError):
    """The stream was cut short: the connection broke, `idle_timeout` passed, or the event of `until` did not come.

    `__cause__` is httpx2's own exception, if there is one. With `reconnect`, it is the exception of the last attempt;
    `response` and `status_code` are those of the last response that was a stream.

    Attributes:
        attempts: How many attempts to reconnect have failed since the last event; 0 if none was made.
    """

    def __init__(
        self,
        message: str,
        *,
        request: httpx2.Request,
        response: httpx2.Response | None = None,
        attempts: int = 0,
        **progress: Unpack[_Progress],
    ) -> None:
        self.attempts = attempts
        super().__init__(message, request=request, response=response, **progress)


class StreamDecodeError(_AnsweredError, StreamError):
    """An event is not of the declared type.

    Attributes:
        event: The event, with its data as text. A line or text of another format is an event with nothing but data.
        validation_error: Pydantic's exception, which lists every mismatch.
    """

    def __init__(
        self,
        *,
        event: ServerSentEvent[str],
        event_number: int,
        expected: object,
        validation_error: pydantic.ValidationError,
        response: httpx2.Response,
        is_end: bool = False,
        **progress: Unpack[_Progress],
    ) -> None:
        self.event = event
        self.validation_error = validation_error
        name = "" if event.event == "message" else f" ({excerpt(event.event)!r})"
        cure = "; it is the end of the stream and no item, so leave include_end= out" if is_end else ""
        if not is_end and _SENTINEL.fullmatch(event.data.strip()):
            cure = "; if that ends the stream, declare it with until="
        found = f"{_mismatches(validation_error)}: {excerpt(event.data) or 'its data is empty'}{cure}"
        message = f"event {event_number}{name} of the stream is not {type_name(expected)}: {found}"
        super().__init__(message, request=response.request, response=response, **progress)


class UnexpectedContentType(_AnsweredError, StreamError):
    """The response is not a stream where one was declared, or is an event stream where none was.

    The body has been read as far as it came: within the read timeout if a stream was declared, within half a second
    otherwise, and at most its first MiB. So `error.response.json()` works.

    Attributes:
        content_type: The response's `Content-Type`; `""` if it has none.
    """

    def __init__(self, response: httpx2.Response, *, problem: str, cure: str) -> None:
        self.content_type: str = response.headers.get("Content-Type", "")
        found = f"content type {excerpt(self.content_type)!r}" if self.content_type else "no content type"
        body = ""
        with contextlib.suppress(httpx2.ResponseNotRead):
            body = f": {_body_excerpt(response) or 'the body is empty'}"
        message = f"the answer (status {response.status_code}) has {found}, {problem}{body}; {cure}"
        super().__init__(message, request=response.request, response=response)


class EventTooLarge(_AnsweredError, StreamError):
    """An event, line or JSON text is larger than `max_event_size`.

    Attributes:
        max_event_size: The limit, in bytes.
    """

    def __init__(
        self, *, event_number: int, max_event_size: int, response: httpx2.Response, **progress: Unpack[_Progress]
    ) -> None:
        self.max_event_size = max_event_size
        cure = "if events may be that large, give the endpoint a larger max_event_size="
        message = f"event {event_number} of the stream is larger than max_event_size, {max_event_size} bytes; {cure}"
        super().__init__(message, request=response.request, response=response, **progress)


def reason(error: httpx2.RequestError | httpx2.StreamError, request: httpx2.Request) -> str:
    """What went wrong with a connection, in words."""
    for kind, (phase, words) in _TIMEOUTS.items():
        if isinstance(error, kind):
            option = "idle_timeout" if phase == "read" and IS_STREAM in request.extensions else "timeout"
            proxy = f": {excerpt(str(error))}" if str(error).startswith(THROUGH_PROXY) else ""
            return f"{words} within {request.extensions.get('timeout', {}).get(phase)} s ({option}){proxy}"
    words = next(_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS)
    if isinstance(error, UnwritableRequest):
        words = "the request cannot be written as HTTP"
    # What could not be written is quoted by other libraries; it may be a header, and a secret.
    is_shown = isinstance(error, UnwritableRequest) or not isinstance(error, httpx2.LocalProtocolError)
    detail = excerpt(str(error)) if is_shown else ""
    if "WRONG_VERSION_NUMBER" in detail:  # OpenSSL's word for an answer that is not TLS
        detail += "; what answers there does not speak TLS: write http://, or another port"
    return f"{words}: {detail}" if detail else words


def type_name(annotation: object) -> str:
    """An annotation as a message names it: `User`, `list[int]`."""
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return _MODULE.sub("", name).replace("NoneType", "None")


def _mismatches(error: pydantic.ValidationError) -> str:
    # Pydantic names unions and functions in brackets, all members of a union among them; no field's name says as much.
    shown = [
        f"{'.'.join(str(key) for key in mismatch['loc'] if '[' not in str(key))}: {mismatch['msg']}".removeprefix(": ")
        for mismatch in error.errors(include_url=False, include_context=False, include_input=False)[:5]
    ]
    rest = error.error_count() - len(shown)
    return excerpt("; ".join(shown)) + (f"; and {rest} more" if rest else "")


def _body_excerpt(response: httpx2.Response) -> str:
    content_type = response.headers.get("Content-Type", "") or "text/plain"
    if _TEXTUAL_MEDIA_TYPE.match(content_type):
        return excerpt(text_content(response))
    return f"{len(response.content)} bytes of {excerpt(content_type)}"


def _rebuild(cls: type[APIException], *args: object) -> APIException:
    return cls.__new__(cls, *args)
