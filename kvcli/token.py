"""CAS tokens: a handle as text. `t`, then base64url of identity (16 bytes), revision (8), digest of what was seen (16)."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from hashlib import blake2b

from kvcli.errors import InvalidToken

MARK = "t"
BYTES = 40
CHARS = 55  # One more than those bytes take.


def digest(bucket: bytes, key: bytes, value: bytes | None) -> bytes:
    """Digest which key was seen with which value, so that a token serves for nothing else."""
    whole = blake2b(digest_size=16)
    for part in (bucket, key, b"" if value is None else value):
        whole.update(len(part).to_bytes(8, "big") + part)
    whole.update(b"absent" if value is None else b"present")
    return whole.digest()


def sight(value: bytes | None) -> int:
    """Digest a value to a number that stands for it where no revision can; never 0."""
    return int.from_bytes(blake2b(b"-" if value is None else b"+" + value, digest_size=8).digest(), "big") | 1


def pack(identity: bytes, revision: int, seen: bytes) -> str:
    """Write the parts of a handle down."""
    text = b2a_base64(identity + revision.to_bytes(8, "big") + seen, newline=False).decode("ascii")
    return MARK + text.rstrip("=").replace("+", "-").replace("/", "_")


def unpack(token: str) -> tuple[bytes, int, bytes]:
    """Read the parts back. Raises InvalidToken."""
    text = token[1 : CHARS + 1].replace("-", "+").replace("_", "/")
    try:
        data = a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (Error, ValueError):
        data = b""
    if len(data) != BYTES or not token.startswith(MARK):
        raise InvalidToken("this is no token: take the one that get --token or a lost cas gave")
    return data[:16], int.from_bytes(data[16:24], "big"), data[24:]
