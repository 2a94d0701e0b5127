"""As with a watch of Kubernetes: JSON Lines whose content type says JSON, so the declaration says what they are."""

import asyncio
from typing import AsyncIterator, Literal

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Metadata(BaseModel):
    name: str


class Status(BaseModel):
    phase: str


class Pod(BaseModel):
    metadata: Metadata
    status: Status


class Change(BaseModel):
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Pod


@client.get("/api/v1/namespaces/{namespace}/pods", streaming_response=True, stream_format="jsonl")
async def watch_pods(result: AsyncIterator[Change], namespace: str, watch: bool = True) -> AsyncIterator[Change]:
    return result


async def main() -> None:
    async for change in await watch_pods("default"):
        print(change.type, change.object.metadata.name, change.object.status.phase)


asyncio.run(main())
