"""HTTP for sync, asyncio and trio alike: what moves bytes between a socket and httpx2."""
