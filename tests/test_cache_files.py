"""A cache on disk: which boot it is of, how large it grows, what becomes of it when it is damaged, killed, forked or full."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kvcli.cache import Cache, name_of
from kvcli.engine import open_shelf, register, shelf
from kvcli.engine.entries import BYTES_PER_ENTRY, DEADLINE, ORDER
from kvcli.engine.shelf import BYTES_PER_ROUND
from kvcli.errors import AccessDenied, Busy, KvError
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import kill, mounted, run, start

MEBIBYTE = 1 << 20


@pytest.fixture
def cache(path: str) -> Iterator[Cache]:
    """The cache of a new store, with a value in it."""
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v", 600_000)
        yield cache


def folder(path: str) -> str:
    """Name the folder of this boot's generation."""
    return register.boot_folder(os.path.join(path, "cache"))


def again(path: str, told: list[str] | None = None) -> Cache:
    """Open the cache of a store a second time, as another process would."""
    lines: list[str] = [] if told is None else told
    return Cache.over(open_shelf(path, read_only=False, cap=lambda: 256 << 20, tell=lines.append))


def test_cache_is_private(path: str, cache: Cache) -> None:
    """Its folders are 0700 and its files 0600."""
    assert cache.get("k") == b"v"
    place = os.path.join(path, "cache")
    for name, folders, files in os.walk(place):
        assert {stat.S_IMODE(os.stat(os.path.join(name, each)).st_mode) for each in folders} <= {0o700}
        assert {stat.S_IMODE(os.stat(os.path.join(name, each)).st_mode) for each in files} <= {0o600}


def test_another_process_sees_entries(path: str, cache: Cache) -> None:
    """What one process sets another gets, and removes."""
    program = "import sys, kvcli\nc = kvcli.Cache(kvcli.Store(sys.argv[1]))\nprint(c.get('k'), c.get('l'))\nc.delete('k')\nc.set('l', b'w')"
    assert run(program, path) == b"b'v' None\n"
    assert (cache.get("k"), cache.get("l")) == (None, b"w")


