"""The same endpoints through another client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from clientele import api, testing

client = api.APIClient(base_url="http://first.example", headers={"X-Tenant": "first"})
other = api.APIClient(base_url="http://other.example", headers={"X-Tenant": "other"})


@client.get("/users/{user_id}")
def get_user(result: dict[str, int], user_id: int) -> dict[str, int]:
    """Get a user."""
    return result


@client.get("/users/{user_id}")
async def aget_user(result: dict[str, int], user_id: int) -> dict[str, int]:
    return result


@client.get("/events", streaming_response=True)
def events(result: Iterator[int]) -> Iterator[int]:
    return result


@client.get("/events", streaming_response=True)
async def aevents(result: AsyncIterator[int]) -> AsyncIterator[int]:
    return result


@client.get("/events", streaming_response=True)
def doubled(result: Iterator[int]) -> Iterator[int]:
    for number in result:
        yield 2 * number


class Users:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @client.get("/count")
    def count(self, result: int) -> int:
        return self.factor * result


def asked(server: testing.FakeServer) -> list[tuple[str, str]]:
    return [(str(each.url), each.headers["X-Tenant"]) for each in server.requests]


def test_a_bound_endpoint_calls_through_the_client_that_bound_it_and_the_first_stays_as_it_is():
    with testing.fake(client) as first, testing.fake(other) as server:
        bound = other.bind(get_user)
        for each in (first.on(get_user), server.on(bound)):
            each.returns({"id": 5})
        assert bound(5) == get_user(5) == {"id": 5}
        assert asked(first) == [("http://first.example/users/5", "first")]
        assert asked(server) == [("http://other.example/users/5", "other")]


def test_endpoints_of_every_kind_are_bound():
    async def read() -> list[int]:
        return [each async for each in bound_stream()]

    with testing.fake(other) as server:
        bound_call, bound_stream = other.bind(aget_user), other.bind(aevents)
        server.on(bound_call).returns({"id": 5})
        for bound in (bound_stream, other.bind(events), other.bind(doubled)):
            server.on(bound).streams(1, 2)
        assert anyio.run(bound_call, 5) == {"id": 5}
        assert anyio.run(read) == [1, 2]
        server.on("GET", "/count").returns(7)
        assert other.bind(Users(3).count)() == 21
        assert {tenant for _, tenant in asked(server)} == {"other"}


def test_a_bound_endpoint_can_be_bound_again_and_keeps_its_name():
    bound = other.bind(other.bind(get_user))
    assert bound.__name__ == "get_user"
    assert bound.__doc__ == "Get a user."
    with testing.fake(client) as server:
        server.on("GET", "/users/1").returns({"id": 1})
        assert client.bind(bound)(1) == {"id": 1}


def test_what_is_no_endpoint_is_refused():
    with pytest.raises(TypeError, match="is no endpoint; pass a function that a client"):
        other.bind(len)
