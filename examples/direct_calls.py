"""Without a decorator: a call says what a signature would."""

import asyncio

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class User(BaseModel):
    name: str


class Event(BaseModel):
    text: str


print(client.request("GET", "/users/{user_id}", User, path_params={"user_id": 1}))

with client.stream("GET", "/events", Event) as events:
    for event in events:
        print(event.text)


async def main() -> None:
    print(await client.arequest("GET", "/users/1", User))
    async with client.astream("POST", "/events", Event, data={"about": "everything"}) as events:
        async for event in events:
            print(event.text)


asyncio.run(main())
