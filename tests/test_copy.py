"""kvcli copy: from any store into any other, from and to Spin's file, as often as one likes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from shutil import which
from tempfile import TemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcli.batch import set_many
from kvcli.commands.context import Context
from kvcli.commands.copy import run as copy
from kvcli.engine.transaction import Span
from kvcli.store import Store, as_text
from tests.conftest import Run, make_foreign
from tests.processes import MEASURE, ROOT, hold_lock, release
from tests.spin import made, put, rows, table

pytestmark = pytest.mark.usefixtures("here")
MANY = 120_000  # Three transactions.
MEMORY_KIB_MAX = 128 << 10


@pytest.fixture
def here(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a folder of its own for stores with short names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ROOT)
    return str(tmp_path)


def fill(store: str, **buckets: dict[str, bytes]) -> None:
    """Make a store that holds these buckets."""
    with Store(store) as opened:
        for name, pairs in buckets.items():
            opened.create(name)
            for key, value in pairs.items():
                opened.open(name).set(key, value)


def held(store: str) -> dict[str, dict[str, bytes]]:
    """Give all that a store holds, by bucket."""
    with Store(store, read_only=True) as opened:
        pages = {name: list(opened.open(name).item_pages(Span())) for name in opened.buckets()}
    return {name: {as_text(key): value for page in pages[name] for key, value in page} for name in pages}


# Stores


def test_copy_makes_store_and_buckets(kvcli: Run) -> None:
    """All buckets are copied, into a store and buckets that are made."""
    fill("a", default={"k": b"1"}, users={"ann": b"2", "bob": b"\xff\0"})
    ran = kvcli("copy", "a", "b")
    assert (ran.returncode, ran.stdout) == (0, b"default\t1\t0\t0\t0\nusers\t2\t0\t0\t0\n")
    assert held("b") == held("a")


def test_second_copy_writes_nothing(kvcli: Run) -> None:
    """What DST has already is not written again: the store is at the same revision, and tokens of it still win."""
    fill("a", default={"k": b"1", "l": b"2"})
    kvcli("copy", "a", "b")
    before = kvcli("stat", "-s", "b").stdout
    assert kvcli("copy", "a", "b", "--json").stdout == (
        b'{"bucket":"default","copied":0,"same":2,"kept":0,"refused":0}\n'
    )
    assert kvcli("stat", "-s", "b").stdout == before


def test_copy_overwrites_and_removes_nothing(kvcli: Run) -> None:
    """A key that is there gets the value of SRC; what only DST has stays."""
    fill("a", default={"both": b"new"})
    fill("b", default={"both": b"old", "mine": b"1"}, other={"x": b""})
    assert kvcli("copy", "a", "b").stdout == b"default\t1\t0\t0\t0\n"
    assert held("b") == {"default": {"both": b"new", "mine": b"1"}, "other": {"x": b""}}


@pytest.mark.parametrize("target", ["b", "spin:b.db"])
def test_if_absent_keeps_what_is_there(kvcli: Run, target: str) -> None:
    """With --if-absent, a key that is there keeps its value, and is counted."""
    fill("before", default={"both": b"old", "same": b"="})
    fill("a", default={"both": b"new", "same": b"=", "more": b"1"})
    kvcli("copy", "before", target)
    assert kvcli("copy", "a", target, "--if-absent").stdout == b"default\t1\t1\t1\t0\n"
    kvcli("copy", target, "c")
    assert held("c") == {"default": {"both": b"old", "same": b"=", "more": b"1"}}


def test_values_larger_than_a_page_are_seen_to_be_the_same(kvcli: Run) -> None:
    """Values of megabytes come over whole, and are not written twice either."""
    fill("a", default={f"k{number}": bytes([number]) * 3_000_000 for number in range(4)})
    kvcli("copy", "a", "b")
    assert held("b") == held("a")
    assert kvcli("copy", "a", "b").stdout == b"default\t0\t4\t0\t0\n"


def test_one_bucket_into_another(kvcli: Run) -> None:
    """--bucket chooses a bucket, and may give it another name; in front of the command too."""
    fill("a", default={"k": b"1"}, users={"ann": b"2"})
    assert kvcli("copy", "a", "b", "--bucket", "users=people", "-b", "default=rest").returncode == 0
    assert kvcli("--bucket", "users", "copy", "a", "b").returncode == 0
    assert held("b") == {"default": {}, "people": {"ann": b"2"}, "rest": {"k": b"1"}, "users": {"ann": b"2"}}


def test_bucket_into_two_and_two_into_one(kvcli: Run) -> None:
    """A bucket that is said twice goes to both places; of two that go to one place, the last wins."""
    fill("a", default={"k": b"1"}, users={"k": b"2", "l": b"3"})
    ran = kvcli("copy", "a", "b", "-b", "default=x", "-b", "default=y", "-b", "users=x")
    assert ran.stdout == b"default\t1\t0\t0\t0\ndefault\t1\t0\t0\t0\nusers\t2\t0\t0\t0\n"
    assert held("b") == {"default": {}, "x": {"k": b"2", "l": b"3"}, "y": {"k": b"1"}}


def test_variable_for_the_bucket_does_not_count(kvcli: Run) -> None:
    """KVCLI_BUCKET is where get and set work; a copy is of all buckets."""
    fill("a", default={"k": b"1"}, users={"ann": b"2"})
    assert kvcli("copy", "a", "b", env={"KVCLI_BUCKET": "users"}).returncode == 0
    assert held("b") == held("a")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/"), ("./a", "a"), ("a", "a/data.mdb"), ("foreign", "foreign")])
def test_store_into_itself_is_refused(kvcli: Run, names: tuple[str, str]) -> None:
    """SRC and DST are not one store, by whatever names."""
    fill("a", default={"k": b"1"})
    make_foreign("foreign", default={b"k": b"1"})
    ran = kvcli("copy", *names)
    assert (ran.returncode, b"are the same store" in ran.stderr) == (2, True)


@pytest.mark.parametrize("words", [("nothing", "b"), ("spin:nothing.db", "b"), ("a", "b", "--bucket", "user")])
def test_nothing_is_made_where_nothing_can_be_copied(kvcli: Run, words: tuple[str, ...]) -> None:
    """Where SRC, or a bucket of it, is not there, it is exit code 66, and neither is DST then."""
    fill("a", default={}, users={})
    assert kvcli("copy", *words).returncode == 66
    assert sorted(os.listdir()) == ["a"]


@pytest.mark.parametrize("target", ["b", "spin:b.db"])
def test_read_only_makes_nothing(kvcli: Run, target: str) -> None:
    """--read-only is exit code 77, and nothing is made."""
    fill("a", default={"k": b"1"})
    assert kvcli("copy", "a", target, "--read-only").returncode == 77
    assert sorted(os.listdir()) == ["a"]


def test_store_said_by_option_is_refused(kvcli: Run) -> None:
    """--store and --profile in front of copy mean nothing, and so are no part of it."""
    ran = kvcli("--store", "a", "copy", "a", "b")
    assert (ran.returncode, ran.stderr) == (
        2,
        b"kvcli: SRC and DST name the stores: leave --store and --profile out\n",
    )


def test_bucket_that_cannot_be_made_is_told_before_anything_is_written(kvcli: Run) -> None:
    """The main database of another program's environment needs a name that a bucket can have."""
    make_foreign("foreign", main={b"k": b"1"}, named={b"l": b"2"})
    ran = kvcli("copy", "foreign", "b")
    assert (ran.returncode, held("b")) == (2, {"default": {}})
    assert kvcli("copy", "foreign", "b", "-b", "@main=own", "-b", "named").returncode == 0
    assert held("b") == {"default": {}, "named": {"l": b"2"}, "own": {"k": b"1"}}


