"""The names for users of the library: `from clientele import api`."""

from .client import APIClient
from .endpoints.decorator import EndpointDecorator, EndpointOptions
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
from .streaming.sse import ServerSentEvent
from .streaming.stream import AsyncStream, Stream

__all__ = [
    "APIClient",
    "APIException",
    "AsyncStream",
    "EndpointDecorator",
    "EndpointOptions",
    "EventTooLarge",
    "HTTPClientSettings",
    "HTTPStatusError",
    "ResponseValidationError",
    "ServerSentEvent",
    "Stream",
    "StreamDecodeError",
    "StreamError",
    "StreamInterrupted",
    "TransportError",
    "UnexpectedContentType",
]
