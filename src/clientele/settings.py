"""The keywords of `httpx2.Client` that `APIClient` takes, and their checks."""

from __future__ import annotations

import math
import ssl
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import CookieJar
from importlib.util import find_spec
from typing import Any, TypeAlias, TypedDict

import httpx2

from .headers import HeaderTypes, checked_headers
from .proxies import checked_proxy
from .validation import Check, instance_check

Primitive: TypeAlias = str | int | float | bool | None
QueryParamTypes: TypeAlias = (
    httpx2.QueryParams | Mapping[str, Primitive | Sequence[Primitive]] | Sequence[tuple[str, Primitive]] | str
)
CookieTypes: TypeAlias = httpx2.Cookies | CookieJar | dict[str, str] | list[tuple[str, str]]
AuthTypes: TypeAlias = tuple[str, str] | Callable[[httpx2.Request], httpx2.Request] | httpx2.Auth
TimeoutTypes: TypeAlias = float | tuple[float | None, float | None, float | None, float | None] | httpx2.Timeout | None


class HTTPClientSettings(TypedDict, total=False):
    """The keywords of `httpx2.Client` that an `APIClient` takes, for synchronous and asynchronous calls.

    They have httpx2's meaning and defaults. One default differs: redirects are followed.

    Attributes:
        headers: Headers of every request. Default: none.
        params: Query parameters of every request. Default: none.
        cookies: Cookies of every request; servers may set more. Default: none.
        auth: A user name and password, or any `httpx2.Auth`. Default `None`.
        timeout: Timeouts in seconds: one for all, or `httpx2.Timeout`. The read timeout does not apply to streams.
            Default 5.
        follow_redirects: Whether redirects are followed. Default `True`.
        max_redirects: How many redirects of one request are followed. Default 20.
        verify: An `ssl.SSLContext`, or `False` to trust every certificate. Default `True`: those of the system.
        trust_env: Whether proxies and certificates are taken from environment variables. Default `True`.
        http1: Whether to use HTTP/1.1. Default `True`.
        http2: Whether to use HTTP/2 where the server agrees over TLS; needs the extra `clientele[http2]`. With
            `http1=False`, HTTP/2 is spoken without asking. Default `False`.
        proxy: The URL of a proxy for all requests. Default: the environment's.
        mounts: Transports for some URLs, by pattern. Default: none.
        limits: How many connections may be open. Default: 100, of which 20 are kept when idle.
        event_hooks: Lists of functions to call with every `"request"` and `"response"`. Default: none.
        default_encoding: The encoding of text that does not name its own. Default `"utf-8"`.
    """

    headers: HeaderTypes
    params: QueryParamTypes
    cookies: CookieTypes
    auth: AuthTypes
    timeout: TimeoutTypes
    follow_redirects: bool
    max_redirects: int
    verify: ssl.SSLContext | bool
    trust_env: bool
    http1: bool
    http2: bool
    proxy: str | httpx2.URL | httpx2.Proxy
    mounts: Mapping[str, httpx2.BaseTransport | httpx2.AsyncBaseTransport | None]
    limits: httpx2.Limits
    event_hooks: Mapping[str, list[Callable[..., Any]]]
    default_encoding: str | Callable[[bytes], str | None]


