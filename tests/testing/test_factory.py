"""Instances of models: what is named is taken, the rest is made."""

from __future__ import annotations

import datetime
import sys
from typing import Annotated, Literal

import pydantic
import pytest

from clientele import testing


class Address(pydantic.BaseModel):
    street: str
    number: Annotated[int, pydantic.Field(gt=0)]


class User(pydantic.BaseModel):
    name: str
    full_name: str = pydantic.Field(alias="fullName")
    born: datetime.date
    address: Address
    tags: list[str]
    kind: Literal["user"]
    secret: pydantic.SecretStr
    url: pydantic.HttpUrl


def test_what_is_named_is_taken_and_the_rest_is_made():
    user = testing.make(User, name="Ann", full_name="Ann Ex", tags=["a"])
    assert (user.name, user.full_name, user.tags, user.kind) == ("Ann", "Ann Ex", ["a"], "user")
    assert user.address.number > 0
    assert testing.make(User, name="Ann", full_name="Ann Ex", tags=["a"]) == user


def test_mistakes_are_said():
    with pytest.raises(TypeError, match=r"User has no field \['nam'\]; it has \['name'"):
        testing.make(User, nam="Ann")
    with pytest.raises(TypeError, match="pass a Pydantic model"):
        testing.make(dict)
    with pytest.raises(pydantic.ValidationError, match="born"):
        testing.make(User, born="soon")


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "polyfactory.factories.pydantic_factory", None)
    with pytest.raises(ImportError, match=r"needs the extra clientele\[testing\].*pip install polyfactory"):
        testing.make(User)
