"""Clocks that are set: an entry never outlives its TTL, no time is negative, and waits neither end early nor hang.

With clocks that the campaign turns, for caches of the library; and with libfaketime, where there is one, for real processes,
whose wall clock is set while they work.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time

from kvcli.cache import Cache, Vacant
from kvcli.store import Store
from tests.contract.test_cache import Watch
from tests.crash.command import KVCLI, Ran, run, settings
from tests.crash.hang_waits import locked
from tests.crash.report import Report

STEPS = 60  # Of a walk with turned clocks.
HOUR, YEAR = 3600.0, 31_536_000.0
JUMPS = (HOUR, -HOUR, YEAR, -YEAR, 0.5, -0.5, 86_400.0, -86_400.0, 40 * YEAR)
KEYS = 5
LIBRARY = next(
    (
        file
        for folder in (
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
            "/usr/local/lib",
        )
        if os.path.exists(file := f"{folder}/faketime/libfaketimeMT.so.1")
    ),
    None,
)


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Turn clocks, each round once for the library and, in turn, once for one kind of process.

    `plant` stores entries for four times as long as the campaign expects them to live.
    """
    chance = random.Random(seed)
    report = Report()
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            Walk(report, chance, home, wrong=4 if plant else 1).run()
            if LIBRARY is None:
                report.seen["rounds without processes: there is no libfaketime"] += 1
            else:
                Processes(report, chance, home, wrong=4 if plant else 1).run(number)
    return report


# Is kvcli with a wall clock as a file says. Not libfaketime for what sleeps: it fails the call by which Python does.
SLEEPER = """
import runpy, sys, time
file, real = sys.argv.pop(1), time.time
def wall():
    with open(file) as opened:
        return real() + float(opened.read())
time.time = wall
runpy.run_module("kvcli", run_name="__main__")
"""


