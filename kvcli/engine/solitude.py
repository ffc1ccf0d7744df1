"""Solitude: a moment in which nobody has an environment open, and nobody can open it. Only then may its file be replaced."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager

from kvcli.engine.calm import calm
from kvcli.engine.connection import is_open_here, registry
from kvcli.engine.files import Files
from kvcli.engine.opening import open_files, reserve_lock
from kvcli.errors import Busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_SECONDS = 0.05


@contextmanager
def solitude(files: Files, deadline: float) -> Iterator[None]:
    """Have an environment to oneself. Raises Busy where somebody has it open until `deadline`, a time of time.monotonic.

    The lock is LMDB's own: whoever opens an environment shares the first byte of its lock file, and has it alone while
    setting that up. This process has none that closing the file would drop, since it has nothing of it open. Who comes
    meanwhile waits, and then takes the lock file as it is: so it is set up before, and a file that takes the place of the
    old one must have its revision (see number).
    """
    with registry():
        if is_open_here(files.data):
            raise Busy(f"{files.path} is in use here: end the transaction, or close it, first")
        reserve_lock(files.lock)
        open_files(files, writable=False)[0].close()
        handle = os.open(files.lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while not _is_ours(handle):
                if time.monotonic() > deadline:
                    raise Busy(f"{files.path} is open in another program: end that, or try again")
                time.sleep(LOOK_SECONDS)
            with calm:
                yield
        finally:
            os.close(handle)


def _is_ours(handle: int) -> bool:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True
