"""How the bytes of an input are used: options first, then the sizes of the pieces, then the message."""

from __future__ import annotations

from itertools import cycle

OPTIONS_SIZE = 2
_SIZES_SIZE = 4


def parts_of(data: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """The options, the message, and the message in pieces.

    Four bytes say how large the pieces are, again and again; 0 stands for all the rest.
    """
    data = data.ljust(OPTIONS_SIZE + _SIZES_SIZE, b"\0")
    options, data = data[:OPTIONS_SIZE], data[OPTIONS_SIZE:]
    sizes, message = data[:_SIZES_SIZE], data[_SIZES_SIZE:]
    return options, message, cut(message, sizes)


def cut(message: bytes, sizes: bytes) -> list[bytes]:
    """The message in pieces of these sizes, none of which is empty."""
    pieces = []
    position = 0
    turn = cycle(sizes)
    while position < len(message):
        size = next(turn) or len(message)
        pieces.append(message[position : position + size])
        position += size
    return pieces
