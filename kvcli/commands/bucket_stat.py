"""kvcli bucket stat: figures about buckets."""

from __future__ import annotations

from kvcli.commands import Table
from kvcli.errors import NoSuchBucket, UnsupportedBucket
from kvcli.store import bucket_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.engine.transaction import Snapshot


def run(context: Context, name: str | None = None) -> Table:
    """Count keys and bytes of the bucket `name`, or of every bucket. Raises NoSuchBucket."""

    def work(snapshot: Snapshot) -> list[dict[str, object]]:
        if name is not None:
            raw = bucket_name(name)
            return [{"bucket": raw, **snapshot.bucket_stat(raw)}]
        return [{"bucket": each, **_stat(snapshot, each)} for each in snapshot.buckets()]

    return Table(context.store_to_read().read(work))


def _stat(snapshot: Snapshot, bucket: bytes) -> dict[str, int | None]:
    try:
        return {**snapshot.bucket_stat(bucket)}
    except (UnsupportedBucket, NoSuchBucket):  # One such bucket must not hide the others.
        return {"keys": None, "bytes": None, "depth": None}
