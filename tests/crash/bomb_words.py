"""Bombs of the command line: words, variables and config files that are huge; commands that print without end."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import NamedTuple

from tests.crash.bomb_lines import MEBIBYTE, much

USAGE = frozenset({2})


class Word(NamedTuple):
    """A command line in which LONG stands for a very long word; its exit codes."""

    words: tuple[str, ...]
    codes: frozenset[int] = USAGE
    start: str = ""
    char: str = ""  # Of which the word is made; else it may be any.
    anything: bool = False


WORDS: dict[str, Word] = {
    "get": Word(("get", "LONG"), char="k"),
    "set": Word(("set", "LONG", "v"), char="k"),
    "delete": Word(("delete", "kept", "LONG"), char="k"),
    "exists": Word(("exists", "LONG"), char="k"),
    "incr": Word(("incr", "LONG"), char="k"),
    "delta": Word(("incr", "n", "LONG"), char="9"),
    "negative delta": Word(("incr", "n", "LONG"), start="-", char="9"),
    "cursor": Word(("list", "--cursor", "LONG"), start="k", char="A"),
    "limit": Word(("list", "--limit", "LONG"), char="9"),
    "prefix": Word(("list", "--prefix", "LONG"), frozenset({0}), char="k"),
    "start and end": Word(("list", "--start", "LONG", "--end", "LONG"), frozenset({0}), char="k"),
    "token": Word(("cas", "kept", "x", "--token", "LONG"), start="t", char="A"),
    "expect": Word(("cas", "kept", "x", "--expect", "LONG"), frozenset({3}), char="k"),
    "bucket": Word(("get", "kept", "--bucket", "LONG"), char="k"),
    "bucket create": Word(("bucket", "create", "LONG"), char="k"),
    "bucket drop": Word(("bucket", "drop", "LONG", "--yes"), char="k"),
    "TTL": Word(("cache", "set", "k", "v", "--ttl", "LONG"), char="9"),
    "TTL with a unit": Word(("cache", "set", "k", "v", "--ttl", "LONG"), start="1d", char="1h"),
    "cap": Word(("cache", "set", "k", "v", "--max-size", "LONG"), char="9"),
    "cached key": Word(("cache", "set", "LONG", "v"), char="k"),
    "scope": Word(("cache", "run", "--scope", "LONG", "--", "true"), frozenset({0})),
    "chunk": Word(("batch", "--chunk", "LONG"), char="9"),
    "format": Word(("export", "--format", "LONG"), char="k"),
    "backup": Word(("backup", "LONG"), frozenset({66}), char="k"),
    "restore": Word(("restore", "LONG"), frozenset({66}), char="k"),
    "import": Word(("import", "LONG"), frozenset({66}), char="k"),
    "output": Word(("get", "kept", "--output", "LONG"), frozenset({66}), char="k"),
    "store": Word(("get", "kept", "--store", "LONG"), frozenset({66}), char="k"),
    "watch": Word(("watch", "LONG"), char="k"),
    "edit": Word(("edit", "LONG"), char="k"),
    "help": Word(("help", "LONG"), char="k"),
    "command": Word(("LONG",), char="k"),
    "option": Word(("LONG",), start="--", char="k"),
    "completion": Word(("completion", "LONG"), char="k"),
}


def written(*pieces: bytes) -> Callable[[random.Random, str], None]:
    """Write a config file of pieces, the one in the middle again and again."""

    def make(chance: random.Random, file: str) -> None:
        with open(file, "wb") as opened:
            opened.write(pieces[0] + pieces[1] * chance.randrange(1000, 20_000) + pieces[2])

    return make


FILES: dict[str, tuple[set[int], Callable[[random.Random, str], object]]] = {
    "huge": ({65}, written(b'x="', b"a" * 500, b'"\n')),
    "arrays": ({65}, written(b"a=", b"[", b"")),
    "tables": ({65}, written(b"a=", b"{a=", b"")),
    "long name": ({1, 65, 66}, written(b"", b"a.", b"a=1\n")),
    "long table": ({1, 65, 66}, written(b"[", b"a.", b"a]\nx=1\n")),
    "digits": ({65}, written(b"a=1", b"99999", b"\n")),
    "open text": ({65}, written(b'a="""', b"\\\n", b"")),
    "zeros": ({65}, written(b"", b"\0", b"")),
    "binary": ({65}, lambda chance, file: written(b"\xff", chance.randbytes(9), b"")(chance, file)),
    "FIFO": ({65}, lambda _, file: os.mkfifo(file)),
    "folder": ({65}, lambda _, file: os.mkdir(file)),
    "device without end": ({65}, lambda _, file: os.symlink("/dev/zero", file)),
    "circle": ({1, 65}, lambda _, file: os.symlink(file, file)),
}

FLOODS: dict[str, tuple[str, ...]] = {
    "run": ("cache", "run", "--max-size", "32M"),
    "run, stderr": ("cache", "run", "--max-size", "32M"),
    "get-or-set": ("cache", "get-or-set", "k", "--max-size", "32M"),
}


def zeros(chance: random.Random, size: float) -> Iterable[bytes]:
    """Give more than a gibibyte."""
    del chance, size
    return repeat(bytes(MEBIBYTE), 1100)


PIPED: dict[str, tuple[tuple[str, ...], int, Callable[[random.Random, float], Iterable[bytes]]]] = {
    "batch of blanks": (("batch",), 0, lambda chance, size: repeat(b" " * 1023 + b"\n", much(chance, 200_000, size))),
    "array of commas": (("batch",), 65, lambda chance, size: [b"[", b"," * much(chance, 40_000_000, size), b"]"]),
    "array of arrays": (("batch",), 65, lambda chance, size: [b"[[" * much(chance, 20_000_000, size)]),
    "array without end": (
        ("batch",),
        65,
        lambda chance, size: [b"[", *repeat(b'"' + b"x" * MEBIBYTE, much(chance, 900, size))],
    ),
    "array of a text": (
        ("batch", "--atomic"),
        65,
        lambda chance, size: [b'["', *repeat(b"x" * MEBIBYTE, much(chance, 900, size))],
    ),
}
