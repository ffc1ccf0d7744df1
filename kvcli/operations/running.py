"""Running: operations inside one transaction, each with its answer. What fails changes nothing, and those before it stay."""

from __future__ import annotations

from binascii import b2a_base64
from collections import deque
from collections.abc import Callable
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from kvcli import cursor as cursors
from kvcli.atomics import S64_MAX, S64_MIN, compare_and_set_in, increment_in, parse_delta, swap_in
from kvcli.atomics import Cas as Handle
from kvcli.engine.transaction import Span
from kvcli.errors import (
    AccessDenied,
    CasFailed,
    IntegerOverflow,
    InvalidArgument,
    MalformedData,
    NoSuchBucket,
    NotAnInteger,
)
from kvcli.operations import (
    Cas,
    Delete,
    DeleteMany,
    Exists,
    Get,
    GetMany,
    Incr,
    List,
    Malformed,
    Operation,
    Set,
    SetMany,
    Sets,
)
from kvcli.operations.answers import ANSWER_BYTES_MAX, ROOM_BYTES, Answers, Fields, found, text
from kvcli.remote_errors import WrongKind
from kvcli.store import Bucket, bucket_name, new_bucket_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvcli.engine.transaction import Snapshot
    from kvcli.engine.update import Update
    from kvcli.store import Store

FAILURES = (
    AccessDenied,
    CasFailed,
    IntegerOverflow,
    InvalidArgument,
    MalformedData,
    NoSuchBucket,
    NotAnInteger,
    WrongKind,
)
BUCKETS_MAX = 200  # The table of those that are open is bounded.
KIND_AND_BUCKET = attrgetter("__class__", "bucket")


class Program:
    """Operations that run one after the other: in which buckets, and whether they go on after a failure."""

    def __init__(
        self, store: Store, bucket: str, *, create: bool = False, keep_going: bool = False, whole: bool = False
    ) -> None:
        """`bucket` is that of operations that name none; `create` makes those that are missing.

        Unless it is one `whole`, it may end early, and leave the rest to another transaction.
        """
        self._store = store
        self._bucket = bucket
        self._create = create
        self._keep_going = keep_going
        self._whole = whole

    def run(self, txn: Any, operations: Sequence[Operation | Malformed | Sets], first: int) -> Answers:
        """Run operations, the first of which is number `first`, until one fails, unless it keeps going.

        It ends before the last one, too, where the answers grow too large, or where another transaction is better.
        """
        answers = Answers(first)
        groups = deque([list(group) for _, group in groupby(operations, KIND_AND_BUCKET)])
        buckets: set[str | None] = set()
        while groups:
            alike = groups.popleft()
            buckets.add(alike[0].bucket)
            left = self._run_group(txn, alike, answers)
            if answers.failed and not self._keep_going:
                return answers
            if left or answers.weight > ROOM_BYTES or (len(buckets) > BUCKETS_MAX and not self._whole):
                answers.rest = [*left, *chain.from_iterable(groups)]
                break
        return answers

    def _run_group(self, txn: Any, alike: list[Any], answers: Answers) -> list[Any]:
        """Run operations of one kind in one bucket, and give those that are left for another transaction."""
        kind = type(alike[0])
        if kind is Sets:
            if self._run_sets(txn, alike, answers):
                return []
            alike = [each for sets in alike for each in sets.each()]
        elif kind in FAST and len(alike) > 1 and (done := self._run_alike(txn, alike, answers)):
            return alike[done:]
        for at, operation in enumerate(alike):
            if answers.weight > ROOM_BYTES or not self._run_one(txn, operation, answers):
                return alike[at:]
            if answers.failed and not self._keep_going:
                break
        return []

    def _run_sets(self, txn: Any, alike: list[Sets], answers: Answers) -> bool:
        """Run what came by the express lane; false, and nothing is written, where one of the pairs is wrong."""
        pairs = alike[0].pairs if len(alike) == 1 else [pair for sets in alike for pair in sets.pairs]
        try:
            bucket = self.open(alike[0])
            txn.put_many(bucket.name, pairs, bucket.check)
        except FAILURES:
            return False
        answers.add_sets(len(pairs))
        return True

    def _run_alike(self, txn: Any, alike: list[Any], answers: Answers) -> int:
        """Run operations faster, and give how many were run: none, and nothing is written, where one of them is wrong."""
        try:
            fields = FAST[type(alike[0])](txn, self.open(alike[0]), alike)
        except FAILURES:
            return 0
        answers.add_many(alike, fields)
        return len(fields)

    def _run_one(self, txn: Any, operation: Operation | Malformed, answers: Answers) -> bool:
        """Run one operation; false where it is left for another transaction."""
        if isinstance(operation, Malformed):
            answers.fail(operation, operation.error)
            return True
        try:
            fields = self._run_making(txn, operation)
        except FAILURES as error:
            if isinstance(error, CasFailed) and self._is_stale(txn, operation, answers):
                return False
            answers.fail(operation, error)
            return True
        if "token" in fields and self._is_stale(txn, operation, answers):
            return False
        answers.add(operation, fields)
        return True

    def _run_making(self, txn: Any, operation: Operation) -> Fields:
        run = RUN[type(operation)]
        try:
            return run(txn, self.open(operation), operation)
        except NoSuchBucket:
            # A bucket that is not there holds nothing that a cas could expect.
            lost = isinstance(operation, Cas) and operation.expect is not None
            if not (self._create and operation.writes) or lost:
                raise
        txn.create(new_bucket_name(self._name(operation)))
        return run(txn, self.open(operation), operation)

    def _is_stale(self, txn: Any, operation: Any, answers: Answers) -> bool:
        """Tell whether a token that is given now loses for no reason but that this transaction wrote the key before."""
        bucket = self.open(operation)
        begun = answers.number > answers.first
        return begun and not self._whole and txn.wrote(bucket.name, bucket.raw(operation.key))

    def open(self, operation: Operation | Sets) -> Bucket:
        """Give the bucket of an operation, which may not be there."""
        return Bucket(self._store, bucket_name(self._name(operation)))

    def _name(self, operation: Operation | Sets) -> str:
        return self._bucket if operation.bucket is None else operation.bucket


