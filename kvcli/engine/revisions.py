"""Striped revisions: which transaction last wrote a key, without a word of metadata beside the value.

The private sub-database `__kvcli__` holds
    state                      identity (16 bytes) | last (8) | floor (8) | origin (1)
    crc(bucket)                the watermark of a bucket: the revision of its last write of very many keys
    crc(bucket) crc(key)%4096  a stripe: the revision of the last write to any key of it
with revisions as 8 bytes, big-endian, and crc = CRC-32 as 4 bytes (2 for the stripe). A collision of names, like one of
keys, costs a rare false conflict and nothing else. The technique is the versioned lock table of TL2 (transactional memory).

`last` is the revision of kvcli's own last commit. LMDB counts every commit, whoever makes it, so a gap between `last`
and the running transaction betrays another program's write: `floor` rises to it, and every older handle loses.
A `last` from the future betrays reset transaction ids (mdb_copy -c): the store gets a new identity and no stamps.
"""

from __future__ import annotations

import os
from binascii import crc32

from kvcli.engine.transaction import NO_IDENTITY, STATE, STATE_BYTES, identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import lmdb

OURS, ADOPTED = b"k", b"a"
STRIPES = 4096
STRIPES_PER_WRITE_MAX = 64  # More than this in one bucket, and raising its watermark is cheaper than stamping.


class Ledger:
    """The revisions as one write transaction sees them, and what it will stamp."""

    __slots__ = ("_floor", "_private", "_touched", "_txn", "identity", "origin", "revision")

    def __init__(self, txn: lmdb.Transaction[bytes], private: lmdb._Database | None, origin: bytes) -> None:
        """Read the state; `private` is None in an environment that kvcli has not written to yet."""
        self._txn = txn
        self._private = private
        self._touched: dict[bytes, set[int]] = {}
        self.revision = txn.id()
        self.origin = origin
        self.identity = NO_IDENTITY
        self._floor = self.revision - 1
        state = txn.get(STATE, db=private) if private is not None else None
        self.identity = identity_of(state, self.revision - 1)
        if state is not None and len(state) == STATE_BYTES:
            self._take(state)

    def _take(self, state: bytes) -> None:
        self.origin = state[32:]
        last = int.from_bytes(state[16:24], "big")
        if last == self.revision - 1:
            self._floor = int.from_bytes(state[24:32], "big")
        elif last >= self.revision and self._private is not None:
            self._txn.drop(self._private, delete=False)

    def touch(self, bucket: bytes, key: bytes) -> None:
        """Remember that `key` is written by this transaction."""
        stripes = self._touched.setdefault(bucket, set())
        if len(stripes) <= STRIPES_PER_WRITE_MAX:
            stripes.add(crc32(key) % STRIPES)

    def touch_all(self, bucket: bytes) -> None:
        """Remember that any key of the bucket may have been written."""
        self._touched[bucket] = set(range(STRIPES_PER_WRITE_MAX + 1))

    def wrote(self, bucket: bytes, key: bytes) -> bool:
        """Tell whether this transaction wrote `key`, or another key of its stripe."""
        touched = self._touched.get(bucket, ())
        return crc32(key) % STRIPES in touched or len(touched) > STRIPES_PER_WRITE_MAX

    def last_write(self, bucket: bytes, key: bytes) -> int:
        """Give a revision after which nobody wrote `key`."""
        prefix, stripe = crc32(bucket).to_bytes(4, "big"), crc32(key) % STRIPES
        if self.wrote(bucket, key):
            return self.revision
        return max(self._floor, self._read(prefix), self._read(prefix + stripe.to_bytes(2, "big")))

    def unchanged(self, bucket: bytes, key: bytes, revision: int) -> bool:
        """Tell whether nobody wrote `key` since `revision`, which is not from the future."""
        return revision < self.revision and self.last_write(bucket, key) <= revision

    def seal(self, private: lmdb._Database) -> None:
        """Stamp everything that was touched. The last act before the commit."""
        stamp = self.revision.to_bytes(8, "big")
        for bucket, stripes in self._touched.items():
            prefix = crc32(bucket).to_bytes(4, "big")
            if len(stripes) > STRIPES_PER_WRITE_MAX:
                self._txn.put(prefix, stamp, db=private)
            else:
                for stripe in stripes:
                    self._txn.put(prefix + stripe.to_bytes(2, "big"), stamp, db=private)
        identity = os.urandom(16) if self.identity == NO_IDENTITY else self.identity
        self._txn.put(STATE, identity + stamp + self._floor.to_bytes(8, "big") + self.origin, db=private)

    def _read(self, name: bytes) -> int:
        if self._private is None:
            return 0
        return int.from_bytes(self._txn.get(name, db=self._private) or b"", "big")
