"""Annotations that name what does not exist yet: they are resolved at the declaration, or else at the first call."""

from __future__ import annotations

import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pydantic
import pytest
from tests.fakes import client_of

pytestmark = pytest.mark.every_python

LATER = """
class Filter(pydantic.BaseModel):
    name: str

class User(pydantic.BaseModel):
    name: str
"""
AT_MODULE_LEVEL = """
@client.post("/")
def find(result: {User}, data: {Filter}, response: {Response}) -> {User}:
    return result
"""
IN_A_CLASS = """
class API:
    @staticmethod
    @client.post("/")
    def find(result: {User}, data: {Filter}, response: {Response}) -> {User}:
        return result

find = API.find
"""
IN_A_FUNCTION = """
def declare():
    @client.post("/")
    def find(result: {User}, data: {Filter}, response: {Response}) -> {User}:
        return result

    return find

find = declare()
"""
PLACES = pytest.mark.parametrize("place", [AT_MODULE_LEVEL, IN_A_CLASS, IN_A_FUNCTION])
FORMS = pytest.mark.parametrize(
    ("head", "form"),
    [
        pytest.param("from __future__ import annotations", "{}", id="future"),
        pytest.param("", "'{}'", id="texts"),
        pytest.param(
            "",
            "{}",
            id="bare",
            marks=pytest.mark.skipif(sys.version_info < (3, 14), reason="they are evaluated at once"),
        ),
    ],
)


def declared(head: str, place: str, form: str, *, response: str = "httpx2.Response") -> dict[str, Any]:
    """The namespace of a module whose function names types that it does not define."""
    client = client_of(b"{}")
    names = {"User": form.format("User"), "Filter": form.format("Filter"), "Response": form.format(response)}
    module = {"client": client, "pydantic": pydantic, "httpx2": httpx2}
    exec(f"{head}\n{textwrap.dedent(place).format(**names)}", module)
    return module


@FORMS
@PLACES
def test_a_type_that_is_defined_later_is_found_at_the_first_call(head, place, form):
    module = declared(head, place, form)
    exec(LATER.replace("name: str", "name: str = 'Ann'"), module)

    assert module["find"](module["Filter"]()) == module["User"](name="Ann")


@FORMS
@PLACES
def test_a_type_that_is_never_defined_is_named_with_the_cure_at_the_first_call(head, place, form):
    module = declared(head, place, form)
    assert {"data", "return"} <= module["find"].__annotations__.keys()

    unresolved = r"find\(\): an annotation cannot be resolved: .*'(User|Filter)'.*; import or define"
    with pytest.raises(TypeError, match=unresolved):
        module["find"](5)


@FORMS
@PLACES
def test_the_type_of_the_response_need_not_exist_at_run_time(head, place, form):
    module = declared(head, place, form, response="OnlyForTypeCheckers")
    exec(LATER.replace("name: str", "name: str = 'Ann'"), module)

    assert module["find"](module["Filter"]()).name == "Ann"


@FORMS
def test_two_first_calls_at_once_both_find_it(head, form):
    module = declared(head, AT_MODULE_LEVEL, form)
    exec(LATER.replace("name: str", "name: str = 'Ann'"), module)
    begin = threading.Barrier(8)

    def call() -> Any:
        begin.wait()
        return module["find"](module["Filter"]())

    with ThreadPoolExecutor(8) as threads:
        results = [future.result() for future in [threads.submit(call) for _ in range(8)]]

    assert {result.name for result in results} == {"Ann"}
