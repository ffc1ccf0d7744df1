"""kill -9 of commands that write: what was acknowledged is there, nothing is there by half, and the next writer need not wait.

Each round kills one, at any moment of its life, or just after it began to write or to answer. Then the parent writes, which
takes over the lock of the dead, and compares every key with what a dictionary made of what was acknowledged; what comes
after that may be there or not, but in order, and each transaction all or not at all. What can be done again is done to
its end: the rest of a batch, and `import --resume`.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from glob import glob
from typing import Any

from lmdb.verify import verify

from kvcli.atomics import increment
from kvcli.cache import Cache
from kvcli.engine.transaction import Span
from kvcli.store import Store
from tests.crash.report import Report
from tests.crash.victims import CACHE_KEYS, IMPORT_TRANSACTIONS, KINDS, Changes, Known, State, Victim
from tests.processes import ROOT

VERIFY_EVERY = 100
TRIES_MAX = 4  # For each kill: many commands end before it comes.
AT_WORK_SECONDS_MAX = 0.02
NEXT_WRITER_SECONDS_MAX = 5  # Half of the time after which a write gives up; on an idle machine it takes milliseconds.
AT_WORK_SHARE = 0.7
# Who is killed while making the cache leaves it unfinished, to be swept by who makes the next one. Once there is a cache,
# nobody makes another, and there are no more of these.
CACHE = r"cache/[0-9a-f-]{36}"
FILES = re.compile(rf"({CACHE}/)?(data|lock)\.mdb|cache/claims|{CACHE}/tally|{CACHE}\.new-\w+/[^/]+")


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Kill `rounds` commands, not counting those that were quicker; `plant` takes back a change that was acknowledged."""
    chance = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        field = Field(folder, chance, report)
        for number in range(TRIES_MAX * rounds):
            victim = KINDS[number % len(KINDS)](chance, number, field.known)
            problems = field.round(victim, plant=plant)
            is_last = report.seen["killed"] == rounds
            if number % VERIFY_EVERY == VERIFY_EVERY - 1 or is_last:
                problems += field.debris()
            report.check(not problems, f"round {number}, {' '.join(victim.words[:6])}: {'; '.join(problems)}")
            if is_last:
                break
    return report


