"""wasi:keyvalue/batch: get_many, set_many, delete_many. Each is one transaction: all of it happens or nothing.

Not in a cluster, whose engine declares it: there each key is written by itself.
"""

from __future__ import annotations

from kvcli.errors import InvalidKey, KvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from kvcli.engine.transaction import Span
    from kvcli.engine.update import Update
    from kvcli.store import Bucket

# What goes into a transaction of a long load, whichever of the two is reached first: in random order a smaller one
# writes most pages of a small store again and again.
CHUNK_PAIRS, CHUNK_BYTES = 40_000, 16 << 20
KEYS_PER_DELETE = 1000  # A long prefix goes in pieces, so that no other writer waits for all of it.


def get_many(bucket: Bucket, keys: Sequence[str]) -> list[tuple[str, bytes] | None]:
    """Get the pairs of `keys`, all from one snapshot: one answer per key, in the order asked, None for an absent key."""
    raws = [bucket.raw(key) for key in keys]

    values = bucket.store.read(lambda snapshot: snapshot.get_many(bucket.name, raws))
    return [None if value is None else (key, value) for key, value in zip(keys, values, strict=True)]


def set_many(bucket: Bucket, key_values: Iterable[tuple[str, bytes]]) -> None:
    """Set all pairs, in their order; the last of equal keys wins. Raises InvalidKey, and then nothing is set."""
    try:
        pairs = [(key.encode("utf-8", "surrogateescape"), value) for key, value in key_values]
    except UnicodeEncodeError as error:
        raise InvalidKey("a key holds a lone surrogate, which is no UTF-8") from error
    put_pairs(bucket, pairs)


def put_pairs(bucket: Bucket, pairs: list[tuple[bytes, bytes]], work: Callable[[Update], object] | None = None) -> None:
    """Set pairs of bytes, and do some more `work` with them. Raises InvalidKey, and then nothing is set."""

    def put(update: Update) -> None:
        update.put_many(bucket.name, pairs, bucket.check)
        if work is not None:
            work(update)

    if bucket.store.engine.transactional:
        bucket.store.write(put)
        return
    for key, value in pairs:  # In a cluster each is written by itself, so what is wrong must be known before.
        bucket.check(key)
        if not isinstance(value, bytes):
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
    _fly(bucket, "put_many", pairs)
    if work is not None:
        bucket.store.write(work)


def delete_many(bucket: Bucket, keys: Sequence[str]) -> int:
    """Delete all of `keys`; absent ones are skipped. Give how many there were."""
    raws = [bucket.raw(key) for key in keys]
    return _delete(bucket, raws)


def delete_span(bucket: Bucket, span: Span) -> int:
    """Delete the keys of a span, a thousand to a transaction. Give how many there were."""
    deleted = 0
    for page in bucket.pages(span, KEYS_PER_DELETE):
        deleted += _delete(bucket, page)
    return deleted


def _delete(bucket: Bucket, raws: list[bytes]) -> int:
    if bucket.store.engine.transactional:
        return bucket.store.write(lambda update: update.delete_many(bucket.name, raws))
    return sum(_fly(bucket, "delete_many", raws))


def _fly(bucket: Bucket, verb: str, items: Sequence[Any]) -> list[Any]:
    """Do a step, key by key, and give the answers. Raises what the first that failed did."""
    store = bucket.store
    store.read(lambda snapshot: snapshot.check(bucket.name))
    (answers,) = store.engine.fly([(verb, bucket.name, items)], store.lock_timeout)
    for answer in answers:
        if isinstance(answer, KvError):
            raise answer
    return answers
