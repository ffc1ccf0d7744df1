"""wasi:keyvalue/batch, over every engine."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvcli.batch import delete_many, delete_span, get_many, set_many
from kvcli.engine.transaction import Span
from kvcli.engine.update import Update
from kvcli.errors import InvalidKey
from kvcli.store import Bucket, Store
from tests.conftest import walk


def test_get_many_answers_each_key_in_order(bucket: Bucket) -> None:
    """One answer per key asked, duplicates included, None for an absent key."""
    set_many(bucket, [("a", b"1"), ("b", b"")])
    assert get_many(bucket, ["b", "x", "a", "b"]) == [("b", b""), None, ("a", b"1"), ("b", b"")]
    assert get_many(bucket, []) == []


def test_set_many_lets_the_last_win(bucket: Bucket) -> None:
    """Of equal keys the last value stays."""
    set_many(bucket, [("k", b"1"), ("k", b"2")])
    assert bucket.get("k") == b"2"


@pytest.mark.parametrize(("room", "values"), [(3, [b"22", b"1", b""]), (2, [b"22", b"1"]), (1, [b"22"])])
def test_values_end_where_the_room_does(bucket: Bucket, room: int, values: list[bytes]) -> None:
    """The last is the first that does not fit; what fits just so, fits."""
    set_many(bucket, [("a", b"1"), ("b", b"22"), ("c", b"")])
    keys = [b"b", b"a", b"c"]
    assert bucket.store.read(lambda snapshot: snapshot.get_many(bucket.name, keys, room)) == values


@pytest.mark.parametrize("bad", ["", "k" * 2000, "\ud800"])
@pytest.mark.parametrize("place", [0, 3, 63, 64, 65, 1000])
def test_set_many_with_a_bad_key_sets_nothing(bucket: Bucket, bad: str, place: int) -> None:
    """A key that is none, early or late, leaves the bucket as it was, and says what is wrong."""
    pairs = [(f"{number}", b"") for number in range(place)]
    with pytest.raises(InvalidKey, match="key"):
        set_many(bucket, [*pairs, (bad, b""), ("z", b"")])
    assert bucket.list_keys().keys == []


@pytest.mark.parametrize("bad", [None, "text"])
def test_set_many_with_a_bad_value_sets_nothing(bucket: Bucket, bad: object) -> None:
    """A value that is not bytes leaves the bucket as it was."""
    for count in (1, 1000):
        with pytest.raises(TypeError):
            set_many(bucket, [(f"{number}", b"") for number in range(count)] + [("z", bad)])  # type: ignore[list-item]
        assert bucket.list_keys().keys == []


def test_put_many_with_a_bad_value_puts_nothing_into_a_transaction_that_goes_on(bucket: Bucket) -> None:
    """What failed in the middle of a transaction left nothing for its commit."""

    def work(update: Update) -> None:
        with pytest.raises(TypeError):
            update.put_many(bucket.name, [(b"a", b"1"), (b"b", None)], bucket.check)  # type: ignore[list-item]
        update.put(bucket.name, b"c", b"3")

    bucket.store.write(work)
    assert bucket.list_keys().keys == ["c"]


def test_set_many_of_very_many(bucket: Bucket) -> None:
    """Ten thousand pairs are all there."""
    pairs = [(f"{number:05}", b"%d" % number) for number in range(10_000)]
    set_many(bucket, pairs)
    assert get_many(bucket, [key for key, _ in pairs]) == pairs


def test_delete_many_skips_absent_keys(bucket: Bucket) -> None:
    """Absent keys are skipped; the answer is how many there were."""
    set_many(bucket, [("a", b""), ("b", b""), ("c", b"")])
    assert delete_many(bucket, ["a", "x", "c", "a"]) == 2
    assert bucket.list_keys().keys == ["b"]


def test_delete_many_with_a_bad_key_deletes_nothing(bucket: Bucket) -> None:
    """All of it happens or nothing."""
    bucket.set("a", b"")
    with pytest.raises(InvalidKey):
        delete_many(bucket, ["a", ""])
    assert bucket.exists("a")


def test_delete_span_deletes_all_of_it_and_no_more(bucket: Bucket) -> None:
    """Every key of a span goes, though there are more than one transaction takes."""
    set_many(bucket, [(f"u:{number:04}", b"") for number in range(2500)] + [("t", b""), ("v", b"")])
    assert delete_span(bucket, Span(b"u:", b"u;")) == 2500
    assert walk(bucket) == ["t", "v"]


def test_set_many_with_a_bad_key_keeps_what_was_there(bucket: Bucket) -> None:
    """Keys that a failed set_many would have overwritten have their values still."""
    bucket.set("5", b"old")
    with pytest.raises(InvalidKey):
        set_many(bucket, [*((f"{number}", b"new") for number in range(1000)), ("", b"")])
    assert bucket.get("5") == b"old"


@pytest.mark.parametrize("bad", ["", "k" * 2000, "\ud800"])
def test_get_many_with_a_bad_key_is_refused(bucket: Bucket, bad: str) -> None:
    """A key that is none is an error, not an absent one."""
    bucket.set("a", b"1")
    with pytest.raises(InvalidKey):
        get_many(bucket, ["a", bad])


def test_batches_of_nothing(bucket: Bucket) -> None:
    """Empty lists are fine and change nothing."""
    set_many(bucket, [])
    assert delete_many(bucket, []) == 0
    assert bucket.list_keys().keys == []


def test_set_many_lets_the_last_of_very_many_win(bucket: Bucket) -> None:
    """Of equal keys the last wins, however far apart they stand."""
    set_many(bucket, [("k", b"first"), *((f"{number}", b"") for number in range(1000)), ("k", b"last")])
    assert bucket.get("k") == b"last"


@pytest.mark.committed
def test_batches_stay_in_their_bucket(store: Store) -> None:
    """The same keys in another bucket are not touched."""
    store.create("b")
    set_many(store.open("b"), [("a", b"b"), ("c", b"b")])
    set_many(store.open("default"), [("a", b"default"), ("c", b"default")])
    assert delete_many(store.open("default"), ["a", "c"]) == 2
    assert get_many(store.open("b"), ["a", "c"]) == [("a", b"b"), ("c", b"b")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(pairs=st.dictionaries(st.text(min_size=1, max_size=60), st.binary(max_size=300), max_size=100))
def test_get_many_gives_what_set_many_was_given(bucket: Bucket, pairs: dict[str, bytes]) -> None:
    """Any keys and values come back as they were, in the order asked."""
    set_many(bucket, list(pairs.items()))
    backwards = list(reversed(pairs.items()))
    assert get_many(bucket, [key for key, _ in backwards]) == backwards
