"""Forms and files: what is sent, and that nothing else is sent by their name."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import inspect
import io
import pathlib
import tempfile
from typing import IO, Annotated, Any
from urllib.parse import parse_qsl

import pydantic
import pytest
from tests.fakes import Recorder, client_of
from tests.servers import answer, in_turn
from typing_extensions import TypedDict

from clientele import api

OK = answer(b"null")


class Login(pydantic.BaseModel):
    name: str
    scopes: list[str] = []
    remember: bool = True
    note: str | None = None


@dataclasses.dataclass
class LoginData:
    name: str


class LoginDict(TypedDict):
    name: str


def send(side: Any, client: api.APIClient, **parameters: tuple[Any, Any]) -> None:
    """Post these parameters, each with its annotation."""
    result = inspect.Parameter("result", inspect.Parameter.KEYWORD_ONLY, annotation=None)
    given = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, (annotation, _) in parameters.items()
    ]
    values = {name: value for name, (_, value) in parameters.items()}

    def function(**given):
        return given["result"]

    async def async_function(**given):
        return given["result"]

    chosen = function if side.is_sync else async_function
    chosen.__signature__ = inspect.Signature([*given, result])
    endpoint = client.post("/")(chosen)
    endpoint(**values) if side.is_sync else side.run(lambda: endpoint(**values))


def parts_of(received: Any) -> list[tuple[str, str | None, str, bytes]]:
    """The parts of a multipart form: name, file name, content type, content."""
    head = f"Content-Type: {received.header('Content-Type')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + received.body, policy=email.policy.HTTP)
    return [
        (
            part.get_param("name", header="Content-Disposition"),
            part.get_filename(),
            part["Content-Type"] or "",
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


@pytest.mark.parametrize(
    ("annotation", "value", "form"),
    [
        (
            Login,
            Login(name="Ann & Bob", scopes=["a", "b"]),
            [("name", "Ann & Bob"), ("scopes", "a"), ("scopes", "b"), ("remember", "true")],
        ),
        (LoginData, LoginData("ü"), [("name", "ü")]),
        (LoginDict, {"name": "a"}, [("name", "a")]),
        (dict[str, int], {"a": 1}, [("a", "1")]),
        (str, "x", [("value", "x")]),
        (list[int], [1, 2], [("value", "1"), ("value", "2")]),
        (str | None, None, []),
    ],
)
def test_a_form_is_urlencoded(side, serve, annotation, value, form):
    server = serve(OK)
    send(side, api.APIClient(server.url), value=(Annotated[annotation, api.Form()], value))
    (received,) = server.requests
    assert received.header("Content-Type") == "application/x-www-form-urlencoded"
    assert parse_qsl(received.body.decode()) == form
    assert received.header("Content-Length") == str(len(received.body))


def test_fields_have_names_of_their_own(side, serve):
    server = serve(OK)
    send(
        side,
        api.APIClient(server.url, headers={"Content-Type": "application/json"}),
        grant=(Annotated[str, api.Form("grant_type")], "client_credentials"),
        scope=(Annotated[str, api.Form()], "a b"),
    )
    (received,) = server.requests
    assert received.body == b"grant_type=client_credentials&scope=a+b"
    assert received.header("Content-Type") == "application/x-www-form-urlencoded"


@pytest.fixture
def photo(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG" * 50_000)
    return path


def test_files_are_sent_in_every_form(side, serve, photo):
    server = serve(OK)
    with photo.open("rb") as opened:
        opened.read(4)
        send(
            side,
            api.APIClient(server.url),
            title=(Annotated[str, api.Form()], "ü\r\n"),
            raw=(Annotated[bytes, api.File()], b"raw"),
            path=(Annotated[pathlib.Path, api.File("photo")], photo),
            opened=(Annotated[IO[bytes], api.File()], opened),
            named=(Annotated[Any, api.File()], ('a"b.txt', "text")),
            typed=(Annotated[Any, api.File()], ("x", io.BytesIO(b"buffer"), "text/csv")),
            several=(Annotated[list[Any], api.File("several")], [b"1", ("two.json", b"2")]),
            left_out=(Annotated[bytes | None, api.File()], None),
        )
    (received,) = server.requests
    content = photo.read_bytes()
    assert parts_of(received) == [
        ("title", None, "", "ü\r\n".encode()),
        ("raw", "upload", "application/octet-stream", b"raw"),
        ("photo", "photo.png", "image/png", content),
        ("opened", "photo.png", "image/png", content[4:]),
        ("named", "a%22b.txt", "text/plain", b"text"),
        ("typed", "x", "text/csv", b"buffer"),
        ("several", "upload", "application/octet-stream", b"1"),
        ("several", "two.json", "application/json", b"2"),
    ]
    assert received.header("Content-Length") == str(len(received.body))
    assert received.header("Transfer-Encoding") is None


def test_a_file_without_a_length_is_sent_in_chunks(side, serve):
    server = serve(OK)
    send(side, api.APIClient(server.url), file=(Annotated[Any, api.File()], iter([b"a", b"b"])))
    (received,) = server.requests
    assert received.header("Transfer-Encoding") == "chunked"
    assert parts_of(received) == [("file", "upload", "application/octet-stream", b"ab")]


def test_direct_calls_take_forms_and_files(side, serve, photo):
    server = serve(OK)
    client = api.APIClient(server.url)

    def call(**options: Any) -> None:
        if side.is_sync:
            client.request("POST", "/", None, **options)
        else:
            side.run(lambda: client.arequest("POST", "/", None, **options))

    call(form={"a": [1, 2], "b": None})
    call(form=Login(name="a"), files={"photo": photo})
    call(files=[("x", b"1"), ("x", b"2")])
    call(files={"x": [b"1", b"2"]})
    form, both, pairs, several = server.requests
    assert form.body == b"a=1&a=2"
    assert [name for name, *_ in parts_of(both)] == ["name", "remember", "photo"]
    assert (
        [content for *_, content in parts_of(pairs)] == [b"1", b"2"] == [content for *_, content in parts_of(several)]
    )


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"a": 1, "b": [True, "x y"], "c": None}, b"a=1&b=true&b=x+y"),
        (Login(name="a"), b"name=a&remember=true"),
        ({}, b""),
        ("a=1", b"a=1"),
        (b"a=1", b"a=1"),
    ],
)
@pytest.mark.parametrize(
    "label", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded; charset=utf-8"]
)
def test_data_by_the_name_of_a_form_is_a_form(serve, data, body, label):
    server = serve(OK)
    api.APIClient(server.url).request("POST", "/", None, data=data, headers={"Content-Type": label})
    api.APIClient(server.url, headers={"Content-Type": label}).request("POST", "/", None, data=data)
    for received in server.requests:
        assert (received.body, received.header("Content-Type")) == (body, label)


@pytest.mark.parametrize("data", [[1], 5, {"a": {"b": 1}}, {"a": [[1]]}])
def test_data_that_cannot_be_a_form_is_refused(data):
    recorder = Recorder()
    client = recorder.client
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with pytest.raises(TypeError, match=r"POST /: data cannot be sent as a form.*leave Content-Type out"):
        client.request("POST", "/", None, data=data, headers=headers)
    with pytest.raises(TypeError, match=r"POST /: data cannot be sent as multipart/form-data; declare its fields"):
        client.request("POST", "/", None, data=data, headers={"Content-Type": "multipart/form-data"})
    with pytest.raises(
        ValueError, match=r"POST /: it is a form, multipart/form-data.*leave the header Content-Type out"
    ):
        client.request("POST", "/", None, files={"a": b""}, headers={"Content-Type": "multipart/form-data"})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (5, "int is no file; pass bytes, pathlib.Path"),
        ("photo.png", "str is no file; pass bytes, pathlib.Path"),
        (("a",), "a tuple is .name, content"),
        (("a", b"", 5), "a tuple is .name, content.*not .str, bytes, int"),
        ((b"", "a.txt"), "a tuple is .name, content.*not .bytes, str"),
        (io.StringIO("a"), "is read as text"),
        (("a", b"", "text/plain\r\nX: y"), "control character"),
    ],
)
def test_what_is_no_file_is_refused_with_its_name(value, problem):
    client = client_of(b"null")

    @client.post("/")
    def upload(file: Annotated[Any, api.File()], *, result: None) -> None: ...

    with pytest.raises((TypeError, ValueError), match=rf"upload\(\): .*'file'.*{problem}"):
        upload(value)


@pytest.mark.parametrize("files", [5, ["a"], [("a", b"", "text/plain")]])
def test_files_are_named(files):
    with pytest.raises(
        TypeError, match="argument 'files' cannot be sent: it is a mapping of names to files, or a list"
    ):
        api.APIClient("http://test").request("POST", "/", None, files=files)


def test_a_model_has_names_of_its_own():
    def login(login: Annotated[Login, api.Form("login")], *, result: None) -> None: ...

    with pytest.raises(
        TypeError, match=r"'login': .* has fields, each with its own name; leave the name out of api.Form"
    ):
        api.APIClient("http://test").post("/")(login)


def test_a_path_without_a_file_is_pythons_own_error():
    client = api.APIClient("http://test")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        client.request("POST", "/", None, files={"a": pathlib.Path("nowhere")})


def test_a_form_and_a_body_do_not_go_together():
    client = api.APIClient("http://test")

    def both(data: Login, name: Annotated[str, api.Form()], *, result: None) -> None: ...

    with pytest.raises(TypeError, match=r"both\(\): parameter 'name' is part of a form, and 'data' a body"):
        client.post("/")(both)
    with pytest.raises(TypeError, match=r"parameter 'form' is part of a form, and 'data' a body"):
        client.request("POST", "/", None, data=1, form={"a": 1})
    with pytest.raises(TypeError, match=r"both\(\): parameter 'file' is a body, which GET requests do not have"):

        @client.get("/")
        def both(file: Annotated[bytes, api.File()], *, result: None) -> None: ...


def test_a_form_can_be_sent_again(serve, photo):
    moved = answer(b"", status="307 Temporary Redirect", headers="Location: /there\r\n")
    server = serve(in_turn(moved, OK))
    with photo.open("rb") as opened:
        api.APIClient(server.url).request("POST", "/", None, files={"a": opened, "b": photo, "c": b"1"})
    first, second = server.requests
    assert first.body == second.body
    assert len(parts_of(second)) == 3


def test_files_that_were_opened_are_closed(serve, photo):
    server = serve(OK)
    api.APIClient(server.url).request("POST", "/", None, files={"a": photo})
    assert len(server.requests[0].body) > 200_000  # and an unclosed file would warn


def test_what_reads_like_a_file_is_one(serve):
    class Progress:
        """Tells how much has been read, as an upload's progress bar does."""

        def __init__(self, file: IO[bytes]) -> None:
            self._file = file
            self.read_so_far = 0

        def read(self, size: int) -> bytes:
            data = self._file.read(size)
            self.read_so_far += len(data)
            return data

    server = serve(OK)
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100_000)
        file.seek(0)
        progress = Progress(file)
        api.APIClient(server.url).request("POST", "/", None, files={"a": ("a.bin", progress)})
        assert progress.read_so_far == 100_000
        file.seek(0)
        api.APIClient(server.url).request("POST", "/", None, data=Progress(file))
    assert server.requests[1].body == b"x" * 100_000
