"""Targets: what comes as records: the lines of batch, and the formats of import."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from unittest import mock

from kvcli.commands import Invocation, Stream, perform
from kvcli.commands.context import Context
from kvcli.engine.draft import Draft
from kvcli.errors import EXIT_CODES, KvError, MalformedData
from kvcli.formats import dump, ndjson, table
from kvcli.operations import Malformed, Operation
from kvcli.operations import lines as module
from kvcli.operations.decoding import decode_block
from kvcli.operations.lane import read_sets
from kvcli.operations.lines import Block, blocks
from kvcli.store import Store
from tests.fuzz.seeds import operations, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvcli.formats import Pair, Records
    from tests.fuzz import Target

CUTS, CUT_SMALL_BYTES = (1, 3, 7, 64), 300
WAYS: tuple[dict[str, object], ...] = (
    {},
    {"keep_going": True},
    {"atomic": True},
    {"chunk": 1},
    {"dry_run": True, "keep_going": True},
)
DUMP = b"VERSION=3\nformat=print\ntype=btree\nHEADER=END\n a\\\\b\n \\ff1\n k\n v\nDATA=END\n"
HEX = b"VERSION=3\nformat=bytevalue\ndatabase=d\ntype=btree\nmapsize=1048576\nHEADER=END\n 61\n 62\nDATA=END\n"
CSV = b'key,value\r\na,"1, ""2""\n3"\r\n"b",\r\n'


def block_of(data: bytes) -> Block:
    """Make a block as it is read."""
    return Block("line", 1, data, paused=False, read=len(data))


def lines(data: bytes) -> None:
    """Decode lines: each that is not blank has an operation or a reason, and the express lane means the same."""
    found = decode_block(block_of(data))
    assert len(found) == sum(1 for line in data.split(b"\n") if line and not line.isspace())
    assert all(isinstance(each, Operation | Malformed) for each in found)
    accepted = read_sets(block_of(data))
    assert accepted is None or accepted.each() == found


def elements(data: bytes) -> None:
    """Cut input into lines or elements: wherever it comes in pieces, these are the same."""
    size = CUTS[len(data) % len(CUTS)] if len(data) < CUT_SMALL_BYTES else CUTS[-1]
    assert cut(data, size) == cut(data, module.PIECE_BYTES)


def cut(data: bytes, size: int) -> list[bytes]:
    """Read input that comes in pieces of a size."""
    pieces = [(data[at : at + size], False) for at in range(0, len(data), size)]
    with mock.patch.object(module, "_pieces", return_value=iter(pieces)):
        return [line for block in blocks(0, arrays=True) for line in block.lines]


class Source:
    """A file that is filled anew for each input."""

    def __init__(self, folder: str) -> None:
        """Make it."""
        self.path = os.path.join(folder, "source")

    def open(self, data: bytes) -> int:
        """Fill it, and give a descriptor at its start."""
        with open(self.path, "wb") as file:
            file.write(data)
        return os.open(self.path, os.O_RDONLY)

    def reading(
        self, read: Callable[[int], Iterator[Records]], write: Callable[[list[Pair]], Iterator[bytes]]
    ) -> Target:
        """Make the target of a format: any bytes are pairs or malformed, and pairs that are written are read back."""

        def target(data: bytes) -> None:
            pairs: list[Pair] = []
            with suppress(MalformedData):
                pairs += self.pairs(read, data)
                assert self.pairs(read, b"".join(write(pairs))) == pairs

        return target

    def pairs(self, read: Callable[[int], Iterator[Records]], data: bytes) -> list[Pair]:
        """Read all pairs."""
        handle = self.open(data)
        try:
            return [pair for records in read(handle) for pair in records.pairs]
        finally:
            os.close(handle)


class Batch:
    """Runs any bytes as a batch, on a draft that is forgotten each time: nothing of it is written."""

    def __init__(self, folder: str, ends: ExitStack) -> None:
        """Make a store with something of each kind."""
        self._source = Source(folder)
        self._store = ends.enter_context(Store(os.path.join(folder, "batch")))
        self._store.create("b")
        with suppress(KvError):
            self.run(b"\n".join(operations()), {"keep_going": True}).commit(10)

    def run(self, data: bytes, way: dict[str, object]) -> Draft:
        """Run a program, and look at every answer and at how it ends."""
        os.close(self._source.open(data))
        draft = Draft(self._store.engine)
        context = Context(store=self._store.path)
        context.plan(draft)
        stream = perform(Invocation("batch", {"file": self._source.path, **way}, {}), context)
        assert isinstance(stream, Stream)
        answers = [json.loads(line) for page in stream.pages for line in page.splitlines()]
        assert [each["i"] for each in answers] == sorted({each["i"] for each in answers})
        failed = [each["error"]["code"] for each in answers if not each["ok"]]
        assert bool(failed) == (stream.error is not None), (failed, stream.error)
        code = 0 if stream.error is None else stream.error.exit_code
        assert code in EXIT_CODES
        assert code not in {2, 70}, stream.error
        assert "malformed" not in failed[:1] or code in {4, 65}
        return draft

    def target(self, data: bytes) -> None:
        """Run any bytes in one of the ways."""
        self.run(data, WAYS[len(data) % len(WAYS)])


def made(folder: str, ends: ExitStack) -> dict[str, tuple[Target, list[bytes]]]:
    """Give each target with its seeds."""
    source, json_lines = Source(folder), programs()
    sets = [b'{"op":"set","key":"a","value":"b"}', b'{"op": "set", "key": "\xc3\xa9", "value": "{v}, "}\n' * 2]
    return {
        "lines": (lines, [*json_lines, *sets]),
        "elements": (elements, json_lines),
        "batch": (Batch(folder, ends).target, [*json_lines, *sets]),
        "ndjson": (source.reading(ndjson.read, lambda pairs: ndjson.write(iter([pairs]))), [*json_lines, *sets]),
        "ndjson-records": (
            source.reading(lambda handle: ndjson.read(handle, "id", "key"), _records),
            [b'{"id":7,"key":"ann"}\n{"id":"8","key":{"a":[1.50]}}', *json_lines],
        ),
        "csv": (
            source.reading(table.read, lambda pairs: table.write(iter([pairs]))),
            [CSV, b"value_b64,key\nYQ==,k\n"],
        ),
        "dump": (source.reading(dump.read, lambda pairs: dump.write(iter([pairs]), "d", 1)), [DUMP, HEX]),
    }


def _records(pairs: list[Pair]) -> Iterator[bytes]:
    """Write pairs as records of text."""
    for key, value in pairs:
        yield json.dumps({"id": key.decode(), "key": value.decode()}).encode() + b"\n"
