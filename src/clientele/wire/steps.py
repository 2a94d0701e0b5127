"""How the steps of a request are written once for both sides.

A synchronous function blocks and returns. An asynchronous one returns something to await. `settled` takes either. So a
synchronous call can `run` the coroutine that an asynchronous call awaits: it never suspends.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
CANNOT_AWAIT = "a synchronous request cannot await; its trace extension, too, is a plain function"
Trace: TypeAlias = Callable[[str, dict[str, Any]], Any]
"""httpx2's `trace` extension. It is told of each step in the words of httpcore2, `http11.send_request_body.started`
for example, and then `.complete` or `.failed`."""


async def settled(outcome: Any) -> Any:
    """The result of a call, awaited if it is awaitable."""
    return await outcome if hasattr(outcome, "__await__") else outcome


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that blocks where it waits. Raises `RuntimeError`: it would have to be awaited."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError(CANNOT_AWAIT)


async def traced(trace: Trace | None, name: str, info: Mapping[str, Any], step: Callable[[], Any]) -> Any:
    """Take a step, and tell the extension about it."""
    if trace is None:
        return await settled(step())
    await settled(trace(f"{name}.started", dict(info)))
    try:
        result = await settled(step())
    except BaseException as error:
        await settled(trace(f"{name}.failed", {"exception": error}))
        raise
    await settled(trace(f"{name}.complete", {"return_value": result}))
    return result
