"""What is shown of an event: which events, which part of their data, and whether that is what it should be.

Without I/O. `ItemOptions.reader` makes of each event the items that are shown for it: none, one, or with `--select` one
for each match.
"""

from __future__ import annotations

import base64
import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exceptions import StreamDecodeError
from ..streaming.sse import ServerSentEvent, text_event
from . import json_text

if TYPE_CHECKING:
    import httpx2

    from ..streaming.formats import FormatName

PANEL = "Items"
_FORMATS = ("sse", "jsonl", "json-seq", "json", "lines", "bytes")
_OF_JSON = ("jsonl", "json-seq", "json")


@dataclass(frozen=True, slots=True)
class Item:
    """One item as it is shown.

    Attributes:
        text: The data as text: of JSON its text, of bytes what is readable of them.
        is_json: Whether the text is JSON.
        raw: The data in bytes, as `--raw` writes it.
        event: The event's name, `None` in formats that have none.
        id: The last event id as of this item, `""` if there is none.
        retry: The reconnection time that came with the event, in milliseconds.
    """

    text: str
    is_json: bool
    raw: bytes
    event: str | None = None
    id: str = ""
    retry: int | None = None

    def line(self) -> str:
        """The item as a JSON object in one line."""
        data = json_text.single_line(self.text) if self.is_json else json_text.escaped(json_text.write(self.text))
        members = {"event": self.event, "id": self.id or None, "retry": self.retry}
        others = ", ".join(f'"{name}": {json_text.escaped(json_text.write(value))}' for name, value in members.items())
        return f'{{"data": {data}, {others}}}'


class Misfit(Exception):
    """An event is not what it should be; the message says in what."""


def _format(text: str) -> str:
    if text not in _FORMATS:
        raise typer.BadParameter(f"{text!r} is no format; there are {', '.join(_FORMATS)}")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise typer.BadParameter(f"{text!r} is no whole number above 0")
    return int(text)


def _option(*names: str, help: str, **settings: Any) -> Any:  # noqa: A002
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, **settings)


FORMAT = Annotated[
    str | None,
    _option(
        "--format",
        metavar="FORMAT",
        parser=_format,
        help=f"How to read the body: {', '.join(_FORMATS)}. Default: the content type says it.",
    ),
]


@dataclass(frozen=True, slots=True)
class ItemOptions:
    """The options that say how a stream is read, and what is shown of it."""

    stream_format: FORMAT = None
    event: Annotated[
        list[str] | None, _option("--event", metavar="NAME", help="Show events of this name alone; repeatable.")
    ] = None
    select: Annotated[
        str | None,
        _option(
            "--select",
            metavar="PATH",
            help="Show this part of the data, a JSONPath (RFC 9535): '$.choices[*].delta.content'. Each match is an "
            "item.",
        ),
    ] = None
    type: Annotated[
        str | None,
        _option(
            "--type",
            metavar="MODULE:NAME",
            help="Validate the data as this type, a Pydantic model for example. What does not fit is told on stderr, "
            "and the stream goes on.",
        ),
    ] = None
    until: Annotated[
        str | None,
        _option("--until", metavar="DATA", help="End at the event with this data. A stream that ends before was cut."),
    ] = None
    limit: Annotated[int | None, _option("--limit", metavar="N", parser=_count, help="End after so many items.")] = None
    max_event_size: Annotated[
        int | None,
        _option(
            "--max-event-size", metavar="BYTES", parser=_count, help="The largest event that is taken. Default: 16 MiB."
        ),
    ] = None
    raw: Annotated[bool, _option("--raw", help="Show the bare data.")] = False
    rate: Annotated[
        bool, _option("--rate", help="Measure: items and bytes per second, time to the first item, longest gap.")
    ] = False

    def __post_init__(self) -> None:
        if self.stream_format == "bytes":
            needing_events = {
                "--event": self.event,
                "--select": self.select,
                "--type": self.type,
                "--until": self.until,
            }
            given = [name for name, value in needing_events.items() if value]
            if given:
                raise typer.BadParameter(f"--format bytes has no events, so {given[0]} has nothing to look at")
        if self.event and self.stream_format not in (None, "sse"):
            raise typer.BadParameter(f"--format {self.stream_format} has no names of events; leave --event out")

    def stream_options(self) -> dict[str, Any]:
        """The options that calls of `events.event_stream_call` take of it."""
        options: dict[str, Any] = {"until": self.until, "max_event_size": self.max_event_size}
        return {
            "stream_format": self.stream_format,
            "needs_names": bool(self.event),
            **{name: value for name, value in options.items() if value is not None},
        }

    def reader(self) -> ItemReader:
        """What reads items so. Raises `typer.BadParameter`: the path is none, or the type cannot be loaded."""
        return ItemReader(
            set(self.event or ()),
            None if self.select is None else _selector(self.select),
            None if self.type is None else load_type(self.type),
        )


