"""kvcli bucket stat: figures about buckets."""

from __future__ import annotations

from kvcli.commands import Table
from kvcli.store import bucket_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.engine.transaction import Snapshot


def run(context: Context, name: str | None = None) -> Table:
    """Count keys and bytes of the bucket `name`, or of every bucket. Raises NoSuchBucket."""

    def work(snapshot: Snapshot) -> list[dict[str, object]]:
        names = snapshot.buckets() if name is None else [bucket_name(name)]
        return [{"bucket": each, **snapshot.bucket_stat(each)} for each in names]

    return Table(context.store_to_read().read(work))
