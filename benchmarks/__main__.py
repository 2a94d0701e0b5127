"""The command: `python -m benchmarks [options]`, from the root of the project."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from .figures import Figures
from .report import HERE, commit_measured, render
from .runner import Failed, TooSlow, WrongItems, measure
from .system import most_streams
from .workloads import FULL, SMOKE, WORKLOADS, Sizes

RESULTS = HERE / "RESULTS.md"
NAMES = [workload.name for workload in WORKLOADS]


def main() -> int:
    """Measure, and write the report; print it instead if only a part was measured."""
    arguments = _parser().parse_args()
    changes = dict(arguments.size) | ({"rounds": arguments.rounds} if arguments.rounds else {})
    sizes = replace(SMOKE if arguments.smoke else FULL, **changes)
    sizes = replace(sizes, idle=min(sizes.idle, most_streams()))
    chosen = [workload for workload in WORKLOADS if workload.name in (arguments.only or NAMES)]
    commit = commit_measured()  # before anybody commits while this runs
    try:
        results = measure(
            chosen, sizes, lambda name: not arguments.contestant or any(part in name for part in arguments.contestant)
        )
    except (WrongItems, Failed, TooSlow) as error:
        print("\nFAILED:", error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    report = render(Figures(results, sizes), command=command, commit=commit)
    if arguments.only or arguments.contestant or changes:
        print(report)
    elif arguments.smoke:
        rows = report.count("\n| ")
        print(f"smoke run: every contestant yielded what was sent; the report has {rows} rows")
    else:
        RESULTS.write_text(report)
        print(f"wrote {RESULTS.relative_to(HERE.parent)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Clientele beside its peers.")
    parser.add_argument("--smoke", action="store_true", help="run everything in a small size, to see that it works")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="WORKLOAD", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument(
        "--contestant", nargs="+", default=[], metavar="NAME", help="only those whose names contain one of these"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each case is measured")
    parser.add_argument(
        "--size", nargs="+", default=[], type=_size, metavar="NAME=N", help="change a size: idle=1000, firehose=50000"
    )
    return parser


def _size(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not isinstance(getattr(Sizes, name, None), int):
        raise argparse.ArgumentTypeError(f"{text}: not the size of a workload")
    return name, int(value)


if __name__ == "__main__":
    sys.exit(main())
