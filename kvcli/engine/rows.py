"""The rows of Spin's key-value table in SQLite: the only place that knows its layout."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from kvcli.engine import DEFAULT_BUCKET
from kvcli.engine.transaction import NO_IDENTITY, PAGE_BYTES_MAX, Span, no_such_bucket
from kvcli.engine.update import Update
from kvcli.errors import MalformedData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Column = tuple[bytes, bytes, int, int]  # Name, type, whether it is not null, place in the primary key from 1 on.

# As Spin makes it, crates/key-value-spin/src/store.rs; `store` is what kvcli calls a bucket.
TABLE = (
    "CREATE TABLE IF NOT EXISTS spin_key_value "
    "(store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))"
)
COLUMNS = [(b"store", b"TEXT", 1, 1), (b"key", b"TEXT", 1, 2), (b"value", b"BLOB", 1, 0)]
PUT = (
    "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (store, key) DO UPDATE SET value = excluded.value"
)
ITEMS = (
    "SELECT typeof(key), key, typeof(value), value FROM spin_key_value "
    "WHERE store = ? AND key >= ? ORDER BY key LIMIT ?"
)
KEYS = "SELECT typeof(key), key FROM spin_key_value WHERE store = ? AND key >= ? ORDER BY key LIMIT ?"
ANY = "SELECT 1 FROM spin_key_value WHERE store = ? LIMIT 1"
COUNTER_BYTES = 8


class Rows(Update):
    """The rows of the table, inside one transaction."""

    __slots__ = ("_connection", "_path")

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        """Belong to a transaction of SQLite's."""
        self._connection = connection
        self._path = path

    def layout(self) -> tuple[list[Column], list[str]]:
        """Give the columns of Spin's table, none where there is no such table, and the names of all others."""
        columns = self._connection.execute("PRAGMA table_info(spin_key_value)")
        found = [(name, kind.upper(), not_null, at) for _, name, kind, not_null, _, at in columns]
        names = self._connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') LIMIT 8")
        return found, [name.decode("utf-8", "backslashreplace") for (name,) in names]

    def make(self) -> None:
        """Make the table."""
        self._connection.execute(TABLE)

    def identity(self) -> bytes:
        """See Snapshot.identity: this very file, whatever its name."""
        status = os.stat(self._path)
        return (status.st_dev << 64 | status.st_ino).to_bytes(24, "big")[-len(NO_IDENTITY) :]

    def buckets(self) -> list[bytes]:
        """See Snapshot.buckets: those that have a key."""
        rows = self._connection.execute("SELECT DISTINCT typeof(store), store FROM spin_key_value ORDER BY store")
        return [self._text(kind, name) for kind, name in rows]

    def check(self, bucket: bytes) -> None:
        """See Snapshot.check. `default` always is."""
        if bucket != DEFAULT_BUCKET and not self._has_bucket(bucket):
            raise no_such_bucket(bucket, self.buckets())

    def count(self, bucket: bytes) -> int:
        """See Snapshot.count."""
        rows = self._connection.execute("SELECT count(*) FROM spin_key_value WHERE store = ?", (bucket.decode(),))
        count: int = rows.fetchone()[0]
        return count

    def keys(self, bucket: bytes, span: Span, count: int) -> list[bytes]:
        """See Snapshot.keys; forwards only."""
        rows = self._connection.execute(KEYS, (bucket.decode(), span.low.decode(), count)).fetchall()
        return [self._text(kind, key) for kind, key in rows if span.holds(key)]

    def items(self, bucket: bytes, span: Span, count: int) -> list[tuple[bytes, bytes]]:
        """See Snapshot.items; forwards only."""
        page: list[tuple[bytes, bytes]] = []
        room = PAGE_BYTES_MAX
        rows = self._connection.execute(ITEMS, (bucket.decode(), span.low.decode(), count))
        for key_kind, key, value_kind, value in rows:
            if room <= 0 or not span.holds(key):
                break
            page.append((self._text(key_kind, key), self._bytes(value_kind, value, key)))
            room -= len(key) + len(value)
        rows.close()
        return page

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:
        """See Snapshot.get_many."""
        store = bucket.decode()
        values: list[bytes | None] = []
        for key in keys:
            found = self._connection.execute(
                "SELECT typeof(value), value FROM spin_key_value WHERE store = ? AND key = ?", (store, key.decode())
            ).fetchone()
            values.append(None if found is None else self._bytes(found[0], found[1], key))
            if found is not None and room is not None:
                room -= len(found[1])
                if room < 0:
                    break
        return values

    def has(self, bucket: bytes, key: bytes) -> bool:
        """See Snapshot.has."""
        return self.get_many(bucket, [key]) != [None]

    def create(self, bucket: bytes) -> bool:  # noqa: ARG002 - nothing is to be made
        """See Update.create: a bucket is there once it has a key."""
        return False

    def put_many(self, bucket: bytes, pairs: Iterable[tuple[bytes, bytes]], check: Callable[[bytes], object]) -> None:
        """See Update.put_many."""
        store, pairs = bucket.decode(), list(pairs)
        for length in {len(key) for key, _ in pairs}:
            check(bytes(length))
        rows = [(store, key.decode(), value) for key, value in pairs]
        self._connection.executemany(PUT, rows)

    def _has_bucket(self, bucket: bytes) -> bool:
        try:
            name = bucket.decode()
        except UnicodeDecodeError:
            return False  # Spin's are text.
        return self._connection.execute(ANY, (name,)).fetchone() is not None

    def _text(self, kind: bytes, raw: bytes) -> bytes:
        """Give the bytes of text. Raises MalformedData for what Spin cannot have written."""
        try:
            if kind == b"text":
                raw.decode()
                return raw
        except UnicodeDecodeError:
            pass
        raise MalformedData(f"{self._path} has a key, or a store, that is no UTF-8 text: {raw[:40]!r}")

    def _bytes(self, kind: bytes, value: bytes, key: bytes) -> bytes:
        """Give a value. Text is what a person writes in sqlite3's shell; numbers are neither's."""
        if kind in {b"blob", b"text"}:
            return value
        raise MalformedData(f"{self._path}: the value of {key[:40]!r} is no blob but a {kind.decode()}")


def unpack_counter(value: bytes) -> int | None:
    """Give the number that Spin's increment has left; None for what is none."""
    return int.from_bytes(value, "little", signed=True) if len(value) == COUNTER_BYTES else None


def pack_counter(number: int) -> bytes:
    """Give what Spin's increment goes on from."""
    return number.to_bytes(COUNTER_BYTES, "little", signed=True)
