"""Names with several addresses: the first that answers is taken, and one that does not answer holds nobody up."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import httpx2
import pytest
from tests.servers import RawServer, answer
from tests.wire.kinds import OURS, over

NAME = "several.test"
NOBODY = "127.0.0.2"  # where nobody listens: a connection is refused at once
SILENT = "127.0.0.3"  # where nobody answers
NOWHERE = "::ffff:0.0.0.1"  # what cannot be connected to at all


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the name resolve to these addresses."""
    getaddrinfo = socket.getaddrinfo

    def resolves(*addresses: str) -> None:
        def resolve(host, port, family=0, type=0, proto=0, flags=0):
            if (host if isinstance(host, str) else host.decode()) != NAME:
                return getaddrinfo(host, port, family, type, proto, flags)
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "not a number")
            return [found for each in addresses for found in getaddrinfo(each, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return resolves


@pytest.fixture
def server(serve) -> Iterator[RawServer]:
    """A server at 127.0.0.1, on whose port nobody answers at `SILENT`."""
    server = serve(answer(b"5"))
    port = int(server.url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((SILENT, port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield server


def url_of(server: RawServer, scheme: str = "http") -> str:
    return f"{scheme}://{NAME}:{server.url.rpartition(':')[2]}/"


@pytest.mark.parametrize("before", [[], [NOBODY], [NOBODY, "::1"], [NOWHERE, NOBODY]], ids=len)
def test_an_address_that_refuses_is_passed_over(server, resolves, send, before):
    resolves(*before, "127.0.0.1", SILENT)
    response = send(url_of(server))
    assert response.content == b"5"
    assert response.request.url.host == NAME
    assert server.requests[0].header("Host") == url_of(server).split("/")[2]
    server.wait_until_closed()
    assert server.connections == 1


@over(*OURS, "httpx2", but="httpx2's own synchronous one waits until the first address has timed out")
@pytest.mark.parametrize(
    "before",
    [[SILENT], [NOBODY, SILENT, NOBODY], [SILENT, "::1"]],
    ids=["silent", "silent among refused", "silent, of another family"],
)
def test_an_address_that_does_not_answer_holds_up_nobody(server, resolves, send, before):
    resolves(*before, "127.0.0.1")
    assert send(url_of(server)).content == b"5"
    server.wait_until_closed()
    assert server.connections == 1


@over(*OURS, "httpx2", but="httpx2's own synchronous one waits so long for each address")
def test_all_addresses_together_have_the_connect_timeout(server, resolves, send):
    resolves(SILENT, SILENT, SILENT)
    with pytest.raises(httpx2.ConnectTimeout):
        send(url_of(server), timeout=httpx2.Timeout(None, connect=0.1))


def test_no_address_that_answers(server, resolves, send):
    resolves(NOBODY, "127.0.0.4")
    with pytest.raises(httpx2.ConnectError) as caught:
        send(url_of(server))
    assert type(caught.value) is httpx2.ConnectError
    assert caught.value.request.url.host == NAME


@over(*OURS, but="the words of the others are their own")
@pytest.mark.parametrize("addresses", [[NOBODY], [NOBODY, "127.0.0.4"], [NOWHERE, NOBODY]])
def test_an_error_says_what_went_wrong(server, resolves, send, addresses):
    resolves(*addresses)
    with pytest.raises(httpx2.ConnectError) as caught:
        send(url_of(server))
    assert "refused" in str(caught.value).lower()
    assert len(str(caught.value).splitlines()) == 1


@over(*OURS, "httpx2-sync", but="httpx2's own asynchronous one lets an error of its own through")
def test_a_name_without_an_address(server, resolves, send):
    resolves()
    with pytest.raises(httpx2.ConnectError):
        send(url_of(server))
