"""Handles: files whose locks are what they are open for. However one is left, it closes; and a forked child has none.

A lock of the kind that belongs to an open file is shared with a forked child, and would outlive the process that took it.
"""

from __future__ import annotations

import fcntl
import os
import time
from _weakref import ref
from io import FileIO

from kvcli.errors import Busy

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.00005, 0.002
DEAD_MAX = 256

_open: dict[int, ref[Handle]] = {}


class Handle(FileIO):
    """A file that closes itself when nobody has it any more, without the warning that FileIO would give."""

    __del__ = FileIO.close  # C, and not a function around it: Ctrl-C finds no moment to leave the file open.

    def __init__(self, path: str, mode: str = "r+") -> None:
        """Open. Raises OSError."""
        super().__init__(path, mode)
        if len(_open) >= DEAD_MAX:
            for dead in [number for number, known in list(_open.items()) if known() is None]:
                _open.pop(dead, None)
        _open[id(self)] = ref(self)

    def lock(self, timeout: float) -> None:
        """Be the only one who has locked this file. Raises Busy after so many seconds.

        Not by waiting in the kernel: nothing but a signal ends that, and who has the lock may be stopped for ever. It is
        held for microseconds, so a short sleep is rarely needed.
        """
        deadline, pause = 0.0, PAUSE_SECONDS
        while True:
            try:
                fcntl.flock(self, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                deadline = deadline or time.monotonic() + timeout
                if time.monotonic() >= deadline:
                    raise Busy(f"another process is writing to the cache; not free within {timeout:g} s") from None
                time.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
            else:
                return

    def unlock(self) -> None:
        """Let others lock it. No harm where it was not locked. By saying so: closing leaves a copy in a child locked."""
        fcntl.flock(self, fcntl.LOCK_UN)


def _close_all() -> None:
    for known in list(_open.values()):
        handle = known()
        if handle is not None:
            handle.close()
    _open.clear()


os.register_at_fork(after_in_child=_close_all)
