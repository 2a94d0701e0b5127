"""The options that describe a request, for every command that sends one: `stream`, `learn`.

The spelling is that of curl and HTTPie. `RequestOptions` checks what goes together; `prepared` gives
what `APIClient` and its calls take.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..headers import checked_headers, is_token
from .json_text import parse

PANEL = "Request"

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_URLENCODED = re.compile(r"[^\s=&{}\[\]\"]+=[^\s&]*(?:&[^\s=&]+=[^\s&]*)*")  # a=1&b=2
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_LOOPBACK = re.compile(
    r"(?:[^/@]*@)?(?:localhost|[^/:@]+\.localhost|127(?:\.\d+){3}|\[::1\])(?=[:/?#]|$)", re.IGNORECASE
)
_BRACES = {"{": "%7B", "}": "%7D"}


def duration(text: str) -> float:
    """Seconds, of `10s`, `500ms`, `2m`, `1.5h`, `1d`; a bare number is seconds. Raises `typer.BadParameter`."""
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds < 1e9:
        raise typer.BadParameter(f"{text!r} is no duration above 0; write 10s, 500ms, 2m or 1h")
    return seconds


def whole_url(text: str) -> str:
    """The URL, with the scheme that it lacks: `http://` for this machine, else `https://`; `:8000` is localhost's.

    A token must not cross a network in the clear because a scheme was left out.
    """
    text = text.strip()
    if not _SCHEME.match(text):
        if text.startswith(":"):
            text = f"localhost{text}"
        text = f"http://{text}" if _LOOPBACK.match(text) else f"https://{text}"
    if not re.match(r"https?://[^/?#]", text, re.IGNORECASE):
        problem = "it is no URL that can be called" if _SCHEME.match(text) else "it has no host"
        raise typer.BadParameter(f"{problem}; write http://localhost:8000/events or example.com/events")
    import httpx2

    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise typer.BadParameter(f"it is no URL: {error}") from None
    if (url.port or 0) > 65535:
        raise typer.BadParameter(f"the port {url.port} is above 65535")
    for brace, quoted in _BRACES.items():  # a direct call takes them for placeholders
        text = text.replace(brace, quoted)
    return text


URL = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        parser=whole_url,
        help="What to call. Without a scheme, http:// for this machine (localhost:8000/events, :8000/events), else "
        "https://.",
        show_default=False,
    ),
]


def _option(*names: str, help: str, **settings: Any) -> Any:  # noqa: A002
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, **settings)


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options of a request, checked.

    Attributes:
        token: What `--bearer-env` names, which is shown nowhere.
    """

    method: Annotated[
        str | None,
        _option("-X", "--method", metavar="METHOD", help="The method. Default: GET, with a body POST."),
    ] = None
    header: Annotated[
        list[str] | None,
        _option("-H", "--header", metavar="'NAME: VALUE'", help="A header; repeatable."),
    ] = None
    data: Annotated[
        str | None,
        _option(
            "-d",
            "--data",
            metavar="TEXT|@FILE|-",
            help="The body: text, a file, or what comes on stdin. JSON is "
            "labelled as JSON, a=1&b=2 as a form, unless -H names a Content-Type.",
        ),
    ] = None
    json_body: Annotated[
        str | None,
        _option("--json", metavar="JSON|@FILE|-", help="The body, which must be JSON."),
    ] = None
    form: Annotated[
        list[str] | None,
        _option("--form", metavar="NAME=VALUE", help="A field of a form; repeatable. NAME=@FILE uploads a file."),
    ] = None
    bearer_env: Annotated[
        str | None,
        _option("--bearer-env", metavar="VAR", help="The environment variable that holds the bearer token."),
    ] = None
    timeout: Annotated[
        float | None,
        _option("--timeout", metavar="TIME", parser=duration, help="How long to wait for a connection. Default: 5s."),
    ] = None
    idle_timeout: Annotated[
        float | None,
        _option(
            "--idle-timeout",
            metavar="TIME",
            parser=duration,
            help="How long the server may send nothing before the stream counts as cut. Default: for ever.",
        ),
    ] = None
    insecure: Annotated[bool, _option("-k", "--insecure", help="Trust every TLS certificate.")] = False

    def __post_init__(self) -> None:
        bodies = {"-d": self.data is not None, "--json": self.json_body is not None, "--form": bool(self.form)}
        given = [name for name, is_given in bodies.items() if is_given]
        if len(given) > 1:
            raise typer.BadParameter(f"{' and '.join(given)} both give the body; leave one out")
        if self.method is not None and not is_token(self.method):
            raise typer.BadParameter(f"-X {self.method!r} is no method; write -X POST")
        if self.method is not None and self.method.upper() in ("HEAD", "CONNECT"):
            raise typer.BadParameter(f"the answer to {self.method.upper()} has no body, so it is no stream")
        if self.bearer_env is not None and any(name.lower() == "authorization" for name, _ in self.headers):
            raise typer.BadParameter("--bearer-env and -H 'Authorization: …' both say who you are; leave one out")
        if self.form and any(name.lower() == "content-type" for name, _ in self.headers):
            raise typer.BadParameter("--form says the Content-Type itself; leave it out of -H")
        _ = self.token  # which must be there

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of `-H`."""
        pairs = [_header(number, each) for number, each in enumerate(self.header or (), 1)]
        _checked(pairs)
        return pairs

    @property
    def token(self) -> str | None:
        """What `--bearer-env` names."""
        if self.bearer_env is None:
            return None
        token = os.environ.get(self.bearer_env, "").strip()
        if not token:
            cure = f"set it (read -rs {self.bearer_env} && export {self.bearer_env}), and name it without $"
            raise typer.BadParameter(f"--bearer-env: the environment variable {self.bearer_env!r} is not set; {cure}")
        if not token.isascii() or not token.isprintable():
            raise typer.BadParameter(f"--bearer-env: the value of {self.bearer_env!r} cannot be sent in a header")
        return token

    def prepared(self, last_event_id: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
        """The keywords of the `APIClient` that sends it, `headers` among them; and those of `APIClient.stream`.

        Reads files and stdin.

        Parameters:
            last_event_id: The event to go on behind; `""` to begin at the start.

        Raises:
            typer.BadParameter: A file cannot be read, or the JSON is none.
        """
        headers = self.headers
        if self.token is not None:
            headers.append(("Authorization", f"Bearer {self.token}"))
        arguments: dict[str, Any] = {}
        content_type = None
        if self.data is not None:
            arguments["data"] = content = _content(self.data, "-d")
            content_type = _content_type(content)
        elif self.json_body is not None:
            arguments["data"] = content = _content(self.json_body, "--json")
            content_type = "application/json"
            try:
                parse(content.decode())
            except ValueError as error:
                raise typer.BadParameter(f"--json: it is no JSON: {error}; quote it: --json '{{\"a\": 1}}'") from None
        elif self.form:
            arguments |= _form(self.form)
        if content_type is not None and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", content_type))
        if self.idle_timeout is not None:
            arguments["idle_timeout"] = self.idle_timeout
        if last_event_id:
            headers.append(("Last-Event-ID", last_event_id))
        settings: dict[str, Any] = {"headers": _checked(headers)}
        if self.timeout is not None:
            settings["timeout"] = self.timeout
        if self.insecure:
            settings["verify"] = False
        return settings, arguments

    @property
    def has_body(self) -> bool:
        """Whether the request has a body."""
        return self.data is not None or self.json_body is not None or bool(self.form)

    @property
    def method_or_default(self) -> str:
        """The method; `POST` where there is a body, else `GET`."""
        return (self.method or ("POST" if self.has_body else "GET")).upper()


def _checked(headers: list[tuple[str, str]]) -> Any:
    try:
        return checked_headers(headers)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _header(number: int, text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not is_token(name.strip()):
        # Nothing of the text is shown: it may be a secret whose name was forgotten.
        raise typer.BadParameter(f"-H number {number} has no name and colon; write -H 'Name: value'")
    return name.strip(), value.strip()


def _content(text: str, option: str) -> bytes:
    """The bytes of a body: of a file, of stdin, or of the text itself."""
    try:
        if text == "-" or text == "@-":
            return sys.stdin.buffer.read()
        if text.startswith("@"):
            return Path(text[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{option}: {text[1:]!r} cannot be read: {error.strerror}") from None
    return text.encode("utf-8", "surrogateescape")


def _content_type(content: bytes) -> str:
    """What a body is labelled as where the caller does not say it."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    try:
        parse(text)
    except ValueError:
        return (
            "application/x-www-form-urlencoded" if _URLENCODED.fullmatch(text.strip()) else "text/plain; charset=utf-8"
        )
    return "application/json"


def _form(fields: list[str]) -> dict[str, Any]:
    """The fields and files of a form, as calls take them."""
    values: dict[str, list[str]] = {}
    files: list[tuple[str, Any]] = []
    for each in fields:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--form {name!r}: a field is a name, = and a value: --form 'name=value'")
        if value.startswith("@"):
            files.append((name, (Path(value[1:]).name, _content(value, "--form"))))
        else:
            values.setdefault(name, []).append(value)
    arguments: dict[str, Any] = {}
    if values or not files:
        arguments["form"] = {name: each[0] if len(each) == 1 else each for name, each in values.items()}
    if files:
        arguments["files"] = files
    return arguments
