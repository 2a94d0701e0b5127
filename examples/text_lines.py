"""Lines of text, a build's log say."""

from typing import Iterator

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


@client.get("/builds/{build}/log", streaming_response=True)
def build_log(result: Iterator[str], build: int) -> Iterator[str]:
    return result


for line in build_log(7):
    print(line)
