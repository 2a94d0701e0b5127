"""Imports point down: from what users call to what they never see."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clientele

SOURCE = Path(clientele.__file__).parent
ROOMS = [
    ["__main__"],
    ["cli"],
    ["openapi", "testing"],
    ["api"],
    ["client"],
    ["endpoints"],
    ["http_clients"],
    ["streaming"],
    ["wire"],
    ["settings"],
    ["redirects", "headers", "proxies", "validation"],
    ["exceptions"],
    ["bodies", "content", "redaction", "event_loop", "clock"],
]
FLOOR = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    """The rooms that a file imports when it runs: not what it imports for type checkers alone."""
    tree = ast.parse((SOURCE / path).read_text())
    for_checkers = [
        each for each in ast.walk(tree) if isinstance(each, ast.If) and "TYPE_CHECKING" in ast.dump(each.test)
    ]
    skipped = {inner for each in for_checkers for inner in ast.walk(each)}
    for each in ast.walk(tree):
        if isinstance(each, ast.ImportFrom) and each.level and each not in skipped:
            package = path.parent.parts[: len(path.parent.parts) - each.level + 1]
            yield (*package, *(each.module or each.names[0].name).split("."))[0]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_from_its_own_room_and_those_below(path):
    own = room_of(path)
    above = {room for room in imported_rooms(path) if room != own and FLOOR[room] <= FLOOR[own]}

    assert above == set()


def test_the_kit_for_tests_is_imported_by_whoever_asks_for_it_and_imports_no_more():
    script = "import sys, {0}; print([each for each in {1!r} if each in sys.modules])"
    for module, others in (
        ("clientele.api", ["clientele.testing", "clientele.cli", "typer", "rich"]),
        ("clientele.testing", ["pytest", "polyfactory"]),
    ):
        done = subprocess.run([sys.executable, "-c", script.format(module, others)], capture_output=True, text=True)
        assert done.stdout == "[]\n"


def test_the_version_is_that_of_the_distribution():
    assert clientele.__version__ == importlib.metadata.version("clientele")
