"""Runs the examples beside this file against the server beside this file: `make demo`.

The examples look for the server where a reader would start it, at `http://localhost:8000`. The demo starts it on a port
that is free and puts its address in the place of that one; nothing else of them is changed. What they print is shown as
they print it, with the seconds since the example began.
"""

import contextlib
import io
import pathlib
import socket
import sys
import threading
import time
from collections.abc import Generator
from typing import TextIO

import uvicorn

HERE = pathlib.Path(__file__).parent
ADDRESS = "http://localhost:8000"
EXAMPLES = [
    "typed_events.py",
    "text_events.py",
    "dictionary_events.py",
    "token_stream.py",
    "synchronous_events.py",
    "every_method.py",
    "openai_style.py",
    "anthropic_style.py",
    "wikimedia_style.py",
    "ollama_style.py",
    "kubernetes_style.py",
    "gemini_style.py",
    "mcp_style.py",
    "json_sequence.py",
    "text_lines.py",
    "raw_bytes.py",
    "own_parsing.py",
    "status_types.py",
    "oauth2_token.py",
    "upload_progress.py",
    "direct_calls.py",
    "generator_endpoint.py",
    "generated_client.py",
    "broken_connection.py",
]


class TimedOutput(io.TextIOBase):
    """Writes each line with the seconds that have passed."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._began = time.monotonic()
        self._line_is_new = True

    def write(self, text: str) -> int:
        for piece in text.splitlines(keepends=True):
            if self._line_is_new:
                self._output.write(f"  {time.monotonic() - self._began:5.2f} s  ")
            self._output.write(piece)
            self._line_is_new = piece.endswith("\n")
        self._output.flush()
        return len(text)


@contextlib.contextmanager
def running_server() -> Generator[str]:
    """Run the examples' server in a thread, on a free port, and give its address."""
    from server import app

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def run(example: pathlib.Path, address: str) -> None:
    """Run an example, with the server at this address."""
    source = example.read_text()
    with contextlib.redirect_stdout(TimedOutput(sys.stdout)):
        exec(compile(source.replace(ADDRESS, address), example, "exec"), {"__name__": "__main__"})


def main() -> None:
    """Run all examples."""
    with running_server() as address:
        for name in EXAMPLES:
            example = HERE / name
            title = example.read_text().split('"""')[1]
            print(f"\nexamples/{name}: {title}", flush=True)
            run(example, address)


if __name__ == "__main__":
    main()
