"""What Clientele is to reach, held against what was measured.

Nobody adjusts an aim to the figures: one that is missed says so in the report, with the figure.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .contestants import OURS
from .contestants.calls import OVER_AIOHTTP, OVER_HTTPX2
from .figures import MIB, Figure, Figures, per, times
from .workloads import PIECES

ON_HTTPX2 = ("httpx2 EventSource", "httpx-sse", "openai Stream", "sseclient-py")
"""The synchronous peers that ride on httpx2, as Clientele does."""
CPU = per("cpu", 1)


@dataclass(frozen=True)
class Verdict:
    """One aim and what became of it."""

    aim: str
    measured: str
    is_met: bool
    bound: str

    def __str__(self) -> str:
        outcome = "met" if self.is_met else f"**missed: {self.measured}, aim {self.bound}**"
        return f"| {self.aim} | {self.bound} | {self.measured} | {outcome} |"


@dataclass(frozen=True)
class Aim:
    """A ratio that is to be on one side of a bound."""

    workload: str
    name: str
    sign: str
    bound: float
    ratio: Callable[[Figures], float]
    shown: Callable[[float], str] = times

    def verdict(self, figures: Figures) -> Verdict:
        """What became of it."""
        ratio = self.ratio(figures)
        return Verdict(
            self.name, self.shown(ratio), _SIGNS[self.sign](ratio, self.bound), f"{self.sign} {self.bound:g}"
        )


_SIGNS: dict[str, Callable[[float, float], bool]] = {"≤": operator.le, "≥": operator.ge}


def _ratio(workload: str, table: str, above: str, below: str) -> Callable[[Figures], float]:
    def ratio(figures: Figures) -> float:
        return figures.median(workload, table, above, CPU) / figures.median(workload, table, below, CPU)

    return ratio


def _least_over_ours(workload: str, table: str, peers: tuple[str, ...]) -> Callable[[Figures], float]:
    def ratio(figures: Figures) -> float:
        return min(_ratio(workload, table, peer, OURS)(figures) for peer in peers)

    return ratio


def _flat(loop: str) -> Callable[[Figures], float]:
    def ratio(figures: Figures) -> float:
        smallest, largest = min(figures.sizes.large), max(figures.sizes.large)
        medians = [
            figures.median("large", f"{loop}, {kib} KiB", OURS, per("cpu", kib / 1024)) for kib in (largest, smallest)
        ]
        return medians[0] / medians[1]

    return ratio


def _growth(loop: str) -> Callable[[Figures], float]:
    return lambda figures: figures.median("long-stream", loop, OURS, per("growth", MIB))


def _mib(value: float) -> str:
    return f"{value:.2f} MiB"


AIMS = (
    Aim(
        "firehose",
        "firehose, async, model: CPU beside the floor",
        "≤",
        2.6,
        _ratio("firehose", "asyncio, model", OURS, "floor: protocol"),
    ),
    Aim(
        "firehose",
        "firehose, async, model: httpx2's EventSource beside ours",
        "≥",
        2.5,
        _ratio("firehose", "asyncio, model", "httpx2 EventSource", OURS),
    ),
    Aim(
        "firehose",
        "firehose, async, model: openai's AsyncStream beside ours",
        "≥",
        5,
        _ratio("firehose", "asyncio, model", "openai AsyncStream", OURS),
    ),
    Aim(
        "firehose",
        "firehose, sync, model: the best peer on httpx2 beside ours",
        "≥",
        1.2,
        _least_over_ours("firehose", "sync, model", ON_HTTPX2),
    ),
    *(
        Aim("streams", f"200 streams, {loop}: CPU beside {peer}", "≤", bound, _ratio("streams", loop, OURS, peer))
        for loop in ("asyncio", "uvloop")
        for peer, bound in (("bare aiohttp", 1.2), ("openai AsyncStream", 0.4))
    ),
    *(
        Aim(
            "parse",
            f"parsing alone, {table}: httpx-sse's decoder beside ours",
            "≥",
            8,
            _ratio("parse", table, "httpx-sse", OURS),
        )
        for table in PIECES
    ),
    Aim("calls", "complete calls, sync: beside httpx2", "≤", 1.1, _ratio("calls", "sync", OURS, "httpx2")),
    Aim(
        "calls",
        "complete calls, async: beside httpx2 on the same transport",
        "≤",
        1.1,
        _ratio("calls", "asyncio", OURS, OVER_AIOHTTP),
    ),
    Aim(
        "calls",
        "complete calls, async, both on httpx2's transport",
        "≤",
        1.1,
        _ratio("calls", "asyncio", OVER_HTTPX2, "httpx2"),
    ),
    *(
        Aim("large", f"large events, {loop}: time per MiB, the largest beside the smallest", "≤", 1.5, _flat(loop))
        for loop in ("sync", "asyncio")
    ),
    *(
        Aim("long-stream", f"1,000,000 events, {loop}: growth of memory, MiB", "≤", 1, _growth(loop), _mib)
        for loop in ("sync", "asyncio")
    ),
)


def verdicts(figures: Figures) -> Iterator[Verdict]:
    """What became of the aims about what was measured."""
    for aim in AIMS:
        if aim.workload in figures.results:
            yield aim.verdict(figures)
    if "imports" in figures.results:
        yield _imports(figures)


def _imports(figures: Figures) -> Verdict:
    """Whether the import of ours lies within the spread of what it needs anyway."""
    ours, needed = (
        figures.figure("imports", "", name, per("cpu", 1, 1000)) for name in ("clientele.api", "httpx2, pydantic")
    )
    assert isinstance(ours, Figure)
    assert isinstance(needed, Figure)
    low, high = needed.quartiles
    return Verdict(
        "import of clientele.api: within the quartiles of `import httpx2, pydantic`",
        f"{ours.median:.0f} ms",
        ours.median <= high,
        f"{low:.0f}–{high:.0f} ms",
    )
