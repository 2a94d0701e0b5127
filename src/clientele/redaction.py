"""What messages and logs may show: URLs without credentials, and foreign texts, cut and escaped."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote

import httpx2

SECRETS = "clientele.secrets"  # the extension of a request: the texts in its URL that are not to be shown

_EXCERPT_LENGTH = 500  # characters
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_NAME = re.compile(
    r"(?:(?:appid|assertion|auth|authentication|authorization|bearer|cookie|credentials?|hmac|jwt|key|oauth|otp|passcode|passphrase"
    r"|passwd|password|samlresponse|secret|session|signature|token)s?"
    r"|(?:^|_)(?:code|dpop|pass|pin|pw|pwd|sid|sig|userpass))"
    r"(?:_?(?:id|v?\d+|sha_?\d+))*$"
)
_USER_INFORMATION = re.compile(r"//[^/@\s]*@")
_QUERY_VALUE = re.compile(r"(?<=[?&])([^=&#]+)=[^&#]*")


def is_secret(name: str) -> bool:
    """Whether the name of a query parameter, header or field says that its value is a secret.

    Hyphens, underscores and capitals are alike: `X-Api-Key`, `api_key`, `apiKey`. A number, version or `id` may follow.
    """
    spellings = name, _CAMEL_CASE_BOUNDARY.sub("_", name)  # `DPoP` is one word, `userPin` is two
    return any(_SECRET_NAME.search(_SEPARATORS.sub("_", spelling.lower())) for spelling in spellings)


def printable_url(url: httpx2.URL, secrets: Collection[str] = ()) -> str:
    """A URL as it may be shown: no user information, no fragment, no query values that look like secrets.

    Parameters:
        secrets: Texts that are not to be shown in the path or the query either. Default: none.
    """
    items = url.params.multi_items()
    shown = [
        (name, "REDACTED" if value in secrets or is_secret(name) or _USER_INFORMATION.search(value) else value)
        for name, value in items
    ]
    if shown != items:
        url = url.copy_with(params=shown)
    text = str(url.copy_with(userinfo=b"", fragment=None))
    for secret in filter(None, secrets):
        path = text.find("/", len(f"{url.scheme}://"))
        for quoted in (quote(secret, safe=""), quote(secret)):
            text = text[:path] + text[path:].replace(quoted, "REDACTED")
    return text


def request_url(request: httpx2.Request) -> str:
    """The URL of a request as it may be shown, without the secrets that its call was given."""
    return printable_url(request.url, request.extensions.get(SECRETS, ()))


def printable_path(path: str) -> str:
    """A path, or a broken URL, as it may be shown."""
    shown = _USER_INFORMATION.sub("//", path)
    return _QUERY_VALUE.sub(lambda match: f"{match[1]}=REDACTED" if is_secret(match[1]) else match[0], shown)


def excerpt(text: str) -> str:
    """A foreign text, cut to a sane length, with control characters escaped."""
    shown = _CONTROL_CHARACTER.sub(lambda match: repr(match[0])[1:-1], text[:_EXCERPT_LENGTH].strip())
    rest = len(text) - _EXCERPT_LENGTH
    return f"{shown}… ({rest} more characters)" if rest > 0 else shown
