"""The command: `python -m benchmarks [--smoke] [--only WORKLOAD ...]`, from the root of the project."""

from __future__ import annotations

import argparse
import sys

from .figures import Figures
from .report import HERE, commit_measured, render
from .runner import Failed, TooSlow, WrongItems, measure
from .workloads import FULL, SMOKE, WORKLOADS

RESULTS = HERE / "RESULTS.md"
NAMES = [*(workload.name for workload in WORKLOADS), "imports"]


def main() -> int:
    """Measure, and write or print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Clientele beside its peers.")
    parser.add_argument("--smoke", action="store_true", help="run everything in a small size, and judge no time")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="WORKLOAD", help=f"some of: {', '.join(NAMES)}")
    arguments = parser.parse_args()
    chosen = arguments.only or NAMES
    sizes = SMOKE if arguments.smoke else FULL
    commit = commit_measured()  # before anybody commits while this runs
    try:
        results = measure(
            [workload for workload in WORKLOADS if workload.name in chosen], sizes, with_imports="imports" in chosen
        )
    except (WrongItems, Failed, TooSlow) as error:
        print("\nFAILED:", error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    report = render(Figures(results, sizes), command="make bench", commit=commit)
    if arguments.smoke:
        rows = report.count("\n| ")
        print(f"smoke run: every contestant yielded what was sent; the report has {rows} rows")
    elif set(chosen) == set(NAMES):
        RESULTS.write_text(report)
        print(f"wrote {RESULTS.relative_to(HERE.parent)}")
    else:
        print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
