"""Answers: what each operation of a transaction is told, in order, as fields first and as lines of JSON in the end."""

from __future__ import annotations

from binascii import b2a_base64
from itertools import count
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.json import Encoder

from kvcli.errors import CasFailed, KvError
from kvcli.operations import TAGS, Malformed, Operation, Sets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Fields = dict[str, object]
RESULTS = ("all", "errors", "none")
PAGE_LINES = 5_000
ROOM_BYTES = 8 << 20  # What answers may take before they are told.
ANSWER_BYTES_MAX = 64 << 20

encode_lines = Encoder().encode_lines


class Answers:
    """The answers to operations from number `number` on, which is the next one; how many failed, and how the first did."""

    __slots__ = ("_parts", "failed", "failure", "first", "number", "rest", "weight")

    def __init__(self, number: int) -> None:
        """Start with none."""
        self.first = number
        self.number = number
        self.failed = 0
        self.failure: KvError | None = None
        self.rest: list[Operation | Malformed | Sets] = []  # They are not answered, and wait for another transaction.
        self.weight = 0
        self._parts: list[Fields | range] = []  # A range stands for sets of which there is nothing to say but ok.

    def add(self, operation: Operation, fields: Fields) -> None:
        """Answer an operation that was done."""
        self.weight += weight(fields)
        known = {} if operation.id is UNSET else {"id": operation.id}
        self._parts.append({"i": self.number, **known, "op": TAGS[type(operation)], "ok": True, **fields})
        self.number += 1

    def add_many(self, operations: Sequence[Operation], all_fields: list[Fields]) -> None:
        """Answer operations of one kind that were done: as many of them as there are answers."""
        if any(each.id is not UNSET for each in operations):
            for operation, fields in zip(operations, all_fields, strict=False):
                self.add(operation, fields)
            return
        op = TAGS[type(operations[0])]
        self._parts += [
            {"i": number, "op": op, "ok": True, **fields} for number, fields in enumerate(all_fields, self.number)
        ]
        self.number += len(all_fields)
        self.weight += sum(map(weight, all_fields))

    def add_sets(self, count: int) -> None:
        """Answer so many sets that were done, without an id."""
        self._parts.append(range(self.number, self.number + count))
        self.number += count

    def fail(self, operation: Operation | Malformed, error: KvError) -> None:
        """Answer an operation that changed nothing; a swap that was lost is told what it lost to."""
        answer: Fields = {"i": self.number}
        if operation.id is not UNSET:
            answer["id"] = operation.id
        op = operation.op if isinstance(operation, Malformed) else TAGS[type(operation)]
        if op is not None:
            answer["op"] = op
        message = str(error).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        answer |= {"ok": False, "error": {"code": error.code, "message": message}}
        if isinstance(error, CasFailed):
            answer |= {**found(error.value), "token": error.cas.token()}
        self._parts.append(answer)
        self.number += 1
        self.failed += 1
        # A traceback would keep all frames it passed through, and they the operations of this transaction.
        self.failure = self.failure or error.with_traceback(None)
        error.__context__ = error.__cause__ = None
        self.weight += weight(answer)

    def add_plain(self, are_gets: list[bool], items: list[bytes | None]) -> None:
        """Answer gets and sets that were done, without an id, by the values that were found."""
        parts = self._parts
        for number, is_get, value in zip(count(self.number), are_gets, items, strict=False):
            if not is_get:
                parts.append({"i": number, "op": "set", "ok": True})
            elif value is None:
                parts.append({"i": number, "op": "get", "ok": True, "found": False})
            else:
                try:
                    parts.append({"i": number, "op": "get", "ok": True, "found": True, "value": value.decode()})
                except UnicodeDecodeError:
                    parts.append({"i": number, "op": "get", "ok": True, **found(value)})
                self.weight += len(value)
        self.number += len(are_gets)

    def take(self, others: Answers) -> None:
        """Take over the answers to the operations that follow."""
        self._parts += others._parts
        self.number = others.number
        self.failed += others.failed
        self.failure = self.failure or others.failure
        self.weight += others.weight

    def last_failed(self) -> Answers:
        """Give the last answer alone."""
        only = Answers(self.number - 1)
        only._parts, only.number = self._parts[-1:], self.number
        return only

    def lines(self, results: str) -> Iterator[bytes]:
        """Write them as JSON, page by page: all of them, errors only, or none."""
        if results == "none":
            return
        parts = self._parts if results == "all" else [each for each in self._parts if is_failure(each)]
        start = 0
        for at, part in enumerate(parts):
            if isinstance(part, range):
                yield encode_lines(parts[start:at])
                yield from set_lines(part)
                start = at + 1
            elif at - start == PAGE_LINES:
                yield encode_lines(parts[start:at])
                start = at
        yield encode_lines(parts[start:])


def weight(fields: Fields) -> int:
    """Give about how many bytes an answer takes."""
    total = 0
    for field in fields.values():
        if isinstance(field, str):
            total += len(field)
        elif isinstance(field, list):
            total += sum([len(each) if isinstance(each, str) else weight(each) for each in field])
    return total


def is_failure(part: Fields | range) -> bool:
    """Tell whether this is the answer of a failure."""
    return not isinstance(part, range) and not part["ok"]


def set_lines(numbers: range) -> Iterator[bytes]:
    """Write the answers of sets; no encoder does it faster."""
    for start in range(numbers.start, numbers.stop, PAGE_LINES):
        page = range(start, min(start + PAGE_LINES, numbers.stop))
        yield "".join([f'{{"i":{number},"op":"set","ok":true}}\n' for number in page]).encode()


def found(value: bytes | None) -> Fields:
    """Give the fields of a value, or of an absent one."""
    return {"found": False} if value is None else {"found": True, **text("value", value)}


def text(name: str, raw: bytes) -> Fields:
    """Give bytes as a field: text where they are UTF-8, else base64 in one of another name."""
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_b64": b2a_base64(raw, newline=False).decode()}
