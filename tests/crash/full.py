"""No room: on the disk, in a file, for files, addresses, descriptors or readers. Nothing acknowledged is lost, nothing half done.

What cannot be done says so by exit code 69 and one line, and leaves things as they were; what is there is read; a command
that was only to be cached runs all the same; and once there is room again everything works.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from kvcli.engine.transaction import Span
from kvcli.store import Store
from tests.crash.command import Ran, run, settings
from tests.crash.full_acts import ACTS, BACKED_UP, EDITOR, LARGE, UNFAILING, Act, Pairs
from tests.crash.full_places import FILLER, KINDS, Place, place
from tests.crash.report import Report

FULL = 69
ACTS_WHILE_FULL, ACTS_AFTERWARDS = 5, 2
CACHE_FILES = {"data.mdb", "lock.mdb", "tally", "claims"}


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Do things in one full place after the other.

    `plant` loses a key that was acknowledged, or leaves a part of a file, in turn.
    """
    chance = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory() as home:
        make_backup(home)
        for number, kind in zip(range(rounds), shuffled(chance), strict=False):
            try:
                with place(kind, home, chance) as where:
                    Round(report, chance, where, home, plant=number % 2 if plant else None).run()
            except pytest.skip.Exception:
                report.seen["places left out, which this user may not mount"] += 1
            shutil.rmtree(os.path.join(home, "place"), ignore_errors=True)
    return report


def shuffled(chance: random.Random) -> Iterator[str]:
    """Give all kinds of places in a random order, again and again."""
    while True:
        yield from chance.sample(KINDS, len(KINDS))


def make_backup(home: str) -> None:
    """Make the backup that is restored, where there is room."""
    store = os.path.join(home, "other")
    with Store(store) as opened:
        for key, value in BACKED_UP.items():
            opened.open("default").set(key, value)
    assert run(["backup", os.path.join(home, "backup.mdb"), "-s", store], settings(home)).code == 0


