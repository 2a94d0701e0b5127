"""`clientele replay FILE`: show a recording as `clientele stream` shows a stream, or serve it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .exit_codes import ExitCode
from .items import ItemOptions
from .option_groups import with_option_groups
from .serving import HOST, PANEL

if TYPE_CHECKING:
    from ..testing.recording import Exchange

HELP = """Play a recording, in the same output as clientele stream; or serve it to any client, a browser too.

    clientele stream :8000/events --record talk.jsonl

    clientele replay talk.jsonl --speed 2

    clientele replay talk.jsonl --serve 8080
"""


def _speed(text: str) -> float:
    try:
        speed = float(text.lower().removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e6:
        raise typer.BadParameter(f"{text!r} is no number above 0; 2 plays it twice as fast, 0.5 half as fast")
    return speed


@with_option_groups
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What --record has written.", show_default=False)],
    items: ItemOptions,
    *,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            metavar="NUMBER",
            parser=_speed,
            help="How many times as fast as it was recorded. Default: 1.",
            show_default=False,
        ),
    ] = None,
    serve: Annotated[
        int | None,
        typer.Option(
            "--serve",
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve it on this port, 0 for a free one, in place of showing it: the recorded methods and paths get "
            "the recorded answers.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ] = None,
    host: HOST = "127.0.0.1",
) -> None:
    """Show a recording, or serve it."""
    exchanges = recorded_exchanges(file)
    if serve is not None:
        from .recorded_server import RecordedServer
        from .serving import serve as run_server

        server = RecordedServer(exchanges, speed or 1.0)
        run_server(server, host, serve, server.describe)
        raise typer.Exit
    raise typer.Exit(_show(file, exchanges, items, speed or 1.0))


def recorded_exchanges(file: Path) -> list[Exchange]:
    """The exchanges of a recording."""
    from ..testing.replaying import read_recording

    try:
        exchanges = read_recording(file)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not exchanges:
        raise typer.BadParameter(f"{file}: nothing is recorded in it")
    return exchanges


def _show(file: Path, exchanges: list[Exchange], items: ItemOptions, speed: float) -> ExitCode:
    reader = items.reader()

    from ..client import APIClient
    from ..testing.replaying import replay as replayed
    from .events import event_stream_call
    from .messages import Messages
    from .watching import Watch

    client = APIClient()
    watch = Watch(items, reader, Messages("replay"))

    async def show() -> ExitCode:
        code = ExitCode.ENDED
        for exchange in exchanges:
            if watch.is_satisfied:
                break
            call = event_stream_call(
                client,
                exchange.request["method"],
                exchange.request["url"].replace("{", "%7B").replace("}", "%7D"),
                **items.stream_options(),
            )
            code = await watch.show(call, is_left=exchange.end == "left")
        return code

    with replayed(client, file, speed=speed, match=lambda recorded, request: True):
        return watch.run(show)
