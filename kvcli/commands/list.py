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
    place = None if cursor is None else cursors.unpack(cursor)
    bucket = context.bucket_to_read()
    if reverse and not bucket.store.engine.ordered:
        raise InvalidArgument("a server keeps its keys in no order, so there is no --reverse: sort what list prints")
    listing = Listing(iter(()), values=values, null=null)
    listing.limited = limit is not None
    listing.pages = _pages(listing, bucket, span, place, limit)
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


def _pages(
    listing: Listing, bucket: Bucket, span: Span, place: bytes | None, limit: int | None
) -> Iterator[list[tuple[bytes, bytes | None]]]:
    left = limit
    while True:
        count = PAGE_KEYS if left is None else min(PAGE_KEYS, left)
        page, place = _page(bucket, span, place, count, values=listing.values)
        if page:
            yield page
        if place is None:
            return
        if left is not None:
            left -= len(page)
            if not left:
                listing.cursor = cursors.pack(place)
                return


def _page(
    bucket: Bucket, span: Span, place: bytes | None, count: int, *, values: bool
) -> tuple[list[tuple[bytes, bytes | None]], bytes | None]:
    if values:
        items, place = bucket.item_page(span, place, count)
        return [*items], place
    keys, place = bucket.page(span, place, count)
    return [(key, None) for key in keys], place
