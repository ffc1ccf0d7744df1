"""Cursors: where the next page starts, as text that nobody else can have made by accident."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64, crc32

from kvcli.errors import InvalidCursor

CHARS_MAX = 1 << 16  # That of the longest key has fewer, in LMDB of any kind; one of a server may hold a few keys.
MARK = "k"  # No cursor starts with a dash, so none is taken for an option.


def pack(key: bytes) -> str:
    """Make the cursor that continues after `key`. It holds the key itself, so it outlives every write and the key."""
    text = b2a_base64(crc32(key).to_bytes(4, "big") + key, newline=False).decode("ascii")
    return MARK + text.rstrip("=").replace("+", "-").replace("/", "_")


def unpack(cursor: str) -> bytes:
    """Give the key back. Raises InvalidCursor for anything that pack did not make."""
    text = cursor[1:CHARS_MAX].replace("-", "+").replace("_", "/")
    try:
        data = a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (Error, ValueError):
        data = b""
    key = data[4:]
    if not key or pack(key) != cursor:
        raise InvalidCursor("this is no cursor of a list: take the one that the last page gave, or none")
    return key
