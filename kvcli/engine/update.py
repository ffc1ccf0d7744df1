"""Update: what a write transaction can do, on top of all that a snapshot can."""

from __future__ import annotations

from operator import itemgetter

import lmdb

from kvcli.engine.revisions import STRIPES_PER_WRITE_MAX, Ledger
from kvcli.engine.transaction import MAIN, NO_IDENTITY, PRIVATE, Snapshot, is_record
from kvcli.errors import DamagedStore, InvalidBucketName, MalformedData, NoSuchBucket, UnsupportedBucket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kvcli.engine.environment import Environment


FIRST = itemgetter(0)


class Update(Snapshot):
    """One write transaction: it sees its own writes, and stamps what it wrote."""

    __slots__ = ("_ledger", "changed")
    opened: dict[bytes, lmdb._Database]

    def __init__(self, environment: Environment, txn: lmdb.Transaction[bytes], origin: bytes) -> None:
        """Belong to a write transaction. `origin` says who made the environment, where no record says it yet."""
        super().__init__(environment, txn, environment.handles, {})
        if not self.revision:  # After the highest of all, which no file comes by honestly.
            path = environment.files.path
            raise DamagedStore(f"{path} is damaged, no revision can follow: restore it from a backup")
        private = self._database(PRIVATE) if environment.has(txn, PRIVATE) else None
        self._ledger = Ledger(txn, private, origin)
        self.changed = False

    @property
    def seen(self) -> int:
        """The revision before this one: a handle that is made here loses to what is written here later.

        It loses to what was written here before as well; that is a false conflict, which the next try does not meet.
        """
        return max(self.revision - 1, 0)

    def identity(self) -> bytes:
        """Give the id of this store as this transaction found it."""
        return self._environment.marked(self._ledger.identity)

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        """Write one pair. Raises TypeError for a value that is not bytes."""
        check_value(bucket, value)
        self._txn.put(key, value, db=self._writable(bucket))
        self._ledger.touch(bucket, key)

    def put_many(self, bucket: bytes, pairs: Iterable[tuple[bytes, bytes]], check: Callable[[bytes], object]) -> None:
        """Write pairs; the last of equal keys wins. `check` raises what is wrong with a key, and then none is written."""
        pairs = sorted(pairs, key=FIRST)  # Neighbours share pages. Equal keys keep their order.
        for length in set(map(len, map(FIRST, pairs))):
            check(bytes(length))
        if len(pairs) > STRIPES_PER_WRITE_MAX and bucket != MAIN:
            self._ledger.touch_all(bucket)
            self._txn.cursor(self._writable(bucket)).putmulti(pairs)  # In C: half a million pass here.
            return
        for _, value in pairs:
            check_value(bucket, value)
        for key, value in pairs:
            self.put(bucket, key, value)

    def delete(self, bucket: bytes, key: bytes) -> bool:
        """Remove one key; tell whether it was there. Nothing is stamped for a key that was not."""
        if not self.has(bucket, key):
            return False
        self._txn.delete(key, db=self._writable(bucket))
        self._ledger.touch(bucket, key)
        return True

    def delete_many(self, bucket: bytes, keys: list[bytes]) -> int:
        """Remove keys; give how many there were."""
        return sum([self.delete(bucket, key) for key in keys])

    def create(self, bucket: bytes) -> bool:
        """Make a bucket; tell whether it is new. A new one counts as written, so that handles of an older life lose."""
        if self._environment.has(self._txn, bucket):
            self._check_name(bucket)
            return False
        self._make(bucket)
        self._ledger.touch_all(bucket)
        self.changed = True
        return True

    def drop(self, bucket: bytes) -> None:
        """Remove a bucket with all its keys. Raises NoSuchBucket."""
        if bucket == MAIN:
            raise InvalidBucketName("the main database of an environment cannot be dropped")
        self._environment.drop_database(self._txn, bucket, self._writable(bucket))
        self.opened.pop(bucket, None)
        self._ledger.touch_all(bucket)

    def note(self, name: bytes, value: bytes | None) -> None:
        """Keep a word of kvcli's own beside the revisions, under a name that none of them has; None removes it."""
        if not self._environment.has(self._txn, PRIVATE):
            self._make(PRIVATE)
        private = self._writable(PRIVATE)
        if value is None:
            self._txn.delete(name, db=private)
        else:
            self._txn.put(name, value, db=private)

    def wrote(self, bucket: bytes, key: bytes) -> bool:
        """Tell whether this transaction has written `key`: a handle that is made now would lose for that alone."""
        return self._ledger.wrote(bucket, key)

    def unchanged(self, bucket: bytes, key: bytes, identity: bytes, revision: int) -> bool:
        """Tell whether nobody wrote `key` since `revision`, and the store is the one called `identity`."""
        # Seen before there was a store: good for what nobody wrote yet.
        unborn = identity == NO_IDENTITY and not revision
        return (unborn or identity == self.identity()) and self._ledger.unchanged(bucket, key, revision)

    def seal(self) -> None:
        """Stamp what was written; the last act before the commit."""
        if not self._environment.has(self._txn, PRIVATE):
            self._make(PRIVATE)
        self._ledger.seal(self._database(PRIVATE))

    def _writable(self, bucket: bytes) -> lmdb._Database:
        handle = self._database(bucket)  # Where there is none, nothing is changed.
        self.changed = True
        return handle

    def _open(self, bucket: bytes) -> lmdb._Database:
        self._environment.hold_handles()
        return super()._open(bucket)

    def _make(self, bucket: bytes) -> None:
        self._environment.hold_handles()
        try:
            self.opened[bucket] = self._environment.open_database(self._txn, bucket, create=True)
        except lmdb.IncompatibleError as error:
            raise UnsupportedBucket("the main database sorts its keys in a way that allows no buckets") from error

    def _check_name(self, bucket: bytes) -> None:
        try:
            self.check(bucket)
        except NoSuchBucket as error:
            name = bucket.decode("utf-8", "backslashreplace")
            raise InvalidBucketName(f"the main database has a key {name!r}: a bucket needs another name") from error


def check_value(bucket: bytes, value: bytes) -> None:
    """Raise TypeError for None, which lmdb would take for b""; for anything else that is not bytes it does so itself.

    Raises MalformedData for a value of the main database that could not be told from the record of a bucket.
    """
    if value is None:
        raise TypeError("a value is bytes, not None: delete removes a key")
    if bucket == MAIN and is_record(value):
        raise MalformedData("in the main database these 48 bytes would stand for a bucket: keep them in a bucket")
