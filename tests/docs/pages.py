"""The Python code of the documentation, as it stands on the pages, and what a page says that it prints.

A page marks its blocks, so that a reader and a test join them alike:

- Each block is a program of its own, unless `<!-- continues -->` stands above it: then it goes on after the one before.
- A block with a title, `python title="my_app.py"`, is a module, which the other blocks of the page import.
- A block that is titled "Output" is what the block before it prints.
- `<!-- examples/typed_events.py -->` above a block says that it shows that file.
- A block that is one `--8<-- "examples/typed_events.py"` is that file: MkDocs puts it in.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+) *(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=ticks) *$",
    re.DOTALL | re.MULTILINE,
)
_MARK = re.compile(r"<!-- (.*?) -->\s*\Z")
_TITLE = re.compile(r'title="(.*?)"')
_SNIPPET = re.compile(r'--8<-- "(.*?)"\n')


@dataclass
class Block:
    """One block of Python.

    Attributes:
        line: Where its code begins, from 1.
        mark: What the comment above it says.
        title: Its title, the name of a module.
        output: What the page says that it prints; `None` if it does not say.
    """

    code: str
    line: int
    mark: str = ""
    title: str = ""
    output: str | None = None

    @property
    def file(self) -> str:
        """The example that the block shows."""
        snippet = _SNIPPET.fullmatch(self.code)
        return snippet[1] if snippet else self.mark if self.mark.endswith(".py") else ""


@dataclass
class Program:
    """Blocks that are read one behind the other."""

    page: Path
    blocks: list[Block] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.blocks[0].line}"

    @property
    def has_tests(self) -> bool:
        """Whether it is for pytest to run."""
        return any(re.search(r"^(async )?def test_", block.code, re.MULTILINE) for block in self.blocks)


def blocks_of(text: str) -> Iterator[Block]:
    """The Python blocks of a page."""
    block = None
    for fence in _FENCE.finditer(text):
        info, code = fence["info"], textwrap.dedent(fence["code"])
        title = _TITLE.search(info)
        if re.match(r"python\b", info):
            if block is not None:
                yield block
            mark = _MARK.search(text, 0, fence.start())
            line = text.count("\n", 0, fence.start("code")) + 1
            block = Block(code, line, mark[1] if mark else "", title[1] if title else "")
        elif title and title[1] == "Output":
            assert block is not None, "there is output, and no code before it"
            assert block.output is None, f"line {block.line}: the block has two outputs"
            block.output = code
    if block is not None:
        yield block


def programs_of(page: Path) -> list[Program]:
    """The programs of a page: all of its blocks but those that show files."""
    programs: list[Program] = []
    for block in blocks_of(page.read_text()):
        if block.file:
            continue
        if block.mark != "continues" or not programs:
            programs.append(Program(page))
        programs[-1].blocks.append(block)
    return programs


def modules_of(page: Path) -> dict[str, str]:
    """The modules that a page shows, by their file names."""
    return {block.title: block.code for block in blocks_of(page.read_text()) if block.title and not block.file}
