"""kvcli compact: give back to the disk what the store no longer needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kvcli.commands import Progress, Table
from kvcli.engine.compaction import compact
from kvcli.errors import ReadOnly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.engine.files import Files


def run(context: Context) -> Progress:
    """Write the store anew without unused pages, and put that into place while nobody has the store open.

    Every token and handle from before loses, as after any write. Raises Busy, DamagedStore, Full.
    """
    if context.read_only:
        raise ReadOnly("this command writes: leave --read-only out")
    files = context.files()
    before = os.stat(files.data).st_size
    sizes: dict[str, object] = {"before": before, "after": before}
    progress = Progress(_compact(files, context.lock_timeout, sizes), Table([sizes], tall=True))
    progress.total = before
    return progress


def _compact(files: Files, lock_timeout: float, sizes: dict[str, object]) -> Iterator[int]:
    yield from compact(files, lock_timeout)
    sizes["after"] = os.stat(files.data).st_size
