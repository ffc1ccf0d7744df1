"""kvcli backup: a copy of the store in one file, made while others write, whole or not there."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from kvcli.commands import Progress, Record
from kvcli.engine import exists
from kvcli.engine.copying import Copy
from kvcli.engine.files import DATA, Files, number, read_header
from kvcli.engine.solitude import solitude
from kvcli.errors import Busy, InvalidArgument, KvError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context


def run(context: Context, file: str) -> Progress:
    """Copy the store to `file` as it is at one revision, look through the copy, and put it into place in one step.

    An older backup of that name is replaced; anything else is not. Raises InvalidArgument, DamagedStore, Full.
    """
    files = context.files()
    _check_target(files, file)
    record = Record({"file": file, "bytes": 0})
    progress = Progress(_back_up(files, file, context.lock_timeout, record), record)
    progress.total = os.stat(files.data).st_size
    return progress


def _back_up(files: Files, file: str, lock_timeout: float, record: Record) -> Iterator[int]:
    path = os.path.abspath(file)
    with Copy(files, os.path.dirname(path)) as copy:
        yield from copy.steps(lock_timeout, compact=True)
        older = Files(path, single=True)
        if os.path.exists(older.lock):
            _replace(older, copy, lock_timeout)
        else:
            copy.verify()
            copy.put(path)
        record.fields["bytes"] = os.fstat(copy.handle).st_size


def _replace(older: Files, copy: Copy, lock_timeout: float) -> None:
    """Put a backup in the place of one that others may want to open at this moment."""
    revision = read_header(older).revision
    number(copy.handle, revision)
    copy.verify()
    with solitude(older, time.monotonic() + lock_timeout):
        if read_header(older).revision != revision:
            raise Busy(f"somebody writes to {older.data}: name another file, or try again")
        copy.put(older.data)


def _check_target(files: Files, file: str) -> None:
    """Refuse to replace what is no backup, or is the store itself."""
    if not file:
        raise InvalidArgument("FILE is empty: name a file")
    if os.path.isdir(file):
        raise InvalidArgument(f"{file} is a folder: name a file in it, say {os.path.join(file, 'backup.mdb')}")
    if not os.path.lexists(file):
        return
    if os.path.basename(file) == DATA or os.path.samefile(file, files.data):
        raise InvalidArgument(f"{file} is a store: name another file")
    try:
        exists(file)
    except KvError as error:
        raise InvalidArgument(f"{file} is there, and no backup: name another file") from error