def test_store_of_spin_that_no_bucket_can_be_called_is_told(kvcli: Run) -> None:
    """It is named, with the way to copy it all the same."""
    made("spin.db", ("", "a", b"1"))
    ran = kvcli("copy", "spin:spin.db", "new")
    assert (ran.returncode, b"not '': --bucket SRC=DST" in ran.stderr) == (2, True)
    assert kvcli("copy", "spin:spin.db", "new", "--bucket", "=b").returncode == 0
    assert held("new")["b"] == {"a": b"1"}


def test_environment_of_another_program_takes_adopt(kvcli: Run) -> None:
    """What another program made is written to with --adopt alone."""
    fill("a", default={"k": b"1"})
    make_foreign("foreign", default={})
    assert kvcli("copy", "a", "foreign").returncode == 77
    assert kvcli("copy", "a", "foreign", "--adopt").returncode == 0
    assert held("foreign") == held("a")


def test_busy_store_is_waited_for_no_longer_than_said(kvcli: Run, here: str) -> None:
    """A writer that holds the lock of DST makes it exit code 75."""
    fill("a", default={"k": b"1"})
    fill("b", default={})
    child = hold_lock(os.path.join(here, "b"))
    assert kvcli("copy", "a", "b", "--lock-timeout", "0.1").returncode == 75
    release(child)


