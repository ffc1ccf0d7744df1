"""Processes that open, fork, die and share: who may use a store, and what those leave behind who are killed."""

from __future__ import annotations

import os

import pytest

from kvcli.atomics import increment
from kvcli.errors import Other
from kvcli.store import Store
from tests.conftest import Run, make_foreign
from tests.processes import hold_lock, kill, run, start, take_slots


def test_killed_holder_frees_the_lock(path: str, kvcli: Run) -> None:
    """kill -9 in the middle of a write blocks nobody, and its write is not there."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    holder.kill()
    holder.communicate()
    assert kvcli("set", "k", "2", "--lock-timeout", "20").returncode == 0
    assert kvcli("get", "k").stdout == b"2"


def test_killed_readers_leave_no_slots(path: str, kvcli: Run) -> None:
    """The slots of readers that were killed are free again for the next opener, more often than there are slots."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
        for _ in range(3):
            kill(take_slots(path, 300))
            assert kvcli("get", "k").stdout == b"1"
        assert int(store.stat()["readers"]) <= 512


def test_killed_readers_pin_no_pages(path: str, kvcli: Run) -> None:
    """What a reader saw that was killed is not kept for it: the file stops to grow once the next one has opened."""
    with Store(path) as store:
        bucket = store.open("default")
        kill(take_slots(path, 1))
        kvcli("get", "k")
        for _ in range(300):
            bucket.set("k", bytes(10_000))
        assert os.path.getsize(os.path.join(path, "data.mdb")) < 1_000_000


def test_killed_readers_pin_no_pages_of_who_writes_on(path: str) -> None:
    """Nor need anybody open the store: a process that has it open all the time sees to it when the file grows."""
    with Store(path) as store:
        bucket = store.open("default")
        kill(take_slots(path, 1))
        for _ in range(300):
            bucket.set("k", bytes(10_000))
        assert os.path.getsize(os.path.join(path, "data.mdb")) < 1_000_000
        assert store.stat()["readers_cleared"] == 1


def test_idle_store_holds_no_snapshot(path: str) -> None:
    """Between calls no read transaction is open, so pages are reused however long a store stays open."""
    with Store(path) as reader, Store(path) as writer:
        idle = reader.open("default")
        idle.get("k")
        bucket = writer.open("default")
        for _ in range(300):
            bucket.set("k", bytes(10_000))
        assert os.path.getsize(os.path.join(path, "data.mdb")) < 1_000_000


def test_forked_child_is_told(path: str) -> None:
    """A store opened before a fork is refused in the child, which can open it afresh; the parent goes on."""
    program = """
import os, sys, kvcli
store = kvcli.Store(sys.argv[1])
bucket = store.open("default")
bucket.set("k", b"parent")
child = os.fork()
if child == 0:
    try:
        bucket.get("k")
    except kvcli.Other as error:
        assert "fork" in str(error)
        with kvcli.Store(sys.argv[1]) as mine:
            kvcli.increment(mine.open("default"), "n", 1)
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
kvcli.increment(bucket, "n", 1)
print(bucket.get("n").decode())
"""
    assert run(program, path) == b"2\n"


@pytest.mark.parametrize("lib_version", [0, 1], ids=["0.9", "1.0"])
def test_child_that_outlives_its_parent_is_told(path: str, lib_version: int) -> None:
    """A store opened before a fork whose parent ended (a daemon) is refused for reads and writes; afresh it works."""
    program = """
import os, sys, kvcli
bucket = kvcli.Store(sys.argv[1], adopt=True).open("default")
bucket.set("k", b"1")
ended, parent = os.pipe()
if os.fork():
    os._exit(0)
os.close(parent)
os.read(ended, 1)
for use in (lambda: bucket.get("k"), lambda: bucket.set("k", b"2")):
    try:
        use()
    except kvcli.Other as error:
        print("fork" in str(error))
print(kvcli.increment(kvcli.Store(sys.argv[1]).open("default"), "k", 1), flush=True)
"""
    make_foreign(path, lib_version=lib_version)
    assert run(program, path) == b"True\nTrue\n2\n"


def test_many_processes_open_and_close_at_once(path: str) -> None:
    """Opening races end well: every process counts, none fails."""
    program = """
import sys, kvcli
for _ in range(15):
    with kvcli.Store(sys.argv[1], lock_timeout=60) as store:
        kvcli.increment(store.open("default"), "n", 1)
"""
    children = [start(program, path) for _ in range(8)]
    assert [child.communicate(timeout=120)[1] for child in children] == [b""] * 8
    with Store(path) as store:
        assert increment(store.open("default"), "n", 0) == 120


@pytest.mark.parametrize("name", ["./store", "link/store", "../{}/store"])
def test_store_opened_twice_by_other_names_is_one(path: str, tmp_path: os.PathLike[str], name: str) -> None:
    """LMDB must not open a file twice in a process; another spelling of the path finds the same environment."""
    os.symlink(".", os.path.join(tmp_path, "link"))
    other = os.path.join(tmp_path, name.format(os.path.basename(tmp_path)))
    with Store(path) as one, Store(other) as two:
        one.open("default").set("k", b"1")
        assert two.open("default").get("k") == b"1"
    with pytest.raises(Other):
        one.open("default")


def test_reader_that_stays_is_told_by_how_far_it_is_behind(path: str) -> None:
    """The figures of a store say by how many revisions the oldest snapshot lies behind; nobody's is none."""
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"0")
        assert store.stat()["readers_behind"] == 0
        reader = take_slots(path, 1)
        assert store.stat()["readers_behind"] == 0
        for number in range(3):
            bucket.set("k", b"%d" % number)
        assert store.stat()["readers_behind"] == 3
        kill(reader)
