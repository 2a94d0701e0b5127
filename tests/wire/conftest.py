"""Each claim here is stated once, and held against several transports: ours, and httpx2's own for comparison.

Its test takes `make_client`, `send`, `make_transport` or `run`, and runs over those that the marker `over` names, in
the function before the module; over `EVERY` one without it. What httpx2's own does otherwise is ours only, and the
marker says why.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from tests.loops import ASYNCIO_LOOPS
from tests.servers import WAIT
from tests.wire.clients import Elsewhere, Place, Threads, Trio
from tests.wire.kinds import EVERY

from clientele.wire.transport import AsyncWireTransport, WireTransport

NOBODY_TRUSTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default context takes long to load

TRIO = Trio()


@dataclass(frozen=True)
class Kind:
    """A transport, and where it runs.

    Attributes:
        name: What the test is called by.
        made_by: Its class.
        loop: Which event loop runs the test.
        place: Where the transport runs, if not in the test's event loop.
    """

    name: str
    made_by: Callable[..., Any] = field(repr=False)
    loop: str = "asyncio"
    place: Place | None = None

    @property
    def is_ours(self) -> bool:
        return not self.name.startswith("httpx2")

    @property
    def is_sync(self) -> bool:
        return self.name.endswith("sync")

    def make(self, **options: Any) -> httpx2.AsyncBaseTransport:
        transport = self.made_by(**options)
        return transport if self.place is None else Elsewhere(transport, self.place)


KINDS = {
    kind.name: kind
    for kind in [
        Kind("sync", WireTransport, place=Threads()),
        Kind("asyncio", AsyncWireTransport),
        Kind("uvloop", AsyncWireTransport, loop="uvloop"),
        Kind("trio", AsyncWireTransport, place=TRIO),
        Kind("httpx2-sync", httpx2.HTTPTransport, place=Threads()),
        Kind("httpx2", httpx2.AsyncHTTPTransport),
    ]
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "over(*names, but=None): the transports that a claim is held against, and why")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("over")
        names = marker.args if marker else EVERY
        metafunc.parametrize("kind", [KINDS[name] for name in names], ids=names)


@pytest.fixture(scope="session", autouse=True)
def _stop_trio() -> Iterator[None]:
    yield
    TRIO.stop()


@pytest.fixture
def run(kind) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run an asynchronous function as a test's."""
    return ASYNCIO_LOOPS[kind.loop]


@pytest.fixture
def make_transport(kind) -> Callable[..., httpx2.AsyncBaseTransport]:
    """Make a transport that nobody is trusted by, unless the options say otherwise."""
    return lambda *, verify=NOBODY_TRUSTED, **options: kind.make(verify=verify, **options)


@pytest.fixture
def make_client(make_transport) -> Callable[..., httpx2.AsyncClient]:
    """Make a client over the transport, with options of either."""

    def make(*, timeout: Any = WAIT, **options: Any) -> httpx2.AsyncClient:
        own = {name: options.pop(name) for name in ("follow_redirects", "cookies") if name in options}
        return httpx2.AsyncClient(transport=make_transport(**options), timeout=timeout, **own)

    return make


@pytest.fixture
def send(run, make_client) -> Callable[..., httpx2.Response]:
    """Send one request, and read the response."""

    def send(
        url: str, method: str = "GET", *, options: dict[str, Any] | None = None, **request: Any
    ) -> httpx2.Response:
        async def main() -> httpx2.Response:
            async with make_client(**(options or {})) as client:
                return await client.request(method, url, **request)

        return run(main)

    return send
