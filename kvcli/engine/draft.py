"""A store as it will be: what is written to a draft stays in memory, until one transaction of the store below takes it.

Nothing is locked meanwhile. A draft notes the revision at which it first saw each key that it gives or takes; the commit
looks, inside its one write transaction, whether anybody wrote one of them since, and then writes all or nothing.
Keys that were listed, and no more, are not noted: a list is a look around.
"""

from __future__ import annotations

from heapq import merge
from itertools import groupby, islice

from kvcli.engine import Engine
from kvcli.engine.changes import Changes, page_over
from kvcli.engine.transaction import NO_IDENTITY, PAGE_BYTES_MAX, PRIVATE, Span
from kvcli.engine.update import Update, check_value
from kvcli.errors import Conflict, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from kvcli.engine.transaction import Snapshot

    Answer = TypeVar("Answer")
    # A key, and the store it was seen in, with the first revision at which it was.
    Seen = dict[tuple[bytes, bytes, bytes], int]

NAMED_MAX = 3


class Draft(Engine):
    """What is planned on top of a store that is open. It closes nothing: that store is its owner's."""

    read_only = False

    def __init__(self, base: Engine) -> None:
        """Plan nothing yet."""
        self._base = base
        self._changes = Changes()
        self._seen: Seen = {}
        self.is_committed = False  # Though the commit was interrupted.
        self.key_bytes_max, self.reserved = base.key_bytes_max, base.reserved
        self.ordered, self.remembers = base.ordered, base.remembers

    @property
    def size(self) -> int:
        """How many keys the commit will write or delete."""
        return sum(len(changed) for bucket, changed in self._changes.values.items() if bucket != PRIVATE)

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """See Engine.read."""
        return self._base.read(lambda snapshot: work(Layer(snapshot, self._changes, self._seen)))

    def write(
        self, work: Callable[[Update], Answer], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> Answer:
        """Plan what `work` writes: all of it or, where it raises, nothing."""
        del lock_timeout, meanwhile  # There is no lock to wait for, and nothing to do while it is written.

        def plan(snapshot: Snapshot) -> tuple[Answer, Changes, Seen]:
            seen: Seen = {}
            fresh = Changes()
            return work(Layer(Layer(snapshot, self._changes, seen), fresh, seen)), fresh, seen

        answer, fresh, seen = self._base.read(plan)
        self._changes.take(fresh)
        for name, revision in seen.items():
            note_first(self._seen, name, revision, remembers=self.remembers)
        return answer

    def commit(self, lock_timeout: float) -> int:
        """Write everything in one transaction and give the number of keys. Raises Conflict, and then nothing is written."""
        begun = False

        def work(update: Update) -> None:
            nonlocal begun
            begun = True
            stale = [
                key
                for (bucket, key, identity), revision in self._seen.items()
                if not update.unchanged(bucket, key, identity, revision)
            ]
            if stale:
                raise _conflict(stale)
            self._changes.write(update)

        try:
            self._base.write(work, lock_timeout)
        except KeyboardInterrupt:
            # It may have come when only the commit was left. The writer runs one thing after the other, so this look comes
            # after that; where its values are there, it is no matter who wrote them. A server might not answer this either.
            self.is_committed = begun and self.remembers and self._base.write(self._changes.are_in, lock_timeout)
            raise
        return self.size

    def stat(self) -> dict[str, str | int]:
        """See Engine.stat; the draft itself takes no place."""
        return self._base.stat()

    def close(self) -> None:
        """See Engine.close. A draft outlives those who use it: it ends with its commit, or is forgotten."""


class Layer(Update):
    """A snapshot with changes laid over it; the snapshot may be a layer itself."""

    __slots__ = ("_below", "_changes", "_seen", "ordered", "remembers")

    def __init__(self, below: Snapshot, changes: Changes, seen: Seen) -> None:
        """Need no transaction but that of the snapshot."""
        self._below = below
        self._changes = changes
        self._seen = seen
        self.ordered, self.remembers = below.ordered, below.remembers

    @property
    def revision(self) -> int:
        """See Snapshot.revision."""
        return self._below.revision

    @property
    def seen(self) -> int:
        """See Snapshot.seen."""
        return self._below.seen

    def sight(self, bucket: bytes, key: bytes) -> int:
        """See Snapshot.sight."""
        return self._below.sight(bucket, key)

    def identity(self) -> bytes:
        """See Snapshot.identity."""
        return self._below.identity()

    def noted(self, name: bytes) -> bytes | None:
        """See Snapshot.noted."""
        changed = self._changes.values.get(PRIVATE, {})
        return changed[name] if name in changed else self._below.noted(name)

    def check(self, bucket: bytes) -> None:
        """See Snapshot.check."""
        self._below.check(bucket)

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """See Snapshot.get."""
        self.note_seen(bucket, key, self.identity(), self.seen)
        return self.look(bucket, [key], None)[0]

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:
        """See Snapshot.get_many."""
        identity, revision = self.identity(), self.seen
        for key in keys:
            self.note_seen(bucket, key, identity, revision)
        return self.look(bucket, keys, room)

    def has(self, bucket: bytes, key: bytes) -> bool:
        """See Snapshot.has."""
        return self.get(bucket, key) is not None

    def page(self, bucket: bytes, span: Span, place: bytes | None, count: int) -> tuple[list[bytes], bytes | None]:
        """See Snapshot.page."""
        if self.ordered:
            return super().page(bucket, span, place, count)
        return page_over(self._below, bucket, span, place, count, self._changes)

    def keys(self, bucket: bytes, span: Span, count: int) -> list[bytes]:
        """See Snapshot.keys."""
        changed = self._changes.values.get(bucket)
        if not changed or not self.ordered:
            # In no order, what is changed is not put in between: whoever lists there asks for pages.
            return self._below.keys(bucket, span, count)
        both = merge(self._keys_below(bucket, span, count), self._changes.within(bucket, span), reverse=span.reverse)
        return list(islice((key for key, _ in groupby(both) if changed.get(key, b"") is not None), count))

    def items(self, bucket: bytes, span: Span, count: int) -> list[tuple[bytes, bytes]]:
        """See Snapshot.items."""
        keys = self.keys(bucket, span, count)
        values = self.look(bucket, keys, PAGE_BYTES_MAX)
        return [(key, value) for key, value in zip(keys, values, strict=False) if value is not None]

    def count(self, bucket: bytes) -> int:
        """See Snapshot.count."""
        changed = self._changes.values.get(bucket, {})
        before = self._look(bucket, list(changed), None)
        return self._below.count(bucket) + sum(map(_is_there, changed.values())) - sum(map(_is_there, before))

    def mark(self, bucket: bytes) -> bytes | None:
        """See Snapshot.mark; nobody writes to a draft while it is looked at."""
        return self._below.mark(bucket)

    def buckets(self) -> list[bytes]:
        """See Snapshot.buckets."""
        return self._below.buckets()

    def bucket_stat(self, bucket: bytes) -> dict[str, int]:
        """See Snapshot.bucket_stat."""
        return {**self._below.bucket_stat(bucket), "keys": self.count(bucket)}

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        """See Update.put."""
        _check_value(bucket, value)
        self._change(bucket, key, value)

    def put_many(self, bucket: bytes, pairs: Iterable[tuple[bytes, bytes]], check: Callable[[bytes], object]) -> None:
        """See Update.put_many."""
        pairs = list(pairs)
        for key, value in pairs:
            check(key)
            _check_value(bucket, value)
        for key, value in pairs:
            self._change(bucket, key, value)

    def delete(self, bucket: bytes, key: bytes) -> bool:
        """See Update.delete."""
        if not self.has(bucket, key):
            return False
        self._change(bucket, key, None)
        return True

    def create(self, bucket: bytes) -> bool:
        """See Update.create; only for a bucket that is there."""
        if bucket not in self.buckets():
            raise InvalidArgument(
                "a transaction holds keys and values: create the bucket before begin, or after commit"
            )
        return False

    def drop(self, bucket: bytes) -> None:
        """Refuse: see create."""
        self.check(bucket)
        raise InvalidArgument("a transaction holds keys and values: drop the bucket before begin, or after commit")

    def note(self, name: bytes, value: bytes | None) -> None:
        """See Update.note."""
        self._changes.put(PRIVATE, name, value)

    def wrote(self, bucket: bytes, key: bytes) -> bool:  # noqa: ARG002 - a handle made here is judged at the commit
        """See Update.wrote."""
        return False

    def unchanged(self, bucket: bytes, key: bytes, identity: bytes, revision: int) -> bool:
        """See Update.unchanged: what cannot be known yet the commit will tell. One's own writes are no change."""
        self.note_seen(bucket, key, identity, revision)
        return identity in {self.identity(), NO_IDENTITY} and revision <= self.seen

    def note_seen(self, bucket: bytes, key: bytes, identity: bytes, revision: int) -> None:
        """Remember that the commit depends on what `key` was at a revision."""
        name = (bucket, key, identity)
        if not self.remembers:
            revision = self._seen.get(name) or self.sight(
                bucket, key
            )  # All there is to compare with, and asked for once.
        note_first(self._seen, name, revision, remembers=self.remembers)

    def _keys_below(self, bucket: bytes, span: Span, count: int) -> Iterator[bytes]:
        while page := self._below.keys(bucket, span, count):
            yield from page
            span = span.after(page[-1])

    def _change(self, bucket: bytes, key: bytes, value: bytes | None) -> None:
        self.check(bucket)
        self.note_seen(bucket, key, self.identity(), self.seen)
        self._changes.put(bucket, key, value)

    def look(self, bucket: bytes, keys: list[bytes], room: int | None) -> list[bytes | None]:
        """Give values as get_many does, for one who only looks: nothing is noted."""
        changed = self._changes.values.get(bucket, {})
        if not changed:
            return self._look(bucket, keys, room)
        values: list[bytes | None] = []
        for key in keys:
            values.append(changed[key] if key in changed else self._look(bucket, [key], None)[0])
            if room is not None and (room := room - len(values[-1] or b"")) < 0:
                break
        return values

    def _look(self, bucket: bytes, keys: list[bytes], room: int | None) -> list[bytes | None]:
        return self._below.look(bucket, keys, room)


def note_first(seen: Seen, name: tuple[bytes, bytes, bytes], revision: int, *, remembers: bool) -> None:
    """Note what was seen first: the lower revision; or, where there is none and a digest stands for it, the earlier note."""
    seen[name] = min(revision, seen.get(name, revision)) if remembers else seen.get(name, revision)


def _check_value(bucket: bytes, value: bytes) -> None:
    check_value(bucket, value)
    if not isinstance(value, bytes):  # Where there is no lmdb that would say so.
        raise TypeError(f"a value is bytes, not {type(value).__name__}")


def _is_there(value: bytes | None) -> bool:
    return value is not None


def _conflict(keys: list[bytes]) -> Conflict:
    names = ", ".join(repr(key.decode("utf-8", "backslashreplace")) for key in keys[:NAMED_MAX])
    more = f" and {len(keys) - NAMED_MAX} more" if len(keys) > NAMED_MAX else ""
    return Conflict(f"others wrote {names}{more} meanwhile: nothing was written; roll back and begin again")
