"""Which connection serves which request: the pool in examples, then as a machine against a naive model.

Behind them the lock around the pool, which finalizers must not wait for.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clientele.wire.connections import Connections
from clientele.wire.pool import Pool, Ticket
from clientele.wire.steps import run

NOW = 1000.0


def pool_of(max_connections: int | None = None, max_idle: int | None = None, expiry: float | None = None) -> Pool[str]:
    return Pool(max_connections, max_idle, expiry)


def opened(pool: Pool[str], connection: str, origin: str = "origin", now: float = NOW) -> Ticket[str]:
    """A connection that was opened, and serves a request."""
    ticket = pool.request(origin, now)
    assert ticket.is_granted
    assert ticket.connection is None
    pool.opened(connection)
    return ticket


def idle(pool: Pool[str], *connections: str, origin: str = "origin", now: float = NOW) -> None:
    """Connections that were opened, and have served their requests, one after another."""
    for connection in connections:
        opened(pool, connection, origin, now)
    for connection in connections:
        pool.release(connection, origin, now, is_reusable=True)


# Reuse


def test_the_first_request_opens_a_connection():
    ticket = pool_of().request("origin", NOW)

    assert (ticket.is_granted, ticket.connection) == (True, None)


def test_an_idle_connection_is_used_again():
    pool = pool_of()
    idle(pool, "one")

    assert pool.request("origin", NOW).connection == "one"
    assert pool.request("origin", NOW).connection is None


def test_the_connection_that_was_used_last_is_used_first():
    pool = pool_of()
    idle(pool, "one", "two", "three")

    assert [pool.request("origin", NOW).connection for _ in range(3)] == ["three", "two", "one"]


def test_a_connection_serves_its_origin_only():
    pool = pool_of()
    idle(pool, "one")

    assert pool.request("elsewhere", NOW).connection is None
    assert not pool.retired


def test_a_connection_that_cannot_be_used_again_is_forgotten():
    pool = pool_of()
    opened(pool, "one")
    pool.release("one", "origin", NOW, is_reusable=False)

    assert pool.request("origin", NOW).connection is None
    assert not pool.retired  # whoever releases it has closed it


def test_an_idle_connection_that_is_gone_is_forgotten():
    pool = pool_of(max_connections=1)
    idle(pool, "one")
    pool.remove("one")

    ticket = pool.request("origin", NOW)
    assert (ticket.is_granted, ticket.connection) == (True, None)


def test_a_connection_that_is_gone_while_it_is_used_is_left_to_its_request():
    pool = pool_of(max_connections=1)
    opened(pool, "one")
    pool.remove("one")

    assert not pool.request("origin", NOW).is_granted


# Limits


def test_there_are_no_more_connections_than_allowed():
    pool = pool_of(max_connections=2)
    tickets = [pool.request("origin", NOW) for _ in range(4)]

    assert [ticket.is_granted for ticket in tickets] == [True, True, False, False]


def test_an_idle_connection_to_another_origin_gives_way():
    pool = pool_of(max_connections=2)
    idle(pool, "one", "two")
    ticket = pool.request("elsewhere", NOW)

    assert (ticket.is_granted, ticket.connection) == (True, None)
    assert [*pool.retired] == ["one"]  # which has been idle for longest
    assert pool.request("origin", NOW).connection == "two"


def test_no_more_connections_are_idle_than_allowed():
    pool = pool_of(max_idle=2)
    idle(pool, "one", "two", "three")

    assert [*pool.retired] == ["one"]


def test_without_idle_connections_each_is_retired_after_its_request():
    pool = pool_of(max_connections=1, max_idle=0)
    idle(pool, "one")

    assert [*pool.retired] == ["one"]
    assert pool.request("origin", NOW).connection is None


def test_a_connection_that_somebody_waits_for_is_never_idle():
    pool = pool_of(max_connections=1, max_idle=0)
    opened(pool, "one")
    waiting = pool.request("origin", NOW)
    pool.release("one", "origin", NOW, is_reusable=True)

    assert waiting.connection == "one"
    assert not pool.retired


# Expiry


def test_an_idle_connection_expires():
    pool = pool_of(expiry=5)
    opened(pool, "one")
    opened(pool, "two")
    pool.release("one", "origin", NOW, is_reusable=True)
    pool.release("two", "origin", NOW + 1, is_reusable=True)

    assert pool.request("elsewhere", NOW + 4.9).connection is None
    assert not pool.retired
    pool.request("elsewhere", NOW + 5)
    assert [*pool.retired] == ["one"]
    assert pool.request("origin", NOW + 5).connection == "two"


def test_the_time_starts_anew_with_each_request():
    pool = pool_of(expiry=5)
    idle(pool, "one")
    assert pool.request("origin", NOW + 4).connection == "one"
    pool.release("one", "origin", NOW + 4, is_reusable=True)

    assert pool.request("origin", NOW + 8).connection == "one"


def test_an_expired_connection_makes_room():
    pool = pool_of(max_connections=1, expiry=5)
    idle(pool, "one")
    ticket = pool.request("origin", NOW + 5)

    assert (ticket.is_granted, ticket.connection) == (True, None)
    assert [*pool.retired] == ["one"]


def test_with_an_expiry_of_zero_no_connection_is_used_again():
    pool = pool_of(expiry=0)
    idle(pool, "one")

    assert pool.request("origin", NOW).connection is None
    assert [*pool.retired] == ["one"]


def test_without_an_expiry_connections_are_idle_for_ever():
    pool = pool_of(expiry=None)
    idle(pool, "one")

    assert pool.request("origin", NOW + 1e9).connection == "one"


# Waiting


def full(*connections: str) -> tuple[Pool[str], list[Ticket[str]], Callable[[], Ticket[str]]]:
    """A pool without room, the tickets that it wakes, and what asks for another connection."""
    pool = pool_of(max_connections=len(connections))
    woken: list[Ticket[str]] = []
    for connection in connections:
        opened(pool, connection)

    def wait(origin: str = "origin") -> Ticket[str]:
        ticket = pool.request(origin, NOW)
        assert not ticket.is_granted
        ticket.wake = lambda: woken.append(ticket)
        return ticket

    return pool, woken, wait


def test_who_has_waited_longest_is_served_first():
    pool, woken, wait = full("one", "two")
    first, second, third = wait(), wait(), wait()
    pool.release("two", "origin", NOW, is_reusable=True)
    pool.release("one", "origin", NOW, is_reusable=True)

    assert woken == [first, second]
    assert (first.connection, second.connection, third.is_granted) == ("two", "one", False)


def test_who_has_waited_longest_is_served_first_whatever_the_origin():
    pool, woken, wait = full("one")
    first, second = wait("elsewhere"), wait()
    pool.release("one", "origin", NOW, is_reusable=True)

    assert woken == [first]
    assert (first.connection, second.is_granted) == (None, False)
    assert [*pool.retired] == ["one"]


def test_a_connection_that_cannot_be_used_again_makes_room():
    pool, woken, wait = full("one")
    first = wait()
    pool.release("one", "origin", NOW, is_reusable=False)

    assert woken == [first]
    assert (first.is_granted, first.connection) == (True, None)


def test_who_stops_waiting_is_not_served():
    pool, woken, wait = full("one")
    first, second = wait(), wait()
    pool.withdraw(first, NOW)
    pool.withdraw(first, NOW)
    pool.release("one", "origin", NOW, is_reusable=True)

    assert woken == [second]
    assert second.connection == "one"
    assert not first.is_granted


def test_who_gives_up_after_being_served_passes_the_connection_on():
    pool, woken, wait = full("one")
    first, second = wait(), wait()
    pool.release("one", "origin", NOW, is_reusable=True)
    pool.withdraw(first, NOW)

    assert woken == [first, second]
    assert second.connection == "one"


def test_who_cannot_open_a_connection_passes_the_room_on():
    pool = pool_of(max_connections=1)
    first, second = pool.request("origin", NOW), pool.request("origin", NOW)
    pool.withdraw(first, NOW)

    assert (second.is_granted, second.connection) == (True, None)


# Connections that are gone


def test_a_connection_that_turns_out_to_be_gone_is_replaced_by_another():
    pool = pool_of(max_connections=1)
    idle(pool, "one")
    ticket = pool.request("origin", NOW)
    pool.replace(ticket)
    waiting = pool.request("origin", NOW)

    assert (ticket.is_granted, ticket.connection) == (True, None)
    assert not waiting.is_granted  # the place is taken
    pool.opened("two")
    pool.release("two", "origin", NOW, is_reusable=True)
    assert waiting.connection == "two"


def test_a_replacement_that_cannot_be_opened_gives_its_place_up():
    pool = pool_of(max_connections=1)
    idle(pool, "one")
    ticket = pool.request("origin", NOW)
    pool.replace(ticket)
    pool.withdraw(ticket, NOW)

    assert pool.request("origin", NOW).is_granted
    assert not pool.request("origin", NOW).is_granted


# Closing


def test_closing_retires_idle_and_active_connections():
    pool = pool_of()
    opened(pool, "active")
    idle(pool, "idle")
    pool.close()

    assert sorted(pool.retired) == ["active", "idle"]
    assert pool.request("origin", NOW).connection is None


def test_a_closed_pool_is_as_new():
    pool = pool_of(max_connections=1)
    opened(pool, "one")
    pool.close()
    opened(pool, "two")
    pool.release("one", "origin", NOW, is_reusable=True)  # has been closed

    assert [*pool.retired] == ["one"]
    assert not pool.request("origin", NOW).is_granted


def test_who_waits_when_the_pool_is_closed_opens_a_connection():
    pool, woken, wait = full("one", "two")
    tickets = [wait(), wait(), wait()]
    pool.close()

    assert woken == tickets[:2]
    assert [ticket.connection for ticket in tickets[:2]] == [None, None]


def test_a_connection_that_is_being_opened_when_the_pool_is_closed_counts():
    pool = pool_of(max_connections=1)
    ticket = pool.request("origin", NOW)
    pool.close()
    assert not pool.request("origin", NOW).is_granted
    pool.withdraw(ticket, NOW)

    assert pool.request("origin", NOW).is_granted is False  # the place went to the one before


def test_a_connection_that_was_closed_with_the_pool_is_replaced_within_the_limit():
    pool = pool_of(max_connections=1)
    idle(pool, "one")
    ticket = pool.request("origin", NOW)
    pool.close()
    pool.replace(ticket)

    assert not pool.request("origin", NOW).is_granted


# Any order of events


@dataclass(eq=False)
class Wish:
    """What the model knows of a request."""

    origin: str
    is_granted: bool = False
    connection: int | None = None  # that it was granted, or has opened
    is_over: bool = False


class NaiveModel:
    """The pool's rules, looked up in lists."""

    def __init__(self, max_connections: float, max_idle: float, expiry: float) -> None:
        self.max_connections = max_connections
        self.max_idle = max_idle
        self.expiry = expiry
        self.wishes: list[Wish] = []  # in the order in which they were made
        self.idle: list[tuple[int, str, float]] = []  # connection, origin and time; the oldest first
        self.retired: list[int] = []
        self.served: list[Wish] = []  # after they had waited

    def waiting(self) -> list[Wish]:
        return [wish for wish in self.wishes if not wish.is_granted and not wish.is_over]

    def opening(self) -> list[Wish]:
        return [wish for wish in self.wishes if wish.is_granted and wish.connection is None and not wish.is_over]

    def using(self) -> list[Wish]:
        return [wish for wish in self.wishes if wish.connection is not None and not wish.is_over]

    def alive(self) -> list[int]:
        used = [wish.connection for wish in self.using() if wish.connection not in self.retired]
        return used + [connection for connection, _, _ in self.idle]

    def has_room(self) -> bool:
        return len(self.alive()) + len(self.opening()) < self.max_connections

    def request(self, origin: str, now: float) -> Wish:
        expired = [entry for entry in self.idle if entry[2] + self.expiry <= now]
        self.retired += [connection for connection, _, _ in expired]
        self.idle = [entry for entry in self.idle if entry not in expired]
        wish = Wish(origin)
        self.wishes.append(wish)
        self.grant(wish)
        return wish

    def grant(self, wish: Wish) -> None:
        fitting = [entry for entry in self.idle if entry[1] == wish.origin]
        if fitting:
            self.idle.remove(fitting[-1])
            wish.connection = fitting[-1][0]
        elif not self.has_room():
            if not self.idle:
                return
            self.retired.append(self.idle.pop(0)[0])
        wish.is_granted = True

    def serve(self) -> None:
        for wish in self.waiting():
            self.grant(wish)
            if not wish.is_granted:
                return
            self.served.append(wish)

    def end(self, wish: Wish, now: float, *, is_reusable: bool) -> None:
        """The wish is fulfilled, or given up."""
        wish.is_over = True
        if is_reusable and wish.connection is not None and wish.connection not in self.retired:
            self.idle.append((wish.connection, wish.origin, now))
        self.serve()
        if len(self.idle) > self.max_idle:
            self.retired.append(self.idle.pop(0)[0])

    def close(self) -> None:
        self.retired += self.alive()
        self.idle = []
        self.serve()


