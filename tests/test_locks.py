"""The writer lock: waited for with an end, left at Ctrl-C, freed by whoever dies; and who may use a store at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from kvcli.atomics import increment
from kvcli.errors import Busy, Other
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, hold_lock, release, run, start

COMMAND = (sys.executable, "-m", "kvcli")


def test_time_out_is_busy_and_writes_nothing(path: str, kvcli: Run) -> None:
    """A lock that is not free in time is exit 75; what was to be written is not written later either."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    busy = kvcli("set", "k", "2", "--lock-timeout", "0.3")
    assert (busy.returncode, busy.stdout) == (75, b"")
    release(holder)
    assert kvcli("set", "other", "x").returncode == 0
    assert kvcli("get", "k").stdout == b"1"


def test_readers_do_not_wait(path: str, kvcli: Run) -> None:
    """While another process holds the lock, everything can be read."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    assert kvcli("get", "k").stdout == b"1"
    assert kvcli("list").stdout == b"k\n"
    release(holder)


def test_readers_of_a_writable_store_do_not_wait(path: str) -> None:
    """A store that is open for writing reads a bucket for the first time though the lock is held."""
    Store(path).close()
    holder = hold_lock(path)
    with Store(path) as store:
        assert store.open("default").get("k") is None
    release(holder)


def test_waiter_writes_once_the_lock_is_free(path: str) -> None:
    """A wait that is long enough ends with the write."""
    with Store(path, lock_timeout=60) as store:
        holder = hold_lock(path)
        threading.Timer(0.3, release, [holder]).start()
        store.open("default").set("k", b"1")
        assert store.open("default").get("k") == b"1"


def test_given_up_write_never_happens(path: str) -> None:
    """After Busy the store goes on, and the write that was given up is not made up for."""
    with Store(path, lock_timeout=0.2) as store:
        bucket = store.open("default")
        holder = hold_lock(path)
        for _ in range(2):
            with pytest.raises(Busy):
                bucket.set("k", b"late")
        release(holder)
        bucket.store.lock_timeout = 60
        bucket.set("other", b"1")
        assert bucket.get("k") is None


def test_process_ends_after_busy(path: str) -> None:
    """A program that met Busy ends while the lock is still held: nothing waits at its exit."""
    program = """
import sys, kvcli
from kvcli.errors import Busy
store = kvcli.Store(sys.argv[1], lock_timeout=0.1)
try:
    store.open("default").set("k", b"1")
except Busy:
    print("busy")
store.close()
"""
    Store(path).close()
    holder = hold_lock(path)
    assert run(program, path) == b"busy\n"
    release(holder)


@pytest.mark.parametrize(
    "words", [("set", "k", "2"), ("incr", "n"), ("cas", "k", "2", "--expect", "1"), ("delete", "k")]
)
def test_interrupt_ends_a_wait(path: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """Ctrl-C while waiting for the lock is exit 130, with nothing printed and nothing written."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    waiting = subprocess.Popen(
        [*COMMAND, *words, "-s", path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    time.sleep(0.5)
    waiting.send_signal(signal.SIGINT)
    assert waiting.communicate(timeout=20)[0] == b""
    assert waiting.returncode == 130
    release(holder)
    assert kvcli("list", "--values").stdout == b"k\t1\n"


def test_terminate_ends_a_wait(path: str) -> None:
    """SIGTERM ends a waiting process at once."""
    Store(path).close()
    holder = hold_lock(path)
    waiting = subprocess.Popen([*COMMAND, "set", "k", "1", "-s", path], cwd=ROOT)
    time.sleep(0.5)
    waiting.terminate()
    assert waiting.wait(timeout=20) == -signal.SIGTERM
    release(holder)


def test_interrupted_library_call_can_be_followed_by_another(path: str) -> None:
    """KeyboardInterrupt leaves the store usable in the same process."""
    with Store(path, lock_timeout=60) as store:
        bucket = store.open("default")
        holder = hold_lock(path)
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            bucket.set("k", b"1")
        release(holder)
        bucket.set("other", b"1")
        assert bucket.list_keys().keys == ["other"]


def test_stopped_holder_is_busy(path: str, kvcli: Run) -> None:
    """A writer that was stopped (Ctrl-Z) makes others busy, not hang."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    holder.send_signal(signal.SIGSTOP)
    assert kvcli("set", "k", "2", "--lock-timeout", "0.3").returncode == 75
    holder.send_signal(signal.SIGCONT)
    release(holder)


def test_killed_holder_frees_the_lock(path: str, kvcli: Run) -> None:
    """kill -9 in the middle of a write blocks nobody, and its write is not there."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    holder.kill()
    holder.communicate()
    assert kvcli("set", "k", "2", "--lock-timeout", "20").returncode == 0
    assert kvcli("get", "k").stdout == b"2"


def test_killed_readers_leave_no_slots(path: str, kvcli: Run) -> None:
    """Readers that were killed are cleared by the next opener, far beyond the size of the table."""
    kvcli("set", "k", "1")
    reader = 'import lmdb, sys, os\nenv = lmdb.open(sys.argv[1])\ntxn = env.begin()\nprint("in", flush=True)\nsys.stdin.read()'
    for _ in range(5):
        child = start(reader, path)
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        child.communicate()
    assert kvcli("stat", "--json").stdout.find(b'"readers":1,') > 0 or b'"readers":0,' in kvcli("stat", "--json").stdout


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


def test_writes_run_on_one_thread(path: str) -> None:
    """Whichever thread asks, every write transaction begins and ends on the same one."""
    seen: set[int] = set()
    with Store(path) as store:

        def write() -> None:
            store.write(lambda _: seen.add(threading.get_ident()))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_error_in_a_write_frees_the_lock(path: str, kvcli: Run) -> None:
    """Whatever goes wrong inside a write, it is rolled back and others can write."""
    with Store(path) as store:
        bucket = store.open("default")

        def work(update: object) -> None:
            update.put(b"default", b"k", b"1")  # type: ignore[attr-defined]
            raise ValueError("of the work")

        with pytest.raises(ValueError, match="of the work"):
            store.write(work)
        assert kvcli("set", "other", "1", "--lock-timeout", "20").returncode == 0
        assert bucket.list_keys().keys == ["other"]


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


def test_store_opened_twice_by_other_names_is_one(path: str, tmp_path: os.PathLike[str]) -> None:
    """LMDB must not open a file twice in a process; another spelling of the path finds the same environment."""
    with Store(path) as one, Store(os.path.join(tmp_path, ".", "store")) as two:
        one.open("default").set("k", b"1")
        assert two.open("default").get("k") == b"1"
    with pytest.raises(Other):
        one.open("default")
