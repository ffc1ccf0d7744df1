"""kvcli set: write one value."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.commands.source import read_value
from kvcli.errors import InvalidArgument, KeyExists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(
    context: Context, key: str, value: str, *, chomp: bool = False, if_absent: bool = False, if_present: bool = False
) -> Record:
    """Set `key` to `value` (store.wit, `set`). Raises KeyExists when the condition does not hold."""
    if if_absent and if_present:
        raise InvalidArgument("--if-absent and --if-present exclude each other")
    data = read_value(context, value, chomp=chomp)  # Before the store is opened: stdin may be slow.
    bucket = context.bucket_to_write(key, make=not if_present)
    if if_absent or if_present:
        from kvcli.atomics import set_if

        if not set_if(bucket, key, data, present=if_present):
            raise KeyExists(f"{key!r} {'is missing' if if_present else 'exists already'}: nothing was set")
    else:
        bucket.set(key, data)
    return Record({"key": bucket.raw(key), "ok": True})
