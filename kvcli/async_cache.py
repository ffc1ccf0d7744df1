"""The cache interface for asyncio: AsyncCache, AsyncVacancy. The same operations, awaited, and each can be cancelled.

What takes microseconds runs where it is awaited. Nothing waits there: for another writer by short sleeps of the task, for
somebody else's vacancy on a thread, which the kernel wakes.
"""

from __future__ import annotations

import asyncio
import contextlib

from kvcli.cache import Cache, Occupied, Vacancy, Vacant, name_of
from kvcli.engine.queues import bounded, leave, leave_for_good, line_up
from kvcli.errors import Busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TypeVar

    from kvcli.engine.claims import Claim
    from kvcli.engine.entries import Clock
    from kvcli.store import Store

    Answer = TypeVar("Answer")

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.0005, 0.02


class AsyncVacant:
    """Vacant, in asyncio."""

    __slots__ = ("vacancy",)
    __match_args__ = ("vacancy",)

    def __init__(self, vacancy: AsyncVacancy) -> None:
        """Hold the vacancy."""
        self.vacancy = vacancy


class AsyncVacancy:
    """A Vacancy whose fill is awaited."""

    __slots__ = ("_cache", "_vacancy")

    def __init__(self, cache: AsyncCache, vacancy: Vacancy) -> None:
        """Stand in front of a vacancy."""
        self._cache = cache
        self._vacancy = vacancy

    async def fill(self, value: bytes, ttl_ms: int | None = None) -> None:
        """See Vacancy.fill. Cancelled, it drops the vacancy."""
        try:
            await self._cache.patiently(lambda: self._vacancy.put(value, ttl_ms))
        finally:
            self._vacancy.drop()

    def drop(self) -> None:
        """See Vacancy.drop."""
        self._vacancy.drop()

    async def __aenter__(self) -> Self:
        """Return self."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop it, unless it was filled."""
        self.drop()


class AsyncCache:
    """A Cache whose operations are awaited. They must not be shared between event loops of several threads."""

    def __init__(self, store: Store, *, max_size: int | None = None, clock: Clock | None = None) -> None:
        """See Cache."""
        self._cache = Cache(store, max_size=max_size, clock=clock)
        self._lock_timeout = store.lock_timeout
        self._cache.shelf.lock_timeout = 0.0  # The task sleeps, and tries again.

    async def get(self, key: str) -> bytes | None:
        """See Cache.get."""
        return self._cache.get(key)

    async def exists(self, key: str) -> bool:
        """See Cache.exists."""
        return self._cache.exists(key)

    async def set(self, key: str, value: bytes, ttl_ms: int | None = None) -> None:
        """See Cache.set."""
        await self.patiently(lambda: self._cache.set(key, value, ttl_ms))

    async def delete(self, key: str) -> None:
        """See Cache.delete."""
        await self.patiently(lambda: self._cache.delete(key))

    async def get_or_set(self, key: str, timeout: float | None = None) -> Occupied | AsyncVacant:  # noqa: ASYNC109 - it is no limit of the whole
        """See Cache.get_or_set. Cancelled, it leaves the line."""
        value = self._cache.get(key)
        if value is not None:
            return Occupied(value)
        raw = name_of(key)
        rendezvous = self._cache.rendezvous(raw, lambda: self._cache.shelf.peek(raw))
        try:
            claim = next(rendezvous)
            while True:
                claim = rendezvous.send(claim if claim.take() else await _wait(claim, timeout))
        except StopIteration as done:
            entry = done.value
            return AsyncVacant(AsyncVacancy(self, entry.vacancy)) if isinstance(entry, Vacant) else Occupied(entry)

    async def stats(self) -> dict[str, int | None]:
        """See Cache.stats."""
        return self._cache.stats()

    async def purge(self) -> int:
        """See Cache.purge."""
        return await self.patiently(self._cache.purge)

    async def clear(self) -> int:
        """See Cache.clear."""
        return await self.patiently(self._cache.clear)

    async def patiently(self, work: Callable[[], Answer]) -> Answer:
        """Try `work` until no other writer is in the way, for at most the store's lock time-out. Raises Busy."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._lock_timeout, PAUSE_SECONDS
        while True:
            try:
                return work()
            except Busy:
                if loop.time() >= deadline:
                    raise Busy(
                        f"another process is writing to the cache; not free within {self._lock_timeout:g} s"
                    ) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def close(self) -> None:
        """See Cache.close."""
        self._cache.close()

    async def __aenter__(self) -> Self:
        """Return self."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        self.close()


async def _wait(claim: Claim, timeout: float | None) -> Claim | None:  # noqa: ASYNC109 - passed through
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile, and nobody waits.
            loop.call_soon_threadsafe(woken.set)

    waiter = line_up(claim, wake)
    try:
        async with asyncio.timeout(None if timeout is None else bounded(timeout)):
            await woken.wait()
    except TimeoutError:
        if leave(claim, waiter):
            return None
        await woken.wait()
    except BaseException:
        leave_for_good(claim, waiter)
        raise
    return waiter.had()
