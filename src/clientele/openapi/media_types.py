"""Media types: which are JSON, and which of several is used."""

from __future__ import annotations

from collections.abc import Collection

from .document import DocumentError, Place, pointer
from .overlay import Overlay


def is_json(media_type: str) -> bool:
    """Whether a body of this type is JSON."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain.endswith(("/json", "+json")) or plain == "application/*"


def chosen_media_type(media_types: Collection[str], wanted: str | None, place: Place, overlay: Overlay) -> str:
    """The type that is used of those at a place: what the overlay wants, else JSON, forms, others, and text.

    Raises:
        DocumentError: What the overlay wants is none of them.
    """
    if wanted is not None and wanted not in media_types:
        raise DocumentError(f"{overlay.name}: {pointer(place)} has {', '.join(media_types)}, and not {wanted!r}")
    return wanted or min(media_types, key=_preference)


def _preference(media_type: str) -> int:
    plain = media_type.partition(";")[0].strip().lower()
    order = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")
    if plain in order:
        return order.index(plain)
    if is_json(plain):
        return 3
    return 5 if plain.startswith("text/") else 4