UNLIMITED = float("inf")
origins = st.sampled_from(["a", "b", "c"])
choices = st.integers(0, 1000)


class PoolMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, the pool does what the model does."""

    @initialize(
        max_connections=st.sampled_from([1, 2, 3, None]),
        max_idle=st.sampled_from([0, 1, 2, None]),
        expiry=st.sampled_from([0, 10, None]),
    )
    def start(self, max_connections, max_idle, expiry):
        limits = [UNLIMITED if limit is None else limit for limit in (max_connections, max_idle, expiry)]
        self.pool: Pool[int] = Pool(max_connections, max_idle, expiry)
        self.model = NaiveModel(*limits)
        self.tickets: dict[Wish, Ticket[int]] = {}
        self.served: list[Wish] = []
        self.now = NOW
        self.opened_count = 0

    def one_of(self, wishes: list[Wish], choice: int) -> Wish:
        return wishes[choice % len(wishes)]

    @rule(origin=origins)
    def request(self, origin):
        ticket = self.pool.request(origin, self.now)
        wish = self.model.request(origin, self.now)
        ticket.wake = lambda: self.served.append(wish)
        self.tickets[wish] = ticket

    @precondition(lambda self: self.model.opening())
    @rule(choice=choices)
    def open(self, choice):
        wish = self.one_of(self.model.opening(), choice)
        self.opened_count += 1
        self.pool.opened(self.opened_count)
        wish.connection = self.opened_count

    @precondition(lambda self: self.model.using())
    @rule(choice=choices, is_reusable=st.booleans())
    def release(self, choice, is_reusable):
        wish = self.one_of(self.model.using(), choice)
        self.pool.release(wish.connection, wish.origin, self.now, is_reusable=is_reusable)
        self.model.end(wish, self.now, is_reusable=is_reusable)

    @precondition(lambda self: self.withdrawable())
    @rule(choice=choices)
    def withdraw(self, choice):
        wish = self.one_of(self.withdrawable(), choice)
        self.pool.withdraw(self.tickets[wish], self.now)
        self.model.end(wish, self.now, is_reusable=True)

    @precondition(lambda self: self.replaceable())
    @rule(choice=choices)
    def replace(self, choice):
        wish = self.one_of(self.replaceable(), choice)
        self.pool.replace(self.tickets[wish])
        wish.connection = None

    @precondition(lambda self: self.model.idle)
    @rule(choice=choices)
    def lose(self, choice):
        entry = self.model.idle[choice % len(self.model.idle)]
        self.pool.remove(entry[0])
        self.model.idle.remove(entry)
        self.model.serve()

    @rule(seconds=st.sampled_from([1, 5, 10]))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def close(self):
        self.pool.close()
        self.model.close()

    def withdrawable(self) -> list[Wish]:
        """Who waits, has yet to open a connection, or was granted one."""
        granted = [wish for wish in self.model.using() if self.tickets[wish].connection is not None]
        return self.model.waiting() + self.model.opening() + granted

    def replaceable(self) -> list[Wish]:
        """Who was granted a connection; where it was closed with the pool, only if nobody took its place since.

        A request does not wait twice, so it would open one more than allowed.
        """
        granted = [wish for wish in self.model.using() if self.tickets[wish].connection is not None]
        return [wish for wish in granted if self.model.has_room() or wish.connection not in self.model.retired]

    @invariant()
    def the_pool_does_what_the_model_does(self):
        for wish, ticket in self.tickets.items():
            assert ticket.is_granted == wish.is_granted
            if ticket.connection is not None:
                assert ticket.connection == wish.connection
        assert sorted(self.pool.retired) == sorted(self.model.retired)

    @invariant()
    def those_who_wait_are_served_in_their_order(self):
        assert self.served == self.model.served
        order = [self.model.wishes.index(wish) for wish in self.served]
        assert order == sorted(order)

    @invariant()
    def there_are_never_more_connections_than_allowed(self):
        assert len(self.model.alive()) + len(self.model.opening()) <= self.model.max_connections
        assert len(self.model.idle) <= self.model.max_idle

    @invariant()
    def nobody_waits_while_a_connection_is_idle_or_there_is_room(self):
        assert not (self.model.waiting() and (self.model.idle or self.model.has_room()))

    @invariant()
    def no_connection_is_used_twice_or_after_it_was_retired(self):
        assert len(set(self.model.alive())) == len(self.model.alive())
        assert not set(self.model.alive()) & set(self.pool.retired)


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase


# The work that it is


def calls_of(step: Callable[..., object], *arguments: Any, **options: Any) -> Counter[str]:
    """Everything that a step calls, be it Python or C."""
    counted: Counter[str] = Counter()

    def count(frame, event, argument):
        if event == "call":
            counted[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            counted[argument.__qualname__] += 1

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        step(*arguments, **options)
    finally:
        sys.setprofile(previous)
    return counted


def work(count: int) -> dict[str, Counter[str]]:
    """What each operation calls in a pool of so many connections: half of them idle, and as many requests waiting."""
    pool: Pool[int] = Pool(count, None, 5)
    work = {}
    for connection in range(count):
        pool.request(connection % 7, NOW)
        pool.opened(connection)
    for connection in range(count // 2):
        pool.release(connection, connection % 7, NOW, is_reusable=True)
    work["request one that is idle"] = calls_of(pool.request, 3, NOW)
    work["request one to another origin"] = calls_of(pool.request, "elsewhere", NOW)
    work["release"] = calls_of(pool.release, count - 1, (count - 1) % 7, NOW, is_reusable=True)
    work["remove"] = calls_of(pool.remove, count - 1)
    full: Pool[int] = Pool(count, None, 5)
    for connection in range(count):
        full.request(connection % 7, NOW)
        full.opened(connection)
    waiting = [full.request(number % 7, NOW) for number in range(count)]
    work["wait"] = calls_of(full.request, 3, NOW)
    work["release to who waits"] = calls_of(full.release, 0, 0, NOW, is_reusable=True)
    work["release to who waits for another origin"] = calls_of(full.release, 2, 2, NOW, is_reusable=True)
    work["withdraw"] = calls_of(full.withdraw, waiting[count // 2], NOW)
    return work


def test_the_work_of_an_operation_does_not_grow_with_the_connections():
    assert work(10_000) == work(10)


# The lock around it


class FakeStream:
    """A connection that keeps what is done with it."""

    is_shared = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.reader: Any = None
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def in_time(main: Callable[[], None]) -> None:
    """Run it in a thread, and fail if that waits for itself."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            main()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    for error in errors:
        raise error


