"""The engine of a store that is not there yet: it reads as empty, with its bucket `default`."""

from __future__ import annotations

from kvcli.engine import DEFAULT_BUCKET, Engine
from kvcli.engine.transaction import NO_IDENTITY, Snapshot, Span, no_such_bucket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from kvcli.engine.update import Update

    Answer = TypeVar("Answer")


class Void(Engine):
    """Stands for the unnamed default store while nobody has written to it."""

    def __init__(self, path: str) -> None:
        """Remember where the store would be."""
        self._path = path

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """See Engine.read."""
        return work(Emptiness())

    def write(
        self, work: Callable[[Update], Answer], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> Answer:
        """Let `work` find nothing to delete. Whoever wants to put something makes the store first."""
        del lock_timeout, meanwhile  # There is no lock, and nothing takes time.
        return work(Emptiness())  # type: ignore[arg-type]

    def stat(self) -> dict[str, str | int]:
        """See Engine.stat."""
        return {"path": self._path, "bytes": 0, "revision": 0}

    def close(self) -> None:
        """See Engine.close."""


class Emptiness(Snapshot):
    """A snapshot of nothing."""

    revision = 0

    def __init__(self) -> None:
        """Need no transaction."""

    def identity(self) -> bytes:
        """See Snapshot.identity."""
        return NO_IDENTITY

    def noted(self, name: bytes) -> bytes | None:
        """See Snapshot.noted."""
        return None

    def check(self, bucket: bytes) -> None:
        """See Snapshot.check."""
        if bucket != DEFAULT_BUCKET:
            raise no_such_bucket(bucket, [DEFAULT_BUCKET])

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """See Snapshot.get."""
        self.check(bucket)
        return None

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:
        """See Snapshot.get_many."""
        return [self.get(bucket, key) for key in keys]

    def has(self, bucket: bytes, key: bytes) -> bool:
        """See Snapshot.has."""
        self.check(bucket)
        return False

    def keys(self, bucket: bytes, span: Span, count: int) -> list[bytes]:
        """See Snapshot.keys."""
        self.check(bucket)
        return []

    def items(self, bucket: bytes, span: Span, count: int) -> list[tuple[bytes, bytes]]:
        """See Snapshot.items."""
        self.check(bucket)
        return []

    def count(self, bucket: bytes) -> int:
        """See Snapshot.count."""
        self.check(bucket)
        return 0

    def buckets(self) -> list[bytes]:
        """See Snapshot.buckets."""
        return [DEFAULT_BUCKET]

    def delete(self, bucket: bytes, key: bytes) -> bool:
        """See Update.delete."""
        return self.has(bucket, key)

    def delete_many(self, bucket: bytes, keys: list[bytes]) -> int:
        """See Update.delete_many."""
        self.check(bucket)
        return 0

    def unchanged(self, bucket: bytes, key: bytes, identity: bytes, revision: int) -> bool:
        """Lose: whoever saw another store saw no key of this one."""
        return False

    def create(self, bucket: bytes) -> bool:
        """Make none: a command that makes no store makes no bucket either."""
        return False

    def drop(self, bucket: bytes) -> None:
        """See Update.drop."""
        self.check(bucket)

    def mark(self, bucket: bytes) -> None:
        """See Snapshot.mark: nobody writes here."""
        self.check(bucket)

    def bucket_stat(self, bucket: bytes) -> dict[str, int]:
        """See Snapshot.bucket_stat."""
        return {"keys": self.count(bucket), "bytes": 0, "depth": 0}
