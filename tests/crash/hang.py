"""Nothing hangs: who waits ends in time by itself, at Ctrl-C, at SIGTERM and at SIGHUP, whatever it waits for.

The limits are those of a machine that starts kvcli in a sixth of a second; on a slower or busier one all are as much longer.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from kvcli.store import Store
from tests.crash.command import KVCLI, end_group, run, settings
from tests.crash.hang_long import LONG
from tests.crash.hang_waits import EDITORS, QUICK, WAITS, Wait
from tests.crash.report import Report
from tests.processes import ROOT

START_SECONDS = 0.17
LOOKS, LOOK_SECONDS = 5, 0.04
WATCHDOG_SECONDS = 5.0
SIGNAL_SECONDS = 1.0
LATE_SECONDS = 0.5  # After its time-out.
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; [signal.signal(each, signal.SIG_IGN) for each in (1, 2, 15)]; time.sleep(600)",
)
SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Have commands wait, one after the other, and end them.

    `plant` has a program wait in the place of kvcli that hears no signal.
    """
    chance = random.Random(seed)
    report = Report()
    with tempfile.TemporaryDirectory() as home, heard():
        room = Room(report, chance, home, DEAF if plant else KVCLI)
        for _, (kind, name) in zip(range(rounds), shuffled(chance, only_waits=plant), strict=False):
            getattr(room, kind)(name)
    return report


def shuffled(chance: random.Random, *, only_waits: bool) -> Iterator[tuple[str, str]]:
    """Give everything that is tried in a random order, again and again."""
    tables = {"signalled": WAITS} if only_waits else {"signalled": WAITS, "late": WAITS, "quick": QUICK, "long": LONG}
    every = [(kind, name) for kind, table in tables.items() for name in table]  # type: ignore[attr-defined]
    every = [(kind, name) for kind, name in every if kind != "late" or WAITS[name].busy is not None]
    while True:
        yield from chance.sample(every, len(every))


