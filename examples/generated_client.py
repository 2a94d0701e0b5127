"""A client that `clientele generate` has written: demo_client/, of the document of server.py and its clientele.toml."""

import asyncio

from demo_client.client import build_log, events, make_client

client = make_client(base_url="http://localhost:8000")


async def main() -> None:
    async for event in client.bind(events)():
        print(event.text)
    async for line in client.bind(build_log)(7):
        print(line)


asyncio.run(main())
