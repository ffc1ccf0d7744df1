"""The cache interface, sentence by sentence (cache.wit), with a clock that the tests turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kvcli.cache import Cache, Occupied, Vacancy, Vacant
from kvcli.engine.entries import Clock
from kvcli.errors import Full, HandleConsumed, InvalidArgument, InvalidKey, Other, ReadOnly
from kvcli.store import Store

U32_MAX = (1 << 32) - 1
HOUR = 3_600_000


class Watch(Clock):
    """Two clocks that stand still until they are turned, in seconds."""

    def __init__(self) -> None:
        """Start at some time."""
        self.now, self.up = 1_700_000_000.0, 5_000.0
        vars(self).update(wall=lambda: self.now, boot=lambda: self.up)

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.up += seconds


@pytest.fixture
def clock() -> Watch:
    """A clock that stands still."""
    return Watch()


@pytest.fixture
def cache(path: str, clock: Watch) -> Iterator[Cache]:
    """The cache of a new store."""
    with Store(path) as store, Cache(store, clock=clock) as cache:
        yield cache


def vacancy_of(cache: Cache, key: str) -> Vacancy:
    """Get the vacancy of a key that nobody fills."""
    entry = cache.get_or_set(key)
    assert isinstance(entry, Vacant)
    return entry.vacancy


def test_get_returns_what_was_set(cache: Cache) -> None:
    """Get returns the value passed by a previous set for the same key."""
    cache.set("k", b"\x00\n\xff")
    assert cache.get("k") == b"\x00\n\xff"


def test_get_returns_none_if_there_is_no_such_value(cache: Cache) -> None:
    """None, if there is no such value: before any set, and for another key."""
    assert cache.get("k") is None
    cache.set("k", b"v")
    assert cache.get("l") is None


def test_empty_value_is_a_value(cache: Cache) -> None:
    """An empty value is there."""
    cache.set("k", b"")
    assert (cache.get("k"), cache.exists("k")) == (b"", True)
    assert isinstance(cache.get_or_set("k"), Occupied)


def test_exists_tells_whether_a_value_was_set_within_the_ttl(cache: Cache, clock: Watch) -> None:
    """Exists returns whether a value was previously set for the given key within the TTL."""
    assert not cache.exists("k")
    cache.set("k", b"v", 1000)
    assert cache.exists("k")
    clock.tick(1)
    assert not cache.exists("k")


@pytest.mark.parametrize("ttl_ms", [1, 10, 1000, HOUR, U32_MAX])
def test_ttl_is_in_milliseconds(cache: Cache, clock: Watch, ttl_ms: int) -> None:
    """A value is there until its TTL has passed, and not a moment longer."""
    cache.set("k", b"v", ttl_ms)
    clock.tick((ttl_ms - 0.5) / 1000)
    assert cache.get("k") == b"v"
    clock.tick(0.5 / 1000)
    assert cache.get("k") is None


def test_without_a_ttl_the_key_is_kept_indefinitely(cache: Cache, clock: Watch) -> None:
    """If a TTL is not supplied, the key may be kept indefinitely."""
    cache.set("k", b"v")
    clock.tick(10 * 365 * 86400)
    assert cache.get("k") == b"v"


def test_set_updates_in_place(cache: Cache, clock: Watch) -> None:
    """If the key is already present, the value is updated in-place, and its time starts anew, with or without a TTL."""
    cache.set("k", b"1", 1000)
    clock.tick(0.9)
    cache.set("k", b"2", 1000)
    clock.tick(0.9)
    assert cache.get("k") == b"2"
    cache.set("k", b"3")
    clock.tick(5)
    assert cache.get("k") == b"3"
    cache.set("k", b"4", 1000)
    clock.tick(1)
    assert cache.get("k") is None
    assert cache.stats()["entries"] == 1


def test_delete_removes_any_value(cache: Cache) -> None:
    """Delete removes any value with the given key; one that is not there is fine."""
    cache.set("k", b"v")
    cache.delete("k")
    cache.delete("k")
    assert cache.get("k") is None


@pytest.mark.parametrize("ttl_ms", [0, -1, U32_MAX + 1])
def test_what_is_no_u32_is_refused(cache: Cache, ttl_ms: int) -> None:
    """A TTL of zero, a negative one or one above u32 is an invalid argument, and nothing is set."""
    with pytest.raises(InvalidArgument):
        cache.set("k", b"v", ttl_ms)
    assert cache.get("k") is None


@pytest.mark.parametrize("key", ["", "k" * 512, "\ud800"])
def test_what_is_no_key_is_refused(cache: Cache, key: str) -> None:
    """A key is 1 to 511 bytes of UTF-8, for every operation."""
    for work in (cache.get, cache.exists, cache.delete, cache.get_or_set, lambda key: cache.set(key, b"")):
        with pytest.raises(InvalidKey):
            work(key)


def test_longest_key(cache: Cache) -> None:
    """A key of 511 bytes is a key like any other."""
    cache.set("é" * 255 + "e", b"v")
    assert cache.get("é" * 255 + "e") == b"v"


def test_value_is_bytes(cache: Cache) -> None:
    """Text is no value."""
    with pytest.raises(TypeError):
        cache.set("k", "text")  # type: ignore[arg-type]


def test_clock_set_back_does_not_prolong_a_life(cache: Cache, clock: Watch) -> None:
    """An entry never lives longer than its TTL, though the wall clock was set back by an hour."""
    cache.set("k", b"v", 10_000)
    clock.now -= 3600
    clock.tick(9.9)
    assert cache.get("k") == b"v"
    clock.tick(0.1)
    assert cache.get("k") is None


def test_clock_set_back_after_years_does_not_revive(cache: Cache, clock: Watch) -> None:
    """What has expired by either clock stays so, whatever the other says."""
    cache.set("k", b"v", 10_000)
    clock.tick(10)
    clock.now -= 365 * 86400
    assert cache.get("k") is None


def test_clock_set_forward_ends_a_life_early(cache: Cache, clock: Watch) -> None:
    """A deadline is a time of the day: where the clock is set beyond it, the entry is gone."""
    cache.set("k", b"v", 10_000)
    clock.now += 3600
    assert cache.get("k") is None


def test_entry_of_another_time_namespace_is_expired(cache: Cache, clock: Watch) -> None:
    """An entry that was stored in the future of the machine's uptime has an unknown age, and is not served."""
    cache.set("k", b"v", 10_000)
    clock.up -= 86400
    assert cache.get("k") is None


