"""A bucket by commands: one command line each, in this process or, now and then, one of its own; or lines of the REPL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from kvcli.cli.output import Output
from kvcli.repl.line import parse, quoted
from kvcli.repl.session import Session
from tests.models.lines import UNSAID, Lines, Refused, unfielded
from tests.models.running import Ran, captured, run
from tests.processes import ROOT

APART = 250  # Of so many command lines one runs in a process of its own.


class Data(str):
    """A word that is data: the REPL has it in quotes."""

    __slots__ = ()


class Words(Lines):
    """One bucket, by the command line."""

    says_nul = False

    def __init__(self, path: str, bucket: str) -> None:
        """Name the bucket."""
        self._path, self._name = path, bucket
        self._count = 0

    def run(self, words: list[str], stdin: bytes = b"") -> Ran:
        """Run one command line."""
        self._count += 1
        whole = self._whole(words)
        if self._count % APART or any("\0" in word for word in whole):
            return run(whole, stdin)
        raws = [os.fsencode(word) for word in whole]
        ran = subprocess.run([sys.executable, "-m", "kvcli", *raws], input=stdin, capture_output=True, cwd=ROOT)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def _whole(self, words: list[str]) -> list[str]:
        return [*words[:1], "-s", self._path, "-b", self._name, *words[1:]]

    def _json(self, *words: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run a command and read its JSON. Raises Refused, whose exit code is that of the table."""
        ran = self.run([words[0], "--json", *words[1:]], stdin)
        fields: dict[str, Any] = json.loads(ran.out) if ran.out else {}
        if ran.code and "token" not in fields and "exists" not in fields:
            refused = Refused(json.loads(ran.err.splitlines()[-1])["error"]["code"])
            assert ran.code == refused.exit_code
            raise refused
        fields["exit_code"] = ran.code
        return fields

    def _key(self, key: str) -> list[str]:
        return ["--", Data(key)] if key.startswith("-") else [Data(key)]

    def _value(self, value: bytes) -> tuple[str, bytes]:
        """Give a word, and what is on stdin for it."""
        text = value.decode("utf-8", "surrogateescape")
        if len(value) > 100 or "\0" in text or text == "-":
            return "-", value
        return Data(text.replace("@", "@@", 1) if text.startswith("@") else text), b""

    def get(self, key: str) -> bytes | None:
        """Command get."""
        try:
            return unfielded("value", self._json("get", *self._key(key)))
        except Refused as error:
            if error.code != "no-such-key":
                raise
            return None

    def exists(self, key: str) -> bool:
        """Command exists."""
        answer = self._json("exists", *self._key(key))
        assert answer["exit_code"] == 1 - answer["exists"]
        return bool(answer["exists"])

    def set(self, key: str, value: bytes) -> None:
        """Command set."""
        self._set(key, value)

    def _set(self, key: str, value: bytes, *options: str) -> None:
        word, stdin = self._value(value)
        self._json("set", *options, *self._key(key), word, stdin=stdin)

    def delete(self, key: str) -> None:
        """Command delete."""
        self._json("delete", *self._key(key))

    def set_if(self, key: str, value: bytes, present: bool) -> bool:
        """Command set with a condition."""
        try:
            self._set(key, value, "--if-present" if present else "--if-absent")
        except Refused as error:
            if error.code != "conflict":
                raise
            return False
        return True

    def compare_and_set(self, key: str, expected: bytes | None, value: bytes) -> None:
        """Command cas against a value."""
        condition = ["--expect-absent"] if expected is None else ["--expect", self._word(expected)]
        if not self._json("cas", *condition, "--", Data(key), self._word(value))["swapped"]:
            raise Refused("conflict")

    def _word(self, value: bytes) -> str:
        text = value.decode("utf-8", "surrogateescape")
        return Data(text.replace("@", "@@", 1) if text.startswith("@") else text)

    def increment(self, key: str, delta: int) -> int:
        """Command incr."""
        return int(self._json("incr", *self._key(key), Data(delta))["value"])

    def batch(self, file: str) -> Ran:
        """Command batch."""
        return self.run(["batch", "--atomic", Data(file)])

    def get_many(self, keys: list[str]) -> object:
        """Nothing on a command line but batch."""
        del keys
        return UNSAID

    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        """Command batch, which is one transaction here."""
        self.program([("set", key, value) for key, value in pairs])

    def delete_many(self, keys: list[str]) -> object:
        """Command delete with many keys; none is a usage error there."""
        return self._json("delete", "--", *map(Data, keys))["deleted"] if keys else UNSAID

    def page(self, prefix: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """Command list; the last line of JSON is the cursor."""
        options = [*(["--prefix", Data(prefix)] if prefix else []), *(["--cursor", cursor] if cursor else [])]
        ran = self.run(["list", "--json", "--limit", str(limit), *options])
        assert ran.code == 0, ran
        *rows, last = [json.loads(line) for line in ran.out.splitlines()]
        raws = [unfielded("key", row) or b"" for row in rows]
        return [raw.decode("utf-8", "surrogateescape") for raw in raws], last["cursor"]

    def look(self, key: str) -> tuple[bytes | None, str]:
        """Command get with a token."""
        answer = self._json("get", "--token", *self._key(key))
        return unfielded("value", answer), answer["token"]

    def swap(self, key: str, seen: str, value: bytes) -> tuple[bytes | None, str] | None:
        """Command cas against a token."""
        answer = self._json("cas", "--token", seen, "--", Data(key), self._word(value))
        assert answer["exit_code"] == (0 if answer["swapped"] else 3)
        return None if answer["swapped"] else (unfielded("value", answer), answer["token"])


class Typed(Words):
    """One bucket, by lines of a REPL, which stays; `lines` are those that went well, and `out` is what they printed."""

    says_nul = True

    def __init__(self, path: str, bucket: str) -> None:
        """Start a session."""
        super().__init__(path, bucket)
        self._session = Session({"store": path, "bucket": bucket})
        self.lines: list[str] = []
        self.out = b""

    def run(self, words: list[str], stdin: bytes = b"") -> Ran:
        """Run one line."""
        del stdin
        line = " ".join([self._typed(word) for word in words])
        ran = captured(lambda: self._session.run(parse(line), Output()))
        if not ran.code:
            self.lines.append(line)
            self.out += ran.out
        return ran

    def _typed(self, word: str) -> str:
        if not isinstance(word, Data):
            return word
        return f"'{word}'" if word.startswith("-") else quoted(word)

    def _value(self, value: bytes) -> tuple[str, bytes]:
        return self._word(value), b""

    def _key(self, key: str) -> list[str]:
        return [Data(key)]

    def begin(self) -> None:
        """Begin a transaction."""
        assert self.run(["begin"]).code == 0

    def commit(self) -> object:
        """Commit it."""
        ran = self.run(["commit"])
        if ran.code:
            raise Refused("conflict" if ran.code == 3 else "internal")
        return UNSAID

    def rollback(self) -> None:
        """Forget it."""
        assert self.run(["rollback"]).code == 0

    def close(self) -> None:
        """End the session."""
        self._session.close()
