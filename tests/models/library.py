"""A bucket by the library, and a transaction over it."""

from __future__ import annotations

from kvcli import cursor as cursors
from kvcli.atomics import Cas, compare_and_set, increment, increment_in, set_if, swap
from kvcli.batch import delete_many, get_many, set_many
from kvcli.engine.draft import Draft
from kvcli.engine.transaction import Span
from kvcli.engine.update import Update
from kvcli.errors import CasFailed, NoSuchBucket
from kvcli.store import Store, as_text
from tests.models.dictionary import Step, bytes_of

BUSY_SECONDS = 10.0


class Library:
    """One bucket of an open store."""

    says_nul = True

    def __init__(self, store: Store, name: str) -> None:
        """Open the bucket."""
        self.store = store
        self.bucket = store.open(name)
        self.get, self.set, self.delete = self.bucket.get, self.bucket.set, self.bucket.delete
        self.exists = self.bucket.exists

    def set_if(self, key: str, value: bytes, present: bool) -> bool:
        """Set a key that is there, or that is not."""
        return set_if(self.bucket, key, value, present=present)

    def compare_and_set(self, key: str, expected: bytes | None, value: bytes) -> None:
        """Swap against a value."""
        compare_and_set(self.bucket, key, expected, value)

    def increment(self, key: str, delta: int) -> int:
        """Add to a key."""
        return increment(self.bucket, key, delta)

    def get_many(self, keys: list[str]) -> list[bytes | None]:
        """Get some keys; each answer is of the key that was asked."""
        pairs = get_many(self.bucket, keys)
        assert all(pair is None or pair[0] == key for key, pair in zip(keys, pairs, strict=True))
        return [None if pair is None else pair[1] for pair in pairs]

    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        """Set some keys."""
        set_many(self.bucket, pairs)

    def delete_many(self, keys: list[str]) -> int:
        """Delete some keys."""
        return delete_many(self.bucket, keys)

    def page(self, prefix: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """Give a page of keys, and the cursor of the next."""
        span = Span.starting(bytes_of(prefix))
        span = span if cursor is None else span.after(cursors.unpack(cursor))
        keys = self.store.read(lambda snapshot: snapshot.keys(self.bucket.name, span, limit + 1))
        return [as_text(key) for key in keys[:limit]], cursors.pack(keys[limit - 1]) if len(keys) > limit else None

    def program(self, steps: list[Step]) -> None:
        """Do all in one transaction; an exception in it leaves nothing behind."""

        def work(update: Update) -> None:
            for kind, key, operand in steps:
                self._step(update, kind, key, operand)

        self.store.write(work)

    def _step(self, update: Update, kind: str, key: str, operand: bytes | int) -> None:
        name = self.bucket.name
        if kind == "fail":
            raise NoSuchBucket("on purpose")
        if kind == "delete":
            update.delete(name, self.bucket.raw(key))
        elif isinstance(operand, bytes):
            update.put(name, self.bucket.raw(key), operand)
        else:
            increment_in(update, name, self.bucket.raw(key), operand)

    def look(self, key: str) -> tuple[bytes | None, Cas | str]:
        """Give a value, and a handle to swap with."""
        cas, value = Cas.new_with_read(self.bucket, key)
        return value, cas

    def swap(self, key: str, seen: Cas | str, value: bytes) -> tuple[bytes | None, Cas | str] | None:
        """Swap; where that is lost, give what look gives."""
        if isinstance(seen, Cas) and seen.bucket is not self.bucket:
            seen = seen.token()
        try:
            swap(Cas.from_token(self.bucket, key, seen) if isinstance(seen, str) else seen, value)
        except CasFailed as error:
            return error.cas.current(), error.cas
        return None

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class Drafted(Library):
    """A bucket in a transaction that is open."""

    def __init__(self, base: Library) -> None:
        """Begin."""
        self._draft = Draft(base.store.engine)
        super().__init__(Store.over(self._draft, base.store.path), as_text(base.bucket.name))

    def commit(self) -> int:
        """Commit."""
        return self._draft.commit(BUSY_SECONDS)
