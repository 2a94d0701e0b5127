"""A stream's connection has ended; what now? Without I/O: neither clock nor chance nor socket is here.

It is the processing model of the WHATWG HTML standard, section 9.2.3, with what a client needs that is no browser:

| how it ended | without `reconnect` | with it |
|---|---|---|
| the stream itself said so: `until`, status 204, a single document | the end | the end |
| the body ended | the end | wait |
| the body ended without what `until` waits for | raise | wait |
| it was cut short (reset, broken chunk, `idle_timeout`), or there was no connection | raise | wait |
| the server is not available: status 408, 429, 5xx | raise | wait, as `Retry-After` says |
| the server refused: another status, another content type, a redirect that leads nowhere | raise | raise |
| its client, or its event loop, was closed | raise | raise |
| somebody asked for it: `restart()` | | at once |

A wait begins an attempt. Attempts that brought no event are failures; after `max_attempts` of them in a row there is no
further wait: the stream raises.
"""

from __future__ import annotations

import enum
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeAlias

import httpx2

from ..checks import check_function, is_number, not_awaitable
from ..exceptions import APIException, HTTPStatusError, StreamInterrupted, TransportError, excerpt, printable_url
from ..redirects import RefusedRedirect

MAX_RETRY_AFTER = 10
"""How many times `max_delay` a server's `Retry-After` is obeyed for."""

logger = logging.getLogger("clientele")

_MAX_DOUBLINGS = 64  # beyond any delay, and within what a float can hold

_LASTING = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, RefusedRedirect)


@dataclass(frozen=True, slots=True)
class ReconnectAttempt:
    """One attempt to take a stream up again, as `on_reconnect` sees it before the wait.

    Attributes:
        number: How many attempts in a row this is, from 1; 0 where `restart()` asked for it.
        delay: How long is waited before it, in seconds.
        cause: Why it is needed; `None` where `restart()` asked for it.
        last_event_id: What is sent as `Last-Event-ID`, `""` if nothing is.
    """

    number: int
    delay: float
    cause: APIException | None
    last_event_id: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """When and how a stream whose connection has ended is taken up again.

    The first wait is what the server's last `retry` says, or `initial_delay`. At each further failure it is doubled,
    and a random part of it is waited (no less than the server's `retry`, as far as `max_delay` allows), so that many
    clients do not come back at once. An event that comes through puts it back to the start.

        @client.get("/prices", streaming_response=True, reconnect=api.Reconnect(max_attempts=None))
        async def prices(*, result: AsyncIterator[Price]) -> AsyncIterator[Price]:
            return result

    Attributes:
        initial_delay: The first wait in seconds, if the server does not say it. Default 1.
        max_delay: The longest wait in seconds, and the longest first one; a server's `Retry-After` may be ten times as
            long. Default 30.
        max_attempts: How many attempts in a row may fail before the stream raises `StreamInterrupted`; `None` for any
            number. Default 10.
        on_reconnect: A function that is called with a `ReconnectAttempt` before each wait. What it raises ends the
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
        if self.max_attempts is not None and not is_number(self.max_attempts, int):
            raise ValueError(
                f"max_attempts is {self.max_attempts!r}; it is a whole number above 0, or None for any number"
            )
        if self.on_reconnect is not None:
            check_function("on_reconnect", self.on_reconnect, "a function of a ReconnectAttempt")


class Ending(enum.Enum):
    """How a connection ended."""

    FINISHED = enum.auto()
    END_OF_BODY = enum.auto()
    UNFINISHED = enum.auto()
    CUT_SHORT = enum.auto()
    UNAVAILABLE = enum.auto()
    REFUSED = enum.auto()
    RESTARTED = enum.auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a connection, or of the attempt to make one.

    Attributes:
        how: How it ended.
        cause: What is raised if the stream ends with it; `None` where nothing is.
        had_events: Whether an event came through.
        retry: The reconnection time that the stream has set, in milliseconds; `None` if it has not.
    """

    how: Ending
    cause: APIException | None = None
    had_events: bool = False
    retry: int | None = None

    @classmethod
    def before_stream(cls, error: APIException) -> Ended:
        """The end of an attempt that led to no stream."""
        return cls(_ending(error), error)

    def retry_after(self, now: float) -> float | None:
        """How long the server asks to be left alone, in seconds; `None` if it does not.

        Parameters:
            now: The time, in seconds since the epoch.

        Source: RFC 9110, section 10.2.3.
        """
        if self.how is not Ending.UNAVAILABLE or self.cause is None or self.cause.response is None:
            return None
        value = self.cause.response.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            date = parsedate_to_datetime(value)  # the oldest of its forms names no time zone
            return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
        except (ValueError, OverflowError):  # it is neither form, or no time that this machine knows
            return None


class Outcome(enum.Enum):
    """What becomes of a stream that is not taken up again."""

    END = enum.auto()
    RAISE = enum.auto()


