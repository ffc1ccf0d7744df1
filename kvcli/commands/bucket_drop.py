"""kvcli bucket drop: remove a bucket and its keys."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.errors import Declined
from kvcli.store import bucket_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, name: str, *, yes: bool = False) -> Record:
    """Remove the bucket `name` with all its keys. Raises NoSuchBucket, Declined."""
    raw = bucket_name(name)
    count = context.store_to_read().read(lambda snapshot: snapshot.count(raw))
    if not yes and count and not context.confirm(f"Drop bucket {name!r} with its {count:,} keys?"):
        raise Declined("nothing was dropped")
    context.store_to_write(make=False).drop(name)
    return Record({"bucket": raw, "dropped": True})
