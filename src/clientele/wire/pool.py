"""Which connection serves which request, sans-I/O. Every operation is O(1) in connections and requests.

A request asks for a connection with a `Ticket`. The pool grants it at once if there is an idle connection to its
origin, room for another one, or an idle connection to another origin that can be closed instead. Otherwise the
request waits. Whatever becomes free goes to the request that has waited longest. (No request waits while a connection
is idle, so only the first in line needs a look.)

A connection that speaks HTTP/2 serves many requests at once, as many as its `limit` says. Where one may turn out to be
such (`may_share`), requests to an origin wait while a connection to it is being opened: perhaps all can share it.

The pool closes nothing: connections that have to go are in `retired`, and whoever uses the pool closes them.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

C = TypeVar("C", bound=Hashable)


@dataclass(eq=False, slots=True)
class Ticket(Generic[C]):
    """One request's claim to a connection. Once it is granted, the request uses the connection, or opens one."""

    origin: Hashable
    is_granted: bool = False
    connection: C | None = None
    wake: Callable[[], object] = field(default=bool)  # called if it is granted later


class Pool(Generic[C]):
    """The connections of a transport.

    Parameters:
        max_connections: How many there may be; `None` means no limit, here and below.
        max_idle: How many may be idle.
        expiry: How long one may be idle, in seconds.
        may_share: Whether requests may share connections.
    """

    def __init__(
        self, max_connections: int | None, max_idle: int | None, expiry: float | None, *, may_share: bool = False
    ) -> None:
        self.retired: deque[C] = deque()  # to be closed
        self._max_connections = math.inf if max_connections is None else max_connections
        self._max_idle = math.inf if max_idle is None else max_idle
        self._expiry = math.inf if expiry is None else expiry
        self._count = 0  # of connections, those that are being opened among them
        self._active: dict[C, int] = {}  # with how many requests each serves
        self._may_share = may_share
        self._opening: dict[Hashable, int] = {}  # origins, with how many connections to each are being opened
        self._unshared: set[Hashable] = set()  # origins that do not speak HTTP/2
        self._shared: dict[Hashable, OrderedDict[C, None]] = {}  # connections that can serve another request
        self._sharing: dict[Hashable, OrderedDict[Ticket[C], None]] = {}  # who waits, by origin
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
            if self._may_share:
                self._sharing.setdefault(origin, OrderedDict())[ticket] = None
        return ticket

    def withdraw(self, ticket: Ticket[C], now: float) -> None:
        """Withdraw a request: it has given up, or could not open a connection."""
        if not ticket.is_granted:
            self._forget(ticket)
        elif ticket.connection is not None:
            self.release(ticket.connection, ticket.origin, now, is_reusable=True)
        else:
            self._count -= 1
            self._no_longer_opening(ticket.origin)
            self._serve_origin(ticket.origin)
            self._serve()

    def opened(self, connection: C, origin: Hashable = None) -> None:
        """The connection that a ticket was granted for is open, and serves its request."""
        self._active[connection] = 1
        if self._may_share:
            self._no_longer_opening(origin)
            if not _is_shared(connection):
                self._unshared.add(origin)
            self.changed(connection, origin)
            self._serve_origin(origin)

    def changed(self, connection: C, origin: Hashable) -> None:
        """The limit of a shared connection has changed, or the number of its requests."""
        has_room = 0 < self._active.get(connection, 0) < _limit(connection)
        shared = self._shared.setdefault(origin, OrderedDict())
        if has_room and _is_shared(connection):
            shared[connection] = None
            self._serve_origin(origin)
        else:
            shared.pop(connection, None)
        if not shared:
            self._shared.pop(origin, None)
        if connection in self._idle and not _limit(connection):
            self.remove(connection)
            self.retired.append(connection)

    def replace(self, ticket: Ticket[C]) -> None:
        """The connection that was granted turns out to be gone: let the request open another in its place."""
        if self._active.pop(cast("C", ticket.connection), None) is None:  # it was closed with the pool
            self._count += 1
        ticket.connection = None
        if self._may_share:
            self._opening[ticket.origin] = self._opening.get(ticket.origin, 0) + 1

    def release(self, connection: C, origin: Hashable, now: float, *, is_reusable: bool) -> None:
        """A connection has served its request."""
        if connection not in self._active:  # it was closed with the pool
            return
        self._active[connection] -= 1
        if self._active[connection]:
            self.changed(connection, origin)
            return
        del self._active[connection]
        if self._may_share:
            self.changed(connection, origin)
            is_reusable = is_reusable and _limit(connection) > 0
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
        self._shared.clear()
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
        origin = ticket.origin
        idle = self._idle_by_origin.get(origin)
        if shared := self._shared.get(origin):
            ticket.connection = next(iter(shared))
            self._active[ticket.connection] += 1
            self._leave_room(ticket.connection, origin)
        elif idle:
            ticket.connection, _ = idle.popitem()  # the last, which the server is the least likely to have closed
            if not idle:
                del self._idle_by_origin[origin]
            del self._idle[ticket.connection]
            self._active[ticket.connection] = 1
            if self._may_share:
                self._leave_room(ticket.connection, origin)
        elif origin in self._opening and origin not in self._unshared:
            return False
        else:
            if self._count >= self._max_connections:
                if not self._idle:
                    return False
                self._retire_oldest()
            self._count += 1
            if self._may_share:
                self._opening[origin] = self._opening.get(origin, 0) + 1
        ticket.is_granted = True
        return True

    def _no_longer_opening(self, origin: Hashable) -> None:
        if origin in self._opening:
            self._opening[origin] -= 1
            if not self._opening[origin]:
                del self._opening[origin]

    def _leave_room(self, connection: C, origin: Hashable) -> None:
        """Keep a shared connection among those that can serve another request, or take it out."""
        if _is_shared(connection):
            shared = self._shared.setdefault(origin, OrderedDict())
            shared[connection] = None
            if self._active[connection] >= _limit(connection):
                del shared[connection]
            if not shared:
                del self._shared[origin]

    def _forget(self, ticket: Ticket[C]) -> None:
        """Remove a ticket from those that wait."""
        self._waiting.pop(ticket, None)
        if (sharing := self._sharing.get(ticket.origin)) is not None:
            sharing.pop(ticket, None)
            if not sharing:
                del self._sharing[ticket.origin]

    def _serve_origin(self, origin: Hashable) -> None:
        """Grant as many waiting tickets for this origin as possible."""
        while waiting := self._sharing.get(origin):
            ticket = next(iter(waiting))
            if not self._grant(ticket):
                return
            self._forget(ticket)
            ticket.wake()

    def _serve(self) -> None:
        """Grant waiting tickets, in their order."""
        while self._waiting:
            ticket = next(iter(self._waiting))
            if not self._grant(ticket):
                return
            self._forget(ticket)
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


def _is_shared(connection: Any) -> bool:
    return getattr(connection, "is_shared", False)


def _limit(connection: Any) -> int:
    return connection.limit if _is_shared(connection) else 1
