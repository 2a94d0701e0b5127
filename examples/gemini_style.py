"""As with Gemini's REST API: the elements of one JSON array, each as soon as the server has written it."""

from typing import Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Part(BaseModel):
    text: str


class Content(BaseModel):
    parts: list[Part]


class Candidate(BaseModel):
    content: Content


class Answer(BaseModel):
    candidates: list[Candidate]


@client.post("/v1beta/models/{model}:streamGenerateContent", streaming_response=True, stream_format="json")
def generate(result: Iterator[Answer], model: str, data: dict[str, str]) -> Iterator[Answer]:
    return result


for answer in generate("gemini-pro", {"contents": "What is an endpoint?"}):
    print(answer.candidates[0].content.parts[0].text)