def _get(txn: Snapshot, bucket: Bucket, operation: Get) -> Fields:
    raw = bucket.raw(operation.key)
    if not operation.token:
        return found(txn.get(bucket.name, raw))
    handle = Handle.of(txn, bucket, operation.key, raw)
    return {**found(handle.current()), "token": handle.token()}


def _get_alike(txn: Snapshot, bucket: Bucket, alike: list[Get]) -> list[Fields]:
    if any(each.token for each in alike):
        return []
    return [found(value) for value in txn.get_many(bucket.name, [bucket.raw(each.key) for each in alike], ROOM_BYTES)]


def _set(txn: Update, bucket: Bucket, operation: Set) -> Fields:
    txn.put(bucket.name, bucket.raw(operation.key), _bytes(operation.value))
    return {}


def _set_alike(txn: Update, bucket: Bucket, alike: list[Set]) -> list[Fields]:
    code = ("utf-8", "surrogateescape")
    pairs = [(each.key.encode(*code), each.value.encode(*code)) for each in alike]  # _bytes, without the call.
    txn.put_many(bucket.name, pairs, bucket.check)
    return [{}] * len(alike)


def _delete(txn: Update, bucket: Bucket, operation: Delete) -> Fields:
    txn.delete(bucket.name, bucket.raw(operation.key))
    return {}


def _exists(txn: Snapshot, bucket: Bucket, operation: Exists) -> Fields:
    return {"exists": txn.has(bucket.name, bucket.raw(operation.key))}


def _incr(txn: Update, bucket: Bucket, operation: Incr) -> Fields:
    return {"value": str(increment_in(txn, bucket.name, bucket.raw(operation.key), delta_of(operation)))}


def delta_of(operation: Incr) -> int:
    """Give the number to add. Raises MalformedData."""
    delta = operation.delta
    number = parse_delta(delta) if isinstance(delta, str) else delta
    if number is None or not S64_MIN <= number <= S64_MAX:
        raise MalformedData("`delta` is a decimal integer of 64 bits")
    return number


def _cas(txn: Update, bucket: Bucket, operation: Cas) -> Fields:
    key, raw, new = operation.key, bucket.raw(operation.key), _bytes(operation.new)
    if (operation.expect is UNSET) == (operation.token is UNSET):
        raise MalformedData("cas has either `expect`, null for an absent key, or `token`")
    if operation.token is not UNSET:
        swap_in(txn, Handle.from_token(bucket, key, operation.token), raw, new)
    else:
        expected = None if operation.expect is None or operation.expect is UNSET else _bytes(operation.expect)
        compare_and_set_in(txn, bucket, key, raw, expected, new)
    return {}


def _list(txn: Snapshot, bucket: Bucket, operation: List) -> Fields:
    place = None if operation.cursor is None else cursors.unpack(operation.cursor)
    keys, place = txn.page(bucket.name, Span.starting(_bytes(operation.prefix)), place, operation.limit)
    cursor = None if place is None else cursors.pack(place)
    try:
        return {"keys": [key.decode() for key in keys], "cursor": cursor}
    except UnicodeDecodeError:
        return {"keys_b64": [b2a_base64(key, newline=False).decode() for key in keys], "cursor": cursor}


def _get_many(txn: Snapshot, bucket: Bucket, operation: GetMany) -> Fields:
    raws = [bucket.raw(key) for key in operation.keys]
    values = txn.get_many(bucket.name, raws, ANSWER_BYTES_MAX)
    if len(values) < len(raws):
        raise MalformedData(f"the values have more than {ANSWER_BYTES_MAX} bytes: ask for fewer")
    pairs = zip(raws, values, strict=True)
    return {"items": [{**text("key", raw), **found(value)} for raw, value in pairs]}


def _set_many(txn: Update, bucket: Bucket, operation: SetMany) -> Fields:
    pairs = [(bucket.raw(item.key), _bytes(item.value)) for item in operation.items]
    txn.put_many(bucket.name, pairs, bucket.check)
    return {}


def _delete_many(txn: Update, bucket: Bucket, operation: DeleteMany) -> Fields:
    txn.delete_many(bucket.name, [bucket.raw(key) for key in operation.keys])
    return {}


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


RUN: dict[type, Callable[[Any, Bucket, Any], Fields]] = {
    Get: _get,
    Set: _set,
    Delete: _delete,
    Exists: _exists,
    Incr: _incr,
    Cas: _cas,
    List: _list,
    GetMany: _get_many,
    SetMany: _set_many,
    DeleteMany: _delete_many,
}
FAST: dict[type, Callable[[Any, Bucket, list[Any]], list[Fields]]] = {Get: _get_alike, Set: _set_alike}
