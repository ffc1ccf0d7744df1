"""NDJSON: sets as batch reads them, one a line; or any JSON records, of which one field is the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kvcli.errors import KvError, MalformedData
from kvcli.formats import Records, text_blocks
from kvcli.operations import Malformed, Set
from kvcli.operations.answers import encode_lines, text
from kvcli.operations.decoding import decode_block
from kvcli.operations.lane import read_sets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.formats import Pair
    from kvcli.operations.lines import Block

decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def write(pages: Iterator[list[Pair]]) -> Iterator[bytes]:
    """Write pairs as sets, which batch and import read."""
    for page in pages:
        yield encode_lines([{"op": "set", **text("key", key), **text("value", value)} for key, value in page])


def read(handle: int, key: str | None = None, value: str | None = None) -> Iterator[Records]:
    """Read sets; or records whose field `key` is the key and whose field `value`, else all of it, the value."""
    for block in text_blocks(handle):
        sets = read_sets(block) if key is None else None
        if sets is not None:
            yield Records(sets.pairs, block.read)
            continue
        pairs: list[Pair] = []
        try:
            pairs.extend(sets_of(block) if key is None else records_of(block, key, value))
        finally:  # What stands before a bad line is good.
            yield Records(pairs, block.read)


def sets_of(block: Block) -> Iterator[Pair]:
    """Read sets, one by one. Raises MalformedData."""
    return map(set_pair, decode_block(block))


def records_of(block: Block, key: str, value: str | None) -> Iterator[Pair]:
    """Read records, one by one. Raises MalformedData."""
    return (record_pair(line, place, key, value) for line, place in numbered(block))


def numbered(block: Block) -> Iterator[tuple[bytes, str]]:
    """Give the lines that are not blank, and what to call each."""
    for number, line in enumerate(block.lines, block.number):
        if line and not line.isspace():
            yield line, f"line {number}"


def set_pair(operation: Any) -> Pair:
    """Give the pair of a set. Raises MalformedData for anything else."""
    if isinstance(operation, Malformed):
        raise operation.error
    if not isinstance(operation, Set) or operation.bucket is not None:
        raise MalformedData("import takes sets without a bucket; kvcli batch runs other operations")
    return operation.key.encode("utf-8", "surrogateescape"), operation.value.encode("utf-8", "surrogateescape")


def record_pair(line: bytes, place: str, key: str, value: str | None) -> Pair:
    """Take key and value out of a record. What is no text in JSON stays as it is written there."""
    try:
        line.decode()  # What is not decoded but kept as it is written may be anything, to msgspec.
        fields = decode_fields(line)
        missing = [name for name in (key, value) if name is not None and name not in fields]
        if missing:
            raise MalformedData(f"no field {missing[0]!r}")
        return plain(fields[key]), line.strip() if value is None else plain(fields[value])
    except UnicodeDecodeError as error:
        raise MalformedData(f"{place}: byte {error.start} of a text is no UTF-8") from error
    except (msgspec.MsgspecError, ValueError, RecursionError, KvError) as error:
        raise MalformedData(f"{place}: {error}") from error


def plain(raw: msgspec.Raw) -> bytes:
    """Give the text of a JSON string, or the JSON of anything else."""
    written = bytes(raw)
    return msgspec.json.decode(written, type=str).encode() if written[:1] == b'"' else written
