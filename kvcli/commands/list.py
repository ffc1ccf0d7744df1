"""kvcli list: keys in byte order, streamed."""

from __future__ import annotations

from kvcli import cursor as cursors
from kvcli.commands import Listing
from kvcli.engine.transaction import Span
from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.store import Bucket

PAGE_KEYS = 10_000


def run(
    context: Context,
    *,
    prefix: str | None = None,
    start: str | None = None,
    end: str | None = None,
    reverse: bool = False,
    limit: int | None = None,
    cursor: str | None = None,
    values: bool = False,
    null: bool = False,
) -> Listing:
    """List the keys of a bucket (store.wit, `list-keys`), from `start` up to, not including, `end`."""
    if limit is not None and limit < 1:
        raise InvalidArgument("--limit is at least 1")
    span = span_of(prefix, start, end, reverse=reverse)
    if cursor is not None:
        span = span.after(cursors.unpack(cursor))
    bucket = context.bucket_to_read()
    listing = Listing(iter(()), values=values, null=null)
    listing.limited = limit is not None
    pages = _pages(bucket, span, min(PAGE_KEYS, limit + 1 if limit else PAGE_KEYS), values)
    listing.pages = pages if limit is None else _limited(listing, pages, limit)
    return listing


def span_of(prefix: str | None, start: str | None = None, end: str | None = None, *, reverse: bool = False) -> Span:
    """Give the keys that start with `prefix`, within `start` and `end`."""
    span = Span.starting(_raw(prefix))
    span.reverse = reverse
    if start is not None:
        span.low = max(span.low, _raw(start))
    if end is not None:
        span.high = _raw(end) if span.high is None else min(span.high, _raw(end))
    return span


def _raw(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


def _pages(bucket: Bucket, span: Span, count: int, values: bool) -> Iterator[list[tuple[bytes, bytes | None]]]:
    if values:
        for page in bucket.item_pages(span, count):
            yield list(page)
    else:
        for keys in bucket.pages(span, count):
            yield [(key, None) for key in keys]


def _limited(
    listing: Listing, pages: Iterator[list[tuple[bytes, bytes | None]]], limit: int
) -> Iterator[list[tuple[bytes, bytes | None]]]:
    left, last = limit, b""
    for page in pages:
        if not left:  # There is more, and that is all there is to know.
            listing.cursor = cursors.pack(last)
            return
        yield page[:left]
        last = page[:left][-1][0]
        if len(page) > left:
            listing.cursor = cursors.pack(last)
            return
        left -= len(page)
