"""The main database of an environment that another program made: a bucket like others, and what is not in it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess

import lmdb
import pytest

from kvcli.batch import delete_span, get_many, set_many
from kvcli.engine.transaction import Span
from kvcli.errors import AccessDenied, InvalidBucketName, KvError, MalformedData, UnsupportedBucket
from kvcli.store import Bucket, Store
from tests.conftest import Run, make_foreign, walk
from tests.test_foreign import FORMATS, digest

Databases = dict[str, dict[bytes, bytes]]

LARGE = {b"%02d" % number: b"x" * 100_000 for number in range(30)}
# What LMDB's own record of a sub-database looks like, with a small root page; and six numbers that look the same.
SIX_NUMBERS = struct.pack("=6Q", 0, 0, 0, 0, 0, 5)


def make(path: str, databases: Databases, lib_version: int = 0) -> None:
    """Make an environment with databases of any names; `main` is the main one."""
    os.mkdir(path, 0o700)
    with lmdb.open(path, max_dbs=64, lib_version=lib_version) as env, env.begin(write=True) as txn:
        for name, pairs in databases.items():
            database = env.open_db(None if name == "main" else name.encode("utf-8", "surrogateescape"), txn=txn)
            for key, value in pairs.items():
                txn.put(key, value, db=database)


@FORMATS
def test_walk_of_the_main_database_sees_every_key(path: str, lib_version: int) -> None:
    """Pages have a cursor while there is more, also where large values make them short."""
    make_foreign(path, lib_version=lib_version, main=LARGE)
    with Store(path, read_only=True) as store:
        assert walk(store.open("@main")) == [key.decode() for key in LARGE]


@FORMATS
def test_walk_of_many_small_keys_of_the_main_database(path: str, lib_version: int) -> None:
    """More keys than a page holds, with records of buckets among them, come once each, without the records."""
    pairs = {b"%05d" % number: b"" for number in range(2500)}
    make(path, {"main": pairs, **{f"0{number}000x": {} for number in range(3)}}, lib_version)
    with Store(path, read_only=True) as store:
        assert walk(store.open("@main")) == [key.decode() for key in pairs]


@FORMATS
def test_span_of_the_main_database_ends_where_it_was_said(path: str, lib_version: int) -> None:
    """Keys of a prefix, forwards and backwards: none that comes before or behind, and no record of a bucket."""
    main = {b"a": b"", b"b1": b"", b"b2": b"", b"c": b""}
    make(path, {"main": main, "bucket": {}}, lib_version)
    span = Span.starting(b"b")
    with Store(path, read_only=True) as store:
        assert store.read(lambda snapshot: snapshot.keys(b"@main", span, 9)) == [b"b1", b"b2"]
        back = Span(span.low, span.high, True)
        assert store.read(lambda snapshot: snapshot.keys(b"@main", back, 9)) == [b"b2", b"b1"]


def test_command_lists_all_of_the_main_database(path: str, kvcli: Run) -> None:
    """The command streams it whole, with values and without."""
    make_foreign(path, main=LARGE)
    assert kvcli("list", "-b", "@main").stdout.split() == list(LARGE)
    listed = kvcli("list", "--values", "-0", "-b", "@main").stdout.split(b"\0")[:-1]
    assert dict(zip(listed[::2], listed[1::2], strict=True)) == LARGE


def test_command_pages_through_the_main_database(path: str, kvcli: Run) -> None:
    """--limit gives as many keys as there are, and the cursor the rest, however large the values."""
    make_foreign(path, main=LARGE)
    first = kvcli("list", "-b", "@main", "--limit", "20")
    second = kvcli("list", "-b", "@main", "--limit", "20", "--cursor", first.stderr.decode().strip())
    assert (first.stdout + second.stdout).split() == list(LARGE)
    assert second.stderr == b""


@FORMATS
@pytest.mark.parametrize("value", [SIX_NUMBERS, bytes(48), b"\xff" * 48, b"x" * 48], ids=["six", "0", "ff", "x"])
def test_main_database_gives_back_what_it_was_given(path: str, lib_version: int, value: bytes) -> None:
    """A value of 48 bytes is a value, though records of buckets have as many."""
    make_foreign(path, lib_version=lib_version, main={b"a": b"1"}, users={b"a": b"1"})
    with Store(path, adopt=True) as store:
        main = store.open("@main")
        main.set("k", value)
        assert (main.get("k"), main.exists("k"), store.buckets()) == (value, True, ["@main", "users"])


@FORMATS
def test_value_that_would_stand_for_a_bucket_is_refused(path: str, lib_version: int) -> None:
    """The record of a bucket, byte for byte, would be a bucket under another name: nothing is written."""
    make_foreign(path, lib_version=lib_version, main={b"k": b"v"}, users={b"a": b"1"})
    with Store(path, adopt=True) as store:
        record = store.read(lambda snapshot: snapshot.mark(b"users"))
        assert record is not None
        with pytest.raises(MalformedData, match="would stand for a bucket"):
            store.open("@main").set("k", record)
        assert (store.open("@main").get("k"), store.buckets()) == (b"v", ["@main", "users"])


def test_bucket_under_the_name_of_a_main_key_is_refused(path: str) -> None:
    """Where a key of the main database has the name, creation says so: False would mean that the bucket is there."""
    make_foreign(path, main={b"k": b"v"})
    with Store(path, adopt=True) as store:
        with pytest.raises(KvError):
            store.create("k")
        assert store.open("@main").get("k") == b"v"


def test_command_does_not_claim_to_have_made_such_a_bucket(path: str, kvcli: Run) -> None:
    """bucket create is not 0 where there is no such bucket afterwards."""
    make_foreign(path, main={b"k": b"v"})
    assert kvcli("bucket", "create", "k", "--adopt").returncode != 0


@FORMATS
@pytest.mark.parametrize("key", ["users", "users\0"])
def test_record_of_a_bucket_cannot_be_touched(path: str, lib_version: int, key: str) -> None:
    """The raw key of a bucket's record (format 1.0 ends it with NUL) is neither read, overwritten nor deleted."""
    make_foreign(path, lib_version=lib_version, main={b"k": b"v"}, users={b"a": b"1"})
    with Store(path, adopt=True) as store:
        main = store.open("@main")
        assert (main.get(key), main.exists(key)) == (None, False)
        main.delete(key)
        if key.endswith("\0") == bool(lib_version):
            with pytest.raises(AccessDenied, match="bucket"):
                main.set(key, b"x")
        assert get_many(main, ["k", key])[0] == ("k", b"v")
        assert store.open("users").get("a") == b"1"


