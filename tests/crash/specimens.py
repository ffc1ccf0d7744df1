"""Specimens: sound stores of every kind, to be damaged. Small, as each is written anew for every damage."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import lmdb

from kvcli.batch import delete_many, set_many
from kvcli.store import Store

KEYS = 200
LONG = 300  # With keys this long few fit on a page, and few pages make many levels.


class Specimen:
    """One store, kept in memory file by file."""

    def __init__(self, name: str, folder: str, buckets: list[str]) -> None:
        """Read the files of the store that is called `store` in a folder."""
        self.name = name
        self.buckets = buckets
        self.is_single = os.path.isfile(os.path.join(folder, "store"))
        with open(self._data(folder, "store"), "rb") as file:
            self.content = file.read()

    def put(self, folder: str, name: str = "store") -> str:
        """Make the store in a folder; give where its data file is."""
        path = self._data(folder, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.content)
        return path

    def _data(self, folder: str, name: str) -> str:
        return os.path.join(folder, name) if self.is_single else os.path.join(folder, name, "data.mdb")


def small(path: str) -> None:
    """Fill a store with a few keys."""
    with Store(path) as store:
        for number in range(5):
            store.open("default").set(f"k{number}", b"%d" % number)


def levels(path: str) -> None:
    """Fill a store so that its tree has several levels."""
    with Store(path) as store:
        keys = [f"k{number}".ljust(LONG, "-") for number in range(KEYS)]
        random.Random(1).shuffle(keys)
        set_many(store.open("default"), [(f"k{number}", b"1") for number in range(KEYS)])
        for start in range(0, KEYS, 50):
            set_many(store.open("default"), [(key, b"v") for key in keys[start : start + 50]])


def overflow(path: str) -> None:
    """Fill a store with values that need pages of their own."""
    with Store(path) as store:
        for number in range(8):
            store.open("default").set(f"k{number}", bytes([number]) * (2500 << (number % 5)))


def many_buckets(path: str) -> None:
    """Fill several buckets."""
    with Store(path) as store:
        for number in range(12):
            store.create(f"b{number}")
            set_many(store.open(f"b{number}"), [(f"k{key}", b"1") for key in range(number * 5)])
        store.open("default").set("k1", b"1")


def thinned(path: str) -> None:
    """Fill a store and delete from it, commit by commit, so that it has many free pages."""
    with Store(path) as store:
        bucket = store.open("default")
        set_many(bucket, [(f"k{number}", bytes(900)) for number in range(KEYS)])
        for start in range(0, KEYS, 40):
            delete_many(bucket, [f"k{number}" for number in range(start, start + 25)])


def foreign(path: str, lib_version: int, *, subdir: bool = True) -> None:
    """Make an environment as another program would, with keys in the main database too."""
    env = lmdb.open(path, subdir=subdir, map_size=1 << 22, max_dbs=8, lib_version=lib_version, mode=0o700)
    with env:
        for number in range(20):
            with env.begin(write=True) as txn:
                txn.put(b"k%d" % number, b"%d" % number)
                for name in (b"default", b"other"):
                    txn.put(b"k%d" % number, bytes(number * 300), db=env.open_db(name, txn=txn))


def duplicates(path: str, lib_version: int) -> None:
    """Make an environment with several values for a key: some within the page, some in a tree of their own."""
    env = lmdb.open(path, map_size=1 << 22, max_dbs=8, lib_version=lib_version, mode=0o700)
    with env, env.begin(write=True) as txn:
        fixed = env.open_db(b"fixed", txn=txn, dupsort=True, dupfixed=True, integerdup=True)
        odd, plain = env.open_db(b"odd", txn=txn, dupsort=True), env.open_db(b"default", txn=txn)
        for number in range(300):
            txn.put(b"k%d" % (number % 7), b"v%d" % number, db=odd)
            txn.put(b"k%d" % (number % 3), number.to_bytes(8, "little"), db=fixed)
            txn.put(b"k%d" % number, b"1", db=plain)


MAKERS: dict[str, tuple[Callable[[str], None], list[str]]] = {
    "small": (small, ["default"]),
    "levels": (levels, ["default"]),
    "overflow": (overflow, ["default"]),
    "many buckets": (many_buckets, ["default", "b3", "b11"]),
    "thinned": (thinned, ["default"]),
    "foreign 0.9": (lambda path: foreign(path, 0), ["default", "other", "@main"]),
    "foreign 1.0": (lambda path: foreign(path, 1), ["default", "other", "@main"]),
    "single file 0.9": (lambda path: foreign(path, 0, subdir=False), ["default", "other", "@main"]),
    "single file 1.0": (lambda path: foreign(path, 1, subdir=False), ["default", "other", "@main"]),
    "duplicates 0.9": (lambda path: duplicates(path, 0), ["default", "odd", "fixed"]),
    "duplicates 1.0": (lambda path: duplicates(path, 1), ["default", "odd", "fixed"]),
}


def make(folder: str) -> list[Specimen]:
    """Make one of each kind."""
    return [_made(name, folder, maker, buckets) for name, (maker, buckets) in MAKERS.items()]


def _made(name: str, folder: str, maker: Callable[[str], None], buckets: list[str]) -> Specimen:
    with _place(folder) as place:
        maker(os.path.join(place, "store"))
        return Specimen(name, place, buckets)


@contextmanager
def _place(folder: str) -> Iterator[str]:
    place = os.path.join(folder, "making")
    os.mkdir(place, 0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place)
