"""wasi:keyvalue/atomics, over every engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvcli.atomics import Cas, compare_and_set, increment, set_if, swap, swap_in
from kvcli.batch import set_many
from kvcli.engine.update import Update
from kvcli.errors import CasFailed, HandleConsumed, IntegerOverflow, InvalidToken, NotAnInteger
from kvcli.store import Bucket, Store

Meddling = Callable[[Bucket], None]


def write_and_back(bucket: Bucket) -> None:
    """A to B and back to A."""
    value = bucket.get("k") or b""
    bucket.set("k", b"other")
    bucket.set("k", value)


def write_the_same(bucket: Bucket) -> None:
    """Write the value that is there."""
    bucket.set("k", bucket.get("k") or b"")


def delete_and_recreate(bucket: Bucket) -> None:
    """Delete the key and make it again."""
    value = bucket.get("k") or b""
    bucket.delete("k")
    bucket.set("k", value)


def add_and_subtract(bucket: Bucket) -> None:
    """Count up and down again."""
    increment(bucket, "k", 1)
    increment(bucket, "k", -1)


def load_very_many(bucket: Bucket) -> None:
    """Write more keys than are stamped one by one, the key among them, with its value."""
    set_many(bucket, [(f"{number:05}", b"") for number in range(500)] + [("k", bucket.get("k") or b"")])


def create_and_delete(bucket: Bucket) -> None:
    """Make the absent key and delete it."""
    bucket.set("absent", b"1")
    bucket.delete("absent")


@pytest.mark.committed
@pytest.mark.parametrize(
    "meddle", [write_and_back, write_the_same, delete_and_recreate, add_and_subtract, load_very_many]
)
def test_swap_loses_to_every_write(bucket: Bucket, meddle: Meddling) -> None:
    """Any write between Cas.new and swap makes the swap lose, though the value is the same again."""
    bucket.set("k", b"7")
    cas = Cas.new(bucket, "k")
    meddle(bucket)
    with pytest.raises(CasFailed) as lost:
        swap(cas, b"mine")
    assert lost.value.value == bucket.get("k") == b"7"


@pytest.mark.committed
def test_swap_loses_to_a_write_of_its_own_transaction(bucket: Bucket) -> None:
    """A write of the same value a moment before, in the transaction that swaps, is a write like others."""
    bucket.set("k", b"7")
    cas = Cas.new(bucket, "k")

    def work(update: Update) -> None:
        update.put(bucket.name, b"k", b"7")
        swap_in(update, cas, b"k", b"mine")

    with pytest.raises(CasFailed):
        bucket.store.write(work)
    assert bucket.get("k") == b"7"


@pytest.mark.committed
def test_swap_loses_to_creation_and_deletion(bucket: Bucket) -> None:
    """An absent key that was made and deleted meanwhile is not the same absence."""
    cas = Cas.new(bucket, "absent")
    create_and_delete(bucket)
    with pytest.raises(CasFailed) as lost:
        swap(cas, b"mine")
    assert lost.value.value is None


@pytest.mark.transactional
@pytest.mark.committed
def test_swap_loses_to_a_new_life_of_the_bucket(store: Store) -> None:
    """Dropping and making the bucket again is a write to all its keys."""
    store.create("b")
    cas = Cas.new(store.open("b"), "absent")
    store.drop("b")
    store.create("b")
    with pytest.raises(CasFailed):
        swap(cas, b"mine")


def test_swap_wins_when_nobody_wrote(bucket: Bucket) -> None:
    """Without a write to the key the swap succeeds; writes to other keys are none of its business."""
    bucket.set("k", b"1")
    cas = Cas.new(bucket, "k")
    bucket.set("other", b"x")
    bucket.delete("nothing")
    swap(cas, b"2")
    assert bucket.get("k") == b"2"


def test_swap_creates_an_absent_key(bucket: Bucket) -> None:
    """Absent is a value like others."""
    cas, value = Cas.new_with_read(bucket, "k")
    assert value is None
    assert cas.current() is None
    swap(cas, b"first")
    assert bucket.get("k") == b"first"


def test_current_is_what_the_handle_saw(bucket: Bucket) -> None:
    """current gives the value at the time of new, which is the one that swap compares with."""
    bucket.set("k", b"1")
    cas = Cas.new(bucket, "k")
    bucket.set("k", b"2")
    assert cas.current() == b"1"


def test_lost_swap_gives_a_handle_that_works(bucket: Bucket) -> None:
    """The fresh handle is of the latest transaction: a retry with it wins."""
    cas = Cas.new(bucket, "k")
    bucket.set("k", b"theirs")
    with pytest.raises(CasFailed) as lost:
        swap(cas, b"mine")
    assert lost.value.cas.current() == lost.value.value == b"theirs"
    swap(lost.value.cas, b"mine")
    assert bucket.get("k") == b"mine"


def test_handle_works_once(bucket: Bucket) -> None:
    """swap consumes the handle, won or lost."""
    cas = Cas.new(bucket, "k")
    swap(cas, b"1")
    with pytest.raises(HandleConsumed):
        swap(cas, b"2")
    assert bucket.get("k") == b"1"


def test_of_many_swaps_from_one_snapshot_one_wins(bucket: Bucket) -> None:
    """Handles of the same state exclude each other."""
    handles = [Cas.new(bucket, "k") for _ in range(10)]
    won = 0
    for number, cas in enumerate(handles):
        try:
            swap(cas, b"%d" % number)
        except CasFailed:
            continue
        won += 1
    assert (won, bucket.get("k")) == (1, b"0")


def test_token_carries_a_handle(bucket: Bucket) -> None:
    """A handle written down and read back swaps as the first would have."""
    bucket.set("k", b"1")
    token = Cas.new(bucket, "k").token()
    swap(Cas.from_token(bucket, "k", token), b"2")
    with pytest.raises(CasFailed):
        swap(Cas.from_token(bucket, "k", token), b"3")
    assert bucket.get("k") == b"2"


@pytest.mark.committed
def test_token_of_another_key_bucket_or_store_loses(bucket: Bucket, tmp_path: object) -> None:
    """A token is good for its own key in its own bucket in its own store."""
    bucket.store.create("b")
    for key in ("k", "other"):
        bucket.set(key, b"1")
    token = Cas.new(bucket, "k").token()
    with Store(f"{tmp_path}/another") as another:
        another.open("default").set("k", b"1")
        for where, key in ((bucket, "other"), (bucket.store.open("b"), "k"), (another.open("default"), "k")):
            with pytest.raises(CasFailed):
                swap(Cas.from_token(where, key, token), b"mine")


@pytest.mark.parametrize("ahead", [1, 2, 1000])
def test_token_from_the_future_loses(bucket: Bucket, ahead: int) -> None:
    """A revision that has not been reached can only be another history's."""
    bucket.set("k", b"1")
    cas = Cas.new(bucket, "k")
    cas.revision += ahead
    with pytest.raises(CasFailed):
        swap(Cas.from_token(bucket, "k", cas.token()), b"mine")


