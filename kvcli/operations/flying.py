"""Flying: operations on a store whose engine takes very many at once, and answers each; see Engine.fly.

A chunk is no transaction there. Operations go in flights, in their order; what is answered ok the server has done. After
a failure no other flight starts, and what was in the air behind it is done, and told. So that nothing is done behind an
increment that fails, which is no accident, an increment is the last of its flight, unless the batch keeps going.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvcli.errors import KvError
from kvcli.operations import Delete, DeleteMany, Exists, Get, GetMany, Incr, Malformed, Operation, Set, SetMany, Sets
from kvcli.operations.answers import ROOM_BYTES, Answers, Fields, found, text
from kvcli.operations.convoy import Convoy
from kvcli.operations.running import delta_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kvcli.engine import Step
    from kvcli.operations.running import Program
    from kvcli.store import Bucket, Store

    AnyOne = Operation | Malformed | Sets

OPERATIONS_MAX, CONVOY_MAX = 5000, 20_000  # In one flight, and in a convoy.
GETS_MIN, GETS_MAX = 16, 10_000  # In one flight, as large as values have been so far; all are in memory at once.
VERBS: dict[type, str] = {
    Get: "get_many",
    GetMany: "get_many",
    Set: "put_many",
    SetMany: "put_many",
    Sets: "put_many",
    Delete: "delete_many",
    DeleteMany: "delete_many",
    Exists: "has_many",
    Incr: "add_many",
}


class Flying:
    """The flights of one chunk."""

    def __init__(self, store: Store, program: Program, *, keep_going: bool, gets: int | None) -> None:
        """`program` runs what does not fly: a cas, a list. `gets` is how many values may come at once."""
        self._store = store
        self._program = program
        self._keep_going = keep_going
        self._buckets: dict[str | None, Bucket | None] = {}
        self._ready: Convoy | None = None  # What goes next.
        self.gets = gets or GETS_MIN * 16

    def run(self, operations: Sequence[AnyOne], first: int, meanwhile: Callable[[], object] | None) -> Answers:
        """Run operations, the first of which is number `first`, until one fails, unless the batch keeps going."""
        answers = Answers(first)
        at = 0
        while at < len(operations):
            if (gone := self._convoy(operations, at, answers, meanwhile)) > at:
                at, meanwhile = gone, None
                if (answers.failed and not self._keep_going) or answers.weight > ROOM_BYTES:
                    break
                continue
            flight = Flight()
            at = self._board(flight, operations, at)
            if flight.seats:
                self._fly(flight, answers, meanwhile)
                meanwhile = None
            else:
                self._walk(operations[at], answers)
                at += 1
            if (answers.failed and not self._keep_going) or answers.weight > ROOM_BYTES:
                break
        answers.rest = [*operations[at:]]
        return answers

    def _convoy(
        self, operations: Sequence[Any], at: int, answers: Answers, meanwhile: Callable[[], object] | None
    ) -> int:
        """Send a convoy, if one starts here, and give the place of the next operation."""
        if type(operations[at]) not in {Get, Set} or (home := self._bucket(operations[at])) is None:
            return at
        store, before = self._store, answers.weight
        convoy, self._ready = self._ready, None
        if convoy is None or convoy.start != at:
            convoy = self._filled(operations, at)
        end = convoy.end
        if end == at:
            return at

        def get_ready() -> None:
            if meanwhile is not None:
                meanwhile()
            self._ready = self._filled(operations, end)  # While the server works on this one.

        landed = store.engine.fly(convoy.steps(home.name), store.lock_timeout, get_ready)
        if convoy.is_whole(landed):
            answers.add_plain(convoy.are_gets, convoy.items(landed))
        else:
            for operation, item in zip(operations[at:end], convoy.items(landed), strict=True):
                answer(answers, operation, [item])
        self._learn(len(convoy.keys), answers.weight - before)
        return end

    def _filled(self, operations: Sequence[Any], at: int) -> Convoy:
        return Convoy(operations, at, at + CONVOY_MAX, self.gets, self._store.engine)

    def _learn(self, gets: int, weight: int) -> None:
        if gets:
            self.gets = min(max(ROOM_BYTES // (weight // gets + 1), GETS_MIN), GETS_MAX)

    def _board(self, flight: Flight, operations: Sequence[AnyOne], at: int) -> int:
        """Put as many operations on a flight as may go together, and give the place of the next one."""
        end = min(len(operations), at + OPERATIONS_MAX)
        while at < end and flight.gets < self.gets:
            operation = operations[at]
            verb = VERBS.get(type(operation))
            bucket = self._bucket(operation) if verb is not None else None
            if verb is None or bucket is None:
                return at
            try:
                items = items_of(operation, bucket)
            except KvError:
                return at
            if items is None or self._are_reserved(items):
                return at
            flight.seat(operation, verb, bucket.name, items)
            at += 1
            if verb == "add_many" and not self._keep_going:
                return at
        return at

    def _are_reserved(self, items: list[Any]) -> bool:
        """Tell whether one of the keys is the engine's own: it is refused in its turn, with no other behind it in the air."""
        reserved = self._store.engine.reserved
        return bool(reserved) and any(
            (item if isinstance(item, bytes) else item[0]).startswith(reserved) for item in items
        )

    def _fly(self, flight: Flight, answers: Answers, meanwhile: Callable[[], object] | None) -> None:
        before = answers.weight
        landed = self._store.engine.fly(flight.steps, self._store.lock_timeout, meanwhile)
        for operation, step, start, count in flight.seats:
            answer(answers, operation, landed[step][start : start + count])
        self._learn(flight.gets, answers.weight - before)

    def _walk(self, operation: AnyOne, answers: Answers) -> None:
        """Run one operation by itself, in a transaction."""
        run = self._store.write if operation.writes else self._store.read
        try:
            told: Answers = run(lambda txn: self._program.run(txn, [operation], answers.number))
        except KvError as error:  # What was done before it is to be told, whatever this is.
            for each in operation.each() if isinstance(operation, Sets) else [operation]:
                answers.fail(each, error)
        else:
            answers.take(told)
        self._buckets.pop(operation.bucket, None)  # It may have been made.

    def _bucket(self, operation: Any) -> Bucket | None:
        """Give the bucket of an operation, looked for once in a chunk; None where it is not there."""
        name = operation.bucket
        if name not in self._buckets:
            self._buckets[name] = bucket = self._program.open(operation)
            try:
                self._store.read(lambda snapshot: snapshot.check(bucket.name))
            except KvError:
                self._buckets[name] = None
        return self._buckets[name]


