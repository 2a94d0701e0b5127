"""The source of the package's modules: the client with what it needs, and the functions, filed under tags."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from ..client import APIClient
from .document import Document, members_of
from .names import module_name, parameter_name, unique
from .operations import Function
from .overlay import Overlay
from .parameters import REQUIRED, Parameter
from .security import Credential

MANY = 40
"""How many functions are too many for one module; then there is one for each tag."""

_WIDTH = 88  # of docstrings, from their own margin
_WRAP: dict[str, Any] = {"width": _WIDTH, "break_long_words": False, "break_on_hyphens": False}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DEFAULT_BASE_URL = "http://localhost:8000"

# What a name in a module is imported from; names of models come from `.models`.
IMPORTS = {
    "base64": "import base64",
    "httpx2": "import httpx2",
    "json": "import json",
    "os": "import os",
    "api": "from clientele import api",
    "Annotated": "from typing import Annotated",
    "Any": "from typing import Any",
    "BinaryIO": "from typing import BinaryIO",
    "Callable": "from collections.abc import Callable",
    "Decimal": "from decimal import Decimal",
    "Json": "from pydantic import Json",
    "Literal": "from typing import Literal",
    "Path": "from pathlib import Path",
    "PlainSerializer": "from pydantic import PlainSerializer",
    "SerializerFunctionWrapHandler": "from pydantic import SerializerFunctionWrapHandler",
    "UUID": "from uuid import UUID",
    "TypeAlias": "from typing import TypeAlias",
    "Unpack": "from typing import Unpack",
    "WrapSerializer": "from pydantic import WrapSerializer",
    "date": "from datetime import date",
    "datetime": "from datetime import datetime",
    "time": "from datetime import time",
    "timedelta": "from datetime import timedelta",
}
_HELPERS = {
    "UploadFile": '''
UploadFile: TypeAlias = Path | bytes | BinaryIO | tuple[str, bytes] | tuple[str, bytes, str]
"""A file: where it is, its content, or its name and content, and media type."""
''',
    "joined": '''
def joined(by: str) -> WrapSerializer:
    """Send a list as one text."""

    def write(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        return None if value is None else by.join(map(str, handler(value)))

    return WrapSerializer(write)
''',
    "as_json": '''
def as_json() -> WrapSerializer:
    """Send a value as JSON text."""

    def write(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        return None if value is None else json.dumps(handler(value))

    return WrapSerializer(write)
''',
    "under": '''
def under(name: str) -> PlainSerializer:
    """Send a key as a member of this parameter: `name[key]`."""
    return PlainSerializer(lambda key: f"{name}[{key}]", return_type=str)
''',
    "sending": '''
def sending(**members: Any) -> WrapSerializer:
    """Set these members of the body, whatever it has for them."""

    def write(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        return {**handler(value), **members}

    return WrapSerializer(write)
''',
}


@dataclass(frozen=True, slots=True)
class Sides:
    """Which functions are written: asynchronous ones, synchronous ones, or both, these named `..._sync` then."""

    asynchronous: bool = True
    synchronous: bool = False

    @property
    def both(self) -> bool:
        """Whether each function is written twice."""
        return self.asynchronous and self.synchronous


def write_modules(
    functions: Sequence[Function],
    credentials: Sequence[Credential],
    document: Document,
    overlay: Overlay,
    models: Iterable[str],
    package: str,
    sides: Sides,
) -> dict[str, str]:
    """The sources of the modules by their names, without a header and unformatted."""
    names = frozenset(models)
    filed: dict[str, list[Function]] = {}
    for function in functions:
        filed.setdefault(module_name(function.tag) if function.tag else "", []).append(function)
    if len(functions) <= MANY or len(filed) == 1:
        filed = {"": list(functions)}
    modules: dict[str, str] = {}
    written = {tag: "\n\n".join(write_function(each, sides) for each in each_tag) for tag, each_tag in filed.items()}
    all_text = "\n".join(written.values())
    helpers = [name for name in _HELPERS if re.search(rf"\b{name}\b", all_text)]
    base_url = _base_url(document, overlay)
    client = _client(credentials, document, overlay, base_url, "\n".join(_HELPERS[each] for each in helpers))
    modules["client"] = _module(
        f"{client}\n\n{written.get('', '')}", "The client of the API, and its functions.", names, ()
    )
    for name, source in written.items():
        if name:
            tag = filed[name][0].tag
            described = _tag_doc(document, tag)
            doc = f"{tag.strip().rstrip('.')}: {described}" if described else tag
            modules[name] = _module(source, doc, names, ("client", *helpers))
    modules["__init__"] = _package(document, functions, modules, package, sides, credentials)
    return modules


def _tag_doc(document: Document, tag: str) -> str:
    tags = document.root.get("tags")
    for each in tags if isinstance(tags, list) else ():
        if isinstance(each, Mapping) and each.get("name") == tag:
            return " ".join(str(each.get("description") or "").split())
    return ""


def _module(body: str, doc: str, models: frozenset[str], from_client: tuple[str, ...]) -> str:
    """A module with the imports that its names need."""
    used = _names_in(body)
    imports = import_lines(body, IMPORTS)
    if used & models:
        imports.append(f"from .models import {', '.join(sorted(used & models))}")
    if wanted := [each for each in from_client if each in used]:
        imports.append(f"from .client import {', '.join(wanted)}")
    return f"{_docstring([doc], '')}\n\n" + "\n".join(imports) + f"\n\n{body}\n"


def import_lines(body: str, imports: Mapping[str, str]) -> list[str]:
    """The imports that the names in a source need."""
    used = _names_in(body)
    return [line for name, line in imports.items() if name in used]


def _names_in(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _package(
    document: Document,
    functions: Sequence[Function],
    modules: Mapping[str, str],
    package: str,
    sides: Sides,
    credentials: Sequence[Credential],
) -> str:
    info = document.root.get("info")
    info = info if isinstance(info, Mapping) else {}
    title = " ".join(str(info.get("title") or package).split())
    paragraphs = [f"A client of {title}.", *filter(None, [str(info.get("description") or "").strip()])]
    if functions:
        first = functions[0]
        module = next((name for name in modules if f"def {first.name}(" in modules[name]), "client")
        call = f"{'await ' if sides.asynchronous else ''}{first.name}(...)"
        paragraphs.append(
            f"Its functions are called so:\n\n    from {package}.{module} import {first.name}\n\n    result = {call}"
        )
    if credentials:
        names = ", ".join(f"`{each.variable}`" for each in credentials)
        paragraphs.append(f"Credentials come from the environment: {names}. See `make_client` in `client.py`.")
    return _docstring(paragraphs, "") + "\n"


def _base_url(document: Document, overlay: Overlay) -> tuple[str, dict[str, tuple[str, str]]]:
    """The base URL, and the variables in it with their defaults and descriptions."""
    if "base_url" in overlay.client:
        return overlay.client["base_url"], {}
    servers = document.root.get("servers")
    server = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], Mapping) else {}
    url = str(server.get("url") or "/")
    variables = dict(members_of(server.get("variables")))
    found: dict[str, tuple[str, str]] = {}
    for name in _PLACEHOLDER.findall(url):
        variable = variables.get(name)
        if not isinstance(variable, Mapping):
            default = name if re.fullmatch(r"[\w.-]+", name) else ""
            document.find(("servers", "0", "url"), f"no variable describes {{{name}}}; its default is {default!r}")
            variable = {"default": default}
        found[name] = str(variable.get("default", "")), " ".join(str(variable.get("description") or "").split())
    if "://" not in url:
        origin = "/".join(document.base.split("/")[:3]) if "://" in document.base else _DEFAULT_BASE_URL
        url = origin + "/" + url.lstrip("/")
    try:
        APIClient(base_url=_PLACEHOLDER.sub(lambda match: found[match[1]][0], url))
    except (ValueError, httpx2.InvalidURL) as error:
        document.find(("servers", "0", "url"), f"{error}; base_url is {_DEFAULT_BASE_URL!r}")
        return _DEFAULT_BASE_URL, {}
    return url.rstrip("/"), found


def _client(
    credentials: Sequence[Credential],
    document: Document,
    overlay: Overlay,
    base_url: tuple[str, Mapping[str, tuple[str, str]]],
    helpers: str,
) -> str:
    url, variables = base_url
    arguments: dict[str, str] = {}
    for name in variables:
        taken = {"base_url", "settings", *arguments.values(), *(each.argument for each in credentials)}
        arguments[name] = unique(parameter_name(name), taken)
    docs = [
        f"    {each.argument}: {each.doc} A function without parameters is called for each request. Default: the"
        f" environment's variable `{each.variable}`, if it is set."
        for each in credentials
    ]
    docs += [
        f"    {arguments[name]}: {doc or 'A part of the base URL.'} Default `{default!r}`."
        for name, (default, doc) in variables.items()
    ]
    docs.append(
        "    base_url: What comes before every path."
        + (" Default: made of the above." if variables else f" Default `{url!r}`.")
    )
    docs.append("    **settings: The other keywords of `api.APIClient`.")
    signature = [f"{each.argument}: Credential = None" for each in credentials]
    signature += [f"{arguments[name]}: str = {default!r}" for name, (default, _) in variables.items()]
    signature.append("base_url: str | None = None" if variables else f"base_url: str = {url!r}")
    lines = []
    if variables:
        # Only the names of arguments stand in braces: a document's text is never code.
        parts = _PLACEHOLDER.split(url)
        parts[::2] = [each.replace("{", "{{").replace("}", "}}") for each in parts[::2]]
        parts[1::2] = [f"{{{arguments[each]}}}" for each in parts[1::2]]
        lines += ["    if base_url is None:", f"        base_url = f{''.join(parts)!r}"]
    settings = ["base_url=base_url"]
    if credentials:
        lines += ["", "    def authenticate(request: httpx2.Request) -> httpx2.Request:"]
        for each in credentials:
            lines += [
                f"        if value := credential({each.argument}, {each.variable!r}):",
                f"            {each.send}",
            ]
        lines += ["        return request", ""]
        lines.append('    settings.setdefault("auth", authenticate)')
    # Fields that were not set are the server's to choose.
    lines.append(f"    return api.APIClient({', '.join(settings)}, exclude_unset=True, **settings)")
    doc = _docstring(["Make a client of the API.", "Parameters:\n" + "\n".join(docs)], "    ")
    source = ""
    if credentials:
        source += _CREDENTIAL
    keywords = f"{', '.join(signature)}, **settings: Unpack[api.HTTPClientSettings]"
    source += f"def make_client(*, {keywords}) -> api.APIClient:\n{doc}\n" + "\n".join(lines)
    if instance := overlay.client.get("instance"):
        module, _, name = instance.partition(":")
        made = f"from {module} import {name} as client"
        return f"{made}\n\n{helpers}\n\n{source}\n"
    return f"{helpers}\n\n{source}\n\n\nclient = make_client()\n"


_CREDENTIAL = '''
Credential = str | Callable[[], str] | None


def credential(given: Credential, variable: str) -> str | None:
    """What was given, or made by the function that was given, or is in the environment."""
    if callable(given):
        return given()
    return os.environ.get(variable) if given is None else given


'''


def write_function(function: Function, sides: Sides) -> str:
    """The source of a function, for each side."""
    wanted = [(True, function.name)] if sides.asynchronous else []
    if sides.synchronous:
        wanted.append((False, f"{function.name}_sync" if sides.both else function.name))
    return "\n\n".join(_one(function, name, is_async=is_async) for is_async, name in wanted)


def _one(function: Function, name: str, *, is_async: bool) -> str:
    method = function.method.lower()
    known = ("get", "post", "put", "patch", "delete", "head", "options")
    options = "".join(f", {key}={value}" for key, value in function.options.items())
    way = f"client.{method}(" if method in known else f"client.endpoint({function.method!r}, "
    result = function.result
    if function.is_stream:
        result = f"api.{'AsyncStream' if is_async else 'Stream'}[{result}]"
    # Without a union of error types: an error that is no part of the result is raised.
    positional = [_parameter(each) for each in function.parameters if each.is_positional]
    by_name = [_parameter(each) for each in function.parameters if not each.is_positional]
    parameters = [f"result: {result}", *positional, *(["*", *by_name] if by_name else [])]
    paragraphs = list(function.doc)
    described = [f"    {each.name}: {_one_paragraph(each.doc)}" for each in function.parameters if each.doc]
    if described:
        paragraphs.append("Parameters:\n" + "\n".join(described))
    return (
        f"@{way}{function.path!r}{options})\n"
        f"{'async ' if is_async else ''}def {name}({', '.join(parameters)}) -> {result}:\n"
        f"{_docstring(paragraphs, '    ')}\n"
        f"    return result\n"
    )


def _parameter(parameter: Parameter) -> str:
    default = "" if parameter.default is REQUIRED else f" = {parameter.default}"
    return f"{parameter.name}: {parameter.annotation}{default}"


def _one_paragraph(text: str) -> str:
    return " ".join(text.split())


def _docstring(paragraphs: Sequence[str], margin: str) -> str:
    """A docstring: the first sentence on a line of its own, as far as it fits there, the rest wrapped."""
    first, *rest = [each.strip("\n") for each in paragraphs if each.strip()]
    first = first.strip()
    if len(_one_paragraph(first)) > _WIDTH or "\n\n" in first:
        sentence = re.match(r".+?[.!?](?=\s|$)", first, re.DOTALL)
        if sentence and len(_one_paragraph(sentence[0])) <= _WIDTH and first[sentence.end() :].strip():
            rest.insert(0, first[sentence.end() :].strip())
            first = sentence[0]
    summary = _one_paragraph(first)
    summary = summary if summary.endswith((".", "!", "?", ":")) else f"{summary}."
    if len(summary) > _WIDTH:
        summary = "\n".join(textwrap.wrap(summary, **_WRAP))
    text = "\n\n".join([summary, *(_wrapped(each) for each in rest)])
    text = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    if text.endswith('"'):
        text += " "
    if "\n" in text:
        text = textwrap.indent(text, margin, lambda line: bool(line.strip())) + f"\n{margin}"
        return f'{margin}"""{text.lstrip()}"""' if not text.endswith(margin) else f'{margin}"""{text[len(margin) :]}"""'
    return f'{margin}"""{text}"""'


def _wrapped(text: str) -> str:
    """A text with no line too long; lists, tables and code keep their lines."""
    lines: list[str] = []
    is_code = False
    for line in text.splitlines():
        line = line.rstrip()
        if line.lstrip().startswith("```"):
            is_code = not is_code
        if is_code or len(line) <= _WIDTH or line.lstrip().startswith("|"):
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        hanging = indent + "    " if re.match(r"\s*(\w+:|[-*]|\d+\.) ", line) else indent
        lines += textwrap.wrap(line.strip(), initial_indent=indent, subsequent_indent=hanging, **_WRAP)
    return "\n".join(lines)
