"""Power cuts: the system calls of real commands, replayed to every sync and every answer, and there the power goes.

What was not synced is lost, torn or reordered. What was acknowledged must be there, whole, and the store must work.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import deepcopy
from itertools import islice
from queue import SimpleQueue
from typing import NamedTuple

from tests.crash.disk import STYLES, Disk, Image
from tests.crash.report import Report
from tests.crash.state import State, reached
from tests.crash.survivor import Survivor
from tests.crash.workload import Step, Told, Workload, workloads

JOBS = 2
AT_ONCE = 32
CACHE_SHARE = 0.25
OLD_CACHE = "store/cache/00000000-0000-4000-8000-000000000000"  # Of another boot.


class Cut(NamedTuple):
    """What one power cut leaves, and how much of each lane was acknowledged before it."""

    workload: Workload
    name: str
    told: list[int]
    image: Image


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Let the power go so often, spread over all moments of all workloads.

    `plant` lets fdatasync do nothing, as on a disk that lies; what comes of it must be seen.
    """
    chance, report = random.Random(seed), Report()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(JOBS) as pool, ExitStack() as stack:
        free: SimpleQueue[Survivor] = SimpleQueue()
        for _ in range(JOBS):
            survivor = Survivor()
            stack.callback(survivor.end)
            free.put(survivor)
        replays = list(pool.map(lambda each: Replay(each, plant=plant), workloads(folder)))
        report.seen["system calls"] = sum(len(replay.steps) for replay in replays)
        report.seen["moments"] = sum(replay.moments for replay in replays)
        cuts = distinct(chance, rounds, replays)
        while some := list(islice(cuts, AT_ONCE)):
            for cut, wrong in pool.map(lambda cut: look(free, folder, cut), some):
                report.seen.update({"states": 1, cut.workload.name: 1})
                report.check(not wrong, f"{cut.name}: {'; '.join(wrong)}")
    return report


class Replay:
    """A workload that has run, and can be run again as far as one likes, on a disk that is none."""

    def __init__(self, workload: Workload, *, plant: bool) -> None:
        """Run it."""
        self._plant = plant
        self.workload = workload
        self._disk = Disk(workload.root)
        self.steps: list[Step] = [
            step for step in workload.record() if isinstance(step, Told) or self._disk.holds(step)
        ]
        self.moments = sum(1 for _ in self.run())

    def run(self) -> Iterator[tuple[str, Disk, list[int]]]:
        """Stop before and after each sync, and after each answer; give the disk and what was acknowledged by then."""
        disk, told = deepcopy(self._disk), [0] * len(self.workload.lanes)
        for number, step in enumerate(self.steps):
            where = f"{self.workload.name}, step {number}"
            if isinstance(step, Told):
                told[step.lane] = step.done
                yield f"{where}, told", disk, told
            elif (pages := disk.do(step)) is not None:
                yield f"{where}, {step.name} begun", disk, told
                if not (self._plant and step.name == "fdatasync"):
                    disk.settle(step, pages)
                yield f"{where}, {step.name} done", disk, told


def distinct(chance: random.Random, rounds: int, replays: list[Replay]) -> Iterator[Cut]:
    """Cut the power so often, evenly over all moments, and leave out what is the same as before."""
    moments = sum(replay.moments for replay in replays)
    times = Counter(chance.sample(range(moments), rounds % moments))
    seen: set[int] = set()
    number = 0
    for replay in replays:
        for name, disk, told in replay.run():
            for style in styles(chance, rounds // moments + times[number]):
                image = disk.crash(chance, style)
                looks = hash((replay.workload.name, *told, *image.items()))
                if looks not in seen:
                    seen.add(looks)
                    yield Cut(replay.workload, f"{name}, {style}", list(told), with_old_cache(chance, image))
            number += 1


def styles(chance: random.Random, count: int) -> list[str]:
    """Choose how the power goes: in each way, if it goes that often."""
    whole, rest = divmod(count, len(STYLES))
    return [*STYLES * whole, *chance.sample(STYLES, rest)]


def with_old_cache(chance: random.Random, image: Image) -> Image:
    """Add, now and then, what a power cut left of a cache, which is never synced: anything."""
    if "store" not in image or chance.random() > CACHE_SHARE:
        return image
    files: Image = {f"{OLD_CACHE}/{name}": chance.randbytes(chance.randrange(9000)) for name in ("data.mdb", "tally")}
    return {**image, "store/cache": None, OLD_CACHE: None, **files}


def look(free: SimpleQueue[Survivor], folder: str, cut: Cut) -> tuple[Cut, list[str]]:
    """Write down what is left, have it opened, and say what is wrong."""
    survivor, place = free.get(), tempfile.mkdtemp(dir=folder)
    try:
        lay_out(place, cut.image)
        found, wrong = survivor.look(place)
        return cut, wrong or lost(cut, found)
    finally:
        shutil.rmtree(place)
        free.put(survivor)


def lay_out(place: str, image: Image) -> None:
    """Make the files and folders."""
    for path, data in image.items():
        name = os.path.join(place, path)
        if data is None:
            os.mkdir(name, 0o700)
        else:
            with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(data)


def lost(cut: Cut, found: State) -> list[str]:
    """Say which lane has not what was acknowledged, or half of something."""
    lanes = cut.workload.lanes
    owned = [{key for changes in lane for key in changes} for lane in lanes]
    others = {key: value for key, value in found.items() if not any(key in keys for keys in owned)}
    wrong = [f"{key} is nobody's" for key in sorted(others) if cut.workload.start.get(key) != others[key]][:1]
    for number, (lane, keys) in enumerate(zip(lanes, owned, strict=True)):
        start = {key: value for key, value in cut.workload.start.items() if key in keys}
        counts = reached({key: value for key, value in found.items() if key in keys}, start, lane)
        least = cut.told[number] if cut.workload.keeps else 0
        if not counts or counts[-1] < least:
            wrong.append(f"lane {number} is at {counts[-1:]}, and was told of {least}")
    return wrong
