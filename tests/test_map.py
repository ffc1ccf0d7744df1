"""Room: maps that grow, maps that cannot, and full disks. What was there stays readable."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator

import lmdb
import pytest

from kvcli.store import Store
from tests.conftest import Run, make_foreign
from tests.processes import beside_readers, kill, mounted, release, run, start, take_slots

MEGABYTE = 1 << 20
GROW = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 28, max_dbs=8)
with env.begin(write=True) as txn:
    txn.put(b"big", bytes(1 << 26), db=env.open_db(b"default", txn=txn))
"""


def limited(kind: int, size: int) -> Callable[[], None]:
    """Make what limits a child before it starts."""
    return lambda: resource.setrlimit(kind, (size, size))


def test_map_is_large_and_sparse(path: str) -> None:
    """A new store may grow to a terabyte and takes a few pages of disk."""
    with Store(path) as store:
        assert store.stat()["map_bytes"] == 1 << 40
    assert os.path.getsize(os.path.join(path, "data.mdb")) < MEGABYTE


def test_map_steps_down_where_addresses_are_scarce(kvcli: Run) -> None:
    """Under ulimit -v a smaller map is taken; it is read and written all the same, with and without the limit."""
    scarce = limited(resource.RLIMIT_AS, 512 * MEGABYTE)
    assert kvcli("set", "k", "1", preexec_fn=scarce).returncode == 0
    assert kvcli("get", "k").stdout == b"1"
    assert kvcli("incr", "k").stdout == b"2\n"
    assert kvcli("get", "k", preexec_fn=scarce).stdout == b"2"


def test_full_map_is_told_and_recovers(path: str, kvcli: Run) -> None:
    """A map that can grow no more is exit 69; old values are read, keys can be deleted, small ones set again."""
    scarce = limited(resource.RLIMIT_AS, 512 * MEGABYTE)
    with Store(path) as store:
        store.open("default").set("k", b"1")
    codes = [kvcli("set", f"k{n}", "-", input=bytes(30 * MEGABYTE), preexec_fn=scarce).returncode for n in range(12)]
    assert codes[0] == 0
    assert codes[-1] == 69
    assert kvcli("get", "k", preexec_fn=scarce).stdout == b"1"
    assert kvcli("delete", "k0", "k1", preexec_fn=scarce).returncode == 0
    assert kvcli("set", "small", "1", preexec_fn=scarce).returncode == 0


@pytest.mark.parametrize("kibibytes", range(36_000, 56_000, 2000))
def test_set_that_has_failed_is_not_there(path: str, kvcli: Run, kibibytes: int) -> None:
    """Where addresses are too few for some step of a write, its exit code still tells whether it was done."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
    value = bytes(300_000)
    ran = kvcli("set", "k", "-", input=value, preexec_fn=limited(resource.RLIMIT_AS, kibibytes * 1024))
    assert (ran.returncode, kvcli("get", "k").stdout) in {(0, value), (69, b"1")}, ran.stderr


def test_growth_by_another_process_is_adopted(path: str) -> None:
    """A map that another program made larger is taken over, by readers and writers that had the store open."""
    make_foreign(path)
    with Store(path, adopt=True) as store, Store(path, read_only=True) as reader:
        bucket = store.open("default")
        bucket.set("k", b"1")
        run(GROW, path)
        assert reader.open("default").get("big") == bytes(1 << 26)
        bucket.set("k", b"2")
        assert bucket.get("k") == b"2"


def test_file_size_limit_is_full(kvcli: Run) -> None:
    """A file that may not grow is exit 69, nothing of the value is there, and the next write works."""
    kvcli("set", "k", "1")
    small = limited(resource.RLIMIT_FSIZE, MEGABYTE)
    full = kvcli("set", "big", "-", input=bytes(5 * MEGABYTE), preexec_fn=small)
    assert full.returncode == 69, full.stderr
    assert kvcli("list").stdout == b"k\n"
    assert kvcli("set", "k", "2").returncode == 0


@pytest.fixture
def small_disk(tmp_path: os.PathLike[str]) -> Iterator[str]:
    """A file system of one megabyte."""
    with mounted(os.path.join(tmp_path, "disk"), "size=1m,mode=0700") as folder:
        yield folder


def test_full_disk_is_told_and_recovers(small_disk: str, kvcli: Run) -> None:
    """A full disk is exit 69: what was there is read, can be deleted, and once there is room writing goes on."""
    store = os.path.join(small_disk, "store")
    assert kvcli("set", "k", "1", "-s", store).returncode == 0
    codes = [kvcli("set", f"k{n}", "-", "-s", store, input=bytes(200_000)).returncode for n in range(8)]
    assert set(codes) == {0, 69}
    assert kvcli("get", "k", "-s", store).stdout == b"1"
    assert kvcli("delete", "k0", "-s", store).returncode == 0
    assert kvcli("set", "k", "2", "-s", store).returncode == 0


def test_store_is_not_half_made_on_a_full_disk(small_disk: str, kvcli: Run) -> None:
    """Where there is no room for a store there is none afterwards, and it can be made once there is."""
    filler = os.path.join(small_disk, "filler")
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)
    store = os.path.join(small_disk, "store")
    assert kvcli("set", "k", "1", "-s", store).returncode == 69
    assert not os.path.exists(os.path.join(store, "data.mdb"))
    os.remove(filler)
    assert kvcli("set", "k", "1", "-s", store).returncode == 0
    assert kvcli("get", "k", "-s", store).stdout == b"1"


def test_full_table_of_readers_is_told(path: str, kvcli: Run) -> None:
    """When every reader's slot is taken, a newcomer gets exit 69 and a line, not a hang."""
    make_foreign(path)
    child = take_slots(path, 126)
    assert kvcli("get", "k").returncode == 69
    release(child)
    assert kvcli("get", "k").returncode == 1


