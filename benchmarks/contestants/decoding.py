"""How a contestant that is no more than a reader of events makes items of them: as its user would write it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pydantic_core

from ..payload import Chunk


def _same(text: str) -> str:
    return text


def _decoded(data: bytes) -> str:
    return data.decode()


FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "model": Chunk.model_validate_json,
    "dict": json.loads,
    "str": _same,
    "large": _same,
}
"""For libraries that give an event's data as text."""

FROM_BYTES: dict[str, Callable[[bytes], Any]] = {
    "model": Chunk.__pydantic_validator__.validate_json,
    "dict": pydantic_core.from_json,
    "str": _decoded,
    "large": _decoded,
}
"""For floors, which have it as bytes."""

OPENAI_TYPES: dict[str, Any] = {"model": Chunk, "dict": object, "str": str, "large": str}
"""What openai is told to make of an event. Text it makes of none: there its reader of events is asked."""
