"""Names of the document as names in Python, the same each time: of classes, functions, parameters and modules."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+|[0-9]+|[^\W_]+")
_PARTS = re.compile(r"[^\W_]+")

# What modules of the package import or define beside models, and what the generator of models imports into theirs.
_TAKEN_CLASSES = frozenset(
    """AfterValidator Annotated Any AnyUrl AsyncIterator AwareDatetime BaseModel BinaryIO ByteSize Callable
    ConfigDict Decimal Discriminator Enum Field Generic IntEnum Iterable Iterator Json Literal Mapping
    NaiveDatetime Optional Path PlainSerializer RootModel Self Sequence StrEnum StringConstraints Tag
    TypeAdapter TypeAlias TypeAliasType TypeVar UUID Union Unpack UploadFile WrapSerializer""".split()
) | frozenset(name for name in dir(builtins) if name[:1].isupper())
_TAKEN_FUNCTIONS = frozenset(
    ["api", "annotations", "client", "date", "datetime", "httpx2", "json", "make_client", "os", "time", "timedelta"]
) | frozenset(name for name in dir(builtins) if name[:1].islower())
_VERBS = frozenset(("create", "get", "post", "put", "run", "list", "generate", "send", "start", "make"))
_TAKEN_MODULES = frozenset(("client", "models"))
_INJECTED = frozenset(("result", "response", "self", "cls"))


def class_name(raw: str) -> str:
    """`user-profile` as `UserProfile`; what is in capitals stays so: `HTTPValidationError`."""
    name = "".join(part[:1].upper() + part[1:] for part in _PARTS.findall(_plain(raw)))
    name = name if name[:1].isalpha() and name.isidentifier() else f"Model{name}"
    return f"{name}Model" if name in _TAKEN_CLASSES or keyword.iskeyword(name) else name


def snake_case(raw: str) -> str:
    """`createChatCompletion` and `create-chat-completion` as `create_chat_completion`."""
    return "_".join(word.lower() for word in _WORDS.findall(_plain(raw)))


def function_name(raw: str) -> str:
    """The name of a function: nothing that Python or the module knows already."""
    return _name(raw, "call", _TAKEN_FUNCTIONS)


def parameter_name(raw: str) -> str:
    """The name of a parameter: `user-id` and `userId` as `user_id`; `result_`, since `result` is injected."""
    return _name(raw, "value", _INJECTED)


def module_name(raw: str) -> str:
    """The name of a module for a tag, none of those that every package has."""
    return _name(raw, "operations", _TAKEN_MODULES, "_operations")


def _name(raw: str, default: str, taken: Collection[str], suffix: str = "_") -> str:
    name = snake_case(raw)
    if not name.isidentifier():
        name = f"{default}_{name}".rstrip("_")
    return f"{name}{suffix}" if keyword.iskeyword(name) or name in taken else name


def _plain(raw: str) -> str:
    """The characters that names in Python may have, as Python reads them; others as spaces."""
    text = unicodedata.normalize("NFKC", raw)
    return "".join(each if f"a{each}".isidentifier() else " " for each in text)


def unique(name: str, taken: Collection[str]) -> str:
    """The name, or the first of `name_2`, `name_3` (`Name2` of a class) that is not taken."""
    separator = "" if name[:1].isupper() else "_"
    number = 2
    candidate = name
    while candidate in taken:
        candidate = f"{name.rstrip('_')}{separator}{number}"
        number += 1
    return candidate


def operation_name(operation_id: str | None, method: str, path: str) -> str:
    """What a person would call an operation.

    FastAPI makes an operation's id of the function's name, the path and a method; what it adds is taken off. Without an
    id, an operation is named by its method and path: `GET /users/{id}/keys` is `get_users_keys_by_id`.
    """
    if operation_id:
        added = re.escape(re.sub(r"\W", "_", path))  # of a route with several methods, each has the first one's id
        return function_name(re.sub(rf"(?<=.){added}_[a-z]+$", "", operation_id))
    names = re.findall(r"\{([^}]*)\}", path)
    words = [method.lower(), *(part for part in re.split(r"[/.:?=&]|\{[^}]*\}", path) if part)]
    return function_name("_".join([*words, *(["by", *names] if names else [])]))


def streaming_name(name: str) -> str:
    """The name of an operation's function that streams: `stream_chat`, beside `create_chat` that does not."""
    verb, _, rest = name.partition("_")
    return f"stream_{rest if rest and verb in _VERBS else name}"


def common_prefix_trimmed(names: Iterable[str]) -> dict[str, str]:
    """Names of schemas without what FastAPI puts before those of one name in several modules, where that is unique."""
    all_names = list(names)
    short = {name: name.rpartition("__")[2] if "__" in name.strip("_") else name for name in all_names}
    counts = [*short.values()]
    return {name: each if counts.count(each) == 1 else name for name, each in short.items()}
