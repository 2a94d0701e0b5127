"""The event loops of asyncio's kind that a test may be run on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.servers import WAIT
from tests.sides import RUNNERS


def runner(name: str) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Runs an asynchronous function in a new event loop, and not for ever."""

    def run(function: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with asyncio.timeout(WAIT):
                return await function()

        return RUNNERS[name](main)

    return run


ASYNCIO_LOOPS = {name: runner(name) for name in ("asyncio", "uvloop")}

on_each_loop = pytest.mark.parametrize("run", ASYNCIO_LOOPS.values(), ids=ASYNCIO_LOOPS)
"""Runs a test, or with `pytestmark` all those of a module, on each of them."""


class Word(threading.Event):
    """What a server and a client in different event loops wait for, one for the other."""

    async def given(self) -> None:
        assert await asyncio.to_thread(self.wait, WAIT), f"no word within {WAIT} s"
