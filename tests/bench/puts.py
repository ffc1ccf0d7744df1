"""Puts: set_many of half a million pairs, stamping included, against a bare loop of lmdb's put in one transaction."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator

import lmdb

from kvcli.batch import set_many
from kvcli.store import Store

PAIRS = 500_000
ROUNDS = 5
BOUND = 0.75


def run() -> Iterator[str]:
    """Give the median ratio of rates; each round makes both stores anew, one after the other."""
    pairs = [(f"{number * 7919 % 1_000_003:08d}", b"v" * 20) for number in range(PAIRS)]
    raw_pairs = [(key.encode(), value) for key, value in pairs]
    rounds = [(raw(raw_pairs), ours(pairs)) for _ in range(ROUNDS)]
    ratio = statistics.median(bare / mine for bare, mine in rounds)
    yield f"set_many of {PAIRS:,}: {ratio:.2f} of the rate of the bare loop (at least {BOUND})"
    yield "seconds, bare loop and set_many: " + ", ".join(f"{bare:.2f} {mine:.2f}" for bare, mine in rounds)


def raw(pairs: list[tuple[bytes, bytes]]) -> float:
    """Time the loop that nobody can beat."""
    with tempfile.TemporaryDirectory() as folder, lmdb.open(folder, map_size=1 << 40, max_dbs=2, lib_version=0) as env:
        with env.begin(write=True) as txn:
            database = env.open_db(b"default", txn=txn)
        start = time.perf_counter()
        with env.begin(write=True, db=database) as txn:
            for key, value in pairs:
                txn.put(key, value)
        return time.perf_counter() - start


def ours(pairs: list[tuple[str, bytes]]) -> float:
    """Time the library, keys as text."""
    with tempfile.TemporaryDirectory() as folder, Store(os.path.join(folder, "store")) as store:
        bucket = store.open("default")
        start = time.perf_counter()
        set_many(bucket, pairs)
        return time.perf_counter() - start
