"""wasi:keyvalue/store, over every engine."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kvcli
from kvcli import cursor
from kvcli.atomics import Cas, increment, swap
from kvcli.batch import delete_many, set_many
from kvcli.errors import InvalidBucketName, InvalidCursor, InvalidKey, NoSuchBucket, NoSuchStore, Other, ReadOnly
from kvcli.store import PAGE_KEYS, Bucket, Store
from tests.conftest import walk


@pytest.mark.parametrize("value", [b"", b"1", b"\0", b"a\nb\r\n", b"\xff\xfe", bytes(range(256)) * 5000])
def test_get_gives_what_set_was_given(bucket: Bucket, value: bytes) -> None:
    """The bytes come back as they were, empty and binary ones too."""
    bucket.set("k", value)
    assert bucket.get("k") == value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(key=st.text(min_size=1, max_size=100), value=st.binary(max_size=2000))
def test_any_text_is_a_key(bucket: Bucket, key: str, value: bytes) -> None:
    """Any text of up to 511 bytes is a key, and any bytes are a value."""
    bucket.set(key, value)
    assert bucket.get(key) == value
    assert key in bucket.list_keys().keys


def test_nul_is_a_character_like_others(bucket: Bucket) -> None:
    """A key may hold NUL; a\\0b and a are two keys."""
    bucket.set("a\0b", b"1")
    assert bucket.get("a") is None
    assert bucket.get("a\0b") == b"1"


def test_missing_is_none_and_empty_is_not(bucket: Bucket) -> None:
    """An absent key is None; an empty value is there."""
    bucket.set("empty", b"")
    assert (bucket.get("empty"), bucket.exists("empty")) == (b"", True)
    assert (bucket.get("missing"), bucket.exists("missing")) == (None, False)


def test_set_overwrites(bucket: Bucket) -> None:
    """The second value replaces the first."""
    bucket.set("k", b"1")
    bucket.set("k", b"2")
    assert bucket.get("k") == b"2"


def test_delete_is_idempotent(bucket: Bucket) -> None:
    """Deleting twice, or what never was, is fine."""
    bucket.set("k", b"1")
    bucket.delete("k")
    bucket.delete("k")
    assert not bucket.exists("k")


@pytest.mark.parametrize("key", ["", "\ud800", "k" * 2000, "é" * 1000])
def test_what_is_no_key_is_refused(bucket: Bucket, key: str) -> None:
    """Empty, too long, or a lone surrogate: refused alike by every operation, and nothing is changed."""
    for operation in (bucket.get, bucket.exists, bucket.delete, lambda key: bucket.set(key, b"1")):
        with pytest.raises(InvalidKey):
            operation(key)
    assert walk(bucket) == []


def test_longest_key(bucket: Bucket) -> None:
    """A key may have as many bytes as the store says, and not one more."""
    longest = bucket.store.key_bytes_max
    bucket.set("k" * longest, b"1")
    assert bucket.get("k" * longest) == b"1"
    with pytest.raises(InvalidKey):
        bucket.set("k" * (longest + 1), b"1")


def test_key_limit_of_a_store_of_ours(path: str) -> None:
    """Stores that kvcli makes take keys of 511 bytes."""
    with Store(path) as store:
        assert store.key_bytes_max == 511


def test_key_that_is_not_utf8(bucket: Bucket) -> None:
    """Bytes that are no UTF-8 are the key that os.fsdecode makes of them."""
    bucket.set(b"\xff\xfe".decode("utf-8", "surrogateescape"), b"1")
    assert bucket.list_keys().keys == ["\udcff\udcfe"]


@pytest.mark.ordered
def test_keys_come_in_byte_order(bucket: Bucket) -> None:
    """Keys are listed in the order of their bytes."""
    keys = ["b", "a", "é", "Z", "a\0", "aa", "\U0001f600", "10", "9"]
    for key in keys:
        bucket.set(key, b"")
    assert walk(bucket) == sorted(keys, key=str.encode)


@pytest.mark.parametrize("count", [0, 1, PAGE_KEYS, PAGE_KEYS + 1, 2 * PAGE_KEYS + 5])
def test_walk_sees_every_key_once(bucket: Bucket, count: int) -> None:
    """Pages follow each other without a gap or a repetition, whatever the number of keys."""
    keys = [f"{number:06}" for number in range(count)]
    set_many(bucket, [(key, b"") for key in keys])
    assert walk(bucket) == keys


def test_full_page_without_more_has_no_cursor(bucket: Bucket) -> None:
    """There is a cursor only if there is another page."""
    for number in range(3):
        bucket.set(str(number), b"")
    assert bucket.list_keys().cursor is None


@pytest.mark.ordered
def test_cursor_survives_writes_and_its_own_key(bucket: Bucket) -> None:
    """A cursor goes on after its key, though that is deleted and others come before and behind."""
    for key in "aceg":
        bucket.set(key, b"")
    after_c = cursor.pack(b"c")
    bucket.delete("c")
    bucket.set("b", b"")
    bucket.set("d", b"")
    assert bucket.list_keys(after_c).keys == ["d", "e", "g"]


@pytest.mark.parametrize(
    "text", ["", "0", "k", "kAAAA", "kAAAAAA", "user:1", "kCGJXXWs=", "kCGJXXWt", "é", "k\ud800", "-"]
)
def test_malformed_cursor_is_refused(bucket: Bucket, text: str) -> None:
    """Only what a page gave is a cursor."""
    with pytest.raises(InvalidCursor):
        bucket.list_keys(text)


@given(st.binary(min_size=1, max_size=511))
def test_cursor_holds_any_key(key: bytes) -> None:
    """A cursor gives back the key it was made of, and never looks like an option."""
    packed = cursor.pack(key)
    assert cursor.unpack(packed) == key
    assert packed.startswith("k")


@pytest.mark.committed
def test_buckets_are_separate(store: Store) -> None:
    """The same key in two buckets is two keys."""
    store.create("a")
    store.create("b")
    store.open("a").set("k", b"1")
    assert store.open("b").get("k") is None
    assert store.buckets() == ["a", "b", "default"]


@pytest.mark.committed
def test_unknown_bucket_is_no_such_store_with_a_hint(store: Store) -> None:
    """An identifier that is not recognised is no-such-store, and the nearest name is suggested."""
    store.create("users")
    with pytest.raises(NoSuchBucket, match="did you mean 'users'") as caught:
        store.open("user")
    assert isinstance(caught.value, NoSuchStore)


@pytest.mark.committed
def test_hint_at_the_buckets_there_are_stays_short(store: Store) -> None:
    """Where no name is near, the message names the first eight, and says how to make one."""
    for number in range(20):
        store.create(f"{number:02}")
    with pytest.raises(NoSuchStore) as caught:
        store.open("nothing like it")
    listed = ", ".join(f"{number:02}" for number in range(8))
    assert str(caught.value) == f"no bucket 'nothing like it' (there are: {listed}): kvcli bucket create makes one"


@pytest.mark.committed
def test_create_twice_is_fine(store: Store) -> None:
    """create tells whether the bucket is new."""
    assert store.create("b")
    assert not store.create("b")


@pytest.mark.committed
def test_drop_takes_the_keys_along(store: Store) -> None:
    """A bucket made again under the name of a dropped one is empty."""
    store.create("b")
    store.open("b").set("k", b"1")
    store.drop("b")
    with pytest.raises(NoSuchBucket):
        store.open("b")
    store.create("b")
    assert store.open("b").get("k") is None


@pytest.mark.committed
def test_bucket_that_is_not_there_cannot_be_dropped(store: Store) -> None:
    """Whoever misspells a name is told."""
    with pytest.raises(NoSuchBucket):
        store.drop("nowhere")


def test_default_cannot_be_dropped(store: Store) -> None:
    """The bucket default always exists."""
    with pytest.raises(InvalidBucketName):
        store.drop("default")


@pytest.mark.parametrize("name", ["", "a\0b", "__kvcli__", "@main", "a\nb", "x" * 256, "\ud800", "\u202e"])
def test_bad_bucket_names_are_refused(store: Store, name: str) -> None:
    """A bucket's name is printable, of 1 to 255 bytes, and neither kvcli's own nor the main database's."""
    with pytest.raises(InvalidBucketName):
        store.create(name)


