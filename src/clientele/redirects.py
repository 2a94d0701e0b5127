"""What httpx2 leaves open where it follows redirects, as event hooks of its clients.

- A request from https to http is refused: everybody on the way could read along.
- Credentials stay with the origin that they were given for. httpx2 sees to `Authorization`; here it is every header
  whose name says that its value is a secret, and cookies that were given for no domain.
- The body of a redirect in place of a stream is not read: a stream has no timeout that could end it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.cookiejar import CookieJar
from typing import Any

import httpx2

from .exceptions import IS_STREAM
from .redaction import is_secret, printable_url
from .wire.steps import run, settled

_ORIGIN = "clientele.origin"  # the extension of a redirected request: the origin of the first


class RefusedRedirect(httpx2.RequestError):
    """A redirect leads from https to http, or to what is no URL."""


def redirect_hooks(cookies: CookieJar) -> dict[str, list[Callable[..., Any]]]:
    """The event hooks of a client that has these cookies. An asynchronous one must await what they return."""

    def keep_credentials(request: httpx2.Request) -> None:
        origin = request.extensions.get(_ORIGIN)
        if origin is None or (target := request.url.origin) == origin:
            return
        ports = (origin.scheme, origin.port, target.scheme, target.port)
        if origin.host == target.host and ports == ("http", 80, "https", 443):
            return
        for name in [name for name in request.headers if is_secret(name)]:
            del request.headers[name]
        kept = httpx2.Cookies()
        for cookie in cookies:
            if cookie.domain:
                kept.jar.set_cookie(cookie)
        kept.set_cookie_header(request)

    return {"request": [keep_credentials], "response": [_check_redirect]}


def _check_redirect(response: httpx2.Response) -> Awaitable[None] | None:
    """Refuse a redirect, or note where the first request went; leave the body if that was a stream's."""
    if not response.has_redirect_location:
        return None
    request = response.request
    try:
        target = request.url.join(response.headers["Location"])
    except httpx2.InvalidURL as error:
        raise RefusedRedirect(f"the server redirects to what is no URL: {error}", request=request) from error
    if (request.url.scheme, target.scheme) == ("https", "http"):
        found = f"the server redirects to {printable_url(target)}, where everybody on the way could read along"
        raise RefusedRedirect(f"{found}; if the call is to go there, give that address itself", request=request)
    request.extensions.setdefault(_ORIGIN, request.url.origin)
    if IS_STREAM not in request.extensions:
        return None
    is_async = isinstance(response.stream, httpx2.AsyncByteStream)
    leaving = _leave_body(response, response.aclose if is_async else response.close)
    return leaving if is_async else run(leaving)


async def _leave_body(response: httpx2.Response, close: Callable[[], Any]) -> None:
    """Close a response, and let httpx2 read it as if its body were empty."""
    await settled(close())
    response.is_closed = False
    response.stream = httpx2.ByteStream(b"")
