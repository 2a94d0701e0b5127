"""Numbers and texts of JSON that Pydantic's own parser would change: `Decimal`, halves of surrogate pairs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pydantic
import pytest

from clientele import api
from clientele.validation import json_decoder

LONG = "0.12345678901234567890123456789"


class Price(pydantic.BaseModel):
    p: Decimal


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    p: Decimal
    f: float = 0.5


class StrictDate(pydantic.BaseModel):
    p: Decimal
    d: Annotated[datetime.date, pydantic.Field(strict=True)]


class Mixed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    p: Decimal
    x: Any = None
    y: list[Any] = []


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Decimal, LONG, Decimal(LONG)),
        (Price, f'{{"p":{LONG}}}', Price(p=Decimal(LONG))),
        (Strict, f'{{"p":{LONG},"f":0.25}}', Strict(p=Decimal(LONG), f=0.25)),
        (Strict, f'{{"p":{LONG},"f":1.5e3}}', Strict(p=Decimal(LONG), f=1500.0)),
        (
            StrictDate,
            f'{{"p":-{LONG},"d":"2026-01-02"}}',
            StrictDate(p=Decimal(f"-{LONG}"), d=datetime.date(2026, 1, 2)),
        ),
        (Strict, f'{{"p":{LONG},"q":"\\\\","r":"\\"{LONG}"}}', Strict(p=Decimal(LONG))),
        (dict[str, Price], f'{{"\\"{LONG}":{{"p":1.10}}}}', {f'"{LONG}': Price(p=Decimal("1.10"))}),
    ],
)
def test_a_decimal_keeps_its_digits(annotation, text, value):
    assert json_decoder(annotation)(text.encode()) == value


def test_a_number_elsewhere_is_a_plain_one():
    made = json_decoder(Mixed)(b'{"p":1.50,"x":1.50,"y":[2.5,{"a":3.5}],"z":{"b":4.5}}')
    assert str(made.p) == "1.50"
    floats = [made.x, made.y[0], made.y[1]["a"], made.z["b"]]
    assert [(type(each), each) for each in floats] == [(float, 1.5), (float, 2.5), (float, 3.5), (float, 4.5)]


@pytest.mark.parametrize("annotation", [Mixed, dict[str, Any]])
@pytest.mark.parametrize("data", [rb'{"p":1.5,"x":"\ud83d"}', b'{"p":1.5,"x":"\xed\xa0\xbd"}'])
def test_half_a_surrogate_pair_is_replaced_beside_decimals_too(annotation, data):
    made = json_decoder(annotation)(data)
    text = made["x"] if isinstance(made, dict) else made.x
    assert set(text) == {"\N{REPLACEMENT CHARACTER}"}


class Early(pydantic.BaseModel):
    p: "Late"  # noqa: F821, UP037  # which is not defined when the endpoints are declared


@pytest.fixture
def declared(fake):
    @fake.client.get("/", streaming_response=True)
    def stream(*, result: Iterator[Early]) -> Iterator[Early]:
        return result

    @fake.client.get("/")
    def get(*, result: Early) -> Early:
        return result

    return stream, get


def test_a_model_may_be_completed_after_the_endpoint_is_declared(fake, declared):
    stream, get = declared
    Early.model_rebuild(_types_namespace={"Late": Decimal})
    fake.on(stream).streams(f'{{"p":{LONG}}}')
    fake.on(get).returns(f'{{"p":{LONG}}}'.encode(), headers={"Content-Type": "application/json"})
    assert [each.p for each in stream()] == [Decimal(LONG)]
    assert get().p == Decimal(LONG)


def test_problem_details_take_what_is_no_text(fake):
    for content in (rb'{"title":"no \ud83d"}', b'{"title":"no \xff"}'):
        fake.on("GET", "/").returns(content, status=400, headers={"Content-Type": "application/problem+json"}, times=1)
        with pytest.raises(api.HTTPStatusError) as caught:
            fake.client.request("GET", "/", dict)
        assert caught.value.problem == api.ProblemDetails(title="no \N{REPLACEMENT CHARACTER}")
