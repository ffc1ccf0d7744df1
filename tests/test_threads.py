"""Several threads of one process on one store: nothing is lost, nobody sees what another bucket holds."""

from __future__ import annotations

import random
import threading
from _thread import RLock
from collections.abc import Callable

import lmdb
import pytest

from kvcli.atomics import Cas, increment, swap
from kvcli.batch import get_many, set_many
from kvcli.engine import opening
from kvcli.engine.connection import Connection
from kvcli.engine.environment import Environment
from kvcli.engine.gate import Gate
from kvcli.errors import CasFailed, KvError
from kvcli.store import Bucket, Store
from tests.processes import start

WORK = """
import sys, threading, kvcli
with kvcli.Store(sys.argv[1]) as store:
    bucket = store.open("default")
    def work():
        for _ in range(50):
            kvcli.increment(bucket, "n", 1)
    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def environment(store: Store) -> Environment:
    """Give what a store's connection shares."""
    engine = store.engine
    assert isinstance(engine, Connection)
    assert engine._environment is not None
    return engine._environment


class Interrupted(Gate):
    """A gate at which something else happens just before one thread passes for the first time."""

    __slots__ = ("_meanwhile", "_thread")

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        """Keep what is to happen before the thread that makes this passes."""
        super().__init__()
        self._thread = threading.get_ident()
        self._meanwhile: Callable[[], object] | None = meanwhile

    def passage(self) -> RLock:
        """Let the other thing happen, and pass."""
        if threading.get_ident() == self._thread and self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return super().passage()


def in_threads(works: list[Callable[[], object]]) -> list[BaseException]:
    """Run functions at once; give what they raised."""
    raised: list[BaseException] = []

    def guard(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a test looks at it
            raised.append(error)

    threads = [threading.Thread(target=guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_increments_of_threads_are_exact(path: str) -> None:
    """8 threads x 100 increments through one Store make 800."""
    with Store(path) as store:
        bucket = store.open("default")
        assert in_threads([lambda: [increment(bucket, "n", 1) for _ in range(100)]] * 8) == []
        assert bucket.get("n") == b"800"


def test_answers_of_increments_are_all_different(path: str) -> None:
    """Concurrent increments by one answer every number once."""
    answers: list[int] = []
    with Store(path) as store:
        bucket = store.open("default")
        assert in_threads([lambda: answers.extend([increment(bucket, "n", 1) for _ in range(50)])] * 8) == []
    assert sorted(answers) == list(range(1, 401))


def test_swap_loops_of_threads_are_exact(path: str) -> None:
    """8 threads x 50 read-and-swap loops on one key lose nothing and all end."""

    def loop() -> None:
        for _ in range(50):
            cas, value = Cas.new_with_read(bucket, "n")
            while True:
                try:
                    swap(cas, b"%d" % (int(value or 0) + 1))
                    break
                except CasFailed as lost:
                    cas, value = lost.cas, lost.value

    with Store(path) as store:
        bucket = store.open("default")
        assert in_threads([loop] * 8) == []
        assert bucket.get("n") == b"400"


def test_threads_of_processes_are_exact(path: str) -> None:
    """4 processes of 4 threads x 50 increments, while this one counts too, are exact."""
    with Store(path) as store:
        bucket = store.open("default")
        children = [start(WORK, path) for _ in range(4)]
        for _ in range(50):
            increment(bucket, "n", 1)
        for child in children:
            _, err = child.communicate(timeout=300)
            assert child.returncode == 0, err.decode()
        assert bucket.get("n") == b"850"


def test_readers_see_batches_whole(path: str) -> None:
    """Threads that read while another writes batches see all of a batch or nothing of it."""
    keys = [f"{number:03}" for number in range(100)]
    torn: list[object] = []
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(60):
                set_many(bucket, [(key, b"%d" % number) for key in keys])
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            values = {None if pair is None else pair[1] for pair in get_many(bucket, keys)}
            if len(values) != 1:
                torn.append(values)

    with Store(path) as store:
        bucket = store.open("default")
        assert in_threads([write, read, read, read]) == []
    assert torn == []


def name_buckets(store: Store, names: list[str]) -> None:
    """Make buckets, and write into each whose it is."""
    for name in names:
        store.create(name)
        store.open(name).set("who", name.encode())


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


def test_threads_never_get_another_bucket(path: str) -> None:
    """Threads that open, make and drop buckets at once always read from the bucket they named."""
    names = [f"b{number}" for number in range(12)]
    with Store(path) as store:
        name_buckets(store, names)
    wrong: list[object] = []
    with Store(path) as store:
        assert in_threads([lambda seed=seed: roam(store, names, seed, wrong) for seed in range(6)]) == []  # type: ignore[misc]
        assert wrong == []
        assert store.buckets() == sorted([*names, "default"])


def test_threads_share_few_handles(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that use more buckets than LMDB has handles for neither fail nor read from another bucket."""
    monkeypatch.setattr(opening, "BUCKETS_MAX", 6)
    names = [f"b{number}" for number in range(20)]

    def visit(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(400):
            name = chance.choice(names)
            if chance.random() < 0.3:
                store.open(name).set("who", name.encode())
            assert store.open(name).get("who") == name.encode()

    with Store(path) as store:
        name_buckets(store, names)
        assert in_threads([lambda seed=seed: visit(seed) for seed in range(6)]) == []  # type: ignore[misc]


def interrupt(bucket: Bucket, meanwhile: Callable[[], object]) -> bytes | None:
    """Read key `who`, while `meanwhile` happens just before the read transaction begins."""
    environment(bucket.store)._gate = Interrupted(meanwhile)
    return bucket.get("who")


def test_read_does_not_take_a_handle_that_became_another_buckets(path: str) -> None:
    """A read that had its handle when another thread dropped the bucket and made two reads the bucket it named."""
    with Store(path) as store:
        name_buckets(store, ["x"])

        def meanwhile() -> None:
            store.drop("x")
            name_buckets(store, ["y", "x"])

        assert interrupt(store.open("x"), meanwhile) == b"x"


def test_read_does_not_take_a_handle_that_is_nobodys(path: str) -> None:
    """A read that had its handle when another thread dropped the bucket and made it with another one is done again."""
    with Store(path) as store:
        name_buckets(store, ["x"])

        def meanwhile() -> None:
            store.drop("x")
            name_buckets(store, ["y", "x"])
            store.drop("y")

        assert interrupt(store.open("x"), meanwhile) == b"x"


def test_read_goes_on_when_the_environment_is_opened_again(path: str) -> None:
    """A read that had its handle when another thread ran out of handles, and reopened, is simply done again."""
    with Store(path) as store:
        name_buckets(store, ["x"])
        shared = environment(store)
        assert interrupt(store.open("x"), lambda: shared._free_handles(lmdb.DbsFullError("test"))) == b"x"


def test_read_goes_on_when_another_thread_opens_the_store_with_more_rights(path: str) -> None:
    """A read that had its handle when the same store was opened more durably is simply done again."""
    Store(path).close()
    with Store(path, durability="fast") as store:
        name_buckets(store, ["x"])
        assert interrupt(store.open("x"), lambda: Store(path).close()) == b"x"
