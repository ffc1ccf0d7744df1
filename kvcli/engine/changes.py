"""Changes: values that are not written yet, by bucket and key, in the order of keys."""

from __future__ import annotations

from bisect import bisect_left

from kvcli.engine.transaction import PRIVATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.engine.transaction import Snapshot, Span
    from kvcli.engine.update import Update


class Changes:
    """Values by bucket and key; None where a key is to go."""

    __slots__ = ("_fresh", "_order", "values")

    def __init__(self) -> None:
        """Change nothing."""
        self.values: dict[bytes, dict[bytes, bytes | None]] = {}
        self._order: dict[bytes, list[bytes]] = {}
        self._fresh: dict[bytes, list[bytes]] = {}  # Keys that came since they were put in order.

    def put(self, bucket: bytes, key: bytes, value: bytes | None) -> None:
        """Change one key."""
        changed = self.values.setdefault(bucket, {})
        if key not in changed:
            self._fresh.setdefault(bucket, []).append(key)
        changed[key] = value

    def take(self, others: Changes) -> None:
        """Change what others change."""
        for bucket, changed in others.values.items():
            for key, value in changed.items():
                self.put(bucket, key, value)

    def within(self, bucket: bytes, span: Span) -> Iterator[bytes]:
        """Give the keys of a span that are changed, in its order."""
        keys = self._order.setdefault(bucket, [])
        if fresh := self._fresh.pop(bucket, None):
            keys += fresh
            keys.sort()  # Which takes what is in order already as it is.
        low = bisect_left(keys, span.low)
        high = len(keys) if span.high is None else bisect_left(keys, span.high)
        places = range(low, high)
        return (keys[place] for place in (reversed(places) if span.reverse else places))

    def are_in(self, snapshot: Snapshot) -> bool:
        """Tell whether a store holds all of them."""
        return all(
            snapshot.get_many(bucket, list(changed)) == list(changed.values())
            for bucket, changed in self.values.items()
            if bucket != PRIVATE
        )

    def write(self, update: Update) -> None:
        """Write them all."""
        for bucket, changed in self.values.items():
            if bucket == PRIVATE:
                for name, value in changed.items():
                    update.note(name, value)
                continue
            update.put_many(bucket, [(key, value) for key, value in changed.items() if value is not None], _passed)
            for key in [key for key, value in changed.items() if value is None]:
                update.delete(bucket, key)


def page_over(
    below: Snapshot, bucket: bytes, span: Span, place: bytes | None, count: int, changes: Changes
) -> tuple[list[bytes], bytes | None]:
    """Give a page of keys that come in no order, as changes make them: first those that are there, then those that are new.

    A place starts with - while those below are given, with + and the last key behind them.
    """
    changed, after = changes.values.get(bucket, {}), b""
    keys: list[bytes] = []
    if place is None or place.startswith(b"-"):
        keys, place = below.page(bucket, span, place and place[1:], count)
        keys = [key for key in keys if changed.get(key, b"") is not None]
        if place is not None:
            return keys, b"-" + place
    else:
        after = place[1:]
    made = [key for key in changes.within(bucket, span) if key > after and changed[key] is not None]
    new = [key for key, value in zip(made, below.look(bucket, made, None), strict=True) if value is None]
    fit = new[: count - len(keys)]
    return [*keys, *fit], b"+" + (fit[-1] if fit else after) if len(fit) < len(new) else None


def _passed(_: bytes) -> None:
    """Check nothing: these keys were checked when they were written to the draft."""
