"""From bytes to items, without I/O: what the `T` in `Iterator[T]` makes of a stream.

| `T` | item |
|---|---|
| `str` | the event's data as text, nothing parsed |
| `ServerSentEvent[T]` | the whole event, its data as `T` |
| anything else Pydantic takes | the event's data, parsed as JSON and validated |
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import httpx2
import pydantic

from ..exceptions import EventTooLarge, StreamDecodeError, StreamInterrupted, type_name
from ..hydration import Decode, base_type, class_of, json_decoder, text_decoder
from .sse import EventStreamParser, OversizedEvent, ServerSentEvent

T = TypeVar("T")
DecodeItem: TypeAlias = Callable[[ServerSentEvent[bytes]], Any]


class ItemReader(Iterator[T], Generic[T]):
    """The items of one response, as far as its bytes have arrived.

    Iterating it yields the items that are complete, and stops where more bytes are needed.

    Parameters:
        response: The response that the bytes belong to.
        item_type: The type of the items.
        decode: How an event becomes an item; made by `item_decoder`.
        max_event_size: The largest event taken, in bytes.

    Attributes:
        items_received: How many items have been yielded.
    """

    def __init__(self, response: httpx2.Response, *, item_type: Any, decode: DecodeItem, max_event_size: int) -> None:
        self.items_received = 0
        self._response = response
        self._item_type = item_type
        self._decode = decode
        self._max_event_size = max_event_size
        self._parser = EventStreamParser(max_event_size)
        self._events: Iterator[ServerSentEvent[bytes]] = iter(())

    @property
    def last_event_id(self) -> str:
        """The id of the last event that was read, `""` before the first that has one."""
        return self._parser.last_event_id

    def receive(self, data: bytes) -> None:
        """Take the next bytes, once the items in those before have been read."""
        self._events = self._parser.receive(data)

    def __next__(self) -> T:
        try:
            event = next(self._events)
        except OversizedEvent:
            raise EventTooLarge(
                max_event_size=self._max_event_size,
                response=self._response,
                items_received=self.items_received,
                last_event_id=self.last_event_id,
            ) from None
        try:
            item: T = self._decode(event)
        except pydantic.ValidationError as error:
            raise StreamDecodeError(
                event=_text_event(event),
                expected=self._item_type,
                validation_error=error,
                response=self._response,
                items_received=self.items_received,
                last_event_id=self.last_event_id,
            ) from error
        except (StopIteration, StopAsyncIteration) as error:  # a validator's; it would pass for the end of the events
            raise RuntimeError(f"a validator of {type_name(self._item_type)} raised {error!r}") from error
        self.items_received += 1
        return item

    def interrupted(self, reason: str) -> StreamInterrupted:
        """The exception for a stream that was cut short here."""
        items = "1 item" if self.items_received == 1 else f"{self.items_received} items"
        return StreamInterrupted(
            f"the stream was cut short after {items}: {reason}",
            request=self._response.request,
            response=self._response,
            items_received=self.items_received,
            last_event_id=self.last_event_id,
        )


def item_decoder(item_type: Any) -> DecodeItem:
    """How an event becomes an item of this type.

    Parameters:
        item_type: The `T` of the endpoint's `result`.

    Returns:
        A function from an event to an item; it raises `pydantic.ValidationError` where the event does not fit.

    Raises:
        TypeError: No item of this type can be made of an event.
    """
    if class_of(item_type) is ServerSentEvent:
        (data_type,) = typing.get_args(base_type(item_type)) or (str,)
        return _event_decoder(_data_decoder(data_type))
    decode = _data_decoder(item_type)
    return lambda event: decode(event.data)


def _text_event(event: ServerSentEvent[bytes]) -> ServerSentEvent[str]:
    return ServerSentEvent(event.data.decode("utf-8", "replace"), event.event, event.id, event.retry)


def _event_decoder(decode: Decode) -> DecodeItem:
    return lambda event: ServerSentEvent(decode(event.data), event.event, event.id, event.retry)


def _data_decoder(data_type: Any) -> Decode:
    base = base_type(data_type)
    if base is bytes:
        raise TypeError("the data of an event is text or JSON; declare str, or the type of the JSON")
    if base is not str:
        return json_decoder(data_type)
    from_text = text_decoder(data_type)
    return lambda data: from_text(data.decode("utf-8", "replace"))
