"""Ctrl-C ends a synchronous stream at once, whatever it waits for, and nothing else is said."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap

import pytest
from tests.servers import EVENT_STREAM, WAIT, Connection, chunk

pytestmark = pytest.mark.every_python

SCRIPT = """
    import signal

    from clientele import api

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it

    def tell(attempt):
        print("waiting", flush=True)

    policy = api.Reconnect(initial_delay={delay}, max_delay={delay}, on_reconnect=tell)
    for number in api.APIClient({url!r}).stream("GET", "/", int, reconnect=policy):
        print(number, flush=True)
"""


async def hold(connection: Connection) -> None:
    """Send an event, and nothing more."""
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
    await connection.until_client_closes()


async def drop(connection: Connection) -> None:
    """Send an event and close; nothing at all to whoever comes again."""
    if connection.request.header("Last-Event-ID") is None:
        await connection.send(EVENT_STREAM + chunk(b"id: 1\ndata: 1\n\n"))
        connection.close()
    else:
        await connection.until_client_closes()


def interrupt(process: subprocess.Popen[str]) -> str:
    """Send Ctrl-C, and give what the process has said when it ended.

    A signal that comes in the microsecond between Python's last look for one and a system call that waits is seen only
    after that call, in any program; so another one is sent after a while.
    """
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=WAIT / 5)[1]
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=WAIT)[1]


@pytest.mark.parametrize(
    ("handler", "delay", "told", "requests"),
    [
        pytest.param(hold, 0, ["1\n"], 1, id="bytes"),
        pytest.param(drop, 10_000, ["1\n", "waiting\n"], 1, id="the time before an attempt"),
        pytest.param(drop, 0, ["1\n", "waiting\n"], 2, id="an attempt"),
    ],
)
def test_ctrl_c_ends_the_wait_for(serve, tmp_path, handler, delay, told, requests):
    server = serve(handler)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(url=server.url, delay=delay)))
    command = [sys.executable, "-X", "dev", "-W", "error", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in told] == told
        server.wait_until(lambda: len(server.requests) == requests)
        try:
            stderr = interrupt(process)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert stderr.count("Traceback") == 1
    assert stderr.endswith("KeyboardInterrupt\n")
    server.wait_until_closed()
