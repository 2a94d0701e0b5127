"""Reads of a stream that are given up after a moment, in every way that an event loop has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import trio

NOTHING = object()
END = object()
Poll = Callable[[AsyncIterator[Any], float], Awaitable[Any]]
"""Waits for the next item so long, in seconds; the item, `END`, or `NOTHING` if it did not come in time."""


async def read(stream: AsyncIterator[Any]) -> Any:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return END


async def within_asyncio_timeout(stream: AsyncIterator[Any], delay: float) -> Any:
    try:
        async with asyncio.timeout(delay):
            return await read(stream)
    except TimeoutError:
        return NOTHING


async def within_wait_for(stream: AsyncIterator[Any], delay: float) -> Any:
    try:
        return await asyncio.wait_for(read(stream), delay)
    except TimeoutError:
        return NOTHING


async def within_move_on_after(stream: AsyncIterator[Any], delay: float) -> Any:
    with trio.move_on_after(delay):
        return await read(stream)
    return NOTHING


async def within_anyio_scope(stream: AsyncIterator[Any], delay: float) -> Any:
    with anyio.move_on_after(delay):
        return await read(stream)
    return NOTHING


async def in_cancelled_task(stream: AsyncIterator[Any], delay: float) -> Any:
    task = asyncio.create_task(read(stream))
    await asyncio.wait([task], timeout=delay)
    task.cancel()
    await asyncio.wait([task])
    return NOTHING if task.cancelled() else task.result()


async def in_cancelled_group(stream: AsyncIterator[Any], delay: float) -> Any:
    """Wait for a few steps of the event loop, whatever the clock says."""
    item = NOTHING

    async def read_in_group() -> None:
        nonlocal item
        item = await read(stream)

    async with anyio.create_task_group() as group:
        group.start_soon(read_in_group)
        for _ in range(round(delay * 1000)):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return item


ASYNCIO_POLLS: list[Poll] = [
    within_asyncio_timeout,
    within_wait_for,
    within_anyio_scope,
    in_cancelled_task,
    in_cancelled_group,
]
TRIO_POLLS: list[Poll] = [within_move_on_after, within_anyio_scope, in_cancelled_group]


class Poller:
    """Reads a stream; for a part of its items it polls.

    Parameters:
        polls: The ways to choose from; with none it never polls.
        random: What it chooses with.

    Attributes:
        cancelled: How many reads have been cancelled so far.
    """

    def __init__(self, polls: list[Poll], random: Random) -> None:
        self.cancelled = 0
        self._polls = polls
        self._random = random

    async def next(self, stream: AsyncIterator[Any]) -> Any:
        """The next item, or `END`."""
        if self._polls and self._random.random() < 0.5:
            while True:
                poll = self._random.choice(self._polls)
                item = await poll(stream, self._random.choice((0.0, 0.0005, 0.003, 0.01)))
                if item is not NOTHING:
                    return item
                self.cancelled += 1
        return await read(stream)
