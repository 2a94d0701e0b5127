"""What type checkers make of a declared endpoint; checked by mypy, pyright, ty and pyrefly, never run.

The lines that must be refused carry an ignore comment, and the checkers are told to complain of one that is not needed.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import httpx2
import pydantic

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class User(pydantic.BaseModel):
    name: str


# `result` is the only parameter: the seed's form.


@client.get("/events", streaming_response=True)
async def stream_users(*, result: AsyncIterator[User]) -> AsyncIterator[User]:
    return result


@client.get("/events", streaming_response=True)
async def stream_dictionaries(*, result: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    return result


@client.get("/events", streaming_response=True)
def stream_users_sync(*, result: Iterator[User]) -> Iterator[User]:
    return result


@client.post("/events", streaming_response=True, idle_timeout=30, max_event_size=1024)
async def stream_owned(*, result: api.AsyncStream[User]) -> api.AsyncStream[User]:
    return result


@client.get("/names")
def names(*, result: list[User]) -> list[str]:
    return [user.name for user in result]


async def use_the_seeds_form() -> None:
    assert_type(await stream_users(), AsyncIterator[User])
    assert_type(await stream_dictionaries(), AsyncIterator[dict[str, Any]])
    async for user in await stream_users():
        assert_type(user, User)
    for user in stream_users_sync():
        assert_type(user, User)
    async with await stream_owned() as stream:
        assert_type(stream.last_event_id, str)
        assert_type(stream.response, httpx2.Response)
        async for user in stream:
            assert_type(user, User)
    assert_type(names(), list[str])


# `result` is keyword-only beside other parameters: the return type is kept, and no call is refused that works.


@client.post("/users")
async def add_user(data: User, *, result: User) -> User:
    return result


@client.get("/users")
def list_users(*, limit: int = 10, result: list[User]) -> list[User]:
    return result


@client.get("/users/{user_id}")
async def get_details(
    user_id: int, view: str = "full", *, result: dict[str, Any], response: httpx2.Response
) -> dict[str, Any]:
    return result


class Users:
    @client.get("/users/{user_id}")
    def get(self, user_id: int, *, result: User) -> User:
        return result


async def use_the_keyword_form() -> None:
    assert_type(await add_user(User(name="x")), User)
    assert_type(await add_user(data=User(name="x")), User)
    assert_type(list_users(limit=5), list[User])
    assert_type(await get_details(5, "short"), dict[str, Any])
    assert_type(Users().get(5), User)


# `result`, and perhaps `response`, come first: the other parameters are kept.


@client.get("/users/{user_id}")
def get_status(result: User, response: httpx2.Response, user_id: int) -> int:
    return response.status_code


@client.get("/users/{user_id}")
async def get_user(result: User, user_id: int, verbose: bool = False) -> User:
    return result


async def use_the_checked_form() -> None:
    assert_type(get_status(5), int)
    assert_type(get_status(user_id=5), int)
    assert_type(get_status.__name__, str)
    get_status("five")  # type: ignore
    get_status()  # type: ignore
    get_status(5, 6)  # type: ignore
    await get_user(5)
    await get_user(user_id=5, verbose=True)


# Options, settings, events.

client.get("/", streaming_response="yes")  # type: ignore
client.get()  # type: ignore
api.APIClient(headers={"X": "1"}, params={"a": 1}, auth=("me", "secret"), timeout=5, follow_redirects=False)
api.APIClient(timeout=httpx2.Timeout(5, read=None), limits=httpx2.Limits(max_connections=5), http2=True)
api.APIClient(transport=httpx2.MockTransport(lambda request: httpx2.Response(200)))


@client.get("/events", streaming_response=True)
def whole_events(*, result: Iterator[api.ServerSentEvent[User]]) -> Iterator[api.ServerSentEvent[User]]:
    return result


def use_events(event: api.ServerSentEvent) -> None:
    assert_type(event.data, str)
    for each in whole_events():
        assert_type(each.data, User)
        assert_type(each.id, str)
        assert_type(each.retry, int | None)


def use_errors(error: Exception) -> None:
    if isinstance(error, api.HTTPStatusError):
        assert_type(error.response, httpx2.Response)
        assert_type(error.status_code, int)
    elif isinstance(error, api.StreamDecodeError):
        assert_type(error.event, api.ServerSentEvent[str])
        assert_type(error.validation_error, pydantic.ValidationError)
        assert_type(error.items_received, int)
