"""The overlay, `clientele.toml`: what a document cannot say, kept in a file that survives regeneration.

    [client]
    base_url = "https://api.example.com"

    [security.ApiKeyAuth]
    argument = "api_key"
    env = "EXAMPLE_API_KEY"

    [operations.createChatCompletion]  # its operationId, or "POST /chat/completions"
    name = "chat"
    stream_name = "stream_chat"
    until = "[DONE]"
    reconnect = true

    [schemas.Foo]
    name = "Bar"

A key that is unknown is an error, and so is an entry for what the document does not have: a typing mistake shows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .document import DocumentError

NAME = "clientele.toml"

_FORMATS = ("sse", "jsonl", "json-seq", "json", "lines", "bytes")
_KEYS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "client": {"base_url": str, "instance": str},
    "security": {"argument": str, "env": str},
    "operations": {
        "name": str,
        "stream_name": str,
        "tag": str,
        "skip": bool,
        "item": str,
        "body": str,
        "answer": str,
        "until": str,
        "include_end": bool,
        "reconnect": bool,
        "retry": bool,
        "stream_format": str,
        "idle_timeout": (int, float),
        "timeout": (int, float),
        "max_event_size": int,
        "on_invalid": str,
    },
    "schemas": {"name": str},
}


@dataclass(slots=True)
class Overlay:
    """What an overlay says.

    Attributes:
        name: The file's name, for messages.
        client: Of the client: `base_url`, and `instance`, a client of your own as `module:name`.
        security: Of security schemes, by their names: the `argument` of `make_client`, and the variable of the
            environment (`env`) that it is read from by default.
        operations: Of operations, by their operationId or as `METHOD /path`.
        schemas: Of schemas, by their names: the `name` of the class.
    """

    name: str = NAME
    client: Mapping[str, Any] = field(default_factory=dict)
    security: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def check_used(self, section: str, known: Collection[str]) -> None:
        """Raise `DocumentError` for an entry that is about nothing in the document."""
        for entry in getattr(self, section):
            if entry not in known:
                hint = _closest(entry, known)
                raise DocumentError(f"{self.name}: [{section}.{entry}] is about nothing in the document{hint}")


def load_overlay(path: Path) -> Overlay:
    """Read an overlay.

    Raises:
        DocumentError: It cannot be read, or has a key that is unknown or of another type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(f"the overlay {str(path)!r} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DocumentError(f"{path.name} is no TOML: {error}") from error
    for section, entries in content.items():
        if section not in _KEYS:
            raise DocumentError(f"{path.name}: there is no [{section}]{_closest(section, _KEYS)}")
        for entry, keys in [("", entries)] if section == "client" else entries.items():
            shown = f"[{section}.{entry}]" if entry else f"[{section}]"
            if not isinstance(keys, dict):
                raise DocumentError(f"{path.name}: {section}.{entry} is no table; write {shown} and the keys below it")
            _check(keys, _KEYS[section], f"{path.name}: {shown}")
    return Overlay(path.name, **content)


def _check(keys: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    for key, value in keys.items():
        if key not in known:
            raise DocumentError(f"{where} has no key {key!r}{_closest(key, known)}")
        if not isinstance(value, known[key]) or (isinstance(value, bool) and known[key] is not bool):
            wanted = known[key].__name__ if isinstance(known[key], type) else "number"
            raise DocumentError(f"{where}: {key} is {value!r}, and not of type {wanted}")
    if keys.get("stream_format", "sse") not in _FORMATS:
        raise DocumentError(f"{where}: stream_format is {keys['stream_format']!r}, and none of {', '.join(_FORMATS)}")
    if keys.get("include_end") and "until" not in keys:
        raise DocumentError(f"{where}: include_end is about the event that until stops at; say until, too")


def _closest(name: str, known: Collection[str]) -> str:
    import difflib

    similar = difflib.get_close_matches(name, known, 1)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    return f"; there is {', '.join(sorted(known)[:20])}" if known else ""
