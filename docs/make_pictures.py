"""Makes the pictures of the command line: `python docs/make_pictures.py` writes `docs/pictures/*.svg`.

Each is a real run, in a pseudo-terminal, against `clientele demo-server`. Only its clock is coarse, tenths of seconds,
so that the same pictures come out again.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).parent / "pictures"
WIDTH = 96
RUNS = {
    "stream": "clientele stream :8000/events",
    "chat": "clientele stream :8000/v1/chat/completions --json '{\"stream\": true}' --until '[DONE]'",
    "rate": "clientele stream :8000/ticks --limit 4 --rate",
    "broken": "clientele stream :8000/broken",
}
EXAMPLE = "examples/broken_connection.py"
COARSE = """
import time, types
import clientele.cli.watching as watching
began = time.monotonic()
watching.time = types.SimpleNamespace(monotonic=lambda: round(time.monotonic() - began, 1))
from clientele.cli import main
main()
"""
CONTROL = re.compile(r"\r|\n|\x1b\[\??[0-9;]*[A-Za-z]|[^\r\n\x1b]+")
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def main() -> None:
    """Make all of them."""
    PICTURES.mkdir(exist_ok=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "clientele", "demo-server", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[2].rstrip(".").rpartition(":")[2]
        for name, command in RUNS.items():
            shown = run(command.replace(":8000", f":{port}")).replace(f":{port}", ":8000")
            (PICTURES / f"{name}.svg").write_text(picture(name, command, shown), encoding="utf-8")
    finally:
        server.terminate()
        server.wait()
    done = subprocess.run(
        [sys.executable, EXAMPLE], cwd=PICTURES.parents[1], capture_output=True, text=True, check=True
    )
    shown = re.sub(r"in 0\.\d+ s", "in 0.2 s", done.stdout)  # it is random
    shown = re.sub(r"^--.*", lambda match: f"\x1b[33m{match[0]}\x1b[0m", shown, flags=re.MULTILINE)
    (PICTURES / "reconnect.svg").write_text(picture("reconnect", f"python {EXAMPLE}", shown), encoding="utf-8")


def run(command: str) -> str:
    """What a command leaves on a terminal; while a live line stands there, if there is one."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"}
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-c", COARSE, *shlex.split(command)[1:]],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    written = b""
    try:
        while data := os.read(ours, 65536):
            written += data
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    process.wait()
    return on_screen(written.decode().partition("\x1b[?25h")[0])


def on_screen(written: str) -> str:
    """The lines that stand on the screen, with their colours, after erased ones are gone."""
    lines, row = [""], 0
    for part in CONTROL.findall(written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b[") and part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\r" or part.startswith("\x1b[?"):
            continue
        else:
            lines[row] += part
    return "\n".join(lines).rstrip("\n")


def picture(name: str, command: str, shown: str) -> str:
    """The picture of a run."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "bold green"), command))
        console.print(Text.from_ansi(shown))
        svg = console.export_svg(title="clientele", unique_id=f"clientele-{name}")
    return FONT_FACE.sub("", svg)  # they would be fetched from another server


if __name__ == "__main__":
    main()
