"""Every known trap of LMDB is either tested or cannot arise, and the table that says so is true."""

from __future__ import annotations

import importlib

from tests.rows import CANNOT_ARISE, COVERED

ROWS = {str(number) for number in range(1, 52)} | {"3b"}


def test_every_row_is_in_one_table() -> None:
    """Rows 1 to 51 and 3b stand in one table, and in one only."""
    assert set(COVERED) | set(CANNOT_ARISE) == ROWS
    assert not set(COVERED) & set(CANNOT_ARISE)


def test_every_named_test_exists() -> None:
    """A row is not covered by a test that is not there."""
    named = {name for names in COVERED.values() for name in names}
    assert not [name for name in named if not is_test(name)]


def is_test(name: str) -> bool:
    """Tell whether a dotted name is that of a test."""
    module, _, function = name.rpartition(".")
    return callable(getattr(importlib.import_module(f"tests.{module}"), function, None))
