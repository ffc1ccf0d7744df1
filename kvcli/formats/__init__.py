"""Formats: pairs of a bucket as text that other programs read, and such text as pairs. export and import come here."""

from __future__ import annotations

from kvcli.errors import MalformedData
from kvcli.operations.lines import LINE_BYTES_MAX, TOO_LONG, blocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.operations.lines import Block

Pair = tuple[bytes, bytes]
FORMATS = ("ndjson", "csv", "dump")
KEY, VALUE = "key", "value"


class Records:
    """Some records of a source, and how many of its bytes were read when they were whole."""

    __slots__ = ("pairs", "read")

    def __init__(self, pairs: list[Pair], read: int) -> None:
        """Hold them."""
        self.pairs = pairs
        self.read = read


def text_blocks(handle: int) -> Iterator[Block]:
    """Read blocks of lines. Raises MalformedData for a line that is too long."""
    for block in blocks(handle):
        if not block.text and any(line is TOO_LONG for line in block.lines):
            raise MalformedData(f"line {block.number}: longer than {LINE_BYTES_MAX} bytes")
        yield block


def guess(file: str, start: bytes) -> str:
    """Tell the format of a file by its name and its first bytes."""
    if start.startswith(b"VERSION="):
        return "dump"
    return "csv" if file.endswith(".csv") else "ndjson"
