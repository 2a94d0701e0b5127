"""As with Ollama: JSON Lines, which their content type tells."""

from typing import Any, Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Piece(BaseModel):
    response: str
    done: bool


@client.post("/api/generate", streaming_response=True)
def generate(result: Iterator[Piece], data: dict[str, Any]) -> Iterator[Piece]:
    return result


for piece in generate({"model": "a-model", "prompt": "What are streams?"}):
    print("(the end)" if piece.done else piece.response)
