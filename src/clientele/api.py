"""The names for users of the library: `from clientele import api`."""

from .client import APIClient
from .content import ProblemDetails
from .endpoints.endpoint import EndpointDecorator, PendingStream
from .endpoints.options import EndpointOptions, Raised, RequestOptions, StreamRequestOptions
from .endpoints.signature import Body, Cookie, File, Form, Header, Path, Query
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
from .settings import HTTPClientSettings
from .streaming.reconnect import Reconnect, ReconnectAttempt, Retry, RetryAttempt
from .streaming.sse import Comment, ServerSentEvent
from .streaming.stream import AsyncStream, Stream

__all__ = ["APIClient", "EndpointDecorator", "HTTPClientSettings", "PendingStream"]
__all__ += ["EndpointOptions", "RequestOptions", "StreamRequestOptions"]
__all__ += ["Body", "Cookie", "File", "Form", "Header", "Path", "Query"]
__all__ += ["AsyncStream", "Comment", "ServerSentEvent", "Stream"]
__all__ += ["Reconnect", "ReconnectAttempt", "Retry", "RetryAttempt"]
__all__ += ["APIException", "HTTPStatusError", "ProblemDetails", "Raised", "ResponseValidationError", "TransportError"]
__all__ += ["EventTooLarge", "StreamDecodeError", "StreamError", "StreamInterrupted", "UnexpectedContentType"]
