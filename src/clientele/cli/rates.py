"""How fast a stream is: items and bytes per second, the time to the first item, the longest gap. Without a clock."""

from __future__ import annotations

from dataclasses import dataclass

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class Rates:
    """What is measured; all moments are seconds of one clock.

    Attributes:
        began: When the request was sent.
        items: How many items have come.
        size: How many bytes of the body have come, as they were sent.
    """

    began: float
    items: int = 0
    size: int = 0
    first: float | None = None
    last: float | None = None
    longest_gap: float = 0.0

    def item(self, now: float) -> float:
        """Count an item; gives the seconds since the one before it, or since the beginning."""
        gap = now - (self.began if self.last is None else self.last)
        if self.first is None:
            self.first = now
        else:
            self.longest_gap = max(self.longest_gap, gap)
        self.last = now
        self.items += 1
        return gap

    def line(self, now: float) -> str:
        """All of it in a line, as of now. The time since the last item counts as a gap, too."""
        elapsed = max(now - self.began, 1e-6)
        items = "1 item" if self.items == 1 else f"{self.items} items"
        parts = [
            f"{items} in {seconds(elapsed)}",
            f"{_number(self.items / elapsed)} items/s",
            f"{_bytes(self.size / elapsed)}/s ({_bytes(self.size)})",
        ]
        if self.first is None or self.last is None:
            parts.append("no item yet")
        else:
            parts.append(f"first item after {seconds(self.first - self.began)}")
            parts.append(f"longest gap {seconds(max(self.longest_gap, now - self.last))}")
        return ", ".join(parts)


def seconds(value: float) -> str:
    """Seconds for people: `0.015 s`, `1.24 s`, `75.3 s`."""
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _bytes(size: float) -> str:
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{_number(size)} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
