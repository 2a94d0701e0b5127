"""SOCKS 5, sans-I/O: how a proxy is asked for a connection to a server.

Source: RFC 1928; RFC 1929 for user names and passwords.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator

import httpx2

_VERSION, _CONNECT, _SUCCEEDED = 5, 1, 0
_NO_AUTHENTICATION, _PASSWORD = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SIZES = {_IPV4: 4, _IPV6: 16}  # of addresses, in bytes
_LONGEST = 255  # bytes of a name, a user name or a password
_REFUSALS = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network cannot be reached",
    4: "the server cannot be reached",
    5: "the server refused the connection",
    6: "it took too long",
    7: "it does not know the command",
    8: "it does not know this kind of address",
}


def handshake(host: str, port: int, auth: tuple[bytes, bytes] | None) -> Generator[tuple[bytes, int], bytes, None]:
    """Ask for a connection. Yields what to send, and how many bytes to read and hand in then.

    Raises:
        httpx2.ProxyError: The proxy refuses, or does not speak SOCKS 5.
    """
    method = _NO_AUTHENTICATION if auth is None else _PASSWORD
    version, chosen = yield bytes([_VERSION, 1, method]), 2
    if version != _VERSION:
        raise httpx2.ProxyError("it does not speak SOCKS 5")
    if chosen != method:
        asked_for = "a user name and password" if auth is None else "something else than a user name and password"
        raise httpx2.ProxyError(f"it asks for {asked_for}")
    if auth is not None:
        if max(map(len, auth)) > _LONGEST:
            raise httpx2.ProxyError(f"the user name or the password is longer than {_LONGEST} bytes")
        _, status = yield b"\x01" + b"".join(bytes([len(each)]) + each for each in auth), 2
        if status:
            raise httpx2.ProxyError("it refused the user name and password")
    request = bytes([_VERSION, _CONNECT, 0]) + _address(host) + port.to_bytes(2, "big")
    _, status, _, kind = yield request, 4
    if status != _SUCCEEDED:
        raise httpx2.ProxyError(_REFUSALS.get(status, f"status {status}"))
    size = _SIZES.get(kind)
    if size is None:
        (size,) = yield b"", 1
    yield b"", size + 2


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > _LONGEST:
            raise httpx2.ProxyError(f"the name of the host is longer than {_LONGEST} bytes") from None
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


class Received:
    """Reads a network stream whose bytes are taken as they are."""

    is_complete = is_upgraded = False

    def __init__(self) -> None:
        self.size = 0
        self.is_ready = False
        self.error: Exception | None = None
        self._data = b""

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._data += bytes(data)
        self.size = len(self._data)
        self.is_ready = True

    def receive_end(self) -> None:
        """The other side has ended the connection."""
        self.fail(httpx2.ProxyError("it ended the connection"))

    def fail(self, error: Exception) -> None:
        """Note that the connection is gone, for this reason."""
        self.error = self.error or error
        self.is_ready = True

    def take(self) -> bytes:
        """The bytes that have come and not been taken."""
        data, self._data, self.size = self._data, b"", 0
        self.is_ready = self.error is not None
        return data
