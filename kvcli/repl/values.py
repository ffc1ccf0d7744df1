"""Values as a person reads them: JSON laid out, numbers, text, bytes in hexadecimal; long ones cut. Nothing acts on the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prompt_toolkit.utils import get_cwidth

from kvcli.atomics import parse_s64
from kvcli.cli.screen import escape_line, escape_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prompt_toolkit.formatted_text import StyleAndTextTuples

JSON_BYTES_MAX = 1 << 20
LINES_MAX = 60
CHARS_MAX = 8_000
HEX_BYTES_MAX = 256
CONTROLS_SHARE = 8  # One control character in so many, and it is no text that anybody wrote.
TOKEN = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*")(?=:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)
PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
OPENING, CLOSING = ("{", "["), ("}", "]")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def laid_out(value: bytes, width: int) -> tuple[StyleAndTextTuples, str]:
    """Give a value as styled text, without a newline at its end, and a note about what is not seen in it, or nothing."""
    if not value:
        return [("class:note", "(empty)")], ""
    if parse_s64(value) is not None:
        return [("class:number", value.decode())], ""
    text = _text(value)
    if text is None:
        return _cut(list(hex_lines(value, width)), value, "binary", len(value) > HEX_BYTES_MAX)
    formatted = _json(value)
    if formatted is not None:
        return _cut(formatted, value, "json")
    return _cut(text.removesuffix("\n").split("\n"), value, "", len(value) > CHARS_MAX * 4)


def summary(value: bytes, width: int) -> str:
    """Give a value in one line of a table."""
    text = _text(value[: width * 4])
    if text is None and len(value) > width * 4:
        text = _text(value[: width * 4].decode("utf-8", "ignore").encode())  # The cut may have split a character.
    if text is None:
        return f"({size(len(value))}) {value[: width // 3].hex(' ')}"[:width]
    line = escape_line(value[: width * 4].decode("utf-8", "ignore"))
    return line if get_cwidth(line) <= width and len(value) <= width * 4 else cut(line, width)


def cut(line: str, width: int) -> str:
    """Cut a line that is wider than so many columns."""
    if get_cwidth(line) < width:
        return line + "…"
    kept, used = [], 0
    for char in line:
        used += get_cwidth(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def size(count: int) -> str:
    """Write a number of bytes as people read it."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count} B" if not unit else f"{amount:.1f} {UNITS[unit]}"


def hex_lines(value: bytes, width: int) -> Iterator[str]:
    """Write the first bytes in hexadecimal, as many in a row as the terminal has room for."""
    row = next((row for row in (16, 8, 4) if 10 + row * 4 + 2 <= width), 2)
    for at in range(0, min(len(value), HEX_BYTES_MAX), row):
        part = value[at : at + row]
        shown = "".join([chr(byte) if 32 <= byte < 127 else "." for byte in part])
        yield f"{at:08x}  {part.hex(' '):<{row * 3}} {shown}"


def _text(value: bytes) -> str | None:
    """Give text that can be shown, None for what is none."""
    try:
        plain = value.decode()
    except UnicodeDecodeError:
        return None
    controls = sum([not char.isprintable() and char not in "\n\t\r" for char in plain[:CHARS_MAX]])
    if controls * CONTROLS_SHARE > len(plain[:CHARS_MAX]) and controls > 1:
        return None
    return escape_lines(value[: CHARS_MAX * 4 + 4] if len(value) > CHARS_MAX * 4 else value)


def _json(value: bytes) -> Iterator[str] | None:
    """Lay out an object or an array, token by token, so that numbers stay as they are; None for anything else."""
    if value.lstrip()[:1] not in {b"{", b"["} or len(value) > JSON_BYTES_MAX:
        return None
    from msgspec import DecodeError, Raw
    from msgspec.json import Decoder

    try:
        Decoder(Raw).decode(value)  # It looks whether this is JSON, and makes nothing of it.
        return _rows(value.decode())
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _rows(text: str) -> Iterator[str]:
    """Give the lines one by one: of a value that is nested deeply, all of them could be a thousand times its size."""
    depth, row, before = 0, "", ""
    for part in PARTS.finditer(text):
        sign = part.group()
        if before == "," or (before in OPENING and sign not in CLOSING):
            yield row
            row = "  " * depth
        if sign in CLOSING:
            depth -= 1
            if before not in OPENING:
                yield row
                row = "  " * depth
        row += ": " if sign == ":" else sign
        depth += sign in OPENING
        before = sign
    yield row


def _coloured(line: str) -> StyleAndTextTuples:
    parts: StyleAndTextTuples = []
    at = 0
    for token in TOKEN.finditer(line):
        parts += [("", line[at : token.start()]), (f"class:{token.lastgroup}", token.group())]
        at = token.end()
    return [*parts, ("", line[at:])]


def _cut(rows: Iterable[str], value: bytes, kind: str, is_cut: bool = False) -> tuple[StyleAndTextTuples, str]:
    parts: StyleAndTextTuples = []
    room = CHARS_MAX
    for number, row in enumerate(rows):
        if number == LINES_MAX or room <= 0:
            is_cut = True
            break
        line = escape_line(row) if kind == "json" else row
        if len(line) > room:
            line, is_cut = line[:room], True
        room -= len(line) + 1
        parts += [*([("", "\n")] if number else []), *(_coloured(line) if kind == "json" else [("", line)])]
    about = " · ".join([each for each in (kind, size(len(value))) if each])
    if is_cut:
        return parts, f"{about} in all, cut here: `| less` shows the rest"
    return parts, about if kind else ""
