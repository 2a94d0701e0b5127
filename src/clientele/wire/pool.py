"""Which connection serves which request, sans-I/O. Every operation is O(1) in connections and requests.

A request asks for a connection with a `Ticket`. The pool grants it at once if there is an idle connection to its
origin, room for another one, or an idle connection to another origin that can be closed instead. Otherwise the
request waits. Whatever becomes free goes to the request that has waited longest. (No request waits while a connection
is idle, so only the first in line needs a look.)

The pool closes nothing: connections that have to go are in `retired`, and whoever uses the pool closes them.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

C = TypeVar("C", bound=Hashable)


@dataclass(eq=False, slots=True)
class Ticket(Generic[C]):
    """One request's claim to a connection. Once it is granted, the request uses the connection, or opens one."""

    origin: Hashable
    is_granted: bool = False
    connection: C | None = None
    wake: Callable[[], object] = field(default=bool)  # called if it is granted later


class Pool(Generic[C]):
    """The connections of a transport. `expiry` is how long one may be idle, in seconds; `None` means no limit."""

    def __init__(self, max_connections: int | None, max_idle: int | None, expiry: float | None) -> None:
        self.retired: deque[C] = deque()  # to be closed
        self._max_connections = math.inf if max_connections is None else max_connections
        self._max_idle = math.inf if max_idle is None else max_idle
        self._expiry = math.inf if expiry is None else expiry
        self._count = 0  # of connections, those that are being opened among them
        self._active: set[C] = set()
        # Ordered dicts, since the first key of a plain one takes the longer to find the more were deleted before it.
        self._idle: OrderedDict[C, tuple[Hashable, float]] = OrderedDict()  # with origin and time of expiry
        self._idle_by_origin: dict[Hashable, OrderedDict[C, None]] = {}
        self._waiting: OrderedDict[Ticket[C], None] = OrderedDict()

    def request(self, origin: Hashable, now: float) -> Ticket[C]:
        """Ask for a connection. The ticket is granted at once, or later."""
        while self._idle:
            connection, (_, expires_at) = next(iter(self._idle.items()))
            if now < expires_at:
                break
            self.remove(connection)
            self.retired.append(connection)
        ticket: Ticket[C] = Ticket(origin)
        if not self._grant(ticket):
            self._waiting[ticket] = None
        return ticket

    def withdraw(self, ticket: Ticket[C], now: float) -> None:
        """Take back a wish: the request has given up, or could not open a connection."""
        if not ticket.is_granted:
            self._waiting.pop(ticket, None)
        elif ticket.connection is not None:
            self.release(ticket.connection, ticket.origin, now, is_reusable=True)
        else:
            self._count -= 1
            self._serve()

    def opened(self, connection: C) -> None:
        """The connection that a ticket was granted for is open, and serves its request."""
        self._active.add(connection)

    def replace(self, ticket: Ticket[C]) -> None:
        """The connection that was granted turns out to be gone: let the request open another in its place."""
        if ticket.connection not in self._active:  # it was closed with the pool
            self._count += 1
        self._active.discard(cast("C", ticket.connection))
        ticket.connection = None

    def release(self, connection: C, origin: Hashable, now: float, *, is_reusable: bool) -> None:
        """A connection has served its request."""
        if connection not in self._active:  # it was closed with the pool
            return
        self._active.discard(connection)
        if not is_reusable:
            self._count -= 1
            self._serve()
            return
        self._idle[connection] = (origin, now + self._expiry)
        self._idle_by_origin.setdefault(origin, OrderedDict())[connection] = None
        self._serve()
        if len(self._idle) > self._max_idle:
            self._retire_oldest()

    def remove(self, connection: C) -> None:
        """A connection that was idle is gone."""
        if connection in self._idle:
            self._take_idle(connection)
            self._count -= 1
            self._serve()

    def close(self) -> None:
        """Retire all connections, the active ones, too. The pool is as new then."""
        self.retired.extend(self._active)
        self._count -= len(self._active)
        self._active.clear()
        self.close_idle()

    def close_idle(self) -> None:
        """Retire the connections that serve no request."""
        self.retired.extend(self._idle)
        self._count -= len(self._idle)
        self._idle.clear()
        self._idle_by_origin.clear()
        self._serve()

    def _grant(self, ticket: Ticket[C]) -> bool:
        """Grant a ticket, if that can be done."""
        idle = self._idle_by_origin.get(ticket.origin)
        if idle:
            ticket.connection, _ = idle.popitem()  # the last, which the server is the least likely to have closed
            if not idle:
                del self._idle_by_origin[ticket.origin]
            del self._idle[ticket.connection]
            self._active.add(ticket.connection)
        elif self._count < self._max_connections:
            self._count += 1
        elif self._idle:
            self._retire_oldest()
            self._count += 1
        else:
            return False
        ticket.is_granted = True
        return True

    def _serve(self) -> None:
        """Grant the tickets of those who wait, the first in line first."""
        while self._waiting:
            ticket = next(iter(self._waiting))
            if not self._grant(ticket):
                return
            del self._waiting[ticket]
            ticket.wake()

    def _retire_oldest(self) -> None:
        oldest = next(iter(self._idle))
        self._take_idle(oldest)
        self._count -= 1
        self.retired.append(oldest)

    def _take_idle(self, connection: C) -> None:
        origin, _ = self._idle.pop(connection)
        idle = self._idle_by_origin[origin]
        del idle[connection]
        if not idle:
            del self._idle_by_origin[origin]
