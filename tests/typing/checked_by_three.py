"""What mypy, pyright and pyrefly make of a declared endpoint, and ty does not: it knows less, but refuses nothing."""

from typing import assert_type

import pydantic

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class User(pydantic.BaseModel):
    name: str


@client.get("/users/{user_id}")
async def get_user(result: User, user_id: int, verbose: bool = False) -> User:
    return result


@client.get("/users")
def list_users(*, after: int, limit: int = 10, result: list[User]) -> list[User]:
    return result


async def use() -> None:
    assert_type(await get_user(5), User)
    assert_type(await get_user(user_id=5, verbose=True), User)
    await get_user("five")  # type: ignore
    await get_user()  # type: ignore
    assert_type(list_users(after=5), list[User])


client.get("/", streaming=True)  # type: ignore
api.APIClient(header={"X": "1"})  # type: ignore