# What DST cannot take


def test_long_and_empty_keys_are_told_of(kvcli: Run) -> None:
    """Keys that a store cannot have are counted and told of, exit code 65; everything else is there."""
    made("s.db", ("default", "", b"1"), ("default", "k" * 600, b"2"), ("default", "ok", b"3"), ("b", "x", b"4"))
    ran = kvcli("copy", "spin:s.db", "b", "--json")
    assert ran.returncode == 65
    assert b'{"bucket":"default","copied":1,"same":0,"kept":0,"refused":2}' in ran.stdout
    assert b"2 not copied, which DST cannot take; the first is '' in bucket 'default': the key is empty" in ran.stderr
    assert held("b") == {"b": {"x": b"4"}, "default": {"ok": b"3"}}


def test_key_that_is_no_text_is_told_of(kvcli: Run) -> None:
    """Spin's keys are text: bytes that are none are refused, and not changed."""
    make_foreign("foreign", default={b"\xff": b"1", b"k": b"2"})
    ran = kvcli("copy", "foreign", "spin:s.db")
    assert (ran.returncode, ran.stdout) == (65, b"default\t1\t0\t0\t1\n")
    assert rows("s.db") == {("default", "k", b"2")}


# Counters


def test_named_counters_are_converted_both_ways(kvcli: Run) -> None:
    """What Spin keeps in eight bytes is what incr goes on from, and back, to the ends of 64 bits."""
    numbers = {"a": 0, "b": -1, "c:max": (1 << 63) - 1, "c:min": -(1 << 63)}
    made("s.db", *[("default", key, n.to_bytes(8, "little", signed=True)) for key, n in numbers.items()])
    words = ("--counter", "a", "--counter", "b", "--counter-prefix", "c:")
    assert kvcli("copy", "spin:s.db", "b", *words).returncode == 0
    assert held("b") == {"default": {key: str(n).encode() for key, n in numbers.items()}}
    assert kvcli("copy", "b", "spin:t.db", *words).returncode == 0
    assert rows("t.db") == rows("s.db")


def test_other_values_of_eight_bytes_stay(kvcli: Run) -> None:
    """Eight bytes may be anything: without a word they are copied as they are."""
    fill("a", default={"k": b"12345678", "n": b"7"})
    kvcli("copy", "a", "spin:s.db")
    assert rows("s.db") == {("default", "k", b"12345678"), ("default", "n", b"7")}


@pytest.mark.parametrize(("source", "target"), [("a", "spin:t.db"), ("spin:s.db", "b")])
def test_what_is_no_counter_is_told_of(kvcli: Run, source: str, target: str) -> None:
    """A key that was named and holds no counter is left out and told of; Spin would not survive it."""
    fill("a", default={"n": b"seven"})
    kvcli("copy", "a", "spin:s.db")
    ran = kvcli("copy", source, target, "--counter", "n")
    assert (ran.returncode, ran.stdout) == (65, b"default\t0\t0\t0\t1\n")


def test_counters_between_stores_that_keep_them_alike_are_refused(kvcli: Run) -> None:
    """Between two stores, or two files of Spin's, there is nothing to convert."""
    fill("a", default={"n": b"1"})
    assert kvcli("copy", "a", "b", "--counter", "n").returncode == 2


# Interrupted


