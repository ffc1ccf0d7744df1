"""Races to be first: processes that make, open, fill and close the same thing at one instant; none fails, none loses.

They are forked, stand ready behind a pipe, and go when its other end closes.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import lmdb

import kvcli
from kvcli.store import Store
from tests.crash.forked import Begun, Program, Ran, apart, begin, command_line
from tests.crash.report import Report
from tests.processes import ROOT

PROCESSES, TIMES = 8, 5
HANG_SECONDS = 60.0
LATE_SECONDS_MAX = 0.003
FRESH_SHARE = 0.1  # In so many rounds each process starts Python anew.
KEPT = 1000  # What the counter of a backup shows: more than all who race can make of it.


class Race(NamedTuple):
    """What is there before, what each process does, and what is wrong with what they said and left."""

    prepare: Callable[[str], object]
    words: Callable[[int], str]
    judge: Callable[[str, list[Ran]], list[str]]
    program: Program = command_line


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Hold so many races, of each kind in turn; `plant` puts in one who counts nothing, or one who fails."""
    return apart(_races, seed, rounds, plant)


def _races(seed: int, rounds: int, plant: bool) -> Report:
    report = Report()
    for number in range(rounds):
        name, race = list(RACES.items())[number % len(RACES)]
        chance = random.Random(f"{seed} {number}")
        program = race.program
        if program is command_line and chance.random() < FRESH_SHARE:
            program = fresh
        programs = [(lazy, failing)[number % 2] if plant else program, *[program] * (PROCESSES - 1)]
        with tempfile.TemporaryDirectory() as folder:
            race.prepare(os.path.join(folder, "store"))
            ended = _run(race, programs, folder, chance)
            report.seen["processes"] += PROCESSES
            report.seen[name] += 1
            wrong = race.judge(os.path.join(folder, "store"), ended)
            report.check(not wrong, f"round {number}, {name}: {'; '.join(wrong)}")
    return report


def _run(race: Race, programs: list[Program], folder: str, chance: random.Random) -> list[Ran]:
    gate, ready = os.pipe(), os.pipe()
    begun = []
    for number, program in enumerate(programs):
        late = chance.random() * LATE_SECONDS_MAX
        words = [*race.words(number).split(), "-s", "store"]
        begun.append(_begin(program, words, folder, late, gate, ready))
    for _ in begun:
        os.read(ready[0], 1)
    os.close(gate[1])
    ended = [one.end(HANG_SECONDS) for one in begun]
    for end in (gate[0], *ready):
        os.close(end)
    return ended


def _begin(
    program: Program, words: list[str], folder: str, late: float, gate: tuple[int, int], ready: tuple[int, int]
) -> Begun:
    def go(words: list[str]) -> None:
        os.close(gate[1])
        os.write(ready[1], b".")
        os.read(gate[0], 1)
        time.sleep(late)
        program(words)

    return begin(go, words, folder)


def fresh(words: list[str]) -> None:
    """Become python -m kvcli."""
    os.environ["PYTHONPATH"] = ROOT
    os.execv(sys.executable, [sys.executable, "-m", "kvcli", *words])


def library(words: list[str]) -> None:
    """Open, increment and close, again and again; the last word is the store."""
    for _ in range(TIMES):
        with Store(words[-1], lock_timeout=HANG_SECONDS) as store:
            print(kvcli.increment(store.open("default"), "n", 1), flush=True)


def lazy(words: list[str]) -> None:
    """Count nothing, and say so as if it had."""
    del words
    print("1", flush=True)


def failing(words: list[str]) -> None:
    """Fail as a bug would."""
    del words
    os._exit(70)


# What is there before


def nothing(path: str) -> None:
    """Make nothing."""


def store(path: str) -> None:
    """Make a store."""
    Store(path).close()


def foreign(lib_version: int, *, subdir: bool = True) -> Callable[[str], None]:
    """Have an environment that another program made."""

    def make(path: str) -> None:
        env = lmdb.open(path, subdir=subdir, lib_version=lib_version, max_dbs=2, mode=0o700)
        with env, env.begin(write=True) as txn:
            txn.put(b"theirs", b"1", db=env.open_db(b"default", txn=txn))

    return make


