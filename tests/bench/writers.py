"""Writers: increments by 1 to 16 processes, exact, against the same loop written with lmdb alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from kvcli.store import Store

INCREMENTS = 4_800
OURS = """
import sys
from kvcli import Store, increment
with Store(sys.argv[1]) as store:
    bucket = store.open("default")
    sys.stdin.readline()
    for _ in range(int(sys.argv[2])):
        increment(bucket, "count", 1)
"""
RAW = """
import sys, lmdb
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
with env.begin(write=True) as txn:
    database = env.open_db(b"default", txn=txn)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with env.begin(write=True, db=database) as txn:
        txn.put(b"count", b"%d" % (int(txn.get(b"count") or 0) + 1))
"""


def run() -> Iterator[str]:
    """Give a line for each number of processes: ours over the raw rate, and whether the sum is exact."""
    for processes in (1, 2, 4, 8, 16):
        raw, ours = timed(RAW, processes), timed(OURS, processes)
        exact = "exact" if raw[1] == ours[1] == INCREMENTS else f"WRONG: {raw[1]} and {ours[1]} of {INCREMENTS}"
        rate = INCREMENTS / ours[0]
        yield f"{processes:2} processes: {raw[0] / ours[0]:.2f} of the raw rate, {rate:,.0f} increments a second, {exact}"


def timed(program: str, processes: int) -> tuple[float, int]:
    """Let processes count together; give the seconds and the sum."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "store")
        Store(path).close()
        each = str(INCREMENTS // processes)
        children = [
            subprocess.Popen([sys.executable, "-c", program, path, each], stdin=subprocess.PIPE)
            for _ in range(processes)
        ]
        time.sleep(0.5)  # They import and open; then they start together.
        start = time.perf_counter()
        for child in children:
            child.communicate(b"\n")
        seconds = time.perf_counter() - start
        with Store(path, read_only=True) as store:
            return seconds, int(store.open("default").get("count") or 0)