class Flight:
    """Operations that go together, as steps for the engine; neighbours of one kind share a step."""

    __slots__ = ("_last", "gets", "seats", "steps")

    def __init__(self) -> None:
        """Nobody is on board."""
        self.steps: list[Step] = []
        self.seats: list[tuple[Any, int, int, int]] = []  # Operation, number of its step, first item in it, how many.
        self.gets = 0
        self._last: tuple[str, bytes] | None = None

    def seat(self, operation: AnyOne, verb: str, bucket: bytes, items: list[Any]) -> None:
        """Take an operation on board."""
        if (verb, bucket) != self._last:
            self.steps.append((verb, bucket, []))
            self._last = (verb, bucket)
        taken: list[Any] = self.steps[-1][2]  # type: ignore[assignment]
        self.seats.append((operation, len(self.steps) - 1, len(taken), len(items)))
        taken += items
        if verb == "get_many":
            self.gets += len(items)


def items_of(operation: Any, bucket: Bucket) -> list[Any] | None:
    """Give what an operation asks of its step; None for one that does not fly. Raises InvalidKey, MalformedData."""
    kind = type(operation)
    if kind is Sets:
        for length in {len(key) for key, _ in operation.pairs}:
            bucket.check(bytes(length))
        return operation.pairs  # type: ignore[no-any-return]
    if kind is SetMany:
        return [(bucket.raw(item.key), encoded(item.value)) for item in operation.items]
    if kind in {GetMany, DeleteMany}:
        return [bucket.raw(key) for key in operation.keys]
    raw = bucket.raw(operation.key)
    if kind is Set:
        return [(raw, encoded(operation.value))]
    if kind is Incr:
        return [(raw, delta_of(operation))]
    return None if kind is Get and operation.token else [raw]


def encoded(value: str) -> bytes:
    """Give the bytes of a value."""
    return value.encode("utf-8", "surrogateescape")


def answer(answers: Answers, operation: Any, items: list[Any]) -> None:
    """Answer an operation by what became of its items."""
    if type(operation) is Sets:
        if not any(items):
            answers.add_sets(len(items))
            return
        for each, item in zip(operation.each(), items, strict=True):
            answer(answers, each, [item])
        return
    for item in items:
        if isinstance(item, KvError):
            answers.fail(operation, item)
            return
    answers.add(operation, fields(operation, items))


def fields(operation: Any, items: list[Any]) -> Fields:
    """Give the fields of an operation that was done."""
    kind = type(operation)
    if kind is Get:
        return found(items[0])
    if kind is Exists:
        return {"exists": items[0]}
    if kind is Incr:
        return {"value": str(items[0])}
    if kind is GetMany:
        keys = [encoded(key) for key in operation.keys]
        return {"items": [{**text("key", key), **found(value)} for key, value in zip(keys, items, strict=True)]}
    return {}
