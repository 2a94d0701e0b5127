"""An OpenAPI document: where it comes from, what its references mean, and what of it has no counterpart.

It is read leniently: what a document uses counts, not the version that it claims. Nothing is dropped in silence: what
has no counterpart becomes a `Finding`, with its place in the document as a JSON Pointer (RFC 6901).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import httpx2
import yaml

from ..headers import is_token
from ..redaction import printable_url

Place: TypeAlias = tuple[str, ...]
"""Where something stands in the document: the members on the way to it."""

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")

_OF_ALL_OPERATIONS = ("parameters", "servers", "summary", "description", "$ref")  # of one path
_APPLICATION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TIMEOUT = 30  # seconds


class DocumentError(Exception):
    """The document cannot be read at all. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the document that has no counterpart in the package, or that had to be guessed.

    Attributes:
        place: Where it stands, as a JSON Pointer.
        message: What it is, and what the package does instead.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True)
class Document:
    """An OpenAPI document.

    Attributes:
        root: Its content.
        name: What it is called in the package that is made of it: the file's name, the URL, `module:app`.
        base: What its relative references and servers are relative to: a directory, or a URL.
        findings: What has no counterpart, in the order in which it was met.
    """

    root: Mapping[str, Any]
    name: str
    base: str = ""
    findings: list[Finding] = field(default_factory=list)
    _others: dict[str, Any] = field(default_factory=dict)

    def find(self, place: Place, message: str) -> None:
        """Note that something has no counterpart, once for each place."""
        finding = Finding(pointer(place), message)
        if finding not in self.findings:
            self.findings.append(finding)

    def resolved(self, value: Any, place: Place) -> tuple[Any, Place]:
        """What a reference means, and where that stands; anything else as it is.

        Other keywords beside `$ref` win over those of what it means, as of `summary` and `description` (OpenAPI 3.1).
        """
        seen: list[str] = []
        while isinstance(value, Mapping) and isinstance(reference := value.get("$ref"), str):
            if reference in seen:
                self.find(place, f"the reference {reference!r} means itself; it is left out")
                return {}, place
            seen.append(reference)
            beside = {name: each for name, each in value.items() if name != "$ref"}
            found = self.target(reference, place)
            if found is None:
                return beside, place
            value, place = found
            if beside and isinstance(value, Mapping):
                value = {**value, **beside}
        return value, place

    def object(self, value: Any, place: Place) -> tuple[Mapping[str, Any], Place]:
        """The object that a value is, or refers to, and where that stands; an empty one, and a finding, otherwise."""
        found, where = self.resolved(value, place)
        if isinstance(found, Mapping):
            return found, where
        if found is not None:
            self.find(place, f"is {found!r:.40}, where an object is wanted; it is left out")
        return {}, where

    def target(self, reference: str, place: Place) -> tuple[Any, Place] | None:
        """What a reference points to, and where that stands; `None`, and a finding, where there is nothing."""
        address, _, fragment = reference.partition("#")
        try:
            value: Any = self._other(address) if address else self.root
        except DocumentError as error:
            self.find(place, f"the reference {reference!r} cannot be followed: {error}")
            return None
        parts = [_unescaped(part) for part in fragment.split("/")[1:]]
        for part in parts:
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (KeyError, IndexError, TypeError, ValueError):
                self.find(place, f"the reference {reference!r} points to nothing; it is read as anything at all")
                return None
        return value, (address, *parts) if address else tuple(parts)

    def _other(self, address: str) -> Any:
        """Another file that this one refers to. References within it are made relative to this one."""
        if address not in self._others:
            whole = urljoin(self.base, address) if "://" in self.base else str(Path(self.base, address))
            content = _parsed(_fetched(whole) if "://" in whole else _read(Path(whole)), address)
            self._others[address] = _relative_to(content, address)
        return self._others[address]

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any], Place]]:
        """Each operation: its method, its path, itself, the path item that it is in, and its place."""
        for path, given in members_of(self.root.get("paths")):
            item, place = self.object(given, ("paths", path))
            members = dict(members_of(item))
            # In an order of our own: FastAPI writes the methods of one route in any order.
            for method in (each for each in METHODS if each in members):
                operation = members.pop(method)
                yield method.upper(), path, operation if isinstance(operation, Mapping) else {}, item, (*place, method)
            for name, each in members_of(members.pop("additionalOperations", None)):
                where = (*place, "additionalOperations", name)
                if is_token(name) and isinstance(each, Mapping):
                    yield name, path, each, item, where
                else:
                    self.find(where, "is no method of HTTP; it is left out")
            for name in members:
                if not name.startswith("x-") and name not in _OF_ALL_OPERATIONS:
                    self.find((*place, name), "is no method of HTTP; it is left out")


