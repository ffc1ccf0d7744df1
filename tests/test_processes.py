"""Several processes and threads on one store: nothing is lost, nobody sees what another bucket holds."""

from __future__ import annotations

import random
import threading

import pytest

from kvcli.atomics import Cas, increment, swap
from kvcli.errors import CasFailed, KvError
from kvcli.store import Store
from tests.processes import run, start

INCREMENT = """
import sys, kvcli
with kvcli.Store(sys.argv[1]) as store:
    bucket = store.open("default")
    for _ in range(int(sys.argv[2])):
        kvcli.increment(bucket, "n", 1)
"""

# Adds one to a key by reading and swapping until the swap wins; the key changes from loop to loop.
SWAP = """
import sys, kvcli
from kvcli import Cas, CasFailed, swap
with kvcli.Store(sys.argv[1]) as store:
    bucket = store.open("default")
    for number in range(int(sys.argv[2])):
        cas, value = Cas.new_with_read(bucket, f"k{number % int(sys.argv[3])}")
        while True:
            try:
                swap(cas, b"%d" % (int(value or 0) + 1))
                break
            except CasFailed as lost:
                cas, value = lost.cas, lost.value
"""

# Each kind of change that leaves the value as it was, made by another process.
MEDDLING = {
    "a-b-a": ("k", 'bucket.set("k", b"other"); bucket.set("k", b"1")'),
    "same value": ("k", 'bucket.set("k", b"1")'),
    "delete and recreate": ("k", 'bucket.delete("k"); bucket.set("k", b"1")'),
    "create and delete": ("absent", 'bucket.set("absent", b"1"); bucket.delete("absent")'),
    "many keys": ("k", 'kvcli.set_many(bucket, [(str(n), b"") for n in range(100)] + [("k", b"1")])'),
}


def together(program: str, *words: str, processes: int = 8) -> None:
    """Run a program in several processes at once."""
    children = [start(program, *words) for _ in range(processes)]
    for child in children:
        _, err = child.communicate(timeout=300)
        assert child.returncode == 0, err.decode()


def test_increments_of_processes_are_exact(path: str) -> None:
    """8 processes x 1,000 increments make 8,000."""
    Store(path).close()
    together(INCREMENT, path, "1000")
    with Store(path) as store:
        assert store.open("default").get("n") == b"8000"


@pytest.mark.parametrize("keys", [1, 64])
def test_swap_loops_of_processes_are_exact(path: str, keys: int) -> None:
    """8 processes x 500 read-and-swap loops, on one key and on 64, lose nothing and all end."""
    Store(path).close()
    together(SWAP, path, "500", str(keys))
    with Store(path) as store:
        bucket = store.open("default")
        assert sum(int(bucket.get(f"k{number}") or 0) for number in range(keys)) == 4000


@pytest.mark.parametrize("kind", MEDDLING)
def test_swap_loses_to_another_process(path: str, kind: str) -> None:
    """Whatever another process did to the key between Cas.new and swap, the swap loses."""
    key, meddling = MEDDLING[kind]
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"1")
        cas = Cas.new(bucket, key)
        run(f'import sys, kvcli\nbucket = kvcli.Store(sys.argv[1]).open("default")\n{meddling}', path)
        assert bucket.get(key) == cas.current()
        with pytest.raises(CasFailed):
            swap(cas, b"mine")


def test_process_sees_what_another_acknowledged(path: str) -> None:
    """A commit of another process is seen by the next read."""
    with Store(path) as store:
        bucket = store.open("default")
        for number in range(3):
            run('import sys, kvcli\nkvcli.increment(kvcli.Store(sys.argv[1]).open("default"), "n", 1)', path)
            assert bucket.get("n") == b"%d" % (number + 1)


def test_increments_of_threads_are_exact(path: str) -> None:
    """8 threads x 100 increments through one Store make 800."""
    with Store(path) as store:
        bucket = store.open("default")
        threads = [threading.Thread(target=lambda: [increment(bucket, "n", 1) for _ in range(100)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bucket.get("n") == b"800"


def test_threads_never_get_another_bucket(path: str) -> None:
    """Threads that open, make and drop buckets at once always read from the bucket they named."""
    names = [f"b{number}" for number in range(12)]
    with Store(path) as store:
        for name in names:
            store.create(name)
            store.open(name).set("who", name.encode())
    wrong: list[object] = []
    with Store(path) as store:
        threads = [threading.Thread(target=roam, args=(store, names, seed, wrong)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert store.buckets() == sorted([*names, "default"])


def roam(store: Store, names: list[str], seed: int, wrong: list[object]) -> None:
    """Visit buckets at random, and note every value that is not the bucket's own."""
    chance = random.Random(seed)
    try:
        for _ in range(150):
            name = chance.choice(names)
            if chance.random() < 0.1:
                name = f"own{seed}"
                store.create(name)
                store.open(name).set("who", name.encode())
            if store.open(name).get("who") != name.encode():
                wrong.append(name)
            if name == f"own{seed}":
                store.drop(name)
    except KvError as error:
        wrong.append(error)
