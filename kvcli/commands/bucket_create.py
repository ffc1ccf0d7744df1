"""kvcli bucket create: declare a bucket."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.store import new_bucket_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, name: str) -> Record:
    """Make the bucket `name`; one that exists is fine. Raises InvalidBucketName."""
    raw = new_bucket_name(name)
    return Record({"bucket": raw, "created": context.store_to_write().create(name)})
