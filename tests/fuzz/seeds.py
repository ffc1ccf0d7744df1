"""Seeds: inputs that are worth to be mutated, from the transcripts, the README and what a parser knows; and mutations."""

from __future__ import annotations

import glob
import os
import re
import shlex
from functools import cache
from typing import TYPE_CHECKING

from tests.processes import ROOT

if TYPE_CHECKING:
    import random

BYTES_MAX = 4096
TOKENS = (
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"=",
        b"-",
        b"--",
        b"-5",
        b"@",
        b"@@",
        b"+",
        b"_",
        b"|",
        b">",
        b"#",
        b":",
        b"/",
    ),
    *(b"'", b'"', b"\\", b"\\\n", b"\\x", b"\\u{", b"\\ud800", b"{", b"}", b"[", b"]", b",", b"{}", b"[[[[", b'"":'),
    *(b"\xff", b"\xc3", "é".encode(), "用".encode(), "\u202e".encode(), b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J"),
    *(
        b"0",
        b"1",
        b"-1",
        b"9223372036854775808",
        b"1e400",
        b"NaN",
        b"null",
        b"true",
        b"4294967295",
        b"18446744073709551616",
    ),
    *(b'"op":"get"', b'"op":"set"', b'"key":"k"', b'"value":"v"', b'"id":1', b'"bucket":"b"', b'"value_b64":"/wA="'),
    *(b"--json", b"--help", b"--limit", b"-s", b"-b", b"--ttl", b"get", b"set", b"cache", b"list", b"kvcli", b"batch"),
    *(b"VERSION=3", b"HEADER=END", b"DATA=END", b"format=print", b"key,value", b"ms", b"MiB", b"begin", b"commit"),
)


def mutated(seed: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change an input here and there; now and then it is nothing but noise."""
    if rng.random() < 0.03:
        return rng.randbytes(rng.randrange(64))
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        _change(data, others, rng)
    return bytes(data[:BYTES_MAX])


def _change(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    end = min(end, at + 16)
    kind = rng.randrange(7)
    if kind == 0:
        del data[at:end]
    elif kind == 1:
        data[at:at] = rng.choice(TOKENS)
    elif kind == 2:
        data[at:end] = rng.choice(TOKENS)
    elif kind == 3:
        data[at:at] = data[at:end] * rng.choice((1, 2, 40))
    elif kind == 4 and at < len(data):
        data[at] = rng.choice((data[at] ^ (1 << rng.randrange(8)), rng.randrange(256)))
    elif kind == 5:
        other = rng.choice(others)
        data[at:end] = other[rng.randrange(len(other) + 1) :][:64]
    else:
        del data[at:]


@cache
def documents() -> str:
    """Give the README and all transcripts."""
    texts = []
    for path in [
        os.path.join(ROOT, "README.md"),
        *sorted(glob.glob(os.path.join(ROOT, "tests", "transcripts", "*.txt"))),
    ]:
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    return "\n".join(texts)


@cache
def typed() -> list[bytes]:
    """Give the command lines that the documents show, without the program's name."""
    lines = re.findall(r"^\$ (?:.*\| )?kvcli (.*)$", documents(), re.MULTILINE)
    return sorted({line.encode() for line in lines})


@cache
def words() -> list[bytes]:
    """Give the same as words, with NUL between them."""
    found = []
    for line in typed():
        try:
            found.append(b"\0".join([os.fsencode(word) for word in shlex.split(line.decode())]))
        except ValueError:
            continue  # It goes on in the next line of the document.
    return found


@cache
def operations() -> list[bytes]:
    """Give the lines of JSON that the documents show."""
    return sorted({line.encode() for line in re.findall(r"\{\"[^\n']*\}", documents())})


def programs() -> list[bytes]:
    """Give inputs of batch and import."""
    lines = operations()
    return [
        *lines,
        b"\n".join(lines),
        b"[" + b",".join(lines) + b"]",
        b"\xef\xbb\xbf" + lines[0] + b"\r\n\r\n" + lines[-1],
    ]
