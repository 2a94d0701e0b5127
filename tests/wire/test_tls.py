"""TLS: whom a transport trusts, how it shows itself, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import httpx2
import pytest
import trustme
from tests.listeners import authority, certified, tls_server, trusting
from tests.servers import END, EVENT_STREAM, WAIT, Connection, Handler, RawServer, answer, chunk
from tests.wire.kinds import AND_UVLOOP, ASYNC, OURS, over
from tests.wire.sockets import read_until_closed, socket_server

pytestmark = [pytest.mark.every_python, over(*AND_UVLOOP)]


@pytest.fixture
def serve_tls() -> Iterator[Callable[..., RawServer]]:
    with contextlib.ExitStack() as stack:
        yield lambda handler, *context: stack.enter_context(tls_server(handler, *context))


def test_a_server_that_is_trusted(serve_tls, send):
    server = serve_tls(answer(b"5"))
    assert send(server.url, options={"verify": trusting()}).content == b"5"


def test_a_server_is_trusted_by_its_name(serve_tls, send):
    server = serve_tls(answer(b"5"), certified("localhost"))
    assert send(server.url.replace("127.0.0.1", "localhost"), options={"verify": trusting()}).content == b"5"


def test_no_server_need_be_trusted(serve_tls, send):
    server = serve_tls(answer(b"5"), certified("other.example"))
    assert send(server.url, options={"verify": False}).content == b"5"


@pytest.mark.parametrize(
    ("name", "make_verify"),
    [("127.0.0.1", ssl.create_default_context), ("127.0.0.1", lambda: True), ("other.example", trusting)],
    ids=["an unknown authority", "an unknown authority by default", "another name"],
)
def test_a_server_that_is_not_trusted(serve_tls, send, name, make_verify):
    server = serve_tls(answer(b"5"), certified(name))
    verify = make_verify()
    with pytest.raises(httpx2.ConnectError) as caught:
        send(f"{server.url}/path", options={"verify": verify})
    assert type(caught.value) is httpx2.ConnectError
    assert "certificate verify failed" in str(caught.value).lower()
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.request.url.path == "/path"
    assert not server.requests
    server.wait_until_closed()


@over("asyncio", but="the others have no limit that could be set so short")
def test_asyncio_does_not_limit_the_handshake(send, monkeypatch):
    monkeypatch.setattr("asyncio.constants.SSL_HANDSHAKE_TIMEOUT", 1e-9)

    def serve(connection: socket.socket) -> None:
        with certified("127.0.0.1").wrap_socket(connection, server_side=True) as secure:
            secure.recv(1000)
            secure.sendall(answer(b"5"))

    with socket_server(serve) as url:
        assert send(url.replace("http", "https"), options={"verify": trusting()}, timeout=None).content == b"5"


def test_a_server_that_speaks_no_tls(send):
    def speak_plainly(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        read_until_closed(connection)

    with socket_server(speak_plainly) as url, pytest.raises(httpx2.ConnectError):
        send(url.replace("http:", "https:"), options={"verify": trusting()})


def test_tls_where_plain_http_is_spoken(serve_tls, send):
    server = serve_tls(answer(b"5"))
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
        send(server.url.replace("https:", "http:"))


@pytest.fixture(scope="module")
def clients() -> trustme.CA:
    """The authority for clients, which no server is certified by."""
    return trustme.CA()


def test_a_client_shows_its_certificate(serve_tls, send, clients, tmp_path):
    server = serve_tls(answer(b"5"), certified("127.0.0.1", clients=clients))
    own = clients.issue_cert("client@example.com")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert send(server.url, options={"verify": context}).content == b"5"


@pytest.mark.filterwarnings("ignore:`cert=:DeprecationWarning")
def test_a_client_shows_the_certificate_that_cert_names(serve_tls, send, clients, tmp_path):
    server = serve_tls(answer(b"5"), certified("127.0.0.1", clients=clients))
    clients.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    options = {"verify": False, "cert": str(tmp_path / "client.pem")}
    assert send(server.url, options=options).content == b"5"


def test_a_client_that_shows_none_is_turned_away(serve_tls, send, clients):
    server = serve_tls(answer(b"5"), certified("127.0.0.1", clients=clients))
    with pytest.raises(httpx2.TransportError) as caught:
        send(server.url, options={"verify": trusting()})
    assert isinstance(caught.value, httpx2.ReadError | httpx2.ConnectError | httpx2.RemoteProtocolError)
    assert not server.requests


def test_the_server_name_may_be_said(serve_tls, send):
    names = []
    context = certified("example.test")
    context.sni_callback = lambda connection, name, context: names.append(name)
    server = serve_tls(answer(b"5"), context)
    response = send(server.url, options={"verify": trusting()}, extensions={"sni_hostname": "example.test"})
    assert response.content == b"5"
    assert names == ["example.test"]


def test_the_server_is_told_its_name_and_http_1_1(serve_tls, run, make_client):
    names = []
    context = certified("localhost")
    context.sni_callback = lambda connection, name, context: names.append(name)
    server = serve_tls(answer(b"5"), context)

    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            response = await client.get(server.url.replace("127.0.0.1", "localhost"))
            ssl_object = response.extensions["network_stream"].get_extra_info("ssl_object")
            assert ssl_object.selected_alpn_protocol() == "http/1.1"
            assert ssl_object.version() == "TLSv1.3"
            assert response.http_version == "HTTP/1.1"

    run(main)
    assert names == ["localhost"]


@over(*OURS, "uvloop", but="httpx2's own is what would have them speak HTTP/2")
def test_a_context_that_others_speak_http_2_with_is_still_used_for_http_1_1(serve_tls, run, make_client):
    context = ssl.create_default_context()
    authority().configure_trust(context)
    knows_both = serve_tls(answer(b"5"))
    knows_one = certified("127.0.0.1")
    knows_one.set_alpn_protocols(["http/1.1"])
    other = serve_tls(answer(b"6"), knows_one)

    def offer_http_2() -> None:
        with httpx2.HTTPTransport(verify=context, http2=True) as transport:
            assert transport.handle_request(httpx2.Request("GET", other.url)).read() == b"6"

    async def negotiated() -> str:
        async with make_client(verify=context) as client:
            response = await client.get(knows_both.url)
            return response.extensions["network_stream"].get_extra_info("ssl_object").selected_alpn_protocol()

    async def main() -> None:
        client = make_client(verify=context)
        for _ in range(2):
            await asyncio.to_thread(offer_http_2)
            assert await negotiated() == "http/1.1"
            async with client.stream("GET", knows_both.url) as response:
                ssl_object = response.extensions["network_stream"].get_extra_info("ssl_object")
                assert ssl_object.selected_alpn_protocol() == "http/1.1"
        await client.aclose()

    run(main)


@pytest.mark.parametrize("protocols", [[], ["http/1.1"], ["h2", "http/1.1"]], ids=["none", "one", "both"])
def test_whatever_protocols_a_server_offers_it_is_spoken_to_in_http_1_1(serve_tls, send, protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("127.0.0.1").configure_cert(context)
    if protocols:
        context.set_alpn_protocols(protocols)
    response = send(serve_tls(answer(b"5"), context).url, options={"verify": trusting()})
    assert (response.content, response.http_version) == (b"5", "HTTP/1.1")


def test_connections_over_tls_serve_again(serve_tls, run, make_client):
    server = serve_tls(answer(b"5"))

    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            for _ in range(3):
                assert (await client.post(server.url, content=b"x" * 100_000)).content == b"5"

    run(main)
    assert server.connections == 1
    server.wait_until_closed()


def test_each_piece_over_tls_is_read_as_it_is_sent(serve_tls, run, make_client):
    async def echo(connection: Connection) -> None:
        await connection.send(EVENT_STREAM)
        for number in range(5):
            await read_one[number].wait()
            await connection.send(chunk(b"%d" % number))
        await connection.send(END)

    read_one: list[asyncio.Event] = []

    async def prepare(connection: Connection) -> None:
        loops.append(asyncio.get_running_loop())
        read_one.extend(asyncio.Event() for _ in range(5))
        read_one[0].set()
        await echo(connection)

    loops: list[asyncio.AbstractEventLoop] = []
    server = serve_tls(prepare)

    async def main() -> list[bytes]:
        received = []
        async with make_client(verify=trusting()) as client, client.stream("GET", server.url) as response:
            async for data in response.aiter_raw():
                received.append(data)
                if len(received) < 5:
                    loops[0].call_soon_threadsafe(read_one[len(received)].set)
        return received

    assert run(main) == [b"0", b"1", b"2", b"3", b"4"]


async def never_end(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"first"))
    await connection.until_client_closes()


async def send_much(connection: Connection) -> None:
    await connection.send(EVENT_STREAM)
    for _ in range(200):
        await connection.send(chunk(b"x" * 65_536))
    await connection.until_client_closes()


@pytest.mark.parametrize("handler", [never_end, send_much], ids=["silent", "sending"])
def test_a_response_over_tls_that_is_left_early_takes_its_connection_along(serve_tls, run, make_client, handler):
    server = serve_tls(handler)

    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            async with client.stream("GET", server.url) as response:
                await anext(response.aiter_raw())
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


@over(*ASYNC, "uvloop", but="a thread cannot be cancelled")
def test_cancelling_who_waits_over_tls_closes_the_connection(serve_tls, run, make_client):
    server = serve_tls(never_end)

    async def main() -> None:
        async with make_client(verify=trusting()) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.get(server.url)
            await asyncio.to_thread(server.wait_until_closed)

    run(main)


CUT: dict[str, tuple[bytes, bool, type[Exception]]] = {
    "closed before the head": (b"", False, httpx2.RemoteProtocolError),
    "closed in a chunked body": (EVENT_STREAM + chunk(b"first"), False, httpx2.RemoteProtocolError),
    "reset before the head": (b"", True, httpx2.ReadError),
    "reset in a chunked body": (EVENT_STREAM + chunk(b"first"), True, httpx2.ReadError),
    "reset in a body without a length": (b"HTTP/1.1 200 OK\r\n\r\nfirst", True, httpx2.ReadError),
}


def failing(sent: bytes, is_reset: bool) -> Handler:
    async def fail(connection: Connection) -> None:
        if sent:
            await connection.send(sent)
        connection.reset() if is_reset else connection.close()

    return fail


@over(*OURS, "uvloop", "httpx2", but="Python's TLS sockets take a reset for an end")
@pytest.mark.parametrize("case", CUT)
def test_a_connection_over_tls_that_is_cut(serve_tls, send, case):
    sent, is_reset, expected = CUT[case]
    server = serve_tls(failing(sent, is_reset))
    with pytest.raises(expected):
        send(server.url, options={"verify": trusting()})
    server.wait_until_closed()


@over(*OURS, "uvloop")
def test_an_answer_over_tls_may_take_longer_than_the_write_timeout(run, make_client):
    async def answer_late(connection: Connection) -> None:
        await asyncio.sleep(0.3)
        await connection.send(answer(str(len(connection.request.body)).encode()))

    with tls_server(answer_late) as server:

        async def main() -> list[str]:
            async with make_client(verify=trusting(), timeout=httpx2.Timeout(WAIT, write=0.1)) as client:
                return [(await client.post(server.url, content=b"x" * size)).text for size in (1, 2, 3)]

        assert run(main) == ["1", "2", "3"]
    assert server.connections == 1


@over(*OURS, "uvloop")
def test_much_is_sent_over_tls_again_and_again(run, make_client):
    async def count(connection: Connection) -> None:
        await connection.send(answer(str(len(connection.request.body)).encode()))

    with tls_server(count) as server:

        async def main() -> list[str]:
            async with make_client(verify=trusting()) as client:
                return [(await client.post(server.url, content=b"x" * 1_000_000)).text for _ in range(3)]

        assert run(main) == ["1000000"] * 3
