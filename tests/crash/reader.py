"""Killed readers: each dies by kill -9 in the midst of a read transaction, and none of them keeps a place or a page.

One process has the store open all the time and writes. That is the hard case: LMDB makes its table of readers anew where
nobody has the store open, but not here. In full there are more deaths than the table has places.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import subprocess
import tempfile
import time

from kvcli.engine.transaction import Snapshot, Span
from kvcli.store import Store
from tests.crash.forked import Begun, Program, apart, begin, command_line, run
from tests.crash.report import Report
from tests.processes import kill, start

COMMITS = 300
PLACES_MAX = 8  # Of 512: the holder's, the command's own, and those of the last who died.
PINNED_BYTES_MAX = 1 << 18  # What a dead reader keeps until the next process opens the store, one round later.
HANG_SECONDS = 30.0
EARLY_SHARE, EARLY_SECONDS_MAX = 0.3, 0.01  # So many die at any moment, perhaps while they open the store.
LOOK_EACH = 20

# Has the store open, and for each number that it is told makes so many commits and says how long the file is then.
HOLD = """
import os, sys, kvcli
bucket = kvcli.Store(sys.argv[1]).open("default")
for line in sys.stdin:
    for number in range(int(line)):
        bucket.set(f"k{number % 50}", os.urandom(5000))
    print(os.path.getsize(os.path.join(sys.argv[1], "data.mdb")), flush=True)
"""


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Kill so many readers; `plant` has one more, who stays."""
    return apart(_kills, seed, rounds, plant)


def _kills(seed: int, rounds: int, plant: bool) -> Report:
    report, chance = Report(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "store")
        Store(path).close()
        holder = start(HOLD, path)
        settled = _write(holder, 2 * COMMITS)
        for number in range(rounds):
            _kill_one(report, folder, chance)
            _write(holder, 1)
            if number % LOOK_EACH == 0:
                ran = run(command_line, ["get", "k1", "-s", "store"], folder)
                report.check(ran.code == 0, f"after {number + 1} kills: get: {ran.ending}, {ran.err!r}")
        staying = _reader(folder) if plant else None
        _judge(report, folder, holder, settled)
        if staying is not None:
            _end(staying)
        kill(holder)
    return report


def _judge(report: Report, folder: str, holder: subprocess.Popen[bytes], settled: int) -> None:
    """Look what check says, and whether the file grows when there is nothing new in it."""
    _write(holder, COMMITS)
    ran = run(command_line, ["check", "--json", "-s", "store"], folder)
    rows = {row["check"]: row for row in map(json.loads, ran.out.splitlines())}
    told = rows.get("readers", {"state": "missing", "found": ran.err.decode()})
    places = re.match(r"(\d+) of", told["found"])
    is_content = told["state"] == "ok" and places is not None and int(places[1]) <= PLACES_MAX
    report.check(ran.code == 0 and is_content, f"check: {ran.ending}, {told['state']}, {told['found']}")
    before = _write(holder, COMMITS)
    after = _write(holder, COMMITS)
    report.seen["bytes of the file at first"] = settled
    report.seen["bytes at the end"] = after
    report.check(after == before, f"the file grew from {before:,} to {after:,} bytes")
    grown = before - settled
    report.check(grown <= PINNED_BYTES_MAX, f"the dead keep {grown:,} bytes from being used again")


def _kill_one(report: Report, folder: str, chance: random.Random) -> None:
    if chance.random() < EARLY_SHARE:
        reader = begin(_reading(None), ["store"], folder)
        time.sleep(chance.random() * EARLY_SECONDS_MAX)
        report.seen["readers killed at any moment"] += 1
    else:
        reader = _reader(folder)
        report.seen["readers killed in a transaction"] += 1
    _end(reader)


def _reader(folder: str) -> Begun:
    """Start a reader, and wait until it is in the midst of its transaction."""
    ready, said = os.pipe()
    reader = begin(_reading(said), ["store"], folder)
    os.close(said)
    heard = select.select([ready], [], [], HANG_SECONDS)[0] and os.read(ready, 1)
    os.close(ready)
    if not heard:
        raise RuntimeError(f"the reader failed: {_end(reader)!r}")
    return reader


def _end(reader: Begun) -> bytes:
    os.kill(reader.pid, signal.SIGKILL)
    return reader.end().err


def _reading(said: int | None) -> Program:
    """Make the reader: it reads a page, says so, and keeps its transaction."""

    def work(snapshot: Snapshot) -> None:
        snapshot.items(b"default", Span(), 10)
        if said is not None:
            os.write(said, b".")
        time.sleep(HANG_SECONDS * 10)

    def read(words: list[str]) -> None:
        with Store(words[0], read_only=True) as store:
            store.read(work)

    return read


def _write(holder: subprocess.Popen[bytes], commits: int) -> int:
    assert holder.stdin
    assert holder.stdout
    holder.stdin.write(b"%d\n" % commits)
    holder.stdin.flush()
    return int(holder.stdout.readline())
