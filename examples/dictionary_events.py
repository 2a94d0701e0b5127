"""Dictionaries: the data of each event parsed as JSON."""

import asyncio
from typing import AsyncIterator

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


@client.get("/events", streaming_response=True)
async def stream_json(*, result: AsyncIterator[dict]) -> AsyncIterator[dict]:
    return result


async def main() -> None:
    async for data in await stream_json():
        print(data["field"])  # Parsed JSON as dict


asyncio.run(main())
