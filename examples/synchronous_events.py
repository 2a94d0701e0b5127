"""The same without async: a plain function, a plain iterator, a plain loop."""

from typing import Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Event(BaseModel):
    text: str


@client.get("/events", streaming_response=True)
def stream_events_sync(*, result: Iterator[Event]) -> Iterator[Event]:
    return result


for event in stream_events_sync():
    print(event.text)
