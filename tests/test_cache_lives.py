"""A cache among forks, threads, signals and other processes: what an independent review has broken once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from typing import Any

import pytest

from kvcli.cache import Cache, Vacant
from kvcli.engine.claims import RANKS
from kvcli.engine.register import boot_folder
from kvcli.errors import Busy, InvalidArgument, Other
from kvcli.store import Store
from tests.processes import kill, mounted, run, start


@pytest.mark.parametrize("work", ["cache.get('k')", "cache.set('k', b'v')"])
def test_fork_beside_busy_threads(path: str, work: str) -> None:
    """A fork while other threads use the cache does not hang, and neither does what the child does with it."""
    program = f"""
import os, sys, threading, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.set("k", b"v")
def use():
    while True:
        {work}
for _ in range(3):
    threading.Thread(target=use, daemon=True).start()
for _ in range(8):
    child = os.fork()
    if not child:
        try:
            cache.get("k")
        except kvcli.Other as error:
            assert "fork" in str(error)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
sys.stdout.write("done")
sys.stdout.flush()
os._exit(0)
"""
    assert run(program, path) == b"done"


def test_child_of_a_fork_has_no_claims_and_no_locks(path: str) -> None:
    """A process that is killed frees its vacancy and its lock, though a child that it forked lives on; and a child frees none."""
    program = """
import os, sys, time, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.set("x", b"v")
entry = cache.get_or_set("k")
if not os.fork():
    del entry
    time.sleep(20)
    os._exit(0)
print("vacant", flush=True)
while True:
    cache.set("x", b"v" * 1000)
"""
    Store(path).close()
    parent = start(program, path)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"vacant\n"
    with Store(path, lock_timeout=5) as store, Cache(store) as cache:
        early = cache.get_or_set("k", timeout=0.3)
        assert isinstance(early, Vacant)  # An impatient one, of another rank: the child has not freed the first.
        early.vacancy.drop()
        parent.send_signal(signal.SIGKILL)
        begun = time.monotonic()
        entry = cache.get_or_set("k", timeout=15)
        assert isinstance(entry, Vacant)
        assert time.monotonic() - begun < 5
        entry.vacancy.fill(b"v")
        cache.set("y", b"v")
    parent.wait()
    for pipe in (parent.stdin, parent.stdout, parent.stderr):
        assert pipe is not None
        pipe.close()


def test_many_processes_stay_under_the_cap(path: str) -> None:
    """However many processes store values of all sizes at once, the file stays within 1.5 x the cap, and nothing fails."""
    program = """
import random, sys, kvcli
dice = random.Random(int(sys.argv[2]))
with kvcli.Store(sys.argv[1]) as store, kvcli.Cache(store, max_size=1 << 20) as cache:
    for _ in range(300):
        key = f"k{dice.randrange(60)}"
        cache.set(key, bytes(dice.choice((10, 3000, 60_000, 300_000, 900_000))))
        cache.get(key)
print("done")
"""
    Store(path).close()
    children = [start(program, path, str(seed)) for seed in range(5)]
    largest = 0
    while any(child.poll() is None for child in children):
        with contextlib.suppress(FileNotFoundError):
            largest = max(largest, os.path.getsize(os.path.join(boot_folder(os.path.join(path, "cache")), "data.mdb")))
        time.sleep(0.001)
    assert [child.communicate() for child in children] == [(b"done\n", b"")] * 5
    assert 0 < largest <= 1.5 * (1 << 20)


def test_opening_while_others_write_loses_nothing(path: str) -> None:
    """Opening a cache that grows is not taken for damage."""
    writer = start(
        "import sys, kvcli\nc = kvcli.Cache(kvcli.Store(sys.argv[1]))\nc.set('first', b'v')\nprint('in', flush=True)\n"
        "n = 0\nwhile True:\n    n += 1\n    c.set(f'k{n % 200_000}', bytes(100))",  # No more: 'first' would be the first to go.
        path,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"in\n"
    with Store(path) as store:
        for _ in range(2000):
            with Cache(store) as cache:
                assert cache.get("first") == b"v"
    kill(writer)


def test_interrupted_rendezvous_leaves_nothing_behind(path: str) -> None:
    """Ctrl-C at any moment of get-or-set: the claim is free afterwards, and no descriptor is left."""
    program = """
