"""wasi:keyvalue/store for guests: open and the methods of bucket, over buckets that were granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kvcli.errors import AccessDenied, KvError, NoSuchStore, Other
from kvcli.store import as_text
from kvcli.wasm.shapes import counts_cursors

if TYPE_CHECKING:
    from kvcli.store import Bucket
    from kvcli.wasm.border.link import Function
    from kvcli.wasm.host import Host
    from kvcli.wasm.shapes import Types

# wasmtime lets a guest pass 2,796,202 bytes to the host in one call, and ends it at one more; from the host to a guest it
# takes 80 bytes of memory for each. What a guest can set it should be able to get, so both ways have the same limit.
VALUE_BYTES_MAX = 2 << 20

NOTHING = (0, b"")

Value = TypeVar("Value", bound=bytes | None)


class Refused(KvError):
    """An error that is a WIT value already: that of a function whose error is not store.wit's."""

    def __init__(self, value: object) -> None:
        """Carry the value."""
        super().__init__("refused")
        self.value = value


def functions(host: Host, types: Types) -> dict[str, Function]:
    """Give the functions of the interface, by their names in the component model."""
    buckets = host.buckets

    def get(bucket: int, key: str) -> bytes | None:
        return passing(buckets[bucket].get(key))

    def set_(bucket: int, key: str, value: bytes) -> None:
        buckets[bucket].set(key, passing(value))
        host.changed(buckets[bucket], {key: value})

    def delete(bucket: int, key: str) -> None:
        buckets[bucket].delete(key)
        host.changed(buckets[bucket], {key: None})

    def list_keys(bucket: int, cursor: str | None) -> tuple[list[str], str | None]:
        page = buckets[bucket].list_keys(cursor)
        return utf8(page.keys), page.cursor

    counted: dict[
        int, tuple[int, bytes]
    ] = {}  # Of the handle that was listed last: how many keys, and the last of them.

    def list_keys_from(bucket: int, offset: int | None) -> tuple[list[str], int | None]:
        keys, end = numbered_page(buckets[bucket], offset or 0, *counted.get(bucket, NOTHING))
        counted.clear()
        counted[bucket] = end
        return utf8([as_text(key) for key in keys]), end[0] or None

    return {
        "open": lambda identifier: buckets.add(host.grants.open(identifier)),
        "[method]bucket.get": get,
        "[method]bucket.set": set_,
        "[method]bucket.delete": delete,
        "[method]bucket.exists": lambda bucket, key: buckets[bucket].exists(key),
        "[method]bucket.list-keys": list_keys_from if counts_cursors(types) else list_keys,
    }


def refuse(error: KvError) -> object:
    """Give the case of store.wit's `error` for an error of kvcli's."""
    if isinstance(error, Refused):
        return error.value
    if isinstance(error, NoSuchStore):
        return "no-such-store", None
    return ("access-denied", None) if isinstance(error, AccessDenied) else ("other", str(error))


def passing(value: Value) -> Value:
    """Give back a value that may pass between host and guest. Raises Other for one above VALUE_BYTES_MAX."""
    if value is not None and len(value) > VALUE_BYTES_MAX:
        raise Other(f"the value has {len(value)} bytes; a guest gets and sets at most {VALUE_BYTES_MAX}")
    return value


def utf8(keys: list[str]) -> list[str]:
    """Leave out keys that are no UTF-8, as other programs may have written: a guest has no name for them."""
    return [key for key in keys if key.isascii() or not any("\udc80" <= each <= "\udcff" for each in key)]


def numbered_page(
    bucket: Bucket, offset: int, count: int = 0, last: bytes = b""
) -> tuple[list[bytes], tuple[int, bytes]]:
    """Give a page of keys from the one with this number on; then the number that comes next, 0 after the last, and its last key.

    A cursor that is a number can only count: a key that is set or deleted before it moves all others by one. That is what
    hosts of 0.2.0-draft do. Only who goes on behind `count` keys, of which `last` is the last, need not begin anew.
    """
    from kvcli.engine.transaction import Span

    goes_on = offset and offset == count and bucket.store.engine.ordered
    pages, behind = bucket.pages(Span().after(last) if goes_on else Span()), count if goes_on else 0
    for page in pages:
        if behind + len(page) > offset:
            end = behind + len(page)
            return page[offset - behind :], NOTHING if next(pages, None) is None else (end, page[-1])
        behind += len(page)
    return [], NOTHING
