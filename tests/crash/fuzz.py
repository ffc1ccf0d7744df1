"""Any input into every parser: it is read, or refused as it should be, in time; nothing else comes out of it."""

from __future__ import annotations

import math
import os
import random
import signal
import tempfile
import traceback
from contextlib import ExitStack
from importlib.util import find_spec
from types import FrameType
from zlib import crc32

from tests.crash.report import Report
from tests.fuzz import Target, guided
from tests.fuzz.seeds import mutated
from tests.fuzz.table import Aim, aims

PROBLEMS_PER_TARGET = 3
SECONDS_MAX = 5.0  # Of computing, on one input.
GUIDED_FROM = 100_000  # Below, to start a process for each target would take longer than the inputs.
MEMORY = "/dev/shm"


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Give so many inputs to all targets; where atheris is installed, and they are many, half of them made by it.

    `plant` has a parser with a fault, which must be found.
    """
    report = Report()
    in_memory = MEMORY if os.path.isdir(MEMORY) else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder, ExitStack() as ends:
        table = aims(folder, ends, plant=plant)
        is_guided = rounds >= GUIDED_FROM and find_spec("atheris") is not None
        whole = rounds / sum(aim.share for aim in table.values()) / (1 + is_guided)
        for name, aim in table.items():
            rng, count = random.Random(seed ^ crc32(name.encode())), math.ceil(whole * aim.share)
            mutate(report, name, aim, rng, count)
            if is_guided:
                guided.run(report, name, seed, count)
    return report


def mutate(report: Report, name: str, aim: Aim, rng: random.Random, count: int) -> None:
    """Give the seeds of a target to it, and then mutations of them."""
    report.seen["targets"] += 1
    found = 0
    for number in range(count):
        data = aim.seeds[number] if number < len(aim.seeds) else mutated(rng.choice(aim.seeds), aim.seeds, rng)
        fault = fault_of(aim.target, data)
        report.seen["mutated inputs"] += 1
        report.check(not fault, f"{name}: {data!r}: {fault}")
        found += bool(fault)
        if found == PROBLEMS_PER_TARGET:
            return


def fault_of(target: Target, data: bytes) -> str:
    """Give what comes out of a target that should not; nothing, mostly."""
    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_MAX)
    try:
        target(data)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return ""


def too_long(_number: int, _frame: FrameType | None) -> None:
    """End an input that takes for ever."""
    raise TimeoutError(f"more than {SECONDS_MAX} s of computing")
