"""The body of a stream, as far as the streams above it cannot show it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import httpx2
import pytest

from clientele.streaming.body import Body


class Endless(httpx2.SyncByteStream):
    """A body that no read may ask for."""

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("the body is read")


def test_a_read_that_begins_behind_the_close_does_not_wait_for_bytes():
    body = Body(httpx2.Response(200, stream=Endless()), SimpleNamespace(is_closed=False))
    body.close()

    with pytest.raises(httpx2.ReadError, match="has been closed"):
        body.read()