class Field:
    """A store, and what it must hold."""

    def __init__(self, folder: str, chance: random.Random, report: Report) -> None:
        """Make the store."""
        self.known: Known = {"default": {}, "cache": {}, "imported": {}}
        self._chance, self._report = chance, report
        self._store, self._temporary = os.path.join(folder, "store"), os.path.join(folder, "tmp")
        self._unfinished_max = 1 << 30
        self._import_ends = {0}
        os.mkdir(self._temporary)
        with Store(self._store) as store:
            store.create("next")
        begun = time.monotonic()
        self._run(["incr", "alone", "-b", "next"], ())
        self._life_seconds = time.monotonic() - begun

    def round(self, victim: Victim, *, plant: bool) -> list[str]:
        """Kill one, look, and let the rest be done; give what is wrong."""
        out, code, complaint = self._kill(victim, is_patient=plant)
        if code not in {0, -signal.SIGKILL}:
            return [f"ended with {code}: {complaint}"]
        answered = victim.answered(out, code)
        self._report.seen["killed" if code else "quicker than that"] += 1
        self._report.seen["changes acknowledged"] += answered
        with Store(self._store) as store:
            problems = self._write_next(store)
            if plant:
                take_back(store, self.known[victim.bucket], victim, answered)
            problems += self._compare(store, victim, answered)
        rest = victim.rest(out) if code else None
        if rest is not None:
            problems += self._do_rest(victim, *rest)
        return problems

    def _kill(self, victim: Victim, *, is_patient: bool) -> tuple[bytes, int, str]:
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
            source.writelines(victim.source)
            source.seek(0)
            before = self._marks()
            child = subprocess.Popen(
                self._command(victim.words), stdin=source, stdout=out, stderr=told, **self._place()
            )
            if is_patient:
                self._wait_for(child, lambda: os.fstat(out.fileno()).st_size > 0)
            elif self._chance.random() < AT_WORK_SHARE:
                self._wait_for(child, lambda: self._marks() != before)
            else:
                time.sleep(self._chance.random() * 1.5 * self._life_seconds)
            child.kill()
            child.wait()
            out.seek(0)
            told.seek(0)
            return out.read(), child.returncode, told.read().decode()

    def _write_next(self, store: Store) -> list[str]:
        """Write, as anybody might who comes next."""
        begun = time.monotonic()
        increment(store.open("next"), "count", 1)
        seconds = time.monotonic() - begun
        worst = "ms that the next writer took at worst"
        self._report.seen[worst] = max(self._report.seen[worst], round(seconds * 1000))
        return [f"the next writer took {seconds:.1f} s"] if seconds > NEXT_WRITER_SECONDS_MAX else []

    def _compare(self, store: Store, victim: Victim, answered: int) -> list[str]:
        """Look whether the store is as it may be, and take note of how it is."""
        problems = []
        for bucket in {"default", "cache", victim.bucket}:
            transactions = victim.transactions if bucket == victim.bucket else []
            first = answered if transactions else 0
            before, now = self.known[bucket], look(store, bucket)
            done = reached(before, transactions, first, now)
            self._report.seen["changes in doubt and there"] += (done or first) - first
            self._report.seen["keys compared"] += len(now)
            self.known[bucket] = now
            if done is None:
                problems.append(f"after {first} of {len(transactions)} transactions {bucket} has none of its states")
            elif bucket == "imported":
                self._import_ends.add(done)
        if len(self._import_ends) > IMPORT_TRANSACTIONS + 1:
            problems.append(f"imports were cut after {sorted(self._import_ends)} pairs")
        return problems

    def _do_rest(self, victim: Victim, words: list[str], source: tuple[bytes, ...]) -> list[str]:
        problems = self._run(words, source)
        with Store(self._store, read_only=True) as store:
            now = look(store, victim.bucket)
        before, self.known[victim.bucket] = self.known[victim.bucket], now
        self._report.seen["rests done"] += 1
        if reached(before, victim.transactions, len(victim.transactions), now) is None:
            problems.append("the rest did not make it whole")
        return problems

    def debris(self) -> list[str]:
        """Give what is wrong with the files, or too much of them."""
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(self._store) for name in names]
        names = [os.path.relpath(path, self._store) for path in paths]
        problems = [f"{name} was left" for name in names if not FILES.fullmatch(name)]
        problems += [f"{name} was left in the folder for temporary files" for name in os.listdir(self._temporary)]
        unfinished = len(glob(os.path.join(self._store, "cache", "*.new-*")))
        problems += [f"there are {unfinished} unfinished caches"] if unfinished > self._unfinished_max else []
        if self.known["cache"]:
            self._unfinished_max = unfinished
        for path in paths:
            if path.endswith("data.mdb"):
                self._report.seen["verified"] += 1
                problems += verify(path, subdir=False)  # type: ignore[no-untyped-call]
        self._report.seen["KiB on disk"] = sum(os.stat(path).st_blocks for path in paths) >> 1
        return problems

    def _run(self, words: list[str], source: tuple[bytes, ...]) -> list[str]:
        """Run a command to its end."""
        done = subprocess.run(self._command(words), input=b"".join(source), capture_output=True, **self._place())
        return [f"{words[0]} ended with {done.returncode}: {done.stderr.decode()}"] if done.returncode else []

    def _command(self, words: list[str]) -> list[str]:
        return [sys.executable, "-m", "kvcli", "-s", self._store, *words]

    def _place(self) -> dict[str, Any]:
        return {"cwd": ROOT, "env": {**os.environ, "TMPDIR": self._temporary}}

    def _wait_for(self, child: subprocess.Popen[bytes], is_at_work: Callable[[], bool]) -> None:
        """Wait until a command is at work, and a while longer."""
        while not is_at_work() and child.poll() is None:
            time.sleep(0.0002)
        time.sleep(self._chance.random() ** 2 * AT_WORK_SECONDS_MAX)

    def _marks(self) -> list[int]:
        """Give what is another once anybody has written."""
        marks = []
        for path in [os.path.join(self._store, "data.mdb"), *glob(os.path.join(self._store, "cache", "*", "data.mdb"))]:
            with contextlib.suppress(FileNotFoundError):
                marks.append(os.stat(path).st_mtime_ns)
        return marks


def look(store: Store, bucket: str) -> State:
    """Give what a bucket holds, or the cache."""
    if bucket == "cache":
        with contextlib.closing(Cache(store)) as cache:
            found = {key: cache.get(key) for key in CACHE_KEYS}
        return {key: value for key, value in found.items() if value is not None}
    if bucket not in store.buckets():
        return {}
    return {key.decode(): value for page in store.open(bucket).item_pages(Span()) for key, value in page}


def reached(before: State, transactions: list[Changes], answered: int, now: State) -> int | None:
    """Tell how many transactions lead from one state to the other, at least those that were answered; None: none do."""
    made = dict(before)
    for transaction in transactions[:answered]:
        change(made, transaction)
    wrong = {key for key in made.keys() | now.keys() if made.get(key) != now.get(key)}
    for number, transaction in enumerate(transactions[answered:], answered):
        if not wrong:
            return number
        change(made, transaction)
        for key, _ in transaction:
            (wrong.discard if made.get(key) == now.get(key) else wrong.add)(key)
    return None if wrong else len(transactions)


def change(state: State, changes: Changes) -> None:
    """Do to a dictionary what a transaction does to a bucket."""
    for key, value in changes:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def take_back(store: Store, before: State, victim: Victim, answered: int) -> None:
    """Undo a change that was acknowledged."""
    if victim.bucket == "cache":
        return
    now = look(store, victim.bucket)
    changed = [
        key
        for transaction in victim.transactions[:answered]
        for key, _ in transaction
        if before.get(key) != now.get(key)
    ]
    if changed:
        bucket, value = store.open(victim.bucket), before.get(changed[0])
        bucket.delete(changed[0]) if value is None else bucket.set(changed[0], value)
