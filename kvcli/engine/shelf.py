"""The shelf: what a cache is kept on. It finds and stores entries, counts, and makes room; get never writes.

What has expired is purged, and where the cap is reached what was stored first is evicted, as part of writes: a few each,
in proportion to what is written. The cap is one of pages, so it bounds the file.
"""

from __future__ import annotations

import os

import lmdb

from kvcli.engine import KEY_BYTES_MAX, entries
from kvcli.engine.entries import BYTES_PER_ENTRY, HEADER_BYTES, Clock, age, live, unpack
from kvcli.engine.generation import Outdated
from kvcli.engine.register import CLAIMS
from kvcli.engine.succession import Succession, ours
from kvcli.errors import Busy, DamagedStore, Full, ReadOnly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from kvcli.engine.claims import Claim
    from kvcli.engine.generation import Generation

    Answer = TypeVar("Answer")

MAP_PER_CAP = 1.45  # As large as the file may grow, since free pages lie between those in use; then it is thrown away.
LARGE_BYTES = 1 << 16  # For a value like this, room is made before.
BYTES_PER_ROUND = 4096  # After so much, or every sixteenth write, a process looks what has expired and makes room.
WRITES_PER_ROUND = 16
ENTRIES_PER_TRANSACTION = 16  # So many are removed in one; more would touch, and so copy, very many pages.
EVICTED_PER_BYTE = 4  # At most, of what is written: a cap that was lowered is reached sooner or later, not at once.
COUNTED_AT_ONCE = 1000
COUNT_SECONDS_MAX = 0.02  # Else what was counted is lost; nobody waits for that.
READS_PER_LOOK = 128  # After so many hits a reader looks whether its generation was thrown away.
PAGE_BYTES = 4096
TRIES = 64


