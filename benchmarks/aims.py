"""The aims, and whether a run meets them.

Nobody adjusts an aim to the figures. The report names every aim that is missed, with the figure.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .contestants import OURS, is_peer
from .figures import MIB, Figures, NotMeasured, last_beside_first, number, per
from .workloads import CODINGS

CPU = per("cpu", 1)
LOOPS = ("sync", "asyncio")
Measure: TypeAlias = Callable[[Figures], tuple[float, str]]
"""Gives a value, and how the report shows it."""


@dataclass(frozen=True)
class Aim:
    """A value, and the bound that it must keep."""

    workload: str
    name: str
    sign: str
    bound: float
    measure: Measure

    def row(self, figures: Figures) -> str:
        """The row of the report.

        Raises:
            NotMeasured: The run does not have all figures that it needs.
        """
        value, shown = self.measure(figures)
        is_met = _SIGNS[self.sign](value, self.bound)
        return f"| {self.name} | {self.sign} {self.bound:g} | {shown} | {'met' if is_met else '**missed**'} |"


_SIGNS: dict[str, Callable[[float, float], bool]] = {"≤": operator.le, "≥": operator.ge}


def _times(value: float) -> str:
    """A ratio, precise enough to tell it from its bound."""
    return f"{value:.3f} ×"


def _ratio(workload: str, table: str, above: str, below: str) -> Measure:
    def measure(figures: Figures) -> tuple[float, str]:
        of = figures.figure(workload, table, above, CPU)
        value = of.beside(figures.figure(workload, table, below, CPU))
        return value, _times(value)

    return measure


def _cheapest_peer(workload: str, table: str) -> Measure:
    def measure(figures: Figures) -> tuple[float, str]:
        ours = figures.figure(workload, table, OURS, CPU)
        peers = [name for name in figures.results[workload][table] if is_peer(name)]
        ratios = {name: figures.figure(workload, table, name, CPU).beside(ours) for name in peers}
        if not ratios:
            raise NotMeasured
        cheapest = min(ratios, key=ratios.__getitem__)
        return ratios[cheapest], f"{_times(ratios[cheapest])} ({cheapest})"

    return measure


def _large_beside_small(loop: str, coding: str) -> Measure:
    def measure(figures: Figures) -> tuple[float, str]:
        small, large = (
            figures.figure("large", f"{loop}, {coding}, {kib} KiB", OURS, per("cpu", kib / 1024))
            for kib in (min(figures.sizes.large), max(figures.sizes.large))
        )
        value = large.median / small.median  # they do not run in the same rounds
        return value, _times(value)

    return measure


def _growth(loop: str, coding: str) -> Measure:
    def measure(figures: Figures) -> tuple[float, str]:
        value = figures.figure("long-stream", f"{loop}, {coding}", OURS, per("growth", MIB)).median
        return value, f"{value:.2f} MiB"

    return measure


def _idle_memory(figures: Figures) -> tuple[float, str]:
    value = figures.figure("idle", "asyncio", OURS, per("memory", 1024)).median
    return value, f"{number(value)} KiB"


def _opening(loop: str) -> Measure:
    def measure(figures: Figures) -> tuple[float, str]:
        value = figures.figure("idle", loop, OURS, last_beside_first).median
        return value, _times(value)

    return measure


AIMS = (
    *(
        Aim(
            "firehose",
            f"firehose, {loop}, model: CPU beside the floor",
            "≤",
            1.5,
            _ratio("firehose", f"{loop}, model", OURS, floor),
        )
        for loop, floor in (("sync", "floor: socket"), ("asyncio", "floor: protocol"))
    ),
    *(
        Aim(
            "firehose",
            f"firehose, {loop}, model: CPU of the cheapest library with an SSE interface beside ours",
            "≥",
            2,
            _cheapest_peer("firehose", f"{loop}, model"),
        )
        for loop in LOOPS
    ),
    *(
        Aim(
            "live",
            f"live streams, {loop}: CPU beside bare aiohttp",
            "≤",
            1.0,
            _ratio("live", loop, OURS, "bare aiohttp"),
        )
        for loop in ("asyncio", "uvloop")
    ),
    *(
        Aim(
            "live",
            f"live streams, {loop}: CPU of openai's client beside ours",
            "≥",
            2.5,
            _ratio("live", loop, "openai AsyncStream", OURS),
        )
        for loop in ("asyncio", "uvloop")
    ),
    *(
        Aim(
            "idle",
            f"opening a stream, {loop}: CPU with all idle streams open beside none open",
            "≤",
            1.3,
            _opening(loop),
        )
        for loop in LOOPS
    ),
    Aim("idle", "idle streams, asyncio: memory of each, KiB", "≤", 16, _idle_memory),
    *(
        Aim("calls", f"complete calls, {loop}: CPU beside httpx2", "≤", bound, _ratio("calls", loop, OURS, "httpx2"))
        for loop, bound in (("sync", 0.9), ("asyncio", 0.7))
    ),
    *(
        Aim(
            "large",
            f"large events, {loop}, {coding}: CPU per MiB, the largest beside the smallest",
            "≤",
            1.5,
            _large_beside_small(loop, coding),
        )
        for loop in LOOPS
        for coding in CODINGS
    ),
    *(
        Aim("long-stream", f"long stream, {loop}, {coding}: growth of memory, MiB", "≤", 1, _growth(loop, coding))
        for loop in LOOPS
        for coding in CODINGS
    ),
)


def rows(figures: Figures) -> Iterator[str]:
    """The rows of the report, for the aims about what was measured."""
    for aim in AIMS:
        try:
            yield aim.row(figures)
        except NotMeasured:
            continue
