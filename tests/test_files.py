"""What is on disk: how a store is made, which files are refused, what damage is told."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from kvcli.errors import StoreReplaced
from kvcli.store import Store
from tests.conftest import Run, contents, make_foreign
from tests.processes import ROOT, run, start


def mode(path: str) -> int:
    """Give the permission bits of a file."""
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_store_is_private(path: str, kvcli: Run, umask: int) -> None:
    """The folder is 0700 and its files 0600, whatever the umask."""
    assert kvcli("set", "k", "v", umask=umask).returncode == 0
    assert mode(path) == 0o700
    assert {mode(os.path.join(path, name)) for name in os.listdir(path)} == {0o600}


def test_store_is_made_in_the_old_format(path: str) -> None:
    """A new store can be read by the LMDB 0.9 of distributions, and has its bucket and nothing else to see."""
    with Store(path) as store:
        assert (store.stat()["format"], store.stat()["readers_max"], store.buckets()) == ("0.9", 512, ["default"])
    assert sorted(os.listdir(path)) == ["data.mdb", "lock.mdb"]


def test_environment_variable_does_not_choose_the_format(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDB_DEFAULT_LIB_VERSION changes nothing: the version is always said."""
    monkeypatch.setenv("LMDB_DEFAULT_LIB_VERSION", "1")
    with Store(path) as store:
        assert store.stat()["format"] == "0.9"


