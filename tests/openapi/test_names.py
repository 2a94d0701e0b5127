"""Names of documents as names in Python."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clientele.openapi.names import (
    class_name,
    function_name,
    module_name,
    operation_name,
    parameter_name,
    snake_case,
    streaming_name,
    unique,
)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("User", "User"),
        ("user-profile", "UserProfile"),
        ("HTTPValidationError", "HTTPValidationError"),
        ("Page_Item_", "PageItem"),
        ("foo.bar.Baz", "FooBarBaz"),
        ("Item-Input", "ItemInput"),
        ("Literal", "LiteralModel"),
        ("BaseModel", "BaseModelModel"),
        ("None", "NoneModel"),
        ("Exception", "ExceptionModel"),
        ("2Fast", "Model2Fast"),
        ("", "Model"),
        ("größe", "Größe"),
    ],
)
def test_classes(raw, name):
    assert class_name(raw) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("createChatCompletion", "create_chat_completion"),
        ("list-users", "list_users"),
        ("getHTTPStatus", "get_http_status"),
        ("import", "import_"),
        ("list", "list_"),
        ("client", "client_"),
        ("api", "api_"),
        ("123", "call_123"),
        ("$", "call"),
        ("users.list", "users_list"),
        ("v1GetUser", "v1_get_user"),
    ],
)
def test_functions(raw, name):
    assert function_name(raw) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("user-id", "user_id"),
        ("X-Request-ID", "x_request_id"),
        ("filter[name]", "filter_name"),
        ("from", "from_"),
        ("result", "result_"),
        ("response", "response_"),
        ("self", "self_"),
        ("type", "type"),
        ("_", "value"),
        ("3d", "value_3d"),
    ],
)
def test_parameters(raw, name):
    assert parameter_name(raw) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Fine-tuning", "fine_tuning"),
        ("Models", "models_operations"),
        ("client", "client_operations"),
        ("import", "import_operations"),
    ],
)
def test_modules(raw, name):
    assert module_name(raw) == name


@pytest.mark.parametrize(
    ("operation_id", "method", "path", "name"),
    [
        ("sse_items_sse_items_get", "GET", "/sse/items", "sse_items"),
        ("get_user_users__user_id__get", "GET", "/users/{user_id}", "get_user"),
        ("root__get", "GET", "/", "root"),
        ("createUser", "POST", "/users", "create_user"),
        ("_users_get", "GET", "/users", "users_get"),
        (None, "GET", "/users", "get_users"),
        (None, "GET", "/users/{id}/keys/{key_id}", "get_users_keys_by_id_key_id"),
        (None, "POST", "/v1/{name}:generate", "post_v1_generate_by_name"),
        (None, "GET", "/", "get"),
    ],
)
def test_operations(operation_id, method, path, name):
    assert operation_name(operation_id, method, path) == name


@pytest.mark.parametrize(
    ("name", "streaming"), [("create_chat", "stream_chat"), ("chat", "stream_chat"), ("create", "stream_create")]
)
def test_functions_that_stream(name, streaming):
    assert streaming_name(name) == streaming


def test_collisions_are_numbered_in_their_order():
    assert unique("a", {"a"}) == "a_2"
    assert unique("a_", {"a_", "a_2"}) == "a_3"
    assert unique("A", {"A", "A2"}) == "A3"


@given(st.text())
def test_every_name_is_one(raw):
    for name in (class_name(raw), function_name(raw), parameter_name(raw), module_name(raw)):
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
    assert snake_case(raw) == snake_case(raw).lower() or not raw.isascii()
