"""One rule says which names are those of secrets, for redirects, messages and logs alike."""

from __future__ import annotations

import pytest
from tests.fakes import client_of
from tests.servers import answer

from clientele import api
from clientele.redaction import is_secret

SECRET = [
    *["X-Session-Id", "X-Access-Key-Id", "DPoP", "X-Hub-Signature-256", "X-Api-Key-V2", "X-Api-Key", "Authorization"],
    *[
        "Proxy-Authorization",
        "Cookie",
        "X-Auth-Token",
        "X-Amz-Security-Token",
        "X-Goog-Signature",
        "api_key_2",
        "sessionId",
    ],
    *[
        "sessionid",
        "key_id",
        "keyId",
        "accessToken",
        "OAuth2",
        "client_secret",
        "X-CSRF-Token",
        "sid",
        "x-pin",
        "userPin",
    ],
    *["X-Signature-SHA256", "X-Signature-Sha-256", "dpop", "X.Api.Key", "x api key", "password1", "X-Token-V2-Id"],
]
PUBLIC = [
    *["Accept", "Content-Type", "X-Request-Id", "X-Trace", "Last-Event-ID", "Host", "User-Agent", "author", "keyword"],
    *[
        "postcode",
        "design",
        "X-Total-256",
        "id",
        "version",
        "v2",
        "Idempotency-Keyed",
        "passenger",
        "tokenize",
        "page2",
    ],
]


@pytest.mark.parametrize("name", SECRET)
def test_a_name_of_a_secret(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_of_none(name):
    assert not is_secret(name)


@pytest.mark.parametrize("name", [name for name in SECRET if " " not in name])
def test_a_redirect_to_another_origin_leaves_it_behind(serve, name):
    there = serve(answer(b"1"))
    here = serve(answer(b"", status="307 Temporary Redirect", headers=f"Location: {there.url}/\r\n"))
    api.APIClient(here.url).request("GET", "/", int, headers={name: "hunter2", "X-Trace": "t"})
    assert [server.requests[0].header(name) for server in (here, there)] == ["hunter2", None]
    assert there.requests[0].header("X-Trace") == "t"


@pytest.mark.parametrize("name", SECRET)
def test_a_message_does_not_show_it(name):
    client = client_of(b"", status=404)
    with pytest.raises(api.HTTPStatusError) as caught:
        client.request("GET", "/", int, query={name: "hunter2"})
    assert "hunter2" not in str(caught.value)
