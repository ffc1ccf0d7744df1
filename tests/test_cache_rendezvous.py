"""The rendezvous of get-or-set between real processes: one fills, the others wait, and a filler may die at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from kvcli.cache import Cache, Occupied, Vacant
from kvcli.store import Store
from tests.processes import ROOT, kill, start

# Says "vacant" and keeps the vacancy until its stdin ends, or prints the value it waited for.
FILLER = """
import sys, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
entry = cache.get_or_set("k", float(sys.argv[2]) if len(sys.argv) > 2 else None)
if isinstance(entry, kvcli.Vacant):
    print("vacant", flush=True)
    sys.stdin.read()
    entry.vacancy.fill(b"filled")
else:
    print(entry.value.decode(), flush=True)
"""


def said(child: subprocess.Popen[bytes]) -> str:
    """Read a line of a child."""
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def context_switches(pid: int) -> int:
    """Count how often a process was put to sleep."""
    with open(f"/proc/{pid}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


def until_it_waits(pid: int) -> None:
    """Wait until a process has the thread that waits for it, as who waits with a time-out has."""
    deadline = time.monotonic() + 60
    while len(os.listdir(f"/proc/{pid}/task")) < 2:
        assert time.monotonic() < deadline, "it does not wait"
        time.sleep(0.01)


def test_many_callers_run_the_command_once(path: str, tmp_path: os.PathLike[str]) -> None:
    """Of 50 processes that call get-or-set at the same moment one runs the command; all print the same bytes."""
    ran = os.path.join(tmp_path, "ran")
    command = f"echo >> {ran}; sleep 0.3; date +%s%N"
    words = [sys.executable, "-m", "kvcli", "-s", path, "cache", "get-or-set", "k", "--", "sh", "-c", command]
    children = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(50)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert len(set(outputs)) == 1
    assert outputs[0][0].strip().isdigit()
    assert {child.returncode for child in children} == {0}
    with open(ran) as file:
        assert file.read() == "\n"


def test_who_waits_uses_no_processor(path: str) -> None:
    """A waiter sleeps in the kernel: over a second it is not even woken."""
    Store(path).close()
    filler = start(FILLER, path)
    assert said(filler) == "vacant"
    waiters = [start(FILLER, path), start(FILLER, path, "60")]
    time.sleep(1)
    before = [(cpu_seconds(waiter.pid), context_switches(waiter.pid)) for waiter in waiters]
    time.sleep(1)
    assert [(cpu_seconds(waiter.pid), context_switches(waiter.pid)) for waiter in waiters] == before
    filler.communicate(timeout=60)
    assert [waiter.communicate(timeout=60)[0] for waiter in waiters] == [b"filled\n"] * 2


def test_killed_filler_frees_its_vacancy_at_once(path: str) -> None:
    """When the filler is killed, exactly one of those who wait gets the vacancy."""
    Store(path).close()
    filler = start(FILLER, path)
    assert said(filler) == "vacant"
    waiters = [start(FILLER, path, stdin=subprocess.DEVNULL) for _ in range(5)]
    time.sleep(0.5)
    kill(filler)
    outputs = [waiter.communicate(timeout=60)[0] for waiter in waiters]
    assert sorted(outputs) == [b"filled\n"] * 4 + [b"vacant\n"]


def test_stopped_filler_is_given_up_by_the_impatient(path: str) -> None:
    """Who waits with a time-out does not wait for a process that is stopped; who comes later finds the value."""
    Store(path).close()
    filler = start(FILLER, path)
    assert said(filler) == "vacant"
    filler.send_signal(signal.SIGSTOP)
    impatient = start(FILLER, path, "0.3")
    assert said(impatient) == "vacant"
    impatient.communicate(timeout=60)
    with Store(path) as store, Cache(store) as cache:
        assert isinstance(cache.get_or_set("k"), Occupied)
    kill(filler)


@pytest.mark.parametrize("timeout", [[], ["60"]])
def test_interrupt_ends_a_wait(path: str, timeout: list[str]) -> None:
    """Ctrl-C ends a wait for a vacancy, with and without a time-out."""
    Store(path).close()
    filler = start(FILLER, path)
    assert said(filler) == "vacant"
    waiter = start(FILLER, path, *timeout)
    time.sleep(0.5)
    waiter.send_signal(signal.SIGINT)
    _, err = waiter.communicate(timeout=5)
    assert err.strip().endswith(b"KeyboardInterrupt")
    kill(filler)


def test_interrupted_waiter_keeps_nothing(path: str) -> None:
    """Who left the line does not get the vacancy later: the next one in it does."""
    Store(path).close()
    filler = start(FILLER, path)
    assert said(filler) == "vacant"
    leaving, staying = start(FILLER, path, "60"), start(FILLER, path, "60")
    until_it_waits(leaving.pid)
    until_it_waits(staying.pid)
    leaving.send_signal(signal.SIGINT)
    leaving.communicate(timeout=5)
    kill(filler)
    assert said(staying) == "vacant"
    staying.communicate(timeout=60)


def test_vacancies_leave_no_files_and_no_threads(path: str) -> None:
    """Ten thousand vacancies, waited for and not, leave no descriptor open and no thread."""
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v")
        before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
        for number in range(2000):
            entry = cache.get_or_set(f"k{number}")
            assert isinstance(entry, Vacant)
            if number % 2:
                entry.vacancy.fill(b"v")
            elif number % 100 == 0:
                assert isinstance(cache.get_or_set(f"k{number}", timeout=0.001), Vacant)
            del entry
        time.sleep(0.2)
        after = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    assert after == before


def test_vacancy_is_not_inherited_by_a_command(path: str) -> None:
    """A command that the filler started lives on when the filler is killed, and holds nothing."""
    program = """
import subprocess, sys, kvcli
entry = kvcli.Cache(kvcli.Store(sys.argv[1])).get_or_set("k")
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
sys.stdin.read()
"""
    filler = start(program, path)
    child = int(said(filler))
    kill(filler)
    with Store(path) as store, Cache(store) as cache:
        entry = cache.get_or_set("k", timeout=30)
        assert isinstance(entry, Vacant)
    os.kill(child, signal.SIGKILL)


def test_swarm_of_fillers_that_die(path: str) -> None:
    """Processes that fill, give up and are killed in turn: every wait ends, and every value is a whole one."""
    program = """
import os, random, sys, kvcli
store = kvcli.Store(sys.argv[1])
cache = kvcli.Cache(store)
dice = random.Random(int(sys.argv[2]))
for _ in range(300):
    key = f"k{dice.randrange(3)}"
    entry = cache.get_or_set(key)
    if isinstance(entry, kvcli.Occupied):
        assert len(set(entry.value)) == 1 and len(entry.value) == 5000, entry.value
        continue
    chance = dice.random()
    if chance < 0.02:
        os.kill(os.getpid(), 9)
    if chance < 0.8:
        entry.vacancy.fill(bytes([dice.randrange(256)]) * 5000, dice.choice([1, 3, 10]))
    else:
        entry.vacancy.drop()
print("done")
"""
    Store(path).close()
    dice = random.Random(3)
    children = [start(program, path, str(dice.random())[2:9]) for _ in range(8)]
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode in {0, -signal.SIGKILL}, err.decode()
        assert out in {b"done\n", b""}
