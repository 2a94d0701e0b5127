"""Packages: written, checked, kept apart from what people write; the overlay; credentials; the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.openapi.conftest import answering, document
from typer.testing import CliRunner

from clientele import testing
from clientele.cli.app import app
from clientele.openapi.document import DocumentError
from clientele.openapi.overlay import load_overlay

USER = {"type": "object", "properties": {"name": {"type": "string"}}}
PATHS = {
    "/users": {"get": answering({"$ref": "#/components/schemas/User"}, operationId="getUser", summary="Get a user")}
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A document in a directory of its own."""
    write(tmp_path, document(PATHS, {"User": USER}))
    return tmp_path


def write(directory: Path, content: object) -> None:
    (directory / "openapi.json").write_text(json.dumps(content))


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(
        app, ["generate", str(directory / "openapi.json"), "-o", str(directory / "shop"), *arguments]
    )
    return done.exit_code, done.stdout, done.stderr


def files(directory: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in (directory / "shop").iterdir() if each.is_file()}


def test_the_same_document_gives_the_same_files(shop):
    assert run(shop)[0] == 0
    first = files(shop)
    assert set(first) == {"__init__.py", "client.py", "models.py", "py.typed"}
    assert all(
        source.startswith("# Made by `clientele generate` from openapi.json (Shop 1).")
        for source in first.values()
        if source
    )
    assert run(shop)[0] == 0
    assert files(shop) == first


def test_check_tells_what_is_not_as_it_is_generated_and_writes_nothing(shop):
    code, output, error = run(shop, "--check")
    assert code == 1
    assert not (shop / "shop").exists()
    assert "run the command without --check" in error
    run(shop)
    assert run(shop, "--check") == (0, "", "")
    (shop / "shop" / "client.py").write_text("# Made by `clientele generate`\n")
    code, output, _ = run(shop, "--check")
    assert code == 1
    assert "+async def get_user(result: User) -> User:" in output


def test_what_people_write_survives(shop):
    run(shop)
    (shop / "shop" / "mine.py").write_text("mine = 1\n")
    (shop / "shop" / "old.py").write_text("# Made by `clientele generate` from another document.\n")
    assert run(shop, "--check")[0] == 1
    run(shop)
    assert {"mine.py"} < set(files(shop))
    assert "old.py" not in files(shop)
    (shop / "shop" / "client.py").write_text("mine = 2\n")
    code, _, error = run(shop)
    assert code == 2
    assert "client.py was written by hand: move it to a file of another name" in error
    assert (shop / "shop" / "client.py").read_text() == "mine = 2\n"


def test_strict_makes_an_error_of_what_has_no_counterpart_and_writes_the_rest(shop):
    write(shop, document(PATHS, {"User": {**USER, "minProperties": 1}}))
    place = "#/components/schemas/User/minProperties: is not checked by the models"
    code, _, error = run(shop)
    assert (code, error) == (0, f"clientele generate: warning: {place}\n")
    code, _, error = run(shop, "--strict")
    assert (code, error) == (1, f"clientele generate: error: {place}\n")
    assert "get_user" in files(shop)["client.py"]


@pytest.mark.parametrize(
    ("arguments", "functions"),
    [
        ([], ["async def get_user("]),
        (["--async"], ["async def get_user("]),
        (["--sync"], ["def get_user("]),
        (["--async", "--sync"], ["async def get_user(", "def get_user_sync("]),
    ],
)
def test_sides(shop, arguments, functions):
    run(shop, *arguments)
    lines = files(shop)["client.py"].splitlines()
    found = [line.partition("(")[0] + "(" for line in lines if "def get_user" in line]
    assert found == functions


def test_many_operations_are_filed_under_their_tags(shop):
    paths = {
        f"/{tag.lower()}/{number}": {"get": answering("nothing", operationId=f"get{tag}{number}", tags=[tag])}
        for tag in ("Users", "Models")
        for number in range(21)
    }
    paths["/health"] = {"get": answering("nothing", operationId="getHealth")}
    write(shop, document(paths, tags=[{"name": "Users", "description": "Who is there."}]))
    run(shop)
    made = files(shop)
    assert set(made) == {"__init__.py", "client.py", "health.py", "models_operations.py", "users.py", "py.typed"}
    assert '"""Users: Who is there."""' in made["users.py"]
    assert "from .client import client" in made["users.py"]


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("[operation.a]\n", "there is no [operation]; did you mean 'operations'?"),
        ("[operations.getUser]\nnam = 'a'\n", "[operations.getUser] has no key 'nam'; did you mean 'name'?"),
        ("[operations.getUser]\nname = 5\n", "[operations.getUser]: name is 5, and not of type str"),
        (
            "[operations.getUser]\ninclude_end = true\n",
            "include_end is about the event that until stops at; say until, too",
        ),
        ("[operations.getUsr]\n", "[operations.getUsr] is about nothing in the document; did you mean 'getUser'?"),
        ("[schemas.Usr]\n", "[schemas.Usr] is about nothing in the document; did you mean 'User'?"),
        ("[security.Key]\n", "[security.Key] is about nothing in the document"),
        ("[operations]\ngetUser = 5\n", "operations.getUser is no table; write [operations.getUser]"),
        ("[operations.getUser]\nstream_format = 'xml'\n", "stream_format is 'xml', and none of sse, jsonl"),
        ("[operations.getUser]\nanswer = 'text/csv'\n", "has application/json, and not 'text/csv'"),
        ("[", "clientele.toml is no TOML"),
    ],
)
def test_mistakes_in_an_overlay_are_told(shop, overlay, message):
    (shop / "shop").mkdir()
    (shop / "shop" / "clientele.toml").write_text(overlay)
    code, _, error = run(shop)
    assert code == 2
    assert message in error


