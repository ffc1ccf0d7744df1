"""kvcli exists: an answer by exit code."""

from __future__ import annotations

from kvcli.commands import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, key: str) -> Record:
    """Tell whether `key` exists (store.wit, `exists`)."""
    bucket = context.bucket_to_read()
    there = bucket.exists(key)
    record = Record({"key": bucket.raw(key), "exists": there})
    record.exit_code = 0 if there else 1
    return record
