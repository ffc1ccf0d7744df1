"""Snapshot: what can be read inside one LMDB transaction, whichever kind it is."""

from __future__ import annotations

import sys
from itertools import islice

import lmdb

from kvcli.engine import Pages
from kvcli.errors import DamagedStore, NoSuchBucket, UnsupportedBucket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from kvcli.engine.environment import Environment

MAIN = b"@main"  # The main database of an environment that another program made.
PRIVATE = b"__kvcli__"
STATE = b"state"
STATE_BYTES = 33
NO_IDENTITY = bytes(16)
PAGE_BYTES_MAX = 1 << 20
PREFIX_BYTES_MAX = 2048  # No key of LMDB of any kind is as long, so none starts with more.


class Unopened(Exception):
    """The transaction met a bucket without a handle and may not open one; it must start again as one that may."""


class Span:
    """The keys from `low` up to, not including, `high`, forwards or backwards."""

    __slots__ = ("high", "low", "reverse")

    def __init__(self, low: bytes = b"", high: bytes | None = None, reverse: bool = False) -> None:
        """Bound a span; `high` None is no bound."""
        self.low = low
        self.high = high
        self.reverse = reverse

    @classmethod
    def starting(cls, prefix: bytes) -> Self:
        """Span the keys that start with `prefix`."""
        prefix = prefix[:PREFIX_BYTES_MAX]
        stem = prefix.rstrip(b"\xff")  # Nothing comes after what starts with these alone.
        return cls(prefix, stem[:-1] + bytes([stem[-1] + 1]) if stem else None)

    def after(self, key: bytes) -> Span:
        """Give what is left of the span once `key` was seen."""
        if self.reverse:
            return Span(self.low, key if self.high is None else min(key, self.high), True)
        return Span(max(self.low, key + b"\0"), self.high)

    def holds(self, key: bytes) -> bool:
        """Tell whether the far end of the span is not yet passed."""
        return key >= self.low if self.reverse else self.high is None or key < self.high

    def reaches(self, key: bytes) -> bool:
        """Tell whether the near end of the span is passed, as it is by every key of a tree that is sound."""
        return self.high is None or key < self.high if self.reverse else key >= self.low

    def seek(self, cursor: lmdb.Cursor[bytes]) -> bool:
        """Put the cursor on the first key of the span."""
        if not self.reverse:
            return cursor.set_range(self.low)
        if self.high is not None and cursor.set_range(self.high):
            return cursor.prev()
        return cursor.last()


