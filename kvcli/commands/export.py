"""kvcli export: the pairs of a bucket as text that other programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.commands import Stream
from kvcli.engine.transaction import Span
from kvcli.errors import InvalidArgument
from kvcli.formats import FORMATS, KEY, VALUE, dump, ndjson, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.formats import Pair
    from kvcli.store import Bucket


def run(
    context: Context,
    *,
    format: str = "ndjson",  # noqa: A002 - the option's name
    prefix: str | None = None,
    key: str = KEY,
    value: str = VALUE,
    base64: bool = False,
) -> Stream:
    """Write the pairs whose keys start with `prefix`. `key`, `value` and `base64` are about the columns of CSV.

    Each page is a snapshot of its own, so that a slow reader keeps no old pages alive; a backup is one as a whole.
    """
    if format not in FORMATS:
        raise InvalidArgument(f"--format is one of {', '.join(FORMATS)}")
    if format != "csv" and (key, value, base64) != (KEY, VALUE, False):
        raise InvalidArgument("--key, --value and --base64 are for --format csv")
    bucket = context.bucket_to_read()
    stream = Stream(iter(()), json=format == "ndjson")
    stream.total = bucket.store.read(lambda snapshot: snapshot.count(bucket.name)) if prefix is None else None
    pages = _counted(stream, bucket, Span.starting((prefix or "").encode("utf-8", "surrogateescape")))
    if format == "ndjson":
        stream.pages = ndjson.write(pages)
    elif format == "csv":
        stream.pages = table.write(pages, key, value, base64=base64)
    else:
        stream.pages = dump.write(pages, context.bucket_name, int(bucket.store.stat()["bytes"]))
    return stream


def _counted(stream: Stream, bucket: Bucket, span: Span) -> Iterator[list[Pair]]:
    for page in bucket.item_pages(span):
        stream.done += len(page)
        yield page