@FORMATS
def test_deleting_all_of_the_main_database_leaves_the_buckets(path: str, lib_version: int) -> None:
    """A span of everything holds the keys, not the records."""
    make_foreign(path, lib_version=lib_version, main=LARGE, users={b"a": b"1"})
    with Store(path, adopt=True) as store:
        assert delete_span(store.open("@main"), Span()) == len(LARGE)
        assert walk(store.open("@main")) == []
        assert store.open("users").get("a") == b"1"


def test_main_database_cannot_be_dropped(path: str) -> None:
    """drop would take the buckets along."""
    make_foreign(path, main={b"k": b"v"}, users={b"a": b"1"})
    before = digest(path)
    with Store(path, adopt=True) as store, pytest.raises(InvalidBucketName):
        store.drop("@main")
    assert digest(path) == before


def test_every_bucket_that_is_listed_can_be_opened(path: str) -> None:
    """Names that kvcli would not give are still the names of another program's databases."""
    databases: Databases = {
        "with space": {},
        "-dash": {},
        "tab\t": {},
        "x" * 300: {},
        "a\nb": {},
        "\u202e": {},
    }
    make(path, databases)
    with Store(path, read_only=True) as store:
        names = store.buckets()
        assert names == sorted(databases)
        for name in names:
            assert store.open(name).list_keys().keys == []


@pytest.mark.parametrize("name", ["__kvcliish", "@main"])
def test_database_with_a_name_of_ours_is_listed_only_if_it_can_be_opened(path: str, name: str) -> None:
    """A name that kvcli keeps for itself is left out of the list, or is listed once and opens that database."""
    make(path, {"main": {b"m": b"1"}, name: {b"k": b"v"}})
    with Store(path, read_only=True) as store:
        listed = store.buckets()
        assert listed.count(name) == 1
        for bucket in listed:
            store.open(bucket)


def test_database_whose_name_is_not_utf8(path: str) -> None:
    """Such a name is the text that os.fsdecode makes of it."""
    make(path, {"\udcff": {b"k": b"v"}})
    with Store(path, read_only=True) as store:
        assert store.buckets() == ["\udcff"]
        assert store.open("\udcff").get("k") == b"v"


@pytest.mark.skipif(not shutil.which("mdb_load"), reason="mdb_load (Debian: lmdb-utils) is not installed")
@pytest.mark.parametrize(
    ("flag", "name"), [("dupsort", "dupsort"), ("integerkey", "integerkey"), ("reversekey", "reverse_key")]
)
def test_main_database_of_another_kind_is_refused_unharmed(path: str, flag: str, name: str) -> None:
    """A main database that keeps duplicates or orders keys otherwise is refused, and not touched."""
    os.mkdir(path, 0o700)
    header = f"VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=1048576\n{flag}=1\nHEADER=END\n"
    pairs = "".join(f" {struct.pack('=Q', number).hex()}\n 76\n" for number in (1, 256, 7))
    subprocess.run(["mdb_load", path], input=f"{header}{pairs}DATA=END\n".encode(), check=True)
    before = digest(path)
    with Store(path, adopt=True) as store:
        assert store.buckets() == ["@main"]
        with pytest.raises(UnsupportedBucket, match=name):
            store.open("@main")
        with pytest.raises(UnsupportedBucket, match=name):
            Bucket(store, b"@main").set("k", b"v")
    assert digest(path) == before


def test_bucket_with_branch_pages_is_no_key_of_the_main_database(path: str) -> None:
    """However large it is: LMDB counts its branch pages right behind the depth of its tree."""
    make_foreign(path, main={b"own": b"1"}, large={b"%05d" % number: b"x" * 50 for number in range(5000)})
    with Store(path, read_only=True) as store:
        assert walk(store.open("@main")) == ["own"]
        assert store.buckets() == ["@main", "large"]


def test_many_pairs_at_once_are_looked_at_one_by_one(path: str) -> None:
    """Among thousands, too, no value may stand for a bucket, and then none is written."""
    make_foreign(path, main={b"own": b"1"})
    with Store(path, adopt=True) as store:
        bucket = store.open("@main")
        pairs = [(f"k{number}", b"v") for number in range(5000)]
        with pytest.raises(MalformedData):
            set_many(bucket, [*pairs, ("k", struct.pack("=IHH5Q", 0, 0, 1, 0, 1, 0, 1, 5))])
        assert walk(bucket) == ["own"]
