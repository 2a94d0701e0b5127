"""The cost of reading our source in a debugger: `python -m benchmarks.frames` counts our own frames and objects.

A frame is one function, generator or coroutine of Clientele that begins while the counted code runs; one that is
suspended and goes on counts once. Comprehensions are left out: Python 3.12 gives them no frame of their own. An object
counts if its class is Clientele's and it is still there when the counted code has returned.

Each case is counted after the same call was made before, over a connection that is open: what is done once, such as the
import of a module, does not count. The stream's first event comes with its head. `--list` names the frames.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import clientele
from clientele import api

from .runner import Server

PACKAGE = str(Path(clientele.__file__).parent)
MOST_FRAMES = {"open a stream, sync": 35, "open a stream, asyncio": 60}
"""The aims."""

COMPREHENSIONS = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")


class Count(NamedTuple):
    """What one call took: our frames by the function that they run, and our objects by their class."""

    frames: Counter[str]
    objects: Counter[str]


class _Counting:
    """Counts while the `with` block runs; `result` keeps what the counted code returned."""

    def __init__(self) -> None:
        self._frames: dict[FrameType, None] = {}
        self.result: Any = None

    def __enter__(self) -> None:
        self._before = _live_objects()
        sys.setprofile(self._note)

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name not in COMPREHENSIONS:
            self._frames[frame] = None

    def count(self) -> Count:
        """What has been counted."""
        frames = Counter(_name(frame.f_code) for frame in self._frames)
        self._frames.clear()
        return Count(frames, _live_objects() - self._before)


def _name(code: CodeType) -> str:
    return f"{Path(code.co_filename).relative_to(PACKAGE)}: {code.co_qualname}"


def _live_objects() -> Counter[str]:
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith(f"{clientele.__name__}."))


def count(url: str) -> dict[str, Count]:
    """Count all cases against the server of the benchmark at this URL."""
    client = api.APIClient(base_url=url)

    @client.get("/idle", streaming_response=True)
    def stream(*, result: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        return result

    @client.get("/idle", streaming_response=True)
    async def astream(*, result: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        return result

    @client.get("/json")
    def call(*, result: dict[str, Any]) -> dict[str, Any]:
        return result

    @client.get("/json")
    async def acall(*, result: dict[str, Any]) -> dict[str, Any]:
        return result

    def counted(function: Callable[[], Any]) -> Count:
        stream().close()
        call()  # which leaves a connection open
        counting = _Counting()
        with counting:
            counting.result = function()
        return counting.count()

    async def acounted(function: Callable[[], Awaitable[Any]]) -> Count:
        await (await astream()).aclose()
        await acall()
        counting = _Counting()
        with counting:
            counting.result = await function()
        return counting.count()

    return {
        "open a stream, sync": counted(stream),
        "open a stream, asyncio": asyncio.run(acounted(astream)),
        "complete call, sync": counted(call),
        "complete call, asyncio": asyncio.run(acounted(acall)),
    }


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frames", description="Count our own frames.")
    parser.add_argument("--list", action="store_true", help="name the frames and the objects")
    arguments = parser.parse_args()
    with Server() as server:
        for case, (frames, objects) in count(server.address).items():
            print(f"{case}: {frames.total()} frames, {objects.total()} objects")
            for name, number in (*frames.items(), *objects.items()) if arguments.list else ():
                print(f"  {number:3} {name}")


if __name__ == "__main__":
    main()