class Room:
    """A home with a store and files in it, and the programs that wait there."""

    def __init__(self, report: Report, chance: random.Random, home: str, program: tuple[str, ...]) -> None:
        """Fill the store, and learn how fast this machine is."""
        self._report, self._chance, self._home, self._program = report, chance, home, program
        self._env = settings(home, KVCLI_STORE=os.path.join(home, "store"), TMPDIR=home)
        with Store(self._env["KVCLI_STORE"]) as store:
            store.create("spare")
            for key, value in {
                "k": b"1",
                "n": b"1",
                "deaf": b"1",
                **{f"big{n}": bytes(400_000) for n in range(5)},
            }.items():
                store.open("default").set(key, value)
        self._write("batch", '{"op":"set","key":"k","value":"1"}\n')
        self._write("script", "set k 1\n")
        assert run(["backup", os.path.join(home, "backup.mdb")], self._env).code == 0
        self._slower = self._slowness()

    def _slowness(self) -> float:
        """Measure how much slower this machine is, now, than the one that the limits are for."""
        self._slower = max(1.0, *(run(["get", "k"], self._env).seconds / START_SECONDS for _ in range(2)))
        return self._slower

    def _in_time(self, took: float, most: Callable[[float], float]) -> bool:
        """Tell whether something took no longer than it may; what did is looked at again at this moment's speed."""
        return took < most(self._slower) or took < most(self._slowness())

    def _write(self, name: str, text: str) -> None:
        with open(os.path.join(self._home, name), "w", encoding="ascii") as file:
            file.write(text)

    def signalled(self, name: str) -> None:
        """Have a command wait, signal it and all it started, and look how long it lives."""
        wait, number = WAITS[name], self._chance.choice(list(SIGNALS))
        with wait.prepare(self._home, self._env):
            child = self._start(name, wait, "60")
            if settled(child, WATCHDOG_SECONDS * self._slower) is None:
                self._note(f"{name}: it ended with {child.poll()} instead of waiting, or worked on", holds=False)
                end_group(child)
                return
            time.sleep(self._chance.random() * 0.2)
            took = self._press(child, number, wait.presses if number == signal.SIGINT else 1)
            code = child.poll()
            end_group(child)
        allowed = wait.interrupted if number == signal.SIGINT else (-number, 128 + number)
        self._report.seen[f"ended by {SIGNALS[number]}"] += 1
        self._note(
            f"{name}: {took:.1f} s after {SIGNALS[number]} it had ended with {code}",
            holds=code in allowed and self._in_time(took, lambda slower: SIGNAL_SECONDS * slower),
        )

    def _press(self, child: subprocess.Popen[bytes], number: signal.Signals, presses: int) -> float:
        for _ in range(presses - 1):
            os.killpg(child.pid, number)
            time.sleep(0.2)
        begun = time.monotonic()
        os.killpg(child.pid, number)
        wait_at_most(child, 2 * SIGNAL_SECONDS * self._slower)
        return time.monotonic() - begun

    def late(self, name: str) -> None:
        """Have a command wait until its time-out, and look whether it ends then, not earlier and not much later."""
        wait, seconds = WAITS[name], round(0.3 + self._chance.random(), 2)
        with wait.prepare(self._home, self._env):
            begun = time.monotonic()
            child = self._start(name, wait, str(seconds))
            rested = settled(child, WATCHDOG_SECONDS * self._slower) or time.monotonic()
            wait_at_most(child, (WATCHDOG_SECONDS + seconds) * self._slower)
            ended, code = time.monotonic(), child.poll()
            end_group(child)
        self._report.seen["time-outs"] += 1
        is_early = ended - begun < seconds
        in_time = self._in_time(ended - rested, lambda slower: seconds + LATE_SECONDS * slower)
        told = (
            f"{name}: having waited for {ended - rested:.1f} s, with {seconds} s for the lock, it had ended with {code}"
        )
        self._note(told, holds=code == wait.busy and in_time and not is_early)

    def quick(self, name: str) -> None:
        """Run a command that needs to wait for nothing."""
        quick = QUICK[name]
        with quick.prepare(self._home, self._env):
            words = ("sh", "-c", 'exec "$@" <&-', "sh", *self._program) if quick.closed else self._program
            ran = run(self._named(quick.words), self._env, program=words, seconds=WATCHDOG_SECONDS * self._slower)
        self._report.seen["answers at once"] += 1
        self._note(
            f"{name}: exit code {ran.code} after {ran.seconds:.1f} s: {ran.err[:200]!r}", holds=ran.code in quick.codes
        )

    def long(self, name: str) -> None:
        """Do something that has several steps."""
        work: Callable[[str, dict[str, str], random.Random, float], str] = LONG[name]
        folder = os.path.join(self._home, "long")
        os.mkdir(folder)
        problem = work(folder, {**self._env, "KVCLI_STORE": os.path.join(folder, "store")}, self._chance, self._slower)
        shutil.rmtree(folder, ignore_errors=True)
        self._report.seen["longer stories"] += 1
        self._note(f"{name}: {problem}", holds=not problem)

    def _start(self, name: str, wait: Wait, lock_timeout: str) -> subprocess.Popen[bytes]:
        env = {**self._env, "VISUAL": EDITORS.get(name, "true")}
        pipe = subprocess.PIPE  # Nobody writes to its stdin, or reads what it prints.
        words = [*self._program, "--lock-timeout", lock_timeout, *self._named(wait.words)]
        return subprocess.Popen(
            words, env=env, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def _named(self, words: tuple[str, ...]) -> list[str]:
        return [word.replace("HOME", self._home) for word in words]

    def _note(self, told: str, *, holds: bool) -> None:
        self._report.check(holds, told)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Let those that are started hear signals, also where this process, by nohup or in the background, ignores them."""
    ignored = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def wait_at_most(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end of a process, but not for ever."""
    end = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def settled(child: subprocess.Popen[bytes], seconds: float) -> float | None:
    """Wait until a process has begun and sleeps, and give since when; None where it ends before, or does not come to rest."""
    quiet, before, end = 0, -1, time.monotonic() + seconds
    since = time.monotonic()
    while child.poll() is None and quiet < LOOKS and time.monotonic() < end:
        used, is_asleep = state(child.pid)
        quiet = quiet + 1 if is_asleep and used == before and used > 0 else 0
        since = since if quiet else time.monotonic()
        before = used
        time.sleep(LOOK_SECONDS)
    return since if quiet == LOOKS else None


def state(process: int) -> tuple[int, bool]:
    """Give how many ticks a process had a processor, and whether all its threads sleep."""
    try:
        used = 0
        states = set()
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            states.add(fields[0])
            used += int(fields[11]) + int(fields[12])
    except (FileNotFoundError, ProcessLookupError):
        return 0, False
    return used, states == {"S"}
