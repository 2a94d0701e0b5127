"""Problem details: what a server says in JSON about an error (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pydantic_core

from .content import json_content, media_type

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """A problem details object.

    Attributes:
        type: A URI that names the kind of the problem; `"about:blank"` where the status says it all.
        title: The kind of the problem in words.
        status: The status that the server gave its answer.
        detail: What happened this time.
        instance: A URI that names this occurrence.
        extensions: All other members.

    Source: RFC 9457, section 3.
    """

    type: str = "about:blank"
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)


_MEMBERS: dict[str, type] = {"type": str, "title": str, "status": int, "detail": str, "instance": str}


def problem_details(response: httpx2.Response) -> ProblemDetails | None:
    """What a response that has been read says about a problem; `None` where it is of another media type, or broken.

    A member that is not of its type is left out, as section 3.1 says.
    """
    if media_type(response) != MEDIA_TYPE:
        return None
    try:
        members = pydantic_core.from_json(json_content(response))
    except ValueError:
        return None
    if not isinstance(members, dict):
        return None
    known = {name: members[name] for name, kind in _MEMBERS.items() if type(members.get(name)) is kind}
    return ProblemDetails(**known, extensions={name: members[name] for name in members.keys() - _MEMBERS})
