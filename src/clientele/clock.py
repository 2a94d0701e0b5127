"""The time, and waiting for it: delays between attempts, and deadlines.

The clock is passed in, so that tests can pass one whose waits take no time (`testing`). Timeouts of connections are not
here: the code that moves bytes keeps them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import anyio


class Clock:
    """The time of this machine."""

    def now(self) -> float:
        """The time of day, in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """A monotonic time, in seconds."""
        return time.monotonic()

    def wait(self, changed: threading.Condition, is_over: Callable[[], bool], seconds: float) -> None:
        """Wait this long, or until `is_over` is true. The caller holds `changed`, which is notified of changes."""
        changed.wait_for(is_over, min(seconds, threading.TIMEOUT_MAX))

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        time.sleep(min(seconds, threading.TIMEOUT_MAX))

    async def sleep_until(self, moment: float) -> None:
        """Wait until this moment of `monotonic`."""
        await anyio.sleep(max(0.0, moment - self.monotonic()))


CLOCK = Clock()
