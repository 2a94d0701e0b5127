"""No private name of another package is used: such names change without notice."""

from __future__ import annotations

import ast
from pathlib import Path

import httpx2

from clientele.wire.exchange import AsyncResponseBody, ResponseBody
from clientele.wire.response import WireResponse
from clientele.wire.transport import AsyncWireTransport, WireTransport

SOURCE = Path(__file__).parent.parent / "src" / "clientele"

ALLOWED = {
    "_getframe",  # documented in `sys`; the names that an endpoint's annotations mean are those of its caller
}


def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text())) for path in SOURCE.rglob("*.py")]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_every_private_attribute_that_is_used_is_defined_here():
    own = set(ALLOWED)
    used: dict[str, Path] = {}
    for path, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    own.add(name)
                case ast.Name(id=name, ctx=ast.Store()):
                    own.add(name)
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                    own.add(name)
                case ast.Attribute(attr=name) if is_private(name):
                    used[name] = path
    assert {name: path for name, path in used.items() if name not in own} == {}


def test_nothing_private_is_imported_from_another_package():
    imported = [
        (path, alias.name)
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
        for alias in node.names
        if any(map(is_private, [alias.name, *(node.module or "").split(".")]))
    ]
    assert imported == []


def test_our_subclasses_take_no_private_name_of_their_bases():
    response = httpx2.Response(200, content=b"", request=httpx2.Request("GET", "http://test"))
    theirs = {name for name in (*dir(response), *vars(response)) if is_private(name)}
    theirs |= {
        name
        for base in (httpx2.BaseTransport, httpx2.AsyncBaseTransport, httpx2.SyncByteStream, httpx2.AsyncByteStream)
        for name in dir(base)
        if is_private(name)
    }
    ours = {
        name
        for cls in (WireResponse, ResponseBody, AsyncResponseBody, WireTransport, AsyncWireTransport)
        for parent in cls.__mro__
        if parent.__module__.startswith("clientele")
        for name in vars(parent)
        if is_private(name)
    }
    ours |= vars(WireResponse(200, content=b"")).keys() - vars(httpx2.Response(200, content=b"")).keys()
    assert {name for name in ours & theirs if not name.startswith("_abc_")} == set()
