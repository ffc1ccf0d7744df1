"""Handles of atomics as text, and what becomes of handles in the corners, over every engine."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvcli import token as tokens
from kvcli.atomics import Cas, increment, swap
from kvcli.batch import set_many
from kvcli.engine.update import Update
from kvcli.errors import CasFailed, HandleConsumed, InvalidKey, InvalidToken, NoSuchBucket
from kvcli.store import Bucket, Store


@given(
    identity=st.binary(min_size=16, max_size=16),
    revision=st.integers(0, (1 << 64) - 1),
    key=st.binary(min_size=1, max_size=511),
    value=st.none() | st.binary(max_size=100),
)
def test_token_holds_any_handle(identity: bytes, revision: int, key: bytes, value: bytes | None) -> None:
    """A token gives back what was packed, and never looks like an option."""
    seen = tokens.digest(b"default", key, value)
    packed = tokens.pack(identity, revision, seen)
    assert tokens.unpack(packed) == (identity, revision, seen)
    assert packed.startswith("t")
    assert packed.isascii()


@given(st.text(max_size=80))
@example("t" + "é" * 54)
@example("k" + "A" * 54)
def test_text_that_is_no_token_is_refused(text: str) -> None:
    """Unpacking any text either gives a handle of 40 bytes or raises InvalidToken, nothing else."""
    try:
        identity, _, seen = tokens.unpack(text)
    except InvalidToken:
        return
    assert (len(identity), len(seen)) == (16, 16)


@pytest.mark.parametrize(
    "others",
    [
        ((b"b", b"k", b"v"), (b"bk", b"", b"v")),
        ((b"b", b"k", None), (b"b", b"k", b"")),
        ((b"", b"k", b"v"), (b"", b"kv", b"")),
    ],
)
def test_digest_tells_its_parts_apart(others: tuple[tuple[bytes, bytes, bytes | None], ...]) -> None:
    """Bucket, key and value cannot be shifted into each other, and absent is not empty."""
    first, second = (tokens.digest(*parts) for parts in others)
    assert first != second


def test_token_of_an_absent_key_swaps(bucket: Bucket) -> None:
    """Absence can be written down too, and is not the empty value."""
    token = Cas.new(bucket, "k").token()
    swap(Cas.from_token(bucket, "k", token), b"")
    assert bucket.get("k") == b""
    with pytest.raises(CasFailed):
        swap(Cas.from_token(bucket, "k", token), b"2")


def test_token_of_a_token_is_the_same(bucket: Bucket) -> None:
    """A handle made of a token writes down as that token."""
    bucket.set("k", b"1")
    token = Cas.new(bucket, "k").token()
    assert Cas.from_token(bucket, "k", token).token() == token


def test_token_outlives_the_store_object(path: str) -> None:
    """A token is good after the store was closed and opened again, if nobody wrote."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
        token = Cas.new(store.open("default"), "k").token()
    with Store(path) as store:
        swap(Cas.from_token(store.open("default"), "k", token), b"2")
        assert store.open("default").get("k") == b"2"


@pytest.mark.remembers
def test_token_of_another_store_loses_at_every_revision(bucket: Bucket, path: str) -> None:
    """The same key with the same value in another store is refused, behind, at and past the token's revision."""
    bucket.set("k", b"1")
    for number in range(5):
        bucket.set("other", b"%d" % number)
    token = Cas.new(bucket, "k").token()
    with Store(path + "2") as store:
        another = store.open("default")
        another.set("k", b"1")
        for number in range(12):
            with pytest.raises(CasFailed):
                swap(Cas.from_token(another, "k", token), b"mine")
            another.set("other", b"%d" % number)
        assert another.get("k") == b"1"


@pytest.mark.remembers
@pytest.mark.committed
def test_token_loses_to_a_value_put_back(bucket: Bucket) -> None:
    """A token knows the revision, not only the value."""
    bucket.set("k", b"1")
    token = Cas.new(bucket, "k").token()
    bucket.set("k", b"2")
    bucket.set("k", b"1")
    with pytest.raises(CasFailed) as lost:
        swap(Cas.from_token(bucket, "k", token), b"mine")
    swap(Cas.from_token(bucket, "k", lost.value.cas.token()), b"mine")
    assert bucket.get("k") == b"mine"


def test_lost_handle_is_consumed_too(bucket: Bucket) -> None:
    """A swap that lost has consumed its handle."""
    cas = Cas.new(bucket, "k")
    bucket.set("k", b"1")
    with pytest.raises(CasFailed):
        swap(cas, b"2")
    with pytest.raises(HandleConsumed):
        swap(cas, b"2")
    assert bucket.get("k") == b"1"


@pytest.mark.committed
def test_fresh_handle_loses_to_the_next_write(bucket: Bucket) -> None:
    """The handle of a lost swap guards as any other: one more A-B-A and it loses as well."""
    cas = Cas.new(bucket, "k")
    for _ in range(3):
        bucket.set("k", b"theirs")
        with pytest.raises(CasFailed) as lost:
            swap(cas, b"mine")
        cas = lost.value.cas
    swap(cas, b"mine")
    assert bucket.get("k") == b"mine"


