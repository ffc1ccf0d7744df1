"""Backups under full write load, run to their end or killed: one revision each, the old file or the new one, never half."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from kvcli.store import Store
from tests.crash.report import Report
from tests.processes import ROOT, start

KILLED_SHARE = 0.8

# Writes without pause: two counters that are always equal, and much else.
WRITE = """
import itertools, sys, kvcli
store = kvcli.Store(sys.argv[1])
bucket = store.open("default").name
for number in itertools.count(1):
    def work(update):
        value = str(number).encode()
        update.put(bucket, b"first", value)
        for at in range(5):
            update.put(bucket, b"k%d" % ((number * 5 + at) % 3000), value * 300)
        update.put(bucket, b"last", value)
    store.write(work)
    if number == 100:
        print("writing", flush=True)
"""


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Back up to one file again and again while a process writes.

    `plant` cuts a backup in half, which the campaign must see.
    """
    chance = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory() as folder, writing(os.path.join(folder, "store")) as store:
        file = os.path.join(folder, "to", "backup.mdb")
        os.mkdir(os.path.dirname(file))
        last = 0
        for number in range(rounds):
            before = count(store)
            is_killed = back_up(store, file, chance if number and chance.random() < KILLED_SHARE else None)
            after = count(store)
            report.seen["backups killed" if is_killed else "backups done"] += 1
            if plant:
                os.truncate(file, os.path.getsize(file) // 2)
            found, wrong = look(file)
            is_new = before <= found <= after
            report.seen["killed after the new file was there"] += is_killed and is_new
            if not is_new and (found != last or not is_killed):
                wrong.append(f"holds {found}, and neither {last} nor what was written from {before} to {after}")
            report.check(not wrong, f"round {number}: {'; '.join(wrong)}")
            last = found
    return report


@contextlib.contextmanager
def writing(store: str) -> Iterator[str]:
    """Have a process write to a store."""
    Store(store).close()
    writer = start(WRITE, store)
    assert writer.stdout
    writer.stdout.readline()
    try:
        yield store
    finally:
        writer.kill()
        writer.communicate()


def back_up(store: str, file: str, chance: random.Random | None) -> bool:
    """Run one backup, or kill it and what it started at a random moment; tell whether it was killed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "kvcli", "backup", file, "-s", store], cwd=ROOT, start_new_session=True
    )
    if chance is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(chance.random() * 0.25)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    assert code in {0, -signal.SIGKILL}, code
    return code != 0


def look(file: str) -> tuple[int, list[str]]:
    """Give the revision of a backup that its counters tell, and what is wrong with it, or around it."""
    checked = subprocess.run(
        [sys.executable, "-m", "kvcli", "check", "-s", file], cwd=ROOT, capture_output=True, text=True
    )
    if checked.returncode:
        return 0, [checked.stderr]
    wrong = [f"{name} was left" for name in os.listdir(os.path.dirname(file)) if name != os.path.basename(file)]
    wrong += [f"mode {os.stat(file).st_mode & 0o777:o}"] if os.stat(file).st_mode & 0o777 != 0o600 else []
    with Store(file, read_only=True) as opened:
        bucket = opened.open("default")
        first, last = bucket.get("first"), bucket.get("last")
    return int(first or 0), wrong + ([f"{first!r} is not {last!r}"] if first != last else [])


def count(store: str) -> int:
    """Give how often was written."""
    with Store(store, read_only=True) as opened:
        return int(opened.open("default").get("last") or 0)
