"""wasi:keyvalue/atomics for guests: increment, cas and swap, in the three shapes that are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.atomics import Cas, increment, increment_in, swap
from kvcli.errors import CasFailed, IntegerOverflow, KvError, Other
from kvcli.wasm.shapes import is_unsigned, tells_value
from kvcli.wasm.store import VALUE_BYTES_MAX, Refused, passing, refuse

if TYPE_CHECKING:
    from kvcli.engine.update import Update
    from kvcli.store import Bucket
    from kvcli.wasm.border.link import Function
    from kvcli.wasm.host import Host
    from kvcli.wasm.shapes import Types


def functions(host: Host, types: Types) -> dict[str, Function]:
    """Give the functions of the interface, by their names in the component model."""
    buckets, swaps = host.buckets, host.swaps
    add = increment_unsigned if is_unsigned(types) else increment

    def increment_(bucket: int, key: str, delta: int) -> int:
        after = add(buckets[bucket], key, delta)
        host.changed(buckets[bucket], {key: b"%d" % after})
        return after

    def new_with_read(bucket: int, key: str) -> tuple[int, bytes | None]:
        cas, value = Cas.new_with_read(buckets[bucket], key)
        passing(value)
        return swaps.add(cas), value

    with_value = tells_value(types)

    def refused(error: KvError) -> Refused:
        if isinstance(error, CasFailed) and with_value and len(error.value or b"") > VALUE_BYTES_MAX:
            error = Other(f"the swap was lost, and the value is longer than {VALUE_BYTES_MAX} bytes now")
        if not isinstance(error, CasFailed):
            return Refused(("store-error", refuse(error)))
        fresh = swaps.add(error.cas)
        return Refused(("cas-failed", (fresh, error.value) if with_value else fresh))

    def swap_(number: int, value: bytes) -> None:
        cas = swaps.take(number)
        try:
            swap(cas, passing(value))
        except KvError as error:
            raise refused(error) from error
        host.changed(cas.bucket, {cas.key: value})

    return {
        "increment": increment_,
        "[static]cas.new": lambda bucket, key: swaps.add(Cas.new(buckets[bucket], key)),
        "[static]cas.new-with-read": new_with_read,
        "[method]cas.current": lambda number: passing(swaps[number].current()),
        "swap": swap_,
    }


def increment_unsigned(bucket: Bucket, key: str, delta: int) -> int:
    """Increment as 0.2.0-draft has it, where integers are u64. Raises IntegerOverflow for what is no u64, or no s64."""
    raw = bucket.raw(key)

    def work(update: Update) -> int:
        after = increment_in(update, bucket.name, raw, delta)
        if after < 0:
            raise IntegerOverflow(
                f"{after} is negative, and this interface has no such numbers; the value was left alone"
            )
        return after

    return bucket.store.write(work)
