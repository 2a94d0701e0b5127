"""The example programs, run by the demo; and the test that the README shows. For the pages see `tests/docs`."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest
from tests.scripts import run_script

pytestmark = pytest.mark.every_python

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_the_demo_runs_every_example_says_nothing_on_stderr_and_ends_by_itself():
    stdout, stderr = run_script(EXAMPLES / "demo.py", environment={"EXAMPLES_PAUSE": "0"})
    _, *sections = re.split(r"^.*examples/(\w+\.py).*$", stdout, flags=re.MULTILINE)
    shown = dict(zip(sections[::2], sections[1::2], strict=True))
    assert shown.keys() == {example.name for example in EXAMPLES.glob("*_*.py")}
    assert all(re.search(r"\d s  \S", printed) for printed in shown.values())
    assert "s  by 13\n" in stdout
    assert stderr == ""


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