class Held:
    """A response that gives its connection back when nobody refers to it any more."""

    def __init__(self, give_back: Callable[[], object]) -> None:
        self.give_back = give_back

    def __del__(self) -> None:
        self.give_back()


def connections_of(max_connections: int, make_event: Callable[[], Any] = SimpleNamespace) -> Connections:
    limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=None, keepalive_expiry=None)
    return Connections(limits, make_event)


def acquire(connections: Connections) -> Ticket[Any]:
    return run(connections.acquire("origin", None, None))


def acquired(connections: Connections, name: str) -> FakeStream:
    assert acquire(connections).connection is None
    stream = FakeStream(name)
    connections.do(connections.pool.opened, stream)
    return stream


def test_a_finalizer_may_run_while_a_request_is_made():
    """The event is made with the lock held."""
    held: list[Held] = []

    def make_event() -> Any:
        held.clear()
        return SimpleNamespace(set=lambda: None, wait=lambda timeout: True)

    def main() -> None:
        connections = connections_of(1, make_event)
        stream = acquired(connections, "one")
        held.append(Held(lambda: connections.release(stream, "origin", True)))

        assert acquire(connections).connection is stream

    in_time(main)


@pytest.mark.parametrize("is_reusable", [True, False])
def test_a_finalizer_may_run_while_a_connection_is_handed_on(is_reusable):
    """Whoever waits is woken with the lock held."""
    held: list[Held] = []

    def main() -> None:
        connections = connections_of(2, lambda: SimpleNamespace(set=held.clear, wait=wait))
        one, two = acquired(connections, "one"), acquired(connections, "two")

        def wait(timeout: float | None) -> bool:
            connections.release(one, "origin", True)
            return True

        held.append(Held(lambda: connections.release(two, "origin", is_reusable)))

        assert acquire(connections).connection is one
        assert acquire(connections).connection is (two if is_reusable else None)

    in_time(main)


