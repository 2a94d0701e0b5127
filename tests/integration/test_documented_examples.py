"""The examples of the documentation, taken out of the documents and run as they are written there.

The document's pieces are joined as a reader joins them: an endpoint's declaration and, after it, the loop that uses it.
Only the server's address is put in the place of the one that the document names.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import pathlib
import re
import subprocess
import sys

import pytest
from tests.scripts import run_script
from tests.servers import asgi_server

pytestmark = pytest.mark.every_python

ROOT = pathlib.Path(__file__).parents[2]
STREAMING = (ROOT / "docs/streaming.md").read_text()
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def address():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import server
    finally:
        sys.path.remove(str(EXAMPLES))
    server.PAUSE = 0
    with asgi_server(server.app) as url:
        yield url


def code_of(section: str) -> list[str]:
    """The Python blocks of a section of the document, until the next one that begins an example."""
    (text,) = re.findall(
        rf"^(?:#+ |\*\*){re.escape(section)}.*?$(.*?)(?=^#+ |^\*\*|\Z)", STREAMING, re.DOTALL | re.MULTILINE
    )
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


PRELUDE, _ = code_of("Basic stream Example")


def run(code: str, address: str) -> list[str]:
    """Run code that may await at its top level, and give the lines that it prints."""
    compiled = compile(
        code.replace("http://localhost:8000", address), "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    namespace: dict[str, object] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()) as output:
        outcome = eval(compiled, namespace)
        if inspect.iscoroutine(outcome):
            asyncio.run(outcome)
    return output.getvalue().splitlines()


@pytest.mark.parametrize(
    ("section", "lines"),
    [
        ("Basic stream Example", ["the first event", "the second event", "the third event"]),
        (
            "String (no parsing)",
            [
                '{"text":"the first event","field":1}',
                '{"text":"the second event","field":2}',
                '{"text":"the third event","field":3}',
            ],
        ),
        ("Dictionary (JSON parsing)", ["1", "2", "3"]),
        ("Pydantic Model (JSON + validation)", ["An 1", "endpoint 2", "is 3"]),
        ("Synchronous SSE", ["the first event", "the second event", "the third event"]),
    ],
)
def test_an_example_of_the_document_runs_as_written(address, section, lines):
    code = "\n".join(code_of(section))
    if section != "Basic stream Example":
        code = PRELUDE + code
    assert run(code, address)[: len(lines)] == lines


def test_no_example_of_the_document_is_left_out():
    sections = re.findall(r"^(?:#+ |\*\*)(.*?)(?:\*\*.*)?$", STREAMING, re.MULTILINE)
    with_code = [section for section in sections if section != "Streaming" and code_of(section)]
    assert with_code == [
        "Basic stream Example",
        "String (no parsing)",
        "Dictionary (JSON parsing)",
        "Pydantic Model (JSON + validation)",
        "Synchronous SSE",
    ]


@pytest.mark.parametrize("method", re.findall(r"- `HTTP (\w+)`", STREAMING))
def test_every_method_that_the_document_names_streams(address, method):
    code = PRELUDE.replace("@client.get", f"@client.{method.lower()}")
    code += "\nasync for event in await stream_events():\n    print(event.text)"
    assert run(code, address) == ["the first event", "the second event", "the third event"]


def test_the_readme_shows_the_example_files_as_they_are():
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"<!-- (examples/\w+\.py) -->\n```python\n(.*?)```", readme, re.DOTALL)
    assert len(shown) >= 1
    for name, code in shown:
        assert (ROOT / name).read_text() == code


def test_the_demo_runs_every_example_says_nothing_on_stderr_and_ends_by_itself():
    stdout, stderr = run_script(EXAMPLES / "demo.py", environment={"EXAMPLES_PAUSE": "0"})
    _, *sections = re.split(r"^.*examples/(\w+\.py).*$", stdout, flags=re.MULTILINE)
    shown = dict(zip(sections[::2], sections[1::2], strict=True))
    assert shown.keys() == {example.name for example in EXAMPLES.glob("*_*.py")}
    assert all(re.search(r"\d s  \S", printed) for printed in shown.values())
    assert "s  by 13\n" in stdout
    assert stderr == ""


def test_the_tests_of_the_document_about_testing_pass(tmp_path):
    document = (ROOT / "docs/testing.md").read_text()
    first, declarations, *others = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    imports = "from my_app import Event, User, client, follow_events, get_user, stream_events\n"
    assert passed(tmp_path, declarations, "\n".join([first, imports, *others])) == 9


def test_the_test_of_the_readme_passes(tmp_path):
    readme = (ROOT / "README.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", readme.partition("## Testing")[2], re.DOTALL)
    declaration, _, _ = (EXAMPLES / "synchronous_events.py").read_text().partition("\n\nfor event in")
    assert passed(tmp_path, declaration, code) == 1


def passed(folder: pathlib.Path, declarations: str, tests: str) -> int:
    """How many of these tests pass; the output, if one does not."""
    (folder / "my_app.py").write_text(declarations)
    (folder / "test_document.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return int(re.findall(r"^(\d+) passed", done.stdout, re.MULTILINE)[0])
