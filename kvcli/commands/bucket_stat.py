"""kvcli bucket stat: figures about buckets."""

from __future__ import annotations

from kvcli.commands import Table
from kvcli.errors import NoSuchBucket, UnsupportedBucket
from kvcli.store import bucket_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.store import Store


def run(context: Context, name: str | None = None) -> Table:
    """Count keys and bytes of the bucket `name`, or of every bucket. Raises NoSuchBucket."""
    store = context.store_to_read()
    if name is not None:
        raw = bucket_name(name)
        return Table([{"bucket": raw, **_figures(store, raw)}])
    return Table([{"bucket": each, **_known(store, each)} for each in store.read(lambda snapshot: snapshot.buckets())])


def _figures(store: Store, bucket: bytes) -> dict[str, int]:
    """Count one bucket. Not all in one snapshot: LMDB can have some five hundred open in a transaction."""
    return store.read(lambda snapshot: snapshot.bucket_stat(bucket))


def _known(store: Store, bucket: bytes) -> dict[str, int | None]:
    try:
        return {**_figures(store, bucket)}
    except (UnsupportedBucket, NoSuchBucket):  # One such bucket must not hide the others.
        return {"keys": None, "bytes": None, "depth": None}
