"""The figures as Markdown: what was aimed at, a table for each workload, and on what all of it was measured."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .aims import verdicts
from .contestants import OURS
from .figures import MIB, Figure, Figures, per, times
from .figures import Unit as UnitOf
from .runner import LONG_RUN
from .system import machine
from .workloads import Sizes

HERE = Path(__file__).parent
RIDES_ON = ("clientele", "httpx2", "httpcore2", "h11", "pydantic", "pydantic-core", "anyio")


@dataclass(frozen=True)
class Column:
    """A measured value; the first of a table is the one that the ratios are of."""

    title: str
    unit: UnitOf


@dataclass(frozen=True)
class Section:
    """A workload in the report.

    Attributes:
        workload: Its name.
        title: The heading.
        text: What was done.
        columns: What is shown of each case.
        beside: What the ratios are to, besides ours: the beginning of a contestant's name.
    """

    workload: str
    title: str
    text: str
    columns: tuple[Column, ...]
    beside: str = "floor"


def _sections(sizes: Sizes) -> tuple[Section, ...]:
    cpu_per = "CPU µs per event"
    events = sizes.streams * sizes.stream_events - 1
    return (
        Section(
            "firehose",
            "Firehose",
            f"{sizes.firehose:,} events on one stream, as fast as they are read. The heading says the loop, and what "
            "each event becomes.",
            (
                Column(cpu_per, per("cpu", sizes.firehose, 1e6)),
                Column("wall µs per event", per("wall", sizes.firehose, 1e6)),
            ),
        ),
        Section(
            "streams",
            f"{sizes.streams} concurrent token streams",
            f"{sizes.streams} streams, each with an event per 30 ms, {sizes.stream_events} events each. CPU from the "
            "first item of all to the last; memory is the most that was added in a fresh process that had read one "
            "stream before.",
            (Column(cpu_per, per("cpu", events, 1e6)), Column("memory, MiB", per("peak", MIB))),
        ),
        Section(
            "latency",
            "Latency",
            f"From the server's write to the item in hand, at an event per millisecond, {sizes.latency} events a "
            "round: the median and the 99th percentile of each round.",
            (Column("p50, µs", per("p50", 1, 1e6)), Column("p99, µs", per("p99", 1, 1e6))),
        ),
        Section(
            "long-stream",
            f"{sizes.long_stream:,} events through one stream",
            "How much memory a process has at the end beyond what it had after a twentieth of the stream.",
            (
                Column("growth, MiB", per("growth", MIB)),
                Column("memory early, MiB", per("early", MIB)),
                Column(cpu_per, per("cpu", sizes.long_stream, 1e6)),
            ),
            beside="",
        ),
        Section(
            "idle",
            f"{sizes.idle:,} idle streams",
            "Open streams in one process, each of which has had one event; memory beyond that of the process before. "
            "Those on httpx2's own transport are fewer: three tenths, since opening one takes the longer the more "
            "there are.",
            (
                Column("KiB per stream", per("memory", 1024)),
                Column("CPU ms to open each", per("cpu", 1, 1000)),
            ),
            beside="bare aiohttp",
        ),
        Section(
            "calls",
            "Complete calls",
            f"{sizes.calls:,} JSON answers of about 130 bytes, one after another on a connection that is kept.",
            (
                Column("CPU µs per call", per("cpu", sizes.calls, 1e6)),
                Column("wall µs per call", per("wall", sizes.calls, 1e6)),
            ),
            beside="httpx2",
        ),
        Section(
            "parse",
            "Parsing alone",
            f"{sizes.parse:,} events from memory, {sizes.parse_repeat} times, without a transport, to their text.",
            (Column(cpu_per, per("cpu", sizes.parse * sizes.parse_repeat, 1e6)),),
        ),
        Section(
            "imports",
            "Import",
            "In a fresh interpreter, from bytecode, everything in the cache of files.",
            (Column("CPU ms", per("cpu", 1, 1000)), Column("wall ms", per("wall", 1, 1000))),
            beside="httpx2, pydantic",
        ),
    )


def render(figures: Figures, *, command: str, commit: str) -> str:
    """The whole report.

    Parameters:
        figures: What was measured.
        command: How.
        commit: Of what.
    """
    notes = (HERE / "NOTES.md").read_text().strip()
    return "\n".join([*_head(command, commit), *_aims(figures), *_tables(figures), notes]) + "\n"


def _head(command: str, commit: str) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, of commit {commit}; edit `NOTES.md` instead."
    yield "Every figure is the median of the rounds, and in brackets the least and the greatest."
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in machine().items():
        yield f"| {name} | {value} |"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _packages())
    yield f"| packages | {versions} |"
    yield ""


def _aims(figures: Figures) -> Iterator[str]:
    yield "## Aims"
    yield ""
    yield "| | aim | measured | |"
    yield "|---|---|---|---|"
    yield from map(str, verdicts(figures))
    yield ""


def _tables(figures: Figures) -> Iterator[str]:
    for section in _sections(figures.sizes):
        if section.workload in figures.results:
            yield from (f"## {section.title}", "", section.text, "")
            for table in figures.results[section.workload]:
                yield from _table(figures, section, table)
        if section.workload == "latency" and "large" in figures.results:
            yield from _large(figures)


def _table(figures: Figures, section: Section, table: str) -> Iterator[str]:
    rows = {
        name: [figures.figure(section.workload, table, name, column.unit) for column in section.columns]
        for name in figures.results[section.workload][table]
    }
    medians = {name: cells[0].median for name, cells in rows.items() if isinstance(cells[0], Figure)}
    ours = "clientele.api" if section.workload == "imports" else OURS
    bases = [base for base in (_beside(section.beside, medians), ours) if base in medians]
    if table:
        yield from (f"### {table}", "")
    titles = ["", *(column.title for column in section.columns)]
    if section.beside:
        titles += [f"beside {base}" for base in bases]
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)
    for name in sorted(rows, key=lambda name: medians.get(name, float("inf"))):
        shown = [str(cell) for cell in rows[name]]
        if section.beside:
            shown += [times(medians[name] / medians[base]) if name in medians else "" for base in bases]
        yield f"| {_name(name, ours)} | {' | '.join(shown)} |"
    yield ""


def _large(figures: Figures) -> Iterator[str]:
    sizes = figures.sizes.large
    yield from ("## One large event", "")
    yield (
        "One event that arrives in pieces of 1 KiB, each an HTTP chunk: CPU ms per MiB, which stays the same if the "
        f"work is linear. A peer's run over {figures.sizes.time_limit:g} s is ended, one over {LONG_RUN:g} s not "
        "repeated; where a smaller event was too much, a larger one is not tried."
    )
    yield ""
    for loop in ("sync", "asyncio"):
        titles = ["", *(_size(kib) for kib in sizes), f"{_size(sizes[-1])} beside {_size(sizes[0])}"]
        yield from (f"### {loop}", "", f"| {' | '.join(titles)} |", "|" + "---|" * len(titles))
        for name in figures.results["large"][f"{loop}, {sizes[0]} KiB"]:
            cells = [figures.figure("large", f"{loop}, {kib} KiB", name, per("cpu", kib / 1024, 1000)) for kib in sizes]
            first, last = cells[0], cells[-1]
            is_whole = isinstance(first, Figure) and isinstance(last, Figure)
            growth = times(last.median / first.median) if is_whole else ""  # type: ignore[union-attr]
            yield f"| {_name(name, OURS)} | {' | '.join(map(str, cells))} | {growth} |"
        yield ""


def _beside(start: str, medians: dict[str, float]) -> str:
    """The contestant that the ratios are to: the cheapest floor, or the one of that very name."""
    found = [name for name in medians if name == start] or [name for name in medians if name.startswith(start)]
    return min(found, key=medians.__getitem__) if start and found else ""


def _name(name: str, ours: str) -> str:
    return f"**{name}**" if name == ours else name


def _size(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 else f"{kib} KiB"


def _packages() -> list[str]:
    """Those that the project rides on, and the peers."""
    pinned = [line.partition("==")[0] for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line]
    return [*RIDES_ON, *pinned]


def commit_measured() -> str:
    """The commit of the project as it stands, and whether its code is not quite that."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--", "../src") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
