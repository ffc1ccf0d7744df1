"""wasi:keyvalue/atomics: Cas, increment, swap; and the conditional writes that are made of them."""

from __future__ import annotations

from kvcli.errors import CasFailed, HandleConsumed, IntegerOverflow, NotAnInteger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from kvcli.engine.redis.guard import Guard
    from kvcli.engine.transaction import Snapshot
    from kvcli.engine.update import Update
    from kvcli.store import Bucket

S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1
S64_DIGITS_MAX = 20


class Cas:
    """A handle to a compare-and-swap: a key, the value it had, and the revision at which that was seen.

    A swap with it succeeds only if nobody wrote the key since, not even the same value; absent is a value like others.
    """

    __slots__ = ("_consumed", "_value", "bucket", "digest", "guard", "identity", "key", "revision")

    def __init__(
        self, bucket: Bucket, key: str, identity: bytes, revision: int, value: bytes | None, digest: bytes | None = None
    ) -> None:
        """Hold what was seen. Use new or new_with_read; `digest` stands for the value in a handle made from a token."""
        self.bucket = bucket
        self.key = key
        self.identity = identity
        self.revision = revision
        self.digest = digest
        self.guard: Guard | None = None  # What an engine that remembers no writes holds for this handle.
        self._value = value
        self._consumed = False

    @classmethod
    def new(cls, bucket: Bucket, key: str) -> Self:
        """Make a handle; a later swap operates on data not modified since this call. Raises InvalidKey."""
        raw = bucket.raw(key)
        guard = bucket.store.engine.guard(bucket.name, raw)
        if guard is not None:
            cas = cls(bucket, key, guard.identity, guard.revision, guard.value)
            cas.guard = guard
            return cas
        return bucket.store.read(lambda snapshot: cls.of(snapshot, bucket, key, raw))

    @classmethod
    def new_with_read(cls, bucket: Bucket, key: str) -> tuple[Self, bytes | None]:
        """Make a handle and give the value it saw, None if absent."""
        cas = cls.new(bucket, key)
        return cas, cas.current()

    @classmethod
    def of(cls, snapshot: Snapshot, bucket: Bucket, key: str, raw: bytes) -> Self:
        """Make a handle of what a transaction that is running sees."""
        return cls(bucket, key, snapshot.identity(), snapshot.seen, snapshot.get(bucket.name, raw))

    def current(self) -> bytes | None:
        """Give the value that this handle saw, None if the key was absent (atomics.wit, `current`)."""
        if self.digest is not None:
            return self.bucket.get(self.key)
        return self._value

    def sees(self, value: bytes | None) -> bool:
        """Tell whether `value` is the one that this handle saw."""
        if self.digest is None:
            return value == self._value
        from kvcli.token import digest

        return self.digest == digest(self.bucket.name, self.bucket.raw(self.key), value)

    def token(self) -> str:
        """Write the handle down as text, for another process to swap with."""
        from kvcli.token import digest, pack

        seen = self.digest or digest(self.bucket.name, self.bucket.raw(self.key), self._value)
        return pack(self.identity, self.revision, seen)

    @classmethod
    def from_token(cls, bucket: Bucket, key: str, token: str) -> Self:
        """Make a handle of a token. Raises InvalidToken for text that is none."""
        from kvcli.token import unpack

        identity, revision, seen = unpack(token)
        return cls(bucket, key, identity, revision, None, seen)

    def consume(self) -> None:
        """Mark the handle as used. Raises HandleConsumed the second time."""
        if self._consumed:
            raise HandleConsumed("this Cas handle was swapped already: make a new one, or take the one from CasFailed")
        self._consumed = True

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release, where the engine holds something for it; a handle of LMDB's is good afterwards as well."""
        if self.guard is not None:
            self.guard.release()


def swap(cas: Cas, value: bytes) -> None:
    """Write `value` if nobody wrote the key since the handle was made; this consumes the handle (atomics.wit, `swap`).

    Raises CasFailed, which carries a fresh handle and the current value, and HandleConsumed.
    """
    cas.consume()
    raw = cas.bucket.raw(cas.key)
    guard, cas.guard = cas.guard, None
    if guard is None:
        _write_or_lose(cas.bucket, cas.key, lambda update: swap_in(update, cas, raw, value))
    elif not guard.swap(value):
        fresh, found = Cas.new_with_read(cas.bucket, cas.key)
        raise CasFailed(_lost_message(cas.key), fresh, found)


