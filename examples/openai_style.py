"""As with OpenAI and all that is compatible with it: unnamed events, and `[DONE]` at the end.

The content of a chunk may be null. A request that fails in the middle of its stream sends an error in place of a chunk.
"""

from typing import Any, Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000/v1", headers={"Authorization": "Bearer your-key"})


class Delta(BaseModel):
    content: str | None = None


class Choice(BaseModel):
    delta: Delta
    finish_reason: str | None = None


class Chunk(BaseModel):
    choices: list[Choice]


class Problem(BaseModel):
    message: str


class Failure(BaseModel):
    error: Problem


@client.post("/chat/completions", streaming_response=True, until="[DONE]")
def complete(result: Iterator[Chunk | Failure], data: dict[str, Any]) -> Iterator[Chunk | Failure]:
    return result


for question in ("What are streams?", "What breaks?"):
    for chunk in complete({"model": "a-model", "stream": True, "messages": [{"role": "user", "content": question}]}):
        if isinstance(chunk, Failure):
            print("failed:", chunk.error.message)
            break
        for choice in chunk.choices:
            if text := choice.delta.content or choice.finish_reason:
                print(text)
