"""kvcli check: whether the store is sound, and what to do where it is not."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from kvcli.commands import Progress, Table
from kvcli.engine.bookkeeping import faults
from kvcli.engine.copying import Copy
from kvcli.engine.provenance import is_vouched_for
from kvcli.errors import DamagedStore, KvError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.engine.files import Files

BEHIND_MAX = 1000
Row = tuple[str, str, str]  # What was looked at, ok or warning or damaged, and what was found.


def run(context: Context) -> Progress:
    """Look through every page of a private copy, at kvcli's own notes, at who may read the files, and at the readers.

    Raises what keeps a store from being opened; the table's error is DamagedStore where anything is damaged.
    """
    files = context.files()
    table = Table([])
    progress = Progress(_check(context, files, table), table)
    progress.total = os.stat(files.data).st_size
    return progress


def _check(context: Context, files: Files, table: Table) -> Iterator[int]:
    rows = [_permissions(files)]
    try:
        with Copy(files, tempfile.gettempdir()) as copy:
            yield from copy.steps(context.lock_timeout, compact=False)
            copy.verify()
            rows.append(("structure", "ok", f"{os.fstat(copy.handle).st_size:,} bytes, every page in its place"))
    except DamagedStore as error:
        rows.append(("structure", "damaged", str(error)))
    else:  # LMDB might die of what is damaged.
        rows += [_bookkeeping(context), _readers(context), _origin(files)]
    table.rows = [{"check": name, "state": state, "found": told} for name, state, told in rows]
    if any(state == "damaged" for _, state, _ in rows):
        table.error = DamagedStore(f"{files.path} is damaged: restore it from a backup")


def _permissions(files: Files) -> Row:
    own = [files.data, files.lock] if files.single else [files.folder, files.data, files.lock]
    open_ones = [path for path in own if _is_open(path)]
    if not open_ones:
        return "permissions", "ok", "nobody else may read or write the files"
    return "permissions", "warning", f"others may read {' and '.join(open_ones)}: chmod go= them, unless that is meant"


def _is_open(path: str) -> bool:
    return os.path.exists(path) and bool(os.stat(path).st_mode & 0o077)


def _origin(files: Files) -> Row:
    if is_vouched_for(files.data) is not False:
        return "origin", "ok", "kvcli made it here, or has looked through it"
    return "origin", "ok", "of another program, or a copy: looked through before the first write"


def _bookkeeping(context: Context) -> Row:
    try:
        found = context.store_to_read().read(faults)
    except KvError as error:
        return "bookkeeping", "damaged", str(error)
    if not found:
        return "bookkeeping", "ok", "the revisions that swaps need are in order"
    return "bookkeeping", "warning", f"{found[0]}: the next write sets it right; tokens and handles from before lose"


def _readers(context: Context) -> Row:
    stat = context.store_to_read().stat()
    cleared, behind = int(stat["readers_cleared"]), int(stat["readers_behind"])
    told = f"{stat['readers']} of {stat['readers_max']} places in use, {cleared} of killed readers cleared"
    if behind <= BEHIND_MAX:
        return "readers", "ok", told
    return (
        "readers",
        "warning",
        f"{told}; one reads what is {behind:,} revisions old, so the file grows: end that program",
    )
