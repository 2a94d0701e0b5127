"""The names for users of the library: `from clientele import api`."""

from .client import APIClient
from .endpoints.decorator import EndpointDecorator
from .endpoints.direct import PendingStream
from .endpoints.options import EndpointOptions, RequestOptions, StreamRequestOptions
from .endpoints.parameters import Body, Cookie, Header, Path, Query
from .exceptions import (
    APIException,
    EventTooLarge,
    HTTPStatusError,
    ResponseValidationError,
    StreamDecodeError,
    StreamError,
    StreamInterrupted,
    TransportError,
    UnexpectedContentType,
)
from .http_clients import HTTPClientSettings
from .problem_details import ProblemDetails
from .streaming.reconnect import Reconnect, ReconnectAttempt
from .streaming.sse import Comment, ServerSentEvent
from .streaming.stream import AsyncStream, Stream

__all__ = [
    "APIClient",
    "APIException",
    "AsyncStream",
    "Body",
    "Comment",
    "Cookie",
    "EndpointDecorator",
    "EndpointOptions",
    "EventTooLarge",
    "HTTPClientSettings",
    "HTTPStatusError",
    "Header",
    "Path",
    "PendingStream",
    "ProblemDetails",
    "Query",
    "Reconnect",
    "ReconnectAttempt",
    "RequestOptions",
    "ResponseValidationError",
    "ServerSentEvent",
    "Stream",
    "StreamDecodeError",
    "StreamError",
    "StreamInterrupted",
    "StreamRequestOptions",
    "TransportError",
    "UnexpectedContentType",
]
