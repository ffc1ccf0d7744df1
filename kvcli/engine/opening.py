"""The one call of lmdb.open: how large the map, which flags, how often to try."""

from __future__ import annotations

import errno
import os
import time

import lmdb

from kvcli.engine.files import Files, read_header, verify
from kvcli.errors import DamagedStore

MAP_BYTES = 1 << 40  # An upper bound, sparse on disk; from 2**47 on LMDB cannot map it.
MAP_STEPS = (1 << 36, 1 << 32, 1 << 30, 1 << 28, 1 << 26, 1 << 24)  # Where ulimit -v forbids a larger one.
READERS_MAX = 512  # Fixed by whoever opens first.
LOCK_BYTES = 128 + READERS_MAX * 64  # What LMDB makes of it; a larger file would mean more readers.
BUCKETS_MAX = 512  # Handles open at once; a transaction costs more with every slot.
TRIES = 3
PERMANENT = (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.MemoryError, lmdb.ReadersFullError, lmdb.CorruptedError)


def open_files(files: Files, *, writable: bool, metasync: bool = True) -> tuple[lmdb.Environment, str, tuple[int, int]]:
    """Open existing files; give the environment, its format, and which file it is. Raises lmdb.Error, OSError or DamagedStore.

    Where there is no lock file nobody writes, and a reader makes none: Environment.read looks whether one has come.
    """
    header = read_header(files)
    if header.is_short():
        verify(files.data)
    floor = (header.last_page + 1) * header.page_bytes
    sizes = [max(header.map_size, floor), *(size for size in MAP_STEPS if floor <= size < header.map_size)]
    lock = writable or (os.path.exists(files.lock) and not _is_archive(files))
    if writable:
        reserve_lock(files.lock)
    options = {"readonly": not writable, "metasync": metasync, "max_dbs": BUCKETS_MAX}
    while True:
        before = file_id(files)
        env = _open_stepping(files.path, sizes, subdir=not files.single, create=False, lock=lock, **options)
        if file_id(files) == before:
            return env, header.format, before
        env.close()  # The file was replaced meanwhile, and it may be the old one that is open now.


def file_id(files: Files) -> tuple[int, int]:
    """Say which file the data file is, whatever its name."""
    status = os.stat(files.data)
    return status.st_dev, status.st_ino


def open_volatile(files: Files, *, writable: bool, mapped: bool) -> lmdb.Environment:
    """Open the files of a cache, with the map they were made for. Raises lmdb.Error, OSError or DamagedStore.

    Nothing is ever synced: a power cut may leave anything in them, and nobody looks at them again. `mapped` writes go to
    the pages in memory, four times as fast; where such a page has no block on a full disk that is a SIGBUS, so whoever
    says it has allocated the blocks.
    """
    header = read_header(files)
    if (header.last_page + 1) * header.page_bytes > header.map_size:
        raise DamagedStore(f"{files.data} counts more pages than its map has")  # LMDB would map as many.
    reserve_lock(files.lock)
    env = _open_trying(
        files.path,
        header.map_size,
        {"readonly": not writable, "create": False, "sync": False, "writemap": mapped and writable, "max_dbs": 0},
    )
    env.reader_check()
    return env


def open_new(folder: str, map_bytes: int = MAP_BYTES) -> lmdb.Environment:
    """Create the data file in a folder that nobody else knows yet, in the format that distributions' tools can read.

    Not in the newer one: LMDB 1.0 aborts where a mapped write removes the last entry. Raises OSError where there is no room.
    """
    sizes = [map_bytes, *(size for size in MAP_STEPS if size < map_bytes)]
    try:
        return _open_stepping(folder, sizes, lib_version=0, lock=False, max_dbs=BUCKETS_MAX)
    except lmdb.InvalidError as error:
        # What LMDB found here, when it tried again, is what it wrote itself and was cut short.
        raise OSError(errno.EIO, "the first pages could not be written") from error


def reserve_lock(path: str) -> None:
    """Make the lock file with all its blocks, where there is none: on a full disk, a hole in it would be a SIGBUS.

    It is linked into place when it is whole, and never removed again: somebody may have it open.
    """
    if os.path.exists(path):
        return
    fresh = os.path.join(os.path.dirname(path), f".new-lock-{os.getpid()}")
    handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, LOCK_BYTES)
        os.link(fresh, path)
    except FileExistsError:
        pass  # Another process was faster.
    finally:
        os.close(handle)
        os.unlink(fresh)


def _open_stepping(path: str, sizes: list[int], **options: object) -> lmdb.Environment:
    for size in sizes[:-1]:
        try:
            return _open_trying(path, size, options)
        except lmdb.MemoryError:
            continue
    return _open_trying(path, sizes[-1], options)


def _open_trying(path: str, size: int, options: dict[str, object]) -> lmdb.Environment:
    # The header of LMDB says that opening can fail if another process opens or closes at exactly the same time.
    for pause in range(TRIES):
        try:
            return _open(path, size, options)
        except PERMANENT:
            raise
        except lmdb.Error:
            if pause == TRIES - 1:
                raise
        time.sleep(0.01 * (pause + 1))
    raise AssertionError("the last try returns or raises")


def _open(path: str, size: int, options: dict[str, object]) -> lmdb.Environment:
    return lmdb.open(
        os.fsencode(path),  # Of a str it takes only what is UTF-8.
        map_size=size,
        mode=0o700,  # LMDB drops the x bits for the files, so this is 0700 and 0600.
        max_readers=READERS_MAX,
        **options,  # type: ignore[arg-type]
    )


def _is_archive(files: Files) -> bool:
    """Tell whether nobody can be writing: a read-only file system, or files that lost every write permission.

    Only then may a reader go without the lock file: a writer who does not see a reader reuses its pages.
    """
    if os.access(files.lock, os.W_OK):
        return False
    unwritable = not os.stat(files.data).st_mode & 0o222
    return unwritable or bool(os.statvfs(files.folder).f_flag & os.ST_RDONLY)
