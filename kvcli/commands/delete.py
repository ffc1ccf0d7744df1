"""kvcli delete: remove keys, or all keys with a prefix."""

from __future__ import annotations

from kvcli.batch import KEYS_PER_DELETE, delete_many, delete_span
from kvcli.commands import Listing, Record
from kvcli.commands.list import span_of
from kvcli.errors import Declined, InvalidArgument, NoSuchKey
from kvcli.store import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.engine.update import Update

SAMPLE_KEYS = 3


def run(
    context: Context,
    keys: list[str] | None = None,
    *,
    prefix: str | None = None,
    must_exist: bool = False,
    yes: bool = False,
    dry_run: bool = False,
) -> Record | Listing:
    """Delete `keys`, all in one transaction (batch.wit, `delete-many`), or every key that starts with `prefix`."""
    if bool(keys) == (prefix is not None):
        raise InvalidArgument("name the keys to delete, or give --prefix; not both")
    if prefix is not None and must_exist:
        raise InvalidArgument("--must-exist is for keys that are named")
    if prefix is not None:
        return _delete_prefix(context, prefix, yes=yes, dry_run=dry_run)
    if dry_run:
        return _there(context, keys or [], must_exist)
    return _delete_keys(context, keys or [], must_exist)


def _delete_keys(context: Context, keys: list[str], must_exist: bool) -> Record:
    bucket = context.bucket_to_write(make=False)
    if not must_exist:
        return _count(delete_many(bucket, keys))
    raws = [bucket.raw(key) for key in keys]

    def work(update: Update) -> int:
        absent = [raw for raw in raws if not update.has(bucket.name, raw)]
        if absent:
            raise _missing(absent[0])
        return update.delete_many(bucket.name, raws)

    return _count(bucket.store.write(work))


def _missing(raw: bytes) -> NoSuchKey:
    return NoSuchKey(f"no key {as_text(raw)!r}: nothing was deleted")


def _there(context: Context, keys: list[str], must_exist: bool) -> Listing:
    bucket = context.bucket_to_read()
    raws = [bucket.raw(key) for key in keys]
    there = bucket.store.read(lambda snapshot: [raw for raw in raws if snapshot.has(bucket.name, raw)])
    if must_exist and len(there) < len(raws):
        raise _missing(next(raw for raw in raws if raw not in there))
    return Listing(iter([[(raw, None) for raw in there]]), values=False, null=False)


def _delete_prefix(context: Context, prefix: str, *, yes: bool, dry_run: bool) -> Record | Listing:
    span = span_of(prefix)
    bucket = context.bucket_to_read()
    if dry_run:
        return Listing(([(key, None) for key in page] for page in bucket.pages(span)), values=False, null=False)
    if not yes:
        if not (count := sum(len(page) for page in bucket.pages(span, KEYS_PER_DELETE))):
            return _count(0)
        sample = ", ".join(repr(as_text(key)) for key in next(bucket.pages(span, SAMPLE_KEYS)))
        more = ", ..." if count > SAMPLE_KEYS else ""
        if not context.confirm(f"Delete {count:,} from bucket {context.bucket_name!r} ({sample}{more})?"):
            raise Declined("nothing was deleted")
    return _count(delete_span(context.bucket_to_write(make=False), span))


def _count(deleted: int) -> Record:
    return Record({"deleted": deleted})
