"""kvcli incr: add to a counter."""

from __future__ import annotations

from kvcli.atomics import increment, parse_delta
from kvcli.commands import Record
from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, key: str, delta: str = "1") -> Record:
    """Add `delta` to the integer at `key` (atomics.wit, `increment`). Raises NotAnInteger, IntegerOverflow."""
    number = parse_delta(delta)
    if number is None:
        raise InvalidArgument(f"DELTA is a decimal integer of 64 bits, not {delta!r}")
    bucket = context.bucket_to_write(key)
    text = b"%d" % increment(bucket, key, number)
    return Record({"key": bucket.raw(key), "value": text}, text)
