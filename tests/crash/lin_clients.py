"""Clients: the ways to a store that are looked at. Each takes an operation, does it, and gives the answer of the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from kvcli import Cas, CasFailed, Store, delete_many, get_many, increment, set_many, swap
from tests.crash.linear import Operation

LOCK_SECONDS = 60  # On a busy machine 16 may wait for long; who waits for longer ends with an error, which is seen.
KVCLI = [sys.executable, "-m", "kvcli", "--lock-timeout", str(LOCK_SECONDS)]


class Library:
    """The library, in this process."""

    def __init__(self, path: str) -> None:
        """Open the store, for good."""
        self.bucket = Store(path, lock_timeout=LOCK_SECONDS).open("default")
        self._handles: dict[str, Cas] = {}

    def run(self, operation: Operation) -> object:
        """Call the method of that name."""
        arguments = {name: value for name, value in operation.items() if name != "op"}
        return getattr(self, operation["op"])(**arguments)

    def get(self, key: str) -> str | None:
        """Get."""
        return as_text(self.bucket.get(key))

    def exists(self, key: str) -> bool:
        """Ask whether it is there."""
        return self.bucket.exists(key)

    def set(self, key: str, value: str) -> None:
        """Set."""
        self.bucket.set(key, value.encode())

    def delete(self, key: str) -> None:
        """Delete."""
        self.bucket.delete(key)

    def incr(self, key: str, delta: int) -> str:
        """Increment."""
        return str(increment(self.bucket, key, delta))

    def see(self, key: str, handle: str) -> str | None:
        """Make a handle."""
        self._handles[handle], value = Cas.new_with_read(self.bucket, key)
        return as_text(value)

    def swap(self, key: str, handle: str, new: str, then: str) -> object:  # noqa: ARG002 - the handle knows its key
        """Swap, and keep the fresh handle of a lost swap."""
        try:
            swap(self._handles.pop(handle), new.encode())
        except CasFailed as error:
            self._handles[then] = error.cas
            return [as_text(error.value)]
        return True

    def get_many(self, keys: list[str]) -> list[str | None]:
        """Get many."""
        return [found and found[1].decode() for found in get_many(self.bucket, keys)]

    def set_many(self, items: list[dict[str, str]]) -> None:
        """Set many."""
        set_many(self.bucket, [(each["key"], each["value"].encode()) for each in items])

    def delete_many(self, keys: list[str]) -> None:
        """Delete many."""
        delete_many(self.bucket, keys)


class Coprocess:
    """`kvcli batch` that answers line by line. Handles are tokens."""

    def __init__(self, path: str) -> None:
        """Start it."""
        self._child = start([*KVCLI, "batch", "--keep-going", "-s", path])
        self._tokens: dict[str, str] = {}

    def run(self, operation: Operation) -> object:
        """Say a line and hear one."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(line(operation, self._tokens))
        self._child.stdin.flush()
        return told(operation, json.loads(self._child.stdout.readline()), self._tokens)


class Commands:
    """A command for each operation, and `batch --atomic` for what is several."""

    def __init__(self, path: str) -> None:
        """Know the store."""
        self._path = path

    def run(self, operation: Operation) -> object:
        """Run the command."""
        op, key = operation["op"], operation.get("key", "")
        if op == "cas":
            return self._compare_and_set(key, operation["expect"], operation["new"])
        if op not in {"get", "exists", "set", "delete", "incr"}:
            return self._batch(operation)
        code, out = self._kvcli(op, key, *[str(operation[name]) for name in ("value", "delta") if name in operation])
        if op == "exists":
            return not code
        return out.decode().strip() or None

    def _compare_and_set(self, key: str, expect: str | None, new: str) -> object:
        expected = ["--expect-absent"] if expect is None else ["--expect", expect]
        code, out = self._kvcli("cas", key, new, *expected, "--json")
        return [json.loads(out).get("value")] if code else True

    def _batch(self, operation: Operation) -> object:
        operations = operation.get("operations", [operation])
        out = self._kvcli("batch", "--atomic", source=b"".join([line(each, {}) for each in operations]))[1]
        lines = [json.loads(answer) for answer in out.splitlines()]
        answers = [told(each, answer, {}) for each, answer in zip(operations, lines, strict=True)]
        return answers if operation["op"] == "atomic" else answers[0]

    def _kvcli(self, *words: str, source: bytes = b"") -> tuple[int, bytes]:
        child = start([*KVCLI, *words, "-s", self._path])
        out, err = child.communicate(source)
        assert child.returncode in {0, 1, 3}, err.decode()
        return child.returncode, out


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start a process that also holds our stdout, which so ends when the last of us has ended."""
    held = os.dup(1)
    try:
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[held])
    finally:
        os.close(held)


def line(operation: Operation, tokens: dict[str, str]) -> bytes:
    """Write an operation as batch reads it."""
    said: dict[str, Any] = operation
    if operation["op"] == "see":
        said = {"op": "get", "key": operation["key"], "token": True}
    elif operation["op"] == "swap":
        token = tokens.pop(operation["handle"])
        said = {"op": "cas", "key": operation["key"], "token": token, "new": operation["new"]}
    return json.dumps(said).encode() + b"\n"


def told(operation: Operation, answer: dict[str, Any], tokens: dict[str, str]) -> object:
    """Read an answer of batch."""
    assert answer["ok"] or answer["error"]["code"] == "conflict", answer
    match operation["op"]:
        case "see":
            tokens[operation["handle"]] = answer["token"]
        case "swap" | "cas":
            if "then" in operation and not answer["ok"]:
                tokens[operation["then"]] = answer["token"]
            return answer["ok"] or [answer.get("value")]
        case "get_many":
            return [each.get("value") for each in answer["items"]]
    return answer.get("exists", answer.get("value"))


def as_text(value: bytes | None) -> str | None:
    """Give a value as the model has it."""
    return None if value is None else value.decode()


CLIENTS: dict[str, Callable[[str], Library | Coprocess | Commands]] = {
    "library": Library,
    "coprocess": Coprocess,
    "commands": Commands,
}
