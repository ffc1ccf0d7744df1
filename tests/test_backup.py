"""Backup, restore, check and compact: copies that are whole, and stores that stay sound."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import lmdb
import pytest

from kvcli.atomics import Cas, swap
from kvcli.engine.compaction import compact
from kvcli.engine.copying import Copy
from kvcli.engine.files import Files
from kvcli.errors import Busy, CasFailed
from kvcli.store import Store
from tests.conftest import Run, contents, make_foreign
from tests.crash.backup import writing
from tests.processes import HOLD_LOCK, READ, ROOT, WRITE_RAW, run, start
from tests.test_foreign import FORMATS


@pytest.fixture
def file(tmp_path: os.PathLike[str]) -> str:
    """Where a backup may be."""
    return os.path.join(tmp_path, "to", "backup.mdb")


@pytest.fixture(autouse=True)
def folder(file: str) -> None:
    """Make the backup's folder."""
    os.mkdir(os.path.dirname(file))


def test_backup_is_a_store_in_one_file(kvcli: Run, filled: str, file: str) -> None:
    """All buckets are in it, every reading command takes it, nobody else may read it, and nothing else is left."""
    kvcli("bucket", "create", "users")
    kvcli("set", "-b", "users", "ann", "-", input=b"two\nlines\0")
    assert kvcli("backup", file).returncode == 0
    assert kvcli("get", "ann", "-b", "users", "-s", file).stdout == b"two\nlines\0"
    assert kvcli("list", "-s", file).stdout == kvcli("list", "-s", filled).stdout
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert os.listdir(os.path.dirname(file)) == ["backup.mdb"]


@FORMATS
def test_stores_of_others_are_backed_up(path: str, kvcli: Run, file: str, lib_version: int) -> None:
    """Either format, and keys of the main database."""
    make_foreign(path, lib_version=lib_version, main={b"k": b"1"}, users={b"ann": b"2"})
    assert kvcli("backup", file).returncode == 0
    assert kvcli("get", "k", "-b", "@main", "-s", file).stdout == b"1"
    assert kvcli("check", "-s", file).returncode == 0


def test_backup_of_nothing_makes_nothing(kvcli: Run, path: str, file: str) -> None:
    """A store that is not there is exit code 66."""
    assert kvcli("backup", file).returncode == 66
    assert not os.path.exists(path)
    assert not os.path.exists(file)


def test_default_store_that_nobody_made_is_not_backed_up(kvcli: Run, file: str) -> None:
    """It reads as empty elsewhere; a backup of it would be one of nothing."""
    assert kvcli("backup", file, env={"KVCLI_STORE": ""}).returncode == 66


@pytest.mark.parametrize("kind", ["text", "folder", "store", "link"])
def test_what_is_no_backup_is_not_replaced(kvcli: Run, filled: str, file: str, kind: str) -> None:
    """A typing error in the name of the file costs nothing."""
    if kind == "text":
        with open(file, "w", encoding="utf-8") as text:
            text.write("my novel")
    elif kind == "link":
        os.symlink(os.path.join(filled, "data.mdb"), file)
    target = {"folder": os.path.dirname(file), "store": os.path.join(filled, "data.mdb")}.get(kind, file)
    before = contents(filled), contents(os.path.dirname(file))
    refused = kvcli("backup", target)
    assert refused.returncode == 2
    assert b"name " in refused.stderr
    assert (contents(filled), contents(os.path.dirname(file))) == before


def test_damaged_store_is_not_backed_up(kvcli: Run, filled: str, file: str) -> None:
    """The older backup stays, and the message says what to do."""
    kvcli("backup", file)
    before = contents(os.path.dirname(file))
    damage(filled)
    failed = kvcli("backup", file)
    assert failed.returncode == 74
    assert b"restore" in failed.stderr
    assert contents(os.path.dirname(file)) == before


