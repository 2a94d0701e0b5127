"""The figures of a run: the median of the rounds, their spread, and ratios between contestants."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .runner import Measured, Tables
from .workloads import Sizes

Unit: TypeAlias = Callable[[Measured], float]
MIB = 1 << 20


class NotMeasured(Exception):
    """The run has no such figure."""


@dataclass(frozen=True)
class Figure:
    """The rounds of one case, in one unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    def beside(self, other: Figure) -> float:
        """The ratio of this figure to another one.

        The machine's speed changes while the rounds go on, and what is compared runs close together. So the ratio is
        taken in each round, and the median of the ratios counts. Where one has fewer rounds than the other, it is the
        ratio of the medians; not a number, where the other figure is too small to be measured, as in a smoke run.
        """
        if not all(other.values):
            return math.nan
        if len(self.values) == len(other.values):
            return statistics.median(mine / its for mine, its in zip(self.values, other.values, strict=True))
        return self.median / other.median

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{number(self.median)} (one run)"
        return f"{number(self.median)} ({number(min(self.values))}–{number(max(self.values))})"


class Figures:
    """The figures of a whole run.

    Parameters:
        results: What was measured, by workload.
        sizes: How much of everything it was.
    """

    def __init__(self, results: dict[str, Tables], sizes: Sizes) -> None:
        self.results = results
        self.sizes = sizes

    def shown(self, workload: str, table: str, contestant: str, unit: Unit) -> Figure | str:
        """The figure of a case, or why it has none."""
        measured = self.results[workload][table][contestant]
        if isinstance(measured, str):
            return measured
        return Figure(tuple(unit(each) for each in measured))

    def figure(self, workload: str, table: str, contestant: str, unit: Unit) -> Figure:
        """The figure of a case.

        Raises:
            NotMeasured: It has none.
        """
        if contestant not in self.results.get(workload, {}).get(table, {}):
            raise NotMeasured
        found = self.shown(workload, table, contestant, unit)
        if isinstance(found, str):
            raise NotMeasured(found)
        return found


def number(value: float) -> str:
    """A number as a person would write it: three significant digits, at most two after the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def times(value: float) -> str:
    """A ratio."""
    return f"{number(value)} ×"


def per(key: str, divisor: float, factor: float = 1) -> Unit:
    """A unit: one of the measured values, times a factor, divided by a number."""
    return lambda measured: measured[key] * factor / divisor


def last_beside_first(measured: Measured) -> float:
    """A unit: the last openings beside the first."""
    return measured["last"] / measured["first"]
