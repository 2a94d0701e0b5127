"""The command line: `clientele`, or `python -m clientele`.

Each command is a function in a file of its own; `app.py` lists them. A command's file imports at its top only what its
options need, and the rest when it runs, so that `clientele --help` is quick. `main` is here, and imports nothing of the
extra `clientele[cli]`, so that it can say what to install where that is missing.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_PACKAGES = ("jsonpath", "rich", "typer", "uvicorn")  # the modules of the extra


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with its exit code."""
    for each in (signal.SIGINT, signal.SIGTERM):  # until the command has begun, and handles them itself
        signal.signal(each, _exit)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started it has closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        else:
            getattr(sys, name).reconfigure(errors="backslashreplace")  # of a terminal that has no Unicode
    try:
        from .app import app

        app(prog_name="clientele")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        needed = f"the command line needs {package}, which is not installed"
        print(f'clientele: {needed}: pip install "clientele[cli]"', file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