@pytest.mark.skipif(not shutil.which("strace"), reason="strace (Debian: strace) is not installed")
def test_backup_is_on_disk_before_it_has_its_name(filled: str, file: str) -> None:
    """The file is synced, then linked and renamed, then its folder is synced."""
    words = [sys.executable, "-m", "kvcli", "backup", file, "-s", filled]
    for _ in range(2):
        traced = subprocess.run(
            ["strace", "-f", "-e", "trace=fsync,linkat,rename", "-e", "signal=none", *words],
            capture_output=True,
            text=True,
        )
        calls = [line.partition("(")[0].split()[-1] for line in traced.stderr.splitlines() if "(" in line]
        assert [call for call in calls if call in {"fsync", "linkat", "rename"}] == [
            "fsync",
            "linkat",
            "rename",
            "fsync",
        ]


def test_backup_to_a_full_disk_leaves_nothing(kvcli: Run, filled: str, file: str) -> None:
    """A file that may not grow is exit code 69, and there is no file."""
    words = f'ulimit -f 40; exec "{sys.executable}" -m kvcli backup "{file}" -s "{filled}"'
    failed = subprocess.run(["bash", "-c", words], capture_output=True, timeout=60)
    assert failed.returncode == 69, failed.stderr
    assert os.listdir(os.path.dirname(file)) == []
    assert kvcli("backup", file).returncode == 0


@pytest.mark.usefixtures("filled")
def test_restore_gives_exactly_what_was_backed_up(kvcli: Run, file: str) -> None:
    """Keys and buckets that came later go, those that went come back."""
    kvcli("bucket", "create", "users")
    kvcli("set", "-b", "users", "ann", "1")
    kvcli("backup", file)
    before = kvcli("export").stdout, kvcli("export", "-b", "users").stdout
    kvcli("bucket", "create", "later")
    kvcli("delete", "k1", "k2")
    kvcli("set", "more", "1")
    kvcli("bucket", "drop", "users", "--yes")
    assert kvcli("restore", file, "--yes").returncode == 0
    assert (kvcli("export").stdout, kvcli("export", "-b", "users").stdout) == before
    assert kvcli("bucket", "list").stdout == b"default\nusers\n"


def test_restore_makes_the_store(kvcli: Run, filled: str, file: str) -> None:
    """Without a question, where there is none yet."""
    kvcli("backup", file)
    assert kvcli("restore", file, "-s", filled + "2").returncode == 0
    assert kvcli("export", "-s", filled + "2").stdout == kvcli("export").stdout


@pytest.mark.usefixtures("filled")
def test_restore_asks(kvcli: Run, file: str) -> None:
    """Off a terminal nobody can be asked: exit code 2, and nothing is changed."""
    kvcli("backup", file)
    kvcli("set", "more", "1")
    assert kvcli("restore", file).returncode == 2
    assert kvcli("get", "more").stdout == b"1"


def test_handles_from_before_a_restore_lose(kvcli: Run, filled: str, file: str) -> None:
    """Also where the value is the same again, and the store was open all the time, which sees what was restored."""
    kvcli("backup", file)
    with Store(filled) as store:
        bucket = store.open("default")
        cas = Cas.new(bucket, "k1")
        bucket.set("k2", b"other")
        assert kvcli("restore", file, "--yes").returncode == 0
        assert bucket.get("k2") == bytes(3000)
        with pytest.raises(CasFailed):
            swap(cas, b"mine")


