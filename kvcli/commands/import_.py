"""kvcli import: pairs from text, in transactions of many."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from kvcli.batch import CHUNK_BYTES, CHUNK_PAIRS, put_pairs
from kvcli.commands import Progress, Record
from kvcli.errors import InvalidArgument, InvalidKey, MalformedData
from kvcli.formats import FORMATS, KEY, VALUE, dump, guess, ndjson, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.engine.update import Update
    from kvcli.formats import Pair, Records
    from kvcli.store import Bucket


def run(
    context: Context,
    file: str = "-",
    *,
    format: str | None = None,  # noqa: A002 - the option's name
    key: str | None = None,
    value: str | None = None,
    resume: bool = False,
) -> Progress:
    """Set all pairs of `file`. With `resume`, those that an interrupted import of it has set are left out."""
    if format is not None and format not in FORMATS:
        raise InvalidArgument(f"--format is one of {', '.join(FORMATS)}")
    handle = context.input(file)
    if format is None:
        format = guess(file, _start(handle))  # noqa: A001
    if format == "dump" and (key or value):
        raise InvalidArgument("a dump has no columns: --key and --value are for CSV and NDJSON")
    if format == "ndjson" and value and not key:
        raise InvalidArgument("--value needs --key: a record has one of each")
    job = Import(context, note_name(context.bucket_name, file, format), resume=resume)
    job.progress.total = os.fstat(handle).st_size or None
    if format == "ndjson":
        records = ndjson.read(handle, key, value)
    else:
        records = table.read(handle, key or KEY, value or VALUE) if format == "csv" else dump.read(handle)
    job.progress.steps = job.run(records)
    return job.progress


class Import:
    """One import: it sets pairs chunk by chunk, and notes with each chunk how far it is."""

    def __init__(self, context: Context, note: bytes, *, resume: bool) -> None:
        """Do nothing yet."""
        self._told: dict[str, object] = {}
        self.progress = Progress(iter(()), Record(self._told))
        self._context = context
        self._note = note
        self._resume = resume
        self._count = 0
        self._bad: MalformedData | None = None

    def run(self, source: Iterator[Records]) -> Iterator[int]:
        """Set all pairs; give, now and then, how many bytes of the source were read."""
        bucket = self._context.bucket_to_write()
        left_out = self._noted(bucket) if self._resume else 0
        pending: list[Pair] = []
        held = before = 0
        for records in self._good(source):
            skipped = min(left_out, len(records.pairs))
            left_out -= skipped
            self._count += skipped
            pending += records.pairs[skipped:]
            held, before = held + records.read - before, records.read
            if len(pending) >= CHUNK_PAIRS or held >= CHUNK_BYTES:
                self._set(bucket, pending)
                pending, held = [], 0
                yield records.read
        if left_out and self._bad is None:
            raise MalformedData("there are fewer records than an earlier import took: this is another file")
        self._set(bucket, pending, last=self._bad is None)
        if self._bad is not None:
            raise MalformedData(f"{self._bad} ({self._count:,} records before it were imported)") from self._bad
        self._told["imported"] = self._count

    def _good(self, source: Iterator[Records]) -> Iterator[Records]:
        """Give the records up to a bad one, and keep what is wrong with that."""
        try:
            yield from source
        except MalformedData as error:
            self._bad = error

    def _noted(self, bucket: Bucket) -> int:
        noted = bucket.store.read(lambda snapshot: snapshot.noted(self._note))
        return 0 if noted is None else int.from_bytes(noted, "big")

    def _set(self, bucket: Bucket, pairs: list[Pair], *, last: bool = False) -> None:
        count = self._count + len(pairs)

        def note(update: Update) -> None:
            update.note(self._note, None if last else count.to_bytes(8, "big"))

        try:
            put_pairs(bucket, pairs, note)
        except InvalidKey:
            self._set_up_to_a_bad_key(bucket, pairs)
            raise
        self._count = count

    def _set_up_to_a_bad_key(self, bucket: Bucket, pairs: list[Pair]) -> None:
        """Set what stands before it. Raises MalformedData with its number."""
        for at, (key, _) in enumerate(pairs):
            try:
                bucket.check(key)
            except InvalidKey as error:
                self._set(bucket, pairs[:at])
                count = self._count
                raise MalformedData(f"record {count + 1}: {error} ({count:,} records were imported)") from error


def note_name(bucket: str, file: str, format: str) -> bytes:  # noqa: A002
    """Name an import, so that another run of it finds how far this one came."""
    source = "-" if file == "-" else os.path.realpath(file)
    words = repr((bucket, source, format)).encode("utf-8", "surrogateescape")
    return b"import:" + blake2b(words, digest_size=16).digest()


def _start(handle: int) -> bytes:
    try:
        return os.pread(handle, 8, 0)
    except OSError:  # A pipe: it has no start to look at.
        return b""
