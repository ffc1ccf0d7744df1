"""Damage: what an empty, cut or overwritten data file is told as, and a short one that is sound."""

from __future__ import annotations

import os
from collections.abc import Callable

import lmdb
import pytest

from kvcli.engine.files import find, read_header
from kvcli.engine.update import Update
from kvcli.store import Store
from tests.conftest import Run, contents


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
    with open(os.path.join(path, "data.mdb"), "r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


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
    "meta page": zero_a_meta_page,
}


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


def missing_bytes(path: str) -> int:
    """Give how many bytes the data file is shorter than it counts."""
    files = find(path)
    assert files is not None
    header = read_header(files)
    return (header.last_page + 1) * header.page_bytes - header.file_bytes


def put_and_delete(update: Update, key: bytes) -> None:
    """Take many pages and give them back in one transaction."""
    update.put(b"default", key, bytes(50_000))
    update.delete(b"default", key)
