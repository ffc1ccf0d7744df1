"""The awaitable cache: the same answers as the blocking one, cancellable, and the loop runs on meanwhile."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from kvcli.async_cache import AsyncCache, AsyncVacancy, AsyncVacant
from kvcli.cache import Cache, Occupied, Vacant
from kvcli.engine.register import boot_folder
from kvcli.errors import Busy, HandleConsumed
from kvcli.store import Store


@asynccontextmanager
async def opened(path: str, lock_timeout: float = 10) -> AsyncIterator[AsyncCache]:
    """Open the cache of a new store."""
    with Store(path, lock_timeout=lock_timeout) as store:
        async with AsyncCache(store) as cache:
            yield cache


async def vacancy_of(cache: AsyncCache, key: str) -> AsyncVacancy:
    """Get the vacancy of a key that nobody fills."""
    entry = await cache.get_or_set(key)
    assert isinstance(entry, AsyncVacant)
    return entry.vacancy


def run(path: str, work: Callable[[AsyncCache], Awaitable[None]]) -> None:
    """Run a coroutine on an open cache."""

    async def main() -> None:
        async with opened(path) as cache:
            await work(cache)

    asyncio.run(main())


def test_operations_are_awaited(path: str) -> None:
    """Get, exists, set, delete, stats, purge and clear answer what the blocking ones do."""

    async def work(cache: AsyncCache) -> None:
        assert await cache.get("k") is None
        await cache.set("k", b"v", 60_000)
        assert (await cache.get("k"), await cache.exists("k")) == (b"v", True)
        await cache.delete("k")
        assert not await cache.exists("k")
        await cache.set("l", b"w")
        assert (await cache.stats())["entries"] == 1
        assert (await cache.purge(), await cache.clear()) == (0, 1)

    run(path, work)


def test_many_tasks_rendezvous(path: str) -> None:
    """Of many tasks one fills; the others get its value, and the loop runs meanwhile."""
    filled: list[int] = []
    ticks: list[float] = []

    async def call(cache: AsyncCache, number: int) -> bytes:
        entry = await cache.get_or_set("k")
        if isinstance(entry, Occupied):
            return entry.value
        async with entry.vacancy as vacancy:
            await asyncio.sleep(0.1)
            filled.append(number)
            await vacancy.fill(b"v", 60_000)
        return b"v"

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    async def work(cache: AsyncCache) -> None:
        ticking = asyncio.create_task(tick())
        assert await asyncio.gather(*(call(cache, number) for number in range(20))) == [b"v"] * 20
        ticking.cancel()
        assert len(filled) == 1
        assert len(ticks) > 5

    run(path, work)


def test_cancelled_waiter_leaves_the_line(path: str) -> None:
    """A task that is cancelled while it waits keeps nothing: the vacancy goes to the next one."""

    async def work(cache: AsyncCache) -> None:
        vacancy = await vacancy_of(cache, "k")
        waiting = [asyncio.create_task(cache.get_or_set("k")) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in waiting[:4]:
            task.cancel()
        assert await asyncio.gather(*waiting[:4], return_exceptions=True) != []
        assert all(task.cancelled() for task in waiting[:4])
        vacancy.drop()
        entry = await asyncio.wait_for(waiting[4], 10)
        assert isinstance(entry, AsyncVacant)
        entry.vacancy.drop()

    run(path, work)


def test_cancelled_at_the_moment_of_success_leaves_nothing_behind(path: str) -> None:
    """Whether a cancelled task had its claim already or not: afterwards the vacancy is free."""

    async def work(cache: AsyncCache) -> None:
        for number in range(60):
            vacancy = await vacancy_of(cache, "k")
            task = asyncio.create_task(cache.get_or_set("k"))
            await asyncio.sleep(0.002)
            vacancy.drop()
            await asyncio.sleep(0.0001 * (number % 10))
            task.cancel()
            done = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(done, AsyncVacant):
                done.vacancy.drop()
            entry = await asyncio.wait_for(cache.get_or_set("k"), 10)
            assert isinstance(entry, AsyncVacant)
            entry.vacancy.drop()

    run(path, work)


def test_time_out_gives_a_vacancy(path: str) -> None:
    """A task that has waited for its time-out gets a vacancy of its own."""

    async def work(cache: AsyncCache) -> None:
        slow = await vacancy_of(cache, "k")
        entry = await cache.get_or_set("k", timeout=0.05)
        assert isinstance(entry, AsyncVacant)
        await entry.vacancy.fill(b"v")
        assert await cache.get("k") == b"v"
        slow.drop()
        with pytest.raises(HandleConsumed):
            await slow.fill(b"w")

    run(path, work)


def test_tasks_and_threads_meet(path: str) -> None:
    """A task waits for the vacancy of a blocking caller, and the other way round."""

    async def work(cache: AsyncCache) -> None:
        with Store(path) as store, Cache(store) as blocking:
            entry = blocking.get_or_set("k")
            assert isinstance(entry, Vacant)
            waiting = asyncio.create_task(cache.get_or_set("k"))
            await asyncio.sleep(0.05)
            entry.vacancy.fill(b"v")
            done = await waiting
            assert isinstance(done, Occupied)
            vacancy = await vacancy_of(cache, "l")
            thread = asyncio.create_task(asyncio.to_thread(blocking.get_or_set, "l"))
            await asyncio.sleep(0.05)
            await vacancy.fill(b"w")
            assert isinstance(await thread, Occupied)

    run(path, work)


def test_set_waits_for_other_writers_without_the_loop(path: str) -> None:
    """While another process writes a set waits, the loop runs, and the wait can be cancelled; at last it is Busy."""

    async def work() -> None:
        async with opened(path, lock_timeout=0.3) as cache:
            await cache.set("k", b"v")
            with open(os.path.join(boot_folder(os.path.join(path, "cache")), "tally"), "rb") as file:  # noqa: ASYNC230
                fcntl.flock(file, fcntl.LOCK_EX)
                task = asyncio.create_task(cache.set("k", b"w"))
                await asyncio.sleep(0.05)
                task.cancel()
                assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
                with pytest.raises(Busy):
                    await cache.set("k", b"x")
                late = asyncio.create_task(cache.set("k", b"y"))
                await asyncio.sleep(0.05)
                fcntl.flock(file, fcntl.LOCK_UN)
                await late
            assert await cache.get("k") == b"y"

    asyncio.run(work())


def test_loop_that_ends_early_leaves_waiters_in_peace(path: str) -> None:
    """A loop that is closed while a thread still waits for it harms nobody."""
    with Store(path) as store, Cache(store) as blocking:
        entry = blocking.get_or_set("k")
        assert isinstance(entry, Vacant)

        async def work() -> None:
            async with opened(path) as cache:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(cache.get_or_set("k"), 0.05)

        asyncio.run(work())
        entry.vacancy.drop()
        time.sleep(0.05)
        again = blocking.get_or_set("k", timeout=10)
        assert isinstance(again, Vacant)
