"""Increments by 2, 4, 8 and 16 processes at once: every one that was acknowledged counts, and counts once.

Each process increments the same counter until it has passed the target: with the store open all the time, opened for each
increment, or by a command for each. What they were told are all the numbers from 1 on, each told once. Nobody starves: who
waits for a minute ends with an error. How long the worst wait was, and how even the shares, is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

from kvcli.store import Store
from tests.crash.report import Report
from tests.processes import start

# By how much the rounds are divided, and how many processes there are.
MODES = {"held": (1, (2, 4, 8, 16)), "opened": (4, (2, 4, 8, 16)), "command": (100, (4,))}
SECONDS_MAX = 300
# Tells the numbers it was given, and how many seconds the longest wait for one was.
WORK = """
import json, subprocess, sys, time, kvcli
path, mode, target = sys.argv[1], sys.argv[2], int(sys.argv[3])
words = [sys.executable, "-m", "kvcli", "-s", path, "--lock-timeout", "60", "incr", "count"]
bucket = kvcli.Store(path, lock_timeout=60).open("default") if mode == "held" else None
def held():
    return kvcli.increment(bucket, "count", 1)
def opened():
    with kvcli.Store(path, lock_timeout=60) as store:
        return kvcli.increment(store.open("default"), "count", 1)
def command():
    return int(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
increment = {"held": held, "opened": opened, "command": command}[mode]
sys.stdin.readline()
told, worst = [0], 0
while told[-1] < target:
    begun = time.monotonic()
    told.append(increment())
    worst = max(worst, time.monotonic() - begun)
print(json.dumps([told[1:], worst]))
"""


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:  # noqa: ARG001 - only time is at random here
    """Count to `rounds` with each number of processes, and less far where it is slow; `plant` takes one away."""
    report = Report()
    for mode, (share, sizes) in MODES.items():
        for processes in sizes:
            with tempfile.TemporaryDirectory() as folder:
                problems = wrong(report, os.path.join(folder, "store"), mode, processes, rounds // share + 1, plant)
            report.check(not problems, f"{mode}, {processes} processes: {'; '.join(problems)}")
    return report


def wrong(report: Report, store: str, mode: str, processes: int, target: int, plant: bool) -> list[str]:
    """Let processes count together; give what is wrong."""
    Store(store).close()
    children = [start(WORK, store, mode, str(target)) for _ in range(processes)]
    try:
        ends = together(children)
    finally:
        for child in children:
            child.kill()
    failed = [err.decode() for _, err in ends if err]
    if failed:
        return failed
    told, waits = zip(*[json.loads(out) for out, _ in ends], strict=True)
    note(report, mode, [len(numbers) for numbers in told], max(waits))
    with Store(store) as opened:
        bucket = opened.open("default")
        bucket.set("count", b"%d" % (int(bucket.get("count") or 0) - plant))
        count = int(bucket.get("count") or 0)
    numbers = sorted(number for some in told for number in some)
    problems = [] if count == len(numbers) else [f"{len(numbers)} were acknowledged, and {count} count"]
    return problems + ([] if numbers == list(range(1, len(numbers) + 1)) else ["some were told the same number"])


def together(children: list[subprocess.Popen[bytes]]) -> list[tuple[bytes, bytes]]:
    """Let processes begin at one moment; give what each said in the end."""
    for child in children:
        assert child.stdin
        child.stdin.write(b"\n")
        child.stdin.flush()
    return [child.communicate(timeout=SECONDS_MAX) for child in children]


def note(report: Report, mode: str, counts: list[int], wait: float) -> None:
    """Take note of figures."""
    worst, least = f"ms a wait at worst ({mode})", f"% of the largest share in the smallest ({mode})"
    report.seen["increments"] += sum(counts)
    report.seen[worst] = max(report.seen[worst], round(wait * 1000))
    report.seen[least] = min(report.seen.get(least, 100), 100 * min(counts) // max(counts))