def test_a_finalizer_may_close_all_connections_while_one_is_handed_on():
    held: list[Held] = []

    def main() -> None:
        connections = connections_of(2, lambda: SimpleNamespace(set=held.clear, wait=wait))
        one, two = acquired(connections, "one"), acquired(connections, "two")

        def wait(timeout: float | None) -> bool:
            connections.release(one, "origin", True)
            return True

        held.append(Held(connections.close))

        assert acquire(connections).connection is one
        assert one.is_aborted
        assert two.is_aborted

    in_time(main)


def test_bytes_that_nobody_asked_for_end_an_idle_connection():
    connections = connections_of(1)
    stream = acquired(connections, "one")
    connections.release(stream, "origin", True)
    stream.reader.receive(b"HTTP/1.1 200 OK\r\n\r\n")

    assert stream.is_aborted
    assert acquire(connections).connection is None


def test_who_has_waited_in_vain_is_not_in_line_any_more():
    connections = connections_of(1, lambda: SimpleNamespace(set=lambda: None, wait=lambda timeout: False))
    stream = acquired(connections, "one")
    with pytest.raises(httpx2.PoolTimeout):
        acquire(connections)
    connections.release(stream, "origin", True)

    assert acquire(connections).connection is stream


def test_who_is_served_when_giving_up_passes_the_connection_on():
    def main() -> None:
        connections = connections_of(1, lambda: SimpleNamespace(set=lambda: None, wait=wait))
        stream = acquired(connections, "one")

        def wait(timeout: float | None) -> bool:
            connections.release(stream, "origin", True)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            acquire(connections)
        assert acquire(connections).connection is stream

    in_time(main)


