"""The register: which generations are open in this process. LMDB must not open a file twice in one.

All who use a generation share it; the last one to leave closes it, and so does whoever needs it open in another way. A
thread that is inside meanwhile gets an error of lmdb's, sees that the generation is outdated, and asks for the next.
"""

from __future__ import annotations

import os
import stat
from _thread import RLock, allocate_lock

import lmdb

from kvcli.engine.calm import calm
from kvcli.engine.files import DATA, Files, check_file, check_folder
from kvcli.engine.generation import Generation, Outdated, looks
from kvcli.engine.opening import open_volatile
from kvcli.engine.tally import Tally
from kvcli.errors import AccessDenied, Busy, DamagedStore, KvError, Other

BOOT = "/proc/sys/kernel/random/boot_id"
TALLY, CLAIMS = "tally", "claims"
LOOK_SECONDS_MAX = 0.5  # How long to wait for who is writing, only to see whether the files are sound.
CLOSE_SECONDS_MAX = 1.0

_open: dict[tuple[int, int], Generation] = {}
_inherited: dict[tuple[int, int], lmdb.Environment] = {}
_opening = RLock()


def boot_folder(cache: str) -> str:
    """Name the folder of this boot's generation. Raises OSError where the kernel does not tell."""
    with open(BOOT, encoding="utf-8") as file:
        return os.path.join(cache, file.read().strip())


def join(folder: str, *, write: bool, lock_timeout: float) -> Generation | None:
    """Open the generation in a folder, or share it; None where there is none. To `write`, wherever the system allows that.

    Raises Outdated where it was thrown away at this very moment, DamagedStore, AccessDenied, Busy, lmdb.Error, OSError.
    """
    if not is_private(os.path.dirname(folder)):
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise DamagedStore(f"{folder} is no folder") from error
    try:  # By its handle: by its name, one file may be of this generation and the next of another.
        with calm, _opening:
            generation = _share(folder, Files(f"/proc/self/fd/{handle}", single=False), write, lock_timeout)
            generation.users += 1
            if os.fstat(handle).st_ino == looks(folder)[0]:
                return generation
            leave(generation)
            raise Outdated
    except (lmdb.Error, OSError, KvError) as error:
        if os.fstat(handle).st_ino != looks(folder)[0]:
            raise Outdated from error  # It was moved away while we looked, and there may be another.
        if isinstance(error, FileNotFoundError):
            raise DamagedStore(f"{folder} has lost a file") from error
        raise
    finally:
        os.close(handle)


def leave(generation: Generation) -> None:
    """Use a generation no longer; the last one closes it."""
    with calm, _opening:
        generation.users -= 1
        if generation.users <= 0:
            _close(generation)


def is_private(cache: str) -> bool:
    """Tell whether there is a folder for a cache. Raises AccessDenied where another user could plant files in it."""
    try:
        status = os.lstat(cache)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        raise AccessDenied(f"{cache} is no folder of its own: remove it, and a cache is made there")
    check_folder(cache, status)
    return True


def _share(folder: str, files: Files, write: bool, lock_timeout: float) -> Generation:
    tally = Tally(os.path.join(files.path, TALLY))
    status = os.lstat(files.data)
    check_file(os.path.join(folder, DATA), status)
    place = (status.st_dev, status.st_ino)
    known = _open.get(place)
    if known is not None:
        if not known.outdated and (known.writable or not (write and tally.writable)):
            return known
        _close(known)
    _let_go(place)
    writable = write and tally.writable
    try:
        _look(tally, files, lock_timeout if writable else None)
        if writable:
            tally.mark()  # To open it for writing counts as a change, as to lose one's life meanwhile does.
        env = open_volatile(files, writable=writable, mapped=tally.allocated > 0)
        if writable:
            tally.stamp(os.stat(files.data))
    finally:
        tally.file.unlock()
    generation = Generation(folder, files.data, env, tally, writable=writable)
    _open[generation.id] = generation  # Not at `place`: where that was removed just now, LMDB has made another file.
    return generation


def _look(tally: Tally, files: Files, lock_timeout: float | None) -> None:
    """Raise DamagedStore where another program has written; with a time-out, keep the lock. Raises Busy."""
    status = os.stat(files.data)
    if lock_timeout is None and (tally.agrees(status) or tally.is_marked(status)):
        return
    try:
        tally.file.lock(LOOK_SECONDS_MAX if lock_timeout is None else lock_timeout)
    except Busy:
        if lock_timeout is not None:
            raise
        return  # Somebody is writing, and so has looked.
    status = os.stat(files.data)
    if not (tally.agrees(status) or tally.is_marked(status)):
        raise DamagedStore(f"{files.data} was changed by another program")


def _close(generation: Generation) -> None:
    generation.outdated = True
    if _open.get(generation.id) is generation:
        del _open[generation.id]
    generation.env.close()


def _let_go(place: tuple[int, int]) -> None:
    """Close what a forked child has from its parent. That may never end, where a thread of the parent was inside."""
    env = _inherited.get(place)
    if env is None:
        return
    from kvcli.engine.writer import start_thread

    closed = allocate_lock()
    closed.acquire()

    def close() -> None:
        env.close()
        closed.release()

    start_thread(close)
    if not closed.acquire(timeout=CLOSE_SECONDS_MAX):
        raise Other("the fork happened while another thread used the cache: fork before, or use threads")
    del _inherited[place]


def _forget() -> None:
    # In a child: LMDB knows readers by process, and a thread of the parent may have held our lock.
    global _opening  # noqa: PLW0603 - a lock cannot be freed by who does not hold it
    _opening = RLock()
    for place, generation in _open.items():
        generation.outdated = True
        generation.users = 1 << 30  # Nobody is the last to leave: see _let_go.
        _inherited[place] = generation.env
    _open.clear()


os.register_at_fork(after_in_child=_forget)
