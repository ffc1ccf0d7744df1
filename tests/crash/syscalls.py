"""System calls, as strace -xx writes them, with their paths and their bytes."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.tracing import Call

# Written out in hexadecimal, whole: what is written is what a replay needs.
TRACED = (
    *("openat", "write", "pwrite64", "writev", "pwritev", "lseek", "fallocate", "ftruncate", "fdatasync", "fsync"),
    *("link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
)
OPTIONS = ["-xx", "-s", "100000000", "-e", "trace=" + ",".join(f"?{name}" for name in TRACED)]
HANDLE = re.compile(r"^(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
RESULT = re.compile(r"\) += (-?\d+)(?:<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?)?")
LAST_NUMBER = re.compile(r"(\d+)\) += ")
FLAGS = re.compile(r"\bO_[A-Z]+")


class Syscall(NamedTuple):
    """One call that was done: the file it was given, by number and path, its strings, and what came back."""

    name: str
    thread: int
    handle: str
    path: str
    strings: list[bytes]
    last: int
    flags: frozenset[str]
    result: int
    made: str

    @property
    def paths(self) -> list[str]:
        """Its strings as paths; those of a handle's folder stand behind that."""
        texts = [string.decode("utf-8", "replace") for string in self.strings]
        return [text if text.startswith("/") else f"{self.path}/{text}" for text in texts]


def parse(call: Call) -> Syscall | None:
    """Read a call; None where it did not succeed."""
    result = RESULT.search(call.rest)
    if result is None or int(result[1]) < 0:
        return None
    handle = HANDLE.match(call.rest)
    last = LAST_NUMBER.search(call.rest)
    return Syscall(
        call.name,
        call.process,
        handle[1] if handle else "",
        text(handle[2], handle[3]) if handle else "",
        [plain(match) for match in STRING.findall(call.rest)],
        int(last[1]) if last else 0,
        frozenset(FLAGS.findall(call.rest)),
        int(result[1]),
        text(result[2] or "", result[3]),
    )


def plain(written: str) -> bytes:
    """Read a string of hexadecimal numbers."""
    return bytes.fromhex(written.replace("\\x", ""))


def text(written: str, deleted: str | None) -> str:
    """Read a path; of a file that has no name any more, or never had, it is no name of another's."""
    return plain(written).decode("utf-8", "replace") + (deleted or "")
