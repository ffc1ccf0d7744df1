"""kvcli restore: what is in a backup becomes what is in the store, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.commands import Record
from kvcli.commands.stat import keys_of
from kvcli.engine import DEFAULT_BUCKET, KEY_BYTES_MAX, connect
from kvcli.engine.files import find, verify
from kvcli.engine.opening import file_id
from kvcli.engine.transaction import MAIN, Span
from kvcli.errors import Declined, InvalidArgument, MalformedData, NoSuchFile
from kvcli.store import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.engine.files import Files
    from kvcli.engine.transaction import Snapshot
    from kvcli.engine.update import Update
    from kvcli.store import Store

PAGE_KEYS = 10_000


def run(context: Context, file: str, *, yes: bool = False) -> Record:
    """Make the store hold exactly what the backup `file` holds; it is made where there is none.

    Not by putting the file into place: others may have the store open. They see what was before, or all of this.
    Raises NoSuchFile, DamagedStore, Declined.
    """
    context.refuse_server()
    files = find(file)
    if files is None:
        raise NoSuchFile(f"no backup at {file}")
    verify(files.data)
    source = connect(file, writable=False)
    if source is None:
        raise NoSuchFile(f"no backup at {file}")
    try:
        _refuse_itself(context, files)
        source.read(lambda snapshot: _check(snapshot, source.key_bytes_max))
        _ask(context, yes=yes)
        store = context.store_to_write()
        counts = source.read(lambda snapshot: store.write(lambda update: _replace(store, snapshot, update)))
    finally:
        source.close()
    return Record({"buckets": len(counts), "keys": sum(counts)})


def _check(source: Snapshot, key_bytes_max: int) -> None:
    """Refuse what could not be kept, before anything is made. Raises UnsupportedBucket, MalformedData."""
    for name in source.buckets():
        source.check(name)
        if key_bytes_max > KEY_BYTES_MAX and any(len(key) > KEY_BYTES_MAX for key in _keys(source, name)):
            raise MalformedData(f"a key of the backup is longer than {KEY_BYTES_MAX} bytes, which a store cannot keep")


def _keys(source: Snapshot, bucket: bytes) -> Iterator[bytes]:
    span = Span()
    while page := source.keys(bucket, span, PAGE_KEYS):
        yield from page
        span = span.after(page[-1])


def _refuse_itself(context: Context, files: Files) -> None:
    target = find(context.location.path)
    if target is not None and file_id(target) == file_id(files):
        raise InvalidArgument(f"{files.data} is the store itself: name a backup of it")


def _ask(context: Context, *, yes: bool) -> None:
    place = context.location.path
    if yes or find(place) is None:
        return
    count = context.store_to_read().read(keys_of)
    if count and not context.confirm(f"Replace all that is in {place}, {count:,} keys, by the backup?"):
        raise Declined("nothing was restored")


def _replace(store: Store, source: Snapshot, target: Update) -> list[int]:
    """Put everything of the source in the place of all that there is; give the keys of each bucket."""
    for name in target.buckets():
        _clear(target, name)
    target.create(DEFAULT_BUCKET)
    return [_fill(Bucket(store, name), source, target) for name in source.buckets()]


def _clear(target: Update, name: bytes) -> None:
    if name != MAIN:
        target.drop(name)
        return
    while keys := target.keys(MAIN, Span(), PAGE_KEYS):
        for key in keys:
            target.delete(MAIN, key)


def _fill(bucket: Bucket, source: Snapshot, target: Update) -> int:
    count, span = 0, Span()
    if bucket.name != MAIN:
        target.create(bucket.name)
    while page := source.items(bucket.name, span, PAGE_KEYS):
        target.put_many(bucket.name, page, bucket.check)
        count += len(page)
        span = span.after(page[-1][0])
    return count
