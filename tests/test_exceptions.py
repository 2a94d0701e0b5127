"""What exceptions say, carry, and keep to themselves."""

from __future__ import annotations

import copy
import pickle

import httpx2
import pydantic
import pytest

from clientele import api
from clientele.exceptions import type_name
from clientele.redaction import excerpt, printable_url

pytestmark = pytest.mark.every_python


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@host/path", "http://host/path"),
        ("http://host/?q=a&limit=1", "http://host/?q=a&limit=1"),
        ("http://host/?q=a&api_key=secret&b=c", "http://host/?q=a&api_key=REDACTED&b=c"),
        ("http://host/?access_token=secret", "http://host/?access_token=REDACTED"),
        ("http://host/?accessToken=secret", "http://host/?accessToken=REDACTED"),
        ("http://host/?apikey=secret", "http://host/?apikey=REDACTED"),
        ("http://host/?key=secret&key=secret", "http://host/?key=REDACTED&key=REDACTED"),
        ("http://host/?X-Amz-Signature=secret", "http://host/?X-Amz-Signature=REDACTED"),
        ("http://host/?clientsecret=x&sessiontoken=x", "http://host/?clientsecret=REDACTED&sessiontoken=REDACTED"),
        ("http://host/?hapikey=x&sid=x&pin=x", "http://host/?hapikey=REDACTED&sid=REDACTED&pin=REDACTED"),
        ("http://host/?next=http://u:secret@other/", "http://host/?next=REDACTED"),
        ("http://host/path#token=secret", "http://host/path"),
        ("http://host/?password=secret", "http://host/?password=REDACTED"),
        (
            "http://host/?code=secret&postcode=1&keyword=2&design=3",
            "http://host/?code=REDACTED&postcode=1&keyword=2&design=3",
        ),
    ],
)
def test_a_url_is_shown_without_credentials(url, shown):
    assert printable_url(httpx2.URL(url)) == shown


@pytest.mark.parametrize(
    "mistake",
    [
        lambda client, url: client.request("GET", f"{url}:abc/?api_key=SECRET", int),
        lambda client, url: client.request("GET", f"{url}/?a=1&api_key=SECRET#b", int, headers={"X": "a\n"}),
        lambda client, url: client.request("GET", f"{url}/{{x}}?api_key=SECRET", int, path_params={"x": ""}),
        lambda client, url: client.request("GET", f"{url}/?api_key=SECRET", int, unknown=1),
        lambda client, url: client.stream("GET", f"{url}/?api_key=SECRET", int, unknown=1),
        lambda client, url: client.get(f"{url}/?api_key=SECRET", unknown=1),
        lambda client, url: client.get(f"{url}/?api_key=SECRET", response_map=5),
    ],
)
def test_a_mistake_in_a_call_to_a_whole_url_shows_none_of_its_credentials(mistake):
    with pytest.raises((TypeError, ValueError), match=r"^GET http://host.*api_key=REDACTED") as caught:
        mistake(api.APIClient(), "http://someone:SECRET@host")
    assert "SECRET" not in str(caught.value)


def test_no_message_shows_a_credential(serve):
    from tests.servers import answer

    server = serve(answer(b"denied", status="401 Unauthorized", content_type="text/plain"))
    url = server.url.replace("//", "//someone:SECRET@")
    client = api.APIClient(base_url=url, headers={"X-Api-Key": "SECRET"}, params={"token": "SECRET"})

    @client.get("/")
    def get(headers: dict[str, str], *, result: str) -> str:
        return result

    with pytest.raises(api.HTTPStatusError) as caught:
        get({"Authorization": "Bearer SECRET"})
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in repr(caught.value)
    assert "SECRET" not in repr(client)
    assert caught.value.url == f"{server.url}/?token=REDACTED"


def test_a_header_that_cannot_be_written_is_not_shown(serve):
    class Auth(httpx2.Auth):
        def auth_flow(self, request):
            request.headers["Authorization"] = "Bearer SECRET\n"
            yield request

    client = api.APIClient(base_url=serve(b"").url, auth=Auth())

    @client.get("/")
    def get(*, result: str) -> str:
        return result

    with pytest.raises(api.TransportError, match="the header 'Authorization' has a CR, LF") as caught:
        get()
    assert "SECRET" not in str(caught.value)


def test_text_from_elsewhere_is_cut_and_its_control_characters_are_escaped():
    assert excerpt(" a\nb\x1b[31m\x9bü ") == "a\\nb\\x1b[31m\\x9bü"
    assert excerpt("x" * 600) == "x" * 500 + "… (100 more characters)"


def test_a_body_that_is_no_text_is_not_shown():
    response = httpx2.Response(
        500, content=b"\x89PNG", headers={"Content-Type": "image/png"}, request=httpx2.Request("GET", "http://host/")
    )
    assert str(api.HTTPStatusError(response)) == "GET http://host/: 500 Internal Server Error: 4 bytes of image/png"


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "int"),
        (list[int], "list[int]"),
        (list[api.ServerSentEvent], "list[ServerSentEvent]"),
        (int | None, "int | None"),
        (type(None), "None"),
    ],
)
def test_a_type_is_named_as_it_is_written(annotation, name):
    assert type_name(annotation) == name


def test_only_the_first_mismatches_are_listed():
    class Model(pydantic.BaseModel):
        a: int
        b: int
        c: int
        d: int
        e: int
        f: int
        g: int

    response = httpx2.Response(200, json={}, request=httpx2.Request("GET", "http://host/"))
    with pytest.raises(pydantic.ValidationError) as caught:
        Model.model_validate({})
    message = str(api.ResponseValidationError(response, expected=Model, validation_error=caught.value))
    assert "a: Field required; b: Field required" in message
    assert "e: Field required; and 2 more" in message


def make_exceptions() -> list[api.APIException]:
    request = httpx2.Request("GET", "http://host/")
    response = httpx2.Response(200, text="body", request=request)
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(int).validate_json("x")
    place = {"response": response, "items_received": 3, "last_event_id": "7"}
    return [
        api.TransportError("broken", request=request),
        api.HTTPStatusError(response),
        api.ResponseValidationError(response, expected=int, validation_error=caught.value),
        api.StreamInterrupted("cut", request=request, **place),
        api.StreamDecodeError(
            event=api.ServerSentEvent("x"), event_number=1, expected=int, validation_error=caught.value, **place
        ),
        api.UnexpectedContentType(response, problem="", cure="declare it so"),
        api.EventTooLarge(event_number=1, max_event_size=5, **place),
    ]


@pytest.mark.parametrize("error", make_exceptions(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"]
)
def test_exceptions_can_be_copied_and_sent_elsewhere(error, duplicate):
    twin = duplicate(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.__dict__.keys() == error.__dict__.keys()
    assert twin.url == "http://host/"
    assert getattr(twin, "items_received", 0) == getattr(error, "items_received", 0)


@pytest.mark.parametrize("error", make_exceptions(), ids=lambda error: type(error).__name__)
def test_all_exceptions_have_one_root(error):
    assert isinstance(error, api.APIException)
    assert (error.method, error.url) == ("GET", "http://host/")
