"""What to do when an attempt has ended. Without I/O: no clock, no random number, no socket.

It serves streams that reconnect (`Reconnect`) and calls that are retried (`Retry`). Streams follow the processing
model of the WHATWG HTML standard, section 9.2.3, with additions for clients that are no browsers. `_TABLE` says what
follows each ending. After a number of failed attempts in a row, the call or the stream raises.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias

import httpx2

from ..bodies import UnrepeatableBody
from ..exceptions import APIException, HTTPStatusError, StreamInterrupted, TransportError
from ..proxies import UnusableProxy
from ..redaction import excerpt, request_url
from ..redirects import RefusedRedirect
from ..validation import check_function, is_number, not_awaitable

logger = logging.getLogger("clientele")

MIN_INTERVAL = 0.2  # seconds between two attempts to reconnect, whatever `retry` the server sends
_MAX_RETRY_AFTER = 10  # how many times `max_delay` a server's `Retry-After` is obeyed for
_MAX_DOUBLINGS = 64  # beyond any delay, and within what a float can hold
_RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_LASTING = (
    httpx2.DecodingError,
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
    httpx2.TooManyRedirects,
    RefusedRedirect,
    UnusableProxy,
    UnrepeatableBody,
)

Ending: TypeAlias = Literal["finished", "body ended", "unfinished", "cut short", "unavailable", "refused", "restarted"]
Outcome: TypeAlias = Literal["end", "raise"]

_TABLE: dict[Ending, tuple[Outcome, Outcome | Literal["wait"]]] = {  # what follows without `reconnect`, and with it
    "finished": ("end", "end"),  # the stream itself said so: `until`, status 204, a single document
    "body ended": ("end", "wait"),
    "unfinished": ("raise", "wait"),  # the body ended without what `until` waits for
    "cut short": ("raise", "wait"),  # a reset, a broken chunk, `idle_timeout`; or there was no connection
    "unavailable": ("raise", "wait"),  # status 408, 425, 429, 5xx; as `Retry-After` says
    "refused": ("raise", "raise"),  # another status or content type, a dead redirect; client or event loop closed
    "restarted": ("raise", "wait"),  # somebody asked for it: at once
}


@dataclass(frozen=True, slots=True)
class ReconnectAttempt:
    """An attempt to reconnect: what `on_reconnect` is called with, before the delay.

    Attributes:
        number: The number of this attempt since the last event, from 1; 0 for a `restart()`.
        delay: The delay before it, in seconds.
        cause: The exception that made it necessary; `None` for a `restart()`.
        last_event_id: What is sent as `Last-Event-ID`, `""` if nothing is.
        endpoint: The name of the endpoint's function; the method and path of a direct call.
        url: The URL, without credentials.
    """

    number: int
    delay: float
    cause: APIException | None
    last_event_id: str
    endpoint: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """When and how a stream reconnects.

    The first delay is the server's last `retry`, or `initial_delay`. Each further failure doubles it; the delay is then
    random, between the server's `retry` (or 0) and the full delay, so that many clients do not come back at once. An
    event that comes through puts the delay back to the start.

    ```python
    @client.get("/prices", streaming_response=True, reconnect=api.Reconnect(max_attempts=None))
    async def prices(*, result: AsyncIterator[Price]) -> AsyncIterator[Price]:
        return result
    ```

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
        _check_delays(self)
        if (most := self.max_attempts) is not None and not is_number(most, int):
            raise ValueError(f"max_attempts is {most!r}; it is a whole number above 0, or None for any number")
        if self.on_reconnect is not None:
            check_function("on_reconnect", self.on_reconnect, "a function of a ReconnectAttempt")


