"""Scripts as users write them, run by a Python of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

DEVELOPMENT_MODE = ("-X", "dev", "-W", "error")

_SLOW_STEP = re.compile(r"^Executing <.* took \d+\.\d+ seconds\n", re.MULTILINE)


def run_script(
    path: str | os.PathLike[str],
    *,
    options: Sequence[str] = DEVELOPMENT_MODE,
    environment: dict[str, str] | None = None,
) -> tuple[str, str]:
    """Run a script to its end, and give what it wrote to stdout and stderr.

    In development mode asyncio also writes of each step that took longer than a tenth of a second; that says something
    about the machine, and is left out.
    """
    done = subprocess.run(
        [sys.executable, *options, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | (environment or {}),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, _SLOW_STEP.sub("", done.stderr)
