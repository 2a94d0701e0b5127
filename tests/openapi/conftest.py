"""A document becomes a package that is imported, for the length of one test."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clientele import api
from clientele.openapi.document import Document
from clientele.openapi.modules import Sides
from clientele.openapi.overlay import Overlay, load_overlay
from clientele.openapi.package import Package, generate_from

_numbers = itertools.count()


@dataclass(frozen=True)
class Generated:
    """A package that was generated, written and imported."""

    package: Package
    directory: Path
    name: str

    @property
    def findings(self) -> list[str]:
        return [str(each) for each in self.package.findings]

    @property
    def source(self) -> str:
        return self.package.files["client.py"]

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.name}.{name}")

    @property
    def models(self) -> ModuleType:
        return self.module("models")

    @property
    def client(self) -> api.APIClient:
        return self.module("client").client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module("client"), name)


Generate = Callable[..., Generated]


@pytest.fixture
def generate(tmp_path: Path) -> Iterator[Generate]:
    """Generate a package of a document, or of paths, and import it."""
    names: list[str] = []

    def generate(document: Mapping[str, Any], overlay: str = "", **sides: bool) -> Generated:
        name = f"generated_{next(_numbers)}"
        names.append(name)
        said = Overlay()
        if overlay:
            (tmp_path / "clientele.toml").write_text(overlay)
            said = load_overlay(tmp_path / "clientele.toml")
        sides = sides or {"asynchronous": False, "synchronous": True}
        package = generate_from(Document(document, "openapi.json"), name, Sides(**sides), said)
        package.write(tmp_path / name)
        return Generated(package, tmp_path / name, name)

    sys.path.insert(0, str(tmp_path))
    yield generate
    sys.path.remove(str(tmp_path))
    for module in [each for each in sys.modules if each.partition(".")[0] in names]:
        del sys.modules[module]


def document(paths: Mapping[str, Any], schemas: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A document with these paths and schemas."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "paths": dict(paths),
        "components": {"schemas": dict(schemas or {})},
        **members,
    }


def answering(schema: Any = None, media_type: str = "application/json", **more: Any) -> dict[str, Any]:
    """The responses of an operation that answers with this."""
    content = {media_type: {"schema": schema} if schema is not None else {}} if schema != "nothing" else {}
    return {"responses": {"200": {"description": "", "content": content}}, **more}
