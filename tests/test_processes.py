"""Several processes on one store: nothing is lost, no swap overlooks another process."""

from __future__ import annotations

import pytest

from kvcli.atomics import Cas, swap
from kvcli.errors import CasFailed
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
    "up and down": ("k", 'kvcli.increment(bucket, "k", 1); kvcli.increment(bucket, "k", -1)'),
    "swap and back": (
        "k",
        'kvcli.swap(kvcli.Cas.new(bucket, "k"), b"x"); kvcli.swap(kvcli.Cas.new(bucket, "k"), b"1")',
    ),
    "delete many": ("k", 'kvcli.delete_many(bucket, ["k"]); kvcli.set_many(bucket, [("k", b"1")])'),
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


@pytest.mark.parametrize("value", [None, b"1"])
def test_swap_loses_to_a_bucket_made_again_by_another_process(path: str, value: bytes | None) -> None:
    """A bucket that another process dropped and made again is another one, with the same value or still without."""
    with Store(path) as store:
        store.create("b")
        bucket = store.open("b")
        again = 'store = kvcli.Store(sys.argv[1]); store.drop("b"); store.create("b")'
        if value is not None:
            bucket.set("k", value)
            again += f'; store.open("b").set("k", {value!r})'
        cas = Cas.new(bucket, "k")
        run(f"import sys, kvcli\n{again}", path)
        assert bucket.get("k") == cas.current() == value
        with pytest.raises(CasFailed):
            swap(cas, b"mine")


def test_token_of_another_process_swaps_once(path: str) -> None:
    """A token that another process printed wins here, and only once."""
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"1")
        program = 'import sys, kvcli\nprint(kvcli.Cas.new(kvcli.Store(sys.argv[1]).open("default"), "k").token())'
        token = run(program, path).decode().strip()
        swap(Cas.from_token(bucket, "k", token), b"2")
        with pytest.raises(CasFailed):
            swap(Cas.from_token(bucket, "k", token), b"3")
        assert bucket.get("k") == b"2"


def test_process_sees_what_another_acknowledged(path: str) -> None:
    """A commit of another process is seen by the next read."""
    with Store(path) as store:
        bucket = store.open("default")
        for number in range(3):
            run('import sys, kvcli\nkvcli.increment(kvcli.Store(sys.argv[1]).open("default"), "n", 1)', path)
            assert bucket.get("n") == b"%d" % (number + 1)
