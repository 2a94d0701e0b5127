"""Transports of our own for httpx2's transport interface."""
