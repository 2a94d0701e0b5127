"""Whether and when a call is tried again: no sockets, clocks or chance."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from tests.streaming.test_reconnect_table import NOW, status_error, transport_error

from clientele import api
from clientele.streaming.reconnect import Retrying

REFUSED = transport_error(httpx2.ConnectError("refused"))


def retrying(jitter: float = 1.0, **policy: Any) -> Retrying:
    return Retrying(api.Retry(**policy), "get_user()", jitter=lambda: jitter, now=lambda: NOW)


def delays(machine: Retrying, error: api.APIException) -> list[float]:
    """The delay before each further attempt, if all fail so."""
    found: list[float] = []
    with pytest.raises(type(error)) as raised:
        while True:
            found.append(machine.after(error))
    assert raised.value is error
    return found


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_status_is_tried_again(status):
    assert delays(retrying(), status_error(status)) == [0.5, 1.0]


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 409, 410, 422, 501, 505, 511, 599])
def test_another_status_is_not(status):
    assert delays(retrying(), status_error(status)) == []


@pytest.mark.parametrize(
    "cause",
    [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError],
)
def test_a_connection_that_fails_is_tried_again(cause):
    assert len(delays(retrying(), transport_error(cause("")))) == 2


@pytest.mark.parametrize("cause", [httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects])
def test_what_fails_the_same_way_each_time_is_not(cause):
    assert delays(retrying(), transport_error(cause(""))) == []


def test_the_first_attempt_counts():
    assert delays(retrying(attempts=1), REFUSED) == []
    assert len(delays(retrying(attempts=5), REFUSED)) == 4


def test_each_failure_doubles_the_limit_of_the_delay_up_to_the_longest():
    assert delays(retrying(attempts=7, initial_delay=1, max_delay=8), REFUSED) == [1, 2, 4, 8, 8, 8]
    assert len(delays(retrying(attempts=3000), REFUSED)) == 2999


def test_the_delay_is_a_random_part_of_its_limit_from_the_first_on():
    assert delays(retrying(jitter=0.0, attempts=4), REFUSED) == [0, 0, 0]
    assert delays(retrying(jitter=0.5, attempts=4), REFUSED) == [0.25, 0.5, 1]


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        ("7", 7.0),
        ("80", 80.0),
        ("81", 80.0),
        (formatdate(NOW + 20, usegmt=True), 20.0),
        (formatdate(NOW + 10_000, usegmt=True), 80.0),
        ("0", 0.5),
        ("soon", 0.5),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_up_to_ten_times_the_longest_delay(status, retry_after, delay):
    assert retrying().after(status_error(status, Retry_After=retry_after)) == delay


def test_no_attempt_begins_after_the_deadline():
    now = NOW
    machine = Retrying(api.Retry(attempts=9, deadline=4), "f()", jitter=lambda: 1.0, now=lambda: now)
    assert [machine.after(REFUSED) for _ in range(4)] == [0.5, 1, 2, 4]
    now += 0.1
    with pytest.raises(api.TransportError, match="the last of 5 attempts"):
        machine.after(REFUSED)


def test_a_retry_after_beyond_the_deadline_raises_at_once():
    assert delays(retrying(deadline=5), status_error(503, Retry_After="6")) == []


def test_the_error_of_the_last_attempt_tells_how_many_there_were():
    error = transport_error(httpx2.ConnectError(""))
    delays(retrying(), error)
    assert error.attempts == 3
    assert str(error) == "GET http://api.example/events: it failed (the last of 3 attempts)"


def test_a_lasting_error_tells_of_the_attempts_before_it():
    machine = retrying()
    machine.after(transport_error(httpx2.ConnectError("")))
    with pytest.raises(api.HTTPStatusError, match=r"404 Not Found \(the last of 2 attempts\)$"):
        machine.after(status_error(404))


def test_the_error_of_a_single_attempt_is_as_it_is_without_retry():
    error = status_error(404)
    delays(retrying(), error)
    assert error.attempts == 1
    assert "attempt" not in str(error)


def test_an_obstacle_is_told_in_a_note():
    error = transport_error(httpx2.ConnectError(""))
    with pytest.raises(api.TransportError):
        retrying().after(error, "POST is not idempotent")
    assert error.__notes__ == ["This call was not retried: POST is not idempotent."]


def test_an_obstacle_to_what_would_not_be_tried_again_is_not_told():
    error = status_error(404)
    with pytest.raises(api.HTTPStatusError):
        retrying().after(error, "POST is not idempotent")
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"attempts": value}, "attempts is .*whole number above 0") for value in (0, -1, 1.5, True, None, "3")),
        *(({"initial_delay": value}, "initial_delay is .*finite number") for value in (-1, math.inf, "1", None)),
        *(({"max_delay": value}, "max_delay is .*finite number") for value in (-1, math.nan, True)),
        *(({"deadline": value}, "deadline is .*above 0, or None") for value in (0, -1, math.inf, "1")),
    ],
)
def test_a_number_out_of_its_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        api.Retry(**options)


def test_on_retry_is_a_plain_function_of_one_argument():
    async def told(attempt: object) -> None: ...

    with pytest.raises(TypeError, match="on_retry is an async function"):
        api.Retry(on_retry=told)
    with pytest.raises(TypeError, match="on_retry is 5; it is a function of a RetryAttempt"):
        api.Retry(on_retry=5)  # type: ignore[arg-type]
