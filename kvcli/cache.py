"""wasi:keyvalue/cache: Cache, Vacancy. The same to be awaited, as the interface's futures are, is in async_cache.py.

A cache belongs to a store and is not one: entries have a time to live, may go at any moment, and end with the machine's
uptime. What a get gives was set, by somebody, for this key, within its TTL; more the interface does not promise.
"""

from __future__ import annotations

from _operator import index

from kvcli.engine import KEY_BYTES_MAX, open_shelf
from kvcli.engine.entries import KEY, LONG_KEY
from kvcli.errors import Busy, HandleConsumed, InvalidArgument
from kvcli.store import as_text, key_bytes
from kvcli.units import checked_ttl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self, TypeVar

    from kvcli.engine.claims import Claim
    from kvcli.engine.entries import Clock
    from kvcli.engine.shelf import Shelf
    from kvcli.store import Store

    Found = TypeVar("Found")

CACHE_BYTES = 256 << 20
CACHE_BYTES_MIN, CACHE_BYTES_MAX = 1 << 20, 1 << 42


class Occupied:
    """There is a value (cache.wit, `get-or-set-entry`)."""

    __slots__ = ("value",)
    __match_args__ = ("value",)

    def __init__(self, value: bytes) -> None:
        """Hold the value."""
        self.value = value

    def __repr__(self) -> str:
        """Show the value."""
        return f"Occupied({self.value!r})"


class Vacant:
    """There is none, and the caller should write one into the vacancy (cache.wit, `get-or-set-entry`)."""

    __slots__ = ("vacancy",)
    __match_args__ = ("vacancy",)

    def __init__(self, vacancy: Vacancy) -> None:
        """Hold the vacancy."""
        self.vacancy = vacancy

    def __repr__(self) -> str:
        """Show the key."""
        return f"Vacant({self.vacancy!r})"


