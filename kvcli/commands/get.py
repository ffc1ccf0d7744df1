"""kvcli get: the bytes of one value."""

from __future__ import annotations

from kvcli.commands import Record
from kvcli.errors import NoSuchKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, key: str, *, raw: bool = False, output: str | None = None, token: bool = False) -> Record:
    """Get the value of `key` (store.wit, `get`); `token` adds what cas --token wants. Raises NoSuchKey."""
    bucket = context.bucket_to_read()
    if token:
        return _with_token(context, key, raw, output)
    value = bucket.get(key)
    if value is None:
        raise missing(context, key)
    return _record(bucket.raw(key), value, raw, output)


def missing(context: Context, key: str) -> NoSuchKey:
    """Make the error for a key that is not there."""
    error = NoSuchKey(f"no key {key!r} in bucket {context.bucket_name!r}")
    error.is_answer = True
    return error


def _record(key: bytes, value: bytes, raw: bool, output: str | None) -> Record:
    record = Record({"key": key, "value": value}, value, verbatim=True)
    record.raw, record.output = raw, output
    return record


def _with_token(context: Context, key: str, raw: bool, output: str | None) -> Record:
    from kvcli.atomics import Cas

    cas, value = Cas.new_with_read(context.bucket_to_read(), key)
    name = key.encode("utf-8", "surrogateescape")
    if value is None:
        record = Record({"key": name, "found": False})
        record.error = missing(context, key)
        record.exit_code = record.error.exit_code
    else:
        record = _record(name, value, raw, output)
    record.note = record.fields["token"] = cas.token()
    return record
