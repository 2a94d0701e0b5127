"""Clients that no network is under, with one answer to everything, and what they were asked."""

from __future__ import annotations

import json
from typing import Any

from clientele import api, testing


class Recorder:
    """A client that gets one answer to everything, by default the JSON `null`.

    Attributes:
        client: The client.
        server: What answers it.
    """

    def __init__(
        self,
        content: Any = b"null",
        content_type: str = "application/json",
        *,
        status: int = 200,
        base_url: str = "http://test",
        **settings: Any,
    ) -> None:
        self.client = api.APIClient(base_url, **settings)
        self.server = testing.fake(self.client).__enter__()  # as long as this client lives
        self.server.on_any().returns(content, status=status, headers={"Content-Type": content_type})

    @property
    def requests(self) -> list[testing.Request]:
        return self.server.requests

    @property
    def request(self) -> testing.Request | None:
        """The last one."""
        return self.requests[-1] if self.requests else None

    @property
    def target(self) -> str:
        """The path and query of the last request, as they are sent."""
        return self.requests[-1].url.raw_path.decode()

    @property
    def sent(self) -> Any:
        """The JSON of the last request."""
        return json.loads(self.requests[-1].content)


def client_of(content: Any, content_type: str = "application/json", **options: Any) -> api.APIClient:
    """A client that always gets this answer."""
    return Recorder(content, content_type, **options).client


def stream_of(body: bytes) -> api.APIClient:
    """A client that always gets this event stream."""
    return client_of(body, "text/event-stream")
