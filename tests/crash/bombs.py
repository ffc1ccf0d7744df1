"""Bombs: input, options and settings that are huge, deep, broken or lying. Each is refused, or done, at a bounded cost.

Bounded in memory, by the peak of the process, and in the time that it has a processor. And the store holds what was there,
what stood before the bomb and what was told to be done: no more and no less.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kvcli.engine.transaction import Span
from kvcli.store import Store
from tests.crash.bomb_lines import LINES, VALID
from tests.crash.bomb_texts import TEXTS
from tests.crash.bomb_words import FILES, FLOODS, PIPED, WORDS, Word
from tests.crash.command import KVCLI, Ran, run, settings
from tests.crash.report import Report

MEBIBYTES_MAX = 256  # A line of 60 MB as it was read, as it was cut out or decoded, and as bytes again; and kvcli.
MEBIBYTES_MAX_OF_VALID = 512  # A text of 64 MiB is four times as large in Python, once a character is beyond the BMP.
MEBIBYTES_MAX_OF_CSV = 768  # The csv module takes four bytes for one, and eight for a cell in which there is nothing.
CPU_SECONDS_MAX = 20  # Five, and four times that where others keep the caches cold.
WATCHDOG_SECONDS = 240  # By the clock, for a machine with much else to do.
KEEP = {b"kept": b"before"}
# A command that takes a gibibyte, and one that ends as only a bug does.
GREEDY = (sys.executable, "-c", "bytearray(1 << 30)")
WRONG = (sys.executable, "-c", "raise SystemExit(70)")


NOTHING: Mapping[bytes, bytes] = MappingProxyType({})
NOWHERE: Mapping[str, str] = MappingProxyType({})


class Bomb(NamedTuple):
    """One run of kvcli: its words, its input, and what is allowed to come of it."""

    name: str
    words: tuple[str, ...]
    codes: frozenset[int]
    source: Iterable[bytes] = ()
    made: Mapping[bytes, bytes] = NOTHING
    mebibytes: int = MEBIBYTES_MAX
    anything: bool = False  # What the store holds afterwards is not looked at.
    env: Mapping[str, str] = NOWHERE


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Throw so many bombs, every kind once before any comes again; few of them are small ones.

    `plant` puts a program in the place of kvcli that takes a gibibyte, or ends with 70.
    """
    chance = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory() as home:
        size = 1.0 if rounds >= len(kinds()) else 0.02
        for number, kind in zip(range(rounds), shuffled(chance), strict=False):
            throw(report, chance, home, kind, size, (GREEDY, WRONG)[number % 2] if plant else KVCLI)
    return report


def kinds() -> list[tuple[str, str]]:
    """Name all bombs there are, and how each is made."""
    tables = {
        "line": LINES,
        "valid": VALID,
        "text": TEXTS,
        "words": WORDS,
        "file": FILES,
        "flood": FLOODS,
        "pipe": PIPED,
    }
    return [(way, name) for way, table in tables.items() for name in table]  # type: ignore[attr-defined]


