"""Bytes as they arrive, whatever they are: speech to be played, a file to be written."""

import asyncio
import hashlib
from typing import AsyncIterator

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


@client.get("/speech", streaming_response=True)
async def speech(*, result: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    return result


async def main() -> None:
    size, digest = 0, hashlib.sha256()
    async for piece in await speech():
        size += len(piece)
        digest.update(piece)
        print(size, "bytes so far")
    print(digest.hexdigest())


asyncio.run(main())
