"""Engines: bytes in, bytes out. The waist between what the interfaces mean and what keeps the bytes.

Pages stands here and not in a room of its own, as every get would have to load that: 0.2 ms of its 20.
"""

from __future__ import annotations

from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from kvcli.engine.entries import Clock
    from kvcli.engine.redis.guard import Guard
    from kvcli.engine.shelf import Shelf
    from kvcli.engine.transaction import Snapshot, Span
    from kvcli.engine.update import Update

    Answer = TypeVar("Answer")
    Listed = TypeVar("Listed")
    # What Engine.fly does: put_many (items are pairs), get_many, delete_many, has_many (keys), or add_many (keys with a
    # delta), in a bucket.
    Step = tuple[str, bytes, Sequence[Any]]

DEFAULT_BUCKET = b"default"
LOCK_TIMEOUT_SECONDS = 10.0
SPIN = "spin:"  # Before a file of Spin's, which copy alone opens.
KEY_BYTES_MAX = 511
SCATTERED_ITEMS_MAX = 256  # How large values are is not known before, and all of a page are in memory.
REMOTE = (
    "redis",
    "rediss",
    "redis+cluster",
    "rediss+cluster",
    "valkey",
    "valkeys",
    "valkey+cluster",
    "valkeys+cluster",
)


class Engine:
    """A store that is open. Everything is read in a snapshot and written in an update; neither outlives its call.

    What an engine cannot promise it declares; whoever needs that looks there, and tells the user.
    """

    read_only = True
    key_bytes_max = KEY_BYTES_MAX
    ordered = True  # Keys are listed in byte order, and a snapshot can be listed backwards.
    remembers = True  # That a key was written, though it has the same value again: tokens know it, and drafts.
    transactional = True  # Whatever keys there are can be written at once.
    patience = LOCK_TIMEOUT_SECONDS  # How long a read waits for a server that is away.
    flies = False  # Batches that are not atomic go by `fly`.
    has_buckets = True  # Else every name of a bucket is that of all keys.
    reserved: tuple[bytes, ...] = ()  # What keys may not start with.
    are_keys_text = False  # Whether only UTF-8 can be a key.

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """Run `work` on one consistent snapshot."""
        raise NotImplementedError

    def write(
        self, work: Callable[[Update], Answer], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> Answer:
        """Run `work` in one write transaction and make it durable; all of it happens or nothing.

        `work` may run more than once (the map may have to grow), so it must not consume its input.
        `meanwhile` may be run while what was written becomes durable.
        Raises Busy when the writer lock is not free within `lock_timeout` seconds.
        """
        raise NotImplementedError

    def reach(self, lock_timeout: float) -> None:
        """See that what is to fly can begin. Raises Unavailable, and what else keeps everything from being done."""
        raise NotImplementedError

    def fly(
        self, steps: Sequence[Step], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> list[list[Any]]:
        """Do steps in order, not as one transaction, and give for each an answer per item: a value, or its KvError.

        An answer of put_many is None, of delete_many and has_many whether the key was there, of add_many the sum.
        """
        raise NotImplementedError

    def add(self, bucket: bytes, key: bytes, delta: int, lock_timeout: float) -> int | None:  # noqa: ARG002
        """Increment, where the engine does that by itself; None where it is to be read and written."""
        return None

    def guard(self, bucket: bytes, key: bytes) -> Guard | None:  # noqa: ARG002
        """Watch a key for a Cas handle, where the engine does not remember writes; else None."""
        return None

    def feeds(self, other: Engine) -> bool:  # noqa: ARG002
        """Tell whether what is written here is found in another one, under other names."""
        return False

    def stat(self) -> dict[str, str | int]:
        """Give figures about the whole store, by name."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what open took. Safe to call twice."""
        raise NotImplementedError


class Pages:
    """How a listing goes on from one page to the next, whether the keys have an order or not: what every snapshot can do."""

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


def connect(identifier: str, *, writable: bool, adopt: bool = False, durability: str = "full") -> Engine | None:
    """Open the store called `identifier`; None where there is none and nothing was created.

    Raises AccessDenied, DamagedStore, Full, or InvalidArgument for a scheme that no engine speaks.
    """
    if is_remote(identifier):
        from kvcli.engine.redis import open_remote

        return open_remote(identifier, writable=writable)
    from kvcli.engine.connection import open_connection

    return open_connection(_path(identifier), writable=writable, adopt=adopt, durability=durability)


def exists(identifier: str) -> bool:
    """Tell whether there is a store called `identifier`, without opening it.

    Raises AccessDenied where it is not safe to; NoSuchStore for a single file of another kind, DamagedStore.
    """
    if is_remote(identifier):
        return True  # There always is one, if there is a server; the first question tells.
    from kvcli.engine.files import find, read_header

    files = find(_path(identifier))
    if files is not None and files.single:
        read_header(files)
    return files is not None


def create(identifier: str) -> None:
    """Make the store called `identifier`, with its bucket `default`; no harm where it exists already.

    Raises AccessDenied, Full, or NoSuchStore where the path is taken by something else.
    """
    from kvcli.engine.creation import create_environment

    create_environment(_path(identifier))


def open_shelf(
    identifier: str,
    *,
    read_only: bool,
    cap: Callable[[], int],
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    clock: Clock | None = None,
    tell: Callable[[str], object] | None = None,
) -> Shelf:
    """Give what the cache of a store is kept on; see Shelf. Raises InvalidArgument for a scheme that no engine speaks."""
    if is_remote(identifier):
        from kvcli.engine.redis import open_remote_shelf

        return open_remote_shelf(identifier, read_only=read_only, cap=cap, lock_timeout=lock_timeout, clock=clock)
    import os.path

    from kvcli.engine.shelf import Shelf

    path = _path(identifier)
    cache = path + "-cache" if os.path.isfile(path) else os.path.join(path, "cache")
    return Shelf(cache, read_only=read_only, cap=cap, lock_timeout=lock_timeout, clock=clock, tell=tell)


def is_remote(identifier: str) -> bool:
    """Tell whether a store is on a server; nothing is loaded for the look."""
    return identifier.partition("://")[0] in REMOTE and "://" in identifier


def _path(identifier: str) -> str:
    scheme, colon, _ = identifier.partition("://")
    if colon and "/" not in scheme:
        raise InvalidArgument(f"no engine speaks {scheme}:// in this version; name a folder, or redis://HOST:PORT")
    if identifier.startswith(SPIN):
        raise InvalidArgument(f"{SPIN}FILE is for copy, from it and into it (a folder of this name is ./{SPIN}...)")
    return identifier


def all_pages(ask: Callable[[bytes | None], tuple[list[Listed], bytes | None]]) -> Iterator[list[Listed]]:
    """Give page after page, none empty; `ask` gives one, by the place where it starts."""
    place: bytes | None = None
    while True:
        page, place = ask(place)
        if page:
            yield page
        if place is None:
            return