def shuffled(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Give all kinds in a random order, again and again."""
    while True:
        yield from chance.sample(kinds(), len(kinds()))


def throw(
    report: Report, chance: random.Random, home: str, kind: tuple[str, str], size: float, program: tuple[str, ...]
) -> None:
    """Make a bomb, have it go off, and look what is left."""
    store = os.path.join(home, "store")
    with Store(store) as opened:
        for key in contents(store).keys() - KEEP.keys():
            opened.open("default").delete(key.decode())
        opened.open("default").set("kept", b"before")
    bomb = MAKERS[kind[0]](chance, kind[1], size, home)
    env = settings(home, **{"KVCLI_STORE": store, **bomb.env})
    ran = run(bomb.words, env, bomb.source, program=program, seconds=WATCHDOG_SECONDS)
    report.seen[f"bombs of {kind[0]}"] += 1
    for what, figure in (("MiB of memory", ran.mebibytes), ("seconds of a processor", int(ran.cpu))):
        report.seen[f"{what} at most"] = max(report.seen[f"{what} at most"], figure)
    problems = list(judged(bomb, ran, {} if bomb.anything else contents(store)))
    report.check(not problems, f"{bomb.name}: {'; '.join(problems)}")


def judged(bomb: Bomb, ran: Ran, found: dict[bytes, bytes]) -> Iterator[str]:
    """Say what is wrong."""
    if ran.code not in bomb.codes:
        yield f"exit code {ran.code} and not {sorted(bomb.codes)}: {ran.err[:200]!r}"
    if ran.mebibytes > bomb.mebibytes:
        yield f"{ran.mebibytes} MiB of memory"
    if ran.cpu > CPU_SECONDS_MAX:
        yield f"{ran.cpu:.1f} seconds of a processor"
    if ran.code > 5 and ran.err.count(b"\n") != 1:
        yield f"not one line of explanation: {ran.err[:200]!r}"
    if b"Traceback" in ran.err or b"bug in kvcli" in ran.err:
        yield f"a bug: {ran.err[-300:]!r}"
    if not bomb.anything and found != {**KEEP, **bomb.made}:
        lost, more = {**KEEP, **bomb.made}.keys() - found.keys(), found.keys() - {**KEEP, **bomb.made}.keys()
        yield f"the store misses {sorted(lost)[:3]}, and has {sorted(more)[:3]} too much"


def contents(store: str) -> dict[bytes, bytes]:
    """Give what the store holds."""
    with Store(store, read_only=True) as opened:
        return {key: value for page in opened.open("default").item_pages(Span()) for key, value in page}


def good(chance: random.Random, name: str) -> tuple[bytes, dict[bytes, bytes]]:
    """Make some lines that nothing is wrong with, and what they make."""
    pairs = {f"{name}{number}": f"v{chance.randrange(1000)}" for number in range(chance.randrange(60))}
    end = chance.choice(["\n", "\r\n", "\n\n", " \n"])
    text = "".join(json.dumps({"op": "set", "key": key, "value": value}) + end for key, value in pairs.items())
    return text.encode(), {key.encode(): value.encode() for key, value in pairs.items()}


WAYS: dict[str, tuple[tuple[str, ...], int]] = {
    "in order": (("batch",), 65),
    "one by one": (("batch", "--chunk", "1"), 65),
    "atomic": (("batch", "--atomic"), 65),
    "on and on": (("batch", "--keep-going"), 4),
    "imported": (("import", "--format", "ndjson"), 65),
}


def of_line(chance: random.Random, name: str, size: float, _home: str) -> Bomb:
    """Put a line that is none between lines that are, into a batch or an import."""
    way = chance.choice(list(WAYS))
    words, code = WAYS[way]
    (before, first), (after, last) = good(chance, "a"), good(chance, "z")
    made = {"atomic": {}, "on and on": {**first, **last}}.get(way, first)
    mark = chance.choice([b"", b"\xef\xbb\xbf"])
    source = [mark, before, LINES[name](chance, size), b"\n", after]
    return Bomb(f"{name}, {way}", words, frozenset({code}), source, made)


def of_valid(chance: random.Random, name: str, size: float, _home: str) -> Bomb:
    """Put a line that is as large as any may be, or as odd, between others: all of them are done."""
    (before, first), (after, last) = good(chance, "a"), good(chance, "z")
    line, made = VALID[name](chance, size)
    words = ("batch", *chance.choice([(), ("--atomic",), ("--chunk", "1")]))
    source = [before, line, b"\n", after]
    return Bomb(name, words, frozenset({0}), source, {**first, **last, **made}, MEBIBYTES_MAX_OF_VALID)


def of_text(chance: random.Random, name: str, size: float, _home: str) -> Bomb:
    """Import a text."""
    format_, code, make = TEXTS[name]
    source, made = make(chance, size)
    mebibytes = MEBIBYTES_MAX_OF_CSV if format_ == "csv" else MEBIBYTES_MAX
    return Bomb(name, ("import", "--format", format_), frozenset({code}), source, made, mebibytes)


def of_words(chance: random.Random, name: str, size: float, _home: str) -> Bomb:
    """Say a word of a hundred thousand characters."""
    word: Word = WORDS[name]
    long = chance.choice("k9/.-=") * int(max(size, 0.5) * chance.randrange(60_000, 120_000))
    words = [
        each.replace("LONG", word.start + (word.char * (len(long) // len(word.char)) if word.char else long))
        for each in word.words
    ]
    return Bomb(name, tuple(words), word.codes, anything=word.anything)


def of_file(chance: random.Random, name: str, _size: float, home: str) -> Bomb:
    """Have a config file that is a bomb; the store is not named elsewhere."""
    folder = os.path.join(home, f"config-{chance.random()}", "kvcli")
    os.makedirs(folder)
    FILES[name][1](chance, os.path.join(folder, "config.toml"))
    env = {"KVCLI_STORE": "", "XDG_CONFIG_HOME": os.path.dirname(folder)}
    return Bomb(f"config, {name}", ("get", "kept"), frozenset(FILES[name][0]), anything=True, env=env)


def of_flood(chance: random.Random, name: str, size: float, _home: str) -> Bomb:
    """Run a command that prints very much."""
    count = int(size * (1 << 30) * (0.5 + chance.random() / 2)) + 1
    script = f"head -c {count} /dev/zero"
    return Bomb(
        name, (*FLOODS[name], "--", "sh", "-c", script if "stderr" not in name else f"{script} >&2"), frozenset({0})
    )


def of_pipe(chance: random.Random, name: str, size: float, _home: str) -> Bomb:
    """Give a command more on its stdin than it may take."""
    words, code, make = PIPED[name]
    return Bomb(name, words, frozenset({code}), make(chance, size))


MAKERS = {
    "line": of_line,
    "valid": of_valid,
    "text": of_text,
    "words": of_words,
    "file": of_file,
    "flood": of_flood,
    "pipe": of_pipe,
}
