"""What is sound, and what is not: every page of a file is looked through before it is written to, and by check and backup."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import pytest

from kvcli.engine.inspection import Inspector, problems
from kvcli.store import Store
from tests.conftest import Run
from tests.crash.mutations import META, PAGE, Pages

FORMATS = pytest.mark.parametrize("lib_version", [0, 1], ids=["0.9", "1.0"])
KINDS: dict[bytes, dict[str, Any]] = {
    b"plain": {},
    b"backwards": {"reverse_key": True},
    b"numbers": {"integerkey": True},
    b"several": {"dupsort": True},
    b"numbered": {"dupsort": True, "dupfixed": True},
}
VALUES = {b"several": (1, 3, 50, 200), b"numbered": (8,)}
BRANCH, LEAF = 1, 2


def made(folder: Path, lib_version: int, seed: int) -> str:
    """Let LMDB put and delete at random in databases of every kind, some of it twice in one transaction."""
    chance, name = Random(seed), os.fspath(folder)
    with lmdb.open(name, max_dbs=8, map_size=1 << 28, sync=False, lib_version=lib_version) as env:
        databases = {kind: env.open_db(kind, **options) for kind, options in KINDS.items()}
        for _ in range(30):
            with env.begin(write=True) as txn:
                for _ in range(chance.choice((1, 10, 300))):
                    step(txn, chance, *chance.choice(list(databases.items())))
    return os.path.join(name, "data.mdb")


def step(txn: lmdb.Transaction[bytes], chance: Random, kind: bytes, database: lmdb._Database) -> None:
    """Put one pair, or delete the next one."""
    key = b"%d" % chance.randrange(300) if chance.random() < 0.5 else chance.randbytes(chance.choice((1, 2, 30, 400)))
    if kind == b"numbers":
        key = chance.randrange(500).to_bytes(8, "little")
    if chance.random() < 0.6:
        txn.put(key, chance.randbytes(chance.choice(VALUES.get(kind, (0, 1, 100, 3000, 9000)))), db=database)
    else:
        cursor = txn.cursor(database)
        if cursor.set_range(key):
            cursor.delete(dupdata=chance.random() < 0.3)


@FORMATS
@pytest.mark.parametrize("seed", range(12))
def test_what_lmdb_made_is_sound(tmp_path: Path, lib_version: int, seed: int) -> None:
    """Nothing is found in what LMDB wrote, whatever it was told to."""
    assert problems(made(tmp_path, lib_version, seed)) == []


def test_shorter_value_of_one_transaction_is_sound(kvcli: Run, path: str) -> None:
    """A long value and then a short one for the same key, in one transaction: check, backup and compact have nothing against it."""
    lines = [f'{{"op":"set","key":"k","value":"{"x" * size}"}}' for size in (9000, 100)]
    assert kvcli("batch", input="\n".join(lines).encode()).returncode == 0
    for words in (["check"], ["backup", f"{path}.mdb"], ["compact"], ["check"], ["restore", f"{path}.mdb", "--yes"]):
        assert kvcli(*words).returncode == 0, words
    assert kvcli("get", "k").stdout == b"x" * 100


def full(path: str, lib_version: int = 0, **options: Any) -> Pages:
    """Make a database of many pages."""
    with lmdb.open(path, max_dbs=2, lib_version=lib_version) as env, env.begin(write=True) as txn:
        database = env.open_db(b"default", txn=txn, **options)
        for number in range(2000):
            txn.put(b"one" if options else b"%04d" % number, b"value %04d" % number, db=database)
    return Pages(os.path.join(path, "data.mdb"))


def first(pages: Pages, flags: int) -> int:
    """Give the first page of a kind that has more than three nodes."""
    for page in range(2, pages.count):
        start = page * PAGE
        keys = pages.number(start + pages.header - 4) - (pages.header - pages.base)
        if pages.flags(page) == flags and keys > 6:
            return page
    raise AssertionError("there is no such page")


def found(path: str, pages: Pages) -> str:
    """Write the pages back, and say what is found in them."""
    data = os.path.join(path, "data.mdb")
    pages.write(data)
    return problems(data)[0]


@FORMATS
@pytest.mark.parametrize(("by", "told"), [(1, "begins before"), (-1, "ends after")])
def test_branch_bounds_what_is_below(path: str, lib_version: int, by: int, told: str) -> None:
    """A key of a branch that is above the first key below it, or not above the last one in front of it, is damage."""
    pages = full(path, lib_version)
    node = pages.nodes(first(pages, BRANCH))[2]
    pages.data[node + 8 : node + 12] = b"%04d" % (int(pages.data[node + 8 : node + 12]) + by)
    assert told in found(path, pages)


@FORMATS
def test_pages_of_large_files_are_bounded_too(path: str, lib_version: int) -> None:
    """The number of a page has 48 bits, in three parts; what its branch says of it is known by the whole of it."""
    pages = full(path, lib_version)
    branch = first(pages, BRANCH)
    nodes = pages.nodes(branch)
    numbers = [0x0001_0002_0003 + index * 0x0001_0001_0001 for index in range(len(nodes))]
    for node, number in zip(nodes, numbers, strict=True):
        pages.put(node, 6, number)
    pages.write(os.path.join(path, "data.mdb"))
    with open(os.path.join(path, "data.mdb"), "rb") as file:
        inspector = Inspector(file)
        inspector.verify()  # type: ignore[no-untyped-call]
    keys = [bytes(pages.data[node + 8 : node + 12]) for node in nodes[1:]]
    assert inspector._bounds == dict(zip(numbers, pairwise([None, *keys, None]), strict=True))


@FORMATS
def test_branch_bounds_fixed_values(path: str, lib_version: int) -> None:
    """So it is for the values of one key, where all have one length."""
    pages = full(path, lib_version, dupsort=True, dupfixed=True)
    node = pages.nodes(first(pages, BRANCH))[2]
    pages.data[node + 8 : node + 18] = b"value %04d" % (int(pages.data[node + 14 : node + 18]) + 1)
    assert "begins before the key of its branch" in found(path, pages)


@FORMATS
@pytest.mark.parametrize(("kind", "field"), [(LEAF, 0), (BRANCH, 6)], ids=["value", "key"])
def test_nodes_lie_side_by_side(path: str, lib_version: int, kind: int, field: int) -> None:
    """One that is shorter than its place is damage: a delete would move what is beside it by too little."""
    pages = full(path, lib_version)
    node = pages.nodes(first(pages, kind))[1] + field
    pages.put(node, 2, pages.number(node) - 2)
    assert "do not lie side by side" in found(path, pages)


@FORMATS
def test_flags_that_there_are_none_of(path: str, lib_version: int) -> None:
    """A bit in the main database's flags that no kind of database has is damage, whatever LMDB makes of it."""
    pages = full(path, lib_version)
    for page in (0, 1):
        at, size = META["main flags"]
        pages.put(page * PAGE + pages.header + at, size, 0x200)
    assert "flags that there are none of" in found(path, pages)


