"""What type checkers make of all that a stream can carry; checked by mypy, pyright, ty and pyrefly, never run."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Annotated, Any, assert_type

import httpx2
import pydantic

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class User(pydantic.BaseModel):
    name: str


class NotFound(pydantic.BaseModel):
    detail: str


class Overloaded(Exception):
    def __init__(self, event: api.ServerSentEvent) -> None:
        super().__init__(event.data)


# Whole events, comments, named events.


@client.get("/events", streaming_response=True)
def events_and_comments(
    *, result: Iterator[api.ServerSentEvent[User] | api.Comment]
) -> Iterator[api.ServerSentEvent[User] | api.Comment]:
    return result


@client.get(
    "/events",
    streaming_response=True,
    event_map={"user": User, "not_found": NotFound, "ping": None, "error": Overloaded, "*": dict[str, Any]},
    until=lambda event: event.event == "end" and event.data == "",
)
async def named(
    *, result: AsyncIterator[User | NotFound | dict[str, Any]]
) -> AsyncIterator[User | NotFound | dict[str, Any]]:
    return result


async def use_events() -> None:
    for frame in events_and_comments():
        match frame:
            case api.Comment(text):
                assert_type(text, str)
            case api.ServerSentEvent(data=user):
                assert_type(user, User)
    async for item in await named():
        assert_type(item, User | NotFound | dict[str, Any])


def refuse_to_change(event: api.ServerSentEvent, comment: api.Comment) -> None:
    event.data = ""  # type: ignore
    comment.text = ""  # type: ignore


# The call of an asynchronous stream can be iterated, entered and awaited; its return type is kept.


@client.get("/events", streaming_response=True)
async def checked(result: AsyncIterator[User], topic: str) -> AsyncIterator[User]:
    return result


@client.get("/events", streaming_response=True)
async def with_response(result: api.AsyncStream[User], response: httpx2.Response, topic: str) -> api.AsyncStream[User]:
    return result


@client.get("/events", streaming_response=True)
async def counted(result: AsyncIterator[User]) -> int:
    return len([user async for user in result])


async def use_pending() -> None:
    async for user in checked("news"):
        assert_type(user, User)
    async for user in await checked(topic="news"):
        assert_type(user, User)
    async with checked("news") as users:
        assert_type(users, AsyncIterator[User])
    assert_type(await checked("news"), AsyncIterator[User])
    assert_type(await asyncio.create_task(checked("news")), AsyncIterator[User])
    async with with_response("news") as stream:
        assert_type(stream, api.AsyncStream[User])
        assert_type(stream.last_event_id, str)
    async for user in client.astream("GET", "/events", User):
        assert_type(user, User)
    assert_type(await counted(), int)
    async for item in named():
        assert_type(item, User | NotFound | dict[str, Any])


async def misuse_pending() -> None:
    checked(5)  # type: ignore
    for user in checked("news"):  # type: ignore
        print(user)
    async for number in counted():  # type: ignore
        print(number)


# Options.


def replacement(error: api.StreamDecodeError) -> User:
    return User(name=error.event.data)


client.get("/", streaming_response=True, until="[DONE]", on_invalid="skip", stream_format="jsonl")
client.get("/", streaming_response=True, on_invalid=replacement, response_parser=User.model_validate_json)
client.get("/", streaming_response=True, on_invalid=lambda error: error.event.data)
client.get("/", response_map={200: User, 404: NotFound}, response_parser=lambda response: response.json())
client.get("/", retry=api.Retry(attempts=5, on_retry=lambda attempt: print(attempt.number, attempt.url)))
client.get("/", retry=3)  # type: ignore
client.get("/", streaming_response=True, stream_format="xml")  # type: ignore
client.get("/", streaming_response=True, on_invalid="ignore")  # type: ignore
client.get("/", streaming_response=True, until=5)  # type: ignore
client.get("/", streaming_response=True, event_map=["user"])  # type: ignore
client.get("/", response_map={"404": NotFound})  # type: ignore


# The status decides.


@client.get("/users/{user_id}", response_map={404: NotFound})
async def get_user(result: User | NotFound, response: httpx2.Response, user_id: int) -> User | NotFound:
    return result


async def use_the_status() -> None:
    assert_type(await get_user(5), User | NotFound)
    await get_user("5")  # type: ignore


def use_errors(error: api.HTTPStatusError) -> None:
    assert_type(error.problem, api.ProblemDetails | None)
    if error.problem is not None:
        assert_type(error.problem.detail, str | None)


# Generator endpoints.


@client.get("/events", streaming_response=True)
def names(*, result: Iterator[User]) -> Iterator[str]:
    for user in result:
        yield user.name


@client.get("/events", streaming_response=True)
def names_first(result: Iterator[User], response: httpx2.Response, prefix: str) -> Generator[str, None, None]:
    for user in result:
        yield prefix + user.name


@client.get("/events", streaming_response=True)
async def async_names(*, result: AsyncIterator[User]) -> AsyncIterator[str]:
    async for user in result:
        yield user.name


@client.get("/events", streaming_response=True)
async def async_names_first(
    result: AsyncIterator[User], response: httpx2.Response, prefix: str
) -> AsyncGenerator[str, None]:
    async for user in result:
        yield prefix + user.name


async def use_generators() -> None:
    assert_type(names(), Iterator[str])
    assert_type(names_first("a"), Generator[str, None, None])
    names_first(5)  # type: ignore
    assert_type(async_names(), AsyncIterator[str])
    assert_type(async_names_first("a"), AsyncGenerator[str, None])
    async_names_first(5)  # type: ignore
    async for name in async_names():
        assert_type(name, str)


# What is said in the signature is seen as the type that it annotates.


@client.post("/users/{user_id}", streaming_response=True)
def send(
    result: api.Stream[User],
    response: httpx2.Response,
    user: Annotated[int, api.Path("user_id")],
    last_event_id: Annotated[str | None, api.Header("Last-Event-ID")] = None,
    page: Annotated[int, api.Query("pageNumber")] = 1,
    session: Annotated[str, api.Cookie()] = "",
    model: Annotated[User | None, api.Body(embed=True)] = None,
) -> api.Stream[User]:
    return result


def use_what_is_said() -> None:
    assert_type(send(5), api.Stream[User])
    assert_type(send(5, "7", page=2, session="a", model=User(name="b")), api.Stream[User])
    send("5")  # type: ignore
    send(5, page="2")  # type: ignore
    send(5, model=5)  # type: ignore


api.Header(5)  # type: ignore
api.Query(embed=True)  # type: ignore


# Without a decorator.


async def call_directly() -> None:
    assert_type(client.request("GET", "/users/{user_id}", User, path_params={"user_id": 5}), User)
    assert_type(client.request("GET", "/users", list[User], query={"page": 1}), list[User])
    assert_type(client.request("GET", "/", User | NotFound, response_map={404: NotFound}), User | NotFound)
    assert_type(client.request("GET", "/", httpx2.Response), httpx2.Response)
    assert_type(client.request("GET", "/", dict[str, Any]), dict[str, Any])
    assert_type(await client.arequest("POST", "/users", User, data={"name": "a"}, headers={"X-A": "1"}), User)
    assert_type(await client.arequest("GET", "/", User | None), User | None)
    assert_type(client.stream("GET", "/events", User), api.Stream[User])
    assert_type(client.stream("GET", "/events", str, until="[DONE]", idle_timeout=5), api.Stream[str])
    assert_type(client.stream("GET", "/events", User | NotFound), api.Stream[User | NotFound])
    with client.stream("POST", "/events", api.ServerSentEvent[User], data={"a": 1}) as events:
        assert_type(events, api.Stream[api.ServerSentEvent[User]])
        for event in events:
            assert_type(event.data, User)
    async with client.astream("GET", "/events", User) as async_events:
        assert_type(async_events, api.AsyncStream[User])
        async for user in async_events:
            assert_type(user, User)
    assert_type(await client.astream("GET", "/events", User), api.AsyncStream[User])
    client.request("GET", 5, User)  # type: ignore
    client.request("GET", "/users", User, path_params=5)  # type: ignore
    client.request("GET", "/users", User, response_map=[User])  # type: ignore
    client.stream("GET", "/events")  # type: ignore
    client.stream("GET", "/events", User, idle_timeout="5")  # type: ignore
