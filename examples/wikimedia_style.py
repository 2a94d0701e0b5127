"""As with Wikimedia's streams and Mercure hubs: ids to go on from, and comments in between."""

import asyncio
from typing import Annotated, AsyncIterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Change(BaseModel):
    title: str
    user: str


@client.get("/v2/stream/recentchange", streaming_response=True)
async def recent_changes(
    result: AsyncIterator[api.ServerSentEvent[Change] | api.Comment],
    last_event_id: Annotated[str | None, api.Header("Last-Event-ID")] = None,
) -> AsyncIterator[api.ServerSentEvent[Change] | api.Comment]:
    return result


async def main() -> None:
    last_event_id: str | None = None
    async for frame in await recent_changes():
        match frame:
            case api.Comment(text):
                print("comment:", text)
            case api.ServerSentEvent(data=change, id=event_id):
                print(event_id, change.title)
                last_event_id = event_id
        if last_event_id == "2":
            break

    print("and on from there:")
    async for frame in await recent_changes(last_event_id):
        if isinstance(frame, api.ServerSentEvent):
            print(frame.id, frame.data.title)


asyncio.run(main())