def load(source: str) -> Document:
    """Read a document: a file, a URL, or `module:app`, a FastAPI application.

    Raises:
        DocumentError: It cannot be read, or is no OpenAPI document.
    """
    if urlsplit(source).scheme in ("http", "https"):
        name, base, root = printable_url(httpx2.URL(source)), source, _parsed(_fetched(source), source)
    elif _APPLICATION.fullmatch(source) and not Path(source).exists():
        name, base, root = source, "", _application(source)
    else:
        name, base, root = Path(source).name, str(Path(source).parent), _parsed(_read(Path(source)), source)
    if not isinstance(root, Mapping):
        raise DocumentError(f"{name} is no OpenAPI document: it holds {type(root).__name__}, where an object is wanted")
    if "swagger" in root:
        cure = "convert it to OpenAPI 3, with npx swagger2openapi for example"
        raise DocumentError(f"{name} is a document of Swagger {root['swagger']}, which is not read; {cure}")
    if "openapi" not in root and "paths" not in root:
        raise DocumentError(f"{name} is no OpenAPI document: it has neither 'openapi' nor 'paths'")
    if not isinstance(root.get("paths", {}), Mapping):
        raise DocumentError(f"{name} is no OpenAPI document: its 'paths' are no object")
    return Document(root, name, base)


def pointer(place: Sequence[str]) -> str:
    """A place as a JSON Pointer, behind the file that it stands in, if that is another one."""
    in_other = bool(place) and not place[0].isidentifier() and place[0] != ""
    address, parts = (place[0], place[1:]) if in_other else ("", place)
    return address + "#" + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _unescaped(part: str) -> str:
    from urllib.parse import unquote

    return unquote(part).replace("~1", "/").replace("~0", "~")


def members_of(value: Any) -> list[tuple[str, Any]]:
    """The members of an object; none of anything else."""
    return [(str(name), each) for name, each in value.items()] if isinstance(value, Mapping) else []


def _relative_to(value: Any, address: str) -> Any:
    """What stands in another file, its references as they would be written in the document itself."""
    if isinstance(value, list):
        return [_relative_to(each, address) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _relative_to(each, address) for name, each in value.items()}
    if isinstance(reference := changed.get("$ref"), str):
        file, _, fragment = reference.partition("#")
        here = urljoin(address, file) if file else address
        changed["$ref"] = f"{here}#{fragment}"
    return changed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        cure = "give a file, a URL with http:// or https://, or module:app"
        raise DocumentError(f"{str(path)!r} cannot be read: {error.strerror or error}; {cure}") from error


def _fetched(url: str) -> bytes:
    shown = printable_url(httpx2.URL(url))
    try:
        response = httpx2.get(url, follow_redirects=True, timeout=_TIMEOUT)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise DocumentError(f"{shown} cannot be fetched: {error}") from error
    if response.status_code != 200:
        raise DocumentError(f"{shown} answers with status {response.status_code}, and no document")
    return response.content


def _parsed(content: bytes, name: str) -> Any:
    """What JSON or YAML says; nothing else is told from the file's name."""
    try:
        return json.loads(content)
    except ValueError as no_json:
        try:
            return _keyed_by_text(yaml.load(content, _JSONSchemaLoader))  # noqa: S506 - a safe loader
        except yaml.YAMLError as error:
            shown = Path(urlsplit(name).path).name or name
            if content.lstrip()[:1] in (b"{", b"["):
                raise DocumentError(f"{shown} is no JSON: {no_json}") from error
            raise DocumentError(f"{shown} is neither JSON nor YAML: {' '.join(str(error).split())}") from error


class _JSONSchemaLoader(yaml.SafeLoader):
    """YAML as JSON means it: a date is text, and so is `on` (YAML 1.2, section 10.2)."""


_JSONSchemaLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("timestamp", "bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_JSONSchemaLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"
)


def _keyed_by_text(value: Any) -> Any:
    """The same with text for keys: the status `200:` is a number in YAML."""
    if isinstance(value, dict):
        return {_key(name): _keyed_by_text(each) for name, each in value.items()}
    return [_keyed_by_text(each) for each in value] if isinstance(value, list) else value


def _key(name: Any) -> str:
    return str(name).lower() if isinstance(name, bool) or name is None else str(name)


def _application(source: str) -> Any:
    """The document of an application, as the application writes it."""
    module_name, _, attribute = source.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        value: Any = importlib.import_module(module_name)
        for name in attribute.split("."):
            value = getattr(value, name)
    except ImportError as error:
        raise DocumentError(f"the module of {source} cannot be imported: {error}") from error
    except AttributeError as error:
        raise DocumentError(f"{module_name} has no {attribute!r}: {error}") from error
    finally:
        sys.path.pop(0)
    if not callable(make := getattr(value, "openapi", None)):
        cure = "name a FastAPI application, or another object with a method openapi()"
        raise DocumentError(f"{source} is of type {type(value).__name__}, which has no openapi(); {cure}")
    return json.loads(json.dumps(make()))
