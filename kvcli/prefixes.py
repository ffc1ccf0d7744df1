"""Prefixes: what a key may go on with, as somebody types it: keys, and where they are many, groups of them at : and /."""

from __future__ import annotations

from kvcli.engine.transaction import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.engine.transaction import Snapshot
    from kvcli.store import Bucket

SEPARATORS = b":/"
UNGROUPED_MAX = 40  # So few keys are shown as they are.
CANDIDATES_MAX = 100
SEEN_MAX = 10_000


def candidates(bucket: Bucket, prefix: bytes) -> list[bytes]:
    """Give the keys that start with `prefix`, in order, at most a hundred; a group of them is its prefix alone.

    A group ends with its separator and holds two keys or more. Where there are more, the last one of all stands for them:
    what the hundred begin with alike, all do. It costs a few steps of a cursor for each candidate, however many keys
    there are.
    """
    return bucket.store.read(lambda snapshot: _candidates(snapshot, bucket.name, prefix))


def is_group(candidate: str, prefix: str) -> bool:
    """Tell whether a candidate may stand for a group, which goes on: it ends with a separator that was not typed."""
    return len(candidate) > len(prefix) and candidate[-1] in SEPARATORS.decode()


def _candidates(snapshot: Snapshot, bucket: bytes, prefix: bytes) -> list[bytes]:
    if not snapshot.ordered:
        return _scattered(snapshot, bucket, prefix)
    span = Span.starting(prefix)
    keys = snapshot.keys(bucket, span, UNGROUPED_MAX + 1)
    if len(keys) <= UNGROUPED_MAX:
        return keys
    found: list[bytes] = []
    while keys and len(found) < CANDIDATES_MAX:
        group = _group(keys[0], prefix)
        members = snapshot.keys(bucket, Span.starting(group), 2) if group is not None else []
        if group is None or len(members) < 2:
            found.append(keys[0])
            span = span.after(keys[0])
        else:
            found.append(group)
            span = Span(Span.starting(group).high or b"", span.high)
        keys = snapshot.keys(bucket, span, 1)
    return found[:-1] + snapshot.keys(bucket, Span(span.low, span.high, reverse=True), 1) if keys else found


def _scattered(snapshot: Snapshot, bucket: bytes, prefix: bytes) -> list[bytes]:
    """Give candidates where keys are in no order: of those that one look comes upon, which is bounded."""
    keys, _ = snapshot.page(bucket, Span.starting(prefix), None, SEEN_MAX)
    if len(keys) <= UNGROUPED_MAX:
        return sorted(keys)
    groups: dict[bytes, list[bytes]] = {}
    for key in keys:
        groups.setdefault(_group(key, prefix) or key, []).append(key)
    found = sorted(group if len(members) > 1 else members[0] for group, members in groups.items())
    return found if len(found) <= CANDIDATES_MAX else [*found[: CANDIDATES_MAX - 1], found[-1]]


def _group(key: bytes, prefix: bytes) -> bytes | None:
    """Give what the key has in common with its group: all up to the next separator after the prefix."""
    ends = [at for at in (key.find(bytes([each]), len(prefix)) for each in SEPARATORS) if at >= 0]
    return key[: min(ends) + 1] if ends else None
