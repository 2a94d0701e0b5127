"""httpcore2's exceptions, which network streams raise, as httpx2's, which transports raise."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import httpcore2
import httpx2

_KINDS = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)


def httpx2_error(error: Exception) -> Exception:
    """The counterpart of an exception of httpcore2's, which has the same name; any other exception as it is."""
    if not isinstance(error, _KINDS):
        return error
    name = next(kind.__name__ for kind in type(error).__mro__ if hasattr(httpx2, kind.__name__))
    counterpart: Exception = getattr(httpx2, name)(words(error))
    return counterpart


def words(error: BaseException | None) -> str:
    """What went wrong, in one line; some libraries leave that to the exception behind theirs."""
    while error is not None:
        if str(error):
            return " ".join(str(error).split())
        error = error.__cause__ or error.__context__
    return "the connection broke"


@contextlib.contextmanager
def httpx2_errors() -> Generator[None]:
    """Raise the counterparts of httpcore2's exceptions."""
    try:
        yield
    except _KINDS as error:
        raise httpx2_error(error) from error
