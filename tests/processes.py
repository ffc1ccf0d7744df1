"""Other processes that tests need: small programs, run by the Python that runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys

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


def hold_lock(path: str) -> subprocess.Popen[bytes]:
    """Start a process that holds the writer lock, and wait until it does."""
    child = start(HOLD_LOCK, path)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def release(child: subprocess.Popen[bytes]) -> None:
    """End a process that waits for the end of its stdin."""
    child.communicate(timeout=60)
