"""Test code that calls APIs and reads streams, without a server and without waiting.

```python
from clientele import testing

def test_events_are_read():
    with testing.fake(client) as server:
        server.on(stream_events).streams(Event(text="hello"), Event(text="world"))
        assert [event.text for event in stream_events()] == ["hello", "world"]
```
"""

from __future__ import annotations

from .asgi import ASGITransport, SyncASGITransport, in_process
from .clock import VirtualClock
from .factory import make
from .fake import (
    FakeServer,
    Request,
    Route,
    UnexpectedRequest,
    connect_timeout,
    connection_refused,
    connection_reset,
    fake,
    fixture,
    forbid_network,
)
from .recording import record
from .replaying import everywhere, replay
from .script import Log, comment, cut, event, raw, stall, wait

__all__ = [
    "ASGITransport",
    "FakeServer",
    "Log",
    "Request",
    "Route",
    "SyncASGITransport",
    "UnexpectedRequest",
    "VirtualClock",
    "comment",
    "connect_timeout",
    "connection_refused",
    "connection_reset",
    "cut",
    "event",
    "everywhere",
    "fake",
    "fixture",
    "forbid_network",
    "in_process",
    "make",
    "raw",
    "record",
    "replay",
    "stall",
    "wait",
]
