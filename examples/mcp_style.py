"""As with the Model Context Protocol: the server answers with JSON or with a stream, as it likes."""

from typing import Annotated, Any, Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000", headers={"Accept": "application/json, text/event-stream"})


class Notification(BaseModel):
    method: str
    params: dict[str, Any]


class Response(BaseModel):
    id: int
    result: dict[str, Any]


@client.post("/mcp", streaming_response=True)
def call(
    result: Iterator[Notification | Response],
    data: dict[str, Any],
    session: Annotated[str | None, api.Header("Mcp-Session-Id")] = None,
) -> Iterator[Notification | Response]:
    return result


for number, method in enumerate(["tools/list", "tools/call"]):
    for message in call({"jsonrpc": "2.0", "id": number, "method": method}):
        print(method, message)
