"""Changes: values that are not written yet, by bucket and key, in the order of keys."""

from __future__ import annotations

from bisect import bisect_left

from kvcli.engine.transaction import PRIVATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.engine.transaction import Span
    from kvcli.engine.update import Update


class Changes:
    """Values by bucket and key; None where a key is to go."""

    __slots__ = ("_order", "values")

    def __init__(self) -> None:
        """Change nothing."""
        self.values: dict[bytes, dict[bytes, bytes | None]] = {}
        self._order: dict[bytes, list[bytes]] = {}

    def put(self, bucket: bytes, key: bytes, value: bytes | None) -> None:
        """Change one key."""
        self.values.setdefault(bucket, {})[key] = value
        self._order.pop(bucket, None)

    def within(self, bucket: bytes, span: Span) -> list[bytes]:
        """Give the keys of a span that are changed."""
        if bucket not in self._order:
            self._order[bucket] = sorted(self.values.get(bucket, ()))
        keys = self._order[bucket]
        high = len(keys) if span.high is None else bisect_left(keys, span.high)
        return keys[bisect_left(keys, span.low) : high]

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


def _passed(_: bytes) -> None:
    """Check nothing: these keys were checked when they were written to the draft."""
