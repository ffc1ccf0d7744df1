"""Bombs of batch: lines that are no operation, and lines that are one of the largest or oddest there may be."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

MEBIBYTE = 1 << 20
LONG = 60_000_000  # A line may have 64 MiB.
Line = Callable[[random.Random, float], bytes]
Valid = Callable[[random.Random, float], tuple[bytes, dict[bytes, bytes]]]


def much(chance: random.Random, most: int, size: float) -> int:
    """Give a count of up to `most`, seldom a small one."""
    return int(most * size * (0.5 + chance.random() / 2)) + 1


def filled(before: bytes, piece: bytes, after: bytes, most: int = LONG) -> Line:
    """Make a line of a piece again and again."""
    return lambda chance, size: before + piece * much(chance, most // len(piece), size) + after


def numbered(before: bytes, piece: bytes, after: bytes, most: int) -> Line:
    """Make a line of pieces that have numbers in them."""
    return lambda chance, size: before + b",".join(piece % n for n in range(much(chance, most, size))) + after


def nested(before: bytes, opens: bytes, inside: bytes, closes: bytes, after: bytes) -> Line:
    """Make a line that is nested a million deep."""

    def make(chance: random.Random, size: float) -> bytes:
        depth = much(chance, 1_000_000, max(size, 0.1))
        return before + opens * depth + inside + closes * depth + after

    return make


def cut(chance: random.Random, size: float) -> bytes:
    """Make a file of gzip that was cut; it has newlines as it happens, which would make it several lines."""
    whole = gzip.compress(chance.randbytes(much(chance, 4_000_000, size)))
    return whole[: len(whole) * 3 // 4].replace(b"\n", b" ")


def rubbish(chance: random.Random, size: float) -> bytes:
    """Make a line of random bytes."""
    return b"\x00" + chance.randbytes(much(chance, 8_000_000, size)).replace(b"\n", b"\r")


def too_long(chance: random.Random, size: float) -> bytes:
    """Make a line that is longer than any may be, or nearly as long where all is small."""
    start = chance.choice([b"", b'{"op":"set","key":"a","value":"', b'{"op":"get","key":"a","id":["', b" " * 99])
    return start + b"x" * int(max(65 * MEBIBYTE, 300 * MEBIBYTE * size) if size == 1 else LONG * size)


LINES: dict[str, Line] = {
    "id nested deep": nested(b'{"op":"get","key":"a","id":', b"[", b"", b"]", b"}"),
    "objects nested deep": nested(b"", b'{"a":', b"1", b"}", b""),
    "items nested deep": nested(b'{"op":"set_many","items":', b"[", b"", b"]", b"}"),
    "arrays that do not end": filled(b'{"op":"get","keys":', b"[", b""),
    "value nested deep": nested(b'{"op":"set","key":"a","value":', b'{"":[', b"", b"]}", b"}"),
    "digits": filled(b'{"op":"incr","key":"n","delta":', b"9", b"}"),
    "digits in text": filled(b'{"op":"incr","key":"n","delta":"', b"9", b'"}'),
    "digits of a limit": filled(b'{"op":"list","limit":', b"1", b"}"),
    "digits of an id": filled(b'{"op":"get","key":"a","token":true,"id":', b"9", b"}"),
    "digits of a fraction": filled(b'{"op":"incr","key":"n","delta":0.', b"0", b"1}"),
    "digits of an exponent": filled(b'{"op":"incr","key":"n","delta":1e', b"9", b"}"),
    "huge number": lambda chance, _: (
        b'{"op":"incr","key":"n","delta":%de%d}' % (chance.randrange(1, 9), chance.randrange(19, 500))
    ),
    "no number": lambda chance, _: (
        b'{"op":"incr","key":"n","delta":%b}' % chance.choice([b"NaN", b"-Infinity", b"1e", b"--1", b"0x1", b"01"])
    ),
    "other digits": lambda *_: '{"op":"incr","key":"n","delta":"١٢"}'.encode(),
    "name twice": filled(b'{"op":"get"', b',"key":"a"', b',"key":"b"}', 2_000_000),
    "name twice in an id": numbered(
        b'{"op":"get","key":"a","token":true,"id":{', b'"k%d":0', b',"z":0,"z":1}}', 100_000
    ),
    "unknown names": numbered(b'{"op":"get","key":"a",', b'"k%d":0', b"}", 1_000_000),
    "base64 wrong at its end": filled(b'{"op":"set","key":"a","value_b64":"', b"AAAA", b'*"}'),
    "base64 padded in the middle": filled(b'{"op":"set","key":"a","value_b64":"AA==', b"AAAA", b'"}'),
    "lone surrogates": filled(b'{"op":"set","key":"a","value":"', b"\\ud800", b'"}'),
    "no UTF-8 at its end": filled(b'{"op":"set","key":"a","value":"', b"a", b'\xff"}'),
    "no UTF-8 in an id": filled(b'{"op":"get","key":"a","id":"', b"\xc0\xaf", b'"}'),
    "zeros": filled(b"", b"\0", b""),
    "zeros in a text": filled(b'{"op":"get","key":"', b"\0", b'"}'),
    "byte order mark in the middle": lambda *_: b'\xef\xbb\xbf{"op":"get","key":"a"}',
    "other texts": lambda chance, _: '{"op":"set","key":"a","value":"x"}'.encode(
        chance.choice(["utf-16", "utf-32", "utf-16-be"])
    ).replace(b"\n", b""),
    "backslashes": lambda chance, size: (
        b'{"op":"set","key":"a","value":"' + b"\\" * (2 * much(chance, LONG // 2, size) + 1) + b'"}'
    ),
    "quotation marks": filled(b"", b'"', b""),
    "text that does not end": filled(b'{"op":"set","key":"a","value":"', b"v", b""),
    "long cursor": filled(b'{"op":"list","cursor":"k', b"A", b'"}'),
    "long token": filled(b'{"op":"cas","key":"a","new":"x","token":"t', b"A", b'"}'),
    "long key": filled(b'{"op":"get","key":"', b"k", b'"}'),
    "long bucket": filled(b'{"op":"get","key":"a","bucket":"', b"b", b'"}'),
    "long op": filled(b'{"op":"', b"k", b'"}', 40_000_000),
    "long name": filled(b'{"op":"get","key":"a","', b"k", b'":1}', 40_000_000),
    "very many keys": filled(b'{"op":"get_many","keys":["a"', b',"k"', b"]}"),
    "very many keys in base64": filled(b'{"op":"delete_many","keys_b64":["YQ=="', b',"YQ=="', b"]}"),
    "very many items": numbered(b'{"op":"set_many","items":[', b'{"key":"k%d","value":""}', b",0]}", 1_000_000),
    "very many numbers": filled(b'{"op":"set_many","items":[0', b",0", b"]}"),
    "very many lists": filled(b'{"op":"get","key":"a","x":[0', b",[]", b"]}"),
    "very many commas": filled(b'{"op":"delete_many","keys":["a"', b",", b"]}"),
    "gzip that was cut": cut,
    "rubbish": rubbish,
    "longer than any": too_long,
}


def long_value(chance: random.Random, size: float) -> tuple[bytes, dict[bytes, bytes]]:
    """Set a value that takes nearly the whole line, of characters of any width."""
    char = chance.choice(["v", "é", "日", ",", "[", "🙂"])
    value = (char * (much(chance, LONG, size) // len(char.encode()))).encode()
    return b'{"op":"set","key":"big","value":"' + value + b'"}', {b"big": value}


def escaped(chance: random.Random, size: float) -> tuple[bytes, dict[bytes, bytes]]:
    """Set a value that is written in escapes."""
    written, char = chance.choice(
        [(b"\\u0041", b"A"), (b"\\n", b"\n"), (b"\\\\", b"\\"), (b'\\"', b'"'), (b"\\ud83d\\ude42", "🙂".encode())]
    )
    count = much(chance, LONG // len(written), size)
    return b'{"op":"set","key":"big","value":"' + written * count + b'"}', {b"big": char * count}


def many(chance: random.Random, size: float) -> tuple[bytes, dict[bytes, bytes]]:
    """Set as many items as one operation may have."""
    keys = [b"m%d" % number for number in range(much(chance, 100_000, size))]
    items = b",".join(b'{"key":"%b","value":"%b"}' % (key, key) for key in keys)
    return b'{"op":"set_many","items":[' + items + b"]}", {key: key for key in keys}


def reading(make: Line) -> Valid:
    """Do something that changes nothing."""
    return lambda chance, size: (make(chance, size), {})


VALID: dict[str, Valid] = {
    "long value": long_value,
    "escaped value": escaped,
    "many items": many,
    "many keys": reading(numbered(b'{"op":"get_many","keys":[', b'"k%d"', b"]}", 450_000)),
    "many keys that go": reading(numbered(b'{"op":"delete_many","keys":[', b'"k%d"', b"]}", 450_000)),
    "key again and again": reading(filled(b'{"op":"get_many","keys":["kept"', b',"kept"', b"]}", 3_000_000)),
    "long id": reading(filled(b'{"op":"get","key":"a","id":"', b"i", b'"}')),
    "long id of escapes": reading(filled(b'{"op":"get","key":"a","id":"', b"\\n", b'"}')),
    "id of digits": reading(filled(b'{"op":"get","key":"a","id":"', b"9", b'"}')),
    "long prefix": reading(filled(b'{"op":"list","prefix":"', b"\xc3\xbf", b'"}')),
    "blank lines": reading(filled(b"", b"\n", b"", 10_000_000)),
    "blanks": reading(filled(b"", b" \t", b"")),
}
