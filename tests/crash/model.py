"""Random programs against a dictionary and a fake clock: the store, atomics, batches, transactions and the cache, by every way."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from typing import Any, cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import get_state_machine_test

from tests.crash.report import Report
from tests.models.kinds import KINDS

Ran = tuple[Counter[str], str]
STEPS = 50
LONG = 50  # Machines: for fewer, another process would take longer to start than to run.
MEMORY = "/dev/shm"
TOLD_LINES_MAX = 60


def campaign(number: int, rounds: int, *, plant: bool = False) -> Report:
    """Run so many machines of each kind, of 50 steps; `plant` has them compare with a model that is wrong in one rule."""
    report = Report()
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as folder:
        work = partial(run, folder=folder, number=number, machines=rounds, plant=plant)
        for name, (seen, problem) in zip(KINDS, each(work, rounds), strict=True):
            report.check(not problem, problem)
            report.check(seen["steps"] > 0, f"{name}: no steps")
            report.seen.update(seen)
            report.seen[f"of {name}"] += seen["machines"]
    return report


def each(work: Callable[[str], Ran], machines: int) -> Iterator[Ran]:
    """Do some work for each kind; on all processors at once, where it is long enough."""
    if machines < LONG:
        yield from map(work, KINDS)
        return
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, KINDS)


def run(name: str, *, folder: str, number: int, machines: int, plant: bool) -> Ran:
    """Run machines of one kind until one fails; give what happened, and the steps that fail."""
    kind, problem = KINDS[name], ""
    kind.seen, kind.numbers, kind.wrong = Counter(), count(), plant
    kind.set_up(os.path.join(folder, name.replace(" ", "-")))
    try:
        seed(number)(_program(kind, machines, plant=plant))()
    except HypothesisException:
        raise
    except Exception as error:  # noqa: BLE001 - whatever fails a machine is the problem, with the steps that led to it
        told = [str(error), *[line for note in getattr(error, "__notes__", []) for line in note.splitlines()]]
        problem = "\n".join([f"{name}: {type(error).__name__}", *told[:TOLD_LINES_MAX]])
    finally:
        kind.tear_down()
    return kind.seen, problem


def _program(kind: Any, machines: int, *, plant: bool) -> Any:
    phases = [Phase.generate] if plant else [Phase.generate, Phase.shrink]  # What is known need not be made short.
    chosen = settings(
        max_examples=machines,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=False,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    return get_state_machine_test(cast("Any", kind), settings=chosen)
