"""Claims: who may fill an entry, and who waits. Locks of the kernel on single bytes of the file `claims`.

A name has a place in the file, RANKS bytes long. An open-file-description lock belongs to one opening of the file, so two
threads exclude each other like two processes do; and the kernel takes it from a process that dies, at that moment.
Whoever waits sleeps in the kernel. Nothing is ever written to the file.

A claim is of a rank. Who waits for a long time may give up on the one who has it, who may be stopped, and claim the next
rank. To claim is to lock all bytes from one's rank on, which waits for every claim of that rank and above; then the
first byte alone is kept. So there is one claim of each rank at a time, and only the impatient see a second one.
"""

from __future__ import annotations

import fcntl
import os
from struct import Struct

from kvcli.engine.handle import Handle

RANKS = 128
PLACES = 1 << 55
FLOCK = Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid.


class Claim:
    """The right to fill an entry, until it is released, forgotten, or its process ends."""

    __slots__ = ("_all", "_free", "_handle", "_rest", "path", "place")

    def __init__(self, path: str, place: int) -> None:
        """Open the file `claims`; nothing is claimed yet. Raises OSError."""
        self.path, self.place = path, place
        first, rank = place, place % RANKS
        self._handle = Handle(path, "a+")
        # Made before they are needed: between a lock and what is to be done about it there is no room for Ctrl-C.
        self._all = _flock(fcntl.F_WRLCK, first, RANKS - rank)
        self._rest = _flock(fcntl.F_UNLCK, first + 1, RANKS - rank - 1) if rank < RANKS - 1 else None
        self._free = _flock(fcntl.F_UNLCK, first, RANKS - rank)

    def again(self) -> Claim:
        """Give another one for the same place, that is not had yet."""
        return Claim(self.path, self.place)

    def take(self) -> bool:
        """Claim, if nobody has."""
        try:
            self._lock(fcntl.F_OFD_SETLK)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def wait(self) -> None:
        """Claim, when nobody else has; asleep until then. Ctrl-C ends it."""
        self._lock(fcntl.F_OFD_SETLKW)

    def release(self) -> None:
        """Let the next one claim. Safe to call twice, and in a forked child, which has no claims."""
        if not self._handle.closed:
            # Not by closing alone: a command that another thread is starting may hold a copy for a moment.
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, self._free)
            self._handle.close()

    def _lock(self, how: int) -> None:
        fcntl.fcntl(self._handle, how, self._all)
        if self._rest is not None:
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, self._rest)


def _flock(kind: int, start: int, length: int) -> bytes:
    return FLOCK.pack(kind, os.SEEK_SET, start, length, 0)


def place_of(name: bytes) -> int:
    """Give the place of a name, for rank 0; the others follow."""
    from _blake2 import blake2b

    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") % PLACES * RANKS
