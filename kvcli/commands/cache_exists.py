"""kvcli cache exists: an answer by exit code."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.store import key_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, key: str) -> Record:
    """Tell whether a value was set for `key` within its TTL (cache.wit, `exists`)."""
    there = context.cache().exists(key)
    record = Record({"key": key_bytes(key), "exists": there})
    record.exit_code = 0 if there else 1
    return record
