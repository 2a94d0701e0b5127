"""The report, as Markdown: the aims, a table for each workload, and what it was measured on."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .aims import rows
from .contestants import OURS, everyone, is_peer
from .figures import MIB, Figure, Figures, last_beside_first, per, times
from .figures import Unit as UnitOf
from .frames import MOST_FRAMES, count
from .runner import LONG_RUN, Server
from .system import machine, most_streams
from .workloads import CODINGS, FULL, INTERVAL_MS, SIDES, Sizes

HERE = Path(__file__).parent
INSTALLED_WITH_US = ("clientele", "httpx2", "httpcore2", "pydantic", "pydantic-core", "anyio")


@dataclass(frozen=True)
class Column:
    """A measured value. The ratios of a table are those of its first column."""

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
        beside: The contestant that all are compared with, apart from ours, or the beginning of its name.
    """

    workload: str
    title: str
    text: str
    columns: tuple[Column, ...]
    beside: str = "floor"


def _sections(sizes: Sizes) -> tuple[Section, ...]:
    cpu_per_event = "CPU µs per event"
    return (
        Section(
            "firehose",
            "Firehose",
            f"{sizes.firehose:,} events on one stream, as fast as the client reads. The headings name the loop, and "
            f"what each event becomes. {_peers()} The floors and the bare clients are no peers: they do less.",
            (
                Column(cpu_per_event, per("cpu", sizes.firehose, 1e6)),
                Column("wall µs per event", per("wall", sizes.firehose, 1e6)),
            ),
        ),
        Section(
            "live",
            f"{sizes.streams} live streams",
            f"{sizes.streams} streams, each with an event every {INTERVAL_MS} ms, {sizes.stream_events} events each. "
            "The server sends one event at a time, each to another stream. The CPU time counts from when every stream "
            "has had its first item to the last item of all, so opening the streams is not included. Memory is the "
            "peak, beyond what the process had before; the process is fresh and has read one stream.",
            (
                Column(cpu_per_event, per("cpu", sizes.streams * (sizes.stream_events - 1), 1e6)),
                Column("memory, MiB", per("peak", MIB)),
            ),
            beside="bare aiohttp",
        ),
        Section(
            "idle",
            f"{sizes.idle:,} idle streams",
            "Open streams in one process, each of which has had one event. Memory is what only this process uses "
            "(USS), beyond what it used before. “First” is the CPU time of opening a stream when no other is open, and "
            "“last” when all are: the median of five batches of a hundred, each after a garbage collection, and closed "
            "again. “All” is the mean of opening all streams. httpx2 has a fifth of the streams, because its pool "
            f"looks at every connection for each new one.{_fit(sizes)}",
            (
                Column("KiB per stream", per("memory", 1024)),
                Column("opening: first, µs", per("first", 1, 1e6)),
                Column("last, µs", per("last", 1, 1e6)),
                Column("last beside first", last_beside_first),
                Column("all, µs", per("cpu", 1, 1e6)),
            ),
            beside="bare aiohttp",
        ),
        Section(
            "calls",
            "Complete calls",
            f"{sizes.calls:,} JSON responses of about 130 bytes, one after another on a connection that is kept alive.",
            (
                Column("CPU µs per call", per("cpu", sizes.calls, 1e6)),
                Column("wall µs per call", per("wall", sizes.calls, 1e6)),
            ),
            beside="httpx2",
        ),
        Section(
            "long-stream",
            f"{sizes.long_stream:,} events on one stream",
            "Growth is the memory that the process has at the end, beyond what it had after a twentieth of the stream. "
            "With gzip, the server flushes after every event.",
            (
                Column("growth, MiB", per("growth", MIB)),
                Column("memory early, MiB", per("early", MIB)),
                Column(cpu_per_event, per("cpu", sizes.long_stream, 1e6)),
            ),
            beside="",
        ),
    )


def _peers() -> str:
    """What is compared with what in the aims."""
    sides = (f"{loop}, {', '.join(filter(is_peer, everyone('stream', side)))}" for loop, side in SIDES)
    return f"The peers are the libraries with an interface for Server-Sent Events: {'; '.join(sides)}."


def _fit(sizes: Sizes) -> str:
    if sizes.idle == most_streams() < FULL.idle:
        return f" There should be {FULL.idle:,}, but this machine allows a process no more open files."
    return ""


