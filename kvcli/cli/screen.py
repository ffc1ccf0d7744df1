"""What a person sees: text that cannot act on the terminal, and tables."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from kvcli.commands import Listing, Table

# Letters and marks that take no place on the screen, though str.isprintable says they show.
INVISIBLE = {
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0",
    *map(chr, range(0xFE00, 0xFE10)),  # Variation selectors: each one can hide a byte.
    *map(chr, range(0xE0100, 0xE01F0)),
}
NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\e"}


def escape_line(text: str) -> str:
    """Show control, bidirectional and zero-width characters, newline included, as escapes."""
    if text.isprintable() and text.isascii():
        return text
    return "".join([char if char.isprintable() and char not in INVISIBLE else _escaped(char) for char in text])


def escape_lines(value: bytes) -> str:
    """Escape a value; its newlines stay, as they are how text is laid out."""
    return "\n".join([escape_line(line) for line in _decode(value).split("\n")])


def escape_text(value: bytes) -> bytes:
    """Escape a value for a terminal."""
    return for_terminal(escape_lines(value))


def for_terminal(text: str) -> bytes:
    """Give text in the encoding of the terminal: what is harmless in UTF-8 is not so in another."""
    return text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "backslashreplace")


def escape_json(lines: bytes) -> bytes:
    """Leave nothing in lines of JSON that could act on a terminal. Such characters stand in strings only, so JSON it stays."""
    return "".join([char if " " <= char <= "~" or char == "\n" else _in_json(char) for char in lines.decode()]).encode()


def escape_page(page: list[tuple[bytes, bytes | None]], _listing: Listing, _terminal: bool) -> bytes:
    """Escape a page of a listing: one key a line, or key and value beside each other."""
    lines = ["  ".join([escape_line(_decode(part)) for part in pair if part is not None]) for pair in page]
    return for_terminal("\n".join(lines) + "\n")


def print_table(table: Table, file: TextIO) -> None:
    """Print a table to a terminal, in colour where its user wants that."""
    from rich import box
    from rich.console import Console
    from rich.table import Column
    from rich.table import Table as RichTable
    from rich.text import Text

    names = list(table.rows[0]) if table.rows else []
    if table.tall:
        grid = RichTable.grid("name", Column(overflow="fold"), padding=(0, 2))
        for name in names:
            grid.add_row(Text(name, style="bold"), Text(_cell(table.rows[0][name])))
    else:
        grid = RichTable(*[Column(name, overflow="fold") for name in names], box=box.SIMPLE_HEAD)
        for row in table.rows:
            cells = [row[name] for name in names]
            grid.add_row(*[Text(_cell(each), justify="right" if isinstance(each, int) else "left") for each in cells])
    Console(file=file, highlight=False, soft_wrap=False).print(grid)


def _cell(value: object) -> str:
    if isinstance(value, bytes):
        return escape_line(_decode(value))
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else escape_line(str(value))


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _in_json(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join([f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)])


def _escaped(char: str) -> str:
    code = ord(char)
    if char in NAMED:
        return NAMED[char]
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{{{code:x}}}"
