"""A stream's connection has ended; what now? Without I/O: neither clock nor chance nor socket is here.

It is the processing model of the WHATWG HTML standard, section 9.2.3, with what a client needs that is not a browser;
`_TABLE` says what follows each ending. A wait begins an attempt. Attempts that brought no event are failures; after
`max_attempts` of them in a row there is no further wait: the stream raises.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias

import httpx2

from ..exceptions import APIException, HTTPStatusError, StreamInterrupted, TransportError
from ..redaction import excerpt, printable_url
from ..redirects import RefusedRedirect
from ..validation import check_function, is_number, not_awaitable

logger = logging.getLogger("clientele")

_MAX_RETRY_AFTER = 10  # how many times `max_delay` a server's `Retry-After` is obeyed for
_MAX_DOUBLINGS = 64  # beyond any delay, and within what a float can hold
_LASTING = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, RefusedRedirect)

Ending: TypeAlias = Literal["finished", "body ended", "unfinished", "cut short", "unavailable", "refused", "restarted"]
Outcome: TypeAlias = Literal["end", "raise"]

_TABLE: dict[Ending, tuple[Outcome, Outcome | Literal["wait"]]] = {  # what follows without `reconnect`, and with it
    "finished": ("end", "end"),  # the stream itself said so: `until`, status 204, a single document
    "body ended": ("end", "wait"),
    "unfinished": ("raise", "wait"),  # the body ended without what `until` waits for
    "cut short": ("raise", "wait"),  # a reset, a broken chunk, `idle_timeout`; or there was no connection
    "unavailable": ("raise", "wait"),  # status 408, 429, 5xx; as `Retry-After` says
    "refused": ("raise", "raise"),  # another status or content type, a dead redirect; client or event loop closed
    "restarted": ("raise", "wait"),  # somebody asked for it: at once
}


@dataclass(frozen=True, slots=True)
class ReconnectAttempt:
    """One attempt to reconnect, as `on_reconnect` sees it before the delay.

    Attributes:
        number: How many attempts in a row this is, from 1; 0 for a `restart()`.
        delay: The delay before it, in seconds.
        cause: Why it is needed; `None` for a `restart()`.
        last_event_id: What is sent as `Last-Event-ID`, `""` if nothing is.
    """

    number: int
    delay: float
    cause: APIException | None
    last_event_id: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """When and how a stream reconnects.

    The first delay is the server's last `retry`, or `initial_delay`. Each further failure doubles it; the delay is then
    random, between the server's `retry` (or 0) and the full delay, so that many clients do not come back at once. An
    event that comes through puts the delay back to the start.

        @client.get("/prices", streaming_response=True, reconnect=api.Reconnect(max_attempts=None))
        async def prices(*, result: AsyncIterator[Price]) -> AsyncIterator[Price]:
            return result

    Attributes:
        initial_delay: The first delay in seconds, if the server does not set it. Default 1.
        max_delay: The longest delay in seconds, and the longest first one; a server's `Retry-After` may be ten times as
            long. Default 30.
        max_attempts: How many attempts in a row may fail before the stream raises `StreamInterrupted`; `None` for any
            number. Default 10.
        on_reconnect: A function that is called with a `ReconnectAttempt` before each delay. What it raises ends the
            stream. Default `None`.

    Raises:
        TypeError: `on_reconnect` is no plain function.
        ValueError: A number is out of its range.

    Source: WHATWG HTML, section 9.2.3; RFC 9110, section 10.2.3.
    """

    initial_delay: float = 1.0
    max_delay: float = 30.0
    max_attempts: int | None = 10
    on_reconnect: Callable[[ReconnectAttempt], None] | None = None

    def __post_init__(self) -> None:
        for name in ("initial_delay", "max_delay"):
            if not is_number(value := getattr(self, name), int, float) and value != 0:
                raise ValueError(f"{name} is {value!r}; it is a finite number of seconds, 0 or above")
        if (most := self.max_attempts) is not None and not is_number(most, int):
            raise ValueError(f"max_attempts is {most!r}; it is a whole number above 0, or None for any number")
        if self.on_reconnect is not None:
            check_function("on_reconnect", self.on_reconnect, "a function of a ReconnectAttempt")


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a connection, or of the attempt to make one."""

    how: Ending
    cause: APIException | None = None  # what is raised if the stream ends with it
    had_events: bool = False
    retry: int | None = None  # the reconnection time that the stream has set, in milliseconds

    @classmethod
    def before_stream(cls, error: APIException) -> Ended:
        """The end of an attempt that led to no stream."""
        if isinstance(error, HTTPStatusError):
            is_passing = error.status_code in (408, 429) or error.status_code >= 500
            return cls("unavailable" if is_passing else "refused", error)
        is_cut = isinstance(error, StreamInterrupted | TransportError) and not isinstance(error.__cause__, _LASTING)
        return cls("cut short" if is_cut else "refused", error)


