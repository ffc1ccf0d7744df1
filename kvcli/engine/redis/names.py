"""Names: how a key of a bucket is called on a server, and the patterns that find it. No name of kvcli's own is data."""

from __future__ import annotations

import os
import re
from binascii import crc_hqx

from kvcli.engine.transaction import PRIVATE
from kvcli.errors import InvalidBucketName, InvalidKey

LAYOUTS = ("bucket", "flat")
SEPARATOR = b":"
REGISTRY = PRIVATE + b":buckets"  # A set: the buckets that were declared.
CACHE, CLAIM, COUNTS = PRIVATE + b":cache:", PRIVATE + b":claim:", PRIVATE + b":cache-counts"
NOTE = PRIVATE + b":note:"
OWN = PRIVATE + SEPARATOR  # What the names of all these start with.
SLOTS = 16_384  # Of every cluster.
SPECIAL = re.compile(rb"[*?\[\]\\^]")


class Names:
    """The names of one layout: `bucket:key`, or the key alone, where every bucket is the same one."""

    __slots__ = ("is_flat",)

    def __init__(self, layout: str) -> None:
        """Take a layout of LAYOUTS."""
        self.is_flat = layout == "flat"

    def head(self, bucket: bytes) -> bytes:
        """Give what all names of a bucket start with."""
        return b"" if self.is_flat else bucket + SEPARATOR

    def name(self, bucket: bytes, key: bytes) -> bytes:
        """Give the name of a key. Raises InvalidKey for one that is kvcli's own, as a key alone could be."""
        if self.is_flat and key.startswith(OWN):
            raise InvalidKey(f"with layout=flat keys that start with {OWN.decode()} are kvcli's own")
        return self.head(bucket) + key

    def checked(self, bucket: bytes) -> bytes:
        """Give back what can be a bucket here. Raises InvalidBucketName."""
        if SEPARATOR in bucket and not self.is_flat:
            shown = bucket.decode("utf-8", "backslashreplace")
            raise InvalidBucketName(
                f"{shown!r}: on a server a bucket's name holds no colon, which stands before the key"
            )
        return bucket


def bucket_of(name: bytes) -> bytes | None:
    """Give the bucket that a name on the server belongs to, None for what is in none."""
    bucket, separator, key = name.partition(SEPARATOR)
    return bucket if separator and bucket and key and bucket != PRIVATE else None


def pattern(start: bytes) -> bytes:
    """Give the pattern of all names that start with these bytes."""
    return SPECIAL.sub(rb"\\\g<0>", start) + b"*"


def slot_of(name: bytes) -> int:
    """Give the slot of a cluster that a name is in: a checksum of the first {tag} in it, or of all of it."""
    start = name.find(b"{") + 1
    end = name.find(b"}", start) if start else 0
    return crc_hqx(name[start:end] if end > start else name, 0) % SLOTS


def note_of(name: bytes) -> bytes:
    """Give what keeps a word of kvcli's own; each machine has its own, as it has files of its own."""
    return NOTE + os.fsencode(os.uname().nodename) + SEPARATOR + name
