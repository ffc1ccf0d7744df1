"""All of Unicode's character names, in a store: 150,000 real keys of one to four bytes, and their values."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata

import pytest

from kvcli.batch import get_many, set_many
from kvcli.engine.transaction import Span
from kvcli.store import Store
from tests.conftest import Run


def names() -> dict[str, bytes]:
    """Give every character that has a name, with its name.

    Control characters have no name, and NUL among them cannot be an argument of a process, so they are U+XXXX.
    Surrogates are no characters of UTF-8: they are U+XXXX too. What is unassigned or private has no name and no key.
    """
    named = {}
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if name := unicodedata.name(char, ""):
            named[char] = name.encode()
        elif unicodedata.category(char) == "Cc":
            named[f"U+{code:04X}"] = b"<control>"
        elif unicodedata.category(char) == "Cs":
            named[f"U+{code:04X}"] = b"<surrogate>"
    return named


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, bytes]]:
    """A store that holds them all."""
    path = os.path.join(tmp_path_factory.mktemp("unicode"), "store")
    named = names()
    assert len(named) > 130_000
    with Store(path) as store:
        set_many(store.open("default"), list(named.items()))
    return path, named


def test_library_gives_all_back(filled: tuple[str, dict[str, bytes]]) -> None:
    """Every value read by key is the one that was set."""
    path, named = filled
    with Store(path, read_only=True) as store:
        assert get_many(store.open("default"), list(named)) == list(named.items())


def test_library_lists_in_byte_order(filled: tuple[str, dict[str, bytes]]) -> None:
    """Page by page, every key comes once, in the order of its bytes."""
    path, named = filled
    with Store(path, read_only=True) as store:
        bucket = store.open("default")
        page = bucket.list_keys()
        keys = page.keys
        while page.cursor is not None:
            page = bucket.list_keys(page.cursor)
            keys += page.keys
    assert keys == sorted(named, key=str.encode)


def test_prefixes_part_the_keys(filled: tuple[str, dict[str, bytes]]) -> None:
    """The spans of all first bytes, one after the other, hold every key once."""
    path, named = filled
    with Store(path, read_only=True) as store:
        bucket = store.open("default")
        spans = [Span(bytes([byte]), bytes([byte + 1])) for byte in range(255)]
        keys = [key for span in spans for page in bucket.pages(span) for key in page]
    assert keys == sorted(key.encode() for key in named)


def test_command_lists_all(filled: tuple[str, dict[str, bytes]], kvcli: Run) -> None:
    """The command streams the same keys and values; NUL ends them, since some keys are separators themselves."""
    path, named = filled
    expected = [part for key in sorted(named, key=str.encode) for part in (key.encode(), named[key])]
    assert kvcli("list", "--values", "-0", "-s", path).stdout.split(b"\0")[:-1] == expected


def test_command_pages_by_cursor(filled: tuple[str, dict[str, bytes]], kvcli: Run) -> None:
    """Pages of the command, cursor by cursor, make up the whole of a range."""
    path, named = filled
    keys: list[bytes] = []
    cursor: tuple[str, ...] = ()
    while True:
        page = kvcli("list", "--start", "あ", "--end", "ん", "--limit", "20", "-s", path, *cursor)
        keys += page.stdout.split()
        if not page.stderr:
            break
        cursor = ("--cursor", page.stderr.decode().strip())
    assert keys == sorted(key.encode() for key in named if "あ" <= key < "ん")


def test_command_round_trip(filled: tuple[str, dict[str, bytes]], kvcli: Run) -> None:
    """A sample, written and read by the commands, comes back equal."""
    _, named = filled
    sample = list(dict.fromkeys([*list(named)[::701], *list(named)[:128:7], "-", "@", "'", " "]))
    assert len(sample) > 200
    for key in sample:
        dashes = ("--",) if key.startswith("-") else ()
        assert kvcli("set", *dashes, key, named[key]).returncode == 0
        assert kvcli("get", *dashes, key).stdout == named[key]


def test_command_reads_what_the_library_wrote(filled: tuple[str, dict[str, bytes]], kvcli: Run) -> None:
    """A sample of the store, read by the commands get and exists, is what the library set."""
    path, named = filled
    for key in list(named)[::2003]:
        assert kvcli("get", key, "-s", path).stdout == named[key]
        assert kvcli("exists", key, "-s", path).returncode == 0


@pytest.mark.parametrize("prefix", ["U+", "é", "中", "\U0001f600", "\U000e01ef", "-", "\u0301", "\u202e", "\uffff"])
def test_command_lists_a_prefix(filled: tuple[str, dict[str, bytes]], kvcli: Run, prefix: str) -> None:
    """The command lists the keys that start with a prefix, and no others."""
    path, named = filled
    listed = kvcli("list", "-0", f"--prefix={prefix}", "-s", path).stdout.split(b"\0")[:-1]
    assert listed == sorted(key.encode() for key in named if key.startswith(prefix))


@pytest.mark.skipif(not shutil.which("mdb_dump"), reason="mdb_dump (Debian: lmdb-utils) is not installed")
def test_mdb_dump_shows_the_same_pairs(filled: tuple[str, dict[str, bytes]]) -> None:
    """LMDB's own tool reads the same raw keys and values."""
    path, named = filled
    dumped = subprocess.run(["mdb_dump", "-s", "default", path], stdout=subprocess.PIPE, check=True).stdout
    lines = dumped.partition(b"HEADER=END\n")[2].partition(b"DATA=END")[0].split()
    raw = [bytes.fromhex(line.decode()) for line in lines]
    assert dict(zip(raw[::2], raw[1::2], strict=True)) == {key.encode(): value for key, value in named.items()}
