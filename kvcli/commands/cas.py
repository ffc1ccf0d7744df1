"""kvcli cas: write a value if nobody else did meanwhile."""

from __future__ import annotations

import os

from kvcli.atomics import Cas, compare_and_set, swap
from kvcli.commands import Record
from kvcli.commands.source import bounded, read_value
from kvcli.engine.transaction import NO_IDENTITY
from kvcli.errors import CasFailed, CommandFailed, InvalidArgument, MalformedData
from kvcli.token import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.store import Bucket

UPDATES_MAX = 100


def run(
    context: Context,
    key: str,
    words: list[str] | None = None,
    *,
    expect: str | None = None,
    expect_absent: bool = False,
    token: str | None = None,
    update: bool = False,
) -> Record:
    """Swap the value of `key` for `words[0]`, or for what the command `words` makes of it (atomics.wit, `swap`)."""
    words = words or []
    if (expect is not None) + expect_absent + (token is not None) + update != 1:
        raise InvalidArgument("say what the key must hold: one of --expect, --expect-absent, --token or --update")
    if update:
        return _update(context, key, words)
    if len(words) != 1:
        raise InvalidArgument("name one new value: kvcli cas KEY NEW --expect OLD")
    if expect == "-" == words[0]:
        raise InvalidArgument("only one of the two values can come from stdin")
    new = read_value(context, words[0])
    expected = None if expect is None else read_value(context, expect)
    # A store that is not there holds nothing to expect, and gave no token but that of an absent key.
    make = expect is None and (token is None or unpack(token)[0] == NO_IDENTITY)
    bucket = context.bucket_to_write(key, make=make)
    try:
        if token is None:
            compare_and_set(bucket, key, expected, new)
        else:
            swap(Cas.from_token(bucket, key, token), new)
    except CasFailed as error:
        return _lost(bucket, error)
    return Record({"key": bucket.raw(key), "swapped": True})


def _lost(bucket: Bucket, error: CasFailed) -> Record:
    found = {} if error.value is None else {"value": error.value}
    record = Record(
        {
            "key": bucket.raw(error.cas.key),
            "swapped": False,
            "found": error.value is not None,
            **found,
            "token": error.cas.token(),
        }
    )
    record.error = error
    record.exit_code = error.exit_code
    return record


def _update(context: Context, key: str, command: list[str]) -> Record:
    if not command:
        raise InvalidArgument("name the command that makes the new value: kvcli cas KEY --update -- CMD...")
    bucket = context.bucket_to_write(
        key, make=context.create
    )  # CMD may fail, and then nothing is made but what was asked for.
    cas, value = Cas.new_with_read(bucket, key)
    for attempt in range(1, UPDATES_MAX + 1):
        try:
            new = _pipe(command, value)
            cas.bucket = bucket = context.bucket_to_write(key)
            swap(cas, new)
        except CasFailed as error:
            lost, cas, value = error, error.cas, error.value
        else:
            return Record({"key": bucket.raw(key), "swapped": True, "attempts": attempt})
    return _lost(bucket, lost)


def _pipe(command: list[str], value: bytes | None) -> bytes:
    """Give what `command` prints for a value on its stdin; no transaction is open meanwhile."""
    from kvcli.commands.child import PIPE, exit_code, start

    with os.fdopen(os.memfd_create("value"), "w+b") as file:
        file.write(value or b"")  # Not to a pipe: somebody would have to fill that while the other one is read.
        file.seek(0)
        with start(command, stdin=file.fileno(), stdout=PIPE) as child:
            try:
                new = bounded(child.stdout)  # type: ignore[arg-type]
            except MalformedData:
                child.terminate()  # It may never write again, and so not learn that nobody reads.
                raise
    if code := exit_code(child):
        raise CommandFailed(f"{command[0]!r} ended with {code}; nothing was changed", code)
    return new