class Round:
    """One place: a store in it, what it should hold, and what is found."""

    def __init__(self, report: Report, chance: random.Random, where: Place, home: str, *, plant: int | None) -> None:
        """Make a store with something in it."""
        self._report = report
        self._chance = chance
        self._where = where
        self._plant = plant
        self._store = os.path.join(where.folder, "store")
        self._env = settings(home, KVCLI_STORE=self._store, VISUAL=EDITOR, TMPDIR=where.folder)
        self._state: Pairs = {"n": b"1", "large": LARGE, **{f"k{n}": bytes(n * 500) for n in range(9)}}
        self._backups: dict[str, Pairs] = {"old.mdb": self._state}
        with Store(self._store) as opened:
            for key, value in self._state.items():
                opened.open("default").set(key, value)
        for words in ("cache", "set", "k", "old"), ("backup", os.path.join(where.folder, "old.mdb")):
            ran = run(words, self._env)
            assert ran.code == 0, ran.err

    def run(self) -> None:
        """Fill the place, do things, free it, and do more."""
        self._where.fill(self._store)
        self._where.is_full = True
        for name in self._chance.sample(list(ACTS), ACTS_WHILE_FULL):
            self._do(name, {0} if name in UNFAILING else {0, FULL, *self._where.in_use.get(name, ())})
        if self._where.is_read:
            self._read()
        self._where.free()
        self._where.is_full = False
        for name in self._chance.sample(list(ACTS), ACTS_AFTERWARDS):
            self._do(name, {0})
        ran = run(["check"], self._env)
        self._report.check(ran.code == 0, f"{self._where.kind}: check says {ran.err[:200]!r}")

    def _do(self, name: str, codes: set[int]) -> None:
        act = ACTS[name](self._chance, self._state, self._where.folder)
        before = listing(self._where.folder)
        ran = run(act.words, self._env, [act.source], program=(*printing_to(act.into), *self._where.program))
        self._report.seen["commands done" if ran.code == 0 else "commands without room"] += 1
        self._break()
        problems = [*said(ran, codes, act), *self._left(act, ran, before), *self._kept(act, ran)]
        self._report.check(not problems, f"{self._where.kind}: {name}: {'; '.join(problems)}")

    def _break(self) -> None:
        """Lose a key, or leave a part of a file, where that was asked for."""
        if self._plant == 1:
            with open(os.path.join(self._store, "data.mdb.part"), "wb"):
                pass
        elif self._plant == 0 and self._state.get("large") and not self._where.is_full:
            with Store(self._store) as opened:
                opened.open("default").delete("large")

    def _kept(self, act: Act, ran: Ran) -> Iterator[str]:
        """Look whether the store holds what was acknowledged, and take over what it holds."""
        after = self._state if act.after is None else act.after
        allowed = [after] if ran.code == 0 else [self._state]
        if ran.code and act.steps:
            done = sum(json.loads(line)["ok"] for line in ran.out.splitlines()) if act.words[0] == "batch" else None
            allowed = [act.steps[done]] if done is not None else list(act.steps)
        if self._where.is_full and not self._where.is_read:
            self._state = allowed[0]
            return  # It is seen later: what was refused now is not to be there then.
        found = contents(self._store)
        if found not in allowed:
            wrong = [key for key in found.keys() | allowed[0].keys() if found.get(key) != allowed[0].get(key)]
            yield f"code {ran.code}, and not as it should be: {sorted(wrong)[:5]} of {len(found)} keys"
        self._state = found

    def _left(self, act: Act, ran: Ran, before: set[str]) -> Iterator[str]:
        """Look for what was left behind, and at the files that were made."""
        made = set(act.files) if ran.code == 0 else set()
        told = ran.err.decode("utf-8", "replace")
        left = {name for name in listing(self._where.folder) - before - made if name not in told}
        left.discard(os.path.basename(act.into))
        if left:
            yield f"left {sorted(left)[:5]}"
        for file in made:
            if act.words[0] == "backup":
                self._backups[file] = self._state
            elif read(os.path.join(self._where.folder, file)) != self._printed(act):
                yield f"{file} is not what was to be written"
        for file, held in self._backups.items():
            if contents(os.path.join(self._where.folder, file)) != held:
                yield f"the backup {file} is not what it was"

    def _printed(self, act: Act) -> bytes:
        return run(act.words, self._env).out if act.into else self._state["large"]

    def _read(self) -> None:
        """Look whether what is there can be read by commands, and what was cached is what was cached or nothing."""
        ran = run(["get", "large"], self._env, program=self._where.program)
        self._report.check(ran.out == self._state.get("large", b""), f"{self._where.kind}: get: {ran.err!r}")
        ran = run(["cache", "exists", "k"], self._env, program=self._where.program)
        self._report.check(ran.code in {0, 1, FULL}, f"{self._where.kind}: cache exists: {ran.err!r}")


def printing_to(file: str) -> tuple[str, ...]:
    """Give what starts a program that prints into a file; where that cannot be made, the program says that its output is closed."""
    return ("sh", "-c", '(: > "$0") 2>&- && exec "$@" > "$0" || exec "$@" > /dev/full', file) if file else ()


def said(ran: Ran, codes: set[int], act: Act) -> Iterator[str]:
    """Say what is wrong with how a command ended."""
    if ran.code not in codes:
        yield f"exit code {ran.code}: {ran.err[-200:]!r}"
    if ran.code == FULL and (ran.err.count(b"\n") != 1 or not ran.err.startswith(b"kvcli: ")):
        yield f"no line of explanation: {ran.err[:300]!r}"
    if act.out is not None and ran.out != act.out:
        yield f"{ran.printed} bytes printed, not {len(act.out)}"


def listing(folder: str) -> set[str]:
    """Name all files of a place, but not those that fill it or that a cache has as long as it lives."""
    found = set()
    for path, folders, files in os.walk(folder):
        if FILLER in folders:
            folders.remove(FILLER)
        in_cache = f"{os.sep}cache" in path and ".new-" not in path and ".old-" not in path
        found |= {os.path.join(path, name) for name in files if not (in_cache and name in CACHE_FILES)}
    return {os.path.relpath(path, folder) for path in found} - {FILLER}


def contents(store: str) -> Pairs:
    """Give what a store holds."""
    with Store(store, read_only=True) as opened:
        return {key.decode(): value for page in opened.open("default").item_pages(Span()) for key, value in page}


def read(file: str) -> bytes:
    """Give what is in a file."""
    with open(file, "rb") as opened:
        return opened.read()
