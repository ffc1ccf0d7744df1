"""What an independent review found, each with the sentence it offended."""

from __future__ import annotations

import os
import time

import pytest

from kvcli.batch import set_many
from kvcli.engine import writer
from kvcli.errors import Full, MalformedData
from kvcli.store import Store
from tests.conftest import Run, make_foreign
from tests.processes import hold_lock, release, run

RECORD = bytes(40) + b"\xff" * 8


def test_value_like_a_record_is_refused_in_the_main_database(path: str, kvcli: Run) -> None:
    """`get` gives what `set` was given, so what it could not give back is not taken: 48 bytes that look like a bucket."""
    with Store(path) as store:
        store.open("default").set("rec", RECORD)
        main = store.open("@main")
        with pytest.raises(MalformedData):
            main.set("rec", RECORD)
        with pytest.raises(MalformedData):
            set_many(main, [(f"k{number}", RECORD) for number in range(100)])
    assert kvcli("get", "rec").stdout == RECORD
    assert kvcli("stat").returncode == 0


def test_key_that_looks_like_a_bucket_does_not_hide_the_others(path: str, kvcli: Run) -> None:
    """One such key of another program must not end `stat` and `bucket stat`."""
    make_foreign(path, main={b"rec": RECORD, b"k": b"v"})
    assert kvcli("stat").returncode == 0
    assert kvcli("bucket", "stat").returncode == 0


def test_lock_timeout_of_zero_is_one(path: str, kvcli: Run) -> None:
    """`--lock-timeout 0` gives up at once, before and after the subcommand."""
    kvcli("set", "k", "1")
    holder = hold_lock(path)
    start = time.monotonic()
    assert kvcli("set", "k", "2", "--lock-timeout", "0").returncode == 75
    assert kvcli("--lock-timeout", "0", "set", "k", "2").returncode == 75
    assert time.monotonic() - start < 5
    release(holder)


def test_reader_does_not_wait_for_a_writer_that_waits(path: str) -> None:
    """A store opened `fast` for writing is opened for reading while its writer waits for another process."""
    program = """
import sys, threading, time, kvcli
store = kvcli.Store(sys.argv[1], durability="fast", lock_timeout=20)
bucket = store.open("default")
threading.Thread(target=lambda: bucket.set("b", b"1"), daemon=True).start()
time.sleep(0.3)
start = time.monotonic()
with kvcli.Store(sys.argv[1], read_only=True) as reader:
    reader.open("default").get("a")
print(time.monotonic() - start < 5)
sys.stdout.flush()
import os
os._exit(0)
"""
    Store(path).close()
    holder = hold_lock(path)
    assert run(program, path) == b"True\n"
    release(holder)


def test_child_of_a_fork_can_open_while_a_thread_of_the_parent_opens(path: str) -> None:
    """A fork at any moment leaves the child no lock that nobody will release."""
    program = """
import os, sys, threading, signal, kvcli
path = sys.argv[1]
kvcli.open(store=path).close()  # What is imported now need not be imported in a child, where Python itself may hang.
def opener():
    while True:
        with kvcli.open(store=path) as bucket:
            bucket.get("a")
threading.Thread(target=opener, daemon=True).start()
codes = set()
for _ in range(20):
    child = os.fork()
    if not child:
        signal.alarm(5)
        try:
            with kvcli.open(store=path) as bucket:
                bucket.get("a")
        except kvcli.Other:
            pass
        os._exit(0)
    codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(codes)
sys.stdout.flush()
os._exit(0)
"""
    Store(path).close()
    assert run(program, path) == b"{0}\n"


