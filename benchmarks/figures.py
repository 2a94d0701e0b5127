"""The figures of a run, each the median of its rounds with its spread, and what is read off them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .runner import Measured, Tables
from .workloads import Sizes

Unit: TypeAlias = Callable[[Measured], float]
MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """The rounds of one case, in one unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """What half of the rounds lie between."""
        if len(self.values) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

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

    def figure(self, workload: str, table: str, contestant: str, unit: Unit) -> Figure | str:
        """The figure of one case, or why there is none."""
        measured = self.results[workload][table][contestant]
        if isinstance(measured, str):
            return measured
        return Figure(tuple(unit(each) for each in measured))

    def median(self, workload: str, table: str, contestant: str, unit: Unit) -> float:
        """The median of a case that has figures."""
        found = self.figure(workload, table, contestant, unit)
        assert isinstance(found, Figure), f"{workload}, {table}, {contestant}: {found}"
        return found.median


def number(value: float) -> str:
    """A number as a person would write it: three significant digits, no more than two behind the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def times(value: float) -> str:
    """A ratio."""
    return f"{number(value)} ×"


def per(key: str, divisor: float, factor: float = 1) -> Unit:
    """A unit: one of the measured values, times a factor, for each of so many."""
    return lambda measured: measured[key] * factor / divisor
