"""What a bucket is: a dictionary. And what a transaction of the REPL is: changes to one, and what they rest on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from kvcli.atomics import S64_MAX, S64_MIN
from kvcli.engine.revisions import STRIPES_PER_WRITE_MAX
from kvcli.errors import CasFailed, Conflict, IntegerOverflow, InvalidKey, KvError, NoSuchBucket, NotAnInteger

INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
Step = tuple[str, str, bytes | int]  # Of a program: set, delete, incr or fail, a key, and a value or a delta.


def bytes_of(key: str) -> bytes:
    """Give the bytes of a key."""
    return key.encode("utf-8", "surrogateescape")


def outcome(work: Callable[[], object]) -> object:
    """Give what some work gives, or the code of its error."""
    try:
        return work()
    except KvError as error:
        return ("error", error.code)


class Dictionary:
    """A bucket. `mark` tells whether a key was written since, `doubts` what may cost a false conflict."""

    def __init__(self, limit: int) -> None:
        """Be empty; a key has at most `limit` bytes."""
        self.limit = limit
        self.values: dict[str, bytes] = {}
        self.doubts = 0
        self._lives = 0
        self._writes: Counter[str] = Counter()

    def mark(self, key: str) -> object:
        """Give what is another after each write of a key."""
        return self._lives, self._writes[key]

    def begin_anew(self) -> None:
        """Lose everything: a write to all keys."""
        self.values.clear()
        self._lives += 1

    def look(self, key: str) -> bytes | None:
        """Look at a key."""
        return self.values.get(key)

    def put(self, key: str, value: bytes | None) -> None:
        """Write a key; None deletes it."""
        self._writes[key] += 1
        if value is None:
            del self.values[key]
        else:
            self.values[key] = value

    def there(self) -> list[str]:
        """Give all keys, in the order of their bytes."""
        return sorted(self.values, key=bytes_of)

    def attempt(self, work: Callable[[], object]) -> object:
        """Give the outcome of some work on this dictionary."""
        return outcome(work)

    # What a bucket can be asked

    def get(self, key: str) -> bytes | None:
        """See Bucket.get."""
        self._check(key)
        return self.look(key)

    def exists(self, key: str) -> bool:
        """See Bucket.exists."""
        return self.get(key) is not None

    def set(self, key: str, value: bytes) -> None:
        """See Bucket.set."""
        self._check(key)
        self.put(key, value)

    def delete(self, key: str) -> None:
        """See Bucket.delete; of an absent key it is no write."""
        if self.get(key) is not None:
            self.put(key, None)

    def set_if(self, key: str, value: bytes, present: bool) -> bool:
        """See atomics.set_if."""
        if (self.get(key) is not None) != present:
            return False
        self.put(key, value)
        return True

    def compare_and_set(self, key: str, expected: bytes | None, value: bytes) -> None:
        """See atomics.compare_and_set."""
        if self.get(key) != expected:
            raise CasFailed("", None, None)  # type: ignore[arg-type] # Nobody looks at the handle.
        self.put(key, value)

    def increment(self, key: str, delta: int) -> int:
        """See atomics.increment; a refusal leaves the key alone."""
        before = self.get(key)
        number = 0 if before is None else int(before) if INTEGER.fullmatch(before) else None
        if number is None or not S64_MIN <= number <= S64_MAX:
            raise NotAnInteger("")
        if not S64_MIN <= number + delta <= S64_MAX:
            raise IntegerOverflow("")
        self.put(key, b"%d" % (number + delta))
        return number + delta

    def get_many(self, keys: list[str]) -> list[bytes | None]:
        """See batch.get_many."""
        self._check(*keys)
        return [self.look(key) for key in keys]

    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        """See batch.set_many; the last of equal keys wins."""
        self._check(*[key for key, _ in pairs])
        self.wrote_many(len({key for key, _ in pairs}))
        for key, value in pairs:
            self.put(key, value)

    def delete_many(self, keys: list[str]) -> int:
        """See batch.delete_many."""
        self._check(*keys)
        gone = [key for key in dict.fromkeys(keys) if self.look(key) is not None]
        self.wrote_many(len(gone))
        for key in gone:
            self.put(key, None)
        return len(gone)

    def page(self, prefix: str, limit: int, after: str | None) -> tuple[list[str], bool]:
        """Give a page of keys, and whether there is another."""
        start = bytes_of(prefix)
        keys = [key for key in self.there() if bytes_of(key).startswith(start)]
        left = [key for key in keys if after is None or bytes_of(key) > bytes_of(after)]
        return left[:limit], len(left) > limit

    def program(self, steps: list[Step]) -> None:
        """Do all, or nothing where one fails."""
        kept = self._kept()
        try:
            for kind, key, operand in steps:
                self._step(kind, key, operand)
        except KvError:
            self._restore(kept)
            raise

    def _step(self, kind: str, key: str, operand: bytes | int) -> None:
        if kind == "fail":
            raise NoSuchBucket("")
        if kind == "delete":
            self.delete(key)
        elif isinstance(operand, bytes):
            self.set(key, operand)
        else:
            self.increment(key, operand)

    def wrote_many(self, count: int) -> None:
        """Note that so many keys are written at once: stamps that stand for all keys may cost a conflict that is none."""
        self.doubts += count > STRIPES_PER_WRITE_MAX

    def _check(self, *keys: str) -> None:
        if not all(0 < len(bytes_of(key)) <= self.limit for key in keys):
            raise InvalidKey("")

    def _kept(self) -> object:
        return dict(self.values), self._writes.copy()

    def _restore(self, kept: object) -> None:
        self.values, self._writes = kept  # type: ignore[misc]


class Plan(Dictionary):
    """What a transaction has changed, over a bucket that others write to meanwhile."""

    def __init__(self, base: Dictionary) -> None:
        """Change nothing yet."""
        super().__init__(base.limit)
        self._base = base
        self._begun = base.doubts
        self.changes: dict[str, bytes | None] = {}
        self._seen: dict[str, object] = {}

    def look(self, key: str) -> bytes | None:
        """Look at a key: the commit rests on what it was."""
        self._seen.setdefault(key, self._base.mark(key))
        return self.changes[key] if key in self.changes else self._base.values.get(key)

    def put(self, key: str, value: bytes | None) -> None:
        """Change a key."""
        self._seen.setdefault(key, self._base.mark(key))
        self.changes[key] = value

    def there(self) -> list[str]:
        """Give all keys as they will be; a list is a look around, and nothing rests on it."""
        gone = {key for key, value in self.changes.items() if value is None}
        return sorted((self._base.values.keys() | self.changes.keys()) - gone, key=bytes_of)

    def attempt(self, work: Callable[[], object]) -> object:
        """Give the outcome of some work; one that fails is forgotten, with what it saw."""
        kept = self._kept()
        result = outcome(work)
        if isinstance(result, tuple) and result[:1] == ("error",):
            self._restore(kept)
        return result

    def is_doubtful(self) -> bool:
        """Tell whether a conflict may be one that is none."""
        return self._base.doubts != self._begun or self.doubts > 0

    def commit(self) -> int:
        """Write all changes, or nothing where somebody wrote what they rest on; give how many they are."""
        if any(self._base.mark(key) != mark for key, mark in self._seen.items()):
            raise Conflict("")
        self._base.wrote_many(len(self.changes))
        for key, value in self.changes.items():
            if value is not None or key in self._base.values:
                self._base.put(key, value)
        return len(self.changes)

    def _kept(self) -> object:
        return dict(self.changes), dict(self._seen)

    def _restore(self, kept: object) -> None:
        self.changes, self._seen = kept  # type: ignore[misc]
