"""Provenance: whether a data file was made here by kvcli, or was looked through since. Before the first write to any other it is.

The note is an extended attribute of the file that says the file's own number. So a copy, by whatever program, does not have it: an
environment of another program, a store that was unpacked, or copied while somebody wrote to it. Not a record in the store, which would
come along with every copy, and would have to be read from a file that nobody has looked through.
"""

from __future__ import annotations

import errno
import os

from kvcli.engine.files import Files, read_header, verify
from kvcli.errors import DamagedStore

ATTRIBUTE = "user.kvcli.inode"
UNKNOWN = (errno.ENOTSUP, errno.ENOSYS)  # The file system keeps no attributes.
TRIES = 3


def vouch(file: int | str) -> None:
    """Note that this very file is sound; where it cannot be noted, whoever writes next looks through it again."""
    try:  # noqa: SIM105 - contextlib is slow to load
        os.setxattr(file, ATTRIBUTE, _number(file))
    except OSError:
        pass


def is_vouched_for(path: str) -> bool | None:
    """Tell whether a file was made here, or was looked through; None where the file system keeps no such notes."""
    try:
        return os.getxattr(path, ATTRIBUTE) == _number(path)
    except OSError as error:
        return None if error.errno in UNKNOWN else False


def look_through(files: Files) -> None:
    """Verify every page of a file that others may be writing to, and vouch for it. Raises DamagedStore."""
    for left in reversed(range(TRIES)):
        revision = read_header(files).revision
        try:
            verify(files.data)
        except DamagedStore:
            if read_header(files).revision == revision or not left:
                raise
        else:
            vouch(files.data)
            return
    raise AssertionError("the last try returns or raises")


def _number(file: int | str) -> bytes:
    return b"%d" % os.stat(file).st_ino
