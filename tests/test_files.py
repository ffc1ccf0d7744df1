"""What is on disk: how a store is made, which files are refused, what damage is told."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from kvcli.errors import StoreReplaced
from kvcli.store import Store
from tests.conftest import Run, contents
from tests.processes import ROOT, start

# Root may do everything; without these capabilities permissions apply to it as to others.
AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner") if os.geteuid() == 0 else ()


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


REFUSED: dict[str, Callable[[str], object]] = {
    "data is a link": lambda path: swap_for_link(path, "data.mdb"),
    "lock is a link": lambda path: swap_for_link(path, "lock.mdb"),
    "data is a fifo": swap_for_fifo,
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


def test_replaced_data_file_is_noticed_before_a_write(filled: str) -> None:
    """Nothing is acknowledged that went to a file nobody will open again."""
    with Store(filled) as store:
        bucket = store.open("default")
        os.rename(os.path.join(filled, "data.mdb"), os.path.join(filled, "old"))
        with pytest.raises(StoreReplaced):
            bucket.set("k1", b"lost")


def test_archived_store_can_be_read(filled: str, kvcli: Run) -> None:
    """Files that lost every write permission are read without a lock; nothing can be written to them."""
    for name in os.listdir(filled):
        os.chmod(os.path.join(filled, name), 0o400)
    os.chmod(filled, 0o500)
    words = [*AS_OTHERS, sys.executable, "-m", "kvcli"]
    read = subprocess.run([*words, "get", "k1", "-s", filled], capture_output=True, cwd=ROOT)
    written = subprocess.run([*words, "set", "k1", "x", "-s", filled], capture_output=True, cwd=ROOT)
    os.chmod(filled, 0o700)
    assert (read.returncode, read.stdout, written.returncode) == (0, bytes(3000), 77)
    assert kvcli("get", "k1").stdout == bytes(3000)


def test_store_in_a_read_only_folder_is_not_made(tmp_path: os.PathLike[str]) -> None:
    """A folder that may not be written is exit 77, and nothing is left in it."""
    folder = os.path.join(tmp_path, "closed")
    os.mkdir(folder, 0o500)
    words = [*AS_OTHERS, sys.executable, "-m", "kvcli", "set", "k", "v", "-s", os.path.join(folder, "store")]
    assert subprocess.run(words, capture_output=True, cwd=ROOT).returncode == 77
    assert os.listdir(folder) == []


def test_data_file_is_not_inherited(filled: str) -> None:
    """A command that kvcli runs does not get the store's files."""
    with Store(filled):
        listed = subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert "data.mdb" not in listed


def test_reading_makes_no_lock_file(filled: str, kvcli: Run) -> None:
    """A copy without a lock file is read without making one; the first write makes it."""
    os.remove(os.path.join(filled, "lock.mdb"))
    for words in (("get", "k1"), ("list",), ("bucket", "stat"), ("stat",)):
        assert kvcli(*words).returncode == 0
        assert os.listdir(filled) == ["data.mdb"]
    assert kvcli("set", "k1", "x").returncode == 0
    assert sorted(os.listdir(filled)) == ["data.mdb", "lock.mdb"]


def test_reader_without_a_lock_notices_a_writer(filled: str, kvcli: Run) -> None:
    """A reader that had no lock file to lock takes the lock once a writer has made one, and reads what is there."""
    os.remove(os.path.join(filled, "lock.mdb"))
    with Store(filled, read_only=True) as store:
        bucket = store.open("default")
        for number in range(5):
            kvcli("set", "k1", str(number))
            assert bucket.get("k1") == b"%d" % number
        assert store.stat()["readers"] == 1
