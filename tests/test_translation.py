"""Every error of lmdb and of the operating system has one of ours, from one table."""

from __future__ import annotations

import errno

import lmdb
import pytest

from kvcli.engine.translation import translated
from kvcli.errors import EXIT_CODES, InputOutput, KvError

# What only a bug of ours, or a race that Environment handles by itself, can raise.
NOT_FOR_USERS = {
    *("KeyExistsError", "MapResizedError", "BadDbiError", "BadRslotError", "BadTxnError", "InvalidParameterError"),
    *("ProblemError", "BadChecksumError", "CryptoFailError", "EnvEncryptionError", "DiskError"),
}
CLASSES = sorted(lmdb.Error.__subclasses__(), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_class_of_lmdb(kind: type[lmdb.Error]) -> None:
    """Each class has an error with an exit code of the table, and a line without LMDB's own words."""
    ours = translated(kind("what"), "/store")
    assert isinstance(ours, KvError)
    assert ours.exit_code in EXIT_CODES
    assert (type(ours) is InputOutput and str(ours).endswith("what")) == (kind.__name__ in NOT_FOR_USERS)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((errno.EACCES, 77), (errno.EROFS, 77), (errno.ENOSPC, 69), (errno.EDQUOT, 69), (errno.EFBIG, 69)),
        *((errno.ENOENT, 66), (errno.ENOTDIR, 66), (errno.EIO, 74), (errno.EAGAIN, 75), (errno.EXDEV, 74)),
    ],
)
def test_errno(number: int, code: int) -> None:
    """An error of the operating system means the same, whether lmdb or Python passes it on."""
    assert translated(OSError(number, "text"), "/").exit_code == code
    if number != errno.EXDEV:
        theirs = lmdb.Error("what")
        vars(theirs)["code"] = number
        assert translated(theirs, "/").exit_code == code


def test_write_that_failed_where_nothing_can_be_seen() -> None:
    """Where the disk cannot be asked how much room it has, the error stays what it was."""
    error = translated(OSError(errno.EIO, "text"), "/nowhere/at/all")
    assert (type(error), error.exit_code) == (InputOutput, 74)
