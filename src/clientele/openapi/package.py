"""A package from a document: what is generated, written, and compared with what is there.

The same document, overlay and versions give the same bytes. Each file says in its first lines what made it; a file that
does not is somebody's own, and is never touched.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .document import Document, DocumentError, Finding, load
from .models import UNKNOWN_TO, write_models
from .modules import Sides, write_modules
from .operations import Operations
from .overlay import NAME, Overlay, load_overlay
from .schemas import REFERENCE, Schemas
from .security import credentials
from .streams import Streams

_NAME = re.compile(r"\w+")
_REFERENCE = re.compile(f'"{REFERENCE}(\\w+)"')
_SEPARATORS = re.compile(r"\W")
_WARNING = "# Changes to this file are lost; put yours into a file of another name."
_MARK = "# Made by `clientele generate`"


@dataclass(frozen=True, slots=True)
class Package:
    """A generated package.

    Attributes:
        files: Its files by their names.
        findings: What of the document has no counterpart in it.
    """

    files: Mapping[str, str]
    findings: tuple[Finding, ...]

    def differences(self, directory: Path) -> Iterator[str]:
        """What in a directory is not as it is in this package, as unified diffs."""
        for name, source in self.files.items():
            path = directory / name
            there = path.read_text(encoding="utf-8") if path.is_file() else ""
            if there != source or not path.is_file():
                lines = (there.splitlines(keepends=True), source.splitlines(keepends=True))
                yield "".join(difflib.unified_diff(*lines, str(path), f"{path} (generated)")) or f"{path} is missing\n"
        for path in self._stale(directory):
            yield f"{path} is no longer generated\n"

    def write(self, directory: Path) -> None:
        """Write the files, and remove those that an earlier document gave and this one does not.

        Raises:
            DocumentError: A file that somebody has written stands in the way.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for name in self.files:
            path = directory / name
            if path.exists() and name != "py.typed" and not _is_ours(path):
                cure = "move it to a file of another name; `clientele generate` does not touch what it has not made"
                raise DocumentError(f"{path} was written by hand: {cure}")
        for path in self._stale(directory):
            path.unlink()
        for name, source in self.files.items():
            path = directory / name
            if not path.is_file() or path.read_text(encoding="utf-8") != source:
                path.write_text(source, encoding="utf-8")

    def _stale(self, directory: Path) -> list[Path]:
        return [each for each in sorted(directory.glob("*.py")) if each.name not in self.files and _is_ours(each)]


def _is_ours(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith(_MARK) or not path.stat().st_size


def generate(source: str, package: str, *, sides: Sides | None = None, overlay: Overlay | None = None) -> Package:
    """Generate a package.

    Parameters:
        source: The document: a file, a URL, or `module:app`.
        package: The package's name, as it is imported.
        sides: Which functions are written. Default: asynchronous ones.
        overlay: What the document cannot say. Default: nothing.

    Raises:
        DocumentError: The document or the overlay cannot be used.
    """
    document = load(source)
    return generate_from(document, package, sides or Sides(), overlay or Overlay())


def overlay_for(directory: Path, given: Path | None) -> Overlay:
    """The overlay that is given; else `clientele.toml` in the package's directory, if there is one."""
    path = given or directory / NAME
    return load_overlay(path) if given or path.is_file() else Overlay()


def generate_from(document: Document, package: str, sides: Sides, overlay: Overlay) -> Package:
    """Generate a package from a document that has been loaded."""
    schemas = Schemas(document, {name: str(said["name"]) for name, said in overlay.schemas.items() if "name" in said})
    overlay.check_used("schemas", schemas.declared_names)
    streams = Streams(document, schemas)
    operations = Operations(document, schemas, streams, overlay)
    functions = list(operations.functions(both_sides=sides.both))
    made = credentials(document, overlay, package.rpartition(".")[2])
    unions = list(streams.unions.values())
    names = {*schemas.models, *(each.name for each in unions), *(each.unknown for each in unions)}
    sources = write_modules(functions, made, document, overlay, names, package, sides)
    used = _used(schemas.models, {union.of for union in unions}, "".join(sources.values()))
    models = write_models(used, unions, document, operations.parameters.aliases)
    if unions:
        models = models.replace("\n\n\nclass ", f"\n{UNKNOWN_TO}\n\nclass ", 1)
        models = "from pydantic import AfterValidator, ConfigDict\n" + models
    if models:
        sources["models"] = _below_future_import(models)
    header = _header(document)
    files = {f"{name}.py": header + source for name, source in sorted(sources.items())}
    return Package({**formatted(files), "py.typed": ""}, tuple(document.findings))


def _used(models: Mapping[str, Any], wanted: set[str], text: str) -> dict[str, Any]:
    """The models that a text names, or that are wanted, and those that they refer to, in the order that they have."""
    wanted = wanted | (models.keys() & set(_NAME.findall(text)))
    rest = list(wanted)
    while rest:
        for reference in _REFERENCE.findall(json.dumps(models[rest.pop()])):
            if reference not in wanted:
                wanted.add(reference)
                rest.append(reference)
    return {name: schema for name, schema in models.items() if name in wanted}


def _below_future_import(source: str) -> str:
    future = "from __future__ import annotations\n"
    return f'"""The models of the API."""\n\n{future}\n' + source.replace(future, "", 1)


def _header(document: Document) -> str:
    info = document.root.get("info")
    info = info if isinstance(info, Mapping) else {}
    what = " ".join(f"{info.get('title') or ''} {info.get('version') or ''}".split())
    shown = f" ({what})" if what else ""
    return f"{_MARK} from {' '.join(document.name.split())}{shown}.\n{_WARNING}\n\n"


def formatted(files: Mapping[str, str]) -> dict[str, str]:
    """The files with their imports in order, formatted by ruff with its own defaults, whatever project they are in."""
    ruff = _ruff()
    with tempfile.TemporaryDirectory() as directory:
        for name, source in files.items():
            Path(directory, name).write_text(source, encoding="utf-8")
        for command in (
            ["check", "--quiet", "--fix-only", "--select", "I,F401,UP", "--target-version", "py311"],
            ["format", "--quiet", "--target-version", "py311"],
        ):
            done = subprocess.run(  # noqa: S603 - ruff, on files of our own
                [ruff, *command, "--isolated", "--no-cache", directory],
                check=False,
                capture_output=True,
                text=True,
                cwd=directory,
            )
            if done.returncode:
                raise RuntimeError(f"what was generated cannot be formatted; please report the document: {done.stderr}")
        return {name: Path(directory, name).read_text(encoding="utf-8") for name in files}


def _ruff() -> str:
    beside = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if (found := beside or shutil.which("ruff")) is None:
        raise DocumentError("ruff is not installed, which formats the package; pip install 'clientele[generate]'")
    return found


def package_name(directory: Path) -> str:
    """The name that a directory's package is imported by.

    Raises:
        DocumentError: It is no name of a package.
    """
    name = directory.resolve().name
    if not name.isidentifier():
        cure = f"write it with underscores: {_SEPARATORS.sub('_', name)}" if name else "name a directory"
        raise DocumentError(f"{name!r} is no name of a package; {cure}")
    return name
