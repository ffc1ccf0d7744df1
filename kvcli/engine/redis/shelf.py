"""Shelf on a server: entries with the server's own time to live, which it removes by itself; see engine/shelf.py.

An entry is 8 bytes, when it was stored in milliseconds since 1970, and then the value. How much all may take the server
says, by its maxmemory and its policy; here only a value that is larger than the cap is refused.
"""

from __future__ import annotations

from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Any

from kvcli.engine.claims import RANKS
from kvcli.engine.entries import Clock
from kvcli.engine.redis.kinds import number
from kvcli.engine.redis.lease import Lease
from kvcli.engine.redis.names import CACHE, CLAIM, COUNTS
from kvcli.engine.redis.scan import all_names, count_names
from kvcli.engine.shelf import Shelf
from kvcli.errors import Full, KvError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvcli.engine.redis.link import Word
    from kvcli.engine.redis.remote import Remote

STORED = Struct(">Q")
FIGURES = ("hits", "misses")


class RemoteShelf(Shelf):
    """The entries of a cache on a server. Usable from several threads, and after a fork."""

    def __init__(self, remote: Remote, *, cap: Callable[[], int], lock_timeout: float, clock: Clock | None) -> None:
        """Connect to nobody yet."""
        self._remote = remote
        self.read_only = remote.read_only
        self.folder = remote.servers.address.shown
        self.lock_timeout = remote.patience = lock_timeout
        self._clock = clock or Clock()
        self._ask_cap, self._cap = cap, 0
        self._counted = dict.fromkeys(FIGURES, 0)

    def find(self, name: bytes) -> bytes | None:
        """See Shelf.find."""
        found = self.find_with_age(name)
        return None if found is None else found[0]

    def peek(self, name: bytes) -> bytes | None:
        """See Shelf.peek."""
        found = self.find_with_age(name, counted=False)
        return None if found is None else found[0]

    def find_with_age(self, name: bytes, *, counted: bool = True) -> tuple[bytes, int] | None:
        """See Shelf.find_with_age."""
        raw = self._ask(CACHE + name, "GET", CACHE + name)
        found = None
        if raw is not None and len(raw) >= STORED.size:
            found = raw[STORED.size :], max(self._now() - STORED.unpack_from(raw)[0], 0)
        if counted:
            self._counted["misses" if found is None else "hits"] += 1
        return found

    def put(self, name: bytes, value: bytes, ttl_ms: int | None) -> None:
        """See Shelf.put."""
        self._remote.refuse_reading_only()
        if len(value) > self.cap:
            raise Full(f"the value has {len(value)} bytes, and the cache takes {self.cap} in all: raise --max-size")
        lives = () if ttl_ms is None else ("PX", ttl_ms)
        self._ask(CACHE + name, "SET", CACHE + name, STORED.pack(self._now()) + value, *lives, writes=True)

    def remove(self, names: list[bytes]) -> int:
        """See Shelf.remove."""
        self._remote.refuse_reading_only()
        return sum(self._ask(CACHE + name, "DEL", CACHE + name, writes=True) for name in names)

    def purge(self) -> int:
        """Do nothing: the server removes what has expired."""
        self._remote.refuse_reading_only()
        return 0

    def clear(self) -> int:
        """See Shelf.clear."""
        self._remote.refuse_reading_only()
        pages = all_names(self._remote.servers, CACHE, self._remote.patience)
        return sum(self.remove([name[len(CACHE) :] for name in page]) for page in pages)

    def stat(self) -> dict[str, int | None]:
        """See Shelf.stat; what the server does not tell is None."""
        self._flush()
        told = self._ask(COUNTS, "HMGET", COUNTS, *FIGURES)
        counts = {name: number(count) for name, count in zip(FIGURES, told, strict=True)}
        unknown = dict.fromkeys(("evictions", "expirations"))
        entries = count_names(self._remote.servers, CACHE, self._remote.patience)
        return {"entries": entries, "bytes": None, "oldest_ms": None, "next_expiry_ms": None, **counts, **unknown}

    def claims(self, name: bytes) -> Iterator[Lease]:
        """See Shelf.claims."""
        self._remote.refuse_reading_only()
        for rank in range(RANKS):
            yield Lease(self._remote, CLAIM + b"%d:" % rank + name, rank)

    def close(self) -> None:
        """See Shelf.close."""
        if not self._remote.servers.is_closed:
            with suppress(KvError):  # What was counted is lost then.
                self._flush()
        self._remote.close()

    def _flush(self) -> None:
        counted, self._counted = self._counted, dict.fromkeys(FIGURES, 0)
        for name, count in counted.items():
            if count and not self.read_only:
                self._ask(COUNTS, "HINCRBY", COUNTS, name, count, writes=True)

    def _now(self) -> int:
        return int(self._clock.wall() * 1000)

    def _ask(self, name: bytes, *words: Word, writes: bool = False) -> Any:
        return self._remote.servers.attempt(
            lambda trip: trip.to(name).call(*words, writes=writes), self._remote.patience
        )