@dataclass(slots=True)
class Resumption:
    """Decides, each time a connection of one stream has ended, what follows."""

    policy: Reconnect | None
    jitter: Callable[[], float] = random.random  # from 0 to 1
    now: Callable[[], float] = time.time  # seconds since the epoch
    attempts: int = 0  # since the last event
    retry: int | None = None  # what the server has set, in milliseconds

    def after(self, ended: Ended) -> float | Outcome:
        """How many seconds to wait before the next attempt; or how the stream ends without one."""
        without, follows = _TABLE[ended.how]
        if self.policy is None:
            return without
        if ended.had_events:
            self.attempts = 0
        if ended.retry is not None:
            self.retry = ended.retry
        if follows != "wait":
            return follows
        if ended.how == "restarted":
            return 0.0
        if self.attempts == self.policy.max_attempts:
            return "raise"
        self.attempts += 1
        asked_for = _retry_after(ended.cause, self.now()) if ended.how == "unavailable" else None
        if asked_for:  # none at all leaves the wait to us
            return min(asked_for, self.policy.max_delay * _MAX_RETRY_AFTER)
        return self._delay(self.policy)

    def announce(self, ended: Ended, delay: float, *, request: httpx2.Request, last_event_id: str) -> None:
        """Tell the log, and `on_reconnect`, which may raise, that an attempt is made after this delay."""
        assert self.policy is not None
        attempt = ReconnectAttempt(self.attempts if ended.cause else 0, delay, ended.cause, last_event_id)
        event = f"from event {excerpt(last_event_id)!r} on"
        resumed = event if last_event_id else "without an event id, so perhaps from the start"
        if attempt.cause is None:
            message = f"{_request_line(request)}: restarting the stream, {resumed}"
        else:
            limit = "" if self.policy.max_attempts is None else f" of {self.policy.max_attempts}"
            when = f"in {delay:.3g} s (attempt {attempt.number}{limit})"
            message = f"{attempt.cause}; reconnecting {when}, {resumed}"
        logger.info("%s", message, extra={"attempt": attempt})
        try:
            if self.policy.on_reconnect is not None:
                not_awaitable("on_reconnect", self.policy.on_reconnect(attempt))
        except (StopIteration, StopAsyncIteration) as error:  # it would pass for the end of the stream
            raise RuntimeError(f"on_reconnect raised {error!r}") from error

    def announce_success(self, response: httpx2.Response) -> None:
        """Tell the log that the last attempt has come through, to this response."""
        logger.info("%s: reconnected, with status %d", _request_line(response.request), response.status_code)

    def _delay(self, policy: Reconnect) -> float:
        longest = policy.max_delay
        least = 0.0 if self.retry is None else min(self.retry, longest * 1000) / 1000
        first = min(policy.initial_delay, longest) if self.retry is None else least
        if self.attempts == 1:
            return first
        most: float = min((first or policy.initial_delay) * 2 ** min(self.attempts - 1, _MAX_DOUBLINGS), longest)
        return least + self.jitter() * (most - least)


def _retry_after(error: APIException | None, now: float) -> float | None:
    """How long the server asks to be left alone, in seconds (RFC 9110, section 10.2.3); `None` if it does not."""
    if error is None or error.response is None:
        return None
    value = error.response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)  # the oldest of its forms names no time zone
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    except (ValueError, OverflowError):  # it is neither form, or no time that this machine knows
        return None


def _request_line(request: httpx2.Request) -> str:
    return f"{request.method} {printable_url(request.url)}"
