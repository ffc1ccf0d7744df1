"""Linearizability: processes work on few keys, are killed and stopped, and what they were answered has an order.

4, 8 and 16 workers (lin_worker.py) use the library, a co-process or commands, and record each call and each answer. A killed
worker leaves one in doubt: it is done, or never, by the time that the next writer has written. (Killed between the last
write of a commit and its announcement, a process leaves a revision that readers see only once a writer takes over its
lock.) The store is read in the end, and that too must be explained. Each operation keeps to one group of keys, and groups are checked apart:
so what a batch wrote, and what get_many saw, is one deed on all of its keys, and not only right for each of them.

A planted run has another fault in the workers of each size (lin_worker.FAULTS). Its one check has a problem only where
all of them were found: a run that misses one is silent, and fails so.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from binascii import crc32
from bisect import bisect
from collections.abc import Iterator

from lmdb.verify import verify

from kvcli.engine.revisions import STRIPES
from kvcli.store import Store
from tests.crash.lin_clients import Library
from tests.crash.lin_worker import FAULTS, GROUPS, KEYS, key_name
from tests.crash.linear import Call, Operation, contradiction
from tests.crash.report import Report
from tests.processes import ROOT

PROCESSES = 4, 8, 16
KINDS = "library", "coprocess", "library", "commands"
OPERATIONS_PER_KILL = 900
STOP_SECONDS_MAX = 0.03
HANG_SECONDS = 60

NAMES = [[key_name(group, at) for at in range(KEYS)] for group in range(GROUPS)]
# Two keys of one stripe may have false conflicts, which the interface allows and the model does not.
assert len({crc32(name.encode()) % STRIPES for names in NAMES for name in names}) == GROUPS * KEYS


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Let workers of each number work until `rounds` of them were killed; `plant` gives them faults."""
    report = Report()
    told = [
        list(wrong(report, seed, rounds, *each)) for each in zip(PROCESSES, FAULTS if plant else [""] * 3, strict=True)
    ]
    if plant:
        report.check(not all(told), "; ".join(problems[0] for problems in told if problems))
        return report
    for processes, problems in zip(PROCESSES, told, strict=True):
        report.check(not problems, f"{processes} processes: {'; '.join(problems)}")
    return report


