"""How items are shown: pretty on a terminal, one JSON object per line on a pipe, or the bare data.

Nothing that a server sends is obeyed by a terminal: control characters are escaped, and rich is given styled text,
never its markup. What goes to a pipe is flushed item by item.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from .items import Item
from .json_text import escaped, pretty
from .rates import seconds

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"name": "blue", "string": "green", "number": "cyan", "literal": "magenta", "": ""}
_SHOWN_BYTES = 32


class Display(Protocol):
    """What shows items."""

    def show(self, item: Item, gap: float, number: int) -> None:
        """Show an item, which came so many seconds after the one before; raises `OSError` where nobody reads on."""


class PipeDisplay:
    """One JSON object per line, in UTF-8; or with `raw` the bare data."""

    def __init__(self, *, raw: bool, is_binary: bool = False) -> None:
        self._raw = raw
        self._is_binary = is_binary  # no line ends are added then
        self._out = sys.stdout.buffer

    def show(self, item: Item, gap: float, number: int) -> None:
        """Show an item."""
        if not self._raw:
            data = item.line().encode("utf-8", "replace") + b"\n"
        else:
            data = item.raw if self._is_binary else item.raw + b"\n"
        self._out.write(data)
        self._out.flush()


class TerminalDisplay:
    """A line with the event's name, its id and the time since the last one; then the data in colours."""

    def __init__(self, console: Console, *, raw: bool) -> None:
        self._console = console
        self._raw = raw
        is_unicode = console.encoding.startswith("utf")
        self._separator = " · " if is_unicode else " - "

    def show(self, item: Item, gap: float, number: int) -> None:
        """Show an item."""
        from rich.text import Text

        text = Text()
        if self._raw:
            text.append(escaped(item.raw.decode("utf-8", "replace")))
        else:
            text.append(f"#{number}", "dim")
            if item.event is not None:
                text.append(self._separator, "dim").append(_one_line(item.event), "bold yellow")
            if item.id:
                text.append(self._separator, "dim").append("id ", "dim").append(_one_line(item.id), "yellow")
            if item.retry is not None:
                text.append(f"{self._separator}retry {item.retry} ms", "dim")
            text.append(f"{self._separator}+{seconds(gap)}\n", "dim")
            self._append_data(text, item)
        self._console.print(text, soft_wrap=True)

    def _append_data(self, text: object, item: Item) -> None:
        from rich.text import Text

        assert isinstance(text, Text)
        if item.is_json:
            for piece, style in pretty(item.text, self._console.width):
                text.append(piece, STYLES[style])
        else:
            text.append(escaped(item.text))


class BytesDisplay(TerminalDisplay):
    """Bytes on a terminal: how many, and the first of them."""

    def _append_data(self, text: object, item: Item) -> None:
        from rich.text import Text

        assert isinstance(text, Text)
        size, data = len(item.raw), item.raw[:_SHOWN_BYTES]
        text.append("1 byte: " if size == 1 else f"{size:,} bytes: ", "dim")
        text.append(data.hex(" ")).append(" …" if size > len(data) else "", "dim")


def is_terminal(stream: object) -> bool:
    """Whether a standard stream is a terminal."""
    return bool(getattr(stream, "isatty", lambda: False)())


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def make_display(console: Console | None, *, raw: bool, is_binary: bool) -> Display:
    """What shows items: on this console of a terminal, or without one on a pipe."""
    if console is None:
        return PipeDisplay(raw=raw, is_binary=is_binary)
    return (BytesDisplay if is_binary else TerminalDisplay)(console, raw=raw)


def discard_stdout() -> None:
    """Have what is still to be written to stdout go nowhere, since nobody reads it any more."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _one_line(text: str) -> str:
    return escaped(text).replace("\t", " ").replace("\n", " ")