def test_thread_that_cannot_start_is_told_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that gives no thread is full; the next write finds one."""

    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with Store(path) as store:
        bucket = store.open("default")
        with monkeypatch.context() as patch:
            patch.setattr(writer, "start_new_thread", none_left)
            with pytest.raises(Full):
                bucket.set("k", b"1")
        bucket.set("k", b"2")
        assert bucket.get("k") == b"2"


def test_bucket_create_does_not_ask_for_the_chosen_bucket(kvcli: Run) -> None:
    """The first write creates the store, also when it is the one that makes the bucket of KVCLI_BUCKET."""
    assert kvcli("bucket", "create", "users", env={"KVCLI_BUCKET": "users"}).returncode == 0


@pytest.mark.parametrize("config", ["profiles = 3", '[profiles]\na = "x"', "profile = [1]"])
def test_config_of_another_shape_is_malformed(tmp_path: os.PathLike[str], kvcli: Run, config: str) -> None:
    """A config file that is TOML but not ours is exit 65."""
    folder = os.path.join(tmp_path, "kvcli")
    os.mkdir(folder)
    with open(os.path.join(folder, "config.toml"), "w", encoding="utf-8") as file:
        file.write(config)
    words = ["get", "k", *(["-p", "a"] if "profiles" in config else [])]
    assert kvcli(*words, env={"KVCLI_STORE": "", "XDG_CONFIG_HOME": str(tmp_path)}).returncode == 65


def test_endless_number_is_a_usage_error(kvcli: Run) -> None:
    """A limit of five thousand digits is no bug of ours."""
    assert kvcli("list", "--limit", "9" * 5000).returncode == 2


def test_settings_after_the_command_may_look_like_numbers(kvcli: Run) -> None:
    """Settings are accepted before and after the subcommand, whatever they look like."""
    kvcli("bucket", "create", "--", "-1")
    assert kvcli("set", "k", "v", "-b", "-1").returncode == 0
    assert kvcli("get", "k", "-b", "-1").stdout == b"v"


def test_unknown_format_is_damage(filled: str, kvcli: Run) -> None:
    """A data format from the future is exit 74."""
    with open(os.path.join(filled, "data.mdb"), "r+b") as file:
        for meta in (20, 4116):
            file.seek(meta)
            file.write((100).to_bytes(4, "little"))
    assert kvcli("get", "k1").returncode == 74


FOREIGN_TOKEN = "tMTIzNDU2Nzg5MDEyMzQ1NgAAAAAAAAABMTIzNDU2Nzg5MDEyMzQ1Ng"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("cas", "k", "v", "--token", "x"), 2),
        (("cas", "k", "v", "--token", FOREIGN_TOKEN), 3),
        (("set", "", "v"), 2),
        (("incr", ""), 2),
        (("set", "k" * 600, "v"), 2),
        (("cas", "k", "--update", "--", "false"), 1),
        (("cas", "k", "--update", "--", "no-such-command"), 127),
    ],
    ids=lambda words: " ".join(words)[:30] if isinstance(words, tuple) else "",
)
def test_command_that_writes_nothing_makes_no_store(path: str, kvcli: Run, words: tuple[str, ...], code: int) -> None:
    """The first write creates the store; what is refused is none."""
    assert kvcli(*words).returncode == code
    assert not os.path.exists(path)


def test_update_of_an_absent_key_makes_the_store(kvcli: Run) -> None:
    """`cas --update` makes what it needs once its command has given a value."""
    assert kvcli("cas", "k", "--update", "--", "echo", "new").returncode == 0
    assert kvcli("get", "k").stdout == b"new\n"


def test_name_of_a_key_of_the_main_database_is_no_bucket_to_be(path: str, kvcli: Run) -> None:
    """The reason is told: a key has the name."""
    make_foreign(path, main={b"users": b"v"})
    ran = kvcli("bucket", "create", "users", "--adopt")
    assert ran.returncode == 2
    assert b"the main database has a key 'users'" in ran.stderr


def test_must_exist_is_never_ignored(kvcli: Run) -> None:
    """An option is obeyed or refused."""
    kvcli("set", "k", "1")
    assert kvcli("delete", "nope", "--dry-run", "--must-exist").returncode == 1
    assert kvcli("delete", "--prefix", "k", "--must-exist", "--yes").returncode == 2
    assert kvcli("exists", "k").returncode == 0
