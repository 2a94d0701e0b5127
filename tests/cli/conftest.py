"""The command line as a person uses it: in this process where that tells as much, else as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from clientele.cli.app import app

COMMAND = [sys.executable, "-m", "clientele"]


@dataclass
class Run:
    """What a command has done."""

    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def items(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def data(self) -> list[Any]:
        return [each["data"] for each in self.items]


Runner = Callable[..., Run]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Run a command in this process, on pipes."""

    def run_command(*arguments: str, stdin: bytes = b"", **environment: str) -> Run:
        runner = CliRunner(env={"COLUMNS": "500", "FORCE_COLOR": None, **environment})
        result = runner.invoke(app, list(arguments), input=stdin, prog_name="clientele")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(result.exit_code, result.stdout_bytes, " ".join(result.stderr.replace("│", " ").split()))

    return run_command


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a command as a process of its own, and end it with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start_command(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
        process = subprocess.Popen([*COMMAND, *arguments], env=environment | {"TERM": "xterm-256color"}, **options)
        processes.append(process)
        return process

    yield start_command
    for process in processes:
        process.kill()
        process.communicate()
