"""A worker of the campaign `lin`: it does one thing after the other until it is killed, and records each before and after.

    python -m tests.crash.lin_worker STORE KIND NAME SEED FAULT

What it records goes to stdout, a line each: [operation, moment of the call], then [answer, moment of the answer].
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time

from tests.crash.lin_clients import CLIENTS, Library
from tests.crash.linear import Operation

GROUPS, KEYS = 8, 4
LIBRARY_OPS = (
    "get",
    "get",
    "exists",
    "set",
    "set",
    "delete",
    "incr",
    "incr",
    "see",
    "see",
    "set_many",
    "get_many",
    "delete_many",
)
OPS = {
    "library": LIBRARY_OPS,
    "coprocess": (*LIBRARY_OPS, "cas", "cas"),
    "commands": ("get", "exists", "set", "delete", "incr", "cas", "set_many", "get_many", "atomic", "atomic"),
}
ATOMIC_OPS = "get", "exists", "set", "delete", "incr", "incr"
FAULTS = TWO_STEPS, EARLY, TWO_TRANSACTIONS = "increments in two steps", "answers early", "batches in two transactions"
PAUSE_SECONDS = 0.001


class Author:
    """Makes up operations, each on keys of one group."""

    def __init__(self, kind: str, name: str, seed: str) -> None:
        """Begin."""
        self._dice = random.Random(f"{seed} {name}")
        self._ops = OPS[kind]
        self._numbers = itertools.count(1)
        self._name = name
        self._handle: Operation | None = None

    def operation(self) -> Operation:
        """Make one up; a handle is used soon after it was made, and so is the one that a lost swap gave."""
        if self._handle and self._dice.random() < 0.5:
            made, self._handle = self._handle, None
            return {"op": "swap", **made, "new": self._value(), "then": f"{made['handle']}'"}
        group = self._dice.randrange(GROUPS)
        return self._of(self._dice.choice(self._ops), [key_name(group, at) for at in range(KEYS)])

    def hear(self, operation: Operation, answer: object) -> None:
        """Take note of a handle that was made, be it by a swap that was lost."""
        if operation["op"] == "see":
            self._handle = {"key": operation["key"], "handle": operation["handle"]}
        elif operation["op"] == "swap" and answer is not True:
            self._handle = {"key": operation["key"], "handle": operation["then"]}

    def _of(self, op: str, keys: list[str]) -> Operation:
        some = self._dice.sample(keys, self._dice.randint(2, KEYS))
        if op in {"get_many", "delete_many"}:
            return {"op": op, "keys": some}
        if op == "set_many":
            return {"op": op, "items": [{"key": key, "value": self._value()} for key in some]}
        if op == "atomic":
            return {"op": op, "operations": [self._of(self._dice.choice(ATOMIC_OPS), keys) for _ in range(4)]}
        return {"op": op, "key": some[0], **self._fields(op)}

    def _fields(self, op: str) -> Operation:
        match op:
            case "set":
                return {"value": self._value()}
            case "incr":
                return {"delta": self._dice.choice((1, 1, 1, -1, 7))}
            case "see":
                return {"handle": f"{self._name}.{next(self._numbers)}"}
            case "cas":
                return {"expect": self._dice.choice((None, "1")), "new": self._value()}
        return {}

    def _value(self) -> str:
        """Give a number that nobody else sets, nor reaches by increments."""
        slot, life = map(int, self._name.split("."))
        return str(((slot << 10 | life) << 24 | next(self._numbers)) << 10)


class Faulty(Library):
    """The library, and something wrong with it."""

    def __init__(self, path: str, fault: str) -> None:
        """Open the store."""
        super().__init__(path)
        self.fault = fault

    def incr(self, key: str, delta: int) -> str:
        """Increment, maybe by a get and a set."""
        if self.fault != TWO_STEPS:
            return super().incr(key, delta)
        value = str(int(self.get(key) or 0) + delta)
        time.sleep(PAUSE_SECONDS)
        self.set(key, value)
        return value

    def set_many(self, items: list[dict[str, str]]) -> None:
        """Set many, maybe in two transactions."""
        half = len(items) // 2 if self.fault == TWO_TRANSACTIONS else 0
        super().set_many(items[half:])
        if half:
            time.sleep(PAUSE_SECONDS)
            super().set_many(items[:half])


def key_name(group: int, at: int) -> str:
    """Name a key."""
    return f"g{group}.{at}"


def record(what: object) -> None:
    """Hand a line to the parent, who keeps it."""
    os.write(1, json.dumps([what, time.monotonic_ns()]).encode() + b"\n")


def main(path: str, kind: str, name: str, seed: str, fault: str) -> None:
    """Work until killed."""
    author = Author(kind, name, seed)
    client = Faulty(path, fault) if fault and kind == "library" else CLIENTS[kind](path)
    while True:
        operation = author.operation()
        record(operation)
        if fault == EARLY and operation["op"] == "set":
            record(None)
            time.sleep(PAUSE_SECONDS)
            client.run(operation)
        else:
            answer = client.run(operation)
            record(answer)
            author.hear(operation, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
