"""Environments that another program made: listed and read as they are, written on request, never damaged."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys

import lmdb
import pytest

from kvcli.atomics import Cas, increment, swap
from kvcli.batch import set_many
from kvcli.errors import AccessDenied, CasFailed, NoSuchBucket, UnsupportedBucket
from kvcli.store import Store
from tests.conftest import Run, make_foreign
from tests.processes import ROOT, WRITE_RAW, run

FORMATS = pytest.mark.parametrize("lib_version", [0, 1], ids=["0.9", "1.0"])
USERS = {b"a": b"1", b"\xff\xfe": b"\0"}


def digest(path: str) -> str:
    """Digest the data file."""
    with open(os.path.join(path, "data.mdb") if os.path.isdir(path) else path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@FORMATS
def test_named_databases_are_read_and_left_alone(path: str, lib_version: int) -> None:
    """Named sub-databases are buckets; reading them changes no byte of the file."""
    make_foreign(path, lib_version=lib_version, users=USERS, empty={})
    before = digest(path)
    with Store(path, read_only=True) as store:
        users = store.open("users")
        assert store.buckets() == ["empty", "users"]
        assert users.list_keys().keys == ["a", "\udcff\udcfe"]
        assert users.get("\udcff\udcfe") == b"\0"
    assert digest(path) == before


@FORMATS
def test_main_database_is_a_bucket(path: str, lib_version: int) -> None:
    """Keys in the main database are those of @main; the records of named databases are not among them."""
    make_foreign(path, lib_version=lib_version, main={b"k": b"v", b"48": b"x" * 48, b"zeros": bytes(48)}, users=USERS)
    with Store(path, read_only=True) as store:
        main = store.open("@main")
        assert store.buckets() == ["@main", "users"]
        assert main.list_keys().keys == ["48", "k", "zeros"]
        assert (main.get("k"), main.get("users"), main.exists("users")) == (b"v", None, False)


@FORMATS
def test_key_that_stands_for_a_bucket_is_safe(path: str, lib_version: int) -> None:
    """A bucket cannot be overwritten or deleted as a key of the main database."""
    make_foreign(path, lib_version=lib_version, main={b"k": b"v"}, users=USERS)
    with Store(path, adopt=True) as store:
        main = store.open("@main")
        if lib_version == 0:
            with pytest.raises(AccessDenied, match="stands for a bucket"):
                main.set("users", b"x")
        main.delete("users")
        assert store.open("users").get("a") == b"1"


def test_single_file_environment(tmp_path: os.PathLike[str], kvcli: Run) -> None:
    """A file that is an environment is a store too."""
    path = os.path.join(tmp_path, "single.mdb")
    make_foreign(path, subdir=False, main={b"k": b"v"})
    before = digest(path)
    assert kvcli("get", "k", "-s", path, "-b", "@main").stdout == b"v"
    assert digest(path) == before
    assert kvcli("set", "k", "w", "-s", path, "-b", "@main", "--adopt").returncode == 0
    assert kvcli("list", "--values", "-s", path, "-b", "@main").stdout == b"k\tw\n"


@FORMATS
def test_writing_is_asked_for(path: str, lib_version: int) -> None:
    """Without adopt nothing is written; with it the other program sees the value, and one more database."""
    make_foreign(path, lib_version=lib_version, users=USERS)
    before = digest(path)
    with Store(path) as store, pytest.raises(AccessDenied, match="--adopt"):
        store.open("users").set("b", b"2")
    assert digest(path) == before
    with Store(path, adopt=True) as store:
        store.open("users").set("b", b"2")
    with Store(path) as store:
        store.open("users").set("c", b"3")
    with lmdb.open(path, max_dbs=4) as env, env.begin() as txn:
        users = env.open_db(b"users", txn=txn, create=False)
        assert list(txn.cursor(db=users)) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"\xff\xfe", b"\0")]
        assert txn.stat()["entries"] == 2


@FORMATS
def test_bucket_default_is_not_invented(path: str, lib_version: int) -> None:
    """A foreign environment without `default` says which buckets it has."""
    make_foreign(path, lib_version=lib_version, users=USERS)
    with Store(path, read_only=True) as store, pytest.raises(NoSuchBucket, match="users"):
        store.open("default")


@pytest.mark.parametrize("flag", ["dupsort", "integerkey", "reverse_key"])
def test_other_kinds_of_databases_are_refused_unharmed(path: str, kvcli: Run, flag: str) -> None:
    """A database that keeps duplicates or orders keys otherwise is refused with a message, and not touched."""
    env = lmdb.open(path, max_dbs=4, mode=0o700)
    with env, env.begin(write=True) as txn:
        txn.put(b"\5\0\0\0", b"x", db=env.open_db(b"odd", txn=txn, **{flag: True}))
        txn.put(b"k", b"v", db=env.open_db(b"plain", txn=txn))
    before = digest(path)
    for words in (["get", "k"], ["list"], ["set", "k", "v", "--adopt"], ["incr", "k", "--adopt"]):
        refused = kvcli(*words, "-b", "odd")
        assert refused.returncode == 77
        assert b"'odd' is " + flag.encode() in refused.stderr
    assert digest(path) == before
    assert kvcli("bucket", "stat").stdout.splitlines()[0] == b"odd\t-\t-\t-"
    assert kvcli("get", "k", "-b", "plain").stdout == b"v"


def test_unsupported_bucket_is_access_denied() -> None:
    """To the WIT such a bucket is access-denied."""
    assert issubclass(UnsupportedBucket, AccessDenied)


@pytest.mark.parametrize("words", [("k=other", "k=1"), ("k", "k=1"), ("unrelated=1",)])
def test_swap_loses_to_writes_of_other_programs(path: str, words: tuple[str, ...]) -> None:
    """A program that knows nothing of revisions, and puts the value back, still makes the swap lose."""
    with Store(path) as store:
        bucket = store.open("default")
        bucket.set("k", b"1")
        cas = Cas.new(bucket, "k")
        run(WRITE_RAW, path, *words)
        with pytest.raises(CasFailed) as lost:
            swap(cas, b"mine")
        swap(lost.value.cas, b"mine")
        assert bucket.get("k") == b"mine"


@pytest.mark.skipif(not shutil.which("mdb_copy"), reason="mdb_copy (Debian: lmdb-utils) is not installed")
def test_compacted_copy_is_another_store(path: str, tmp_path: os.PathLike[str]) -> None:
    """mdb_copy -c counts transactions anew: tokens of the first store lose there, and swaps do not lose for ever."""
    with Store(path) as store:
        bucket = store.open("default")
        for _ in range(20):
            increment(bucket, "k", 1)
        token = Cas.new(bucket, "k").token()
    copy = os.path.join(tmp_path, "copy")
    os.mkdir(copy, 0o700)
    subprocess.run(["mdb_copy", "-c", path, copy], check=True)
    with Store(copy) as store:
        bucket = store.open("default")
        with pytest.raises(CasFailed) as lost:
            swap(Cas.from_token(bucket, "k", token), b"mine")
        swap(lost.value.cas, b"21")
        swap(Cas.new(bucket, "k"), b"22")
        with pytest.raises(CasFailed):
            swap(Cas.from_token(bucket, "k", token), b"mine")


def test_foreign_map_grows_with_what_is_written(path: str) -> None:
    """A small map, as py-lmdb makes by default, grows when it is full."""
    make_foreign(path)
    with Store(path, adopt=True) as store:
        bucket = store.open("default")
        for number in range(40):
            bucket.set(f"{number}", bytes(1_000_000))
        assert int(store.stat()["map_bytes"]) > 1 << 25
        assert len(bucket.list_keys().keys) == 40


def odd(path: str) -> None:
    """Damage a page that the next write does not touch, in a way that LMDB does not see at once."""
    with open(os.path.join(path, "data.mdb"), "r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))


def copied(path: str, to: str) -> str:
    """Copy a store as `cp -a` does."""
    shutil.copytree(path, to, copy_function=shutil.copy2)
    return to


@pytest.mark.parametrize("kind", ["another program's", "a copy"])
def test_damage_is_found_before_the_first_write(path: str, tmp_path: os.PathLike[str], kvcli: Run, kind: str) -> None:
    """What kvcli did not make here is looked through before it is written to; where that finds damage nothing is written."""
    made = os.path.join(tmp_path, "made")
    if kind == "a copy":
        with Store(made) as store:
            set_many(store.open("default"), [(f"k{number}", bytes(500)) for number in range(200)])
    else:
        make_foreign(made, default={b"k%d" % number: bytes(500) for number in range(200)})
    copied(made, path)
    odd(path)
    before = digest(path)
    ran = kvcli("set", "k", "x", "--adopt")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (74, 1)
    assert digest(path) == before
    assert kvcli("check").returncode == 74


def test_what_was_looked_through_once_is_not_again(path: str, tmp_path: os.PathLike[str]) -> None:
    """A store made here is never verified for a write, a copy of it before its first one; so it is after compact."""
    with Store(os.path.join(tmp_path, "made")) as store:
        store.open("default").set("k", b"1")
    copy = copied(os.path.join(tmp_path, "made"), path)
    assert [loads_verifier(os.path.join(tmp_path, "made")), loads_verifier(copy), loads_verifier(copy)] == [
        False,
        True,
        False,
    ]
    subprocess.run(
        [sys.executable, "-m", "kvcli", "compact", "-s", copy], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    assert not loads_verifier(copy)


def loads_verifier(path: str) -> bool:
    """Write in a process of its own, and tell whether it looked through the file."""
    program = "import sys, kvcli; kvcli.Store(sys.argv[1]).open('default').set('k', b'2'); print('lmdb.verify' in sys.modules)"
    return run(program, path) == b"True\n"


def test_file_system_without_notes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file can have no attribute, a store of kvcli's is believed, and another program's is looked through."""

    def refuse(*_: object) -> bytes:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "getxattr", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    looked: list[str] = []
    monkeypatch.setattr("kvcli.engine.provenance.verify", looked.append)
    with Store(path) as store:
        store.open("default").set("k", b"1")
    assert looked == []
    make_foreign(path + "2")
    with Store(path + "2", adopt=True) as store:
        store.open("default").set("k", b"1")
    assert looked == [os.path.join(path + "2", "data.mdb")]
