"""`clientele learn URL`: watch a stream for a while, and print a declaration to paste.

The watching is that of `clientele stream`; what is made of the events is made in `openapi/learned.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .exit_codes import ExitCode
from .items import FORMAT, ItemOptions
from .option_groups import with_option_groups
from .request_options import RequestOptions, duration, whole_url

if TYPE_CHECKING:
    from ..openapi.learned import Seen
    from .messages import Messages

HELP = """Watch a stream for a while, and print a declaration of it to paste: models, and an endpoint.

Event names, discriminators and optional fields are told from what is seen, and so is what ends the stream. Ctrl-C ends
the watching, and prints what has been learned.

    clientele learn localhost:8000/events

    clientele learn talk.jsonl --sync

A recording of clientele stream --record is read in place of a URL.
"""

_SECONDS = 30.0
_PACKAGES = ("datamodel_code_generator", "yaml")  # the modules of the extra


@with_option_groups
def learn(
    source: Annotated[str, typer.Argument(metavar="URL|FILE", help="A URL, or a recording.", show_default=False)],
    request: RequestOptions,
    *,
    for_: Annotated[
        float | None, typer.Option("--for", metavar="TIME", parser=duration, help="How long to watch. Default: 30s.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many events to look at.")] = 1000,
    stream_format: FORMAT = None,
    synchronous: Annotated[bool, typer.Option("--sync", help="Print a plain function, not an async one.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write into a file.", show_default=False)
    ] = None,
) -> None:
    """Watch, and print."""
    from .messages import Messages, Secrets

    messages = Messages("learn", Secrets(request.token))
    try:
        from ..openapi.learned import declaration
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        messages.tell(f'this needs {error.name}, which is not installed: pip install "clientele[generate]"')
        raise typer.Exit(ExitCode.USAGE) from None
    items = ItemOptions(stream_format=stream_format, limit=limit)
    if Path(source).is_file():
        seen, code = _recorded(Path(source), items, messages)
    elif source.endswith(".jsonl") and "://" not in source:
        raise typer.BadParameter(f"{source}: there is no such recording")
    else:
        seen, code = _watched(whole_url(source), request, items, for_ or _SECONDS, messages)
    if seen is None or not seen.events:
        if code is ExitCode.ENDED:
            messages.tell("no event came, so nothing was learned; --for watches longer")
            code = ExitCode.FAILED
        raise typer.Exit(code)
    count = len(seen.events)
    messages.tell(f"learned from {count} event{'s' * (count != 1)}{'' if seen.has_ended else '; the stream goes on'}")
    text = declaration(seen, is_async=not synchronous)
    try:
        if output is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            output.write_text(text, encoding="utf-8")
    except OSError as error:
        messages.tell(f"{output or 'the output'} cannot be written: {error.strerror}")
        raise typer.Exit(ExitCode.FAILED) from None


def _watched(
    url: str, request: RequestOptions, items: ItemOptions, seconds: float, messages: Messages
) -> tuple[Seen | None, ExitCode]:
    """What was seen of the stream at this URL, and how the watching ended."""
    settings, arguments = request.prepared()

    import httpx2

    from ..client import APIClient
    from .events import event_stream_call
    from .watching import Watch

    try:
        client = APIClient(**settings)
        call = event_stream_call(client, request.method_or_default, url, **items.stream_options(), **arguments)
    except (TypeError, ValueError, httpx2.InvalidURL) as error:
        raise typer.BadParameter(str(error)) from None
    watch = Watch(items, items.reader(), messages, seconds)
    found: list[Seen] = []
    code = watch.run(lambda: _look(call, items, found, messages))
    if found:
        found[0].headers = dict(request.headers)
        found[0].token_variable = request.bearer_env
        found[0].body = _json_body(arguments.get("data"))
        if code in (ExitCode.INTERRUPTED, ExitCode.CUT):
            code = ExitCode.ENDED
    return (found[0] if found else None), code


def _json_body(content: Any) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


async def _look(call: Any, items: ItemOptions, found: list[Seen], messages: Messages) -> ExitCode:
    """Read a stream into what was seen of it."""
    from ..content import media_type
    from ..exceptions import APIException, StreamInterrupted
    from ..openapi.learned import Seen, SeenEvent
    from ..streaming.formats import FORMATS, format_of
    from .events import Unreadable, format_name

    try:
        stream, _ = await call.aperform()
    except APIException as error:
        messages.tell(str(error))
        return ExitCode.REFUSED
    response = stream.response
    name = format_name(response, items.stream_format)  # type: ignore[arg-type]
    content_type = response.headers.get("Content-Type", "")
    says_format = format_of(content_type) is FORMATS[name] or (
        name == "json" and media_type(content_type).endswith("json")
    )
    request = response.request
    seen = Seen(request.method, str(request.url), name, says_format)
    found.append(seen)
    try:
        async for event in stream:
            if isinstance(event, Unreadable):
                messages.tell(event.error.message)
            else:
                seen.events.append(SeenEvent(event.data.decode("utf-8", "replace"), event.event, event.id))
            if len(seen.events) == items.limit:
                return ExitCode.ENDED
        seen.has_ended = True
    except StreamInterrupted as error:
        messages.tell(str(error))
        return ExitCode.CUT
    finally:
        await stream.aclose()
    return ExitCode.ENDED


def _recorded(file: Path, items: ItemOptions, messages: Messages) -> tuple[Seen | None, ExitCode]:
    """What a recording holds of a stream: of all its exchanges with the first one's URL."""
    import asyncio

    from ..client import APIClient
    from ..testing.replaying import replay
    from .events import event_stream_call
    from .replay import recorded_exchanges

    exchanges = recorded_exchanges(file)
    client = APIClient()
    found: list[Seen] = []

    async def look() -> ExitCode:
        code = ExitCode.ENDED
        for exchange in exchanges:
            url = exchange.request["url"].replace("{", "%7B").replace("}", "%7D")
            call = event_stream_call(client, exchange.request["method"], url, **items.stream_options())
            code = await _look(call, items, found, messages)
        return code

    with replay(client, file, speed=0, match=lambda recorded, request: True):
        code = asyncio.run(look())
    first = found[0] if found else None
    for each in found[1:]:
        if first is not None and (each.method, each.url) == (first.method, first.url):
            first.events += each.events
            first.has_ended = each.has_ended
    return first, ExitCode.ENDED if code is ExitCode.CUT else code
