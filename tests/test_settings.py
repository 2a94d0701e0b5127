"""What a client is made of is checked when it is made, and says what is wrong."""

from __future__ import annotations

import httpx2
import pydantic
import pytest

from clientele import api


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("headers", 5, "headers are of type int; pass a mapping, pairs"),
        ("headers", {"X-A": 1}, "the value of the header 'X-A' is of type int; pass text"),
        ("headers", {5: "a"}, "a header has the name 5; pass text"),
        ("headers", ["a"], "headers are pairs of a name and a value"),
        ("headers", {"X A": "a"}, "'X A' cannot be the name of a header"),
        ("headers", {b"X-A": b"a\n"}, "the value of the header 'X-A' has an LF in it"),
        ("headers", {"X-Key": pydantic.SecretStr("hunter2")}, "SecretStr; pass text: value.get_secret_value()"),
        ("params", {"key": pydantic.SecretStr("hunter2")}, "params['key'] is of type SecretStr; pass text: value.get"),
        ("params", [("key", [pydantic.SecretStr("hunter2")])], "params['key'] is of type list; pass text: value.get"),
        ("cookies", {"sid": pydantic.SecretStr("hunter2")}, "cookies['sid'] is of type SecretStr; pass text"),
        ("params", 5, "params is 5; it is a mapping"),
        ("cookies", "a=b", "cookies is 'a=b'; it is a dict"),
        ("auth", ("a",), "auth is a tuple of 1; it is (user name, password)"),
        ("auth", ("user", 5), "auth is a tuple of 2; it is (user name, password)"),
        ("auth", "user:hunter2", "auth is of type str; it is (user name, password)"),
        ("timeout", "5", "timeout is '5'; it is a number of seconds"),
        ("timeout", (1, 2), "timeout is (1, 2); it is a number of seconds"),
        ("timeout", True, "timeout is True; it is a number of seconds"),
        ("timeout", -1, "timeout is -1; each number is 0 or more"),
        ("timeout", float("nan"), "timeout is nan; each number is 0 or more, and finite: write None"),
        ("timeout", (1, None, -0.5, 3), "timeout is (1, None, -0.5, 3); each number is 0 or more"),
        ("timeout", httpx2.Timeout(5, read=float("inf")), "each number is 0 or more, and finite"),
        ("follow_redirects", "yes", "follow_redirects is 'yes'; it is True or False"),
        ("max_redirects", "x", "max_redirects is 'x'; it is a number"),
        ("max_redirects", -1, "max_redirects is -1; it is 0 or more"),
        ("verify", "cert.pem", "verify is 'cert.pem'; it is True, False, or a context"),
        ("trust_env", None, "trust_env is None; it is True or False"),
        ("http1", False, "http1 and http2 are both False"),
        ("http2", 1, "http2 is 1; it is True or False"),
        ("proxy", 5, "proxy is of type int; it is a URL"),
        ("mounts", 5, "mounts is 5; it is a mapping"),
        ("mounts", {"all://": "http://proxy"}, "mounts['all://'] is of type str; it is an httpx2 transport"),
        ("limits", 5, "limits is 5; it is httpx2.Limits(...)"),
        ("event_hooks", {"request": print}, "event_hooks has 'request': "),
        ("event_hooks", {"requests": []}, "event_hooks has 'requests': []"),
        ("default_encoding", 5, "default_encoding is 5; it is the name of an encoding"),
    ],
)
def test_a_setting_that_no_client_can_be_made_of_is_refused(name, value, problem):
    with pytest.raises((TypeError, ValueError)) as caught:
        api.APIClient("http://test", **{name: value})
    assert problem in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("timeout", ["5", (1, 2), True, -1, float("nan"), httpx2.Timeout(-1)])
def test_a_timeout_of_an_endpoint_or_a_call_is_held_to_the_same(timeout):
    client = api.APIClient("http://test")
    with pytest.raises((TypeError, ValueError), match=r"timeout is .*; (it is a number of|each number is)"):
        client.get("/", timeout=timeout)
    with pytest.raises((TypeError, ValueError), match=r"timeout is .*; (it is a number of|each number is)"):
        client.request("GET", "/", None, timeout=timeout)


@pytest.mark.parametrize(
    "settings",
    [
        {"headers": {b"X-A": b"a"}},
        {"headers": [(b"X-A", "a")]},
        {"headers": httpx2.Headers({"X-A": "a"})},
        {"params": "a=b", "cookies": [("a", "b")], "auth": (b"a", b"b"), "timeout": (1, None, 2.5, 3)},
        {"params": [("a", 1)], "auth": lambda request: request, "timeout": None, "proxy": None, "mounts": None},
        {"mounts": {"https://": None}, "limits": httpx2.Limits(max_connections=1), "event_hooks": {"request": [print]}},
    ],
)
def test_what_httpx2_takes_is_taken(settings):
    api.APIClient("http://test", **settings)
