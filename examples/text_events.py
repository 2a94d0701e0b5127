"""Text: the data of each event as it is, nothing parsed."""

import asyncio
from typing import AsyncIterator

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


@client.get("/events", streaming_response=True)
async def stream_text(*, result: AsyncIterator[str]) -> AsyncIterator[str]:
    return result


async def main() -> None:
    async for line in await stream_text():
        print(line)  # Raw string


asyncio.run(main())
