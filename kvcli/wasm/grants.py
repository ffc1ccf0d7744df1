"""Grants: which identifier of a guest opens which bucket. What is not granted is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.errors import AccessDenied, NoSuchStore, ReadOnly
from kvcli.store import DEFAULT, Bucket, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import NoReturn

HOME = ("", DEFAULT)  # What a guest calls the bucket that it is to have: wasmtime knows the first, Spin the second.


class Grants:
    """Buckets by the identifiers that a guest may open, and the identifiers that are denied to it."""

    def __init__(self, buckets: Mapping[str, Bucket], denied: Collection[str] = ()) -> None:
        """Who denies one name of the home bucket denies both."""
        self._buckets = dict(buckets)
        self._denied = {*denied, *(HOME if set(HOME) & set(denied) else ())}

    def open(self, identifier: str) -> Bucket:
        """Get the bucket with the specified identifier (store.wit, `open`).

        Raises AccessDenied for one that is denied, whether or not there is such a bucket; NoSuchStore for one that is not
        granted, whether or not the store has it, and for one that is granted and gone.
        """
        if identifier in self._denied:
            raise AccessDenied(f"the bucket {identifier!r} is denied to this guest")
        bucket = self._buckets.get(identifier)
        if bucket is None:
            raise NoSuchStore(f"no bucket {identifier!r} was granted to this guest")
        bucket.store.read(lambda snapshot: snapshot.check(bucket.name))
        return bucket


class ReadingStore(Store):
    """A store whose buckets were granted for reading."""

    def write(self, work: Callable[..., object], meanwhile: Callable[[], object] | None = None) -> NoReturn:  # noqa: ARG002 - nothing is done
        """Refuse. Raises ReadOnly, which is `access-denied` to a guest."""
        raise ReadOnly("this bucket was granted for reading: leave :ro out")


def for_reading(bucket: Bucket) -> Bucket:
    """Give the same bucket, in which nothing can be written."""
    store = ReadingStore.over(bucket.store.engine, bucket.store.path, bucket.store.lock_timeout)
    return Bucket(store, bucket.name)