def test_vacancy_is_filled(cache: Cache, clock: Watch) -> None:
    """In the vacant case there was no value, and the caller writes one into the vacancy, with a TTL."""
    with vacancy_of(cache, "k") as vacancy:
        vacancy.fill(b"v", 1000)
    assert cache.get("k") == b"v"
    clock.tick(1)
    assert cache.get("k") is None


def test_occupied_has_the_value(cache: Cache) -> None:
    """In the occupied case the given key already has a value present in the cache."""
    cache.set("k", b"v")
    match cache.get_or_set("k"):
        case Occupied(value):
            assert value == b"v"
        case _:
            pytest.fail("it is occupied")


def test_expired_entry_is_vacant(cache: Cache, clock: Watch) -> None:
    """An expired value is no value."""
    cache.set("k", b"v", 1000)
    clock.tick(2)
    vacancy_of(cache, "k").drop()


def test_vacancy_is_filled_once(cache: Cache) -> None:
    """Fill consumes the vacancy; so does drop, which may be called again."""
    vacancy = vacancy_of(cache, "k")
    vacancy.fill(b"1")
    with pytest.raises(HandleConsumed):
        vacancy.fill(b"2")
    vacancy.drop()
    assert cache.get("k") == b"1"


def test_vacancy_that_cannot_be_filled_is_dropped(cache: Cache) -> None:
    """Where fill fails nothing is set, and the next caller has a vacancy at once."""
    with pytest.raises(InvalidArgument):
        vacancy_of(cache, "k").fill(b"v", 0)
    vacancy_of(cache, "k").drop()


def test_dropping_lets_the_next_one_in(cache: Cache) -> None:
    """Dropped by drop, by its block, by an error in it, or forgotten: the next caller has a vacancy."""
    vacancy_of(cache, "k").drop()
    with vacancy_of(cache, "k"):
        pass
    with pytest.raises(ZeroDivisionError), vacancy_of(cache, "k"):
        raise ZeroDivisionError
    forgotten = vacancy_of(cache, "k")
    del forgotten
    vacancy_of(cache, "k").drop()


