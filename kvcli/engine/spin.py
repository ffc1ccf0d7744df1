"""Spin's own key-value file, which is one of SQLite's: its opening and its transactions. What copy needs of an engine, and no more.

Not behind `connect`: increments are kept in another way there, and swaps, watching and backups have nothing to rest on.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote

from kvcli.engine import Engine
from kvcli.engine.rows import COLUMNS, Rows
from kvcli.errors import AccessDenied, Busy, DamagedStore, Full, InputOutput, MalformedData, NoSuchStore, ReadOnly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from kvcli.engine.rows import Column
    from kvcli.engine.update import Update
    from kvcli.errors import KvError

    Answer = TypeVar("Answer")

KEY_BYTES_MAX = 1_000_000_000  # What SQLite takes; Spin has no limit of its own.
PATIENCE_SECONDS = 0.2  # SQLite waits in C, where no Ctrl-C is heard.

# SQLite's primary codes: (what we call it, what to do next).
BY_CODE: dict[int, tuple[type[KvError], str]] = {
    sqlite3.SQLITE_BUSY: (Busy, "another program uses it: try again, or wait longer with --lock-timeout"),
    sqlite3.SQLITE_LOCKED: (Busy, "another program uses it: try again, or wait longer with --lock-timeout"),
    sqlite3.SQLITE_READONLY: (ReadOnly, "permission denied: the file, or its folder, allows reading only"),
    sqlite3.SQLITE_READONLY_ROLLBACK: (ReadOnly, "an interrupted write is to be undone first: open it in sqlite3 once"),
    sqlite3.SQLITE_READONLY_RECOVERY: (ReadOnly, "an interrupted write is to be undone first: open it in sqlite3 once"),
    sqlite3.SQLITE_CANTOPEN: (AccessDenied, "permission denied: SQLite cannot open it, or a file beside it"),
    sqlite3.SQLITE_FULL: (Full, "the disk is full: free some space"),
    sqlite3.SQLITE_NOTADB: (NoSuchStore, "this is no file of SQLite: name Spin's sqlite_key_value.db"),
    sqlite3.SQLITE_CORRUPT: (DamagedStore, "the file is damaged: restore it from a backup"),
    sqlite3.SQLITE_TOOBIG: (MalformedData, "the value is too large for SQLite"),
}


class Spin(Engine):
    """Such a file, open."""

    are_keys_text = True
    key_bytes_max = KEY_BYTES_MAX

    def __init__(self, path: str, *, writable: bool, lock_timeout: float) -> None:
        """Open the file at `path`; one that is `writable` is made where there is none, and so is its table.

        Raises NoSuchStore for no file, and for one of another program, which is never written to.
        """
        self.path = os.path.abspath(path)
        self.read_only = not writable
        self._lock_timeout = lock_timeout
        with self._translated():
            self._find_file()
            self._connection = sqlite3.connect(
                f"file://{quote(os.fsencode(self.path))}?mode={'rw' if writable else 'ro'}",
                uri=True,
                timeout=min(PATIENCE_SECONDS, lock_timeout),
                isolation_level=None,
            )
            self._connection.text_factory = bytes
            self._patiently("PRAGMA synchronous = EXTRA")  # Acknowledged is on disk: the end of a journal too.
        try:
            self._find_table()
        except BaseException:
            self.close()
            raise

    def read(self, work: Callable[[Update], Answer]) -> Answer:
        """See Engine.read."""
        return self._run("BEGIN", work)

    def write(
        self,
        work: Callable[[Update], Answer],
        lock_timeout: float,
        meanwhile: Callable[[], object] | None = None,
    ) -> Answer:
        """See Engine.write."""
        del lock_timeout, meanwhile  # The time-out was said when the file was opened.
        return self._run("BEGIN IMMEDIATE", work)

    def close(self) -> None:
        """See Engine.close."""
        self._connection.close()

    def _run(self, begin: str, work: Callable[[Rows], Answer]) -> Answer:
        with self._translated():
            self._patiently(begin)
            try:
                self._patiently("PRAGMA schema_version")  # The first look takes the lock.
                answer = work(Rows(self._connection, self.path))
                self._patiently("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise
            return answer

    def _find_file(self) -> None:
        """Look that it is a file, and make one if it is to be written: SQLite would let others read that."""
        if self.read_only and not os.path.exists(self.path):
            raise NoSuchStore(f"no file at {self.path}: Spin makes .spin/sqlite_key_value.db beside its spin.toml")
        if not os.path.lexists(self.path):
            if not os.path.isdir(os.path.dirname(self.path)):
                raise NoSuchStore(f"no folder for {self.path}: make that first")
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        if not os.path.isfile(self.path):
            raise NoSuchStore(f"{self.path} is no file: name Spin's sqlite_key_value.db")

    def _find_table(self) -> None:
        found, others = self._run("BEGIN", lambda rows: rows.layout())
        if not found and not others and not self.read_only:
            self._run("BEGIN IMMEDIATE", lambda rows: rows.make())
        elif found != COLUMNS:
            raise NoSuchStore(f"{self.path}: no table spin_key_value as Spin has it ({_told(found, others)})")

    def _patiently(self, statement: str) -> None:
        deadline = monotonic() + self._lock_timeout
        while True:
            try:
                self._connection.execute(statement).fetchall()
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                    raise
            else:
                return

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self.path) from error
        except OverflowError as error:  # Of more than 2 GiB Python does not even ask SQLite.
            raise MalformedData(f"{self.path}: {BY_CODE[sqlite3.SQLITE_TOOBIG][1]}") from error


def translated(error: sqlite3.Error | OSError, path: str) -> KvError:
    """Give our error for SQLite's or the operating system's."""
    from kvcli.engine.translation import translated as of_system

    if isinstance(error, OSError):
        return of_system(error, path)
    code = _code(error)
    if code == sqlite3.SQLITE_IOERR:
        return of_system(OSError(errno.EIO, os.strerror(errno.EIO)), path)
    whole = getattr(error, "sqlite_errorcode", code)
    kind, advice = BY_CODE.get(whole) or BY_CODE.get(code) or (InputOutput, str(error))
    return kind(f"{path}: {advice}")


def _told(columns: list[Column], tables: list[str]) -> str:
    """Say what was found instead of Spin's table."""
    if columns:
        words = b", ".join([b"%b %b" % column[:2] for column in columns])
        return f"its columns are {words.decode('utf-8', 'backslashreplace')}"
    return f"there are: {', '.join(tables)}" if tables else "it is empty"


def _code(error: sqlite3.Error) -> int:
    """Give the primary code, without what SQLite says besides in its upper bits."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
