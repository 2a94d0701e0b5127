"""`event_map=`: the name of an event says what its data is.

| value for a name | an event of that name |
|---|---|
| a type | becomes an item, its data as this type |
| `None` | is skipped |
| an exception class | is raised, as an exception made of the event |

`"*"` stands for every other name. Without it, those events are skipped, since APIs add event types. Each such name is
logged once, at INFO, since it may be missing by mistake.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..exceptions import HTTPStatusError, UnexpectedContentType, type_name
from ..redaction import excerpt
from ..validation import covers, data_decoder, members_of, refusal_of_one_argument
from .sse import ServerSentEvent, text_event

DecodeEvent: TypeAlias = Callable[[ServerSentEvent[bytes]], Any]

SKIPPED: Any = object()
"""What `decode` returns for an event to skip."""

_EVERY_OTHER = "*"
_MAX_LOGGED_NAMES = 1000  # bounds the memory that unlisted names take
_TAKE_RESPONSES = (HTTPStatusError.__init__, UnexpectedContentType.__init__)

logger = logging.getLogger("clientele")


class EventMap:
    """How the events of each name are handled.

    Parameters:
        entries: Event names, each with a type, an exception class or `None`.
        logged_names: Collects the unlisted names that have been logged. Default: a new set.

    Attributes:
        types: The entries that are types.

    Raises:
        TypeError: `entries` is not such a mapping, or has no type.
    """

    def __init__(self, entries: Mapping[Any, Any], logged_names: set[str] | None = None) -> None:
        if not isinstance(entries, Mapping):
            raise TypeError(f"event_map is {entries!r}; it is a mapping of event names to types")
        for name in entries:
            if not isinstance(name, str):
                raise TypeError(f"event_map has the key {name!r}; the name of an event is a str")
        self._entries = dict(entries)
        self.types = {name: each for name, each in entries.items() if not (each is None or _is_exception(each))}
        if not self.types:
            raise TypeError("event_map has a type for no event; nothing could ever be yielded")
        self._decoders = {name: _decoder(name, each) for name, each in entries.items()}
        self._decode_others = self._decoders.pop(_EVERY_OTHER, self._skip_unlisted)
        self._logged_names = set() if logged_names is None else logged_names

    def check(self, data_type: Any, *, item_type: Any) -> None:
        """Raise `TypeError` unless the map's types match `data_type`, the type of the data in `item_type`."""
        for name, each in self.types.items():
            if not covers(data_type, each):
                lack = f"which {type_name(item_type)} does not have; add it to the union, or correct the map"
                raise TypeError(f"event_map makes {type_name(each)} of the event {name!r}, {lack}")
        made = [part for each in self.types.values() for part in members_of(each)]
        for member in members_of(data_type):
            if member not in made and not any(covers(member, part) for part in made):
                cure = "map a name to it, or take it out of the union"
                raise TypeError(f"event_map makes no event a {type_name(member)}; {cure}")

    def decode(self, event: ServerSentEvent[bytes]) -> Any:
        """Parse the event's data as the type for its name. Returns `SKIPPED`, or raises, where the map says so."""
        return self._decoders.get(event.event, self._decode_others)(event)

    def type_of(self, event: ServerSentEvent[bytes]) -> Any:
        """The type, or exception, for the event's name."""
        return self._entries.get(event.event, self._entries.get(_EVERY_OTHER))

    def _skip_unlisted(self, event: ServerSentEvent[bytes]) -> Any:
        name = excerpt(event.event)
        if name not in self._logged_names and len(self._logged_names) < _MAX_LOGGED_NAMES:
            self._logged_names.add(name)
            logger.info("skipping events named %r: they are not in the event_map, and neither is %r", name, "*")
        return SKIPPED


def _decoder(name: str, entry: Any) -> DecodeEvent:
    if entry is None:
        return lambda event: SKIPPED
    if isinstance(entry, BaseException):
        raise TypeError(f"event_map has an exception at {name!r}; map its class, {type(entry).__name__}")
    if _is_exception(entry):
        return _raiser(name, entry)
    try:
        decode = data_decoder(entry)
    except TypeError as error:
        raise TypeError(f"event_map has {entry!r} at {name!r}: {error}") from None
    return lambda event: decode(event.data)


def _raiser(name: str, exception: type[Exception]) -> DecodeEvent:
    def raise_exception(event: ServerSentEvent[bytes]) -> Any:
        raise exception(text_event(event))

    if issubclass(exception, StopIteration | StopAsyncIteration):
        problem = "would pass for the stream's end"
    elif exception.__init__ in _TAKE_RESPONSES:
        problem = "is made of a response, not of an event"
    elif refusal := refusal_of_one_argument(exception):
        problem = f"cannot be made of an event alone ({refusal}); map a class that takes the event as its one argument"
    else:
        return raise_exception
    raise TypeError(f"event_map raises {exception.__name__} at {name!r}, which {problem}")


def _is_exception(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, Exception)