def test_cache_of_another_boot_is_thrown_away(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored before the machine started anew is neither read nor kept."""
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v")
    before = os.listdir(os.path.join(path, "cache"))
    later = os.path.join(path, "boot")
    with open(later, "w") as file:
        file.write("01234567-89ab-cdef-0123-456789abcdef\n")
    monkeypatch.setattr(register, "BOOT", later)
    with Store(path) as store, Cache(store) as cache:
        assert cache.get("k") is None
        cache.set("k", b"w")
        assert cache.get("k") == b"w"
    assert not set(before) & set(os.listdir(os.path.join(path, "cache")))


def test_machine_that_tells_no_boot_has_no_cache(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the boot is unknown nothing could be trusted: that is an error, and no store is harmed."""
    monkeypatch.setattr(register, "BOOT", os.path.join(path, "nothing"))
    with Store(path) as store, Cache(store) as cache, pytest.raises(KvError):
        cache.set("k", b"v")


def test_copied_store_does_not_trust_its_cache(path: str) -> None:
    """A copy, which may have been taken in the middle of a commit, is another file, and is thrown away."""
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v")
    shutil.copytree(path, path + "-copy", copy_function=shutil.copy2)
    told: list[str] = []
    with again(path + "-copy", told) as copy:
        assert copy.get("k") is None
        copy.set("k", b"w")
    assert len(told) == 1


def scribble(data: str) -> None:
    """Overwrite places all over a file."""
    dice = random.Random(5)
    with open(data, "r+b") as file:
        for _ in range(200):
            file.seek(dice.randrange(os.path.getsize(data)))
            file.write(dice.randbytes(64))


def cut(data: str) -> None:
    """End a file in the middle."""
    os.truncate(data, os.path.getsize(data) // 2 + 7)


def replace(data: str) -> None:
    """Put another file in its place."""
    os.unlink(data)
    with open(data, "w") as file:
        file.write("hello")


def clear(data: str) -> None:
    """Leave nothing in a file."""
    os.truncate(data, 0)


@pytest.mark.parametrize("name", ["data.mdb", "tally"])
@pytest.mark.parametrize("damage", [scribble, cut, replace, clear, os.unlink])
def test_damaged_cache_is_thrown_away(path: str, name: str, damage: Callable[[str], None]) -> None:
    """A damaged file is thrown away and the cache rebuilt, with one line to whoever listens, and no crash."""
    with Store(path) as store, Cache(store) as cache:
        for number in range(500):
            cache.set(f"k{number}", bytes(200))
    time.sleep(0.02)  # The time of a change has the grain of the kernel's clock.
    damage(os.path.join(folder(path), name))
    told: list[str] = []
    with again(path, told) as mended:
        assert mended.get("k1") is None
        mended.set("k1", b"w")
        assert mended.get("k1") == b"w"
    assert told == [f"the cache in {os.path.join(path, 'cache')} was damaged, and starts anew"]


def test_damage_while_open_is_noticed_by_the_next_write(path: str, cache: Cache) -> None:
    """A process that has the cache open does not build on what another program has changed."""
    time.sleep(0.02)
    scribble(os.path.join(folder(path), "data.mdb"))
    cache.set("l", b"w")
    assert (cache.get("k"), cache.get("l")) == (None, b"w")


ROWS = {
    "an entry": (name_of("k"), b"short"),
    "a deadline": (DEADLINE + bytes(1), name_of("k")),
    "a deadline of nothing": (DEADLINE + bytes(16), name_of("gone")),
    "a place without a name": (ORDER + bytes(8), b""),
    "a place behind the last one": (ORDER + b"\xff" * 8, bytes(8) + name_of("k")),
}


@pytest.mark.parametrize("row", ROWS)
def test_row_that_is_none_is_damage(path: str, row: str) -> None:
    """A row that kvcli cannot have written is damage like any other: nothing fails, and nothing goes on for ever."""
    told: list[str] = []
    with Store(path), again(path, told) as cache:
        cache.set("k", b"v", 600_000)
        cache.shelf._write(lambda txn, _: txn.put(*ROWS[row]))
        cache.get("k")
        cache.stats()
        cache.purge()
        cache.set("l", b"w")
        cache.delete("k")
        assert (cache.get("k"), cache.get("l")) == (None, b"w")
    assert told == [f"the cache in {os.path.join(path, 'cache')} was damaged, and starts anew"]


@pytest.mark.parametrize("name", ["lock.mdb", "claims"])
def test_lost_lock_file_is_made_again(path: str, kvcli: Run, name: str) -> None:
    """Without its locks the cache goes on."""
    assert kvcli("cache", "set", "k", "v").returncode == 0
    for place in (folder(path), os.path.join(path, "cache")):
        if os.path.exists(os.path.join(place, name)):
            os.unlink(os.path.join(place, name))
    assert kvcli("cache", "get-or-set", "k", "--", "false").stdout == b"v"


def test_generation_thrown_away_elsewhere_is_noticed(path: str, cache: Cache) -> None:
    """Who has an old generation open finds the new one: by its next write, or when it misses something."""
    with again(path) as other, again(path) as reader:
        assert reader.get("k") == b"v"
        generations = cache.shelf._line
        current = generations.current()
        assert current is not None
        generations.throw_away(current)
        other.set("k", b"w")
        assert reader.get("k") == b"w"
        assert cache.get("k") == b"w"


def test_killed_writer_costs_nothing(path: str) -> None:
    """A writer killed in the middle of a commit leaves a cache that works, with everything that was set before."""
    program = """
import os, sys, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.set("first", b"1")
print("set", flush=True)
number = 0
while True:
    number += 1
    cache.set(f"k{number % 100}", os.urandom(3000))
"""
    told: list[str] = []
    dice = random.Random(9)
    for number in range(15):
        child = start(program, path)
        assert child.stdout is not None
        assert child.stdout.readline() == b"set\n"
        time.sleep(dice.random() * 0.05)
        kill(child)
        with again(path, told) as cache:
            assert cache.get("first") == b"1"
            cache.set("first", b"1")
            assert number or cache.stats()["entries"]
    assert told == []


def test_writer_killed_between_its_steps_is_told_from_damage(path: str, cache: Cache) -> None:
    """A commit whose end was not noted is LMDB's own care, and no damage."""
    current = cache.shelf._line.current()
    assert current is not None
    current.tally.mark()
    cache.close()
    told: list[str] = []
    with again(path, told) as mended:
        assert mended.get("k") == b"v"
    assert told == []


def test_child_of_a_fork_opens_its_own(path: str, cache: Cache) -> None:
    """After a fork both go on: the child's environment is its own."""
    program = """
import os, sys, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.get("k")
child = os.fork()
if not child:
    for number in range(200):
        cache.set(f"c{number}", b"c")
        assert cache.get("k") == b"v"
    os._exit(0)
for number in range(200):
    cache.set(f"p{number}", b"p")
    assert cache.get("k") == b"v"
assert os.waitpid(child, 0)[1] == 0
print(cache.stats()["entries"])
"""
    assert run(program, path) == b"401\n"
    assert cache.get("c7") == b"c"


def test_threads_and_processes_set_and_get(path: str) -> None:
    """Eight processes of two threads each set, get and delete at once: whatever is got was set, for that key."""
    program = """
import random, sys, threading, kvcli
store = kvcli.Store(sys.argv[1])
def work(seed):
    dice = random.Random(seed)
    cache = kvcli.Cache(store, max_size=1 << 20)
    for _ in range(400):
        key = f"k{dice.randrange(50)}"
        value = cache.get(key)
        assert value is None or value[: len(key)] == key.encode() and len(set(value[len(key):])) <= 1, value
        if dice.random() < 0.1:
            cache.delete(key)
        else:
            cache.set(key, key.encode() + bytes([dice.randrange(256)]) * dice.choice([0, 10, 5000, 100_000]), 5000)
threads = [threading.Thread(target=work, args=(sys.argv[2] + str(n),)) for n in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""
    Store(path).close()
    children = [start(program, path, str(number)) for number in range(8)]
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (child.returncode, out, err) == (0, b"done\n", b"")


@pytest.mark.parametrize("most", [300, 20_000, 200_000, 1_000_000])
def test_file_stays_within_one_and_a_half_caps(path: str, most: int) -> None:
    """Whatever the sizes of values, the file never grows beyond 1.5 x the cap, and new entries find room."""
    cap, dice = 2 * MEBIBYTE, random.Random(most)
    with Store(path) as store, Cache(store, max_size=cap) as cache:
        for number in range(max(300, min(40_000, 40 * cap // most))):
            cache.set(
                f"k{dice.randrange(100_000)}", bytes(dice.randrange(most)), dice.choice([None, 60_000, 3_600_000])
            )
            if number % 50 == 0:
                assert os.path.getsize(os.path.join(folder(path), "data.mdb")) <= 1.5 * cap
        cache.set("last", b"v")
        assert cache.get("last") == b"v"
        assert os.path.getsize(os.path.join(folder(path), "data.mdb")) <= 1.5 * cap


def test_first_stored_is_first_evicted(path: str) -> None:
    """Where the cap is reached, what was stored first goes first, and what was stored again counts as new."""
    with Store(path) as store, Cache(store, max_size=MEBIBYTE) as cache:
        for number in range(100):
            cache.set(f"k{number:03}", bytes(5000))
            cache.set("again", bytes(5000))
        for number in range(100, 200):
            cache.set(f"k{number:03}", bytes(5000))
            cache.set("again", bytes(5000))
        left = [number for number in range(200) if cache.exists(f"k{number:03}")]
        assert cache.exists("again")
        assert left == list(range(200 - len(left), 200))
        assert 80 < len(left) < 190
        assert cache.stats()["evictions"] == 200 - len(left)


def test_small_values_count_as_their_rows_too(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never writes a sixteenth revision looks what has expired after four kilobytes of rows, however small the values."""
    monkeypatch.setattr(shelf, "WRITES_PER_ROUND", 1 << 40)
    with Store(path) as store, Cache(store) as cache:
        cache.set("short", b"v", 1)
        time.sleep(0.01)
        for number in range(BYTES_PER_ROUND // BYTES_PER_ENTRY):
            cache.set(f"k{number}", b"")
        assert cache.stats()["expirations"] == 1


def test_lowered_cap_is_reached_by_and_by(path: str) -> None:
    """A cache that was filled under a larger cap shrinks under a smaller one, entry by entry; its file is new when cleared."""
    with Store(path) as store, Cache(store, max_size=16 * MEBIBYTE) as large, Cache(store, max_size=MEBIBYTE) as small:
        for number in range(1000):
            large.set(f"k{number}", bytes(5000))
        small.set("first", b"v")
        before = small.stats()["entries"]
        assert before is not None
        assert before > 900
        for number in range(1500):
            small.set(f"n{number}", bytes(1000))
        used = small.stats()["bytes"]
        assert used is not None
        assert used <= 1.1 * MEBIBYTE
        assert small.exists("n1499")
        small.clear()
        small.set("k", b"v")
        assert os.path.getsize(os.path.join(folder(path), "data.mdb")) <= 1.5 * MEBIBYTE


def test_raised_cap_begins_anew_when_it_is_needed(path: str) -> None:
    """Where the file that was made for a smaller cap has no room, another one is made for the larger."""
    with Store(path) as store, Cache(store, max_size=MEBIBYTE) as small, Cache(store, max_size=16 * MEBIBYTE) as large:
        small.set("k", b"v")
        large.set("l", bytes(8 * MEBIBYTE))
        assert large.get("l") == bytes(8 * MEBIBYTE)
        assert small.get("l") == bytes(8 * MEBIBYTE)


def test_full_disk_stores_nothing_and_loses_nothing(tmp_path: os.PathLike[str], kvcli: Run) -> None:
    """On a full disk a set says so, a get still answers, and a command that is to be cached still runs."""
    with mounted(os.path.join(tmp_path, "disk"), "size=8m,mode=0700") as disk:
        store = os.path.join(disk, "store")
        assert kvcli("cache", "set", "k", "v", "-s", store).returncode == 0
        assert subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=4k"], capture_output=True).returncode
        full = kvcli("cache", "set", "big", "-", "-s", store, input=bytes(5_000_000))
        assert (full.returncode, full.stdout) == (69, b"")
        assert kvcli("cache", "get", "k", "-s", store).stdout == b"v"
        ran = kvcli("cache", "run", "-s", store, "--", "head", "-c", "5000000", "/dev/zero")
        assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (0, bytes(5_000_000), 1)
        os.unlink(os.path.join(disk, "filler"))
        assert kvcli("cache", "set", "big", "-", "-s", store, input=bytes(5_000_000)).returncode == 0


def test_small_address_space_has_a_cache_too(path: str) -> None:
    """Where ulimit -v leaves no room for a large map, the cache takes a small one, and gives way when that is full."""
    program = """
import resource, sys
import kvcli
resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))
with kvcli.Store(sys.argv[1]) as store, kvcli.Cache(store) as cache:
    for number in range(3000):
        cache.set(f"k{number}", bytes(50_000))
    print(cache.get("k2999") == bytes(50_000))
"""
    assert run(program, path) == b"True\n"


def test_stopped_writer_is_busy(path: str, cache: Cache) -> None:
    """A writer that was stopped with the lock in hand makes others wait for their time-out, and no longer; reads go on."""
    holder = start(
        "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\nfcntl.flock(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()",
        os.path.join(folder(path), "tally"),
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    cache.shelf.lock_timeout = 0.2
    with pytest.raises(Busy):
        cache.set("k", b"w")
    assert cache.get("k") == b"v"
    kill(holder)
    cache.set("k", b"w")


@pytest.mark.parametrize("kind", ["link", "file", "open"])
def test_unsafe_cache_folder_is_refused(path: str, kind: str) -> None:
    """A folder that is a link, a file or open to everybody is neither read nor written."""
    Store(path).close()
    place = os.path.join(path, "cache")
    if kind == "link":
        os.symlink(os.path.dirname(path), place)
    elif kind == "file":
        with open(place, "w"):
            pass
    else:
        os.mkdir(place)
        os.chmod(place, 0o777)
    with again(path) as cache:
        with pytest.raises(AccessDenied):
            cache.get("k")
        with pytest.raises(AccessDenied):
            cache.set("k", b"v")


def test_single_file_store_has_its_cache_beside_it(tmp_path: os.PathLike[str]) -> None:
    """A store that is a single file keeps its cache in a folder of that name and -cache."""
    file = os.path.join(tmp_path, "one.mdb")
    with open(file, "w"):
        pass
    with again(file) as cache:
        cache.set("k", b"v")
    assert os.path.isdir(file + "-cache")


def test_interrupts_leave_a_cache_usable(path: str) -> None:
    """Ctrl-C at any moment of a set or a get: what comes next works, in this process and in others."""
    program = """
import os, signal, sys, threading, time, kvcli
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.set("k", b"v")
def hear(number, frame):
    if "kvcli" in frame.f_code.co_filename:  # Nobody would catch it between one try and the next.
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, hear)
def disturb():
    for _ in range(300):
        time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
    global done
    done = True
done = False
threading.Thread(target=disturb, daemon=True).start()
caught = 0
while not done:
    try:
        while not done:
            cache.set("k", b"v" * 100)
            cache.get("k")
            cache.get_or_set("k")
    except KeyboardInterrupt:
        caught += 1
time.sleep(0.05)
cache.set("k", b"last")
print(caught > 50, cache.get("k"))
"""
    assert run(program, path) == b"True b'last'\n"
    with again(path) as cache:
        cache.shelf.lock_timeout = 1.0
        cache.set("k", b"after")
        assert cache.get("k") == b"after"


def test_readers_do_not_keep_old_pages(path: str) -> None:
    """A reader that was killed does not make the file grow."""
    reader = start(
        "import sys, kvcli\nc = kvcli.Cache(kvcli.Store(sys.argv[1]), max_size=1 << 20)\nc.set('k', b'v')\nprint('in', flush=True)\nwhile True: c.get('k')",
        path,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"in\n"
    kill(reader)
    with Store(path) as store, Cache(store, max_size=MEBIBYTE) as cache:
        for number in range(5000):
            cache.set(f"k{number}", bytes(500))
        assert os.path.getsize(os.path.join(folder(path), "data.mdb")) <= 1.5 * MEBIBYTE


def test_caches_of_one_process_share_their_files(path: str) -> None:
    """LMDB must not open a file twice in a process: however many caches there are, it is open once."""
    with Store(path) as store:
        caches = [Cache(store) for _ in range(20)]
        for number, cache in enumerate(caches):
            cache.set(f"k{number}", b"v")
        held = subprocess.run(["ls", "-l", f"/proc/{os.getpid()}/fd"], capture_output=True).stdout.decode()
        assert held.count(os.path.join(folder(path), "lock.mdb")) == 1
        threads = [threading.Thread(target=cache.close) for cache in caches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_look_with_age_counts_as_any_other(path: str) -> None:
    """A hit or a miss, unless nobody asked for it (cache run, which looks twice)."""
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v")
        for name in (b"nothing", name_of("k"), name_of("k")):
            cache.shelf.find_with_age(name)
            cache.shelf.find_with_age(name, counted=False)
        figures = cache.stats()
    assert (figures["hits"], figures["misses"]) == (2, 1)


def test_child_does_not_close_what_its_parent_has_open(path: str) -> None:
    """Where a thread of the parent was inside, that would never end: the end of the child is enough."""
    program = """
import os, sys, kvcli
from kvcli.engine import register
cache = kvcli.Cache(kvcli.Store(sys.argv[1]))
cache.set("k", b"v")
(generation,) = register._open.values()
if not os.fork():
    cache.close()
    generation.env.path()  # Of a closed one there is none.
    os._exit(0)
print(os.wait()[1], cache.get("k"))
"""
    assert run(program, path) == b"0 b'v'\n"
