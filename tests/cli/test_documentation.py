"""The page about the command line says what the commands do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clientele.cli.exit_codes import EXIT_CODES, ExitCode

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command-line.md").read_text(encoding="utf-8")


def test_the_page_has_the_exit_codes():
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)

    assert {int(code): words.replace("\\|", "|") for code, words in rows} == EXIT_CODES
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize("command", ["stream", "replay", "learn", "demo-server"])
def test_the_page_names_every_option(run, command):
    done = run(command, "--help")
    options = set(re.findall(r"--[a-z][a-z-]+", done.stdout.decode())) - {"--help"}

    assert done.exit_code == 0
    assert {each for each in options if each not in PAGE} == set()


def test_help_has_the_exit_codes(run):
    shown = " ".join(run("stream", "--help").stdout.decode().split())

    assert all(f"{code.value} {words}" in shown for code, words in EXIT_CODES.items())


def test_the_page_has_its_pictures():
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"pictures/([\w-]+\.svg)", page.read_text("utf-8"))}

    assert named == {path.name for path in (DOCS / "pictures").iterdir()}
