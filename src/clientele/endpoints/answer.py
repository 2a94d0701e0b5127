"""What becomes of a response: a result, the items of a stream, or an exception; by its status first of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2

from ..exceptions import HTTPStatusError, ResponseValidationError, type_name
from ..hydration import covers, without
from ..streaming.event_map import EventMap
from ..streaming.items import ItemPlan, item_plan
from .options import Options
from .response import DecodeResponse, is_json, parsed_response_decoder, response_decoder


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """What becomes of complete responses.

    Attributes:
        decode: How a response becomes the result.
        by_status: The same for responses of a certain status.
        expects_json: Whether a response is expected to hold JSON.
    """

    decode: DecodeResponse
    by_status: Mapping[int, DecodeResponse]
    expects_json: bool

    def result(self, response: httpx2.Response) -> Any:
        """The result of a response whose body has been read.

        Raises:
            HTTPStatusError: Its status is an error; or is no success, and not in the `response_map` that there is.
            ResponseValidationError: It is not of the declared type.
        """
        if response.status_code in self.by_status:
            return self.by_status[response.status_code](response)
        if is_error(response) or (self.by_status and not response.is_success):
            raise HTTPStatusError(response)
        return self.decode(response)


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """What becomes of streams.

    Attributes:
        items: What becomes of their frames.
        by_status: How an error's response is parsed, for a certain status.
    """

    items: ItemPlan
    by_status: Mapping[int, DecodeResponse]

    def error(self, response: httpx2.Response) -> HTTPStatusError:
        """The exception for an error that came in place of a stream, and whose body has been read."""
        decode = self.by_status.get(response.status_code)
        if decode is None:
            return HTTPStatusError(response)
        try:
            return HTTPStatusError(response, parsed=decode(response))
        except ResponseValidationError as mismatch:
            error = HTTPStatusError(response)
            error.__cause__ = mismatch
            return error


Answer: TypeAlias = CompleteAnswer | StreamAnswer


def answer_of(result_type: Any, options: Options, logged_names: set[str] | None = None) -> Answer:
    """Work out what becomes of a response.

    Parameters:
        result_type: The type of the result; of a stream, of its items.
        options: How the endpoint's calls are made.
        logged_names: See `EventMap`.

    Raises:
        TypeError: No result of this type can be made of a response.
    """
    by_status = {int(status): response_decoder(each) for status, each in (options.response_map or {}).items()}
    if options.streaming_response:
        return StreamAnswer(_items(result_type, options, logged_names), by_status)
    for status, each in (options.response_map or {}).items():
        if not covers(result_type, each):
            raise TypeError(
                f"response_map makes {type_name(each)} of status {int(status)}, which {type_name(result_type)} "
                "does not have; add it to the union, or correct the map"
            )
    if options.response_parser is not None:
        decode = parsed_response_decoder(options.response_parser, result_type)
        return CompleteAnswer(decode, by_status, expects_json=False)
    if by_status:
        result_type = without(result_type, httpx2.Response)  # it stands there for the map's sake
    return CompleteAnswer(response_decoder(result_type), by_status, expects_json=is_json(result_type))


def is_error(response: httpx2.Response) -> bool:
    """Whether the status is 400 or above."""
    return response.status_code >= httpx2.codes.BAD_REQUEST


def _items(item_type: Any, options: Options, logged_names: set[str] | None) -> ItemPlan:
    return item_plan(
        item_type,
        stream_format=options.stream_format,
        until=options.until,
        event_map=None if options.event_map is None else EventMap(options.event_map, logged_names),
        response_parser=options.response_parser,
        on_invalid=options.on_invalid,
        max_event_size=options.max_event_size,
    )