def test_others_wait_until_the_vacancy_is_filled(cache: Cache) -> None:
    """Only one invocation receives the vacant result while all others wait, and receive an occupied one."""
    vacancy = vacancy_of(cache, "k")
    seen: list[object] = []
    threads = [threading.Thread(target=lambda: seen.append(cache.get_or_set("k"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    threads[0].join(0.1)
    assert seen == []
    vacancy.fill(b"v")
    for thread in threads:
        thread.join(10)
    assert [entry.value for entry in seen if isinstance(entry, Occupied)] == [b"v"] * 20


def test_one_of_those_who_wait_gets_a_dropped_vacancy(cache: Cache) -> None:
    """When the filler gives up, exactly one becomes the new filler; the rest get its value."""
    vacancy = vacancy_of(cache, "k")
    fillers: list[int] = []

    def call(number: int) -> None:
        entry = cache.get_or_set("k")
        if isinstance(entry, Vacant):
            fillers.append(number)
            entry.vacancy.fill(b"second")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    vacancy.drop()
    for thread in threads:
        thread.join(10)
    assert len(fillers) == 1
    assert cache.get("k") == b"second"


def test_vacancies_of_different_keys_do_not_wait(cache: Cache) -> None:
    """Who fills one entry keeps nobody from another."""
    with vacancy_of(cache, "a"), vacancy_of(cache, "b"), vacancy_of(cache, "c"):
        pass


def test_vacancy_times_out(cache: Cache) -> None:
    """Who has waited for its time-out gets a vacancy too; what either fills in is there for the others."""
    slow = vacancy_of(cache, "k")
    impatient = cache.get_or_set("k", timeout=0.05)
    assert isinstance(impatient, Vacant)
    impatient.vacancy.fill(b"v")
    assert cache.get("k") == b"v"
    slow.fill(b"w")
    assert cache.get("k") == b"w"


def test_only_one_of_the_impatient_gets_a_vacancy(cache: Cache) -> None:
    """When a time-out passes for many at once, one of them gets the vacancy and the others wait for that one."""
    slow = vacancy_of(cache, "k")
    fillers: list[int] = []

    def call(number: int) -> None:
        entry = cache.get_or_set("k", timeout=0.2)
        if isinstance(entry, Vacant):
            fillers.append(number)
            entry.vacancy.fill(b"v")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(fillers) == 1
    slow.drop()


def test_filled_in_time_is_occupied(cache: Cache) -> None:
    """A caller with a time-out gets the value that is filled in before."""
    vacancy = vacancy_of(cache, "k")
    threading.Timer(0.05, lambda: vacancy.fill(b"v")).start()
    entry = cache.get_or_set("k", timeout=10)
    assert isinstance(entry, Occupied)
    assert entry.value == b"v"


def test_value_above_the_cap_is_refused(path: str) -> None:
    """A value that is larger than the whole cache is refused, and what is there stays."""
    with Store(path) as store, Cache(store, max_size=1 << 20) as cache:
        cache.set("k", b"v")
        with pytest.raises(Full):
            cache.set("big", bytes((1 << 20) + 1))
        assert cache.get("k") == b"v"


def test_cap_has_a_least_size(path: str) -> None:
    """A cache that could hold nothing is refused."""
    with Store(path) as store, pytest.raises(InvalidArgument):
        Cache(store, max_size=1000)


def test_read_only_store_has_a_read_only_cache(path: str, cache: Cache) -> None:
    """Through a store that was opened read-only entries are read, and none is set or removed."""
    cache.set("k", b"v")
    with Store(path, read_only=True) as store, Cache(store) as reader:
        assert reader.get("k") == b"v"
        for work in (lambda: reader.set("k", b"w"), lambda: reader.delete("k"), reader.clear, reader.purge):
            with pytest.raises(ReadOnly):
                work()
    assert cache.get("k") == b"v"


def test_closed_cache_opens_again_for_nobody(path: str, clock: Watch) -> None:
    """What is closed stays so: an operation says it."""
    with Store(path) as store:
        cache = Cache(store, clock=clock)
        cache.set("k", b"v")
        cache.close()
        cache.close()
        with pytest.raises(Other, match="closed"):
            cache.get("k")


def test_figures(cache: Cache, clock: Watch) -> None:
    """Stats give entries, bytes, hits and misses, evictions, expirations, the oldest and the next expiry."""
    assert cache.stats() == {
        "entries": 0,
        "bytes": 0,
        "oldest_ms": None,
        "next_expiry_ms": None,
        "hits": 0,
        "misses": 0,
        "evictions": 0,
        "expirations": 0,
    }
    cache.set("a", b"1")
    clock.tick(1)
    cache.set("b", b"2", 5000)
    cache.set("c", b"3", 1000)
    clock.tick(2)
    for key in "abcd":
        cache.get(key)
    assert cache.purge() == 1
    stats = cache.stats()
    assert stats.pop("bytes") == 4096
    assert stats == {
        "entries": 2,
        "oldest_ms": 3000,
        "next_expiry_ms": 3000,
        "hits": 2,
        "misses": 2,
        "evictions": 0,
        "expirations": 1,
    }


def test_purge_removes_all_that_expired_and_nothing_else(cache: Cache, clock: Watch) -> None:
    """Purge removes every expired entry, however many; a second one finds none."""
    for number in range(2500):
        cache.set(f"k{number}", b"v", 1000)
    cache.set("stays", b"v", 5000)
    cache.set("always", b"v")
    clock.tick(2)
    left = cache.stats()["entries"]
    assert left is not None
    assert cache.purge() == left - 2
    assert cache.purge() == 0
    assert (cache.get("stays"), cache.get("always")) == (b"v", b"v")


def test_clear_removes_everything(cache: Cache) -> None:
    """Clear removes every entry and says how many there were."""
    for number in range(100):
        cache.set(f"k{number}", b"v")
    assert cache.clear() == 100
    assert cache.clear() == 0
    assert cache.get("k1") is None
    cache.set("k1", b"w")
    assert cache.get("k1") == b"w"


def test_expired_entries_go_with_later_writes(cache: Cache, clock: Watch) -> None:
    """Writes purge what has expired, a bounded number each: nobody has to."""
    for number in range(300):
        cache.set(f"k{number}", b"v", 1000)
    clock.tick(2)
    for number in range(300):
        cache.set(f"n{number}", b"v", 1000)
    entries = cache.stats()["entries"]
    assert entries is not None
    assert entries <= 320
