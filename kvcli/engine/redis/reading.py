"""Reading: what a snapshot can do, asked of a server. Each question is one of its own: what others write shows in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvcli.engine import DEFAULT_BUCKET
from kvcli.engine.redis.flight import fly
from kvcli.engine.redis.names import REGISTRY, note_of
from kvcli.engine.redis.scan import count_names, discovered, has_names, scan_page
from kvcli.engine.transaction import Snapshot, no_such_bucket
from kvcli.errors import KvError
from kvcli.token import sight

if TYPE_CHECKING:
    from kvcli.engine.redis.link import Word
    from kvcli.engine.redis.remote import Remote
    from kvcli.engine.transaction import Span

# The identity of every store on a server, in tokens: the rest of a token is a digest of key and value, and that is all.
IDENTITY = b"redis".ljust(16, b"\0")


class Reading(Snapshot):
    """Answers of a server, as they are at the time of asking."""

    revision = 0
    ordered = False
    remembers = False

    def __init__(self, remote: Remote, seconds: float) -> None:
        """Ask for at most so many seconds."""
        self._remote = remote
        self._servers = remote.servers
        self._names = remote.names
        self._seconds = seconds
        self._checked = {DEFAULT_BUCKET}

    def identity(self) -> bytes:
        """See Snapshot.identity."""
        return IDENTITY

    def noted(self, name: bytes) -> bytes | None:
        """See Snapshot.noted."""
        note = note_of(name)
        value: bytes | None = self._ask(note, "GET", note)
        return value

    def check(self, bucket: bytes) -> None:
        """See Snapshot.check. A bucket is there that was declared, or that another program has put keys into."""
        if bucket in self._checked or self._names.is_flat:
            return
        self._names.checked(bucket)
        if not self._ask(REGISTRY, "SISMEMBER", REGISTRY, bucket) and not self._remote.finds(self, bucket):
            raise no_such_bucket(bucket, self.buckets())
        self._checked.add(bucket)

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """See Snapshot.get."""
        name = self._name(bucket, key)
        value: bytes | None = self._ask(name, "GET", name)
        return value

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:
        """See Snapshot.get_many."""
        self.check(bucket)
        values: list[bytes | None] = []
        count = 16 if room is not None else 1000  # How large values are is not known before.
        while len(values) < len(keys):
            page = keys[len(values) : len(values) + count]
            (found,) = fly(self._servers, self._names, [("get_many", bucket, page)], self._seconds)
            for value in found:
                if isinstance(value, KvError):
                    raise value
                values.append(value)
                if room is not None and (room := room - len(value or b"")) < 0:
                    return values
            count = min(count * 4, 1000)
        return values

    def sight(self, bucket: bytes, key: bytes) -> int:
        """See Snapshot.sight: a digest of the value."""
        return sight(self.get(bucket, key))

    def has(self, bucket: bytes, key: bytes) -> bool:
        """See Snapshot.has."""
        name = self._name(bucket, key)
        return bool(self._ask(name, "EXISTS", name))

    def keys(self, bucket: bytes, span: Span, count: int) -> list[bytes]:
        """Give at most `count` keys, the first that the server comes upon."""
        found: list[bytes] = []
        place: bytes | None = None
        while len(found) < count:
            page, place = self.page(bucket, span, place, count - len(found))
            found += page
            if place is None:
                break
        return found

    def page(self, bucket: bytes, span: Span, place: bytes | None, count: int) -> tuple[list[bytes], bytes | None]:
        """See Snapshot.page."""
        self.check(bucket)
        if span.high == span.low + b"\0":  # One key, as `watch KEY` looks at again and again.
            return [key for key in [span.low] if self.has(bucket, key)], None
        return scan_page(self._servers, self._names.head(bucket), span, place, count, self._seconds)

    def count(self, bucket: bytes) -> int:
        """See Snapshot.count; all names are gone through."""
        self.check(bucket)
        return count_names(self._servers, self._names.head(bucket), self._seconds)

    def total(self) -> int:
        """Give the number of all keys of the database, whatever program they are of."""
        own = self._ask(REGISTRY, "EXISTS", REGISTRY)
        return sum(
            self._servers.attempt(lambda trip, node=node: trip.at(node).call("DBSIZE"), self._seconds)  # type: ignore[misc]
            for node in self._servers.masters(self._seconds)
        ) - int(own)

    def buckets(self) -> list[bytes]:
        """Give the buckets that were declared, and those of other programs that a bounded look comes upon."""
        if self._names.is_flat:
            return [DEFAULT_BUCKET]
        return sorted({*self._declared(), *discovered(self._servers, self._seconds)})

    def mark(self, bucket: bytes) -> None:
        """See Snapshot.mark: a server has no such sign."""
        self.check(bucket)

    def bucket_stat(self, bucket: bytes) -> dict[str, int]:
        """See Snapshot.bucket_stat; what it takes in memory no server tells for less than asking of every key."""
        return {"keys": self.count(bucket)}

    def is_found(self, bucket: bytes) -> bool:
        """Tell whether there are keys in a bucket that nobody declared."""
        return has_names(self._servers, self._names.head(bucket), self._seconds)

    def _declared(self) -> list[bytes]:
        return sorted({DEFAULT_BUCKET, *self._ask(REGISTRY, "SMEMBERS", REGISTRY)})

    def _name(self, bucket: bytes, key: bytes) -> bytes:
        self.check(bucket)
        return self._names.name(bucket, key)

    def _ask(self, name: bytes, *words: Word, writes: bool = False) -> Any:
        # On a link of its own, also in a transaction: in a cluster it may be for another server.
        return self._servers.attempt(lambda trip: trip.to(name).call(*words, writes=writes), self._seconds)
