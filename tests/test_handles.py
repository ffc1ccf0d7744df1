"""Buckets are named databases, and LMDB's handles of those have traps: names cut at NUL, handles that outlive."""

from __future__ import annotations

import json
import os
import time
from functools import partial

import lmdb
import pytest

import kvcli
from kvcli.atomics import Cas, swap
from kvcli.engine.connection import is_open_here
from kvcli.engine.transaction import Snapshot
from kvcli.engine.update import Update
from kvcli.errors import CasFailed, InvalidBucketName, NoSuchBucket
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import run

DROP = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
with env.begin(write=True) as txn:
    txn.drop(env.open_db(b"b", txn=txn))
    if sys.argv[2:] == ["recreate"]:
        txn.put(b"k", b"new", db=env.open_db(b"b", txn=txn))
"""

MAKE = """
import lmdb, sys
env = lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=8)
with env.begin(write=True) as txn:
    txn.put(b"k", b"old", db=env.open_db(b"b", txn=txn))
"""


@pytest.fixture
def two(path: str) -> str:
    """A store with a bucket `b` that holds a key."""
    with Store(path) as store:
        store.create("b")
        store.open("b").set("k", b"old")
    return path


def test_name_with_nul_is_no_other_bucket(two: str) -> None:
    """LMDB would open b for b\\0x."""
    with Store(two) as store:
        for use in (store.open, store.create, store.drop):
            with pytest.raises(InvalidBucketName):
                use("b\0x")
        assert store.open("b").get("k") == b"old"


def test_bucket_dropped_by_another_process(two: str) -> None:
    """A bucket that another process dropped is gone, for reads and writes alike, though its handle was in use."""
    with Store(two) as store:
        bucket = store.open("b")
        bucket.set("k", b"old")
        run(DROP, two)
        for use in (lambda: bucket.get("k"), lambda: bucket.set("k", b"x"), bucket.list_keys):
            with pytest.raises(NoSuchBucket):
                use()


def test_bucket_dropped_and_made_again_by_another_process(two: str) -> None:
    """A bucket made anew under the same name is the one that is read."""
    with Store(two) as store:
        bucket = store.open("b")
        bucket.set("k", b"old")
        run(DROP, two, "recreate")
        assert bucket.get("k") == b"new"
        bucket.set("k", b"newer")
        assert bucket.get("k") == b"newer"


def test_mark_of_a_bucket_is_another_after_a_write_to_it(two: str) -> None:
    """Who compares two marks knows whether the bucket was written to between them; other buckets do not count."""
    with Store(two) as store:

        def mark() -> bytes | None:
            return store.read(lambda snapshot: snapshot.mark(b"b"))

        before = mark()
        store.open("default").set("k", b"1")
        assert mark() == before
        store.open("b").set("k", b"new")
        assert mark() != before
        store.drop("b")
        with pytest.raises(NoSuchBucket):
            mark()


def test_failed_creation_leaves_no_handle(path: str) -> None:
    """A bucket that was made in a transaction that failed is not there, and can be made afterwards."""
    with Store(path) as store:

        def work(update: object) -> None:
            update.create(b"b")  # type: ignore[attr-defined]
            raise ValueError("of the work")

        with pytest.raises(ValueError, match="of the work"):
            store.write(work)
        with pytest.raises(NoSuchBucket):
            store.open("b")
        assert store.create("b")
        assert store.open("b").get("k") is None


def test_very_many_buckets_are_all_listed(path: str) -> None:
    """A listing of buckets does not end where the table of handles ends."""
    names = [f"b{number:04}" for number in range(700)]
    with lmdb.open(path, max_dbs=1000, mode=0o700, map_size=1 << 26) as env, env.begin(write=True) as txn:
        for name in names:
            txn.put(b"k", name.encode(), db=env.open_db(name.encode(), txn=txn))
    with Store(path, read_only=True) as store:
        assert store.buckets() == names
        assert all(store.open(name).get("k") == name.encode() for name in names)


def test_very_many_buckets_are_counted_in_one_go(path: str) -> None:
    """Figures about more buckets than there are handles need no more of them at once."""
    with lmdb.open(path, max_dbs=1000, mode=0o700, map_size=1 << 26) as env, env.begin(write=True) as txn:
        for number in range(700):
            txn.put(b"k", b"v", db=env.open_db(b"%04d" % number, txn=txn))
    with Store(path, read_only=True) as store:
        assert store.read(lambda snapshot: len(snapshot.buckets())) == 700
        for start in range(0, 700, 100):
            assert store.read(lambda snapshot: count(snapshot, start)) == 100  # noqa: B023 - it runs at once


def count(snapshot: Snapshot, start: int) -> int:
    """Count the keys of a hundred buckets."""
    return sum(snapshot.count(name) for name in snapshot.buckets()[start : start + 100])


def test_very_many_buckets_are_written(path: str) -> None:
    """A process may write to more buckets than LMDB keeps handles."""
    names = [f"b{number:04}" for number in range(600)]
    with Store(path, durability="fast") as store:
        store.write(lambda update: [update.create(name.encode()) for name in names[:300]])
        store.write(lambda update: [update.create(name.encode()) for name in names[300:]])
        for name in names:
            store.open(name).set("k", name.encode())
        assert all(store.open(name).get("k") == name.encode() for name in names)


def test_deletion_while_listing_visits_every_key(path: str) -> None:
    """Deleting what a listing gives, page by page, leaves nothing behind, and keys added before it are not visited."""
    from kvcli.batch import delete_span, set_many
    from kvcli.engine.transaction import Span

    with Store(path) as store:
        bucket = store.open("default")
        set_many(bucket, [(f"{number:05}", b"") for number in range(3500)])
        seen = 0
        for page in bucket.pages(Span(), 100):
            bucket.set("000", b"before all")
            seen += len(page)
        assert seen == 3500
        assert delete_span(bucket, Span()) == 3501
        assert bucket.list_keys().keys == []


def test_bucket_dropped_and_made_again_in_one_transaction(two: str) -> None:
    """Within one transaction a bucket can be dropped and made anew, and the new one is used."""
    with Store(two) as store:
        store.open("b").set("k", b"old")

        def work(update: Update) -> bytes | None:
            update.drop(b"b")
            update.create(b"b")
            update.put(b"b", b"n", b"new")
            return update.get(b"b", b"k")

        assert store.write(work) is None
        assert store.open("b").list_keys().keys == ["n"]


def test_read_that_began_before_a_handle_was_opened(two: str) -> None:
    """A read that is running when another thread opens a bucket for the first time reads that bucket all the same."""
    with Store(two) as store:
        store.open("default").set("k", b"1")

        def work(snapshot: Snapshot) -> bytes | None:
            store.open("b").set("other", b"1")
            return snapshot.get(b"b", b"k")

        assert store.read(work) == b"old"


def test_key_of_a_bucket_that_was_dropped_here_and_made_elsewhere_loses(two: str) -> None:
    """With the same value, too: who dropped it wrote to every key of it."""
    with Store(two) as store:
        token = Cas.new(store.open("b"), "k").token()
        store.drop("b")
        run(MAKE, two)
        with pytest.raises(CasFailed):
            swap(Cas.from_token(store.open("b"), "k", token), b"mine")


def test_what_could_not_be_opened_is_closed(path: str) -> None:
    """Where there is no such bucket, the environment does not stay open for nobody."""
    Store(path).close()
    with pytest.raises(NoSuchBucket):
        kvcli.open("nothing", store=path)
    assert not is_open_here(f"{path}/data.mdb")


def test_closed_store_leaves_no_thread(path: str) -> None:
    """The thread that wrote ends with the store."""
    before = len(os.listdir("/proc/self/task"))
    with Store(path) as store:
        store.open("default").set("k", b"v")
        assert len(os.listdir("/proc/self/task")) > before
    end = time.monotonic() + 20
    while len(os.listdir("/proc/self/task")) > before:
        assert time.monotonic() < end
        time.sleep(0.01)


def create_all(numbers: range, update: Update) -> None:
    """Make buckets."""
    for number in numbers:
        update.create(b"b%d" % number)


@pytest.fixture
def many(path: str) -> str:
    """A store with more buckets than one transaction can have open."""
    with Store(path) as store:
        for numbers in range(300), range(300, 600):
            store.write(partial(create_all, numbers))
    return path


def sets_in_all_of() -> bytes:
    """Make the lines of a batch that sets a key in each."""
    lines = [{"op": "set", "bucket": f"b{number}", "key": "k", "value": "v"} for number in range(600)]
    return "\n".join(map(json.dumps, lines)).encode()


def test_figures_of_more_buckets_than_a_transaction_has_open(many: str, kvcli: Run) -> None:
    """Every bucket has its row, however many there are."""
    assert many
    ran = kvcli("bucket", "stat")
    assert (ran.returncode, ran.stderr, ran.stdout.count(b"\n")) == (0, b"", 601)  # With the bucket `default`.


def test_batch_in_more_buckets_than_a_transaction_has_open(many: str, kvcli: Run) -> None:
    """A batch is cut into transactions that can be; what is to be one says that it cannot, and does nothing."""
    ran = kvcli("batch", "--atomic", input=sets_in_all_of())
    assert (ran.returncode, ran.stderr.count(b"\n"), b"do it in several" in ran.stderr) == (69, 1, True)
    with Store(many, read_only=True) as store:
        assert not any(store.open(f"b{number}").exists("k") for number in range(600))
    ran = kvcli("batch", input=sets_in_all_of())
    assert (ran.returncode, ran.stdout.count(b'"ok":true')) == (0, 600)
    assert [kvcli(word).returncode for word in ("compact", "check")] == [0, 0]
