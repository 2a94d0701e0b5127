"""The Typer application: which commands there are, in the order in which `--help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

import clientele

app = typer.Typer(
    name="clientele",
    help="Watch, record and replay the streams of HTTP APIs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # their frames would show the values of variables, secrets among them
)


def _show_version(*, is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"clientele {clientele.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _show_version(is_asked=value), is_eager=True)
    ] = False,
) -> None:
    pass