class Vacancy:
    """The right and duty to fill an absent entry: whoever else asks for it waits (cache.wit, `vacancy`).

    Fill it or drop it. Leaving its `with` block drops it, and so does forgetting it; a process that dies drops all it has.
    """

    __slots__ = ("_cache", "_claim", "_raw")

    def __init__(self, cache: Cache, raw: bytes, claim: Claim) -> None:
        """Hold the claim."""
        self._cache = cache
        self._raw = raw
        self._claim: Claim | None = claim

    def fill(self, value: bytes, ttl_ms: int | None = None) -> None:
        """Set the entry and let those who wait have it. Works once.

        Raises HandleConsumed, and what Cache.set does; then nothing is set, and the next one gets the vacancy.
        """
        try:
            self.put(value, ttl_ms)
        finally:
            self.drop()

    def put(self, value: bytes, ttl_ms: int | None = None) -> None:
        """Set the entry, and keep the others waiting until the vacancy is dropped."""
        if self._claim is None:
            raise HandleConsumed("this vacancy was filled or dropped already")
        self._cache.put(self._raw, value, ttl_ms)

    def drop(self) -> None:
        """Give up; one of those who wait gets a vacancy. Safe to call twice, and after fill."""
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop it, unless it was filled."""
        self.drop()

    def __repr__(self) -> str:
        """Show the key."""
        return f"<vacancy of {as_text(self._raw[len(KEY) :])!r}>"


class Cache:
    """The cache of a store. Usable from several threads, and by any number of processes."""

    def __init__(self, store: Store, *, max_size: int | None = None, clock: Clock | None = None) -> None:
        """Open the cache of a store; its files are made by the first set.

        `max_size`, in bytes, caps the pages that entries take, 256 MiB if not said; where it is reached, the entries that
        were stored first go first. `clock` is for tests. Raises InvalidArgument for a size below 1 MiB.
        """
        cap = checked_size(CACHE_BYTES if max_size is None else max_size)
        self.shelf = open_shelf(
            store.path, read_only=store.read_only, cap=lambda: cap, lock_timeout=store.lock_timeout, clock=clock
        )
        self._find = self.shelf.find

    @classmethod
    def over(cls, shelf: Shelf) -> Self:
        """Make a cache of a shelf that is open already."""
        cache = cls.__new__(cls)
        vars(cache).update(shelf=shelf, _find=shelf.find)
        return cache

    def get(self, key: str) -> bytes | None:
        """Get the value set for `key` within its TTL, None if there is none (cache.wit, `get`). Raises InvalidKey."""
        try:
            value = self._find(KEY + key.encode())
        except (UnicodeEncodeError, AttributeError):
            return self._find(name_of(key))
        if value is None:  # What is no key was never set, so it need not be asked before: speed is what a cache is for.
            name = name_of(key)
            return self._find(name) if name.startswith(LONG_KEY) else None
        return value

    def exists(self, key: str) -> bool:
        """Tell whether a value was set for `key` within its TTL (cache.wit, `exists`). Raises InvalidKey."""
        return self.get(key) is not None

    def set(self, key: str, value: bytes, ttl_ms: int | None = None) -> None:
        """Set the value of `key` for `ttl_ms` milliseconds, 1 to 2**32 - 1; in place, where it is set already.

        Without a TTL it may be kept indefinitely: until the cap is reached or the machine starts anew (cache.wit, `set`).
        Raises InvalidKey, InvalidArgument, Full (a value above the cap, a full disk), Busy, ReadOnly.
        """
        self.put(name_of(key), value, ttl_ms)

    def delete(self, key: str) -> None:
        """Remove the value of `key`; one that is not there is fine (cache.wit, `delete`). Raises InvalidKey, Busy."""
        self.delete_many([key])

    def delete_many(self, keys: list[str]) -> int:
        """Remove values in one go; give how many of them there were."""
        return self.shelf.remove([name_of(key) for key in keys])

    def get_or_set(self, key: str, timeout: float | None = None) -> Occupied | Vacant:
        """Get the value of `key`, or the vacancy to fill (cache.wit, `get-or-set`).

        Of all callers, in whatever threads and processes, one gets the vacancy; the others wait until it is filled, or
        dropped, and then one of them gets it. Who has waited for `timeout` seconds gets a vacancy as well, one at a time.
        Raises InvalidKey, Busy.
        """
        value = self.get(key)
        if value is not None:
            return Occupied(value)
        raw = name_of(key)
        entry = self.meet(raw, timeout, lambda: self.shelf.peek(raw))
        return entry if isinstance(entry, Vacant) else Occupied(entry)

    def stats(self) -> dict[str, int | None]:
        """Give figures by name.

        `entries` (expired ones too, until they are purged), `bytes` of pages they take; `hits`, `misses`, `evictions` and
        `expirations` so far; `oldest_ms`, the age of the oldest entry, and `next_expiry_ms`, when the next one expires.
        """
        return self.shelf.stat()

    def purge(self) -> int:
        """Remove all expired entries, which writes do anyway, a few each; give how many there were."""
        return self.shelf.purge()

    def clear(self) -> int:
        """Remove all entries; give how many there were."""
        return self.shelf.clear()

    def put(self, raw: bytes, value: bytes, ttl_ms: int | None) -> None:
        """Set an entry by its name on the shelf; see set."""
        if not isinstance(value, bytes):
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        self.shelf.put(raw, value, None if ttl_ms is None else checked_ttl(index(ttl_ms)))

    def meet(self, raw: bytes, timeout: float | None, look: Callable[[], Found | None]) -> Found | Vacant:
        """Wait for an entry that was not there just now to be filled: what `look` sees then, or its vacancy."""
        rendezvous = self.rendezvous(raw, look)
        try:
            claim = next(rendezvous)
            while True:
                claim = rendezvous.send(claim if claim.take() else _wait(claim, timeout))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def rendezvous(
        self, raw: bytes, look: Callable[[], Found | None]
    ) -> Generator[Claim, Claim | None, Found | Vacant]:
        """Say step by step what to wait for: each claim that is given is to be answered by it, or None if it was not had."""
        for wanted in self.shelf.claims(raw):
            claim = yield wanted
            try:
                found = look()
            except BaseException:
                if claim is not None:
                    claim.release()  # Not by forgetting it: the exception remembers.
                raise
            if found is not None:
                if claim is not None:
                    claim.release()
                return found
            if claim is not None:
                return Vacant(Vacancy(self, raw, claim))
        raise Busy("very many callers wait to fill this entry already: try again")

    def close(self) -> None:
        """Close. The vacancies that it gave can only be dropped then. Safe to call twice."""
        self.shelf.close()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def _wait(claim: Claim, timeout: float | None) -> Claim | None:
    if timeout is None:
        claim.wait()
        return claim
    from kvcli.engine.queues import wait

    return wait(claim, timeout)


def name_of(key: str) -> bytes:
    """Give the name of an entry on the shelf. Raises InvalidKey unless the key has 1 to 511 bytes."""
    if not isinstance(key, str):
        raise TypeError(f"a key is text, not {type(key).__name__}")
    raw = key_bytes(key)
    if len(raw) < KEY_BYTES_MAX:
        return KEY + raw
    from _blake2 import blake2b  # hashlib takes 14 ms to load.

    return LONG_KEY + blake2b(raw, digest_size=32).digest()


def checked_size(max_size: int) -> int:
    """Give back what can be the cap of a cache. Raises InvalidArgument."""
    if not CACHE_BYTES_MIN <= index(max_size) <= CACHE_BYTES_MAX:
        raise InvalidArgument(f"a cache takes {CACHE_BYTES_MIN} to {CACHE_BYTES_MAX} bytes, not {max_size}")
    return max_size
