"""Draws the plots of `benchmarks/RESULTS.md`: `python docs/plots.py` writes them to `docs/pictures`.

The bars carry their figures as text, so that a test can hold the plots against the results. The colours are those of
the page that shows a plot, light or dark.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "RESULTS.md"
PICTURES = HERE / "pictures"

_OURS, _OTHERS, _TEXT = "#3f51b5", "#9fa8b5", "#7a7f87"


@dataclass(frozen=True)
class Plot:
    """One plot: a column of a table of the results.

    Attributes:
        name: The name of its file.
        title: What stands above it.
        section: The heading of the section that has the table.
        table: The heading of the table.
        column: The number of the column, from 1.
    """

    name: str
    title: str
    section: str
    table: str
    column: int = 1


PLOTS = (
    Plot("firehose-sync", "CPU time of an event, µs: a fast stream, synchronous", "Firehose", "sync, model"),
    Plot("firehose-asyncio", "CPU time of an event, µs: a fast stream, asyncio", "Firehose", "asyncio, model"),
    Plot("live-asyncio", "CPU time of an event, µs: 200 live streams, asyncio", "200 live streams", "asyncio"),
    Plot("idle-asyncio", "Memory of an idle stream, KiB: 10,000 streams, asyncio", "10,000 idle streams", "asyncio"),
    Plot("calls-sync", "CPU time of a complete call, µs: synchronous", "Complete calls", "sync"),
    Plot("calls-asyncio", "CPU time of a complete call, µs: asyncio", "Complete calls", "asyncio"),
)


def bars(plot: Plot, results: str) -> dict[str, str]:
    """The bars of a plot: who, and the median as the results write it."""
    section = re.split(r"^## ", results, flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(plot.section))
    table = next(part for part in text.split("\n### ") if part.startswith(f"{plot.table}\n"))
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {row[0].strip("* "): row[plot.column].split()[0] for row in rows[1:] if row[0].strip()}


def draw(plot: Plot, results: str) -> None:
    """Write a plot as SVG, the same for the same results."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    shown = bars(plot, results)
    values = [float(value) for value in shown.values()]
    settings = {"svg.fonttype": "none", "svg.hashsalt": plot.name, "font.family": "sans-serif", "font.size": 11}
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(figsize=(7, 0.8 + 0.34 * len(shown)), layout="constrained")
        colors = [_OURS if name == "clientele" else _OTHERS for name in shown]
        drawn = axes.barh([*shown], values, color=colors, height=0.7)
        axes.bar_label(drawn, labels=[*shown.values()], padding=4, color=_TEXT)
        axes.set_title(plot.title, loc="left", fontsize=11, color=_TEXT)
        axes.set_xlim(0, max(values) * 1.1)
        axes.invert_yaxis()
        axes.xaxis.set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=_TEXT)
        axes.spines[:].set_visible(False)
        PICTURES.mkdir(exist_ok=True)
        figure.savefig(PICTURES / f"{plot.name}.svg", transparent=True, metadata={"Date": None})
        plt.close(figure)


def main() -> None:
    """Draw all plots, or those that are named."""
    results = RESULTS.read_text()
    for plot in PLOTS:
        if plot.name in (sys.argv[1:] or [plot.name]):
            draw(plot, results)


if __name__ == "__main__":
    main()
