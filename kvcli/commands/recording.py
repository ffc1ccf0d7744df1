"""Recordings: what a command printed, in the order it came, and how it ended, as one value of a cache.

exit code (1 byte), then for each piece: stream (1 byte), length (4 bytes, big-endian), bytes
"""

from __future__ import annotations

from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def recorded(pieces: list[tuple[int, bytes]], exit_code: int) -> bytes:
    """Give the recording of pieces; neighbours of one stream become one."""
    parts = [bytes([exit_code])]
    for stream, neighbours in groupby(pieces, lambda piece: piece[0]):
        data = b"".join([piece for _, piece in neighbours])
        parts += [bytes([stream]), len(data).to_bytes(4, "big"), data]
    return b"".join(parts)


def is_whole(value: bytes) -> bool:
    """Tell whether this is a recording, to its last byte."""
    at = 1
    while at + 5 <= len(value):
        at += 5 + int.from_bytes(value[at + 1 : at + 5], "big")
    return at == len(value)


def exit_code_of(value: bytes) -> int:
    """Give how the command ended."""
    return value[0]


def pieces_of(value: bytes) -> Iterator[tuple[int, bytes]]:
    """Give what the command printed."""
    at = 1
    while at < len(value):
        length = int.from_bytes(value[at + 1 : at + 5], "big")
        yield value[at], value[at + 5 : at + 5 + length]
        at += 5 + length
