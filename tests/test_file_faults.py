"""Files that are not what they should be, or become something else at the wrong moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import lmdb
import pytest

from kvcli.engine import create, files, opening, provenance
from kvcli.errors import DamagedStore, InputOutput, NoSuchStore, UnsupportedBucket
from kvcli.store import Store
from tests.conftest import make_foreign
from tests.processes import WRITE_RAW, run
from tests.test_readers import AS_OTHERS


def test_file_that_is_replaced_while_it_is_opened_is_opened_again(
    path: str, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is open in the end is what has the name."""
    other = os.path.join(tmp_path, "other")
    for each, value in ((path, b"old"), (other, b"new")):
        with Store(each) as store:
            store.open("default").set("k", value)
    opened = opening._open_stepping

    def replaced(*words: object, **options: object) -> lmdb.Environment:
        env = opened(*words, **options)  # type: ignore[arg-type]
        if os.path.exists(os.path.join(other, "data.mdb")):
            os.rename(os.path.join(other, "data.mdb"), os.path.join(path, "data.mdb"))
        return env

    monkeypatch.setattr(opening, "_open_stepping", replaced)
    with Store(path, read_only=True) as store:
        assert store.open("default").get("k") == b"new"


def test_lock_file_that_another_process_made_just_now_is_kept(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be open there already; the one that was to take its place is gone."""
    os.mkdir(path)
    lock = os.path.join(path, "lock.mdb")
    with open(lock, "wb") as file:
        file.write(b"theirs")
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    opening.reserve_lock(lock)
    with open(lock, "rb") as file:
        assert (file.read(), os.listdir(path)) == (b"theirs", ["lock.mdb"])


def test_creation_over_a_file_is_refused(tmp_path: os.PathLike[str]) -> None:
    """A file is no folder, and stays as it is."""
    file = os.path.join(tmp_path, "file")
    with open(file, "w", encoding="utf-8") as opened:
        opened.write("x")
    with pytest.raises(NoSuchStore, match="name a folder"):
        create(file)
    assert os.path.getsize(file) == 1


def test_first_pages_that_were_cut_short_are_no_damage(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LMDB takes for a file of another kind is what it wrote itself, and could not end: the disk failed."""

    def open_stepping(folder: str, *_: object, **__: object) -> None:
        with open(os.path.join(folder, "data.mdb"), "wb") as file:
            file.write(bytes(100))
        raise lmdb.InvalidError("data.mdb: not an LMDB file")

    monkeypatch.setattr(opening, "_open_stepping", open_stepping)
    with pytest.raises(InputOutput, match="the disk failed a read or a write"):
        create(path)
    assert os.listdir(path) == []
    monkeypatch.undo()
    with Store(path) as store:
        assert store.buckets() == ["default"]


def test_end_of_a_file_on_a_full_disk_is_left_out(tmp_path: os.PathLike[str]) -> None:
    """Pages that nobody uses need not be there."""
    file = os.path.join(tmp_path, "file")
    with open(file, "wb") as opened:
        opened.write(b"x")
    files.extend_file(file, 1 << 62)
    assert os.path.getsize(file) == 1
    files.extend_file(file, 4095)
    assert os.path.getsize(file) == 4096


def test_file_that_became_a_link_or_a_pipe_is_not_read(path: str) -> None:
    """Between the look and the opening somebody may have swapped it: no link is followed, and no pipe waited for."""
    Store(path).close()
    found, data = files.find(path), os.path.join(path, "data.mdb")
    assert found is not None
    os.rename(data, os.path.join(path, "other"))
    os.symlink("other", data)
    for look in (lambda: files.read_header(found), lambda: files.extend_file(data, 4096)):
        with pytest.raises(OSError, match="symbolic links"):
            look()
    os.unlink(data)
    os.mkfifo(data)
    with pytest.raises(DamagedStore, match="is empty"):
        files.read_header(found)


def test_file_that_was_written_to_while_it_was_looked_through_is_looked_through_again(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks like damage may be a write that was going on: only what is found of a file at rest is believed."""
    make_foreign(path)
    found, verify, looks = files.find(path), files.verify, 0
    assert found is not None

    def disturbed(data: str) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            run(WRITE_RAW, path, "k=1")
            raise DamagedStore("a page that is used again")
        verify(data)

    monkeypatch.setattr(provenance, "verify", disturbed)
    assert not provenance.is_vouched_for(found.data)
    provenance.look_through(found)
    assert looks == 2
    assert provenance.is_vouched_for(found.data) is not False


def test_file_without_a_meta_page_gets_no_revision(tmp_path: os.PathLike[str]) -> None:
    """A copy that went wrong is damaged, and nothing is written to it."""
    file = os.path.join(tmp_path, "file")
    with open(file, "w+b") as opened:
        opened.write(b"x" * 8192)
        opened.flush()
        with pytest.raises(DamagedStore, match="no meta page"):
            files.number(opened.fileno(), 7)
        opened.seek(0)
        assert opened.read() == b"x" * 8192


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_what_is_no_path_is_no_store(name: str) -> None:
    """The message says why."""
    with pytest.raises(NoSuchStore, match="is no path"):
        files.find(name)


@pytest.mark.skipif(os.geteuid() == 0 and not AS_OTHERS, reason="root may look everywhere")
def test_folder_that_may_not_be_entered_is_denied(path: str) -> None:
    """Not even whether there is a store can be told."""
    Store(path).close()
    os.chmod(path, 0)
    try:
        words = [*AS_OTHERS, sys.executable, "-m", "kvcli", "get", "k", "-s", os.path.join(path, "data.mdb")]
        ran = subprocess.run(words, capture_output=True)
        assert (ran.returncode, b"permission denied" in ran.stderr) == (77, True)
    finally:
        os.chmod(path, 0o700)


def test_notes_are_kept_and_removed(path: str) -> None:
    """A note of kvcli's own stands beside the revisions, also in a store that has none yet."""
    make_foreign(path)
    with Store(path, adopt=True) as store:
        store.write(lambda update: update.note(b"word", b"1"))
        assert store.read(lambda snapshot: snapshot.noted(b"word")) == b"1"
        store.write(lambda update: update.note(b"word", None))
        assert store.read(lambda snapshot: snapshot.noted(b"word")) is None


@pytest.mark.skipif(not shutil.which("mdb_load"), reason="mdb_load (Debian: lmdb-utils) is not installed")
def test_main_database_of_bytes_in_another_order_takes_no_buckets(path: str) -> None:
    """A bucket could never be found there; the message says so, and nothing is changed."""
    os.mkdir(path, 0o700)
    dump = b"VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=1048576\nintegerkey=1\nHEADER=END\nDATA=END\n"
    subprocess.run(["mdb_load", path], input=dump, check=True)
    with Store(path, adopt=True) as store:
        with pytest.raises(UnsupportedBucket, match="allows no buckets"):
            store.create("new")
        assert "new" not in store.buckets()