@pytest.mark.parametrize("token", ["", "t", "tAAAA", "x" * 55, "t" + "A" * 53, "t" + "A" * 55, "t" + "é" * 54])
def test_malformed_token_is_refused(bucket: Bucket, token: str) -> None:
    """Text that no handle made is no token."""
    with pytest.raises(InvalidToken):
        Cas.from_token(bucket, "k", token)


def test_compare_and_set_compares_the_value(bucket: Bucket) -> None:
    """The value decides; None is absence."""
    compare_and_set(bucket, "k", None, b"1")
    compare_and_set(bucket, "k", b"1", b"2")
    for expected in (None, b"1", b""):
        with pytest.raises(CasFailed) as lost:
            compare_and_set(bucket, "k", expected, b"3")
        assert lost.value.value == b"2"


def test_set_if(bucket: Bucket) -> None:
    """A condition that does not hold changes nothing."""
    assert not set_if(bucket, "k", b"1", present=True)
    assert set_if(bucket, "k", b"1", present=False)
    assert not set_if(bucket, "k", b"2", present=False)
    assert set_if(bucket, "k", b"3", present=True)
    assert bucket.get("k") == b"3"


def test_increment_counts_from_nothing(bucket: Bucket) -> None:
    """A missing key is created with the delta; the value is decimal text."""
    assert [increment(bucket, "n", delta) for delta in (5, -3, -10, 0)] == [5, 2, -8, -8]
    assert bucket.get("n") == b"-8"


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"+5", b" 5", b"5 ", b"5\n", b"05", b"-0", b"5.0", b"abc", b"1_000", b"-", b"\xd9\xa1", b"9" * 5000),
        *(b"9223372036854775808", b"-9223372036854775809"),
    ],
)
def test_increment_refuses_what_is_no_integer(bucket: Bucket, value: bytes) -> None:
    """Anything but `0|-?[1-9][0-9]*` within s64 is an error, and is left alone."""
    bucket.set("n", value)
    with pytest.raises(NotAnInteger):
        increment(bucket, "n", 1)
    assert bucket.get("n") == value


@pytest.mark.parametrize(("value", "delta"), [(2**63 - 1, 1), (-(2**63), -1), (0, 2**63), (0, -(2**63) - 1)])
def test_increment_does_not_overflow(bucket: Bucket, value: int, delta: int) -> None:
    """A sum outside of s64 is an error, and the value is left alone."""
    bucket.set("n", b"%d" % value)
    with pytest.raises(IntegerOverflow):
        increment(bucket, "n", delta)
    assert bucket.get("n") == b"%d" % value


def test_increment_reaches_both_ends(bucket: Bucket) -> None:
    """Both limits of s64 can be had."""
    assert increment(bucket, "up", 2**63 - 1) == 2**63 - 1
    assert increment(bucket, "down", -(2**63)) == -(2**63)
    assert increment(bucket, "down", 2**63 - 1) == -1


@pytest.mark.parametrize("delta", ["1", 1.0, None])
def test_delta_is_an_integer(bucket: Bucket, delta: object) -> None:
    """Anything else is an error of the caller's, and the value stays."""
    bucket.set("n", b"5")
    with pytest.raises(TypeError, match="delta is an int"):
        increment(bucket, "n", delta)  # type: ignore[arg-type]
    assert bucket.get("n") == b"5"


@pytest.mark.remembers
def test_handle_is_released_by_a_context(bucket: Bucket) -> None:
    """As the bindings' resources are; it holds nothing, so it is good afterwards as well."""
    with Cas.new(bucket, "k") as cas:
        assert cas.current() is None
    swap(cas, b"1")
    assert bucket.get("k") == b"1"
