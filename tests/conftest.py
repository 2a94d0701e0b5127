"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tests.servers import WAIT, Handler, RawServer, raw_server
from tests.sides import Side

from clientele import api, testing


@pytest.fixture(params=["sync", "asyncio", "trio"])
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


@pytest.fixture
def fake() -> Iterator[testing.FakeServer]:
    """A fake server, and its client."""
    with testing.fake(api.APIClient("http://test")) as server:
        yield server


@pytest.fixture
def serve() -> Iterator[Callable[[Handler | bytes], RawServer]]:
    """Start a raw server that answers so, and stop it after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda handler: stack.enter_context(raw_server(handler))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the end of a body behind a stream's terminator as long as it takes.

    The quarter of a second that is waited otherwise may be over on a busy machine before the end is there.
    """
    monkeypatch.setattr("clientele.streaming.body.MAX_WAIT_FOR_END", WAIT)
