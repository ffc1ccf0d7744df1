"""Convoys: gets and sets of the home bucket, without ids, as most batches are made of: the fast lane of Flying.

All sets of a convoy go before all gets, as two steps, however they were mixed: a convoy ends before a set of a key that it
gets, so each operation finds what it would have found in its turn.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from kvcli.errors import KvError
from kvcli.operations import Get, Set

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kvcli.engine import Engine, Step

CODE = ("utf-8", "surrogateescape")


class Convoy:
    """Some gets and sets that go together; `are_gets` tells which is which."""

    __slots__ = ("are_gets", "end", "keys", "pairs", "start")

    def __init__(self, operations: Sequence[Any], start: int, end: int, gets: int, engine: Engine) -> None:
        """Take what may go from `start` on, at most so many gets; `end` is then the place of the first that may not."""
        self.start = start
        self.are_gets: list[bool] = []
        self.pairs: list[tuple[bytes, bytes]] = []
        self.keys: list[bytes] = []
        self._fill(islice(operations, start, end), gets, engine.key_bytes_max, engine.reserved)
        self.end = start + len(self.are_gets)

    def _fill(self, operations: Iterator[Any], gets: int, key_bytes_max: int, reserved: tuple[bytes, ...]) -> None:
        are_gets, keys, pairs = self.are_gets, self.keys, self.pairs
        read: set[bytes] = set()
        for operation in operations:
            kind = type(operation)
            if (kind is not Get and kind is not Set) or operation.bucket is not None or operation.id is not UNSET:
                break
            key = operation.key.encode(*CODE)
            if not 0 < len(key) <= key_bytes_max or key.startswith(reserved):
                break
            if kind is Get:
                if operation.token or len(keys) == gets:
                    break
                read.add(key)
                keys.append(key)
            elif key in read:
                break
            else:
                pairs.append((key, operation.value.encode(*CODE)))
            are_gets.append(kind is Get)

    def steps(self, bucket: bytes) -> list[Step]:
        """Give what the engine is to do."""
        steps: list[Step] = [("put_many", bucket, self.pairs), ("get_many", bucket, self.keys)]
        return [step for step in steps if step[2]]

    def items(self, landed: list[list[Any]]) -> list[Any]:
        """Give the answer of each operation, in their order."""
        if not self.keys or not self.pairs:
            return landed[0]
        put, got = map(iter, landed)
        return [next(got if is_get else put) for is_get in self.are_gets]

    def is_whole(self, landed: list[list[Any]]) -> bool:
        """Tell whether all of it was done."""
        return not any(isinstance(item, KvError) for items in landed for item in items)
