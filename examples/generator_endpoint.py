"""An endpoint that yields: what the caller gets is what it makes of the stream."""

import asyncio
from typing import AsyncIterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Event(BaseModel):
    text: str


@client.get("/events", streaming_response=True)
async def words(*, result: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in result:
        for word in event.text.split():
            yield word


async def main() -> None:
    async for word in words():
        print(word)


asyncio.run(main())
