"""store and atomics against a dict, by random programs (hypothesis), over every engine."""

from __future__ import annotations

import os
import re
import tempfile
from binascii import crc32
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from kvcli.atomics import S64_MAX, S64_MIN, Cas, increment, swap
from kvcli.batch import delete_many, get_many, set_many
from kvcli.engine.revisions import STRIPES
from kvcli.errors import CasFailed, IntegerOverflow, NotAnInteger
from kvcli.store import Store
from tests.conftest import make_foreign

KEYS = ["a", "b", "é", "\0", "\udcff", "k" * 511]
INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
MANY = [(f"many{number:03}", b"") for number in range(70)]

keys = st.sampled_from(KEYS)
values = st.sampled_from([b"", b"0", b"7", b"-0", b"\xff", b"%d" % S64_MAX, b"x" * 3000])
deltas = st.sampled_from([0, 1, -1, 5, S64_MAX, S64_MIN])


@dataclass
class Seen:
    """A handle, and what the model knew when it was made."""

    key: str
    cas: Cas
    value: bytes | None
    writes: int
    doubts: int


class Model(RuleBasedStateMachine):
    """A bucket beside a dict. `writes` counts the writes of each key, `doubts` what may cost a false conflict."""

    lib_version = 0
    handles: Bundle[Seen] = Bundle("handles")

    @initialize()
    def start(self) -> None:
        """Make a store with a bucket that can be dropped."""
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "store")
        if self.lib_version:
            make_foreign(self.path, lib_version=self.lib_version)
        self.store = Store(self.path, adopt=True)
        self.store.create("b")
        self.bucket = self.store.open("b")
        self.values: dict[str, bytes] = {}
        self.writes = dict.fromkeys(KEYS, 0)
        self.doubts = 0

    def teardown(self) -> None:
        """Remove the store."""
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def seen(self, key: str, cas: Cas) -> Seen:
        """Note what the model knows now."""
        return Seen(key, cas, self.values.get(key), self.writes[key], self.doubts)

    def wrote(self, key: str, value: bytes | None) -> None:
        """Note a write."""
        self.writes[key] += 1
        if value is None:
            del self.values[key]
        else:
            self.values[key] = value

    @rule(key=keys, value=values)
    def set(self, key: str, value: bytes) -> None:
        """Set one key."""
        self.bucket.set(key, value)
        self.wrote(key, value)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        """Delete one key; of an absent one that is no write."""
        self.bucket.delete(key)
        if key in self.values:
            self.wrote(key, None)

    @rule(pairs=st.lists(st.tuples(keys, values), max_size=8), many=st.booleans())
    def set_many(self, pairs: list[tuple[str, bytes]], many: bool) -> None:
        """Set some keys, or so many that the watermark rises."""
        set_many(self.bucket, [*MANY, *pairs] if many else pairs)
        delete_many(self.bucket, [key for key, _ in MANY] if many else [])
        self.doubts += many
        for key, value in pairs:
            self.wrote(key, value)

    @rule(some=st.lists(keys, max_size=8))
    def delete_many(self, some: list[str]) -> None:
        """Delete some keys; the answer is how many there were."""
        there = [key for key in dict.fromkeys(some) if key in self.values]
        assert delete_many(self.bucket, some) == len(there)
        for key in there:
            self.wrote(key, None)

    @rule(key=keys, delta=deltas)
    def increment(self, key: str, delta: int) -> None:
        """Add to a key; a refusal leaves it alone."""
        before = self.values.get(key, b"0")
        number = int(before) if INTEGER.fullmatch(before) else None
        try:
            after = increment(self.bucket, key, delta)
        except NotAnInteger:
            assert number is None
        except IntegerOverflow:
            assert number is not None
            assert not S64_MIN <= number + delta <= S64_MAX
        else:
            assert number is not None
            assert after == number + delta
            self.wrote(key, b"%d" % after)

    @rule()
    def drop_and_create(self) -> None:
        """Give the bucket a new life: a write to all its keys."""
        self.store.drop("b")
        self.store.create("b")
        self.values.clear()
        for key in KEYS:
            self.writes[key] += 1

    @rule()
    def reopen(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self.store = Store(self.path)
        self.bucket = self.store.open("b")

    @rule(target=handles, key=keys)
    def new(self, key: str) -> Seen:
        """Make a handle; it sees what is there."""
        cas, value = Cas.new_with_read(self.bucket, key)
        assert value == self.values.get(key)
        return self.seen(key, cas)

    @rule(target=handles, old=consumes(handles), value=values, by_token=st.booleans())
    def swap(self, old: Seen, value: bytes, by_token: bool) -> Seen | MultipleResults[Seen]:
        """Swap: it loses to every write, wins where nobody wrote, and gives a handle when it lost."""
        cas = old.cas
        if by_token or cas.bucket is not self.bucket:
            cas = Cas.from_token(self.bucket, old.key, cas.token())
        try:
            swap(cas, value)
        except CasFailed as error:
            assert old.writes != self.writes[old.key] or old.doubts != self.doubts
            fresh, found = error.cas, error.value
            assert found == fresh.current() == self.values.get(old.key)
            return self.seen(old.key, fresh)
        assert old.writes == self.writes[old.key]
        assert old.value == self.values.get(old.key)
        self.wrote(old.key, value)
        return multiple()

    @invariant()
    def bucket_is_the_dict(self) -> None:
        """All that can be read is what the dict says."""
        if not hasattr(self, "store"):
            return
        expected = sorted(self.values, key=lambda key: key.encode("utf-8", "surrogateescape"))
        assert self.bucket.list_keys().keys == expected
        pairs = [(key, self.values[key]) if key in self.values else None for key in KEYS]
        assert get_many(self.bucket, KEYS) == pairs
        assert [self.bucket.exists(key) for key in KEYS] == [pair is not None for pair in pairs]


class NewerModel(Model):
    """The same in LMDB's newer format."""

    lib_version = 1


def test_keys_of_the_model_have_stripes_of_their_own() -> None:
    """The model may expect a swap to win only if its keys share no stripe."""
    stripes = {crc32(key.encode("utf-8", "surrogateescape")) % STRIPES for key in KEYS}
    assert len(stripes) == len(KEYS)


SMALL = settings(max_examples=25, stateful_step_count=40, deadline=None)
Model.TestCase.settings = SMALL
NewerModel.TestCase.settings = SMALL
TestModel = Model.TestCase
TestNewerModel = NewerModel.TestCase
