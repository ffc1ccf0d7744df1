"""Pages: how a listing goes on from one page to the next, whether the engine's keys have an order or not."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from kvcli.engine.transaction import Span

    Listed = TypeVar("Listed")


SCATTERED_ITEMS_MAX = 256  # How large values are is not known before, and all of a page are in memory.


class Pages:
    """What every snapshot can do on top of keys, items and get_many; and what it declares."""

    __slots__ = ()
    ordered = True  # See Engine.
    remembers = True  # The same.

    def page(self, bucket: bytes, span: Span, place: bytes | None, count: int) -> tuple[list[bytes], bytes | None]:
        """Give at most `count` keys of the span from a place on, and the place of the next page, None at the end.

        The first page has the place None. Where keys have no order, a page may be empty and not the last.
        """
        span = span if place is None else span.after(place)
        keys = self.keys(bucket, span, count + 1)
        if 0 < len(keys) <= count:
            self.keys(
                bucket, span.after(keys[-1]), count
            )  # Of a damaged tree that leads back there is more, which is told.
        return keys[:count], keys[count - 1] if len(keys) > count else None

    def item_page(
        self, bucket: bytes, span: Span, place: bytes | None, count: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Give pairs as page gives keys; where keys have an order, at most a megabyte of them, and one pair."""
        if not self.ordered:
            keys, place = self.page(bucket, span, place, min(count, SCATTERED_ITEMS_MAX))
            values = self.look(bucket, keys, None)  # What is gone meanwhile is left out.
            return [(key, value) for key, value in zip(keys, values, strict=True) if value is not None], place
        span = span if place is None else span.after(place)
        items = self.items(bucket, span, count + 1)
        if len(items) > count:
            return items[:count], items[count - 1][0]
        more = items and self.keys(bucket, span.after(items[-1][0]), 1)
        return items, items[-1][0] if more else None

    def look(self, bucket: bytes, keys: list[bytes], room: int | None) -> list[bytes | None]:
        """Give values as get_many does, for one who only looks."""
        return self.get_many(bucket, keys, room)

    def total(self) -> int | None:
        """Give the number of all keys, where the engine knows it and not those of its buckets."""
        return None

    def keys(self, bucket: bytes, span: Span, count: int) -> list[bytes]:
        """See Snapshot.keys."""
        raise NotImplementedError

    def items(self, bucket: bytes, span: Span, count: int) -> list[tuple[bytes, bytes]]:
        """See Snapshot.items."""
        raise NotImplementedError

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:
        """See Snapshot.get_many."""
        raise NotImplementedError


def all_pages(ask: Callable[[bytes | None], tuple[list[Listed], bytes | None]]) -> Iterator[list[Listed]]:
    """Give page after page, none empty; `ask` gives one, by the place where it starts."""
    place: bytes | None = None
    while True:
        page, place = ask(place)
        if page:
            yield page
        if place is None:
            return
