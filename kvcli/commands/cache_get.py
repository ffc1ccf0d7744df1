"""kvcli cache get: the bytes of one entry."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.errors import NoSuchKey
from kvcli.store import key_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, key: str, *, raw: bool = False, output: str | None = None) -> Record:
    """Get the value that was set for `key` within its TTL (cache.wit, `get`). Raises NoSuchKey."""
    value = context.cache().get(key)
    if value is None:
        error = NoSuchKey(f"nothing is cached for {key!r}")
        error.is_answer = True
        raise error
    record = Record({"key": key_bytes(key), "value": value}, value, verbatim=True)
    record.raw, record.output = raw, output
    return record
