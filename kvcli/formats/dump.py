"""The text of mdb_dump and mdb_load: a header, then a line for each key and each value.

They stand there as hexadecimal digits, or, with mdb_dump -p, as text with escapes.
"""

from __future__ import annotations

import re
from binascii import Error, unhexlify
from typing import TYPE_CHECKING

from kvcli.errors import MalformedData
from kvcli.formats import Records, text_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvcli.formats import Pair

HEADER = "VERSION=3\nformat=bytevalue\n{database}type=btree\nmapsize={size}\nmaxreaders=126\nHEADER=END\n"
END = b"DATA=END"
SIZE_MIN = 10 << 20
SHOWN_MAX = 40  # Of what is wrong.
ESCAPE = re.compile(rb"\\(\\|[0-9a-fA-F]{2})?")
UNKEPT = ("duplicates", "dupsort", "dupfixed", "integerkey", "integerdup", "reversekey", "reversedup")


def write(pages: Iterator[list[Pair]], name: str, size: int) -> Iterator[bytes]:
    """Write pairs for mdb_load. `size` is that of the store, from which mdb_load takes the size of its map.

    The main database has no name there, and a name that is no line of text is left out: mdb_load -s gives another.
    """
    named = name != "@main" and name.isprintable()
    yield HEADER.format(database=f"database={name}\n" if named else "", size=max(SIZE_MIN, 4 * size)).encode(
        "utf-8", "surrogateescape"
    )
    for page in pages:
        yield "".join([f" {key.hex()}\n {value.hex()}\n" for key, value in page]).encode()
    yield END + b"\n"


def read(handle: int) -> Iterator[Records]:
    """Read the one database of a dump. Raises MalformedData with the number of the line."""
    lines = Lines()
    for block in text_blocks(handle):
        try:
            for number, line in enumerate(block.lines, block.number):
                lines.take(line, f"line {number}")
        finally:  # What stands before a bad line is good.
            yield Records(lines.pairs, block.read)
            lines.pairs = []
    lines.check_end()


class Lines:
    """Takes the lines of a dump, one after the other, and collects pairs."""

    def __init__(self) -> None:
        """Expect a header."""
        self.pairs: list[Pair] = []
        self._key: bytes | None = None
        self._decode: Callable[[bytes], bytes] = unhexlify
        self._take = self._take_header

    def take(self, line: bytes, place: str) -> None:
        """Take one line; `place` is what to call it. Raises MalformedData."""
        try:
            self._take(line)
        except (Error, ValueError, KeyError, MalformedData) as error:
            raise MalformedData(f"{place}: {error}") from error

    def check_end(self) -> None:
        """Raise MalformedData where the end has not come."""
        if self._take != self._take_rest:
            raise MalformedData(f"the dump ends before {END.decode()}: it was cut short")

    def _take_header(self, line: bytes) -> None:
        name, _, value = line.decode("utf-8", "surrogateescape").partition("=")
        if (name == "VERSION" and value != "3") or (name == "type" and value != "btree"):
            raise MalformedData(f"{name} is {value[:SHOWN_MAX]}: mdb_dump writes another")
        if name in UNKEPT and value == "1":
            raise MalformedData(f"the database has {name}: kvcli keeps one value for a key, in the order of bytes")
        if name == "format":
            self._decode = {"bytevalue": unhexlify, "print": unescape}[value[:SHOWN_MAX]]
        if line == b"HEADER=END":
            self._take = self._take_data
        elif not value:
            raise MalformedData("this is no header of mdb_dump")

    def _take_data(self, line: bytes) -> None:
        if line == END and self._key is None:
            self._take = self._take_rest
            return
        if line[:1] != b" ":
            raise MalformedData("a key or a value starts with a space")
        data = self._decode(line[1:])
        if self._key is None:
            self._key = data
        else:
            self.pairs.append((self._key, data))
            self._key = None

    def _take_rest(self, line: bytes) -> None:
        if line.strip():
            raise MalformedData("the dump holds more than one database: mdb_dump -s NAME dumps one")


def unescape(written: bytes) -> bytes:
    """Read the text of mdb_dump -p, as mdb_load does."""
    if b"\\" not in written:
        return written
    data, at, view = bytearray(), 0, memoryview(written)
    for match in ESCAPE.finditer(written):  # Not by ESCAPE.sub, which keeps every part as an object of its own.
        data += view[at : match.start()]
        at = match.end()
        if match[1] is None:  # Older ones print a backslash as it is, so that nobody knows what follows it.
            raise MalformedData("a backslash that escapes nothing: dump again without -p")
        data += match[1] if match[1] == b"\\" else unhexlify(match[1])
    data += view[at:]
    return bytes(data)
