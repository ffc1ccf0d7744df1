"""CSV as in RFC 4180, in UTF-8: a row of names, then a row for each pair. Columns called NAME_b64 hold base64."""

from __future__ import annotations

import csv
import io
from binascii import Error, a2b_base64, b2a_base64
from typing import TYPE_CHECKING

from kvcli.errors import MalformedData
from kvcli.formats import KEY, VALUE, Records, text_blocks
from kvcli.operations.lines import LINE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.formats import Pair

BASE64 = "_b64"


def write(pages: Iterator[list[Pair]], key: str = KEY, value: str = VALUE, *, base64: bool = False) -> Iterator[bytes]:
    """Write pairs in two columns. Raises MalformedData for what is no text, unless it is to be base64."""
    names = (key + BASE64, value + BASE64) if base64 else (key, value)
    yield row_text([names])
    for page in pages:
        yield row_text([(cell(one, base64), cell(two, base64)) for one, two in page])


def row_text(rows: list[tuple[str, str]]) -> bytes:
    """Write rows."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def cell(raw: bytes, base64: bool) -> str:
    """Give the text of a cell."""
    if base64:
        return b2a_base64(raw, newline=False).decode()
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedData("there are bytes that are no UTF-8: say --base64, or --format ndjson") from error


def read(handle: int, key: str = KEY, value: str = VALUE) -> Iterator[Records]:
    """Read the columns `key` and `value`. Raises MalformedData with the number of the line."""
    source = Source(handle)
    csv.field_size_limit(LINE_BYTES_MAX)
    rows = csv.reader(source, strict=True)
    try:
        names = next(rows, [])
        (key_at, key_base64), (value_at, value_base64) = column(names, key), column(names, value)
        for row in rows:
            if row:
                check_width(row, names)
                pair = content(row[key_at], key_base64), content(row[value_at], value_base64)
                yield Records([pair], source.read)
    except (csv.Error, ValueError) as error:
        raise MalformedData(f"line {rows.line_num}: {error}") from error


def check_width(row: list[str], names: list[str]) -> None:
    """Raise ValueError for a row of another width than the first."""
    if len(row) != len(names):
        raise ValueError(f"{len(row)} cells, and the first row has {len(names)}")


class Source:
    """The lines of a file, for the csv module, none of them without bounds."""

    def __init__(self, handle: int) -> None:
        """Read nothing yet."""
        self.read = 0
        self._handle = handle

    def __iter__(self) -> Iterator[str]:
        """Give line after line, each with its end."""
        for block in text_blocks(self._handle):
            self.read = block.read
            for line in block.lines:
                yield line.decode() + "\n"


def column(names: list[str], name: str) -> tuple[int, bool]:
    """Find a column: where it is, and whether it is base64. Raises ValueError."""
    for wanted in (name, name + BASE64):
        if wanted in names:
            return names.index(wanted), wanted != name
    raise ValueError(f"no column {name!r}; there are: {', '.join(names) or 'none'}")


def content(text: str, base64: bool) -> bytes:
    """Give the bytes of a cell. Raises ValueError."""
    try:
        return a2b_base64(text, strict_mode=True) if base64 else text.encode()
    except Error as error:
        raise ValueError("this is no base64") from error