# Connections that many requests share.


class Shared(str):
    """A connection that speaks HTTP/2; it is its own name."""

    __slots__ = ("limit",)
    is_shared = True


def shared(name: str, limit: int) -> Shared:
    connection = Shared(name)
    connection.limit = limit
    return connection


def sharing_pool(max_connections: int | None = None) -> Pool[Any]:
    return Pool(max_connections, None, None, may_share=True)


def test_requests_wait_while_a_connection_to_their_origin_is_opened_and_share_it():
    pool = sharing_pool()
    first, second, other = (pool.request(origin, NOW) for origin in ("origin", "origin", "other"))
    assert (first.is_granted, second.is_granted, other.is_granted) == (True, False, True)

    one = shared("one", 2)
    pool.opened(one, "origin")
    assert (second.is_granted, second.connection) == (True, one)
    third = pool.request("origin", NOW)
    assert (third.is_granted, third.connection) == (True, None)  # the limit is reached, so it opens another


def test_where_the_origin_does_not_share_each_request_opens_its_own():
    pool = sharing_pool()
    pool.request("origin", NOW)
    waiting = [pool.request("origin", NOW) for _ in range(2)]
    pool.opened("one", "origin")
    assert [(each.is_granted, each.connection) for each in waiting] == [(True, None)] * 2
    assert pool.request("origin", NOW).is_granted


