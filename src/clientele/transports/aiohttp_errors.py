"""What aiohttp's exceptions are to httpx2."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import aiohttp
import httpx2
from aiohttp.http_exceptions import HttpProcessingError

HTTPX2_ERRORS: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx2.ReadTimeout),
    (aiohttp.ClientHttpProxyError, httpx2.ProxyError),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ServerFingerprintMismatch, httpx2.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx2.RemoteProtocolError),
    (aiohttp.ClientConnectionResetError, httpx2.WriteError),
    (aiohttp.ClientOSError, httpx2.ReadError),
    (aiohttp.ClientConnectionError, httpx2.ReadError),
    (aiohttp.ClientPayloadError, httpx2.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx2.RemoteProtocolError),
    (aiohttp.NonHttpUrlClientError, httpx2.UnsupportedProtocol),
    (aiohttp.InvalidURL, httpx2.LocalProtocolError),
    (aiohttp.ClientError, httpx2.TransportError),
    (OSError, httpx2.ReadError),
    (UnicodeError, httpx2.ConnectError),  # of a host name
    (ValueError, httpx2.LocalProtocolError),
)
"""What each of aiohttp's exceptions is to httpx2; the first that fits counts."""


@contextlib.contextmanager
def httpx2_errors(request: httpx2.Request) -> Generator[None]:
    """Turn aiohttp's exceptions into httpx2's."""
    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise httpx2_error(error, request) from cause_of(error)


def httpx2_error(error: Exception, request: httpx2.Request) -> httpx2.TransportError:
    """What an exception of aiohttp's is to httpx2."""
    kind = next(theirs for ours, theirs in HTTPX2_ERRORS if isinstance(error, ours))
    return kind(" ".join(_message(error).split()) or type(error).__name__, request=request)


def cause_of(error: BaseException | None) -> BaseException | None:
    """What is behind aiohttp's exceptions, which themselves are left out: they show whole URLs, and those secrets."""
    while isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error


def _message(error: BaseException) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without a response"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "there was no connection within the connect timeout"
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error) or type(error.os_error).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {error.message}"
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, HttpProcessingError):
        return error.__cause__.message  # without the status that aiohttp has for it
    if isinstance(error, aiohttp.ClientResponseError):  # its status is aiohttp's own
        return error.message
    if isinstance(error, aiohttp.ClientConnectionError) and error.__cause__ is not None:
        return _message(error.__cause__)
    return str(error) or type(error).__name__
