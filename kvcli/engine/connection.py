"""Connections: what open gives. All connections of a process to one data file share one environment.

LMDB forbids to open a file twice in a process, also by another name of it, so the key is (device, inode).
"""

from __future__ import annotations

import os
from _thread import allocate_lock

import lmdb

from kvcli.engine import Engine
from kvcli.engine.calm import calm
from kvcli.engine.environment import Environment
from kvcli.engine.files import Files, find
from kvcli.errors import InvalidArgument, KvError, Other, ReadOnly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import TypeVar

    from kvcli.engine.transaction import Snapshot
    from kvcli.engine.update import Update

    Answer = TypeVar("Answer")

DURABILITIES = ("full", "fast")

_environments: dict[tuple[int, int], Environment] = {}
_registry = allocate_lock()


def open_connection(path: str, *, writable: bool, adopt: bool, durability: str) -> Connection | None:
    """Open the environment at `path`, None where there is none; see engine.connect."""
    if durability not in DURABILITIES:
        raise InvalidArgument(f"durability is one of {', '.join(DURABILITIES)}")
    try:
        files = find(path)
        if files is None:
            return None
        with calm, _registry:
            environment = _shared(files, writable=writable, metasync=writable and durability == "full")
    except (lmdb.Error, OSError) as error:
        raise _translated(error, path) from error
    return Connection(environment, read_only=not writable, adopt=adopt)


def _shared(files: Files, *, writable: bool, metasync: bool) -> Environment:
    status = os.stat(files.data)
    known = _environments.get((status.st_dev, status.st_ino))
    if known is not None and known.pid != os.getpid():
        known.leave_to_parent()
        known = None
    if known is None:
        environment = Environment(files, writable=writable, metasync=metasync)
        _environments[environment.file_id] = environment
        return environment
    known.upgrade(writable=writable, metasync=metasync)
    known.users += 1
    return known


def registry() -> LockType:
    """Give the lock that whoever opens or closes an environment holds."""
    return _registry


def is_open_here(data: str) -> bool:
    """Tell whether this process has a data file open."""
    status = os.stat(data)
    known = _environments.get((status.st_dev, status.st_ino))
    return known is not None and known.pid == os.getpid()


def _forget_locks() -> None:
    # In a child: a thread of the parent may have held the lock when it forked, and does not exist here.
    global _registry  # noqa: PLW0603 - a lock cannot be freed by who does not hold it
    _registry = allocate_lock()


os.register_at_fork(after_in_child=_forget_locks)


class Connection(Engine):
    """One opening of a store, with the rights it was opened with."""

    def __init__(self, environment: Environment, *, read_only: bool, adopt: bool) -> None:
        """Take a share of an environment."""
        self._environment: Environment | None = environment
        self._adopt = adopt
        self._is_trusted = False  # With writes: see provenance.
        self.read_only = read_only
        self.key_bytes_max = environment.key_bytes_max

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """See Engine.read."""
        environment = self._open_environment()
        try:
            return environment.read(work)
        except (lmdb.Error, OSError) as error:
            raise _translated(error, environment.files.path) from error

    def write(
        self, work: Callable[[Update], Answer], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> Answer:
        """See Engine.write."""
        environment = self._open_environment()
        if self.read_only:
            raise ReadOnly(f"{environment.files.path} was opened read-only: leave --read-only out")
        try:
            if not self._is_trusted:
                self._look_through(environment)
            return environment.write(work, lock_timeout, self._adopt, meanwhile)
        except (lmdb.Error, OSError) as error:
            raise _translated(error, environment.files.path) from error

    def _look_through(self, environment: Environment) -> None:
        # Before the writers' lock is taken: it may take a minute, and nobody should wait for that.
        from kvcli.engine.provenance import is_vouched_for, look_through

        environment.check_files()
        vouched = is_vouched_for(environment.files.data)
        is_ours = vouched or environment.read(lambda snapshot: snapshot.is_ours())
        if not is_ours and not self._adopt:
            return  # The write will be refused.
        if not vouched and (vouched is False or not is_ours):
            look_through(environment.files)
        self._is_trusted = True

    def stat(self) -> dict[str, str | int]:
        """See Engine.stat."""
        return self._open_environment().stat()

    def close(self) -> None:
        """See Engine.close; the last one closes the environment."""
        with calm:
            self._close()

    def _close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is None or environment.pid != os.getpid():
            return
        with _registry:
            environment.users -= 1
            if not environment.users and environment.close():
                for key in [key for key, known in _environments.items() if known is environment]:
                    del _environments[key]

    def _open_environment(self) -> Environment:
        if self._environment is None:
            raise Other("this store was closed")
        return self._environment


def _translated(error: lmdb.Error | OSError, path: str) -> KvError:
    from kvcli.engine.translation import translated

    return translated(error, path)
