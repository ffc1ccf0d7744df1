"""The writer lock: waited for with an end, left at Ctrl-C, freed by whoever dies; and who may use a store at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from kvcli.engine.transaction import Span
from kvcli.errors import Busy
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, beside_readers, hold_lock, release, run

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


def test_time_out_is_as_long_as_was_said(path: str) -> None:
    """Busy comes when the time is up, and not two seconds later."""
    with Store(path, lock_timeout=0.3) as store:
        holder = hold_lock(path)
        begun = time.monotonic()
        with pytest.raises(Busy):
            store.open("default").set("k", b"1")
        took = time.monotonic() - begun
        release(holder)
    assert 0.3 <= took < 1.8


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


ENDS = {"close": "store.close()", "leave": "", "exit": "sys.exit(0)", "forget": "del store; gc.collect()"}


@pytest.mark.parametrize("end", ENDS)
def test_process_ends_after_busy(path: str, end: str) -> None:
    """A program that met Busy ends while the lock is still held, whether or not it closes: nothing waits at its exit."""
    program = """
import gc, sys, kvcli
from kvcli.errors import Busy
store = kvcli.Store(sys.argv[1], lock_timeout=0.1)
try:
    store.open("default").set("k", b"1")
except Busy:
    print("busy")
"""
    Store(path).close()
    holder = hold_lock(path)
    assert run(program + ENDS[end], path) == b"busy\n"
    release(holder)


NOTHING_WRITTEN = {
    "lost swap": "atomics.compare_and_set(bucket, 'k', b'other', b'2')",
    "unmet condition": "atomics.set_if(bucket, 'k', b'2', present=False)",
    "absent key": "bucket.delete('absent')",
    "no integer": "kvcli.increment(bucket, 'text', 1)",
}


@pytest.mark.parametrize("kind", NOTHING_WRITTEN)
def test_write_that_writes_nothing_ends_beside_readers(path: str, kind: str) -> None:
    """A write that is given up lets the lock go at once, however many threads of its process read without pause."""
    program = f"""
from kvcli import atomics
bucket.set("text", b"x")
for _ in range(20):
    try:
        {NOTHING_WRITTEN[kind]}
    except kvcli.KvError:
        pass
print("ended")
"""
    assert beside_readers(path, program) == b"ended\n"


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


def test_abandoned_listing_holds_no_lock(filled: str) -> None:
    """A listing that is left in the middle keeps no transaction open: its thread writes on, and so do others."""
    with Store(filled) as store:
        bucket = store.open("default")
        pages = bucket.pages(Span(), 10)
        assert len(next(pages)) == 10
        assert store.stat()["readers"] == 1
        bucket.set("k1", b"1")
        run('import sys, kvcli\nkvcli.Store(sys.argv[1]).open("default").set("k2", b"2")', filled)
        assert len(next(pages)) == 10
