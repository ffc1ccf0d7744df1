"""kvcli stat: figures about a store."""

from __future__ import annotations

from kvcli.commands import Table
from kvcli.errors import NoSuchBucket, UnsupportedBucket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.engine.transaction import Snapshot


def run(context: Context) -> Table:
    """Say where the store is, how large, and what is in it."""
    store = context.store_to_read()

    def work(snapshot: Snapshot) -> dict[str, object]:
        return {"buckets": len(snapshot.buckets()), "keys": keys_of(snapshot)}

    return Table([{**store.stat(), **store.read(work), "origin": context.location.origin}], tall=True)


def keys_of(snapshot: Snapshot) -> int:
    """Count the keys of all buckets that can be counted."""
    total = snapshot.total()
    return sum(_count(snapshot, name) for name in snapshot.buckets()) if total is None else total


def _count(snapshot: Snapshot, bucket: bytes) -> int:
    try:
        return snapshot.count(bucket)
    except (UnsupportedBucket, NoSuchBucket):
        return 0
