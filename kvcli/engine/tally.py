"""The tally: the file beside a cache's environment that says who may write, who has written, and what was counted.

    0   state     1 while a commit is going on, and for ever if its process was killed
    8   mtime     of the data file after the last commit, in nanoseconds
    16  device    and inode of the data file
    32  hits, misses, evictions, expirations
    64  allocated how many bytes of the data file have their blocks on the disk; 0 where nobody relies on that
all as 8 bytes, big-endian. A data file that was changed since by anybody but a writer of ours is damaged, or would be by
the next look: LMDB trusts every page, and dies of a wrong one. To read the time of the last change costs next to nothing.
"""

from __future__ import annotations

import errno
import os
from struct import Struct

from kvcli.engine.handle import Handle
from kvcli.errors import DamagedStore

STAMP = Struct(">QQQQ")
COUNTS = Struct(">QQQQ")
ALLOCATED_AT = STAMP.size + COUNTS.size
TALLY_BYTES = ALLOCATED_AT + 8
MARKED = (1).to_bytes(8, "big")
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


class Tally:
    """One open tally. Who has locked its file is the only writer: LMDB's own lock is free for them."""

    __slots__ = ("_handle", "_stamp", "file", "writable")

    def __init__(self, path: str) -> None:
        """Open the file, for writing wherever the system allows that. Raises OSError, or DamagedStore for no tally."""
        self.writable = True
        try:
            self.file = Handle(path)
        except OSError as error:
            if error.errno not in NOT_ALLOWED:
                raise
            self.file, self.writable = Handle(path, "r"), False
        self._handle = self.file.fileno()
        if os.fstat(self._handle).st_size != TALLY_BYTES:
            raise DamagedStore(f"{path} is damaged")
        self._stamp = b""  # The one we wrote last: while nobody else writes, it need not be read.

    def mark(self) -> None:
        """Say that a commit is going on."""
        os.pwrite(self._handle, MARKED, 0)

    def stamp(self, data: os.stat_result) -> None:
        """Say that the last commit left the data file like this."""
        self._stamp = STAMP.pack(0, data.st_mtime_ns, data.st_dev, data.st_ino)
        os.pwrite(self._handle, self._stamp, 0)

    def agrees(self, data: os.stat_result) -> bool:
        """Tell whether nobody has changed the data file since the last commit, and none is going on."""
        stamp = STAMP.pack(0, data.st_mtime_ns, data.st_dev, data.st_ino)
        return stamp == self._stamp or stamp == os.pread(self._handle, STAMP.size, 0)

    def is_marked(self, data: os.stat_result) -> bool:
        """Tell whether a commit is going on; with the lock in hand: whether its writer was killed. LMDB takes care of that."""
        state, _, device, inode = STAMP.unpack(os.pread(self._handle, STAMP.size, 0))
        return bool(state) and (device, inode) == (data.st_dev, data.st_ino)

    @property
    def allocated(self) -> int:
        """How many bytes of the data file have their blocks."""
        return int.from_bytes(os.pread(self._handle, 8, ALLOCATED_AT), "big")

    def note_allocated(self, size: int) -> None:
        """Say how many bytes of the data file have their blocks."""
        os.pwrite(self._handle, size.to_bytes(8, "big"), ALLOCATED_AT)

    def counts(self) -> tuple[int, int, int, int]:
        """Give hits, misses, evictions and expirations since the cache was made."""
        hits, misses, evictions, expirations = COUNTS.unpack(os.pread(self._handle, COUNTS.size, STAMP.size))
        return hits, misses, evictions, expirations

    def add(self, *more: int) -> None:
        """Count more of each, with the lock in hand."""
        sums = [(count + new) % (1 << 64) for count, new in zip(self.counts(), more, strict=True)]
        os.pwrite(self._handle, COUNTS.pack(*sums), STAMP.size)
