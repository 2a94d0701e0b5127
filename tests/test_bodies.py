"""Bodies that are sent piece by piece: by both sides, and again only if they can be."""

from __future__ import annotations

import io
import pathlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import IO, Annotated, Any, TextIO

import anyio
import httpx2
import pytest
from tests.servers import answer, in_turn

from clientele import api
from clientele.bodies import StreamedBody

OK = answer(b"1")
MOVED = answer(b"", status="307 Temporary Redirect", headers="Location: /there\r\n")
MOVED_FOR_GOOD = answer(b"", status="308 Permanent Redirect", headers="Location: /there\r\n")
UNAUTHORIZED = answer(
    b"",
    status="401 Unauthorized",
    headers='WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth"\r\n',
)


class Unseekable(io.BytesIO):
    """A file that cannot be rewound, as a pipe is."""

    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def seekable(self) -> bool:
        return False


class Readable:
    """What reads like a file, and is none."""

    def __init__(self) -> None:
        self._rest = b"abc"

    def read(self, size: int) -> bytes:
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"bc"


class AsyncPieces:
    def __aiter__(self) -> AsyncIterator[bytes]:
        return async_pieces()


ONCE = {
    "an iterator": lambda: iter([b"a", b"bc"]),
    "a generator": lambda: (piece for piece in (b"a", b"bc")),
    "a file that cannot be rewound": lambda: Unseekable(b"abc"),
    "what reads like a file": Readable,
}
AGAIN = {
    "bytes": lambda: b"abc",
    "text": lambda: "abc",
    "a bytearray": lambda: bytearray(b"abc"),
    "a buffer": lambda: io.BytesIO(b"abc"),
    "JSON": lambda: {"a": 1},
}


def post(side: Any, client: api.APIClient, data: Any, **options: Any) -> Any:
    return send(side, client, {"data": data, **options})


def send(side: Any, client: api.APIClient, options: dict[str, Any]) -> Any:
    if side.is_sync:
        return client.request("POST", "/", int, **options)
    return side.run(lambda: client.arequest("POST", "/", int, **options))


async def async_texts() -> AsyncIterator[str]:
    yield "a"


@pytest.mark.parametrize("make", [*ONCE.values(), *list(AGAIN.values())[:-1]], ids=[*ONCE, *list(AGAIN)[:-1]])
def test_every_call_sends_every_kind(side, serve, make):
    server = serve(OK)
    assert post(side, api.APIClient(server.url), make()) == 1
    assert server.requests[0].body == b"abc"


