# Made by `clientele generate` from examples.server:app (FastAPI 0.1.0).
# Changes to this file are lost; put yours into a file of another name.

"""The client of the API, and its functions."""

from typing import Annotated, Any, Unpack

from clientele import api

from .models import Event, HTTPValidationError, Token


def make_client(
    *,
    base_url: str = "http://localhost:8000",
    **settings: Unpack[api.HTTPClientSettings],
) -> api.APIClient:
    """Make a client of the API.

    Parameters:
        base_url: What comes before every path. Default `'http://localhost:8000'`.
        **settings: The other keywords of `api.APIClient`.
    """
    return api.APIClient(base_url=base_url, exclude_unset=True, **settings)


client = make_client()


@client.get("/events", streaming_response=True)
async def events(result: api.AsyncStream[Event]) -> api.AsyncStream[Event]:
    """Events."""
    return result


@client.put("/events", streaming_response=True)
async def put_events(result: api.AsyncStream[Event]) -> api.AsyncStream[Event]:
    """Events."""
    return result


@client.post("/events", streaming_response=True)
async def post_events(result: api.AsyncStream[Event]) -> api.AsyncStream[Event]:
    """Events."""
    return result


@client.delete("/events", streaming_response=True)
async def delete_events(result: api.AsyncStream[Event]) -> api.AsyncStream[Event]:
    """Events."""
    return result


@client.patch("/events", streaming_response=True)
async def patch_events(result: api.AsyncStream[Event]) -> api.AsyncStream[Event]:
    """Events."""
    return result


@client.get("/stream", streaming_response=True)
async def stream(result: api.AsyncStream[Token]) -> api.AsyncStream[Token]:
    """Stream."""
    return result


@client.post(
    "/v1/chat/completions", streaming_response=True, until="[DONE]", stream_format="sse"
)
async def chat(
    result: api.AsyncStream[api.ServerSentEvent],
) -> api.AsyncStream[api.ServerSentEvent]:
    """Chat Completions.

    Chunks as OpenAI sends them: unnamed events, and a last one that is not JSON; for one
    question an error.
    """
    return result


@client.post("/v1/messages", streaming_response=True, stream_format="sse")
async def messages(
    result: api.AsyncStream[api.ServerSentEvent],
) -> api.AsyncStream[api.ServerSentEvent]:
    """Messages.

    A message as Anthropic sends it: the name of an event says what its data is.
    """
    return result


@client.get(
    "/v2/stream/recentchange",
    streaming_response=True,
    stream_format="sse",
    response_map={422: HTTPValidationError},
)
async def recent_changes(
    result: api.AsyncStream[api.ServerSentEvent],
    *,
    last_event_id: Annotated[int | str | None, api.Header("last-event-id")] = None,
) -> api.AsyncStream[api.ServerSentEvent]:
    """Recent Changes.

    Changes as Wikimedia sends them: with ids, comments in between, and from where the
    client was.

    Parameters:
        last_event_id: The id of the event to go on after: `last_event_id` of a stream that
            was cut short.
    """
    return result


@client.post("/api/generate", streaming_response=True, stream_format="jsonl")
async def generate(
    result: api.AsyncStream[dict[str, Any]],
) -> api.AsyncStream[dict[str, Any]]:
    """Generate.

    An answer as Ollama sends it: a JSON document on each line.
    """
    return result


@client.get(
    "/api/v1/namespaces/{namespace}/pods",
    streaming_response=True,
    stream_format="jsonl",
    response_map={422: HTTPValidationError},
)
async def watch_pods(
    result: api.AsyncStream[Any], namespace: str
) -> api.AsyncStream[Any]:
    """Watch Pods.

    A watch as Kubernetes sends it: JSON Lines that are called JSON.
    """
    return result


@client.post(
    "/v1beta/models/{model}:streamGenerateContent",
    streaming_response=True,
    stream_format="json",
    response_map={422: HTTPValidationError},
)
async def stream_generate_content(
    result: api.AsyncStream[Any], model: str
) -> api.AsyncStream[Any]:
    """Stream Generate Content.

    An answer as Gemini's REST API sends it: one JSON array, element by element.
    """
    return result


@client.get("/readings", streaming_response=True, stream_format="json-seq")
async def readings(result: api.AsyncStream[Any]) -> api.AsyncStream[Any]:
    """Readings.

    A JSON text sequence, one text of which was broken off.
    """
    return result


@client.get(
    "/builds/{build}/log",
    streaming_response=True,
    stream_format="lines",
    response_map={422: HTTPValidationError},
)
async def build_log(result: api.AsyncStream[str], build: int) -> api.AsyncStream[str]:
    """Build Log.

    Lines of text.
    """
    return result


@client.get("/speech", streaming_response=True, stream_format="bytes")
async def speech(result: api.AsyncStream[bytes]) -> api.AsyncStream[bytes]:
    """Speech.

    Bytes that are no text.
    """
    return result


@client.get("/prices", streaming_response=True, stream_format="sse")
async def prices(
    result: api.AsyncStream[api.ServerSentEvent],
) -> api.AsyncStream[api.ServerSentEvent]:
    """Prices.

    Events whose data is neither JSON nor plain text; one of them is damaged.
    """
    return result


@client.get("/users/{user_id}", response_map={422: api.Raised(HTTPValidationError)})
async def get_user(result: Any, user_id: int) -> Any:
    """Get User.

    A user, or what there is to say about there being none.
    """
    return result


@client.post("/oauth/token")
async def token(result: Any) -> Any:
    """Token.

    A token, for a client that says its secret in a form.
    """
    return result


@client.get("/account", response_map={422: api.Raised(HTTPValidationError)})
async def account(result: dict[str, str]) -> dict[str, str]:
    """Account.

    What a token opens.
    """
    return result


@client.post("/uploads")
async def upload(result: dict[str, str | int]) -> dict[str, str | int]:
    """Upload.

    What came in a form with a title and a file.
    """
    return result


@client.get("/orders")
async def orders(result: Any) -> Any:
    """Orders.

    A problem as RFC 9457 has it.
    """
    return result
