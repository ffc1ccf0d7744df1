"""The error family: every failure kvcli reports, its WIT case, its code in JSON and its exit code.

KvError
├── NoSuchStore              no-such-store
│   └── NoSuchBucket
├── AccessDenied             access-denied
│   ├── ReadOnly
│   └── UnsupportedBucket
├── CasFailed                cas-failed (of cas-error)
└── Other                    other(text)
    ├── InvalidArgument
    │   ├── CrossSlot
    │   ├── InvalidKey
    │   ├── InvalidBucketName
    │   ├── InvalidCursor
    │   └── InvalidToken
    ├── NoSuchKey
    ├── NoSuchFile
    ├── KeyExists
    ├── Conflict
    ├── Declined
    ├── NotAnInteger
    ├── IntegerOverflow
    ├── WrongKind
    ├── MalformedData
    ├── Full
    ├── InputOutput
    │   ├── DamagedStore
    │   ├── StoreReplaced
    │   └── OutcomeUnknown
    ├── Busy
    │   └── Unavailable
    ├── HandleConsumed
    ├── CommandFailed
    ├── BatchFailed
    ├── NoSuchImport
    ├── GuestTrapped
    └── GuestTimedOut

A missing key is an answer (None), not an error; NoSuchKey is raised only where a command says a key must exist.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.atomics import Cas

# The one table of exit codes: the command line, the man page and the tests read it here.
EXIT_CODES = {
    0: "done",
    1: "the answer is no: the key is missing, exists is false",
    2: "usage, or a confirmation was needed and nobody could be asked",
    3: "conflict: a swap was lost, --if-absent but there, --if-present but missing",
    4: "some operations of a batch failed",
    5: "the value is not of the kind needed: incr on text, overflow",
    65: "malformed input data",
    66: "no such store, bucket or file",
    69: "full: map, disk or readers",
    70: "a bug in kvcli",
    74: "I/O error or damaged store",
    75: "busy: the lock was not free, or a server not ready: try again",
    77: "access denied or read-only",
    130: "interrupted",
    141: "the reader of stdout went away",
}


class KvError(Exception):
    """What the store could not do. The message is one line: what is wrong and what to do next."""

    code = "internal"
    exit_code = 70
    is_answer = False  # A script that asked reads the exit code; only a person needs the message.


class NoSuchStore(KvError):
    """The host does not recognise this store (store.wit: `no-such-store`)."""

    code = "no-such-store"
    exit_code = 66


class NoSuchBucket(NoSuchStore):
    """The store is there and has no bucket of this name; to the WIT that is `no-such-store` as well."""

    code = "no-such-bucket"


class AccessDenied(KvError):
    """The caller may not do this, or the files are not safe to open (store.wit: `access-denied`)."""

    code = "access-denied"
    exit_code = 77


class ReadOnly(AccessDenied):
    """A write to a store that was opened, or can only be opened, for reading."""

    code = "read-only"


class UnsupportedBucket(AccessDenied):
    """A sub-database whose flags (DUPSORT and others) kvcli could not keep, and so does not touch."""

    code = "unsupported-bucket"


class CasFailed(KvError):
    """The swap was lost: the key changed after the handle was made (atomics.wit: `cas-failed`).

    `cas` is a fresh handle, made in the transaction that refused the swap; `value` is what it saw (None: absent).
    """

    code = "conflict"
    exit_code = 3

    def __init__(self, message: str, cas: Cas, value: bytes | None) -> None:
        """Carry the fresh handle and the value it saw."""
        super().__init__(message)
        self.cas = cas
        self.value = value


class Other(KvError):
    """Everything the WIT calls `other(string)`."""

    code = "other"


class InvalidArgument(Other):
    """An argument that no store could accept."""

    code = "usage"
    exit_code = 2


class InvalidKey(InvalidArgument):
    """A key is 1 to 511 bytes."""

    code = "invalid-key"


class InvalidBucketName(InvalidArgument):
    """A bucket name that cannot be created, or could never have been."""

    code = "invalid-bucket-name"


class InvalidCursor(InvalidArgument):
    """A cursor that no list gave out."""

    code = "invalid-cursor"


class InvalidToken(InvalidArgument):
    """A CAS token that is not one, or was made for another key."""

    code = "invalid-token"


class NoSuchKey(Other):
    """A key that the command said must exist does not."""

    code = "no-such-key"
    exit_code = 1


class NoSuchFile(Other):
    """A file beside the store, to read a value from or write one to, is not there."""

    code = "no-such-file"
    exit_code = 66


class KeyExists(Other):
    """The condition on the key (--if-absent, --if-present) did not hold."""

    code = "conflict"
    exit_code = 3


class Conflict(Other):
    """A transaction that was planned for a while depends on keys that others changed meanwhile. Nothing was written."""

    code = "conflict"
    exit_code = 3


class Declined(Other):
    """A person was asked and said no."""

    code = "declined"
    exit_code = 1


class NotAnInteger(Other):
    """increment found something other than a decimal integer, and left it alone."""

    code = "not-an-integer"
    exit_code = 5


class IntegerOverflow(Other):
    """increment would leave the range of s64; the value is unchanged."""

    code = "overflow"
    exit_code = 5


class MalformedData(Other):
    """Input data (never an option) that cannot be read."""

    code = "malformed"
    exit_code = 65


class Full(Other):
    """No room: the map, the disk, the table of readers or of buckets."""

    code = "full"
    exit_code = 69


class InputOutput(Other):
    """The operating system failed a read or a write."""

    code = "io"
    exit_code = 74


class DamagedStore(InputOutput):
    """The files are not what LMDB wrote: empty, truncated or overwritten."""

    code = "damaged-store"


class StoreReplaced(InputOutput):
    """The data file was replaced or removed while it was open: nothing written to it would be seen again."""

    code = "store-replaced"


class Busy(Other):
    """Another process held the writer lock for longer than the caller would wait. Nothing was written."""

    code = "busy"
    exit_code = 75


class HandleConsumed(Other):
    """A Cas handle works once: swap consumes it (atomics.wit, swap)."""

    code = "handle-consumed"


class CommandFailed(Other):
    """A command that was to make a value failed; its exit code is passed on."""

    code = "command-failed"

    def __init__(self, message: str, exit_code: int) -> None:
        """Carry the exit code."""
        super().__init__(message)
        self.exit_code = exit_code


class BatchFailed(Other):
    """Operations of a batch failed: some of them, or the one that ended it, whose code and exit code these are then."""

    code = "batch-failed"
    exit_code = 4

    def __init__(self, message: str, failure: KvError | None = None) -> None:
        """Take over from `failure`. What is usage on a command line is malformed data in a batch."""
        super().__init__(message)
        if failure is not None:
            self.code = failure.code
            self.exit_code = MalformedData.exit_code if isinstance(failure, InvalidArgument) else failure.exit_code


class NoSuchImport(Other):
    """What is to be imported is not there: a component asks for what kvcli does not have, or kvcli for a package of an extra."""

    code = "no-such-import"
    exit_code = 66


class GuestTrapped(Other):
    """A component ended by a trap: a fault of its own, or a limit on its memory or fuel. 134 is what shells give for SIGABRT."""

    code = "trap"
    exit_code = 134


class GuestTimedOut(Other):
    """A component did not end in the time that it was given. 124 is what timeout(1) gives."""

    code = "timeout"
    exit_code = 124
