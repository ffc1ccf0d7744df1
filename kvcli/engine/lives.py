"""The beginning and the end of a generation, each at one stroke: a rename."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time

from kvcli.engine.files import DATA, LOCK
from kvcli.engine.generation import NOTHING, SPARE_BYTES, allocate, looks
from kvcli.engine.handle import Handle
from kvcli.engine.opening import open_new, reserve_lock
from kvcli.engine.register import CLAIMS, TALLY, is_private
from kvcli.engine.tally import TALLY_BYTES, Tally

BOOT_ID_LENGTH = 36
LEFT_SECONDS = 60
LOCK_SECONDS_MAX = 10.0
# Where a block that was allocated stays, whatever is written to it. Others (btrfs, zfs) take a new one for each write.
ALLOCATING = {"ext2", "ext3", "ext4", "xfs", "tmpfs"}


def make(folder: str, map_bytes: int) -> None:
    """Make a generation in `folder`, unless another process is faster. Raises OSError."""
    cache, boot = os.path.split(folder)
    make_private(cache)
    _sweep(cache, boot)
    fresh = tempfile.mkdtemp(prefix=f"{boot}.new-", dir=cache)
    try:
        _fill(fresh, map_bytes)
        os.rename(fresh, folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:  # There is one, or was at that moment.
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def end(folder: str, seen: tuple[int, int]) -> bool:
    """Throw away the generation in `folder`, if it is still the one that was `seen`, by what `looks` gave. Raises Busy."""
    claims = Handle(os.path.join(os.path.dirname(folder), CLAIMS), "a+")
    try:
        claims.lock(LOCK_SECONDS_MAX)
        if looks(folder) != seen or seen == NOTHING:
            return False
        grave = f"{folder}.old-{os.getpid()}-{time.monotonic_ns()}"
        os.rename(folder, grave)
    finally:
        claims.unlock()
        claims.close()
    if os.path.isdir(grave):
        shutil.rmtree(grave, ignore_errors=True)
    else:
        os.unlink(grave)
    return True


def _sweep(cache: str, boot: str) -> None:
    """Remove what other boots left, and what was left in this one by who was killed while they made or removed something."""
    for name in os.listdir(cache):
        place = os.path.join(cache, name)
        if len(name) >= BOOT_ID_LENGTH and name.count("-") >= 4 and name != boot:
            with contextlib.suppress(OSError):
                if not name.startswith(boot) or time.time() - os.stat(place).st_ctime > LEFT_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)


def make_private(cache: str) -> None:
    """Make the folder of a cache, 0700. Raises AccessDenied where another user could plant files in it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(cache, 0o700)
    is_private(cache)


def _fill(fresh: str, map_bytes: int) -> None:
    open_new(fresh, map_bytes).close()
    data, tally = os.path.join(fresh, DATA), os.path.join(fresh, TALLY)
    reserve_lock(os.path.join(fresh, LOCK))
    handle = os.open(tally, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, bytes(TALLY_BYTES))
    finally:
        os.close(handle)
    opened = Tally(tally)
    if file_system(fresh) in ALLOCATING:
        handle = os.open(data, os.O_RDWR | os.O_CLOEXEC)
        try:
            opened.note_allocated(allocate(handle, os.fstat(handle).st_size, min(SPARE_BYTES, map_bytes), map_bytes))
        finally:
            os.close(handle)
    opened.stamp(os.stat(data))


def file_system(folder: str) -> str:
    """Name the kind of file system that a folder is on, as the kernel does; empty where it does not."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split(" ")
                if fields[2] == number:
                    return fields[fields.index("-") + 1]
    except (OSError, ValueError, IndexError):
        pass
    return ""