def test_table_full_of_the_dead_is_told(path: str, kvcli: Run) -> None:
    """Where the dead fill the table while another program has the store open, that is exit 69; later all is well."""
    make_foreign(path)
    living = take_slots(path, 0)
    kill(take_slots(path, 126))
    assert kvcli("get", "k").returncode == 69
    release(living)
    assert kvcli("get", "k").returncode == 1


def make_small(path: str, lib_version: int) -> None:
    """Make an environment whose map is so small that it must grow at once."""
    os.makedirs(path, mode=0o700)
    env = lmdb.open(path, map_size=1 << 17, max_dbs=4, lib_version=lib_version, mode=0o700)
    with env, env.begin(write=True) as txn:
        env.open_db(b"default", txn=txn)


@pytest.mark.parametrize("lib_version", [0, 1], ids=["0.9", "1.0"])
def test_processes_that_grow_one_map_lose_nothing(path: str, lib_version: int) -> None:
    """Processes that fill the same small map at once grow it together, and read what they wrote."""
    program = """
import sys, kvcli
with kvcli.Store(sys.argv[1], adopt=True, lock_timeout=60) as store:
    bucket = store.open("default")
    for number in range(40):
        bucket.set(f"{sys.argv[2]}-{number}", bytes(20_000))
        assert bucket.get(f"{sys.argv[2]}-{number}") == bytes(20_000)
"""
    make_small(path, lib_version)
    children = [start(program, path, str(number)) for number in range(4)]
    assert [child.communicate(timeout=60)[1] for child in children] == [b""] * 4
    with Store(path) as store:
        assert len(store.open("default").list_keys().keys) == 160


def test_map_grows_under_reading_threads(path: str) -> None:
    """A write that needs a larger map gets it, and ends, however many threads read without pause."""
    make_small(path, 0)
    work = 'bucket.set("big", bytes(1_000_000)); print(len(bucket.get("big")))'
    assert beside_readers(path, work) == b"1000000\n"


def test_output_to_a_full_disk_leaves_nothing(small_disk: str, filled: str, kvcli: Run) -> None:
    """A value that does not fit on the disk is exit 69, and no part of it stays; a file that was there keeps its name."""
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/filler", "bs=64k"], capture_output=True)
    kvcli("set", "big", "-", "-s", filled, input=bytes(2 * MEGABYTE))
    assert kvcli("get", "big", "--output", os.path.join(small_disk, "out"), "-s", filled).returncode == 69
    assert os.listdir(small_disk) == ["filler"]
    assert kvcli("get", "k1", "--output", os.path.join(small_disk, "filler"), "-s", filled).returncode == 0


def test_full_map_grows_step_by_step(path: str) -> None:
    """It doubles, and takes no more of the address space than that: there may be a limit."""
    os.mkdir(path, 0o700)
    lmdb.open(path, map_size=1 << 20).close()
    with Store(path, adopt=True) as store:
        store.open("@main").set("k", bytes(3 << 20))
        assert int(store.engine.stat()["map_bytes"]) < 64 << 20
