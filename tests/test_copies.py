"""Handles and tokens across environments that other programs made, copied or wrote to."""

from __future__ import annotations

import os
import shutil
import subprocess

import lmdb
import pytest

from kvcli.atomics import Cas, increment, swap
from kvcli.errors import CasFailed, UnsupportedBucket
from kvcli.store import Bucket, Store
from tests.conftest import Run, make_foreign
from tests.processes import WRITE_RAW, run
from tests.test_foreign import FORMATS

NEEDS_COPY = pytest.mark.skipif(not shutil.which("mdb_copy"), reason="mdb_copy (Debian: lmdb-utils) is not installed")

# Drops a database, and makes it again with the pair k=1.
RECREATE = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
name = sys.argv[2].encode()
with env.begin(write=True) as txn:
    txn.drop(env.open_db(name, txn=txn))
with env.begin(write=True) as txn:
    txn.put(b"k", b"1", db=env.open_db(name, txn=txn, dupsort="dupsort" in sys.argv))
"""


def compacted(path: str, name: str) -> str:
    """Copy a store as mdb_copy -c does, which counts transactions anew."""
    copy = os.path.join(os.path.dirname(path), name)
    os.mkdir(copy, 0o700)
    subprocess.run(["mdb_copy", "-c", path, copy], check=True)
    return copy


def write_until(path: str, revision: int) -> None:
    """Write k as another program, to other values and back to 1, until the environment has this revision."""
    with lmdb.open(path, max_dbs=8, map_size=1 << 40) as env:
        while env.info()["last_txnid"] < revision:
            with env.begin(write=True) as txn:
                value = b"1" if txn.id() == revision else b"other"
                txn.put(b"k", value, db=env.open_db(b"default", txn=txn))


@FORMATS
def test_token_of_another_foreign_environment_loses(path: str, kvcli: Run, lib_version: int) -> None:
    """A token is good in its own store only, also where kvcli has not written to either yet."""
    other = path + "2"
    for where in (path, other):
        make_foreign(where, lib_version=lib_version, users={b"k": b"1"})
    with Store(path, read_only=True) as store:
        token = Cas.new(store.open("users"), "k").token()
    assert kvcli("cas", "k", "mine", "--token", token, "-b", "users", "-s", other, "--adopt").returncode == 3
    assert kvcli("get", "k", "-b", "users", "-s", other).stdout == b"1"


@FORMATS
def test_token_of_a_foreign_environment_swaps_there(path: str, lib_version: int) -> None:
    """A handle made before kvcli first wrote is good for that first write."""
    make_foreign(path, lib_version=lib_version, users={b"k": b"1"})
    with Store(path, read_only=True) as store:
        token = Cas.new(store.open("users"), "k").token()
    with Store(path, adopt=True) as store:
        swap(Cas.from_token(store.open("users"), "k", token), b"mine")
        assert store.open("users").get("k") == b"mine"


@FORMATS
def test_swap_as_first_write_loses_to_the_other_program(path: str, lib_version: int) -> None:
    """A-B-A by the other program before kvcli first wrote makes the swap lose."""
    make_foreign(path, lib_version=lib_version, default={b"k": b"1"})
    with Store(path, adopt=True) as store:
        cas = Cas.new(store.open("default"), "k")
        run(WRITE_RAW, path, "k=other", "k=1")
        with pytest.raises(CasFailed) as lost:
            swap(cas, b"mine")
        swap(lost.value.cas, b"mine")
        assert store.open("default").get("k") == b"mine"


def test_writes_of_both_do_not_hide_each_other(path: str) -> None:
    """What the other program wrote still counts after kvcli wrote other keys."""
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"1")
        cas = Cas.new(bucket, "k")
        run(WRITE_RAW, path, "k=other", "k=1")
        for _ in range(3):
            bucket.set("unrelated", b"")
        with pytest.raises(CasFailed):
            swap(cas, b"mine")


def test_swap_loses_to_a_database_made_again(path: str) -> None:
    """Another program that drops a database and makes it again, with the same pair, makes the swap lose."""
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"1")
        cas = Cas.new(bucket, "k")
        run(RECREATE, path, "default")
        assert bucket.get("k") == b"1"
        with pytest.raises(CasFailed):
            swap(cas, b"mine")


def test_database_made_again_with_duplicates_is_refused(path: str) -> None:
    """A bucket that became DUPSORT while the store was open is refused as any such bucket is."""
    with Store(path) as store:
        store.create("b")
        bucket = store.open("b")
        bucket.set("k", b"1")
        run(RECREATE, path, "b", "dupsort")
        for operation in (lambda: bucket.get("k"), lambda: bucket.set("k", b"2"), lambda: store.open("b")):
            with pytest.raises(UnsupportedBucket, match="dupsort"):
                operation()


def test_swap_loses_where_the_private_database_was_removed(path: str) -> None:
    """Another program that drops what it does not know takes the stamps along, and older tokens lose."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
        token = Cas.new(store.open("default"), "k").token()
    with lmdb.open(path, max_dbs=8, map_size=1 << 40) as env, env.begin(write=True) as txn:
        txn.drop(env.open_db(b"__kvcli__", txn=txn))
    with Store(path, adopt=True) as store, pytest.raises(CasFailed):
        swap(Cas.from_token(store.open("default"), "k", token), b"mine")


def aged(path: str) -> tuple[str, int]:
    """Make a store with some history; give a token of its key k, and its revision."""
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"1")
        for _ in range(5):
            increment(bucket, "n", 1)
        return Cas.new(bucket, "k").token(), int(store.stat()["revision"])


def loses(bucket: Bucket, token: str) -> None:
    """A token loses, and the handle it is given in exchange wins."""
    with pytest.raises(CasFailed) as lost:
        swap(Cas.from_token(bucket, "k", token), b"mine")
    swap(lost.value.cas, b"mine")
    assert bucket.get("k") == b"mine"


@NEEDS_COPY
@pytest.mark.parametrize("ahead", [-2, -1, 0, 1, 2, 10])
def test_old_token_loses_in_a_copy_that_grew(path: str, ahead: int) -> None:
    """Whatever another program wrote to a compacted copy first, and however often, tokens of the original lose there."""
    token, revision = aged(path)
    copy = compacted(path, "copy")
    write_until(copy, revision + ahead)
    with Store(copy) as store:
        loses(store.open("default"), token)


@NEEDS_COPY
def test_handle_made_in_a_copy_before_its_first_write_is_good(path: str) -> None:
    """Looking first and writing then works in a compacted copy, for handles and for tokens."""
    aged(path)
    copy = compacted(path, "copy")
    with Store(copy, read_only=True) as store:
        token = Cas.new(store.open("default"), "k").token()
    with Store(copy) as store:
        bucket = store.open("default")
        swap(Cas.from_token(bucket, "k", token), b"2")
        swap(Cas.new(bucket, "k"), b"3")
        assert bucket.get("k") == b"3"


@NEEDS_COPY
def test_copies_of_copies_do_not_livelock(path: str) -> None:
    """Every generation of compacted copies takes swaps at once."""
    token, _ = aged(path)
    for generation in range(4):
        path = compacted(path, f"copy{generation}")
        with Store(path) as store:
            bucket = store.open("default")
            loses(bucket, token)
            for _ in range(3):
                swap(Cas.new(bucket, "k"), b"1")
            token = Cas.new(bucket, "k").token()
