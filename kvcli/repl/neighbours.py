"""Neighbours: the keys that somebody may have meant who named one that is not there."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from kvcli.engine.transaction import Span
from kvcli.store import as_text

if TYPE_CHECKING:
    from kvcli.store import Bucket

AROUND, NAMED = 50, 3
SEEN_MAX = 2000


def near(bucket: Bucket, key: str) -> list[str]:
    """Give the likest of the keys that stand around the place where `key` would be, and around its first half."""
    raw = bucket.raw(key)

    if not bucket.store.engine.ordered:  # Nothing stands beside anything: a handful of keys is as good as another.
        keys, _ = bucket.page(Span(), None, SEEN_MAX)
        return get_close_matches(key, [as_text(each) for each in keys], NAMED)

    def around(place: bytes) -> list[bytes]:
        return bucket.store.read(
            lambda snapshot: [
                *snapshot.keys(bucket.name, Span(place), AROUND),
                *snapshot.keys(bucket.name, Span(b"", place, True), AROUND),
            ]
        )

    known = dict.fromkeys(as_text(each) for place in (raw, raw[: len(raw) // 2], b"") for each in around(place))
    return get_close_matches(key, list(known), NAMED)