@pytest.mark.parametrize(("words", "code"), [(["nothing"], 66), (["text"], 74), (["half"], 74), (["itself"], 2)])
def test_restore_of_what_is_no_backup_changes_nothing(
    kvcli: Run, filled: str, tmp_path: os.PathLike[str], words: list[str], code: int
) -> None:
    """What is not there, no backup, cut, or the store itself is refused before anything is touched."""
    with open(os.path.join(filled, "data.mdb"), "rb") as data:
        whole = data.read()
    for name, held in (("text", b"text" * 5000), ("half", whole[: len(whole) // 8192 * 4096])):
        with open(os.path.join(tmp_path, name), "wb") as made:
            made.write(held)
    before = kvcli("export").stdout
    source = os.path.join(filled, "data.mdb") if words == ["itself"] else os.path.join(tmp_path, words[0])
    assert kvcli("restore", source, "--yes").returncode == code
    assert kvcli("export").stdout == before


@pytest.mark.usefixtures("filled")
def test_restore_refuses_what_it_could_not_keep(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """A database with several values to a key is refused, and the transaction with it."""
    foreign = os.path.join(tmp_path, "foreign")
    os.mkdir(foreign, 0o700)
    with lmdb.open(foreign, max_dbs=2) as env, env.begin(write=True) as txn:
        txn.put(b"k", b"1", db=env.open_db(b"many", txn=txn, dupsort=True))
    before = kvcli("export").stdout
    assert kvcli("restore", foreign, "--yes").returncode == 77
    assert kvcli("export").stdout == before


def test_restore_that_cannot_be_makes_no_store(kvcli: Run, path: str, tmp_path: os.PathLike[str]) -> None:
    """A key that is too long for a store is malformed data, and nothing is made."""
    foreign = os.path.join(tmp_path, "foreign")
    make_foreign(foreign, lib_version=1, default={b"k" * 600: b"1"})
    assert kvcli("restore", foreign, "--yes").returncode == 65
    assert not os.path.exists(path)


@pytest.mark.usefixtures("filled")
def test_check_finds_nothing_in_a_sound_store(kvcli: Run) -> None:
    """Four lines, all ok."""
    checked = kvcli("check")
    assert checked.returncode == 0
    rows = [line.split(b"\t")[:2] for line in checked.stdout.splitlines()]
    assert rows == [
        [b"permissions", b"ok"],
        [b"structure", b"ok"],
        [b"bookkeeping", b"ok"],
        [b"readers", b"ok"],
        [b"origin", b"ok"],
    ]


def test_check_finds_damage(kvcli: Run, filled: str) -> None:
    """Exit code 74, the place, and what to do; never a signal."""
    damage(filled)
    checked = kvcli("check")
    assert checked.returncode == 74
    assert b"structure\tdamaged\t" in checked.stdout
    assert b"restore it from a backup" in checked.stderr


def test_check_beside_a_writer_sees_a_sound_store(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """What is looked at is a copy of one revision."""
    with writing(os.path.join(tmp_path, "busy")) as busy:
        assert [kvcli("check", "-s", busy).returncode for _ in range(3)] == [0, 0, 0]


def test_check_tells_who_may_read(kvcli: Run, filled: str) -> None:
    """A warning that says what to do is no damage."""
    os.chmod(os.path.join(filled, "data.mdb"), 0o644)
    checked = kvcli("check")
    assert checked.returncode == 0
    assert b"permissions\twarning\t" in checked.stdout
    assert b"chmod go=" in checked.stdout


def test_check_tells_of_wrong_stamps(kvcli: Run, filled: str) -> None:
    """A stamp from the future makes swaps lose; that is found."""
    with lmdb.open(filled, max_dbs=4, map_size=1 << 40) as env, env.begin(write=True) as txn:
        private = env.open_db(b"__kvcli__", txn=txn)
        state = txn.get(b"state", b"", db=private)
        txn.put(b"abcd12", b"\xff" * 8, db=private)
        txn.put(b"state", state[:16] + txn.id().to_bytes(8, "big") + state[24:], db=private)
    assert b"bookkeeping\twarning\t1 stamps" in kvcli("check").stdout


def test_check_tells_of_a_reader_that_lags(kvcli: Run, filled: str) -> None:
    """One that reads what is long past keeps the file growing."""
    reader = start(READ, filled, "1")
    assert reader.stdout
    reader.stdout.readline()
    with Store(filled) as store:
        bucket = store.open("default")
        for _ in range(1001):
            bucket.set("k", b"1")
    assert b"readers\twarning\t" in kvcli("check").stdout
    reader.communicate(timeout=60)


def test_check_does_not_wait_for_ever(kvcli: Run, filled: str) -> None:
    """A program that holds the writers' lock makes it busy, exit code 75."""
    holder = start(HOLD_LOCK, filled)
    assert holder.stdout
    holder.stdout.readline()
    assert kvcli("check", "--lock-timeout", "0.3").returncode == 75
    holder.communicate(timeout=60)


def test_compact_gives_room_back(kvcli: Run, filled: str) -> None:
    """The sizes before and after are printed, and true; nothing is lost; the mode stays."""
    os.chmod(os.path.join(filled, "data.mdb"), 0o640)
    kvcli("delete", *[f"k{number}" for number in range(49)])
    before, left = os.path.getsize(os.path.join(filled, "data.mdb")), kvcli("export").stdout
    assert kvcli("compact").stdout == f"before\t{before}\nafter\t{size(filled)}\n".encode()
    assert size(filled) < before / 4
    assert kvcli("export").stdout == left
    assert kvcli("check").returncode == 0
    assert os.stat(os.path.join(filled, "data.mdb")).st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("filled")
def test_tokens_from_before_a_compaction_lose(kvcli: Run) -> None:
    """Revisions are counted anew, so a token that lived on could win wrongly."""
    token = kvcli("get", "k1", "--token", "-o", os.devnull).stderr.decode().strip()
    kvcli("compact")
    assert kvcli("cas", "k1", "mine", "--token", token).returncode == 3
    fresh = kvcli("get", "k1", "--token", "-o", os.devnull).stderr.decode().strip()
    assert kvcli("cas", "k1", "mine", "--token", fresh).returncode == 0


@pytest.mark.parametrize("program", [HOLD_LOCK, READ], ids=["writer", "reader"])
def test_compact_waits_for_who_has_it_open(kvcli: Run, filled: str, program: str) -> None:
    """Who goes on in the old file would lose what it writes: busy, exit code 75, and the file is as it was."""
    other = start(program, filled, "1")
    assert other.stdout
    other.stdout.readline()
    before = contents(filled)
    assert kvcli("compact", "--lock-timeout", "0.3").returncode == 75
    assert contents(filled) == before
    other.communicate(timeout=60)
    assert kvcli("compact").returncode == 0


# Puts a new file into place, and dawdles before it lets anybody in.
SLOWLY = """
import sys, time
from kvcli.cli.entry import run
from kvcli.engine.copying import Copy
put = Copy.put
def slowly(copy, path):
    put(copy, path)
    print("put", flush=True)
    time.sleep(1)
Copy.put = slowly
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("program", ["kvcli", "lmdb"])
@pytest.mark.parametrize("writes", [1, 2])
@pytest.mark.parametrize("is_fresh", [True, False], ids=["never opened", "opened before"])
def test_who_comes_while_the_file_is_replaced(
    kvcli: Run, filled: str, writes: int, program: str, *, is_fresh: bool
) -> None:
    """It waits, and finds all that was there, whatever the number of the last revision; what it writes is kept."""
    for _ in range(writes):
        kvcli("incr", "n")
    path = filled
    if is_fresh:
        path = filled + "2"
        os.mkdir(path, 0o700)
        shutil.copy(os.path.join(filled, "data.mdb"), path)
    before = kvcli("list", "-s", filled).stdout
    compacting = start(SLOWLY, "compact", "-s", path)
    assert compacting.stdout
    assert compacting.stdout.readline() == b"put\n"
    if program == "kvcli":
        assert kvcli("set", "n", "new", "-s", path).returncode == 0
    else:
        run(WRITE_RAW, path, "n=new")
    compacting.communicate(timeout=60)
    assert kvcli("get", "n", "-s", path).stdout == b"new"
    assert kvcli("list", "-s", path).stdout == before
    assert kvcli("check", "-s", path).returncode == 0


def test_who_comes_while_a_backup_is_replaced(kvcli: Run, filled: str, file: str) -> None:
    """A reader of the older backup that waits in that moment reads the new one."""
    kvcli("backup", file)
    kvcli("set", "n", "1", "-s", file)
    replacing = start(SLOWLY, "backup", file, "-s", filled)
    assert replacing.stdout
    assert replacing.stdout.readline() == b"put\n"
    assert kvcli("list", "-s", file).stdout == kvcli("list").stdout
    replacing.communicate(timeout=60)


def test_compact_gives_up_where_others_always_write(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its copies may be late; it is busy in the end, and the store is as it was."""
    with Store(path) as store:
        store.open("default").set("n", b"0")

    def write(_: Copy) -> None:
        with Store(path) as store:
            store.open("default").set("n", b"1")

    monkeypatch.setattr(Copy, "verify", write)
    with pytest.raises(Busy):
        list(compact(Files(path, single=False), 0.3))
    with Store(path) as store:
        assert store.open("default").get("n") == b"1"


def test_increments_beside_compactions_are_exact(kvcli: Run, filled: str) -> None:
    """Processes that open, add one and close, while the store is compacted again and again, all count."""
    words = f'for n in $(seq 30); do "{sys.executable}" -m kvcli incr n -s "{filled}" > /dev/null || echo failed; done'
    adding = [subprocess.Popen(["bash", "-c", words], stdout=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    while any(each.poll() is None for each in adding):
        kvcli("compact", "--lock-timeout", "0.5")
    assert [each.communicate()[0] for each in adding] == [b"", b""]
    assert kvcli("get", "n").stdout == b"60"


@pytest.mark.usefixtures("filled")
def test_compact_in_a_script_of_the_repl(kvcli: Run) -> None:
    """The line before has the store still open, and lets it go."""
    ran = kvcli("repl", input=b"get k1 > /dev/null\nset k 1\ncompact\nget k\n")
    assert (ran.returncode, ran.stdout[-1:]) == (0, b"1"), ran.stderr


def test_config_show_says_who_decided(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """Options before variables before the file, each by its name."""
    folder = os.path.join(tmp_path, "config", "kvcli")
    os.makedirs(folder)
    config = os.path.join(folder, "config.toml")
    with open(config, "w", encoding="utf-8") as text:
        text.write('editing_mode = "vi"\nstore = "/a"\n[profiles.work]\nstore = "/b"\ncache_max_size = "1MiB"\n')
    environment = {"XDG_CONFIG_HOME": os.path.dirname(folder), "KVCLI_STORE": "", "KVCLI_BUCKET": "users"}
    shown = kvcli("config", "show", "--origin", "--profile", "work", env=environment).stdout.decode().splitlines()
    assert shown[:5] == [
        f"store\t/b\t{config}",
        "bucket\tusers\tKVCLI_BUCKET",
        f"cache_max_size\t1MiB\tcache_max_size in {config}",
        f"editing_mode\tvi\tediting_mode in {config}",
        "history_values\t0\tdefault",
    ]
    assert kvcli("config", "show", "-s", "x", "-b", "y").stdout.splitlines()[1] == b"bucket\ty"


def size(path: str) -> int:
    """Give the size of a store's data file."""
    return os.path.getsize(os.path.join(path, "data.mdb"))


def damage(path: str) -> None:
    """Overwrite a page in the middle of the data file with ones."""
    with open(os.path.join(path, "data.mdb"), "r+b") as data:
        for page in range(4, os.fstat(data.fileno()).st_size // 4096 - 1):
            data.seek(page * 4096)
            data.write(b"\xff" * 4096)
