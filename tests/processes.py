"""Other processes that tests need: small programs, run by the Python that runs the tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Begins a write transaction with lmdb alone, says so, and keeps it until its stdin ends.
HOLD_LOCK = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
txn = env.begin(write=True)
print("held", flush=True)
sys.stdin.read()
"""

# Writes pairs into `default` with lmdb alone, each in a transaction of its own; no value deletes the key.
WRITE_RAW = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
for word in sys.argv[2:]:
    key, equals, value = word.partition("=")
    with env.begin(write=True) as txn:
        database = env.open_db(b"default", txn=txn)
        txn.put(key.encode(), value.encode(), db=database) if equals else txn.delete(key.encode(), db=database)
"""

# Opens a store with lmdb alone, takes that many readers' slots, says so, and keeps them until its stdin ends.
READ = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
readers = [env.begin() for _ in range(int(sys.argv[2]))]
print("in", flush=True)
sys.stdin.read()
"""

# Runs a command and writes, to a descriptor, its exit code, its peak memory in KiB, and how many milliseconds it had a
# processor. Between it and who wants to know,
# because the peak of a process counts from its fork, when it is as large as who forked it.
MEASURE = """
import os, sys
os.set_inheritable(int(sys.argv[1]), False)
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
spent = (usage.ru_utime + usage.ru_stime) * 1000
os.write(int(sys.argv[1]), b"%d %d %d" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss, spent))
"""

# Works on `default` while other threads of the same process read without pause.
BESIDE_READERS = """
import os, sys, threading, kvcli
bucket = kvcli.Store(sys.argv[1], adopt=True).open("default")
bucket.set("k", b"1")
def read():
    while True:
        bucket.get("k")
for _ in range(4):
    threading.Thread(target=read, daemon=True).start()
exec(sys.argv[2])
sys.stdout.flush()
os._exit(0)
"""


def start(program: str, *words: str, **options: object) -> subprocess.Popen[bytes]:
    """Start a program with its streams piped."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, **options}
    return subprocess.Popen([sys.executable, "-c", program, *words], **options)  # type: ignore[call-overload, no-any-return]


def run(program: str, *words: str) -> bytes:
    """Run a program to its end; gives what it printed. A failure of it is the test's."""
    child = start(program, *words)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err.decode()
    return out


def beside_readers(path: str, work: str) -> bytes:
    """Run statements on `bucket` beside four threads that read it; gives what they printed. A hang fails the test."""
    child = start(BESIDE_READERS, path, work)
    try:
        out, err = child.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        kill(child)
        pytest.fail(f"did not end: {work}")
    assert child.returncode == 0, err.decode()
    return out


def hold_lock(path: str) -> subprocess.Popen[bytes]:
    """Start a process that holds the writer lock, and wait until it does."""
    child = start(HOLD_LOCK, path)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def take_slots(path: str, count: int) -> subprocess.Popen[bytes]:
    """Start a process that has the store open with so many snapshots, and wait until it does."""
    child = start(READ, path, str(count))
    assert child.stdout is not None
    assert child.stdout.readline() == b"in\n"
    return child


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a process by kill -9."""
    child.kill()
    child.communicate(timeout=60)


@contextlib.contextmanager
def mounted(folder: str, options: str, kind: str = "tmpfs", device: str = "tmpfs") -> Iterator[str]:
    """Have a file system of its own in a folder for a while; skips where this user may not mount."""
    os.mkdir(folder, 0o700)
    if subprocess.run(["mount", "-t", kind, "-o", options, device, folder], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def release(child: subprocess.Popen[bytes]) -> None:
    """End a process that waits for the end of its stdin."""
    child.communicate(timeout=60)
