"""How to turn events into items where a library only reads events: as its user would write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..payload import Chunk


def _same(text: str) -> str:
    return text


def _decoded(data: bytes) -> str:
    return data.decode()


FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "model": Chunk.model_validate_json,
    "str": _same,
    "large": _same,
}
"""For libraries that give an event's data as text."""

FROM_BYTES: dict[str, Callable[[bytes], Any]] = {
    "model": Chunk.__pydantic_validator__.validate_json,
    "str": _decoded,
    "large": _decoded,
}
"""For floors and bare clients, which have an event's data as bytes."""

OPENAI_TYPES: dict[str, Any] = {"model": Chunk, "str": str, "large": str}
"""The types that openai gets. It has none for plain text, so there its reader of events is used directly."""
