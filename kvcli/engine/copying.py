"""Copies: the data file of an environment, whole at one revision, looked through, and put into place in one step.

A process of its own makes a copy: LMDB dies of a signal where the pages of a damaged file lead it astray.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from select import select

import lmdb

from kvcli.engine.files import Files, find, sync_folder, verify
from kvcli.engine.opening import open_files
from kvcli.engine.translation import translated
from kvcli.errors import AccessDenied, Busy, DamagedStore, Full, InputOutput, KvError, NoSuchFile, NoSuchStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

LOOK_SECONDS = 0.05
READ_BYTES = 4096
READY = b"copying\n"  # The process has opened the environment, and waits for nothing but locks.
KINDS = {kind.exit_code: kind for kind in (NoSuchStore, AccessDenied, Full, Busy, DamagedStore)}


class Copy:
    """A copy that has no name, and so is gone when this process is, until it is put into place."""

    def __init__(self, files: Files, folder: str) -> None:
        """Make room for a copy of these files in a folder. Raises AccessDenied, NoSuchFile, Full."""
        self._files = files
        self._folder = folder
        try:
            self.handle, self._name = _unnamed(folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoSuchFile(f"no folder {folder}") from error
        except OSError as error:
            raise translated(error, folder) from error

    def steps(self, lock_timeout: float, *, compact: bool) -> Iterator[int]:
        """Copy, and say now and then how many bytes there are; `compact` leaves out the pages that nothing uses.

        The other kind waits for the writers' lock, for a moment. Raises Busy, DamagedStore, Full.
        """
        with _start([self._files.path, "compact" if compact else "whole"], self.handle) as child:
            try:
                yield from self._watch(child, None if compact else lock_timeout)
            finally:
                child.kill()

    def _watch(self, child: subprocess.Popen[bytes], lock_timeout: float | None) -> Iterator[int]:
        said, deadline = b"", None
        while (heard := _heard(child)) != b"":
            said += heard or b""
            if READY in said and deadline is None and lock_timeout is not None:
                deadline = time.monotonic() + lock_timeout
            size = os.fstat(self.handle).st_size
            if deadline is not None and not size and time.monotonic() > deadline:
                raise Busy(f"{self._files.path}: another program has been writing for too long: try again")
            yield size
        self._judge(child.wait(), said.replace(READY, b"").decode("utf-8", "surrogateescape").strip())

    def verify(self) -> None:
        """Make the copy durable, and walk every page of it. Raises DamagedStore with the first problem found; Full."""
        try:
            os.fsync(self.handle)
        except OSError as error:
            raise translated(error, self._folder) from error
        verify(f"/proc/self/fd/{self.handle}", self._files.path)

    def look_like(self, path: str) -> None:
        """Take the owner and the mode of another file, as far as that is allowed."""
        status = os.stat(path)
        with suppress(PermissionError):
            os.fchown(self.handle, status.st_uid, status.st_gid)
        os.fchmod(self.handle, status.st_mode & 0o777)

    def put(self, path: str) -> None:
        """Give it a name: what had that before is replaced at once, and never half. Raises Full."""
        try:
            if self._name is None:
                self._name = self._link()
            os.rename(self._name, path)
            self._name = None
            sync_folder(self._folder)
        except OSError as error:
            raise translated(error, path) from error

    def _link(self) -> str:
        name = f"{self._folder}/.new-{os.urandom(8).hex()}"
        # With a folder that the path does not need: without one, Python links the symbolic link itself.
        os.link(f"/proc/self/fd/{self.handle}", name, src_dir_fd=self.handle)
        return name

    def _judge(self, code: int, said: str) -> None:
        path = self._files.path
        if code < 0:
            raise DamagedStore(f"{path} is damaged: LMDB died of it (signal {-code}): restore it from a backup")
        if code:
            raise KINDS.get(code, InputOutput)(said.rpartition("\n")[2] or f"{path}: it cannot be copied")

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what was not put into place."""
        os.close(self.handle)
        if self._name is not None:
            with suppress(FileNotFoundError):  # Ctrl-C came when it had its name already.
                os.unlink(self._name)


def _unnamed(folder: str) -> tuple[int, str | None]:
    """Open a file without a name; where the file system has no such thing, with one."""
    try:
        return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600), None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise
    except OSError:
        return tempfile.mkstemp(prefix=".new-", dir=folder)


def _start(words: list[str], handle: int) -> subprocess.Popen[bytes]:
    paths = map(os.path.abspath, sys.path)  # The kvcli that runs now, wherever it was loaded from.
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name == "PYTHONHOME"
    }
    return subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-m", "kvcli.engine.copying", *words],
        env={**variables, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=handle,
        stderr=subprocess.PIPE,
    )


def _heard(child: subprocess.Popen[bytes]) -> bytes | None:
    """Give what the process says within a moment, None where it says nothing; nothing at all is its end."""
    stream = child.stderr.fileno() if child.stderr is not None else -1
    return os.read(stream, READ_BYTES) if select([stream], [], [], LOOK_SECONDS)[0] else None


def _copy(path: str, how: str) -> None:
    """Copy to stdout; the work of the process that does nothing else."""
    files = find(path)
    if files is None:
        raise NoSuchStore(f"no store at {path}")
    environment, *_ = open_files(files, writable=False)
    os.write(2, READY)
    environment.copyfd(sys.stdout.fileno(), compact=how == "compact")


def _main(path: str, how: str) -> int:
    try:
        _copy(path, how)
    except (lmdb.Error, OSError, KvError) as error:
        told = error if isinstance(error, KvError) else translated(error, path)
        sys.stderr.write(f"{told}\n")
        return told.exit_code
    return 0


if __name__ == "__main__":
    sys.stderr.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    raise SystemExit(_main(*sys.argv[1:]))
