"""Linear: whether what many processes did can have happened one after the other, each deed between its call and its answer.

This is Lowe's form of the Wing-Gong search, "just in time": it walks through calls and answers in the order of time and
keeps all configurations that are still possible: what the bucket holds, and which of the pending calls have taken effect.
Equal configurations are one, which is the memory of the search. Keys that no call has in common are searched apart.

Roads not taken: PyPI has no checker of this kind (porcupine is in Go, Knossos in Clojure, todc-utils in Rust), and a
toolchain of another language for 60 lines would cost more than it gives.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

Operation = dict[str, Any]
State = tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]
EMPTY: State = (frozenset(), frozenset())
Configuration = tuple[State, int]  # The second has a bit for each pending call that has taken effect.


class Call(NamedTuple):
    """What one process asked, and when. In doubt: nobody was answered, and the deed was done before `ended` or never."""

    begun: int
    ended: int
    operation: Operation
    answer: Any = None
    in_doubt: bool = False

    def changes_nothing(self) -> bool:
        """Tell whether this left the bucket alone, wherever it happened."""
        op = self.operation["op"]
        return op in {"get", "exists", "get_many"} or (op == "cas" and not self.in_doubt and self.answer is not True)


class Model:
    """A bucket as the interface describes it: values, and the handles whose keys nobody wrote since they were made."""

    def __init__(self, state: State) -> None:
        """Hold what a state says."""
        self.values, self.handles = dict(state[0]), dict(state[1])

    def state(self) -> State:
        """Give what it holds, to be compared."""
        return frozenset(self.values.items()), frozenset(self.handles.items())

    def put(self, key: str, value: str) -> None:
        """Write; every handle of the key loses."""
        self.values[key] = value
        self.handles = {handle: of for handle, of in self.handles.items() if of != key}

    def set_many(self, items: list[dict[str, str]]) -> None:
        """Write pairs."""
        for each in items:
            self.put(each["key"], each["value"])

    def delete_many(self, keys: list[str]) -> None:
        """Remove keys; where there is nothing to remove, nothing is written."""
        for key in self.values.keys() & set(keys):
            self.put(key, "")
            del self.values[key]

    def see(self, key: str, handle: str) -> str | None:
        """Make a handle."""
        self.handles[handle] = key
        return self.values.get(key)

    def swap(self, key: str, handle: str, new: str, then: str) -> object:
        """Use a handle up; where it loses, `then` is the fresh one."""
        if self.handles.pop(handle, None) is None:
            return [self.see(key, then)]
        self.put(key, new)
        return True

    def compare_and_set(self, key: str, expect: str | None, new: str) -> object:
        """Swap by value."""
        if self.values.get(key) != expect:
            return [self.values.get(key)]
        self.put(key, new)
        return True

    def increment(self, key: str, delta: int) -> str:
        """Add."""
        self.put(key, str(int(self.values.get(key, "0")) + delta))
        return self.values[key]


# What each operation does to a model, and is answered.
MEANINGS: dict[str, Callable[[Model, Operation], object]] = {
    "get": lambda model, o: model.values.get(o["key"]),
    "exists": lambda model, o: o["key"] in model.values,
    "set": lambda model, o: model.set_many([o]),
    "delete": lambda model, o: model.delete_many([o["key"]]),
    "incr": lambda model, o: model.increment(o["key"], o["delta"]),
    "see": lambda model, o: model.see(o["key"], o["handle"]),
    "swap": lambda model, o: model.swap(o["key"], o["handle"], o["new"], o["then"]),
    "cas": lambda model, o: model.compare_and_set(o["key"], o["expect"], o["new"]),
    "get_many": lambda model, o: [model.values.get(key) for key in o["keys"]],
    "set_many": lambda model, o: model.set_many(o["items"]),
    "delete_many": lambda model, o: model.delete_many(o["keys"]),
    "atomic": lambda model, o: [MEANINGS[each["op"]](model, each) for each in o["operations"]],
}


def contradiction(calls: list[Call]) -> str | None:
    """Give the first answer that no order of the calls explains, None if there is an order for all."""
    begins = [(call.begun, False, number) for number, call in enumerate(calls)]
    ends = [(call.ended, True, number) for number, call in enumerate(calls)]
    pending: dict[int, Call] = {}
    bits: dict[int, int] = {}
    possible: set[Configuration] = {(EMPTY, 0)}
    for _, is_end, number in sorted(begins + ends):
        if not is_end:
            bits[number] = next(bit for at in count() if (bit := 1 << at) not in pending)
            pending[bits[number]] = calls[number]
            continue
        before = possible
        possible = explained(before, pending, bits[number])
        call = pending.pop(bits[number])
        if not possible:
            held = [dict(state[0]) for state, _ in before]
            return f"nothing explains {call.answer!r} to {call.operation}, where the bucket may hold {held[:3]}"
    return None


def explained(possible: set[Configuration], pending: dict[int, Call], ending: int) -> set[Configuration]:
    """Let pending calls take effect, in all orders, until the ending one has; it is pending no more."""
    ended = {each for each in possible if not each[1] & ending} if pending[ending].in_doubt else set()
    seen, rest = set(possible), list(possible)
    while rest:
        configuration = rest.pop()
        if configuration[1] & ending:
            ended.add((configuration[0], configuration[1] & ~ending))
            continue
        fresh = successors(configuration, pending) - seen
        seen |= fresh
        rest += fresh
    return ended


def successors(configuration: Configuration, pending: dict[int, Call]) -> set[Configuration]:
    """Give the configurations that are one call ahead."""
    state, done = configuration
    found = set()
    for bit, call in pending.items():
        if done & bit:
            continue
        model = Model(state)
        answer = MEANINGS[call.operation["op"]](model, call.operation)
        if call.in_doubt or answer == call.answer:
            if call.changes_nothing():
                return {(state, done | bit)}  # It fits here and disturbs nobody: no need to try it later.
            found.add((model.state(), done | bit))
    return found
