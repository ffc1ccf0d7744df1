"""Victims: commands that write, each with the transactions it makes if it may run to its end."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from kvcli.batch import CHUNK_PAIRS

Changes = list[tuple[str, bytes | None]]  # No value: the key is deleted.
State = dict[str, bytes]
Known = dict[str, State]  # By bucket; the cache is one as well.

KEYS = 400
BATCH_LINES = CHUNK_PAIRS + 5_000  # More than one transaction, also where kvcli decides on them.
ATOMIC_LINES = 3_000
IMPORTED, IMPORT_TRANSACTIONS = CHUNK_PAIRS + 10_000, 2
CACHED, FILLED = 4, 50  # Entries that are set, and that are filled.
CACHE_KEYS = [f"c{at}" for at in range(CACHED)] + [f"g{at}" for at in range(FILLED)]
CHUNKS = (100, 5_000, 1)  # Lines to a transaction; the last stands for as many as kvcli likes.


class Victim(NamedTuple):
    """A command line, what it reads, and what it makes of a bucket."""

    words: list[str]
    bucket: str
    transactions: list[Changes]  # One for each line, where kvcli decides how many are one.
    source: tuple[bytes, ...] = ()
    chunk: int = 1  # Lines of an answer to a transaction.
    is_repeatable: bool = False

    def answered(self, out: bytes, code: int) -> int:
        """Tell how many transactions were acknowledged."""
        return len(self.transactions) if code == 0 else -(-out.count(b"\n") // self.chunk)

    def rest(self, out: bytes) -> tuple[list[str], tuple[bytes, ...]] | None:
        """Give what does the rest, once this was killed."""
        if self.words[0] == "import":
            return [*self.words, "--resume"], self.source
        return (self.words, self.source[out.count(b"\n") :]) if self.is_repeatable else None


def batch(chance: random.Random, number: int, _: Known) -> Victim:
    """Set and delete line by line, which may be done twice without harm."""
    changes: Changes = [
        (f"k{chance.randrange(KEYS)}", None if chance.random() < 0.2 else b"%d.%d" % (number, at))
        for at in range(BATCH_LINES)
    ]
    chunk = chance.choice(CHUNKS)
    parts = [changes[at : at + chunk] for at in range(0, len(changes), chunk)]
    words = ["batch", *(["--chunk", str(chunk)] if chunk > 1 else [])]
    return Victim(words, "default", parts, lines(changes), chunk, is_repeatable=True)


def atomic(chance: random.Random, number: int, known: Known) -> Victim:
    """Set and delete all or nothing, and count that."""
    total = b"%d" % (int(known["default"].get("batches", b"0")) + 1)
    changes: Changes = [(f"k{chance.randrange(KEYS)}", b"%d.%d" % (number, at)) for at in range(ATOMIC_LINES)]
    source = (*lines(changes), b'{"op":"incr","key":"batches"}\n')
    return Victim(["batch", "--atomic"], "default", [[*changes, ("batches", total)]], source, len(source))


def import_(_: random.Random, number: int, __: Known) -> Victim:
    """Import in two transactions, which end where kvcli likes, but always there: the length of the source is always the same."""
    changes: Changes = [(f"k{at}", b"%06d" % number) for at in range(IMPORTED)]
    words = ["import", "--format", "ndjson", "-b", "imported", "--create", "-"]
    return Victim(words, "imported", [[each] for each in changes], lines(changes))


def incr(chance: random.Random, _: int, known: Known) -> Victim:
    """Increment."""
    delta = chance.randint(-5, 50)
    total = b"%d" % (int(known["default"].get("count", b"0")) + delta)
    return Victim(["incr", "count", str(delta)], "default", [[("count", total)]])


def cas(_: random.Random, number: int, known: Known) -> Victim:
    """Swap."""
    before = known["default"].get("swapped")
    expected = ["--expect-absent"] if before is None else ["--expect", before.decode()]
    return Victim(["cas", "swapped", f"s{number}", *expected], "default", [[("swapped", b"s%d" % number)]])


def set_(chance: random.Random, number: int, _: Known) -> Victim:
    """Set a key."""
    key = f"k{chance.randrange(KEYS)}"
    return Victim(["set", key, f"v{number}"], "default", [[(key, b"v%d" % number)]])


def delete(chance: random.Random, _: int, __: Known) -> Victim:
    """Delete some keys at once."""
    keys = [f"k{chance.randrange(KEYS)}" for _ in range(20)]
    return Victim(["delete", *keys], "default", [[(key, None) for key in keys]])


def cache_set(chance: random.Random, number: int, _: Known) -> Victim:
    """Set an entry."""
    key = f"c{chance.randrange(CACHED)}"
    return Victim(["cache", "set", key, f"c{number}"], "cache", [[(key, b"c%d" % number)]])


def get_or_set(_: random.Random, number: int, known: Known) -> Victim:
    """Get an entry, or fill a vacancy."""
    key = f"g{number % FILLED}"
    value = known["cache"].get(key, b"g%d" % number)
    return Victim(["cache", "get-or-set", key, "--", "printf", f"g{number}"], "cache", [[(key, value)]])


def lines(changes: Changes) -> tuple[bytes, ...]:
    """Write changes as batch and import read them."""
    return tuple([line(key, value) for key, value in changes])


def line(key: str, value: bytes | None) -> bytes:
    """Write one."""
    if value is None:
        return b'{"op":"delete","key":"%s"}\n' % key.encode()
    return b'{"op":"set","key":"%s","value":"%s"}\n' % (key.encode(), value)


Kind = Callable[[random.Random, int, Known], Victim]
KINDS: tuple[Kind, ...] = (batch, incr, cas, cache_set, atomic, set_, import_, get_or_set, delete, batch, incr)