def test_what_a_write_would_tear_is_not_written_to(kvcli: Run, path: str) -> None:
    """Such a file can be read; the first write refuses it and leaves it as it is."""
    pages = full(path)
    node = pages.nodes(first(pages, LEAF))[1]
    pages.put(node, 2, pages.number(node) - 2)
    pages.write(os.path.join(path, "data.mdb"))
    ran = kvcli("delete", "0000", "--adopt")
    assert (ran.returncode, b"do not lie side by side" in ran.stderr) == (74, True)
    assert bytes(Pages(os.path.join(path, "data.mdb")).data) == bytes(pages.data)
    with Store(path, read_only=True) as store:
        assert store.open("default").get("0000") == b"value 0000"


def test_what_has_no_header_is_one_problem(tmp_path: Path) -> None:
    """A file of another kind is a file with one problem, not an error."""
    other = tmp_path / "other"
    other.write_bytes(b"no data file" * 1000)
    assert ["not an LMDB data file" in problem for problem in problems(os.fspath(other))] == [True]


@FORMATS
def test_node_outside_of_its_page_is_told(path: str, lib_version: int) -> None:
    """A node that begins where its page ends is what lmdb's own walk says it is."""
    pages = full(path, lib_version)
    start = first(pages, LEAF) * PAGE + pages.header
    pages.put(start, 2, PAGE - pages.base)
    data = os.path.join(path, "data.mdb")
    pages.write(data)
    assert any("header out of bounds" in problem for problem in problems(data))


@FORMATS
@pytest.mark.parametrize("kind", [BRANCH, LEAF])
def test_more_nodes_than_a_page_can_have_are_told(path: str, lib_version: int, kind: int) -> None:
    """Their number is not believed: there would be nothing to read them from."""
    pages = full(path, lib_version)
    pages.put(first(pages, kind) * PAGE + pages.header - 4, 2, 0xFFFE)
    data = os.path.join(path, "data.mdb")
    pages.write(data)
    assert any("bad mp_lower" in problem for problem in problems(data))
