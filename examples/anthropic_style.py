"""As with Anthropic: the name of an event says what its data is."""

import asyncio
from typing import Any, AsyncIterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000/v1", headers={"X-Api-Key": "your-key"})


class Message(BaseModel):
    id: str
    model: str


class MessageStart(BaseModel):
    message: Message


class TextDelta(BaseModel):
    text: str


class ContentBlockDelta(BaseModel):
    delta: TextDelta


class StreamFailed(Exception):
    """What the server says in the middle of a stream. It is made of the event."""


@client.post(
    "/messages",
    streaming_response=True,
    event_map={
        "message_start": MessageStart,
        "content_block_delta": ContentBlockDelta,
        "ping": None,
        "error": StreamFailed,
    },
    until=lambda event: event.event == "message_stop",
)
async def create_message(
    result: AsyncIterator[MessageStart | ContentBlockDelta], data: dict[str, Any]
) -> AsyncIterator[MessageStart | ContentBlockDelta]:
    return result


async def main() -> None:
    question = {"model": "a-model", "stream": True, "messages": [{"role": "user", "content": "What are streams?"}]}
    async for event in await create_message(question):
        match event:
            case MessageStart(message=message):
                print(message.model, "answers:")
            case ContentBlockDelta(delta=delta):
                print(delta.text)


asyncio.run(main())
