"""The store that is not there yet: whatever asks, it is empty, has its bucket `default`, and makes nothing."""

from __future__ import annotations

import os

import pytest

from kvcli.atomics import Cas, swap
from kvcli.batch import delete_many, get_many
from kvcli.engine.transaction import Span
from kvcli.engine.void import Void
from kvcli.errors import NoSuchBucket
from kvcli.store import Bucket, Store


@pytest.fixture
def nothing(path: str) -> Store:
    """A store that is not there."""
    return Store.over(Void(path), path)


def test_nothing_is_read_as_empty(nothing: Store, path: str) -> None:
    """Every way of reading finds nothing, and afterwards there is nothing still."""
    with nothing:
        bucket = nothing.open("default")
        assert nothing.buckets() == ["default"]
        assert (bucket.get("k"), bucket.exists("k"), bucket.list_keys().keys) == (None, False, [])
        assert get_many(bucket, ["a", "b"]) == [None, None]
        assert (list(bucket.pages(Span())), list(bucket.item_pages(Span()))) == ([], [])
        assert nothing.read(lambda snapshot: snapshot.bucket_stat(b"default")) == {"keys": 0, "bytes": 0, "depth": 0}
        assert nothing.read(lambda snapshot: (snapshot.mark(b"default"), snapshot.noted(b"word"))) == (None, None)
        assert nothing.stat() == {"path": path, "bytes": 0, "revision": 0}
    assert not os.path.exists(path)


def test_nothing_is_deleted_from_it(nothing: Store, path: str) -> None:
    """What is to go was never there; no bucket is made and none is dropped, and nothing is made on the disk."""
    bucket = nothing.open("default")
    bucket.delete("k")
    assert delete_many(bucket, ["a", "b"]) == 0
    assert nothing.write(lambda update: update.create(b"default")) is False
    nothing.write(lambda update: update.drop(b"default"))
    assert not os.path.exists(path)


@pytest.mark.parametrize("ask", ["get", "has", "keys", "items", "count", "mark", "drop", "delete"])
def test_other_buckets_are_not_there(nothing: Store, ask: str) -> None:
    """A name that is not `default` is no bucket, and the message knows the one that is."""
    more = {"get": (b"k",), "has": (b"k",), "delete": (b"k",), "keys": (Span(), 1), "items": (Span(), 1)}
    with pytest.raises(NoSuchBucket, match="did you mean 'default'"):
        nothing.read(lambda snapshot: getattr(snapshot, ask)(b"defaults", *more.get(ask, ())))


def test_handle_of_another_store_loses(nothing: Store, path: str) -> None:
    """What was seen elsewhere was not seen here."""
    with Store(path) as other:
        other.open("default").set("k", b"v")
        cas = Cas.new(other.open("default"), "k")
    seen = (cas.identity, cas.revision)
    assert nothing.write(lambda update: update.unchanged(b"default", b"k", *seen)) is False


def test_handle_of_nothing_wins_once_there_is_a_store(nothing: Store, path: str) -> None:
    """A key that was absent for want of a store still is, until somebody writes it."""
    early = [Cas.new(nothing.open("default"), "k") for _ in range(2)]
    with Store(path) as store:
        for cas in early:
            cas.bucket = Bucket(store, b"default")
        swap(early[0], b"1")
        assert store.open("default").get("k") == b"1"
        assert not store.write(lambda update: update.unchanged(b"default", b"k", early[1].identity, early[1].revision))