def test_an_overlay_survives_and_renames(shop):
    (shop / "mine.toml").write_text('[operations."GET /users"]\nname = "me"\n[schemas.User]\nname = "Person"\n')
    run(shop, "--overlay", str(shop / "mine.toml"))
    assert "async def me(result: Person) -> Person:" in files(shop)["client.py"]
    with pytest.raises(DocumentError, match=r"the overlay '.*nothing.toml' cannot be read"):
        load_overlay(shop / "nothing.toml")


SCHEMES = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "From the console."},
    "Basic": {"type": "http", "scheme": "basic"},
    "Header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "Query": {"type": "apiKey", "in": "query", "name": "key"},
    "Cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "OAuth": {"type": "oauth2", "flows": {}},
    "Mutual": {"type": "mutualTLS"},
}


def test_each_security_scheme_is_an_argument(generate, monkeypatch):
    whole = document({"/ask": {"get": answering("nothing", operationId="ask")}})
    for name, scheme in SCHEMES.items():
        whole["components"]["securitySchemes"] = {name: scheme}
        package = generate(whole)
        if name == "Mutual":
            message = "the scheme 'mutualTLS' is no argument of make_client; pass auth= or verify= to it"
            assert package.findings == [f"#/components/securitySchemes/Mutual: {message}"]
            continue
        argument = {"Basic": "basic", "Bearer": "token", "OAuth": "token"}.get(name, "api_key")
        mine = package.make_client(**{argument: "name:pass"})
        with testing.fake(mine) as server:
            server.on_any().returns(b"")
            mine.bind(package.ask)()
            request = server.requests[-1]
        sent = {
            "Bearer": request.headers.get("Authorization") == "Bearer name:pass",
            "OAuth": request.headers.get("Authorization") == "Bearer name:pass",
            "Basic": request.headers.get("Authorization") == "Basic bmFtZTpwYXNz",
            "Header": request.headers.get("X-Key") == "name:pass",
            "Query": request.url.params.get("key") == "name:pass",
            "Cookie": request.headers.get("Cookie") == "sid=name:pass",
        }
        assert sent[name], name
        assert f"(`{name}`)" in package.make_client.__doc__


def test_credentials_are_named_by_the_overlay_and_come_from_the_environment(generate, monkeypatch):
    whole = document({"/ask": {"get": answering("nothing", operationId="ask")}})
    whole["components"]["securitySchemes"] = SCHEMES
    package = generate(whole, '[security.Bearer]\nargument = "key"\nenv = "SHOP_KEY"\n')
    monkeypatch.setenv("SHOP_KEY", "from-env")
    with testing.fake(package.client) as server:
        server.on_any().returns(b"")
        package.ask()
        assert server.requests[-1].headers["Authorization"] == "Bearer from-env"


def test_the_client_may_be_ones_own(generate, tmp_path):
    (tmp_path / "my_clients.py").write_text("from clientele import api\nmine = api.APIClient(base_url='http://mine')\n")
    paths = {"/ask": {"get": answering("nothing", operationId="ask")}}
    package = generate(document(paths), '[client]\ninstance = "my_clients:mine"\n')
    with testing.fake(package.client) as server:
        server.on_any().returns(b"")
        package.ask()
        assert str(server.requests[-1].url) == "http://mine/ask"


def test_texts_of_the_document_cannot_leave_their_docstrings(generate):
    nasty = 'a"""\nimport os; os.abort()\n"""\\ \\N{x} "'
    operation = answering(
        {
            "type": "object",
            "title": nasty,
            "description": nasty,
            "properties": {"a": {"type": "string", "description": nasty}},
        },
        operationId="ask",
        summary=nasty,
        description=nasty,
        parameters=[
            {"name": 'a"b\n', "in": "query", "schema": {"type": "string", "default": nasty}, "description": nasty}
        ],
        tags=[nasty],
    )
    variables = {nasty: {"default": "eu", "description": nasty}}
    servers = [{"url": "https://{" + nasty + "}{__import__('os').abort()}.example", "variables": variables}]
    tags = {f"{nasty}{each}": {"const": f"{each}{nasty}"} for each in "ab"}
    union = [{"type": "object", "properties": {nasty: tags[name]}, "required": [nasty]} for name in tags]
    stream = {"200": {"description": nasty, "content": {"text/event-stream": {"schema": {"oneOf": union}}}}}
    paths = {'/a"{x}\\': {"get": operation}, f"/{nasty}": {"get": {"operationId": "watch", "responses": stream}}}
    whole = document(paths, servers=servers, info={"title": nasty, "description": nasty, "version": nasty})
    assert generate(whole).ask.__doc__


def test_without_the_extra_it_says_what_to_install(tmp_path):
    script = (
        "import sys; sys.modules['datamodel_code_generator'] = None\n"
        "from clientele.cli import main; sys.argv = ['clientele', 'generate', 'x.json', '-o', 'shop']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert 'pip install "clientele[generate]"' in done.stderr
