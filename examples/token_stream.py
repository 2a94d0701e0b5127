"""A token stream: models of several fields, one after another."""

import asyncio
from typing import AsyncIterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Token(BaseModel):
    text: str
    id: int


@client.get("/stream", streaming_response=True)
async def stream_tokens(*, result: AsyncIterator[Token]) -> AsyncIterator[Token]:
    return result


async def main() -> None:
    async for token in await stream_tokens():
        print(token.text, token.id)  # Validated Pydantic model


asyncio.run(main())
