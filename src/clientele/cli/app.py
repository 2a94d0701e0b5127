"""The Typer application: which commands there are, in the order in which `--help` lists them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import clientele

from .demo_server import HELP as DEMO_SERVER_HELP
from .demo_server import demo_server
from .exit_codes import EXIT_CODES
from .generate import HELP as GENERATE_HELP
from .generate import generate
from .learn import HELP as LEARN_HELP
from .learn import learn
from .replay import HELP as REPLAY_HELP
from .replay import replay
from .stream import HELP as STREAM_HELP
from .stream import stream

app = typer.Typer(
    name="clientele",
    help="Watch, record and replay the streams of HTTP APIs; generate typed clients of them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # their frames would show the values of variables, secrets among them
)


def _show_version(*, is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"clientele {clientele.__version__}")
        raise typer.Exit


class _Command(TyperCommand):
    """A command whose help ends with the exit codes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        super().format_help(ctx, formatter)
        from rich.console import Console
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for code, words in EXIT_CODES.items():
            table.add_row(Text(str(code.value), "bold cyan", justify="right"), Text(words))
        Console().print(Panel(table, title="Exit codes", title_align="left", border_style="dim"))


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _show_version(is_asked=value), is_eager=True)
    ] = False,
) -> None:
    pass


app.command("stream", help=STREAM_HELP, cls=_Command)(stream)
app.command("replay", help=REPLAY_HELP, cls=_Command)(replay)
app.command("learn", help=LEARN_HELP, cls=_Command)(learn)
app.command("generate", help=GENERATE_HELP)(generate)
app.command("demo-server", help=DEMO_SERVER_HELP)(demo_server)
