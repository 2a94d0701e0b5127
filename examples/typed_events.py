"""Typed events: each is validated as it arrives."""

import asyncio
from typing import AsyncIterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Event(BaseModel):
    text: str


@client.get("/events", streaming_response=True)
async def stream_events(*, result: AsyncIterator[Event]) -> AsyncIterator[Event]:
    return result


async def main() -> None:
    async for event in await stream_events():
        print(event.text)


asyncio.run(main())