@pytest.mark.parametrize("make", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("again", [MOVED, MOVED_FOR_GOOD, UNAUTHORIZED], ids=["307", "308", "auth"])
def test_what_can_be_sent_once_is_not_sent_again(side, serve, make, again):
    server = serve(in_turn(again, OK))
    client = api.APIClient(server.url, auth=httpx2.DigestAuth("a", "b") if again is UNAUTHORIZED else None)
    with pytest.raises(
        api.TransportError, match=r"it would have to be sent again.*which can be sent once only; pass bytes"
    ):
        post(side, client, make())
    assert len(server.requests) == 1


@pytest.mark.parametrize("make", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("again", [MOVED, MOVED_FOR_GOOD, UNAUTHORIZED], ids=["307", "308", "auth"])
def test_what_can_be_sent_again_is(side, serve, make, again):
    server = serve(in_turn(again, OK))
    client = api.APIClient(server.url, auth=httpx2.DigestAuth("a", "b") if again is UNAUTHORIZED else None)
    assert post(side, client, make()) == 1
    first, second = server.requests
    assert first.body == second.body != b""


def test_a_redirect_that_takes_no_body_along_is_followed(side, serve):
    server = serve(in_turn(answer(b"", status="303 See Other", headers="Location: /there\r\n"), OK))
    assert post(side, api.APIClient(server.url), iter([b"abc"])) == 1
    assert [(received.method, received.body) for received in server.requests] == [("POST", b"abc"), ("GET", b"")]


def test_a_client_that_is_handed_over_does_not_send_it_again_either(serve):
    server = serve(in_turn(MOVED, OK))
    client = api.APIClient(http_client=httpx2.Client(base_url=server.url, follow_redirects=True))
    with client, pytest.raises(api.TransportError, match="which can be sent once only"):
        client.request("POST", "/", int, data=iter([b"abc"]))


@pytest.mark.parametrize("make", ONCE.values(), ids=ONCE)
def test_it_is_refused_where_a_stream_reconnects_and_not_retried(serve, make):
    server = serve(answer(b"", status="503 Service Unavailable"))
    client = api.APIClient(server.url)
    with pytest.raises(TypeError, match="can be sent once only, but reconnect= sends it again; pass bytes, or a file"):
        client.stream("POST", "/", int, data=make(), reconnect=True)
    assert server.requests == []
    with pytest.raises(api.HTTPStatusError) as caught:
        client.request("PUT", "/", int, data=make(), retry=api.Retry(initial_delay=0))
    assert len(server.requests) == 1
    assert "can be sent once only" in caught.value.__notes__[0]


def test_a_file_is_sent_from_where_it_is_each_time(serve):
    server = serve(answer(b"", status="503 Service Unavailable"))
    file = io.BytesIO(b"skipped, sent")
    file.seek(9)
    with pytest.raises(api.HTTPStatusError):
        api.APIClient(server.url).request("PUT", "/", int, data=file, retry=api.Retry(initial_delay=0))
    assert [received.body for received in server.requests] == [b"sent"] * 3
    assert {received.header("Content-Length") for received in server.requests} == {"4"}


def test_an_asynchronous_iterator_is_sent_by_asynchronous_calls_alone(side, serve):
    server = serve(OK)
    if side.is_sync:
        with pytest.raises(TypeError, match="a synchronous call cannot read; call it from an async def"):
            post(side, api.APIClient(server.url), async_pieces())
    else:
        post(side, api.APIClient(server.url), async_pieces())
        assert server.requests[0].body == b"abc"


def test_what_can_be_iterated_anew_can_be_sent_again(serve):
    server = serve(in_turn(MOVED, OK))
    client = api.APIClient(server.url)
    assert anyio.run(lambda: client.arequest("POST", "/", int, data=AsyncPieces())) == 1
    assert [received.body for received in server.requests] == [b"abc", b"abc"]


class AsyncFile:
    async def read(self, size: int) -> bytes:
        return b""


@pytest.mark.parametrize("opened", [io.StringIO("abc"), AsyncFile()])
def test_a_file_that_gives_no_bytes_is_refused(opened):
    with pytest.raises(TypeError, match=r"POST /: argument 'data' cannot be sent: .*open\(path, 'rb'\)"):
        api.APIClient("http://test").request("POST", "/", int, data=opened)


class Stuttering:
    """What reads like a file, and has nothing for a while."""

    def __init__(self) -> None:
        self._parts = [b"ab", None, b"cd", b""]

    def read(self, size: int = -1) -> bytes | None:
        return self._parts.pop(0)


@pytest.mark.parametrize(
    "make", [lambda: iter(["a"]), lambda: iter([b"a", 5]), lambda: iter([b"a", None, b"b"]), Stuttering, async_texts]
)
def test_pieces_that_are_no_bytes_are_refused_where_they_come(side, serve, make):
    if side.is_sync and make is async_texts:
        pytest.skip("asynchronous calls alone read it")
    for parameters in ({"data": make()}, {"files": {"a": make()}}):
        with pytest.raises(TypeError, match=r"^POST /: the body gives an? (str|int|NoneType), and is sent as bytes"):
            send(side, api.APIClient(serve(OK).url), parameters)


def test_a_closed_file_is_refused():
    closed = io.BytesIO(b"abc")
    closed.close()
    for name, value in (("data", closed), ("files", {"a": closed})):
        with pytest.raises(ValueError, match=f"POST /: argument '{name}' cannot be sent: BytesIO is closed"):
            api.APIClient("http://test").request("POST", "/", int, **{name: value})


@pytest.mark.parametrize("annotation", [Iterator[str], AsyncIterator[int], IO[str], TextIO, io.StringIO])
@pytest.mark.parametrize("marker", [api.Body(), api.File()])
def test_what_gives_no_bytes_is_refused_where_it_is_declared(annotation, marker):
    def send(value: Annotated[annotation | None, marker], *, result: None) -> None: ...

    with pytest.raises(TypeError, match=r"parameter 'value': .* gives no bytes; declare (BinaryIO|\w+\[bytes\])"):
        api.APIClient("http://test").post("/")(send)


def test_a_path_could_mean_the_file_or_its_name(tmp_path):
    with pytest.raises(TypeError, match=r"'data' cannot be sent: it is a path.*open\(path, 'rb'\) .* or str\(path"):
        api.APIClient("http://test").request("POST", "/", int, data=tmp_path)


def test_an_event_loop_goes_on_while_a_file_is_read(serve):
    server = serve(OK)
    read_in: list[int] = []

    def pieces() -> Iterator[bytes]:
        read_in.append(threading.get_ident())
        yield b"abc"

    anyio.run(lambda: api.APIClient(server.url).arequest("POST", "/", int, data=pieces()))
    assert read_in != [threading.get_ident()]


def test_its_length_is_known_as_far_as_can_be(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert StreamedBody(b"ab", path, io.BytesIO(b"x")).length == 6
    assert StreamedBody(b"ab", iter([b"c"])).length is None
    assert StreamedBody(pathlib.Path(path)).used_up_by_sending is None


def test_the_handler_of_a_mock_sees_it(side):
    seen: list[bytes] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.content)
        return httpx2.Response(200, json=1)

    transport = httpx2.MockTransport(handle)
    client = api.APIClient("http://test", transport=transport, async_transport=transport)
    post(side, client, iter([b"a", b"bc"]))
    post(side, client, io.BytesIO(b"abc"))
    assert seen == [b"abc", b"abc"]