class ItemReader:
    """Makes items of events.

    Parameters:
        names: The names of the events that are shown; all if there are none.
        select: Gives the selected parts of a value; `None` for all of it.
        type_: What each event's data must be; `None` for anything.
    """

    def __init__(self, names: set[str], select: Callable[[Any], Iterable[Any]] | None, type_: Any) -> None:
        self._names = names
        self._select = select
        self._type = type_
        self._decode = None if type_ is None else _decoder(type_)

    def read(
        self, event: ServerSentEvent[bytes], stream_format: FormatName, number: int, response: httpx2.Response
    ) -> list[Item]:
        """The items of an event, the one of this number. Raises `Misfit`: it is not what it should be."""
        if self._names and event.event not in self._names:
            return []
        if stream_format == "bytes":
            return [_bytes_item(event.data)]
        if self._decode is not None:
            import pydantic

            try:
                self._decode(event.data)
            except pydantic.ValidationError as error:
                if stream_format == "sse" and not event.data.strip():  # as servers send it to set `id` and `retry`
                    return []
                raise _misfit(event, number, self._type, error, response) from error
        text = event.data.decode("utf-8", "replace")
        try:
            value, is_json = json_text.parse(text), True
        except ValueError as error:
            value, is_json = text, False
            if stream_format in _OF_JSON:
                from ..validation import validation_error

                raise _misfit(event, number, "JSON", validation_error(error, text), response) from error
        name = event.event if stream_format == "sse" else None
        if self._select is None:
            return [Item(text, is_json, event.data, name, event.id, event.retry)]
        try:
            found = self._select(value) if is_json else ()
        except ValueError as error:
            raise Misfit(f"event {number} of the stream cannot be searched: {error}") from error
        return [_selected(match, event=name, id=event.id, retry=event.retry) for match in found]


def load_type(text: str) -> Any:
    """What `module:Name` names; the current directory is importable. Raises `typer.BadParameter`."""
    module_name, _, names = text.partition(":")
    if not module_name or not names:
        raise typer.BadParameter(f"--type {text!r} is no MODULE:NAME; write --type my_app.models:Event")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        problem = f"{module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise typer.BadParameter(f"--type: {problem}") from error
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise typer.BadParameter(f"--type: {module_name!r} has no {names!r}") from None
    try:
        _decoder(found)
    except Exception as error:  # what Pydantic and the modules of others raise has no common root
        raise typer.BadParameter(f"--type: {text} is no type that data can be validated as: {error}") from error
    return found


def _decoder(type_: Any) -> Callable[[bytes], Any]:
    from ..validation import data_decoder

    return data_decoder(type_)


def _selector(path: str) -> Callable[[Any], Iterable[Any]]:
    import jsonpath

    try:
        compiled = jsonpath.JSONPathEnvironment(strict=True).compile(path)
    except (jsonpath.JSONPathError, ValueError) as error:
        cure = "it begins with $, as in '$.choices[*].delta.content'"
        raise typer.BadParameter(f"--select {path!r} is no JSONPath: {str(error).splitlines()[0]}; {cure}") from None

    def select(value: Any) -> Iterable[Any]:
        try:
            # It takes text for JSON.
            return compiled.findall(json_text.write(value) if isinstance(value, str) else value)
        except (jsonpath.JSONPathError, RecursionError) as error:
            raise ValueError(str(error).partition("\n")[0]) from None

    return select


def _selected(value: Any, **others: Any) -> Item:
    text = json_text.write(value)
    return Item(text, True, (value if isinstance(value, str) else text).encode("utf-8", "replace"), **others)


def _bytes_item(data: bytes) -> Item:
    return Item(json_text.write({"base64": base64.b64encode(data).decode()}), True, data)


def _misfit(event: ServerSentEvent[bytes], number: int, expected: Any, error: Any, response: httpx2.Response) -> Misfit:
    told = StreamDecodeError(
        event=text_event(event), event_number=number, expected=expected, validation_error=error, response=response
    )
    return Misfit(told.message)
