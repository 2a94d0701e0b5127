"""How each library is used for each task, as its own documentation would have it.

A contestant is a function that prepares: it imports the library, makes its client, works out what can be worked out
beforehand, all of it outside the clock, and returns the function that is measured. That one is given an address, how
many items there are, and `take`, which it calls with each item; so the loop is the contestant's own, and nobody's items
pass through a wrapper. The count is for those libraries that would connect again at the end of a stream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

Take: TypeAlias = Callable[[Any], None]
Run: TypeAlias = Callable[[Any, int, Take], Awaitable[None] | None]
Prepare: TypeAlias = Callable[[str], Run]
P = TypeVar("P", bound=Prepare)

OURS = "clientele"
CONTESTANTS: dict[tuple[str, str], dict[str, Prepare]] = {}
"""By task and side: what prepares each contestant."""

MAX_SIZE = 1 << 30
"""The limit of an event's size where an event is large."""


def contestant(task: str, side: str, name: str) -> Callable[[P], P]:
    """Enter a function as a contestant.

    Parameters:
        task: `stream`, `calls` or `parse`.
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
    from . import calls, decoders, streams_async, streams_sync  # noqa: F401

    return list(CONTESTANTS[task, side])


def prepared(task: str, side: str, name: str, kind: str) -> Run:
    """The function to be measured, prepared."""
    everyone(task, side)
    return CONTESTANTS[task, side][name](kind)
