"""Reading where nothing may be written: what is read without a lock, what is refused, and that nothing is made."""

from __future__ import annotations

import os
import subprocess
import sys

from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, mounted

# Root may do everything; without these capabilities permissions apply to it as to others.
AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner") if os.geteuid() == 0 else ()


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


def test_store_on_a_read_only_file_system_is_read(tmp_path: os.PathLike[str], kvcli: Run) -> None:
    """Where nothing can be written everything can be read; a write is exit 77."""
    with mounted(os.path.join(tmp_path, "disk"), "size=1m,mode=0700") as disk:
        store = os.path.join(disk, "store")
        assert kvcli("set", "k", "1", "-s", store).returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert kvcli("get", "k", "-s", store).stdout == b"1"
        assert kvcli("set", "k", "2", "-s", store).returncode == 77
        assert kvcli("set", "k", "2", "-s", os.path.join(disk, "new")).returncode == 77


def test_reader_who_may_not_lock_is_refused(filled: str) -> None:
    """Who may read the data but not write the lock is exit 77: read without a lock, pages could change under it."""
    os.chmod(os.path.join(filled, "lock.mdb"), 0o400)
    words = [*AS_OTHERS, sys.executable, "-m", "kvcli", "get", "k1", "-s", filled]
    assert subprocess.run(words, capture_output=True, cwd=ROOT).returncode == 77


def test_empty_folder_is_left_empty_by_a_reader(path: str, kvcli: Run) -> None:
    """A folder without a store is exit 66 for a reader, and nothing is made in it."""
    os.mkdir(path)
    assert kvcli("get", "k").returncode == 66
    assert os.listdir(path) == []


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