def test_nul_in_a_name_opens_nothing(store: Store) -> None:
    """LMDB would open `default` for `default\\0x`; kvcli opens nothing."""
    with pytest.raises(InvalidBucketName):
        store.open("default\0x")


def test_read_only_store_refuses_every_write(store: Store, path: str) -> None:
    """read_only cannot be written through, though another handle of the process can write."""
    with Store(path, read_only=True) as reader:
        bucket = reader.open("default")
        for write in (lambda: bucket.set("k", b"1"), lambda: bucket.delete("k"), lambda: reader.create("b")):
            with pytest.raises(ReadOnly):
                write()
    assert store.open("default").get("k") is None


def test_read_only_store_refuses_what_is_made_of_writes(store: Store, path: str) -> None:
    """Atomics, batches and drop are writes too, and a handle can still be made."""
    store.open("default").set("k", b"1")
    with Store(path, read_only=True) as reader:
        bucket = reader.open("default")
        cas = Cas.new(bucket, "k")
        for write in (
            lambda: swap(cas, b"2"),
            lambda: increment(bucket, "k", 1),
            lambda: set_many(bucket, [("k", b"2")]),
            lambda: delete_many(bucket, ["k"]),
            lambda: reader.drop("b"),
        ):
            with pytest.raises(ReadOnly):
                write()
    assert store.open("default").get("k") == b"1"