def _write_or_lose(bucket: Bucket, key: str, work: Callable[[Update], None]) -> None:
    """Write. Raises CasFailed, with a handle that is as good as Cas.new makes."""
    try:
        bucket.store.write(work)
    except CasFailed as error:
        if bucket.store.engine.remembers:
            raise
        fresh, found = Cas.new_with_read(bucket, key)  # One that watches; that of the transaction knows a value only.
        raise CasFailed(str(error), fresh, found) from error


def swap_in(update: Update, cas: Cas, raw: bytes, value: bytes) -> None:
    """Swap inside a transaction that is running. Raises CasFailed."""
    name = cas.bucket.name
    if update.unchanged(name, raw, cas.identity, cas.revision) and cas.sees(update.get(name, raw)):
        update.put(name, raw, value)
    else:
        raise lost(update, cas.bucket, cas.key, raw)


def compare_and_set(bucket: Bucket, key: str, expected: bytes | None, value: bytes) -> None:
    """Write `value` if the key has the value `expected`, None for absent. Raises CasFailed."""
    raw = bucket.raw(key)
    _write_or_lose(bucket, key, lambda update: compare_and_set_in(update, bucket, key, raw, expected, value))


def compare_and_set_in(
    update: Update, bucket: Bucket, key: str, raw: bytes, expected: bytes | None, value: bytes
) -> None:
    """Compare and set inside a transaction that is running. Raises CasFailed."""
    if update.get(bucket.name, raw) != expected:
        raise lost(update, bucket, key, raw)
    update.put(bucket.name, raw, value)


def lost(update: Update, bucket: Bucket, key: str, raw: bytes) -> CasFailed:
    """Make the error of a lost swap, with a handle for the next try."""
    value = update.get(bucket.name, raw)
    fresh = Cas(bucket, key, update.identity(), update.seen, value)
    return CasFailed(_lost_message(key), fresh, value)


def _lost_message(key: str) -> str:
    return f"the swap of {key!r} was lost: the key changed meanwhile; look at its value and try again"


def set_if(bucket: Bucket, key: str, value: bytes, *, present: bool) -> bool:
    """Set `key` only if it exists (`present`) or only if it does not; tell whether it was set."""
    raw = bucket.raw(key)

    def work(update: Update) -> bool:
        if update.has(bucket.name, raw) != present:
            return False
        update.put(bucket.name, raw, value)
        return True

    return bucket.store.write(work)


def increment(bucket: Bucket, key: str, delta: int) -> int:
    """Add `delta` to the integer at `key` and give the sum; an absent key counts as 0 (atomics.wit, `increment`).

    The value is a decimal s64 in ASCII, as in Redis. Raises NotAnInteger, IntegerOverflow; both leave the value alone.
    """
    raw = bucket.raw(key)
    if not isinstance(delta, int):
        raise TypeError(f"delta is an int, not {type(delta).__name__}")
    store = bucket.store
    after = store.engine.add(bucket.name, raw, delta, store.lock_timeout)
    if after is not None:
        return after
    return store.write(lambda update: increment_in(update, bucket.name, raw, delta))


def increment_in(update: Update, name: bytes, raw: bytes, delta: int) -> int:
    """Increment inside a transaction that is running."""
    stored = update.get(name, raw)
    before = 0 if stored is None else parse_s64(stored)
    if before is None:
        raise NotAnInteger(
            f"the value of {raw.decode('utf-8', 'backslashreplace')!r} is not a decimal integer of 64 bits"
        )
    after = before + delta
    if not S64_MIN <= after <= S64_MAX or not S64_MIN <= delta <= S64_MAX:
        raise IntegerOverflow(f"{before} + {delta} is outside of 64 bits; the value was left alone")
    update.put(name, raw, b"%d" % after)
    return after


def parse_delta(text: str) -> int | None:
    """Read what somebody wrote as a delta: a plus is fine, in front of digits."""
    return parse_s64(text[text[:1] == "+" and text[1:2] != "-" :].encode("utf-8", "surrogateescape"))


def parse_s64(text: bytes) -> int | None:
    """Read `0|-?[1-9][0-9]*` within s64; None for anything else. int() would take ' 7', '1_000' and Arabic digits."""
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(text) > S64_DIGITS_MAX or (digits[:1] == b"0" and text != b"0"):
        return None
    number = int(text)
    return number if S64_MIN <= number <= S64_MAX else None