class Walk:
    """Two caches of one store, as two processes would have them, and clocks that are turned between what they do."""

    def __init__(self, report: Report, chance: random.Random, home: str, *, wrong: int) -> None:
        """Begin with nothing."""
        self._report, self._chance, self._home, self._wrong = report, chance, home, wrong
        self._clock = Watch()
        self._known: dict[str, tuple[bytes, float, int | None, float]] = {}

    def run(self) -> None:
        """Take so many steps."""
        with (
            Store(os.path.join(self._home, "walk")) as store,
            Cache(store, clock=self._clock) as one,
            Cache(store, clock=self._clock) as two,
        ):
            for _ in range(STEPS):
                cache = self._chance.choice([one, two])
                self._chance.choices([self._set, self._turn, self._look, self._meet, self._tidy], [3, 3, 6, 2, 1])[0](
                    cache
                )

    def _ttl(self) -> int | None:
        return self._chance.choice([1, 100, 5000, 60_000, 3_600_000, 86_400_000, (1 << 32) // 4 - 1, None])

    def _set(self, cache: Cache) -> None:
        key, value, ttl = f"k{self._chance.randrange(KEYS)}", self._chance.randbytes(8), self._ttl()
        cache.set(key, value, None if ttl is None else ttl * self._wrong)
        self._known[key] = value, self._clock.up, ttl, self._clock.now - self._clock.up

    def _turn(self, cache: Cache) -> None:
        """Set the wall clock, or let time pass."""
        del cache
        if self._chance.random() < 0.5:
            self._clock.now = max(self._clock.now + self._chance.choice(JUMPS), 1.0)
            self._report.seen["clocks set"] += 1
        else:
            self._clock.tick(self._chance.choice([0.001, 0.05, 1, 30, 600, HOUR, 86_400]) * self._chance.random())

    def _look(self, cache: Cache) -> None:
        key = f"k{self._chance.randrange(KEYS)}"
        self._judge(key, cache.get(key), "get")

    def _meet(self, cache: Cache) -> None:
        """Look by get-or-set, whose vacancy is free, and fill it."""
        key = f"k{self._chance.randrange(KEYS)}"
        entry = cache.get_or_set(key, timeout=5)
        if not isinstance(entry, Vacant):
            self._judge(key, entry.value, "get-or-set")
            return
        self._judge(key, None, "get-or-set")
        value, ttl = self._chance.randbytes(8), self._ttl()
        entry.vacancy.fill(value, None if ttl is None else ttl * self._wrong)
        self._known[key] = value, self._clock.up, ttl, self._clock.now - self._clock.up

    def _tidy(self, cache: Cache) -> None:
        """Purge twice, and look at the figures."""
        dead = [key for key in self._known if not self._lives(key)]
        cache.purge()
        self._report.check(cache.purge() == 0, "a second purge finds more")
        figures = cache.stats()
        self._report.check(all(figure is None or figure >= 0 for figure in figures.values()), f"negative: {figures}")
        for key in dead:
            self._report.check(cache.get(key) is None, f"{key} is there after its time")

    def _lives(self, key: str) -> bool:
        _, stored, ttl, _ = self._known[key]
        return ttl is None or (self._clock.up - stored) * 1000 < ttl

    def _judge(self, key: str, value: bytes | None, how: str) -> None:
        """Look whether an entry is there that is not to be, or the other way round where no clock was set meanwhile."""
        known = self._known.get(key)
        self._report.seen["entries looked for"] += 1
        if value is not None:
            holds = known is not None and value == known[0] and self._lives(key)
            self._report.check(
                holds,
                f"{how} gives {key}, {known and self._clock.up - known[1]} s old, with a TTL of {known and known[2]} ms",
            )
        elif known is not None:
            was_set = abs(self._clock.now - self._clock.up - known[3]) > 0.001
            early = self._lives(key) and (known[2] is None or (known[2] - (self._clock.up - known[1]) * 1000) > 1)
            self._report.check(
                was_set or not early, f"{how} misses {key}, though its time is not up and no clock was set"
            )


class Processes:
    """Real processes, each with a wall clock of its own that may be set while they work."""

    def __init__(self, report: Report, chance: random.Random, home: str, *, wrong: int) -> None:
        """Have a store, and a file that says what time it is."""
        self._report, self._chance, self._home, self._wrong = report, chance, home, wrong
        self._store = os.path.join(home, "store")
        Store(self._store).close()

    def run(self, number: int) -> None:
        """Do one kind of thing."""
        kinds = (
            [self._entries]
            if self._wrong > 1
            else [self._entries, self._recordings, self._time_out, self._watch, self._rendezvous]
        )
        kinds[number % len(kinds)]()

    def _env(self, offset: float, name: str = "time") -> dict[str, str]:
        """Give the variables of a process whose wall clock is so many seconds off, as the file `name` says."""
        self._set_clock(offset, name)
        more = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": os.path.join(self._home, name),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        return {**settings(self._home, KVCLI_STORE=self._store), **more}

    def _set_clock(self, offset: float, name: str = "time") -> None:
        path = os.path.join(self._home, name)
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(f"{offset:+.0f}")
        os.replace(f"{path}.new", path)

    def _kvcli(self, offset: float, *words: str) -> Ran:
        self._report.seen["processes"] += 1
        return run(words, self._env(offset), seconds=60)

    def _jump(self) -> float:
        return self._chance.choice([0.0, *JUMPS[:4], JUMPS[6], JUMPS[7]])

    def _entries(self) -> None:
        """Set entries by some clocks, and look for them by others, before and after their time."""
        ttl = self._chance.randrange(900, 1500)
        offsets = [self._jump() for _ in range(3)]
        for number, offset in enumerate(offsets):
            ran = self._kvcli(offset, "cache", "set", f"k{number}", str(offset), "--ttl", str(ttl * self._wrong))
            self._report.check(ran.code == 0, f"set at {offset:+}: {ran.err!r}")
        stored = time.monotonic()
        self._gets(offsets, None)
        time.sleep(max(stored + ttl / 1000 - time.monotonic(), 0) + 0.01)
        self._gets(offsets, ttl)
        first, second = (self._kvcli(self._jump(), "cache", "purge", "--json").out for _ in range(2))
        self._report.check(b":0}" in second, f"purge gave {first!r}, then {second!r}")

    def _gets(self, offsets: list[float], ttl: int | None) -> None:
        """Look for all entries by one clock or another; after their TTL none is there."""
        for number, stored in enumerate(offsets):
            now = self._jump() if ttl is not None else stored
            ran = self._kvcli(now, "cache", "get", f"k{number}")
            self._report.check(ran.code in {0, 1}, f"get at {now:+}: {ran.err!r}")
            if ttl is not None:
                self._report.check(ran.code == 1, f"stored at {stored:+}, there at {now:+} after its TTL of {ttl} ms")

    def _recordings(self) -> None:
        """A recording is not replayed after its TTL, nor refreshed before it is stale, whatever the wall clock says."""
        note = os.path.join(self._home, "note")
        words = ("cache", "run", "--ttl", "1h", "--stale", "30m", "--", "sh", "-c", f"echo >> {note}; echo hi")
        first = self._jump()
        out = [self._kvcli(offset, *words).out for offset in (first, first, first - HOUR, first - YEAR)]
        time.sleep(0.3)
        with open(note, encoding="ascii") as file:
            runs = len(file.readlines())
        self._report.check(out == [b"hi\n"] * 4 and runs == 1, f"the clock was set back, and {runs} runs printed {out}")
        short = ("cache", "run", "--ttl", "400ms", "--", "sh", "-c", f"echo >> {note}2; echo ho")
        self._kvcli(first, *short)
        time.sleep(0.45)
        self._kvcli(first + self._chance.choice([0.0, -HOUR, -YEAR]), *short)
        with open(f"{note}2", encoding="ascii") as file:
            self._report.check(len(file.readlines()) == 2, "a recording was replayed after its TTL")

    def _time_out(self) -> None:
        """A wait for the lock is as long as was said, though the clock is set meanwhile."""
        seconds = 0.5 + self._chance.random() / 2
        env = self._env(0.0)
        with locked(self._home, env):
            begun = time.monotonic()
            child = subprocess.Popen(
                [*KVCLI, "--lock-timeout", str(seconds), "set", "k", "v"], env=env, stderr=subprocess.DEVNULL
            )
            while child.poll() is None and time.monotonic() < begun + seconds + 20:
                self._set_clock(self._jump())
                time.sleep(0.1)
            took = time.monotonic() - begun
            child.kill()
            code = child.wait()
        self._report.seen["waits under a clock that is set"] += 1
        self._report.check(
            code == 75 and seconds <= took < seconds + 10, f"--lock-timeout {seconds:.1f}: {code} after {took:.1f} s"
        )

    def _watch(self) -> None:
        """A watch tells of a change at once, though the clock was set back a year."""
        self._set_clock(0.0)
        words = [sys.executable, "-c", SLEEPER, os.path.join(self._home, "time"), "watch"]
        env = settings(self._home, KVCLI_STORE=self._store)
        child = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        told, end = None, time.monotonic() + 20
        try:
            for number in range(10_000):
                self._set_clock(self._jump())
                with Store(self._store) as store:
                    store.open("default").set("k", b"%d" % number)
                time.sleep(0.1)
                told = child.stdout.readline()
                if told or time.monotonic() > end:
                    break
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        self._report.seen["watches under a clock that is set"] += 1
        self._report.check(told, "a watch told of nothing for 20 s")

    def _rendezvous(self) -> None:
        """Callers whose clocks are years apart still run a command once, and one with a time-out waits as long as that."""
        note = os.path.join(self._home, "once")
        words = ["cache", "get-or-set", "r", "--ttl", "1h", "--", "sh", "-c", f"echo >> {note}; sleep 0.5; echo hi"]
        first = self._jump()
        clocks = [first, first - HOUR, first + HOUR / 4, first - YEAR]
        pipe = subprocess.PIPE
        children = [
            subprocess.Popen([*KVCLI, *words], env=self._env(clock, f"time{number}"), stdout=pipe)
            for number, clock in enumerate(clocks)
        ]
        out = [child.communicate(timeout=60)[0] for child in children]
        with open(note, encoding="ascii") as file:
            runs = len(file.readlines())
        self._report.seen["callers who meet"] += len(clocks)
        self._report.check(out == [b"hi\n"] * 4 and 1 <= runs <= len(clocks), f"{runs} runs printed {out}")
