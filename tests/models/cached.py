"""The cache beside a dictionary and a clock that is turned."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvcli.cache import Cache, Occupied, Vacancy, Vacant
from kvcli.errors import Full, HandleConsumed, InvalidArgument, InvalidKey
from kvcli.store import Store
from tests.contract.test_cache import U32_MAX, Watch
from tests.models.dictionary import bytes_of, outcome

KEYS = ["a", "é", "k" * 510, "k" * 511]
CAP = 1 << 20
BIG = bytes(200_000)
WAIT_SECONDS = 0.001  # For a vacancy that somebody has: who has waited for so long gets one as well.

keys = st.sampled_from(KEYS * 3 + ["", "k" * 512])
values = st.sampled_from([b"", b"v", b"\xff\0", b"x" * 5000])
ttls = st.sampled_from([None, None, 1, 500, 1000, 60_000, U32_MAX, 0, -1, U32_MAX + 1])
who = st.integers(0, 1)


class Entries:
    """What a cache holds: a value with its times, in milliseconds. Some may be gone, since a cache may lose what it likes."""

    def __init__(self, clock: Watch) -> None:
        """Hold nothing."""
        self._clock = clock
        self.rows: dict[str, tuple[bytes, int | None, float, float]] = {}
        self.unsure: set[str] = set()

    def now(self) -> tuple[float, float]:
        """Give what the clocks say."""
        return self._clock.wall() * 1000, self._clock.boot() * 1000

    def find(self, key: str) -> bytes | None:
        """Give a value within its TTL, by both clocks."""
        if not 0 < len(bytes_of(key)) <= 511:
            raise InvalidKey("")
        if key not in self.rows:
            return None
        value, ttl, wall, boot = self.rows[key]
        is_live = ttl is None or (0 <= self.now()[1] - boot < ttl and self.now()[0] < wall + ttl)
        return value if is_live else None

    def set(self, key: str, value: bytes, ttl: int | None) -> None:
        """Set a value."""
        self.find(key)
        if ttl is not None and not 0 < ttl <= U32_MAX:
            raise InvalidArgument("")
        self.rows[key] = (value, ttl, *self.now())
        self.unsure.discard(key)

    def delete(self, key: str) -> None:
        """Remove a value."""
        self.find(key)
        self.rows.pop(key, None)
        self.unsure.discard(key)

    def kept(self) -> list[str]:
        """Give the keys whose rows nobody purges yet."""
        return [key for key, (_, ttl, _, boot) in self.rows.items() if ttl is None or boot + ttl > self.now()[1]]


class CacheMachine(RuleBasedStateMachine):
    """Two caches of this process on one store."""

    path: ClassVar[str]
    seen: ClassVar[Counter[str]]
    numbers: ClassVar[count[int]]
    wrong: ClassVar[bool]  # The model adds a second to every TTL: what a campaign must find.

    @classmethod
    def set_up(cls, path: str) -> None:
        """Have a place for stores."""
        cls.path = path

    @classmethod
    def tear_down(cls) -> None:
        """Leave nothing open."""

    @initialize()
    def start(self) -> None:
        """Make a store."""
        self.store = Store(f"{self.path}-{next(self.numbers)}")
        self.clock = Watch()
        self.model = Entries(self.clock)
        self.held: dict[str, Vacancy] = {}
        self.all = self.clients()
        self.seen["machines"] += 1

    def clients(self) -> list[Any]:
        """Give those who use the cache."""
        return [Cache(self.store, clock=self.clock, max_size=CAP) for _ in range(2)]

    def teardown(self) -> None:
        """Close everything."""
        if hasattr(self, "all"):
            for each in self.held.values():
                each.drop()
            for client in self.all:
                client.close()
            self.store.close()

    def kept_for(self, ttl: int | None) -> int | None:
        """Give the TTL to use for one that was drawn."""
        return ttl

    def check(self, key: str, found: object, expected: object) -> None:
        """Compare an answer; what may be gone may be missing."""
        self.seen["steps"] += 1
        if found in {None, False} and key in self.model.unsure:
            self.model.delete(key)
            return
        assert found == expected, f"{key!r}: {found!r}, and the model says {expected!r}"

    @rule(number=who, key=keys)
    def get(self, number: int, key: str) -> None:
        """Get a value."""
        self.check(key, outcome(lambda: self.all[number].get(key)), outcome(lambda: self.model.find(key)))

    @rule(number=who, key=keys)
    def exists(self, number: int, key: str) -> None:
        """Ask for a value."""
        expected = outcome(lambda: self.model.find(key) is not None)
        self.check(key, outcome(lambda: self.all[number].exists(key)), expected)

    @rule(number=who, key=keys, value=values, ttl=ttls)
    def set(self, number: int, key: str, value: bytes, ttl: int | None) -> None:
        """Set a value, with a TTL or without."""
        ttl = self.kept_for(ttl)
        longer = ttl + 1000 if self.wrong and ttl in {1, 500, 1000} and ttl is not None else ttl
        expected = outcome(lambda: self.model.set(key, value, longer))
        found = outcome(lambda: self.all[number].set(key, value, ttl))
        assert {found, expected} <= {None, ("error", "invalid-key"), ("error", "usage")}
        assert (found is None) == (expected is None)
        self.seen["steps"] += 1

    @rule(number=who, key=keys)
    def delete(self, number: int, key: str) -> None:
        """Remove a value."""
        assert outcome(lambda: self.all[number].delete(key)) == outcome(lambda: self.model.delete(key))
        self.seen["steps"] += 1

    # Vacancies

    @rule(number=who, key=st.sampled_from(KEYS), value=values, ttl=ttls, ends=st.sampled_from(["fill", "drop", "hold"]))
    def get_or_set(self, number: int, key: str, value: bytes, ttl: int | None, ends: str) -> None:
        """Get a value, or its vacancy, which is filled, dropped or held."""
        ttl, here = self.kept_for(ttl), self.all[number if hasattr(self.all[number], "get_or_set") else 0]
        entry = here.get_or_set(key, WAIT_SECONDS)
        found = entry.value if isinstance(entry, Occupied) else None
        self.check(key, found, self.model.find(key))
        if isinstance(entry, Vacant) and ends == "fill":
            self._fill(key, entry.vacancy, value, ttl)
        elif isinstance(entry, Vacant) and (ends == "drop" or key in self.held):
            entry.vacancy.drop()
        elif isinstance(entry, Vacant):
            self.held[key] = entry.vacancy

    @precondition(lambda self: self.held)
    @rule(key=st.sampled_from(KEYS), value=values, ttl=ttls)
    def fill_held(self, key: str, value: bytes, ttl: int | None) -> None:
        """Fill a vacancy that was held, whatever was set meanwhile."""
        if key in self.held:
            self._fill(key, self.held.pop(key), value, self.kept_for(ttl))

    def _fill(self, key: str, vacancy: Vacancy, value: bytes, ttl: int | None) -> None:
        expected = outcome(lambda: self.model.set(key, value, ttl))
        assert (outcome(lambda: vacancy.fill(value, ttl)) is None) == (expected is None)
        assert outcome(lambda: vacancy.fill(value)) == ("error", HandleConsumed.code)

    # Time and room

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 60.0, 5_000_000.0]))
    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.tick(seconds)

    @rule(seconds=st.sampled_from([-3600.0, -1.0, 1.0, 3600.0]))
    def step(self, seconds: float) -> None:
        """Set the clock of the wall."""
        self.clock.now += seconds

    @rule(number=who)
    def purge(self, number: int) -> None:
        """Remove what has expired; writes may have done it already."""
        kept = self.model.kept()
        assert 0 <= self.all[number].purge() <= len(self.model.rows) - len(kept)
        self.model.rows = {key: self.model.rows[key] for key in kept}
        assert self.all[number].stats()["entries"] <= len(kept)
        assert self.model.unsure or self.all[number].stats()["entries"] == len(kept)

    @rule(number=who)
    def clear(self, number: int) -> None:
        """Remove everything."""
        assert len(set(self.model.kept()) - self.model.unsure) <= self.all[number].clear() <= len(self.model.rows)
        self.model.rows.clear()
        self.model.unsure.clear()

    @rule(number=who)
    def overflow(self, number: int) -> None:
        """Set more than there is room for: what was stored first may go, the last is there, and the cap holds."""
        assert outcome(lambda: self.all[number].set("a", bytes(CAP + 1))) == ("error", Full.code)
        self.model.unsure |= self.model.rows.keys()
        for key in [f"big{at}" for at in range(6)]:
            self.all[number].set(key, BIG)
            self.model.set(key, BIG, None)
            self.model.unsure.add(key)
        assert self.all[number].get("big5") == BIG
        assert self.all[number].stats()["bytes"] <= 2 * CAP

    @invariant()
    def figures_agree(self) -> None:
        """Everything that must be there is counted, and nothing that cannot be."""
        if hasattr(self, "all"):
            sure = [key for key in self.model.kept() if key not in self.model.unsure]
            assert len(sure) <= self.all[0].stats()["entries"] <= len(self.model.rows)
