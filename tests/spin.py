"""Spin's key-value file, written and read as Spin does, by SQLite alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

# crates/key-value-spin/src/store.rs of Spin, by hand: the test is that kvcli agrees with this.
TABLE = """
CREATE TABLE IF NOT EXISTS spin_key_value (
   store TEXT NOT NULL,
   key   TEXT NOT NULL,
   value BLOB NOT NULL,
   PRIMARY KEY (store, key)
)
"""
Row = tuple[object, object, object]


@contextmanager
def table(file: str, *settings: str) -> Iterator[sqlite3.Connection]:
    """Open a file, after some settings, and make the table."""
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        for setting in settings:
            connection.execute(setting)
        connection.execute(TABLE)
        yield connection
    finally:
        connection.close()


def put(connection: sqlite3.Connection, *rows: Row) -> None:
    """Write rows of store, key, value."""
    connection.executemany(
        "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?) "
        "ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
        rows,
    )


def made(file: str, *rows: Row) -> str:
    """Make a file that holds rows; give what copy calls it."""
    with table(file, "PRAGMA synchronous = OFF") as connection:  # No test cuts the power.
        put(connection, *rows)
    return f"spin:{file}"


def rows(file: str) -> set[Row]:
    """Give all rows of a file."""
    with table(file) as connection:
        return set(connection.execute("SELECT store, key, value FROM spin_key_value"))