def backed_up(path: str) -> None:
    """Make a store, and what was another one a backup."""
    store(path)
    with Store(os.path.join(os.path.dirname(path), "backup")) as other:
        kvcli.increment(other.open("default"), "n", KEPT)


# What is wrong


def failures(ended: list[Ran], *fine: int) -> list[str]:
    """Say who did not end as they should."""
    return [f"{ran.ending}: {ran.err.decode()!r}" for ran in ended if ran.code not in {0, *fine}]


def counted(path: str, ended: list[Ran]) -> list[str]:
    """Each increment was answered by another number, and the last of them is there."""
    return failures(ended) + _wrong_count(path, _numbers(ended), 0)


def counted_or_busy(path: str, ended: list[Ran]) -> list[str]:
    """The same, where one or two may have found that others have the store open."""
    return failures(ended[:2], 75) + failures(ended[2:]) + _wrong_count(path, _numbers(ended[2:]), 0)


def counted_from_backup(path: str, ended: list[Ran]) -> list[str]:
    """Those before the restoring counted what was there then, those after it what the backup has."""
    numbers = _numbers(ended[1:])
    before = [number for number in numbers if number <= KEPT]
    after = [number - KEPT for number in numbers if number > KEPT]
    gaps = [] if sorted(before) == list(range(1, len(before) + 1)) else [f"before it were {before}"]
    return failures(ended) + gaps + _wrong_count(path, after, KEPT)


def all_there(path: str, ended: list[Ran]) -> list[str]:
    """Each process has set its key. Who read instead found it or not, or no store yet."""
    with Store(path, read_only=True) as opened:
        bucket = opened.open("default")
        gone = [f"k{number} is gone" for number in range(0, PROCESSES, 2) if bucket.get(f"k{number}") != b"v"]
    return gone + failures(ended[::2]) + failures(ended[1::2], 1, 66)


def in_bucket(path: str, ended: list[Ran]) -> list[str]:
    """Each process has set its key in the bucket that all made."""
    with Store(path, read_only=True) as opened:
        bucket = opened.open("users")
        gone = [f"k{number} is gone" for number in range(PROCESSES) if bucket.get(f"k{number}") != b"v"]
    return gone + failures(ended)


def cached(path: str, ended: list[Ran]) -> list[str]:
    """Each process has set its entry in the cache that all made, and nobody else's is gone for that."""
    with Store(path) as opened, kvcli.Cache(opened) as cache:
        gone = [f"k{number} is gone" for number in range(PROCESSES) if cache.get(f"k{number}") != b"v"]
    return gone + failures(ended)


def _numbers(ended: list[Ran]) -> list[int]:
    return [int(line) for ran in ended for line in ran.out.split()]


def _wrong_count(path: str, numbers: list[int], kept: int) -> list[str]:
    with Store(path, read_only=True) as opened:
        found = int(opened.open("default").get("n") or 0)
    is_right = sorted(numbers) == list(range(1, len(numbers) + 1)) and found == kept + len(numbers)
    return [] if is_right else [f"the counter is {found} after {sorted(numbers)}"]


RACES = {
    "made and counted by the library": Race(nothing, lambda _: "", counted, library),
    "made and filled": Race(
        nothing, lambda number: f"{('set k0 v', 'get k0')[number % 2]}".replace("0", str(number)), all_there
    ),
    "made and counted": Race(nothing, lambda _: "incr n", counted),
    "bucket made": Race(store, lambda number: f"set k{number} v -b users --create", in_bucket),
    "cache made": Race(nothing, lambda number: f"cache set k{number} v", cached),
    "adopted 0.9": Race(foreign(0), lambda _: "incr n --adopt", counted),
    "adopted 1.0": Race(foreign(1), lambda _: "incr n --adopt", counted),
    "adopted single file": Race(foreign(0, subdir=False), lambda _: "incr n --adopt", counted),
    "compacted beside": Race(store, lambda number: "compact" if number < 2 else "incr n", counted_or_busy),
    "restored beside": Race(
        backed_up, lambda number: "incr n" if number else "restore backup --yes", counted_from_backup
    ),
}
