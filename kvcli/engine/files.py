"""What a store is on disk: where its files are, whether they are safe to open, what their first bytes say."""

from __future__ import annotations

import os
import stat
import sys

from kvcli.errors import AccessDenied, DamagedStore, NoSuchStore

DATA, LOCK = "data.mdb", "lock.mdb"
MAGIC = 0xBEEFC0DE
META_BYTES = 24 + 2 * 48 + 16
FREE_FLAGS, FREE_FLAGS_MASK = 0x08, 0x3FFE  # Of the database of free pages: its keys are integers, and nothing else.
REVISION_AT = META_BYTES - 8


class Files:
    """The data file and the lock file of one LMDB environment."""

    __slots__ = ("data", "folder", "lock", "path", "single")

    def __init__(self, path: str, single: bool) -> None:
        """Name the files; `single` is LMDB's MDB_NOSUBDIR, one file and its `-lock` beside it."""
        self.path = path
        self.single = single
        self.folder = os.path.dirname(os.path.abspath(path)) if single else path
        self.data = path if single else os.path.join(path, DATA)
        self.lock = path + "-lock" if single else os.path.join(path, LOCK)


def find(path: str) -> Files | None:
    """Find the environment at `path`; None where nothing is. Raises AccessDenied where what is there is not safe."""
    status = _status(path)
    if status is None:
        return None
    if not stat.S_ISDIR(status.st_mode):
        check_file(path, status)
        files = Files(path, single=True)
        status = os.stat(files.folder)
    else:
        files = Files(path, single=False)
    data = _status(files.data)
    if data is None:
        return None
    check_folder(files.folder, status)
    check_file(files.data, data)
    lock = _status(files.lock)
    if lock is not None:
        check_file(files.lock, lock)
    return files


def check_folder(path: str, status: os.stat_result) -> None:
    """Refuse a folder in which another user could plant or swap files. Raises AccessDenied."""
    _check_owner(path, status)
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise AccessDenied(f"everybody may write to the folder {path}: chmod o-w it first")


def is_lone(path: str, ours: tuple[str, ...]) -> bool:
    """Tell whether a folder holds nothing but what kvcli itself leaves there."""
    return all(name in ours or name.startswith(".new-") for name in os.listdir(path))


class Header:
    """What the newest of the two meta pages says."""

    __slots__ = ("file_bytes", "format", "last_page", "map_size", "page_bytes", "revision")

    def __init__(self, data: bytes, offset: int, version: int, file_bytes: int) -> None:
        """Read one meta page; the layout is that of lmdb/verify.py, class _Meta."""
        self.format = "0.9" if version == 1 else "1.0"
        self.file_bytes = file_bytes
        self.map_size = _number(data, offset + 16, 8)
        self.page_bytes = _number(data, offset + 24, 4)
        self.last_page = _number(data, offset + 24 + 96, 8)
        self.revision = _number(data, offset + REVISION_AT, 8)

    def is_short(self) -> bool:
        """Tell whether the file ends before the last page it counts: truncated, or the page was never needed."""
        return self.file_bytes < (self.last_page + 1) * self.page_bytes


def read_header(files: Files) -> Header:
    """Read the meta pages without LMDB, which dies of SIGBUS on a file that was cut.

    Raises DamagedStore; NoSuchStore for a single file that is something else, and nobody's environment.
    """
    path = files.data
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        file_bytes = os.fstat(handle).st_size
        if not file_bytes:
            raise DamagedStore(f"{path} is empty: restore it from a backup, or remove it if it never held anything")
        first = _meta(os.pread(handle, 512, 0), file_bytes)
        if first is None and files.single:
            raise NoSuchStore(f"{path} is a file of another kind: name the folder of a store")
        if first is None:
            raise DamagedStore(f"{path} is not an LMDB data file: restore it from a backup")
        second = _meta(os.pread(handle, 512, first.page_bytes), file_bytes)
    finally:
        os.close(handle)
    newest = max(first, second or first, key=lambda meta: meta.revision)
    place = (first, second)[newest.revision % 2]  # LMDB writes them in turn, and trusts each at its place only.
    if second is None or (newest.revision and newest is not place):
        raise DamagedStore(f"{path} is truncated or overwritten: restore it from a backup")
    return newest


def number(handle: int, revision: int) -> None:
    """Give a file that nobody has opened yet another revision; both meta pages say the same then, but for that.

    Whoever opens a file beside a lock file takes from there which revision is the last, and looks for it at its place alone.
    """
    first = _meta(os.pread(handle, 512, 0), os.fstat(handle).st_size)
    if first is None:
        raise DamagedStore("the copy has no meta page")
    begin = 16 if first.format == "0.9" else 24
    places = (begin, first.page_bytes + begin)
    newest = max(
        [os.pread(handle, META_BYTES, place) for place in places], key=lambda meta: _number(meta, REVISION_AT, 8)
    )
    for slot, place in enumerate(places):
        own = revision if revision % 2 == slot else revision - 1
        os.pwrite(handle, newest[:REVISION_AT] + own.to_bytes(8, sys.byteorder), place)


def extend_file(path: str, missing: int) -> None:
    """Add zeros at the end. Not by truncate, which could cut what another process just wrote."""
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.posix_fallocate(handle, os.fstat(handle).st_size, missing)
    except OSError:
        pass  # The disk is full; the file is sound without its unused end.
    finally:
        os.close(handle)


def verify(path: str, name: str | None = None) -> None:
    """Look through every page in pure Python. Raises DamagedStore with the first problem found, of what `name` says it is."""
    from kvcli.engine.inspection import problems

    found = problems(path)
    if found:
        raise DamagedStore(f"{name or path} is truncated or damaged ({found[0]}): restore it from a backup")


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _meta(page: bytes, file_bytes: int) -> Header | None:
    for offset in (16, 24):  # the page header of format 0.9, of format 1.0
        is_meta = len(page) >= offset + META_BYTES and _number(page, offset, 4) == MAGIC
        if is_meta and _number(page, offset + 28, 2) & FREE_FLAGS_MASK == FREE_FLAGS:
            return Header(page, offset, _number(page, offset + 4, 4), file_bytes)
    return None


def _number(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], sys.byteorder)


def _status(path: str) -> os.stat_result | None:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise AccessDenied(f"{path}: permission denied") from error
    except (OSError, ValueError) as error:
        raise NoSuchStore(f"{path!r} is no path: {error}") from error
    if stat.S_ISLNK(status.st_mode):
        raise AccessDenied(f"{path} is a symbolic link: name what it points to, {os.path.realpath(path)}")
    return status


def check_file(path: str, status: os.stat_result) -> None:
    """Refuse what is no file, or another user's. Raises AccessDenied."""
    if not stat.S_ISREG(status.st_mode):
        raise AccessDenied(f"{path} is neither a file nor a folder: name the folder of a store")
    _check_owner(path, status)


def _check_owner(path: str, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise AccessDenied(f"{path} belongs to user {status.st_uid}: run kvcli as that user")
