"""wasi:keyvalue/store: open, Bucket, KeyResponse; and Store, the environment that holds the buckets."""

from __future__ import annotations

import os

from kvcli.engine import KEY_BYTES_MAX, LOCK_TIMEOUT_SECONDS, all_pages, connect
from kvcli.engine import create as create_store
from kvcli.errors import InvalidBucketName, InvalidKey, NoSuchStore
from kvcli.location import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self, TypeVar

    from kvcli.engine import Engine
    from kvcli.engine.transaction import Snapshot, Span
    from kvcli.engine.update import Update

    Answer = TypeVar("Answer")

PAGE_KEYS, DEFAULT = 1000, "default"
BUCKET_BYTES_MAX = 2048  # LMDB of any kind takes shorter names only; kvcli makes still shorter ones.


def open(  # noqa: A001 - the WIT's own word
    identifier: str = DEFAULT,
    *,
    store: str | os.PathLike[str] | None = None,
    create: bool = False,
    read_only: bool = False,
    adopt: bool = False,
    durability: str = "full",
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
) -> Bucket:
    """Get the bucket with the specified identifier (store.wit, `open`).

    `store` is the folder; without it, KVCLI_STORE, the config file or the default folder decide, as on the command line.
    `create` makes the bucket where it is missing; the store itself, and its bucket `default`, are made unless `read_only`.
    Raises NoSuchStore for an identifier that is not recognised, AccessDenied, DamagedStore, Full, Busy.
    """
    path = locate(None if store is None else os.fspath(store)).path
    owner = Store(path, read_only=read_only, adopt=adopt, durability=durability, lock_timeout=lock_timeout)
    try:
        if create:
            owner.create(identifier)
        bucket = owner.open(identifier)
    except BaseException:
        owner.close()
        raise
    bucket.owned = owner
    return bucket


class KeyResponse:
    """One page of list-keys: the keys, and the cursor of the next page, None after the last (store.wit)."""

    __slots__ = ("cursor", "keys")

    def __init__(self, keys: list[str], cursor: str | None) -> None:
        """Hold a page."""
        self.keys = keys
        self.cursor = cursor

    def __eq__(self, other: object) -> bool:
        """Compare by content, as a record does."""
        return isinstance(other, KeyResponse) and (self.keys, self.cursor) == (other.keys, other.cursor)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show the fields."""
        return f"KeyResponse(keys={self.keys!r}, cursor={self.cursor!r})"


class Store:
    """One LMDB environment: a folder with buckets in it. Usable from several threads; not across a fork."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        adopt: bool = False,
        durability: str = "full",
        lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    ) -> None:
        """Open the store in the folder `path`, and make it where there is none, unless `read_only` or not `create`.

        `adopt` allows writing to an environment that another program made (it gets one more sub-database, `__kvcli__`).
        `durability="fast"` may lose the last commits in a power cut and never corrupts.
        `lock_timeout` is how many seconds a write waits for other writers.
        Raises NoSuchStore, AccessDenied, DamagedStore, Full.
        """
        self.path, self.read_only = os.fspath(path), read_only
        self.lock_timeout = lock_timeout
        self.engine = open_engine(
            self.path, writable=not read_only, create=create and not read_only, adopt=adopt, durability=durability
        )
        self.engine.patience = lock_timeout

    @classmethod
    def over(cls, engine: Engine, path: str, lock_timeout: float = LOCK_TIMEOUT_SECONDS) -> Self:
        """Make a store of an engine that is open already."""
        store, engine.patience = cls.__new__(cls), lock_timeout
        vars(store).update(path=path, read_only=engine.read_only, lock_timeout=lock_timeout, engine=engine)
        return store

    def open(self, identifier: str) -> Bucket:
        """Get the bucket with the specified identifier. Raises NoSuchStore (its subclass NoSuchBucket)."""
        bucket = Bucket(self, bucket_name(identifier))
        self.read(lambda snapshot: snapshot.check(bucket.name))
        return bucket

    def buckets(self) -> list[str]:
        """Give the names of all buckets, in byte order."""
        return [as_text(name) for name in self.read(lambda snapshot: snapshot.buckets())]

    def create(self, identifier: str) -> bool:
        """Make a bucket; tell whether it is new. Raises InvalidBucketName."""
        name = new_bucket_name(identifier)
        return self.write(lambda update: update.create(name))

    def drop(self, identifier: str) -> None:
        """Remove a bucket and all its keys. Raises NoSuchBucket, or InvalidBucketName for `default`, which always is."""
        if identifier == DEFAULT:
            raise InvalidBucketName("the bucket 'default' always exists: delete its keys with delete --prefix")
        name = bucket_name(identifier)
        self.write(lambda update: update.drop(name))

    @property
    def key_bytes_max(self) -> int:
        """The longest key, in bytes: 511, unless another program made the environment in a format that takes more."""
        return self.engine.key_bytes_max

    def stat(self) -> dict[str, str | int]:
        """Give figures about the store, by name."""
        return self.engine.stat()

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """Run `work` on one consistent snapshot; see Engine.read."""
        return self.engine.read(work)

    def write(self, work: Callable[[Update], Answer], meanwhile: Callable[[], object] | None = None) -> Answer:
        """Run `work` in one durable write transaction; see Engine.write."""
        return self.engine.write(work, self.lock_timeout, meanwhile)

    def close(self) -> None:
        """Close. The last one of a process to close a folder closes its files."""
        self.engine.close()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def open_engine(path: str, *, writable: bool, create: bool, adopt: bool = False, durability: str = "full") -> Engine:
    """Open or make the store at `path`. Raises NoSuchStore where there is none and `create` is false."""
    engine = connect(path, writable=writable, adopt=adopt, durability=durability)
    if engine is None and create:
        create_store(path)
        engine = connect(path, writable=writable, adopt=adopt, durability=durability)
    if engine is None:
        raise NoSuchStore(f"no store at {path}: the first set makes one, or look at --store and KVCLI_STORE")
    return engine


