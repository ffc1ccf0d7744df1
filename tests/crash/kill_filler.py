"""Kill the filler of a vacancy at a random moment, while others wait for its value, round after round."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time

from tests.crash.report import Report
from tests.processes import ROOT

CALLERS = 12
HANG_SECONDS = 60
# Notes that it ran, and by whom; takes its time; prints something long, which begins and ends alike.
COMMAND = (
    'echo $PPID >> "$0"; sleep 0.15; echo begin $$; head -c 200000 /dev/zero | tr "\\0" x; sleep 0.05; echo end $$'
)


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Let many call get-or-set at once and kill the one who fills; `plant` has nobody wait for anybody."""
    dice = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        for number in range(rounds):
            note = os.path.join(folder, f"ran-{number}")
            hit, found = _round(store, f"k{number}", note, dice, apart=plant)
            report.seen["fillers killed"] += hit
            report.seen["callers"] += CALLERS
            with open(note) as file:
                ran = len(file.readlines())
            report.seen["runs of the command"] += ran
            if ran > 1 + hit:
                found.append(f"the command ran {ran} times")
            report.check(not found, f"round {number}: {'; '.join(found)}")
    return report


def _round(store: str, key: str, note: str, dice: random.Random, *, apart: bool) -> tuple[bool, list[str]]:
    callers = []
    for number in range(CALLERS):
        name = f"{key}-{number}" if apart else key
        words = [
            sys.executable,
            "-m",
            "kvcli",
            "-s",
            store,
            "cache",
            "get-or-set",
            name,
            "--",
            "sh",
            "-c",
            COMMAND,
            note,
        ]
        callers.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT))
    filler = _filler(note)
    time.sleep(dice.random() * 0.25)
    victim = next((caller for caller in callers if caller.pid == filler), None)
    hit = victim is not None and victim.poll() is None
    if victim is not None:
        victim.kill()
    outputs: set[bytes] = set()
    problems = []
    for caller in callers:
        try:
            out, err = caller.communicate(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            caller.kill()
            problems.append("a caller hung")
            continue
        if caller is not victim or caller.returncode == 0:
            outputs.add(out)
            problems += [f"exit code {caller.returncode}: {err.decode()}"] if caller.returncode else []
    problems += ["somebody got a partial value" for out in outputs if not _is_whole(out)]
    return hit, problems + (["callers got different values"] if len(outputs) != 1 else [])


def _filler(note: str) -> int:
    """Give the process that runs the command first."""
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        try:
            with open(note) as file:
                line = file.readline()
        except FileNotFoundError:
            line = ""
        if line.endswith("\n"):
            return int(line)
        time.sleep(0.005)
    return 0


def _is_whole(out: bytes) -> bool:
    first, _, last = out.partition(b"x")
    return first.split()[:1] == [b"begin"] and last.lstrip(b"x") == b"end " + first.split()[1] + b"\n"
