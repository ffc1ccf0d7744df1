"""A bucket by `kvcli batch` as a co-process: a line is written, and its answer read, before the next one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from binascii import a2b_base64, b2a_base64
from typing import Any

from kvcli import errors
from kvcli.errors import KvError
from tests.models.dictionary import Step, bytes_of
from tests.models.running import Ran, run
from tests.processes import ROOT

UNSAID = ("unsaid",)  # An answer that the way does not give.
CODES = {each.code: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, KvError)}


class Refused(KvError):
    """An error that was told as text; its code is one of ours."""

    def __init__(self, code: str) -> None:
        """Carry the code."""
        super().__init__(code)
        self.code = code
        self.exit_code = CODES[code].exit_code


def field(name: str, raw: bytes) -> dict[str, str]:
    """Write bytes as a field of JSON."""
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_b64": b2a_base64(raw, newline=False).decode()}


def unfielded(name: str, fields: dict[str, Any]) -> bytes | None:
    """Read bytes from a field of JSON; None where it is not there."""
    if f"{name}_b64" in fields:
        assert name not in fields
        return a2b_base64(fields[f"{name}_b64"], strict_mode=True)
    return None if name not in fields else bytes_of(fields[name])


class Process:
    """The co-process."""

    def __init__(self, path: str) -> None:
        """Start it."""
        words = [sys.executable, "-m", "kvcli", "batch", "--keep-going", "-s", path]
        self._child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
        )
        self._number = 0
        self._failed = False

    def ask(self, **fields: object) -> dict[str, Any]:
        """Write a line and read its answer. Raises Refused."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps({**fields, "id": [self._number, "\u00e9"]}).encode() + b"\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        assert (answer["i"], answer["id"], answer["op"]) == (self._number, [self._number, "\u00e9"], fields["op"])
        self._number += 1
        self._failed |= not answer["ok"]
        if not answer["ok"] and "token" not in answer:
            raise Refused(answer["error"]["code"])
        return answer

    def close(self) -> int:
        """End it; its exit code says whether any line failed."""
        self._child.communicate()
        assert self._child.returncode == (4 if self._failed else 0)
        return self._number


class Lines:
    """One bucket, asked by the co-process."""

    says_nul = True

    def __init__(self, process: Process, path: str, bucket: str) -> None:
        """Ask for this bucket."""
        self._process, self._path, self._name = process, path, bucket

    def _ask(self, op: str, **fields: object) -> dict[str, Any]:
        return self._process.ask(op=op, bucket=self._name, **fields)

    def get(self, key: str) -> bytes | None:
        """Op get."""
        answer = self._ask("get", **field("key", bytes_of(key)))
        assert answer["found"] == ("value" in answer or "value_b64" in answer)
        return unfielded("value", answer)

    def exists(self, key: str) -> bool:
        """Op exists."""
        found: bool = self._ask("exists", **field("key", bytes_of(key)))["exists"]
        return found

    def set(self, key: str, value: bytes) -> None:
        """Op set."""
        self._ask("set", **field("key", bytes_of(key)), **field("value", value))

    def delete(self, key: str) -> None:
        """Op delete."""
        self._ask("delete", **field("key", bytes_of(key)))

    def set_if(self, key: str, value: bytes, present: bool) -> bool:
        """Ops get and cas, which together are it for one who is alone."""
        before = self.get(key) if present else None
        if present and before is None:
            return False
        return bool(self._cas(key, value, expect=before)["ok"])

    def compare_and_set(self, key: str, expected: bytes | None, value: bytes) -> None:
        """Op cas against a value; null is an absent key."""
        if not self._cas(key, value, expect=expected)["ok"]:
            raise Refused("conflict")

    def _cas(self, key: str, value: bytes, expect: bytes | None) -> dict[str, Any]:
        expected = {"expect": None} if expect is None else field("expect", expect)
        return self._ask("cas", **field("key", bytes_of(key)), **field("new", value), **expected)

    def increment(self, key: str, delta: int) -> int:
        """Op incr; the delta is a number or text."""
        written = str(delta) if delta % 2 else delta
        return int(self._ask("incr", **field("key", bytes_of(key)), delta=written)["value"])

    def get_many(self, keys: list[str]) -> object:
        """Op get_many."""
        items = self._ask("get_many", **_keys(keys))["items"]
        assert [unfielded("key", item) for item in items] == [bytes_of(key) for key in keys]
        return [unfielded("value", item) for item in items]

    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        """Op set_many."""
        self._ask("set_many", items=[{**field("key", bytes_of(key)), **field("value", value)} for key, value in pairs])

    def delete_many(self, keys: list[str]) -> object:
        """Op delete_many, which does not say how many there were."""
        self._ask("delete_many", **_keys(keys))
        return UNSAID

    def page(self, prefix: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """Op list."""
        answer = self._ask("list", **field("prefix", bytes_of(prefix)), limit=limit, cursor=cursor)
        told = answer.get("keys_b64")
        raws = [bytes_of(key) for key in answer["keys"]] if told is None else [a2b_base64(each) for each in told]
        return [raw.decode("utf-8", "surrogateescape") for raw in raws], answer["cursor"]

    def look(self, key: str) -> tuple[bytes | None, str]:
        """Op get with a token."""
        answer = self._ask("get", **field("key", bytes_of(key)), token=True)
        return unfielded("value", answer), answer["token"]

    def swap(self, key: str, seen: str, value: bytes) -> tuple[bytes | None, str] | None:
        """Op cas against a token."""
        answer = self._ask("cas", **field("key", bytes_of(key)), **field("new", value), token=seen)
        return None if answer["ok"] else (unfielded("value", answer), answer["token"])

    def close(self) -> None:
        """Leave the co-process to the next one."""

    def program(self, steps: list[Step]) -> None:
        """Run a program with --atomic, in a command of its own."""
        handle, file = tempfile.mkstemp(dir=self._path)
        with open(handle, "wb") as opened:
            opened.write(b"\n".join([_line(*step) for step in steps]))
        ran = self.batch(file)
        answers = [json.loads(line) for line in ran.out.splitlines()]
        if ran.code:
            assert len(answers) == 1
            refused = Refused(answers[0]["error"]["code"])
            assert ran.code == (65 if refused.exit_code == 2 else refused.exit_code)
            raise refused
        assert [answer["ok"] for answer in answers] == [True] * len(steps)

    def batch(self, file: str) -> Ran:
        """Run a file of operations."""
        return run(["batch", "--atomic", file, "-s", self._path, "-b", self._name])


def _keys(keys: list[str]) -> dict[str, list[str]]:
    raws = [bytes_of(key) for key in keys]
    try:
        return {"keys": [raw.decode() for raw in raws]}
    except UnicodeDecodeError:
        return {"keys_b64": [b2a_base64(raw, newline=False).decode() for raw in raws]}


def _line(kind: str, key: str, operand: bytes | int) -> bytes:
    if kind == "fail":
        return b'{"op":"get","key":"k","bucket":"nowhere"}'
    fields: dict[str, object] = {"op": kind, **field("key", bytes_of(key))}
    if isinstance(operand, bytes) and kind == "set":
        fields |= field("value", operand)
    elif kind == "incr":
        fields["delta"] = operand
    return json.dumps(fields).encode()
