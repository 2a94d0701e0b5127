"""What type checkers make of `clientele.testing`; checked by mypy, pyright, ty and pyrefly, never run."""

from collections.abc import AsyncIterator
from typing import assert_type

import httpx2
import pydantic

from clientele import api, testing

client = api.APIClient(base_url="http://localhost:8000")


class User(pydantic.BaseModel):
    name: str


@client.get("/users/{user_id}")
def get_user(result: User, user_id: int) -> User:
    return result


@client.get("/events", streaming_response=True)
async def stream_users(*, result: AsyncIterator[User]) -> AsyncIterator[User]:
    return result


def test_answers() -> None:
    with testing.fake(client) as server:
        assert_type(server, testing.FakeServer)
        assert_type(server.on(get_user).returns(User(name="Ann"), times=2), testing.Route)
        server.on("GET", "/users/{user_id}").raises(testing.connection_refused()).raises(testing.connect_timeout)
        server.on(stream_users).streams(User(name="Ann"), testing.wait(5), testing.cut("reset"))
        server.on(stream_users).streams(testing.Log([User(name="Ann")])[:1], testing.stall())
        server.on_any().returns(lambda request: httpx2.Response(200, text=request.url.path))
        assert_type(server.requests, list[testing.Request])
        assert_type(server.clock.elapsed, float)
        server.assert_all_used()
        testing.cut("off")  # type: ignore
        server.on(get_user).returns(times="2")  # type: ignore


async def test_contexts() -> None:
    async with testing.fake(client) as server:
        assert_type(server.on(stream_users).calls, list[testing.Request])
    with testing.record(client, "talk.jsonl", redact=lambda text: text.upper()):
        pass
    for place in testing.everywhere("talk.jsonl", 10, seed=5):
        assert_type(place, int)
        async with testing.replay(client, "talk.jsonl", cut_after=place, match=("method", "url")) as replay:
            replay.assert_all_played()
    testing.replay(client, "talk.jsonl", match=("path",))  # type: ignore


def test_factory() -> None:
    assert_type(testing.make(User, name="Ann"), User)
    testing.make(dict)  # type: ignore


server = testing.fixture(client)
