"""Compaction: the data file of an environment, written anew without the pages that nothing uses.

LMDB's files never shrink, and whoever has the old file open would go on in it, unseen. So the new one takes its place
only while nobody has the environment open.
"""

from __future__ import annotations

import time

from kvcli.engine.copying import Copy
from kvcli.engine.files import Files, number, read_header
from kvcli.engine.provenance import vouch
from kvcli.engine.solitude import solitude
from kvcli.errors import Busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def compact(files: Files, lock_timeout: float) -> Iterator[int]:
    """Compact an environment, and say now and then how many bytes the new file has.

    Raises Busy where somebody has it open, or writes to it, for `lock_timeout` seconds; DamagedStore, Full.
    """
    deadline = time.monotonic() + lock_timeout
    while True:
        revision = read_header(files).revision
        with Copy(files, files.folder) as copy:
            yield from copy.steps(lock_timeout, compact=True)
            number(copy.handle, revision)
            copy.verify()
            copy.look_like(files.data)
            vouch(copy.handle)
            with solitude(files, deadline):
                if read_header(files).revision == revision:
                    copy.put(files.data)
                    return
        if time.monotonic() > deadline:
            raise Busy(f"{files.path}: other programs write to it too often: try again")
