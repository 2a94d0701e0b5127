"""The code of the documentation runs as it stands there, and prints what the page says. `pages.py` has the marks."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import PAGES, ROOT, Program, blocks_of, modules_of, programs_of
from tests.servers import asgi_server

from clientele import testing
from docs import plots

PROGRAMS = [pytest.param(program, id=str(program)) for page in PAGES for program in programs_of(page)]
SHOWN = [(page, block) for page in PAGES for block in blocks_of(page.read_text()) if block.file]


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a server listens, for the libraries that Clientele is compared with."""
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import server
    finally:
        sys.path.remove(str(ROOT / "examples"))
    server.PAUSE = 0
    with asgi_server(server.app) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which a program runs, and from which it imports; from the examples, too."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith((str(tmp_path), str(ROOT / "examples"))):
            del sys.modules[name]


@pytest.mark.parametrize("program", [each for each in PROGRAMS if not each.values[0].has_tests])
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(
    program: Program, folder: Path, faked_clients: None, request: pytest.FixtureRequest
) -> None:
    write_modules(program, folder)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        for block in program.blocks:
            code = block.code
            if "clientele" not in code and "http://localhost:8000" in code:
                code = code.replace("http://localhost:8000", request.getfixturevalue("address"))
            where = "\n" * (block.line - 1)  # so that a traceback names the line of the page
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                if block.title:
                    namespace |= vars(importlib.import_module(block.title.removesuffix(".py")))
                else:
                    run(where + code, str(program.page), namespace, runner)
            if block.output is not None:
                assert printed.getvalue() == block.output


def run(code: str, name: str, namespace: dict[str, Any], runner: asyncio.Runner) -> None:
    """Run code that may await at its top level, as a notebook does."""
    program = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    outcome = eval(program, namespace)
    if inspect.iscoroutine(outcome):
        runner.run(outcome)


@pytest.mark.parametrize("program", [each for each in PROGRAMS if each.values[0].has_tests])
def test_the_tests_of_a_page_pass(program: Program, folder: Path) -> None:
    write_modules(program, folder)
    code = "\n".join(
        f"from {block.title.removesuffix('.py')} import *\n" if block.title else block.code for block in program.blocks
    )
    (folder / "test_page.py").write_text(code)
    options = ["-q", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider", "-W", "error"]
    with contextlib.redirect_stdout(io.StringIO()) as told, testing.forbid_network():
        status = pytest.main([*options, str(folder)])
    assert status == 0, told.getvalue()
    assert f"{len(re.findall('^def test_', code, re.MULTILINE))} passed" in told.getvalue()


@pytest.mark.parametrize(("page", "block"), SHOWN, ids=lambda each: getattr(each, "file", getattr(each, "name", "")))
def test_a_file_that_a_page_shows_is_an_example_that_the_demo_runs(page: Path, block: Any) -> None:
    shown = ROOT / block.file
    assert shown in ROOT.glob("examples/*_*.py")
    assert block.code in (shown.read_text(), f'--8<-- "{block.file}"\n')


@pytest.mark.parametrize("page", PAGES[:-1], ids=lambda page: page.name)
def test_each_block_of_a_page_says_what_it_is(page: Path) -> None:
    fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)[::2]
    assert all(fences)


def write_modules(program: Program, folder: Path) -> None:
    for name, code in modules_of(program.page).items():
        (folder / name).write_text(code)


def test_the_bounds_of_the_security_policy_stand_where_it_says() -> None:
    policy = (ROOT / "SECURITY.md").read_text()
    rows = re.findall(r"^\|.*\| (.*) \| `(\S+\.py)` \|$", policy, re.MULTILINE)
    assert len(rows) == policy.count("\n| ") - 1
    for place, tests in rows:
        assert len([*ROOT.glob(f"tests/*/{tests}")]) == 1
        *names, path = re.findall(r"`(\S+)`", place) or [""]
        assert not path or all(f"\n{name} = " in (ROOT / "src/clientele" / path).read_text() for name in names)
    assert [each for each in re.findall(r"`((?:src|tests)/\S+\.py)`", policy) if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("plot", plots.PLOTS, ids=lambda plot: plot.name)
def test_a_plot_shows_the_results(plot: plots.Plot) -> None:
    drawn = re.findall(r"<text [^>]*>([^<]*)<", (ROOT / f"docs/pictures/{plot.name}.svg").read_text())
    shown = plots.bars(plot, plots.RESULTS.read_text())
    assert "clientele" in shown
    assert drawn[:-1] == [*shown, *shown.values()]