class Bucket:
    """A collection of key-value pairs (store.wit, `bucket`). Keys are text, values are bytes.

    A key that is not UTF-8, as other programs may have written, is the text that os.fsdecode makes of it.
    """

    def __init__(self, store: Store, name: bytes) -> None:
        """Name a bucket of a store; Store.open also looks whether it is there."""
        self.store = store
        self.name = name
        self.owned: Store | None = None

    def get(self, key: str) -> bytes | None:
        """Get the value of `key`, None if it does not exist. Raises InvalidKey."""
        raw = self.raw(key)
        return self.store.read(lambda snapshot: snapshot.get(self.name, raw))

    def set(self, key: str, value: bytes) -> None:
        """Set the value of `key`, whether it exists or not. It is durable when this returns. Raises InvalidKey, Full, Busy."""
        raw = self.raw(key)
        self.store.write(lambda update: update.put(self.name, raw, value))

    def delete(self, key: str) -> None:
        """Delete `key`; one that does not exist is fine (store.wit, `delete`)."""
        raw = self.raw(key)
        self.store.write(lambda update: update.delete(self.name, raw))

    def exists(self, key: str) -> bool:
        """Tell whether `key` exists."""
        raw = self.raw(key)
        return self.store.read(lambda snapshot: snapshot.has(self.name, raw))

    def list_keys(self, cursor: str | None = None) -> KeyResponse:
        """Get one page of keys in byte order, after `cursor` (store.wit, `list-keys`).

        A cursor stays valid whatever is written meanwhile. Raises InvalidCursor for one that no page gave.
        """
        from kvcli import cursor as cursors
        from kvcli.engine.transaction import Span

        keys, place = self.page(Span(), None if cursor is None else cursors.unpack(cursor), PAGE_KEYS)
        return KeyResponse([as_text(key) for key in keys], None if place is None else cursors.pack(place))

    def pages(self, span: Span, count: int = PAGE_KEYS) -> Iterator[list[bytes]]:
        """Stream the keys of a span, page by page, none empty; each page is one short transaction of its own."""
        return all_pages(lambda place: self.page(span, place, count))

    def item_pages(self, span: Span, count: int = PAGE_KEYS) -> Iterator[list[tuple[bytes, bytes]]]:
        """Stream the pairs of a span, page by page, as pages does."""
        return all_pages(lambda place: self.item_page(span, place, count))

    def page(self, span: Span, place: bytes | None, count: int) -> tuple[list[bytes], bytes | None]:
        """Give a page of keys from a place on, and the place of the next one; see Snapshot.page."""
        return self.store.read(lambda snapshot: snapshot.page(self.name, span, place, count))

    def item_page(self, span: Span, place: bytes | None, count: int) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Give a page of pairs; see Snapshot.item_page."""
        return self.store.read(lambda snapshot: snapshot.item_page(self.name, span, place, count))

    def raw(self, key: str) -> bytes:
        """Give the bytes of a key. Raises InvalidKey unless they are 1 to 511."""
        return key_bytes(key, self.store.key_bytes_max)

    def check(self, raw: bytes) -> None:
        """Raise InvalidKey unless these can be the bytes of a key."""
        check_key(raw, self.store.key_bytes_max)
        if raw.startswith(self.store.engine.reserved):
            raise InvalidKey(f"a key that starts like {as_text(raw)[:40]!r} is kvcli's own here")

    def close(self) -> None:
        """Release the bucket, and the store if open made it for this bucket."""
        if self.owned is not None:
            self.owned.close()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release."""
        self.close()


def key_bytes(key: str, limit: int = KEY_BYTES_MAX) -> bytes:
    """Give the bytes of a key. Raises InvalidKey unless they are 1 to `limit`."""
    try:
        raw = key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidKey("the key holds a lone surrogate, which is no UTF-8") from error
    check_key(raw, limit)
    return raw


def check_key(raw: bytes, limit: int) -> None:
    """Raise InvalidKey unless these are 1 to `limit` bytes."""
    if not 0 < len(raw) <= limit:
        raise InvalidKey(f"the key {f'has {len(raw)} bytes' if raw else 'is empty'}: a key has 1 to {limit} bytes")


def as_text(raw: bytes) -> str:
    """Give the text of a key or a bucket name; bytes that are no UTF-8 become surrogates, as in os.fsdecode."""
    return raw.decode("utf-8", "surrogateescape")


def bucket_name(identifier: str) -> bytes:
    """Give the bytes of a bucket's name. Raises InvalidBucketName for one that cannot be any bucket's."""
    try:
        name = identifier.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidBucketName("the bucket name holds a lone surrogate, which is no UTF-8") from error
    if b"\0" in name or len(name) > BUCKET_BYTES_MAX:
        raise InvalidBucketName("the bucket name holds a NUL byte, or more bytes than any bucket's")
    if name == b"__kvcli__":
        raise InvalidBucketName("the bucket __kvcli__ is kvcli's own")
    return name


def new_bucket_name(identifier: str) -> bytes:
    """Give the bytes of a name for a new bucket: 1 to 255 printable bytes, not starting with @. Raises InvalidBucketName."""
    name = bucket_name(identifier)
    if not 0 < len(name) <= 255:
        raise InvalidBucketName("a bucket name has 1 to 255 bytes")
    if not identifier.isprintable() or identifier.startswith("@"):
        raise InvalidBucketName("a bucket name is printable text that does not start with @")
    return name