@dataclass(frozen=True, slots=True)
class Wait:
    """The stream is taken up again.

    Attributes:
        delay: After how many seconds.
    """

    delay: float


Step: TypeAlias = Outcome | Wait

_LEFT_ALONE = {Ending.FINISHED: Outcome.END, Ending.END_OF_BODY: Outcome.END}
"""What follows without `reconnect`; what is not here is raised."""

_NOT_TAKEN_UP = {Ending.FINISHED: Outcome.END, Ending.REFUSED: Outcome.RAISE}
"""What follows with it; after what is not here there is a wait."""


class Resumption:
    """Decides, each time a connection of one stream has ended, what follows.

    Parameters:
        policy: When and how the stream is taken up again; `None` for never.
        jitter: Gives a random number from 0 to 1.
        now: Gives the time, in seconds since the epoch.

    Attributes:
        policy: As given.
        attempts: How many attempts have been made since an event came through.
    """

    def __init__(
        self,
        policy: Reconnect | None,
        *,
        jitter: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self.attempts = 0
        self._jitter = jitter
        self._now = now
        self._retry: int | None = None

    def after(self, ended: Ended) -> Step:
        """What follows this end."""
        if self.policy is None:
            return _LEFT_ALONE.get(ended.how, Outcome.RAISE)
        if ended.had_events:
            self.attempts = 0
        if ended.retry is not None:
            self._retry = ended.retry
        if ended.how in _NOT_TAKEN_UP:
            return _NOT_TAKEN_UP[ended.how]
        if ended.how is Ending.RESTARTED:
            return Wait(0.0)
        if self.attempts == self.policy.max_attempts:
            return Outcome.RAISE
        self.attempts += 1
        asked_for = ended.retry_after(self._now())
        if asked_for:  # none at all leaves the wait to us
            return Wait(min(asked_for, self.policy.max_delay * MAX_RETRY_AFTER))
        return Wait(self._delay(self.policy))

    def announce(self, ended: Ended, delay: float, *, request: httpx2.Request, last_event_id: str) -> None:
        """Tell the log, and `on_reconnect`, that an attempt is about to be made.

        Parameters:
            ended: What makes it needed.
            delay: How long is waited before it, in seconds.
            request: The request that is sent again.
            last_event_id: The id of the last event that came.

        Raises:
            Exception: What `on_reconnect` raised.
        """
        assert self.policy is not None
        is_asked_for = ended.how is Ending.RESTARTED
        attempt = ReconnectAttempt(0 if is_asked_for else self.attempts, delay, ended.cause, last_event_id)
        logger.info("%s", _announcement(attempt, self.policy, request), extra={"attempt": attempt})
        if self.policy.on_reconnect is None:
            return
        try:
            outcome: object = self.policy.on_reconnect(attempt)
            not_awaitable("on_reconnect", outcome)
        except (StopIteration, StopAsyncIteration) as error:  # it would pass for the end of the stream
            raise RuntimeError(f"on_reconnect raised {error!r}") from error

    def announce_success(self, response: httpx2.Response) -> None:
        """Tell the log that the last attempt has come through, to this response."""
        logger.info("%s: reconnected, with status %d", _request_line(response.request), response.status_code)

    def _delay(self, policy: Reconnect) -> float:
        longest = policy.max_delay
        least = 0.0 if self._retry is None else min(self._retry, longest * 1000) / 1000
        first = min(policy.initial_delay, longest) if self._retry is None else least
        if self.attempts == 1:
            return first
        most: float = min((first or policy.initial_delay) * 2 ** min(self.attempts - 1, _MAX_DOUBLINGS), longest)
        return least + self._jitter() * (most - least)


def _ending(error: APIException) -> Ending:
    if isinstance(error, HTTPStatusError):
        status = error.status_code
        is_temporary = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500
        return Ending.UNAVAILABLE if is_temporary else Ending.REFUSED
    is_broken = isinstance(error, StreamInterrupted | TransportError) and not isinstance(error.__cause__, _LASTING)
    return Ending.CUT_SHORT if is_broken else Ending.REFUSED


def _announcement(attempt: ReconnectAttempt, policy: Reconnect, request: httpx2.Request) -> str:
    if attempt.cause is None:
        return f"{_request_line(request)}: restarting the stream, {_resumed_from(attempt)}"
    limit = "" if policy.max_attempts is None else f" of {policy.max_attempts}"
    when = f"in {attempt.delay:.3g} s (attempt {attempt.number}{limit})"
    return f"{attempt.cause}; reconnecting {when}, {_resumed_from(attempt)}"


def _resumed_from(attempt: ReconnectAttempt) -> str:
    return (
        f"from event {excerpt(attempt.last_event_id)!r} on"
        if attempt.last_event_id
        else "without an event id, so perhaps from the start"
    )


def _request_line(request: httpx2.Request) -> str:
    return f"{request.method} {printable_url(request.url)}"
