"""Every method that can have a stream for an answer."""

import asyncio
from typing import AsyncIterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Event(BaseModel):
    text: str


@client.get("/events", streaming_response=True)
async def get_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
    return result


@client.post("/events", streaming_response=True)
async def post_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
    return result


@client.put("/events", streaming_response=True)
async def put_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
    return result


@client.patch("/events", streaming_response=True)
async def patch_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
    return result


@client.delete("/events", streaming_response=True)
async def delete_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
    return result


async def main() -> None:
    for call in (get_events, post_events, put_events, patch_events, delete_events):
        async for event in await call():
            print(call.__name__, event.text)


asyncio.run(main())