import os, signal, sys, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.set("x", b"v")
sys.unraisablehook = lambda _: None
def strike(*_):
    if armed:
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, strike)
armed, entry = False, None
before = len(os.listdir("/proc/self/fd"))
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for number in range(4000):
    try:
        armed = True
        entry = cache.get_or_set(f"k{number % 7}")
        entry = None
        armed = False
    except KeyboardInterrupt:
        armed = False
    entry = None
signal.setitimer(signal.ITIMER_REAL, 0)
import gc
gc.collect()
for number in range(7):
    cache.get_or_set(f"k{number}", timeout=0.001).vacancy.drop()
print(len(os.listdir("/proc/self/fd")) - before)
print(all(cache.get_or_set(f"k{number}", timeout=30).vacancy._claim.place % 128 == 0 for number in range(7)))
"""
    leaked, free = run(program, path).split()
    assert int(leaked) <= 1
    assert free == b"True"


def test_time_out_for_the_lock_is_one_for_all_threads(path: str) -> None:
    """While a writer is stopped every thread is Busy after the lock's time-out, not one after the other."""
    program = """
import fcntl, sys, threading, time, kvcli
from kvcli.engine.register import boot_folder
cache = kvcli.Cache(kvcli.Store(sys.argv[1], lock_timeout=0.5))
cache.set("k", b"v")
with open(boot_folder(sys.argv[1] + "/cache") + "/tally", "rb") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    taken = []
    def work():
        begun = time.monotonic()
        try:
            cache.set("k", b"w")
        except kvcli.errors.Busy:
            taken.append(time.monotonic() - begun)
    threads = [threading.Thread(target=work) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(len(taken), max(taken) < 1.5, cache.get("k"))
"""
    assert run(program, path) == b"6 True b'v'\n"


def test_get_does_not_wait_for_a_stopped_writer(path: str) -> None:
    """A writer that is stopped in the middle of its commit keeps nobody from opening the cache and reading."""
    program = "import sys, kvcli\nc = kvcli.Cache(kvcli.Store(sys.argv[1]))\nc.set('k', b'v')\nprint('in', flush=True)\nwhile True: c.set('l', bytes(5000))"
    dice = random.Random(4)
    for _ in range(10):
        writer = start(program, path)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"in\n"
        time.sleep(dice.random() * 0.02)
        writer.send_signal(signal.SIGSTOP)
        with Store(path, lock_timeout=0.2) as store, Cache(store) as cache:
            begun = time.monotonic()
            assert cache.get("k") == b"v"
            assert time.monotonic() - begun < 5
            with contextlib.suppress(Busy):
                cache.set("m", b"v")
        kill(writer)


def test_folders_of_the_killed_are_swept(path: str) -> None:
    """What a process that was killed while it made a generation has left goes, after a minute, when the next is made."""
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v")
        left = boot_folder(os.path.join(path, "cache")) + ".new-left"
        os.mkdir(left)
        cache.clear()
        cache.set("k", b"v")
        assert os.path.isdir(left)
    with Store(path) as store, Cache(store) as cache, pytest.MonkeyPatch.context() as patch:
        patch.setattr("kvcli.engine.lives.LEFT_SECONDS", -1)
        cache.clear()
        cache.set("k", b"v")
    assert not os.path.isdir(left)


def test_large_values_are_there_once_they_are_set(path: str) -> None:
    """A value of any size up to the cap is there after its set, whatever had to go for it."""
    dice = random.Random(8)
    with Store(path) as store, Cache(store, max_size=1 << 20) as cache:
        for number in range(200):
            size = dice.choice((100, 50_000, 200_000, 600_000, 1_000_000))
            cache.set(f"k{number}", bytes(size))
            assert cache.get(f"k{number}") == bytes(size)
        cache.set("small", b"v")
        with Cache(store) as other:
            other.set("mine", b"v")
            assert cache.get("small") == b"v"


