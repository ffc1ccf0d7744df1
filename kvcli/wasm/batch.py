"""wasi:keyvalue/batch for guests: get-many in two shapes, set-many and delete-many. Each is one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvcli.batch import delete_many, set_many
from kvcli.errors import Other
from kvcli.wasm.shapes import pairs_always
from kvcli.wasm.store import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kvcli.store import Bucket
    from kvcli.wasm.border.link import Function
    from kvcli.wasm.host import Host
    from kvcli.wasm.shapes import Types


def functions(host: Host, types: Types) -> dict[str, Function]:
    """Give the functions of the interface, by their names in the component model."""
    buckets = host.buckets

    def get_many_(bucket: int, keys: list[str]) -> list[Any]:
        values = values_of(buckets[bucket], keys)
        return [None if value is None else (key, value) for key, value in zip(keys, values, strict=True)]

    def get_many_pairs(bucket: int, keys: list[str]) -> list[Any]:
        return [*zip(keys, values_of(buckets[bucket], keys), strict=True)]

    def set_many_(bucket: int, pairs: list[tuple[str, bytes]]) -> None:
        check(value for _, value in pairs)
        set_many(buckets[bucket], pairs)
        host.changed(buckets[bucket], dict(pairs))

    def delete_many_(bucket: int, keys: list[str]) -> None:
        delete_many(buckets[bucket], keys)
        host.changed(buckets[bucket], dict.fromkeys(keys))

    return {
        "get-many": get_many_pairs if pairs_always(types) else get_many_,
        "set-many": set_many_,
        "delete-many": delete_many_,
    }


def values_of(bucket: Bucket, keys: list[str]) -> list[bytes | None]:
    """Get the values of keys as kvcli.batch.get_many does, but hold no more of them than may pass. Raises Other."""
    raws = [bucket.raw(key) for key in keys]
    values = bucket.store.read(lambda snapshot: snapshot.get_many(bucket.name, raws, VALUE_BYTES_MAX))
    check(value for value in values if value is not None)
    return values


def check(values: Iterable[bytes]) -> None:
    """Raise Other where values are too long to pass between host and guest together."""
    if sum(map(len, values)) > VALUE_BYTES_MAX:
        raise Other(f"the values are too long; a guest gets and sets at most {VALUE_BYTES_MAX} bytes in one call")
