"""A program written against Spin's Python bindings: it knows nothing of kvcli. Run as `python -c` by test_wit.py."""

import spin_sdk.wit.imports.atomics
from spin_sdk.wit.imports import atomics, batch, wasi_keyvalue_store
from spin_sdk.wit.imports.atomics import Cas, CasError_CasFailed
from spin_sdk.wit.imports.wasi_keyvalue_store import Error_NoSuchStore
from spin_sdk.wit.types import Err


def keyvalue_main() -> None:
    """wasmtime's keyvalue_main: its host has set atomics_key to 5."""
    bucket = wasi_keyvalue_store.open("default")
    assert atomics.increment(bucket, "atomics_key", 1) == 6
    assert bucket.list_keys(None) == wasi_keyvalue_store.KeyResponse(["atomics_key"], None)
    bucket.set("hello", b"world")
    assert bucket.get("hello") == b"world"
    assert bucket.exists("hello")
    bucket.delete("hello")
    assert not bucket.exists("hello")
    batch.set_many(bucket, [("a1", b"v1"), ("b1", b"v1"), ("c1", b"v1")])
    batch.delete_many(bucket, ["a1", "c1"])
    assert batch.get_many(bucket, ["a1", "b1", "c1"]) == [("a1", None), ("b1", b"v1"), ("c1", None)]
    batch.delete_many(bucket, ["atomics_key", "b1"])
    assert bucket.list_keys(None).keys == []


def store() -> None:
    """The assertions of Spin's and wasmCloud's test components about the store."""
    with wasi_keyvalue_store.open("default") as bucket:
        bucket.delete("bar")
        assert not bucket.exists("bar")
        assert bucket.get("bar") is None
        assert bucket.list_keys(None).keys == []
        bucket.set("bar", b"baz")
        assert bucket.exists("bar")
        assert bucket.get("bar") == b"baz"
        bucket.set("bar", b"wow")
        page = bucket.list_keys(None)
        assert page == wasi_keyvalue_store.KeyResponse(["bar"], None)
        bucket.set("qux", bytes(range(256)))
        assert set(bucket.list_keys(None).keys) == {"bar", "qux"}
        assert bucket.get("qux") == bytes(range(256))
        bucket.delete("qux")
        bucket.delete("bar")
        bucket.delete("bar")
        try:
            bucket.list_keys("0")
        except Err as error:
            assert isinstance(error.value, wasi_keyvalue_store.Error_Other)
        else:
            raise AssertionError


def no_such_store() -> None:
    """An identifier that the host does not know."""
    try:
        wasi_keyvalue_store.open("forbidden")
    except Err as error:
        assert isinstance(error.value, Error_NoSuchStore)
        assert error.value == Error_NoSuchStore()
    else:
        raise AssertionError


def counting() -> None:
    """The increments of Spin's, wasmtime's and wash's test programs."""
    assert spin_sdk.wit.imports.atomics.increment is atomics.increment
    bucket = wasi_keyvalue_store.open("default")
    assert atomics.increment(bucket, "rocks", 10) == 10
    assert atomics.increment(bucket, "rocks", 5) == 15
    assert atomics.increment(bucket, "rocks", -25) == -10
    bucket.set("rocks", b"not a number")
    try:
        atomics.increment(bucket, "rocks", 1)
    except Err as error:
        assert isinstance(error.value, wasi_keyvalue_store.Error_Other)
        assert "integer" in error.value.value
    else:
        raise AssertionError
    assert bucket.get("rocks") == b"not a number"
    assert [atomics.increment(bucket, "spin", delta) for delta in (1, 2, -10)] == [1, 3, -7]
    assert [atomics.increment(bucket, "wash", delta) for delta in (5, -3, -10)] == [5, 2, -8]
    bucket.set("wash", b"%d" % (2**63 - 1))
    try:
        atomics.increment(bucket, "wash", 1)
    except Err as error:
        assert isinstance(error.value, wasi_keyvalue_store.Error_Other)
    else:
        raise AssertionError
    assert bucket.get("wash") == b"%d" % (2**63 - 1)


def swapping() -> None:
    """A swap that wins, one that loses to A-B-A, and the retry with the handle from the error."""
    bucket = wasi_keyvalue_store.open("default")
    bucket.set("bar", b"wow")
    with Cas.new(bucket, "bar") as cas:
        assert cas.current() == b"wow"
        atomics.swap(cas, b"swapped")
    assert bucket.get("bar") == b"swapped"
    stale = atomics.Cas.new(bucket, "bar")
    bucket.set("bar", b"other")
    bucket.set("bar", b"swapped")
    try:
        atomics.swap(stale, b"mine")
    except Err as error:
        assert isinstance(error.value, CasError_CasFailed)
        assert error.value.value.current() == b"swapped"
        atomics.swap(error.value.value, b"mine")
    else:
        raise AssertionError
    assert bucket.get("bar") == b"mine"
    try:
        atomics.swap(stale, b"again")
    except Err as error:
        assert isinstance(error.value, atomics.CasError_StoreError)
    else:
        raise AssertionError


def seam() -> None:
    """omnia's: create by absence, one winner of many, the refreshed handle; and wash's delete and recreate."""
    bucket = wasi_keyvalue_store.open("default")
    first, second = Cas.new(bucket, "seam"), Cas.new(bucket, "seam")
    assert first.current() is None
    atomics.swap(first, b"first")
    try:
        atomics.swap(second, b"second")
    except Err as error:
        assert isinstance(error.value, CasError_CasFailed)
        assert error.value.value.current() == b"first" == bucket.get("seam")
        atomics.swap(error.value.value, b"second")
    else:
        raise AssertionError
    handles = [Cas.new(bucket, "seam") for _ in range(8)]
    won = 0
    for number, cas in enumerate(handles):
        try:
            atomics.swap(cas, b"%d" % number)
            won += 1
        except Err as error:
            assert isinstance(error.value, CasError_CasFailed)
    assert (won, bucket.get("seam")) == (1, b"0")
    stale = Cas.new(bucket, "seam")
    bucket.delete("seam")
    bucket.set("seam", b"0")
    try:
        atomics.swap(stale, b"mine")
    except Err as error:
        assert isinstance(error.value, CasError_CasFailed)
    else:
        raise AssertionError


def many() -> None:
    """Misses and duplicates keep their places, in the shape of Spin's batch; Spin's delete_many leaves no keys."""
    bucket = wasi_keyvalue_store.open("default")
    batch.set_many(bucket, [("a1", b"v1"), ("b1", b"v1"), ("c1", b"v1")])
    batch.delete_many(bucket, ["a1", "c1", "x"])
    assert batch.get_many(bucket, ["a1", "b1", "c1", "b1"]) == [
        ("a1", None),
        ("b1", b"v1"),
        ("c1", None),
        ("b1", b"v1"),
    ]
    batch.delete_many(bucket, bucket.list_keys(None).keys)
    assert bucket.list_keys(None).keys == []


for part in (keyvalue_main, store, no_such_store, counting, swapping, seam, many):
    part()
    print(part.__name__)