def test_read_only_makes_nothing(path: str) -> None:
    """A store that is not there is not made by who only reads, nor without create."""
    with pytest.raises(NoSuchStore):
        Store(path, read_only=True)
    with pytest.raises(NoSuchStore):
        Store(path, create=False)
    assert not os.path.exists(path)


def test_open_makes_the_store_and_closes_it_with_the_bucket(path: str) -> None:
    """open gives a bucket that holds its store: leaving its context closes both."""
    with kvcli.open("users", store=path, create=True) as bucket:
        bucket.set("k", b"1")
    with pytest.raises(Other, match="closed"):
        bucket.get("k")
    with kvcli.open("users", store=path, read_only=True) as bucket:
        assert bucket.get("k") == b"1"


def test_open_of_an_unknown_bucket_is_no_such_store(path: str) -> None:
    """open makes a bucket only where create says so."""
    with pytest.raises(NoSuchStore):
        kvcli.open("users", store=path)
    with Store(path) as store:
        assert store.buckets() == ["default"]


def test_context_of_a_bucket_leaves_its_store_open(store: Store) -> None:
    """A bucket that a store opened does not close the store."""
    with store.open("default") as bucket:
        bucket.set("k", b"1")
    assert bucket.get("k") == b"1"


def test_closed_store_says_so(path: str) -> None:
    """What is closed is refused by an error of ours; closing twice is fine."""
    with Store(path) as store:
        bucket = store.open("default")
    store.close()
    with pytest.raises(Other, match="closed"):
        bucket.get("k")


def test_two_handles_share_the_environment(store: Store, path: str) -> None:
    """A store can be opened twice in a process, and closing one leaves the other open."""
    with Store(path, adopt=True) as again:
        again.open("default").set("k", b"1")
    assert store.open("default").get("k") == b"1"


def test_values_outlive_the_store(path: str) -> None:
    """What was set is there when the store is opened again."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
    with Store(path, read_only=True) as store:
        assert store.open("default").get("k") == b"1"
