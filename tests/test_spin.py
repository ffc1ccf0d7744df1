"""Spin's own file: read whoever has it open, written as Spin writes it, and refused where it is another thing."""

from __future__ import annotations

import mmap
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import threading

import pytest

from kvcli.engine.rows import TABLE
from kvcli.engine.spin import Spin
from kvcli.errors import MalformedData
from tests.conftest import Run
from tests.processes import mounted
from tests.spin import made, put, rows, table

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def here(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of its own, with a store `a` that has a key and a file that has two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    made("s.db", ("default", "k", b"1"), ("users", "ann", b"\xff\0"))
    return str(tmp_path)


@pytest.fixture
def filled(kvcli: Run) -> str:
    """Make the store `a`, which has what the file has, and a key more."""
    assert kvcli("copy", "spin:s.db", "a").returncode == 0
    assert kvcli("set", "-s", "a", "more", "2").returncode == 0
    return "a"


def listed(kvcli: Run, store: str) -> bytes:
    """Give the keys and values of `default`."""
    return kvcli("list", "--values", "-s", store).stdout


# Reading


@pytest.mark.parametrize("mode", ["delete", "wal", "truncate"])
def test_file_that_is_open_elsewhere_is_read(kvcli: Run, mode: str) -> None:
    """Spin may have it open, in whatever mode of journal; what it has committed is seen."""
    with table("open.db", f"PRAGMA journal_mode = {mode}") as connection:
        put(connection, ("default", "k", b"2"))
        assert kvcli("copy", "spin:open.db", "b").returncode == 0
    assert listed(kvcli, "b") == b"k\t2\n"


def test_reading_changes_nothing(kvcli: Run) -> None:
    """A file that is read is the same afterwards, and nothing stands beside it."""
    with open("s.db", "rb") as file:
        before = file.read()
    kvcli("copy", "spin:s.db", "b")
    with open("s.db", "rb") as file:
        assert (file.read(), sorted(os.listdir())) == (before, ["b", "s.db"])


def test_pages_miss_nothing(kvcli: Run) -> None:
    """More keys than a page, in several stores whose names begin alike, all come over."""
    made("s.db", *[(store, f"{at}", b"") for store in ("a", "a ", "ab") for at in range(2500)])
    ran = kvcli("copy", "spin:s.db", "b")
    assert ran.stdout.splitlines()[:3] == [b"a\t2500\t0\t0\t0", b"a \t2500\t0\t0\t0", b"ab\t2500\t0\t0\t0"]


def test_file_in_utf_16_is_read(kvcli: Run) -> None:
    """The encoding is SQLite's business: keys are the same text, in the order that pages need."""
    with table("wide.db", "PRAGMA encoding = 'UTF-16'") as connection:
        put(connection, *[("default", f"{chr(0xFF00 + at % 9)}{at}\U0001f600", b"") for at in range(2000)])
    assert kvcli("copy", "spin:wide.db", "b").stdout == b"default\t2000\t0\t0\t0\n"


def test_text_that_a_person_wrote_is_its_bytes(kvcli: Run) -> None:
    """A value that was typed in sqlite3's shell is text there, and is taken as its bytes; Spin's are blobs again."""
    kvcli("copy", made("typed.db", ("default", "k", "h\u00e9")), "spin:t.db")
    assert rows("t.db") == {("default", "k", "h\u00e9".encode())}


@pytest.mark.parametrize("row", [("default", "k", 1), ("default", b"k", b""), (b"x", "k", b""), ("default", "k", 1.5)])
def test_what_spin_cannot_have_written_is_malformed(kvcli: Run, row: tuple[object, object, object]) -> None:
    """A number for a value, and bytes for a key or a store, are not passed over."""
    assert kvcli("copy", made("odd.db", row), "b").returncode == 65


def test_key_that_is_no_utf8_is_malformed(kvcli: Run) -> None:
    """SQLite would keep any bytes as text; Spin's text is UTF-8."""
    with table("odd.db") as connection:
        connection.execute("INSERT INTO spin_key_value VALUES ('default', CAST(x'ff' AS TEXT), x'00')")
    assert kvcli("copy", "spin:odd.db", "b").returncode == 65


# Writing


def test_new_file_is_as_spin_makes_it(kvcli: Run, filled: str) -> None:
    """A file that is made is the owner's alone, has Spin's table and nothing else, and no value is text."""
    kvcli("copy", filled, "spin:new.db")
    assert stat.S_IMODE(os.stat("new.db").st_mode) == 0o600
    assert rows("new.db") == {("default", "k", b"1"), ("default", "more", b"2"), ("users", "ann", b"\xff\0")}
    with sqlite3.connect("new.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall() == [
            (TABLE.replace("IF NOT EXISTS ", ""),)
        ]


def test_file_that_is_there_is_written_into(kvcli: Run, filled: str) -> None:
    """Rows of SRC take the place of those with their names; others stay."""
    kvcli("copy", filled, made("t.db", ("default", "k", b"old"), ("default", "own", b"0"), ("other", "k", b"0")))
    assert rows("t.db") - rows("s.db") == {("default", "more", b"2"), ("default", "own", b"0"), ("other", "k", b"0")}


@pytest.mark.parametrize("writable", [False, True])
def test_lock_is_waited_for(here: str, writable: bool) -> None:
    """A file that another program has for itself is waited for, as long as --lock-timeout says, from its opening on."""
    holder = sqlite3.connect(os.path.join(here, "s.db"), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    end = threading.Timer(1.0, lambda: holder.execute("COMMIT"))
    end.start()
    Spin(os.path.join(here, "s.db"), writable=writable, lock_timeout=20).close()
    end.join()
    holder.close()


def test_key_that_is_there(here: str) -> None:
    """It is there whatever its value; one that is not there is not."""
    made("t.db", ("default", "k", b""))
    file = Spin(os.path.join(here, "t.db"), writable=False, lock_timeout=1)
    assert file.read(lambda snapshot: [snapshot.has(b"default", key) for key in (b"k", b"l")]) == [True, False]
    file.close()


def test_what_is_there_is_larger_than_what_comes(kvcli: Run) -> None:
    """Values of several megabytes are not all looked at, to be overwritten."""
    small = [("default", f"{at}", b"%d" % at) for at in range(9)]
    target = made("t.db", *[(store, key, bytes(300_000)) for store, key, _ in small])
    assert kvcli("copy", made("small.db", *small), target).stdout == b"default\t9\t0\t0\t0\n"
    assert rows("t.db") == {*small}


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_writer_is_waited_for_no_longer_than_said(kvcli: Run, filled: str, mode: str) -> None:
    """A file that another program writes to is exit code 75 once --lock-timeout is over; nothing is written."""
    with table("t.db", f"PRAGMA journal_mode = {mode}") as connection:
        connection.execute("BEGIN IMMEDIATE")
        ran = kvcli("copy", filled, "spin:t.db", "--lock-timeout", "0.1")
        assert (ran.returncode, b"another program uses it" in ran.stderr) == (75, True)
    assert rows("t.db") == set()


def test_reader_is_waited_for(kvcli: Run, filled: str) -> None:
    """A reader that never ends keeps a write from its end, which is exit code 75, and nothing is written."""
    with table("t.db") as connection:
        put(connection, ("default", "a", b""))
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM spin_key_value").fetchone()
        assert kvcli("copy", filled, "spin:t.db", "--lock-timeout", "0.1").returncode == 75
    assert rows("t.db") == {("default", "a", b"")}


# What is refused


def test_other_program_s_tables_are_left_alone(kvcli: Run, filled: str) -> None:
    """A file of another program gets no table of Spin's; what was found is said."""
    with sqlite3.connect("other.db") as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    for words in (("spin:other.db", "b"), (filled, "spin:other.db")):
        ran = kvcli("copy", *words)
        assert (
            ran.returncode,
            ran.stderr.endswith(b"no table spin_key_value as Spin has it (there are: users)\n"),
        ) == (
            66,
            True,
        )
    with sqlite3.connect("other.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]


@pytest.mark.parametrize(
    "columns", ["store TEXT, key TEXT, value BLOB", "store TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL"]
)
def test_other_layout_is_refused(kvcli: Run, filled: str, columns: str) -> None:
    """A table of that name with other columns is read and written by nobody here; they are said."""
    with sqlite3.connect("odd.db") as connection:
        connection.execute(f"CREATE TABLE spin_key_value ({columns})")
    for words in (("spin:odd.db", "b"), (filled, "spin:odd.db")):
        ran = kvcli("copy", *words)
        assert (ran.returncode, b"its columns are store TEXT" in ran.stderr) == (66, True)


@pytest.mark.parametrize("content", [b"", b"no database, and longer than a header of one" * 20])
def test_other_file_is_refused(kvcli: Run, content: bytes) -> None:
    """An empty file, and one that is no database, are no file of Spin's; and stay what they are."""
    with open("x.db", "wb") as file:
        file.write(content)
    assert kvcli("copy", "spin:x.db", "b").returncode == 66
    assert (os.path.getsize("x.db"), os.path.exists("b")) == (len(content), False)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda name: os.symlink("/nowhere", name)])
def test_what_is_no_file_is_refused(kvcli: Run, filled: str, make: object) -> None:
    """A folder, a FIFO and a link that leads nowhere are exit code 66 on either side, at once."""
    make("x")  # type: ignore[operator]
    assert kvcli("copy", "spin:x", "b").returncode == 66
    assert kvcli("copy", filled, "spin:x").returncode == 66
    assert kvcli("copy", filled, "spin:no/x.db").returncode == 66


@pytest.mark.parametrize("name", ["nobody", "\udcff"])
def test_store_that_is_not_there_is_told(kvcli: Run, name: str) -> None:
    """As any bucket that is not there; names of Spin's are UTF-8."""
    ran = kvcli("copy", "spin:s.db", "b", "--bucket", name)
    assert (ran.returncode, b"no bucket" in ran.stderr) == (66, True)


def test_name_that_no_file_can_have_is_told(kvcli: Run, filled: str) -> None:
    """What the system says is told as of a folder."""
    ran = kvcli("copy", filled, f"spin:{'x' * 300}")
    assert (ran.returncode, ran.stderr.endswith(b"the path is too long\n")) == (66, True)


def test_damage_is_told(kvcli: Run) -> None:
    """A page that holds something else is exit code 74, and what was read before it stays copied."""
    made("s.db", *[("default", f"{at:05}", bytes(500)) for at in range(5000)])
    with open("s.db", "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * (1 << 20))
    ran = kvcli("copy", "spin:s.db", "b")
    assert (ran.returncode, b"s.db: the file is damaged" in ran.stderr) == (74, True)


def test_interrupted_write_of_spin_s_is_not_undone_by_a_reader(kvcli: Run) -> None:
    """Where a killed writer left its journal, who only reads may not undo it, and says so."""
    with table("s.db", "PRAGMA cache_size = 1") as connection:
        connection.execute("BEGIN")
        put(connection, *[("default", f"{at}", bytes(1000)) for at in range(1000)])
        shutil.copy("s.db", "hot.db")
        shutil.copy("s.db-journal", "hot.db-journal")
        connection.execute("ROLLBACK")
    ran = kvcli("copy", "spin:hot.db", "b")
    assert (ran.returncode, b"an interrupted write is to be undone first" in ran.stderr) == (77, True)


def test_full_disk_is_told(kvcli: Run, here: str) -> None:
    """A disk without room is exit code 69; what was written before is whole."""
    made("s.db", *[("default", f"{at}", bytes(100_000)) for at in range(100)])
    with mounted(os.path.join(here, "small"), "size=2m"):
        assert kvcli("copy", "spin:s.db", "spin:small/t.db").returncode == 69
        assert rows("small/t.db") == set()


def test_file_on_a_read_only_disk_is_told(kvcli: Run, here: str) -> None:
    """A file that cannot be written is exit code 77, and can be read."""
    with mounted(os.path.join(here, "disk"), "size=2m"):
        made("disk/t.db", ("default", "k", b"2"))
        subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True)
        assert kvcli("copy", "spin:s.db", "spin:disk/t.db").returncode == 77
        assert kvcli("copy", "spin:disk/t.db", "spin:s.db").returncode == 0


def test_limit_on_the_size_of_files_is_told(kvcli: Run) -> None:
    """A file that may not grow is exit code 69."""
    made("s.db", *[("default", f"{at}", bytes(100_000)) for at in range(100)])

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, 1 << 21))

    assert kvcli("copy", "spin:s.db", "spin:t.db", preexec_fn=limited).returncode == 69


@pytest.mark.parametrize("size", [1_000_000_001, (1 << 31) + 1])
def test_value_that_sqlite_does_not_take_is_told(here: str, size: int) -> None:
    """One of more than a billion bytes, and one of more than Python would give it, which is another error."""
    file = Spin(os.path.join(here, "spin.db"), writable=True, lock_timeout=1)
    with mmap.mmap(-1, size) as value, pytest.raises(MalformedData, match="too large for SQLite"):
        file.write(lambda update: update.put_many(b"default", [(b"k", value)], lambda _: None), 1)  # type: ignore[list-item]
    file.close()
