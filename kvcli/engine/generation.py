"""A generation: one life of the environment that a cache is kept in, from its making until it is thrown away.

    STORE/cache/claims              where those wait who want to fill the same entry (see claims.py)
    STORE/cache/BOOT/data.mdb       the environment, never synced; BOOT is the kernel's boot id
    STORE/cache/BOOT/lock.mdb
    STORE/cache/BOOT/tally          see tally.py

What was not synced may be torn after a power cut. So nobody ever opens what an earlier boot wrote: it has another name.
A generation ends before its boot when its file is damaged, or has no room any more. It is moved away whole, so that
another process finds it, or the next one, or none; who has it open notices, by a write or a miss or after some reads.
"""

from __future__ import annotations

import os
from _thread import _local
from fcntl import LOCK_UN, flock

import lmdb

from kvcli.engine.handle import Handle
from kvcli.engine.tally import Tally
from kvcli.errors import AccessDenied, DamagedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Answer = TypeVar("Answer")

# What a transaction may write beside its value: the rows of some entries, each of which may take a page on every level,
# and a list of free pages, of which there may be as many as pages.
SPARE_BYTES = 1 << 20
SPARE_SHARE = 128
NOTHING = (0, 0)


class Outdated(Exception):
    """Raised where a generation was thrown away, or closed by another thread; there may be another."""


class Generation:
    """An environment without fsync, open in this process, for as many as use it."""

    __slots__ = (
        *("_allocated", "_data", "_map_bytes", "_own", "_page_bytes", "env", "folder", "id", "looks"),
        *("outdated", "tally", "users", "writable"),
    )

    def __init__(self, folder: str, data: str, env: lmdb.Environment, tally: Tally, *, writable: bool) -> None:
        """Hold what was opened; `data` names its file at this moment."""
        self.folder = folder
        self.looks = looks(folder)
        self.env = env
        self.tally = tally
        self.writable = writable
        self.outdated = False
        self.users = 0
        self._data = Handle(data, "r+" if writable else "r")
        status = os.fstat(self._data.fileno())
        self.id = (status.st_dev, status.st_ino)
        self._map_bytes, self._page_bytes = env.info()["map_size"], env.stat()["psize"]
        self._allocated = tally.allocated
        self._own = _local()

    def write(
        self, work: Callable[[lmdb.Transaction[bytes], Generation], Answer], lock_timeout: float, room: int = 0
    ) -> Answer:
        """Run `work` in a write transaction and give what it gives; it stores at most `room` bytes, beside small things.

        On the thread that calls, as our own lock makes sure that LMDB's is free: a hand-over would cost as much again.
        Raises Outdated, Busy, AccessDenied, DamagedStore, lmdb.Error and OSError.
        """
        if not self.writable:
            raise AccessDenied(f"{self.folder}: permission denied")
        turn = self._turn()
        try:
            turn.lock(lock_timeout)
            self._check()
            self.tally.mark()
            self._allocate(room)
            with self.env.begin(write=True) as txn:
                answer = work(txn, self)
            self._extend()
            self.tally.stamp(os.fstat(self._data.fileno()))
            return answer
        finally:
            flock(turn, LOCK_UN)  # C, and nothing before it: Ctrl-C finds no moment to leave it locked.

    def count(self, lock_timeout: float, *more: int) -> None:
        """Add to the counts. Raises Busy, ValueError or OSError where that cannot be done."""
        turn = self._turn()
        try:
            turn.lock(lock_timeout)
            self.tally.add(*more)
        finally:
            flock(turn, LOCK_UN)

    def is_current(self) -> bool:
        """Tell whether nobody has thrown this generation away: removed, its file has no name any more."""
        return not self.outdated and os.fstat(self._data.fileno()).st_nlink > 0

    def empty(self, txn: lmdb.Transaction[bytes]) -> None:
        """Remove everything, in a write transaction."""
        txn.drop(self.env.open_db(None, txn=txn), delete=False)

    def _turn(self) -> Handle:
        # Each thread has its own, so that one kind of lock keeps out threads and processes alike. Not by its path, where
        # the tally of the next generation may be by now.
        if not hasattr(self._own, "turn"):
            self._own.turn = Handle(f"/proc/self/fd/{self.tally.file.fileno()}")
        turn: Handle = self._own.turn
        return turn

    def _check(self) -> None:
        status = os.fstat(self._data.fileno())
        if self.outdated or not status.st_nlink:
            raise Outdated
        if not (self.tally.agrees(status) or self.tally.is_marked(status)):
            raise DamagedStore(f"{self.folder} was changed by another program")

    def _allocate(self, room: int) -> None:
        """See to it that each page which the transaction may write has its block: a full disk is an error, here."""
        if not self._allocated:
            return
        end = (self.env.info()["last_pgno"] + 1) * self._page_bytes
        need = min(end + room + SPARE_BYTES + end // SPARE_SHARE, self._map_bytes)
        if need > self._allocated:
            start = self.tally.allocated  # Others may have been here.
            self._allocated = start if start >= need else allocate(self._data.fileno(), start, need, self._map_bytes)
            self.tally.note_allocated(self._allocated)

    def _extend(self) -> None:
        """Write the pages at the end that LMDB took and gave back, and so did not write: else the file seems cut."""
        if not self._allocated:
            end = (self.env.info()["last_pgno"] + 1) * self._page_bytes
            if end > os.fstat(self._data.fileno()).st_size:
                os.posix_fallocate(self._data.fileno(), 0, end)


def looks(folder: str) -> tuple[int, int]:
    """Give what tells a folder from another one of its name: its inode, which may be used again, and its last change."""
    try:
        status = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    return status.st_ino, status.st_ctime_ns


def allocate(handle: int, start: int, need: int, most: int) -> int:
    """Give a file the blocks from `start` up to `need` bytes, and some more; say how far. Raises OSError on a full disk.

    By zeros that are written out: posix_fallocate is not enough, since ext4 may need one more block, for its own tree,
    when a page of what it only reserved is first written to, and on a full disk that is a SIGBUS again.
    """
    for end in (min(need + SPARE_BYTES + need // 8, most), need):
        try:
            at = start
            while at < end:  # A write may be a part, and then the next one says why.
                at += os.pwrite(handle, bytes(min(SPARE_BYTES, end - at)), at)
            os.fdatasync(handle)
        except OSError:
            if end == need:
                raise
        else:
            return end
    raise AssertionError("the last try returns or raises")
