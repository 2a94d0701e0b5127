"""How a command ends, as its exit code tells."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command. `EXIT_CODES` says the same in words."""

    ENDED = 0
    FAILED = 1
    USAGE = 2
    CUT = 3
    REFUSED = 4
    INVALID = 5
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
    TERMINATED = 143


EXIT_CODES = {
    ExitCode.ENDED: "The stream ended: by itself, or by --until, --limit, --for, or a closed pipe (| head -1).",
    ExitCode.FAILED: "A file could not be read or written.",
    ExitCode.USAGE: "The arguments do not make sense.",
    ExitCode.CUT: "The stream was cut: the connection broke, or it ended without what --until waits for.",
    ExitCode.REFUSED: "No stream came: no connection, or an HTTP status of 400 and above.",
    ExitCode.INVALID: "Something did not fit: an item (--type), or the content type.",
    ExitCode.INTERRUPTED: "Ctrl-C.",
    ExitCode.TERMINATED: "SIGTERM.",
}
"""What each exit code means, for `--help` and the documentation."""