class Shelf:
    """The entries of one cache. Usable from several threads; after a fork it opens its files again."""

    def __init__(
        self,
        cache: str,
        *,
        read_only: bool,
        cap: Callable[[], int],
        lock_timeout: float,
        clock: Clock | None = None,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """Belong to the folder `cache`; nothing is opened yet. `cap` is asked at the first write, `tell` hears of losses."""
        self.folder = cache
        self.read_only = read_only
        self._line = Succession(
            cache,
            read_only=read_only,
            map_bytes=lambda: int(self.cap * MAP_PER_CAP) // PAGE_BYTES * PAGE_BYTES,
            tell=tell,
        )
        self.lock_timeout = lock_timeout
        self._clock = clock or Clock()
        self._wall, self._boot = self._clock.wall, self._clock.boot
        self._ask_cap = cap
        self._cap = 0
        self._hits = self._misses = self._evicted = self._expired = 0
        self._written = 0

    @property
    def cap(self) -> int:
        """How many bytes of pages the entries may take."""
        self._cap = self._cap or self._ask_cap()
        return self._cap

    # Reading

    def find(self, name: bytes) -> bytes | None:
        """Give the value of a live entry."""
        generation, raw = self._line.generation, None
        if generation is not None and not generation.outdated:  # The short way: this is the whole point of a cache.
            try:  # noqa: SIM105 - contextlib is slow to load
                raw = generation.env.begin().get(name)  # Held by nobody, it ends at once; `with` costs a third more.
            except lmdb.Error:
                pass  # The long way asks again, and knows what to do.
        if raw is not None and len(raw) >= HEADER_BYTES:
            deadline, stored, ttl, _ = unpack(raw)
            if not ttl or (0 <= self._boot() * 1000 - stored < ttl and self._wall() * 1000 < deadline):
                self._hits += 1
                if not self._hits % READS_PER_LOOK and generation is not None and not generation.is_current():
                    generation.outdated = True
                return raw[HEADER_BYTES:]
        return self._find(name)

    def _find(self, name: bytes) -> bytes | None:
        if len(name) > KEY_BYTES_MAX:
            return None
        value = self.peek(name)
        self._hits += value is not None
        self._misses += value is None
        return value

    def peek(self, name: bytes) -> bytes | None:
        """Give the value of a live entry, uncounted."""

        def work(txn: lmdb.Transaction[bytes]) -> bytes | None:
            raw = txn.get(name)
            return None if raw is None else live(raw, self._clock)

        return self._read(work)

    def find_with_age(self, name: bytes, *, counted: bool = True) -> tuple[bytes, int] | None:
        """Give the value of a live entry, and how long ago, in milliseconds, it was stored."""

        def work(txn: lmdb.Transaction[bytes]) -> tuple[bytes, int] | None:
            raw = txn.get(name)
            value = None if raw is None else live(raw, self._clock)
            return None if raw is None or value is None else (value, age(raw, self._clock))

        found = self._read(work)
        self._hits += counted and found is not None
        self._misses += counted and found is None
        return found

    def stat(self) -> dict[str, int | None]:
        """Give figures by name: entries, bytes, what was counted, the age of the oldest, when the next expires."""

        def work(txn: lmdb.Transaction[bytes]) -> dict[str, int | None]:
            return {
                "entries": entries.count(txn),
                "bytes": entries.bytes_used(txn),
                "oldest_ms": entries.oldest(txn, self._clock),
                "next_expiry_ms": entries.next_expiry(txn, self._clock),
            }

        figures = self._read(work) or {"entries": 0, "bytes": 0, "oldest_ms": None, "next_expiry_ms": None}
        self._flush()
        counts = (0, 0, 0, 0) if (generation := self._line.current()) is None else generation.tally.counts()
        return {**figures, **dict(zip(("hits", "misses", "evictions", "expirations"), counts, strict=True))}

    def _read(self, work: Callable[[lmdb.Transaction[bytes]], Answer | None]) -> Answer | None:
        for _ in range(TRIES):
            generation = self._line.current()
            if generation is None:
                return None
            try:
                with generation.env.begin() as txn:
                    answer = work(txn)
            except (lmdb.Error, OSError, DamagedStore) as error:
                self._line.give_up(generation, error)
            else:
                if answer is not None or generation.is_current():
                    return answer
                generation.outdated = True  # It misses everything, or what others stored since.
        raise self._line.unsettled()

    # Writing

    def put(self, name: bytes, value: bytes, ttl_ms: int | None) -> None:
        """Store an entry, in place of an older one. Raises Full for a value larger than the cap, or where the disk is."""
        cap = self.cap
        if len(value) > cap:
            raise Full(f"the value has {len(value)} bytes, and the cache takes {cap} in all: raise --max-size")
        if len(value) > LARGE_BYTES:
            self._make_room(len(value))

        def work(txn: lmdb.Transaction[bytes], _: Generation) -> int:
            entries.put(txn, name, value, ttl_ms or 0, self._clock)
            return txn.id()

        number = self._write(work, room=len(value), make=True) or 0
        self._written += len(value) + BYTES_PER_ENTRY
        if self._written > BYTES_PER_ROUND or not number % WRITES_PER_ROUND:
            try:  # noqa: SIM105 - contextlib is slow to load
                self._make_room(0)
            except (Busy, Full):
                pass  # The value is stored; room for others is made by the next write.

    def _make_room(self, room: int) -> None:
        """Purge some of what has expired, and evict until `room` bytes are free under the cap, in short transactions."""
        budget = EVICTED_PER_BYTE * max(self._written + room, WRITES_PER_ROUND * BYTES_PER_ENTRY)
        self._written = 0
        size = 1
        while size and budget > 0:

            def work(txn: lmdb.Transaction[bytes], _: Generation, budget: int = budget) -> tuple[int, int, int]:
                expired = entries.purge(txn, ENTRIES_PER_TRANSACTION, self._clock)
                excess = min(entries.bytes_used(txn) + room - self.cap, budget)
                return expired, *entries.evict(txn, excess, ENTRIES_PER_TRANSACTION)

            expired, evicted, size = self._write(work) or (0, 0, 0)
            self._expired += expired
            self._evicted += evicted
            budget -= size

    def remove(self, names: list[bytes]) -> int:
        """Remove entries, some in each transaction; give how many of them were live."""
        removed = 0
        for at in range(0, len(names), ENTRIES_PER_TRANSACTION):

            def work(txn: lmdb.Transaction[bytes], _: Generation, at: int = at) -> int:
                raws = [entries.remove(txn, name) for name in names[at : at + ENTRIES_PER_TRANSACTION]]
                return sum(raw is not None and live(raw, self._clock) is not None for raw in raws)

            removed += self._remove(work)
        return removed

    def purge(self) -> int:
        """Remove every expired entry; give how many there were."""
        purged = 0
        while more := self._remove(lambda txn, _: entries.purge(txn, ENTRIES_PER_TRANSACTION, self._clock)):
            purged += more
        self._expired += purged
        return purged

    def _remove(self, work: Callable[[lmdb.Transaction[bytes], Generation], int]) -> int:
        """Remove some entries; where the disk has no room even for that, all of them, which gives it some."""
        try:
            return self._write(work) or 0
        except Full:
            generation = self._line.current()
            if generation is not None:
                self._line.throw_away(generation, self.lock_timeout)
            return 0

    def clear(self) -> int:
        """Remove every entry, and the file; give how many there were."""
        cleared = self._write(lambda txn, _: entries.count(txn)) or 0
        generation = self._line.current()
        if generation is not None:
            self._flush()
            self._line.throw_away(generation, self.lock_timeout)
        return cleared

    def _write(
        self, work: Callable[[lmdb.Transaction[bytes], Generation], Answer], *, room: int = 0, make: bool = False
    ) -> Answer | None:
        if self.read_only:
            raise ReadOnly("this writes to the cache: leave --read-only out")
        for _ in range(TRIES):
            generation = self._line.current(write=True, make=make, lock_timeout=self.lock_timeout)
            if generation is None:
                return None
            try:
                answer = generation.write(work, self.lock_timeout, room)
            except Outdated:
                generation.outdated = True
            except (lmdb.Error, OSError, DamagedStore) as error:
                self._line.give_up(generation, error)
            else:
                if self._hits + self._misses + self._evicted + self._expired >= COUNTED_AT_ONCE:
                    self._flush()
                return answer
        raise self._line.unsettled()

    def claims(self, name: bytes) -> Iterator[Claim]:
        """Give the claims to fill an entry, one for each rank; none is taken yet."""
        from kvcli.engine.claims import RANKS, Claim, place_of
        from kvcli.engine.lives import make_private

        if self.read_only:
            raise ReadOnly("this would fill an entry of the cache: leave --read-only out")
        try:
            make_private(self.folder)
            for place in range(place_of(name), place_of(name) + RANKS):
                yield Claim(os.path.join(self.folder, CLAIMS), place)
        except OSError as error:
            raise ours(error, self.folder) from error

    # Life

    def _flush(self) -> None:
        generation, counts = self._line.generation, (self._hits, self._misses, self._evicted, self._expired)
        if generation is None or generation.outdated or self.read_only or not any(counts):
            return
        self._hits = self._misses = self._evicted = self._expired = 0
        try:  # noqa: SIM105 - contextlib is slow to load
            generation.count(COUNT_SECONDS_MAX, *counts)
        except (Busy, OSError, ValueError):
            pass

    def close(self) -> None:
        """Close. Safe to call twice."""
        self._flush()
        self._line.close()