def checked_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that httpx2 cannot use.

    Raises:
        ImportError: HTTP/2 is asked for, and its package is missing.
        TypeError: A setting is of another type.
        ValueError: A setting is out of its range; or a header cannot be sent.
    """
    for name, value in settings.items():
        if name in _CHECKS and (value is not None or name not in _MAY_BE_NONE):
            _CHECKS[name](name, value)
    if not settings.get("http1", True) and not settings.get("http2", False):
        raise ValueError("http1 and http2 are both False; one of them must be spoken")


def _check_headers(name: str, value: Any) -> None:
    checked_headers(value)


def _check_proxy(name: str, value: Any) -> None:
    if not isinstance(value, httpx2.Proxy):
        checked_proxy(value, name)


def _check_auth(name: str, value: Any) -> None:
    is_pair = isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, str | bytes) for each in value)
    if not (is_pair or callable(value) or isinstance(value, httpx2.Auth)):
        shown = f"a tuple of {len(value)}" if isinstance(value, tuple) else f"of type {type(value).__name__}"
        raise TypeError(f"auth is {shown}; it is (user name, password), httpx2.Auth, or a function of a request")


def check_timeout(name: str, value: Any) -> None:
    """Refuse a value that is no timeout. A timeout is seconds, four of them, `httpx2.Timeout` or `None`."""
    parts = value.as_dict().values() if isinstance(value, httpx2.Timeout) else value
    is_one = not isinstance(parts, tuple | abc.ValuesView)
    numbers: list[Any] = [each for each in ([parts] if is_one else parts) if each is not None]
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers) or (
        isinstance(parts, tuple) and len(parts) != 4
    ):
        raise TypeError(f"{name} is {value!r}; it is a number of seconds, httpx2.Timeout(...) or None")
    if not all(0 <= each < math.inf for each in numbers):
        raise ValueError(f"{name} is {value!r}; each number is 0 or more, and finite: write None for no timeout")


def _check_mounts(name: str, value: Any) -> None:
    _of(Mapping, "a mapping of URL patterns to transports")(name, value)
    for pattern, transport in value.items():
        if not isinstance(transport, httpx2.BaseTransport | httpx2.AsyncBaseTransport | None):
            raise TypeError(
                f"mounts[{pattern!r}] is of type {type(transport).__name__}; it is an httpx2 transport or None"
            )


def _check_event_hooks(name: str, value: Any) -> None:
    _of(Mapping, "a mapping of 'request' and 'response' to lists of functions")(name, value)
    for event, hooks in value.items():
        if event not in ("request", "response") or not isinstance(hooks, list | tuple) or not all(map(callable, hooks)):
            raise TypeError(
                f"event_hooks has {event!r}: {hooks!r}; it maps 'request' and 'response' to lists of functions"
            )


def _check_http2(name: str, value: Any) -> None:
    _of(bool, "True or False")(name, value)
    if value and find_spec("h2") is None:
        raise ImportError("http2=True needs the extra clientele[http2], the package h2: run pip install h2")


def _check_max_redirects(name: str, value: Any) -> None:
    _of(int, "a number")(name, value)
    if value < 0:
        raise ValueError(f"max_redirects is {value}; it is 0 or more")


def _check_params(name: str, value: Any) -> None:
    _of((str, Mapping, Sequence, httpx2.QueryParams), "a mapping, pairs, or a text")(name, value)
    _refuse_masked(name, value)


def _check_cookies(name: str, value: Any) -> None:
    _of((httpx2.Cookies, CookieJar, dict, list), "a dict, pairs, httpx2.Cookies or a CookieJar")(name, value)
    _refuse_masked(name, value)


def _refuse_masked(name: str, value: Any) -> None:
    """Refuse Pydantic's secrets, which httpx2 would write as stars."""
    items = value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for key, each in items:
        if any(hasattr(one, "get_secret_value") for one in (each if isinstance(each, list | tuple) else [each])):
            raise TypeError(f"{name}[{key!r}] is of type {type(each).__name__}; pass text: value.get_secret_value()")


_of = instance_check
_MAY_BE_NONE = ("headers", "params", "cookies", "auth", "timeout", "proxy", "mounts", "event_hooks")
_CHECKS: dict[str, Check] = {
    "headers": _check_headers,
    "params": _check_params,
    "cookies": _check_cookies,
    "auth": _check_auth,
    "timeout": check_timeout,
    "follow_redirects": _of(bool, "True or False"),
    "max_redirects": _check_max_redirects,
    "verify": _of((ssl.SSLContext, bool), "True, False, or a context, as ssl.create_default_context(cafile=...) makes"),
    "trust_env": _of(bool, "True or False"),
    "http1": _of(bool, "True or False"),
    "http2": _check_http2,
    "proxy": _check_proxy,
    "mounts": _check_mounts,
    "limits": _of(httpx2.Limits, "httpx2.Limits(...)"),
    "event_hooks": _check_event_hooks,
    "default_encoding": _of((str, Callable), "the name of an encoding, or a function of the content"),
}