@pytest.mark.parametrize("key", ["", "\ud800", "k" * 2000])
def test_handle_of_what_is_no_key_is_refused(bucket: Bucket, key: str) -> None:
    """Cas.new refuses what no key can be."""
    with pytest.raises(InvalidKey):
        Cas.new(bucket, key)


@pytest.mark.committed
def test_swap_in_a_dropped_bucket_is_no_such_bucket(store: Store) -> None:
    """A handle does not bring a dropped bucket back."""
    store.create("b")
    cas = Cas.new(store.open("b"), "k")
    store.drop("b")
    with pytest.raises(NoSuchBucket):
        swap(cas, b"1")
    assert store.buckets() == ["default"]


@pytest.mark.committed
def test_swap_loses_to_a_bucket_made_again_with_the_same_value(store: Store) -> None:
    """A key of a new bucket is another key, though name and value are as before."""
    store.create("b")
    store.open("b").set("k", b"1")
    cas = Cas.new(store.open("b"), "k")
    store.drop("b")
    store.create("b")
    store.open("b").set("k", b"1")
    with pytest.raises(CasFailed):
        swap(cas, b"mine")


@pytest.mark.committed
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("count", [63, 64, 65, 66, 1000])
def test_swap_loses_to_any_size_of_set_many(bucket: Bucket, count: int, place: str) -> None:
    """Whether keys are stamped one by one or all by the watermark, none escapes at the border between."""
    bucket.set("k", b"1")
    cas = Cas.new(bucket, "k")
    pairs = [(f"x{number}", b"") for number in range(count - 1)]
    set_many(bucket, [("k", b"1"), *pairs] if place == "first" else [*pairs, ("k", b"1")])
    with pytest.raises(CasFailed):
        swap(cas, b"mine")


def test_swap_loses_to_a_large_set_many_of_other_keys_at_most_once(bucket: Bucket) -> None:
    """A watermark may cost a false conflict; the fresh handle then wins."""
    cas = Cas.new(bucket, "k")
    set_many(bucket, [(f"x{number}", b"") for number in range(1000)])
    try:
        swap(cas, b"mine")
    except CasFailed as lost:
        swap(lost.cas, b"mine")
    assert bucket.get("k") == b"mine"


@pytest.mark.committed
def test_large_set_many_of_another_bucket_is_no_conflict(store: Store) -> None:
    """A watermark belongs to one bucket."""
    store.create("b")
    cas = Cas.new(store.open("b"), "k")
    set_many(store.open("default"), [(f"x{number}", b"") for number in range(1000)])
    swap(cas, b"mine")
    assert store.open("b").get("k") == b"mine"


def test_failed_increment_is_no_write(bucket: Bucket) -> None:
    """An increment that was refused changed nothing, so a handle from before it still wins."""
    bucket.set("k", b"text")
    cas = Cas.new(bucket, "k")
    with pytest.raises(Exception, match="integer"):
        increment(bucket, "k", 1)
    swap(cas, b"mine")


def test_increment_counts_on_from_a_decimal_that_was_set(bucket: Bucket) -> None:
    """A counter is decimal text: set of 10 and increment by 5 make 15, and get shows the digits."""
    bucket.set("k", b"10")
    assert increment(bucket, "k", 5) == 15
    assert bucket.get("k") == b"15"


def test_handle_of_a_token_gives_the_value_that_is_there(bucket: Bucket) -> None:
    """A token holds no value, only what tells whether it is the same: `current` looks."""
    bucket.set("k", b"1")
    cas = Cas.from_token(bucket, "k", Cas.new(bucket, "k").token())
    assert (cas.current(), cas.sees(b"1"), cas.sees(b"2"), cas.sees(None)) == (b"1", True, False, False)
    assert cas.token() == Cas.new(bucket, "k").token()


@pytest.mark.committed
def test_transaction_knows_what_it_wrote(bucket: Bucket) -> None:
    """It tells of a key in its bucket alone, whatever the key of another is called (see Update.wrote)."""

    def work(update: Update) -> list[bool]:
        update.put(bucket.name, b"k", b"v")
        return [update.wrote(bucket.name, b"k"), update.wrote(bucket.name, b"another"), update.wrote(b"k", bucket.name)]

    assert bucket.store.write(work) == [True, False, False]


def test_look_at_many_keys_ends_where_the_room_does(bucket: Bucket) -> None:
    """Values come in the order of the keys, None for what is not there; and who only reads has written nothing."""
    set_many(bucket, [("a", b"1"), ("b", b"22")])
    keys = [b"b", b"nothing", b"a"]
    assert bucket.store.read(lambda snapshot: snapshot.get_many(bucket.name, keys, 100)) == [b"22", None, b"1"]
    assert not bucket.store.read(lambda snapshot: snapshot.wrote(bucket.name, b"a"))
