"""What follows when a connection has ended, as a table and as a machine: no sockets, clocks or chance."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clientele import api
from clientele.redirects import RefusedRedirect
from clientele.streaming.reconnect import MIN_INTERVAL, Ended, Ending, Reconnect, Resumption

REQUEST = httpx2.Request("GET", "http://api.example/events")
NOW = 1_800_000_000.0


def status_error(status: int, **headers: str) -> api.HTTPStatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.HTTPStatusError(httpx2.Response(status, headers=named, request=REQUEST))


def transport_error(cause: Exception, kind: Any = api.TransportError) -> api.APIException:
    error = kind("it failed", request=REQUEST)
    error.__cause__ = cause
    return error


DEFAULTS = Reconnect()


def resumption(policy: Reconnect | None = DEFAULTS, *, jitter: float = 1.0) -> Resumption:
    return Resumption(policy, jitter=lambda: jitter, now=long_between(NOW))


def long_between(first: float) -> Callable[[], float]:
    """A clock that goes on by much from one look to the next."""
    times = itertools.count(first, 100_000.0)
    return lambda: next(times)


CUT = Ended("cut short")


@pytest.mark.parametrize(
    ("how", "without", "with_reconnect"),
    [
        ("finished", "end", "end"),
        ("body ended", "end", 1.0),
        ("unfinished", "raise", 1.0),
        ("cut short", "raise", 1.0),
        ("unavailable", "raise", 1.0),
        ("refused", "raise", "raise"),
        ("restarted", "raise", 0.0),
    ],
)
def test_what_follows_each_ending(how, without, with_reconnect):
    assert resumption(None).after(Ended(how)) == without
    assert resumption().after(Ended(how)) == with_reconnect


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (status_error(408), "unavailable"),
        (status_error(425), "unavailable"),
        (status_error(429), "unavailable"),
        (status_error(500), "unavailable"),
        (status_error(503), "unavailable"),
        (status_error(599), "unavailable"),
        (status_error(400), "refused"),
        (status_error(401), "refused"),
        (status_error(404), "refused"),
        (status_error(410), "refused"),
        (transport_error(httpx2.ConnectError("")), "cut short"),
        (transport_error(httpx2.ConnectTimeout("")), "cut short"),
        (transport_error(httpx2.PoolTimeout("")), "cut short"),
        (transport_error(httpx2.RemoteProtocolError("")), "cut short"),
        (transport_error(httpx2.ProxyError("")), "cut short"),
        (transport_error(httpx2.ReadTimeout(""), api.StreamInterrupted), "cut short"),
        (transport_error(httpx2.LocalProtocolError("")), "refused"),
        (transport_error(httpx2.UnsupportedProtocol("")), "refused"),
        (transport_error(httpx2.TooManyRedirects("")), "refused"),
        (transport_error(RefusedRedirect("")), "refused"),
        (api.UnexpectedContentType(httpx2.Response(200, request=REQUEST), problem="", cure=""), "refused"),
    ],
    ids=str,
)
def test_an_attempt_that_led_to_no_stream_ended_so(error, how):
    assert Ended.before_stream(error) == Ended(how, error)


def delays(resumption: Resumption, number: int, ended: Ended = CUT) -> list[float]:
    steps = [resumption.after(ended) for _ in range(number)]
    return [step for step in steps if isinstance(step, float | int)]


def test_the_wait_is_doubled_at_each_further_failure_up_to_the_longest():
    assert delays(resumption(Reconnect(initial_delay=1, max_delay=30)), 8) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_jitter_is_a_part_of_the_wait_beyond_the_first():
    assert delays(resumption(jitter=0.0), 4) == [1, 0, 0, 0]
    assert delays(resumption(jitter=0.25), 4) == [1, 0.5, 1, 2]


def test_the_servers_retry_is_the_first_wait_and_no_later_one_is_shorter():
    told = Ended("cut short", retry=3000)
    assert delays(resumption(jitter=0.0), 3, told) == [3, 3, 3]
    assert delays(resumption(jitter=1.0), 5, told) == [3, 6, 12, 24, 30]


def test_the_servers_last_retry_counts_for_the_connections_after_it():
    machine = resumption()
    machine.after(Ended("cut short", had_events=True, retry=500))
    assert machine.after(Ended("cut short", had_events=True)) == 0.5


def test_a_retry_of_zero_is_obeyed_once_and_then_backed_off_from():
    assert delays(resumption(), 4, Ended("cut short", retry=0)) == [0, 2, 4, 8]


@pytest.mark.parametrize("policy", [DEFAULTS, Reconnect(initial_delay=0, max_delay=0)])
def test_attempts_begin_a_while_apart_whatever_the_server_says(policy):
    now = NOW
    machine = Resumption(policy, now=lambda: now)
    begun = []
    for _ in range(10):  # an event, and at once the end
        now += machine.after(Ended("body ended", had_events=True, retry=0))  # type: ignore[operator]
        begun.append(now)
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    assert min(gaps) == pytest.approx(MIN_INTERVAL)


def test_a_clock_that_is_put_back_holds_up_no_attempt():
    now = NOW
    machine = Resumption(Reconnect(initial_delay=0, max_delay=0), now=lambda: now)
    machine.after(CUT)
    now -= 3600
    assert machine.after(CUT) == MIN_INTERVAL


@pytest.mark.parametrize("retry", [30_001, 10**640])
def test_a_long_retry_is_cut_to_the_longest_wait(retry):
    assert delays(resumption(), 3, Ended("cut short", retry=retry)) == [30, 30, 30]


def test_an_event_puts_the_wait_and_the_count_of_attempts_back_to_the_start():
    machine = resumption(Reconnect(max_attempts=2))
    assert delays(machine, 2) == [1, 2]
    assert machine.after(Ended("cut short", had_events=True)) == 1.0
    assert machine.attempts == 1


def test_after_so_many_attempts_it_raises():
    machine = resumption(Reconnect(max_attempts=3))
    assert len(delays(machine, 3)) == 3
    assert machine.after(CUT) == "raise"
    assert machine.attempts == 3


def test_without_a_limit_it_never_raises_nor_waits_longer_than_the_longest():
    machine = resumption(Reconnect(max_attempts=None))
    assert set(delays(machine, 3000)[10:]) == {30}


def test_a_restart_is_no_failure():
    machine = resumption(Reconnect(max_attempts=1))
    assert [machine.after(Ended("restarted")) for _ in range(3)] == [0.0] * 3
    assert machine.after(CUT) == 1.0


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("300", 300.0),
        ("301", 300.0),
        ("9" * 5000, 300.0),
        (formatdate(NOW + 20, usegmt=True), 20.0),
        (formatdate(NOW + 10_000, usegmt=True), 300.0),
        (time.asctime(time.gmtime(NOW + 20)), 20.0),
        (time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(NOW + 20)), 20.0),
        (formatdate(NOW - 20, usegmt=True), 1.0),
        ("0", 1.0),
        ("-1", 1.0),
        ("1.5", 1.0),
        ("soon", 1.0),
        ("", 1.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_up_to_ten_times_the_longest_wait(status, retry_after, delay):
    error = status_error(status, Retry_After=retry_after)
    assert resumption().after(Ended.before_stream(error)) == delay


def test_retry_after_of_another_status_says_nothing():
    assert resumption().after(Ended.before_stream(status_error(404, Retry_After="7"))) == "raise"


@pytest.mark.parametrize("name", ["initial_delay", "max_delay"])
@pytest.mark.parametrize("value", [-1, math.inf, math.nan, "1", True, None])
def test_a_delay_is_a_number_of_seconds(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*a finite number of seconds"):
        Reconnect(**{name: value})


def test_on_reconnect_takes_one_argument():
    with pytest.raises(TypeError, match=r"on_reconnect is called with one argument, and .* does not take it"):
        Reconnect(on_reconnect=lambda: None)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10"])
def test_the_number_of_attempts_is_above_zero(value):
    with pytest.raises(ValueError, match=r"max_attempts is .*whole number.* or None"):
        Reconnect(max_attempts=value)


def test_no_delay_at_all_may_be_asked_for():
    assert delays(resumption(Reconnect(initial_delay=0, max_delay=0)), 3) == [0, 0, 0]


def test_on_reconnect_is_a_plain_function():
    async def told(attempt: object) -> None: ...

    with pytest.raises(TypeError, match="on_reconnect is an async function"):
        Reconnect(on_reconnect=told)
    with pytest.raises(TypeError, match="on_reconnect is 5; it is a function of a ReconnectAttempt"):
        Reconnect(on_reconnect=5)  # type: ignore[arg-type]


class Reconnecting(RuleBasedStateMachine):
    """Any history of endings keeps within what `Reconnect` promises."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    @precondition(lambda self: self.is_over)
    @rule()
    def begin(self) -> None:
        self.policy = Reconnect(initial_delay=0.5, max_delay=8, max_attempts=4)
        self.jitter = 0.0
        self.machine = Resumption(self.policy, jitter=lambda: self.jitter, now=long_between(NOW))
        self.failures = 0  # in a row
        self.retry: int | None = None
        self.is_over = False

    @invariant()
    def never_more_attempts_than_allowed(self) -> None:
        assert 0 <= self.machine.attempts <= 4

    @precondition(lambda self: not self.is_over)
    @rule(
        how=st.sampled_from(["body ended", "unfinished", "cut short"]),
        had_events=st.booleans(),
        retry=st.none() | st.integers(0, 20_000),
        jitter=st.floats(0, 1),
    )
    def lose_the_connection(self, how: Ending, had_events: bool, retry: int | None, jitter: float) -> None:
        self.retry = self.retry if retry is None else retry
        self.fail(Ended(how, had_events=had_events, retry=retry), jitter)

    @precondition(lambda self: not self.is_over)
    @rule(
        status=st.sampled_from([408, 429, 500, 503]), seconds=st.none() | st.integers(1, 1000), jitter=st.floats(0, 1)
    )
    def be_turned_away(self, status: int, seconds: int | None, jitter: float) -> None:
        error = status_error(status) if seconds is None else status_error(status, Retry_After=str(seconds))
        self.fail(Ended.before_stream(error), jitter, asked_for=seconds)

    @precondition(lambda self: not self.is_over)
    @rule(had_events=st.booleans())
    def restart(self, had_events: bool) -> None:
        assert self.machine.after(Ended("restarted", had_events=had_events)) == 0.0
        self.failures = 0 if had_events else self.failures

    @precondition(lambda self: not self.is_over)
    @rule(had_events=st.booleans())
    def finish(self, had_events: bool) -> None:
        assert self.machine.after(Ended("finished", had_events=had_events)) == "end"
        self.is_over = True

    @precondition(lambda self: not self.is_over)
    @rule()
    def be_refused(self) -> None:
        assert self.machine.after(Ended.before_stream(status_error(403))) == "raise"
        self.is_over = True

    def fail(self, ended: Ended, jitter: float, asked_for: int | None = None) -> None:
        self.jitter = jitter
        self.failures = 1 if ended.had_events else self.failures + 1
        step = self.machine.after(ended)
        if self.failures > 4:
            assert step == "raise"
            self.is_over = True
            return
        assert isinstance(step, float | int)
        if asked_for is not None:
            assert step == min(asked_for, 80)
            return
        told = None if self.retry is None else min(self.retry / 1000, 8)
        first = 0.5 if told is None else told
        if self.failures == 1:
            assert step == first
        else:
            assert (told or 0) <= step <= min((first or 0.5) * 2 ** (self.failures - 1), 8)


TestReconnecting = Reconnecting.TestCase