def test_lock_file_has_no_holes(path: str) -> None:
    """The lock file's blocks are allocated, so that a full disk cannot kill a reader that touches one."""
    Store(path).close()
    status = os.stat(os.path.join(path, "lock.mdb"))
    assert status.st_blocks * 512 >= status.st_size > 512 * 64


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_creation_is_synced(path: str) -> None:
    """Folder and parent are synced after creation: LMDB itself syncs only the file."""
    program = "import sys, kvcli; kvcli.Store(sys.argv[1]).close()"
    traced = subprocess.run(
        ["strace", "-f", "-e", "trace=fsync,fdatasync", sys.executable, "-c", program, path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if traced.returncode != 0 and "ptrace" in traced.stderr:
        pytest.skip("strace may not trace here")
    assert traced.stderr.count("fsync(") >= 2


@pytest.mark.parametrize("left_over", ["empty folder", "half made"])
def test_creation_goes_on_after_a_crash(path: str, kvcli: Run, left_over: str) -> None:
    """Whoever was killed while making a store left nothing that the next one stumbles over."""
    os.makedirs(os.path.join(path, ".new-killed") if left_over == "half made" else path)
    assert kvcli("set", "k", "v").returncode == 0
    assert kvcli("get", "k").stdout == b"v"


def test_creators_race(path: str) -> None:
    """Of many processes that make the same store at once, all write to the same one."""
    program = (
        'import sys, kvcli\nsys.stdin.readline()\nkvcli.increment(kvcli.Store(sys.argv[1]).open("default"), "n", 1)'
    )
    children = [start(program, path) for _ in range(8)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
    assert [child.communicate(timeout=60)[1] for child in children] == [b""] * 8
    with Store(path, read_only=True) as store:
        assert store.open("default").get("n") == b"8"
    assert sorted(os.listdir(path)) == ["data.mdb", "lock.mdb"]


def test_other_files_are_not_mixed_with_a_store(tmp_path: os.PathLike[str], kvcli: Run) -> None:
    """A folder that holds other files is not made a store."""
    with open(os.path.join(tmp_path, "letter"), "w", encoding="utf-8") as file:
        file.write("dear")
    assert kvcli("set", "k", "v", "-s", str(tmp_path)).returncode == 66
    assert os.listdir(tmp_path) == ["letter"]


def swap_for_link(path: str, name: str) -> None:
    """Put a symbolic link in the place of a file."""
    file = os.path.join(path, name)
    os.rename(file, file + ".real")
    os.symlink(name + ".real", file)


def swap_for_fifo(path: str) -> None:
    """Put a FIFO in the place of the data file."""
    os.remove(os.path.join(path, "data.mdb"))
    os.mkfifo(os.path.join(path, "data.mdb"))


def swap_lock_for_fifo(path: str) -> None:
    """Put a FIFO in the place of the lock file."""
    os.remove(os.path.join(path, "lock.mdb"))
    os.mkfifo(os.path.join(path, "lock.mdb"))


REFUSED: dict[str, Callable[[str], object]] = {
    "data is a link": lambda path: swap_for_link(path, "data.mdb"),
    "lock is a link": lambda path: swap_for_link(path, "lock.mdb"),
    "data is a fifo": swap_for_fifo,
    "lock is a fifo": swap_lock_for_fifo,
    "world-writable folder": lambda path: os.chmod(path, 0o777),
    "foreign folder": lambda path: os.chown(path, 12345, -1),
    "foreign data": lambda path: os.chown(os.path.join(path, "data.mdb"), 12345, -1),
    "foreign lock": lambda path: os.chown(os.path.join(path, "lock.mdb"), 12345, -1),
}


@pytest.mark.parametrize("words", [("get", "k1"), ("set", "k1", "x")], ids=" ".join)
@pytest.mark.parametrize("trap", REFUSED)
def test_unsafe_files_are_refused(filled: str, kvcli: Run, trap: str, words: tuple[str, ...]) -> None:
    """What another user could have planted or could swap is exit 77, and is not touched."""
    if "foreign" in trap and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    REFUSED[trap](filled)
    before = contents(filled)
    assert kvcli(*words, timeout=20).returncode == 77
    assert contents(filled) == before


@pytest.mark.parametrize("kind", ["link", "fifo", "device"])
def test_store_that_is_no_folder_is_refused(filled: str, tmp_path: os.PathLike[str], kvcli: Run, kind: str) -> None:
    """A link, a FIFO or a device in the place of the folder is exit 77, with no hang and nothing made beside it."""
    trap = "/dev/null" if kind == "device" else os.path.join(tmp_path, "trap")
    if kind == "link":
        os.symlink(filled, trap)
    elif kind == "fifo":
        os.mkfifo(trap)
    before = sorted(os.listdir(tmp_path))
    assert kvcli("get", "k", "-s", trap, timeout=20).returncode == 77
    assert kvcli("set", "k", "v", "-s", trap, timeout=20).returncode == 77
    assert sorted(os.listdir(tmp_path)) == before


def test_text_file_is_no_store(tmp_path: os.PathLike[str], kvcli: Run) -> None:
    """A file of another kind is exit 66, and gets no lock file beside it."""
    path = os.path.join(tmp_path, "text")
    with open(path, "w", encoding="utf-8") as file:
        file.write("hello")
    assert kvcli("get", "k", "-s", path).returncode == 66
    assert kvcli("set", "k", "v", "-s", path).returncode == 66
    assert os.listdir(tmp_path) == ["text"]


def put_another_in_its_place(path: str) -> None:
    """Restore another store over an open one, as a careless backup would."""
    Store(path + ".other").close()
    os.rename(os.path.join(path + ".other", "data.mdb"), os.path.join(path, "data.mdb"))


REPLACEMENTS: dict[str, Callable[[str], object]] = {
    "moved": lambda path: os.rename(os.path.join(path, "data.mdb"), os.path.join(path, "old")),
    "removed": lambda path: os.remove(os.path.join(path, "data.mdb")),
    "folder removed": shutil.rmtree,
    "folder moved": lambda path: os.rename(path, path + ".old"),
    "another store": put_another_in_its_place,
}


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_replaced_data_file_is_noticed_before_a_write(filled: str, replacement: str) -> None:
    """Nothing is acknowledged that went to a file nobody will open again."""
    with Store(filled) as store:
        bucket = store.open("default")
        REPLACEMENTS[replacement](filled)
        for _ in range(2):
            with pytest.raises(StoreReplaced):
                bucket.set("k1", b"lost")


def test_data_file_is_not_inherited_by_a_command(filled: str, kvcli: Run) -> None:
    """A command that kvcli runs does not get the store's files."""
    assert kvcli("cas", "k1", "--update", "--", "ls", "-l", "/proc/self/fd").returncode == 0
    listed = kvcli("get", "k1").stdout
    assert b"/proc/" in listed
    assert filled.encode() not in listed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_planted_lock_file_harms_nobody(tmp_path: os.PathLike[str]) -> None:
    """In a folder that others may write to (as /tmp), a link of theirs leads no write of ours to another file."""
    folder, victim = os.path.join(tmp_path, "shared"), os.path.join(tmp_path, "victim")
    os.mkdir(folder)
    os.chmod(folder, 0o1777)
    pathlib.Path(victim).write_bytes(b"precious")
    make_foreign(os.path.join(folder, "file"), subdir=False, main={b"k": b"v"})
    os.remove(os.path.join(folder, "file-lock"))
    program = """
import os, sys, kvcli
link = os.path.join(sys.argv[1], f".new-lock-{os.getpid()}")
os.symlink(sys.argv[2], link)
os.lchown(link, 12345, 12345)
try:
    kvcli.Store(os.path.join(sys.argv[1], "file"), adopt=True).open("@main").set("k", b"w")
except kvcli.KvError:
    pass
"""
    run(program, folder, victim)
    assert pathlib.Path(victim).read_bytes() == b"precious"


def test_any_kind_of_path_is_taken(filled: str) -> None:
    """A path may be an object that says what its text is."""
    with Store(pathlib.Path(filled)) as store:
        assert store.open("default").exists("k1")
