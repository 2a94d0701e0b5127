"""What is sent is what was given: secrets, numbers that JSON does not have, values that do not fit, optional fields."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import io
import logging
import math
import re
import traceback
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import IO, Annotated, Any, BinaryIO, Generic, Literal, NotRequired, TypeVar

import pydantic
import pytest
from pydantic_core import core_schema
from tests.fakes import Recorder
from typing_extensions import TypedDict

from clientele import api

SECRET = "hunter2"
T = TypeVar("T")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def post(recorder: Recorder, annotation: Any, value: Any, **options: Any) -> Any:
    def send(data, *, result: None) -> None: ...

    send.__annotations__["data"] = annotation
    recorder.client.post("/", **options)(send)(value)
    return recorder.sent


# Secrets.


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (pydantic.SecretStr, pydantic.SecretStr(SECRET)),
        (pydantic.SecretStr | None, pydantic.SecretStr(SECRET)),
        (pydantic.SecretBytes, pydantic.SecretBytes(SECRET.encode())),
        (pydantic.Secret[str], pydantic.Secret(SECRET)),
        (list[pydantic.SecretStr], [pydantic.SecretStr(SECRET)]),
        (Annotated[pydantic.SecretStr, pydantic.Field(min_length=1)], pydantic.SecretStr(SECRET)),
        (Any, pydantic.SecretStr(SECRET)),
    ],
)
@pytest.mark.parametrize("marker", [api.Query("q"), api.Header("X-Key"), api.Cookie("c"), api.Form("f")])
def test_a_secret_is_sent_as_it_is(recorder, annotation, value, marker):
    if isinstance(marker, api.Cookie) and isinstance(value, list):
        pytest.skip("a cookie is a single value")

    def send(value: Annotated[annotation, marker], *, result: None) -> None: ...

    recorder.client.post("/")(send)(value)
    request = recorder.request
    sent = [request.url.params.get("q"), request.headers.get("X-Key"), request.headers.get("Cookie")]
    assert f"{SECRET}" in [each and each.removeprefix("c=") for each in (*sent, request.content[2:].decode())]


def test_secrets_in_mappings_and_bodies_are_sent_too(recorder):
    @recorder.client.post("/{token}")
    def send(
        token: pydantic.SecretStr, headers: dict[str, pydantic.SecretStr], data: pydantic.SecretStr, *, result: None
    ):
        return result

    secret = pydantic.SecretStr(SECRET)
    send(secret, {"X-Key": secret}, secret)
    assert recorder.request.url.path == f"/{SECRET}"
    assert recorder.request.headers["X-Key"] == SECRET
    assert recorder.request.content == SECRET.encode()


def test_direct_calls_send_secrets(recorder):
    secret = pydantic.SecretStr(SECRET)
    recorder.client.request(
        "POST", "/", None, data={"a": [secret], "b": "c"}, headers={"X-Key": secret}, query={"q": secret}
    )
    assert recorder.sent == {"a": [SECRET], "b": "c"}
    assert recorder.request.headers["X-Key"] == recorder.request.url.params["q"] == SECRET


def test_members_of_a_body_are_sent(recorder):
    @recorder.client.post("/")
    def send(user: Annotated[str, api.Body()], password: Annotated[pydantic.SecretStr, api.Body()], *, result: None):
        return result

    send("ann", pydantic.SecretStr(SECRET))
    assert recorder.sent == {"user": "ann", "password": SECRET}


def test_stars_that_are_meant_are_sent(recorder):
    assert post(recorder, dict, {"a": "**********"}) == {"a": "**********"}
    recorder.client.request("GET", "/", None, query={"a": "**********"})
    assert recorder.request.url.params["a"] == "**********"


class Masking(pydantic.BaseModel):
    password: pydantic.SecretStr


@dataclasses.dataclass
class MaskingData:
    passwords: list[pydantic.SecretStr]


class MaskingDict(TypedDict):
    password: pydantic.SecretBytes


class Outer(pydantic.BaseModel):
    inner: Masking | None = None


class Open(pydantic.BaseModel):
    password: pydantic.SecretStr

    @pydantic.field_serializer("password")
    def reveal(self, password: pydantic.SecretStr) -> str:
        return password.get_secret_value()


class Unsent(pydantic.BaseModel):
    password: pydantic.SecretStr = pydantic.Field(exclude=True)
    name: str


class Encoded(pydantic.BaseModel):
    image: pydantic.Base64Bytes


class DerivedMasking(Unsent):
    token: pydantic.SecretStr


@pytest.mark.parametrize("annotation", [Masking, MaskingData, MaskingDict, Outer, list[Masking], Masking | None])
@pytest.mark.parametrize("marker", [api.Body(), api.Form(), api.Query()])
def test_a_model_that_would_mask_its_secret_is_refused_where_it_is_declared(recorder, annotation, marker):
    def send(value: Annotated[annotation, marker], *, result: None) -> None: ...

    with pytest.raises(
        TypeError, match=r"send\(\): parameter 'value': a secret in .* sent as stars; give it a serializer"
    ):
        recorder.client.post("/")(send)


def test_a_model_that_writes_its_secret_is_sent(recorder):
    assert post(recorder, Open, Open(password=SECRET)) == {"password": SECRET}
    assert post(recorder, Unsent, Unsent(password=SECRET, name="a")) == {"name": "a"}
    image = Encoded(image=b"aGk=")
    assert post(recorder, Encoded, image) == image.model_dump(mode="json")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, Masking(password=SECRET)),
        (dict, {"a": [Masking(password=SECRET)]}),
        (Unsent, DerivedMasking(password="a", token=SECRET, name="b")),
    ],
)
def test_a_model_that_masks_and_shows_only_when_it_is_sent_is_refused_then(recorder, annotation, value):
    with pytest.raises(TypeError, match=r"argument 'data' cannot be sent: .*a secret would be sent as stars") as caught:
        post(recorder, annotation, value)
    assert SECRET not in str(caught.value)
    assert recorder.request is None


def test_secrets_of_the_url_are_shown_nowhere(caplog):
    caplog.set_level(logging.INFO, "clientele")
    recorder = Recorder(status=503)

    @recorder.client.get("/hooks/{token}", retry=api.Retry(attempts=2, initial_delay=0))
    def call(token: pydantic.SecretStr, q: pydantic.SecretStr, *, result: None) -> None: ...

    with pytest.raises(api.HTTPStatusError) as caught:
        call(pydantic.SecretStr("a/b"), pydantic.SecretStr(SECRET))
    assert recorder.request.url.params["q"] == SECRET
    assert caught.value.url == "http://test/hooks/REDACTED?q=REDACTED"
    records = [record.getMessage() for record in caplog.records if record.name == "clientele"]
    assert records != []
    for text in (str(caught.value), *records):
        assert SECRET not in text
        assert "a%2Fb" not in text


# What JSON has no number for.


class Price(pydantic.BaseModel):
    value: float
    note: str | None = None


class Written(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="strings")
    value: float
    note: str | None = None


@pytest.mark.parametrize(
    ("annotation", "value", "place"),
    [
        (Price, Price(value=math.nan), "value: nan"),
        (list[Price], [Price(value=1), Price(value=math.inf)], "1.value: inf"),
        (dict[str, float], {"a": -math.inf}, "a: -inf"),
        (Any, {"a": [1, math.nan]}, "a.1: nan"),
        (float, math.nan, "nan"),
    ],
)
def test_what_json_has_no_number_for_is_refused_with_its_place(recorder, annotation, value, place):
    with pytest.raises(TypeError, match=f"argument 'data' cannot be sent: {place} is no number in JSON"):
        post(recorder, annotation, value)
    assert recorder.request is None


def test_a_member_and_a_direct_call_are_refused_too(recorder):
    @recorder.client.post("/")
    def send(a: Annotated[float, api.Body()], b: Annotated[float, api.Body()], *, result: None) -> None: ...

    with pytest.raises(TypeError, match="argument 'b' cannot be sent: nan is no number in JSON"):
        send(1.0, math.nan)
    with pytest.raises(TypeError, match="argument 'data' cannot be sent: nan is no number in JSON"):
        recorder.client.request("POST", "/", None, data=math.nan)
    assert recorder.request is None


def test_a_model_that_writes_such_numbers_as_text_is_sent(recorder):
    assert post(recorder, Written, Written(value=math.nan)) == {"value": "NaN", "note": None}
    assert post(recorder, Price, Price(value=1.5)) == {"value": 1.5, "note": None}


@pytest.mark.parametrize("annotation", [float, Any])
@pytest.mark.parametrize(("value", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_in_a_query_they_are_text(recorder, annotation, value, text):
    def get(value: annotation, *, result: None) -> None: ...

    recorder.client.get("/")(get)(value)
    assert recorder.request.url.params["value"] == text
    recorder.client.request("GET", "/", None, query={"value": value})
    assert recorder.request.url.params["value"] == text


# What does not fit its annotation.


class Currency(Price):
    code: str


class Empty(pydantic.BaseModel):
    kind: Literal["empty"] = "empty"


class Sold(pydantic.BaseModel):
    kind: Literal["sold"] = "sold"


class Connection(pydantic.BaseModel):
    dsn: pydantic.PostgresDsn


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


@dataclasses.dataclass
class Named:
    name: str


class Search(TypedDict):
    q: str
    page_size: NotRequired[Annotated[int, pydantic.Field(alias="pageSize")]]


class Color(enum.StrEnum):
    RED = "red"


class Word:
    """A type with a schema of its own, whose values are not what they are made of."""

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        written = core_schema.plain_serializer_function_ser_schema(lambda word: word.text)
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(), serialization=written)


def refuse(value: Any) -> Any:
    raise ValueError("never")


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (int, "xyz", "it should be a valid integer, got str"),
        (str, 5, "it should be a valid string, got int"),
        (list[int], "abc", "it should be a valid list, got str"),
        (list[int], [1, "b"], "1: it should be a valid integer, got str"),
        (Price, 5, "it should be an instance of Price, got int"),
        (Price, {"value": 1.0}, "it should be an instance of Price, got dict"),
        (Price, Price.model_construct(value="x"), "value: expected float, got str"),
        (Price, Empty(), "it should be an instance of Price, got Empty"),
        (Price | None, Empty(), "it should be an instance of Price, got Empty"),
        (Price | Named, Empty(), "an instance of Price, got Empty; it should be an instance of Named, got Empty"),
        (Named, Price(value=1), "it should be an instance of Named, got Price"),
        (Price, Named("a"), "it should be an instance of Price, got Named"),
        (Page[int], Empty(), "it should be an instance of Page, got Empty"),
        (Literal["a", "b"], SECRET, "it should be 'a' or 'b'"),
        (Annotated[int, pydantic.Field(gt=0)], -1, "it should be greater than 0"),
        (Annotated[str, pydantic.AfterValidator(refuse)], "text", "value error, never"),
        (datetime.date, datetime.datetime(2026, 1, 1, 12), "it should be a valid date, got datetime"),
        (uuid.UUID, SECRET, "it should be an instance of UUID, got str"),
        (pydantic.SecretStr, SECRET, "it should be an instance of SecretStr, got str"),
        (pydantic.Secret[str], SECRET, "it should be an instance of Secret, got str"),
        (pydantic.HttpUrl, f"http://u:{SECRET}@h/", "expected HttpUrl, got str"),
        (pydantic.PostgresDsn, f"postgres://u:{SECRET}@h/", "expected PostgresDsn, got str"),
        (Connection, Connection.model_construct(dsn=f"postgres://u:{SECRET}@h/"), "expected PostgresDsn, got str"),
    ],
)
@pytest.mark.parametrize("marker", [api.Query(), api.Body(embed=True), api.Form()])
def test_a_value_that_does_not_fit_its_annotation_is_refused_unsent_and_unshown(
    recorder, annotation, value, problem, marker
):
    def send(value: Annotated[annotation, marker], *, result: None) -> None: ...

    with pytest.raises(TypeError) as caught:
        recorder.client.post("/")(send)(value)
    assert str(caught.value).startswith("test_a_value_that_does_not_fit")
    assert "argument 'value' cannot be sent: " in str(caught.value)
    assert problem in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert recorder.request is None


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (Search, {}, "q: field required"),
        (Search, {"q": "a", "limit": 5}, "limit: extra inputs are not permitted"),
        (Search, {"q": 5}, "q: it should be a valid string, got int"),
        (dict[str, int], {"a": "b"}, "a: it should be a valid integer, got str"),
        (list[Price], [Empty()], "0: it should be an instance of Price, got Empty"),
        (list[Price], (Price(value=1),), "it should be a valid list, got tuple"),
        (Annotated[Sold | Empty, pydantic.Field(discriminator="kind")], 5, "it should be an instance of Sold, got int"),
    ],
)
def test_what_is_in_a_body_has_to_fit(recorder, annotation, value, problem):
    with pytest.raises(TypeError, match=re.escape(f"argument 'data' cannot be sent: {problem}")):
        post(recorder, annotation, value)
    assert recorder.request is None


# Pydantic's schemas are made of the same words as these names and values.
SCHEMA_WORDS = ("choices", "cls", "default", "expected", "fields", "function", "metadata", "serialization", "type")
Worded: Any = pydantic.create_model("Worded", **dict.fromkeys(SCHEMA_WORDS, (float, ...)))
WordedDict: Any = TypedDict("WordedDict", dict.fromkeys(SCHEMA_WORDS, Price))
Tagged = Annotated[
    Annotated[Sold, pydantic.Tag("type")] | Annotated[Empty, pydantic.Tag("default")],
    pydantic.Discriminator(lambda value: "type" if isinstance(value, Sold) else "default"),
]


@pytest.mark.parametrize(
    ("annotation", "value", "sent"),
    [
        (Worded, Worded(**dict.fromkeys(SCHEMA_WORDS, 1)), dict.fromkeys(SCHEMA_WORDS, 1.0)),
        (
            WordedDict,
            dict.fromkeys(SCHEMA_WORDS, Price(value=1)),
            {word: {"value": 1.0, "note": None} for word in SCHEMA_WORDS},
        ),
        (Tagged, Empty(), {"kind": "empty"}),
        (Annotated[dict[str, str], pydantic.Field(default={"type": "model"})], {"type": "a"}, {"type": "a"}),
        (Literal["type", "model"], "model", "model"),
    ],
)
def test_what_is_named_as_pydantic_names_its_own_is_sent(recorder, annotation, value, sent):
    assert post(recorder, Annotated[annotation, api.Body(embed=True)], value) == {"data": sent}


@pytest.mark.parametrize("name", SCHEMA_WORDS)
def test_what_is_named_so_has_to_fit_and_hides_nothing(recorder, name):
    others = {each: Price(value=1) for each in SCHEMA_WORDS if each != name}
    with pytest.raises(TypeError, match=f"{name}: it should be an instance of Price, got Empty"):
        post(recorder, WordedDict, {**others, name: Empty()})
    model = pydantic.create_model("Model", **{name: (dict[str, pydantic.SecretStr], ...)})
    with pytest.raises(TypeError, match="a secret in Model would be sent as stars"):
        post(recorder, model, model(**{name: {"key": SECRET}}))
    model = pydantic.create_model("Model", **{name: (float, ...)})
    with pytest.raises(TypeError, match=f"{name}: nan is no number in JSON"):
        post(recorder, model, model(**{name: float("nan")}))


@pytest.mark.parametrize(
    ("annotation", "value", "sent"),
    [
        (Price, Currency(value=1, code="EUR"), {"value": 1.0, "note": None, "code": "EUR"}),
        (Page[int], Page(items=[1]), {"items": [1]}),
        (Search, {"q": "a", "page_size": 5}, {"q": "a", "pageSize": 5}),
        (pydantic.Json[list[int]], [1], [1]),
        (Annotated[int, pydantic.BeforeValidator(refuse)], 5, 5),
        (Annotated[int, pydantic.WrapValidator(lambda value, handler: handler(value.strip()))], 5, 5),
        (Annotated[Named, pydantic.PlainValidator(refuse), pydantic.PlainSerializer(vars)], Named("a"), {"name": "a"}),
        (Word, Word("a"), "a"),
        (pydantic.HttpUrl, pydantic.HttpUrl("http://h/"), "http://h/"),
        (pydantic.Base64Str, "text", "dGV4dA=="),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (Set[int], {1}, [1]),
        (Set[int], frozenset([1]), [1]),
        (Sequence[float], [1, 2.5], [1.0, 2.5]),
        (Color, Color.RED, "red"),
        (Annotated[Sold | Empty, pydantic.Field(discriminator="kind")], Empty(), {"kind": "empty"}),
        (str, Color.RED, "red"),
        (float, 1, 1.0),
        (int, True, 1),
        (Iterable[int], [1], [1]),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (int | list[str], ["a"], ["a"]),
        (Price, Price(value=1), {"value": 1.0, "note": None}),
    ],
)
def test_a_value_that_fits_is_sent(recorder, annotation, value, sent):
    assert post(recorder, Annotated[annotation, api.Body(embed=True)], value) == {"data": sent}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Literal["a"], "b"), (Annotated[str, pydantic.Field(min_length=2)], "b"), (str | Price, b"b")],
)
def test_a_text_is_held_against_all_that_its_annotation_says(recorder, annotation, value):
    with pytest.raises(TypeError, match="argument 'data' cannot be sent: "):
        post(recorder, annotation, value)
    assert recorder.request is None


@pytest.mark.parametrize("value", ["text", b"bytes", bytearray(b"x"), iter([b"a"]), io.BytesIO(b"a")])
@pytest.mark.parametrize("annotation", [Price, Price | None, dict[str, int], list[str], int])
def test_what_is_sent_as_it_is_has_to_fit_too(recorder, annotation, value):
    def send(data: annotation, *, result: None) -> None: ...

    with pytest.raises(TypeError, match=r"argument 'data' cannot be sent: expected .*, got \w+"):
        recorder.client.post("/")(send)(value)
    assert recorder.request is None


@pytest.mark.parametrize("value", [{"a": 1}, [b"a"], 5])
@pytest.mark.parametrize(
    "annotation", [BinaryIO, Iterator[bytes], bytes | BinaryIO, bytearray, bytes | IO[bytes] | None]
)
def test_what_is_sent_as_it_is_is_never_written_as_json(recorder, annotation, value):
    def send(data: annotation, *, result: None) -> None: ...

    with pytest.raises(TypeError, match=f"argument 'data' cannot be sent: expected .*, got {type(value).__name__}"):
        recorder.client.post("/")(send)(value)
    assert recorder.request is None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "text"),
        (bytes | BinaryIO, b"text"),
        (bytes | BinaryIO, io.BytesIO(b"text")),
        (bytes | Iterator[bytes] | None, iter([b"text"])),
        (str | Price, "text"),
        (bytes | None, b"text"),
        (Literal["text"], "text"),
        (bytearray, bytearray(b"text")),
        (Iterable[bytes], iter([b"text"])),
        (Iterator[bytes], iter([b"text"])),
        (BinaryIO, io.BytesIO(b"text")),
        (IO[bytes], io.BytesIO(b"text")),
        (io.BytesIO, io.BytesIO(b"text")),
        (Any, "text"),
        (object, b"text"),
        (Annotated[str, pydantic.Field(min_length=1)], "text"),
    ],
)
def test_what_fits_is_sent_as_it_is(recorder, annotation, value):
    def send(data: annotation, *, result: None) -> None: ...

    recorder.client.post("/")(send)(value)
    assert recorder.request.content == b"text"


# Fields that are left out.


class Change(pydantic.BaseModel):
    name: str | None = None
    age: int | None = 5


@pytest.mark.parametrize(
    ("exclude", "sent"),
    [
        ({}, {"name": None, "age": 5}),
        ({"exclude_unset": True}, {"name": None}),
        ({"exclude_none": True}, {"age": 5}),
        ({"exclude_unset": True, "exclude_none": True}, {}),
    ],
)
def test_fields_are_left_out_by_the_body_the_endpoint_the_client_or_the_call(exclude, sent):
    change, recorder = Change(name=None), Recorder()
    assert post(recorder, Annotated[Change, api.Body(**exclude)], change) == sent
    assert post(recorder, Change, change, **exclude) == sent
    assert post(Recorder(**exclude), Change, change) == sent
    recorder.client.request("PATCH", "/", None, data=change, **exclude)
    assert recorder.sent == sent


def test_the_nearer_one_wins():
    recorder = Recorder(exclude_unset=True)
    change = Change(name="a")
    assert post(recorder, Change, change) == {"name": "a"}
    assert post(recorder, Change, change, exclude_unset=False) == {"name": "a", "age": 5}
    assert post(recorder, Annotated[Change, api.Body(exclude_unset=False)], change) == {"name": "a", "age": 5}


def test_a_member_and_a_form_leave_them_out(recorder):
    @recorder.client.patch("/", exclude_unset=True)
    def send(change: Annotated[Change, api.Body(embed=True)], *, result: None) -> None: ...

    send(Change(name="a"))
    assert recorder.sent == {"change": {"name": "a"}}

    @recorder.client.patch("/", exclude_unset=True)
    def submit(change: Annotated[Change, api.Form()], *, result: None) -> None: ...

    submit(Change(name="a"))
    assert recorder.request.content == b"name=a"
