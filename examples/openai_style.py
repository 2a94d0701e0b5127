"""As with OpenAI and all that is compatible with it: unnamed events, and `[DONE]` at the end."""

from typing import Any, Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000/v1", headers={"Authorization": "Bearer your-key"})


class Delta(BaseModel):
    content: str = ""


class Choice(BaseModel):
    delta: Delta
    finish_reason: str | None


class Chunk(BaseModel):
    choices: list[Choice]


@client.post("/chat/completions", streaming_response=True, until="[DONE]")
def complete(data: dict[str, Any], *, result: Iterator[Chunk]) -> Iterator[Chunk]:
    return result


question = {"model": "a-model", "stream": True, "messages": [{"role": "user", "content": "What are streams?"}]}
for chunk in complete(question):
    for choice in chunk.choices:
        print(choice.delta.content or choice.finish_reason)
