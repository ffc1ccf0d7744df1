"""kvcli cache set: store one entry."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.commands.source import read_value
from kvcli.store import key_bytes
from kvcli.units import milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(
    context: Context, key: str, value: str, *, ttl: str | None = None, chomp: bool = False, max_size: str | None = None
) -> Record:
    """Set `key` to `value` for so long (cache.wit, `set`)."""
    ttl_ms = None if ttl is None else milliseconds(ttl, "--ttl")
    raw = key_bytes(key)
    data = read_value(context, value, chomp=chomp)
    context.cache(make=True, max_size=max_size).set(key, data, ttl_ms)
    return Record({"key": raw, "ok": True})