def test_who_waits_goes_on_if_the_connection_cannot_be_opened():
    pool = sharing_pool()
    first, second = pool.request("origin", NOW), pool.request("origin", NOW)
    pool.withdraw(first, NOW)
    assert (second.is_granted, second.connection) == (True, None)


def test_a_share_that_is_given_back_goes_to_who_waits_for_that_origin():
    pool = sharing_pool(max_connections=1)
    pool.request("origin", NOW)
    one = shared("one", 1)
    pool.opened(one, "origin")
    elsewhere, here = pool.request("other", NOW), pool.request("origin", NOW)
    one.limit = 2
    pool.changed(one, "origin")
    assert (elsewhere.is_granted, here.connection) == (False, one)


def test_a_connection_is_idle_when_nobody_shares_it_any_more():
    pool = sharing_pool(max_connections=1)
    pool.request("origin", NOW)
    one = shared("one", 10)
    pool.opened(one, "origin")
    pool.request("origin", NOW)
    other = pool.request("other", NOW)
    pool.release(one, "origin", NOW, is_reusable=True)
    assert not other.is_granted
    pool.release(one, "origin", NOW, is_reusable=True)
    assert other.is_granted
    assert list(pool.retired) == [one]


def test_a_connection_that_drains_takes_no_more_and_leaves_with_its_last_request():
    pool = sharing_pool(max_connections=2)
    pool.request("origin", NOW)
    one = shared("one", 10)
    pool.opened(one, "origin")
    one.limit = 0
    pool.changed(one, "origin")
    ticket = pool.request("origin", NOW)
    assert (ticket.is_granted, ticket.connection) == (True, None)
    pool.release(one, "origin", NOW, is_reusable=True)
    pool.opened(shared("two", 10), "origin")
    assert pool.request("other", NOW).is_granted  # there is room again


def test_an_idle_connection_that_drains_is_retired():
    pool = sharing_pool()
    pool.request("origin", NOW)
    one = shared("one", 10)
    pool.opened(one, "origin")
    pool.release(one, "origin", NOW, is_reusable=True)
    one.limit = 0
    pool.changed(one, "origin")
    assert list(pool.retired) == [one]
    assert pool.request("origin", NOW).connection is None


def test_an_idle_connection_is_shared_again():
    pool = sharing_pool()
    pool.request("origin", NOW)
    one = shared("one", 2)
    pool.opened(one, "origin")
    pool.release(one, "origin", NOW, is_reusable=True)
    assert [pool.request("origin", NOW).connection for _ in range(3)] == [one, one, None]
