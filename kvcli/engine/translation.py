"""lmdb's errors and the operating system's, as ours: the one table. Loaded when something went wrong."""

from __future__ import annotations

import errno
import os
import resource

import lmdb

from kvcli.errors import (
    AccessDenied,
    Busy,
    DamagedStore,
    Full,
    InputOutput,
    KvError,
    MalformedData,
    NoSuchBucket,
    NoSuchStore,
    ReadOnly,
)

ROOM_BYTES = 1 << 20  # ext4 still has some when it has none for who asks.

# What LMDB calls it: (what we call it, what to do next).
BY_CLASS: dict[type[lmdb.Error], tuple[type[KvError], str]] = {
    lmdb.MapFullError: (Full, "the map is full and cannot grow: free address space (ulimit -v) or disk"),
    lmdb.DbsFullError: (Full, "one transaction uses too many buckets, more than 500 or so: do it in several"),
    lmdb.ReadersFullError: (Full, "the table of readers is full: end programs that read this store"),
    lmdb.TxnFullError: (Full, "the transaction is too large: write in smaller pieces"),
    lmdb.TlsFullError: (Full, "the process has no thread-local storage left"),
    lmdb.MemoryError: (Full, "the address space is too small for the map: raise ulimit -v"),
    lmdb.ReadonlyError: (ReadOnly, "permission denied: its files, or how it was opened, allow reading only"),
    lmdb.BadValsizeError: (MalformedData, "the value is too large for LMDB"),
    lmdb.NotFoundError: (NoSuchBucket, "the bucket was dropped meanwhile: create it again"),
    lmdb.IncompatibleError: (AccessDenied, "this key stands for a bucket: use kvcli bucket"),
    lmdb.InvalidError: (DamagedStore, "not an LMDB environment, or damaged: restore it from a backup"),
    lmdb.VersionMismatchError: (DamagedStore, "written by another version of LMDB"),
    lmdb.CorruptedError: (DamagedStore, "the store is damaged: restore it from a backup"),
    lmdb.PageNotFoundError: (DamagedStore, "the store is damaged or truncated: restore it from a backup"),
    lmdb.CursorFullError: (DamagedStore, "the store is damaged: restore it from a backup"),
    lmdb.PageFullError: (DamagedStore, "the store is damaged: restore it from a backup"),
    lmdb.PanicError: (InputOutput, "a write failed and LMDB gave up: look at the disk, then try again"),
    lmdb.LockError: (InputOutput, "the lock file cannot be used: is this a network file system?"),
}

BY_ERRNO: dict[int, tuple[type[KvError], str]] = {
    errno.EACCES: (AccessDenied, "permission denied"),
    errno.EPERM: (AccessDenied, "permission denied"),
    errno.EROFS: (ReadOnly, "the file system is read-only"),
    errno.ENOSPC: (Full, "the disk is full: free some space"),
    errno.EDQUOT: (Full, "the disk quota is used up: free some space"),
    errno.EFBIG: (Full, "the file may not grow any more: look at ulimit -f"),
    errno.ENOMEM: (Full, "out of memory or address space"),
    errno.EMFILE: (Full, "too many files are open in this process"),
    errno.ENFILE: (Full, "too many files are open on this machine"),
    errno.ENOENT: (NoSuchStore, "no such store"),
    errno.EEXIST: (NoSuchStore, "a part of the path is a file, not a folder"),
    errno.ENOTDIR: (NoSuchStore, "a part of the path is a file, not a folder"),
    errno.EISDIR: (NoSuchStore, "this is a folder, not a file"),
    errno.ENAMETOOLONG: (NoSuchStore, "the path is too long"),
    errno.EIO: (InputOutput, "the disk failed a read or a write"),
    errno.EAGAIN: (Busy, "the store is busy: try again"),
    errno.EBUSY: (Busy, "the store is busy: try again"),
}


def translated(error: lmdb.Error | OSError, path: str) -> KvError:
    """Give our error for theirs; the text of theirs is kept only where we have no better one."""
    number = error.errno if isinstance(error, OSError) else getattr(error, "code", 0)  # Not all of lmdb's have one.
    if number == errno.EIO:
        number = cut_short(path)
    known = BY_CLASS.get(type(error)) if isinstance(error, lmdb.Error) else None
    known = BY_ERRNO.get(number or 0) if known is None else known
    if known is None:
        return InputOutput(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
    kind, advice = known
    return kind(f"{path}: {advice}")


def cut_short(path: str) -> int:
    """Tell why a write was cut short: LMDB calls want of room an I/O error like any other."""
    file = os.path.join(path, "data.mdb") if os.path.isdir(path) else path
    try:
        disk = os.statvfs(path if os.path.exists(path) else os.path.dirname(path) or ".")  # It was to be made there.
        size = os.stat(file).st_size if os.path.exists(file) else 0
    except OSError:
        return errno.EIO
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and size + ROOM_BYTES > limit:
        return errno.EFBIG
    return errno.ENOSPC if disk.f_bavail * disk.f_frsize < ROOM_BYTES else errno.EIO
