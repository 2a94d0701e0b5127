"""How each library does each task, as its own documentation describes it.

A contestant is a function that prepares: it imports the library, makes its client and does whatever can be done
beforehand, all of it outside the measured time. It returns the function to measure. That function takes a URL, the
number of items, and `take`, which it calls with each item; so every contestant has its own loop, and no wrapper stands
between the library and its items. Libraries that reconnect at the end of a stream need the number of items to stop.

For the task `open` that function is different: it opens one stream, reads its first item, and returns the item and a
function that closes the stream.

What a contestant's name says: a floor does the least that is possible and checks nothing; a bare client speaks HTTP and
splits events at the blank line; the others are libraries with an interface for Server-Sent Events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

Take: TypeAlias = Callable[[Any], None]
Run: TypeAlias = Callable[[Any, int, Take], Awaitable[None] | None]
Opened: TypeAlias = tuple[Any, Callable[[], None]]
Open: TypeAlias = Callable[[str], Opened]
Prepare: TypeAlias = Callable[[str], Any]
P = TypeVar("P", bound=Prepare)

OURS = "clientele"
CONTESTANTS: dict[tuple[str, str], dict[str, Prepare]] = {}
"""What prepares each contestant, by task and side."""

MAX_SIZE = 1 << 30
"""The size limit of an event where events are large."""


def contestant(task: str, side: str, name: str) -> Callable[[P], P]:
    """Register a function as a contestant.

    Parameters:
        task: `stream`, `open` or `calls`.
        side: `sync` or `async`.
        name: What it is called in the report.
    """

    def enter(prepare: P) -> P:
        entered = CONTESTANTS.setdefault((task, side), {})
        assert name not in entered
        entered[name] = prepare
        return prepare

    return enter


def everyone(task: str, side: str) -> list[str]:
    """The names of all contestants."""
    from . import calls, streams_async, streams_sync  # noqa: F401

    return list(CONTESTANTS[task, side])


def is_peer(name: str) -> bool:
    """Whether it is a library that does what Clientele does."""
    return name != OURS and not name.startswith(("floor", "bare"))


def prepared(task: str, side: str, name: str, kind: str) -> Any:
    """The function to measure."""
    everyone(task, side)
    return CONTESTANTS[task, side][name](kind)
