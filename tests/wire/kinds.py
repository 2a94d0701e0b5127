"""Which transports a claim is held against.

A claim that depends on the side runs over every one; one about bytes that the same sans-I/O code reads everywhere, over
the synchronous ones alone; one about the event loop, over uvloop too.
"""

from __future__ import annotations

import pytest

OURS = ("sync", "asyncio", "trio")
THEIRS = ("httpx2-sync", "httpx2")
EVERY = (*OURS, *THEIRS)
SYNC = ("sync", "httpx2-sync")
ASYNC = ("asyncio", "trio", "httpx2")
OUR_ASYNC = ("asyncio", "trio")
IN_ASYNCIO = ("asyncio", "httpx2")
AND_UVLOOP = (*EVERY, "uvloop")


def over(*names: str, but: str | None = None) -> pytest.MarkDecorator:
    """Hold a claim against these transports.

    Parameters:
        names: Their names.
        but: Why it does not hold for the others, or cannot be tried with them.
    """
    return pytest.mark.over(*names, but=but)
