"""A JSON text sequence (RFC 7464): what stands in for a text that was broken off is yours to say."""

from typing import Iterator

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Reading(BaseModel):
    celsius: float


def report(error: api.StreamDecodeError) -> Reading:
    print("not a reading:", error.event.data)
    return Reading(celsius=float("nan"))


@client.get("/readings", streaming_response=True, on_invalid=report)
def stream_readings(*, result: Iterator[Reading]) -> Iterator[Reading]:
    return result


for reading in stream_readings():
    print(reading.celsius)
