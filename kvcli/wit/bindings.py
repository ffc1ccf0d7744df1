"""What the façade's modules share: kvcli's own interfaces under the names, shapes and errors of Spin's bindings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, Union

from kvcli import atomics as kv_atomics
from kvcli import batch as kv_batch
from kvcli import store as kv_store
from kvcli.errors import AccessDenied, CasFailed, KvError, NoSuchStore

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

E = TypeVar("E")


@dataclass
class Err(Exception, Generic[E]):
    """A WIT `result` that is an error; `value` is the case."""

    value: E

    __hash__ = Exception.__hash__


@dataclass
class Error_NoSuchStore:
    """store.wit: `no-such-store`."""


@dataclass
class Error_AccessDenied:
    """store.wit: `access-denied`."""


@dataclass
class Error_Other:
    """store.wit: `other(string)`."""

    value: str


Error = Union[Error_NoSuchStore, Error_AccessDenied, Error_Other]


@dataclass
class KeyResponse:
    """A response to a `list-keys` operation."""

    keys: list[str]
    cursor: str | None


class _Raising:
    """Turns kvcli's errors into the bindings'."""

    def __init__(self, *, cas: bool = False) -> None:
        """`cas` wraps the error once more, as `cas-error` does."""
        self._cas = cas

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise Err for an error of ours."""
        if isinstance(error, CasFailed):
            raise Err(CasError_CasFailed(Cas(error.cas))) from error
        if isinstance(error, KvError):
            case = _case(error)
            raise Err(CasError_StoreError(case) if self._cas else case) from error


def _case(error: KvError) -> Error:
    if isinstance(error, NoSuchStore):
        return Error_NoSuchStore()
    return Error_AccessDenied() if isinstance(error, AccessDenied) else Error_Other(str(error))


class Bucket:
    """A bucket is a collection of key-value pairs."""

    def __init__(self, bucket: kv_store.Bucket) -> None:
        """Stand in front of a bucket."""
        self._bucket = bucket

    def get(self, key: str) -> bytes | None:
        """Get the value associated with `key`, None if there is none."""
        with _Raising():
            return self._bucket.get(key)

    def set(self, key: str, value: bytes) -> None:
        """Set the value associated with `key`."""
        with _Raising():
            self._bucket.set(key, value)

    def delete(self, key: str) -> None:
        """Delete the pair of `key`; do nothing if there is none."""
        with _Raising():
            self._bucket.delete(key)

    def exists(self, key: str) -> bool:
        """Check if `key` exists."""
        with _Raising():
            return self._bucket.exists(key)

    def list_keys(self, cursor: str | None) -> KeyResponse:
        """Get one page of keys."""
        with _Raising():
            page = self._bucket.list_keys(cursor)
            return KeyResponse(page.keys, page.cursor)

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Release this resource."""
        self._bucket.close()
        return None


def open(identifier: str) -> Bucket:  # noqa: A001 - the WIT's own word
    """Get the bucket with the specified identifier."""
    with _Raising():
        return Bucket(kv_store.open(identifier))


class Cas:
    """A handle to a CAS (compare-and-swap) operation."""

    def __init__(self, cas: kv_atomics.Cas) -> None:
        """Stand in front of a handle."""
        self.handle = cas

    @classmethod
    def new(cls, bucket: Bucket, key: str) -> Self:
        """Construct a new CAS operation."""
        with _Raising():
            return cls(kv_atomics.Cas.new(bucket._bucket, key))

    @classmethod
    def new_with_read(cls, bucket: Bucket, key: str) -> tuple[Self, bytes | None]:
        """Construct a new CAS operation, and give the current value (seed 001)."""
        cas = cls.new(bucket, key)
        return cas, cas.current()

    def current(self) -> bytes | None:
        """Get the value that the handle saw."""
        with _Raising():
            return self.handle.current()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Release this resource."""
        return None


@dataclass
class CasError_StoreError:
    """A store error occurred when performing the operation."""

    value: Error


@dataclass
class CasError_CasFailed:
    """The CAS operation failed because the value was too old; `value` is a new handle for the next try."""

    value: Cas


CasError = Union[CasError_StoreError, CasError_CasFailed]


def increment(bucket: Bucket, key: str, delta: int) -> int:
    """Atomically increment the value associated with `key`; give the new value."""
    with _Raising():
        return kv_atomics.increment(bucket._bucket, key, delta)


def swap(cas: Cas, value: bytes) -> None:
    """Perform the swap on a CAS operation. This consumes the handle."""
    with _Raising(cas=True):
        kv_atomics.swap(cas.handle, value)


def get_many(bucket: Bucket, keys: list[str]) -> list[tuple[str, bytes | None]]:
    """Get the pairs of `keys`, in their order.

    Spin's bindings answer a pair for every key, with None for the value of an absent one; kvcli.get_many, like the
    upstream batch.wit, answers None for the pair.
    """
    with _Raising():
        found = kv_batch.get_many(bucket._bucket, keys)
        return [(key, None) if pair is None else pair for key, pair in zip(keys, found, strict=True)]


def set_many(bucket: Bucket, key_values: list[tuple[str, bytes]]) -> None:
    """Set all pairs."""
    with _Raising():
        kv_batch.set_many(bucket._bucket, key_values)


def delete_many(bucket: Bucket, keys: list[str]) -> None:
    """Delete all of `keys`, skipping those that do not exist."""
    with _Raising():
        kv_batch.delete_many(bucket._bucket, keys)
