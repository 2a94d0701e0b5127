"""How items are shown on a terminal, beyond what `test_processes.py` shows in a real one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from clientele.cli.display import BytesDisplay, TerminalDisplay
from clientele.cli.items import Item


def shown(kind: type[TerminalDisplay], item: Item, *, raw: bool = False, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=out, force_terminal=True, color_system=None, width=40)
    kind(console, raw=raw).show(item, 1.25, 3)
    out.seek(0)
    return out.read()


def test_an_event_is_shown_with_all_that_it_has():
    item = Item('{"a":1}', True, b'{"a":1}', "token", "x\n7", 500)

    assert shown(TerminalDisplay, item) == '#3 · token · id x 7 · retry 500 ms · +1.25 s\n{"a": 1}\n'


def test_a_terminal_without_unicode_gets_ascii():
    assert shown(TerminalDisplay, Item("1", True, b"1", "token"), encoding="ascii") == "#3 - token - +1.25 s\n1\n"


def test_raw_data_is_shown_alone_and_still_escaped():
    item = Item("", False, b"[bold]two\nlines\x1b[2J", "token", "7")

    assert shown(TerminalDisplay, item, raw=True) == "[bold]two\nlines\\u001b[2J\n"


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"\x00", "1 byte: 00"), (b"\xff" * 1000, f"1,000 bytes: {' '.join(['ff'] * 32)} …")],
)
def test_bytes_are_counted_and_the_first_ones_shown(data, line):
    assert shown(BytesDisplay, Item("", True, data)) == f"#3 · +1.25 s\n{line}\n"
