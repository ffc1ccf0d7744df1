"""kvcli batch: JSON in, JSON out, at the speed of the engine."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

from kvcli.batch import CHUNK_BYTES, CHUNK_PAIRS
from kvcli.commands import Stream
from kvcli.engine import is_remote
from kvcli.errors import BatchFailed, Full, InvalidArgument, NoSuchStore, ReadOnly
from kvcli.operations import Malformed, Sets
from kvcli.operations.answers import RESULTS, Answers
from kvcli.operations.decoding import decode_block
from kvcli.operations.lane import read_sets
from kvcli.operations.lines import blocks
from kvcli.operations.running import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any

    from kvcli.commands.context import Context
    from kvcli.errors import KvError
    from kvcli.operations import Operation
    from kvcli.operations.lines import Block
    from kvcli.store import Store

    Operations = list[Operation | Malformed | Sets]

SPREAD_OPERATIONS = 16_000  # In a large one each operation may dirty a page of its own, and pages take memory.
SMALL_STORE_BYTES = 256 << 20
PAGE_BYTES = 1 << 20


class Rollback(Exception):
    """Ends a transaction that is to leave nothing behind."""


def run(
    context: Context,
    file: str = "-",
    *,
    keep_going: bool = False,
    atomic: bool = False,
    chunk: int | None = None,
    results: str = "all",
    dry_run: bool = False,
) -> Stream:
    """Run the operations of `file`, each with an answer, which is given once what it says is durable."""
    if results not in RESULTS:
        raise InvalidArgument(f"--results is one of {', '.join(RESULTS)}")
    if chunk is not None and chunk < 1:
        raise InvalidArgument("--chunk is at least 1")
    if atomic and (keep_going or chunk is not None):
        raise InvalidArgument(
            "--atomic is one transaction, and ends with the first failure: no --chunk, no --keep-going"
        )
    batch = Batch(context, keep_going=keep_going, chunk=1 if dry_run else chunk, results=results)
    handle = context.input(file)
    stream = batch.stream
    stream.pages = batch.check(handle) if dry_run else batch.run_atomically(handle) if atomic else batch.run(handle)
    return stream


class Batch:
    """One run: it turns input into pages of answers, and says at the end how it ended."""

    def __init__(self, context: Context, *, keep_going: bool, chunk: int | None, results: str) -> None:
        """Take what was asked for."""
        self.stream = Stream(iter(()))
        self._context = context
        self._keep_going = keep_going
        self._chunk = chunk
        self._results = results
        self._limit = chunk or CHUNK_PAIRS
        self._count = 0
        self._failed = 0
        self._paused = False
        self._gets: int | None = None  # How many go at once where they fly, as values have been so far.

    def run(self, handle: int) -> Iterator[bytes]:
        """Run chunk after chunk, a transaction each. While one becomes durable, the next is decoded if it is there."""
        self._reach()
        chunks = self._chunks(handle)
        ahead: list[Operations | Exception] = []

        def read_ahead() -> None:
            try:
                if not ahead:
                    ahead.extend(islice(chunks, 1))
            except Exception as error:  # noqa: BLE001 - it is raised once the answers to this chunk are told
                ahead.append(error)

        while coming := ahead or list(islice(chunks, 1)):
            operations, ahead = coming[0], []
            if isinstance(operations, Exception):
                raise operations
            while operations:
                answers = self._run_part(operations, None if self._paused else read_ahead)
                yield from self._tell(answers)
                if answers.failure is not None and not self._keep_going:
                    return self._fail(answers.failure)
                operations = answers.rest
        return self._sum_up()

    def run_atomically(self, handle: int) -> Iterator[bytes]:
        """Run everything in one transaction. Input may be slow, so all of it is there before the transaction begins."""
        with temporary_file() as spool, temporary_file() as answers:
            writes = makes = False
            for operations in self._chunks(handle, spool):
                for answer in self._refusals(operations):
                    yield from answer.lines(self._results)
                    return self._fail(answer.failure)
                writes |= any(each.writes for each in operations)
                makes |= any(each.makes for each in operations)
                del operations  # They are read again, and a long one is not to be in memory twice.
            store = self._open(writes=writes, makes=makes)
            try:
                (store.write if writes else store.read)(lambda txn: self._run_spooled(txn, store, spool, answers))
            except Rollback as rollback:
                (failed,) = rollback.args
                yield from failed.last_failed().lines(self._results)
                return self._fail(failed.failure)
            answers.seek(0)
            while lines := answers.readlines(PAGE_BYTES):
                yield b"".join(lines)
        return None

    def check(self, handle: int) -> Iterator[bytes]:
        """Decode only, and tell what is malformed."""
        for operations in self._chunks(handle):
            for answer in self._refusals(operations):
                self._failed += 1
                yield from answer.lines(self._results)
                if not self._keep_going:
                    return self._fail(answer.failure)
        return self._sum_up()

    def _refusals(self, operations: Operations) -> Iterator[Answers]:
        """Count operations, and answer each that is malformed."""
        for operation in operations:
            if isinstance(operation, Malformed):
                answer = Answers(self._count)
                answer.fail(operation, operation.error)
                yield answer
            self._count += len(operation.pairs) if isinstance(operation, Sets) else 1

    def _chunks(self, handle: int, spool: IO[bytes] | None = None) -> Iterator[Operations]:
        pending: Operations = []
        count = start = 0
        for block in blocks(handle, arrays=True):
            if spool is not None:
                spool.writelines(
                    [block.text] if block.text else (part for line in block.lines for part in (line, b"\n"))
                )
            more = self._decode(block)
            pending += more
            count += sum([len(each.pairs) if isinstance(each, Sets) else 1 for each in more])
            self._paused = False
            while self._chunk is not None and len(pending) >= self._chunk:
                yield pending[: self._chunk]
                del pending[: self._chunk]
            full = self._chunk is None and (count >= self._limit or block.read - start >= CHUNK_BYTES)
            self._paused = block.paused
            if full or block.paused:
                yield pending
                pending, count, start = [], 0, block.read
        if pending:
            yield pending

    def _decode(self, block: Block) -> Operations:
        sets = read_sets(block) if self._chunk is None else None
        return [*decode_block(block)] if sets is None else [sets]

    def _run_part(self, operations: Operations, meanwhile: Callable[[], None] | None) -> Answers:
        """Run operations in one transaction; where they cannot be, the answers have a rest that can."""
        answers = Answers(self._count)
        for bad in operations if self._keep_going else operations[:1]:
            if not isinstance(bad, Malformed):
                break
            answers.fail(bad, bad.error)
        part = operations[: answers.failed] or self._before_first_write(operations)
        if not answers.failed:
            writes, makes = any(each.writes for each in part), any(each.makes for each in part)
            try:
                store = self._open(writes=writes, makes=makes)
            except (NoSuchStore, ReadOnly) as error:
                part = operations[:1]
                refuse(answers, part[0], error)
            else:
                answers = self._run_in(store, part, writes, meanwhile)
        answers.rest += operations[len(part) :]
        return answers

    def _before_first_write(self, operations: Operations) -> Operations:
        """Leave for later what writes, where what reads has another fate: the store may not be there, or be read-only."""
        if self._context.is_open and not self._context.read_only:
            return operations
        reads = list(takewhile(lambda each: not each.writes, operations))
        return reads or operations

    def _run_in(
        self, store: Store, operations: Operations, writes: bool, meanwhile: Callable[[], None] | None
    ) -> Answers:
        program = self._program(store)
        if store.engine.flies:
            return self._fly(store, program, operations, meanwhile)

        def work(txn: Any) -> Answers:
            return program.run(txn, operations, self._count)

        answers = store.write(work, meanwhile) if writes else store.read(work)
        if self._chunk is None and not self._paused:
            large = int(store.stat()["bytes"]) > SMALL_STORE_BYTES
            self._limit = SPREAD_OPERATIONS if large else CHUNK_PAIRS
        return answers

    def _fly(
        self, store: Store, program: Program, operations: Operations, meanwhile: Callable[[], None] | None
    ) -> Answers:
        from kvcli.operations.flying import Flying

        flying = Flying(store, program, keep_going=self._keep_going, gets=self._gets)
        answers = flying.run(operations, self._count, meanwhile)
        self._gets = flying.gets
        return answers

    def _run_spooled(self, txn: Any, store: Store, spool: IO[bytes], answers: IO[bytes]) -> None:
        program = self._program(store, whole=True)
        self._count = 0  # From the start, also when the map had to grow.
        spool.seek(0)
        answers.seek(0)
        answers.truncate()
        for block in blocks(spool.fileno()):
            operations = self._decode(block)
            while operations:
                told = program.run(txn, operations, self._count)
                if told.failed:
                    raise Rollback(told)
                answers.writelines(self._tell(told))
                operations = told.rest
        answers.flush()  # Where the disk takes no answers, nothing is to be committed either.

    def _reach(self) -> None:
        """See that a server answers, before any input is taken: nothing is answered, and no line lost while a password is asked for."""
        if is_remote(self._context.location.path):
            store = self._context.store_to_read()
            if store.engine.flies:
                store.engine.reach(store.lock_timeout)

    def _open(self, *, writes: bool, makes: bool) -> Store:
        return self._context.store_to_write(make=makes) if writes else self._context.store_to_read()

    def _program(self, store: Store, *, whole: bool = False) -> Program:
        context, going = self._context, self._keep_going
        return Program(store, context.bucket_name, create=context.create, keep_going=going, whole=whole)

    def _tell(self, answers: Answers) -> Iterator[bytes]:
        self._count = answers.number
        self._failed += answers.failed
        return answers.lines(self._results)

    def _fail(self, failure: KvError | None) -> None:
        self.stream.error = BatchFailed(str(failure), failure)

    def _sum_up(self) -> None:
        if self._failed:
            self.stream.error = BatchFailed(f"{self._failed} of {self._count} operations failed")


def temporary_file() -> IO[bytes]:
    """Open a file without a name. Raises Full where no disk takes one, which Python calls a file that is not found."""
    from tempfile import TemporaryFile

    try:
        return TemporaryFile()
    except FileNotFoundError as error:
        raise Full("no disk takes temporary files: free some space, or name another folder by TMPDIR") from error


def refuse(answers: Answers, operation: Operation | Malformed | Sets, error: KvError) -> None:
    """Answer what could not even begin."""
    for each in operation.each() if isinstance(operation, Sets) else [operation]:
        answers.fail(each, error)
