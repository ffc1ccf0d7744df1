"""Hostile and damaged files: kvcli never dies by a signal, never hangs, says one line, and leaves alone what it refuses.

Each round damages a sound store at random, and while there are rows in it, another one as the table says. Then commands
run on it, most of them in a forked process, and each is judged by how it ended and by what it left.
"""

from __future__ import annotations

import os
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.crash import cached, damages
from tests.crash.damaged import Damaged, dying, writing
from tests.crash.forked import command_line, warm
from tests.crash.mutations import mutate
from tests.crash.report import Report
from tests.crash.specimens import Specimen, make

READING = (
    *(
        "get {key} -b {bucket}",
        "get {key} --json --token",
        "exists {key} -b {bucket}",
        "list --values -b {bucket}",
        "stat",
    ),
    *("list --reverse --limit 7 --json", "list --prefix k1 --values -b {bucket}", "bucket list", "bucket stat"),
    *("export -b {bucket}", "export --format dump", "delete --prefix k --dry-run", "library"),
)
LENGTHY = (
    "check",
    "backup copy.mdb",
    "restore store --yes --store target",
    "compact",
    "watch -b {bucket}",
    "watch {key}",
)
WRITING = (
    *("set {key} v -b {bucket}", "set {key} @big -b {bucket}", "set new v --if-absent", "incr {key} -b {bucket}"),
    *("cas {key} v --expect 1 -b {bucket}", "cas new v --expect-absent", "delete {key} k1 k2 k3 -b {bucket}"),
    *("delete --prefix k --yes -b {bucket}", "batch", "batch --atomic", "batch --keep-going", "bucket create fresh"),
    *("bucket drop other --yes", "bucket drop b3 --yes", "import - -b {bucket}"),
)
CACHED_SHARE = 0.1  # Of the rounds so many damage a cache as well.


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Damage so many stores at random, and the rows of the table beside them.

    `plant` runs programs in the place of kvcli: one that dies by a signal, one that writes to what it refuses.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        specimens = make(folder)
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, get_context("spawn"), warm) as pool:
        shares = [pool.submit(share, seed, range(at, rounds, workers), specimens, plant) for at in range(workers)]
        for done in shares:
            report.include(done.result())
    return report


def share(seed: int, numbers: range, specimens: list[Specimen], plant: bool) -> Report:
    """Do some of the rounds, in a process that does nothing else."""
    report = Report()
    table = list(damages.table(specimens))
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        program = (dying, writing)[number % 2] if plant else command_line
        specimen = chance.choice(specimens)
        _round(report, f"file {number}", Damaged(specimen, lambda path: mutate(path, chance), program), chance)  # noqa: B023 - it runs at once
        if number < len(table):
            _round(report, f"row {number}", Damaged(*table[number], program), chance)
        if chance.random() < CACHED_SHARE:
            cached.look(report, f"cache {number}", specimens[0], chance, program)
    return report


def _round(report: Report, name: str, damaged: Damaged, chance: random.Random) -> None:
    with damaged:
        report.seen["files"] += 1
        report.seen["of them clean to the walk"] += damaged.is_clean
        lengthy = chance.sample(LENGTHY, int(chance.random() < 0.4))
        for line in [*chance.sample(READING, 4), *chance.sample(WRITING, 3), *lengthy]:
            said = line.format(key=f"k{chance.randrange(30)}", bucket=chance.choice(damaged.specimen.buckets))
            ran, problems = damaged.try_out(said.split(), chance)
            report.seen["runs"] += 1
            report.seen[ran.ending] += 1
            report.check(not problems, f"{name} ({damaged.told}): {said}: {'; '.join(problems)}")
