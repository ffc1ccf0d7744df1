"""The machine: rules that ask a bucket and a dictionary the same, by any of several clients, and compare the answers."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from kvcli.atomics import S64_MAX, S64_MIN, Cas
from kvcli.store import Store
from tests.models.dictionary import Dictionary, Plan, Step, outcome
from tests.models.library import Drafted, Library
from tests.models.lines import UNSAID

KEYS = ["a", "b", "é", "\0", "\udcff", "-x", "k" * 511]
BAD_KEYS = ["", "k" * 512, "é" * 256, "k" * 4000]
MANY = [(f"many{number:03}", b"") for number in range(70)]
NUMBERS = [b"0", b"7", b"-0", b"-12", b"%d" % S64_MAX, b"%d" % S64_MIN, b"%d" % (S64_MAX + 1), b"%d" % (S64_MIN - 1)]

keys = st.sampled_from(KEYS * 3 + BAD_KEYS)
values = st.sampled_from([b"", *NUMBERS, b"@x", b"\xff", b"a\0b", b"x" * 3000])
deltas = st.sampled_from([0, 1, -1, 5, S64_MAX, S64_MIN])
who = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("set"), keys, values),
    st.tuples(st.just("delete"), keys, st.just(b"")),
    st.tuples(st.just("incr"), keys, deltas),
)


@dataclass
class Seen:
    """A handle, and what the model knew when it was made."""

    key: str
    handle: Cas | str
    value: bytes | None
    mark: object
    doubts: int


@dataclass
class Page:
    """Where the next page of a list starts."""

    prefix: str
    after: str
    cursor: str


class Machine(RuleBasedStateMachine):
    """One bucket, its clients and its dictionary. All machines of a kind share a store; each has a bucket of its own."""

    handles: Bundle[Seen] = Bundle("handles")
    pages: Bundle[Page] = Bundle("pages")
    path: ClassVar[str]
    seen: ClassVar[Counter[str]]
    numbers: ClassVar[count[int]]
    wrong: ClassVar[bool]  # The model counts every increment twice: what a campaign must find.

    def clients(self) -> list[Any]:
        """Give those who use the bucket."""
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        """Make a bucket."""
        self.store = Store(self.path, adopt=True)
        self.name = f"b{next(self.numbers)}"
        self.store.create(self.name)
        self.model = Dictionary(self.store.key_bytes_max)
        self.plan: Plan | None = None
        self.draft: Any = None
        self.all = self.clients()
        self.seen["machines"] += 1

    def teardown(self) -> None:
        """Drop the bucket."""
        if hasattr(self, "all"):
            for client in self.all:
                client.close()
            self.store.drop(self.name)
            self.store.close()

    def agree(self, number: int, name: str, *given: Any) -> None:
        """Ask a client and the model, and compare what they say."""
        client, model = self.asked(number, *given)
        self.seen["steps"] += 1
        expected = model.attempt(lambda: getattr(model, name)(*given))
        if self.wrong and name == "increment" and isinstance(expected, int):
            model.attempt(lambda: getattr(model, name)(*given))
        found = outcome(lambda: getattr(client, name)(*given))
        assert found in (expected, UNSAID), (
            f"{type(client).__name__}.{name}: {found!r}, and the model says {expected!r}"
        )

    def asked(self, number: int, *given: Any) -> tuple[Any, Dictionary]:
        """Give a client, and the dictionary of what it sees; a command line cannot hold a NUL, and leaves it to others."""
        client = self.all[number % len(self.all)]
        if not client.says_nul and "\\x00" in repr(given):
            client = self.all[1]
        if self.plan is not None and client is self.all[0]:
            return self.draft, self.plan
        return client, self.model

    # One key

    @rule(number=who, key=keys)
    def get(self, number: int, key: str) -> None:
        """Get one key."""
        self.agree(number, "get", key)

    @rule(number=who, key=keys)
    def exists(self, number: int, key: str) -> None:
        """Ask for one key."""
        self.agree(number, "exists", key)

    @rule(number=who, key=keys, value=values)
    def set(self, number: int, key: str, value: bytes) -> None:
        """Set one key."""
        self.agree(number, "set", key, value)

    @rule(number=who, key=keys, value=values, present=st.booleans())
    def set_if(self, number: int, key: str, value: bytes, present: bool) -> None:
        """Set one key if it is there, or if not."""
        self.agree(number, "set_if", key, value, present)

    @rule(number=who, key=keys)
    def delete(self, number: int, key: str) -> None:
        """Delete one key."""
        self.agree(number, "delete", key)

    @rule(number=who, key=keys, delta=deltas)
    def increment(self, number: int, key: str, delta: int) -> None:
        """Add to a key."""
        self.agree(number, "increment", key, delta)

    @rule(number=who, key=keys, expected=st.none() | values, value=values, known=st.booleans())
    def compare_and_set(self, number: int, key: str, expected: bytes | None, value: bytes, known: bool) -> None:
        """Swap against a value; half the time the right one."""
        self.agree(number, "compare_and_set", key, self.model.values.get(key) if known else expected, value)

    # Many keys

    @rule(number=who, some=st.lists(keys, max_size=8))
    def get_many(self, number: int, some: list[str]) -> None:
        """Get some keys."""
        self.agree(number, "get_many", some)

    @rule(number=who, pairs=st.lists(st.tuples(keys, values), max_size=8), many=st.booleans())
    def set_many(self, number: int, pairs: list[tuple[str, bytes]], many: bool) -> None:
        """Set some keys, or so many that the watermark rises."""
        self.agree(number, "set_many", [*MANY, *pairs] if many else pairs)
        if many:
            self.agree(number, "delete_many", [key for key, _ in MANY])

    @rule(number=who, some=st.lists(keys, max_size=8))
    def delete_many(self, number: int, some: list[str]) -> None:
        """Delete some keys."""
        self.agree(number, "delete_many", some)

    @rule(number=who, program=st.lists(steps, min_size=1, max_size=6), fails=st.booleans())
    def program(self, number: int, program: list[Step], fails: bool) -> None:
        """Do several things in one transaction, which may fail at its end: then nothing was done."""
        self.agree(number, "program", [*program, ("fail", "", b"")] if fails else program)

    # Pages

    @rule(target=pages, number=who, prefix=st.sampled_from(["", "k", "many"]), limit=st.integers(1, 3))
    def first_page(self, number: int, prefix: str, limit: int) -> Page | MultipleResults[Page]:
        """Give the first keys."""
        return self._page(number, prefix, limit, None)

    @rule(target=pages, number=who, page=pages, limit=st.integers(1, 3))
    def next_page(self, number: int, page: Page, limit: int) -> Page | MultipleResults[Page]:
        """Give the keys after a cursor, whatever was written meanwhile, and whoever gave it."""
        return self._page(number, page.prefix, limit, page)

    def _page(self, number: int, prefix: str, limit: int, page: Page | None) -> Page | MultipleResults[Page]:
        client, model = self.asked(number)
        keys, cursor = client.page(prefix, limit, page.cursor if page else None)
        assert (keys, cursor is not None) == model.page(prefix, limit, page.after if page else None)
        self.seen["steps"] += 1
        return multiple() if cursor is None else Page(prefix, keys[-1], cursor)

    # Handles

    @rule(target=handles, number=who, key=st.sampled_from(KEYS), as_text=st.booleans())
    def look(self, number: int, key: str, as_text: bool) -> Seen | MultipleResults[Seen]:
        """Make a handle; it sees what is there."""
        client = self._beside_plan(number, key)
        if client is None:
            return multiple()
        value, handle = client.look(key)
        assert value == self.model.values.get(key)
        return self._seen(key, handle.token() if as_text and isinstance(handle, Cas) else handle)

    @rule(target=handles, number=who, old=consumes(handles), value=values)
    def swap(self, number: int, old: Seen, value: bytes) -> Seen | MultipleResults[Seen]:
        """Swap: it loses to every write, wins where nobody wrote, and gives a handle when it lost."""
        client, handle = self._beside_plan(number, old.key, value), old.handle
        if isinstance(handle, Cas) and not isinstance(client, Library):
            handle = handle.token()
        if client is None:
            return multiple()
        lost = client.swap(old.key, handle, value)
        self.seen["steps"] += 1
        if lost is not None:
            assert old.mark != self.model.mark(old.key) or old.doubts != self.model.doubts
            assert lost[0] == self.model.values.get(old.key)
            return self._seen(old.key, lost[1])
        assert (old.mark, old.value) == (self.model.mark(old.key), self.model.values.get(old.key))
        self.model.put(old.key, value)
        return multiple()

    def _beside_plan(self, number: int, *given: Any) -> Any:
        """Give a client, but not the one who has a transaction open: a handle made in there is judged at its commit."""
        client, model = self.asked(number, *given)
        return client if model is self.model else self.all[1]

    def _seen(self, key: str, handle: Cas | str) -> Seen:
        return Seen(key, handle, self.model.values.get(key), self.model.mark(key), self.model.doubts)

    # Lives

    @precondition(lambda self: self.plan is None)
    @rule()
    def drop_and_create(self) -> None:
        """Give the bucket a new life: a write to all its keys."""
        self.store.drop(self.name)
        self.store.create(self.name)
        self.model.begin_anew()

    @invariant()
    def bucket_is_the_dict(self) -> None:
        """All that can be read is what the dict says."""
        if hasattr(self, "all"):
            bucket = self.store.open(self.name)
            assert bucket.list_keys().keys == self.model.there()
            pairs = bucket.store.read(lambda snapshot: [snapshot.get(bucket.name, _raw(key)) for key in KEYS])
            assert pairs == [self.model.values.get(key) for key in KEYS]


def _raw(key: str) -> bytes:
    return os.fsencode(key)


class Planning(Machine):
    """The first client has transactions."""

    @precondition(lambda self: self.plan is None)
    @rule()
    def begin(self) -> None:
        """Begin a transaction."""
        self.draft, self.plan = self.begun(), Plan(self.model)

    def begun(self) -> Any:
        """Give the client of the transaction."""
        return Drafted(self.all[0])

    @precondition(lambda self: self.plan is not None)
    @rule()
    def commit(self) -> None:
        """Commit it: all is written, or nothing where others wrote what it rests on."""
        plan, self.plan = self.plan, None
        assert plan is not None
        found = outcome(self.draft.commit)
        self.seen["conflicts"] += found == ("error", "conflict")
        if found == ("error", "conflict") and plan.is_doubtful():
            self.rolled_back()
            return
        expected = outcome(plan.commit)
        assert found in {expected, UNSAID}, f"commit: {found!r}, and the model says {expected!r}"
        if found == ("error", "conflict"):
            self.rolled_back()

    @precondition(lambda self: self.plan is not None)
    @rule()
    def rollback(self) -> None:
        """Forget it."""
        self.plan = None
        self.rolled_back()

    def rolled_back(self) -> None:
        """Tell the client; a draft is just forgotten."""
