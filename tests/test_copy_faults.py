"""Copies, compaction and bookkeeping where something fails, or somebody comes in between."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time

import lmdb
import pytest

from kvcli.engine import copying
from kvcli.engine.bookkeeping import faults
from kvcli.engine.compaction import compact
from kvcli.engine.copying import Copy
from kvcli.engine.files import Files, find
from kvcli.errors import Busy, DamagedStore, Full, InputOutput, NoSuchFile, NoSuchStore
from kvcli.store import Store
from tests.conftest import contents, make_foreign
from tests.processes import READ, ROOT, WRITE_RAW, run, start
from tests.test_cache_faults import refuse


def files_of(path: str) -> Files:
    """Find the files of a store that is there."""
    files = find(path)
    assert files is not None
    return files


def copied(path: str, folder: str) -> str:
    """Copy a store into a folder, under the name `copy`."""
    with Copy(files_of(path), folder) as copy:
        assert list(copy.steps(10, compact=True))
        copy.verify()
        copy.put(os.path.join(folder, "copy"))
    return os.path.join(folder, "copy")


@pytest.mark.parametrize("place", ["absent", "data.mdb"])
def test_copy_into_no_folder_is_no_such_file(filled: str, place: str) -> None:
    """The message names the folder that is none."""
    with pytest.raises(NoSuchFile, match=place):
        Copy(files_of(filled), os.path.join(filled, place))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR])
def test_copy_where_every_file_has_a_name(
    filled: str, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file system that knows no files without one gets one under another name, which is gone where it is given up."""
    opened = os.open

    def open_named(path: str, flags: int, *more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return opened(path, flags, *more)

    folder = os.path.join(tmp_path, "to")
    os.mkdir(folder)
    monkeypatch.setattr(os, "open", open_named)
    with Copy(files_of(filled), folder):
        assert [name.startswith(".new-") for name in os.listdir(folder)] == [True]
    assert os.listdir(folder) == []
    copied(filled, folder)
    assert os.listdir(folder) == ["copy"]
    assert os.stat(os.path.join(folder, "copy")).st_mode & 0o777 == 0o600


def test_copy_that_cannot_be_made_is_told(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk says so before anything is copied."""
    monkeypatch.setattr(copying, "_unnamed", refuse(errno.ENOSPC))
    with pytest.raises(Full):
        Copy(files_of(filled), filled)


def test_copy_that_is_not_on_disk_is_none(
    filled: str, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a copy cannot be synced, nothing has its name."""
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(InputOutput):
        copied(filled, str(tmp_path))
    assert "copy" not in os.listdir(tmp_path)


def test_copy_over_a_folder_is_refused(filled: str, tmp_path: os.PathLike[str]) -> None:
    """The folder stays, and nothing is left beside it."""
    os.mkdir(os.path.join(tmp_path, "copy"))
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(NoSuchStore, match="folder"):
        copied(filled, str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("program", "kind", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", DamagedStore, "signal 11"),
        ("raise SystemExit(69)", Full, "cannot be copied"),
        ("import sys; sys.exit(1)", InputOutput, "cannot be copied"),
        ("import sys; sys.stderr.write('a\\nb\\n'); sys.exit(75)", Busy, "^b$"),
    ],
)
def test_end_of_the_process_that_copies_is_told(
    filled: str, monkeypatch: pytest.MonkeyPatch, program: str, kind: type[Exception], words: str
) -> None:
    """A signal is damage; any other end is what its exit code says, with its last line."""

    def begin(_: list[str], handle: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", program], stdout=handle, stderr=subprocess.PIPE)

    monkeypatch.setattr(copying, "_start", begin)
    with Copy(files_of(filled), filled) as copy, pytest.raises(kind, match=words):
        list(copy.steps(10, compact=True))


def test_store_that_goes_before_it_is_copied_is_no_such_store(tmp_path: os.PathLike[str]) -> None:
    """The process that copies says so, with the exit code for it."""
    words = [sys.executable, "-m", "kvcli.engine.copying", os.path.join(tmp_path, "gone"), "compact"]
    ran = subprocess.run(words, capture_output=True)
    assert (ran.returncode, ran.stdout) == (66, b"")
    assert ran.stderr.startswith(b"no store at ")


def test_who_writes_while_a_store_is_compacted_loses_nothing(filled: str) -> None:
    """A commit that came after the copy makes another copy needed."""
    steps = compact(files_of(filled), 20)
    next(steps)
    run(WRITE_RAW, filled, "late=1")
    list(steps)
    with Store(filled) as store:
        assert store.open("default").get("late") == b"1"
        assert len(store.open("default").list_keys().keys) == 51


def test_compaction_gives_up_on_who_never_stops_writing(filled: str) -> None:
    """At the end of its time it is busy, and the store is as the last writer left it."""
    steps = (run(WRITE_RAW, filled, "late=1") for _ in compact(files_of(filled), 0.2))
    with pytest.raises(Busy, match="too often"):
        list(steps)
    with Store(filled) as store:
        assert store.open("default").get("late") == b"1"


def test_compaction_of_what_is_open_here_is_busy(filled: str) -> None:
    """Whoever has it open in this process would go on in the old file."""
    with Store(filled), pytest.raises(Busy, match="in use here"):
        list(compact(files_of(filled), 5))


def test_compaction_waits_for_who_has_it_open(filled: str) -> None:
    """It goes on when the other program has ended, within its time."""
    other = start(READ, filled, "1")
    assert other.stdout
    other.stdout.readline()
    threading.Timer(1.0, other.kill).start()
    before, begun = os.stat(os.path.join(filled, "data.mdb")).st_ino, time.monotonic()
    list(compact(files_of(filled), 30))
    other.communicate(timeout=60)
    assert os.stat(os.path.join(filled, "data.mdb")).st_ino != before
    assert time.monotonic() - begun > 0.3


# Bookkeeping


def note(path: str, name: bytes, value: bytes | None) -> None:
    """Write into kvcli's own database with lmdb alone, after the end of the revisions that it notes."""
    with lmdb.open(path, max_dbs=8, map_size=1 << 40) as env, env.begin(write=True) as txn:
        database = env.open_db(b"__kvcli__", txn=txn)
        txn.put(name, value, db=database) if value is not None else txn.delete(name, db=database)


def found(path: str) -> list[str]:
    """Say what is wrong with the bookkeeping of a store."""
    with Store(path, read_only=True) as store:
        return store.read(faults)


def test_bookkeeping_of_kvcli_is_in_order(filled: str, tmp_path: os.PathLike[str]) -> None:
    """In a store that kvcli wrote, and in a copy of it that counts its revisions anew."""
    assert found(filled) == []
    copy = copied(filled, str(tmp_path))
    os.chmod(tmp_path, 0o700)
    assert found(copy) == []


@pytest.mark.parametrize("state", [None, b"", b"short", bytes(34)])
def test_state_that_is_none_is_told(filled: str, state: bytes | None) -> None:
    """A store without an identity, or with half of one."""
    note(filled, b"state", state)
    assert found(filled) == ["the store has no identity"]


@pytest.mark.parametrize(("value", "is_wrong"), [(bytes(8), False), (bytes(7), True), (b"\xff" * 8, True)])
@pytest.mark.parametrize("name", [b"mark", b"stripe"])
def test_stamps_are_looked_through(filled: str, name: bytes, value: bytes, is_wrong: bool) -> None:
    """Of buckets and of stripes: each has eight bytes, and a revision that was."""
    note(filled, name, value)
    assert found(filled) == (["1 stamps are of no revision"] if is_wrong else [])
    note(filled, b"a word of another length", b"\xff" * 8)
    assert len(found(filled)) == is_wrong


def test_bookkeeping_of_another_program_is_none(path: str) -> None:
    """Where kvcli never wrote there is nothing to look at."""
    make_foreign(path)
    before = contents(path)
    assert found(path) == []
    assert contents(path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")
def test_file_that_is_replaced_keeps_its_group(path: str) -> None:
    """Whoever could read it by that group can afterwards."""
    with Store(path) as store:
        store.open("default").set("k", bytes(1 << 16))
    os.chown(os.path.join(path, "data.mdb"), 0, 65534)
    subprocess.run([sys.executable, "-m", "kvcli", "compact", "-s", path], check=True, cwd=ROOT)
    assert os.stat(os.path.join(path, "data.mdb")).st_gid == 65534
