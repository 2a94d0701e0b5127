"""What runs in an event loop itself, without an adapter: asyncio's, uvloop's and trio's alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.loops import Word
from tests.servers import WAIT
from tests.sides import RUNNERS


def runner(name: str) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Runs an asynchronous function in a new event loop, and not for ever."""

    def run(function: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            with anyio.fail_after(WAIT):
                return await function()

        return RUNNERS[name](main)

    return run


LOOPS = {name: runner(name) for name in RUNNERS}

in_each_loop = pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)
"""Runs a test in each of them."""


async def given(word: Word) -> None:
    """Wait for a word, in whatever event loop."""
    assert await anyio.to_thread.run_sync(word.wait, WAIT), f"no word within {WAIT} s"


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a thread, from whatever event loop."""
    return await anyio.to_thread.run_sync(function, *arguments)
