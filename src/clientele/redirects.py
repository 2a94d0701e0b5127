"""Rules for requests that httpx2 sends again, as event hooks of its clients.

- A redirect from https to http is refused: anybody on the way could read it.
- Credentials stay with their origin. httpx2 removes `Authorization`; the hooks remove other headers whose names look
  like secrets, and cookies that were given for no domain.
- A body that can be sent only once is not sent again, neither for a redirect nor for `auth=`.
- The body of a redirect in place of a stream is not read: no timeout of a stream would end that.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any

import httpx2

from .bodies import StreamedBody
from .exceptions import IS_STREAM
from .redaction import is_secret, printable_url

_ORIGIN = "clientele.origin"  # the extension of a redirected request: the origin of the first


class RefusedRedirect(httpx2.RequestError):
    """A redirect leads from https to http, or to something that is no URL."""


def redirect_hooks(cookies: CookieJar, *, is_async: bool, is_following: bool) -> dict[str, list[Callable[..., Any]]]:
    """The event hooks of a client, for its cookies and its handling of redirects."""

    def check(request: httpx2.Request) -> None:
        if isinstance(request.stream, StreamedBody):
            request.stream.check()
        if _ORIGIN in request.extensions:
            _keep_credentials(request, cookies)

    async def acheck(request: httpx2.Request) -> None:
        check(request)

    hooks: dict[str, list[Callable[..., Any]]] = {"request": [acheck if is_async else check]}
    if is_following:
        hooks["response"] = [_acheck_redirect if is_async else _check_redirect]
    return hooks


def _keep_credentials(request: httpx2.Request, cookies: CookieJar) -> None:
    origin, target = request.extensions[_ORIGIN], request.url.origin
    if target == origin:
        return
    ports = (origin.scheme, origin.port, target.scheme, target.port)
    if origin.host == target.host and ports == ("http", 80, "https", 443):
        return
    names = [name.decode("latin-1") for name, _ in request.headers.raw]  # as they were spelled
    for name in filter(is_secret, names):
        request.headers.pop(name, None)
    kept = httpx2.Cookies()
    for cookie in cookies:
        if cookie.domain:
            kept.jar.set_cookie(cookie)
    kept.set_cookie_header(request)


def _check_redirect(response: httpx2.Response) -> None:
    if response.has_redirect_location and _is_to_leave(response):
        response.close()
        _empty(response)


async def _acheck_redirect(response: httpx2.Response) -> None:
    if response.has_redirect_location and _is_to_leave(response):
        await response.aclose()
        _empty(response)


def _is_to_leave(response: httpx2.Response) -> bool:
    """Refuse a redirect, or note where the first request went; whether its body came in place of a stream."""
    request = response.request
    try:
        target = request.url.join(response.headers["Location"])
    except httpx2.InvalidURL as error:
        raise RefusedRedirect(f"the server redirects to what is no URL: {error}", request=request) from error
    if (request.url.scheme, target.scheme) == ("https", "http"):
        found = f"the server redirects to {printable_url(target)}, where everybody on the way could read along"
        raise RefusedRedirect(f"{found}; if the call is to go there, give that address itself", request=request)
    request.extensions.setdefault(_ORIGIN, request.url.origin)
    return IS_STREAM in request.extensions


def _empty(response: httpx2.Response) -> None:
    """Let httpx2 read an empty body from a response that was left."""
    response.is_closed = False
    response.stream = httpx2.ByteStream(b"")
