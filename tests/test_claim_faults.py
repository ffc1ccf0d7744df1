"""Claims and those who wait for them: what fails, what comes at the last moment, and what a fork leaves."""

from __future__ import annotations

import errno
import os
import time
from _thread import allocate_lock

import pytest

from kvcli.cache import Cache, Occupied, Vacancy, Vacant
from kvcli.engine import queues
from kvcli.engine.claims import RANKS, Claim, place_of
from kvcli.errors import Busy, Full, InputOutput, KvError, NoSuchStore, ReadOnly
from kvcli.store import Store
from tests.processes import run
from tests.test_cache_faults import refuse
from tests.test_cache_files import cache

__all__ = ["cache"]  # A fixture.

# A thread waits for a claim while its process forks; the child waits for the same one, and gets nobody else's.
FORK_WAITING = """
import os, sys, threading, time, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
first = cache.get_or_set("k")
threading.Thread(target=cache.get_or_set, args=("k", 30), daemon=True).start()
time.sleep(0.3)
child = os.fork()
if not child:
    entry = kvcli.Cache(kvcli.Store(sys.argv[1])).get_or_set("k", 0.2)
    os.write(1, repr(entry).encode())
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""


@pytest.mark.parametrize("rank", [0, RANKS - 1])
def test_claim_is_one_at_a_time(tmp_path: os.PathLike[str], rank: int) -> None:
    """Of the first rank and of the last; to release it twice does no harm."""
    path = os.path.join(tmp_path, "claims")
    first = Claim(path, place_of(b"k") + rank)
    second = first.again()
    assert [first.take(), second.take(), Claim(path, place_of(b"l") + rank).take()] == [True, False, True]
    first.release()
    first.release()
    assert second.take()


@pytest.mark.parametrize("is_had", [True, False])
def test_look_that_fails_frees_the_vacancy(cache: Cache, is_had: bool) -> None:
    """What goes wrong while looking for the entry is raised, and the next one gets the vacancy."""
    steps = cache.rendezvous(b"kx", lambda: 1 // 0)
    claim = next(steps)
    assert claim.take()
    with pytest.raises(ZeroDivisionError):
        steps.send(claim if is_had else None)
    assert claim.again().take() == is_had


def test_value_that_came_with_the_time_out_is_had(cache: Cache) -> None:
    """Who has waited for too long looks once more: a value that is there by then is taken, and no vacancy is opened."""
    steps = cache.rendezvous(b"kx", lambda: b"filled")
    first = next(steps)
    with pytest.raises(StopIteration) as done:
        steps.send(None)
    assert done.value.value == b"filled"
    assert first.take()


def test_who_may_only_read_fills_nothing(path: str) -> None:
    """A cache that was opened read-only gives no vacancy, and makes no file for it."""
    Store(path).close()
    with Store(path, read_only=True) as store, Cache(store) as cache, pytest.raises(ReadOnly):
        cache.get_or_set("k")
    assert not os.path.exists(os.path.join(path, "cache"))


def test_very_many_who_gave_up_are_busy(cache: Cache) -> None:
    """There are so many ranks of vacancies for one entry, and no more."""
    steps = cache.rendezvous(b"kx", lambda: None)
    next(steps)
    for _ in range(RANKS - 1):
        steps.send(None)
    with pytest.raises(Busy, match="very many"):
        steps.send(None)


def test_claims_that_cannot_be_opened_are_told(path: str) -> None:
    """The error is ours, and names the folder."""
    Store(path).close()
    os.makedirs(os.path.join(path, "cache", "claims"))
    os.chmod(os.path.join(path, "cache"), 0o700)
    with Store(path) as store, Cache(store) as cache, pytest.raises(NoSuchStore, match="cache: this is a folder"):
        cache.get_or_set("k")


@pytest.mark.parametrize(("number", "kind"), [(errno.EMFILE, Full), (errno.EIO, InputOutput)])
def test_wait_that_fails_is_told_to_who_waits(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[KvError]
) -> None:
    """A thread waits for them, and its failure is theirs; the next one can wait again."""
    first = cache.get_or_set("new")
    monkeypatch.setattr(Claim, "wait", refuse(number))
    with pytest.raises(kind):
        cache.get_or_set("new", 20)
    monkeypatch.undo()
    assert isinstance(first, Vacant)
    first.vacancy.fill(b"v")
    assert isinstance(cache.get_or_set("new", 20), Occupied)


def test_claim_that_comes_with_the_time_out_is_had(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was given it at that very moment has it, and nobody waits for it in vain."""
    first = cache.get_or_set("new")
    assert isinstance(first, Vacant)

    def leave(_: Claim, waiter: queues.Waiter) -> bool:
        first.vacancy.drop()
        while waiter.claim is None:
            time.sleep(0.01)
        return False

    monkeypatch.setattr(queues, "leave", leave)
    entry = cache.get_or_set("new", 0.01)
    assert isinstance(entry, Vacant)
    assert not Vacancy(cache, b"knew", entry.vacancy._claim.again())._claim.take()  # type: ignore[union-attr]


def test_claim_of_who_left_at_the_last_moment_is_free(tmp_path: os.PathLike[str]) -> None:
    """It was given already, and is released."""
    path = os.path.join(tmp_path, "claims")
    done: list[int] = []
    waiter = queues.line_up(Claim(path, place_of(b"k")), lambda: done.append(1))
    while not done:
        time.sleep(0.01)
    queues.leave_for_good(Claim(path, place_of(b"k")), waiter)
    assert Claim(path, place_of(b"k")).take()


def test_who_leaves_when_the_wait_has_failed_keeps_nothing(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was given, so there is nothing to release, and the claim is free for the next one."""
    claim, done = Claim(os.path.join(tmp_path, "claims"), place_of(b"k")), allocate_lock()
    done.acquire()
    with monkeypatch.context() as patched:
        patched.setattr(Claim, "wait", refuse(errno.EIO))
        waiter = queues.line_up(claim, done.release)
        assert done.acquire(timeout=20)
    queues.leave_for_good(claim, waiter)
    assert (waiter.claim, isinstance(waiter.error, OSError)) == (None, True)
    assert claim.again().take()


def test_those_who_wait_have_it_one_after_the_other(tmp_path: os.PathLike[str]) -> None:
    """Of those of one process who wait for a claim, the first gets it, and the next one when that is released."""
    path, place = os.path.join(tmp_path, "claims"), place_of(b"k")
    holder = Claim(path, place)
    assert holder.take()
    had = [allocate_lock(), allocate_lock()]
    for each in had:
        each.acquire()
    waiters = [queues.line_up(Claim(path, place), each.release) for each in had]
    holder.release()
    assert had[0].acquire(timeout=20)
    assert (waiters[0].claim is not None, waiters[1].claim) == (True, None)
    waiters[0].had().release()
    assert had[1].acquire(timeout=20)
    assert not Claim(path, place).take()
    waiters[1].had().release()
    assert Claim(path, place).take()


def test_child_has_nobody_who_waits(path: str) -> None:
    """A forked child waits on its own: the threads that waited are its parent's."""
    Store(path).close()
    assert run(FORK_WAITING, path) == b"Vacant(<vacancy of 'k'>)"
