"""A program written against Spin's Python bindings: it knows nothing of kvcli. Run as `python -c` by test_wit.py."""

import spin_sdk.wit.imports.atomics
from spin_sdk.wit.imports import atomics, batch, wasi_keyvalue_store
from spin_sdk.wit.imports.atomics import Cas, CasError_CasFailed
from spin_sdk.wit.imports.wasi_keyvalue_store import Error_NoSuchStore
from spin_sdk.wit.types import Err


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
    assert bucket.get("bar") == b"mine"
    try:
        atomics.swap(stale, b"again")
    except Err as error:
        assert isinstance(error.value, atomics.CasError_StoreError)
    else:
        raise AssertionError


def many() -> None:
    """wasmtime's keyvalue_main, in the shape of Spin's batch."""
    bucket = wasi_keyvalue_store.open("default")
    batch.set_many(bucket, [("a1", b"v1"), ("b1", b"v1"), ("c1", b"v1")])
    batch.delete_many(bucket, ["a1", "c1", "x"])
    assert batch.get_many(bucket, ["a1", "b1", "c1", "b1"]) == [
        ("a1", None),
        ("b1", b"v1"),
        ("c1", None),
        ("b1", b"v1"),
    ]


for part in (store, no_such_store, counting, swapping, many):
    part()
    print(part.__name__)
