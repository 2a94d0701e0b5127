"""What httpx2 leaves open where it follows redirects, as event hooks of its clients.

- A request from https to http is refused: everybody on the way could read along.
- Credentials stay with the origin that they were given for. httpx2 sees to `Authorization`; here it is every header
  whose name says that its value is a secret, and cookies that were given for no domain.
- The body of a redirect in place of a stream is not read: a stream has no timeout that could end it.
"""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import Any

import httpx2

from .exceptions import IS_STREAM, is_secret, printable_url

_ORIGIN = "clientele.origin"
"""The extension of a redirected request: the origin of the first, which the credentials were given for."""


class RefusedRedirect(httpx2.RequestError):
    """A redirect leads from https to http, or to what is no URL."""


class RedirectGuard:
    """The event hooks of one client.

    Parameters:
        cookies: The client's cookies.
    """

    def __init__(self, cookies: CookieJar) -> None:
        self._cookies = cookies

    def hooks(self) -> dict[str, list[Any]]:
        """Those of a synchronous client."""
        return {"request": [self._keep_credentials], "response": [self._check]}

    def async_hooks(self) -> dict[str, list[Any]]:
        """Those of an asynchronous client."""
        return {"request": [self._akeep_credentials], "response": [self._acheck]}

    def _keep_credentials(self, request: httpx2.Request) -> None:
        origin = request.extensions.get(_ORIGIN)
        if origin is None or request.url.origin == origin or _is_upgrade(origin, request.url.origin):
            return
        for name in [name for name in request.headers if is_secret(name)]:
            del request.headers[name]
        cookies = httpx2.Cookies()
        for cookie in self._cookies:
            if cookie.domain:
                cookies.jar.set_cookie(cookie)
        cookies.set_cookie_header(request)

    async def _akeep_credentials(self, request: httpx2.Request) -> None:
        self._keep_credentials(request)

    def _check(self, response: httpx2.Response) -> None:
        if response.has_redirect_location:
            _check_target(response)
            if IS_STREAM in response.request.extensions:
                response.close()
                _empty(response)

    async def _acheck(self, response: httpx2.Response) -> None:
        if response.has_redirect_location:
            _check_target(response)
            if IS_STREAM in response.request.extensions:
                await response.aclose()
                _empty(response)


def _is_upgrade(origin: httpx2.Origin, other: httpx2.Origin) -> bool:
    """Whether it is the same host, by https now."""
    ports = (origin.scheme, origin.port, other.scheme, other.port)
    return origin.host == other.host and ports == ("http", 80, "https", 443)


def _check_target(response: httpx2.Response) -> None:
    """Refuse a redirect from https to http, or to nowhere; for any other, note where the first request went.

    Raises:
        RefusedRedirect: It is one of the two.
    """
    request = response.request
    try:
        target = request.url.join(response.headers["Location"])
    except httpx2.InvalidURL as error:
        raise RefusedRedirect(f"the server redirects to what is no URL: {error}", request=request) from error
    if (request.url.scheme, target.scheme) == ("https", "http"):
        raise RefusedRedirect(
            f"the server redirects to {printable_url(target)}, where everybody on the way could read along; "
            "if the call is to go there, give that address itself",
            request=request,
        )
    request.extensions.setdefault(_ORIGIN, request.url.origin)


def _empty(response: httpx2.Response) -> None:
    """Let httpx2 read a closed response as if its body were empty."""
    response.is_closed = False
    response.stream = httpx2.ByteStream(b"")
