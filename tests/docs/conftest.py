"""What the tests of the documentation share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.docs.answers import answer

from clientele import api, testing

GIVEN = {"transport", "async_transport", "http_client", "async_http_client"}


@pytest.fixture
def faked_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answer the calls of every client that is made, unless it is made with a transport."""
    make: Callable[..., None] = api.APIClient.__init__
    with contextlib.ExitStack() as stack:

        def make_faked(self: api.APIClient, *args: Any, **settings: Any) -> None:
            make(self, *args, **settings)
            if not GIVEN & settings.keys():
                answer(stack.enter_context(testing.fake(self)))

        monkeypatch.setattr(api.APIClient, "__init__", make_faked)
        stack.enter_context(testing.forbid_network())
        yield
