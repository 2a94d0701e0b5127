"""The command as a process of its own: on pipes, in terminals, under signals, and without its extra."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest
from tests.servers import EVENT_STREAM, WAIT, Connection, chunk, events

import clientele

ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")
DATA = '{"text": "a text that is long enough for a line", "count": 1.10, "tags": ["a", "b"], "none": null}'


async def quiet(connection: Connection) -> None:
    """Send one event, and then nothing more."""
    await connection.send(EVENT_STREAM + chunk(b"id: 1\ndata: 1\n\n"))
    await connection.until_client_closes()


async def endless(connection: Connection) -> None:
    """Send more than any pipe holds."""
    await connection.send(EVENT_STREAM)
    while True:
        await connection.send(chunk(b"data: %s\n\n" % (b"x" * 10_000)))


class Terminal:
    """A pseudo-terminal of a width, and what a command writes to it."""

    def __init__(self, width: int) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.settings = termios.tcgetattr(self.theirs)
        self.written = b""

    def read_until(self, text: bytes) -> bytes:
        while text not in self.written:
            assert select.select([self.ours], [], [], WAIT)[0], f"{text!r} was not written, but {self.written!r}"
            self.written += os.read(self.ours, 65536)
        return self.written

    def read_rest(self) -> str:
        """What is shown in all, after the command has ended, without colours."""
        os.write(self.theirs, b"\x04END\x04")
        return (
            ESCAPE.sub(b"", self.read_until(b"\x04END\x04")).decode().removesuffix("\x04END\x04").replace("\r\n", "\n")
        )

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    made = Terminal(getattr(request, "param", 80))
    yield made
    made.close()


def in_terminal(terminal: Terminal) -> dict[str, int]:
    return {"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs}


@pytest.mark.parametrize("command", [[sys.executable, "-m", "clientele"], [f"{sys.prefix}/bin/clientele"]])
def test_the_command_has_two_names(command):
    done = subprocess.run([*command, "--version"], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"clientele {clientele.__version__}\n", "")


@pytest.mark.parametrize("package", ["typer", "jsonpath"])
def test_without_the_extra_the_command_says_what_to_install(serve, package):
    script = f"import sys; sys.modules[{package!r}] = None; from clientele.cli import main; main()"
    arguments = ["stream", serve(events("1")).url, "--select", "$.a"]
    done = subprocess.run([sys.executable, "-c", script, *arguments, "--rate"], capture_output=True, text=True)
    needed = f"the command line needs {package}, which is not installed"

    assert done.returncode == 2
    assert done.stderr == f'clientele: {needed}: pip install "clientele[cli]"\n'


def test_an_item_is_flushed_at_once_and_ctrl_c_ends_the_stream(serve, start):
    server = serve(quiet)
    process = start("stream", server.url)
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=10)

    assert (first, out, error) == (b'{"data": 1, "event": "message", "id": "1", "retry": null}\n', b"", b"")
    assert process.returncode == 130
    server.wait_until_closed()


def test_sigterm_ends_the_stream_with_its_summary(serve, start, tmp_path):
    recording = tmp_path / "talk.jsonl"
    process = start("stream", serve(quiet).url, "--rate", "--record", str(recording))
    process.stdout.readline()
    process.terminate()
    _, error = process.communicate(timeout=10)

    assert process.returncode == 143
    assert re.fullmatch(rb"clientele stream: 1 item in .*\n", error)
    assert recording.read_text().endswith('"end": "left"}\n')


def test_a_closed_pipe_ends_a_stream_that_is_quiet(serve, start):
    server = serve(quiet)
    process = start("stream", server.url)
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(timeout=10) == 0
    assert process.stderr.read() == b""
    server.wait_until_closed()


def test_a_closed_pipe_ends_a_stream_that_is_not(serve, start):
    process = start("stream", serve(endless).url, "--raw")
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(timeout=10) == 0
    assert process.stderr.read() == b""


def test_ctrl_c_ends_a_stream_whose_reader_has_stopped_reading(serve, start):
    server = serve(endless)
    process = start("stream", server.url, "--raw")
    process.stdout.read(1)
    wait_until_blocked(process)
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=10) == 130
    assert process.stderr.read() == b""


def wait_until_blocked(process: subprocess.Popen[bytes]) -> None:
    """Wait until the pipe is full that a process writes to."""
    size = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
    held = 0
    while held < size - 20_000:
        held = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, b"\0" * 4))[0]


def test_a_full_disk_is_told(serve, start):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no device that is always full")
    with open("/dev/full", "wb") as full:
        process = start("stream", serve(events("1")).url, stdout=full)
        _, error = process.communicate(timeout=10)

    assert process.returncode == 1
    assert error == b"clientele stream: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("terminal", [40, 80, 200], indirect=True)
def test_a_terminal_shows_each_event_laid_out_to_its_width(serve, start, terminal):
    server = serve(events(DATA, "plain text"))
    process = start("stream", server.url, **in_terminal(terminal))
    assert process.wait(timeout=10) == 0
    shown = terminal.read_rest()
    broken_up = f"{{\n  {DATA[1:-1].replace(', ', ',%', 2).replace('], ', '],%').replace('%', chr(10) + '  ')}\n}}"
    width = struct.unpack("HHHH", fcntl.ioctl(terminal.theirs, termios.TIOCGWINSZ, b"\0" * 8))[1]

    assert re.sub(r"\+\S+ s", "+… s", shown) == (
        f"#1 · message · +… s\n{DATA if width == 200 else broken_up}\n#2 · message · +… s\nplain text\n"
    )
    assert b"\x1b[34m" in terminal.written  # there are colours
    assert termios.tcgetattr(terminal.theirs) == terminal.settings


def test_a_terminal_obeys_no_server_and_no_markup(serve, start, terminal):
    hostile = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e[bold red]:smile:"
    process = start(
        "stream", serve(events(hostile, f'["{hostile[4:] and chr(0x9B)}31m"]')).url, **in_terminal(terminal)
    )
    assert process.wait(timeout=10) == 0
    shown = terminal.read_rest()

    assert r"\u001b[2J\u001b]0;title\u0007\u009b31m\u202e[bold red]:smile:" in shown
    assert r'["\u009b31m"]' in shown
    assert b"\x1b[2J" not in terminal.written
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)


def test_ctrl_c_in_a_terminal_with_a_live_line_restores_the_cursor(serve, start, terminal):
    process = start("stream", serve(quiet).url, "--rate", **in_terminal(terminal))
    terminal.read_until(b"id ")
    terminal.read_until(b"first item after")  # the live line has been drawn anew
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    terminal.read_rest()

    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")
    assert re.search(rb"clientele stream: 1 item in .* longest gap", terminal.written)


def test_a_live_line_stands_on_a_terminal_beside_a_pipe(serve, start, terminal):
    process = start("stream", serve(quiet).url, "--rate", "--for", "1s", stderr=terminal.theirs)
    out, _ = process.communicate(timeout=10)

    assert (process.returncode, out.count(b"\n")) == (0, 1)
    assert b"1 item in" in terminal.read_until(b"clientele stream: 1 item in")


def test_the_demo_server_serves_until_ctrl_c(run, start):
    process = start("demo-server", "--port", "0")
    url = process.stdout.readline().decode().split()[2].rstrip(".")
    done = run("stream", f"{url}/events")
    process.send_signal(signal.SIGINT)

    assert [each["text"] for each in done.data] == ["the first event", "the second event", "the third event"]
    assert process.wait(timeout=10) == 0
    assert process.stderr.read() == b""
