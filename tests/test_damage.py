"""Damage: what an empty, cut or overwritten file is told as, and odd ones that are sound."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import lmdb
import pytest

from kvcli.batch import set_many
from kvcli.engine.files import Header, find, read_header
from kvcli.engine.update import Update
from kvcli.store import Store
from tests.conftest import Run, contents, make_foreign


def cut(size: int) -> Callable[[str], None]:
    """Make a damage that cuts the data file; a negative size is cut from the end."""

    def damage(path: str) -> None:
        data = os.path.join(path, "data.mdb")
        os.truncate(data, size if size >= 0 else os.path.getsize(data) + size)

    return damage


def overwrite(content: bytes) -> Callable[[str], None]:
    """Make a damage that replaces the data file's bytes."""

    def damage(path: str) -> None:
        with open(os.path.join(path, "data.mdb"), "wb") as file:
            file.write(content)

    return damage


def zero_a_meta_page(path: str) -> None:
    """Lose the second meta page."""
    patch(path, 4096, bytes(4096))


def swap_meta_pages(path: str) -> None:
    """Exchange the two meta pages; LMDB then takes the older one for the newest."""
    with open(os.path.join(path, "data.mdb"), "rb") as file:
        first, second = file.read(4096), file.read(4096)
    patch(path, 0, second + first)


def patch(path: str, offset: int, content: bytes) -> None:
    """Overwrite a part of the data file."""
    with open(os.path.join(path, "data.mdb"), "r+b") as file:
        file.seek(offset)
        file.write(content)


DAMAGES = {
    "empty": cut(0),
    "one byte": cut(1),
    "one page": cut(4096),
    "two pages": cut(8192),
    "half": cut(20 * 4096),
    "last page": cut(-4096),
    "last byte": cut(-1),
    "text": overwrite(b"hello\n" * 5000),
    "zeros": overwrite(bytes(40960)),
    "sqlite": overwrite(b"SQLite format 3\0" + bytes(8176)),
    "random": overwrite(random.Random(1).randbytes(40960)),
    "meta page": zero_a_meta_page,
    "meta pages swapped": swap_meta_pages,
}
LOCK_FILES = {"empty": b"", "one byte": b"\0", "ones": b"\xff" * 8192, "random": random.Random(2).randbytes(8192)}


@pytest.fixture(params=[0, 1], ids=["0.9", "1.0"])
def foreign(request: pytest.FixtureRequest, path: str) -> str:
    """An environment of each format that another program made, one commit for each of its keys."""
    os.makedirs(path, mode=0o700)
    env = lmdb.open(path, map_size=1 << 24, max_dbs=4, lib_version=request.param, mode=0o700)
    with env:
        for number in range(50):
            with env.begin(write=True) as txn:
                txn.put(b"k%d" % number, bytes(3000), db=env.open_db(b"default", txn=txn))
    return path


@pytest.mark.parametrize("words", [("get", "k1"), ("set", "k1", "x"), ("list",)], ids=" ".join)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_store_is_told(filled: str, kvcli: Run, damage: str, words: tuple[str, ...]) -> None:
    """An empty, cut or overwritten data file is exit 74 with one line, never a signal, and stays as it is."""
    DAMAGES[damage](filled)
    before = contents(filled)
    ran = kvcli(*words)
    assert ran.returncode == 74, ran.stderr
    assert ran.stderr.count(b"\n") == 1
    assert contents(filled) == before


@pytest.mark.parametrize("words", [("get", "k1"), ("set", "k1", "x", "--adopt")], ids=" ".join)
@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in {"text", "zeros", "sqlite", "random"}])
def test_damaged_foreign_store_is_told(foreign: str, kvcli: Run, damage: str, words: tuple[str, ...]) -> None:
    """Damage to a file of another program, in either format, is exit 74 as well, and the file stays as it is."""
    DAMAGES[damage](foreign)
    before = contents(foreign)
    assert kvcli(*words).returncode == 74
    assert contents(foreign) == before


def test_absurd_map_size_does_no_harm(foreign: str, kvcli: Run) -> None:
    """A map size in the file that no machine has is not believed: the store is read and written all the same."""
    start = 16 if read_header_of(foreign).format == "0.9" else 24
    for meta in (0, 4096):
        patch(foreign, meta + start + 16, (1 << 60).to_bytes(8, "little"))
    assert kvcli("get", "k49").stdout == bytes(3000)
    assert kvcli("set", "k49", "x", "--adopt").returncode == 0
    assert kvcli("get", "k49").stdout == b"x"


@pytest.mark.parametrize("content", LOCK_FILES)
def test_garbage_in_the_lock_file_does_no_harm(filled: str, kvcli: Run, content: str) -> None:
    """A lock file that nobody holds says nothing that is believed."""
    with open(os.path.join(filled, "lock.mdb"), "wb") as file:
        file.write(LOCK_FILES[content])
    assert kvcli("get", "k1").stdout == bytes(3000)
    assert kvcli("set", "k1", "x").returncode == 0
    assert kvcli("get", "k1").stdout == b"x"


def test_very_large_sparse_file_is_not_read_through(filled: str, kvcli: Run) -> None:
    """A data file that was made 100 GiB long by a hole is opened without walking it."""
    os.truncate(os.path.join(filled, "data.mdb"), 100 << 30)
    assert kvcli("get", "k1", timeout=20).stdout == bytes(3000)
    assert kvcli("set", "k1", "x", timeout=20).returncode == 0


