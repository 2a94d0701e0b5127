"""Runs the examples beside this file against the server beside this file: `make demo`.

The examples look for the server where a reader would start it, at `http://localhost:8000`. The demo starts it on a port
that is free and puts its address in the place of that one; nothing else of them is changed. Each is shown as its code
and what it prints, with the seconds since it began: side by side on a terminal that is large enough, else one above the
other. Imports are left out.
"""

import ast
import contextlib
import io
import pathlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator

import uvicorn
from rich.console import Console, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

HERE = pathlib.Path(__file__).parent
ADDRESS = "http://localhost:8000"
CODE_WIDTH = 88
LINE_START = len("12.34 s  ")
EXAMPLES = [
    "typed_events.py",
    "text_events.py",
    "dictionary_events.py",
    "token_stream.py",
    "synchronous_events.py",
    "every_method.py",
    "openai_style.py",
    "anthropic_style.py",
    "wikimedia_style.py",
    "ollama_style.py",
    "kubernetes_style.py",
    "gemini_style.py",
    "mcp_style.py",
    "json_sequence.py",
    "text_lines.py",
    "raw_bytes.py",
    "own_parsing.py",
    "status_types.py",
    "oauth2_token.py",
    "upload_progress.py",
    "direct_calls.py",
    "generator_endpoint.py",
    "generated_client.py",
    "broken_connection.py",
]


class TimedOutput(io.TextIOBase):
    """Hands each line on, behind the seconds that have passed when it began."""

    def __init__(self, show: Callable[[Text], None]) -> None:
        self._show = show
        self._began = time.monotonic()
        self._line = ""
        self._seconds = 0.0

    def write(self, text: str) -> int:
        for piece in text.splitlines(keepends=True):
            if not self._line:
                self._seconds = time.monotonic() - self._began
            self._line += piece
            if piece.endswith("\n"):
                style = "yellow" if self._line.startswith("--") else ""
                self._show(Text.assemble((f"{self._seconds:5.2f} s  ", "dim"), (self._line.rstrip("\n"), style)))
                self._line = ""
        return len(text)


@contextlib.contextmanager
def running_server() -> Generator[str]:
    """Run the examples' server in a thread, on a free port, and give its address."""
    from server import app

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def code_of(source: str) -> str:
    """What an example does: all that stands below its imports."""
    statements = ast.parse(source).body[1:]  # the docstring is its title
    first = next(each for each in statements if not isinstance(each, ast.Import | ast.ImportFrom))
    line = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", ()))])
    return "\n".join(source.splitlines()[line - 1 :])


def run(example: pathlib.Path, address: str, console: Console) -> list[str]:
    """Run an example, with the server at this address, and show it. Returns the lines that it has printed."""
    source = example.read_text()
    code = code_of(source)
    highlighted = Syntax(code, "python", theme="ansi_dark", background_color="default")
    lines: list[Text] = []
    needs = CODE_WIDTH + 50, code.count("\n") + 4
    is_beside = console.is_terminal and console.width >= needs[0] and console.height >= needs[1]

    def beside() -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=CODE_WIDTH)
        table.add_column()
        table.add_row(highlighted, Text("\n").join(lines))
        return table

    def show(line: Text) -> None:
        lines.append(line)
        if not is_beside:
            console.print(Text("  ") + line, soft_wrap=True)

    if not is_beside:
        console.print(highlighted if console.is_terminal else Text(code), soft_wrap=True)
    shown = Live(get_renderable=beside, console=console, refresh_per_second=20, redirect_stdout=False)
    with shown if is_beside else contextlib.nullcontext(), contextlib.redirect_stdout(TimedOutput(show)):
        exec(compile(source.replace(ADDRESS, address), example, "exec"), {"__name__": "__main__"})
    return [line.plain[LINE_START:] for line in lines]


def main() -> None:
    """Run all examples."""
    console = Console(file=sys.stdout)  # which examples write to is another file
    printed: dict[str, list[str]] = {}
    began = time.monotonic()
    with running_server() as address:
        for name in EXAMPLES:
            example = HERE / name
            title = example.read_text().split('"""')[1]
            console.print()
            if console.is_terminal:
                console.print(Rule(f"[bold]examples/{name}", align="left", style="cyan"))
                console.print(title, style="italic")
            else:
                console.print(Text(f"examples/{name}: {title}"), soft_wrap=True)
            printed[name] = run(example, address, console)
    lines, seconds = sum(map(len, printed.values())), time.monotonic() - began
    ticks = [line for line in printed["broken_connection.py"] if not line.startswith("--")]
    console.print()
    console.print(
        f"{len(printed)} examples printed {lines} lines in {seconds:.1f} s.", style="bold green", highlight=False
    )
    if ticks == [f"tick {number}" for number in range(1, 7)]:
        console.print("The last one's server was killed, and each of its 6 ticks came once.", highlight=False)
    else:
        sys.exit(f"The last one's server was killed, and its ticks were {ticks}, where each of 6 should come once.")
    console.print("Read next: docs/tutorial.md, ten minutes from nothing to a stream that resumes.", highlight=False)


if __name__ == "__main__":
    main()