def render(figures: Figures, *, command: str, commit: str) -> str:
    """The whole report.

    Parameters:
        figures: What was measured.
        command: How.
        commit: Of what.
    """
    notes = (HERE / "NOTES.md").read_text().strip()
    return "\n".join([*_head(command, commit), *_aims(figures), *_tables(figures), *_frames(), notes]) + "\n"


def _head(command: str, commit: str) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, of commit {commit}; edit `NOTES.md` instead."
    yield (
        "Every figure is the median of the rounds, with the lowest and the highest in brackets. A ratio is the median "
        "of the ratios in each round."
    )
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
    yield from rows(figures)
    yield ""


def _tables(figures: Figures) -> Iterator[str]:
    for section in _sections(figures.sizes):
        if section.workload in figures.results:
            yield from (f"## {section.title}", "", section.text, "")
            for table in figures.results[section.workload]:
                yield from _table(figures, section, table)
        if section.workload == "calls" and "large" in figures.results:
            yield from _large(figures)


def _frames() -> Iterator[str]:
    with Server() as server:
        counts = count(server.address)
    yield from (
        "## Frames",
        "",
        "Our own functions that one call passes through, and our objects that it leaves behind.",
        "",
    )
    yield from ("| | frames | at most | objects |", "|---|---|---|---|")
    for case, (frames, objects) in counts.items():
        yield f"| {case} | {frames.total()} | {MOST_FRAMES.get(case, '')} | {objects.total()} |"
    yield ""


def _table(figures: Figures, section: Section, table: str) -> Iterator[str]:
    cells = {
        name: [figures.shown(section.workload, table, name, column.unit) for column in section.columns]
        for name in figures.results[section.workload][table]
    }
    first = {name: row[0] for name, row in cells.items() if isinstance(row[0], Figure)}
    order = sorted(first, key=lambda name: first[name].median)
    found = [name for name in order if name == section.beside] or [n for n in order if n.startswith(section.beside)]
    bases = [base for base in dict.fromkeys([*found[:1], OURS]) if base in first] if section.beside else []
    titles = ["", *(column.title for column in section.columns), *(f"beside {base}" for base in bases)]
    yield from (f"### {table}", "", f"| {' | '.join(titles)} |", "|" + "---|" * len(titles))
    for name in order:
        ratios = [times(first[name].beside(first[base])) for base in bases]
        yield f"| {' | '.join([_name(name), *map(str, cells[name]), *ratios])} |"
    yield ""


def _large(figures: Figures) -> Iterator[str]:
    sizes = figures.sizes.large
    yield from ("## One large event", "")
    yield (
        "One event that arrives in pieces of 1 KiB, each an HTTP chunk of its own. With gzip, the server flushes after "
        "every piece. The figure is CPU ms per MiB, which stays the same if the work is linear. A peer is stopped "
        f"after {figures.sizes.time_limit:g} s, and then does not try a larger event; a run over {LONG_RUN:g} s is not "
        "repeated."
    )
    yield ""
    for loop, coding in ((loop, coding) for loop, _ in SIDES for coding in CODINGS):
        tables = [f"{loop}, {coding}, {kib} KiB" for kib in sizes]
        names = figures.results["large"].get(tables[0], {})
        if not names:
            continue
        titles = ["", *(_size(kib) for kib in sizes), f"{_size(sizes[-1])} beside {_size(sizes[0])}"]
        yield from (f"### {loop}, {coding}", "", f"| {' | '.join(titles)} |", "|" + "---|" * len(titles))
        for name in names:
            cells = [
                figures.shown("large", table, name, per("cpu", kib / 1024, 1000))
                for table, kib in zip(tables, sizes, strict=True)
            ]
            small, large = cells[0], cells[-1]
            is_whole = isinstance(small, Figure) and isinstance(large, Figure)
            growth = times(large.median / small.median) if is_whole else ""  # type: ignore[union-attr]
            yield f"| {_name(name)} | {' | '.join(map(str, cells))} | {growth} |"
        yield ""


def _name(name: str) -> str:
    return f"**{name}**" if name == OURS else name


def _size(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 else f"{kib} KiB"


def _packages() -> list[str]:
    """Clientele, what it needs, and the peers."""
    pinned = [line.partition("==")[0] for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line]
    return [*INSTALLED_WITH_US, *pinned]


def commit_measured() -> str:
    """The commit that is checked out, and whether the code has changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--", "../src") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