@pytest.mark.parametrize("size", [0, 8192])
def test_file_cut_while_it_is_open_is_told_to_the_next(filled: str, kvcli: Run, size: int) -> None:
    """What another program cut from under an open store, the next command tells, and does not write to."""
    with Store(filled) as store:
        assert store.open("default").exists("k1")
        os.truncate(os.path.join(filled, "data.mdb"), size)
        before = contents(filled)
        assert kvcli("get", "k1").returncode == 74
        assert kvcli("set", "k1", "x").returncode == 74
        assert contents(filled) == before


@pytest.mark.parametrize("words", [("get", "k1"), ("set", "k1", "x")], ids=" ".join)
@pytest.mark.parametrize("flags", [0, 1, 255])
def test_page_of_no_kind_kills_nobody(path: str, kvcli: Run, flags: int, words: tuple[str, ...]) -> None:
    """Whichever page lost the flags that say what it is, no command dies by a signal."""
    with Store(path) as store:
        set_many(store.open("default"), [(f"k{number}", bytes(500)) for number in range(20)])
    with open(os.path.join(path, "data.mdb"), "rb") as file:
        sound = file.read()
    codes = {}
    for page in range(2, len(sound) // 4096):
        patch(path, 0, sound)
        patch(path, page * 4096 + 10, flags.to_bytes(2, "little"))
        codes[page] = kvcli(*words).returncode
    assert not {page: code for page, code in codes.items() if code not in {0, 74}}


def test_file_that_ends_early_but_soundly_is_read(path: str, kvcli: Run) -> None:
    """LMDB leaves a file shorter than it counts where a transaction took and gave back its last pages; that is sound."""
    make_short(path)
    assert kvcli("get", "k", "-b", "@main").stdout == b"v"
    assert kvcli("set", "-b", "@main", "--adopt", "k2", "v2").returncode == 0
    assert not missing_bytes(path)


def test_our_own_files_never_end_early(path: str) -> None:
    """After a commit of kvcli the file is as long as it counts, so that no later open needs to walk all of it."""
    with Store(path) as store:
        for number in range(30):
            store.write(lambda update: put_and_delete(update, b"%d" % number))  # noqa: B023 - it runs at once
            assert missing_bytes(path) <= 0


def make_short(path: str) -> None:
    """Make an environment whose file is shorter than the pages it counts."""
    os.makedirs(path, mode=0o700)
    with lmdb.open(path, mode=0o700, max_dbs=4) as env:
        for number in range(100):
            with env.begin(write=True) as txn:
                txn.put(b"k", b"v")
                txn.put(b"big%d" % number, bytes(200_000))
                txn.delete(b"big%d" % number)
            if missing_bytes(path) > 0:
                return
    pytest.fail("LMDB made no short file")


def read_header_of(path: str) -> Header:
    """Read what the newest meta page of a store says."""
    files = find(path)
    assert files is not None
    return read_header(files)


def missing_bytes(path: str) -> int:
    """Give how many bytes the data file is shorter than it counts."""
    header = read_header_of(path)
    return (header.last_page + 1) * header.page_bytes - header.file_bytes


def put_and_delete(update: Update, key: bytes) -> None:
    """Take many pages and give them back in one transaction."""
    update.put(b"default", key, bytes(50_000))
    update.delete(b"default", key)


@pytest.mark.parametrize("words", [("list", "--values"), ("list",), ("list", "--reverse"), ("export",)], ids=" ".join)
def test_keys_that_lead_back_are_told(path: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """Keys in no order end in exit 74: the next page must not be sought for ever."""
    with Store(path) as store:
        set_many(store.open("default"), [(f"k{number}", b"marked") for number in range(9)])
    with open(os.path.join(path, "data.mdb"), "rb") as file:
        sound = file.read()
    forwards = "--reverse" not in words
    old, new = (b"k6marked", b"z6marked") if forwards else (b"k4marked", b"a4marked")
    patch(path, 0, sound.replace(old, new))
    ran = kvcli(*words, timeout=20)
    assert (ran.returncode, ran.stderr.count(b"\n")) == (74, 1)


@pytest.mark.parametrize("format_of", [0, 1], ids=["0.9", "1.0"])
def test_highest_revision_is_not_followed(path: str, kvcli: Run, format_of: int) -> None:
    """A file that claims the highest revision of all is read, and a write to it is exit 74."""
    make_foreign(path, lib_version=format_of, default={b"k": b"v"})
    begin = 16 if format_of == 0 else 24
    patch(path, 4096 + begin + 24 + 96 + 8, b"\xff" * 8)
    assert kvcli("set", "k", "x", "--adopt").returncode == 74


def test_list_of_free_pages_of_another_kind_is_told(foreign: str, kvcli: Run) -> None:
    """LMDB's verifier does not look at its flags, and LMDB aborts at the first write where they are wrong."""
    start = 16 if read_header_of(foreign).format == "0.9" else 24
    for meta in (0, 4096):
        patch(foreign, meta + start + 28, (4).to_bytes(2, "little"))
    before = contents(foreign)
    assert [kvcli("set", "k1", "x", "--adopt").returncode, kvcli("get", "k1").returncode] == [74, 74]
    assert contents(foreign) == before