class Snapshot(Pages):
    """One consistent view of a store. It lives as long as its transaction and hands out copies, never views."""

    __slots__ = ("_environment", "_handles", "_txn", "opened")

    def __init__(
        self,
        environment: Environment,
        txn: lmdb.Transaction[bytes],
        handles: dict[bytes, lmdb._Database],
        opened: dict[bytes, lmdb._Database] | None,
    ) -> None:
        """Belong to a transaction that knows `handles`. `opened` takes those it opens; None: it may not open any."""
        self._environment = environment
        self._txn = txn
        self._handles = handles
        self.opened = opened

    @property
    def revision(self) -> int:
        """The id of the last transaction that this snapshot can see."""
        return self._txn.id()

    @property
    def seen(self) -> int:
        """The revision of what this snapshot shows, for handles: who writes later has a higher one."""
        return self.revision

    def sight(self, bucket: bytes, key: bytes) -> int:
        """Give what `unchanged` compares with, for a key that is seen now, where the engine remembers no writes."""
        raise NotImplementedError

    def identity(self) -> bytes:
        """Give the id of this store: random, and tied to its file."""
        known = self._environment.has(self._txn, PRIVATE)
        state = self._txn.get(STATE, db=self._database(PRIVATE)) if known else None
        return self._environment.marked(identity_of(state, self.revision))

    def is_ours(self) -> bool:
        """Tell whether kvcli may write without being told to: it did so before, or nobody did."""
        return self._environment.has(self._txn, PRIVATE) or not self._txn.stat()["entries"]

    def noted(self, name: bytes) -> bytes | None:
        """Give what Update.note kept under a name."""
        known = self._environment.has(self._txn, PRIVATE)
        return self._txn.get(name, db=self._database(PRIVATE)) if known else None

    def check(self, bucket: bytes) -> None:
        """Raise NoSuchBucket or UnsupportedBucket unless `bucket` can be used."""
        self._database(bucket)

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """Give the value of `key`, None if absent."""
        value = self._txn.get(key, db=self._database(bucket))
        return None if bucket == MAIN and value is not None and is_record(value) else value

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:
        """Give the value of each key, None for an absent one. The last is the first that does not fit into `room` bytes."""
        if bucket == MAIN:
            return [self.get(bucket, key) for key in keys]
        get, database = self._txn.get, self._database(bucket)
        if room is None:
            return [get(key, None, database) for key in keys]
        values: list[bytes | None] = []
        for key in keys:
            value = get(key, None, database)
            values.append(value)
            if value is not None:
                room -= len(value)
                if room < 0:
                    break
        return values

    def wrote(self, bucket: bytes, key: bytes) -> bool:  # noqa: ARG002 - nothing is written here
        """See Update.wrote."""
        return False

    def has(self, bucket: bytes, key: bytes) -> bool:
        """Tell whether `key` exists, without reading its value."""
        if bucket == MAIN:
            return self.get(bucket, key) is not None
        return self._txn.cursor(db=self._database(bucket)).set_key(key)

    def keys(self, bucket: bytes, span: Span, count: int) -> list[bytes]:
        """Give at most `count` keys of the span in order; none is its end."""
        cursor = self._txn.cursor(db=self._database(bucket))
        if not span.seek(cursor):
            return []
        if bucket == MAIN:  # Not by items: those end with a megabyte, and a short page would be taken for the last.
            pairs = cursor.iterprev() if span.reverse else cursor.iternext()
            return self._ordered(span, list(islice((key for key, _ in plain_pairs(span, pairs)), count)))
        walk = cursor.iterprev if span.reverse else cursor.iternext
        page = list(islice(walk(keys=True, values=False), count))
        while page and not span.holds(page[-1]):
            page.pop()
        return self._ordered(span, page)

    def items(self, bucket: bytes, span: Span, count: int) -> list[tuple[bytes, bytes]]:
        """Give at most `count` pairs of the span, and at most a megabyte and one pair; none is its end."""
        cursor = self._txn.cursor(db=self._database(bucket))
        page: list[tuple[bytes, bytes]] = []
        if not span.seek(cursor):
            return page
        room = PAGE_BYTES_MAX
        for key, value in cursor.iterprev() if span.reverse else cursor.iternext():
            if len(page) == count or room <= 0 or not span.holds(key):
                break
            if bucket != MAIN or not is_record(value):
                page.append((key, value))
                room -= len(key) + len(value)
        if page:
            self._ordered(span, [page[-1][0]])
        return page

    def _ordered(self, span: Span, page: list[bytes]) -> list[bytes]:
        # The next page starts after the last key of this one: where a damaged tree leads back, there would be no end.
        if page and not span.reaches(page[-1]):
            raise DamagedStore(
                f"{self._environment.files.path} is damaged, its keys are in no order: restore it from a backup"
            )
        return page

    def count(self, bucket: bytes) -> int:
        """Give the number of keys of a bucket, without walking it (the main database apart)."""
        entries = self._txn.stat(self._database(bucket))["entries"]
        return entries if bucket != MAIN else entries - len(self._environment.names(self._txn))

    def buckets(self) -> list[bytes]:
        """Give the names of all buckets in byte order; first the main database where it holds keys of its own."""
        names = self._environment.names(self._txn)
        own = [MAIN] if self._txn.stat()["entries"] > len(names) else []
        return own + [name for name in names if name not in {PRIVATE, MAIN}]

    def mark(self, bucket: bytes) -> bytes | None:
        """Give what is another for two revisions once somebody wrote to the bucket: its record, which names the root page."""
        self.check(bucket)
        return self._environment.record(self._txn, bucket)

    def bucket_stat(self, bucket: bytes) -> dict[str, int]:
        """Give figures about one bucket: keys, bytes in pages, depth of its tree."""
        stat = self._txn.stat(self._database(bucket))
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return {"keys": self.count(bucket), "bytes": pages * stat["psize"], "depth": stat["depth"]}

    def _database(self, bucket: bytes) -> lmdb._Database:
        # The look into the main database is not idle: a handle outlives its database when another process drops that.
        if not self._environment.has(self._txn, bucket):
            raise no_such_bucket(bucket, self.buckets())
        handle = self.opened.get(bucket) if self.opened is not None else None
        return handle or self._handles.get(bucket) or self._open(bucket)

    def _open(self, bucket: bytes) -> lmdb._Database:
        if self.opened is None:
            raise Unopened
        try:
            handle = self._environment.open_database(self._txn, bucket)
        except lmdb.IncompatibleError as error:
            raise no_such_bucket(bucket, self.buckets()) from error
        check_flags(bucket, handle)
        self.opened[bucket] = handle
        return handle


