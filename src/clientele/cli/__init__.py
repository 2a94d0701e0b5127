"""The command line: `clientele`, or `python -m clientele`.

Each command is a function in a file of its own; `app.py` lists them. A command's file imports at its top only what its
options need, and the rest when it runs, so that `clientele --help` is quick. `main` is here, and imports nothing of the
extra `clientele[cli]`, so that it can say what to install where that is missing.
"""

from __future__ import annotations

import sys
from typing import NoReturn

_PACKAGES = ("jsonpath", "rich", "typer", "uvicorn")  # the modules of the extra


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with its exit code."""
    try:
        from .app import app

        app(prog_name="clientele")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        print(
            f'clientele: the command line needs {package}, which is not installed: pip install "clientele[cli]"',
            file=sys.stderr,
        )
        sys.exit(2)
    sys.exit(0)
