"""Run the targets: `python -m fuzz` runs all, each for `SECONDS`; `python -m fuzz sse` runs one. See `__init__.py`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import atheris

HERE = Path(__file__).parent
TARGETS = ["http11", "content_coding", "sse", "json_texts", "http2"]
SECONDS = os.environ.get("SECONDS", "300")


def run(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it. The arguments are libFuzzer's."""
    with atheris.instrument_imports(include=["clientele", "tests"]):
        target = import_module(f"fuzz.{name}")
    corpus, found = HERE / "corpus" / name, HERE / "found" / name
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    for seed in target.SEEDS:
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    words = corpus.with_suffix(".dict")
    words.write_text("".join(map(_dictionary_line, target.WORDS)))
    given = [] if any(not argument.startswith("-") for argument in arguments) else [str(corpus)]
    atheris.Setup([name, f"-artifact_prefix={found}/", f"-dict={words}", *arguments, *given], target.check)
    atheris.Fuzz()


def _dictionary_line(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def run_all() -> None:
    """Fuzz every target in a process of its own. Exit with 1 if one of them found something."""
    failed = []
    for name in TARGETS:
        command = [sys.executable, "-m", "fuzz", name, f"-max_total_time={SECONDS}", "-print_final_stats=1"]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            failed.append(name)
    if failed:
        sys.exit(f"found something in {', '.join(failed)}: see {HERE / 'found'}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1], sys.argv[2:])
    else:
        run_all()