@pytest.mark.parametrize("target", ["b", "spin:b.db"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_copy_goes_on(kvcli: Run, target: str, number: signal.Signals) -> None:
    """Killed or interrupted in the midst, it leaves whole pairs; run again, it writes the rest, and all is there."""
    pairs = {f"{at:06}": b"%d" % at * 20 for at in range(MANY)}
    with Store("a") as store:
        set_many(store.open("default"), pairs.items())
    child = subprocess.Popen([sys.executable, "-m", "kvcli", "copy", "a", target])
    while child.poll() is None and not written(target):
        pass
    child.send_signal(number)
    assert child.wait(timeout=60) in {-signal.SIGKILL, 130, 0}
    ran = kvcli("copy", "a", target)
    copied, same = map(int, ran.stdout.split(b"\t")[1:3])
    assert (ran.returncode, copied + same, same > 0) == (0, MANY, True)
    kvcli("copy", target, "c")
    assert held("c") == {"default": pairs}


def written(target: str) -> bool:
    """Tell whether something of a copy is on disk."""
    if not target.startswith("spin:"):
        return os.path.exists("b/data.mdb") and bool(held("b").get("default"))
    return os.path.exists("b.db") and os.path.getsize("b.db") > 1 << 20 and not os.path.exists("b.db-journal")


@pytest.mark.parametrize("size", [1 << 23, 100])
def test_memory_stays_flat(size: int) -> None:
    """A copy of many values, large or small, takes the memory of a few. What LMDB maps would count as well."""
    with table("s.db") as connection:
        connection.execute("BEGIN")
        put(connection, *[("default", f"{number:09}", b"1" * size) for number in range((1 << 28) // (size + 900))])
        connection.execute("COMMIT")
    with TemporaryFile() as figures:
        command = [sys.executable, "-m", "kvcli", "copy", "spin:s.db", "spin:t.db"]
        measure = [sys.executable, "-c", MEASURE, str(figures.fileno())]
        subprocess.run([*measure, *command], pass_fds=[figures.fileno()], check=True)
        figures.seek(0)
        code, peak, _ = map(int, figures.read().split())
    assert (code, peak < MEMORY_KIB_MAX) == (0, True), peak


def test_line_of_the_repl_copies(kvcli: Run) -> None:
    """A line of the REPL copies any two stores, its own too, that it has open."""
    fill("a", default={"k": b"1"})
    ran = kvcli("repl", "-s", "a", input=b"get k | cat > /dev/null\ncopy a b\nset k 2\ncopy b a\nlist --values")
    assert (ran.returncode, ran.stdout) == (0, b"default\t1\t0\t0\t0\ndefault\t1\t0\t0\t0\nk\t1\n")


def test_transaction_of_the_repl_holds_no_copy(kvcli: Run) -> None:
    """A transaction is of one store: what is written elsewhere could not be rolled back, and so is refused."""
    fill("a", default={"k": b"1"})
    ran = kvcli("repl", "-s", "a", input=b"begin\ncopy a b\n")
    assert (ran.returncode, os.path.exists("b")) == (2, False)


@pytest.mark.skipif(which("script") is None, reason="Debian's package bsdutils is not installed")
def test_progress_is_shown_on_a_terminal() -> None:
    """Who waits at a terminal sees how many keys are done; a pipe gets the counts alone."""
    fill("a", default={"k": b"1"})
    line = f"{sys.executable} -m kvcli copy a b 2>&1 >counts"
    ran = subprocess.run(["script", "-qec", line, "/dev/null"], capture_output=True, check=True, timeout=60)
    with open("counts", "rb") as counts:
        assert (counts.read(), b"1 of 1 keys" in ran.stdout) == (b"default\t1\t0\t0\t0\n", True)


# Any bytes

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
PAIRS = st.dictionaries(KEYS, st.binary(max_size=200), max_size=30)


@settings(max_examples=40, deadline=None)
@given(pairs=PAIRS, numbers=st.dictionaries(KEYS, st.integers(-(1 << 63), (1 << 63) - 1), max_size=5))
def test_round_trip_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, bytes], numbers: dict[str, int]
) -> None:
    """Any keys and any bytes are the same after LMDB, Spin's file and LMDB; so are counters, converted twice."""
    folder = str(tmp_path_factory.mktemp("trip"))
    a, s, b = f"{folder}/a", f"spin:{folder}/s.db", f"{folder}/b"
    whole = {**pairs, **{key: str(n).encode() for key, n in numbers.items()}}
    fill(a, default=whole)
    for source, target in ((a, s), (s, b)):
        context = Context()
        progress = copy(context, source, target, counter=list(numbers))
        assert list(progress.steps) == ([len(whole)] if whole else [])
        context.close()
    assert held(b) == {"default": whole}