def test_processes_that_open_and_clear_lose_nothing_to_false_damage(path: str) -> None:
    """Many processes that open, set, clear and close: nobody calls a sound cache damaged."""
    program = """
import random, sys
from kvcli.cache import Cache
from kvcli.engine import open_shelf
dice, told = random.Random(int(sys.argv[2])), []
for _ in range(150):
    with Cache.over(open_shelf(sys.argv[1], read_only=False, cap=lambda: 4 << 20, tell=told.append)) as cache:
        cache.set("k", bytes(2000))
        cache.get("k")
        if dice.random() < 0.2:
            cache.clear()
print(told)
"""
    Store(path).close()
    children = [start(program, path, str(seed)) for seed in range(4)]
    assert [child.communicate(timeout=120) for child in children] == [(b"[]\n", b"")] * 4


def test_threads_of_one_cache_leave_nothing_open(path: str) -> None:
    """However often the generation changes under many threads of one cache: closed, nothing of it is open."""
    program = """
import os, sys, threading, kvcli
store = kvcli.Store(sys.argv[1])
cache = kvcli.Cache(store, max_size=1 << 20)
def work():
    for number in range(150):
        cache.set(f"k{number}", b"v")
        cache.get(f"k{number}")
        if number % 10 == 0:
            cache.clear()
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
cache.close()
with open("/proc/self/maps") as file:
    print(sum("/cache/" in line for line in file), len(os.listdir("/proc/self/fd")) < 12)
"""
    assert run(program, path) == b"0 True\n"


def test_error_of_a_waiter_frees_its_claim(path: str) -> None:
    """A waiter that fails when its turn comes does not keep the vacancy, though its exception is kept."""
    with Store(path) as store, Cache(store) as cache:
        entry = cache.get_or_set("k")
        assert isinstance(entry, Vacant)
        kept: list[BaseException] = []
        leaving = Cache(store)

        def wait() -> None:
            try:
                leaving.get_or_set("k")
            except Other as error:
                kept.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        leaving.close()
        entry.vacancy.drop()
        thread.join(10)
        assert len(kept) == 1
        again = cache.get_or_set("k", timeout=30)
        assert isinstance(again, Vacant)
        assert again.vacancy._claim is not None
        assert again.vacancy._claim.place % RANKS == 0


def test_removing_on_a_full_disk(path: str, tmp_path: os.PathLike[str]) -> None:
    """On a full disk very many deletions, purge and clear work, and nobody is killed by a page without a block."""
    with mounted(os.path.join(tmp_path, "disk"), "size=12m,mode=0700") as disk:
        program = """
import os, sys, kvcli
with kvcli.Store(sys.argv[1]) as store, kvcli.Cache(store, max_size=64 << 20) as cache:
    for number in range(4000):
        cache.set(f"k{number:05}", bytes(1000), 1 if number % 2 else None)
    with open(sys.argv[1] + ".filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    cache.delete_many([f"k{number:05}" for number in range(0, 4000, 3)])
    cache.purge()
    print(cache.get("k00003"))
    cache.clear()
    print(cache.stats()["entries"])
"""
        assert run(program, os.path.join(disk, "store")) == b"None\n0\n"
    assert not os.path.exists(path)


@pytest.mark.parametrize("wrong", [b"k", 1, None])
def test_wrong_types_are_told(path: str, wrong: Any) -> None:
    """A key that is no text is a TypeError, for every operation."""
    with Store(path) as store, Cache(store) as cache:
        for work in (cache.get, cache.exists, cache.delete, cache.get_or_set, lambda key: cache.set(key, b"v")):
            with pytest.raises(TypeError):
                work(wrong)
        with pytest.raises(InvalidArgument):
            Cache(store, max_size=1 << 60)
