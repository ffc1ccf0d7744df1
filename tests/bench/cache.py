"""The cache: against diskcache in one process, a million entries under a cap, and the memoiser's hit in one shot."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module

from kvcli.cache import Cache
from kvcli.engine.register import boot_folder
from kvcli.store import Store
from tests.bench.one_shot import measure

OPERATIONS, ROUNDS, VALUE = 20_000, 5, 100
ENTRIES, CAP = 1_000_000, 100 << 20


def run() -> Iterator[str]:
    """Give the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _against_diskcache(folder)
        yield from _under_a_cap(folder)
        yield from _one_shot(folder)


def _against_diskcache(folder: str) -> Iterator[str]:
    try:
        diskcache = import_module("diskcache")  # No part of the test extra, so no import that mypy would look for.
    except ImportError:
        yield "skipped: diskcache is not installed (pip install diskcache==5.6.3)"
        return
    keys = [f"key:{number:06}" for number in range(OPERATIONS)]
    random.Random(1).shuffle(keys)
    value = os.urandom(VALUE)
    peers = {
        "its default": diskcache.Cache(os.path.join(folder, "default")),
        "synchronous=OFF": diskcache.Cache(os.path.join(folder, "off"), sqlite_synchronous=0),
    }
    with Store(os.path.join(folder, "one")) as store, Cache(store) as ours:
        works: dict[str, dict[str, Callable[[str], object]]] = {
            "set": {"ours": lambda key: ours.set(key, value, 60_000)},
            "get": {"ours": ours.get},
            "get-or-set hit": {"ours": ours.get_or_set},
        }
        for name, peer in peers.items():
            works["set"][name] = lambda key, peer=peer: peer.set(key, value, expire=60)  # type: ignore[misc]
            works["get"][name] = works["get-or-set hit"][name] = peer.get
        for what, calls in works.items():
            seconds = _alternating(calls, keys)
            for name in peers:
                yield (
                    f"{what:15} {seconds[name] / seconds['ours']:5.1f} x as fast as diskcache, {name:15} "
                    f"({seconds['ours'] * 1e6:5.2f} us against {seconds[name] * 1e6:6.2f})"
                )


def _alternating(calls: dict[str, Callable[[str], object]], keys: list[str]) -> dict[str, float]:
    """Give the median of some rounds, one call after the other, so that a slow moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for key in keys:
                call(key)
            taken[name].append((time.perf_counter() - start) / len(keys))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _under_a_cap(folder: str) -> Iterator[str]:
    path, dice = os.path.join(folder, "capped"), random.Random(2)
    rates, peak = [], 0.0
    with Store(path) as store, Cache(store, max_size=CAP) as cache:
        for _ in range(10):
            start = time.perf_counter()
            for number in range(ENTRIES // 10):
                cache.set(f"key:{dice.randrange(1 << 40):x}", bytes(VALUE), dice.choice((60_000, 600_000, 3_600_000)))
                if number % 1000 == 0:
                    data = os.path.join(boot_folder(os.path.join(path, "cache")), "data.mdb")
                    peak = max(peak, os.path.getsize(data) / CAP if os.path.exists(data) else 0)
            rates.append(ENTRIES // 10 / (time.perf_counter() - start))
        stats = cache.stats()
    yield f"{ENTRIES:,} entries, cap {CAP >> 20} MiB: file at most {peak:.2f} x the cap, {stats['evictions']:,} evicted"
    yield "sets a second, each 100,000: " + ", ".join(f"{rate:,.0f}" for rate in rates)


def _one_shot(folder: str) -> Iterator[str]:
    script = os.path.join(os.path.dirname(sys.executable), "kvcli")
    if not os.path.exists(script):
        yield f"skipped: there is no {script}; install kvcli into this environment (not -e, which loads other code)"
        return
    environment = {**os.environ, "KVCLI_STORE": os.path.join(folder, "shots")}
    environment.pop("PYTHONPATH", None)
    commands = {
        "floor": [sys.executable, "-c", "import lmdb"],
        "cache run, hit": [script, "cache", "run", "--ttl", "1h", "--", "date"],
        "cache get": [script, "cache", "get", "k"],
        "get": [script, "get", "k"],
        "true": ["true"],
    }
    for command in ("cache set k v --ttl 1h", "set k v", "cache run --ttl 1h -- date"):
        subprocess.run([script, *command.split()], check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    medians = measure(commands, environment, folder)
    for name in list(commands)[1:]:
        bound = " (at most 1.6)" if name == "cache run, hit" else ""
        yield f"{name:15} {medians[name] / medians['floor']:5.2f} x the import of lmdb, {medians[name] * 1000:5.2f} ms{bound}"
