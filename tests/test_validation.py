"""What an annotation is, under what is wrapped around it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Protocol

import pydantic
import pytest
from typing_extensions import TypeAliasType

from clientele.validation import accepts_none, base_type, covers, json_decoder

pytestmark = pytest.mark.every_python

Name = NewType("Name", str)
Alias = TypeAliasType("Alias", Annotated[Name, "documented"])


class Unasked(Protocol):
    """A protocol that does not say at run time what is one."""

    x: int


@pytest.mark.parametrize("annotation", [str, Name, Annotated[str, 1], Alias, Annotated[Alias, 1]])
def test_the_base_type_is_what_is_under_aliases_and_annotations(annotation):
    assert base_type(annotation) is str


@pytest.mark.parametrize("annotation", [None, type(None), Any, object, int | None, Annotated[int | None, 1]])
def test_types_that_accept_none(annotation):
    assert accepts_none(annotation)


@pytest.mark.parametrize("annotation", [int, str, int | str, list[None], Alias])
def test_types_that_do_not_accept_none(annotation):
    assert not accepts_none(annotation)


def test_undecodable_bytes_in_json_are_replaced_as_in_text():
    decode = json_decoder(list[str])
    assert decode(b'["a\xff", "\xe2\x82"]') == ["a\ufffd", "\ufffd"]
    with pytest.raises(pydantic.ValidationError):
        decode(b"[1]")
    with pytest.raises(pydantic.ValidationError):
        decode(b"\xff")


@pytest.mark.parametrize(
    ("annotation", "part", "is_covered"),
    [
        (str, Literal["a", "b"], True),
        (int, Literal["a"], False),
        (Literal["a", "b"], Literal["a"], True),
        (Literal["a"], str, False),
        (float, int, True),
        (int, float, False),
        (int, bool, True),
        (Sequence[int], list[int], True),
        (Sequence[int], list[str], False),
        (dict[str, Any], dict, True),
        (Mapping[str, int], dict[str, str], False),
        (Hashable, str, True),
        (Unasked, str, False),
    ],
)
def test_a_type_covers_those_whose_values_are_its_own(annotation, part, is_covered):
    assert covers(annotation, part) is is_covered