@dataclass(frozen=True, slots=True)
class RetryAttempt:
    """A retry of a call: what `on_retry` is called with, before the delay.

    Attributes:
        number: The number of this retry, from 1.
        delay: The delay before it, in seconds.
        cause: The exception of the attempt before it.
        endpoint: The name of the endpoint's function; the method and path of a direct call.
        url: The URL, without credentials.
    """

    number: int
    delay: float
    cause: APIException
    endpoint: str
    url: str


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how a call is retried: a complete call, or the opening of a stream.

    Clientele tries again if no connection could be made or it broke, and after the statuses 408, 425, 429, 500, 502,
    503 and 504, unless a `response_map` makes a result of that status. It does so for idempotent methods (RFC 9110,
    section 9.2.2): `GET`, `HEAD`, `OPTIONS`, `PUT` and `DELETE`; for any other method only if the request has an
    `Idempotency-Key` header, whose value stays the same. A body that can be sent only once is not sent again.

    The delay is random, between 0 and `initial_delay`; each further failure doubles that limit.

    ```python
    @client.get("/users/{user_id}", retry=api.Retry(attempts=5))
    def get_user(result: User, user_id: int) -> User:
        return result
    ```

    Attributes:
        attempts: How many attempts are made in all, the first included. Default 3.
        initial_delay: The longest first delay in seconds. Default 0.5.
        max_delay: The longest delay in seconds; a server's `Retry-After` may be ten times as long. Default 8.
        deadline: How many seconds after the start of the call another attempt may begin; if the delay would end later,
            the call raises at once. Default `None`: at any time.
        on_retry: A function that is called with a `RetryAttempt` before each delay. What it raises ends the call.
            Default `None`.

    Raises:
        TypeError: `on_retry` is no plain function.
        ValueError: A number is out of its range.

    Source: RFC 9110, sections 9.2.2 and 10.2.3.
    """

    attempts: int = 3
    initial_delay: float = 0.5
    max_delay: float = 8.0
    deadline: float | None = None
    on_retry: Callable[[RetryAttempt], None] | None = None

    def __post_init__(self) -> None:
        if not is_number(self.attempts, int):
            raise ValueError(f"attempts is {self.attempts!r}; it is a whole number above 0")
        _check_delays(self)
        if self.deadline is not None and not is_number(self.deadline, int, float):
            raise ValueError(f"deadline is {self.deadline!r}; it is a finite number of seconds above 0, or None")
        if self.on_retry is not None:
            check_function("on_retry", self.on_retry, "a function of a RetryAttempt")


def _check_delays(policy: Reconnect | Retry) -> None:
    for name in ("initial_delay", "max_delay"):
        if not is_number(value := getattr(policy, name), int, float) and value != 0:
            raise ValueError(f"{name} is {value!r}; it is a finite number of seconds, 0 or above")


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
            is_passing = error.status_code in _RETRIED_STATUSES or error.status_code >= 500
            return cls("unavailable" if is_passing else "refused", error)
        is_cut = isinstance(error, StreamInterrupted | TransportError) and not isinstance(error.__cause__, _LASTING)
        return cls("cut short" if is_cut else "refused", error)


@dataclass(slots=True)
class Resumption:
    """Decides, each time a connection of one stream has ended, what follows."""

    policy: Reconnect | None
    endpoint: str = ""
    jitter: Callable[[], float] = random.random  # from 0 to 1
    now: Callable[[], float] = time.time  # seconds since the epoch
    attempts: int = 0  # since the last event
    retry: int | None = None  # what the server has set, in milliseconds
    _begins: float = 0.0  # the last attempt, in seconds since the epoch

    def after(self, ended: Ended) -> float | Outcome:
        """The delay before the next attempt, in seconds; or how the stream ends."""
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
        now = self.now()
        delay = _asked_for(ended, now, self.policy.max_delay) or self._delay(self.policy)
        delay = max(delay, min(self._begins + MIN_INTERVAL - now, MIN_INTERVAL))
        self._begins = now + delay
        return delay

    def announce(self, ended: Ended, delay: float, *, request: httpx2.Request, last_event_id: str) -> None:
        """Announce an attempt after this delay: to the log, and to `on_reconnect`, which may raise."""
        assert self.policy is not None
        names = self.endpoint.removesuffix("()"), request_url(request)
        attempt = ReconnectAttempt(self.attempts if ended.cause else 0, delay, ended.cause, last_event_id, *names)
        event = f"from event {excerpt(last_event_id)!r} on"
        resumed = event if last_event_id else "without an event id, so perhaps from the start"
        if attempt.cause is None:
            message = f"{_request_line(request)}: restarting the stream, {resumed}"
        else:
            limit = "" if self.policy.max_attempts is None else f" of {self.policy.max_attempts}"
            when = f"in {delay:.3g} s (attempt {attempt.number}{limit})"
            message = f"{attempt.cause}; reconnecting {when}, {resumed}"
        logger.info("%s", message, extra={"attempt": attempt})
        _tell("on_reconnect", self.policy.on_reconnect, attempt)

    def announce_success(self, response: httpx2.Response) -> None:
        """Log that the last attempt has led to this response."""
        logger.info("%s: reconnected, with status %d", _request_line(response.request), response.status_code)

    def _delay(self, policy: Reconnect) -> float:
        longest = policy.max_delay
        least = 0.0 if self.retry is None else min(self.retry, longest * 1000) / 1000
        first = min(policy.initial_delay, longest) if self.retry is None else least
        if self.attempts == 1:
            return first
        return least + self.jitter() * (_limit(first or policy.initial_delay, longest, self.attempts) - least)


@dataclass(slots=True)
class Retrying:
    """Decides, each time an attempt of one call has failed, whether and when there is another one."""

    policy: Retry
    endpoint: str
    jitter: Callable[[], float] = random.random  # from 0 to 1
    now: Callable[[], float] = time.time  # seconds since the epoch
    attempts: int = 0  # that have failed
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    def after(self, error: APIException, obstacle: str | None = None) -> float:
        """How many seconds to wait before the next attempt; raises the error if there is none.

        Parameters:
            obstacle: Why the request cannot be sent again, if it cannot.
        """
        self.attempts += 1
        ended, policy, now = Ended.before_stream(error), self.policy, self.now()
        is_passing = ended.how == "cut short" or error.status_code in _RETRIED_STATUSES
        delay = _asked_for(ended, now, policy.max_delay)
        if delay is None:
            delay = self.jitter() * _limit(policy.initial_delay, policy.max_delay, self.attempts)
        is_late = policy.deadline is not None and now + delay > self._began + policy.deadline
        if is_passing and obstacle is not None:
            error.add_note(f"This call was not retried: {obstacle}.")
        elif is_passing and self.attempts < policy.attempts and not is_late:
            return delay
        error.came_after(self.attempts)
        raise error

    def announce(self, error: APIException, delay: float) -> None:
        """Announce another attempt after this delay: to the log, and to `on_retry`, which may raise."""
        attempt = RetryAttempt(self.attempts, delay, error, self.endpoint.removesuffix("()"), error.url)
        when = f"in {delay:.3g} s (attempt {self.attempts + 1} of {self.policy.attempts})"
        logger.info("%s", f"{error}; retrying {when}", extra={"attempt": attempt})
        _tell("on_retry", self.policy.on_retry, attempt)


def _limit(first: float, longest: float, failures: int) -> float:
    """The longest delay after so many failures in a row."""
    return min(first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), longest)


def _tell(name: str, function: Callable[[Any], None] | None, attempt: ReconnectAttempt | RetryAttempt) -> None:
    try:
        if function is not None:
            not_awaitable(name, function(attempt))
    except (StopIteration, StopAsyncIteration) as error:  # it would pass for the end of a stream
        raise RuntimeError(f"{name} raised {error!r}") from error


def _asked_for(ended: Ended, now: float, max_delay: float) -> float | None:
    """The delay that the server asks for, in seconds and capped; `None` if it asks for none."""
    asked_for = _retry_after(ended.cause, now) if ended.how == "unavailable" else None
    return min(asked_for, max_delay * _MAX_RETRY_AFTER) if asked_for else None


def _retry_after(error: APIException | None, now: float) -> float | None:
    """The delay of `Retry-After`, in seconds (RFC 9110, section 10.2.3); `None` without one."""
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
    return f"{request.method} {request_url(request)}"