def wrong(report: Report, seed: int, kills: int, processes: int, fault: str) -> Iterator[str]:
    """Run so many processes, and give what was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        Store(store).close()
        run = Run(store, processes, f"{seed} {processes}", fault)
        yield from run.work(kills)
        calls = settled([call for life in run.lives for call in life.calls()] + last_look(store))
        yield from verify(os.path.join(store, "data.mdb"), subdir=False)  # type: ignore[no-untyped-call]
    report.seen["operations"] += len(calls)
    report.seen["kills"] += kills
    report.seen["stops"] += kills
    report.seen["in doubt"] += sum(call.in_doubt for call in calls)
    for names in NAMES:
        problem = contradiction([call for call in calls if is_about(call, names)])
        report.seen["groups of keys in order"] += problem is None
        if problem is not None:
            yield problem


class Run:
    """Workers, each restarted where it is killed."""

    def __init__(self, store: str, processes: int, seed: str, fault: str) -> None:
        """Start them."""
        self._store, self._seed, self._fault = store, seed, fault
        self._dice = random.Random(seed)
        self.lives: list[Life] = []
        self._slots = [self._begin(slot, 0) for slot in range(processes)]

    def work(self, kills: int) -> Iterator[str]:
        """Stop one and kill one, again and again, and kill all in the end; give what went wrong with them."""
        try:
            for number in range(1, kills + 1):
                if not self._wait(number * OPERATIONS_PER_KILL):
                    yield f"nothing moved for {HANG_SECONDS} s"
                    break
                self._stop_one()
                self._kill_one(number)
        finally:
            for life in self._slots:
                life.send(signal.SIGKILL)
            for life in self._slots:
                life.end()
        ends = [(life.name, life.child.returncode) for life in self.lives]
        yield from [f"worker {name} ended with {code}" for name, code in ends if code != -signal.SIGKILL]

    def _stop_one(self) -> None:
        stopped = self._dice.choice(self._slots)
        stopped.send(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0, STOP_SECONDS_MAX))
        stopped.send(signal.SIGCONT)
        time.sleep(self._dice.uniform(0, STOP_SECONDS_MAX))

    def _kill_one(self, number: int) -> None:
        slot = self._dice.randrange(len(self._slots))
        self._slots[slot].end()
        self._slots[slot] = self._begin(slot, number)

    def _begin(self, slot: int, number: int) -> Life:
        kind = KINDS[slot % len(KINDS)]
        life = Life([self._store, kind, f"{slot}.{number}", self._seed, self._fault])
        self.lives.append(life)
        return life

    def _wait(self, operations: int) -> bool:
        """Wait until so many were done; false where nothing moves."""
        last, since = 0, time.monotonic()
        while (done := sum(life.recorded for life in self.lives) // 2) < operations:
            time.sleep(0.001)
            if done > last:
                last, since = done, time.monotonic()
            elif time.monotonic() > since + HANG_SECONDS:
                return False
        return True


class Life:
    """A worker from its start to its end, and what it recorded."""

    def __init__(self, words: list[str]) -> None:
        """Start it, in a group with all that it starts."""
        self.name, self.recorded = words[2], 0
        self._chunks, self._ended = list[bytes](), 0
        command = [sys.executable, "-m", "tests.crash.lin_worker", *words]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout
        while chunk := os.read(self.child.stdout.fileno(), 1 << 16):
            self._chunks.append(chunk)
            self.recorded += chunk.count(b"\n")
            time.sleep(0.002)  # To wake for each line would take the time of those who work.
        self._ended = time.monotonic_ns()
        self.child.stdout.close()

    def send(self, number: int) -> None:
        """Send all of it a signal; it may have ended, which its exit code will tell."""
        if self.child.poll() is None:
            os.killpg(self.child.pid, number)

    def end(self) -> None:
        """Kill it, and wait until nothing of it is left."""
        self.send(signal.SIGKILL)
        self.child.wait()
        self._reader.join()

    def calls(self) -> Iterator[Call]:
        """Give what it did; the last may be in doubt, unless that would have changed nothing."""
        records = [json.loads(line) for line in b"".join(self._chunks).splitlines()]
        for (operation, begun), (answer, ended) in zip(records[::2], records[1::2], strict=False):
            yield Call(begun, ended, operation, answer)
        if len(records) % 2:
            last = Call(records[-1][1], self._ended, records[-1][0], in_doubt=True)
            if last.operation["op"] not in {"get", "exists", "get_many", "see"}:
                yield last


def last_look(store: str) -> list[Call]:
    """Write once more, and read all keys, when nobody else works any more."""
    client = Library(store)
    operations: list[Operation] = [{"op": "get_many", "keys": names} for names in NAMES]
    operations.insert(0, {"op": "incr", "key": NAMES[0][0], "delta": 0})
    calls = [Call(time.monotonic_ns(), 0, each, client.run(each)) for each in operations]
    client.bucket.store.close()
    return [call._replace(ended=time.monotonic_ns()) for call in calls]


def settled(calls: list[Call]) -> list[Call]:
    """End what is in doubt with the first write that began after it."""
    writes = sorted(
        call[:2] for call in calls if call.operation["op"] in {"set", "set_many", "incr"} and not call.in_doubt
    )

    def end(call: Call) -> int:
        return min(ended for _, ended in writes[bisect(writes, (call.ended, 0)) :])

    return [call._replace(ended=end(call)) if call.in_doubt else call for call in calls]


def is_about(call: Call, names: list[str]) -> bool:
    """Tell whether a call is about keys of a group."""
    operation = call.operation.get("operations", [call.operation])[0]
    key = operation["items"][0]["key"] if "items" in operation else operation.get("key") or operation["keys"][0]
    return key in names
