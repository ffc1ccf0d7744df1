"""Every write and sync of commands that write, made to fail in turn: what is told is what is there, and the next one works.

strace answers the calls in the place of the kernel; a limit on the size of files cuts them short as a full disk does.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import NamedTuple

from tests.crash.commands import BEFORE, Command, commands, fill
from tests.crash.report import Report
from tests.crash.state import State, after, difference, look, reached
from tests.processes import ROOT
from tests.tracing import Call, Traced, injection

# Of other calls strace would lose the bytes that it says were written, where the kernel would not.
PLACED = ("pwrite64", "pwritev", "writev")
WRITES = (*PLACED, "write")
SYNCS = ("fdatasync", "fsync")
OTHERS = ("fallocate", "ftruncate", "link", "linkat", "rename", "renameat", "renameat2")
# Why a write was short nobody says: LMDB takes that for a full disk where it makes a file, and else for a failed one.
EXIT_CODES = {"EIO": {74}, "ENOSPC": {69}, "EDQUOT": {69}, "EFBIG": {69}, "short": {69, 74}}
BLOCKS_MAX, BLOCKS_STEP = 128, 7  # Of ulimit -f, in sh: 512 bytes, so most limits are in the midst of a page.
OWN_FILES = {"data.mdb", "lock.mdb"}
JOBS = 2
FAULTS_MIN = 4  # Of a command, else looking what it does is most of the work.


class Fault(NamedTuple):
    """The n-th call of a kind fails, in each thread, and those after it too if it `stays`; or files may not grow past a size."""

    command: Command
    call: str
    number: int
    error: str
    stays: bool

    def __str__(self) -> str:
        """Say what fails."""
        return f"{self.command.name}: {self.error} from {self.call} {self.number}{'+' if self.stays else ''}"

    def strace(self) -> list[str]:
        """Give the options of strace."""
        answer = "retval=1" if self.error == "short" else f"error={self.error}"
        return injection(self.call, answer, f"{self.number}{'+' if self.stays else ''}")

    def run(self, store: str) -> Traced:
        """Run the command, and let it fail."""
        if self.call == "limit":
            shell = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', f"{self.number}"]
            return self.command.run(store, ["-e", "trace=none"], shell)
        return self.command.run(store, self.strace())


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Let so many of all faults happen, each to a command on a store of its own.

    `plant` tells of failures as if all were well, or does in secret what was told to have failed; both must be seen.
    """
    chance, report = random.Random(seed), Report()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(JOBS) as pool:
        bench = Bench(folder, chance)
        tried = commands(folder)
        tried = chance.sample(tried, min(len(tried), max(1, rounds // FAULTS_MIN)))
        faults = [chance.sample(found, len(found)) for found in map(bench.faults, tried)]
        report.seen["faults there are"] = sum(map(len, faults))
        turns = [fault for turn in zip_longest(*faults) for fault in turn if fault is not None]
        for seen, fault, wrong in pool.map(lambda fault: bench.try_one(fault, plant=plant), turns[:rounds]):
            report.seen.update(seen)
            report.check(not wrong, f"{fault}: {'; '.join(wrong)}")
    return report


class Bench:
    """A folder in which each command has a store of its own, a copy of the same one."""

    def __init__(self, folder: str, chance: random.Random) -> None:
        """Make the store that is copied."""
        self._chance = chance
        self._folder = folder
        self._before = fill(os.path.join(folder, "before"), BEFORE)

    def faults(self, command: Command) -> list[Fault]:
        """Look which calls a command makes, and how often: each can fail in each way."""
        store = self._store(command)
        ran = command.run(store, ["-e", "trace=" + ",".join(f"?{call}" for call in WRITES + SYNCS + OTHERS)])
        assert ran.code == 0, ran.err
        shutil.rmtree(os.path.dirname(store))
        times: Counter[str] = Counter()
        for (_, name), count in Counter((call.process, call.name) for call in ran.calls).items():
            times[name] = max(times[name], count)
        places = [(name, number) for name, count in times.items() for number in range(1, count + 2)]  # One too many.
        faults = [Fault(command, *place, *kind) for place in places for kind in self._kinds(place[0])]
        limits = [Fault(command, "limit", blocks, "EFBIG", stays=True) for blocks in range(0, BLOCKS_MAX, BLOCKS_STEP)]
        return faults + limits

    def _kinds(self, call: str) -> list[tuple[str, bool]]:
        """Choose how a call fails: by EIO once, by EIO from then on, and in one of the other ways."""
        others = [error for error in EXIT_CODES if error != "EIO" and (error != "short" or call in PLACED)]
        return [("EIO", False), ("EIO", True), (self._chance.choice(others), self._chance.random() < 0.5)]

    def try_one(self, fault: Fault, *, plant: bool) -> tuple[Counter[str], Fault, list[str]]:
        """Let a fault happen, and look what came of it."""
        store = self._store(fault.command)
        ran = fault.run(store)
        if plant and ran.code:
            ran = planted(fault.command, store, ran)
        wrong = compare(fault, ran, store)
        hits = [call for call in ran.calls if call.is_injected]
        seen = Counter({"faults": 1, "calls failed": len(hits), "commands failed": ran.code != 0})
        shutil.rmtree(os.path.dirname(store))
        return seen, fault, wrong

    def _store(self, command: Command) -> str:
        store = os.path.join(tempfile.mkdtemp(dir=self._folder), "store")
        if not command.is_new:
            shutil.copytree(self._before, store)
        return store


def planted(command: Command, store: str, ran: Traced) -> Traced:
    """Turn a failure into a lie: say that all is well, or do what was told to have failed."""
    if len(command.name) % 2:
        return ran._replace(code=0, err=b"")
    command.run(store, ["-e", "trace=none"])
    return ran


def compare(fault: Fault, ran: Traced, store: str) -> list[str]:
    """Say what is wrong with what was told, with what is there, or with what the next command does."""
    hits = [call for call in ran.calls if call.is_injected]
    is_heard = not any("<pipe:" in hit.rest for hit in hits)  # Else the disk is well, and what was told got lost.
    found, damage = look(store)
    wrong = mistold(fault, ran, hits) if is_heard else []
    wrong += damage or misplaced(fault.command, ran, found, is_heard=is_heard)
    return wrong + debris(store) + blocked(store, found)


def mistold(fault: Fault, ran: Traced, hits: list[Call]) -> list[str]:
    """Say what is wrong with the exit code, or with what stands on stderr."""
    codes = set(EXIT_CODES[fault.error]) if hits or fault.call == "limit" else {0}
    if fault.call not in SYNCS:
        codes.add(0)  # A file may be made again, or do without the blocks it was to have. A sync cannot be made up for.
    wrong = [] if ran.code in codes else [f"exit code {ran.code}, and not {sorted(codes)}"]
    is_line = ran.err.startswith(b"kvcli: ") and ran.err.count(b"\n") == 1
    return wrong if is_line or not (ran.err or ran.code) else [*wrong, f"stderr is {ran.err!r}"]


def misplaced(command: Command, ran: Traced, found: State, *, is_heard: bool) -> list[str]:
    """Say what is there that should not be, or the other way round."""
    told = command.acknowledged(ran.code, ran.out)
    counts = reached(found, command.before, command.transactions)
    if command.tells and is_heard:
        wanted = after(command.before, [command.transactions[number] for number in told])
        return [] if found == wanted else [difference(found, wanted)]
    return [] if counts and counts[-1] >= len(told) else [f"none of the states it may have, after {len(told)} answers"]


def debris(store: str) -> list[str]:
    """Say which files were left that are none of a store's, in it or beside it."""
    inside = set(os.listdir(store)) - OWN_FILES if os.path.exists(store) else set()
    return [f"{name} was left" for name in inside | set(os.listdir(os.path.dirname(store))) - {"store"}]


def blocked(store: str, found: State) -> list[str]:
    """Say what is wrong with the next command, on a disk that is well again."""
    words = [sys.executable, "-m", "kvcli", "incr", "next", "-s", store]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True)
    if (ran.returncode, ran.stdout, ran.stderr) != (0, b"1\n", b""):
        return [f"the next command ends with {ran.returncode}, {ran.stderr!r}"]
    then, damage = look(store)
    wanted = {**found, "default/next": b"1"}
    return damage or ([] if then == wanted else [f"after the next command, {difference(then, wanted)}"])
