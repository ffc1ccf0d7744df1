"""Faults: disks that fail a write, processes that are killed or interrupted while they write. No answer is a lie."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from kvcli.store import Store
from tests.conftest import Run
from tests.processes import run, start
from tests.tracing import failing, injection, traced

# Adds one to a key again and again, and says so each time; ends by a signal or at 2,000.
COUNT = """
import sys, kvcli
with kvcli.Store(sys.argv[1], lock_timeout=60) as store:
    bucket = store.open("default")
    for _ in range(2000):
        print(kvcli.increment(bucket, "n", 1), flush=True)
"""

# Tries five increments and says what came of each: the sum, or the error's code; then what can be read.
TRY = """
import sys, kvcli
bucket = kvcli.Store(sys.argv[1]).open("default")
for _ in range(5):
    try:
        print(kvcli.increment(bucket, "n", 1), flush=True)
    except kvcli.KvError as error:
        print(error.code, flush=True)
"""
READ = """
try:
    kvcli.increment(bucket, "n", 1)
except kvcli.KvError as error:
    print(bucket.get("n").decode(), flush=True)
"""


def counted(path: str) -> int:
    """Give the number at `n`."""
    if not os.path.exists(os.path.join(path, "data.mdb")):
        return 0
    with Store(path, read_only=True) as store:
        return int(store.open("default").get("n") or 0)


@pytest.mark.parametrize(("error", "code"), [("EIO", 74), ("ENOSPC", 69), ("EDQUOT", 69)])
@pytest.mark.parametrize("call", ["pwrite64", "writev", "fdatasync"])
def test_failed_write_is_told_and_not_there(path: str, kvcli: Run, call: str, error: str, code: int) -> None:
    """A write that the disk failed, be it data, meta page or sync, has its exit code, and the value is the old one."""
    assert kvcli("set", "n", "1").returncode == 0
    ran = failing(call, error, "1", "-m", "kvcli", "incr", "n", "-s", path)
    assert (ran.code, ran.out, ran.err.count(b"\n")) == (code, b"", 1)
    assert kvcli("incr", "n").stdout == b"2\n"


@pytest.mark.parametrize("when", [1, 2, 3])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_store_recovers_from_one_failed_write(path: str, call: str, when: int) -> None:
    """A process that lives on after a failed commit can write again; what it was told is what is there."""
    with Store(path) as store:
        store.open("default").set("n", b"0")
    said = failing(call, "EIO", str(when), "-c", TRY, path).out.split()
    sums = [int(word) for word in said if word.isdigit()]
    assert len(said) == 5
    assert "io" in [word.decode() for word in said]
    assert sums == list(range(1, len(sums) + 1))
    assert counted(path) == sums[-1]


def test_store_is_read_after_a_failed_write(path: str) -> None:
    """Right after a meta page could not be written, what was there before is still read by the same process."""
    with Store(path) as store:
        store.open("default").set("n", b"7")
    program = TRY.partition("for _")[0] + READ
    ran = failing("pwrite64", "EIO", "1", "-c", program, path)
    assert ran.out == b"7\n", ran.err.decode()


def test_disk_that_stays_broken_is_told_each_time(path: str) -> None:
    """While every write fails, each is told as an error, none hangs, and nothing is there afterwards."""
    with Store(path) as store:
        store.open("default").set("n", b"7")
    assert failing("pwrite64", "EIO", "1+", "-c", TRY, path).out.split() == [b"io"] * 5
    assert counted(path) == 7


@pytest.mark.parametrize("when", [1, 2])
def test_atomic_batch_whose_files_fail_changes_nothing(path: str, when: int) -> None:
    """An atomic batch keeps its input and its answers in files: where these cannot be written, nothing is committed."""
    words = [sys.executable, "-m", "kvcli", "batch", "--atomic", "-s", path]
    ran = traced(injection("write", "error=ENOSPC", f"{when}"), words, stdin=b'{"op":"incr","key":"n"}')
    failed = [call for call in ran.calls if call.is_injected and "<pipe:" not in call.rest]
    assert ran.code == 69
    assert (counted(path) == 0) == bool(failed)  # Else it was stdout that failed, of what had happened already.


def test_no_room_for_temporary_files_is_full(path: str, kvcli: Run) -> None:
    """Where Python finds no folder for temporary files, the disk is full, and nothing that was named is missing."""
    words = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-m", "kvcli", "batch", "--atomic", "-s", path]
    ran = subprocess.run(words, input=b'{"op":"incr","key":"n"}', capture_output=True)
    assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (69, b"", 1)
    assert kvcli("batch", "--atomic", input=b'{"op":"incr","key":"n"}').returncode == 0


def acknowledged(path: str, number: signal.Signals) -> int:
    """Let a process count, signal it at a random moment, and give the last number that it said."""
    child = start(COUNT, path, bufsize=0)  # Of what a buffer held, communicate would not know.
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(random.random() * 0.02)
    child.send_signal(number)
    rest, _ = child.communicate(timeout=60)
    assert child.returncode != 0
    whole = (first + rest).rpartition(b"\n")[0].split()
    return int(whole[-1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_killed_writer_loses_nothing_acknowledged(path: str, kvcli: Run, number: signal.Signals) -> None:
    """Whenever a writer is ended, all it said is there, at most one more; the next writer need not wait."""
    Store(path).close()
    for _ in range(6):
        said = acknowledged(path, number)
        there = counted(path)
        assert there in {said, said + 1}
        assert kvcli("incr", "n", "--lock-timeout", "20").stdout == b"%d\n" % (there + 1)


def test_storm_of_interrupts_loses_nothing_acknowledged(path: str) -> None:
    """Ctrl-C again and again, at whatever moment: what was acknowledged is there, and each retry is the caller's own."""
    program = """
import os, signal, sys, threading, time, kvcli
store = kvcli.Store(sys.argv[1], lock_timeout=60)
bucket = store.open("default")
told = started = 0
def hear(number, frame):
    if "kvcli" in frame.f_code.co_filename:  # Nobody would catch it between one try and the next.
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, hear)
def storm():
    for _ in range(150):
        time.sleep(0.003)
        os.kill(os.getpid(), signal.SIGINT)
storming = threading.Thread(target=storm, daemon=True)
storming.start()
end = time.monotonic() + 0.7
while time.monotonic() < end or storming.is_alive():  # What came later would hit the end of Python itself.
    try:
        started += 1
        kvcli.increment(bucket, "n", 1)
        told += 1
    except KeyboardInterrupt:
        pass
there = int(bucket.get("n"))
print(told <= there <= started, told > 0)
"""
    assert run(program, path) == b"True True\n"


def test_writes_of_the_killed_leave_a_sound_file(path: str) -> None:
    """After kill -9 in the middle of large writes every page of the file is sound, and no batch is half there."""
    from lmdb.verify import verify

    program = """
import sys, kvcli
with kvcli.Store(sys.argv[1], lock_timeout=60) as store:
    bucket = store.open("default")
    print("on", flush=True)
    for number in range(10_000):
        kvcli.set_many(bucket, [(f"{number % 7}-{key}", b"%d" % number * 200) for key in range(20)])
"""
    for _ in range(4):
        child = start(program, path)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.02 + random.random() * 0.05)
        child.kill()
        child.communicate(timeout=60)
    assert verify(os.path.join(path, "data.mdb"), subdir=False) == []  # type: ignore[no-untyped-call]
    with Store(path, read_only=True) as store:
        bucket = store.open("default")
        for batch in range(7):
            assert len({bucket.get(f"{batch}-{key}") for key in range(20)}) == 1