def plain_pairs(span: Span, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Give the pairs of the main database up to the end of a span, without those that stand for databases."""
    for key, value in pairs:
        if not span.holds(key):
            return
        if not is_record(value):
            yield key, value


def is_record(value: bytes) -> bool:
    """Tell whether a value in the main database stands for a named one: an MDB_db as LMDB writes it.

    lmdb offers no look at the flag that says so; to open every name would fill the table of handles.
    """
    if len(value) != 48:
        return False
    pad, flags, depth = (int.from_bytes(value[a:b], sys.byteorder) for a, b in ((0, 4), (4, 6), (6, 8)))
    entries, root = (int.from_bytes(value[a : a + 8], sys.byteorder) for a in (32, 40))
    empty = root == (1 << 64) - 1
    filled = 0 < depth <= 32 and entries > 0 and 0 < root < 1 << 48
    return pad < 1 << 16 and flags < 1 << 7 and (depth == entries == 0 if empty else filled)


def check_flags(bucket: bytes, handle: lmdb._Database) -> None:
    """Refuse a database whose keys are not plain byte strings with one value each."""
    flags = [name for name, on in handle.flags().items() if on]
    if flags:
        name = bucket.decode("utf-8", "backslashreplace")
        raise UnsupportedBucket(f"bucket {name!r} is {' and '.join(flags)}, which kvcli could not keep: use mdb_dump")


def identity_of(state: bytes | None, revision: int) -> bytes:
    """Give the id of the store whose private record is `state`, seen at `revision`.

    A record from the future was copied by a program that starts counting transactions anew (mdb_copy -c): the copy is
    another store, and its id follows from the old one, so that whoever looks before the first write sees the same.
    """
    if state is None or len(state) != STATE_BYTES:
        return NO_IDENTITY
    last = int.from_bytes(state[16:24], "big")
    if last <= revision:
        return state[:16]
    return ((int.from_bytes(state[:16], "big") + last) % (1 << 128)).to_bytes(16, "big")


def no_such_bucket(bucket: bytes, known: Iterable[bytes]) -> NoSuchBucket:
    """Make the error for a bucket that is not there, with the nearest name that is."""
    from difflib import get_close_matches

    name = bucket.decode("utf-8", "backslashreplace")
    names = [other.decode("utf-8", "backslashreplace") for other in known]
    near = get_close_matches(name, names, 1)
    if near:
        return NoSuchBucket(f"no bucket {name!r}; did you mean {near[0]!r}?")
    listed = ", ".join(names[:8]) or "none"
    return NoSuchBucket(f"no bucket {name!r} (there are: {listed}): kvcli bucket create makes one")
