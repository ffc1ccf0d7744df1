"""Bombs of import: CSV and what mdb_dump prints, and any text that never ends its line."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import repeat

from tests.crash.bomb_lines import LONG, MEBIBYTE, filled, much, numbered

Source = Iterable[bytes]
Text = Callable[[random.Random, float], tuple[Source, dict[bytes, bytes]]]
GOOD = {b"good": b"1"}
CSV = b"key,value\ngood,1\n"
HEX = b"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n 676f6f64\n 31\n"
PRINT = b"VERSION=3\nformat=print\ntype=btree\nHEADER=END\n good\n 1\n"
END = b"DATA=END\n"


def after(start: bytes, piece: bytes, end: bytes, most: int = LONG, made: dict[bytes, bytes] = GOOD) -> Text:
    """Make a text of a piece again and again, behind a start that is good."""
    make = filled(b"", piece, end, most)
    return lambda chance, size: ([start, make(chance, size)], made)


def endless(start: bytes, piece: bytes, made: dict[bytes, bytes]) -> Text:
    """Make a text of a gibibyte, a mebibyte at a time."""
    return lambda chance, size: ([start, *repeat(piece * MEBIBYTE, much(chance, 1024, max(size, 0.15)))], made)


def columns(chance: random.Random, size: float) -> tuple[Source, dict[bytes, bytes]]:
    """Make a table of a million columns, two of which count."""
    count = much(chance, 1_000_000, size)
    names = b",".join(b"c%d" % number for number in range(count))
    return [names, b",key,value\n", b"," * count, b"good,1\n"], GOOD


def no_column(chance: random.Random, size: float) -> tuple[Source, dict[bytes, bytes]]:
    """Make a table of as many columns, none of which counts."""
    return [numbered(b"", b"c%d", b"\n", 1_000_000)(chance, size), b"\n"], {}


def lying(chance: random.Random, size: float) -> tuple[Source, dict[bytes, bytes]]:
    """Make a dump whose header says what cannot be, of which nothing counts."""
    digits = b"9" * much(chance, 1_000_000, size)
    lies = [
        b"mapsize=" + digits,
        b"maxreaders=-1",
        b"db_pagesize=0",
        b"entries=" + digits,
        b"mapaddr=0x1",
        b"database=../../x",
    ]
    chance.shuffle(lies)
    return [HEX.replace(b"HEADER", b"\n".join(lies) + b"\nHEADER"), END], GOOD


def escapes(chance: random.Random, size: float) -> tuple[Source, dict[bytes, bytes]]:
    """Make a value that is nothing but escapes."""
    written, byte = chance.choice([(b"\\41", b"A"), (b"\\\\", b"\\"), (b"\\5c", b"\\"), (b"\\0a", b"\n")])
    count = much(chance, 8_000_000, size)
    return [PRINT, b" a\n ", written * count, b"\n", END], {**GOOD, b"a": byte * count}


def long_value(chance: random.Random, size: float) -> tuple[Source, dict[bytes, bytes]]:
    """Make a value that takes the whole line."""
    count = much(chance, LONG // 2, size)
    return [HEX, b" 61\n ", b"7a" * count, b"\n", END], {**GOOD, b"a": b"z" * count}


TEXTS: dict[str, tuple[str, int, Text]] = {
    "columns": ("csv", 0, columns),
    "no column": ("csv", 65, no_column),
    "long row": ("csv", 65, after(CSV, b",", b"\n")),
    "open quote over many lines": ("csv", 65, after(CSV + b'a,"', b"x" * 99 + b"\n", b"", 100_000_000)),
    "open quote in a long line": ("csv", 65, after(CSV + b'a,"', b"x", b'"x\n')),
    "quotes": ("csv", 65, after(CSV + b'a,"', b'""', b"\n")),
    "carriage returns": ("csv", 65, after(CSV, b"a\rb", b"\n", 1_000_000)),
    "base64 in CSV": ("csv", 65, after(b"key,value_b64\ngood,MQ==\na,", b"AAAA", b"*\n")),
    "blank rows": ("csv", 0, after(CSV, b"\n", b"", 10_000_000)),
    "CSV that is no text": ("csv", 65, after(CSV + b"a,", b"x", b"\xff\n")),
    "zeros in CSV": ("csv", 65, after(CSV, b"\0", b"\n")),
    "lying header": ("dump", 0, lying),
    "odd digits": ("dump", 65, after(HEX + b" 6", b"66", b"\n 31\n" + END)),
    "long key of a dump": ("dump", 65, after(HEX + b" ", b"66", b"\n 31\n" + END)),
    "long value of a dump": ("dump", 0, long_value),
    "escapes of a dump": ("dump", 0, escapes),
    "backslash that escapes nothing": ("dump", 65, after(PRINT + b" a\n ", b"x", b"\\g\n" + END)),
    "no digits": ("dump", 65, after(HEX + b" 6", b"zz", b"\n 31\n" + END)),
    "header without end": ("dump", 65, after(b"VERSION=3\n", b"x=1\n", b"", 10_000_000, {})),
    "long version": ("dump", 65, after(b"VERSION=", b"9", b"\n", made={})),
    "long format": ("dump", 65, after(b"format=", b"x", b"\n", made={})),
    "long header": ("dump", 65, after(b"", b"x", b"\n", made={})),
    "ends again and again": ("dump", 65, after(HEX + END, b"\n", END, 10_000_000)),
    "no line, NDJSON": ("ndjson", 65, endless(b'{"op":"set","key":"good","value":"1"}\n', b"x", GOOD)),
    "no line, CSV": ("csv", 65, endless(CSV, b"x", GOOD)),
    "no line, dump": ("dump", 65, endless(HEX, b"x", GOOD)),
}
