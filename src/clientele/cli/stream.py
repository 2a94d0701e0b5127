"""`clientele stream URL`: show a stream as it comes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .items import ItemOptions
from .option_groups import with_option_groups
from .request_options import URL, RequestOptions, duration

if TYPE_CHECKING:
    from ..streaming.reconnect import ReconnectAttempt

PANEL = "Connection"

HELP = """Show a stream as it comes: Server-Sent Events, JSON Lines, JSON text sequences, JSON, lines of text, bytes.

On a terminal it is coloured and pretty-printed, with each event's name, id, and the time since the last one. On a pipe
it is one JSON object per line, with the members data, event, id and retry; or the bare data (--raw).

    clientele stream localhost:8000/events

    clientele stream https://api.example.com/chat -d @question.json --bearer-env TOKEN --until '[DONE]'
"""


@with_option_groups
def stream(
    url: URL,
    request: RequestOptions,
    items: ItemOptions,
    *,
    for_: Annotated[
        float | None,
        typer.Option("--for", metavar="TIME", parser=duration, help="End after this time.", show_default=False),
    ] = None,
    reconnect: Annotated[
        bool,
        typer.Option(
            "--reconnect",
            help="Reconnect when the connection ends, with the last event id. The stream ends with --until, or status "
            "204.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    cursor: Annotated[
        Path | None,
        typer.Option(
            "--cursor",
            metavar="FILE",
            help="Keep the last event id in this file, and go on there the next time.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Write down what is said, for clientele replay and clientele.testing. Secrets are left out.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show a stream as it comes."""
    reader = items.reader()
    kept = _cursor(cursor, request.headers)
    settings, arguments = request.prepared(kept.event_id if kept else "")

    import httpx2

    from ..client import APIClient
    from ..streaming.reconnect import Reconnect
    from .events import event_stream_call
    from .messages import Messages, Secrets
    from .watching import Watch

    secrets = Secrets(request.token)
    messages = Messages("stream", secrets)

    def tell(attempt: ReconnectAttempt) -> None:
        event = f" from event {attempt.last_event_id!r} on" if attempt.last_event_id else ""
        messages.tell(f"{attempt.cause}; reconnecting in {attempt.delay:.3g} s (attempt {attempt.number}){event}")

    if reconnect:
        arguments["reconnect"] = Reconnect(on_reconnect=tell)
    try:
        client = APIClient(**settings)
        call = event_stream_call(client, request.method_or_default, url, **items.stream_options(), **arguments)
    except (TypeError, ValueError, httpx2.InvalidURL) as error:
        raise typer.BadParameter(str(error)) from None

    watch = Watch(items, reader, messages, for_, kept, secrets if request.token else None)
    with _recording(client, record, secrets):
        code = watch.run(lambda: watch.show(call))
    raise typer.Exit(code)


def _cursor(path: Path | None, headers: list[tuple[str, str]]) -> Any:
    """The cursor in this file."""
    if path is None:
        return None
    from .cursor import Cursor

    if any(name.lower() == "last-event-id" for name, _ in headers):
        raise typer.BadParameter("--cursor and -H 'Last-Event-ID: …' both say where to go on; leave one out")
    try:
        return Cursor(path)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--cursor {path}: {getattr(error, 'strerror', None) or error}") from None


def _recording(client: Any, path: Path | None, secrets: Any) -> contextlib.AbstractContextManager[Any]:
    """What records the client's calls in this file."""
    if path is None:
        return contextlib.nullcontext()
    from ..testing.recording import record

    try:
        path.open("a").close()
    except OSError as error:
        raise typer.BadParameter(f"--record {path}: {error.strerror}") from None
    return record(client, path, secrets=secrets.spellings)
