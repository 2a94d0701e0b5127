# Made by `clientele generate` from examples.server:app (FastAPI 0.1.0).
# Changes to this file are lost; put yours into a file of another name.

"""The models of the API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Event(BaseModel):
    text: str
    field: int


class Token(BaseModel):
    text: str
    id: int


class ValidationError(BaseModel):
    loc: list[str | int]
    msg: str
    type: str
    input: Any | None = None
    ctx: dict[str, Any] | None = None


class HTTPValidationError(BaseModel):
    detail: list[ValidationError] | None = None
