"""Bookkeeping: whether what kvcli notes beside the values, the revisions of engine/revisions.py, can be true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.engine.transaction import PRIVATE, STATE, STATE_BYTES, Span
from kvcli.errors import NoSuchBucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.engine.transaction import Snapshot

PAGE_KEYS = 10_000
NAME_BYTES = (4, 6)  # Of a watermark, of a stripe.


def faults(snapshot: Snapshot) -> list[str]:
    """Say what is wrong; nothing, where kvcli never wrote."""
    try:
        snapshot.check(PRIVATE)
    except NoSuchBucket:
        return []
    state = snapshot.noted(STATE)
    if state is None or len(state) != STATE_BYTES:
        return ["the store has no identity"]
    last = int.from_bytes(state[16:24], "big")
    if last > snapshot.revision:
        return []  # A copy that counts anew; the next write forgets all stamps.
    wrong = [name for name, value in _stamps(snapshot) if len(value) != 8 or int.from_bytes(value, "big") > last]
    return [f"{len(wrong)} stamps are of no revision"] if wrong else []


def _stamps(snapshot: Snapshot) -> Iterator[tuple[bytes, bytes]]:
    span = Span()
    while page := snapshot.items(PRIVATE, span, PAGE_KEYS):
        yield from ((name, value) for name, value in page if len(name) in NAME_BYTES)
        span = span.after(page[-1][0])
